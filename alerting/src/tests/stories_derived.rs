//! Votes, slopes, frozen signals, expressions, suppression by design, clocks and gaps, as people
//! would see them.

use std::sync::Arc;

use super::high;
use super::story::check;
use crate::derived::{Derived, Expression};
use crate::model::{AlarmSpec, Condition, GatewayRef, Lifecycle, PointRef, Priority, Subject};

fn derived(key: &str, derived: Derived) -> AlarmSpec {
    AlarmSpec { condition: Condition::Derived(Arc::new(derived)), ..high(key, 0.0) }
}

fn of_point(point: u32, spec: AlarmSpec) -> AlarmSpec {
    AlarmSpec { subject: Subject::Point(PointRef(point)), ..spec }
}

fn vote() -> AlarmSpec {
    let points = (0..3).map(PointRef).collect();
    let vote =
        Derived::Vote { need: 2, points, high: true, limit: 25.0, deadband: 0.0, hold_ms: 60_000 };
    derived("GAS/VOTE", vote)
}

fn roc() -> AlarmSpec {
    let roc = Derived::RateOfChange { rising: true, limit: 5.0, deadband: 0.0, window_ms: 60_000 };
    derived("P/ROC_UP", roc)
}

fn frozen() -> AlarmSpec {
    let frozen = Derived::Frozen { epsilon: 0.01, window_ms: 3_600_000, samples_min: 20 };
    derived("P/FROZEN", frozen)
}

#[test]
fn w02_two_out_of_three_with_degradation() {
    check(
        vec![vote()],
        "10 s 5
         10 s 5 of 1
         10 s 5 of 2
         20 s 30
         20 s 5 of 1
         20 s 5 of 2
         30 s 30
         30 s 26 of 1
         30 s 5 of 2
         40 s 30
         40 s 5 of 1
         40 s 5 of 2
         50 s 30
         50 s 5 of 1
         50 s bad of 2
         60 s bad
         60 s 5 of 1
         60 s bad of 2
         70 s bad
         70 s bad of 1
         70 s bad of 2",
        "30 GAS/VOTE AB #1 on te=30 (2oo3: 30, 26, 5)
         30 GAS/VOTE sounds #1
         40 GAS/VOTE BD #1 off te=40
         50 GAS/VOTE DB #2 on te=50 (1oo2: 30, 5, bad)
         50 GAS/VOTE sounds #2
         60 GAS/VOTE BD #2 off te=60
         70 GAS/VOTE DB #3 on te=70 (无有效输入 / no valid input: bad, bad, bad)
         70 GAS/VOTE sounds #3",
    );
}

#[test]
fn a_vote_waits_for_the_samples_of_one_scan_and_not_for_a_dead_sensor() {
    check(
        vec![vote()],
        "10 s 5
         10 s 26 of 1
         10 s 5 of 2
         20 s 30
         20.1 s 5 @20 of 1
         20.2 s 5 @20 of 2
         30 s 30
         30.1 s 30 @30 of 1
         31.9 wake
         32 wake",
        "32 GAS/VOTE AB #1 on te=30 (2oo3: 30, 30, 5)
         32 GAS/VOTE sounds #1",
    );
}

#[test]
fn w04_a_frozen_signal() {
    let mut script = String::new();
    for te in (0..=3_600).step_by(60) {
        script.push_str(&format!("{te} s 10\n"));
    }
    script.push_str("3660 s 10.005\n3720 s 10.03");
    check(
        vec![frozen()],
        &script,
        "3600 P/FROZEN AB #1 on te=3600
         3600 P/FROZEN sounds #1
         3720 P/FROZEN BD #1 off te=3720",
    );
}

