//! Memory stays bounded, bad bytes are refused, and changed limits judge from their own time.

use fengsui_telemetry::{Lane, Reading, Revision, TimeMs};

use super::{Dice, high, plan};
use crate::command::{Command, Verb};
use crate::engine::Engine;
use crate::model::{Action, AlarmId, AlarmSpec, Condition, Event, GatewayRef, Level, PointRef};
use crate::plan::{PlanFault, RestoreFault};
use crate::story::{OCCURRENCES_MAX, RAN_MAX};

const POINT: PointRef = PointRef(0);

fn sample(engine: &mut Engine, te: i64, value: f64, lane: Lane, now: i64) -> Vec<Action> {
    let mut actions = Vec::new();
    let (te, reading) = (TimeMs(te), Reading::Good(value));
    engine.handle(Event::Sample { point: POINT, te, reading, lane }, TimeMs(now), &mut actions);
    actions
}

#[test]
fn a_chattering_alarm_a_flapping_delay_and_an_endless_backlog_stay_bounded() {
    let delayed = AlarmSpec { on_delay_ms: 60_000, ..high("P/H", 80.0) };
    let mut engine = Engine::new(plan(vec![high("P/HH", 80.0), delayed])).unwrap();
    let count = i64::try_from(3 * OCCURRENCES_MAX).unwrap();
    for n in 0..count {
        let value = if n % 2 == 0 { 85.0 } else { 70.0 };
        sample(&mut engine, n * 1000, value, Lane::Live, n * 1000);
    }
    assert!(engine.occurrences(AlarmId(0)).len() <= OCCURRENCES_MAX);
    let ran = engine.story(AlarmId(1)).map(|story| story.ran.len());
    assert_eq!(ran, Some(RAN_MAX));
    assert!(engine.points[0].held.len() <= engine.keep);

    // A backlog is not held beyond its bound: the store is asked for it.
    let now = count * 1000 + 86_400_000;
    for n in 0..5_000 {
        sample(&mut engine, count * 1000 + n * 700, 70.0, Lane::Backlog, now);
    }
    assert!(engine.late_held <= 1_024, "{}", engine.late_held);
    let mut actions = Vec::new();
    engine.handle(Event::Settle { gateway: GatewayRef(0) }, TimeMs(now), &mut actions);
    assert!(matches!(actions[..], [Action::Recall { .. }]), "{actions:?}");

    // An answer that does not come is asked for again, a little differently.
    let mut again = Vec::new();
    engine.handle(Event::Wake, TimeMs(now + 30_000), &mut again);
    assert!(matches!(again[..], [Action::Recall { .. }]), "{again:?}");
    assert_ne!(actions, again);
}

#[test]
fn requests_are_remembered_and_a_repeat_has_no_effect() {
    let mut engine = Engine::new(plan(vec![high("P/H", 80.0)])).unwrap();
    sample(&mut engine, 0, 85.0, Lane::Live, 0);
    let command = Command {
        alarm: AlarmId(0),
        verb: Verb::acknowledge(1),
        by: "duty".into(),
        comment: "seen".into(),
        request: "one".into(),
    };
    let mut actions = Vec::new();
    engine.handle(Event::Command(command.clone()), TimeMs(1), &mut actions);
    let Some(Action::Record(row)) = actions.first() else { panic!("{actions:?}") };
    assert_eq!((row.by.as_deref(), row.comment.as_str()), (Some("duty"), "seen"));
    assert_eq!(row.command.as_ref(), Some(&command));
    let mut engine = Engine::restore(engine.plan(), &engine.snapshot()).unwrap();
    let mut actions = Vec::new();
    engine.handle(Event::Command(command), TimeMs(2), &mut actions);
    assert_eq!(actions, []);
    assert_eq!(engine.standing(AlarmId(0)).acknowledged_by.as_deref(), Some("duty"));
}

