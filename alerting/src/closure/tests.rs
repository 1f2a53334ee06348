//! Stories of a case.

use fengsui_telemetry::TimeMs;

use super::*;

const DAY: i64 = 86_400_000;

fn take(cases: &mut Cases, step: Step, at: i64) -> Result<State, Refusal> {
    let request =
        Request { case: "YH-1".into(), step, by: "王敏".into(), request: format!("r{at}") };
    let row = cases.step(request, TimeMs(at))?;
    if let Some(row) = row {
        let text = row.to_json();
        assert_eq!(Row::from_json(&text).unwrap(), row, "{text}");
        cases.fold(row, TimeMs(at));
    }
    Ok(cases.get("YH-1").unwrap().state)
}

fn find() -> Step {
    Step::Find {
        title: "TK-101 液位频繁超限".into(),
        alarm: "GW-01/TK-101.LT/HH".into(),
        occurrence: 3,
    }
}

fn dispatched(cases: &mut Cases) {
    take(cases, find(), 1).unwrap();
    take(cases, Step::Confirm { text: String::new() }, 2).unwrap();
    take(cases, Step::Grade { grade: Grade::Major }, 3).unwrap();
    let step = Step::Dispatch { person: "李强".into(), deadline: DAY, measures: String::new() };
    assert_eq!(take(cases, step, 4), Ok(State::Dispatched));
}

#[test]
fn a_danger_is_closed_with_cause_and_evidence_and_not_before() {
    let mut cases = Cases::default();
    dispatched(&mut cases);
    let close = Step::Close { cause: "阀门内漏".into(), evidence: "工单 2026-118".into() };
    let refused = take(&mut cases, close.clone(), 5).unwrap_err();
    assert_eq!(refused, Refusal::NotAllowed { state: State::Dispatched, step: "close" });
    assert!(refused.to_string().contains("feedback, extend, dispatch"), "{refused}");
    let done = |text: &str| Step::Feedback { text: text.into(), evidence: String::new() };
    assert_eq!(take(&mut cases, done("已更换阀门"), 6), Ok(State::Feedback));
    let back = Step::Return { why: "缺照片".into() };
    assert_eq!(take(&mut cases, back, 7), Ok(State::Returned));
    assert_eq!(take(&mut cases, done("照片已补"), 8), Ok(State::Feedback));
    let right = Step::Accept { text: String::new() };
    assert_eq!(take(&mut cases, right, 9), Ok(State::Accepted));
    let bare = Step::Close { cause: "阀门内漏".into(), evidence: " ".into() };
    assert_eq!(take(&mut cases, bare, 10), Err(Refusal::Missing("evidence")));
    assert_eq!(take(&mut cases, close.clone(), 11), Ok(State::Closed));
    let refused = take(&mut cases, close, 12).unwrap_err();
    assert!(refused.to_string().contains("无 none"), "{refused}");
}

#[test]
fn overdue_and_extended_are_flags() {
    let mut cases = Cases::default();
    dispatched(&mut cases);
    let case = cases.get("YH-1").unwrap();
    assert!(!case.is_overdue(TimeMs(DAY)) && case.is_overdue(TimeMs(DAY + 1)));
    let more = Step::Extend { deadline: 3 * DAY, why: "等备件".into() };
    assert_eq!(take(&mut cases, more, 2 * DAY), Ok(State::Dispatched));
    let case = cases.get("YH-1").unwrap();
    assert!(case.extended && !case.is_overdue(TimeMs(2 * DAY)));
    let past = Step::Extend { deadline: DAY, why: "?".into() };
    assert_eq!(take(&mut cases, past, 2 * DAY + 1), Err(Refusal::Past));
}

#[test]
fn what_is_no_danger_ends_with_a_reason() {
    let mut cases = Cases::default();
    take(&mut cases, find(), 1).unwrap();
    let bare = Step::NotADanger { why: String::new() };
    assert_eq!(take(&mut cases, bare, 2), Err(Refusal::Missing("why")));
    let step = Step::NotADanger { why: "仪表检定".into() };
    assert_eq!(take(&mut cases, step, 3), Ok(State::NotADanger));
    assert!(take(&mut cases, Step::Confirm { text: String::new() }, 4).is_err());
}

#[test]
fn the_same_request_twice_and_two_persons_at_once_make_one_step() {
    let mut cases = Cases::default();
    take(&mut cases, find(), 1).unwrap();
    assert_eq!(take(&mut cases, find(), 1), Ok(State::Found), "the same request");
    let by = |who: &str| Request {
        case: "YH-1".into(),
        step: Step::Confirm { text: String::new() },
        by: who.into(),
        request: who.into(),
    };
    let one = cases.step(by("a"), TimeMs(2)).unwrap().unwrap();
    let two = cases.step(by("b"), TimeMs(2)).unwrap().unwrap();
    assert_eq!(one.id(), two.id(), "the journal keeps the first alone");
    cases.fold(one.clone(), TimeMs(2));
    cases.fold(two, TimeMs(2));
    assert_eq!(cases.get("YH-1").unwrap().steps.len(), 2);
    cases.fold(one, TimeMs(2));
    assert_eq!(cases.get("YH-1").unwrap().steps.len(), 2);
}

#[test]
fn every_step_that_is_named_as_allowed_leads_somewhere() {
    let text = || "x".to_owned();
    let steps = [
        find(),
        Step::Confirm { text: text() },
        Step::NotADanger { why: text() },
        Step::Grade { grade: Grade::General },
        Step::Dispatch { person: text(), deadline: 9, measures: text() },
        Step::Feedback { text: text(), evidence: text() },
        Step::Accept { text: text() },
        Step::Return { why: text() },
        Step::Extend { deadline: 9, why: text() },
        Step::Close { cause: text(), evidence: text() },
    ];
    for state in [
        State::Found,
        State::Confirmed,
        State::NotADanger,
        State::Graded,
        State::Dispatched,
        State::Feedback,
        State::Returned,
        State::Accepted,
        State::Closed,
    ] {
        let leads: Vec<_> =
            steps.iter().filter(|s| next(state, s).is_some()).map(Step::word).collect();
        let mut named = allowed(state).to_vec();
        named.sort_by_key(|word| steps.iter().position(|step| step.word() == *word));
        assert_eq!(leads, named, "{state:?}");
        assert_eq!(state.is_end(), named.is_empty());
    }
}

#[test]
fn another_step_under_the_id_of_an_earlier_one_is_refused() {
    let mut cases = Cases::default();
    take(&mut cases, find(), 1).unwrap();
    assert_eq!(take(&mut cases, find(), 1), Ok(State::Found), "a repeat has one effect");
    let confirm = Step::Confirm { text: String::new() };
    assert_eq!(take(&mut cases, confirm, 1), Err(Refusal::RequestUsed));
    assert_eq!(cases.get("YH-1").unwrap().steps.len(), 1);
}