#[test]
fn w04_a_pump_that_is_stopped_keeps_its_frozen_signal_quiet_by_design() {
    let lifecycle = Lifecycle { ack_required: false, ..Lifecycle::default() };
    let stopped = AlarmSpec {
        lifecycle,
        ..of_point(1, derived("PUMP/DISCRETE", Derived::Discrete { values: vec![0.0] }))
    };
    let frozen = AlarmSpec { suppressed_by: Some("PUMP/DISCRETE".into()), ..frozen() };
    let mut script = String::from("0 s 0 of 1\n");
    for te in (0..=3_600).step_by(60) {
        script.push_str(&format!("{te} s 10\n"));
    }
    script.push_str("3610 restart\n3620 s 1 of 1\n3660 s 11");
    check(
        vec![frozen, stopped],
        &script,
        "0 PUMP/DISCRETE AC #1 on te=0
         0 P/FROZEN AH #0 suppressed
         3600 P/FROZEN HH #1 on te=3600
         3620 PUMP/DISCRETE CA #1 off te=3620
         3620 P/FROZEN HB #1 unsuppressed
         3620 P/FROZEN sounds #1
         3660 P/FROZEN BD #1 off te=3660",
    );
}

/// P/HH, which is suppressed while Q/H is on.
fn parent_and_child() -> Vec<AlarmSpec> {
    let suppressed_by = Some("Q/H".into());
    let parent = AlarmSpec { priority: Priority::P4, ..of_point(1, high("Q/H", 80.0)) };
    vec![AlarmSpec { suppressed_by, priority: Priority::P1, ..high("P/HH", 90.0) }, parent]
}

#[test]
fn a_parent_that_is_silenced_keeps_nothing_quiet() {
    check(
        parent_and_child(),
        "10 s 85 of 1
         20 s 95
         30 shelve 60 on Q/H
         31 restart
         40 unshelve on Q/H
         50 out on Q/H
         60 in on Q/H
         61 restart
         70 one-shot 60 on Q/H
         80 s 70 of 1",
        "10 Q/H AB #1 on te=10
         10 Q/H sounds #1
         10 P/HH AH #0 suppressed
         20 P/HH HH #1 on te=20
         30 Q/H BG #1 shelved
         30 Q/H is silent
         30 P/HH HB #1 unsuppressed
         30 P/HH sounds #1
         40 Q/H GC #1 unshelved
         40 P/HH BH #1 suppressed
         40 P/HH is silent
         50 Q/H CI #1 out_of_service
         50 P/HH HB #1 unsuppressed
         50 P/HH sounds #1
         60 Q/H IB #1 in_service
         60 Q/H sounds #1
         60 P/HH BH #1 suppressed
         60 P/HH is silent
         70 Q/H BG #1 shelved
         70 Q/H is silent
         70 P/HH HB #1 unsuppressed
         70 P/HH sounds #1
         80 Q/H GG #1 off te=80
         80 Q/H GA #1 unshelved te=80",
    );
}

#[test]
fn a_parent_that_cannot_see_keeps_nothing_quiet() {
    let condition = Condition::Stale { after_ms: 60_000 };
    let priority = Priority::P4;
    let mut alarms = parent_and_child();
    alarms.push(AlarmSpec { condition, priority, ..of_point(1, high("Q/STALE", 0.0)) });
    check(
        alarms,
        "10 s 85 of 1
         20 s 95
         30 s bad of 1
         31 restart
         40 s 85 of 1
         100 wake
         101 restart
         110 s 85 of 1",
        "10 Q/H AB #1 on te=10
         10 Q/H sounds #1
         10 P/HH AH #0 suppressed
         20 P/HH HH #1 on te=20
         30 P/HH HB #1 unsuppressed
         30 P/HH sounds #1
         40 P/HH BH #1 suppressed
         40 P/HH is silent
         100 Q/STALE AB #1 on te=100
         100 Q/STALE sounds #1
         100 P/HH HB #1 unsuppressed
         100 P/HH sounds #1
         110 Q/STALE BD #1 off te=110
         110 P/HH BH #1 suppressed
         110 P/HH is silent",
    );
}

#[test]
fn w06_rate_of_change() {
    check(
        vec![roc()],
        "0 s 100
         20 s 101.5
         40 s 103.5
         60 s 105.5
         80 s 105.5
         100 s 105.5",
        "40 P/ROC_UP AB #1 on te=40
         40 P/ROC_UP sounds #1
         80 P/ROC_UP BD #1 off te=80",
    );
}

#[test]
fn w06_late_data_take_part_in_a_slope_once_they_are_in_order() {
    check(
        vec![roc()],
        "0 s 100
         40 s 103.5
         60 s 105.5
         80 s 105.5
         110 b 20:101.5",
        "60 P/ROC_UP AB #1 on te=60
         60 P/ROC_UP sounds #1
         80 P/ROC_UP BD #1 off te=80
         110 P/ROC_UP DD #1 revised te=40 rev",
    );
}

