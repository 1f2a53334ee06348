//! Stories of one line: bytes and times are moved by hand.

use super::*;
use crate::pdu::{Payload, ReadRequest};
use crate::register::Function;
use std::collections::VecDeque;

use crate::rtu::{Parity, SerialSettings, StopBits, crc16};

const MS: u64 = 1_000;
const PATIENCE: u64 = 200 * MS;

fn ask(first: u16, count: u16) -> ReadRequest {
    ReadRequest { function: Function::Holding, first, count }
}

fn data(word: u16) -> Outcome {
    Outcome::Data(Payload::Words(vec![word]))
}

/// The answer of a slave whose registers hold their own address.
fn answer(unit: u8, request: ReadRequest) -> Vec<u8> {
    let mut bytes = vec![unit, 3, u8::try_from(request.count * 2).unwrap()];
    bytes.extend((request.first..request.first + request.count).flat_map(u16::to_be_bytes));
    sealed(bytes)
}

fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.extend(crc16(&bytes).to_le_bytes());
    bytes
}

/// What a slave says to a request: how long after it is free, ms, and which bytes.
type Slave<'a> = &'a dyn Fn(ReadRequest) -> Vec<(u64, Vec<u8>)>;

struct Line {
    now: u64,
    master: Master,
    asked: Vec<ReadRequest>,
    /// What the slave is going to say, in order: it does one thing after the other.
    coming: VecDeque<(u64, Vec<u8>)>,
}

impl Line {
    fn new(echo: Echo) -> Self {
        let settings =
            SerialSettings { baud: 115_200, parity: Parity::None, stop_bits: StopBits::One };
        let master = Master::new(Timing::new(&settings), echo, 0);
        Self { now: 0, master, asked: Vec::new(), coming: VecDeque::new() }
    }

