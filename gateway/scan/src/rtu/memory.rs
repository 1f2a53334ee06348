//! What one slave may still send: answers that it owes, and answers that it has given.
//!
//! - A request that nobody answered, or answered wrongly, is *owed*. Until it is settled no request
//!   goes out whose answer would have the same function and length: a late answer then has another
//!   length than the one that is awaited, and length serves as the missing transaction number.
//! - Of a slave that was asked by another program before, a restarted one, anything may be owed:
//!   the first question has another length than the one that is wanted.
//! - A slave answers in order. So the answer to a later request settles all that came before.
//! - A converter may deliver an answer twice. An answer that is byte for byte that of another
//!   question of equal shape, and not this question's own last one, is *suspicious*: it is asked
//!   for again behind a request of another length.
//! - An order is repeated in the same bytes whenever it was given. So an order that is owed is given
//!   again only behind a reading of its coil, and a repeated order settles nothing.

use crate::pdu::{Question, ReadRequest, reply_data_bytes};
use crate::register::Function;

/// No answer comes so long after its question: the time-outs of converters are shorter. Only then
/// may a slave that never answers other lengths be asked the same again.
pub const OWED_US: u64 = 10_000_000;
/// Owed answers of one slave; beyond it the oldest is given up. A dead slave is asked three times
/// in ten seconds.
const OWED_MAX: usize = 16;
/// Answers remembered of one slave: more blocks than a device usually has. Beyond it all are
/// forgotten, and the next answers may be suspected once each.
const SEEN_MAX: usize = 128;

#[derive(Clone, Copy, Debug)]
struct Owed {
    request: Question,
    asked_at: u64,
}

/// What is known of one slave.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory {
    owed: Vec<Owed>,
    /// Nobody knows what was owed then.
    unsure: Option<u64>,
    seen: Vec<(Question, u64)>,
}

/// What tells answers apart.
#[derive(PartialEq, Eq)]
enum Shape {
    /// Function and bytes of data.
    Data(u8, usize),
    /// Coil and state.
    Repeat(u16, bool),
}

fn shape(question: Question) -> Shape {
    match question {
        Question::Read(request) => Shape::Data(question.code(), reply_data_bytes(request)),
        Question::SetCoil { coil, on } => Shape::Repeat(coil, on),
    }
}

impl Memory {
    /// Of a slave that may owe anything.
    pub(super) fn unsure(now: u64) -> Self {
        Self { unsure: Some(now), ..Self::default() }
    }

    /// Anything may be owed.
    fn is_unsure(&self) -> bool {
        self.unsure.is_some()
    }

    /// What is owed may look like the answer to this.
    pub(super) fn may_owe_shape_of(&self, request: Question) -> bool {
        self.unsure.is_some() || self.owes_shape_of(request)
    }

    /// No answer, or no right one, came to this.
    pub(super) fn owe(&mut self, request: Question, asked_at: u64) {
        if self.owed.len() == OWED_MAX {
            self.owed.remove(0);
        }
        self.owed.push(Owed { request, asked_at });
    }

    /// Forgets what is too old to come.
    pub(super) fn expire(&mut self, now: u64) {
        self.unsure = self.unsure.filter(|began| now.saturating_sub(*began) < OWED_US);
        self.owed.retain(|owed| now.saturating_sub(owed.asked_at) < OWED_US);
    }

    /// An owed answer looks like the answer to this.
    pub(super) fn owes_shape_of(&self, request: Question) -> bool {
        self.owed.iter().any(|owed| shape(owed.request) == shape(request))
    }

