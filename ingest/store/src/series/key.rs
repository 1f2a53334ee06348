//! Buckets of source time, and a chunk's key: `bucket << 24 | point`.

use std::hash::{BuildHasherDefault, Hasher};

use fengsui_telemetry::TimeMs;

use crate::model::POINT_MAX;

/// Buckets beyond this many from 1970 do not fit a chunk's key; at ten minutes five million
/// years.
const BUCKET_MAX: i64 = 1 << 38;

/// The bucket of a stamp, unless no key can hold it.
pub(super) fn bucket_of(te: TimeMs, bucket_ms: i64) -> Option<i64> {
    let bucket = te.0.div_euclid(bucket_ms);
    (-BUCKET_MAX < bucket && bucket < BUCKET_MAX).then_some(bucket)
}

/// The earliest and the first too late stamp that chunks can hold.
pub(super) fn span(bucket_ms: i64) -> (TimeMs, TimeMs) {
    (base(1 - BUCKET_MAX, bucket_ms), base(BUCKET_MAX, bucket_ms))
}

/// Where a bucket begins.
pub(super) fn base(bucket: i64, bucket_ms: i64) -> TimeMs {
    TimeMs(bucket.saturating_mul(bucket_ms))
}

/// A chunk's key.
pub(super) fn pack(bucket: i64, point: u32) -> i64 {
    (bucket << 24) | i64::from(point & POINT_MAX)
}

/// Bucket and point of a chunk's key.
pub(super) fn unpack(id: i64) -> (i64, u32) {
    let point = u32::try_from(id & i64::from(POINT_MAX)).unwrap_or(0);
    (id >> 24, point)
}

/// Multiplies chunk keys apart. Their points come from our own registry: nobody can choose them
/// to collide.
#[derive(Default)]
pub(super) struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_i64(i64::from(*byte));
        }
    }
    fn write_i64(&mut self, number: i64) {
        let mixed = (self.0 ^ number.cast_unsigned()).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }
}

pub(super) type Spreading = BuildHasherDefault<Spread>;