    fn read(&mut self, request: ReadRequest, slave: Slave<'_>) -> Done {
        let asked = Asked { unit: 1, request: request.into(), patience_us: PATIENCE, pause_us: 0 };
        self.master.ask(asked, self.now);
        loop {
            match self.master.step(self.now) {
                Move::Done(done) => return done,
                Move::Send(frame) => {
                    let [_, _, a, b, c, d, _, _] = frame;
                    let sent = ask(u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
                    assert_eq!(request_frame(1, sent), frame);
                    self.asked.push(sent);
                    self.master.sent(self.now);
                    let free = self.coming.back().map_or(self.now, |(at, _)| self.now.max(*at));
                    let said = slave(sent).into_iter().map(|(ms, bytes)| (free + ms * MS, bytes));
                    self.coming.extend(said);
                }
                Move::Listen(until) => {
                    assert!(until > self.now, "would spin");
                    match self.coming.front() {
                        Some((at, _)) if *at <= until => {
                            let (at, bytes) = self.coming.pop_front().unwrap();
                            self.now = self.now.max(at);
                            self.master.heard(&bytes, self.now);
                        }
                        Some(_) | None => self.now = until,
                    }
                }
            }
        }
    }

    fn good(&mut self, request: ReadRequest) {
        let done = self.read(request, &|sent| vec![(10, answer(1, sent))]);
        let words = (request.first..request.first + request.count).collect();
        assert_eq!(done.outcome, Outcome::Data(Payload::Words(words)), "{:?}", self.asked);
    }
}

#[test]
fn only_the_exact_answer_becomes_data_and_the_next_question_is_answered_right() {
    let request = ask(100, 2);
    let good = answer(1, request);
    let mut damaged = good.clone();
    damaged[4] ^= 1;
    let own = request_frame(1, request).to_vec();
    let cases: Vec<(Vec<u8>, Outcome, Option<RtuFault>)> = vec![
        (vec![], Outcome::Timeout, None),
        (good[..6].to_vec(), Outcome::BadFrame, Some(RtuFault::Short { got: 6 })),
        (damaged, Outcome::BadFrame, Some(RtuFault::Crc)),
        (answer(2, request), Outcome::BadFrame, Some(RtuFault::Unit { asked: 1, got: 2 })),
        ([good.clone(), vec![0]].concat(), Outcome::BadFrame, Some(RtuFault::Long)),
        ([good.clone(), good.clone()].concat(), Outcome::BadFrame, Some(RtuFault::Long)),
        (own, Outcome::BadFrame, Some(RtuFault::Echo)),
        (sealed(vec![1, 0x83, 2]), Outcome::Exception(2), None),
    ];
    for (bytes, outcome, fault) in cases {
        let mut line = Line::new(Echo::None);
        let done = line.read(request, &|_| vec![(10, bytes.clone())]);
        assert_eq!((done.outcome, done.fault), (outcome, fault), "{bytes:?}");
        line.good(ask(300, 2));
        line.good(ask(500, 2));
    }
    for wrong in [answer(1, ask(100, 1)), answer(1, ask(100, 3)), sealed(vec![1, 4, 4, 0, 0, 0, 0])]
    {
        let mut line = Line::new(Echo::None);
        let done = line.read(request, &|_| vec![(10, wrong.clone())]);
        assert_eq!(done.outcome, Outcome::BadFrame, "{wrong:?}");
        line.good(request);
    }
}

#[test]
fn bytes_may_come_in_pieces_but_not_behind_the_answer() {
    let request = ask(7, 3);
    let bytes = answer(1, request);
    let mut line = Line::new(Echo::None);
    let pieces = || bytes.iter().enumerate().map(|(k, b)| (10 + 16 * k as u64, vec![*b])).collect();
    let done = line.read(request, &|_| pieces());
    assert_eq!(done.outcome, Outcome::Data(Payload::Words(vec![7, 8, 9])));
    let late = |_| vec![(10, bytes.clone()), (11, vec![9])];
    assert_eq!(line.read(request, &late).fault, Some(RtuFault::Long));
}

#[test]
fn a_late_answer_is_an_orphan_and_never_the_answer_to_the_next_question() {
    for late in (200..5_000).step_by(50) {
        for pause in [0, 20, 200, 1_000] {
            let mut line = Line::new(Echo::None);
            let first = line.read(ask(100, 1), &|sent| vec![(late, answer(1, sent))]);
            assert_eq!(first.outcome, if late < 210 { data(100) } else { Outcome::Timeout });
            for k in 2..30_u16 {
                line.now += pause * MS;
                let said = line.read(ask(k * 100, 1), &|sent| vec![(10, answer(1, sent))]);
                let right = said.outcome == data(k * 100);
                let bad = matches!(said.outcome, Outcome::Timeout | Outcome::BadFrame);
                assert!(right || bad, "late by {late}, pause {pause}: {:?}", said.outcome);
            }
            line.good(ask(100, 1));
        }
    }
}

#[test]
fn after_a_timeout_the_line_is_left_alone_until_the_answer_can_no_longer_come() {
    let mut line = Line::new(Echo::None);
    line.read(ask(0, 1), &|_| Vec::new());
    let failed = line.now;
    line.good(ask(0, 1));
    assert_eq!(line.asked[1..], [ask(0, 2), ask(0, 1)], "another length before the same again");
    assert!(line.now - failed >= PATIENCE, "{}", line.now - failed);
    // An owed answer that comes ends the wait.
    let late = line.read(ask(0, 1), &|sent| vec![(250, answer(1, sent))]);
    assert_eq!(late.outcome, Outcome::Timeout);
    let failed = line.now;
    line.asked.clear();
    line.good(ask(0, 1));
    assert_eq!(line.asked, [ask(0, 1)]);
    assert!(line.now - failed < PATIENCE, "{}", line.now - failed);
}

/// A slave that has become slow: its late answer comes while it is asked again, and the answer to
/// that behind it, later than it would be waited for.
#[test]
fn the_late_answer_of_a_slow_slave_is_taken_off_and_its_next_one_awaited() {
    for (echo, in_pieces) in
        [(Echo::None, false), (Echo::None, true), (Echo::Own, false), (Echo::Own, true)]
    {
        let mut line = Line::new(echo);
        let own = |sent| match echo {
            Echo::None => Vec::new(),
            Echo::Own => vec![(0, request_frame(1, sent).to_vec())],
        };
        assert_eq!(line.read(ask(7, 1), &own).outcome, Outcome::Timeout);
        let late = answer(1, ask(7, 1));
        let late: Vec<_> = match in_pieces {
            false => vec![(150, late)],
            true => (150..).zip(late.iter().map(|byte| vec![*byte])).collect(),
        };
        let slow = |sent| match sent == ask(7, 2) {
            true => [own(sent), late.clone(), vec![(300, answer(1, sent))]].concat(),
            false => [own(sent), vec![(20, answer(1, sent))]].concat(),
        };
        let done = line.read(ask(7, 1), &slow);
        assert_eq!((done.outcome, done.orphans), (data(7), 1), "{echo:?} {in_pieces}");
        assert_eq!(line.asked, [ask(7, 1), ask(7, 2), ask(7, 1)]);
    }
}

/// A refusal looks the same whatever was asked: it ends the question that is awaited, whose own
/// answer is then still to come.
#[test]
fn after_a_late_refusal_the_answer_it_was_taken_for_is_still_owed() {
    let refusal = || sealed(vec![1, 0x83, 2]);
    let slow = |sent| match sent == ask(7, 1) {
        true => vec![(450, refusal())],
        false => vec![(100, answer(1, sent))],
    };
    let mut line = Line::new(Echo::None);
    assert_eq!(line.read(ask(7, 1), &slow).outcome, Outcome::Timeout);
    assert_eq!(line.read(ask(9, 2), &slow).outcome, Outcome::Exception(2));
    for first in [20, 30, 40] {
        let words = Outcome::Data(Payload::Words(vec![first, first + 1]));
        let said = line.read(ask(first, 2), &slow).outcome;
        assert!(said == words || !matches!(said, Outcome::Data(_)), "{first}: {said:?}");
    }
    line.good(ask(50, 2));
}

#[test]
fn a_late_answer_that_comes_twice_is_taken_off_once() {
    let mut line = Line::new(Echo::None);
    let twice = |sent| vec![(450, answer(1, sent)), (452, answer(1, sent))];
    assert_eq!(line.read(ask(7, 1), &twice).outcome, Outcome::Timeout);
    let usual = |sent| vec![(20, answer(1, sent))];
    assert_eq!(line.read(ask(9, 1), &usual).outcome, Outcome::BadFrame);
    line.good(ask(9, 1));
}

#[test]
fn an_answer_that_comes_twice_is_not_taken_for_the_next() {
    let mut line = Line::new(Echo::None);
    line.good(ask(100, 2));
    let twice = answer(1, ask(100, 2));
    let said = line.read(ask(200, 2), &|sent| {
        if sent == ask(200, 2) { vec![(5, twice.clone())] } else { vec![(10, answer(1, sent))] }
    });
    // Asked again behind another length, it is believed: two blocks may hold the same.
    assert_eq!(said.outcome, Outcome::Data(Payload::Words(vec![100, 101])));
    assert_eq!(line.asked[1..], [ask(200, 2), ask(200, 1), ask(200, 2)]);
    line.asked.clear();
    let said = line.read(ask(300, 2), &|sent| vec![(5, twice.clone()), (12, answer(1, sent))]);
    assert_eq!(said.outcome, Outcome::BadFrame);
    line.good(ask(300, 2));
}

#[test]
fn an_expected_echo_is_taken_off_and_a_damaged_one_is_a_collision() {
    let request = ask(100, 2);
    let own = request_frame(1, request).to_vec();
    let mut line = Line::new(Echo::Own);
    let both = [own.clone(), answer(1, request)].concat();
    let done = line.read(request, &|_| vec![(1, own.clone()), (150, answer(1, request))]);
    assert_eq!(done.outcome, Outcome::Data(Payload::Words(vec![100, 101])));
    let done = line.read(request, &|_| vec![(1, both.clone())]);
    assert_eq!(done.outcome, Outcome::Data(Payload::Words(vec![100, 101])));
    let done = line.read(request, &|_| vec![(1, own.clone())]);
    assert_eq!((done.outcome, done.fault), (Outcome::Timeout, None));
    let mut line = Line::new(Echo::Own);
    let done = line.read(request, &|_| vec![(1, vec![1, 3, 9])]);
    assert_eq!(done.fault, Some(RtuFault::Collision));
}

#[test]
fn a_slave_that_never_answers_another_length_is_not_lost_for_ever() {
    let mut line = Line::new(Echo::None);
    let only = ask(100, 1);
    line.read(only, &|_| Vec::new());
    let slave = |sent| if sent == only { vec![(10, answer(1, sent))] } else { Vec::new() };
    for _ in 0..4 {
        line.now += 4_000 * MS;
        if let Outcome::Data(_) = line.read(only, &slave).outcome {
            return;
        }
    }
    panic!("never asked again: {:?}", line.asked);
}

#[test]
fn an_answer_that_comes_twice_during_quarantine_settles_nothing() {
    let mut line = Line::new(Echo::None);
    line.good(ask(100, 2));
    let done = line.read(ask(300, 2), &|_| Vec::new());
    assert_eq!(done.outcome, Outcome::Timeout);
    line.coming.push_back((line.now + 10 * MS, answer(1, ask(100, 2))));
    line.asked.clear();
    line.good(ask(100, 2));
    assert_ne!(line.asked[0], ask(100, 2), "the answer to 300 is still owed");
}

/// The line under another configuration (its master knows), or under a program that was started
/// again (nobody knows), while an answer to the one before is still to come.
#[test]
fn whoever_asks_next_on_a_line_believes_no_answer_to_what_was_asked_before() {
    for late in (210..6_000).step_by(70) {
        for knows in [true, false] {
            let mut line = Line::new(Echo::None);
            line.good(ask(100, 1));
            let owed = line.read(ask(300, 1), &|sent| vec![(late, answer(1, sent))]);
            assert_eq!(owed.outcome, Outcome::Timeout);
            let next = Master::new(*line.master.timing(), Echo::None, line.now);
            line.master = match knows {
                true => next.succeeding(line.master.clone()),
                false => next.strange(PATIENCE),
            };
            let mut good = 0;
            for first in [100, 200, 300].into_iter().cycle().take(60) {
                let done = line.read(ask(first, 1), &|sent| vec![(10, answer(1, sent))]);
                if let Outcome::Data(payload) = done.outcome {
                    assert_eq!(payload, Payload::Words(vec![first]), "{late} ms late, {knows}");
                    good += 1;
                }
            }
            assert!(good >= 30, "{late} ms late, {knows}: {good} of 60");
        }
    }
}

/// Noise, or a second master that never ends: one byte every `gap_ms` from now on.
fn babbling(line: &mut Line, gap_ms: u64) {
    let from = line.now;
    line.master.heard(&[0x55], from);
    line.coming = (1..2_000).map(|k| (from + k * gap_ms * MS, vec![0x55])).collect();
}

#[test]
fn a_line_that_is_never_quiet_ends_every_question_in_time_and_is_not_asked() {
    for gap_ms in [1, 20, 45] {
        let mut line = Line::new(Echo::None);
        line.good(ask(0, 1));
        line.asked.clear();
        babbling(&mut line, gap_ms);
        for _ in 0..5 {
            let began = line.now;
            let done = line.read(ask(0, 1), &|_| Vec::new());
            assert_eq!((done.outcome, done.fault), (Outcome::BadFrame, Some(RtuFault::Noise)));
            let waited = line.now - began;
            assert!(waited <= PATIENCE + 2 * SILENCE_US, "{gap_ms} ms: {waited} us");
        }
        assert_eq!(line.asked, [], "nobody asks into noise");
        assert!(line.master.free_at(line.now).is_some(), "the line is still left alone");
        line.coming.clear();
        line.good(ask(0, 1));
    }
}

#[test]
fn what_is_owed_stays_owed_through_noise_and_through_a_question_that_is_withdrawn() {
    for gap_ms in [5, 20, 45] {
        let mut line = Line::new(Echo::None);
        assert_eq!(line.read(ask(100, 1), &|_| Vec::new()).outcome, Outcome::Timeout);
        line.asked.clear();
        babbling(&mut line, gap_ms);
        assert_eq!(line.read(ask(300, 1), &|_| Vec::new()).fault, Some(RtuFault::Noise));
        let request = ask(300, 1).into();
        line.master.ask(Asked { unit: 1, request, patience_us: PATIENCE, pause_us: 0 }, line.now);
        assert!(matches!(line.master.step(line.now), Move::Listen(_)));
        assert!(!line.master.is_asking());
        line.master.withdraw();
        line.coming.clear();
        line.good(ask(300, 1));
        assert_eq!(line.asked, [ask(300, 2), ask(300, 1)], "an answer of one word is still owed");
    }
}

mod orders;
mod pause;
