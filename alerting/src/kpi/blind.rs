//! Suspiciously green (绿得可疑): plants that are quiet because nobody can see.
//!
//! - For each required point the strongest doubt counts, once: a point that is unset and behind a
//!   silent gateway is not twice blind.
//! - `index = 100 * mean over required points of max(weight * share of time)`: 0 = every quiet
//!   point was really seen to be quiet, 100 = nothing was seen at all.
//! - A rank for whom to ask first, not a verdict. The weights are ours (I) and configurable.

use std::collections::BTreeSet;

use crate::limits::{LimitKind, LimitSet};

/// Tags that somebody has given a limit, or has said that it is missing: known before the gateway
/// is ever heard. STALE, FROZEN and the like are about the instrument, not about the plant.
#[must_use]
pub fn required_tags(limits: &LimitSet) -> BTreeSet<&str> {
    let required = |kind: LimitKind| match kind {
        LimitKind::HighHigh
        | LimitKind::High
        | LimitKind::Low
        | LimitKind::LowLow
        | LimitKind::RateUp
        | LimitKind::RateDown
        | LimitKind::Deviation
        | LimitKind::Discrete
        | LimitKind::Vote
        | LimitKind::TimeToLimit
        | LimitKind::Composite => true,
        LimitKind::Stale
        | LimitKind::Frozen
        | LimitKind::BadQuality
        | LimitKind::Range
        | LimitKind::Offline
        | LimitKind::Clock => false,
    };
    let rows = limits.rows.iter().filter(|row| !row.tag.is_empty());
    rows.filter(|row| row.limit.detail.unset || required(row.limit.kind))
        .map(|row| row.tag.as_str())
        .collect()
}

/// Why the quiet of a point is worth little. Shares of the time looked at, 0..=1.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Doubts {
    /// A required limit is not set.
    pub unset: bool,
    /// Shelved, suppressed or out of service.
    pub muted: f64,
    /// Frozen.
    pub frozen: f64,
    /// The same numbers as another point or another day.
    pub copied: f64,
    /// Behind a silent gateway, stale or of bad quality.
    pub silent: f64,
    /// A limit looser than the standard allows.
    pub looser_than_statute: bool,
    /// A limit looser than yesterday.
    pub looser_than_yesterday: bool,
    /// Not one alarm in a year.
    pub never_in_a_year: bool,
}

/// One required point.
#[derive(Clone, Debug, PartialEq)]
pub struct PointDoubts {
    /// Its tag.
    pub tag: String,
    /// Its doubts.
    pub doubts: Doubts,
}

/// One plant.
#[derive(Clone, Debug, PartialEq)]
pub struct Plant {
    /// Its name.
    pub name: String,
    /// Its required points.
    pub points: Vec<PointDoubts>,
}

/// How much a doubt takes from the worth of a quiet point, 0..=1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct IndexWeights {
    /// Unset limit.
    pub unset: f64,
    /// Muted.
    pub muted: f64,
    /// Frozen or copied.
    pub frozen: f64,
    /// Silent.
    pub silent: f64,
    /// Looser than statute.
    pub looser_than_statute: f64,
    /// Looser than yesterday.
    pub looser_than_yesterday: f64,
    /// Never in alarm in a year.
    pub never_in_a_year: f64,
}

impl Default for IndexWeights {
    /// Blind is blind: 1. A limit beyond statute sees late, one that was loosened must be looked
    /// at, a year without alarm is a hint. Our proposal (I).
    fn default() -> Self {
        Self {
            unset: 1.0,
            muted: 1.0,
            frozen: 1.0,
            silent: 1.0,
            looser_than_statute: 0.8,
            looser_than_yesterday: 0.4,
            never_in_a_year: 0.1,
        }
    }
}

/// A plant and how suspicious its green is.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranked {
    /// Its name.
    pub name: String,
    /// 0..=100; none where no point is required: then nobody has said what must be seen, which
    /// ranks before everything else.
    pub index: Option<f64>,
    /// The points with the strongest doubt first, those without any left out.
    pub points: Vec<(String, f64)>,
}

/// The strongest doubt of a point, 0..=1. A share that is no number counts as the whole time.
#[must_use]
pub fn suspicion(doubts: &Doubts, weights: &IndexWeights) -> f64 {
    let share = |share: f64| if share.is_nan() { 1.0 } else { share.clamp(0.0, 1.0) };
    let whole = |is: bool| if is { 1.0 } else { 0.0 };
    let parts = [
        weights.unset * whole(doubts.unset),
        weights.muted * share(doubts.muted),
        weights.frozen * share(doubts.frozen).max(share(doubts.copied)),
        weights.silent * share(doubts.silent),
        weights.looser_than_statute * whole(doubts.looser_than_statute),
        weights.looser_than_yesterday * whole(doubts.looser_than_yesterday),
        weights.never_in_a_year * whole(doubts.never_in_a_year),
    ];
    parts.into_iter().fold(0.0, f64::max).min(1.0)
}

/// Plants by suspicion, the most suspicious first; of equals by name.
#[must_use]
pub fn rank(plants: &[Plant], weights: &IndexWeights) -> Vec<Ranked> {
    let mut ranked: Vec<Ranked> = plants
        .iter()
        .map(|plant| {
            let mut points: Vec<(String, f64)> = plant
                .points
                .iter()
                .map(|point| (point.tag.clone(), suspicion(&point.doubts, weights)))
                .collect();
            let sum: f64 = points.iter().map(|(_, doubt)| doubt).sum();
            let of = crate::tuning::count(points.len());
            let index = (!points.is_empty()).then(|| 100.0 * sum / of);
            points.retain(|(_, doubt)| *doubt > 0.0);
            points.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
            Ranked { name: plant.name.clone(), index, points }
        })
        .collect();
    let key = |ranked: &Ranked| ranked.index.unwrap_or(f64::INFINITY);
    ranked.sort_by(|a, b| key(b).total_cmp(&key(a)).then_with(|| a.name.cmp(&b.name)));
    ranked
}
