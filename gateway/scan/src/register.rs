//! Where a value stands in a device and how its bytes are laid out.

use std::fmt;

use crate::decode::Raw;

/// The four tables of a Modbus device that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Function {
    /// Function 1.
    Coil,
    /// Function 2.
    Discrete,
    /// Function 3.
    Holding,
    /// Function 4.
    Input,
}

impl Function {
    /// Every table.
    pub const ALL: [Self; 4] = [Self::Coil, Self::Discrete, Self::Holding, Self::Input];

    /// The word of the point sheet.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Coil => "coil",
            Self::Discrete => "discrete",
            Self::Holding => "holding",
            Self::Input => "input",
        }
    }

    /// The table of a word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|f| f.word() == word)
    }

    /// The function code on the wire.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Coil => 1,
            Self::Discrete => 2,
            Self::Holding => 3,
            Self::Input => 4,
        }
    }

    /// True where an address holds one bit and not a 16-bit register.
    #[must_use]
    pub fn is_bits(self) -> bool {
        match self {
            Self::Coil | Self::Discrete => true,
            Self::Holding | Self::Input => false,
        }
    }

    /// What one request may ask for at most (Modbus application protocol 1.1b3, 6.1 to 6.4).
    #[must_use]
    pub fn quantity_max(self) -> u16 {
        if self.is_bits() { 2_000 } else { 125 }
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// How a value is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Encoding {
    /// One bit, or a register that is not 0.
    Bool,
    /// Unsigned, one register.
    U16,
    /// Signed, one register.
    I16,
    /// Unsigned, two registers.
    U32,
    /// Signed, two registers.
    I32,
    /// Unsigned, four registers.
    U64,
    /// Signed, four registers.
    I64,
    /// IEEE 754 single, two registers.
    F32,
    /// IEEE 754 double, four registers.
    F64,
    /// Unsigned, the high byte of one register.
    U8High,
    /// Unsigned, the low byte of one register.
    U8Low,
    /// Signed, the high byte of one register.
    I8High,
    /// Signed, the low byte of one register.
    I8Low,
    /// Unsigned, three registers.
    U48,
    /// Signed, three registers.
    I48,
    /// Four binary coded decimal digits, one register.
    Bcd16,
    /// Eight binary coded decimal digits, two registers.
    Bcd32,
    /// Sixteen binary coded decimal digits, four registers.
    Bcd64,
}

impl Encoding {
    /// Every encoding.
    pub const ALL: [Self; 18] = [
        Self::Bool,
        Self::U16,
        Self::I16,
        Self::U32,
        Self::I32,
        Self::U64,
        Self::I64,
        Self::F32,
        Self::F64,
        Self::U8High,
        Self::U8Low,
        Self::I8High,
        Self::I8Low,
        Self::U48,
        Self::I48,
        Self::Bcd16,
        Self::Bcd32,
        Self::Bcd64,
    ];

