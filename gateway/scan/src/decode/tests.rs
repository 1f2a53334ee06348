//! Bytes that no decoder made, and what must be read from them.

#![expect(
    clippy::float_cmp,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "bits are cut and compared on purpose"
)]

use super::*;
use crate::register::{Encoding, Function};
use crate::site::Form;
use proptest::prelude::*;
use std::sync::Arc;

/// Lays bytes out as the name of the order says, letter by letter. Shares nothing with the decoder.
fn lay(order: WordOrder, big_endian: &[u8]) -> Vec<u16> {
    let letters: &[u8] = match (order, big_endian.len()) {
        (WordOrder::Abcd | WordOrder::Cdab, 2) => b"AB",
        (WordOrder::Badc | WordOrder::Dcba, 2) => b"BA",
        (WordOrder::Abcd, 4) => b"ABCD",
        (WordOrder::Cdab, 4) => b"CDAB",
        (WordOrder::Badc, 4) => b"BADC",
        (WordOrder::Dcba, 4) => b"DCBA",
        (WordOrder::Abcd, 6) => b"ABCDEF",
        (WordOrder::Cdab, 6) => b"EFCDAB",
        (WordOrder::Badc, 6) => b"BADCFE",
        (WordOrder::Dcba, 6) => b"FEDCBA",
        (WordOrder::Abcd, 8) => b"ABCDEFGH",
        (WordOrder::Cdab, 8) => b"GHEFCDAB",
        (WordOrder::Badc, 8) => b"BADCFEHG",
        (WordOrder::Dcba, 8) => b"HGFEDCBA",
        other => panic!("{other:?}"),
    };
    let byte = |letter: &u8| big_endian[usize::from(letter - b'A')];
    let bytes: Vec<u8> = letters.iter().map(byte).collect();
    bytes.chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect()
}

fn mapping(encoding: Encoding, order: WordOrder) -> Mapping {
    of_form(form(encoding, order))
}

fn of_form(form: Form) -> Mapping {
    let function = Function::Holding;
    Mapping { point: 0, device: 0, function, address: 0, row: 3, form: form.into() }
}

fn form(encoding: Encoding, order: WordOrder) -> Form {
    Form {
        encoding,
        order,
        scaling: Arc::new(Scaling::new(1.0, 0.0).unwrap()),
        sentinels: Arc::default(),
        low: -1e300,
        high: 1e300,
        period_ms: 1_000,
        rules: None,
    }
}

fn read(encoding: Encoding, order: WordOrder, big_endian: &[u8]) -> Reading {
    decode_words(&mapping(encoding, order), &lay(order, big_endian))
}

