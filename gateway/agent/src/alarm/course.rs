//! The engine's time: begins at the wall clock and then runs with the monotonic one.
//!
//! - No step of the wall clock reaches the engine, whatever its size and direction: no delay ends
//!   early, no silence is invented, no new sample is taken for an old one.
//! - Records bear wall time. What the engine says of a moment is put back into the wall clock as it
//!   is when it is written, so what happened before a step is stamped as the clock now knows it.
//! - A start takes the wall clock as it is; where that lies behind what the engine knew, the engine
//!   goes back with it (`clock_back.rs` there).

use fengsui_telemetry::TimeMs;

/// The wall clock moved against the monotonic one by more than this: a step, not drift.
const STEP_MS: i64 = 1_000;
/// A reading that was stamped before a step is handled well within this after it.
const IN_FLIGHT_MS: u64 = 10_000;

/// The relation of the three times. All milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Course {
    /// The engine's time at monotonic 0.
    base: i64,
    /// The engine's time less the wall clock's.
    ahead: i64,
    /// The same before the last step, and when that was.
    before: Option<(i64, u64)>,
}

impl Course {
    pub(super) fn begin(wall: TimeMs, mono: u64) -> Self {
        Self { base: wall.0.saturating_sub_unsigned(mono), ahead: 0, before: None }
    }

    /// The engine's now.
    pub(super) fn now(&self, mono: u64) -> TimeMs {
        TimeMs(self.base.saturating_add_unsigned(mono))
    }

    /// Looks whether the wall clock was set, and how far.
    pub(super) fn follow(&mut self, wall: TimeMs, mono: u64) -> Option<i64> {
        let ahead = self.now(mono).since(wall);
        let step = self.ahead.saturating_sub(ahead);
        if step.saturating_abs() <= STEP_MS {
            return None;
        }
        self.before = Some((self.ahead, mono));
        self.ahead = ahead;
        Some(step)
    }

    /// A reading's time, in the wall clock as it is now: it may have been stamped just before a
    /// step.
    pub(super) fn restamped(&self, te: TimeMs, mono: u64) -> TimeMs {
        let Some((before, _)) =
            self.before.filter(|(_, at)| mono.saturating_sub(*at) < IN_FLIGHT_MS)
        else {
            return te;
        };
        let far = |ahead: i64| (te + ahead).since(self.now(mono)).saturating_abs();
        if far(before) < far(self.ahead) { te + before.saturating_sub(self.ahead) } else { te }
    }

    pub(super) fn engine(&self, wall: TimeMs) -> TimeMs {
        wall + self.ahead
    }

    pub(super) fn wall(&self, engine: TimeMs) -> TimeMs {
        engine + self.ahead.saturating_neg()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 1_800_000_000_000;

    #[test]
    fn the_engine_sees_no_step_of_any_size() {
        for step in [-3_600_000, -2_000, 2_000, 86_400_000, NOON] {
            let mut course = Course::begin(TimeMs(NOON), 500);
            assert_eq!(course.follow(TimeMs(NOON + 1_000), 1_500), None);
            let stepped = TimeMs(NOON + 2_000 + step);
            assert_eq!(course.follow(stepped, 2_500), Some(step));
            assert_eq!(course.now(2_500), TimeMs(NOON + 2_000), "its time runs on");
            assert_eq!(course.engine(stepped), course.now(2_500));
            assert_eq!(course.wall(course.now(2_500)), stepped);
            assert_eq!(course.follow(stepped + 1_000, 3_500), None, "one step is told once");
        }
    }

    #[test]
    fn a_reading_from_just_before_a_step_is_stamped_by_the_new_clock() {
        let mut course = Course::begin(TimeMs(0), 0);
        assert_eq!(course.follow(TimeMs(NOON), 1_000), Some(NOON - 1_000));
        assert_eq!(course.restamped(TimeMs(990), 1_010), TimeMs(NOON - 10));
        assert_eq!(course.restamped(TimeMs(NOON + 5), 1_010), TimeMs(NOON + 5));
        assert_eq!(course.restamped(TimeMs(990), 60_000), TimeMs(990), "long after: as it came");
    }

    #[test]
    fn slow_drift_is_no_step() {
        let mut course = Course::begin(TimeMs(NOON), 0);
        for second in 1..900 {
            let mono = u64::try_from(second).unwrap() * 1_000;
            assert_eq!(course.follow(TimeMs(NOON + second * 1_001), mono), None);
        }
    }
}
