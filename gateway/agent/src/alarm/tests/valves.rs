//! A shut-off valve in the loop.

use super::*;
use fengsui_scan::{ShutoffSettings, Site, Valve};

#[test]
fn a_demand_that_is_not_obeyed_comes_without_another_reading() {
    let mut bench = bench(100);
    // Point 0 is the demand; point 1 stands for both switches: open 1, closed is never read.
    let settings = ShutoffSettings { travel_ms: 1, settle_ms: 0, proof_ms: None, proved_at: None };
    let valve = Valve { settings, demand: 0, demand_on_zero: true, open: 1, closed: 9, first: 2 };
    bench.alarm_loop.valves = Valves::new(&[valve]);
    bench.alarm_loop.begin();
    let fault = |bench: &Bench| {
        let mut last = None;
        while let Ok(job) = bench.jobs.try_recv() {
            let Job::Append { records, .. } = job else { continue };
            for record in records {
                if let Body::Scan(scan) = record.body {
                    let own = scan.readings.iter().find(|(point, _)| *point == 4);
                    last = own.map(|(_, reading)| *reading).or(last);
                }
            }
        }
        last
    };
    bench.scan(1.0, 1.0);
    assert_eq!(fault(&bench), Some(Reading::Bad(Fault::Missing)), "one switch is not known");
    bench.scan(0.0, 1.0);
    assert_eq!(fault(&bench), Some(Reading::Bad(Fault::Missing)));
    let clock = bench.alarm_loop.clock;
    let deadline = clock.mono_ms() + 5_000;
    let mut said = None;
    while said.is_none() && clock.mono_ms() < deadline {
        bench.alarm_loop.turn(u64::MAX);
        said = fault(&bench);
    }
    assert_eq!(said, Some(Reading::Good(1.0)), "not closed in time");
}

#[test]
fn a_valve_that_was_never_demanded_has_no_stale_travel_time() {
    let text = "[site]\nenterprise='示例'\ngateway='GW-01'\npoints='p'\nlimits='l'\n\
        [[installation]]\nname='a'\nkind='k'\n\
        [[device]]\nname='plc'\nkind='modbus-tcp'\nhost='127.0.0.1'\n\
        [[shutoff]]\ntag='E'\nname='切断阀'\ninstallation='a'\ndemand='C'\nopen='O'\nclosed='S'\n\
        travel_s=10\n";
    let mut points = "h\ntag,name,installation,signal,unit,low,high,device,function,address,type,\
        period_ms\n"
        .to_owned();
    for (tag, address) in [("C", 0), ("O", 1), ("S", 2)] {
        points += &format!("{tag},n,a,limit,,0,1,plc,discrete,{address},bool,200\n");
    }
    let site = Site::load("s", text, &mut |_| Ok(points.clone())).unwrap();
    let stale = |limits: &str| -> Vec<String> {
        let set = LimitSet::parse("l", limits).unwrap();
        let plan = set.plan("GW-01", OWN, &site.catalogue, &PointRef, Revision(1));
        let keys = plan.into_iter().map(|spec| spec.key);
        keys.filter(|key| key.starts_with("GW-01/E.") && key.ends_with("/STALE")).collect()
    };
    let usual = stale("h\ntag,kind,limit\nE.fault,H,1\n");
    assert_eq!(usual, ["GW-01/E.state/STALE", "GW-01/E.fault/STALE"]);
    let asked = stale("h\ntag,kind,limit\nE.travel_s,STALE,86400\n");
    assert!(asked.contains(&"GW-01/E.travel_s/STALE".to_owned()), "{asked:?}");
}

fn tripping() -> (Valve, Vec<u32>) {
    let settings =
        ShutoffSettings { travel_ms: 1_000, settle_ms: 0, proof_ms: None, proved_at: None };
    // A release to close; both switches are points.
    let valve = Valve { settings, demand: 0, demand_on_zero: true, open: 1, closed: 2, first: 3 };
    (valve, vec![7, 3, 9, 11, 12, 13])
}

fn signals(demand: f64, open: f64, closed: f64) -> Vec<(u32, Reading)> {
    vec![(0, Reading::Good(demand)), (1, Reading::Good(open)), (2, Reading::Good(closed))]
}

fn fault_of(said: &[(u32, Reading)]) -> Option<Reading> {
    said.iter().find(|(point, _)| *point == 5).map(|(_, reading)| *reading)
}

