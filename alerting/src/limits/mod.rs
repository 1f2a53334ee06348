//! The limits of a site: `limits.csv` read at the door, checked whole, turned into alarms.
//!
//! - A file loads whole or every fault is named, with row, column, value and mend.
//! - A missing limit stays missing: no number is invented for HH, H, L or LL.
//! - Every point gets STALE and every gateway OFFLINE, whether or not the file names them.

mod derive;
mod detail;
mod diff;
mod fault;
mod fitted;
mod names;
mod parse;
mod plan;
mod sheet;
#[cfg(test)]
mod tests;

pub use detail::Detail;
pub use diff::{Change, Direction, FieldChange, LimitsDiff, RowChange, SecondPerson, diff};
pub use fault::{LimitFault, LimitTrouble};
#[cfg(test)]
pub(crate) use fitted::placeholder;
pub use fitted::{Fitted, Misfit};

use std::collections::BTreeSet;

use crate::model::Priority;

/// A gateway not heard for this long is offline, where the file does not say otherwise: three
/// beats of five seconds.
pub const OFFLINE_DEFAULT_MS: i64 = 15_000;
/// The shortest default of STALE.
pub const STALE_MIN_MS: i64 = 5_000;
/// The longest default of STALE for a point scanned every [`STALE_FAST_PERIOD_MS`] or faster.
pub const STALE_FAST_MAX_MS: i64 = 25_000;
/// Points scanned this often or faster count as alarm points with a short supervision.
pub const STALE_FAST_PERIOD_MS: i64 = 5_000;
/// Default of STALE in scan periods.
pub const STALE_PERIODS: i64 = 3;

/// What a row of the file limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LimitKind {
    /// Second level, high.
    HighHigh,
    /// First level, high.
    High,
    /// First level, low.
    Low,
    /// Second level, low.
    LowLow,
    /// Age of the newest sample.
    Stale,
    /// Slope, rising, per minute.
    RateUp,
    /// Slope, falling, per minute.
    RateDown,
    /// Distance from another point.
    Deviation,
    /// States of a point that are alarms.
    Discrete,
    /// No movement.
    Frozen,
    /// No number for so long.
    BadQuality,
    /// Outside the instrument, percent of the span.
    Range,
    /// M of N points beyond the limit.
    Vote,
    /// Time until a limit is reached.
    TimeToLimit,
    /// An expression.
    Composite,
    /// Silence of the gateway.
    Offline,
    /// The gateway's clock.
    Clock,
}

impl LimitKind {
    /// Every kind.
    pub const ALL: [Self; 17] = [
        Self::HighHigh,
        Self::High,
        Self::Low,
        Self::LowLow,
        Self::Stale,
        Self::RateUp,
        Self::RateDown,
        Self::Deviation,
        Self::Discrete,
        Self::Frozen,
        Self::BadQuality,
        Self::Range,
        Self::Vote,
        Self::TimeToLimit,
        Self::Composite,
        Self::Offline,
        Self::Clock,
    ];

