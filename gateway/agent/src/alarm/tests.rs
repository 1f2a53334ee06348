//! The loop with a spool that does not keep up.

mod clock;
mod report;
mod valves;

use super::*;
use fengsui_alerting::limits::LimitSet;
use fengsui_alerting::{Plan, Subject};
use fengsui_telemetry::{Catalogue, Fault, Installation, Point, Tag};
use std::sync::mpsc::Receiver;

struct Bench {
    alarm_loop: AlarmLoop,
    jobs: Receiver<Job>,
    siren: watch::Receiver<SirenState>,
    scans: i64,
}

fn bench(jobs_max: usize) -> Bench {
    bench_with(jobs_max, "h\ntag,kind,limit\nA,H,85\nB,H,85\n")
}

fn bench_with(jobs_max: usize, limits: &str) -> Bench {
    let point = |tag: &str| Point {
        tag: Tag::parse(tag).unwrap(),
        name: String::new(),
        unit: "%".into(),
        low: 0.0,
        high: 100.0,
        installation: 0,
        equipment: String::new(),
        period_ms: 1_000,
        silence_ms: 0,
        signal: "level".into(),
    };
    let catalogue = Catalogue {
        enterprise: "示例".into(),
        installations: vec![Installation { name: "a".into(), hazard_class: 0, kind: "k".into() }],
        points: vec![point("A"), point("B")],
    };
    let limits = LimitSet::parse("limits", limits).unwrap();
    let numbers = vec![7, 3];
    let number = |index: u32| PointRef(numbers[index as usize]);
    let alarms = limits.plan("GW-01", OWN, &catalogue, &number, Revision(5));
    let alarms = alarms.into_iter().filter(|a| matches!(a.subject, Subject::Point(_))).collect();
    let engine = Engine::new(Plan { revision: Revision(5), alarms }).unwrap();
    let (spool, jobs) = SpoolHandle::double(jobs_max);
    let (siren, shown) = watch::channel(SirenState::default());
    let state = watch::channel(LoopState::default()).0;
    let healths = watch::channel(Vec::new()).1;
    let out = Outputs { siren, state, healths, spool };
    let alarm_loop = AlarmLoop::new(engine, numbers.into(), &["plc".into()], Clock::start(), out);
    Bench { alarm_loop, jobs, siren: shown, scans: 0 }
}

impl Bench {
    /// One scan of both points.
    fn scan(&mut self, a: f64, b: f64) {
        self.scans += 10;
        let te = self.alarm_loop.clock.wall() + self.scans;
        let readings = vec![(0, Reading::Good(a)), (1, Reading::Good(b))];
        let scanned = Scanned {
            device: 0,
            te,
            readings,
            answered: Some(te),
            fault: None,
            arrears: Arrears::default(),
            clock_off_ms: None,
        };
        self.alarm_loop.scanned(scanned);
    }

    /// What the spool was asked since: `clock`, `scan`, `GW-01/A/H AB`, `gap 3`, `snapshot`.
    fn jobs(&self) -> Vec<String> {
        let mut said = Vec::new();
        while let Ok(job) = self.jobs.try_recv() {
            match job {
                Job::Append { records, urgent } => {
                    said.extend(records.iter().map(|record| match &record.body {
                        Body::Scan(_) => "scan".to_owned(),
                        Body::Clock(_) => "clock".to_owned(),
                        Body::Gap(gap) => format!("gap {}", gap.records),
                        Body::Transition(t) => format!("{} {}{}", t.alarm, t.from, t.to),
                    }));
                    if urgent {
                        said.push("!".to_owned());
                    }
                }
                Job::Snapshot { limits, .. } => said.push(format!("snapshot {}", limits.0)),
                Job::Read { .. }
                | Job::History { .. }
                | Job::Durable(_)
                | Job::NewEpoch
                | Job::Flush(_)
                | Job::Stop => said.push("other".to_owned()),
            }
        }
        said
    }

    fn sounding(&self) -> Vec<String> {
        self.siren.borrow().alarms.clone()
    }
}

#[test]
fn an_alarm_goes_with_the_scan_that_made_it_and_at_once() {
    let mut bench = bench(10);
    bench.alarm_loop.begin();
    assert_eq!(bench.jobs(), ["clock"]);
    bench.scan(50.0, 50.0);
    assert_eq!(bench.jobs(), ["scan"]);
    bench.scan(50.0, 85.0);
    assert_eq!(bench.jobs(), ["scan", "GW-01/B/H AB", "!"]);
    assert_eq!(bench.sounding(), ["GW-01/B/H"]);
}

#[test]
fn an_alarm_whose_limit_goes_away_sounds_until_somebody_has_acknowledged_it() {
    let mut bench = bench(10);
    bench.alarm_loop.begin();
    bench.scan(50.0, 90.0);
    let mut plan = bench.alarm_loop.engine.plan();
    plan.alarms.retain(|alarm| alarm.key != "GW-01/B/H");
    bench.alarm_loop.replan(plan);
    bench.jobs();
    assert_eq!(bench.sounding(), ["GW-01/B/H"]);
    bench.scan(50.0, 20.0);
    assert_eq!(bench.sounding(), ["GW-01/B/H"], "nobody judges that value");
    bench.alarm_loop.acknowledge();
    assert_eq!(bench.sounding(), [""; 0]);
    let told = ["scan", "GW-01/B/H BC", "GW-01/B/H CA", "!", "snapshot 5"];
    assert_eq!(bench.jobs(), told);
}

