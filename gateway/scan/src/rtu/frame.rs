//! RTU frames: unit, the bytes of `pdu`, CRC.
//!
//! Unit, function, byte count, length and check are all those of the request, in release as in
//! debug, or the bytes are not its answer.

use thiserror::Error;

use super::crc::crc16;
use crate::pdu::{FrameFault, Question, Reply, parse_reply, reply_data_bytes, request_pdu};

/// Bytes of a request, and of an order that is repeated.
pub(super) const REQUEST_BYTES: usize = 8;
/// Bytes of a refusal: unit, function, code, check.
const REFUSAL_BYTES: usize = 5;
/// Bytes around the data of an answer: unit, function, byte count, check.
const FRAME_BYTES: usize = 5;

/// Why bytes on the line are not the answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RtuFault {
    /// The answer stopped before its end.
    #[error("reply stopped after {got} bytes")]
    Short {
        /// What came.
        got: usize,
    },
    /// Bytes came behind a whole answer.
    #[error("bytes behind the reply")]
    Long,
    /// Damaged on the way.
    #[error("CRC is wrong")]
    Crc,
    /// Another device answered, or the line is disturbed.
    #[error("reply of unit {got}, asked unit {asked}")]
    Unit {
        /// Asked.
        asked: u8,
        /// What came.
        got: u8,
    },
    /// The answer to something else.
    #[error(transparent)]
    Pdu(#[from] FrameFault),
    /// The adapter gives back what is sent, and the bus is not told so.
    #[error("own request came back: the adapter echoes; set echo = true or mend the wiring")]
    Echo,
    /// Answers keep coming that could belong to other questions.
    #[error("replies cannot be told apart")]
    Doubtful,
    /// Nothing was asked: something on the line never stops sending.
    #[error(
        "the line is never quiet: noise, or something sends unasked; check wiring, termination and \
         for a second master"
    )]
    Noise,
    /// The echo was damaged: two talk at once.
    #[error("echo differs from the request: two talk at once")]
    Collision,
}

/// A frame on its way in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Right so far.
    More,
    /// The exact answer.
    Whole(Reply),
    /// Can no longer become the answer.
    Wrong(RtuFault),
}

/// The bytes of a request.
#[must_use]
pub fn request_frame(unit: u8, question: impl Into<Question>) -> [u8; REQUEST_BYTES] {
    let [function, a, b, c, d] = request_pdu(question);
    let [low, high] = crc16(&[unit, function, a, b, c, d]).to_le_bytes();
    [unit, function, a, b, c, d, low, high]
}

/// Bytes of the complete answer.
#[must_use]
pub fn reply_bytes(question: impl Into<Question>) -> usize {
    match question.into() {
        Question::Read(request) => FRAME_BYTES + reply_data_bytes(request),
        Question::SetCoil { .. } => REQUEST_BYTES,
    }
}

/// How far these bytes are the answer to this request. The echo of an order looks like its answer:
/// only a reading of the coil tells them apart.
#[must_use]
pub fn progress(unit: u8, question: impl Into<Question>, bytes: &[u8]) -> Progress {
    let question = question.into();
    match (judged(unit, question, bytes), question) {
        (Progress::Wrong(fault), Question::Read(request)) => {
            let own = request_frame(unit, request);
            if bytes.starts_with(&own) {
                Progress::Wrong(RtuFault::Echo)
            } else if own.starts_with(bytes) {
                Progress::More
            } else {
                Progress::Wrong(fault)
            }
        }
        (judged, Question::Read(_) | Question::SetCoil { .. }) => judged,
    }
}

