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

/// Further apart than this in one turn, wall clock and monotonic clock have not drifted: somebody
/// has set the wall clock, or the machine has slept.
const STEP_MS: i64 = 2_000;

/// Notices steps of the wall clock.
#[derive(Debug)]
pub struct Steps {
    wall: TimeMs,
    steady: Instant,
}

impl Steps {
    /// From now on.
    #[must_use]
    pub fn new() -> Self {
        Self { wall: now(), steady: monotonic() }
    }

    /// How far the wall clock was set since the last look, ms; none: it was not.
    pub fn look(&mut self) -> Option<i64> {
        self.step(now(), monotonic())
    }

    fn step(&mut self, wall: TimeMs, steady: Instant) -> Option<i64> {
        let passed =
            i64::try_from(steady.duration_since(self.steady).as_millis()).unwrap_or(i64::MAX);
        let step = wall.since(self.wall).saturating_sub(passed);
        (self.wall, self.steady) = (wall, steady);
        (step.abs() > STEP_MS).then_some(step)
    }
}

impl Default for Steps {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_noticed_once_and_time_passing_is_none() {
        let mut steps = Steps::new();
        let (wall, steady) = (steps.wall, steps.steady);
        let later = |ms: u64| steady + Duration::from_millis(ms);
        assert_eq!(steps.step(wall + 60_000, later(60_000)), None);
        assert_eq!(steps.step(wall - 86_400_000, later(61_000)), Some(-86_461_000));
        assert_eq!(steps.step(wall - 86_399_000, later(62_000)), None);
        assert_eq!(steps.step(wall, later(62_500)), Some(86_398_500));
    }
}
