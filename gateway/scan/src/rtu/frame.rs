//! RTU frames: unit, the bytes of `pdu`, CRC.
//!
//! Unit, function, byte count, length and check are all those of the request, in release as in
//! debug, or the bytes are not its answer.

use thiserror::Error;

use super::crc::crc16;
use crate::pdu::{FrameFault, ReadRequest, Reply, parse_reply, reply_data_bytes, request_pdu};

/// Bytes of a read request.
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
pub fn request_frame(unit: u8, request: ReadRequest) -> [u8; REQUEST_BYTES] {
    let [function, a, b, c, d] = request_pdu(request);
    let [low, high] = crc16(&[unit, function, a, b, c, d]).to_le_bytes();
    [unit, function, a, b, c, d, low, high]
}

/// Bytes of the complete answer.
#[must_use]
pub fn reply_bytes(request: ReadRequest) -> usize {
    FRAME_BYTES + reply_data_bytes(request)
}

/// How far these bytes are the answer to this request.
#[must_use]
pub fn progress(unit: u8, request: ReadRequest, bytes: &[u8]) -> Progress {
    match judged(unit, request, bytes) {
        Progress::Wrong(fault) => {
            let own = request_frame(unit, request);
            if bytes.starts_with(&own) {
                Progress::Wrong(RtuFault::Echo)
            } else if own.starts_with(bytes) {
                Progress::More
            } else {
                Progress::Wrong(fault)
            }
        }
        right @ (Progress::More | Progress::Whole(_)) => right,
    }
}

fn judged(unit: u8, request: ReadRequest, bytes: &[u8]) -> Progress {
    let asked = request.function.code();
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
            let (asked, got) = (reply_data_bytes(request), usize::from(*count));
            if got != asked {
                return wrong(FrameFault::ByteCount { asked, got });
            }
            FRAME_BYTES + asked
        }
    };
    match bytes.len() {
        got if got < want => Progress::More,
        got if got > want => Progress::Wrong(RtuFault::Long),
        _ if crc16(bytes) != 0 => Progress::Wrong(RtuFault::Crc),
        _ => match parse_reply(request, bytes.get(1..want - 2).unwrap_or_default()) {
            Ok(reply) => Progress::Whole(reply),
            Err(fault) => wrong(fault),
        },
    }
}
