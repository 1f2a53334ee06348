//! Stories of one device: a plant in memory, a clock that is moved by hand.

use super::*;
use crate::register::Function;
use crate::site::Site;
use std::collections::{BTreeMap, BTreeSet};

const SITE: &str = r#"
[site]
enterprise = "示例"
gateway = "GW-01"
points = "p"
limits = "l"
[[installation]]
name = "a"
kind = "k"
[[device]]
name = "plc"
kind = "modbus-tcp"
host = "h"
timeout_ms = 500
gap_registers = 10
"#;
const HEAD: &str =
    "h\ntag,name,installation,signal,unit,low,high,device,function,address,type,period_ms\n";

/// A device whose register holds its own address.
struct Plant {
    now: u64,
    scanner: Scanner,
    holes: BTreeSet<u16>,
    fault: Option<Outcome>,
    log: Vec<String>,
    time: Option<(u16, u32)>,
    /// Added to each register.
    more: u16,
}

impl Plant {
    fn new(extra: &str, points: &[(u16, u32)]) -> Self {
        let rows: Vec<_> = points
            .iter()
            .map(|(a, period)| format!("P{a},n,a,s,u,0,9999,plc,holding,{a},u16,{period}"))
            .collect();
        let sheet = format!("{HEAD}{}\n", rows.join("\n"));
        let site = Site::load("s", &format!("{SITE}{extra}"), &mut |_| Ok(sheet.clone())).unwrap();
        let scanner = Scanner::new(site.devices[0].clone(), site.mappings_of(0), 0);
        Self {
            now: 0,
            scanner,
            holes: BTreeSet::new(),
            fault: None,
            log: vec![],
            time: None,
            more: 0,
        }
    }

    fn reply(&self, ask: ReadRequest) -> Outcome {
        if let Some(fault) = &self.fault {
            return fault.clone();
        }
        let range = ask.first..ask.first + ask.count;
        if range.clone().any(|a| self.holes.contains(&a)) {
            return Outcome::Exception(2);
        }
        let word = |a: u16| match self.time {
            Some((at, time)) if a == at => u16::try_from(time >> 16).unwrap(),
            Some((at, time)) if a == at + 1 => u16::try_from(time & 0xffff).unwrap(),
            Some(_) | None => a + self.more,
        };
        Outcome::Data(Payload::Words(range.map(word).collect()))
    }

    /// Runs until `end`, writing what was asked and said.
    fn run(&mut self, end: u64) -> Vec<String> {
        self.log.clear();
        while self.now <= end {
            match self.scanner.next(self.now) {
                Step::Sleep(until) => {
                    assert!(until > self.now, "would spin");
                    self.now = until;
                }
                Step::Read(ask) => {
                    let outcome = self.reply(ask);
                    let began = self.now;
                    self.now += if outcome == Outcome::Timeout { 500 } else { 1 };
                    let answer = self.scanner.answer(outcome, self.now);
                    let said: Vec<_> = answer
                        .readings
                        .iter()
                        .map(|(p, r)| match r.value() {
                            Some(v) => format!("{p}={v}"),
                            None => format!("{p}:{}", r.word()),
                        })
                        .collect();
                    let stamp = match answer.stamp {
                        Stamp::Arrival => String::new(),
                        Stamp::Source { te, .. } => format!(" @{te}"),
                    };
                    self.log.push(format!(
                        "{began} {}+{} {}{stamp}",
                        ask.first,
                        ask.count,
                        said.join(" ")
                    ));
                }
            }
        }
        std::mem::take(&mut self.log)
    }
}

#[test]
fn scans_keep_their_phase_and_the_faster_goes_first() {
    let mut plant = Plant::new("", &[(0, 1_000), (20, 500)]);
    assert_eq!(
        plant.run(1_400),
        ["0 20+1 1=20", "1 0+1 0=0", "500 20+1 1=20", "1000 20+1 1=20", "1001 0+1 0=0"]
    );
    plant.now = 3_700;
    // The faster waits for its fourth period, the slower for its second.
    assert_eq!(plant.scanner.arrears(plant.now), Arrears { missed: 0, overdue: 1 });
    assert_eq!(plant.run(4_100)[..2], ["3700 20+1 1=20", "3701 0+1 0=0"]);
    assert_eq!(plant.scanner.arrears(plant.now), Arrears { missed: 4 + 1, overdue: 0 });
    assert_eq!(plant.run(4_600), ["4500 20+1 1=20"]);
}

