//! Where a value stands in a device and how its bytes are laid out.

use std::fmt;

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
}

impl Encoding {
    /// Every encoding.
    pub const ALL: [Self; 9] = [
        Self::Bool,
        Self::U16,
        Self::I16,
        Self::U32,
        Self::I32,
        Self::U64,
        Self::I64,
        Self::F32,
        Self::F64,
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
            Self::Bool | Self::U16 | Self::I16 => 1,
            Self::U32 | Self::I32 | Self::F32 => 2,
            Self::U64 | Self::I64 | Self::F64 => 4,
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
            Self::F32 | Self::F64 => None,
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The order of the bytes of a value, named as for two registers: A is the highest byte.
///
/// For four registers: `ABCD` = ABCDEFGH, `CDAB` = GHEFCDAB, `BADC` = BADCFEHG, `DCBA` = HGFEDCBA.
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
