//! The only file of this crate that reads a clock.
//!
//! - Monotonic time ends a group commit. Wall time stamps what the store itself writes.
//! - Seals go by the ingest times that callers give, not by this clock.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use fengsui_telemetry::TimeMs;

/// Now, on a clock that never steps.
#[expect(clippy::disallowed_methods, reason = "this is clock.rs")]
pub(crate) fn monotonic() -> Instant {
    Instant::now()
}

/// Now, on the wall.
#[expect(clippy::disallowed_methods, reason = "this is clock.rs")]
pub(crate) fn wall() -> TimeMs {
    let now = SystemTime::now();
    let ms = match now.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
        Err(before) => {
            i64::try_from(before.duration().as_millis()).map_or(i64::MIN, i64::wrapping_neg)
        }
    };
    TimeMs(ms)
}