#[test]
fn a_dead_device_is_bad_at_every_point_within_one_poll_and_asked_ever_more_rarely() {
    let mut plant = Plant::new("", &[(0, 1_000), (1, 1_000), (50, 1_000)]);
    plant.run(900);
    plant.fault = Some(Outcome::Timeout);
    let said = plant.run(12_000);
    assert_eq!(
        said,
        [
            "1000 0+2 0:timeout 1:timeout",
            "1500 0+1 0:timeout 1:timeout 2:timeout",
            "4000 0+1 0:timeout 1:timeout 2:timeout",
            "8500 0+1 0:timeout 1:timeout 2:timeout",
        ]
    );
    let probes = plant.run(200_000).len();
    assert!((6..=8).contains(&probes), "{probes}");
    plant.fault = None;
    let said = plant.run(plant.now + 31_000);
    assert_eq!(said[0].split_once(' ').unwrap().1, "0+1 ");
    assert!(said[1].ends_with("0+2 0=0 1=1") && said[2].ends_with("50+1 2=50"), "{said:?}");
}

#[test]
fn one_lost_reply_costs_one_bad_reading() {
    let mut plant = Plant::new("", &[(0, 1_000), (50, 1_000)]);
    plant.run(900);
    plant.fault = Some(Outcome::BadFrame);
    assert_eq!(plant.run(1_000), ["1000 0+1 0:bad_frame"]);
    plant.fault = None;
    assert_eq!(plant.run(1_500), ["1001 0+1 ", "1002 0+1 0=0", "1003 50+1 1=50"]);
}

/// It answers small reads and spoils large ones: without a pause it would be asked as fast as it
/// fails.
#[test]
fn a_device_that_spoils_its_blocks_is_not_asked_without_a_pause() {
    let mut plant = Plant::new("", &[(0, 500), (1, 500)]);
    let mut asked = 0;
    while plant.now < 10_000 {
        match plant.scanner.next(plant.now) {
            Step::Read(ask) => {
                asked += 1;
                let outcome = if ask.count > 1 { Outcome::BadFrame } else { plant.reply(ask) };
                plant.now += 5;
                plant.scanner.answer(outcome, plant.now);
            }
            Step::Sleep(until) => plant.now = until.max(plant.now + 1),
        }
    }
    assert!((20..=90).contains(&asked), "20 turns, each a block, a probe and both again: {asked}");
}

#[test]
fn a_refused_connection_is_dead_at_once() {
    let mut plant = Plant::new("", &[(0, 1_000), (50, 1_000)]);
    plant.fault = Some(Outcome::Unreachable);
    assert_eq!(plant.run(10), ["0 0+1 0:not_connected 1:not_connected"]);
}

#[test]
fn a_refused_register_is_bad_alone_and_its_block_goes_on() {
    let mut plant = Plant::new("", &[(0, 1_000), (1, 1_000), (2, 1_000), (3, 1_000)]);
    plant.holes.insert(2);
    assert_eq!(
        plant.run(900),
        ["0 0+4 ", "1 0+2 0=0 1=1", "2 2+2 ", "3 2+1 2:illegal_address", "4 3+1 3=3",]
    );
    assert_eq!(plant.run(1_900), ["1000 0+2 0=0 1=1", "1001 3+1 3=3"]);
    let asked = plant.run(598_500).iter().filter(|said| said.contains(" 2+1 ")).count();
    assert!((7..=9).contains(&asked), "after 2 s doubling to ten minutes: {asked}");
    plant.holes.clear();
    let said = plant.run(606_000);
    assert!(said.last().unwrap().ends_with("0+4 0=0 1=1 2=2 3=3"), "{said:?}");
}