#[test]
fn a_damaged_snapshot_is_refused_and_never_a_panic() {
    let mut engine = Engine::new(plan(vec![high("P/H", 80.0)])).unwrap();
    for n in 0..40 {
        sample(&mut engine, n * 1000, 75.0 + (n % 10) as f64, Lane::Live, n * 1000);
    }
    let good = engine.snapshot();
    assert_eq!(Engine::restore(engine.plan(), &good).unwrap().snapshot(), good);
    let mut dice = Dice::new(7);
    for length in 0..good.len() {
        assert!(Engine::restore(engine.plan(), &good[..length]).is_err());
        let mut bad = good.clone();
        bad[length] ^= 1 << dice.below(8);
        assert!(Engine::restore(engine.plan(), &bad).is_err(), "byte {length}");
        // The same under a right checksum: refused or taken, but no panic.
        if length >= 8 && length < good.len() - 4 {
            let body = good.len() - 4;
            let check = crc32c::crc32c(&bad[..body]);
            bad[body..].copy_from_slice(&check.to_le_bytes());
            match Engine::restore(engine.plan(), &bad) {
                Ok(engine) => assert!(engine.snapshot().len() > 8),
                Err(fault) => assert!(matches!(fault, RestoreFault::Damaged(_)), "{fault}"),
            }
        }
    }
}

#[test]
fn late_data_are_judged_by_the_limits_of_their_time() {
    let mut engine = Engine::new(plan(vec![high("P/H", 80.0)])).unwrap();
    sample(&mut engine, 0, 70.0, Lane::Live, 0);
    // The limit is raised at 1,000 s.
    let changed = AlarmSpec { revision: Revision(2), ..high("P/H", 90.0) };
    let mut engine = Engine::restore(plan(vec![changed]), &engine.snapshot()).unwrap();
    engine.handle(Event::Restarted, TimeMs(1_000_000), &mut Vec::new());
    sample(&mut engine, 2_000_000, 70.0, Lane::Live, 2_000_000);
    let mut actions = Vec::new();
    for (te, value) in [(500, 85.0), (600, 70.0), (1500, 85.0), (1600, 70.0)] {
        actions.extend(sample(&mut engine, te * 1000, value, Lane::Backlog, 2_000_000));
    }
    engine.handle(Event::Settle { gateway: GatewayRef(0) }, TimeMs(2_000_000), &mut actions);
    let found: Vec<_> =
        engine.occurrences(AlarmId(0)).iter().map(|o| (o.on.0, o.off.map(|t| t.0))).collect();
    assert_eq!(found, [(500_000, Some(600_000))]);
    let Some(Action::Record(row)) = actions.first() else { panic!("{actions:?}") };
    assert_eq!(row.revision, Revision(1));
}

#[test]
fn a_new_revision_keeps_what_stands() {
    let mut engine = Engine::new(plan(vec![high("P/H", 80.0)])).unwrap();
    sample(&mut engine, 0, 85.0, Lane::Live, 0);
    let before = engine.standing(AlarmId(0));
    let alarms = vec![high("P/L", 10.0), AlarmSpec { revision: Revision(2), ..high("P/H", 82.0) }];
    let engine = Engine::restore(plan(alarms), &engine.snapshot()).unwrap();
    let after = engine.standing(AlarmId(1));
    assert_eq!((after.letter, after.occurrence), (before.letter, before.occurrence));
    assert_eq!(engine.all_standing().len(), 1);
}

#[test]
pub(super) fn every_fault_of_a_plan_is_named() {
    let nan = Condition::High { limit: f64::NAN, deadband: 0.0, level: Level::First };
    let stale = Condition::Stale { after_ms: 5_000 };
    let mut other = high("d", 80.0);
    other.times.live_ms = 1;
    let alarms = vec![
        high("a", 80.0),
        high("a", 90.0),
        AlarmSpec { condition: nan, ..high("b", 0.0) },
        AlarmSpec { on_delay_ms: -1, ..high("c", 80.0) },
        other,
        AlarmSpec { condition: stale, ..high("e", 0.0) },
        AlarmSpec { off_delay_ms: 6_000, ..high("f", 80.0) },
        AlarmSpec { condition: Condition::GatewayOffline { after_ms: 1 }, ..high("g", 0.0) },
    ];
    let faults = Engine::new(plan(alarms)).unwrap_err();
    let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(faults.len(), 6, "{told:#?}");
    assert!(faults.contains(&PlanFault::DuplicateKey { key: "a".into() }));
    let late = PlanFault::DelayBeyondStale { key: "f".into(), stale: "e".into() };
    assert!(faults.contains(&late), "{told:#?}");
}
