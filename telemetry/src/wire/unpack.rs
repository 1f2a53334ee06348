//! zstd frames of strangers, within a limit.
//!
//! - The frame's own word about its size is believed only to allocate less, never more.
//! - One context a thread, since making one costs more than unpacking a batch. It holds nothing
//!   between two frames.

use std::cell::RefCell;

use zstd::bulk::Decompressor;
use zstd::zstd_safe::get_frame_content_size;

use super::{WireFault, field, limit};

thread_local! {
    static CONTEXT: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// The content of one frame, at most `max` bytes.
///
/// # Errors
/// Not one whole frame, or larger.
pub(super) fn unpack(
    message: &'static str,
    name: &'static str,
    frame: &[u8],
    max: usize,
) -> Result<Vec<u8>, WireFault> {
    let said = get_frame_content_size(frame)
        .map_err(|_| field(message, name, "is no zstd frame"))?
        .map(|size| usize::try_from(size).unwrap_or(usize::MAX));
    limit("unpacked bytes", said.unwrap_or(0), max)?;
    CONTEXT.with_borrow_mut(|kept| {
        let mut context = match kept.take() {
            Some(context) => context,
            None => Decompressor::new().map_err(|e| field(message, name, e.to_string()))?,
        };
        let content = context
            .decompress(frame, said.unwrap_or(max))
            .map_err(|e| field(message, name, e.to_string()))?;
        // A context that met damage is not kept.
        *kept = Some(context);
        Ok(content)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"61.2 60.7 58.9 61.2 60.7 58.9 61.2 60.7 58.9";

    #[test]
    fn a_frame_is_unpacked_within_its_limit_also_after_a_damaged_one() {
        let frame = zstd::bulk::compress(TEXT, 1).unwrap();
        for _ in 0..3 {
            assert_eq!(unpack("m", "f", &frame, TEXT.len()).unwrap(), TEXT);
            assert!(unpack("m", "f", &frame, TEXT.len() - 1).is_err(), "one byte too many");
            assert!(unpack("m", "f", &frame[..frame.len() - 3], 1_000).is_err(), "torn");
            assert!(unpack("m", "f", TEXT, 1_000).is_err(), "no frame");
        }
    }

    #[test]
    fn a_frame_that_does_not_say_its_size_is_read_as_well() {
        let frame = zstd::stream::encode_all(TEXT, 1).unwrap();
        assert!(matches!(get_frame_content_size(&frame), Ok(None)));
        assert_eq!(unpack("m", "f", &frame, 1_000).unwrap(), TEXT);
        assert!(unpack("m", "f", &frame, TEXT.len() - 1).is_err());
    }

    #[test]
    fn a_frame_that_lies_about_its_size_is_refused() {
        let mut frame = zstd::bulk::compress(TEXT, 1).unwrap();
        // A single segment: the byte after magic number and descriptor is the size.
        frame[5] = 3;
        assert!(unpack("m", "f", &frame, 1_000).is_err());
    }
}
