//! Registers that the device refuses: asked again ever more rarely, an alarm's at least twice a
//! minute. A controller refuses everything for seconds while it is loaded anew, and nobody may wait
//! ten minutes for an alarm because of that.

use fengsui_telemetry::Fault;

use super::{
    Class, Health, PROBE_FIRST_MS, PROBE_MAX_MS, RELEARN_MS, Scanner, Slot, exception_fault,
};

/// How a single point that is refused is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    /// Until it is asked again.
    wait_ms: u64,
}

impl Scanner {
    /// A request was refused, with exceptions 2 and 3 that of a single point. A block with a time register keeps its period: there is nothing
    /// else to ask.
    pub(super) fn refuse(&mut self, place: usize, code: u8, now: u64) {
        let Some(slot) = self.slots.get_mut(place) else { return };
        slot.denied = Some(exception_fault(code));
        if !matches!(code, 2 | 3) || slot.block.time_at.is_some() {
            return;
        }
        let most = match slot.class {
            Class::Alarm => PROBE_MAX_MS,
            Class::Bulk => RELEARN_MS,
        };
        let wait_ms = slot.refused.map_or(PROBE_FIRST_MS, |before| before.wait_ms * 2).min(most);
        slot.refused = Some(Refused { wait_ms });
        slot.due = slot.due.max(now + wait_ms);
        self.relearn_at.get_or_insert(now + RELEARN_MS);
    }

    /// It was answered. Where that was the last that was refused, the device is planned anew; else
    /// the others are asked soon, for something has changed.
    pub(super) fn accepted(&mut self, place: usize, now: u64) {
        let Some(slot) = self.slots.get_mut(place) else { return };
        slot.denied = None;
        if slot.refused.take().is_none() {
            return;
        }
        for slot in &mut self.slots {
            slot.wait_at_most(PROBE_FIRST_MS, now);
        }
        if self.slots.iter().all(|slot| slot.refused.is_none()) {
            self.relearn_at = Some(now + PROBE_FIRST_MS);
        }
    }

    /// Why nothing of it can be read: it does not answer, or refuses every request.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        match self.health {
            Health::Suspect(fault) | Health::Dead { fault, .. } => Some(fault),
            Health::Healthy => {
                let first = self.slots.first()?.denied?;
                self.slots.iter().all(|slot| slot.denied.is_some()).then_some(first)
            }
        }
    }
}

impl Slot {
    /// Shortens the pause of a refused one.
    pub(super) fn wait_at_most(&mut self, most_ms: u64, now: u64) {
        if let Some(refused) = &mut self.refused {
            refused.wait_ms = refused.wait_ms.min(most_ms);
            self.due = self.due.min(now + most_ms);
        }
    }

    /// It may carry an alarm from now on: its pause is no longer than an alarm's.
    pub(super) fn hasten(&mut self) {
        if let (Class::Alarm, Some(refused)) = (self.class, &mut self.refused) {
            self.due -= refused.wait_ms.saturating_sub(PROBE_MAX_MS);
            refused.wait_ms = refused.wait_ms.min(PROBE_MAX_MS);
        }
    }
}
