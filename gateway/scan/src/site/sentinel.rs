//! Raw values by which an instrument says that it has none: `32767;0x8000;NaN`.

use super::{Kind, Problem};
use crate::decode::Raw;
use crate::register::{Encoding, WordOrder};

/// The values of a cell, and what is wrong with others. A number is compared with what the
/// registers mean, `0x…` with their bits: 0x8000 of a signed register is −32768.
pub(crate) fn sentinels(cell: &str, encoding: Encoding) -> (Vec<Raw>, Vec<(String, Problem)>) {
    let (mut found, mut faults) = (Vec::new(), Vec::new());
    for part in cell.split([';', '；']).map(str::trim).filter(|part| !part.is_empty()) {
        match sentinel(part, encoding) {
            Ok(raw) => found.extend(raw),
            Err(problem) => faults.push((part.to_owned(), problem)),
        }
    }
    (found, faults)
}

/// The number that the registers hold for it: a manual prints more digits than a single has.
fn as_read(float: f64, encoding: Encoding) -> f64 {
    if encoding != Encoding::F32 {
        return float;
    }
    #[expect(clippy::cast_possible_truncation, reason = "that is what the instrument did")]
    let bits = (float as f32).to_bits();
    let [a, b, c, d] = bits.to_be_bytes();
    let words = [[a, b], [c, d]].map(u16::from_be_bytes);
    match encoding.raw(WordOrder::Abcd, &words) {
        Some(Raw::Float(read)) => read,
        Some(Raw::Whole(_)) | None => float,
    }
}

/// None where it is refused anyway: what is no number needs no sentinel.
fn sentinel(part: &str, encoding: Encoding) -> Result<Option<Raw>, Problem> {
    if let Some(digits) = part.strip_prefix("0x").or_else(|| part.strip_prefix("0X")) {
        let bits = u64::from_str_radix(digits, 16).map_err(|_| Problem::NotA(Kind::Whole))?;
        let [a, b, c, d, e, f, g, h] = bits.to_be_bytes();
        let all = [[a, b], [c, d], [e, f], [g, h]].map(u16::from_be_bytes);
        let (unused, words) = all.split_at(4 - usize::from(encoding.words()));
        if unused.iter().any(|word| *word != 0) {
            return Err(Problem::SentinelRange);
        }
        let raw = encoding.raw(WordOrder::Abcd, words).ok_or(Problem::SentinelRange)?;
        return Ok(match raw {
            Raw::Float(float) if !float.is_finite() => None,
            Raw::Float(_) | Raw::Whole(_) => Some(raw),
        });
    }
    match encoding.whole_range() {
        Some((low, high)) => match part.parse::<i128>() {
            Ok(whole) if (low..=high).contains(&whole) => Ok(Some(Raw::Whole(whole))),
            Ok(_) => Err(Problem::SentinelRange),
            Err(_) => Err(Problem::NotA(Kind::Whole)),
        },
        None if part.eq_ignore_ascii_case("nan") => Ok(None),
        None => match part.parse::<f64>() {
            Ok(float) => match as_read(float, encoding) {
                float if float.is_finite() => Ok(Some(Raw::Float(float))),
                _ => Err(Problem::SentinelRange),
            },
            Err(_) => Err(Problem::NotA(Kind::Number)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A manual prints digits that a single does not have.
    #[test]
    fn a_sentinel_of_a_single_is_what_its_registers_hold() {
        let minus = [0xC479, 0xF99A];
        for text in ["-999.9", "-999.90002", "-999.900024", "0xC479F99A"] {
            let (found, faults) = sentinels(text, Encoding::F32);
            assert!(faults.is_empty(), "{text}: {faults:?}");
            assert_eq!(
                found.first().copied(),
                Encoding::F32.raw(WordOrder::Abcd, &minus),
                "{text}"
            );
        }
        let tiny = sentinels("1.175494351e-38", Encoding::F32).0;
        assert_eq!(tiny.first().copied(), Encoding::F32.raw(WordOrder::Abcd, &[0x0080, 0]));
        assert_eq!(sentinels("1e39", Encoding::F32).1.len(), 1, "no single is as large");
        assert_eq!(sentinels("1e39", Encoding::F64).0, [Raw::Float(1e39)]);
    }
}
