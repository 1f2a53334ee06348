//! The newest samples of one point, in order of event time, at most one for a time.
//!
//! - Sixteen bytes a sample: the time carries two bits that say how far to trust the value.
//! - Bounded: the oldest go first. Everything from `floor` on is still here; what is older has to
//!   be asked back from the store.

use std::collections::VecDeque;
use std::collections::vec_deque::Iter;

use fengsui_telemetry::{Fault, Reading};

/// Stands where a bad sample has no number and says why: beyond what the instrument can mean.
/// Every other reason is 0, as older snapshots hold it.
const OUT_OF_RANGE: f64 = f64::INFINITY;
/// Times beyond this (36 million years) are cut to it.
const TIME_MAX: i64 = i64::MAX >> 3;

/// Room for the first samples of a point.
const FIRST: usize = 4;

/// How a sample counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// A number.
    Number,
    /// No number.
    Bad,
    /// Two different values under one time: neither is trusted (Q17).
    Conflict,
    /// A number under an estimated time: it may raise and never clears (Q7).
    RaisesOnly,
}

/// One sample.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    key: i64,
    value: f64,
}

impl Sample {
    pub(crate) fn new(te: i64, value: Option<f64>) -> Self {
        match value {
            Some(value) => Self::with_trust(te, Trust::Number, value),
            None => Self::with_trust(te, Trust::Bad, 0.0),
        }
    }

    pub(crate) fn of(te: i64, reading: Reading) -> Self {
        match reading {
            Reading::Bad(Fault::OutOfRange) => Self::with_trust(te, Trust::Bad, OUT_OF_RANGE),
            Reading::Good(_) | Reading::Uncertain(..) | Reading::Bad(_) => {
                Self::new(te, reading.value())
            }
        }
    }

    pub(crate) fn with_trust(te: i64, trust: Trust, value: f64) -> Self {
        let bits = match trust {
            Trust::Number => 0,
            Trust::Bad => 1,
            Trust::Conflict => 2,
            Trust::RaisesOnly => 3,
        };
        Self { key: (te.clamp(-TIME_MAX, TIME_MAX) << 2) | bits, value }
    }

    pub(crate) fn te(self) -> i64 {
        self.key >> 2
    }

    pub(crate) fn trust(self) -> Trust {
        match self.key & 3 {
            0 => Trust::Number,
            1 => Trust::Bad,
            2 => Trust::Conflict,
            _ => Trust::RaisesOnly,
        }
    }

    pub(crate) fn raw_value(self) -> f64 {
        self.value
    }

    /// The number, where there is one to trust.
    pub(crate) fn value(self) -> Option<f64> {
        match self.trust() {
            Trust::Number | Trust::RaisesOnly => Some(self.value),
            Trust::Bad | Trust::Conflict => None,
        }
    }

    /// True where there is no number because it lay beyond what the instrument can mean. The
    /// number itself is never used; RANGE alone asks for this.
    pub(crate) fn is_out_of_range(self) -> bool {
        self.trust() == Trust::Bad && self.value.is_infinite()
    }

    /// The two of one time: the sample that counts from now on, or none if nothing changes. Of
    /// two reasons for having no number, out of range counts, whichever came first.
    pub(crate) fn meet(self, other: Self) -> Option<Self> {
        if self.trust() == Trust::Conflict {
            return None;
        }
        if self.value() == other.value() {
            return (other.is_out_of_range() && !self.is_out_of_range()).then_some(other);
        }
        // For slopes alone, which take the mean.
        let mean = match (self.value(), other.value()) {
            (Some(one), Some(two)) => f64::midpoint(one, two),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => 0.0,
        };
        Some(Self::with_trust(self.te(), Trust::Conflict, mean))
    }
}

/// What became of an inserted sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inserted {
    /// It is new, or it disagrees with what was there.
    Changed,
    /// The very same was there.
    Known,
}

/// The newest samples of one point.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    samples: VecDeque<Sample>,
    /// Nothing at or after this time has been dropped.
    floor: i64,
}

impl Default for Held {
    fn default() -> Self {
        Self { samples: VecDeque::new(), floor: i64::MIN }
    }
}

impl Held {
    pub(crate) fn restored(samples: VecDeque<Sample>, floor: i64) -> Self {
        Self { samples, floor }
    }