#[test]
fn a_trip_stands_over_a_restart_until_the_valve_is_open_again() {
    let (valve, numbers) = tripping();
    let mut before = Valves::new(std::slice::from_ref(&valve));
    before.observe(&signals(1.0, 1.0, 0.0), TimeMs(0));
    let said = before.observe(&signals(1.0, 0.0, 1.0), TimeMs(1_000));
    assert_eq!(fault_of(&said), Some(Reading::Good(3.0)), "closed, and nobody asked for it");
    let saved = before.sealed(b"engine".to_vec(), &numbers);
    let (engine, known) = parted(&saved);
    assert_eq!(engine, b"engine");
    let again = || Valves::new(std::slice::from_ref(&valve));
    let mut after = again().recalling(&known, &numbers);
    after.begin();
    assert_eq!(fault_of(&after.due(TimeMs(2_000))), None, "nothing was seen yet");
    let said = after.observe(&signals(1.0, 0.0, 1.0), TimeMs(3_000));
    assert_eq!(fault_of(&said), Some(Reading::Good(3.0)));
    let said = after.observe(&signals(1.0, 1.0, 0.0), TimeMs(4_000));
    assert_eq!(fault_of(&said), Some(Reading::Good(0.0)), "open again");
    assert!(!parted(&after.sealed(Vec::new(), &numbers)).1[0].1.tripped);
    // Of another valve nothing is known.
    let mut other = again().recalling(&known, &[7, 3, 9, 99, 98, 97]);
    let said = other.observe(&signals(1.0, 0.0, 1.0), TimeMs(3_000));
    assert_eq!(fault_of(&said), Some(Reading::Good(0.0)));
}

#[test]
fn a_valve_that_trips_between_two_runs_has_tripped() {
    let (valve, numbers) = tripping();
    let mut before = Valves::new(std::slice::from_ref(&valve));
    before.observe(&signals(1.0, 1.0, 0.0), TimeMs(0));
    let saved = before.sealed(b"engine".to_vec(), &numbers);
    let (engine, known) = parted(&saved);
    assert_eq!(engine, b"engine");
    let mut after = Valves::new(&[valve]).recalling(&known, &numbers);
    after.begin();
    let bad = Reading::Bad(Fault::Timeout);
    after.observe(&[(0, bad), (1, bad), (2, bad)], TimeMs(2_000));
    let said = after.observe(&signals(1.0, 0.0, 1.0), TimeMs(3_000));
    assert_eq!(fault_of(&said), Some(Reading::Good(3.0)));
}

#[test]
fn a_demand_of_another_device_is_waited_for() {
    let (valve, _) = tripping();
    let mut valves = Valves::new(&[valve]);
    valves.observe(&signals(1.0, 1.0, 0.0), TimeMs(0));
    let switches = &signals(1.0, 0.0, 1.0)[1..];
    let said = valves.observe(switches, TimeMs(200));
    assert_eq!(fault_of(&said), Some(Reading::Bad(Fault::Missing)), "not known yet");
    // Read before the valve left, and come later.
    let said = valves.observe(&[(0, Reading::Good(1.0))], TimeMs(199));
    assert_eq!(fault_of(&said), Some(Reading::Bad(Fault::Missing)));
    let said = valves.observe(&[(0, Reading::Good(0.0))], TimeMs(3_000));
    assert_eq!(fault_of(&said), Some(Reading::Good(0.0)), "it was demanded");
}

#[test]
fn a_state_that_was_saved_before_valves_were_known_to_be_open_still_counts() {
    let (valve, numbers) = tripping();
    let known = |trip: u8| {
        let mut saved = b"engine".to_vec();
        saved.extend([11, 0, 0, 0, trip, 1, 0xb8, 0x0b, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]);
        saved.extend(b"fsvalve1");
        parted(&saved).1
    };
    for (trip, fault) in [(1, 3.0), (0, 0.0)] {
        let mut valves =
            Valves::new(std::slice::from_ref(&valve)).recalling(&known(trip), &numbers);
        let said = valves.observe(&signals(1.0, 0.0, 1.0), TimeMs(3_000));
        assert_eq!(fault_of(&said), Some(Reading::Good(fault)));
        assert!(said.contains(&(4, Reading::Good(3.0))), "the last travel: {said:?}");
    }
}

#[test]
fn a_trip_after_the_last_saved_state_is_found_by_the_replay() {
    let mut bench = bench(100);
    let (valve, _) = tripping();
    bench.alarm_loop.valves = Valves::new(&[valve]);
    let at = bench.alarm_loop.clock.wall();
    for (te, readings) in [(0, signals(1.0, 1.0, 0.0)), (10, signals(1.0, 0.0, 1.0))] {
        let body = Body::Scan(Scan { readings, ..Scan::default() });
        bench.alarm_loop.replay(Record { te: at + te, body });
    }
    bench.alarm_loop.begin();
    let said = bench.alarm_loop.valves.observe(&signals(1.0, 0.0, 1.0), at + 100);
    assert_eq!(fault_of(&said), Some(Reading::Good(3.0)));
}

#[test]
fn a_saved_state_of_before_or_a_damaged_one_is_the_engines_alone() {
    let (valve, numbers) = tripping();
    let valves = Valves::new(&[valve]);
    for saved in [&b""[..], b"engine", b"fsvalve1", b"\xff\xff\xff\xfffsvalve1"] {
        assert_eq!(parted(saved), (saved, vec![]));
    }
    let saved = valves.sealed(b"fsvalve1".to_vec(), &numbers);
    assert_eq!(parted(&saved), (&b"fsvalve1"[..], vec![]), "nothing to say");
}
