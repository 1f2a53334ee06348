//! When the engine wants to be woken, and why.
//!
//! - Ordered sets: arming, disarming and the next one are logarithmic; nothing is scanned.
//! - Shelves are apart, because they end at any event that comes, the others only at a tick.
//! - Bounded: at most one entry for an alarm or gateway and reason.

use std::collections::BTreeSet;

use fengsui_telemetry::TimeMs;

use crate::model::{AlarmId, GatewayRef};

/// Why. At equal times the order of the variants counts: a delay before the end of a shelf (Q9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reason {
    /// An on- or off-delay may have run out.
    Delay(AlarmId),
    /// A tick trusts the held values that a derived alarm waits for. After a delay of the same
    /// time (R3).
    Signal(AlarmId),
    /// A point may have become stale.
    Stale(AlarmId),
    /// A gateway may have become offline.
    Offline(AlarmId),
    /// The STALE alarms that an offline gateway kept quiet speak for themselves again.
    Uncover(GatewayRef),
    /// A back-fill has been quiet for long enough.
    Quiet(GatewayRef),
    /// The store may owe an answer.
    Ask(GatewayRef),
    /// The store may owe a derived alarm an answer.
    Gather(AlarmId),
    /// A gateway's clock may be good again.
    Clock(AlarmId),
    /// A restart has held this gateway's ticks for long enough.
    Release(GatewayRef),
    /// An alarm has stood long enough to be announced again. After all others (1.2 of the
    /// vectors): a delay that ends at the same tick comes first.
    ReAlarm(AlarmId),
}

/// The deadlines of one engine.
#[derive(Clone, Debug, Default)]
pub(crate) struct Deadlines {
    timers: BTreeSet<(TimeMs, Reason)>,
    shelves: BTreeSet<(TimeMs, AlarmId)>,
}

impl Deadlines {
    pub(crate) fn arm(&mut self, at: TimeMs, reason: Reason) {
        self.timers.insert((at, reason));
    }

    pub(crate) fn disarm(&mut self, at: TimeMs, reason: Reason) {
        self.timers.remove(&(at, reason));
    }

    pub(crate) fn shelve(&mut self, until: TimeMs, alarm: AlarmId) {
        self.shelves.insert((until, alarm));
    }

    pub(crate) fn unshelve(&mut self, until: TimeMs, alarm: AlarmId) {
        self.shelves.remove(&(until, alarm));
    }

    /// The clock was set back by so much: everything comes that much earlier by it.
    pub(crate) fn shift_back(&mut self, ms: i64) {
        self.timers =
            std::mem::take(&mut self.timers).into_iter().map(|(at, r)| (at - ms, r)).collect();
        self.shelves =
            std::mem::take(&mut self.shelves).into_iter().map(|(at, a)| (at - ms, a)).collect();
    }

    /// All timers; shelves follow from the alarms.
    pub(crate) fn timers(&self) -> impl Iterator<Item = &(TimeMs, Reason)> {
        self.timers.iter()
    }

    /// The earliest of all.
    pub(crate) fn next(&self) -> Option<TimeMs> {
        match (self.timers.first(), self.shelves.first()) {
            (Some(timer), Some(shelf)) => Some(timer.0.min(shelf.0)),
            (Some((at, _)), None) => Some(*at),
            (None, Some((at, _))) => Some(*at),
            (None, None) => None,
        }
    }

    /// Every alarm that is shelved.
    pub(crate) fn shelved(&self) -> impl Iterator<Item = AlarmId> {
        self.shelves.iter().map(|(_, alarm)| *alarm)
    }

    /// The end of the next shelf.
    pub(crate) fn next_shelf(&self) -> Option<(TimeMs, AlarmId)> {
        self.shelves.first().copied()
    }

    /// Takes the earliest shelf if it has ended.
    pub(crate) fn take_shelf(&mut self, now: TimeMs) -> Option<(TimeMs, AlarmId)> {
        let shelf = self.next_shelf().filter(|(until, _)| *until <= now)?;
        self.shelves.remove(&shelf);
        Some(shelf)
    }

    /// The earliest timer that is due.
    pub(crate) fn take_timer(&mut self, now: TimeMs) -> Option<(TimeMs, Reason)> {
        let timer = self.timers.first().copied().filter(|(at, _)| *at <= now)?;
        self.timers.remove(&timer);
        Some(timer)
    }

    /// True when the next due thing is a shelf's end.
    pub(crate) fn shelf_comes_first(&self) -> bool {
        match (self.timers.first(), self.shelves.first()) {
            (Some(timer), Some(shelf)) => shelf.0 < timer.0,
            (None, Some(_)) => true,
            (Some(_) | None, None) => false,
        }
    }
}
