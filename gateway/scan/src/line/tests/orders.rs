//! Orders on a line that is full, dead or at rest.

use super::*;
use crate::pdu::Question;

const UNIT: u8 = 200;

/// A line in virtual time, all or none of whose points carry an alarm.
struct Bench {
    line: Line,
    timing: Timing,
    now_us: u64,
    given: u64,
    /// (when begun, unit), of orders.
    begun: Vec<(u64, u8)>,
    /// (when begun, device), of reads.
    read: Vec<(u64, usize)>,
    lives: fn(usize) -> bool,
    /// The modules answer.
    answers: bool,
}

impl Bench {
    fn new(site: &Site, alarms: bool) -> Self {
        let timing = Timing::new(&site.buses[0].settings);
        let points: PointSet = if alarms { (0..64).collect() } else { PointSet::default() };
        let scanner = |index: usize| {
            Scanner::new(site.devices[index].clone(), site.mappings_of(index), 0)
                .with_alarms(&points)
        };
        let line = Line::new(timing, (0..SLAVES).map(scanner).collect(), 0);
        let (begun, read) = (Vec::new(), Vec::new());
        Self { line, timing, now_us: 0, given: 0, begun, read, lives: |_| true, answers: true }
    }

    fn order(&mut self, unit: u8, within_ms: u64) -> bool {
        let (now, question) = (self.now_us / 1_000, Question::SetCoil { coil: 3, on: true });
        self.given += 1;
        let command = Command { id: self.given, unit, question, until: now + within_ms };
        self.line.order(command, now)
    }

    /// One turn; not beyond `end_us`.
    fn turn(&mut self, end_us: u64) {
        match self.line.next(self.now_us / 1_000) {
            Turn::Sleep(until) => self.now_us = self.now_us.max(until * 1_000).min(end_us),
            Turn::Obey(Command { unit, question, .. }) => {
                self.begun.push((self.now_us / 1_000, unit));
                let busy_us = match self.answers {
                    true => self.timing.exchange_us(question) + TURNAROUND_US,
                    false => self.timing.request_us() + 2 * COMMAND_PATIENCE_US,
                };
                self.now_us += busy_us;
                self.line.obeyed(unit, self.answers, busy_us, self.now_us / 1_000);
            }
            Turn::Ask { device, request, patience_us, .. } => {
                self.read.push((self.now_us / 1_000, device));
                let alive = (self.lives)(device);
                let took_us = if alive { TURNAROUND_US } else { 2 * patience_us };
                let busy_us = self.timing.exchange_us(request) + took_us;
                self.now_us += busy_us;
                let words = Payload::Words(vec![1; request.count.into()]);
                let outcome = if alive { Outcome::Data(words) } else { Outcome::Timeout };
                let turnaround_us = alive.then_some(TURNAROUND_US);
                let heard = Heard { outcome, fault: None, turnaround_us, busy_us, orphans: 0 };
                self.line.answer(heard, self.now_us / 1_000);
            }
        }
    }

    fn run(&mut self, seconds: u64) {
        let end_us = self.now_us + seconds * 1_000_000;
        while self.now_us < end_us {
            self.turn(end_us);
        }
    }

    /// How long an order waits that is given now, ms.
    fn waits(&mut self) -> u64 {
        let (given, before) = (self.now_us / 1_000, self.begun.len());
        assert!(self.order(UNIT, 60_000));
        while self.begun.len() == before {
            self.turn(u64::MAX);
        }
        self.begun.last().unwrap().0 - given
    }
}

#[test]
fn a_line_that_is_asked_for_more_alarm_reads_than_it_carries_still_sounds_its_horn() {
    for (baud, words) in [(9_600, 10), (9_600, 125), (115_200, 50)] {
        let mut bench = Bench::new(&site(baud, words, 20), true);
        let request = ReadRequest { function: crate::Function::Holding, first: 0, count: words };
        let block_ms = (bench.timing.exchange_us(request) + TURNAROUND_US) / 1_000 + 1;
        for pause in 0..50 {
            bench.run(1 + pause % 3);
            let waited = bench.waits();
            // The block on the wire comes on top.
            assert!(waited <= (2 * block_ms).min(500 + block_ms), "{baud} {words}: {waited} ms");
            assert!(waited > 0, "{baud} {words}: alarm reads that are due go first");
        }
    }
}