/// A controller that is loaded anew refuses everything for some seconds.
#[test]
fn alarm_points_that_were_refused_for_seconds_are_read_within_seconds_and_soon_whole() {
    let mut plant = Plant::new("", &[(0, 500), (1, 500), (2, 500)]);
    plant.scanner.set_alarms(&(0..3).collect());
    plant.run(900);
    plant.fault = Some(Outcome::Exception(2));
    plant.run(3_000);
    assert_eq!(plant.scanner.fault(), Some(Fault::IllegalAddress));
    assert_eq!(plant.scanner.arrears(plant.now).overdue, 3);
    plant.fault = None;
    let said = plant.run(12_000);
    assert!(said[0].split_once(' ').unwrap().1.ends_with("=0") && plant.now <= 12_500, "{said:?}");
    assert!(said.last().unwrap().ends_with("0+3 0=0 1=1 2=2"), "{said:?}");
    assert_eq!((plant.scanner.fault(), plant.scanner.arrears(12_000).overdue), (None, 0));
    // For as long as it takes: at most half a minute after the registers are there again.
    plant.fault = Some(Outcome::Exception(2));
    plant.run(600_000);
    plant.fault = None;
    let said = plant.run(600_000 + 31_000);
    for point in ["0=0", "1=1", "2=2"] {
        assert!(said.iter().any(|line| line.contains(point)), "{point}: {said:?}");
    }
}

/// What nobody waits for is asked every ten minutes at last.
#[test]
fn a_refused_point_that_gets_an_alarm_or_whose_neighbour_is_there_again_is_asked_soon() {
    for gets_alarm in [true, false] {
        let mut plant = Plant::new("", &[(0, 1_000), (40, 1_000), (80, 1_000)]);
        plant.holes.extend([40, 80]);
        plant.scanner.set_alarms(&[2].into_iter().collect());
        plant.run(500_000);
        plant.holes.clear();
        if gets_alarm {
            plant.holes.insert(80);
            plant.scanner.set_alarms(&[1, 2].into_iter().collect());
        }
        let said = plant.run(532_500);
        assert!(said.iter().any(|line| line.ends_with("40+1 1=40")), "{gets_alarm}: {said:?}");
    }
}

#[test]
fn a_device_that_refuses_everything_is_at_fault_whatever_the_code() {
    for (extra, code) in [("", 1), ("", 4), ("", 6), ("time_register = 100\n", 2)] {
        let mut plant = Plant::new(extra, &[(0, 1_000), (40, 1_000)]);
        plant.run(900);
        assert_eq!(plant.scanner.fault(), None);
        plant.fault = Some(Outcome::Exception(code));
        plant.run(1_900);
        assert_eq!(plant.scanner.fault(), Some(exception_fault(code)), "{extra}{code}");
        plant.fault = None;
        plant.run(2_900);
        assert_eq!(plant.scanner.fault(), None);
    }
}

#[test]
fn a_hole_between_points_is_no_longer_read() {
    let mut plant = Plant::new("", &[(0, 1_000), (9, 1_000)]);
    plant.holes.insert(5);
    assert_eq!(plant.run(900), ["0 0+10 ", "1 0+1 0=0", "2 9+1 1=9"]);
    assert_eq!(plant.run(1_900), ["1000 0+1 0=0", "1001 9+1 1=9"]);
}

#[test]
fn other_exceptions_are_bad_with_their_reason_and_do_not_kill_the_device() {
    for (code, word) in [
        (1, "illegal_function"),
        (4, "device_failure"),
        (6, "device_busy"),
        (99, "device_exception"),
    ] {
        let mut plant = Plant::new("", &[(0, 1_000), (1, 1_000)]);
        plant.fault = Some(Outcome::Exception(code));
        let want = format!("0 0+2 0:{word} 1:{word}");
        assert_eq!(plant.run(900), [want]);
        assert_eq!(plant.scanner.health(), Health::Healthy);
    }
    let mut plant = Plant::new("", &[(0, 1_000)]);
    plant.fault = Some(Outcome::Exception(11));
    assert_eq!(plant.run(5), ["0 0+1 0:path_unavailable", "1 0+1 0:path_unavailable"]);
}

#[test]
fn a_reply_of_another_length_is_never_a_value() {
    let mut plant = Plant::new("", &[(0, 1_000)]);
    plant.fault = Some(Outcome::Data(Payload::Words(vec![7, 7])));
    assert_eq!(plant.run(0), ["0 0+1 0:bad_frame"]);
    plant.fault = Some(Outcome::Data(Payload::Bits(vec![true; 8])));
    assert_eq!(plant.run(1), ["1 0+1 0:bad_frame"]);
}

