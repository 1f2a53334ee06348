//! A change of the plan is no way to quiet what could not be quieted under it.

use fengsui_telemetry::{Lane, Reading, TimeMs};

use super::{high, plan};
use crate::command::{Command, Permit, Verb};
use crate::engine::Engine;
use crate::model::{
    Action, AlarmId, AlarmSpec, Cause, Condition, Event, GatewayRef, Letter, PointRef, Priority,
    Subject,
};

const HOUR: i64 = 3_600_000;
const ID: AlarmId = AlarmId(0);

#[derive(Debug, Default, PartialEq)]
struct Told {
    rows: Vec<(AlarmId, Cause, Letter, Letter)>,
    sounds: Vec<AlarmId>,
}

fn hand(engine: &mut Engine, event: Event, now: i64) -> Told {
    let (mut actions, mut told) = (Vec::new(), Told::default());
    engine.handle(event, TimeMs(now), &mut actions);
    for action in actions {
        match action {
            Action::Record(row) => told.rows.push((row.alarm, row.cause, row.from, row.to)),
            Action::Annunciate { alarm, .. } => told.sounds.push(alarm),
            Action::Silence { .. } | Action::Chime { .. } | Action::Recall { .. } => {}
        }
    }
    told
}

fn sample(engine: &mut Engine, value: f64, now: i64) -> Told {
    let (te, reading, lane) = (TimeMs(now), Reading::Good(value), Lane::Live);
    hand(engine, Event::Sample { point: PointRef(0), te, reading, lane }, now)
}

fn shelve(engine: &mut Engine, for_ms: i64, second: Option<&str>, permit: Option<&str>) -> Told {
    let permit = Permit {
        reason: "maintenance".into(),
        position: "desk".into(),
        second_person: second.map(str::to_owned),
        permit_number: permit.map(str::to_owned),
    };
    let command = Command {
        alarm: ID,
        verb: Verb::Shelve { for_ms, one_shot: false, permit },
        by: "王敏".into(),
        comment: "检修".into(),
        request: "r".into(),
    };
    hand(engine, Event::Command(command), 1_000)
}

fn over(engine: &Engine, alarms: Vec<AlarmSpec>) -> Engine {
    Engine::restore_with_past(plan(alarms), &engine.snapshot()).unwrap()
}

fn of(priority: Priority, statutory: bool) -> Vec<AlarmSpec> {
    vec![AlarmSpec { priority, statutory, ..high("P/H", 80.0) }]
}

/// In alarm at 2 s under a shelf that was laid at 1 s.
fn shelved(priority: Priority, second: Option<&str>, permit: Option<&str>) -> Engine {
    let mut engine = Engine::new(plan(of(priority, false))).unwrap();
    let told = shelve(&mut engine, priority.longest_shelf_ms(), second, permit);
    assert_eq!(told.rows, [(ID, Cause::Shelved, Letter::A, Letter::G)]);
    assert_eq!(sample(&mut engine, 85.0, 2_000).sounds, []);
    engine
}

fn ended() -> Told {
    Told { rows: vec![(ID, Cause::Unshelved, Letter::G, Letter::B)], sounds: vec![ID] }
}

#[test]
fn a_shelf_that_lacks_what_the_alarm_asks_for_now_ends() {
    for (priority, statutory) in [(Priority::P1, false), (Priority::P4, true)] {
        let mut engine = over(&shelved(Priority::P4, None, None), of(priority, statutory));
        // A snapshot before the first event forgets nothing.
        let mut again = over(&engine, of(priority, statutory));
        for engine in [&mut engine, &mut again] {
            assert_eq!(hand(engine, Event::Wake, 3_000), ended(), "{priority:?} {statutory}");
            assert_eq!(engine.standing(ID).shelf_until, None);
            assert_eq!(hand(engine, Event::Wake, 25 * HOUR), Told::default());
        }
    }
}

