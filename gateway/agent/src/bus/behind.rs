//! Says when a device falls behind, and whether the plan is to blame or the line: one that loses
//! its time to time-outs and damaged answers is not mended by asking less.

use fengsui_scan::{Arrears, Outcome};
use tracing::{info, warn};

/// Exchanges are counted over the last one to two of these.
const WINDOW_MS: u64 = 60_000;
/// A line is faulty where at least one exchange in so many fails. A choice: a time-out takes some
/// ten times as long as an answer. The probes of dead devices stay below it on a line that is well.
const FAULTY_ONE_IN: u64 = 20;

/// How the exchanges of a line or connection went lately.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lately {
    since: u64,
    now: Tried,
    before: Tried,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tried {
    asked: u64,
    failed: u64,
}

impl Lately {
    pub(super) fn count(&mut self, outcome: &Outcome, now: u64) {
        let passed = now.saturating_sub(self.since);
        if passed >= WINDOW_MS {
            self.before = if passed < 2 * WINDOW_MS { self.now } else { Tried::default() };
            (self.now, self.since) = (Tried::default(), now);
        }
        self.now.asked += 1;
        match outcome {
            Outcome::Data(_) | Outcome::Exception(_) => {}
            Outcome::Timeout | Outcome::BadFrame | Outcome::Lost | Outcome::Unreachable => {
                self.now.failed += 1;
            }
        }
    }

    fn tried(&self) -> Tried {
        let (asked, failed) =
            (self.now.asked + self.before.asked, self.now.failed + self.before.failed);
        Tried { asked, failed }
    }
}

/// Whether a device is behind, and what was said to be the cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Behind {
    #[default]
    No,
    /// It is asked for too much.
    Plan,
    /// Too many exchanges fail.
    Line,
}

impl Behind {
    /// What there is to say now. A line that was faulty is the cause until not one exchange fails
    /// any more; the plan, until the device has caught up.
    fn next(self, overdue: u32, tried: Tried) -> Self {
        let faulty = tried.failed > 0 && tried.failed * FAULTY_ONE_IN >= tried.asked;
        match (self, overdue) {
            (Self::No | Self::Plan | Self::Line, 0) => Self::No,
            (Self::No, _) if faulty => Self::Line,
            (Self::Line, _) if tried.failed > 0 => Self::Line,
            (Self::No | Self::Plan | Self::Line, _) => Self::Plan,
        }
    }

    pub(super) fn say(&mut self, device: &str, arrears: Arrears, lately: &Lately) {
        let (Arrears { missed, overdue: points }, tried) = (arrears, lately.tried());
        let next = self.next(points, tried);
        if next == std::mem::replace(self, next) {
            return;
        }
        let Tried { asked, failed } = tried;
        match next {
            Self::No => info!(device, missed, "has caught up: no point is overdue"),
            Self::Plan => warn!(
                device,
                points,
                missed,
                "is asked for more than it answers in time: points are overdue; lengthen \
                 period_ms or merge registers"
            ),
            Self::Line => warn!(
                device,
                points,
                missed,
                asked,
                failed,
                "points are overdue because the line is faulty: time-outs and wrong replies take \
                 its time; see to wiring, termination and supply before the plan"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fengsui_scan::Payload;

    /// One exchange a second, every `nth` of which fails; 0: none.
    fn lately(seconds: std::ops::Range<u64>, nth: u64, mut lately: Lately) -> Lately {
        for second in seconds {
            let fails = nth > 0 && second % nth == 0;
            let good = Outcome::Data(Payload::Words(vec![1]));
            lately.count(if fails { &Outcome::BadFrame } else { &good }, second * 1_000);
        }
        lately
    }

    #[test]
    fn a_noisy_line_is_named_as_the_cause_and_not_the_plan() {
        let quiet = lately(0..200, 0, Lately::default());
        let noisy = lately(0..200, 10, Lately::default());
        let of_probes = lately(0..200, 30, Lately::default());
        let next = |behind: Behind, lately: Lately| behind.next(3, lately.tried());
        assert_eq!(next(Behind::No, noisy), Behind::Line);
        assert_eq!(next(Behind::No, quiet), Behind::Plan);
        assert_eq!(next(Behind::No, of_probes), Behind::Plan);
        assert_eq!(next(Behind::No, Lately::default()), Behind::Plan);
        for behind in [Behind::No, Behind::Plan, Behind::Line] {
            assert_eq!(behind.next(0, noisy.tried()), Behind::No);
        }
    }

    #[test]
    fn the_plan_is_to_blame_once_a_line_that_is_well_again_still_does_not_catch_up() {
        let noisy = lately(0..200, 2, Lately::default());
        let next = |lately: Lately| Behind::Line.next(3, lately.tried());
        let mended = lately(200..230, 0, noisy);
        assert_eq!(next(mended), Behind::Line, "the last minute was bad");
        assert_eq!(next(lately(230..400, 0, mended)), Behind::Plan);
        let silent_since = lately(900..901, 0, noisy);
        assert_eq!(silent_since.tried(), Tried { asked: 1, failed: 0 }, "ten minutes ago");
        assert_eq!(Behind::Plan.next(3, noisy.tried()), Behind::Plan, "said once");
    }
}