    /// As files and alarm keys write it.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::HighHigh => "HH",
            Self::High => "H",
            Self::Low => "L",
            Self::LowLow => "LL",
            Self::Stale => "STALE",
            Self::RateUp => "ROC_UP",
            Self::RateDown => "ROC_DOWN",
            Self::Deviation => "DEVIATION",
            Self::Discrete => "DISCRETE",
            Self::Frozen => "FROZEN",
            Self::BadQuality => "BADQ",
            Self::Range => "RANGE",
            Self::Vote => "VOTE",
            Self::TimeToLimit => "TTL",
            Self::Composite => "COMPOSITE",
            Self::Offline => "OFFLINE",
            Self::Clock => "CLOCK",
        }
    }

    /// As the API writes it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::HighHigh => "hh",
            Self::High => "h",
            Self::Low => "l",
            Self::LowLow => "ll",
            Self::Stale => "stale",
            Self::RateUp => "roc_up",
            Self::RateDown => "roc_down",
            Self::Deviation => "deviation",
            Self::Discrete => "discrete",
            Self::Frozen => "frozen",
            Self::BadQuality => "badq",
            Self::Range => "range",
            Self::Vote => "vote",
            Self::TimeToLimit => "ttl",
            Self::Composite => "composite",
            Self::Offline => "gateway_offline",
            Self::Clock => "clock",
        }
    }

    /// True where the host's own clock decides, and not the source times of samples.
    #[must_use]
    pub fn lives_in_processing_time(self) -> bool {
        match self {
            Self::Stale | Self::Offline | Self::Clock => true,
            Self::HighHigh
            | Self::High
            | Self::Low
            | Self::LowLow
            | Self::RateUp
            | Self::RateDown
            | Self::Deviation
            | Self::Discrete
            | Self::Frozen
            | Self::BadQuality
            | Self::Range
            | Self::Vote
            | Self::TimeToLimit
            | Self::Composite => false,
        }
    }

    /// The kind of a key, in either case.
    #[must_use]
    pub fn from_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.key().eq_ignore_ascii_case(key))
    }

    /// True where the limit is a value of the point, false where it is a time.
    #[must_use]
    pub fn is_level(self) -> bool {
        match self {
            Self::HighHigh | Self::High | Self::Low | Self::LowLow => true,
            Self::Stale
            | Self::RateUp
            | Self::RateDown
            | Self::Deviation
            | Self::Discrete
            | Self::Frozen
            | Self::BadQuality
            | Self::Range
            | Self::Vote
            | Self::TimeToLimit
            | Self::Composite
            | Self::Offline
            | Self::Clock => false,
        }
    }

    /// True where the limit is a time in seconds.
    #[must_use]
    pub fn is_time(self) -> bool {
        matches!(self, Self::Stale | Self::BadQuality | Self::Offline | Self::Clock)
    }

    /// True where the limit must be above zero.
    pub(crate) fn is_positive(self) -> bool {
        let rate = matches!(self, Self::RateUp | Self::RateDown | Self::Deviation | Self::Range);
        self.is_time() || rate
    }

    /// True where there is no limit to give.
    pub(crate) fn is_without_limit(self) -> bool {
        matches!(self, Self::Discrete | Self::Composite)
    }

    /// True where a deadband has a meaning.
    pub(crate) fn has_deadband(self) -> bool {
        let more = matches!(self, Self::RateUp | Self::RateDown | Self::Deviation | Self::Vote);
        self.is_level() || more
    }

    /// True for silence and clocks, which have neither delays nor a latch.
    pub(crate) fn is_about_the_system(self) -> bool {
        matches!(self, Self::Stale | Self::Offline | Self::Clock)
    }

    /// True where it is about the gateway and no tag is given.
    #[must_use]
    pub fn is_of_gateway(self) -> bool {
        matches!(self, Self::Offline | Self::Clock)
    }

    /// The priority where the file names none.
    #[must_use]
    pub fn default_priority(self) -> Priority {
        match self {
            Self::HighHigh | Self::LowLow | Self::Vote => Priority::P1,
            Self::High
            | Self::Low
            | Self::RateUp
            | Self::RateDown
            | Self::Deviation
            | Self::Discrete
            | Self::Composite
            | Self::Offline => Priority::P2,
            Self::Stale
            | Self::Frozen
            | Self::BadQuality
            | Self::Range
            | Self::TimeToLimit
            | Self::Clock => Priority::P3,
        }
    }
}

/// One limit, as a screen shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct PointLimit {
    /// What it limits.
    pub kind: LimitKind,
    /// In the point's unit; per minute for slopes; seconds where [`LimitKind::is_time`]; percent
    /// for RANGE. Not a number where it is not set or there is none.
    pub limit: f64,
    /// In the point's unit.
    pub deadband: f64,
    /// How long it must hold before it alarms.
    pub on_delay_ms: i64,
    /// How long the return must hold.
    pub off_delay_ms: i64,
    /// Priority.
    pub priority: Priority,
    /// Stays after return until reset.
    pub latch: bool,
    /// Where the number comes from.
    pub source: String,
    /// How sure that is.
    pub confidence: String,
    /// Set by a rule of law: may be made stricter, never looser.
    pub statutory: bool,
    /// What the kind needs beyond that.
    pub detail: Detail,
}

/// One row of the file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LimitRow {
    /// Line in the file.
    pub(crate) line: u64,
    /// Empty for OFFLINE.
    pub(crate) tag: String,
    /// What it says.
    pub(crate) limit: PointLimit,
}

