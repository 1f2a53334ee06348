//! A look at the top level of a message before it is decoded. Two bytes on the wire can be a
//! hundred in memory; who counts first allocates no more than was agreed.
//!
//! - Stricter than the decoder: groups, which none of our messages has, are refused.

use super::{WireFault, field};

/// The contents of every occurrence of a length-delimited field, in order.
///
/// # Errors
/// The bytes are no sequence of fields.
pub(super) fn contents<'a>(
    message: &'static str,
    bytes: &'a [u8],
    wanted: u64,
) -> Result<Vec<&'a [u8]>, WireFault> {
    let mut found = Vec::new();
    each(message, bytes, wanted, |content| found.push(content))?;
    Ok(found)
}

/// How often a length-delimited field occurs.
///
/// # Errors
/// The bytes are no sequence of fields.
pub(super) fn count(message: &'static str, bytes: &[u8], wanted: u64) -> Result<usize, WireFault> {
    let mut found = 0;
    each(message, bytes, wanted, |_| found += 1)?;
    Ok(found)
}

fn each<'a>(
    message: &'static str,
    mut rest: &'a [u8],
    wanted: u64,
    mut found: impl FnMut(&'a [u8]),
) -> Result<(), WireFault> {
    let torn = || field(message, "fields", "end too early or are of an unknown wire type");
    while !rest.is_empty() {
        let key = varint(&mut rest).ok_or_else(torn)?;
        let length = match key & 7 {
            0 => varint(&mut rest).map(|_| 0),
            1 => Some(8),
            2 => varint(&mut rest),
            5 => Some(4),
            _ => None,
        };
        let length = length.and_then(|n| usize::try_from(n).ok()).ok_or_else(torn)?;
        let (content, after) = rest.split_at_checked(length).ok_or_else(torn)?;
        if key & 7 == 2 && key >> 3 == wanted {
            found(content);
        }
        rest = after;
    }
    Ok(())
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_and_others_stepped_over() {
        let bytes = [
            0x08, 0x96, 0x01, // 1: varint 150
            0x12, 0x02, 0xaa, 0xbb, // 2: two bytes
            0x19, 1, 2, 3, 4, 5, 6, 7, 8, // 3: fixed64
            0x25, 1, 2, 3, 4, // 4: fixed32
            0x12, 0x00, // 2: nothing
        ];
        assert_eq!(contents("x", &bytes, 2).unwrap(), [&[0xaa, 0xbb][..], &[]]);
        assert_eq!(count("x", &bytes, 3), Ok(0));
        for length in [1, 4, 6, 10] {
            assert!(count("x", &bytes[..length], 2).is_err(), "{length}");
        }
        assert!(count("x", &[0x0b, 0x0c], 1).is_err(), "a group");
        assert!(count("x", &[0xff; 11], 1).is_err(), "a number without end");
    }
}
