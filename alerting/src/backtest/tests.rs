//! A setting over a series: what an engineer would count by hand.

use fengsui_telemetry::{Fault, Reading, TimeMs};

use super::*;

fn high(limit: f64, deadband: f64, on_s: i64, off_s: i64) -> Setting {
    let (on_delay_ms, off_delay_ms) = (on_s * 1_000, off_s * 1_000);
    Setting { side: Side::High, limit, deadband, on_delay_ms, off_delay_ms }
}

/// One value a minute; NaN is an empty cell.
fn run(setting: &Setting, values: &[f64]) -> Outcome {
    let mut test = Backtest::new(setting).unwrap();
    for (minute, value) in (0..).zip(values) {
        test.sample(TimeMs(minute * 60_000), reading(*value));
    }
    test.finish()
}

fn reading(value: f64) -> Reading {
    if value.is_nan() { Reading::Bad(Fault::Missing) } else { Reading::Good(value) }
}

fn minutes(outcome: &Outcome) -> Vec<(i64, Option<i64>)> {
    let minute = |at: TimeMs| at.0 / 60_000;
    outcome.occurrences.iter().map(|s| (minute(s.on), s.off.map(minute))).collect()
}

#[test]
fn an_excursion_goes_on_through_empty_cells_and_stays_open_at_the_end() {
    let gap = f64::NAN;
    let outcome = run(&high(5.0, 0.0, 0, 0), &[1.0, 5.0, gap, gap, 6.0, 4.9, 5.0, gap]);
    assert_eq!(minutes(&outcome), [(1, Some(5)), (6, None)]);
    assert_eq!((outcome.samples, outcome.bad), (5, 3));
    assert_eq!(outcome.longest_s(), Some(240.0));
    assert!((outcome.in_alarm_s() - 300.0).abs() < 1e-9);
}

#[test]
fn deadband_and_delays_are_those_of_the_engine() {
    let values = [1.0, 6.0, 4.5, 6.0, 3.9, 6.0, 6.0, 3.0, 3.0, 3.0];
    assert_eq!(
        minutes(&run(&high(5.0, 0.0, 0, 0), &values)),
        [(1, Some(2)), (3, Some(4)), (5, Some(7))]
    );
    assert_eq!(minutes(&run(&high(5.0, 1.0, 0, 0), &values)), [(1, Some(4)), (5, Some(7))]);
    assert_eq!(minutes(&run(&high(5.0, 0.0, 60, 0), &values))[1..], [(4, Some(4)), (6, Some(7))]);
    assert_eq!(minutes(&run(&high(5.0, 1.0, 0, 120), &values)), [(1, Some(9))]);
    let low = Setting { side: Side::Low, ..high(3.0, 0.0, 0, 0) };
    assert_eq!(minutes(&run(&low, &values)), [(0, Some(1)), (7, None)]);
}

#[test]
fn a_setting_that_is_none_is_refused() {
    assert!(Backtest::new(&high(f64::NAN, 0.0, 0, 0)).is_err());
    assert!(Backtest::new(&high(5.0, -1.0, 0, 0)).is_err());
    assert!(Backtest::new(&high(5.0, 0.0, -1, 0)).is_err());
}

#[test]
fn figures_are_undefined_rather_than_zero() {
    let none = run(&high(5.0, 0.0, 0, 0), &[]);
    assert_eq!((none.per_day(), none.chatter_index(), none.longest_s()), (None, None, None));
    let day = vec![1.0; 1_441];
    assert_eq!(run(&high(5.0, 0.0, 0, 0), &day).per_day(), Some(0.0));
}

#[test]
fn ninety_days_of_chatter_keep_every_occurrence() {
    // Longer than the engine remembers by itself: seven days.
    let mut test = Backtest::new(&high(5.0, 0.0, 0, 0)).unwrap();
    for hour in 0..90 * 24 {
        let value = if hour % 2 == 0 { 6.0 } else { 1.0 };
        test.sample(TimeMs(hour * 3_600_000), Reading::Good(value));
    }
    let outcome = test.finish();
    assert_eq!(outcome.occurrences.len(), 90 * 12);
    assert!(outcome.occurrences.iter().all(|span| span.off.is_some()));
}

#[test]
fn rows_out_of_order_repeated_or_contradicted_are_put_right_and_named() {
    let row = |row, te, value| Row { row, te: TimeMs(te), reading: reading(value) };
    let arranged = arrange(vec![
        row(2, 30, 3.0),
        row(3, 10, 1.0),
        row(4, 20, f64::NAN),
        row(5, 10, 1.0),
        row(6, 30, 9.0),
        row(7, 20, 2.0),
    ]);
    let good = |te, value| (TimeMs(te), Reading::Good(value));
    assert_eq!(
        arranged.samples,
        [good(10, 1.0), good(20, 2.0), (TimeMs(30), Reading::Bad(Fault::SourceBad))]
    );
    let told: Vec<(u64, Why)> = arranged.skipped.iter().map(|s| (s.row, s.why)).collect();
    assert_eq!(told, [(4, Why::Empty), (5, Why::Repeated), (6, Why::Contradicted)]);
}

#[test]
fn what_overlaps_stands_in_one_line() {
    let span = |on, off: Option<i64>| Span { on: TimeMs(on), off: off.map(TimeMs) };
    let (a, b, c) = (span(0, Some(10)), span(20, Some(30)), span(40, None));
    let wide = span(0, Some(35));
    let pairs = pair(&[a, b, c], &[wide, span(50, Some(60))]);
    let told: Vec<(Option<Span>, Option<Span>)> = pairs.iter().map(|p| (p.one, p.other)).collect();
    assert_eq!(told, [(Some(a), Some(wide)), (Some(b), None), (Some(c), Some(span(50, Some(60))))]);
    assert!(pair(&[], &[]).is_empty());
}

/// The week of one methane monitor, counted by two people who never saw this program.
#[test]
fn a_week_at_the_metec_site_has_132_excursions_and_119_with_a_deadband() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/metec_ch4/SE.csv");
    let mut reader = csv::Reader::from_path(path).unwrap();
    let mut values = Vec::new();
    for record in reader.records() {
        let record = record.unwrap();
        values.push(record[1].parse().unwrap_or(f64::NAN));
    }
    let outcome = run(&high(5.0, 0.0, 0, 0), &values);
    assert_eq!((outcome.samples, outcome.bad), (9_498, 582));
    assert_eq!(outcome.occurrences.len(), 132);
    assert_eq!(minutes(&outcome)[0].0, 2 * 1_440 + 3 * 60 + 14);
    assert_eq!(run(&high(5.0, 1.0, 0, 0), &values).occurrences.len(), 119);
}
