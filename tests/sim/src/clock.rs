//! The only place where the plant reads a clock.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Wall time and time since the start of the plant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "this is clock.rs")]
    pub(crate) fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// Milliseconds since the start; no step of the wall clock moves it.
    pub(crate) fn elapsed_ms(self) -> i64 {
        i64::try_from(self.start.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    /// Wall time, ms since 1970.
    #[expect(clippy::disallowed_methods, reason = "this is clock.rs")]
    pub(crate) fn wall_ms() -> i64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}
