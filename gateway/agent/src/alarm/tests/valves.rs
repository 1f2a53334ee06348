//! A shut-off valve in the loop.

use super::*;
use fengsui_scan::{ShutoffSettings, Valve};

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
