//! Orders among reads, to a slave whose answers come late, twice, cut, damaged, or not at all. What
//! the slave really did is written down, and everything that the master believes is held against it.

use super::*;
use crate::pdu::Question;

const COILS: u16 = 3;

/// SplitMix64.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    fn byte(&mut self) -> u8 {
        self.below(256).to_le_bytes()[0]
    }
}

/// What a slave does: one thing after the other.
struct Slave {
    chance: Chance,
    /// Of a hundred answers so many are spoilt.
    spoilt: u64,
    /// (when, coil, state), in order.
    done: Vec<(u64, u16, bool)>,
    /// (when, what it says), in order.
    coming: VecDeque<(u64, Vec<u8>)>,
    free: u64,
    /// Orders do not reach it.
    deaf: bool,
}

impl Slave {
    fn new(seed: u64, spoilt: u64) -> Self {
        let (done, coming) = (Vec::new(), VecDeque::new());
        Self { chance: Chance(seed), spoilt, done, coming, free: 0, deaf: false }
    }

    fn state(&self, coil: u16, at: u64) -> bool {
        let of = |(when, its, _): &&(u64, u16, bool)| *when <= at && *its == coil;
        self.done.iter().rfind(of).is_some_and(|(.., on)| *on)
    }

    /// The states that a coil had in this time.
    fn had(&self, coil: u16, (from, to): (u64, u64), state: bool) -> bool {
        let within = |(when, its, on): &(u64, u16, bool)| {
            *its == coil && *on == state && (from..=to).contains(when)
        };
        self.state(coil, from) == state || self.done.iter().any(within)
    }

    fn answer(&self, frame: [u8; REQUEST_BYTES], at: u64) -> Vec<u8> {
        let [unit, function, a, b, c, d, ..] = frame;
        let (first, count) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        if function == 5 {
            return frame.to_vec();
        }
        if function == 3 {
            return answer(unit, ask(first, count));
        }
        let mut bytes = vec![unit, 1, u8::try_from(count.div_ceil(8)).unwrap()];
        let bit = |k: u16| u8::from(k < count && self.state(first.wrapping_add(k), at)) << (k % 8);
        bytes.extend(
            (0..count.div_ceil(8)).map(|byte| (byte * 8..byte * 8 + 8).map(bit).sum::<u8>()),
        );
        sealed(bytes)
    }

    fn take(&mut self, frame: [u8; REQUEST_BYTES], now: u64) {
        assert_eq!(crc16(&frame), 0);
        let kind = self.chance.below(100);
        // Nine ways to spoil an answer, and none.
        let kind = if kind < self.spoilt { kind % 9 } else { 99 };
        if kind == 0 || self.deaf && frame[1] == 5 {
            return; // It never came.
        }
        let turnaround = match kind == 1 {
            true => self.chance.below(4_000),
            false => 2 + self.chance.below(20),
        };
        let began = self.free.max(now);
        self.free = began + turnaround * MS;
        if kind == 2 {
            let refusal = sealed(vec![frame[0], frame[1] | 0x80, 4]);
            return self.coming.push_back((self.free, refusal));
        }
        let [_, function, a, b, on, ..] = frame;
        if function == 5 {
            // A slow module acts late; behind a slow converter it has acted long before.
            let at = if self.chance.below(2) == 0 { began } else { self.free };
            self.done.push((at, u16::from_be_bytes([a, b]), on == 0xff));
        }
        let mut bytes = self.answer(frame, self.free);
        match kind {
            3 => bytes.truncate(1 + usize::try_from(self.chance.below(7)).unwrap()),
            4 => bytes[1] ^= 1 + self.chance.below(255).to_le_bytes()[0],
            5 => bytes.insert(0, self.chance.byte()),
            6 => {
                self.coming.push_back((self.free, bytes.clone()));
                self.free += self.chance.below(80) * MS;
            }
            7 => return, // Done, and not said.
            8 => bytes.push(self.chance.byte()),
            _ => {}
        }
        self.coming.push_back((self.free, bytes));
    }
}

struct Bench {
    now: u64,
    master: Master,
    slave: Slave,
}

impl Bench {
    fn new(seed: u64, spoilt: u64, echo: Echo) -> Self {
        let settings =
            SerialSettings { baud: 115_200, parity: Parity::None, stop_bits: StopBits::One };
        let master = Master::new(Timing::new(&settings), echo, 0);
        Self { now: 0, master, slave: Slave::new(seed, spoilt) }
    }

    fn ask(&mut self, request: Question) -> Done {
        let asked = Asked { unit: 1, request, patience_us: PATIENCE, pause_us: 0 };
        self.master.ask(asked, self.now);
        loop {
            match self.master.step(self.now) {
                Move::Done(done) => return done,
                Move::Send(frame) => {
                    self.master.sent(self.now);
                    self.slave.take(frame, self.now);
                }
                Move::Listen(until) => match self.slave.coming.front() {
                    Some((at, _)) if *at <= until => {
                        let (at, bytes) = self.slave.coming.pop_front().unwrap();
                        self.now = self.now.max(at);
                        self.master.heard(&bytes, self.now);
                    }
                    Some(_) | None => self.now = until,
                },
            }
        }
    }

