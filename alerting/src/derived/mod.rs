//! Conditions over several samples or several points: slope, difference, votes, expressions.
//!
//! - Each is a pure function of event time: at every time at which an input has a sample it gives
//!   a number or none. Nothing but the samples of the last [`Derived::reach_ms`] counts.
//! - The number goes through the same rule as a plain limit: deadband, delays, freeze.
//! - None neither raises nor clears. A vote without any valid input is an alarm (W02).
//! - A sample whose own time stamp was not trusted is not looked at.

mod compute;
mod expression;
mod fit;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::model::PointRef;

pub(crate) use self::compute::{View, describe, value_at};
pub use self::expression::{EXPRESSION_MAX, Expression, ExpressionFault};

/// TTL clears at this multiple of its limit.
const TTL_CLEARS_AT: f64 = 1.2;
/// Inputs of one vote or expression.
pub const INPUTS_MAX: usize = 32;
/// FROZEN: a sample this much older than the window, in parts of it, still covers its beginning.
const COVER_PART: i64 = 4;

/// What is derived, and the limit on it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Derived {
    /// Slope of a least-squares line over the window, per minute; three samples at least (W06).
    RateOfChange {
        /// Rising or falling.
        rising: bool,
        /// Per minute, above zero.
        limit: f64,
        /// Per minute.
        deadband: f64,
        /// The window, both ends included.
        window_ms: i64,
    },
    /// Distance between the point and another.
    Deviation {
        /// The other.
        reference: PointRef,
        /// On at this distance.
        limit: f64,
        /// Off below `limit - deadband`.
        deadband: f64,
        /// A sample older than this says nothing any more.
        hold_ms: i64,
    },
    /// The value is one of these; the on-delay is the least dwell.
    Discrete {
        /// The values.
        values: Vec<f64>,
    },
    /// The value has not moved by more than this over the window (W04).
    Frozen {
        /// Largest movement that counts as none.
        epsilon: f64,
        /// The window.
        window_ms: i64,
        /// Good samples that the window must hold.
        samples_min: u32,
    },
    /// No number to trust; the on-delay says for how long.
    BadQuality,
    /// Outside what the instrument can mean: a number beyond these, or one that was refused as
    /// out of range at the door.
    Range {
        /// Below: outside.
        low: f64,
        /// Above: outside.
        high: f64,
    },
    /// At least so many of the valid inputs lie beyond the limit (W02).
    Vote {
        /// M of MooN. Each invalid input takes one away, down to one.
        need: u32,
        /// The inputs.
        points: Vec<PointRef>,
        /// High or low.
        high: bool,
        /// The limit.
        limit: f64,
        /// The deadband.
        deadband: f64,
        /// A sample older than this makes its input invalid.
        hold_ms: i64,
    },
    /// The early bound of the time to a limit, in seconds (W07).
    TimeToLimit {
        /// The limit that is being approached.
        target: f64,
        /// From below or from above.
        rising: bool,
        /// On at this time or less; off beyond 1.2 times it.
        within_ms: i64,
        /// The window of the line.
        window_ms: i64,
    },
    /// An expression over points and alarms.
    Composite {
        /// The expression.
        expression: Expression,
        /// Its points, in the order of [`Expression::tags`].
        points: Vec<PointRef>,
        /// Keys of its alarms, in the order of [`Expression::alarms`].
        alarms: Vec<String>,
        /// A sample older than this says nothing any more.
        hold_ms: i64,
    },
}

/// The numbers that the rule of a derived alarm compares with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Threshold {
    pub(crate) mirrored: bool,
    pub(crate) limit: f64,
    pub(crate) deadband: f64,
}

