//! The writer's own account of the tails: which buckets take samples since when, which are being
//! sealed, and the oldest seq that still waits.

use std::collections::{BTreeMap, VecDeque};

use fengsui_telemetry::TimeMs;

use super::key::base;
use crate::StoreOptions;

/// A tail costs about so many samples of memory by itself.
const TAIL_WEIGHT: usize = 12;

/// A bucket that takes samples.
#[derive(Debug)]
struct Open {
    first_ti: TimeMs,
    last_ti: TimeMs,
    min_seq: u64,
    points: Vec<u32>,
}

/// A bucket that is being sealed, a few points a commit.
#[derive(Debug)]
struct Sealing {
    bucket: i64,
    min_seq: u64,
    points: Vec<u32>,
}

/// The writer's own account of the tails.
#[derive(Debug)]
pub(super) struct Book {
    pub(super) bucket_ms: i64,
    open: BTreeMap<i64, Open>,
    sealing: VecDeque<Sealing>,
    /// Samples in tails.
    pub(super) samples: usize,
    /// Tails.
    pub(super) tails: usize,
}

impl Book {
    pub(super) fn new(bucket_ms: i64) -> Self {
        Self { bucket_ms, open: BTreeMap::new(), sealing: VecDeque::new(), samples: 0, tails: 0 }
    }

    /// An intake brought samples of a bucket and opened these points' tails there.
    pub(super) fn touch(&mut self, bucket: i64, seq: u64, ti: TimeMs, opened: &mut Vec<u32>) {
        match self.open.get_mut(&bucket) {
            Some(open) => {
                open.last_ti = ti;
                open.points.append(opened);
            }
            // No tail opened: all of them wait in a bucket that is being sealed.
            None if opened.is_empty() => {}
            None => {
                let points = std::mem::take(opened);
                let open = Open { first_ti: ti, last_ti: ti, min_seq: seq, points };
                self.open.insert(bucket, open);
            }
        }
    }

    /// Moves the buckets that are due to sealing.
    ///
    /// Due: ended longer ago than the grace time and quiet for as long; or open for a bucket's
    /// length and two grace times, whatever comes. A clock that stepped back counts as quiet.
    pub(super) fn close_due(&mut self, now: TimeMs, options: &StoreOptions) {
        let grace = options.grace_ms;
        let bucket_ms = self.bucket_ms;
        let due = self.open.extract_if(.., |bucket, open| {
            let over = base(*bucket, bucket_ms) + bucket_ms + grace <= now;
            let quiet = now.since(open.last_ti).saturating_abs() >= grace;
            let old = now.since(open.first_ti).saturating_abs() >= bucket_ms + 2 * grace;
            (over && quiet) || old
        });
        self.sealing.extend(due.map(|(bucket, open)| open.close(bucket)));
        if self.is_over(options)
            && self.sealing.is_empty()
            && let Some((bucket, open)) = self.open.pop_first()
        {
            self.sealing.push_back(open.close(bucket));
        }
    }

    /// Memory is over its bound.
    pub(super) fn is_over(&self, options: &StoreOptions) -> bool {
        self.samples + self.tails * TAIL_WEIGHT > options.tail_max
    }

    /// Moves every bucket to sealing.
    pub(super) fn close_all(&mut self) {
        let all = std::mem::take(&mut self.open);
        self.sealing.extend(all.into_iter().map(|(bucket, open)| open.close(bucket)));
    }

    /// The next tails to seal.
    pub(super) fn next_seals(&mut self, most: usize) -> Vec<(i64, u32)> {
        let mut next = Vec::new();
        while next.len() < most
            && let Some(front) = self.sealing.front_mut()
        {
            match front.points.pop() {
                Some(point) => next.push((front.bucket, point)),
                None => drop(self.sealing.pop_front()),
            }
        }
        while self.sealing.front().is_some_and(|front| front.points.is_empty()) {
            self.sealing.pop_front();
        }
        next
    }

    pub(super) fn is_sealing(&self) -> bool {
        !self.sealing.is_empty()
    }

    /// The oldest seq of which a sample is only in the journal.
    pub(super) fn oldest_unsealed(&self) -> Option<u64> {
        let open = self.open.values().map(|open| open.min_seq);
        open.chain(self.sealing.iter().map(|sealing| sealing.min_seq)).min()
    }
}

impl Open {
    fn close(self, bucket: i64) -> Sealing {
        Sealing { bucket, min_seq: self.min_seq, points: self.points }
    }
}