    /// Asks, and holds what is believed against what the slave did. True where it is believed.
    fn checked(&mut self, question: Question) -> bool {
        let began = self.now;
        let Outcome::Data(payload) = self.ask(question).outcome else { return false };
        match (question, payload) {
            (Question::SetCoil { coil, on }, Payload::Bits(bits)) => {
                assert_eq!(bits, [on]);
                let is = self.slave.state(coil, self.now);
                assert_eq!(is, on, "confirmed, and not done: coil {coil} at {}", self.now);
            }
            (Question::Read(read), Payload::Bits(bits)) => {
                assert_eq!(bits.len(), usize::from(read.count));
                for (coil, bit) in (read.first..).zip(bits) {
                    let had = self.slave.had(coil, (began, self.now), bit);
                    assert!(had, "coil {coil} was never {bit} from {began} to {}", self.now);
                }
            }
            (Question::Read(read), Payload::Words(words)) => {
                let right: Vec<u16> = (read.first..read.first + read.count).collect();
                assert_eq!(words, right, "at {}", self.now);
            }
            (Question::SetCoil { .. }, Payload::Words(words)) => panic!("{words:?}"),
        }
        true
    }
}

fn coils(first: u16, count: u16) -> Question {
    Question::Read(ReadRequest { function: Function::Coil, first, count })
}

#[test]
fn no_order_is_believed_that_was_not_done_and_no_value_is_wrong_whatever_the_slave_does() {
    let (mut orders, mut reads) = ((0, 0), (0, 0));
    for seed in 0..60 {
        let mut bench = Bench::new(seed, 5 + seed % 4 * 15, Echo::None);
        let mut chance = Chance(!seed);
        for _ in 0..400 {
            bench.now += chance.below(3) * chance.below(400) * MS;
            let coil = u16::try_from(chance.below(COILS.into())).unwrap();
            let (question, count) = match chance.below(10) {
                0..=3 => (Question::SetCoil { coil, on: chance.below(2) == 1 }, &mut orders),
                4 | 5 => (coils(coil, 1), &mut reads),
                6 => (coils(0, COILS), &mut reads),
                k => (ask(100 * coil, 1 + u16::try_from(k % 2).unwrap()).into(), &mut reads),
            };
            count.0 += 1;
            count.1 += usize::from(bench.checked(question));
        }
        // It recovers.
        bench.slave.spoilt = 0;
        bench.now += 20_000 * MS;
        let on = Question::SetCoil { coil: 0, on: seed % 2 == 0 };
        assert!((0..3).any(|_| bench.checked(on)), "seed {seed}");
        assert!((0..3).any(|_| bench.checked(coils(0, 1))), "seed {seed}");
    }
    assert!(orders.1 * 2 > orders.0 && reads.1 * 2 > reads.0, "{orders:?} {reads:?}");
}

/// On, and no answer; off, and no answer; on again, which the slave never hears. The answer to the
/// first comes now.
#[test]
fn a_late_answer_to_an_order_confirms_no_later_one() {
    for late in (405..3_000).step_by(45) {
        let mut bench = Bench::new(1, 0, Echo::None);
        assert!(bench.checked(ask(0, 1).into()));
        let order = |on| Question::SetCoil { coil: 2, on };
        bench.slave.deaf = true;
        let began = bench.now;
        for on in [true, false] {
            // It does as it is told, behind a converter that keeps the answers.
            bench.slave.done.push((bench.now, 2, on));
            let said = bench.ask(order(on)).outcome;
            assert!(matches!(said, Outcome::Timeout | Outcome::BadFrame), "{late}: {said:?}");
            let at = (began + late * MS).max(bench.now) + u64::from(!on) * 100 * MS;
            bench.slave.coming.push_back((at, request_frame(1, order(on)).to_vec()));
            bench.slave.free = at;
        }
        for _ in 0..3 {
            bench.checked(order(true));
        }
        bench.slave.deaf = false;
        bench.now += 10_000 * MS;
        assert!((0..2).any(|_| bench.checked(order(true))) && bench.checked(coils(2, 1)), "{late}");
    }
}

#[test]
fn a_repeated_order_is_told_from_the_echo_where_the_adapter_gives_back_what_is_sent() {
    let order = Question::SetCoil { coil: 1, on: true };
    let own = request_frame(1, order).to_vec();
    let ask = |line: &mut Line| {
        let asked = Asked { unit: 1, request: order, patience_us: PATIENCE, pause_us: 0 };
        line.master.ask(asked, line.now);
        loop {
            match line.master.step(line.now) {
                Move::Done(done) => return done,
                Move::Send(_) => line.master.sent(line.now),
                Move::Listen(until) => match line.coming.pop_front() {
                    Some((_, bytes)) => {
                        line.now += 2 * MS;
                        line.master.heard(&bytes, line.now);
                    }
                    None => line.now = until,
                },
            }
        }
    };
    let mut line = Line::new(Echo::Own);
    line.now = 100 * MS;
    line.coming.extend([(0, own.clone())]);
    assert_eq!(ask(&mut line).outcome, Outcome::Timeout, "the echo is no answer");
    let mut line = Line::new(Echo::Own);
    line.now = 100 * MS;
    line.coming.extend([(0, own.clone()), (0, own.clone())]);
    assert_eq!(ask(&mut line).outcome, Outcome::Data(Payload::Bits(vec![true])));
    // Where the echo is not known of, it is taken for the answer; the read-back is not.
    let mut line = Line::new(Echo::None);
    line.now = 100 * MS;
    line.coming.extend([(0, own)]);
    assert_eq!(ask(&mut line).outcome, Outcome::Data(Payload::Bits(vec![true])));
    line.now += 100 * MS;
    let echoed = line.read(super::ask(1, 1), &|sent| vec![(1, request_frame(1, sent).to_vec())]);
    assert_eq!(echoed.fault, Some(RtuFault::Echo));
}
