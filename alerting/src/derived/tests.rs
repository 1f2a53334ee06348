//! The numbers of W06, W07 and W02, expressions, and what cannot be computed.

use super::compute::{View, value_at};
use super::expression::Asked;
use super::{Derived, Expression, ExpressionFault};
use crate::held::{Sample, Trust};
use crate::model::PointRef;

fn samples(rows: &[(i64, f64)]) -> Vec<Sample> {
    rows.iter().map(|(te, value)| Sample::new(te * 1000, Some(*value))).collect()
}

fn at(derived: &Derived, rows: &[Sample], te: i64) -> Option<f64> {
    value_at(derived, &View { points: vec![rows], alarms: Vec::new() }, te * 1000)
}

fn near(got: Option<f64>, wanted: f64, tolerance: f64) {
    assert!(got.is_some_and(|got| (got - wanted).abs() <= tolerance), "{got:?}, wanted {wanted}");
}

fn roc() -> Derived {
    Derived::RateOfChange { rising: true, limit: 5.0, deadband: 0.0, window_ms: 60_000 }
}

#[test]
fn w06_slopes() {
    let rows = samples(&[(0, 100.0), (20, 101.5), (40, 103.5), (60, 105.5)]);
    assert_eq!(at(&roc(), &rows, 0), None);
    assert_eq!(at(&roc(), &rows, 20), None);
    near(at(&roc(), &rows, 40), 5.25, 1e-9);
    near(at(&roc(), &rows, 60), 5.55, 1e-9);
}

#[test]
fn w06_two_values_under_one_time_count_as_their_mean() {
    let mut rows = samples(&[(0, 100.0), (20, 101.5), (40, 103.5)]);
    rows[1] = Sample::with_trust(20_000, Trust::Conflict, 101.5);
    near(at(&roc(), &rows, 40), 5.25, 1e-9);
    let same = samples(&[(0, 1.0)]);
    assert_eq!(at(&roc(), &same, 0), None);
}

#[test]
fn w07_the_early_bound_of_the_time_to_a_limit() {
    let level = [(0, 10.00), (60, 10.05), (120, 10.11), (180, 10.15), (240, 10.20)];
    let ttl = |within_ms| Derived::TimeToLimit {
        target: 11.5,
        rising: true,
        within_ms,
        window_ms: 240_000,
    };
    near(at(&ttl(1_500_000), &samples(&level), 240), 1411.0, 1.0);
    let falling = samples(&[(0, 10.2), (60, 10.15), (120, 10.11), (180, 10.05), (240, 10.0)]);
    assert_eq!(at(&ttl(1_500_000), &falling, 240), Some(f64::INFINITY));
    let noise = samples(&[(0, 10.0), (60, 10.9), (120, 9.7), (180, 10.8), (240, 10.1)]);
    assert_eq!(at(&ttl(1_500_000), &noise, 240), None, "a slope that may be none says nothing");
    let threshold = ttl(1_500_000).threshold();
    assert!((threshold.limit - 1500.0).abs() < 1e-9 && (threshold.deadband - 300.0).abs() < 1e-9);
}

#[test]
fn w02_votes_lose_one_for_each_invalid_input_and_alarm_without_any() {
    let vote = Derived::Vote {
        need: 2,
        points: vec![PointRef(0), PointRef(1), PointRef(2)],
        high: true,
        limit: 25.0,
        deadband: 0.0,
        hold_ms: 60_000,
    };
    let table = [
        ([Some(5.0), Some(5.0), Some(5.0)], 5.0),
        ([Some(30.0), Some(5.0), Some(5.0)], 5.0),
        ([Some(30.0), Some(26.0), Some(5.0)], 26.0),
        ([Some(30.0), Some(5.0), None], 30.0),
        ([None, Some(5.0), None], 5.0),
        ([None, None, None], f64::INFINITY),
    ];
    for (values, wanted) in table {
        let inputs: Vec<Vec<Sample>> = values.iter().map(|v| vec![Sample::new(0, *v)]).collect();
        let points = inputs.iter().map(Vec::as_slice).collect();
        let got = value_at(&vote, &View { points, alarms: Vec::new() }, 0);
        assert_eq!(got, Some(wanted), "{values:?}");
    }
}

#[test]
fn what_an_expression_cannot_know_is_no_answer_and_never_false() {
    let expression =
        Expression::parse("pv(\"A.LT\") > 80.0 || on(\"B/HH\") && !bad( \"C\" )").unwrap();
    assert_eq!(expression.tags(), ["A.LT", "C"]);
    assert_eq!(expression.alarms(), ["B/HH"]);
    let ask = |a: Option<f64>, c: Option<f64>, on| {
        expression.holds(&Asked { points: vec![a, c], alarms: vec![on] })
    };
    assert_eq!(ask(Some(81.0), None, false), Some(true));
    assert_eq!(ask(Some(80.0), Some(1.0), false), Some(false));
    assert_eq!(ask(None, Some(1.0), true), Some(true));
    assert_eq!(ask(None, Some(1.0), false), None);
    assert_eq!(ask(Some(1.0), None, true), Some(false));
}

#[test]
fn an_expression_that_is_none_is_refused_with_the_mend() {
    let fault = |text: &str| Expression::parse(text).unwrap_err();
    assert_eq!(fault("  "), ExpressionFault::Empty);
    assert_eq!(fault(&"1".repeat(2_000)), ExpressionFault::TooLong);
    assert_eq!(fault("[1].all(x, x > 0)"), ExpressionFault::Bracket('['));
    assert_eq!(fault("{1: 2}"), ExpressionFault::Bracket('{'));
    assert_eq!(fault("pv(A) > 1.0"), ExpressionFault::NoName("pv"));
    assert!(matches!(fault("pv(\"A\") >"), ExpressionFault::Syntax(_)));
    assert!(matches!(fault("pv(\"A\") + 1.0"), ExpressionFault::NotYesOrNo(_)));
    assert!(matches!(fault("unknown > 1.0"), ExpressionFault::NotYesOrNo(_)));
    // As deep as the text allows: no stack is lost.
    let deep = format!("{}true{}", "(".repeat(500), ")".repeat(500));
    assert!(Expression::parse(&deep).is_err() || Expression::parse(&deep).is_ok());
    let long = vec!["true"; 120].join(" && ");
    assert!(Expression::parse(&long).is_ok());
}