    /// The word of the point sheet.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::U16 => "u16",
            Self::I16 => "i16",
            Self::U32 => "u32",
            Self::I32 => "i32",
            Self::U64 => "u64",
            Self::I64 => "i64",
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::U8High => "u8h",
            Self::U8Low => "u8l",
            Self::I8High => "i8h",
            Self::I8Low => "i8l",
            Self::U48 => "u48",
            Self::I48 => "i48",
            Self::Bcd16 => "bcd16",
            Self::Bcd32 => "bcd32",
            Self::Bcd64 => "bcd64",
        }
    }

    /// The encoding of a word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|e| e.word() == word)
    }

    /// How many addresses it takes.
    #[must_use]
    pub fn words(self) -> u16 {
        match self {
            Self::Bool
            | Self::U16
            | Self::I16
            | Self::U8High
            | Self::U8Low
            | Self::I8High
            | Self::I8Low
            | Self::Bcd16 => 1,
            Self::U32 | Self::I32 | Self::F32 | Self::Bcd32 => 2,
            Self::U48 | Self::I48 => 3,
            Self::U64 | Self::I64 | Self::F64 | Self::Bcd64 => 4,
        }
    }

    /// Smallest and largest whole number that it can carry; none for floats.
    #[must_use]
    pub fn whole_range(self) -> Option<(i128, i128)> {
        match self {
            Self::Bool => Some((0, 1)),
            Self::U16 => Some((0, u16::MAX.into())),
            Self::I16 => Some((i16::MIN.into(), i16::MAX.into())),
            Self::U32 => Some((0, u32::MAX.into())),
            Self::I32 => Some((i32::MIN.into(), i32::MAX.into())),
            Self::U64 => Some((0, u64::MAX.into())),
            Self::I64 => Some((i64::MIN.into(), i64::MAX.into())),
            Self::U8High | Self::U8Low => Some((0, u8::MAX.into())),
            Self::I8High | Self::I8Low => Some((i8::MIN.into(), i8::MAX.into())),
            Self::U48 => Some((0, (1 << 48) - 1)),
            Self::I48 => Some((-(1 << 47), (1 << 47) - 1)),
            Self::Bcd16 => Some((0, 9_999)),
            Self::Bcd32 => Some((0, 99_999_999)),
            Self::Bcd64 => Some((0, 9_999_999_999_999_999)),
            Self::F32 | Self::F64 => None,
        }
    }

    /// What stands in these registers; none where the bits are no number (a digit above nine).
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        reason = "the bits of two's complement are taken as they are, in the width of the encoding"
    )]
    pub fn raw(self, order: WordOrder, words: &[u16]) -> Option<Raw> {
        let bits = order.assemble(words);
        Some(match self {
            Self::Bool => Raw::Whole(i128::from(bits != 0)),
            Self::U16 | Self::U32 | Self::U64 | Self::U48 => Raw::Whole(bits.into()),
            Self::I16 => Raw::Whole((bits as i16).into()),
            Self::I32 => Raw::Whole((bits as i32).into()),
            Self::I64 => Raw::Whole((bits as i64).into()),
            Self::F32 => Raw::Float(widen(f32::from_bits(bits as u32))),
            Self::F64 => Raw::Float(f64::from_bits(bits)),
            Self::U8High => Raw::Whole((bits >> 8 & 0xff).into()),
            Self::U8Low => Raw::Whole((bits & 0xff).into()),
            Self::I8High => Raw::Whole(((bits >> 8) as i8).into()),
            Self::I8Low => Raw::Whole((bits as i8).into()),
            // The sign stands in bit 47: up to the top, and down again with it.
            Self::I48 => Raw::Whole(((bits << 16) as i64 >> 16).into()),
            Self::Bcd16 | Self::Bcd32 | Self::Bcd64 => Raw::Whole(digits(bits)?),
        })
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The double that people read off the single: 61.2, not 61.20000076293945.
fn widen(single: f32) -> f64 {
    if !single.is_finite() {
        return f64::from(single);
    }
    format!("{single:e}").parse().unwrap_or_else(|_| f64::from(single))
}

/// Binary coded decimal: one digit in four bits.
fn digits(bits: u64) -> Option<i128> {
    (0..16).rev().try_fold(0, |number, place| {
        let digit = bits >> (place * 4) & 0xf;
        (digit <= 9).then(|| number * 10 + i128::from(digit))
    })
}

/// The order of the bytes of a value, named as for two registers: A is the highest byte.
///
/// For four registers: `ABCD` = ABCDEFGH, `CDAB` = GHEFCDAB, `BADC` = BADCFEHG, `DCBA` = HGFEDCBA.
/// For three: ABCDEF, EFCDAB, BADCFE, FEDCBA.
/// For one register `BADC` and `DCBA` swap its two bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum WordOrder {
    /// High register first, high byte first: as the protocol itself.
    #[default]
    Abcd,
    /// Low register first, high byte first.
    Cdab,
    /// High register first, low byte first.
    Badc,
    /// Low register first, low byte first.
    Dcba,
}

impl WordOrder {
    /// Every order.
    pub const ALL: [Self; 4] = [Self::Abcd, Self::Cdab, Self::Badc, Self::Dcba];

    /// The word of the point sheet.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Abcd => "ABCD",
            Self::Cdab => "CDAB",
            Self::Badc => "BADC",
            Self::Dcba => "DCBA",
        }
    }

    /// The order of a word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|o| o.word() == word)
    }

    /// The bits of a value of at most four registers, highest byte first.
    #[must_use]
    pub fn assemble(self, words: &[u16]) -> u64 {
        let swap = match self {
            Self::Abcd | Self::Cdab => false,
            Self::Badc | Self::Dcba => true,
        };
        let join = |bits: u64, word: &u16| {
            let word = if swap { word.swap_bytes() } else { *word };
            (bits << 16) | u64::from(word)
        };
        match self {
            Self::Abcd | Self::Badc => words.iter().fold(0, join),
            Self::Cdab | Self::Dcba => words.iter().rev().fold(0, join),
        }
    }
}

impl fmt::Display for WordOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
