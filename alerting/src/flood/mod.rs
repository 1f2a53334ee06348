//! Alarm flood of one operator position: begins when more alarms than a person can answer have
//! been announced, ends when they have become few.
//!
//! - The window slides: `(now - window, now]`. Its end is known beforehand ([`Flood::wake_at`]).
//! - What counts is the load on a person: announcements, in processing time. Excursions that late
//!   data show to be over are no load; they have a counter of their own (Q20).
//! - Grouping on a screen is the screen's; every occurrence stays an occurrence.

use std::collections::VecDeque;

use fengsui_telemetry::TimeMs;

/// Announcements remembered: ten minutes of a hundred a second. Beyond it the oldest are
/// forgotten, so that the count shown is too low and the flood goes on.
pub const REMEMBERED_MAX: usize = 65_536;

/// When a flood begins and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FloodRules {
    /// The window, ms.
    pub window_ms: i64,
    /// More than this many in the window: it begins.
    pub starts_above: usize,
    /// Fewer than this many in the window: it ends.
    pub ends_below: usize,
}

impl Default for FloodRules {
    /// More than ten in ten minutes; fewer than five (quotation of ISA-18.2, S2/H).
    fn default() -> Self {
        Self { window_ms: 600_000, starts_above: 10, ends_below: 5 }
    }
}

/// What was told to the position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Told {
    /// An annunciation, of a live alarm or of late data whose alarm still holds (R8b).
    Announced,
    /// An excursion that late data show to be over (R8a): one chime for all of them.
    LateAndOver,
    /// A row that announces nothing.
    Note,
}

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FloodChange {
    /// A flood began.
    Began {
        /// With the announcement of this time.
        at: TimeMs,
    },
    /// It ended.
    Ended {
        /// When the window had become empty enough, not when somebody looked.
        at: TimeMs,
        /// Announcements from its beginning to its end, those that made it included.
        announced: u64,
    },
}

/// The flood watch of one operator position.
#[derive(Clone, Debug, Default)]
pub struct Flood {
    rules: FloodRules,
    times: VecDeque<TimeMs>,
    since: Option<TimeMs>,
    announced: u64,
    late: u64,
}

impl Flood {
    /// A position to which nothing has been told yet. `ends_below` above `starts_above + 1` would
    /// end a flood as it begins; it is taken as `starts_above + 1`.
    #[must_use]
    pub fn new(rules: FloodRules) -> Self {
        let ends_below = rules.ends_below.min(rules.starts_above.saturating_add(1));
        Self { rules: FloodRules { ends_below, ..rules }, ..Self::default() }
    }

    /// Something was told at `at`, not before anything that was told already.
    pub fn told(&mut self, what: Told, at: TimeMs) -> Vec<FloodChange> {
        let mut changes: Vec<FloodChange> = self.tick(at).into_iter().collect();
        match what {
            Told::Note => {}
            Told::LateAndOver => self.late += 1,
            Told::Announced => {
                self.times.push_back(at);
                if self.times.len() > REMEMBERED_MAX {
                    self.times.pop_front();
                }
                self.announced += 1;
                // The tick has left only what is in the window.
                let count = self.times.len();
                if self.since.is_none() && count > self.rules.starts_above {
                    self.since = Some(at);
                    self.announced = u64::try_from(count).unwrap_or(u64::MAX);
                    changes.push(FloodChange::Began { at });
                }
            }
        }
        changes
    }

    /// Time has come to `now`.
    pub fn tick(&mut self, now: TimeMs) -> Option<FloodChange> {
        let ended = match (self.since, self.ends_at()) {
            (Some(_), Some(at)) if at <= now => {
                self.since = None;
                Some(FloodChange::Ended { at, announced: self.announced })
            }
            (Some(_), Some(_) | None) | (None, _) => None,
        };
        let gone = now - self.rules.window_ms;
        while self.times.front().is_some_and(|at| *at <= gone) {
            self.times.pop_front();
        }
        ended
    }