/// Every limit of one gateway. Made by [`LimitSet::parse`]; an empty one holds no limit.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct LimitSet {
    pub(crate) file: String,
    pub(crate) rows: Vec<LimitRow>,
    /// Rows of a file in force that cannot be read; none of a file that was parsed.
    pub(crate) unread: Vec<fitted::Unread>,
    /// Why these judge although nobody has agreed to them; none where somebody has.
    pub(crate) in_place_of: Option<Box<fitted::Words>>,
    /// Places of rows with a tag, by tag, in the order of the file: 30,000 points are looked up.
    by_tag: Vec<usize>,
    /// Tags that limits of other points look at, sorted.
    looked_at: Box<[String]>,
}

impl LimitSet {
    pub(crate) fn new(file: &str, rows: Vec<LimitRow>) -> Self {
        let tag = |place: &usize| rows.get(*place).map_or("", |row| row.tag.as_str());
        let mut by_tag: Vec<usize> =
            (0..rows.len()).filter(|place| !tag(place).is_empty()).collect();
        by_tag.sort_by_key(tag);
        let looked_at = rows.iter().flat_map(|row| row.limit.detail.tags());
        let looked_at: BTreeSet<&str> = looked_at.collect();
        let looked_at = looked_at.into_iter().map(str::to_owned).collect();
        let (file, unread) = (file.to_owned(), Vec::new());
        Self { file, rows, unread, in_place_of: None, by_tag, looked_at }
    }

    /// True for a tag that a limit of another point looks at.
    pub(crate) fn looks_at(&self, tag: &str) -> bool {
        self.looked_at.binary_search_by(|known| known.as_str().cmp(tag)).is_ok()
    }

    /// These limits judge in place of those in force, of which no row can be read: what is wrong
    /// and the mend, in Chinese and in English. Every point shows as blind until others come.
    #[must_use]
    pub fn in_place_of(mut self, unreadable: Self, zh: String, en: String) -> Self {
        self.unread = unreadable.unread;
        self.in_place_of = Some(Box::new(fitted::Words { zh, en }));
        self
    }

    /// True where they judge only because those in force cannot be read.
    #[must_use]
    pub fn is_in_place_of_others(&self) -> bool {
        self.in_place_of.is_some()
    }

    /// Why they judge although nobody has agreed to them, in Chinese and in English.
    #[must_use]
    pub fn why_in_place_of_others(&self) -> Option<(&str, &str)> {
        self.in_place_of.as_deref().map(|words| (words.zh.as_str(), words.en.as_str()))
    }

    /// True where every row can be read: [`LimitSet::readable`] gives less of some files.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.unread.is_empty() && self.in_place_of.is_none()
    }

    /// The limits of a point, HH first, as the file gives them.
    pub fn of_tag<'a>(&'a self, tag: &'a str) -> impl Iterator<Item = &'a PointLimit> {
        let row = |place: &usize| self.rows.get(*place);
        let from = self.by_tag.partition_point(|p| row(p).is_some_and(|r| r.tag.as_str() < tag));
        let rest = self.by_tag.get(from..).unwrap_or_default().iter().filter_map(row);
        rest.take_while(move |row| row.tag == tag).map(|row| &row.limit)
    }

    /// Every tag that has a limit, once.
    pub fn tags(&self) -> impl Iterator<Item = &str> {
        let rows = self.by_tag.iter().filter_map(|place| self.rows.get(*place));
        let mut last = None;
        rows.map(|row| row.tag.as_str()).filter(move |tag| last.replace(*tag) != Some(*tag))
    }

    pub(crate) fn has_unread(&self, row: &fitted::Unread) -> bool {
        self.unread.iter().any(|own| (&own.tag, own.kind) == (&row.tag, row.kind))
    }

    /// The line of the limit `TAG/KIND`.
    #[must_use]
    pub fn line_of(&self, name: &str) -> Option<u64> {
        let (tag, kind) = name.rsplit_once('/')?;
        let kind = LimitKind::from_key(kind)?;
        let row = self.rows.iter().find(|row| row.tag == tag && row.limit.kind == kind)?;
        Some(row.line)
    }

    /// How many rows the file has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// True when there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}
