//! The clock of the runs.

use std::time::{Duration, Instant};

/// When something began.
#[derive(Clone, Copy, Debug)]
pub struct Began(Instant);

impl Began {
    /// Now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn now() -> Self {
        Self(Instant::now())
    }

    /// How long ago.
    #[must_use]
    pub fn ago(self) -> Duration {
        self.0.elapsed()
    }
}
