//! What a journal tells that the engine does not know; and a plan that was written down.

use std::sync::Arc;

use fengsui_telemetry::{Lane, Reading, Revision, TimeMs};

use super::{high, plan};
use crate::command::{Command, Verb};
use crate::derived::{Derived, Expression};
use crate::engine::{Engine, Told, ToldRow};
use crate::model::{
    Action, AlarmId, AlarmSpec, Cause, Condition, Event, GatewayRef, Letter, Plan, PointRef, Row,
    Subject,
};

const H: AlarmId = AlarmId(0);

fn hand(engine: &mut Engine, event: Event, now: i64) -> Vec<(Cause, Letter, u64)> {
    let mut actions = Vec::new();
    engine.handle(event, TimeMs(now), &mut actions);
    let row = |action| match action {
        Action::Record(Row { cause, to, occurrence, .. }) => Some((cause, to, occurrence)),
        Action::Annunciate { .. }
        | Action::Silence { .. }
        | Action::Chime { .. }
        | Action::Recall { .. } => None,
    };
    actions.into_iter().filter_map(row).collect()
}

fn sample(engine: &mut Engine, te: i64, value: f64) -> Vec<(Cause, Letter, u64)> {
    let (te, reading) = (TimeMs(te), Reading::Good(value));
    hand(engine, Event::Sample { point: PointRef(0), te, reading, lane: Lane::Live }, te.0)
}

fn acknowledge(alarm: AlarmId, occurrence: u64) -> Event {
    Event::Command(Command {
        alarm,
        verb: Verb::Acknowledge { occurrence, first_level: None },
        by: "王敏".into(),
        comment: "看到了".into(),
        request: format!("r{occurrence}"),
    })
}

/// An alarm that has had so many occurrences, and stands by the last of them or not.
fn told(key: &str, highest: u64, stands: bool) -> Told {
    let mut told = Told::of(key, GatewayRef(0));
    told.take(row(Cause::On, Letter::B, highest, 600));
    if !stands {
        told.take(row(Cause::Acknowledged, Letter::C, highest, 700));
        told.take(row(Cause::Off, Letter::A, highest, 790));
    }
    told
}

/// A row of an occurrence that began at 500.
fn row(cause: Cause, to: Letter, occurrence: u64, ti: i64) -> ToldRow<'static> {
    ToldRow {
        ti: TimeMs(ti),
        te: Some(TimeMs(500)),
        to,
        occurrence,
        bounds: (Some(TimeMs(500)), (cause == Cause::Off).then_some(TimeMs(ti))),
        cause,
        late: false,
        value: Some(81.0),
        by: None,
        revision: Revision(4),
    }
}

fn fresh() -> Engine {
    Engine::new(plan(vec![high("P/H", 80.0)])).unwrap()
}

#[test]
fn an_engine_that_knows_it_all_stays_as_it_is() {
    let mut engine = fresh();
    sample(&mut engine, 1_000, 85.0);
    let before = engine.snapshot();
    // A row of an alarm that is normal and that no plan has any more says nothing.
    let all = vec![told("P/H", 1, true), told("gone/H", 3, false)];
    let taken = engine.held_to(all).unwrap();
    assert_eq!(taken, [""; 0]);
    assert_eq!(engine.snapshot(), before);
}

#[test]
fn what_a_person_has_lifted_stays_lifted_and_what_is_over_is_over() {
    let command = |verb, request: &str| {
        let (by, comment, request) = ("王敏".into(), "检修".into(), request.into());
        Event::Command(Command { alarm: H, verb, by, comment, request })
    };
    let mut engine = fresh();
    sample(&mut engine, 1_000, 85.0);
    hand(&mut engine, command(Verb::OutOfService, "o1"), 2_000);
    let before = engine.snapshot();
    let mut journal = Told::of("P/H", GatewayRef(0));
    let mut actions = Vec::new();
    engine.handle(command(Verb::InService, "o2"), TimeMs(3_000), &mut actions);
    for (te, value) in [(4_000, 70.0), (5_000, 90.0)] {
        let (te, reading) = (TimeMs(te), Reading::Good(value));
        let event = Event::Sample { point: PointRef(0), te, reading, lane: Lane::Live };
        engine.handle(event, te, &mut actions);
    }
    for action in &actions {
        if let Action::Record(row) = action {
            journal.take(ToldRow::from(row));
        }
    }
    // The state of before, and no log since.
    let mut held = Engine::restore(engine.plan(), &before).unwrap();
    assert_eq!(held.standing(H).letter, Letter::I);
    let taken = held.held_to(vec![journal]).unwrap();
    assert_eq!(taken, ["P/H"]);
    let (is, was) = (held.standing(H), engine.standing(H));
    assert_eq!(
        (is.letter, is.occurrence, is.unacknowledged),
        (was.letter, was.occurrence, was.unacknowledged)
    );
    assert_eq!(is.letter, Letter::B);
    assert_eq!(sample(&mut held, 6_000, 70.0), [(Cause::Off, Letter::D, 2)]);
}

