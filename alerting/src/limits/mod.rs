//! The limits of a site: `limits.csv` read at the door, checked whole, turned into alarms.
//!
//! - A file loads whole or every fault is named, with row, column, value and mend.
//! - A missing limit stays missing: no number is invented for HH, H, L or LL.
//! - Every point gets STALE and every gateway OFFLINE, whether or not the file names them.

mod diff;
mod fault;
mod parse;
mod plan;
#[cfg(test)]
mod tests;

pub use diff::{Change, Direction, FieldChange, LimitsDiff, RowChange, SecondPerson, diff};
pub use fault::{LimitFault, LimitTrouble};

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
    /// Silence of the gateway.
    Offline,
}

impl LimitKind {
    /// Every kind.
    pub const ALL: [Self; 6] =
        [Self::HighHigh, Self::High, Self::Low, Self::LowLow, Self::Stale, Self::Offline];

    /// As files and alarm keys write it.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::HighHigh => "HH",
            Self::High => "H",
            Self::Low => "L",
            Self::LowLow => "LL",
            Self::Stale => "STALE",
            Self::Offline => "OFFLINE",
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
            Self::Offline => "gateway_offline",
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
            Self::Stale | Self::Offline => false,
        }
    }

    /// The priority where the file names none.
    #[must_use]
    pub fn default_priority(self) -> Priority {
        match self {
            Self::HighHigh | Self::LowLow => Priority::P1,
            Self::High | Self::Low | Self::Offline => Priority::P2,
            Self::Stale => Priority::P3,
        }
    }
}

/// One limit, as a screen shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct PointLimit {
    /// What it limits.
    pub kind: LimitKind,
    /// In the point's unit; seconds for STALE and OFFLINE.
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
}

impl LimitSet {
    /// The limits of a point, HH first, as the file gives them.
    pub fn of_tag<'a>(&'a self, tag: &'a str) -> impl Iterator<Item = &'a PointLimit> {
        self.rows.iter().filter(move |row| !row.tag.is_empty() && row.tag == tag).map(|r| &r.limit)
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
