//! What may be asked and what counts as its answer.
//!
//! - Independent of any Modbus library: libraries check lengths in debug builds only, or not at all.
//! - A reply is taken only if its function, byte count and length are those of the request. A
//!   Modbus reply does not say which addresses it holds, so nothing less will do.
//! - An order is done when it is repeated byte for byte; whether the coil has moved only a reading
//!   of it says.

use thiserror::Error;

use crate::register::Function;

/// One read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReadRequest {
    /// Which table.
    pub function: Function,
    /// First address, 0-based as on the wire.
    pub first: u16,
    /// How many registers or bits; 1 to 125 or 2,000.
    pub count: u16,
}

/// The function that sets one coil.
const SET_COIL: u8 = 5;

/// Whatever is asked of a device: it is read, or told to set a coil.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Question {
    /// Read this.
    Read(ReadRequest),
    /// Set one coil. Repeated, its answer is data: the one bit that was ordered.
    SetCoil {
        /// 0-based address as on the wire.
        coil: u16,
        /// Energised.
        on: bool,
    },
}

impl From<ReadRequest> for Question {
    fn from(request: ReadRequest) -> Self {
        Self::Read(request)
    }
}

impl Question {
    /// Its function code on the wire.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Read(request) => request.function.code(),
            Self::SetCoil { .. } => SET_COIL,
        }
    }
}

/// What a reply carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// Of holding and input registers.
    Words(Vec<u16>),
    /// Of coils and discrete inputs; may be padded to whole bytes.
    Bits(Vec<bool>),
}

/// A reply that is the answer to its request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The values asked for.
    Data(Payload),
    /// The device refused, with this exception code.
    Exception(u8),
}

/// Why bytes are not the answer to the request.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FrameFault {
    /// Nothing, or less than a function code and one byte.
    #[error("reply has {0} bytes")]
    Short(usize),
    /// The answer to something else.
    #[error("reply of function {got}, asked for {asked}")]
    Function {
        /// Asked for.
        asked: u8,
        /// What came.
        got: u8,
    },
    /// The byte count in the reply is not that of the request.
    #[error("reply announces {got} bytes of data, asked for {asked}")]
    ByteCount {
        /// Asked for.
        asked: usize,
        /// What came.
        got: usize,
    },
    /// Longer or shorter than it says itself.
    #[error("reply has {got} bytes where {asked} belong")]
    Length {
        /// What belongs there.
        asked: usize,
        /// What came.
        got: usize,
    },
    /// Bits for registers or the other way round.
    #[error("reply holds bits where registers belong, or the reverse")]
    Kind,
    /// An order came back as another.
    #[error("reply does not repeat the order")]
    Repeat,
}

/// Bytes of data in the answer to a request.
pub(crate) fn reply_data_bytes(request: ReadRequest) -> usize {
    if request.function.is_bits() {
        usize::from(request.count.div_ceil(8))
    } else {
        usize::from(request.count) * 2
    }
}

/// The bytes of a request, from the function code on.
#[must_use]
pub fn request_pdu(question: impl Into<Question>) -> [u8; 5] {
    let question = question.into();
    let (at, what) = match question {
        Question::Read(ReadRequest { first, count, .. }) => (first, count),
        Question::SetCoil { coil, on } => (coil, if on { 0xff00 } else { 0 }),
    };
    let ([a, b], [c, d]) = (at.to_be_bytes(), what.to_be_bytes());
    [question.code(), a, b, c, d]
}

/// Takes the bytes of a reply, from the function code on.
///
/// # Errors
/// Whatever is not exactly the answer to this request.
pub fn parse_reply(question: impl Into<Question>, pdu: &[u8]) -> Result<Reply, FrameFault> {
    let question = question.into();
    let [got, second, data @ ..] = pdu else {
        return Err(FrameFault::Short(pdu.len()));
    };
    let asked = question.code();
    if *got == asked | 0x80 {
        return match data {
            [] => Ok(Reply::Exception(*second)),
            [_, ..] => Err(FrameFault::Length { asked: 2, got: pdu.len() }),
        };
    }
    if *got != asked {
        return Err(FrameFault::Function { asked, got: *got });
    }
    let request = match question {
        Question::Read(request) => request,
        Question::SetCoil { on, .. } if request_pdu(question) == *pdu => {
            return Ok(Reply::Data(Payload::Bits(vec![on])));
        }
        Question::SetCoil { .. } => return Err(FrameFault::Repeat),
    };
    let want = reply_data_bytes(request);
    if usize::from(*second) != want {
        return Err(FrameFault::ByteCount { asked: want, got: usize::from(*second) });
    }
    if data.len() != want {
        return Err(FrameFault::Length { asked: want + 2, got: pdu.len() });
    }
    let payload = if request.function.is_bits() {
        let bit =
            |i: u16| data.get(usize::from(i / 8)).is_some_and(|byte| byte & (1 << (i % 8)) != 0);
        Payload::Bits((0..request.count).map(bit).collect())
    } else {
        let word = |pair: &[u8]| match pair {
            [high, low] => Some(u16::from_be_bytes([*high, *low])),
            _ => None,
        };
        Payload::Words(data.chunks_exact(2).filter_map(word).collect())
    };
    Ok(Reply::Data(payload))
}