#[test]
fn the_device_time_stamps_the_scan_and_an_old_time_says_nothing_new() {
    let mut plant = Plant::new("time_register = 10\n", &[(0, 1_000), (1, 1_000)]);
    plant.time = Some((10, 1_700_000_000));
    assert_eq!(plant.run(900), ["0 0+12 0=0 1=1 @1700000000000"]);
    assert_eq!(plant.run(1_900), ["1000 0+12 "]);
    plant.time = Some((10, 1_700_000_060));
    assert_eq!(plant.run(2_900), ["2000 0+12 0=0 1=1 @1700000060000"]);
    plant.fault = Some(Outcome::Exception(2));
    assert_eq!(plant.run(3_900), ["3000 0+12 0:illegal_address 1:illegal_address"]);
    plant.fault = None;
    assert_eq!(plant.run(4_900), ["4000 0+12 0=0 1=1 @1700000060000"]);
    plant.time = Some((10, 0));
    plant.run(5_900);
    let Step::Read(ask) = plant.scanner.next(6_000) else { panic!("due") };
    let answer = plant.scanner.answer(plant.reply(ask), 6_001);
    let dated = answer.dated(TimeMs(5), fengsui_telemetry::ClockQuality::Synchronised, TimeMs::MIN);
    assert_eq!(dated.readings[1].1, Reading::Uncertain(1.0, Doubt::EstimatedTime));
    assert_eq!((dated.te, dated.source), (TimeMs(5), SourceClock::Unsaid));
}

/// A device tells whole seconds and is asked more often; then its clock stops.
#[test]
fn other_data_under_one_second_are_later_and_a_clock_that_stands_is_named() {
    let mut plant = Plant::new("time_register = 10\n", &[(0, 500)]);
    plant.time = Some((10, 1_700_000_000));
    assert_eq!(plant.run(400), ["0 0+12 0=0 @1700000000000"]);
    plant.more = 7;
    assert_eq!(plant.run(900), ["500 0+12 0=7 @1700000000500"]);
    assert_eq!(plant.run(1_400), ["1000 0+12 "], "neither has moved");
    for _ in 0..22 {
        plant.more += 1;
        plant.run(plant.now + 500);
    }
    plant.more += 1;
    let Step::Read(ask) = plant.scanner.next(plant.now + 500) else { panic!("due") };
    let answer = plant.scanner.answer(plant.reply(ask), plant.now + 501);
    assert!(matches!(answer.stamp, Stamp::Source { stands: true, .. }), "{answer:?}");
}

#[test]
fn the_reader_of_a_device_without_points_sleeps() {
    let site =
        Site::load("s", SITE, &mut |_| Ok(format!("{HEAD}A,n,a,s,u,0,1,plc,coil,5,bool,1000\n")))
            .unwrap();
    let mut scanner = Scanner::new(site.devices[0].clone(), vec![], 0);
    assert_eq!(scanner.next(0), Step::Sleep(PROBE_MAX_MS));
    let mut scanner = Scanner::new(site.devices[0].clone(), site.mappings_of(0), 0);
    let Step::Read(ask) = scanner.next(0) else { panic!("due") };
    assert_eq!((ask.function, ask.count), (Function::Coil, 1));
    let answer = scanner.answer(Outcome::Data(Payload::Bits(vec![true; 8])), 1);
    assert_eq!(answer.readings, [(0, Reading::Good(1.0))]);
}

const GAS: &str = "h\ntag,name,installation,signal,unit,low,high,device,function,address,type,\
                   period_ms,rules\n\
                   A,n,a,s,u,0,99,plc,holding,100,u16,500,status=input:0;bad=b0\n\
                   B,n,a,s,u,0,99,plc,holding,200,u16,500,status=input:0;bad=b0\n\
                   C,n,a,s,u,0,99,plc,holding,300,u16,500,status=input:0;bad=b0\n\
                   D,n,a,s,u,0,99,plc,holding,400,u16,500,\n";

fn gas(alarms: &[u32]) -> Scanner {
    let site = Site::load("s", SITE, &mut |_| Ok(GAS.to_owned())).unwrap();
    let alarms = alarms.iter().copied().collect();
    Scanner::new(site.devices[0].clone(), site.mappings_of(0), 0).with_alarms(&alarms)
}