fn judged(unit: u8, question: Question, bytes: &[u8]) -> Progress {
    let asked = question.code();
    let wrong = |fault: FrameFault| Progress::Wrong(RtuFault::Pdu(fault));
    let want = match bytes {
        [] => return Progress::More,
        [got, ..] if *got != unit => {
            return Progress::Wrong(RtuFault::Unit { asked: unit, got: *got });
        }
        [_] => return Progress::More,
        [_, got, ..] if *got == asked | 0x80 => REFUSAL_BYTES,
        [_, got, ..] if *got != asked => {
            return wrong(FrameFault::Function { asked, got: *got });
        }
        [_, _] => return Progress::More,
        [_, _, count, ..] => {
            if let Question::Read(request) = question {
                let (asked, got) = (reply_data_bytes(request), usize::from(*count));
                if got != asked {
                    return wrong(FrameFault::ByteCount { asked, got });
                }
            }
            reply_bytes(question)
        }
    };
    match bytes.len() {
        got if got < want => Progress::More,
        got if got > want => Progress::Wrong(RtuFault::Long),
        _ if crc16(bytes) != 0 => Progress::Wrong(RtuFault::Crc),
        _ => match parse_reply(question, bytes.get(1..want - 2).unwrap_or_default()) {
            Ok(reply) => Progress::Whole(reply),
            Err(fault) => wrong(fault),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pdu::{Payload, ReadRequest};
    use crate::register::Function;
    use proptest::prelude::*;

    fn asked() -> impl Strategy<Value = (u8, ReadRequest)> {
        (1..=247_u8, 0..4_usize, any::<u16>(), 1..=125_u16).prop_map(|(unit, table, first, n)| {
            let function = Function::ALL[table];
            let count = if function.is_bits() { n * 16 } else { n };
            (unit, ReadRequest { function, first, count })
        })
    }

    fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
        bytes.extend(crc16(&bytes).to_le_bytes());
        bytes
    }

    /// A right answer with these bytes as data.
    fn answer(unit: u8, request: ReadRequest, fill: &[u8]) -> Vec<u8> {
        let count = reply_data_bytes(request);
        let mut bytes = vec![unit, request.function.code(), u8::try_from(count).unwrap()];
        bytes.extend(fill.iter().cycle().take(count));
        sealed(bytes)
    }

    proptest! {
        #[test]
        fn whatever_bytes_come_only_a_whole_right_frame_is_data(
            (unit, request) in asked(),
            bytes in prop::collection::vec(any::<u8>(), 0..260),
            seal in any::<bool>(),
        ) {
            let bytes = if seal { sealed(bytes) } else { bytes };
            if let Progress::Whole(reply) = progress(unit, request, &bytes) {
                prop_assert_eq!(crc16(&bytes), 0);
                prop_assert_eq!(bytes[0], unit);
                match reply {
                    Reply::Data(_) => {
                        prop_assert_eq!(bytes[1], request.function.code());
                        prop_assert_eq!(bytes.len(), reply_bytes(request));
                    }
                    Reply::Exception(code) => {
                        prop_assert_eq!(&bytes[1..3], &[request.function.code() | 0x80, code]);
                        prop_assert_eq!(bytes.len(), REFUSAL_BYTES);
                    }
                }
            }
        }

        #[test]
        fn a_right_frame_is_taken_and_no_damaged_one(
            (unit, request) in asked(),
            fill in prop::collection::vec(any::<u8>(), 1..8),
            (at, flip) in (any::<prop::sample::Index>(), 1..=255_u8),
            cut in any::<prop::sample::Index>(),
        ) {
            let good = answer(unit, request, &fill);
            let right = progress(unit, request, &good);
            prop_assert!(matches!(right, Progress::Whole(Reply::Data(_))), "{right:?}");
            let mut bad = good.clone();
            bad[at.index(good.len())] ^= flip;
            prop_assert!(!matches!(progress(unit, request, &bad), Progress::Whole(_)));
            let part = &good[..cut.index(good.len())];
            prop_assert_eq!(progress(unit, request, part), Progress::More);
            let long = [good.clone(), vec![flip]].concat();
            prop_assert_eq!(progress(unit, request, &long), Progress::Wrong(RtuFault::Long));
        }

        #[test]
        fn the_answer_to_another_question_is_never_taken_unless_it_looks_the_same(
            (unit, request) in asked(), (other_unit, other) in asked(),
        ) {
            let bytes = answer(other_unit, other, &[7]);
            let same = unit == other_unit
                && request.function == other.function
                && reply_data_bytes(request) == reply_data_bytes(other);
            let taken = matches!(progress(unit, request, &bytes), Progress::Whole(_));
            prop_assert_eq!(taken, same);
        }
    }

    fn orders() -> impl Strategy<Value = (u8, Question)> {
        (1..=247_u8, any::<u16>(), any::<bool>())
            .prop_map(|(unit, coil, on)| (unit, Question::SetCoil { coil, on }))
    }

    proptest! {
        #[test]
        fn an_order_is_taken_as_done_by_its_own_bytes_and_by_no_others(
            (unit, order) in orders(),
            (other_unit, other) in orders(),
            (read_unit, read) in asked(),
            bytes in prop::collection::vec(any::<u8>(), 0..12),
            (at, flip) in (any::<prop::sample::Index>(), 1..=255_u8),
            cut in any::<prop::sample::Index>(),
        ) {
            let good = request_frame(unit, order);
            let done = progress(unit, order, &good);
            prop_assert!(matches!(done, Progress::Whole(Reply::Data(_))), "{done:?}");
            prop_assert_eq!(progress(unit, order, &good[..cut.index(8)]), Progress::More);
            let twice = [good, good].concat();
            prop_assert_eq!(progress(unit, order, &twice), Progress::Wrong(RtuFault::Long));
            let mut bad = good;
            bad[at.index(8)] ^= flip;
            for bytes in [&sealed(bytes)[..], &bad, &request_frame(other_unit, other)] {
                if let Progress::Whole(Reply::Data(_)) = progress(unit, order, bytes) {
                    prop_assert_eq!(bytes, &good[..]);
                }
            }
            // Nor is it the answer to a reading, nor a reading's answer its own.
            let is_data = |said| matches!(said, Progress::Whole(Reply::Data(_)));
            prop_assert!(!is_data(progress(unit, read, &good)));
            prop_assert!(!is_data(progress(unit, order, &answer(read_unit, read, &[flip]))));
        }
    }

    #[test]
    fn words_are_big_endian_and_the_check_is_little_endian() {
        let request = ReadRequest { function: Function::Holding, first: 0x6b, count: 1 };
        assert_eq!(request_frame(17, request)[..6], [17, 3, 0, 0x6b, 0, 1]);
        let reply = sealed(vec![17, 3, 2, 0xae, 0x41]);
        let want = Progress::Whole(Reply::Data(Payload::Words(vec![0xae41])));
        assert_eq!(progress(17, request, &reply), want);
    }
}
