//! A line of 32 devices in virtual time: who is asked when, and what three dead ones cost.

use super::*;
use crate::pdu::Payload;
use crate::point_set::PointSet;
use crate::rtu::{Parity, SerialSettings, StopBits};
use crate::site::{Mapping, Site};

const SLAVES: usize = 32;
const TURNAROUND_US: u64 = 5_000;

fn settings(baud: u32) -> SerialSettings {
    SerialSettings { baud, parity: Parity::Even, stop_bits: StopBits::One }
}

fn site(baud: u32, words: u16, period_ms: u32) -> Site {
    patient_site(baud, words, period_ms, 100)
}

/// A site of so many slaves, each with one block of `words` registers.
fn patient_site(baud: u32, words: u16, period_ms: u32, timeout_ms: u32) -> Site {
    let mut text = format!(
        "[site]\nenterprise='示例'\ngateway='GW-01'\npoints='p'\nlimits='l'\n[[installation]]\n\
         name='a'\nkind='k'\n[[bus]]\nname='A'\nkind='modbus-rtu'\npath='/dev/x'\nbaud={baud}\n\
         parity='even'\n"
    );
    let mut sheet = String::from(
        "h\ntag,name,installation,signal,unit,low,high,device,function,address,type,period_ms\n",
    );
    for unit in 1..=SLAVES {
        text += &format!(
            "[[device]]\nname='s{unit}'\nkind='modbus-rtu'\nbus='A'\nunit={unit}\n\
             timeout_ms={timeout_ms}\ngap_registers=125\n"
        );
        for address in [0, words - 1] {
            sheet += &format!(
                "P{unit}-{address},n,a,s,u,0,9,s{unit},holding,{address},u16,{period_ms}\n"
            );
        }
    }
    Site::load("s", &text, &mut |_| Ok(sheet.clone())).unwrap()
}

/// After a start nobody believes a slave that is silent at every length but its own: it is asked as
/// soon as the doubt ends, not when the schedule of dead devices comes round.
#[test]
fn a_device_that_was_doubted_is_asked_as_soon_as_the_doubt_ends() {
    let site = site(9_600, 4, 2_000);
    let timing = Timing::new(&site.buses[0].settings);
    let scanner =
        |index: usize| Scanner::new(site.devices[index].clone(), site.mappings_of(index), 0);
    let mut line = Line::new(timing, (0..SLAVES).map(scanner).collect(), 0).doubting();
    let (mut now_us, mut asked, mut read) = (0_u64, [None; SLAVES], [None; SLAVES]);
    while read.iter().any(Option::is_none) {
        assert!(now_us < 60_000_000, "{read:?}");
        let Turn::Ask { device, request, patience_us, .. } = (match line.next(now_us / 1_000) {
            Turn::Sleep(until) => {
                now_us = now_us.max(until * 1_000);
                continue;
            }
            turn @ (Turn::Ask { .. } | Turn::Obey(_)) => turn,
        }) else {
            continue;
        };
        let first = *asked[device].get_or_insert(now_us);
        // Every eighth is believed only when nothing can be owed any more.
        let silent = device % 8 == 3 && now_us < first + OWED_US;
        let busy_us = match silent {
            true => timing.request_us() + 2 * patience_us + timing.reply_us(request),
            false => timing.exchange_us(request) + TURNAROUND_US,
        };
        now_us += busy_us;
        if !silent {
            read[device].get_or_insert(now_us);
        }
        let words = vec![0; usize::from(request.count)];
        let outcome = if silent { Outcome::Timeout } else { Outcome::Data(Payload::Words(words)) };
        let turnaround_us = (!silent).then_some(TURNAROUND_US);
        let heard = Heard { outcome, fault: None, turnaround_us, busy_us, orphans: 0 };
        line.answer(heard, now_us / 1_000);
    }
    let slowest = read.iter().flatten().max().unwrap() / 1_000;
    let promised = start_ms(&site, 0);
    assert!((10_000..=promised).contains(&slowest), "{slowest} ms of {promised} ms");
    let waited = |device: usize| (read[device].unwrap() - asked[device].unwrap()) / 1_000;
    assert!((3..SLAVES).step_by(8).all(|device| waited(device) < DOUBT_MS + 1_500), "{read:?}");
}

