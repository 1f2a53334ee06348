//! Limits that go away while their alarms stand, and that come back.

use fengsui_telemetry::{Lane, Reading, TimeMs};

use super::{high, plan};
use crate::command::{Command, Verb};
use crate::engine::Engine;
use crate::model::{
    Action, AlarmId, AlarmSpec, Cause, Condition, Event, Letter, Lifecycle, PointRef, Row,
};

const HH: AlarmId = AlarmId(1);

struct Told {
    rows: Vec<Row>,
    sounds: usize,
}

fn hand(engine: &mut Engine, event: Event, now: i64) -> Told {
    let mut actions = Vec::new();
    engine.handle(event, TimeMs(now), &mut actions);
    let (mut rows, mut sounds) = (Vec::new(), 0);
    for action in actions {
        match action {
            Action::Record(row) => rows.push(row),
            Action::Annunciate { .. } => sounds += 1,
            Action::Silence { .. } | Action::Chime { .. } | Action::Recall { .. } => {}
        }
    }
    Told { rows, sounds }
}

fn sample(engine: &mut Engine, te: i64, value: f64) -> Told {
    let reading = Reading::Good(value);
    let event = Event::Sample { point: PointRef(1), te: TimeMs(te), reading, lane: Lane::Live };
    hand(engine, event, te)
}

fn acknowledge(engine: &mut Engine, alarm: AlarmId, occurrence: u64, now: i64) -> Told {
    let command = Command {
        alarm,
        verb: Verb::Acknowledge { occurrence, first_level: None },
        by: "王敏".into(),
        comment: "看到了".into(),
        request: format!("r{now}"),
    };
    hand(engine, Event::Command(command), now)
}

fn both(latch: bool) -> Vec<AlarmSpec> {
    let subject = crate::model::Subject::Point(PointRef(1));
    let lifecycle = Lifecycle { latch, ..Lifecycle::default() };
    vec![high("P/H", 80.0), AlarmSpec { subject, lifecycle, ..high("Q/HH", 90.0) }]
}

/// `Q/HH` in alarm since 1 s, and then a plan without it.
fn left_out(latch: bool, then: impl FnOnce(&mut Engine)) -> Engine {
    let mut engine = Engine::new(plan(both(latch))).unwrap();
    assert_eq!(sample(&mut engine, 1_000, 95.0).sounds, 1);
    then(&mut engine);
    let without = plan(vec![high("P/H", 80.0)]);
    Engine::restore_with_past(without, &engine.snapshot()).unwrap()
}

fn causes(told: &Told) -> Vec<(Cause, Letter, Letter, u64)> {
    told.rows.iter().map(|row| (row.cause, row.from, row.to, row.occurrence)).collect()
}

#[test]
fn an_alarm_whose_limit_goes_away_stands_until_a_person_has_answered() {
    let mut engine = left_out(true, |_| {});
    let told = hand(&mut engine, Event::Wake, 2_000);
    assert_eq!(causes(&told), [(Cause::NoLongerJudged, Letter::B, Letter::B, 1)]);
    assert!(told.rows[0].comment.starts_with("不再判断"), "{}", told.rows[0].comment);
    assert_eq!(engine.spec_of(HH).map(|spec| spec.key), Some("Q/HH"));
    assert_eq!(*engine.spec_of(HH).unwrap().condition, Condition::Unjudged);
    // Nothing that the point says, and no time, ends it.
    assert_eq!(causes(&sample(&mut engine, 3_000, 10.0)), []);
    assert_eq!(causes(&hand(&mut engine, Event::Wake, 9_000_000)), []);
    let standing = engine.standing(HH);
    assert_eq!((standing.letter, standing.active), (Letter::B, true));
    // Nor does a restart, which says it once.
    let engine_plan = plan(vec![high("P/H", 80.0)]);
    let mut engine = Engine::restore_with_past(engine_plan, &engine.snapshot()).unwrap();
    assert_eq!(causes(&hand(&mut engine, Event::Restarted, 9_001_000)), []);
    assert_eq!(engine.standing(HH).letter, Letter::B);
    let told = acknowledge(&mut engine, HH, 1, 9_002_000);
    let done =
        [(Cause::Acknowledged, Letter::B, Letter::C, 1), (Cause::Off, Letter::C, Letter::A, 1)];
    assert_eq!(causes(&told), done);
    assert_eq!(engine.all_standing(), []);
}

#[test]
fn who_answered_before_the_limit_went_away_answers_again() {
    let mut engine = left_out(false, |engine| {
        acknowledge(engine, HH, 1, 1_500);
    });
    let told = hand(&mut engine, Event::Wake, 2_000);
    assert_eq!(causes(&told), [(Cause::NoLongerJudged, Letter::C, Letter::B, 1)]);
    assert_eq!(told.sounds, 1);
    assert_eq!(engine.standing(HH).unacknowledged, [1]);
}

