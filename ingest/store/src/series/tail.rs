//! The tail of one point in one bucket: samples that wait to become a chunk.

use fengsui_telemetry::{Fault, Reading, TimeMs};

use crate::Sample;

/// Samples of one point in one bucket.
#[derive(Clone, Debug)]
pub(super) struct Tail {
    pub(super) bucket: i64,
    /// The newest intake that it has seen.
    pub(super) last_seq: u64,
    samples: Vec<Sample>,
    /// The last few, in time and after `samples`. They lie beside those of the next point: to
    /// touch another page of memory for every sample of a scan was a fifth of the writer's time.
    fresh: [Sample; FRESH],
    n_fresh: usize,
    /// Of the last sample pushed.
    last_te: TimeMs,
    /// `samples` are in order, each time once. Otherwise in order of arrival.
    ordered: bool,
    /// Out of order, they are put in order when they have grown to this.
    sort_at: usize,
    /// How many the tail of the bucket before had: room to make at once, instead of doubling up
    /// to it with a copy each time.
    expected: usize,
}

/// Samples moved to the heap at a time.
const FRESH: usize = 8;
/// Room made at once: ten minutes at 2 Hz. A wrong guess costs no more than 30 KB.
const EXPECTED_MAX: usize = 1_200;
/// Fills unused places.
const NONE: Sample = Sample { te: TimeMs::MIN, reading: Reading::Bad(Fault::Missing) };

impl Tail {
    pub(super) fn new(bucket: i64, expected: usize) -> Self {
        Self {
            bucket,
            last_seq: 0,
            samples: Vec::new(),
            fresh: [NONE; FRESH],
            n_fresh: 0,
            last_te: TimeMs::MIN,
            ordered: true,
            sort_at: 64,
            expected: expected.min(EXPECTED_MAX),
        }
    }

    #[inline]
    pub(super) fn push(&mut self, seq: u64, sample: Sample) {
        self.last_seq = seq;
        // No stamp of a chunk is TimeMs::MIN, so an empty tail takes the quick way too.
        if sample.te.0 > self.last_te.0 {
            self.last_te = sample.te;
            if self.n_fresh == FRESH {
                self.settle();
            }
            if let Some(place) = self.fresh.get_mut(self.n_fresh) {
                *place = sample;
                self.n_fresh += 1;
            }
        } else {
            self.push_out_of_order(sample);
        }
    }

    /// Moves the fresh ones to the heap.
    fn settle(&mut self) {
        if self.samples.capacity() == 0 {
            self.samples.reserve_exact(self.expected + FRESH);
        }
        let fresh = self.fresh.iter().take(self.n_fresh);
        self.samples.extend(fresh);
        self.n_fresh = 0;
    }

    fn fresh(&self) -> &[Sample] {
        self.fresh.get(..self.n_fresh).unwrap_or(&self.fresh)
    }

    fn push_out_of_order(&mut self, sample: Sample) {
        self.settle();
        match self.samples.last_mut() {
            Some(last) if self.ordered && last.te == sample.te => *last = sample,
            Some(_) | None => {
                self.ordered = false;
                self.last_te = sample.te;
                self.samples.push(sample);
            }
        }
        if self.samples.len() >= self.sort_at && !self.ordered {
            order(&mut self.samples);
            self.ordered = true;
            self.last_te = self.samples.last().map_or(TimeMs::MIN, |last| last.te);
            self.sort_at = 64 + 2 * self.samples.len();
        }
    }

    /// Its samples in order, each time once.
    pub(super) fn in_order(&self) -> Vec<Sample> {
        let mut samples = Vec::with_capacity(self.len());
        samples.extend_from_slice(&self.samples);
        samples.extend_from_slice(self.fresh());
        if !self.ordered {
            order(&mut samples);
        }
        samples
    }

    pub(super) fn len(&self) -> usize {
        self.samples.len() + self.n_fresh
    }
}

/// In order of time; of equal times the one that arrived last stays.
fn order(samples: &mut Vec<Sample>) {
    samples.sort_by_key(|sample| sample.te);
    samples.dedup_by(|later, kept| {
        let same = later.te == kept.te;
        if same {
            *kept = *later;
        }
        same
    });
}

/// Older samples with newer ones laid over them. Both in order, each time once.
pub(super) fn overlay(older: Vec<Sample>, newer: &[Sample]) -> Vec<Sample> {
    match (older.last(), newer.first()) {
        (None, _) => newer.to_vec(),
        (_, None) => older,
        (Some(last), Some(first)) if last.te < first.te => {
            let mut merged = older;
            merged.extend_from_slice(newer);
            merged
        }
        (Some(_), Some(_)) => {
            let mut merged = older;
            merged.extend_from_slice(newer);
            order(&mut merged);
            merged
        }
    }
}
