//! Report by exception: which readings of a point are kept.
//!
//! - Kept is the first reading, one that differs in quality, doubt or fault from the last that was
//!   kept, one whose value is further from it than the point's `report_within`, and one after
//!   `report_s` without any. So every reading that is left out is known to within `report_within`.
//! - The rule rests for points that an alarm looks at: every reading of those is kept.
//! - Time is the engine's, which no step of a clock moves.
//! - A point without the rule takes no memory here; one with it takes 48 bytes.

use fengsui_telemetry::{Reading, TimeMs};

use crate::site::Mapping;

/// The points that are reported by exception, and what was kept of them last.
#[derive(Clone, Debug, Default)]
pub struct Reporter {
    /// By point.
    watched: Vec<Watched>,
}

#[derive(Clone, Debug)]
struct Watched {
    point: u32,
    silence_ms: u32,
    /// Between two kept readings at most, and what a listener waits beyond it.
    quiet_ms: u32,
    rests: bool,
    within: f64,
    last: Option<(TimeMs, Reading)>,
}

/// Periods beyond `report_s` after which a listener may call a point silent: that of the reading
/// that is kept, and two that were lost.
const PERIODS: u32 = 3;

impl Reporter {
    /// Of the points that have the rule.
    #[must_use]
    pub fn new(mappings: &[Mapping]) -> Self {
        let watched = |m: &Mapping| {
            let report = m.rules.as_ref()?.report?;
            let silence_ms = report.silence_ms;
            Some(Watched {
                point: m.point,
                silence_ms,
                quiet_ms: silence_ms.saturating_add(m.period_ms.saturating_mul(PERIODS)),
                rests: false,
                within: report.within,
                last: None,
            })
        };
        let mut watched: Vec<Watched> = mappings.iter().filter_map(watched).collect();
        watched.sort_unstable_by_key(|one| one.point);
        watched.shrink_to_fit();
        Self { watched }
    }

    /// The points that have the rule, whether it rests or not, each with the time after which
    /// silence of it means something, ms.
    pub fn points(&self) -> impl Iterator<Item = (u32, u32)> {
        self.watched.iter().map(|one| (one.point, one.quiet_ms))
    }

    /// Says anew for which points the rule rests. The next reading of a point for which that
    /// changes is kept.
    pub fn rest(&mut self, mut rests: impl FnMut(u32) -> bool) {
        for one in &mut self.watched {
            let now = rests(one.point);
            if now != one.rests {
                (one.rests, one.last) = (now, None);
            }
        }
    }

    /// What was kept is lost: the next reading of every point is kept.
    pub fn forget(&mut self) {
        for one in &mut self.watched {
            one.last = None;
        }
    }

    /// True for a reading that is kept.
    #[must_use]
    pub fn keeps(&mut self, point: u32, te: TimeMs, reading: Reading) -> bool {
        let place = self.watched.binary_search_by_key(&point, |one| one.point);
        let one = place.ok().and_then(|place| self.watched.get_mut(place));
        one.is_none_or(|one| one.rests || one.keeps(te, reading))
    }
}

impl Watched {
    fn keeps(&mut self, te: TimeMs, reading: Reading) -> bool {
        if let Some((then, last)) = self.last {
            let age_ms = te.since(then);
            if age_ms < 0 {
                // From before what was kept last: it stands between others, and changes nothing.
                return true;
            }
            if age_ms < i64::from(self.silence_ms) && is_near(last, reading, self.within) {
                return false;
            }
        }
        self.last = Some((te, reading));
        true
    }
}

/// Of one quality, for one reason, and within the deadband.
fn is_near(last: Reading, now: Reading, within: f64) -> bool {
    match (last, now) {
        (Reading::Good(last), Reading::Good(now)) => (now - last).abs() <= within,
        (Reading::Uncertain(last, was), Reading::Uncertain(now, is)) => {
            was == is && (now - last).abs() <= within
        }
        (Reading::Bad(was), Reading::Bad(is)) => was == is,
        (Reading::Good(_), Reading::Uncertain(..) | Reading::Bad(_))
        | (Reading::Uncertain(..), Reading::Good(_) | Reading::Bad(_))
        | (Reading::Bad(_), Reading::Good(_) | Reading::Uncertain(..)) => false,
    }
}

#[cfg(test)]
mod tests;
