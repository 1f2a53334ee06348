//! The loop while its wall clock is set, or was never set.

use super::*;
use fengsui_telemetry::Doubt;

const DAY: i64 = 86_400_000;
const LIMITS: &str = "h\ntag,kind,limit,on_delay_s\nA,H,85,\nB,H,85,8\nA,STALE,10,\nB,STALE,10,\n";

impl Bench {
    /// Records that went to the spool.
    fn records(&self) -> Vec<Record> {
        let mut all = Vec::new();
        while let Ok(job) = self.jobs.try_recv() {
            if let Job::Append { records, .. } = job {
                all.extend(records);
            }
        }
        all
    }

    fn turn(&mut self) {
        self.alarm_loop.turn(u64::MAX);
    }
}

#[test]
fn a_step_of_any_size_ends_no_delay_and_invents_no_silence() {
    for step in [DAY, 3_650 * DAY, 20_000, -20_000, -DAY, -3_650 * DAY] {
        let mut bench = bench_with(100, LIMITS);
        bench.alarm_loop.begin();
        bench.scan(50.0, 50.0);
        bench.scan(50.0, 90.0);
        bench.alarm_loop.clock.step(step);
        bench.turn();
        bench.turn();
        assert!(bench.sounding().is_empty(), "{step}: {:?}", bench.sounding());
        bench.scan(90.0, 90.0);
        assert_eq!(bench.sounding(), ["GW-01/A/H"], "{step}: the next reading is judged at once");
        let records = bench.records();
        let change = records.iter().find_map(|record| match &record.body {
            Body::Clock(change) if change.step_ms != 0 => Some(change.step_ms),
            Body::Clock(_) | Body::Scan(_) | Body::Transition(_) | Body::Gap(_) => None,
        });
        assert!((change.unwrap() - step).abs() < 2_000, "{step}: {change:?}");
        let last = records.last().unwrap().te;
        assert!(last.since(bench.alarm_loop.clock.wall()).abs() < 2_000, "{step}: wall time");
    }
}

/// Twice, as it must be, the second time at `at`.
fn told(clock: Clock, truth: TimeMs, at: u64) {
    clock.told_at(truth + -2_000, at - 2_000);
    clock.told_at(truth, at);
}

#[test]
fn a_board_without_a_time_sounds_at_once_and_stamps_its_records_later() {
    let mut bench = bench_with(100, LIMITS);
    let clock = bench.alarm_loop.clock;
    clock.without_battery();
    bench.alarm_loop.begin();
    bench.scan(50.0, 50.0);
    bench.scan(90.0, 50.0);
    assert_eq!(bench.sounding(), ["GW-01/A/H"]);
    let before = bench.records();
    assert!(before.iter().all(|r| matches!(r.body, Body::Clock(_))), "nothing wrong is written");
    let truth = clock.wall() + 400 * DAY;
    told(clock, truth, 10_000);
    assert_eq!(clock.quality(), ClockQuality::Holdover);
    bench.turn();
    let records = bench.records();
    let kinds: Vec<&str> = records
        .iter()
        .map(|record| match &record.body {
            Body::Clock(_) => "clock",
            Body::Scan(scan) => {
                assert_eq!(scan.clock, ClockQuality::Holdover);
                assert!(scan.readings.iter().all(|(_, r)| matches!(r, Reading::Good(_))));
                "scan"
            }
            Body::Transition(t) => {
                assert!(t.known.since(truth).abs() < 2_000, "{t:?}");
                "transition"
            }
            Body::Gap(_) => "gap",
        })
        .collect();
    assert_eq!(kinds, ["clock", "scan", "scan", "transition"]);
    assert!(records.iter().all(|record| record.te.since(truth).abs() < 2_000), "{records:#?}");
    let Body::Clock(change) = &records[0].body else { unreachable!("seen above") };
    assert!((change.step_ms - 400 * DAY).abs() < 2_000, "the old stamps can be had back");
    assert_eq!(change.boot, clock.boot());
    told(clock, truth + 7 * DAY, 20_000);
    bench.turn();
    let records = bench.records();
    let [Record { te, body: Body::Clock(change) }] = records.as_slice() else {
        panic!("{records:#?}");
    };
    assert!((change.step_ms - 7 * DAY).abs() < 2_000, "a centre that learns the time is followed");
    assert!(te.since(truth + 7 * DAY).abs() < 2_000);
}

#[test]
fn a_power_cut_before_a_time_is_known_takes_records_and_no_alarm() {
    let mut bench = bench_with(100, LIMITS);
    let clock = bench.alarm_loop.clock;
    clock.without_battery();
    bench.alarm_loop.begin();
    bench.scan(90.0, 50.0);
    bench.scan(50.0, 50.0);
    bench.jobs();
    let deadline = clock.mono_ms() + 5_000;
    let mut saved = None;
    while saved.is_none() {
        assert!(clock.mono_ms() < deadline, "the alarm is not saved");
        bench.turn();
        saved = bench.jobs.try_iter().find_map(|job| match job {
            Job::Snapshot { bytes, .. } => Some(bytes),
            Job::Append { .. }
            | Job::Read { .. }
            | Job::History { .. }
            | Job::Durable(_)
            | Job::NewEpoch
            | Job::Flush(_)
            | Job::Stop => None,
        });
    }
    let mut next = bench_with(100, LIMITS);
    let saved = saved.unwrap();
    let plan = next.alarm_loop.engine.plan();
    next.alarm_loop.engine = Engine::restore_with_past(plan, parted(&saved).0).unwrap();
    next.alarm_loop.begin();
    assert_eq!(next.sounding(), ["GW-01/A/H"], "it came, went, and nobody has answered");

    told(clock, clock.wall() + 400 * DAY, 10_000);
    bench.turn();
    let jobs = bench.jobs();
    let record = |job: &String| job.starts_with("GW-01");
    let order = (jobs.iter().position(record), jobs.iter().position(|job| job == "snapshot 5"));
    assert!(matches!(order, (Some(first), Some(then)) if first < then), "{jobs:?}");
}

#[test]
fn where_no_time_is_to_be_had_records_are_kept_and_doubted() {
    let mut bench = bench_with(100, LIMITS);
    bench.alarm_loop.clock.without_battery();
    bench.alarm_loop.begin();
    bench.scan(90.0, 50.0);
    bench.alarm_loop.give_up();
    bench.scan(90.0, 50.0);
    let records = bench.records();
    let readings: Vec<Reading> = records
        .iter()
        .filter_map(|record| match &record.body {
            Body::Scan(scan) => Some(scan.readings[0].1),
            Body::Clock(_) | Body::Transition(_) | Body::Gap(_) => None,
        })
        .collect();
    assert_eq!(readings, [Reading::Uncertain(90.0, Doubt::EstimatedTime); 2]);
    assert!(records.iter().any(|record| matches!(record.body, Body::Transition(_))));
}