    /// Readings whose answers are owed, oldest first. Of orders nobody knows which of several equal
    /// ones is repeated.
    pub(super) fn owed(&self) -> impl Iterator<Item = Question> + '_ {
        let asked = self.owed.iter().map(|owed| owed.request);
        asked.filter(|request| matches!(request, Question::Read(_)))
    }

    /// The answer to this came late: it and what came before are settled.
    pub(super) fn came_late(&mut self, request: Question) {
        if let Some(place) = self.owed.iter().position(|owed| owed.request == request) {
            self.owed.drain(..=place);
        }
    }

    /// Data came to a request whose shape nobody owed: nothing older will come. A repeated order
    /// says nothing of what is older.
    pub(super) fn settle(&mut self, request: Question) {
        if let Question::Read(_) = request {
            self.unsure = None;
            self.owed.clear();
        }
    }

    /// A refusal has no length of its own: it settles no more than the oldest, and where anything was
    /// owed it may have been that one's, and the answer to this question is still to come.
    pub(super) fn refused(&mut self, request: Question, asked_at: u64) {
        let late = self.unsure.take().is_some() || !self.owed.is_empty();
        if !self.owed.is_empty() {
            self.owed.remove(0);
        }
        if late {
            self.owe(request, asked_at);
        }
    }

    /// A request at the same place whose answer looks like none that is owed and not like that of
    /// `request`. Of an order: a reading of its coil, of another length than its read-back has where
    /// nobody knows what is owed.
    pub(super) fn other_shape(&self, request: Question) -> Question {
        let (function, at, least) = match request {
            Question::Read(ReadRequest { function, first, .. }) => (function, first, 0),
            Question::SetCoil { coil, .. } => (Function::Coil, coil, u16::from(self.is_unsure())),
        };
        let step = if function.is_bits() { 8 } else { 1 };
        let wanted = |k: u16| {
            let count = 1 + k * step;
            let first = at.min(u16::MAX - (count - 1));
            Question::Read(ReadRequest { function, first, count })
        };
        let tries = u16::try_from(OWED_MAX + 3).unwrap_or(u16::MAX);
        let free = |ask: &Question| shape(*ask) != shape(request) && !self.owes_shape_of(*ask);
        (least..tries).map(wanted).find(free).unwrap_or(wanted(tries))
    }

    /// The frame looks like the answer to another question, and not like this one's own last.
    pub(super) fn is_suspicious(&self, request: Question, frame: &[u8]) -> bool {
        let mark = mark(frame);
        let own = self.seen.iter().any(|(asked, seen)| *asked == request && *seen == mark);
        let of_another = |(asked, seen): &(Question, u64)| {
            *asked != request && shape(*asked) == shape(request) && *seen == mark
        };
        !own && self.seen.iter().any(of_another)
    }

    /// An order is given: what coils said before it tells nothing apart any more.
    pub(super) fn heed(&mut self, request: Question) {
        let Question::SetCoil { .. } = request else { return };
        let is_coil = |question: &Question| {
            matches!(question, Question::Read(ReadRequest { function: Function::Coil, .. }))
        };
        self.seen.retain(|(question, _)| !is_coil(question));
    }

    /// Keeps what the answer to this looked like.
    pub(super) fn see(&mut self, request: Question, frame: &[u8]) {
        let mark = mark(frame);
        if let Some(known) = self.seen.iter_mut().find(|(asked, _)| *asked == request) {
            known.1 = mark;
            return;
        }
        if self.seen.len() == SEEN_MAX {
            self.seen.clear();
        }
        self.seen.push((request, mark));
    }
}

/// FNV-1a, 64 bits: tells frames apart that differ by chance, which is all that is asked of it.
fn mark(frame: &[u8]) -> u64 {
    frame.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(first: u16, count: u16) -> Question {
        Question::Read(ReadRequest { function: Function::Holding, first, count })
    }

    #[test]
    fn while_an_answer_is_owed_the_next_question_has_another_length() {
        let mut memory = Memory::default();
        memory.owe(ask(100, 1), 0);
        assert!(memory.owes_shape_of(ask(7, 1)) && !memory.owes_shape_of(ask(100, 2)));
        assert_eq!(memory.other_shape(ask(100, 1)), ask(100, 2));
        for n in 0..100 {
            let other = memory.other_shape(ask(65_535, 4));
            let Question::Read(ReadRequest { first, count, .. }) = other else { panic!() };
            assert!(!memory.owes_shape_of(other) && count != 4, "{n}");
            assert!(u32::from(first) + u32::from(count) <= 65_536);
            memory.owe(other, n);
        }
        memory.expire(OWED_US + 99);
        assert_eq!(memory.owed().count(), 0);
    }

    #[test]
    fn bits_differ_by_whole_bytes() {
        let mut memory = Memory::default();
        let coils =
            |count| Question::Read(ReadRequest { function: Function::Coil, first: 0, count });
        memory.owe(coils(3), 0);
        assert!(memory.owes_shape_of(coils(8)));
        assert_eq!(memory.other_shape(coils(3)), coils(9));
    }

    #[test]
    fn an_order_that_is_owed_is_parted_from_itself_by_a_reading_of_its_coil() {
        let order = |on| Question::SetCoil { coil: 6, on };
        let coils =
            |count| Question::Read(ReadRequest { function: Function::Coil, first: 6, count });
        let mut memory = Memory::default();
        memory.owe(order(true), 0);
        assert!(memory.may_owe_shape_of(order(true)) && !memory.may_owe_shape_of(order(false)));
        assert_eq!(memory.other_shape(order(true)), coils(1));
        memory.owe(coils(1), 0);
        assert_eq!(memory.other_shape(order(true)), coils(9));
        assert_eq!(Memory::unsure(0).other_shape(order(true)), coils(9));
    }

    #[test]
    fn a_late_answer_settles_itself_and_what_came_before() {
        let mut memory = Memory::default();
        for n in 1..=3 {
            memory.owe(ask(0, n), 0);
        }
        memory.came_late(ask(0, 2));
        assert_eq!(memory.owed().collect::<Vec<_>>(), [ask(0, 3)]);
        memory.refused(ask(0, 4), 0);
        assert_eq!(memory.owed().collect::<Vec<_>>(), [ask(0, 4)], "whose refusal was it?");
        memory.settle(ask(0, 5));
        memory.refused(ask(0, 4), 0);
        assert_eq!(memory.owed().count(), 0, "nothing was owed: it was its own");
    }

    #[test]
    fn the_answer_of_another_question_is_suspicious_until_it_is_its_own() {
        let mut memory = Memory::default();
        memory.see(ask(0, 2), b"same");
        assert!(memory.is_suspicious(ask(10, 2), b"same"));
        assert!(
            !memory.is_suspicious(ask(10, 2), b"else") && !memory.is_suspicious(ask(0, 2), b"same")
        );
        assert!(!memory.is_suspicious(ask(10, 3), b"same"));
        memory.see(ask(10, 2), b"same");
        assert!(!memory.is_suspicious(ask(10, 2), b"same"));
    }
}