#[test]
fn a_number_that_was_read_is_never_given_again() {
    let mut engine = fresh();
    let taken = engine.held_to(vec![told("P/H", 7, false)]).unwrap();
    assert_eq!(taken, ["P/H"]);
    assert_eq!(engine.standing(H).letter, Letter::A);
    assert_eq!(sample(&mut engine, 1_000, 85.0), [(Cause::On, Letter::B, 8)]);
}

#[test]
fn what_stood_wants_an_answer_and_ends_by_what_the_point_says() {
    let mut engine = fresh();
    engine.held_to(vec![told("P/H", 7, true)]).unwrap();
    let standing = engine.standing(H);
    assert_eq!((standing.letter, standing.unacknowledged), (Letter::B, vec![7]));
    assert_eq!((standing.value, standing.active), (Some(81.0), true));
    // Over the limit it is the same one, and over another restart as well.
    assert_eq!(sample(&mut engine, 1_000, 85.0), []);
    let snapshot = engine.snapshot();
    let mut engine = Engine::restore_with_past(engine.plan(), &snapshot).unwrap();
    assert_eq!(sample(&mut engine, 2_000, 70.0), [(Cause::Off, Letter::D, 7)]);
    let answered = hand(&mut engine, acknowledge(H, 7), 3_000);
    assert_eq!(answered, [(Cause::Acknowledged, Letter::A, 7)]);
}

#[test]
fn what_nobody_had_to_answer_wants_an_answer_once_its_shelf_has_ended() {
    let mut told = Told::of("P/H", GatewayRef(0));
    for (cause, to, ti) in [
        (Cause::On, Letter::C, 600),
        (Cause::Shelved, Letter::G, 700),
        (Cause::Unshelved, Letter::B, 800),
        (Cause::Off, Letter::D, 900),
    ] {
        told.take(row(cause, to, 1, ti));
    }
    told.take(row(Cause::On, Letter::C, 2, 1_000));
    let mut engine = fresh();
    engine.held_to(vec![told]).unwrap();
    let standing = engine.standing(H);
    assert_eq!((standing.letter, standing.unacknowledged), (Letter::C, vec![1]));
}

#[test]
fn what_no_plan_has_any_more_stands_until_a_person_has_answered() {
    let mut engine = fresh();
    let taken = engine.held_to(vec![told("Q/HH", 2, true)]).unwrap();
    assert_eq!(taken, ["Q/HH"]);
    let gone = AlarmId(1);
    assert_eq!(*engine.spec_of(gone).unwrap().condition, Condition::Unjudged);
    assert_eq!(engine.standing(gone).letter, Letter::B);
    let answered = hand(&mut engine, acknowledge(gone, 2), 3_000);
    assert_eq!(answered, [(Cause::Acknowledged, Letter::C, 2), (Cause::Off, Letter::A, 2)]);
}

#[test]
fn a_silence_that_stood_ends_when_the_point_is_heard() {
    let stale = AlarmSpec { condition: Condition::Stale { after_ms: 60_000 }, ..high("P/S", 0.0) };
    let mut engine = Engine::new(plan(vec![stale])).unwrap();
    engine.held_to(vec![told("P/S", 3, true)]).unwrap();
    assert_eq!(hand(&mut engine, Event::Wake, 1_000), [], "it is silent already");
    assert_eq!(sample(&mut engine, 2_000, 1.0), [(Cause::Off, Letter::D, 3)]);
}

#[test]
fn a_plan_that_is_written_down_comes_back_to_the_last_bit() {
    let text = r#"pv("A") > 80.0 && on("P/H")"#;
    let derived = [
        Derived::BadQuality,
        Derived::Range { low: -0.1, high: 1.0 / 3.0 },
        Derived::Frozen { epsilon: f64::MIN_POSITIVE, window_ms: 60_000, samples_min: 3 },
        Derived::Composite {
            expression: Expression::parse(text).unwrap(),
            points: vec![PointRef(0)],
            alarms: vec!["P/H".into()],
            hold_ms: 60_000,
        },
    ];
    let mut alarms = vec![high("P/H", 0.1 + 0.2), high("罐-1/HH", 1.797_693_134_862_315e308)];
    for (number, derived) in derived.into_iter().enumerate() {
        let condition = Condition::Derived(Arc::new(derived));
        let suppressed_by = Some("P/H".into());
        alarms.push(AlarmSpec { condition, suppressed_by, ..high(&format!("D{number}"), 0.0) });
    }
    let (gateway, condition) = (GatewayRef(0), Condition::GatewayOffline { after_ms: 20_000 });
    alarms.push(AlarmSpec { subject: Subject::Gateway(gateway), condition, ..high("G", 0.0) });
    let written = plan(alarms);
    let bytes = serde_json::to_vec(&written).unwrap();
    let read: Plan = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(read, written);
}
