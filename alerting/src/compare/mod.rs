//! Do gateway and centre tell the same story? Both run the same engine over the same samples and
//! limits, so what began at one began at the other, at the same source time.
//!
//! - Compared is where an occurrence begins in event time. What people do, and alarms that live in
//!   processing time (STALE, OFFLINE, CLOCK, UNSET), differ between hosts by nature.

use std::collections::BTreeMap;

use fengsui_telemetry::{Revision, TimeMs};

use crate::limits::LimitKind;

/// One beginning, as a host recorded it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Began {
    /// The alarm's key.
    pub alarm: String,
    /// When it began.
    pub te: TimeMs,
    /// The limits that judged.
    pub revision: Revision,
    /// No letter changed with it: it began under a shelf or a suppression. The other side need not
    /// have it.
    pub covered: bool,
}

/// Who alone has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// The gateway.
    Gateway,
    /// The centre.
    Centre,
}

impl Side {
    /// In a word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Centre => "centre",
        }
    }
}

/// What both tell, and what only one does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Beginnings that both have.
    pub same: usize,
    /// Beginnings that one alone has, in order of time.
    pub alone: Vec<(Side, Began)>,
}

impl Comparison {
    fn miss(&mut self, side: Side, began: &Began) {
        if !began.covered {
            self.alone.push((side, began.clone()));
        }
    }
}

/// True for an alarm whose beginnings both hosts must agree on; false also for a key that is none.
#[must_use]
pub fn comparable(alarm: &str) -> bool {
    match alarm.rsplit('/').next().and_then(LimitKind::from_key) {
        Some(kind) => !kind.lives_in_processing_time(),
        None => false,
    }
}

/// Pairs beginnings of the same alarm that lie at most `apart_ms` from each other, each with one.
#[must_use]
pub fn compare(gateway: &[Began], centre: &[Began], apart_ms: i64) -> Comparison {
    let (gateway, centre) = (by_alarm(gateway), by_alarm(centre));
    let mut found = Comparison::default();
    let nothing = Vec::new();
    let alarms = gateway.keys().chain(centre.keys().filter(|key| !gateway.contains_key(*key)));
    for alarm in alarms {
        let mut left = gateway.get(alarm).unwrap_or(&nothing).iter().peekable();
        let mut right = centre.get(alarm).unwrap_or(&nothing).iter().peekable();
        loop {
            match (left.peek(), right.peek()) {
                (Some(a), Some(b)) if a.te.since(b.te).abs() <= apart_ms => {
                    found.same += 1;
                    left.next();
                    right.next();
                }
                (Some(a), b) if b.is_none_or(|b| a.te < b.te) => {
                    found.miss(Side::Gateway, a);
                    left.next();
                }
                (_, Some(b)) => {
                    found.miss(Side::Centre, b);
                    right.next();
                }
                (_, None) => break,
            }
        }
    }
    found.alone.sort_by(|a, b| (a.1.te, &a.1.alarm, a.0).cmp(&(b.1.te, &b.1.alarm, b.0)));
    found
}

/// A host may record one beginning twice (after a restart, or revised): it counts once.
fn by_alarm(all: &[Began]) -> BTreeMap<&str, Vec<&Began>> {
    let mut map: BTreeMap<&str, Vec<&Began>> = BTreeMap::new();
    for began in all {
        map.entry(&began.alarm).or_default().push(began);
    }
    for list in map.values_mut() {
        list.sort_by_key(|began| began.te);
        list.dedup_by_key(|began| began.te);
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    fn began(alarm: &str, te: i64) -> Began {
        Began { alarm: alarm.to_owned(), te: TimeMs(te), revision: Revision(7), covered: false }
    }

    #[test]
    fn what_began_under_a_shelf_is_missed_by_nobody() {
        let under = [Began { covered: true, ..began("g/T/H", 10) }];
        assert_eq!(compare(&[began("g/T/H", 10)], &under, 0).same, 1);
        assert_eq!(compare(&[], &under, 0), Comparison::default());
    }

    #[test]
    fn equal_stories_are_equal_in_any_order_and_with_repeats() {
        let a = [began("g/T/H", 10), began("g/T/HH", 20), began("g/T/H", 90)];
        let b = [began("g/T/H", 90), began("g/T/H", 10), began("g/T/HH", 20), began("g/T/H", 10)];
        let found = compare(&a, &b, 0);
        assert_eq!((found.same, found.alone), (3, Vec::new()));
    }

    #[test]
    fn what_one_alone_has_is_named_with_its_side() {
        let a = [began("g/T/H", 10), began("g/U/L", 40)];
        let b = [began("g/T/H", 10), began("g/T/H", 30)];
        let found = compare(&a, &b, 0);
        assert_eq!(found.same, 1);
        let alone = [(Side::Centre, b[1].clone()), (Side::Gateway, a[1].clone())];
        assert_eq!(found.alone, alone);
    }

    #[test]
    fn a_moved_beginning_is_the_same_only_within_what_is_allowed() {
        let (a, b) = ([began("g/T/H", 1_000)], [began("g/T/H", 1_400)]);
        assert_eq!(compare(&a, &b, 500).same, 1);
        let apart = compare(&a, &b, 300);
        assert_eq!((apart.same, apart.alone.len()), (0, 2), "one for each side");
    }

    #[test]
    fn each_is_paired_with_one() {
        let (a, b) = ([began("g/T/H", 100)], [began("g/T/H", 90), began("g/T/H", 110)]);
        let found = compare(&a, &b, 50);
        assert_eq!((found.same, found.alone.len()), (1, 1));
    }

    #[test]
    fn only_conditions_of_event_time_are_compared() {
        assert!(comparable("GW-01/TK-101.LT/HH"));
        assert!(!comparable("GW-01/TK-101.LT/STALE"));
        assert!(!comparable("GW-01/OFFLINE"));
        assert!(!comparable("canary"));
    }
}
