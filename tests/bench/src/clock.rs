//! The only place of the bench that reads a clock.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use fengsui_telemetry::TimeMs;

/// Monotonic time.
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub(crate) fn monotonic() -> Instant {
    Instant::now()
}

/// Wall time.
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub(crate) fn now() -> TimeMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    TimeMs(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