#[test]
fn w07_time_to_limit_on_the_early_bound() {
    let ttl = Derived::TimeToLimit {
        target: 11.5,
        rising: true,
        within_ms: 1_500_000,
        window_ms: 240_000,
    };
    check(
        vec![derived("P/TTL", ttl)],
        "0 s 10
         60 s 10.05
         120 s 10.11
         180 s 10.15
         240 s 10.20
         300 s 10.20
         360 s 10.20
         420 s 10.20
         480 s 10.20",
        "240 P/TTL AB #1 on te=240
         240 P/TTL sounds #1
         480 P/TTL BD #1 off te=480",
    );
}

#[test]
fn bad_quality_and_a_reading_beyond_the_instrument_hide_no_limit() {
    let bad = AlarmSpec { on_delay_ms: 10_000, ..derived("P/BADQ", Derived::BadQuality) };
    let range = derived("P/RANGE", Derived::Range { low: -5.0, high: 105.0 });
    check(
        vec![high("P/H", 80.0), bad, range],
        "10 s 85
         20 s bad
         25 s bad
         32 wake
         40 s 106
         50 s 70",
        "10 P/H AB #1 on te=10
         10 P/H sounds #1
         32 P/BADQ AB #1 on te=30 hold
         32 P/BADQ sounds #1
         40 P/BADQ BD #1 off te=40
         40 P/RANGE AB #1 on te=40
         40 P/RANGE sounds #1
         50 P/H BD #1 off te=50
         50 P/RANGE BD #1 off te=50",
    );
}

#[test]
fn a_value_refused_as_out_of_range_raises_range_and_moves_no_limit() {
    let range = derived("P/RANGE", Derived::Range { low: -5.0, high: 105.0 });
    check(
        vec![high("P/H", 80.0), range],
        "10 s 70
         20 s over
         30 restart
         31 caught-up
         40 s bad
         50 s over
         60 s 70
         70 s bad
         80 s bad
         90 s 70
         100 b 80:over
         110 s over",
        "20 P/RANGE AB #1 on te=20 (超出仪表量程，无可用数值 / beyond the instrument's range, no number to use)
         20 P/RANGE sounds #1
         60 P/RANGE BD #1 off te=60
         100 P/RANGE DD #2 on te=80 late
         100 chime
         110 P/RANGE DB #3 on te=110 (超出仪表量程，无可用数值 / beyond the instrument's range, no number to use)
         110 P/RANGE sounds #3",
    );
}

#[test]
fn one_bad_sensor_is_one_alarm_and_what_still_holds_speaks_when_it_ends() {
    let range = derived("P/RANGE", Derived::Range { low: -5.0, high: 105.0 });
    let bad = AlarmSpec { on_delay_ms: 10_000, ..derived("P/BADQ", Derived::BadQuality) };
    let stale = AlarmSpec {
        condition: Condition::Stale { after_ms: 30_000 },
        ..derived("P/STALE", Derived::BadQuality)
    };
    check(
        vec![range.clone(), bad.clone(), stale.clone()],
        "0 s 50
         5 s 120
         10 s bad
         20 s bad
         40 wake
         50 s 50",
        "5 P/RANGE AB #1 on te=5
         5 P/RANGE sounds #1
         20 P/BADQ AB #1 on te=20
         40 P/STALE AB #1 on te=35
         50 P/RANGE BD #1 off te=50
         50 P/BADQ BD #1 off te=50
         50 P/STALE BD #1 off te=50",
    );
    // Shelved, it speaks for nothing: what still holds is announced.
    check(
        vec![range.clone(), bad.clone()],
        "5 s 120
         10 s bad
         20 s bad
         25 shelve 600",
        "5 P/RANGE AB #1 on te=5
         5 P/RANGE sounds #1
         20 P/BADQ AB #1 on te=20
         25 P/RANGE BG #1 shelved
         25 P/RANGE is silent
         25 P/BADQ BB #1 re_alarm
         25 P/BADQ sounds #1",
    );
    // What is less urgent speaks for nothing that is more so.
    let lower = AlarmSpec { priority: Priority::P4, ..range };
    check(
        vec![lower, bad],
        "0 s 50
         5 s 120
         10 s bad
         20 s bad",
        "5 P/RANGE AB #1 on te=5
         5 P/RANGE sounds #1
         20 P/BADQ AB #1 on te=20
         20 P/BADQ sounds #1",
    );
}

