//! Hours of the day at which a ladder has nobody: what a roster leaves open before any alarm does.
//!
//! - Duty goes by the minute of the day; every other slot is the same all day. So a day is looked
//!   at from one change of duty to the next.

use std::collections::BTreeSet;

use fengsui_telemetry::TimeMs;

use super::audit::{Fault, uncallable};
use super::setup::{ANY, Setup, Slot};

const MINUTE_MS: i64 = 60_000;
const DAY_MIN: u32 = 1_440;

/// A ladder that has nobody for a while, each day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hole {
    /// Of the policy.
    pub priority: u8,
    /// Whose roster; `*`: of installations that have none, and of gateways.
    pub installation: String,
    /// Minute of the local day.
    pub from: u32,
    /// Minute of the local day; equal to `from`: always.
    pub to: u32,
    /// Nobody there, or nobody whom a channel reaches.
    pub fault: Fault,
    /// The slots of the policy.
    pub ladder: Vec<&'static str>,
}

/// Every hole of a setup, by priority and installation.
#[must_use]
pub fn holes(setup: &Setup) -> Vec<Hole> {
    let mut changes: BTreeSet<u32> =
        setup.duty.iter().flat_map(|turn| [turn.from, turn.to]).map(|at| at % DAY_MIN).collect();
    if changes.is_empty() {
        changes.insert(0);
    }
    let changes: Vec<u32> = changes.into_iter().collect();
    let places: BTreeSet<&str> =
        setup.rosters.keys().map(String::as_str).chain(std::iter::once(ANY)).collect();
    let mut holes = Vec::new();
    for (priority, policy) in &setup.policies {
        for place in &places {
            let of = [(*place).to_owned()].into();
            let fault = |minute: &u32| {
                let at = i64::from(*minute) - i64::from(setup.zone_min);
                uncallable(setup, policy, &of, TimeMs(at * MINUTE_MS))
            };
            let spans: Vec<(u32, u32, Option<Fault>)> = changes
                .iter()
                .zip(changes.iter().cycle().skip(1))
                .map(|(from, to)| (*from, *to, fault(from)))
                .collect();
            let found = joined(spans).into_iter().map(|(from, to, fault)| Hole {
                priority: *priority,
                installation: (*place).to_owned(),
                from,
                to,
                fault,
                ladder: policy.ladder.iter().map(|slot| Slot::word(*slot)).collect(),
            });
            holes.extend(found);
        }
    }
    holes
}

/// Spans of one day, in order, as the holes that they make; one over midnight is one.
fn joined(spans: Vec<(u32, u32, Option<Fault>)>) -> Vec<(u32, u32, Fault)> {
    let mut holes: Vec<(u32, u32, Fault)> = Vec::new();
    for (from, to, fault) in spans {
        let Some(fault) = fault else { continue };
        match holes.last_mut() {
            Some(last) if last.1 == from && last.2 == fault && last.0 != from => last.1 = to,
            _ => holes.push((from, to, fault)),
        }
    }
    if let [first, .., last] = holes.as_slice()
        && last.1 == first.0
        && last.2 == first.2
    {
        let (from, to, fault) = (last.0, first.1, first.2);
        holes.pop();
        holes.remove(0);
        holes.push((from, to, fault));
    }
    holes
}
