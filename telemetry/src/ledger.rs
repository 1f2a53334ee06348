//! The centre's side of delivery: which records of a gateway are known, and which are durable.
//!
//! - `durable_next` never goes back and never passes a hole.
//! - An offset is new once, however often it comes and on whichever lane.
//! - At most [`ISLANDS_MAX`] runs lie beyond the first hole. A further one is refused, hence not
//!   acknowledged, hence sent again.
//! - Taken is not durable: what a failed commit held is forgotten again with [`Ledger::forget`].

use std::collections::BTreeMap;

use thiserror::Error;

use crate::{Epoch, Offset};

/// Runs of known offsets beyond the first hole, per epoch. A backlog window of a few batches makes
/// a handful; a thousand means a gateway that scatters. A further run is refused.
pub const ISLANDS_MAX: usize = 1_024;
/// Epochs kept per gateway. A new one begins only when a spool was lost; the oldest is forgotten.
pub const EPOCHS_MAX: usize = 256;

/// A set of offsets as sorted, disjoint, half-open runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RangeSet {
    runs: Vec<(Offset, Offset)>,
}

impl RangeSet {
    /// The runs, sorted, disjoint, not adjacent.
    #[must_use]
    pub fn runs(&self) -> &[(Offset, Offset)] {
        &self.runs
    }

    /// How many offsets.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.runs.iter().map(|(lo, hi)| hi - lo).sum()
    }

    /// True where there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The first offset that is missing, counted from `from`.
    #[must_use]
    pub fn first_missing(&self, from: Offset) -> Offset {
        match self.runs.get(self.first_ending_after(from)) {
            Some((lo, hi)) if *lo <= from => *hi,
            Some(_) | None => from,
        }
    }

    fn first_ending_after(&self, offset: Offset) -> usize {
        self.runs.partition_point(|(_, hi)| *hi <= offset)
    }

    /// The parts of `lo..hi` that are not in the set.
    #[must_use]
    pub fn missing(&self, lo: Offset, hi: Offset) -> Vec<(Offset, Offset)> {
        let mut holes = Vec::new();
        let mut at = lo;
        for (run_lo, run_hi) in self.runs.iter().skip(self.first_ending_after(lo)) {
            if *run_lo >= hi {
                break;
            }
            if at < *run_lo {
                holes.push((at, *run_lo));
            }
            at = at.max(*run_hi);
        }
        if at < hi {
            holes.push((at, hi));
        }
        holes
    }

    /// Adds `lo..hi`.
    pub fn insert(&mut self, lo: Offset, hi: Offset) {
        if lo >= hi {
            return;
        }
        let start = self.runs.partition_point(|(_, run_hi)| *run_hi < lo);
        let end = self.runs.partition_point(|(run_lo, _)| *run_lo <= hi);
        let lo =
            self.runs.get(start).map_or(lo, |run| if start < end { run.0.min(lo) } else { lo });
        let last = end.checked_sub(1).filter(|last| *last >= start).and_then(|i| self.runs.get(i));
        let hi = last.map_or(hi, |run| run.1.max(hi));
        self.runs.splice(start..end, [(lo, hi)]);
    }

    /// Takes `lo..hi` out.
    pub fn remove(&mut self, lo: Offset, hi: Offset) {
        if lo >= hi {
            return;
        }
        let start = self.first_ending_after(lo);
        let end = self.runs.partition_point(|(run_lo, _)| *run_lo < hi);
        if start >= end {
            return;
        }
        let mut left = Vec::new();
        if let Some((run_lo, _)) = self.runs.get(start).filter(|run| run.0 < lo) {
            left.push((*run_lo, lo));
        }
        if let Some((_, run_hi)) = self.runs.get(end - 1).filter(|run| run.1 > hi) {
            left.push((hi, *run_hi));
        }
        self.runs.splice(start..end, left);
    }
}

/// Why a run of records was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// Too many holes before it.
    #[error("{ISLANDS_MAX} runs lie beyond the first hole already; send the oldest records first")]
    Islands,
    /// Upside down or beyond any count.
    #[error("records {0}..{1} are not a range")]
    Range(Offset, Offset),
}