proptest! {
    #[test]
    fn every_type_in_every_order_comes_back(bits: u64, order in 0_usize..4) {
        let order = WordOrder::ALL[order];
        let (b16, b32) = (bits as u16, bits as u32);
        let good = |value: f64| Reading::Good(value);
        prop_assert_eq!(read(Encoding::U16, order, &b16.to_be_bytes()), good(b16.into()));
        prop_assert_eq!(read(Encoding::I16, order, &b16.to_be_bytes()), good((b16 as i16).into()));
        prop_assert_eq!(read(Encoding::U32, order, &b32.to_be_bytes()), good(b32.into()));
        prop_assert_eq!(read(Encoding::I32, order, &b32.to_be_bytes()), good((b32 as i32).into()));
        prop_assert_eq!(read(Encoding::U64, order, &bits.to_be_bytes()), good(bits as f64));
        prop_assert_eq!(read(Encoding::I64, order, &bits.to_be_bytes()), good(bits as i64 as f64));
        prop_assert_eq!(read(Encoding::Bool, order, &b16.to_be_bytes()), good(f64::from(b16 != 0)));
        let single = f32::from_bits(b32);
        let want = if single.is_finite() {
            good(single.to_string().parse().unwrap())
        } else {
            Reading::Bad(Fault::NotANumber)
        };
        prop_assert_eq!(read(Encoding::F32, order, &b32.to_be_bytes()), want);
        let double = f64::from_bits(bits);
        if double.is_finite() && double.abs() < 1e300 {
            prop_assert_eq!(read(Encoding::F64, order, &bits.to_be_bytes()), good(double));
        }
    }

    #[test]
    fn bytes_and_three_registers_come_back(bits: u64, order in 0_usize..4) {
        let order = WordOrder::ALL[order];
        let b16 = bits as u16;
        let [high, low] = b16.to_be_bytes();
        let good = |value: f64| Reading::Good(value);
        prop_assert_eq!(read(Encoding::U8High, order, &[high, low]), good(high.into()));
        prop_assert_eq!(read(Encoding::U8Low, order, &[high, low]), good(low.into()));
        prop_assert_eq!(read(Encoding::I8High, order, &[high, low]), good((high as i8).into()));
        prop_assert_eq!(read(Encoding::I8Low, order, &[high, low]), good((low as i8).into()));
        let six = &bits.to_be_bytes()[2..];
        let unsigned = six.iter().fold(0_i64, |sum, byte| sum * 256 + i64::from(*byte));
        let signed = if unsigned < 1 << 47 { unsigned } else { unsigned - (1 << 48) };
        prop_assert_eq!(read(Encoding::U48, order, six), good(unsigned as f64));
        prop_assert_eq!(read(Encoding::I48, order, six), good(signed as f64));
    }

    #[test]
    fn decimal_digits_come_back_and_others_are_no_number(number: u64, order in 0_usize..4) {
        let order = WordOrder::ALL[order];
        for (encoding, digits) in
            [(Encoding::Bcd16, 4), (Encoding::Bcd32, 8), (Encoding::Bcd64, 16)]
        {
            let number = number % 10_u64.pow(digits);
            let text = format!("{number:0width$}", width = digits as usize);
            let pairs: Vec<&str> = (0..text.len()).step_by(2).map(|i| &text[i..i + 2]).collect();
            let mut bytes: Vec<u8> =
                pairs.iter().map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect();
            prop_assert_eq!(read(encoding, order, &bytes), Reading::Good(number as f64));
            bytes[0] |= 0xf0;
            prop_assert_eq!(read(encoding, order, &bytes), Reading::Bad(Fault::Undecodable));
        }
    }

    #[test]
    fn no_words_give_a_value_that_is_not_finite(
        words in prop::collection::vec(any::<u16>(), 0..6), encoding in 0_usize..Encoding::ALL.len(),
        order in 0_usize..4, scale in -1e300_f64..1e300, offset in -1e300_f64..1e300,
    ) {
        let Some(scaling) = Scaling::new(scale, offset) else { return Ok(()) };
        let form = form(Encoding::ALL[encoding], WordOrder::ALL[order]);
        let mapping = of_form(Form { scaling: scaling.into(), ..form });
        let reading = decode_words(&mapping, &words);
        prop_assert!(reading.value().is_none_or(f64::is_finite));
        if words.len() != usize::from(mapping.encoding.words()) {
            prop_assert_eq!(reading, Reading::Bad(Fault::BadFrame));
        }
    }
}

#[test]
fn a_single_is_the_number_that_people_read() {
    for (single, double) in [(61.2_f32, 61.2_f64), (0.1, 0.1), (16_777_217.0, 16_777_216.0)] {
        let got = read(Encoding::F32, WordOrder::Cdab, &single.to_be_bytes());
        assert_eq!(got, Reading::Good(double));
    }
}