    /// When a running flood ends if nothing more is announced.
    #[must_use]
    pub fn wake_at(&self) -> Option<TimeMs> {
        self.since.and(self.ends_at())
    }

    /// Announcements in the window.
    #[must_use]
    pub fn count(&self, now: TimeMs) -> usize {
        let from = now - self.rules.window_ms;
        self.times.iter().rev().take_while(|at| **at > from).count()
    }

    /// Since when there is a flood.
    #[must_use]
    pub fn since(&self) -> Option<TimeMs> {
        self.since
    }

    /// Excursions told late and over, since the beginning of this watch.
    #[must_use]
    pub fn late(&self) -> u64 {
        self.late
    }

    /// When the window will hold fewer than `ends_below`: the announcement that is one too many
    /// leaves it.
    fn ends_at(&self) -> Option<TimeMs> {
        if self.rules.ends_below == 0 {
            return None;
        }
        let place = self.times.len().checked_sub(self.rules.ends_below);
        match place.and_then(|place| self.times.get(place)) {
            Some(leaves) => Some(*leaves + self.rules.window_ms),
            // Fewer are left already: it ends when looked at.
            None => Some(TimeMs::MIN),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: i64) -> TimeMs {
        TimeMs(seconds * 1_000)
    }

    fn watch(announced: &[i64]) -> (Flood, Vec<FloodChange>) {
        let mut flood = Flood::new(FloodRules::default());
        let changes = announced.iter().flat_map(|at| flood.told(Told::Announced, s(*at))).collect();
        (flood, changes)
    }

    #[test]
    fn w09_a_flood_begins_with_the_eleventh_and_ends_when_four_are_left() {
        let eleven: Vec<i64> = (0..=10).map(|n| n * 30).collect();
        let (mut flood, changes) = watch(&eleven);
        assert_eq!(changes, [FloodChange::Began { at: s(300) }]);
        assert_eq!(flood.count(s(600)), 10);
        assert_eq!(flood.count(s(750)), 5);
        assert_eq!(flood.wake_at(), Some(s(780)));
        assert_eq!(flood.tick(s(779)), None);
        assert_eq!(flood.tick(s(780)), Some(FloodChange::Ended { at: s(780), announced: 11 }));
        assert_eq!((flood.count(s(780)), flood.since(), flood.wake_at()), (4, None, None));
    }

    #[test]
    fn w09_ten_are_no_flood_and_what_is_late_and_over_is_counted_apart() {
        let (mut flood, changes) = watch(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert!(changes.is_empty());
        for second in 1..50 {
            assert!(flood.told(Told::LateAndOver, s(second)).is_empty());
            assert!(flood.told(Told::Note, s(second)).is_empty());
        }
        assert_eq!((flood.count(s(50)), flood.late()), (10, 49));
        // R8b: late data whose alarm still holds is announced, and counts when it is.
        assert_eq!(flood.told(Told::Announced, s(50)), [FloodChange::Began { at: s(50) }]);
    }

    #[test]
    fn w09_the_window_is_open_at_its_beginning() {
        let (mut flood, _) = watch(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert!(flood.told(Told::Announced, s(600)).is_empty(), "those of 0 have left");
        assert_eq!(flood.count(s(600)), 1);
    }

    #[test]
    fn an_end_that_nobody_looked_for_is_told_with_its_own_time_before_the_next_announcement() {
        let (mut flood, _) = watch(&[0; 11]);
        let changes = flood.told(Told::Announced, s(5_000));
        assert_eq!(changes, [FloodChange::Ended { at: s(600), announced: 11 }]);
        assert_eq!(flood.since(), None);
    }

    #[test]
    fn a_long_flood_stays_one_and_memory_stays_bounded() {
        let mut flood = Flood::new(FloodRules::default());
        let mut changes = 0;
        for at in 0..200_000 {
            changes += flood.told(Told::Announced, TimeMs(at)).len();
        }
        assert_eq!(changes, 1);
        assert!(flood.times.len() <= REMEMBERED_MAX);
    }
}