/// What the centre tells the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Durable {
    /// Which life of the spool.
    pub epoch: Epoch,
    /// All offsets below are durable.
    pub next: Offset,
    /// Durable runs beyond the first hole.
    pub islands: Vec<(Offset, Offset)>,
}

#[derive(Clone, Debug, Default)]
struct Life {
    taken: RangeSet,
    durable: RangeSet,
}

/// The ledger of one gateway.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    lives: BTreeMap<Epoch, Life>,
    order: Vec<Epoch>,
}

impl Ledger {
    /// A ledger that knows nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts back a durable run that the store holds.
    pub fn restore(&mut self, epoch: Epoch, lo: Offset, hi: Offset) {
        let life = self.life(epoch);
        life.taken.insert(lo, hi);
        life.durable.insert(lo, hi);
    }

    fn life(&mut self, epoch: Epoch) -> &mut Life {
        if !self.lives.contains_key(&epoch) {
            self.order.push(epoch);
            if self.order.len() > EPOCHS_MAX {
                let oldest = self.order.remove(0);
                self.lives.remove(&oldest);
            }
        }
        self.lives.entry(epoch).or_default()
    }

    /// Offers `lo..hi`; gives back the parts that are new and now taken. Empty: nothing new.
    ///
    /// # Errors
    /// [`Refusal`]: nothing was taken and nothing may be acknowledged.
    pub fn take(
        &mut self,
        epoch: Epoch,
        lo: Offset,
        hi: Offset,
    ) -> Result<Vec<(Offset, Offset)>, Refusal> {
        if lo >= hi || hi > Offset::MAX / 2 {
            return Err(Refusal::Range(lo, hi));
        }
        let life = self.life(epoch);
        let mut taken = life.taken.clone();
        let fresh = taken.missing(lo, hi);
        taken.insert(lo, hi);
        let base = usize::from(taken.first_missing(0) > 0);
        if taken.runs().len() - base > ISLANDS_MAX {
            return Err(Refusal::Islands);
        }
        life.taken = taken;
        Ok(fresh)
    }

    /// The store has committed `lo..hi`.
    pub fn commit(&mut self, epoch: Epoch, lo: Offset, hi: Offset) {
        let life = self.life(epoch);
        life.taken.insert(lo, hi);
        life.durable.insert(lo, hi);
    }

    /// The store could not commit `lo..hi`: it is new again when it comes again.
    pub fn forget(&mut self, epoch: Epoch, lo: Offset, hi: Offset) {
        let life = self.life(epoch);
        for (lo, hi) in life.durable.missing(lo, hi) {
            life.taken.remove(lo, hi);
        }
    }

    /// What is missing below `oldest`, the first record that the gateway still has. The caller
    /// records these runs as a gap and commits them, so that `durable_next` can pass.
    #[must_use]
    pub fn lost_below(&self, epoch: Epoch, oldest: Offset) -> Vec<(Offset, Offset)> {
        match self.lives.get(&epoch) {
            Some(life) => life.taken.missing(0, oldest),
            None if oldest > 0 => vec![(0, oldest)],
            None => Vec::new(),
        }
    }

    /// What to acknowledge.
    #[must_use]
    pub fn durable(&self, epoch: Epoch) -> Durable {
        let Some(life) = self.lives.get(&epoch) else {
            return Durable { epoch, next: 0, islands: Vec::new() };
        };
        let next = life.durable.first_missing(0);
        let islands = life.durable.runs().iter().copied().filter(|(lo, _)| *lo > next).collect();
        Durable { epoch, next, islands }
    }

