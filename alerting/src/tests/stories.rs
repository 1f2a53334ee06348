//! Life cycle, overlays, commands, ticks and restarts. What the vectors say is not said again.

use super::high;
use super::story::check;
use crate::model::{AlarmSpec, Condition, Level, Lifecycle};

fn delayed(on_s: i64, off_s: i64) -> AlarmSpec {
    AlarmSpec { on_delay_ms: on_s * 1000, off_delay_ms: off_s * 1000, ..high("P/H", 80.0) }
}

fn latching() -> AlarmSpec {
    let lifecycle = Lifecycle { latch: true, ..Lifecycle::default() };
    AlarmSpec { lifecycle, ..high("P/H", 80.0) }
}

fn two_levels() -> Vec<AlarmSpec> {
    let condition = Condition::High { limit: 90.0, deadband: 0.0, level: Level::Second };
    vec![high("P/H", 80.0), AlarmSpec { condition, ..high("P/HH", 90.0) }]
}

#[test]
fn a_value_equal_to_the_edge_of_the_band_in_decimals_does_not_clear() {
    let condition = Condition::High { limit: 1.1, deadband: 0.2, level: Level::First };
    check(
        vec![AlarmSpec { condition, ..high("P/H", 1.1) }],
        "10 s 1.1
         20 s 0.9
         30 s 0.89",
        "10 P/H AB #1 on te=10
         10 P/H sounds #1
         30 P/H BD #1 off te=30",
    );
}

#[test]
fn a_horn_stops_by_a_person_and_not_by_the_return() {
    check(
        vec![high("P/H", 80.0)],
        "10 s 85
         20 s 70
         30 ack 1
         31 ack 1
         32 reset",
        "10 P/H AB #1 on te=10
         10 P/H sounds #1
         20 P/H BD #1 off te=20
         30 P/H DA #1 acknowledged
         30 P/H is silent
         31 P/H AA #1 refused
         32 P/H AA #1 refused",
    );
}

#[test]
fn an_acknowledgement_of_what_never_was_is_refused() {
    check(
        vec![high("P/H", 80.0)],
        "5 ack 1
         10 s 85
         11 ack 0
         12 ack 2",
        "5 P/H AA #0 refused: no occurrence 1: this alarm has had none yet
         10 P/H AB #1 on te=10
         10 P/H sounds #1
         11 P/H BB #1 refused: no occurrence 0; the highest is 1
         12 P/H BB #1 refused: no occurrence 2; the highest is 1",
    );
}

#[test]
fn an_alarm_that_wants_no_answer_is_shown_and_does_not_sound() {
    let lifecycle = Lifecycle { ack_required: false, ..Lifecycle::default() };
    check(
        vec![AlarmSpec { lifecycle, ..high("P/H", 80.0) }],
        "10 s 85
         20 s 70",
        "10 P/H AC #1 on te=10
         20 P/H CA #1 off te=20",
    );
}

#[test]
fn an_acknowledgement_may_reset_the_latch_where_the_site_wants_it() {
    let lifecycle = Lifecycle { latch: true, ack_resets_latch: true, ..Lifecycle::default() };
    check(
        vec![AlarmSpec { lifecycle, ..high("P/H", 80.0) }],
        "10 s 85
         20 s 70
         30 ack 1",
        "10 P/H AB #1 on te=10
         10 P/H sounds #1
         20 P/H BE #1 off te=20
         30 P/H EA #1 acknowledged
         30 P/H is silent",
    );
}

#[test]
fn an_unanswered_alarm_sounds_again_and_an_answered_one_asks_again() {
    let lifecycle = Lifecycle { realarm_ms: 60_000, ..Lifecycle::default() };
    check(
        vec![AlarmSpec { lifecycle, ..high("P/H", 80.0) }],
        "10 s 85
         69 wake
         70 wake
         80 ack 1
         130 wake
         140 s 70
         300 wake",
        "10 P/H AB #1 on te=10
         10 P/H sounds #1
         70 P/H BB #1 re_alarm
         70 P/H sounds #1
         80 P/H BC #1 acknowledged
         80 P/H is silent
         130 P/H CB #1 re_alarm
         130 P/H sounds #1
         140 P/H BD #1 off te=140",
    );
}

#[test]
fn the_arrival_of_a_sample_fires_nothing_beyond_its_own_time() {
    check(
        vec![delayed(15, 0)],
        "10 s 85
         40 s 86 @20
         41 wake",
        "41 P/H AB #1 on te=25 hold
         41 P/H sounds #1",
    );
}

