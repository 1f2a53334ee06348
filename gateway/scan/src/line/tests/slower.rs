//! A slave that suddenly takes longer, on a line with its real master: its late answers come while
//! others are asked, or while it is asked again.

use super::*;
use crate::rtu::{Asked, Echo, Master, Move, crc16};
use fengsui_telemetry::Reading;
use std::collections::VecDeque;

const SLOW: usize = 7;
/// When it becomes slow, µs: patience has been learnt.
const THEN_US: u64 = 120_000_000;

/// One slave does one thing after the other, and forgets nothing.
#[derive(Default)]
struct Wires {
    coming: VecDeque<(u64, Vec<u8>)>,
}

impl Wires {
    fn hear(&mut self, frame: &[u8], sent: u64, took_us: u64) {
        let [unit, function, _, _, _, count, ..] = *frame else { panic!("a request") };
        let free = self.coming.iter().filter(|(_, said)| said.first() == Some(&unit));
        let free = free.map(|(at, _)| *at).max().unwrap_or(0).max(sent);
        let mut reply = vec![unit, function, count * 2];
        reply.extend((0..count).flat_map(|_| [0, 1]));
        reply.extend(crc16(&reply).to_le_bytes());
        let at = free + took_us;
        self.coming.push_back((at, reply));
        self.coming.make_contiguous().sort();
    }

    /// What comes first until then.
    fn until(&mut self, until: u64) -> Option<(u64, Vec<u8>)> {
        self.coming.front().is_some_and(|(at, _)| *at <= until).then(|| self.coming.pop_front())?
    }
}

struct Bench {
    line: Line,
    master: Master,
    wires: Wires,
    now: u64,
}

impl Bench {
    fn new(site: &Site) -> Self {
        let timing = Timing::new(&site.buses[0].settings);
        let scanner =
            |index: usize| Scanner::new(site.devices[index].clone(), site.mappings_of(index), 0);
        let line = Line::new(timing, (0..SLAVES).map(scanner).collect(), 0);
        Self { line, master: Master::new(timing, Echo::None, 0), wires: Wires::default(), now: 0 }
    }

    fn listen(&mut self, until: u64) {
        match self.wires.until(until) {
            Some((at, bytes)) => {
                self.now = self.now.max(at);
                self.master.heard(&bytes, self.now);
            }
            None => self.now = self.now.max(until),
        }
    }

    /// One turn; the device and what it said.
    fn turn(&mut self, turnaround_us: &dyn Fn(usize) -> u64) -> Option<(usize, Vec<Reading>)> {
        let (device, request, asked) = match self.line.next(self.now / 1_000) {
            Turn::Obey(_) => unreachable!(),
            Turn::Sleep(until) => {
                self.listen(self.now.max(until * 1_000));
                return None;
            }
            Turn::Ask { device, unit, request, patience_us } => {
                (device, request, Asked { unit, request: request.into(), patience_us, pause_us: 0 })
            }
        };
        let began = self.now;
        self.master.ask(asked, self.now);
        let done = loop {
            match self.master.step(self.now) {
                Move::Done(done) => break done,
                Move::Listen(until) => self.listen(until),
                Move::Send(frame) => {
                    self.master.sent(self.now);
                    let sent = self.now + self.master.timing().request_us();
                    let [_, _, _, _, _, count, ..] = frame;
                    let request = ReadRequest { count: count.into(), ..request };
                    let reply_us = self.master.timing().reply_us(request);
                    self.wires.hear(&frame, sent, turnaround_us(device) + reply_us);
                }
            }
        };
        let quiet_by = self.master.free_at(self.now);
        while let Some(until) = self.master.free_at(self.now)
            && quiet_by.is_some_and(|by| self.now < by)
        {
            self.listen(until);
        }
        let heard = Heard {
            outcome: done.outcome,
            fault: done.fault,
            turnaround_us: done.turnaround_us,
            busy_us: self.now - began,
            orphans: done.orphans,
        };
        let answer = self.line.answer(heard, self.now / 1_000);
        Some((device, answer.readings.into_iter().map(|(_, reading)| reading).collect()))
    }
}

/// How long after it became slow its points were bad for the last time, ms, and the longest pause between two good
/// scans of another, before and after.
fn slows_down(site: &Site, (usual_us, slow_us): (u64, u64)) -> (u64, u64, u64) {
    let mut bench = Bench::new(site);
    let (mut last_bad, mut last_good) = (0, 0);
    let (mut last, mut pauses) = ([0; SLAVES], [0, 0]);
    while bench.now < THEN_US + 120_000_000 {
        let slow = if bench.now < THEN_US { usual_us } else { slow_us };
        let took = |device| if device == SLOW { slow } else { TURNAROUND_US };
        let Some((device, readings)) = bench.turn(&took) else { continue };
        let now = bench.now;
        let good = readings.iter().any(|reading| !reading.is_bad());
        if device == SLOW && readings.iter().any(|reading| reading.is_bad()) {
            last_bad = now;
        }
        if good && device == SLOW {
            last_good = now;
        }
        if good && device != SLOW && now > THEN_US / 2 {
            let pause: &mut u64 = &mut pauses[usize::from(now > THEN_US)];
            *pause = (*pause).max((now - last[device]) / 1_000);
        }
        last[device] = now;
    }
    if bench.now - last_good > 20_000_000 {
        return (u64::MAX, pauses[0], pauses[1]);
    }
    (last_bad.saturating_sub(THEN_US) / 1_000, pauses[0], pauses[1])
}

#[test]
fn a_slave_that_becomes_slower_is_good_again_within_seconds() {
    for (baud, period_ms) in [(9_600, 8_000), (115_200, 1_000), (115_200, 3_000)] {
        let site = patient_site(baud, 10, period_ms, 1_000);
        for (usual, slow) in
            [(5, 40), (5, 150), (30, 95), (30, 200), (30, 300), (50, 600), (5, 900)]
        {
            let what = format!("{baud} baud, {period_ms} ms, {usual} -> {slow} ms");
            let (bad_ms, before, after) = slows_down(&site, (usual * 1_000, slow * 1_000));
            assert!(bad_ms < 2_000, "{what}: not good for {bad_ms} ms");
            // Once: two of its questions end late, each waited for up to twice its timeout.
            assert!(after < before + 4 * 1_000, "{what}: another waits {before} -> {after} ms");
        }
    }
}