    /// Records below `next` that are not durable here: the backlog as the centre sees it.
    #[must_use]
    pub fn missing_below(&self, epoch: Epoch, next: Offset) -> u64 {
        match self.lives.get(&epoch) {
            Some(life) => life.durable.missing(0, next).iter().map(|(lo, hi)| hi - lo).sum(),
            None => next,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const EPOCH: Epoch = Epoch(7);

    fn check(script: &str, expected: &str) {
        let mut ledger = Ledger::new();
        let mut said = Vec::new();
        for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (lane, range) = line.split_once(' ').unwrap();
            let (lo, hi) = range.split_once("..").unwrap();
            let (lo, hi) = (lo.parse().unwrap(), hi.parse().unwrap());
            let fresh = ledger.take(EPOCH, lo, hi).unwrap();
            let count: u64 = fresh.iter().map(|(lo, hi)| hi - lo).sum();
            for (lo, hi) in fresh {
                ledger.commit(EPOCH, lo, hi);
            }
            let through = match ledger.durable(EPOCH).next {
                0 => "none".to_owned(),
                next => (next - 1).to_string(),
            };
            said.push(format!("{lane} {range}: {count} new, durable through {through}"));
        }
        let expected: Vec<_> = expected.lines().map(str::trim).collect();
        assert_eq!(said, expected);
    }

    #[test]
    fn two_lanes_one_acknowledgement() {
        check(
            "live 100..110
             backlog 0..50
             live 105..112
             backlog 50..100
             backlog 0..112",
            "live 100..110: 10 new, durable through none
             backlog 0..50: 50 new, durable through 49
             live 105..112: 2 new, durable through 49
             backlog 50..100: 50 new, durable through 111
             backlog 0..112: 0 new, durable through 111",
        );
    }

    #[test]
    fn a_failed_commit_is_forgotten_and_new_again() {
        let mut ledger = Ledger::new();
        assert_eq!(ledger.take(EPOCH, 0, 10), Ok(vec![(0, 10)]));
        ledger.commit(EPOCH, 0, 4);
        ledger.forget(EPOCH, 0, 10);
        assert_eq!(ledger.durable(EPOCH).next, 4);
        assert_eq!(ledger.take(EPOCH, 0, 10), Ok(vec![(4, 10)]));
    }

    #[test]
    fn islands_are_bounded_and_the_first_hole_can_always_be_filled() {
        let mut ledger = Ledger::new();
        let mut offset = 1;
        while ledger.take(EPOCH, offset, offset + 1).is_ok() {
            offset += 2;
        }
        assert_eq!(ledger.take(EPOCH, offset, offset + 1), Err(Refusal::Islands));
        assert_eq!(ledger.take(EPOCH, 0, 1), Ok(vec![(0, 1)]));
        assert!(ledger.take(EPOCH, offset, offset + 1).is_ok());
    }

    #[test]
    fn what_the_gateway_freed_before_is_named() {
        let mut ledger = Ledger::new();
        assert_eq!(ledger.lost_below(EPOCH, 0), vec![]);
        assert_eq!(ledger.lost_below(EPOCH, 5), vec![(0, 5)]);
        ledger.commit(EPOCH, 0, 3);
        assert_eq!(ledger.lost_below(EPOCH, 5), vec![(3, 5)]);
    }

    #[test]
    fn nonsense_ranges_are_refused() {
        let mut ledger = Ledger::new();
        assert!(ledger.take(EPOCH, 5, 5).is_err());
        assert!(ledger.take(EPOCH, 9, 2).is_err());
        assert!(ledger.take(EPOCH, 0, u64::MAX).is_err());
    }

    proptest! {
        #[test]
        fn a_range_set_is_a_set(steps in prop::collection::vec((any::<bool>(), 0u64..60, 0u64..20), 0..60)) {
            let mut set = RangeSet::default();
            let mut oracle = BTreeSet::new();
            for (add, lo, len) in steps {
                let hi = lo + len;
                let missing: Vec<u64> = set.missing(lo, hi).iter().flat_map(|(a, b)| *a..*b).collect();
                let expected: Vec<u64> = (lo..hi).filter(|x| !oracle.contains(x)).collect();
                prop_assert_eq!(missing, expected);
                if add { set.insert(lo, hi); oracle.extend(lo..hi); }
                else { set.remove(lo, hi); oracle.retain(|x| *x < lo || *x >= hi); }
                let all: Vec<u64> = set.runs().iter().flat_map(|(a, b)| *a..*b).collect();
                prop_assert_eq!(&all, &oracle.iter().copied().collect::<Vec<_>>());
                for pair in set.runs().windows(2) { prop_assert!(pair[0].1 < pair[1].0); }
                let first = (lo..).find(|x| !oracle.contains(x)).unwrap();
                prop_assert_eq!(set.first_missing(lo), first);
            }
        }
    }
}
