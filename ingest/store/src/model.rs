//! What goes into the series store and what comes out of it.
//!
//! - A point is a number that [`crate::ConfigDb`] gave; it fits 24 bits, because a chunk's key is
//!   `bucket << 24 | point`.
//! - Ranges of offsets are half-open; so are ranges of time.

use fengsui_telemetry::{GapCause, Lane, Reading, TimeMs};

/// The highest point number: a chunk's key keeps 24 bits for it.
pub(crate) const POINT_MAX: u32 = 0x00ff_ffff;

/// One stored reading of one point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Source time.
    pub te: TimeMs,
    /// What the instrument said.
    pub reading: Reading,
}

/// What one message of one gateway brings. It is stored whole or not at all.
#[derive(Clone, Debug, PartialEq)]
pub struct Intake {
    /// Who sent it.
    pub gateway: String,
    /// The life of the gateway's spool.
    pub epoch: u64,
    /// How it travelled.
    pub lane: Lane,
    /// When the centre received it. Seals go by this time.
    pub ti: TimeMs,
    /// Point, source time, reading.
    pub samples: Vec<(u32, TimeMs, Reading)>,
    /// Offsets that it covers: `lo` inclusive, `hi` exclusive.
    pub offsets: Vec<(u64, u64)>,
    /// What is missing, and why.
    pub gaps: Vec<GapRow>,
    /// Changes of alarms that the gateway's own engine made.
    pub locals: Vec<LocalRow>,
}

/// A change of an alarm that a gateway's own engine made; a fact beside our own journal.
#[derive(Clone, Debug, PartialEq)]
pub struct LocalRow {
    /// Its place in the gateway's spool.
    pub offset: u64,
    /// The alarm's key.
    pub alarm: String,
    /// The occurrence in the gateway's own counting.
    pub occurrence: u64,
    /// State letter before.
    pub from: char,
    /// State letter after.
    pub to: char,
    /// When it happened.
    pub te: TimeMs,
    /// When the gateway knew.
    pub known: TimeMs,
    /// The limits that judged.
    pub revision: u64,
    /// The value that decided, if one did.
    pub value: Option<f64>,
    /// Why, one word.
    pub why: String,
}

/// Why something is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GapReason {
    /// The gateway's spool was full: these had to go.
    SpoolFull,
    /// The gateway's spool was full and became coarser.
    Thinned,
    /// Damage on the gateway's disk.
    Corrupt,
    /// A queue inside the gateway was full.
    QueueFull,
    /// The gateway freed the records before this centre had them.
    FreedBefore,
    /// Stamps outside the years that the store can file.
    StampUnusable,
    /// A block of this store does not match its checksum.
    StoreDamaged,
}

impl GapReason {
    /// Every reason.
    pub const ALL: [Self; 7] = [
        Self::SpoolFull,
        Self::Thinned,
        Self::Corrupt,
        Self::QueueFull,
        Self::FreedBefore,
        Self::StampUnusable,
        Self::StoreDamaged,
    ];

    /// One word, the same in database, API and console.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::SpoolFull => "spool_full",
            Self::Thinned => "thinned",
            Self::Corrupt => "corrupt",
            Self::QueueFull => "queue_full",
            Self::FreedBefore => "freed_before",
            Self::StampUnusable => "stamp_unusable",
            Self::StoreDamaged => "store_damaged",
        }
    }

    /// The reason of a word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.word() == word)
    }
}

impl From<GapCause> for GapReason {
    fn from(cause: GapCause) -> Self {
        match cause {
            GapCause::SpoolFull => Self::SpoolFull,
            GapCause::Thinned => Self::Thinned,
            GapCause::Corrupt => Self::Corrupt,
            GapCause::QueueFull => Self::QueueFull,
            GapCause::FreedBefore => Self::FreedBefore,
        }
    }
}

/// A stretch of time for which something is missing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GapRow {
    /// Whose data; empty where the store does not know (a damaged block).
    pub gateway: String,
    /// Source time from which something is missing.
    pub from: TimeMs,
    /// Source time up to which something is missing.
    pub to: TimeMs,
    /// How many records or samples, as far as known; 0 = unknown.
    pub records: u64,
    /// Why.
    pub cause: GapReason,
    /// The points concerned; empty = all of the gateway.
    pub points: Vec<u32>,
    /// In words.
    pub detail: String,
}

/// One range of offsets that the centre holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerRow {
    /// Whose.
    pub gateway: String,
    /// Which life of its spool.
    pub epoch: u64,
    /// First offset held.
    pub lo: u64,
    /// First offset after it that is not held.
    pub hi: u64,
}

/// What a column of a plot shows. A column without samples has both counts 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// Where the column begins.
    pub t: TimeMs,
    /// Lowest number.
    pub min: Option<f64>,
    /// Highest number.
    pub max: Option<f64>,
    /// Last number.
    pub last: Option<f64>,
    /// Samples with a number, doubted ones included.
    pub n_good: u64,
    /// Samples without a number.
    pub n_bad: u64,
}

/// What the store holds, counted one by one: every block is read and checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Counts {
    /// Distinct (point, source time).
    pub samples: u64,
    /// Of these, with a number.
    pub good: u64,
    /// Of these, without.
    pub bad: u64,
    /// Blocks that could not be read; their samples are not in `samples`.
    pub damaged: u64,
}

/// How the store is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct StoreHealth {
    /// The writer thread runs.
    pub writing: bool,
    /// Group commits since start.
    pub commits: u64,
    /// Group commits that failed since start.
    pub failed_commits: u64,
    /// Blocks found damaged since start.
    pub damaged: u64,
    /// Samples in memory, not yet in chunks (they are in the journal).
    pub tail_samples: u64,
    /// The newest seq that is durable.
    pub last_seq: u64,
}

/// How the store works. The defaults are the measured ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreOptions {
    /// Samples that end a group commit: below 2,000 the disk's fsync decides the rate.
    pub commit_samples: usize,
    /// Milliseconds after its first intake that end a group commit.
    pub commit_ms: u64,
    /// Length of a chunk in source time; fixed for a data folder, divides the hour. Above about
    /// 20,000 points take 120,000.
    pub bucket_ms: i64,
    /// A bucket that ended this long ago and is quiet for as long is sealed.
    pub grace_ms: i64,
    /// Intakes that may wait for the writer. When full, [`crate::Full`]: no acknowledgement.
    pub queue: usize,
    /// Chunks encoded in one group commit: about 20 to 50 ms of work.
    pub seals_per_commit: usize,
    /// Samples in memory before buckets are sealed early: 24 bytes each.
    pub tail_max: usize,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            commit_samples: 10_000,
            commit_ms: 50,
            bucket_ms: 600_000,
            grace_ms: 30_000,
            queue: 256,
            seals_per_commit: 100,
            tail_max: 16_000_000,
        }
    }
}
