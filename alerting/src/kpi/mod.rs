//! Alarm system figures of one operator position, for a day, a month or any stretch.
//!
//! - Booked twice: *load* by the time of announcement, *plant truth* by event time. What late data
//!   show to be over is no load; it has figures of its own.
//! - What is undefined is `None`, never zero. Time that nobody watched is no observation time: the
//!   load is divided by what was seen, and under thirty days of that the figures say so.
//! - Plain structs in: a shell fills them from the journal. Names and formulas: docs/alarm-kpis.md.

mod blind;
mod figures;
mod lists;
mod online;
#[cfg(test)]
mod tests;

pub use blind::{Doubts, IndexWeights, Plant, PointDoubts, Ranked, rank, required_tags, suspicion};
pub use figures::{Answering, Figures, Load, daily, figures};
pub use lists::{Frequent, chattering, fleeting, stale, top};
pub use online::{Moments, Online, Said};

use fengsui_telemetry::TimeMs;

use crate::flood::FloodRules;
use crate::model::Priority;

/// Days that the figures need to mean something.
pub const ENOUGH_DAYS: i64 = 30;
/// A day, ms.
pub const DAY_MS: i64 = 86_400_000;

/// One announcement to the position. Re-alarms are announcements; notes, shelved episodes and
/// late excursions that are over (R8a) are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Annunciation {
    /// Which alarm: any number that is the same for the same alarm.
    pub alarm: u32,
    /// Its priority.
    pub priority: Priority,
    /// When it was announced.
    pub at: TimeMs,
    /// When the condition came on.
    pub on: TimeMs,
    /// When it went off; none while it lasts.
    pub off: Option<TimeMs>,
    /// When a person acknowledged.
    pub acknowledged: Option<TimeMs>,
    /// When a called person answered.
    pub answered: Option<TimeMs>,
}

/// An excursion that late data showed, over or not (R8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Late {
    /// When it happened.
    pub on: TimeMs,
    /// When the centre knew.
    pub known: TimeMs,
}

/// A stretch of time, `[from, to)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Which alarm, point or gateway.
    pub what: u32,
    /// From.
    pub from: TimeMs,
    /// To; none while it lasts.
    pub to: Option<TimeMs>,
}

/// Something that somebody has to put right: an alarm to be closed, a hidden danger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disposal {
    /// When it was opened.
    pub opened: TimeMs,
    /// When it must be done; none where nobody has set a date.
    pub due: Option<TimeMs>,
    /// When it was done.
    pub done: Option<TimeMs>,
}

/// Everything that the figures are made from.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Facts {
    /// In any order.
    pub annunciations: Vec<Annunciation>,
    /// Late excursions, which are no load.
    pub late: Vec<Late>,
    /// Shelves.
    pub shelved: Vec<Stretch>,
    /// Points that nobody could see: unset, stale, bad, muted, behind a silent gateway. One
    /// stretch for each cause is fine: of one point, overlaps count once.
    pub blind: Vec<Stretch>,
    /// Time in which required points were watched, by gateway: that of which blind time is a part.
    pub judged: Vec<Stretch>,
    /// Time that nobody watched: no part of the time that the load is divided by.
    pub dark: Vec<Stretch>,
    /// Gateways heard, by number.
    pub online: Vec<Stretch>,
    /// Time of which nobody knows whether they were heard, by the same number.
    pub unknown: Vec<Stretch>,
    /// Gateways that should be heard.
    pub gateways: u32,
    /// What was to be put right.
    pub disposals: Vec<Disposal>,
    /// Suppressions without authority.
    pub unauthorised_suppressions: u64,
    /// Changes of limits or attributes without authority.
    pub unauthorised_changes: u64,
}

/// What the figures need to know beyond the facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// When a flood begins and ends.
    pub flood: FloodRules,
    /// An alarm that returns by itself within this is fleeting; no published number: none until
    /// the plant gives one.
    pub fleeting_ms: Option<i64>,
    /// And does not come again within this.
    pub repeat_ms: i64,
    /// Announced continuously for longer: stale.
    pub stale_ms: i64,
    /// East of Greenwich, for days and ten-minute periods by the clock on the wall.
    pub offset_ms: i64,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            flood: FloodRules::default(),
            fleeting_ms: None,
            repeat_ms: 60_000,
            stale_ms: DAY_MS,
            offset_ms: 8 * 3_600_000,
        }
    }
}

/// The moments of a range that somebody watched.
fn seen(dark: &[Stretch], from: TimeMs, to: TimeMs) -> Moments {
    let dark = dark.iter().map(|s| (s.from, s.to.unwrap_or(TimeMs::MAX)));
    Moments::of([(from, to)]).without(&Moments::of(dark))
}

/// The part of a stretch inside a range.
fn within(stretch: &Stretch, from: TimeMs, to: TimeMs) -> Option<(i64, i64)> {
    let begin = stretch.from.max(from).0;
    let end = stretch.to.unwrap_or(TimeMs::MAX).min(to).0;
    (begin < end).then_some((begin, end))
}

/// Time covered by stretches inside a range, ms; overlaps of the same `what` count once.
fn covered(stretches: &[Stretch], from: TimeMs, to: TimeMs) -> i64 {
    let mut parts: Vec<(u32, i64, i64)> = stretches
        .iter()
        .filter_map(|s| within(s, from, to).map(|(begin, end)| (s.what, begin, end)))
        .collect();
    parts.sort_unstable();
    let mut sum = 0;
    let mut last: Option<(u32, i64)> = None;
    for (what, begin, end) in parts {
        let seen = match last {
            Some((before, until)) if before == what => until.max(begin),
            Some(_) | None => begin,
        };
        sum += (end - seen).max(0);
        last = Some((what, end.max(seen)));
    }
    sum
}