    pub(crate) fn floor(&self) -> i64 {
        self.floor
    }

    /// Time of the newest sample, estimated times included.
    pub(crate) fn head(&self) -> Option<i64> {
        self.samples.back().map(|s| s.te())
    }

    pub(crate) fn iter(&self) -> Iter<'_, Sample> {
        self.samples.iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.samples.len()
    }

    pub(crate) fn at(&self, te: i64) -> Option<Sample> {
        let place = self.samples.partition_point(|s| s.te() < te);
        self.samples.get(place).copied().filter(|s| s.te() == te)
    }

    /// Appends a sample later than all others and drops the oldest beyond `most`.
    pub(crate) fn push(&mut self, sample: Sample, most: usize) {
        // The oldest go first, so that the buffer never grows beyond what it keeps.
        self.trim(most.saturating_sub(1));
        let len = self.samples.len();
        if len == self.samples.capacity() {
            let twice = len.max(FIRST);
            self.samples.reserve_exact(twice.min(most.saturating_sub(len)).max(1));
        }
        self.samples.push_back(sample);
    }

    /// Puts a sample in its place.
    pub(crate) fn insert(&mut self, sample: Sample) -> Inserted {
        let te = sample.te();
        let place = self.samples.partition_point(|s| s.te() < te);
        match self.samples.get_mut(place) {
            Some(there) if there.te() == te => match there.meet(sample) {
                None => Inserted::Known,
                Some(conflict) => {
                    *there = conflict;
                    Inserted::Changed
                }
            },
            Some(_) | None => {
                self.samples.insert(place, sample);
                Inserted::Changed
            }
        }
    }

    /// Takes over what lies at or after the floor: samples that only the store had as well.
    pub(crate) fn refill(&mut self, all: &[Sample]) {
        let first = all.partition_point(|sample| sample.te() < self.floor);
        self.samples.clear();
        self.samples.extend(all.get(first..).unwrap_or_default());
    }

    /// Drops what lies after a time to which the clock was set back. True if there was anything.
    pub(crate) fn cut_after(&mut self, te: i64) -> bool {
        let keep = self.samples.partition_point(|sample| sample.te() <= te);
        let cut = keep < self.samples.len();
        self.samples.truncate(keep);
        self.floor = self.floor.min(te.saturating_add(1));
        cut
    }

    /// Drops what is older than a time, but keeps so many.
    pub(crate) fn forget_before(&mut self, te: i64, few: usize) {
        while self.samples.len() > few && self.samples.front().is_some_and(|s| s.te() < te) {
            self.trim(self.samples.len() - 1);
        }
    }

    /// All of them, in order.
    pub(crate) fn slice(&mut self) -> &[Sample] {
        self.samples.make_contiguous()
    }

    /// Drops the oldest beyond `most`.
    pub(crate) fn trim(&mut self, most: usize) {
        while self.samples.len() > most {
            if let Some(gone) = self.samples.pop_front() {
                self.floor = self.floor.max(gone.te().saturating_add(1));
            }
        }
    }
}

/// Lays samples of several sources together, in order of time. `stored` has settled its own
/// disagreements already: where one time comes from there and from memory, memory counts only if
/// it holds a conflict, an estimated time or an out of range.
pub(crate) fn lay_together(stored: &[Sample], held: &Held, late: &[Sample]) -> Vec<Sample> {
    let mut memory: Vec<Sample> = held.iter().copied().collect();
    if !late.is_empty() {
        let mut merged = Held { samples: memory.into(), floor: i64::MIN };
        for sample in late {
            merged.insert(*sample);
        }
        memory = merged.samples.into();
    }
    if stored.is_empty() {
        return memory;
    }
    let mut all = Vec::with_capacity(memory.len() + stored.len());
    let mut memory = memory.into_iter().peekable();
    for sample in stored {
        while let Some(earlier) = memory.next_if(|m| m.te() < sample.te()) {
            all.push(earlier);
        }
        match memory.next_if(|m| m.te() == sample.te()) {
            Some(same)
                if matches!(same.trust(), Trust::Conflict | Trust::RaisesOnly)
                    || same.is_out_of_range() =>
            {
                all.push(same);
            }
            Some(_) | None => all.push(*sample),
        }
    }
    all.extend(memory);
    all
}
