//! Points whose order, divisor, unit or status stands in another reply.
//!
//! - Registers that were read in two requests may have changed between them. A point waits until
//!   what it needs was read behind it, and counts where that said the same before and after.
//! - Where it did not, both are read once more at once; after that the point is `Bad`.
//! - So such registers are planned behind the points, and once before them at the start.
//! - A reading that waited bears the time of the reply that ended its waiting.

use std::collections::{BTreeMap, BTreeSet};

use fengsui_telemetry::{Fault, Reading};

use super::{Class, Scanner, Slot};
use crate::condition::{Cells, Conditions, Judged, Moment, Occasion, Seen};
use crate::pdu::Payload;
use crate::plan::{Block, Item, Places};
use crate::site::Mapping;

/// What waits for registers that are read after it.
#[derive(Clone, Debug)]
pub(super) struct Held {
    payload: Payload,
    items: Vec<Item>,
    at: Moment,
    /// What was said before.
    before: BTreeMap<usize, Seen>,
    /// Places of registers that have not been read since.
    missing: Vec<usize>,
    /// It was read a second time already.
    last: bool,
}

/// A read between two scans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Again {
    pub(super) class: Class,
    pub(super) since: u64,
    pub(super) deadline: u64,
    /// The points as well; else what others need.
    points: bool,
}

impl Again {
    /// Before anything can be judged.
    pub(super) fn first(due: u64) -> Self {
        Self { class: Class::Bulk, since: due, deadline: due, points: false }
    }
}

/// What a read was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// A scan.
    Due,
    /// A read between two scans.
    Again(Again),
}

impl Turn {
    fn has_points(self) -> bool {
        match self {
            Self::Due => true,
            Self::Again(again) => again.points,
        }
    }
}

impl Slot {
    /// The turn to take now, with its class and deadline; none where nothing is due.
    pub(super) fn turn(&self, now: u64) -> Option<(Class, u64, Turn)> {
        let deadline = self.due + u64::from(self.block.period_ms);
        let due = (self.due <= now).then_some((self.class, deadline, Turn::Due));
        let again = self.again.map(|again| (again.class, again.deadline, Turn::Again(again)));
        match (due, again) {
            // A scan is worth as much, and is as urgent as what waits for it.
            (Some(due), Some(again)) => {
                let (class, deadline) = (due.0, due.1).min((again.0, again.1));
                Some((class, deadline, Turn::Due))
            }
            (due, again) => due.or(again),
        }
    }

    /// Since when that turn waits.
    pub(super) fn since(&self, turn: Turn) -> u64 {
        match turn {
            Turn::Due => self.due,
            Turn::Again(again) => again.since,
        }
    }

    /// Asks for a read between two scans, besides what was asked before.
    fn ask_again(&mut self, wanted: Again) {
        self.again = Some(match self.again {
            None => wanted,
            Some(before) => {
                let more = before.class.min(wanted.class);
                let deadline = before.deadline.min(wanted.deadline);
                let points = before.points || wanted.points;
                Again { class: more, deadline, points, ..before }
            }
        });
    }

    /// Its points must be read once more.
    pub(super) fn ask_points(&mut self, now: u64) {
        let deadline = self.due.max(now);
        self.ask_again(Again { class: self.class, since: now, deadline, points: true });
    }
}

/// Which slot reads each auxiliary register, by its place behind the points.
pub(super) fn readers(slots: &[Slot], places: &Places) -> Vec<usize> {
    let mut readers = vec![usize::MAX; places.auxiliary.len()];
    for (at, slot) in slots.iter().enumerate() {
        for item in &slot.block.items {
            let auxiliary = item.mapping.checked_sub(places.points.len());
            if let Some(reader) = auxiliary.and_then(|place| readers.get_mut(place)) {
                *reader = at;
            }
        }
    }
    readers
}

/// The same blocks: those with registers that points of other blocks need stand behind the rest,
/// and are read once before them.
pub(super) fn in_order(slots: Vec<Slot>, conditions: &Conditions, places: &Places) -> Vec<Slot> {
    let readers = readers(&slots, places);
    let mut needed = vec![false; slots.len()];
    for (at, slot) in slots.iter().enumerate() {
        let points = slot.block.items.iter().filter_map(|item| places.points.get(item.mapping));
        for place in points.flat_map(|mapping| conditions.needed_by(mapping)) {
            let reader = place.checked_sub(places.points.len()).and_then(|one| readers.get(one));
            let elsewhere = reader.filter(|reader| **reader != at);
            if let Some(needed) = elsewhere.and_then(|reader| needed.get_mut(*reader)) {
                *needed = true;
            }
        }
    }
    let (mut behind, mut first) = (Vec::new(), Vec::new());
    for (mut slot, needed) in slots.into_iter().zip(needed) {
        if needed {
            slot.again = Some(Again::first(slot.due));
            behind.push(slot);
        } else {
            first.push(slot);
        }
    }
    first.extend(behind);
    first
}

