//! How long characters, silences and frames take on a serial line.
//!
//! Modbus over Serial Line V1.02, 2.5.1.1: frames are parted by 3.5 characters of silence; above
//! 19,200 baud the silences are fixed, 750 µs and 1.75 ms. A silence of 1.5 characters inside a
//! frame is not enforced: drivers and USB adapters hand bytes over in pieces, up to 16 ms apart,
//! and the length is known from the request.

use crate::pdu::Question;

use super::frame::{REQUEST_BYTES, reply_bytes};

/// Above this rate the silences are fixed.
const FIXED_ABOVE_BAUD: u32 = 19_200;
const T15_FIXED_US: u64 = 750;
const T35_FIXED_US: u64 = 1_750;

/// The parity bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parity {
    /// None.
    None,
    /// Even: what the standard asks for by default.
    Even,
    /// Odd.
    Odd,
}

/// How many stop bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopBits {
    /// One.
    One,
    /// Two: what the standard asks for without parity.
    Two,
}

/// How a serial line is set. RTU always has eight data bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SerialSettings {
    /// Bits a second.
    pub baud: u32,
    /// Parity.
    pub parity: Parity,
    /// Stop bits.
    pub stop_bits: StopBits,
}

impl SerialSettings {
    /// Bits of one character: start, eight data, parity, stop.
    #[must_use]
    pub fn char_bits(&self) -> u32 {
        let parity = match self.parity {
            Parity::None => 0,
            Parity::Even | Parity::Odd => 1,
        };
        let stop = match self.stop_bits {
            StopBits::One => 1,
            StopBits::Two => 2,
        };
        9 + parity + stop
    }
}

/// The times of one line, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    char_ns: u64,
    t15_us: u64,
    t35_us: u64,
}

impl Timing {
    /// From how the line is set.
    #[must_use]
    pub fn new(settings: &SerialSettings) -> Self {
        let baud = u64::from(settings.baud.max(1));
        let char_ns = (u64::from(settings.char_bits()) * 1_000_000_000).div_ceil(baud);
        let fixed = settings.baud > FIXED_ABOVE_BAUD;
        let (t15_us, t35_us) = if fixed {
            (T15_FIXED_US, T35_FIXED_US)
        } else {
            ((char_ns * 3).div_ceil(2_000), (char_ns * 7).div_ceil(2_000))
        };
        Self { char_ns, t15_us, t35_us }
    }

    /// A network: frames take no time that is worth counting.
    #[must_use]
    pub fn of_network() -> Self {
        Self { char_ns: 0, t15_us: 0, t35_us: 0 }
    }

    /// The longest silence inside a frame, for documents and checks.
    #[must_use]
    pub fn t15_us(&self) -> u64 {
        self.t15_us
    }

    /// The least silence between frames.
    #[must_use]
    pub fn t35_us(&self) -> u64 {
        self.t35_us
    }

    /// So many characters.
    #[must_use]
    pub fn chars_us(&self, count: usize) -> u64 {
        (self.char_ns * u64::try_from(count).unwrap_or(u64::MAX / self.char_ns.max(1)))
            .div_ceil(1_000)
    }

    /// A request on the line.
    #[must_use]
    pub fn request_us(&self) -> u64 {
        self.chars_us(REQUEST_BYTES)
    }

    /// Its complete answer on the line.
    #[must_use]
    pub fn reply_us(&self, question: impl Into<Question>) -> u64 {
        self.chars_us(reply_bytes(question))
    }

    /// Request, both silences and answer; the device's own turnaround comes on top.
    #[must_use]
    pub fn exchange_us(&self, question: impl Into<Question>) -> u64 {
        self.request_us() + self.reply_us(question) + 2 * self.t35_us
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pdu::ReadRequest;
    use crate::register::Function;

    fn timing(baud: u32, parity: Parity, stop_bits: StopBits) -> Timing {
        Timing::new(&SerialSettings { baud, parity, stop_bits })
    }

    #[test]
    fn silences_follow_the_rate_up_to_19200_and_are_fixed_above() {
        let slow = timing(9_600, Parity::Even, StopBits::One);
        assert_eq!((slow.t15_us(), slow.t35_us()), (1_719, 4_011));
        assert_eq!(timing(19_200, Parity::Even, StopBits::One).t35_us(), 2_006);
        for baud in [38_400, 115_200] {
            let fast = timing(baud, Parity::None, StopBits::One);
            assert_eq!((fast.t15_us(), fast.t35_us()), (750, 1_750));
        }
    }

    #[test]
    fn a_block_of_125_registers_takes_309_ms_at_9600_and_28_ms_at_115200() {
        let ask = ReadRequest { function: Function::Holding, first: 0, count: 125 };
        let took = |baud| timing(baud, Parity::Even, StopBits::One).exchange_us(ask) / 1_000;
        assert_eq!((took(9_600), took(115_200)), (309, 28));
    }

    #[test]
    fn a_character_has_as_many_bits_as_are_set() {
        let bits = |parity, stop_bits| SerialSettings { baud: 1, parity, stop_bits }.char_bits();
        assert_eq!(bits(Parity::None, StopBits::One), 10);
        assert_eq!(bits(Parity::None, StopBits::Two), 11);
        assert_eq!(bits(Parity::Odd, StopBits::One), 11);
    }
}