/// Checks what a library has decoded: kind and count must be those of the request.
///
/// # Errors
/// Whatever is not exactly the answer to this request.
pub fn check(request: ReadRequest, payload: &Payload) -> Result<(), FrameFault> {
    let count = usize::from(request.count);
    match (payload, request.function.is_bits()) {
        (Payload::Words(words), false) if words.len() == count => Ok(()),
        (Payload::Words(words), false) => {
            Err(FrameFault::ByteCount { asked: count * 2, got: words.len() * 2 })
        }
        (Payload::Bits(bits), true)
            if bits.len() == count || bits.len() == count.div_ceil(8) * 8 =>
        {
            Ok(())
        }
        (Payload::Bits(bits), true) => {
            Err(FrameFault::ByteCount { asked: count.div_ceil(8), got: bits.len().div_ceil(8) })
        }
        (Payload::Words(_), true) | (Payload::Bits(_), false) => Err(FrameFault::Kind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASK: ReadRequest = ReadRequest { function: Function::Holding, first: 200, count: 2 };

    #[test]
    fn only_the_exact_answer_is_taken() {
        assert_eq!(request_pdu(ASK), [3, 0, 200, 0, 2]);
        let good = parse_reply(ASK, &[3, 4, 0x12, 0x34, 0, 1]);
        assert_eq!(good, Ok(Reply::Data(Payload::Words(vec![0x1234, 1]))));
        assert_eq!(parse_reply(ASK, &[0x83, 2]), Ok(Reply::Exception(2)));
        for bad in [
            &[][..],
            &[3],
            &[3, 4],
            &[3, 4, 0, 1, 0],
            &[3, 4, 0, 1, 0, 2, 9],
            &[3, 2, 0, 1],
            &[3, 8, 0, 1, 0, 2, 0, 3, 0, 4],
            &[4, 4, 0, 1, 0, 2],
            &[0x84, 2],
            &[0x83, 2, 0],
            &[3, 255, 0, 1, 0, 2],
        ] {
            assert!(parse_reply(ASK, bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_order_is_done_only_when_it_is_repeated_byte_for_byte() {
        let on = Question::SetCoil { coil: 0x1234, on: true };
        assert_eq!(request_pdu(on), [5, 0x12, 0x34, 0xff, 0]);
        let done = parse_reply(on, &[5, 0x12, 0x34, 0xff, 0]);
        assert_eq!(done, Ok(Reply::Data(Payload::Bits(vec![true]))));
        assert_eq!(parse_reply(on, &[0x85, 4]), Ok(Reply::Exception(4)));
        for bad in [
            &[5, 0x12, 0x34, 0, 0][..],
            &[5, 0x12, 0x35, 0xff, 0],
            &[5, 0x12, 0x34, 0xff],
            &[5, 0x12, 0x34, 0xff, 0, 0],
            &[1, 1, 1],
            &[0x81, 2],
        ] {
            assert!(parse_reply(on, bad).is_err(), "{bad:?}");
        }
        assert!(parse_reply(ASK, &request_pdu(on)).is_err());
    }

    #[test]
    fn bits_come_lowest_first_and_their_padding_is_dropped() {
        let ask = ReadRequest { function: Function::Coil, first: 0, count: 10 };
        let got = parse_reply(ask, &[1, 2, 0b0000_0101, 0b1111_1110]);
        let want = [true, false, true, false, false, false, false, false, false, true];
        assert_eq!(got, Ok(Reply::Data(Payload::Bits(want.to_vec()))));
        assert!(parse_reply(ask, &[1, 1, 5]).is_err());
    }

    #[test]
    fn a_library_that_hands_over_too_much_is_not_believed() {
        assert!(check(ASK, &Payload::Words(vec![1, 2])).is_ok());
        assert!(check(ASK, &Payload::Words(vec![1])).is_err());
        assert!(check(ASK, &Payload::Words(vec![1, 2, 3, 4])).is_err());
        assert!(check(ASK, &Payload::Bits(vec![true; 2])).is_err());
        let bits = ReadRequest { function: Function::Discrete, first: 0, count: 10 };
        assert!(check(bits, &Payload::Bits(vec![true; 16])).is_ok());
        assert!(check(bits, &Payload::Bits(vec![true; 8])).is_err());
    }
}
