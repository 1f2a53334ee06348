//! The memory of one derived alarm: the newest samples of its inputs, and how far it has judged.
//!
//! - It judges times, not arrivals. Where it looks at several points, a time is judged as soon as
//!   every one of them has got there, or when a tick trusts the held values (R2).
//! - Its samples are its own: a plain limit keeps no more because of it.

use std::sync::Arc;

use crate::condition::NEVER;
use crate::derived::Derived;
use crate::held::{Held, Sample};
use crate::model::AlarmId;

/// Samples of one input that are kept beyond what counts: overtaking, and answers of the store.
pub(crate) const SPARE_MS: i64 = 60_000;
/// Samples of one input: more than an hour of one a second. 128 KiB at most, taken as needed.
pub(crate) const SAMPLES_MAX: usize = 8_192;
/// Samples that a window may hold: what covers its beginning must fit in as well.
pub(crate) const WINDOW_SAMPLES_MAX: usize = SAMPLES_MAX * 3 / 4;
/// At least so many, however old.
const SAMPLES_MIN: usize = 8;

/// One input.
#[derive(Clone, Debug)]
pub(crate) struct Input {
    pub(crate) point: u32,
    pub(crate) held: Held,
}

/// Samples that were asked back from the store, input by input.
#[derive(Clone, Debug)]
pub(crate) struct Gather {
    /// The earliest time that must be judged again.
    pub(crate) earliest: i64,
    pub(crate) from: i64,
    pub(crate) to: i64,
    pub(crate) asked_at: i64,
    /// Something came after that was asked.
    pub(crate) grown: bool,
    pub(crate) answers: Vec<Option<Vec<Sample>>>,
}

impl Gather {
    /// Not asked yet.
    pub(crate) fn of(earliest: i64, latest: i64) -> Self {
        let (from, to) = (i64::MAX, latest);
        Self { earliest, from, to, asked_at: 0, grown: true, answers: Vec::new() }
    }
}

/// A derived alarm.
#[derive(Clone, Debug)]
pub(crate) struct Signal {
    pub(crate) alarm: AlarmId,
    /// Its place among the limit alarms.
    pub(crate) place: usize,
    pub(crate) derived: Arc<Derived>,
    pub(crate) inputs: Vec<Input>,
    /// The alarms that it looks at.
    pub(crate) alarms: Vec<AlarmId>,
    /// The newest time judged.
    pub(crate) judged_to: i64,
    /// A tick has fired a delay at this time.
    pub(crate) ticked: i64,
    /// The earliest time that is not judged, or not judged with all that is known.
    pub(crate) pending: Option<i64>,
    /// Late data are among what is pending.
    pub(crate) late: bool,
    /// Before this nothing can be judged again: it was configured otherwise, or the clock ran
    /// otherwise.
    pub(crate) known_from: i64,
    /// When a tick looks at what is pending, or [`NEVER`].
    pub(crate) armed: i64,
    pub(crate) gather: Option<Box<Gather>>,
    pub(crate) gather_armed: i64,
}

impl Signal {
    pub(crate) fn new(
        alarm: AlarmId,
        place: usize,
        derived: Arc<Derived>,
        points: &[u32],
        alarms: Vec<AlarmId>,
    ) -> Self {
        let input = |point: &u32| Input { point: *point, held: Held::default() };
        Self {
            alarm,
            place,
            derived,
            inputs: points.iter().map(input).collect(),
            alarms,
            judged_to: i64::MIN,
            ticked: i64::MIN,
            pending: None,
            late: false,
            known_from: i64::MIN,
            armed: NEVER,
            gather: None,
            gather_armed: NEVER,
        }
    }

    /// Takes a sample into memory; false if memory does not reach back to it.
    pub(crate) fn take(&mut self, input: usize, sample: Sample) -> bool {
        let reach = self.derived.reach_ms().saturating_add(SPARE_MS);
        let Some(Input { held, .. }) = self.inputs.get_mut(input) else { return true };
        let te = sample.te();
        // What is not judged yet is not forgotten.
        let oldest = self.pending.map_or(te, |pending| pending.min(te)).saturating_sub(reach);
        if te < held.floor() {
            return false;
        }
        if held.head().is_none_or(|head| head < te) {
            held.push(sample, SAMPLES_MAX);
            held.forget_before(oldest, SAMPLES_MIN);
        } else {
            // Also where it is known: an answer of the store may have brought it unjudged.
            held.insert(sample);
        }
        self.mark(te);
        true
    }

    /// What is known of this time has changed.
    pub(crate) fn mark(&mut self, te: i64) {
        self.pending = Some(self.pending.map_or(te, |pending| pending.min(te)));
    }

    /// Up to where every input has a sample. Alarms are looked at by ticks only: which of two
    /// edges of one scan comes first says nothing.
    pub(crate) fn frontier(&self) -> i64 {
        if !self.alarms.is_empty() {
            return i64::MIN;
        }
        let heads = self.inputs.iter().map(|input| input.held.head().unwrap_or(i64::MIN));
        heads.min().unwrap_or(i64::MIN)
    }

    /// True where memory holds everything that counts at and after a time.
    pub(crate) fn reaches(&self, start: i64) -> bool {
        let from = start.saturating_sub(self.derived.reach_ms());
        self.inputs.iter().all(|input| input.held.floor() <= from)
    }

    /// The newest sample of any input.
    pub(crate) fn head(&self) -> i64 {
        let heads = self.inputs.iter().filter_map(|input| input.held.head());
        heads.max().unwrap_or(i64::MIN)
    }

    /// Tells this configuration from another of the same alarm.
    pub(crate) fn mark_of_configuration(&self) -> u32 {
        crc32c::crc32c(format!("{:?}", self.derived).as_bytes())
    }
}

/// Every time in `[from, to]` at which one of the lists has a sample, once each, in order.
pub(crate) fn times_between(lists: &[&[Sample]], from: i64, to: i64) -> Vec<i64> {
    let mut times = Vec::new();
    for list in lists {
        let first = list.partition_point(|sample| sample.te() < from);
        let end = list.partition_point(|sample| sample.te() <= to);
        times.extend(list.get(first..end).unwrap_or_default().iter().map(|sample| sample.te()));
    }
    if lists.len() > 1 {
        times.sort_unstable();
        times.dedup();
    }
    times
}
