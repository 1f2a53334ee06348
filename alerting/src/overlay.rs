//! What may lie over an alarm: a shelf, suppression by design, maintenance, an offline gateway.
//!
//! - Each begins and ends by itself; the letter shown is I over H over G.
//! - The stretches in which anything lay over the alarm are kept, because late data are judged by
//!   what was valid at their time (R8e).

use fengsui_telemetry::TimeMs;

use crate::model::Letter;

/// Stretches kept per alarm. A late occurrence inside an older, forgotten one is shown as one
/// that nobody had silenced: on the safe side.
const PAST_MAX: usize = 64;

/// A shelf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shelf {
    pub(crate) until: TimeMs,
    pub(crate) one_shot: bool,
    /// Another person has approved it.
    pub(crate) second_person: bool,
    /// It was laid with the number of a written permit.
    pub(crate) permit_number: bool,
}

/// Everything that lies over one alarm.
#[derive(Clone, Debug, PartialEq, Default)]
pub(crate) struct Overlays {
    pub(crate) shelf: Option<Shelf>,
    /// The operator position that holds, or last held, the shelf.
    pub(crate) position: String,
    pub(crate) suppressed: bool,
    pub(crate) out_of_service: bool,
    /// The gateway is offline: its points' STALE is suppressed by design until it is heard.
    pub(crate) parent: bool,
    /// Its parent alarm is on.
    pub(crate) by_design: bool,
    /// When the first of them came.
    pub(crate) since: TimeMs,
    /// An occurrence has ended under them.
    pub(crate) returned: bool,
    /// Stretches that are over, oldest first.
    pub(crate) past: Vec<(i64, i64)>,
}

impl Overlays {
    pub(crate) fn any(&self) -> bool {
        self.letter().is_some()
    }

    pub(crate) fn letter(&self) -> Option<Letter> {
        if self.out_of_service {
            Some(Letter::I)
        } else if self.suppressed || self.parent || self.by_design {
            Some(Letter::H)
        } else {
            self.shelf.map(|_| Letter::G)
        }
    }

    /// Notes the beginning; call before the first overlay is laid.
    pub(crate) fn begin(&mut self, now: TimeMs) {
        if !self.any() {
            self.since = now;
            self.returned = false;
        }
    }

    /// Notes the end; call after the last overlay is gone.
    pub(crate) fn finish(&mut self, until: TimeMs) {
        if self.past.len() >= PAST_MAX {
            self.past.remove(0);
        }
        self.past.push((self.since.0, until.0));
    }

    /// True when an occurrence lies wholly inside one stretch, over or running (Q18).
    pub(crate) fn hid(&self, on: i64, off: i64) -> bool {
        let running = self.any() && self.since.0 <= on;
        running || self.past.iter().any(|(from, until)| *from <= on && off <= *until)
    }
}