#[test]
fn what_had_returned_unanswered_still_wants_its_answer() {
    let mut engine = left_out(false, |engine| {
        sample(engine, 1_500, 10.0);
    });
    let told = hand(&mut engine, Event::Wake, 2_000);
    assert_eq!(causes(&told), [(Cause::NoLongerJudged, Letter::D, Letter::D, 1)]);
    let told = acknowledge(&mut engine, HH, 1, 3_000);
    assert_eq!(causes(&told), [(Cause::Acknowledged, Letter::D, Letter::A, 1)]);
}

#[test]
fn numbers_go_on_when_the_limit_comes_back() {
    let mut engine = left_out(false, |engine| {
        sample(engine, 1_500, 10.0);
        acknowledge(engine, HH, 1, 1_600);
    });
    assert_eq!(causes(&hand(&mut engine, Event::Wake, 2_000)), [], "it was normal");
    // A second plan without it does not forget the number either.
    let without = plan(vec![high("P/H", 80.0)]);
    let mut engine = Engine::restore_with_past(without, &engine.snapshot()).unwrap();
    hand(&mut engine, Event::Wake, 2_500);
    let mut engine = Engine::restore_with_past(plan(both(false)), &engine.snapshot()).unwrap();
    let told = sample(&mut engine, 3_000, 95.0);
    assert_eq!(causes(&told), [(Cause::On, Letter::A, Letter::B, 2)]);
    // An acknowledgement of the first never hits the second.
    let told = acknowledge(&mut engine, HH, 1, 4_000);
    assert_eq!(engine.standing(HH).letter, Letter::B, "{:?}", causes(&told));
    let told = acknowledge(&mut engine, HH, 2, 5_000);
    assert_eq!(causes(&told), [(Cause::Acknowledged, Letter::B, Letter::C, 2)]);
}

#[test]
fn a_limit_that_comes_back_goes_on_with_the_alarm_that_stands() {
    let mut engine = left_out(false, |_| {});
    hand(&mut engine, Event::Wake, 2_000);
    let mut engine = Engine::restore_with_past(plan(both(false)), &engine.snapshot()).unwrap();
    let told = sample(&mut engine, 3_000, 96.0);
    assert_eq!(causes(&told), [(Cause::JudgedAgain, Letter::B, Letter::B, 1)]);
    assert_eq!(causes(&sample(&mut engine, 4_000, 10.0)), [(Cause::Off, Letter::B, Letter::D, 1)]);
}

#[test]
fn a_limit_that_becomes_missing_in_alarm_wants_an_answer_and_one_that_is_set_does_not() {
    let mut engine = Engine::new(plan(both(false))).unwrap();
    sample(&mut engine, 1_000, 95.0);
    acknowledge(&mut engine, HH, 1, 1_500);
    let mut unset = both(false);
    unset[1].condition = Condition::Unset;
    unset[1].lifecycle.ack_required = false;
    let mut engine = Engine::restore(plan(unset), &engine.snapshot()).unwrap();
    let told = hand(&mut engine, Event::Wake, 2_000);
    let said =
        [(Cause::NoLongerJudged, Letter::C, Letter::B, 1), (Cause::On, Letter::B, Letter::B, 2)];
    assert_eq!(causes(&told), said);
    acknowledge(&mut engine, HH, 2, 2_500);
    let mut engine = Engine::restore(plan(both(false)), &engine.snapshot()).unwrap();
    let told = hand(&mut engine, Event::Wake, 3_000);
    assert_eq!(causes(&told), [(Cause::Off, Letter::C, Letter::A, 2)]);
    let told = sample(&mut engine, 4_000, 95.0);
    assert_eq!(causes(&told), [(Cause::On, Letter::A, Letter::B, 3)]);
}

#[test]
fn a_shelf_does_not_hide_for_ever_what_nobody_judges() {
    let mut engine = left_out(false, |engine| {
        let permit = crate::command::Permit { reason: "检修".into(), ..Default::default() };
        let command = Command {
            alarm: HH,
            verb: Verb::Shelve { for_ms: 600_000, one_shot: false, permit },
            by: "王敏".into(),
            comment: "检修".into(),
            request: "s".into(),
        };
        let told = hand(engine, Event::Command(command), 1_500);
        assert_eq!(causes(&told), [(Cause::Shelved, Letter::B, Letter::G, 1)]);
    });
    let told = hand(&mut engine, Event::Wake, 2_000);
    assert_eq!(causes(&told), [(Cause::NoLongerJudged, Letter::G, Letter::G, 1)]);
    let told = hand(&mut engine, Event::Wake, 700_000);
    assert_eq!(causes(&told), [(Cause::Unshelved, Letter::G, Letter::B, 1)]);
    assert_eq!(told.sounds, 1);
}
