//! Random intakes, seals and restarts against a plain map.
//!
//! The operator's rule: what was accepted last for a point and a time is what is shown, once.

#![expect(clippy::unwrap_used, reason = "what a test did not expect ends it")]

use std::collections::BTreeMap;
use std::sync::mpsc::sync_channel;

use fengsui_store::{Intake, SeriesStore, StoreOptions};
use fengsui_telemetry::{Fault, Lane, Reading, TimeMs};

const BUCKET: i64 = 60_000;
const POINTS: u32 = 5;

/// xorshift*: the same run for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % sides
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        let at = self.roll(from.len() as u64);
        *from.get(usize::try_from(at).unwrap()).unwrap()
    }
}

type Oracle = BTreeMap<(u32, i64), Reading>;

fn one_intake(dice: &mut Dice, now: i64, oracle: &Oracle) -> Intake {
    let n = 1 + dice.roll(60);
    let old: Vec<(u32, i64)> = oracle.keys().copied().collect();
    let samples = (0..n)
        .map(|_| {
            let point = u32::try_from(dice.roll(POINTS.into())).unwrap();
            let (point, te) = match dice.roll(12) {
                // Again what is there: a redelivery or a correction.
                0..=2 if !old.is_empty() => dice.pick(&old),
                // Late by minutes.
                3 => (point, now - dice.roll(20 * BUCKET as u64) as i64),
                // Late by days, before 1970 at times.
                4 => (point, now - dice.roll(3_000 * BUCKET as u64) as i64),
                // A clock ahead.
                5 => (point, now + dice.roll(50 * BUCKET as u64) as i64),
                _ => (point, now - dice.roll(2_000) as i64),
            };
            let reading = match dice.roll(10) {
                0 => Reading::Bad(Fault::Timeout),
                1 => Reading::Good(-0.0),
                2 => Reading::Good(dice.roll(u64::MAX) as f64 / 3.0),
                _ => Reading::Good(dice.roll(1_000) as f64 / 10.0),
            };
            (point, TimeMs(te), reading)
        })
        .collect();
    Intake {
        gateway: "GW-01".into(),
        epoch: 1,
        lane: Lane::Live,
        ti: TimeMs(now),
        samples,
        offsets: Vec::new(),
        gaps: Vec::new(),
        locals: Vec::new(),
    }
}

fn bits(reading: Reading) -> (u8, Option<u64>) {
    (reading.code(), reading.value().map(f64::to_bits))
}

fn compare(store: &SeriesStore, oracle: &Oracle, seed: u64) {
    for point in 0..POINTS {
        let want: Vec<_> = oracle
            .range((point, i64::MIN)..=(point, i64::MAX))
            .map(|((_, te), r)| (*te, bits(*r)))
            .collect();
        let found: Vec<_> = store
            .range(point, TimeMs::MIN, TimeMs::MAX, usize::MAX)
            .unwrap()
            .into_iter()
            .map(|s| (s.te.0, bits(s.reading)))
            .collect();
        assert_eq!(found, want, "point {point}, seed {seed}");
        let last = store.latest(point).map(|s| (s.te.0, bits(s.reading)));
        assert_eq!(last, want.last().copied(), "newest of point {point}, seed {seed}");
        let Some((mid, _)) = want.get(want.len() / 2) else { continue };
        let part = store.range(point, TimeMs(*mid), TimeMs(mid + 3 * BUCKET), 10).unwrap();
        let want: Vec<_> = want
            .iter()
            .filter(|(te, _)| (*mid..mid + 3 * BUCKET).contains(te))
            .take(10)
            .copied()
            .collect();
        let part: Vec<_> = part.into_iter().map(|s| (s.te.0, bits(s.reading))).collect();
        assert_eq!(part, want, "a part of point {point}, seed {seed}");
    }
    let counts = store.count().unwrap();
    let bad = oracle.values().filter(|r| r.is_bad()).count() as u64;
    let n = oracle.len() as u64;
    assert_eq!((counts.samples, counts.good, counts.bad), (n, n - bad, bad), "seed {seed}");
}

fn shift(seed: u64) {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions {
        bucket_ms: BUCKET,
        commit_ms: dice.roll(3),
        commit_samples: 1 + usize::try_from(dice.roll(300)).unwrap(),
        seals_per_commit: 1 + usize::try_from(dice.roll(8)).unwrap(),
        tail_max: dice.pick(&[500, 16_000_000]),
        grace_ms: 5_000,
        ..StoreOptions::default()
    };
    let mut store = SeriesStore::open(dir.path(), options).unwrap();
    let mut oracle = Oracle::new();
    let mut now = 30 * BUCKET;
    for _ in 0..120 {
        now += dice.roll(8_000) as i64;
        match dice.roll(20) {
            0 => store.seal_now().unwrap(),
            1 => {
                drop(store);
                store = SeriesStore::open(dir.path(), options).unwrap();
                compare(&store, &oracle, seed);
            }
            2 => store.hold_journal_from(u64::MAX),
            3 => now -= dice.roll(100_000) as i64,
            4 => compare(&store, &oracle, seed),
            _ => {
                let (answer, wait) = sync_channel(8);
                let together = 1 + dice.roll(4);
                for _ in 0..together {
                    let intake = one_intake(&mut dice, now, &oracle);
                    oracle.extend(intake.samples.iter().map(|(p, te, r)| ((*p, te.0), *r)));
                    let answer = answer.clone();
                    let done = Box::new(move |seq: Result<u64, _>| {
                        answer.send(seq.unwrap()).unwrap();
                    });
                    store.append(intake, done).unwrap();
                }
                for _ in 0..together {
                    wait.recv().unwrap();
                }
            }
        }
    }
    compare(&store, &oracle, seed);
    store.seal_now().unwrap();
    compare(&store, &oracle, seed);
    drop(store);
    compare(&SeriesStore::open(dir.path(), options).unwrap(), &oracle, seed);
}

#[test]
fn random_shifts_agree_with_a_plain_map() {
    // A longer run: FENGSUI_SEEDS=1000.
    let seeds = std::env::var("FENGSUI_SEEDS").map_or(8, |text| text.parse().unwrap());
    for seed in 1..=seeds {
        shift(seed);
    }
}