#[test]
fn an_order_goes_before_reads_without_alarm_and_before_the_dead() {
    let mut bulk = Bench::new(&site(9_600, 125, 20), false);
    let mut dead = Bench::new(&site(9_600, 10, 1_000), true);
    dead.lives = |_| false;
    // Until then they are not known to be dead.
    dead.run(120);
    for pause in 0..30 {
        for bench in [&mut bulk, &mut dead] {
            bench.run(1 + pause % 4);
            assert_eq!(bench.waits(), 0);
        }
    }
}

#[test]
fn as_many_outputs_as_a_gateway_has_on_a_silent_module_take_a_fifth_of_the_line() {
    let mut bench = Bench::new(&site(9_600, 50, 20), true);
    bench.answers = false;
    bench.run(10);
    let (reads, began) = (bench.read.len(), bench.now_us);
    bench.run(300);
    let undisturbed = bench.read.len() - reads;
    assert_eq!(bench.now_us / 1_000_000, (began / 1_000_000) + 300);
    let reads = bench.read.len();
    for _ in 0..60 {
        for unit in 0..32 {
            assert!(bench.order(100 + unit / 8, 3_000), "given up ones are dropped in time");
        }
        bench.run(5);
    }
    let disturbed = bench.read.len() - reads;
    assert!(disturbed * 100 >= undisturbed * 75, "{disturbed} reads instead of {undisturbed}");
    assert!(bench.begun.len() >= 120, "{}", bench.begun.len());
    // The module is back: whatever is ordered is done, and nobody else's order waits for it.
    bench.answers = true;
    for _ in 0..4 {
        (0..4).for_each(|unit| assert!(bench.order(100 + unit, 3_000)));
        bench.run(5);
    }
    bench.begun.clear();
    (0..32).for_each(|unit| assert!(bench.order(100 + unit / 8, 3_000)));
    bench.run(5);
    assert_eq!(bench.begun.len(), 32);
}

#[test]
fn an_order_that_was_given_up_is_never_done_and_too_many_are_not_taken() {
    let mut bench = Bench::new(&site(9_600, 125, 20), true);
    bench.run(5);
    for n in 0..=COMMANDS_MAX {
        assert_eq!(bench.order(UNIT, 10), n < COMMANDS_MAX, "{n}");
    }
    bench.now_us += 20_000;
    bench.run(5);
    assert_eq!(bench.begun, []);
    assert!(bench.order(UNIT, 3_000));
    bench.run(3);
    assert_eq!(bench.begun.len(), 1);
    assert_eq!(bench.line.orders().asked, 1);
}

#[test]
fn no_alarm_read_is_later_than_the_bound_says_while_outputs_are_driven() {
    for (baud, words, period_ms, outputs) in
        [(9_600, 50, 8_000, 4), (9_600, 10, 3_000, 8), (115_200, 125, 2_000, 2)]
    {
        let site = site(baud, words, period_ms);
        let all: PointSet = (0..64).collect();
        let bound = worst_cases(&site, &all, &|line| if line == "A" { outputs } else { 0 });
        let without = worst_cases(&site, &all, &|_| 0)[0].read_ms;
        assert!(bound[0].read_ms > without + outputs * 400, "{} {without}", bound[0].read_ms);
        for answers in [true, false] {
            let mut bench = Bench::new(&site, true);
            bench.answers = answers;
            bench.run(20);
            bench.read.clear();
            for _ in 0..60 {
                (0..2 * outputs).for_each(|_| assert!(bench.order(UNIT, 3_000)));
                bench.run(5);
            }
            for device in 0..SLAVES {
                let mine = bench.read.iter().filter(|(_, its)| *its == device);
                let at: Vec<u64> = mine.map(|(at, _)| *at).collect();
                let gap = at.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
                assert!(gap <= bound[0].read_ms, "{baud}: {gap} ms of {}", bound[0].read_ms);
            }
        }
    }
}
