//! The unit of delivery: one record of one gateway, numbered by (gateway, epoch, offset).
//!
//! - Offsets are dense and increasing within an epoch; an epoch names one life of the spool.
//! - A [`Gap`] stands for records that are not kept: it is a fact with a cause, never a silence.

use crate::{Reading, Revision, TimeMs};

/// One life of a gateway's spool. A random number, never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Epoch(pub u64);

/// The number of a record within its epoch, from 0.
pub type Offset = u64;

/// How a record travelled. Live samples never queue behind old ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lane {
    /// Published as it was made.
    Live,
    /// Published again, or later, from the spool.
    Backlog,
}

/// How far a wall clock can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum ClockQuality {
    /// Never set since boot.
    Unset,
    /// From a battery clock.
    Rtc,
    /// Disciplined by a time server.
    #[default]
    Synchronised,
    /// Was synchronised; runs on its own.
    Holdover,
}

/// One record.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Source time.
    pub te: TimeMs,
    /// What it says.
    pub body: Body,
}

/// What a record says.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// The readings of one scan group at one source time.
    Scan(Scan),
    /// The gateway's own engine changed an alarm.
    Transition(LocalTransition),
    /// Records that are not kept.
    Gap(Gap),
    /// The wall clock moved, or a boot began.
    Clock(ClockChange),
}

/// Readings of one scan group.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Scan {
    /// (index of the point in the catalogue, what it said).
    pub readings: Vec<(u32, Reading)>,
    /// The clock that stamped them.
    pub clock: ClockQuality,
}

/// A transition of the gateway's own engine. Letters are the states A–I of the alarm model.
#[derive(Clone, Debug, PartialEq)]
pub struct LocalTransition {
    /// The alarm's key, e.g. `TK-101.LT/HH`.
    pub alarm: String,
    /// Number of the occurrence in the gateway's own counting.
    pub occurrence: u64,
    /// State letter before.
    pub from: char,
    /// State letter after.
    pub to: char,
    /// The limits that judged.
    pub revision: Revision,
    /// The value that decided, if one did.
    pub value: Option<f64>,
    /// In words.
    pub why: String,
    /// When the gateway knew.
    pub known: TimeMs,
}

/// Why records are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GapCause {
    /// The spool was full: these had to go.
    SpoolFull,
    /// The spool was full and became coarser: between two of these Gaps a reading is kept.
    Thinned,
    /// Damage on disk.
    Corrupt,
    /// A queue inside the gateway was full.
    QueueFull,
    /// The gateway freed them before this centre had them (another centre had).
    FreedBefore,
}

/// Records that are not kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Gap {
    /// Source time from which something is missing.
    pub from: TimeMs,
    /// Source time up to which something is missing.
    pub to: TimeMs,
    /// How many records, as far as known.
    pub records: u64,
    /// Why.
    pub cause: GapCause,
    /// The points concerned; empty = all.
    pub points: Vec<u32>,
    /// In words.
    pub detail: String,
}

/// The wall clock moved against the monotonic one, or a boot began.
#[derive(Clone, Debug, PartialEq)]
pub struct ClockChange {
    /// Names one run of the machine.
    pub boot: u64,
    /// Monotonic milliseconds since boot.
    pub monotonic_ms: i64,
    /// How far the wall clock moved; 0 at a start.
    pub step_ms: i64,
    /// Trust after the change.
    pub quality: ClockQuality,
}
