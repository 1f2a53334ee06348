//! Numbers and texts as bytes: variable length, little end first, checksum last.

use crate::plan::RestoreFault;

/// Bytes of the checksum.
const CHECK: usize = 4;

/// Collects the bytes of a snapshot.
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub(crate) fn new(magic: [u8; 4], version: u32) -> Self {
        let mut bytes = magic.to_vec();
        bytes.extend(version.to_le_bytes());
        Self { bytes }
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        let check = crc32c::crc32c(&self.bytes);
        self.bytes.extend(check.to_le_bytes());
        self.bytes
    }

    pub(crate) fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    pub(crate) fn flag(&mut self, flag: bool) {
        self.byte(u8::from(flag));
    }

    pub(crate) fn unsigned(&mut self, mut number: u64) {
        loop {
            let [low, ..] = number.to_le_bytes();
            number >>= 7;
            if number == 0 {
                self.byte(low & 0x7f);
                return;
            }
            self.byte(low | 0x80);
        }
    }

    pub(crate) fn signed(&mut self, number: i64) {
        self.unsigned((number.cast_unsigned() << 1) ^ (number >> 63).cast_unsigned());
    }

    pub(crate) fn count(&mut self, count: usize) {
        self.unsigned(count as u64);
    }

    pub(crate) fn maybe(&mut self, number: Option<i64>) {
        self.flag(number.is_some());
        if let Some(number) = number {
            self.signed(number);
        }
    }

    pub(crate) fn number(&mut self, number: f64) {
        self.number_bits(number.to_bits());
    }

    pub(crate) fn number_bits(&mut self, bits: u64) {
        self.bytes.extend(bits.to_le_bytes());
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.count(text.len());
        self.bytes.extend(text.as_bytes());
    }

    pub(crate) fn stretches(&mut self, stretches: &[(i64, i64)]) {
        self.count(stretches.len());
        for (from, to) in stretches {
            self.signed(*from);
            self.signed(*to);
        }
    }
}

/// Takes the bytes of a snapshot apart. Every count is checked against what is left.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The layout that was asked for.
    version: u32,
}

impl<'a> Reader<'a> {
    pub(crate) fn open(
        bytes: &'a [u8],
        magic: [u8; 4],
        version: u32,
    ) -> Result<Self, RestoreFault> {
        let Some((head, rest)) = bytes.split_first_chunk::<4>() else {
            return Err(RestoreFault::NotASnapshot);
        };
        if *head != magic {
            return Err(RestoreFault::NotASnapshot);
        }
        let Some((found, _)) = rest.split_first_chunk::<4>() else {
            return Err(RestoreFault::NotASnapshot);
        };
        let found = u32::from_le_bytes(*found);
        if found != version {
            return Err(RestoreFault::Version { found, known: version });
        }
        let Some((body, check)) = bytes.split_last_chunk::<CHECK>() else {
            return Err(RestoreFault::NotASnapshot);
        };
        if crc32c::crc32c(body) != u32::from_le_bytes(*check) {
            return Err(RestoreFault::Checksum);
        }
        Ok(Self { bytes: body, at: 8, version })
    }

    pub(crate) fn version(&self) -> u32 {
        self.version
    }

    pub(crate) fn damaged(&self) -> RestoreFault {
        RestoreFault::Damaged(self.at)
    }

    pub(crate) fn end(&self) -> Result<(), RestoreFault> {
        if self.at == self.bytes.len() { Ok(()) } else { Err(self.damaged()) }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], RestoreFault> {
        let end = self.at.checked_add(count).ok_or_else(|| self.damaged())?;
        let bytes = self.bytes.get(self.at..end).ok_or_else(|| self.damaged())?;
        self.at = end;
        Ok(bytes)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, RestoreFault> {
        let bytes = self.take(1)?;
        bytes.first().copied().ok_or_else(|| self.damaged())
    }

    pub(crate) fn flag(&mut self) -> Result<bool, RestoreFault> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.damaged()),
        }
    }

    pub(crate) fn unsigned(&mut self) -> Result<u64, RestoreFault> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(self.damaged())
    }

    pub(crate) fn signed(&mut self) -> Result<i64, RestoreFault> {
        let number = self.unsigned()?;
        Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    /// A number that is no count of things to come.
    pub(crate) fn plain_count(&mut self) -> Result<usize, RestoreFault> {
        usize::try_from(self.unsigned()?).map_err(|_| self.damaged())
    }

    /// A number of an alarm, a point or a gateway.
    pub(crate) fn small(&mut self) -> Result<u32, RestoreFault> {
        u32::try_from(self.unsigned()?).map_err(|_| self.damaged())
    }

    /// A count of things to come: each takes a byte at least.
    pub(crate) fn count(&mut self) -> Result<usize, RestoreFault> {
        let count = self.plain_count()?;
        if count > self.bytes.len().saturating_sub(self.at) {
            return Err(self.damaged());
        }
        Ok(count)
    }

    pub(crate) fn maybe(&mut self) -> Result<Option<i64>, RestoreFault> {
        if self.flag()? { self.signed().map(Some) } else { Ok(None) }
    }

    pub(crate) fn number(&mut self) -> Result<f64, RestoreFault> {
        self.number_bits().map(f64::from_bits)
    }

    pub(crate) fn number_bits(&mut self) -> Result<u64, RestoreFault> {
        let bytes = self.take(8)?;
        let bytes = bytes.first_chunk::<8>().ok_or_else(|| self.damaged())?;
        Ok(u64::from_le_bytes(*bytes))
    }

    pub(crate) fn text(&mut self) -> Result<String, RestoreFault> {
        let count = self.count()?;
        let bytes = self.take(count)?;
        String::from_utf8(bytes.to_vec()).map_err(|_| self.damaged())
    }

    pub(crate) fn stretches(&mut self) -> Result<Vec<(i64, i64)>, RestoreFault> {
        let mut stretches = Vec::new();
        for _ in 0..self.count()? {
            stretches.push((self.signed()?, self.signed()?));
        }
        Ok(stretches)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_at_the_edges_come_back() {
        let mut w = Writer::new(*b"TEST", 7);
        let numbers = [0, 1, -1, 63, -64, 1_700_000_000_000, i64::MAX, i64::MIN];
        for number in numbers {
            w.signed(number);
            w.maybe(Some(number));
        }
        w.maybe(None);
        w.text("位号");
        w.number(-0.0);
        let bytes = w.finish();
        let mut r = Reader::open(&bytes, *b"TEST", 7).unwrap();
        for number in numbers {
            assert_eq!(r.signed(), Ok(number));
            assert_eq!(r.maybe(), Ok(Some(number)));
        }
        assert_eq!(r.maybe(), Ok(None));
        assert_eq!(r.text().as_deref(), Ok("位号"));
        assert_eq!(r.number().map(f64::to_bits), Ok((-0.0_f64).to_bits()));
        assert_eq!(r.end(), Ok(()));
    }

    #[test]
    fn one_wrong_bit_is_found() {
        let mut w = Writer::new(*b"TEST", 7);
        w.text("abc");
        let good = w.finish();
        for at in 8..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 4;
            assert_eq!(Reader::open(&bad, *b"TEST", 7).err(), Some(RestoreFault::Checksum));
        }
        assert_eq!(Reader::open(b"x", *b"TEST", 7).err(), Some(RestoreFault::NotASnapshot));
        let other = Reader::open(&good, *b"TEST", 8).err();
        assert_eq!(other, Some(RestoreFault::Version { found: 7, known: 8 }));
    }
}
