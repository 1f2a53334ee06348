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
            Ok(float) if float.is_finite() => Ok(Some(Raw::Float(float))),
            Ok(_) => Err(Problem::SentinelRange),
            Err(_) => Err(Problem::NotA(Kind::Number)),
        },
    }
}