impl Derived {
    /// One word: `roc_up`, `vote` ….
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::RateOfChange { rising: true, .. } => "roc_up",
            Self::RateOfChange { rising: false, .. } => "roc_down",
            Self::Deviation { .. } => "deviation",
            Self::Discrete { .. } => "discrete",
            Self::Frozen { .. } => "frozen",
            Self::BadQuality => "badq",
            Self::Range { .. } => "range",
            Self::Vote { .. } => "vote",
            Self::TimeToLimit { .. } => "ttl",
            Self::Composite { .. } => "composite",
        }
    }

    /// The number that a person would call the limit, where there is one.
    #[must_use]
    pub fn limit(&self) -> Option<f64> {
        match self {
            Self::RateOfChange { limit, .. }
            | Self::Deviation { limit, .. }
            | Self::Vote { limit, .. } => Some(*limit),
            Self::Frozen { epsilon, .. } => Some(*epsilon),
            Self::Range { high, .. } => Some(*high),
            Self::TimeToLimit { within_ms, .. } => Some(seconds(*within_ms)),
            Self::Discrete { .. } | Self::BadQuality | Self::Composite { .. } => None,
        }
    }

    /// The points that it looks at; `own` is the point that the alarm is about.
    #[must_use]
    pub fn points(&self, own: PointRef) -> Vec<PointRef> {
        match self {
            Self::RateOfChange { .. }
            | Self::Discrete { .. }
            | Self::Frozen { .. }
            | Self::BadQuality
            | Self::Range { .. }
            | Self::TimeToLimit { .. } => vec![own],
            Self::Deviation { reference, .. } => vec![own, *reference],
            Self::Vote { points, .. } | Self::Composite { points, .. } => points.clone(),
        }
    }

    /// Keys of the alarms that it looks at.
    #[must_use]
    pub fn alarms(&self) -> &[String] {
        match self {
            Self::Composite { alarms, .. } => alarms,
            Self::RateOfChange { .. }
            | Self::Deviation { .. }
            | Self::Discrete { .. }
            | Self::Frozen { .. }
            | Self::BadQuality
            | Self::Range { .. }
            | Self::Vote { .. }
            | Self::TimeToLimit { .. } => &[],
        }
    }

    /// How far back samples count.
    #[must_use]
    pub fn reach_ms(&self) -> i64 {
        match self {
            Self::RateOfChange { window_ms, .. } | Self::TimeToLimit { window_ms, .. } => {
                *window_ms
            }
            Self::Frozen { window_ms, .. } => window_ms.saturating_add(window_ms / COVER_PART),
            Self::Deviation { hold_ms, .. }
            | Self::Vote { hold_ms, .. }
            | Self::Composite { hold_ms, .. } => *hold_ms,
            Self::Discrete { .. } | Self::BadQuality | Self::Range { .. } => 0,
        }
    }

    pub(crate) fn threshold(&self) -> Threshold {
        let high = |limit, deadband| Threshold { mirrored: false, limit, deadband };
        let low = |limit, deadband| Threshold { mirrored: true, limit, deadband };
        match self {
            Self::RateOfChange { limit, deadband, .. }
            | Self::Deviation { limit, deadband, .. }
            | Self::Vote { high: true, limit, deadband, .. } => high(*limit, *deadband),
            Self::Vote { high: false, limit, deadband, .. } => low(*limit, *deadband),
            Self::Frozen { epsilon, .. } => low(*epsilon, 0.0),
            Self::TimeToLimit { within_ms, .. } => {
                let within = seconds(*within_ms);
                low(within, within * (TTL_CLEARS_AT - 1.0))
            }
            Self::Discrete { .. }
            | Self::BadQuality
            | Self::Range { .. }
            | Self::Composite { .. } => high(1.0, 0.0),
        }
    }

    /// True where the derived number is yes or no and the reading itself tells more.
    pub(crate) fn is_yes_or_no(&self) -> bool {
        match self {
            Self::Discrete { .. }
            | Self::BadQuality
            | Self::Range { .. }
            | Self::Composite { .. } => true,
            Self::RateOfChange { .. }
            | Self::Deviation { .. }
            | Self::Frozen { .. }
            | Self::Vote { .. }
            | Self::TimeToLimit { .. } => false,
        }
    }

    /// What is wrong with it, in words; none when it may be used.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        let above = |x: f64| x.is_finite() && x > 0.0;
        let not_below = |x: f64| x.is_finite() && x >= 0.0;
        match self {
            Self::RateOfChange { limit, deadband, window_ms, .. } => {
                (!above(*limit) || !not_below(*deadband) || *window_ms <= 0)
                    .then_some("a slope needs a limit and a window above 0")
            }
            Self::Deviation { limit, deadband, hold_ms, .. } => {
                (!above(*limit) || !not_below(*deadband) || *hold_ms <= 0)
                    .then_some("a deviation needs a limit and a hold above 0")
            }
            Self::Discrete { values } => (values.is_empty()
                || values.len() > INPUTS_MAX
                || values.iter().any(|v| !v.is_finite()))
            .then_some("give 1 to 32 finite values"),
            Self::Frozen { epsilon, window_ms, samples_min } => {
                (!not_below(*epsilon) || *window_ms <= 0 || *samples_min < 2)
                    .then_some("FROZEN needs a movement of 0 or more, a window, two samples")
            }
            Self::BadQuality => None,
            Self::Range { low, high } => (!low.is_finite() || !high.is_finite() || low >= high)
                .then_some("the range must go up"),
            Self::Vote { need, points, limit, deadband, hold_ms, .. } => {
                let most = u32::try_from(points.len()).unwrap_or(u32::MAX);
                let twice = (1..points.len())
                    .any(|at| points.iter().take(at).any(|p| points.get(at) == Some(p)));
                (*need == 0
                    || *need > most
                    || points.len() > INPUTS_MAX
                    || twice
                    || !limit.is_finite()
                    || !not_below(*deadband)
                    || *hold_ms <= 0)
                    .then_some("a vote needs 1 <= M <= N <= 32 different points")
            }
            Self::TimeToLimit { target, within_ms, window_ms, .. } => {
                (!target.is_finite() || *within_ms <= 0 || *window_ms <= 0)
                    .then_some("TTL needs a limit, a time and a window above 0")
            }
            Self::Composite { expression, points, alarms, hold_ms } => (expression.tags().len()
                != points.len()
                || expression.alarms().len() != alarms.len()
                || points.len() + alarms.len() > INPUTS_MAX
                || *hold_ms <= 0)
                .then_some("an expression needs its points and alarms, 32 at most"),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "times of at most weeks, far below 2^53")]
pub(crate) fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}
