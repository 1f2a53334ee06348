//! What makes a number true or doubtful beside its own register: the facts of one point.
//!
//! - [`Rules`] is what a sheet or a profile says; checked at the door, see `parse`.
//! - [`Conditions`] is what one device's points and their auxiliary registers said so far. It is
//!   fed by (registers, moment) and keeps nothing over a restart: a count then begins anew and
//!   says so. Over a reload it is carried ([`crate::Remembered`]).

mod curve;
mod parse;
mod state;

use crate::register::{Encoding, Function, WordOrder};
use fengsui_telemetry::{Doubt, Fault};

pub(crate) use curve::Found;
pub use curve::{Curve, Table, TableFault};
pub(crate) use parse::{Context, Tables, parse};
pub(crate) use state::{Cells, Conditions, Judged, Memory, Moment, Occasion, Seen};

/// A register that is read for the sake of points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Register {
    /// Which table.
    pub function: Function,
    /// First address.
    pub address: u16,
    /// How it is encoded.
    pub encoding: Encoding,
    /// In which order its bytes stand.
    pub order: WordOrder,
}

/// Some neighbouring bits of a value; 0 is the lowest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BitField {
    /// Lowest.
    pub low: u8,
    /// Highest.
    pub high: u8,
}

impl BitField {
    /// The number that these bits make.
    #[must_use]
    pub fn of(self, whole: i128) -> i128 {
        let width = u32::from(self.high.saturating_sub(self.low)) + 1;
        (whole >> self.low) & ((1_i128 << width) - 1)
    }

    /// True where both have a bit in common.
    #[must_use]
    pub fn meets(self, other: Self) -> bool {
        self.low <= other.high && other.low <= self.high
    }
}

/// One thing that a status register may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clause {
    /// Which bits; none: the whole register.
    pub bits: Option<BitField>,
    /// The number they are compared with.
    pub number: i128,
    /// Whether it must be equal or must differ.
    pub equal: bool,
    /// What follows where it holds.
    pub verdict: Verdict,
}

/// What a status says of the value beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No number, and why.
    Bad(Fault),
    /// A doubted number.
    Doubt(Doubt),
}

/// A status register and what its states mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Where it stands.
    pub at: Register,
    /// What it may say; what holds first counts, faults before doubts.
    pub clauses: Vec<Clause>,
}

/// A word order that the device keeps in a register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderBy {
    /// Where it stands.
    pub at: Register,
    /// Which code means which order.
    pub orders: Vec<(i128, WordOrder)>,
}

/// A unit that the device keeps in a register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitCode {
    /// Where it stands.
    pub at: Register,
    /// The codes of the unit that the sheet says.
    pub expected: Vec<i128>,
}

/// A register that must keep changing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// Where it stands.
    pub at: Register,
    /// Which bits of it; none: all.
    pub bits: Option<BitField>,
    /// Longest time without a change.
    pub within_ms: i64,
}

/// A current loop, 4 to 20 mA, by NAMUR NE 43. Scale and offset of the point give mA.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CurrentLoop {
    /// At or below it the sensor has failed.
    pub fail_low: f64,
    /// Below it the signal is saturated.
    pub low: f64,
    /// Above it the signal is saturated.
    pub high: f64,
    /// At or above it the sensor has failed.
    pub fail_high: f64,
    /// How long that must last to be called a failure.
    pub fail_ms: i64,
    /// What 4 and 20 mA stand for; none: the range of the point.
    pub range: Option<(f64, f64)>,
}

impl Default for CurrentLoop {
    /// The limits of NE 43, and the four seconds that are usual.
    fn default() -> Self {
        Self { fail_low: 3.6, low: 3.8, high: 20.5, fail_high: 21.0, fail_ms: 4_000, range: None }
    }
}

/// A register that counts up, wraps, and begins at 0 when its device restarts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Counter {
    /// One more than the largest count.
    pub modulus: i128,
    /// Fastest count: by it a wrap and a restart are told apart.
    pub per_s: f64,
}

/// A signal that never rests for long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Frozen {
    /// Rest longer than this is doubted.
    pub after_ms: i64,
    /// Movement up to this is rest.
    pub within: f64,
}

/// Which samples of a point are kept; see [`crate::Reporter`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Report {
    /// Movement up to this is left out.
    pub within: f64,
    /// Longest time without a kept sample while samples come.
    pub silence_ms: u32,
}

/// The facts of one point beside address, type, order and scale.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    /// Which bits of its registers.
    pub bits: Option<BitField>,
    /// Its order stands in a register.
    pub order_by: Option<OrderBy>,
    /// The scaled value is divided by this register.
    pub divisor: Option<Register>,
    /// Its unit stands in a register.
    pub unit_code: Option<UnitCode>,
    /// Its quality stands in registers.
    pub statuses: Vec<Status>,
    /// Something must keep moving.
    pub heartbeat: Option<Heartbeat>,
    /// It counts.
    pub counter: Option<Counter>,
    /// It is a current.
    pub current_loop: Option<CurrentLoop>,
    /// Calibration, polynomial, strapping table: one after the other.
    pub curves: Vec<Curve>,
    /// Beyond the range by at most this part of the span a value is doubted, further out refused.
    pub margin: Option<f64>,
    /// It never rests for long.
    pub frozen: Option<Frozen>,
    /// Fastest change, units a second.
    pub rate_max: Option<f64>,
    /// It is reported by exception; none: every sample.
    pub report: Option<Report>,
}

impl Rules {
    /// True where they say nothing of how a value is read and judged.
    pub(crate) fn only_report(&self) -> bool {
        *self == Self { report: self.report, ..Self::default() }
    }

    /// The registers that must be read for this point.
    pub(crate) fn registers(&self) -> impl Iterator<Item = Register> {
        let single = [
            self.order_by.as_ref().map(|o| o.at),
            self.divisor,
            self.unit_code.as_ref().map(|u| u.at),
            self.heartbeat.map(|h| h.at),
        ];
        single.into_iter().flatten().chain(self.statuses.iter().map(|s| s.at))
    }
}

#[cfg(test)]
pub(crate) mod tests;
