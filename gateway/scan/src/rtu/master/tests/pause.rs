//! A slave that drops what comes sooner after its own answer, or after the opening, than it can
//! bear.

use super::*;

const BEARS: u64 = 30 * MS;

/// A line whose slave is deaf for a while.
struct Hasty {
    now: u64,
    master: Master,
    /// When the port was opened, or a byte was last on the line.
    quiet_since: u64,
}

impl Hasty {
    fn new() -> Self {
        Self { now: 0, master: Line::new(Echo::None).master, quiet_since: 0 }
    }

    fn read(&mut self, first: u16, pause_us: u64) -> Outcome {
        let request = ask(first, 1);
        let asked = Asked { unit: 1, request: request.into(), patience_us: PATIENCE, pause_us };
        self.master.ask(asked, self.now);
        let mut coming: Option<(u64, Vec<u8>)> = None;
        loop {
            match self.master.step(self.now) {
                Move::Done(done) => return done.outcome,
                Move::Send(frame) => {
                    let [_, _, a, b, c, d, _, _] = frame;
                    let sent = ask(u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
                    let hears = self.now >= self.quiet_since + BEARS;
                    self.master.sent(self.now);
                    coming = hears.then(|| (self.now + 5 * MS, answer(1, sent)));
                }
                Move::Listen(until) => match coming.take_if(|(at, _)| *at <= until) {
                    Some((at, bytes)) => {
                        (self.now, self.quiet_since) = (at, at);
                        self.master.heard(&bytes, at);
                    }
                    None => self.now = until,
                },
            }
        }
    }
}

#[test]
fn a_slave_that_needs_a_pause_gets_it_and_answers_every_question() {
    let answered = |pause_us| {
        let mut line = Hasty::new();
        (0..100).filter(|first| line.read(*first, pause_us) == data(*first)).count()
    };
    assert!(answered(0) < 60, "without a pause it drops questions");
    assert_eq!(answered(BEARS), 100);
}

#[test]
fn an_opening_is_followed_by_the_pause_too() {
    let mut line = Hasty::new();
    assert_eq!(line.read(7, BEARS), data(7));
    line.now += 10_000 * MS;
    line.master.lost(Outcome::Lost, line.now);
    line.now += 5_000 * MS;
    line.master.ask(
        Asked { unit: 1, request: ask(8, 1).into(), patience_us: PATIENCE, pause_us: BEARS },
        line.now,
    );
    assert!(matches!(line.master.step(line.now), Move::Send(_)), "the shell opens now");
    line.master.opened(line.now);
    let Move::Listen(until) = line.master.step(line.now) else { panic!("no pause") };
    assert_eq!(until, line.now + BEARS);
    assert!(matches!(line.master.step(until), Move::Send(_)));
}

/// Silence of a hundredth of a second never lasts for a pause of three: the question ends, and is
/// not put off for ever.
#[test]
fn a_line_that_never_rests_so_long_is_noise_in_time() {
    let mut line = Hasty::new();
    let asked =
        Asked { unit: 1, request: ask(7, 1).into(), patience_us: PATIENCE, pause_us: BEARS };
    line.master.ask(asked, 0);
    let end = loop {
        assert!(line.now < 10_000 * MS, "it waits for ever");
        match line.master.step(line.now) {
            Move::Done(done) => break done,
            Move::Send(_) => panic!("asked into the noise at {}", line.now),
            Move::Listen(until) => {
                line.now = until.min(line.now + 10 * MS);
                line.master.heard(&[0x55], line.now);
            }
        }
    };
    assert_eq!(end.fault, Some(RtuFault::Noise));
    assert!(line.now <= PATIENCE + BEARS + 60 * MS, "{}", line.now);
}
