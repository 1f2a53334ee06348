//! What goes into the spool of points that are reported by exception.

use super::*;
use fengsui_scan::{Reporter, ShutoffSettings, Site, Valve};

/// Both points have the rule, and are silent for a minute at most.
fn reporting(bench: &mut Bench) {
    let text = "[site]\nenterprise='示例'\ngateway='GW-01'\npoints='p'\nlimits='l'\n\
        [[installation]]\nname='a'\nkind='k'\n\
        [[device]]\nname='plc'\nkind='modbus-tcp'\nhost='127.0.0.1'\n";
    let mut points = "h\ntag,name,installation,signal,unit,low,high,device,function,address,type,\
        period_ms,rules\n"
        .to_owned();
    for (tag, address) in [("A", 0), ("B", 1)] {
        points += &format!(
            "{tag},n,a,level,%,0,100,plc,holding,{address},u16,1000,report_within=1;report_s=60\n"
        );
    }
    let site = Site::load("s", text, &mut |_| Ok(points.clone())).unwrap();
    bench.alarm_loop.reporter = Reporter::new(&site.mappings);
    bench.alarm_loop.rest_anew();
}

/// Point A is judged; of B only the silence is, which is given longer than the rule takes.
const OF_A: &str = "h\ntag,kind,limit\nA,H,85\nB,STALE,63\n";

fn kept(bench: &Bench) -> Vec<(u32, f64)> {
    let mut all = Vec::new();
    while let Ok(job) = bench.jobs.try_recv() {
        let Job::Append { records, .. } = job else { continue };
        for record in records {
            if let Body::Scan(scan) = record.body {
                assert!(!scan.readings.is_empty(), "an empty scan is no record");
                all.extend(scan.readings.iter().map(|(p, r)| (*p, r.value().unwrap())));
            }
        }
    }
    all
}

#[test]
fn a_point_with_an_alarm_keeps_every_sample_and_another_is_thinned() {
    let mut bench = bench_with(100, OF_A);
    reporting(&mut bench);
    bench.alarm_loop.begin();
    for b in [50.0, 50.9, 51.5, 51.4] {
        bench.scan(50.0, b);
    }
    let wanted = [(0, 50.0), (1, 50.0), (0, 50.0), (0, 50.0), (1, 51.5), (0, 50.0)];
    assert_eq!(kept(&bench), wanted);
}

#[test]
fn an_alarm_raised_by_a_reading_is_the_same_with_the_rule() {
    let mut bench = bench_with(100, OF_A);
    reporting(&mut bench);
    bench.alarm_loop.begin();
    bench.scan(84.9, 50.0);
    bench.jobs();
    // Within the deadband of what was kept last, and over the limit.
    bench.scan(85.0, 50.0);
    assert_eq!(bench.jobs(), ["scan", "GW-01/A/H AB", "!"]);
}

#[test]
fn a_scan_of_which_nothing_is_left_is_no_record() {
    let mut bench = bench_with(100, "h\ntag,kind,limit\nA,STALE,63\nB,STALE,63\n");
    reporting(&mut bench);
    bench.alarm_loop.begin();
    bench.scan(50.0, 50.0);
    assert_eq!(bench.jobs(), ["clock", "scan"]);
    bench.scan(50.0, 50.0);
    assert_eq!(bench.jobs(), [""; 0]);
}

#[test]
fn a_short_silence_makes_the_rule_rest() {
    // A second less than a minute and three periods: a lost sample would be called a silence.
    let mut bench = bench_with(100, "h\ntag,kind,limit\nA,STALE,62\nB,STALE,63\n");
    reporting(&mut bench);
    bench.alarm_loop.begin();
    bench.scan(50.0, 50.0);
    bench.scan(50.0, 50.0);
    assert_eq!(kept(&bench), [(0, 50.0), (1, 50.0), (0, 50.0)]);
}

#[test]
fn other_limits_switch_the_rule_at_once() {
    let mut bench = bench_with(100, OF_A);
    reporting(&mut bench);
    bench.alarm_loop.begin();
    bench.scan(50.0, 50.0);
    bench.scan(50.0, 50.0);
    assert_eq!(kept(&bench), [(0, 50.0), (1, 50.0), (0, 50.0)]);
    let of_both = bench_with(1, "h\ntag,kind,limit\nA,H,85\nB,H,85\n");
    let plan = bench.alarm_loop.engine.plan();
    bench.alarm_loop.replan(of_both.alarm_loop.engine.plan());
    bench.scan(50.0, 50.0);
    bench.scan(50.0, 50.0);
    assert_eq!(kept(&bench), [(0, 50.0), (1, 50.0), (0, 50.0), (1, 50.0)], "B is judged now");
    bench.alarm_loop.replan(plan);
    bench.scan(50.0, 50.0);
    bench.scan(50.0, 50.0);
    assert_eq!(kept(&bench), [(0, 50.0), (1, 50.0), (0, 50.0)], "and is not any more");
}

#[test]
fn a_point_that_a_limit_of_another_looks_at_keeps_every_sample() {
    let limits = "h\ntag,kind,limit,detail\nA,DEVIATION,5,of=B\nB,STALE,63,\n";
    let mut bench = bench_with(100, limits);
    reporting(&mut bench);
    bench.alarm_loop.begin();
    bench.scan(50.0, 50.0);
    bench.scan(50.0, 50.0);
    assert_eq!(kept(&bench), [(0, 50.0), (1, 50.0), (0, 50.0), (1, 50.0)]);
}

#[test]
fn signals_of_a_valve_keep_every_sample() {
    let mut bench = bench_with(100, "h\ntag,kind,limit\nA,STALE,63\nB,STALE,63\n");
    let settings = ShutoffSettings { travel_ms: 1, settle_ms: 0, proof_ms: None, proved_at: None };
    let valve = Valve { settings, demand: 1, demand_on_zero: true, open: 8, closed: 9, first: 2 };
    bench.alarm_loop.valves = Valves::new(&[valve]);
    reporting(&mut bench);
    bench.alarm_loop.begin();
    for _ in 0..3 {
        bench.scan(50.0, 1.0);
    }
    let readings = kept_of(&bench);
    assert_eq!(readings, (1, 3), "once of A, and every time of the valve's demand");
}

/// How often each of the two points is in the spool.
fn kept_of(bench: &Bench) -> (usize, usize) {
    let (mut a, mut b) = (0, 0);
    while let Ok(job) = bench.jobs.try_recv() {
        let Job::Append { records, .. } = job else { continue };
        for record in records {
            let Body::Scan(scan) = record.body else { continue };
            a += scan.readings.iter().filter(|(point, _)| *point == 0).count();
            b += scan.readings.iter().filter(|(point, _)| *point == 1).count();
        }
    }
    (a, b)
}

#[test]
fn after_samples_were_dropped_each_point_is_kept_anew() {
    let mut bench = bench_with(1, "h\ntag,kind,limit\nA,STALE,63\nB,STALE,63\n");
    reporting(&mut bench);
    bench.alarm_loop.begin();
    // The clock record fills the queue: this scan is dropped.
    bench.scan(50.0, 50.0);
    assert_eq!(bench.jobs(), ["clock"]);
    bench.alarm_loop.flush();
    assert_eq!(bench.jobs(), ["gap 1", "!"]);
    bench.scan(50.0, 50.0);
    assert_eq!(bench.jobs(), ["scan"], "what the points say is not known from before");
}
