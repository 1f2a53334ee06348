//! From registers to a reading.
//!
//! - Singles become doubles through their shortest decimal: 61.2 in a register is 61.2, and a value
//!   equal to its limit alarms.
//! - A sentinel is compared before scaling; NaN and infinity are `NotANumber`.
//! - Outside the range by more than 5 % of the span (or what the sheet says) is `OutOfRange`; by
//!   less, `NearRange`.
//! - Whole numbers beyond 2⁵³ are rounded to the nearest double.

use fengsui_telemetry::{Doubt, Fault, Reading};

use crate::condition::Found;
use crate::decimal::{Decimal, scaled};
use crate::register::WordOrder;
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

/// Of the smallest register: a scale that makes infinity of it fits no value.
const WORD_MAX: f64 = 65_535.0;

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
    /// None where the scale is 0 or next to it, one of both is not finite, or a register becomes infinite by them.
    #[must_use]
    pub fn new(scale: f64, offset: f64) -> Option<Self> {
        if !scale.is_normal() || !(scale.abs() * WORD_MAX + offset.abs()).is_finite() {
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

/// The reading of one point from its registers, as far as they say it alone: no status, no
/// divisor, no memory. Another count than the encoding takes is `BadFrame`.
#[must_use]
pub fn decode_words(mapping: &Mapping, words: &[u16]) -> Reading {
    raw_of(mapping, mapping.order, words).map_or_else(Reading::Bad, |raw| judge(mapping, raw, 1.0))
}

/// The reading of one point from its coil or discrete input.
#[must_use]
pub fn decode_bit(mapping: &Mapping, bit: bool) -> Reading {
    judge(mapping, Raw::Whole(i128::from(bit)), 1.0)
}

/// What stands in the registers; sentinels are refused here, before anything is calculated.
pub(crate) fn raw_of(mapping: &Mapping, order: WordOrder, words: &[u16]) -> Result<Raw, Fault> {
    if words.len() != usize::from(mapping.encoding.words()) {
        return Err(Fault::BadFrame);
    }
    let raw = mapping.encoding.raw(order, words).ok_or(Fault::Undecodable)?;
    let raw = match (raw, mapping.rules.as_ref().and_then(|rules| rules.bits)) {
        (Raw::Whole(whole), Some(bits)) => Raw::Whole(bits.of(whole)),
        (Raw::Float(float), _) if !float.is_finite() => return Err(Fault::NotANumber),
        (raw @ (Raw::Whole(_) | Raw::Float(_)), _) => raw,
    };
    if mapping.sentinels.contains(&raw) { Err(Fault::Sentinel) } else { Ok(raw) }
}

/// Scale, divisor, current, curves, range.
pub(crate) fn judge(mapping: &Mapping, raw: Raw, divisor: f64) -> Reading {
    let value = mapping.scaling.apply(raw) / divisor;
    if !value.is_finite() {
        return Reading::Bad(Fault::NotANumber);
    }
    let Some(rules) = &mapping.rules else {
        return in_range(mapping, value, RANGE_MARGIN);
    };
    let margin = rules.margin.unwrap_or(RANGE_MARGIN);
    // A saturated current is beyond its range by nature, up to where it counts as failed.
    let mut natural = margin;
    let mut doubt = None;
    let mut value = value;
    if let Some(current) = rules.current_loop {
        if value <= current.fail_low || value >= current.fail_high {
            return Reading::Bad(Fault::WireBreak);
        }
        if value < current.low || value > current.high {
            doubt = Some(Doubt::Saturated);
            let beyond = (current.fail_high - 20.0).max(4.0 - current.fail_low) / 16.0;
            natural = natural.max(beyond);
        }
        let (low, high) = current.range.unwrap_or((mapping.low, mapping.high));
        // A straight line in decimals: 12.345 mA of 0 to 100 is 52.15625.
        let line = Scaling::new((high - low) / 16.0, low - (high - low) / 4.0);
        value = line.map_or(f64::NAN, |line| line.apply(Raw::Float(value)));
    }
    for curve in &rules.curves {
        value = match curve.apply(value, margin) {
            Found::Value(value) => value,
            Found::End(value) => {
                doubt.get_or_insert(Doubt::NearRange);
                value
            }
            Found::Outside => return Reading::Bad(Fault::OutOfRange),
        };
    }
    match (value.is_finite(), doubt) {
        (false, _) => Reading::Bad(Fault::NotANumber),
        (true, Some(doubt)) => match in_range(mapping, value, natural) {
            Reading::Good(value) | Reading::Uncertain(value, _) => Reading::Uncertain(value, doubt),
            bad @ Reading::Bad(_) => bad,
        },
        (true, None) => in_range(mapping, value, margin),
    }
}

fn in_range(mapping: &Mapping, value: f64, margin: f64) -> Reading {
    let margin = (mapping.high - mapping.low) * margin;
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