#[test]
fn what_an_alarm_needs_is_as_urgent_as_the_alarm_and_what_nobody_needs_is_not() {
    let class = |scanner: &Scanner, first: u16| {
        let mut blocks = scanner.blocks();
        blocks.find(|(block, _)| block.request.first == first).unwrap().1
    };
    let scanner = gas(&[1]);
    let classes = [0, 100, 200, 300, 400].map(|first| class(&scanner, first));
    assert_eq!(classes, [Class::Alarm, Class::Bulk, Class::Alarm, Class::Bulk, Class::Bulk]);
    assert_eq!(class(&gas(&[3]), 0), Class::Bulk, "no alarm needs the status");
    assert_eq!(class(&gas(&[]), 0), Class::Bulk);
}

/// Four blocks of 260 ms every 500 ms: more than the device can carry.
#[test]
fn a_device_that_is_asked_for_too_much_is_judged_by_its_status_all_the_same() {
    let mut scanner = gas(&[0, 1, 2]);
    let (mut now, mut status, mut last) = (0, 0, BTreeMap::new());
    while now < 40_000 {
        match scanner.next(now) {
            Step::Sleep(until) => now = until,
            Step::Read(ask) => {
                now += if now < 5_000 { 5 } else { 260 };
                let word = if ask.function == Function::Input { status } else { 5 };
                let outcome = Outcome::Data(Payload::Words(vec![word; ask.count.into()]));
                last.extend(scanner.answer(outcome, now).readings);
            }
        }
        if now > 20_000 && status == 0 {
            assert!((0..3).all(|point| last.get(&point) == Some(&Reading::Good(5.0))), "{last:?}");
            (status, last) = (1, BTreeMap::new());
        }
        if now > 24_000 {
            let bad = Some(&Reading::Bad(Fault::SourceBad));
            assert!((0..3).all(|point| last.get(&point) == bad), "at {now}: {last:?}");
        }
    }
    assert_eq!(scanner.arrears(now).overdue, 1, "what starves is D, which no alarm waits for");
}

/// A value is worth no more than the status that is read behind it, and waits for it.
#[test]
fn a_value_waits_for_the_status_behind_it_but_not_beyond_its_next_scan() {
    let data = |word| Outcome::Data(Payload::Words(vec![word]));
    let mut scanner = gas(&[]);
    let mut answer = |first: u16, outcome: Outcome, now: u64| {
        let Step::Read(ask) = scanner.next(now) else { panic!("{first} is due at {now}") };
        assert_eq!(ask.first, first, "at {now}");
        scanner.answer(outcome, now).readings
    };
    assert_eq!(answer(0, data(0), 0), []);
    for first in [100, 200, 300] {
        assert_eq!(answer(first, data(5), 0), [], "waits");
    }
    assert_eq!(answer(400, data(5), 0).len(), 1, "needs nothing");
    let good = |point| (point, Reading::Good(5.0));
    assert_eq!(answer(0, data(0), 499), [0, 1, 2].map(good));
    // The reply with the status is lost once: it is asked again, and nobody is `Bad`.
    for first in [100, 200, 300] {
        answer(first, data(5), 500);
    }
    answer(400, data(5), 500);
    assert_eq!(answer(0, Outcome::BadFrame, 510), []);
    assert_eq!(answer(100, data(5), 520), [], "a small read decides whether it lives");
    assert_eq!(answer(0, data(0), 530), [0, 1, 2].map(good));
    // Lost twice: there is no status.
    for first in [100, 200, 300, 400] {
        answer(first, data(5), 1_000);
    }
    assert_eq!(answer(0, Outcome::BadFrame, 1_010), []);
    answer(100, data(5), 1_020);
    let bad = |point| (point, Reading::Bad(Fault::BadFrame));
    assert_eq!(answer(0, Outcome::BadFrame, 1_030), [0, 1, 2].map(bad));
}

#[test]
fn what_is_overdue_counts_the_registers_that_others_need() {
    let mut scanner = gas(&[3]);
    scanner.next(0);
    scanner.answer(Outcome::Data(Payload::Words(vec![0])), 0);
    // A to D and the status of three of them are due since then.
    assert_eq!(scanner.arrears(3_000).overdue, 5, "the status counts");
}
