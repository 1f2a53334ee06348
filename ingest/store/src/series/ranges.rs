//! Ranges of offsets of one life of a spool, merged as they come.

use std::collections::BTreeMap;

/// Disjoint half-open ranges; none touches the next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ranges(BTreeMap<u64, u64>);

/// What a table of ranges must do after one was added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    /// Ranges that went into the new one, by where they began.
    pub(super) gone: Vec<u64>,
    /// The range to write.
    pub(super) lo: u64,
    /// Its end, exclusive.
    pub(super) hi: u64,
}

impl Ranges {
    /// Adds a range; none if it was there already or is empty.
    pub(super) fn add(&mut self, lo: u64, hi: u64) -> Option<Change> {
        if lo >= hi {
            return None;
        }
        let touching = |(from, to): &(&u64, &u64)| **to >= lo && **from <= hi;
        let before = self.0.range(..lo).next_back().filter(touching).map(|(f, t)| (*f, *t));
        if before.is_some_and(|(_, to)| to >= hi) || self.0.get(&lo).is_some_and(|to| *to >= hi) {
            return None;
        }
        let within = self.0.range(lo..=hi).map(|(f, t)| (*f, *t));
        let merged: Vec<(u64, u64)> = before.into_iter().chain(within).collect();
        let new_lo = merged.first().map_or(lo, |(from, _)| lo.min(*from));
        let new_hi = merged.iter().fold(hi, |hi, (_, to)| hi.max(*to));
        for (from, _) in &merged {
            self.0.remove(from);
        }
        self.0.insert(new_lo, new_hi);
        let gone = merged.into_iter().map(|(from, _)| from).filter(|from| *from != new_lo);
        Some(Change { gone: gone.collect(), lo: new_lo, hi: new_hi })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_hole_that_fills_joins_its_neighbours() {
        let mut ranges = Ranges::default();
        assert_eq!(ranges.add(0, 5), Some(Change { gone: vec![], lo: 0, hi: 5 }));
        assert_eq!(ranges.add(8, 9), Some(Change { gone: vec![], lo: 8, hi: 9 }));
        assert_eq!(ranges.add(5, 8), Some(Change { gone: vec![8], lo: 0, hi: 9 }));
        assert_eq!(ranges.add(1, 9), None);
        assert_eq!(ranges.add(4, 4), None);
    }

    proptest! {
        #[test]
        fn ranges_hold_what_a_set_of_numbers_holds(
            adds in prop::collection::vec((0_u64..60, 0_u64..12), 0..40)
        ) {
            let mut ranges = Ranges::default();
            let mut table = BTreeMap::new();
            let mut set = BTreeSet::new();
            for (lo, length) in adds {
                let news = (lo..lo + length).any(|offset| !set.contains(&offset));
                set.extend(lo..lo + length);
                let change = ranges.add(lo, lo + length);
                prop_assert_eq!(change.is_some(), news);
                if let Some(change) = change {
                    for gone in &change.gone {
                        prop_assert!(table.remove(gone).is_some());
                    }
                    table.insert(change.lo, change.hi);
                }
                prop_assert_eq!(&table, &ranges.0);
            }
            let held: BTreeSet<u64> = table.iter().flat_map(|(lo, hi)| *lo..*hi).collect();
            prop_assert_eq!(held, set);
            let apart = table.iter().zip(table.iter().skip(1)).all(|((_, hi), (lo, _))| hi < lo);
            prop_assert!(apart);
        }
    }
}