#[test]
fn nan_infinity_and_sentinels_are_bad_and_never_a_number() {
    for single in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let got = read(Encoding::F32, WordOrder::Abcd, &single.to_be_bytes());
        assert_eq!(got, Reading::Bad(Fault::NotANumber));
    }
    let tenth = Scaling::new(0.1, 0.0).unwrap();
    let gas = of_form(Form {
        sentinels: [Raw::Whole(65_535)].into(),
        scaling: tenth.into(),
        high: 100.0,
        low: 0.0,
        ..form(Encoding::U16, WordOrder::Abcd)
    });
    assert_eq!(decode_words(&gas, &[65_535]), Reading::Bad(Fault::Sentinel));
    assert_eq!(decode_words(&gas, &[234]), Reading::Good(23.4));
    let flow = of_form(Form {
        sentinels: [Raw::Float(-9_999.9)].into(),
        ..form(Encoding::F32, WordOrder::Abcd)
    });
    let words = lay(WordOrder::Abcd, &(-9_999.9_f32).to_be_bytes());
    assert_eq!(decode_words(&flow, &words), Reading::Bad(Fault::Sentinel));
}

#[test]
fn just_outside_the_range_is_doubted_and_further_out_refused() {
    let level = of_form(Form { low: 0.0, high: 100.0, ..form(Encoding::I16, WordOrder::Abcd) });
    let say = |raw: i16| decode_words(&level, &[raw as u16]);
    assert_eq!(say(0), Reading::Good(0.0));
    assert_eq!(say(100), Reading::Good(100.0));
    assert_eq!(say(101), Reading::Uncertain(101.0, Doubt::NearRange));
    assert_eq!(say(105), Reading::Uncertain(105.0, Doubt::NearRange));
    assert_eq!(say(106), Reading::Bad(Fault::OutOfRange));
    assert_eq!(say(-5), Reading::Uncertain(-5.0, Doubt::NearRange));
    assert_eq!(say(-6), Reading::Bad(Fault::OutOfRange));
}

#[test]
fn scaling_leaves_no_dust_and_refuses_what_makes_no_sense() {
    let by = |scale, offset| Scaling::new(scale, offset).unwrap();
    assert_eq!(by(0.1, 0.0).apply(Raw::Whole(234)), 23.4);
    assert_eq!(by(0.01, -40.0).apply(Raw::Whole(6_520)), 25.2);
    assert_eq!(by(0.1, 0.0).apply(Raw::Float(61.2)), 6.12);
    assert_eq!(by(-1.0, 1.0).apply(Raw::Whole(1)), 0.0);
    let infinite = [(f64::NAN, 0.0), (1.0, f64::INFINITY), (1e305, 0.0)];
    for (scale, offset) in infinite.into_iter().chain([(0.0, 0.0), (1e-320, 0.0)]) {
        assert_eq!(Scaling::new(scale, offset), None);
    }
}

/// The numbers at which codecs break.
#[test]
fn the_ends_of_every_type_come_back_in_every_order() {
    for order in WordOrder::ALL {
        let double = |value: f64| match read(Encoding::F64, order, &value.to_be_bytes()) {
            Reading::Good(got) => assert_eq!(got.to_bits(), value.to_bits(), "{value:e}"),
            other @ (Reading::Uncertain(..) | Reading::Bad(_)) => panic!("{value:e}: {other:?}"),
        };
        for value in [-0.0, 5e-324, -5e-324, f64::MIN_POSITIVE, 1e299, -1e299, 0.1] {
            double(value);
        }
        let Reading::Good(minus) = read(Encoding::F32, order, &(-0.0_f32).to_be_bytes()) else {
            panic!("−0 is a number");
        };
        assert!(minus == 0.0 && minus.is_sign_negative());
        let tiny = f32::from_bits(1);
        assert_eq!(read(Encoding::F32, order, &tiny.to_be_bytes()), Reading::Good(1e-45));
        let past = (1_u64 << 53) + 1;
        assert_eq!(
            read(Encoding::U64, order, &past.to_be_bytes()),
            Reading::Good(9_007_199_254_740_992.0)
        );
        assert_eq!(
            read(Encoding::U64, order, &u64::MAX.to_be_bytes()),
            Reading::Good(18_446_744_073_709_551_616.0)
        );
        assert_eq!(
            read(Encoding::I64, order, &i64::MIN.to_be_bytes()),
            Reading::Good(-9_223_372_036_854_775_808.0)
        );
        assert_eq!(read(Encoding::I16, order, &[0x80, 0]), Reading::Good(-32_768.0));
    }
}