#[test]
fn a_delay_of_range_runs_on_while_values_are_refused_as_out_of_range() {
    let range = derived("P/RANGE", Derived::Range { low: -5.0, high: 105.0 });
    let bad = AlarmSpec { on_delay_ms: 15_000, ..derived("P/BADQ", Derived::BadQuality) };
    check(
        vec![AlarmSpec { on_delay_ms: 15_000, ..range }, bad],
        "10 s over
         20 s over
         30 s bad",
        "30 P/RANGE AB #1 on te=25 (超出仪表量程，无可用数值 / beyond the instrument's range, no number to use)
         30 P/RANGE sounds #1
         30 P/BADQ AB #1 on te=25 (从属于 / subsumed by P/RANGE; 超出仪表量程，无可用数值 / beyond the instrument's range, no number to use)",
    );
}

#[test]
fn an_expression_follows_its_alarms_also_when_late_data_correct_them() {
    let composite = Derived::Composite {
        expression: Expression::parse("on(\"P/H\") && pv(\"B\") < 5.0").unwrap(),
        points: vec![PointRef(1)],
        alarms: vec!["P/H".into()],
        hold_ms: 600_000,
    };
    check(
        vec![derived("P/COMPOSITE", composite), high("P/H", 80.0)],
        "0 s 70
         0 s 9 of 1
         10 s 85
         20 s 4 of 1
         22 wake
         60 s 85
         61 b 15:70
         62 wake
         100 s 70
         102 wake",
        "10 P/H AB #1 on te=10
         10 P/H sounds #1
         22 P/COMPOSITE AB #1 on te=20 (B 4; P/H on)
         22 P/COMPOSITE sounds #1
         61 P/H BD #1 off te=15 late
         61 P/H DB #2 on te=60 late
         61 P/H sounds #2
         61 P/COMPOSITE BD #1 off te=61 late
         61 P/COMPOSITE DD #1 refuted te=20 rev
         62 P/COMPOSITE DB #2 on te=60 (B 4; P/H on)
         62 P/COMPOSITE sounds #2
         100 P/H BD #2 off te=100
         102 P/COMPOSITE BD #2 off te=100",
    );
}

#[test]
fn a_clock_that_is_wrong_is_told_and_so_is_a_stamp_from_the_future() {
    let clock = AlarmSpec {
        subject: Subject::Gateway(GatewayRef(0)),
        condition: Condition::Clock { limit_ms: 5_000 },
        ..high("GW/CLOCK", 0.0)
    };
    check(
        vec![clock, high("P/H", 80.0)],
        "10 clock 4
         20 clock -6
         22 clock -5
         24 clock -3
         30 clock 2
         40 clock 0 unsynchronised
         50 clock 0
         60 s 70 @99
         119 wake
         120 wake",
        "20 GW/CLOCK AB #1 on te=20
         20 GW/CLOCK sounds #1
         30 GW/CLOCK BD #1 off te=30
         40 GW/CLOCK DB #2 on te=40
         40 GW/CLOCK sounds #2
         50 GW/CLOCK BD #2 off te=50
         60 P/H AA #0 future_stamp te=99 est-time
         60 GW/CLOCK DB #3 on te=60
         60 GW/CLOCK sounds #3
         120 GW/CLOCK BD #3 off te=120",
    );
}

#[test]
fn a_limit_that_is_missing_stands_until_it_is_set_and_does_not_sound() {
    let lifecycle = Lifecycle { ack_required: false, ..Lifecycle::default() };
    let priority = Priority::P3;
    check(
        vec![AlarmSpec { condition: Condition::Unset, lifecycle, priority, ..high("P/HH?", 0.0) }],
        "10 s 85
         20 restart
         30 s 70",
        "10 P/HH? AC #1 on te=10",
    );
}