#[test]
fn a_shelf_that_has_it_all_ends_when_the_table_says() {
    let both = || shelved(Priority::P4, Some("李强"), Some("ZX-17"));
    let mut engine = over(&both(), of(Priority::P1, true));
    let told = hand(&mut engine, Event::Wake, 3_000);
    assert_eq!(told.rows, [(ID, Cause::Shelved, Letter::G, Letter::G)]);
    let until = 3_000 + Priority::P1.longest_shelf_ms();
    assert_eq!(engine.standing(ID).shelf_until, Some(TimeMs(until)));
    // A restart under the same plan changes nothing, and the end survives it.
    let mut engine = over(&engine, of(Priority::P1, true));
    assert_eq!(hand(&mut engine, Event::Restarted, 4_000), Told::default());
    assert_eq!(hand(&mut engine, Event::Wake, until - 1), Told::default());
    assert_eq!(hand(&mut engine, Event::Wake, until), ended());
    // Lower, or the same: as it was laid.
    let mut engine = over(&both(), of(Priority::P4, true));
    assert_eq!(hand(&mut engine, Event::Wake, 3_000), Told::default());
}

#[test]
fn a_p1_shelf_of_two_people_outlives_restarts() {
    let mut engine = shelved(Priority::P1, Some("李强"), None);
    for now in [3_000, 4_000] {
        engine = over(&engine, of(Priority::P1, false));
        assert_eq!(hand(&mut engine, Event::Restarted, now), Told::default());
    }
    assert_eq!(engine.standing(ID).letter, Letter::G);
}

#[test]
fn a_shelf_over_a_gateway_s_silence_follows_what_is_behind_it() {
    let offline = AlarmSpec {
        subject: Subject::Gateway(GatewayRef(0)),
        condition: Condition::GatewayOffline { after_ms: 15_000 },
        ..high("GW/OFFLINE", 0.0)
    };
    let mut engine = Engine::new(plan(vec![offline.clone()])).unwrap();
    shelve(&mut engine, 4 * HOUR, None, None);
    let told = hand(&mut engine, Event::Wake, 20_000);
    assert_eq!(told.rows, [(ID, Cause::On, Letter::G, Letter::G)]);
    let behind = AlarmSpec { priority: Priority::P1, ..high("P/HH", 90.0) };
    let mut engine = over(&engine, vec![offline, behind]);
    assert_eq!(hand(&mut engine, Event::Wake, 30_000), ended());
}

#[test]
fn a_second_level_that_may_no_longer_speak_gives_the_word_back() {
    let levels = |second: Priority| {
        let condition = Condition::High { limit: 90.0, deadband: 0.0, level: crate::Level::Second };
        let priority = second;
        vec![high("P/H", 80.0), AlarmSpec { condition, priority, ..high("P/HH", 90.0) }]
    };
    let mut engine = Engine::new(plan(levels(Priority::P1))).unwrap();
    assert_eq!(sample(&mut engine, 95.0, 1_000).sounds, [AlarmId(1)]);
    let mut engine = over(&engine, levels(Priority::P4));
    assert_eq!(hand(&mut engine, Event::Wake, 2_000).sounds, [ID]);
    assert_eq!(hand(&mut engine, Event::Wake, 3_000), Told::default());
}

/// The layout before held nothing of what had allowed a shelf.
#[test]
fn a_shelf_of_an_older_snapshot_counts_as_laid_by_one_person() {
    let with = shelved(Priority::P1, Some("李强"), Some("ZX-17")).snapshot();
    let without = shelved(Priority::P1, Some("李强"), None).snapshot();
    let body = with.len() - 4;
    let differ: Vec<usize> = (0..body).filter(|at| with[*at] != without[*at]).collect();
    let [permit] = differ[..] else { panic!("{differ:?}") };
    let mut older = with[..body].to_vec();
    older.drain(permit - 1..=permit);
    older[4..8].copy_from_slice(&5_u32.to_le_bytes());
    older.extend(crc32c::crc32c(&older).to_le_bytes());
    let mut engine = Engine::restore_with_past(plan(of(Priority::P1, false)), &older).unwrap();
    assert_eq!(engine.standing(ID).letter, Letter::G);
    assert_eq!(hand(&mut engine, Event::Restarted, 3_000), ended());
}