#[test]
fn a_bad_sample_fires_a_delay_that_ended_before_it_and_freezes_a_later_one() {
    check(
        vec![delayed(10, 10)],
        "0 s 85
         10 s bad
         20 s 70
         25 s bad
         60 wake
         65 s 70
         70 wake
         72 wake",
        "10 P/H AB #1 on te=10
         10 P/H sounds #1
         72 P/H BD #1 off te=70 hold",
    );
}

#[test]
fn a_bad_sample_never_clears() {
    check(
        vec![high("P/H", 80.0)],
        "10 s 85
         20 s bad
         90 wake",
        "10 P/H AB #1 on te=10
         10 P/H sounds #1",
    );
}

#[test]
fn a_shelf_ends_by_itself_at_any_event_and_keeps_its_time() {
    check(
        vec![high("P/H", 80.0)],
        "10 s 85
         20 shelve 60
         21 shelve 90
         22 shelve 30
         60 s 86",
        "10 P/H AB #1 on te=10
         10 P/H sounds #1
         20 P/H BG #1 shelved
         20 P/H is silent
         21 P/H GG #1 refused: a shelf with less than 1 min left is replaced only by an earlier end; \
         for a later one end it and get a new approval
         22 P/H GG #1 shelved
         52 P/H GB #1 unshelved te=52
         60 P/H sounds #1",
    );
}

#[test]
fn a_shelf_that_ended_while_the_engine_was_down_says_so() {
    check(
        vec![high("P/H", 80.0)],
        "10 s 85
         20 shelve 60
         200 restart",
        "10 P/H AB #1 on te=10
         10 P/H sounds #1
         20 P/H BG #1 shelved
         20 P/H is silent
         200 P/H GB #1 unshelved te=80 recovered
         200 P/H sounds #1",
    );
}

#[test]
fn a_latch_survives_a_shelf() {
    check(
        vec![latching()],
        "10 s 85
         20 shelve 60
         30 s 70
         90 wake
         95 reset
         96 ack 1
         97 reset",
        "10 P/H AB #1 on te=10
         10 P/H sounds #1
         20 P/H BG #1 shelved
         20 P/H is silent
         30 P/H GG #1 off te=30
         80 P/H GE #1 unshelved te=80
         95 P/H EE #1 refused
         96 P/H EF #1 acknowledged
         96 P/H is silent
         97 P/H FA #1 reset
         97 P/H is silent",
    );
}

#[test]
fn a_latch_let_out_by_a_person_still_wants_its_reset() {
    check(
        vec![latching()],
        "5 shelve 60
         10 s 85
         20 s 70
         30 unshelve
         40 reset",
        "5 P/H AG #0 shelved
         10 P/H GG #1 on te=10
         20 P/H GG #1 off te=20
         30 P/H GF #1 unshelved
         40 P/H FA #1 reset
         40 P/H is silent",
    );
}

#[test]
fn what_returned_unanswered_before_a_shelf_still_wants_its_answer_after_it() {
    check(
        vec![high("P/H", 80.0)],
        "10 s 85
         20 s 70
         30 shelve 60
         35 ack 1
         90 wake
         95 ack 1",
        "10 P/H AB #1 on te=10
         10 P/H sounds #1
         20 P/H BD #1 off te=20
         30 P/H DG #1 shelved
         30 P/H is silent
         35 P/H GG #1 refused
         90 P/H GD #1 unshelved te=90
         95 P/H DA #1 acknowledged
         95 P/H is silent",
    );
}

#[test]
fn overlays_lie_over_each_other_and_the_last_one_lets_out() {
    check(
        vec![high("P/H", 80.0)],
        "5 shelve 60
         6 suppress
         7 out
         8 suppress
         10 s 85
         20 in
         70 wake
         80 unsuppress
         81 unshelve",
        "5 P/H AG #0 shelved
         6 P/H GH #0 suppressed
         7 P/H HI #0 out_of_service
         8 P/H II #0 refused
         10 P/H II #1 on te=10
         20 P/H IH #1 in_service
         65 P/H HH #1 unshelved te=65
         80 P/H HB #1 unsuppressed
         80 P/H sounds #1
         81 P/H BB #1 refused",
    );
}

#[test]
fn a_delay_that_is_due_before_a_shelf_ends_comes_first() {
    check(
        vec![delayed(15, 0)],
        "5 shelve 60
         10 s 85
         100 wake",
        "5 P/H AG #0 shelved
         100 P/H GG #1 on te=25 hold
         65 P/H GB #1 unshelved te=65
         100 P/H sounds #1",
    );
}

