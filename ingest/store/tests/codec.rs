//! What goes into a chunk comes out of it, bit for bit.

#![expect(clippy::unwrap_used, reason = "what a test did not expect ends it")]

use fengsui_store::{Sample, decode_chunk, encode_chunk};
use fengsui_telemetry::{Doubt, Fault, Reading, TimeMs};
use proptest::prelude::*;

fn bits(samples: &[Sample]) -> Vec<(i64, u8, Option<u64>)> {
    let bits = |s: &Sample| (s.te.0, s.reading.code(), s.reading.value().map(f64::to_bits));
    samples.iter().map(bits).collect()
}

fn check(base: i64, samples: &[Sample]) {
    let blob = encode_chunk(42, TimeMs(base), samples);
    let back = decode_chunk(42, TimeMs(base), &blob).unwrap();
    assert_eq!(bits(&back), bits(samples));
    assert!(decode_chunk(43, TimeMs(base), &blob).is_err(), "a chunk in the wrong row");
}

/// Numbers as instruments make them, and every other kind of finite float.
fn number() -> impl Strategy<Value = f64> {
    let odd = [
        -0.0,
        0.0,
        f64::MIN_POSITIVE / 2.0,
        -f64::MIN_POSITIVE / 4096.0,
        f64::from_bits(1),
        9_007_199_254_740_992.0,
        9_007_199_254_740_994.0,
        -9_007_199_254_740_993.0,
        f64::MAX,
        f64::MIN,
        f64::EPSILON,
        0.1 + 0.2,
        1e15 + 0.3,
        4_503_599_627_370_496.5,
    ];
    prop_oneof![
        4 => (-100_000_i32..100_000, 0_i32..7).prop_map(|(m, k)| f64::from(m) / 10_f64.powi(k)),
        2 => any::<f64>().prop_filter("finite", |v| v.is_finite()),
        1 => any::<u64>().prop_map(f64::from_bits).prop_filter("finite", |v| v.is_finite()),
        1 => prop::sample::select(odd.to_vec()),
        1 => any::<i64>().prop_map(|m| m as f64),
    ]
}

fn reading() -> impl Strategy<Value = Reading> {
    prop_oneof![
        8 => number().prop_map(Reading::Good),
        1 => (number(), prop::sample::select(Doubt::ALL)).prop_map(|(v, d)| Reading::Uncertain(v, d)),
        1 => prop::sample::select(Fault::ALL).prop_map(Reading::Bad),
    ]
}

/// Runs of one quality, as real trouble comes.
fn readings() -> impl Strategy<Value = Vec<Reading>> {
    let run = prop_oneof![
        3 => prop::collection::vec(number().prop_map(Reading::Good), 1..200),
        1 => (prop::sample::select(Fault::ALL), 1_usize..50)
            .prop_map(|(fault, n)| vec![Reading::Bad(fault); n]),
        1 => prop::collection::vec(reading(), 1..40),
    ];
    prop::collection::vec(run, 0..5).prop_map(|runs| runs.concat())
}

fn stamps(n: usize, first: i64, jitter: &[i64], step: i64) -> Vec<i64> {
    let mut at = first;
    let jitter = jitter.iter().copied().cycle();
    jitter
        .take(n)
        .map(|j| {
            at += (step + j).max(1);
            at
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_chunk_comes_back_bit_for_bit(
        base in prop_oneof![Just(0_i64), any::<i32>().prop_map(|b| i64::from(b) * 600_000)],
        readings in readings(),
        first in 0_i64..600_000,
        step in prop_oneof![Just(1_000_i64), 1_i64..60_000],
        jitter in prop_oneof![
            Just(vec![0_i64]),
            prop::collection::vec(-20_i64..20, 1..30),
            prop::collection::vec(0_i64..100_000, 1..30),
        ],
    ) {
        let stamps = stamps(readings.len(), base + first, &jitter, step);
        let samples: Vec<Sample> = stamps
            .into_iter()
            .zip(readings)
            .map(|(te, reading)| Sample { te: TimeMs(te), reading })
            .collect();
        check(base, &samples);
    }

    #[test]
    fn no_bytes_make_it_panic(mut blob in prop::collection::vec(any::<u8>(), 0..300), id: i64) {
        prop_assert!(decode_chunk(id, TimeMs(0), &blob).is_err());
        // Past the checksum as well: a blob of a future fault of ours.
        let crc = crc32c::crc32c_append(crc32c::crc32c_append(1, &id.to_le_bytes()), &blob);
        if let Some(first) = blob.first_mut() {
            *first = 1;
            let crc_of_one = crc32c::crc32c_append(crc32c::crc32c_append(1, &id.to_le_bytes()), &blob);
            blob.extend_from_slice(&crc_of_one.to_le_bytes());
        } else {
            blob.extend_from_slice(&crc.to_le_bytes());
        }
        drop(decode_chunk(id, TimeMs(0), &blob));
    }
}

#[test]
fn a_cut_or_flipped_chunk_is_damage() {
    let samples: Vec<Sample> = (0..600)
        .map(|i| Sample { te: TimeMs(i * 1_000), reading: Reading::Good((i % 17) as f64 / 10.0) })
        .collect();
    let blob = encode_chunk(7, TimeMs(0), &samples);
    for cut in 0..blob.len() {
        assert!(decode_chunk(7, TimeMs(0), &blob[..cut]).is_err(), "cut at {cut}");
    }
    for bit in 0..blob.len() * 8 {
        let mut flipped = blob.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(decode_chunk(7, TimeMs(0), &flipped).is_err(), "bit {bit}");
    }
}

#[test]
fn one_odd_number_does_not_throw_a_chunk_to_floats() {
    let level = |i: i64| 50.0 + ((i * i) % 97) as f64 / 1000.0;
    let with = |odd: Option<f64>| {
        let samples: Vec<Sample> = (0..600)
            .map(|i| {
                let number = odd.filter(|_| i == 300).unwrap_or_else(|| level(i));
                Sample { te: TimeMs(i * 1_000), reading: Reading::Good(number) }
            })
            .collect();
        check(0, &samples);
        encode_chunk(42, TimeMs(0), &samples).len()
    };
    let plain = with(None);
    assert!(with(Some(1.0 / 3.0)) < plain + 40);
    assert!(with(Some(-0.0)) < plain + 40);
}
