//! The only place of the experiments that reads a clock.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Monotonic time.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is clock.rs")]
pub fn monotonic() -> Instant {
    Instant::now()
}

/// Wall time, ms since 1970.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is clock.rs")]
pub fn wall_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
