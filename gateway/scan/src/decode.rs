//! From registers to a reading.
//!
//! - Singles become doubles through their shortest decimal: 61.2 in a register is 61.2, and a value
//!   equal to its limit alarms.
//! - A sentinel is compared before scaling; NaN and infinity are `NotANumber`.
//! - Outside the range by more than 5 % of the span is `OutOfRange`; by less, `NearRange`.
//! - Whole numbers beyond 2⁵³ are rounded to the nearest double.

use fengsui_telemetry::{Doubt, Fault, Reading};

use crate::decimal::{Decimal, scaled};
use crate::register::{Encoding, WordOrder};
use crate::site::Mapping;

/// Beyond the range by at most this part of the span a value is doubted, further out it is refused.
const RANGE_MARGIN: f64 = 0.05;

/// What stands in the registers, before scaling.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Raw {
    /// Bits and whole numbers.
    Whole(i128),
    /// Floats; singles through their shortest decimal.
    Float(f64),
}

/// raw × scale + offset.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scaling {
    scale: f64,
    offset: f64,
    /// Scale 1, offset 0: most floats.
    plain: bool,
    exact: Option<(Decimal, Decimal)>,
}

impl Scaling {
    /// None where the scale is 0, or one of both is not finite.
    #[must_use]
    pub fn new(scale: f64, offset: f64) -> Option<Self> {
        if scale == 0.0 || !scale.is_finite() || !offset.is_finite() {
            return None;
        }
        let exact = Decimal::shortest(scale).zip(Decimal::shortest(offset));
        let plain = scale.to_bits() == 1_f64.to_bits() && offset.abs().to_bits() == 0;
        Some(Self { scale, offset, plain, exact })
    }

    /// The scaled value, without float dust where decimals allow.
    #[must_use]
    pub fn apply(&self, raw: Raw) -> f64 {
        if self.plain {
            return plain(raw);
        }
        let decimal = match raw {
            Raw::Whole(whole) => Some(Decimal::whole(whole)),
            Raw::Float(float) => Decimal::shortest(float),
        };
        decimal
            .zip(self.exact)
            .and_then(|(raw, (scale, offset))| scaled(raw, scale, offset))
            .unwrap_or_else(|| plain(raw) * self.scale + self.offset)
    }
}

#[expect(clippy::cast_precision_loss, reason = "beyond 2^53 the nearest double is what we promise")]
fn plain(raw: Raw) -> f64 {
    match raw {
        Raw::Whole(whole) => whole as f64,
        Raw::Float(float) => float,
    }
}

/// The double that people read off the single: 61.2, not 61.20000076293945.
fn widen(single: f32) -> f64 {
    if !single.is_finite() {
        return f64::from(single);
    }
    format!("{single:e}").parse().unwrap_or_else(|_| f64::from(single))
}

/// What stands in the registers: the bits of these words in this order.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "the bits of two's complement are taken as they are, in the width of the encoding"
)]
pub fn raw_of(encoding: Encoding, order: WordOrder, words: &[u16]) -> Raw {
    let bits = order.assemble(words);
    match encoding {
        Encoding::Bool => Raw::Whole(i128::from(bits != 0)),
        Encoding::U16 | Encoding::U32 | Encoding::U64 => Raw::Whole(bits.into()),
        Encoding::I16 => Raw::Whole((bits as i16).into()),
        Encoding::I32 => Raw::Whole((bits as i32).into()),
        Encoding::I64 => Raw::Whole((bits as i64).into()),
        Encoding::F32 => Raw::Float(widen(f32::from_bits(bits as u32))),
        Encoding::F64 => Raw::Float(f64::from_bits(bits)),
    }
}

/// The reading of one point from its registers. Another count than the encoding takes is
/// `BadFrame`.
#[must_use]
pub fn decode_words(mapping: &Mapping, words: &[u16]) -> Reading {
    if words.len() != usize::from(mapping.encoding.words()) {
        return Reading::Bad(Fault::BadFrame);
    }
    judge(mapping, raw_of(mapping.encoding, mapping.order, words))
}

/// The reading of one point from its coil or discrete input.
#[must_use]
pub fn decode_bit(mapping: &Mapping, bit: bool) -> Reading {
    judge(mapping, Raw::Whole(i128::from(bit)))
}

fn judge(mapping: &Mapping, raw: Raw) -> Reading {
    match raw {
        Raw::Float(float) if !float.is_finite() => return Reading::Bad(Fault::NotANumber),
        Raw::Float(_) | Raw::Whole(_) => {}
    }
    if mapping.sentinels.contains(&raw) {
        return Reading::Bad(Fault::Sentinel);
    }
    let value = mapping.scaling.apply(raw);
    if !value.is_finite() {
        return Reading::Bad(Fault::NotANumber);
    }
    let margin = (mapping.high - mapping.low) * RANGE_MARGIN;
    if value < mapping.low - margin || value > mapping.high + margin {
        Reading::Bad(Fault::OutOfRange)
    } else if value < mapping.low || value > mapping.high {
        Reading::Uncertain(value, Doubt::NearRange)
    } else {
        Reading::Good(value)
    }
}

#[cfg(test)]
mod tests;
