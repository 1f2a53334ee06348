//! Bytes that are seldom needed and always there: kept packed, shared by whoever may need them.

use std::io;
use std::sync::Arc;

/// The level that `zstd` itself takes: a sheet shrinks to a tenth in some milliseconds.
const LEVEL: i32 = 3;

/// Some bytes, packed.
#[derive(Clone, Debug)]
pub(crate) struct Packed {
    bytes: Arc<[u8]>,
    /// What they unpack to.
    size: usize,
}

impl Packed {
    pub(crate) fn of(plain: &[u8]) -> io::Result<Self> {
        Ok(Self { bytes: zstd::bulk::compress(plain, LEVEL)?.into(), size: plain.len() })
    }

    /// The same bytes in another place: a clone shares them.
    pub(crate) fn laid_anew(&self) -> Self {
        Self { bytes: (*self.bytes).into(), size: self.size }
    }

    /// The bytes as they were.
    pub(crate) fn plain(&self) -> io::Result<Vec<u8>> {
        zstd::bulk::decompress(&self.bytes, self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_comes_back_and_takes_little() {
        let plain: Vec<u8> =
            (0..1_000).flat_map(|n| format!("R{n},液位,mm\n").into_bytes()).collect();
        let packed = Packed::of(&plain).unwrap();
        assert_eq!(packed.plain().unwrap(), plain);
        assert!(packed.bytes.len() * 4 < plain.len(), "{}", packed.bytes.len());
        assert_eq!(Packed::of(b"").unwrap().plain().unwrap(), b"");
    }
}
