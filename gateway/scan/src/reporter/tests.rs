//! What is left out, and what never is.

use std::sync::Arc;

use fengsui_telemetry::{Doubt, Fault};
use proptest::prelude::*;

use super::*;
use crate::condition::{Report, Rules};
use crate::decode::Scaling;
use crate::register::{Encoding, Function, WordOrder};
use crate::site::Form;

const PERIOD_MS: i64 = 1_000;
const SILENCE_MS: i64 = 10_000;
const WITHIN: f64 = 0.5;

fn mapping(point: u32, report: bool) -> Mapping {
    let report = report.then_some(Report { within: WITHIN, silence_ms: 10_000 });
    let form = Form {
        encoding: Encoding::U16,
        order: WordOrder::default(),
        scaling: Arc::new(Scaling::new(1.0, 0.0).unwrap()),
        sentinels: Vec::new().into(),
        low: 0.0,
        high: 100.0,
        period_ms: 1_000,
        rules: Some(Box::new(Rules { report, ..Rules::default() })),
    };
    Mapping {
        point,
        device: 0,
        function: Function::Holding,
        address: 0,
        row: 3,
        form: Arc::new(form),
    }
}

/// Point 4 has the rule, point 1 has none.
fn reporter() -> Reporter {
    Reporter::new(&[mapping(4, true), mapping(1, false)])
}

/// Which of these readings of point 4, a second apart, are kept.
fn kept(reporter: &mut Reporter, readings: &[Reading]) -> Vec<bool> {
    let at = (0_i64..).map(|second| TimeMs(second * PERIOD_MS));
    at.zip(readings).map(|(te, reading)| reporter.keeps(4, te, *reading)).collect()
}

#[test]
fn a_value_is_kept_when_it_left_the_deadband_and_not_before() {
    let values = [50.0, 50.5, 49.5, 50.6, 50.2, 50.1, 50.05].map(Reading::Good);
    // 50.6 is the first that is more than 0.5 away; from then on 50.6 is what counts.
    let wanted = [true, false, false, true, false, false, true];
    assert_eq!(kept(&mut reporter(), &values), wanted);
}

#[test]
fn slow_drift_does_not_creep_away_unseen() {
    let values: Vec<Reading> =
        (0..9).map(|step| Reading::Good(f64::from(step).mul_add(0.2, 50.0))).collect();
    let wanted = [true, false, false, true, false, false, true, false, false];
    assert_eq!(kept(&mut reporter(), &values), wanted, "each is measured against what was kept");
}

#[test]
fn a_change_of_quality_doubt_or_fault_is_kept_at_any_value() {
    let readings = [
        Reading::Good(50.0),
        Reading::Uncertain(50.0, Doubt::Frozen),
        Reading::Uncertain(50.0, Doubt::Frozen),
        Reading::Uncertain(50.0, Doubt::NearRange),
        Reading::Bad(Fault::Timeout),
        Reading::Bad(Fault::Timeout),
        Reading::Bad(Fault::WireBreak),
        Reading::Good(50.0),
    ];
    let wanted = [true, true, false, true, true, false, true, true];
    assert_eq!(kept(&mut reporter(), &readings), wanted);
}

#[test]
fn a_point_that_rests_is_heard_after_the_longest_silence() {
    let readings = [Reading::Good(50.0); 25];
    let found = kept(&mut reporter(), &readings);
    let seconds: Vec<usize> = (0..25).filter(|second| found[*second]).collect();
    assert_eq!(seconds, [0, 10, 20]);
}

#[test]
fn a_point_without_the_rule_or_whose_rule_rests_keeps_every_sample() {
    let mut reporter = reporter();
    let same = Reading::Good(50.0);
    assert!((0..5).all(|second| reporter.keeps(1, TimeMs(second), same)));
    assert!(reporter.keeps(4, TimeMs(0), same) && !reporter.keeps(4, TimeMs(1), same));
    reporter.rest(|point| point == 4);
    assert!((2..5).all(|second| reporter.keeps(4, TimeMs(second), same)));
    reporter.rest(|_| false);
    assert!(reporter.keeps(4, TimeMs(6), same) && !reporter.keeps(4, TimeMs(7), same));
    reporter.rest(|_| false);
    assert!(!reporter.keeps(4, TimeMs(8), same), "nothing changed for it");
    reporter.forget();
    assert!(reporter.keeps(4, TimeMs(9), same), "what was kept is lost");
}

#[test]
fn a_reading_from_before_is_kept_and_changes_nothing() {
    let mut reporter = reporter();
    assert!(reporter.keeps(4, TimeMs(5_000), Reading::Good(50.0)));
    assert!(reporter.keeps(4, TimeMs(2_000), Reading::Good(70.0)));
    assert!(!reporter.keeps(4, TimeMs(6_000), Reading::Good(50.0)));
}

fn any_reading() -> impl Strategy<Value = Reading> {
    prop_oneof![
        6 => (49.0..52.0).prop_map(Reading::Good),
        1 => (49.0..52.0).prop_map(|value| Reading::Uncertain(value, Doubt::Frozen)),
        1 => Just(Reading::Bad(Fault::Timeout)),
        1 => Just(Reading::Bad(Fault::WireBreak)),
    ]
}

proptest! {
    /// Whoever holds the last kept reading for the present one errs by the deadband at most, knows
    /// its quality, and hears of the point in time.
    #[test]
    fn what_is_left_out_is_known(readings in prop::collection::vec(any_reading(), 1..200)) {
        let mut reporter = reporter();
        let (mut at, mut last) = (0, readings[0]);
        for (second, reading) in (0_i64..).zip(&readings) {
            let te = second * PERIOD_MS;
            if reporter.keeps(4, TimeMs(te), *reading) {
                prop_assert!(te - at <= SILENCE_MS + PERIOD_MS, "silent from {at} to {te}");
                (at, last) = (te, *reading);
                continue;
            }
            prop_assert!(second > 0, "the first is kept");
            prop_assert!(te - at < SILENCE_MS + PERIOD_MS);
            prop_assert_eq!(last.word(), reading.word());
            match (last.value(), reading.value()) {
                (Some(last), Some(now)) => prop_assert!((last - now).abs() <= WITHIN),
                (last, now) => prop_assert_eq!(last, now),
            }
        }
    }
}
