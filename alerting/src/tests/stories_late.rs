//! Late data: what is new, what has other bounds, what never was (R8, Q3, Q5, Q6, Q18).

use super::high;
use super::story::check;
use crate::model::{AlarmSpec, Lifecycle};

fn delayed(on_s: i64, off_s: i64) -> AlarmSpec {
    AlarmSpec { on_delay_ms: on_s * 1000, off_delay_ms: off_s * 1000, ..high("P/H", 80.0) }
}

#[test]
fn a_delay_that_a_tick_fired_is_refuted_by_what_was_under_way() {
    check(
        vec![delayed(15, 0)],
        "10 s 85
         27 wake
         28 s 70 @24
         40 s 70",
        "27 P/H AB #1 on te=25 hold
         27 P/H sounds #1
         28 P/H BD #1 off te=28 late
         28 P/H DD #1 refuted te=25 rev",
    );
}

#[test]
fn an_occurrence_that_began_earlier_keeps_its_number_and_its_answer() {
    check(
        vec![high("P/H", 80.0)],
        "0 s 70
         100 s 85
         110 ack 1
         120 b 50:90
         130 s 70",
        "100 P/H AB #1 on te=100
         100 P/H sounds #1
         110 P/H BC #1 acknowledged
         110 P/H is silent
         120 P/H CC #1 revised te=50 rev
         130 P/H CA #1 off te=130",
    );
}

#[test]
fn a_late_occurrence_beside_an_open_one_wants_its_own_answer() {
    check(
        vec![high("P/H", 80.0)],
        "0 s 70
         100 s 85
         110 b 40:90 50:60
         120 ack 1
         130 s 70
         140 ack 2",
        "100 P/H AB #1 on te=100
         100 P/H sounds #1
         110 P/H BB #2 on te=40 late
         110 chime
         120 P/H BC #1 acknowledged
         120 P/H is silent
         130 P/H CD #1 off te=130
         140 P/H DA #2 acknowledged
         140 P/H is silent",
    );
}

#[test]
fn a_late_occurrence_can_be_answered_while_another_is_open() {
    check(
        vec![high("P/H", 80.0)],
        "0 s 70
         100 s 85
         110 b 40:90 50:60
         115 ack 2
         120 ack 1
         130 s 70",
        "100 P/H AB #1 on te=100
         100 P/H sounds #1
         110 P/H BB #2 on te=40 late
         110 chime
         115 P/H BB #2 acknowledged
         120 P/H BC #1 acknowledged
         120 P/H is silent
         130 P/H CA #1 off te=130",
    );
}

#[test]
fn a_reset_latch_is_asked_about_again_by_a_late_occurrence() {
    let lifecycle = Lifecycle { latch: true, ..Lifecycle::default() };
    check(
        vec![AlarmSpec { lifecycle, ..high("P/H", 80.0) }],
        "0 s 70
         100 s 85
         110 ack 1
         120 s 70
         130 b 40:90 50:60",
        "100 P/H AB #1 on te=100
         100 P/H sounds #1
         110 P/H BC #1 acknowledged
         110 P/H is silent
         120 P/H CF #1 off te=120
         130 P/H FE #2 on te=40 late
         130 chime",
    );
}

#[test]
fn an_occurrence_that_never_ended_is_announced_again_under_its_number() {
    let mut alarm = high("P/H", 80.0);
    alarm.condition = crate::model::Condition::High {
        limit: 80.0,
        deadband: 5.0,
        level: crate::model::Level::First,
    };
    alarm.off_delay_ms = 30_000;
    check(
        vec![alarm],
        "0 s 70
         10 s 85
         20 s 70
         60 s 78
         61 ack 1
         70 b 45:85",
        "10 P/H AB #1 on te=10
         10 P/H sounds #1
         60 P/H BD #1 off te=50
         61 P/H DA #1 acknowledged
         61 P/H is silent
         70 P/H AB #1 revised te=10 late rev
         70 P/H sounds #1",
    );
}

#[test]
pub(super) fn a_late_occurrence_wholly_inside_a_shelf_is_journal_only() {
    check(
        vec![high("P/H", 80.0)],
        "0 s 70
         10 shelve 50
         100 s 70
         110 b 20:90 30:60
         120 b 55:90 65:60",
        "10 P/H AG #0 shelved
         60 P/H GA #0 unshelved te=60
         110 P/H AA #1 on te=20 late
         120 P/H AD #2 on te=55 late
         120 chime",
    );
}

