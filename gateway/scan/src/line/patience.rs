//! How long to wait for one device: learnt from what it took, bounded by what is configured.

use crate::schedule::Outcome;

/// Answers between two looks. The longest of the last one or two looks stands for the 99.9 %
/// quantile, on the safe side.
const LOOK: u32 = 512;
/// Answers before a measurement counts.
const KNOWN_AFTER: u32 = 32;
/// The longest turnaround, times this.
const MARGIN: u64 = 3;
/// Never less: schedulers and adapters of both ends add up to this.
const LEAST_US: u64 = 50_000;

/// What one device was seen to take, µs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    most_us: u64,
    now_us: u64,
    longest: u64,
    longest_before: u64,
    seen: u32,
    known: bool,
    /// What was learnt last, kept while there are no answers.
    pace_us: Option<u64>,
    turnaround_us: u64,
}

impl Patience {
    pub(super) fn new(most_us: u64) -> Self {
        Self {
            most_us,
            now_us: most_us,
            longest: 0,
            longest_before: 0,
            seen: 0,
            known: false,
            pace_us: None,
            turnaround_us: 0,
        }
    }

    /// What is configured: never more.
    pub(super) fn most_us(&self) -> u64 {
        self.most_us
    }

    /// The patience that was learnt last, also of a device that no longer answers.
    pub(super) fn pace_us(&self) -> Option<u64> {
        self.pace_us
    }

    /// The longest turnaround that was seen lately; 0 before any.
    pub(super) fn turnaround_us(&self) -> u64 {
        self.turnaround_us
    }

    pub(super) fn now_us(&self) -> u64 {
        self.now_us
    }

    /// An answer teaches; a missing one doubles the patience until there are answers again.
    pub(super) fn learn(&mut self, outcome: &Outcome, turnaround_us: Option<u64>) {
        if *outcome == Outcome::Timeout {
            self.now_us = (self.now_us * 2).min(self.most_us);
            (self.longest, self.longest_before) = (0, 0);
            (self.seen, self.known) = (0, false);
            return;
        }
        let Some(turnaround) = turnaround_us else { return };
        self.longest = self.longest.max(turnaround);
        self.turnaround_us = self.longest.max(self.longest_before);
        self.seen += 1;
        self.known |= self.seen >= KNOWN_AFTER;
        let wanted = (self.turnaround_us * MARGIN).max(LEAST_US).min(self.most_us);
        if self.known {
            self.now_us = wanted;
            self.pace_us = Some(self.now_us);
        } else {
            // One that took longer will do so again.
            self.now_us = self.now_us.max(wanted);
        }
        if self.seen >= LOOK {
            (self.longest_before, self.longest, self.seen) = (self.longest, 0, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_shrinks_to_what_is_seen_and_grows_when_answers_fail() {
        let mut patience = Patience::new(500_000);
        for _ in 0..KNOWN_AFTER {
            assert_eq!(patience.now_us(), 500_000);
            patience.learn(&Outcome::Exception(2), Some(30_000));
        }
        assert_eq!(patience.now_us(), 90_000);
        patience.learn(&Outcome::Exception(2), Some(40_000));
        assert_eq!(patience.now_us(), 120_000, "a longer one counts at once");
        for _ in 0..3 * LOOK {
            patience.learn(&Outcome::Exception(2), Some(1_000));
        }
        assert_eq!(patience.now_us(), LEAST_US, "and is forgotten in time");
        for want in [100_000, 200_000, 400_000, 500_000, 500_000] {
            patience.learn(&Outcome::Timeout, None);
            assert_eq!(patience.now_us(), want);
        }
    }
}