#[test]
fn the_second_level_speaks_for_the_first() {
    check(
        two_levels(),
        "0 s 70
         10 s 92
         20 s 85
         30 s 70",
        "10 P/HH AB #1 on te=10
         10 P/HH sounds #1
         10 P/H AB #1 on te=10
         20 P/HH BD #1 off te=20
         20 P/H BB #1 re_alarm
         20 P/H sounds #1
         30 P/H BD #1 off te=30",
    );
}

#[test]
fn a_first_level_is_not_announced_when_both_return_at_once() {
    check(
        two_levels(),
        "10 s 92
         20 s 70",
        "10 P/HH AB #1 on te=10
         10 P/HH sounds #1
         10 P/H AB #1 on te=10
         20 P/HH BD #1 off te=20
         20 P/H BD #1 off te=20",
    );
}

#[test]
fn a_shelved_second_level_speaks_for_nobody() {
    check(
        two_levels(),
        "10 s 92
         20 shelve 100 on P/HH",
        "10 P/HH AB #1 on te=10
         10 P/HH sounds #1
         10 P/H AB #1 on te=10
         20 P/HH BG #1 shelved
         20 P/HH is silent
         20 P/H BB #1 re_alarm
         20 P/H sounds #1",
    );
}

#[test]
pub(super) fn after_a_restart_no_delay_fires_until_the_live_lane_has_caught_up() {
    check(
        vec![delayed(30, 0)],
        "10 s 85
         100 restart
         101 wake
         102 s 70 @35
         103 caught-up
         200 wake",
        "",
    );
}

#[test]
fn after_a_restart_a_gateway_that_stays_away_holds_ticks_for_five_seconds() {
    check(
        vec![delayed(30, 0)],
        "10 s 85
         100 restart
         104 wake
         105 wake",
        "105 P/H AB #1 on te=40 recovered hold
         105 P/H sounds #1",
    );
}

#[test]
fn a_delay_that_ends_after_the_restart_is_not_called_recovered() {
    check(
        vec![delayed(30, 0)],
        "10 s 85
         20 restart
         21 caught-up
         42 wake",
        "42 P/H AB #1 on te=40 hold
         42 P/H sounds #1",
    );
}

#[test]
fn a_stamp_from_the_future_may_raise_and_never_clears_while_trusted_samples_are_young() {
    check(
        vec![high("P/H", 80.0)],
        "10 s 70
         20 s 85 @3600
         25 s 70 @3600
         26 s 75 @24
         90 s 70 @3600",
        "20 P/H AA #0 future_stamp te=3600 est-time
         20 P/H AB #1 on te=20
         20 P/H sounds #1
         25 P/H BB #1 future_stamp te=3600 est-time
         26 P/H BD #1 off te=24
         90 P/H DD #1 future_stamp te=3600 est-time",
    );
}

#[test]
fn an_estimated_time_makes_no_trusted_sample_late() {
    check(
        vec![high("P/H", 80.0)],
        "10 s 70
         20 s 85 @3600
         21 s 86 @15",
        "20 P/H AA #0 future_stamp te=3600 est-time
         20 P/H AB #1 on te=20
         20 P/H sounds #1
         21 P/H BB #1 revised te=15 rev",
    );
}

#[test]
fn a_clock_that_is_set_back_keeps_no_horn_quiet_and_stops_no_delay() {
    check(
        vec![delayed(15, 0)],
        "3600 s 70
         3610 s 85
         10 s 85
         20 s 86
         26 wake
         27 wake
         30 s 70
         40 s 85
         57 wake
         90 b 5:95",
        "27 P/H AB #1 on te=25 hold
         27 P/H sounds #1
         30 P/H BD #1 off te=30
         57 P/H DB #2 on te=55 hold
         57 P/H sounds #2
         90 P/H BB #2 history te=5 history",
    );
}

#[test]
fn what_stands_when_the_clock_is_set_back_ends_by_the_new_time() {
    check(
        vec![high("P/H", 80.0)],
        "3600 s 85
         3601 shelve 60
         10 s 86
         69 wake
         70 wake
         71 s 70",
        "3600 P/H AB #1 on te=3600
         3600 P/H sounds #1
         3601 P/H BG #1 shelved
         3601 P/H is silent
         10 P/H GG #1 revised te=9.999 rev
         70 P/H GB #1 unshelved te=70
         70 P/H sounds #1
         71 P/H BD #1 off te=71",
    );
}
