//! Variable-length numbers, and the checksum around a blob.
//!
//! - A number is LEB128, a signed one zigzag first, so small steps cost one byte.
//! - Nothing here trusts a length that it reads.

use thiserror::Error;

/// Why bytes could not be read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct Damage(pub &'static str);

/// Where a blob belongs; part of its checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The chunk of this key.
    Chunk(i64),
    /// The journal row of this seq.
    Journal(u64),
    /// The one engine snapshot.
    Snapshot,
    /// The chunk of inputs of this number.
    Inputs(u64),
    /// The one plan of alarms.
    Plan,
}

impl Place {
    fn seed(self) -> u32 {
        match self {
            Self::Chunk(id) => crc32c::crc32c_append(1, &id.to_le_bytes()),
            Self::Journal(seq) => crc32c::crc32c_append(2, &seq.to_le_bytes()),
            Self::Snapshot => 3,
            Self::Inputs(number) => crc32c::crc32c_append(4, &number.to_le_bytes()),
            Self::Plan => 5,
        }
    }
}

/// Ends a blob with its checksum.
pub(crate) fn seal(place: Place, mut blob: Vec<u8>) -> Vec<u8> {
    let crc = crc32c::crc32c_append(place.seed(), &blob);
    blob.extend_from_slice(&crc.to_le_bytes());
    blob
}

/// The bytes before the checksum, if it holds.
pub(crate) fn open(place: Place, blob: &[u8]) -> Result<&[u8], Damage> {
    let (body, crc) = blob.split_last_chunk::<4>().ok_or(Damage("shorter than its checksum"))?;
    if crc32c::crc32c_append(place.seed(), body) == u32::from_le_bytes(*crc) {
        Ok(body)
    } else {
        Err(Damage("checksum does not match"))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the low seven bits are what is wanted")]
#[inline]
pub(super) fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

#[inline]
pub(super) fn put_signed(out: &mut Vec<u8>, number: i64) {
    put_number(out, ((number << 1) ^ (number >> 63)).cast_unsigned());
}

pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Reads from the front.
pub(super) struct Front<'a>(pub(super) &'a [u8]);

impl<'a> Front<'a> {
    #[inline]
    pub(super) fn byte(&mut self) -> Result<u8, Damage> {
        let (first, rest) = self.0.split_first().ok_or(Damage("ends too early"))?;
        self.0 = rest;
        Ok(*first)
    }

    #[inline]
    pub(super) fn number(&mut self) -> Result<u64, Damage> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Damage("a number does not end"))
    }

    #[inline]
    pub(super) fn signed(&mut self) -> Result<i64, Damage> {
        let raw = self.number()?;
        Ok((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed())
    }

    /// A count of things, refused above `most`: a wrong count must not ask for more memory than
    /// the blob could fill.
    pub(super) fn count(&mut self, most: u64) -> Result<usize, Damage> {
        let count = self.number()?;
        if count > most {
            return Err(Damage("a count is larger than possible"));
        }
        usize::try_from(count).map_err(|_| Damage("a count is larger than possible"))
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], Damage> {
        let (head, rest) = self.0.split_at_checked(length).ok_or(Damage("ends too early"))?;
        self.0 = rest;
        Ok(head)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Damage> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(Damage("ends too early"))?;
        self.0 = rest;
        Ok(*head)
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Damage> {
        let length = self.count(self.0.len() as u64)?;
        self.take(length)
    }

    pub(super) fn text(&mut self) -> Result<String, Damage> {
        let bytes = self.bytes()?;
        String::from_utf8(bytes.to_vec()).map_err(|_| Damage("text is not UTF-8"))
    }

    pub(super) fn end(&self) -> Result<(), Damage> {
        if self.0.is_empty() { Ok(()) } else { Err(Damage("bytes are left over")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_of_number_comes_back() {
        for bits in 0..64 {
            for number in [1_u64 << bits, (1 << bits) - 1, u64::MAX - (1 << bits)] {
                let mut out = Vec::new();
                put_number(&mut out, number);
                put_signed(&mut out, number.cast_signed());
                let mut front = Front(&out);
                assert_eq!(front.number(), Ok(number));
                assert_eq!(front.signed(), Ok(number.cast_signed()));
                assert_eq!(front.end(), Ok(()));
            }
        }
    }

    #[test]
    fn a_blob_in_the_wrong_row_or_with_a_flipped_bit_is_found() {
        let blob = seal(Place::Chunk(7), b"levels".to_vec());
        assert_eq!(open(Place::Chunk(7), &blob), Ok(&b"levels"[..]));
        assert!(open(Place::Chunk(8), &blob).is_err());
        assert!(open(Place::Journal(7), &blob).is_err());
        for bit in 0..blob.len() * 8 {
            let mut flipped = blob.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(open(Place::Chunk(7), &flipped).is_err(), "bit {bit}");
        }
    }
}