#[test]
fn a_full_spool_silences_nothing_and_loses_no_transition() {
    let mut bench = bench(1);
    bench.alarm_loop.begin();
    bench.scan(50.0, 50.0);
    bench.scan(90.0, 50.0);
    assert_eq!(bench.sounding(), ["GW-01/A/H"], "the siren does not wait");
    bench.scan(80.0, 90.0);
    assert_eq!(bench.sounding(), ["GW-01/A/H", "GW-01/B/H"]);
    bench.alarm_loop.save();
    assert_eq!(bench.jobs(), ["clock"], "nothing is saved before what it covers");
    bench.scan(80.0, 90.0);
    assert_eq!(bench.jobs(), ["GW-01/A/H AB", "GW-01/A/H BD", "GW-01/B/H AB", "gap 3", "!"]);
    bench.alarm_loop.save();
    assert_eq!(bench.jobs(), ["gap 1", "!"]);
    bench.alarm_loop.save();
    assert_eq!(bench.jobs(), ["snapshot 5"]);
}

#[test]
fn what_is_in_the_spool_already_is_not_written_again() {
    let mut bench = bench(10);
    let te = bench.alarm_loop.clock.wall();
    let scan = Scan { readings: vec![(0, Reading::Good(90.0))], ..Scan::default() };
    let transition = LocalTransition {
        alarm: "GW-01/A/H".into(),
        occurrence: 1,
        from: 'A',
        to: 'B',
        revision: Revision(5),
        value: Some(90.0),
        why: "on".into(),
        known: te,
    };
    bench.alarm_loop.replay(Record { te, body: Body::Scan(scan) });
    bench.alarm_loop.replay(Record { te, body: Body::Transition(transition) });
    bench.alarm_loop.begin();
    assert_eq!(bench.sounding(), ["GW-01/A/H"]);
    assert_eq!(bench.jobs(), ["clock"]);
}

#[test]
fn the_button_silences_and_a_bad_reading_does_not() {
    let mut bench = bench(10);
    bench.alarm_loop.begin();
    bench.scan(90.0, 50.0);
    let te = bench.alarm_loop.clock.wall() + 100;
    let readings = vec![(0, Reading::Bad(Fault::Timeout))];
    let fault = Some(Fault::Timeout);
    let arrears = Arrears::default();
    bench.alarm_loop.scanned(Scanned {
        device: 0,
        te,
        readings,
        answered: None,
        fault,
        arrears,
        clock_off_ms: None,
    });
    assert_eq!(bench.sounding(), ["GW-01/A/H"]);
    assert_eq!(bench.alarm_loop.state.devices[0].fault, "timeout");
    bench.jobs();
    bench.alarm_loop.acknowledge();
    assert!(bench.sounding().is_empty());
    assert_eq!(bench.jobs(), ["GW-01/A/H BC", "!", "snapshot 5"]);
}

#[test]
fn the_button_acknowledges_what_came_and_went_under_a_worse_one() {
    let mut bench = bench_with(100, "h\ntag,kind,limit\nA,H,85\nA,HH,95\n");
    let lit = |bench: &Bench| -> Vec<String> {
        bench.siren.borrow().lit.iter().map(|one| one.key.clone()).collect()
    };
    bench.alarm_loop.begin();
    bench.scan(97.0, 50.0);
    bench.scan(50.0, 50.0);
    assert_eq!(lit(&bench), ["GW-01/A/HH", "GW-01/A/H"], "returned, and nobody has seen it");
    bench.alarm_loop.acknowledge();
    assert!(bench.sounding().is_empty());
    assert_eq!(lit(&bench), [""; 0]);
}

fn transition(why: &str, to: char, te: TimeMs) -> Record {
    let transition = LocalTransition {
        alarm: "GW-01/B/H".into(),
        occurrence: 4,
        from: 'A',
        to,
        revision: Revision(4),
        value: Some(86.0),
        why: why.into(),
        known: te,
    };
    Record { te, body: Body::Transition(transition) }
}

/// What arose by the clock, or under limits that the file does not have any more, is not in the
/// samples.
#[test]
fn what_stood_by_its_records_sounds_after_a_kill_until_somebody_has_acknowledged_it() {
    let mut bench = bench(10);
    let te = bench.alarm_loop.clock.wall();
    bench.alarm_loop.replay(transition("on", 'B', te));
    bench.alarm_loop.replay(transition("off", 'D', te + 10));
    bench.alarm_loop.begin();
    assert_eq!(bench.sounding(), ["GW-01/B/H"]);
    bench.alarm_loop.acknowledge();
    assert_eq!(bench.sounding(), [""; 0]);
    // The next has the next number.
    bench.scan(50.0, 90.0);
    let standing = bench.alarm_loop.engine.all_standing();
    assert_eq!(standing[0].occurrence.unwrap().number, 5, "{standing:?}");
}

#[test]
fn a_record_makes_nothing_quiet_that_the_samples_bring_up() {
    let mut bench = bench(10);
    let te = bench.alarm_loop.clock.wall();
    bench.alarm_loop.replay(transition("off", 'A', te));
    bench.alarm_loop.engine.handle(
        Event::Sample {
            point: PointRef(3),
            te: te + 20,
            reading: Reading::Good(90.0),
            lane: Lane::Live,
        },
        te + 20,
        &mut bench.alarm_loop.actions,
    );
    bench.alarm_loop.begin();
    assert_eq!(bench.sounding(), ["GW-01/B/H"]);
}
