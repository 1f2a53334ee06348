//! Modbus TCP, the answering side: frames in, frames out, no socket.
//!
//! Source: MODBUS Application Protocol V1.1b3 and Messaging on TCP/IP V1.0b.

use crate::image::{Image, Table};

/// Bytes before the function code: transaction, protocol, length, unit.
pub(crate) const HEADER: usize = 7;
/// A request is at most 253 bytes of PDU; the length field counts the unit byte too.
const LENGTH_MAX: u16 = 254;
const REGISTERS_MAX: u16 = 125;
const BITS_MAX: u16 = 2_000;

const ILLEGAL_FUNCTION: u8 = 1;
const ILLEGAL_ADDRESS: u8 = 2;
const ILLEGAL_VALUE: u8 = 3;
/// "Gateway target device failed to respond": nobody has this unit number here.
const NO_SUCH_UNIT: u8 = 11;

/// The front of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) transaction: u16,
    pub(crate) unit: u8,
    /// Bytes that follow the header.
    pub(crate) rest: usize,
}

impl Header {
    /// `None` when this cannot be Modbus TCP: the stream has no way back into step.
    pub(crate) fn parse(bytes: [u8; HEADER]) -> Option<Self> {
        let [t0, t1, p0, p1, l0, l1, unit] = bytes;
        let length = u16::from_be_bytes([l0, l1]);
        if (p0, p1) != (0, 0) || !(2..=LENGTH_MAX).contains(&length) {
            return None;
        }
        Some(Self {
            transaction: u16::from_be_bytes([t0, t1]),
            unit,
            rest: usize::from(length) - 1,
        })
    }

    /// A whole frame around a PDU.
    pub(crate) fn frame(self, pdu: &[u8]) -> Vec<u8> {
        let length = u16::try_from(pdu.len() + 1).expect("a PDU has at most 253 bytes");
        let mut frame = Vec::with_capacity(HEADER + pdu.len());
        frame.extend_from_slice(&self.transaction.to_be_bytes());
        frame.extend_from_slice(&[0, 0]);
        frame.extend_from_slice(&length.to_be_bytes());
        frame.push(self.unit);
        frame.extend_from_slice(pdu);
        frame
    }
}

/// The reply PDU to a request PDU.
pub(crate) fn answer(image: &Image, unit: u8, request: &[u8]) -> Vec<u8> {
    let function = request.first().copied().unwrap_or(0);
    let table = match function {
        1 => Table::Coil,
        2 => Table::Discrete,
        3 => Table::Holding,
        4 => Table::Input,
        _ => return exception(function, ILLEGAL_FUNCTION),
    };
    if !image.has_unit(unit) {
        return exception(function, NO_SUCH_UNIT);
    }
    let &[_, a0, a1, c0, c1] = request else {
        return exception(function, ILLEGAL_VALUE);
    };
    let (address, count) = (u16::from_be_bytes([a0, a1]), u16::from_be_bytes([c0, c1]));
    let most = match table {
        Table::Coil | Table::Discrete => BITS_MAX,
        Table::Holding | Table::Input => REGISTERS_MAX,
    };
    if !(1..=most).contains(&count) {
        return exception(function, ILLEGAL_VALUE);
    }
    let Some(words) = image.read(unit, table, address, count) else {
        return exception(function, ILLEGAL_ADDRESS);
    };
    let data: Vec<u8> = match table {
        Table::Coil | Table::Discrete => packed(&words),
        Table::Holding | Table::Input => words.iter().flat_map(|word| word.to_be_bytes()).collect(),
    };
    let size = u8::try_from(data.len()).expect("125 registers or 2,000 bits are 250 bytes");
    let mut reply = vec![function, size];
    reply.extend(data);
    reply
}

/// An exception reply.
pub(crate) fn exception(function: u8, code: u8) -> Vec<u8> {
    vec![function | 0x80, code]
}

/// Bits, the first in the lowest place.
fn packed(bits: &[u16]) -> Vec<u8> {
    bits.chunks(8)
        .map(|byte| byte.iter().rev().fold(0, |sum, bit| (sum << 1) | u8::from(*bit != 0)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(request: &[u8], reply: &[u8]) {
        let image = Image::counting(1, 200, 7);
        assert_eq!(answer(&image, 1, request), reply, "to {request:02x?}");
    }

    #[test]
    fn registers_are_read() {
        check(&[3, 0, 0, 0, 2], &[3, 4, 0, 7, 0, 8]);
    }

    #[test]
    fn what_cannot_be_answered_is_refused_with_its_code() {
        check(&[6, 0, 0, 0, 2], &[0x86, 1]);
        check(&[3, 0, 199, 0, 2], &[0x83, 2]);
        check(&[4, 0, 0, 0, 1], &[0x84, 2]);
        check(&[3, 0, 0, 0, 126], &[0x83, 3]);
        check(&[3, 0, 0, 0, 0], &[0x83, 3]);
        check(&[3, 0, 0], &[0x83, 3]);
        let image = Image::counting(1, 10, 0);
        assert_eq!(answer(&image, 9, &[3, 0, 0, 0, 1]), [0x83, 11]);
    }

    #[test]
    fn bits_are_packed_from_the_lowest_place() {
        assert_eq!(packed(&[1, 0, 1, 1, 0, 0, 0, 0, 1]), [0b0000_1101, 1]);
    }

    #[test]
    fn a_frame_that_is_not_modbus_has_no_header() {
        assert_eq!(Header::parse([0, 1, 0, 9, 0, 6, 1]), None);
        assert_eq!(Header::parse([0, 1, 0, 0, 0, 1, 1]), None);
        assert_eq!(Header::parse([0, 1, 0, 0, 1, 0, 1]), None);
        let header = Header { transaction: 0x0102, unit: 3, rest: 5 };
        assert_eq!(Header::parse([1, 2, 0, 0, 0, 6, 3]), Some(header));
        assert_eq!(header.frame(&[3, 0]), [1, 2, 0, 0, 0, 3, 3, 3, 0]);
    }
}
