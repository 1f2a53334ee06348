//! The only place of the centre that reads a clock.
//!
//! - Wall time is a stamp; patience and timeouts run on the monotonic clock.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use fengsui_telemetry::TimeMs;

/// Wall time.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub fn now() -> TimeMs {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => TimeMs(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)),
        Err(before) => TimeMs(-i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX)),
    }
}

/// Monotonic time, for timeouts.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub fn monotonic() -> Instant {
    Instant::now()
}

/// How long until a wall time, nothing if it has passed.
#[must_use]
pub fn until(at: TimeMs) -> Duration {
    Duration::from_millis(u64::try_from(at.since(now())).unwrap_or(0))
}