impl Scanner {
    /// Takes the reply of a block: judges what can be judged, and what has waited for it.
    pub(super) fn take_block(
        &mut self,
        place: usize,
        turn: Turn,
        payload: &Payload,
        at: Moment,
        now: u64,
    ) -> Vec<(u32, Reading)> {
        let Some(slot) = self.slots.get(place) else { return Vec::new() };
        let block = slot.block.clone();
        for item in &block.items {
            if let Some(mapping) = self.places.auxiliary(*item) {
                self.conditions.learn(item.mapping, mapping, cells(payload, item), at);
            }
        }
        let mut readings = self.release(&block, at, now);
        if !turn.has_points() {
            return readings;
        }
        let (mut waiting, mut missing) = (Vec::new(), Vec::new());
        for item in block.items {
            let Some(mapping) = self.places.points.get(item.mapping) else { continue };
            let known = missing.len();
            if mapping.rules.is_some() {
                missing.extend(self.elsewhere(mapping, place));
            }
            if missing.len() > known {
                waiting.push(item);
                continue;
            }
            let on = Occasion::one(at);
            let cells = cells(payload, &item);
            if let Judged::Reading(reading) =
                self.conditions.reading(item.mapping, mapping, cells, on)
            {
                readings.push((mapping.point, reading));
            }
        }
        readings.extend(self.hold(place, waiting, missing, (payload, at), now));
        readings
    }

    /// The blocks that hold what points of this one need, by its place in [`Scanner::blocks`].
    pub(crate) fn needs_of(&self, place: usize) -> Vec<&Block> {
        let items = self.slots.get(place).into_iter().flat_map(|slot| &slot.block.items);
        let points = items.filter_map(|item| self.places.points.get(item.mapping));
        let own = |needed: usize| needed.checked_sub(self.places.points.len());
        let needed = points.flat_map(|mapping| self.elsewhere(mapping, place)).filter_map(own);
        let readers: BTreeSet<usize> =
            needed.filter_map(|own| self.readers.get(own).copied()).collect();
        readers.iter().filter_map(|at| Some(&self.slots.get(*at)?.block)).collect()
    }

    /// Registers that a point of this slot needs and that other slots read. One that is refused is
    /// known to be, and nobody waits for it.
    fn elsewhere(&self, mapping: &Mapping, slot: usize) -> impl Iterator<Item = usize> {
        let asked = move |place: &usize| {
            let own = place.checked_sub(self.places.points.len());
            let reader = own.and_then(|own| self.readers.get(own)).filter(|one| **one != slot);
            let reader = reader.and_then(|reader| self.slots.get(*reader));
            reader.is_some_and(|slot| slot.refused.is_none())
        };
        self.conditions.needed_by(mapping).filter(asked)
    }

    fn hold(
        &mut self,
        place: usize,
        items: Vec<Item>,
        mut missing: Vec<usize>,
        (payload, at): (&Payload, Moment),
        now: u64,
    ) -> Vec<(u32, Reading)> {
        let Some(slot) = self.slots.get_mut(place) else { return Vec::new() };
        let (class, deadline) = (slot.class, slot.due.max(now));
        let last = std::mem::take(&mut slot.torn);
        let forgotten = slot.held.take();
        let readings = forgotten.map_or_else(Vec::new, |held| self.not_refreshed(&held));
        if items.is_empty() {
            return readings;
        }
        missing.sort_unstable();
        missing.dedup();
        for one in &missing {
            let own = one.checked_sub(self.places.points.len());
            let reader = own.and_then(|own| self.readers.get(own));
            if let Some(slot) = reader.and_then(|reader| self.slots.get_mut(*reader)) {
                slot.ask_again(Again { class, since: now, deadline, points: false });
            }
        }
        let points = items.iter().filter_map(|item| self.places.points.get(item.mapping));
        let before = self.conditions.said_for(points, at);
        let payload = payload.clone();
        if let Some(slot) = self.slots.get_mut(place) {
            slot.held = Some(Box::new(Held { payload, items, at, before, missing, last }));
        }
        readings
    }

    /// The registers of this block were read, or cannot be: judges what has waited for nothing
    /// else.
    pub(super) fn release(&mut self, block: &Block, at: Moment, now: u64) -> Vec<(u32, Reading)> {
        let mut readings = Vec::new();
        if self.readers.is_empty() {
            return readings;
        }
        let told: BTreeSet<usize> = block.items.iter().map(|item| item.mapping).collect();
        let Self { slots, conditions, places, .. } = self;
        for slot in slots {
            let Some(held) = &mut slot.held else { continue };
            held.missing.retain(|place| !told.contains(place));
            if !held.missing.is_empty() {
                continue;
            }
            let Some(held) = slot.held.take() else { continue };
            let on = Occasion { read: held.at, judged: at, before: Some(&held.before) };
            let mut torn = false;
            for item in &held.items {
                let Some(mapping) = places.points.get(item.mapping) else { continue };
                match conditions.reading(item.mapping, mapping, cells(&held.payload, item), on) {
                    Judged::Reading(reading) => readings.push((mapping.point, reading)),
                    Judged::Torn if held.last => {
                        readings.push((mapping.point, Reading::Bad(Fault::Undecodable)));
                    }
                    Judged::Torn => torn = true,
                    Judged::Nothing => {}
                }
            }
            if torn {
                slot.torn = true;
                slot.ask_points(now);
            }
        }
        readings
    }

    fn not_refreshed(&self, held: &Held) -> Vec<(u32, Reading)> {
        let points = held.items.iter().filter_map(|item| self.places.points.get(item.mapping));
        points.map(|mapping| (mapping.point, Reading::Bad(Fault::NotRefreshed))).collect()
    }

    /// The device does not answer: all its points are told so.
    pub(super) fn forget_held(&mut self) {
        for slot in &mut self.slots {
            (slot.held, slot.again, slot.torn) = (None, None, false);
        }
    }
}

fn cells<'a>(payload: &'a Payload, item: &Item) -> Option<Cells<'a>> {
    let at = usize::from(item.at);
    match payload {
        Payload::Words(all) => all.get(at..at + usize::from(item.words)).map(Cells::Words),
        Payload::Bits(all) => all.get(at).map(|bit| Cells::Bit(*bit)),
    }
}

#[cfg(test)]
mod tests;