#[derive(Default)]
struct Run {
    /// Between two good scans of one living slave, ms.
    intervals: Vec<u64>,
    wire_us: u64,
    now_us: u64,
    dead_us: u64,
    probes: usize,
}

impl Run {
    fn p99(&mut self) -> u64 {
        self.intervals.sort_unstable();
        self.intervals[self.intervals.len() * 99 / 100]
    }
}

/// Runs the line with these dead devices; counts after two minutes, when they are known to be dead.
fn run(site: &Site, dead: &[usize], seconds: u64) -> Run {
    let timing = Timing::new(&site.buses[0].settings);
    let scanner =
        |index: usize| Scanner::new(site.devices[index].clone(), site.mappings_of(index), 0);
    let mut line = Line::new(timing, (0..SLAVES).map(scanner).collect(), 0);
    let (mut run, mut last) = (Run::default(), vec![0; SLAVES]);
    let (warm, end) = (120_000_000, (120 + seconds) * 1_000_000);
    while run.now_us < end {
        let (device, request, patience_us) = match line.next(run.now_us / 1_000) {
            Turn::Sleep(until) => {
                run.now_us = run.now_us.max(until * 1_000);
                continue;
            }
            Turn::Ask { device, request, patience_us, .. } => (device, request, patience_us),
            Turn::Obey(_) => unreachable!(),
        };
        let counts = run.now_us >= warm;
        let (outcome, busy_us) = if dead.contains(&device) {
            let busy_us = timing.request_us() + 2 * patience_us + timing.reply_us(request);
            run.dead_us += if counts { busy_us } else { 0 };
            run.probes += usize::from(counts);
            (Outcome::Timeout, busy_us)
        } else {
            let busy_us = timing.exchange_us(request) + TURNAROUND_US;
            run.wire_us += if counts { busy_us } else { 0 };
            (Outcome::Data(Payload::Words(vec![1; request.count.into()])), busy_us)
        };
        run.now_us += busy_us;
        let alive = matches!(outcome, Outcome::Data(_));
        let heard =
            Heard { outcome, fault: None, turnaround_us: Some(TURNAROUND_US), busy_us, orphans: 0 };
        let said = line.answer(heard, run.now_us / 1_000);
        if alive && !said.readings.is_empty() {
            if counts {
                run.intervals.push((run.now_us - last[device]) / 1_000);
            }
            last[device] = run.now_us;
        }
    }
    run.now_us -= warm;
    run
}

#[test]
fn three_dead_devices_of_32_delay_nobody_noticeably() {
    for (baud, words, period_ms) in
        [(9_600, 50, 20), (9_600, 50, 8_000), (115_200, 50, 1_000), (115_200, 125, 20)]
    {
        let site = site(baud, words, period_ms);
        let (mut all, mut some) = (run(&site, &[], 600), run(&site, &[3, 11, 27], 600));
        let (before, after) = (all.p99(), some.p99());
        assert!(after * 10 <= before * 12, "{baud} {words} {period_ms}: {before} -> {after} ms");
        assert!(some.dead_us * 20 <= some.now_us + 20_000_000, "dead took {} us", some.dead_us);
        // On a full line a probe waits as long again, with its jitter 68 s.
        assert!(some.probes >= 600 / 68 * 3, "asked again too rarely: {}", some.probes);
    }
}

#[test]
fn a_full_line_is_used_to_95_percent_and_more() {
    for (baud, words) in [(9_600, 50), (9_600, 125), (115_200, 125)] {
        let used = run(&site(baud, words, 20), &[], 120);
        let percent = used.wire_us * 100 / used.now_us;
        assert!(percent >= 95, "{baud} {words}: {percent} %");
    }
}