#[test]
pub(super) fn what_is_beyond_the_horizon_is_history_only() {
    let mut alarm = high("P/H", 80.0);
    alarm.times.late_horizon_ms = 100_000;
    check(
        vec![alarm],
        "0 s 70
         500 s 70
         510 b 300:90 310:95 320:60 450:85 460:70",
        "510 P/H AA #0 history te=300 history
         510 P/H AD #1 on te=450 late
         510 chime",
    );
}

#[test]
pub(super) fn one_back_fill_has_one_chime() {
    let mut low = high("P/L", 20.0);
    low.condition = crate::model::Condition::Low {
        limit: 20.0,
        deadband: 0.0,
        level: crate::model::Level::First,
    };
    check(
        vec![high("P/H", 80.0), low],
        "0 s 70
         500 s 70
         510 b 300:90 310:70 320:10 330:70",
        "510 P/H AD #1 on te=300 late
         510 chime
         510 P/L AD #1 on te=320 late",
    );
}

#[test]
fn a_backlog_that_is_quiet_for_five_seconds_is_settled() {
    use fengsui_telemetry::{Lane, Reading, TimeMs};

    use crate::engine::Engine;
    use crate::model::{Event, PointRef};

    let mut engine = Engine::new(super::plan(vec![high("P/H", 80.0)])).unwrap();
    let mut actions = Vec::new();
    for (te, value) in [(1000, 90.0), (2000, 70.0)] {
        let (point, te, lane) = (PointRef(0), TimeMs(te), Lane::Backlog);
        let reading = Reading::Good(value);
        let event = Event::Sample { point, te, reading, lane };
        engine.handle(event, TimeMs(60_000), &mut actions);
    }
    assert_eq!((actions.len(), engine.wake_at()), (0, Some(TimeMs(65_000))));
    engine.handle(Event::Wake, TimeMs(64_999), &mut actions);
    assert_eq!(actions.len(), 0);
    engine.handle(Event::Wake, TimeMs(65_000), &mut actions);
    assert_eq!(actions.len(), 2, "{actions:?}");
}

#[test]
fn two_values_under_one_time_are_both_untrusted() {
    check(
        vec![high("P/H", 80.0)],
        "0 s 70
         10 s 85
         20 s 70
         21 s 90 @10
         22 s 85 @10",
        "10 P/H AB #1 on te=10
         10 P/H sounds #1
         20 P/H BD #1 off te=20
         21 P/H DD #1 refuted te=10 rev
         22 P/H DD #1 duplicate te=10",
    );
}

#[test]
fn a_sample_repeated_in_a_back_fill_makes_no_row() {
    check(
        vec![high("P/H", 80.0)],
        "0 s 70
         10 s 85
         15 b 0:70 10:85",
        "10 P/H AB #1 on te=10
         10 P/H sounds #1",
    );
}

#[test]
fn notes_about_repeats_do_not_flood_the_journal() {
    let script: String = std::iter::once("10 s 85\n".to_owned())
        .chain((0..500).map(|_| "11 s 85 @10\n".to_owned()))
        .collect();
    let wanted: String = std::iter::once("10 P/H AB #1 on te=10\n10 P/H sounds #1\n".to_owned())
        .chain((0..16).map(|_| "11 P/H BB #1 duplicate te=10\n".to_owned()))
        .collect();
    check(vec![high("P/H", 80.0)], &script, &wanted);
}

#[test]
pub(super) fn an_occurrence_found_late_sounds_if_it_holds() {
    check(
        vec![high("P/H", 80.0)],
        "0 s 70
         60 s 86 @20
         70 ack 1",
        "60 P/H AB #1 on te=20 late
         60 P/H sounds #1
         70 P/H BC #1 acknowledged
         70 P/H is silent",
    );
}

#[test]
pub(super) fn a_stamp_from_the_future_makes_no_good_sample_late() {
    check(
        vec![high("P/H", 80.0)],
        "10 s 70 @99
         11 s 85",
        "10 P/H AA #0 future_stamp te=99 est-time
         11 P/H AB #1 on te=11
         11 P/H sounds #1",
    );
}