#[test]
fn points_that_carry_an_alarm_go_first_and_a_full_line_starves_the_others() {
    let site = site(9_600, 125, 1_000);
    let alarms: PointSet = site.mappings_of(5).iter().map(|m: &Mapping| m.point).collect();
    let timing = Timing::new(&settings(9_600));
    let scanners = (0..SLAVES).map(|index| {
        Scanner::new(site.devices[index].clone(), site.mappings_of(index), 0).with_alarms(&alarms)
    });
    let mut line = Line::new(timing, scanners.collect(), 0);
    let (mut now_us, mut asked) = (0_u64, Vec::new());
    while now_us < 60_000_000 {
        match line.next(now_us / 1_000) {
            Turn::Sleep(until) => now_us = until * 1_000,
            Turn::Obey(_) => unreachable!(),
            Turn::Ask { device, request, .. } => {
                asked.push((now_us / 1_000, device));
                let busy_us = timing.exchange_us(request) + TURNAROUND_US;
                now_us += busy_us;
                let words = Payload::Words(vec![1; request.count.into()]);
                let (outcome, turnaround_us) = (Outcome::Data(words), Some(TURNAROUND_US));
                let heard = Heard { outcome, fault: None, turnaround_us, busy_us, orphans: 0 };
                line.answer(heard, now_us / 1_000);
            }
        }
    }
    let mine: Vec<u64> = asked.iter().filter(|(_, d)| *d == 5).map(|(at, _)| *at).collect();
    assert!(mine.len() >= 59, "{}", mine.len());
    let late = mine.iter().map(|at| at % 1_000).max().unwrap();
    assert!(late <= 330, "waits for one block at most, not {late} ms");
}

#[test]
fn probes_double_and_a_line_where_nobody_answers_is_opened_anew() {
    let site = site(115_200, 10, 1_000);
    let scanner =
        |index: usize| Scanner::new(site.devices[index].clone(), site.mappings_of(index), 0);
    let timing = Timing::new(&settings(115_200));
    let mut line = Line::new(timing, vec![scanner(0)], 0);
    let (mut now, mut asked) = (0, Vec::new());
    let mut reopened = 0;
    while now < 200_000 {
        match line.next(now) {
            Turn::Sleep(until) => now = until,
            Turn::Obey(_) => unreachable!(),
            Turn::Ask { .. } => {
                asked.push(now);
                now += 400;
                let (outcome, busy_us) = (Outcome::Timeout, 400_000);
                let heard =
                    Heard { outcome, fault: None, turnaround_us: None, busy_us, orphans: 0 };
                let said = line.answer(heard, now);
                assert!(!said.readings.is_empty(), "every failure says so");
                reopened += u32::from(line.wants_reopening(now));
            }
        }
    }
    let waits: Vec<u64> = asked.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(waits.iter().all(|wait| *wait < 45_000), "{waits:?}");
    assert!(waits.last().unwrap() > &25_000 && reopened >= 3, "{waits:?} {reopened}");
}

#[test]
fn the_worst_case_holds_the_period_and_every_alarm_block_once() {
    let mut site = site(9_600, 50, 1_000);
    let all: PointSet = (0..64).collect();
    let cases = worst_cases(&site, &all, &|_| 0);
    assert_eq!(cases.len(), 64);
    let block = Timing::new(&settings(9_600)).exchange_us(ReadRequest {
        function: crate::Function::Holding,
        first: 0,
        count: 50,
    });
    let least = 1_000 + (32 * (block + 100_000)) / 1_000;
    let read = cases[0].read_ms;
    assert!(cases.iter().all(|case| case.read_ms == read));
    assert!(read > least && read < least * 5 / 4, "{read}, at least {least}");
    let few = worst_cases(&site, &(0..2).collect(), &|_| 0);
    assert!(few.len() == 2 && few[0].read_ms < 3_000, "{few:?}");
    // Over TCP: the period and the patience with every request of the device.
    site.set_endpoint("s1", "h", 1);
    assert_eq!(worst_cases(&site, &(0..2).collect(), &|_| 0)[0].read_ms, 1_100);
    site.devices[0].pause_ms = 70;
    assert_eq!(worst_cases(&site, &(0..2).collect(), &|_| 0)[0].read_ms, 1_170);
    // On a line every alarm block's pause counts, and everybody's wait for it.
    let before = worst_cases(&site, &all, &|_| 0).last().unwrap().read_ms;
    site.devices.iter_mut().for_each(|device| device.pause_ms = 70);
    let after = worst_cases(&site, &all, &|_| 0).last().unwrap().read_ms;
    assert!(after - before >= 31 * 70, "{before} {after}");
}

mod dead;
mod orders;
mod share;
mod slower;
