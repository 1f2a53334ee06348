//! Registers that the device refuses: asked again ever more rarely, an alarm's at least twice a
//! minute. A controller refuses everything for seconds while it is loaded anew, and nobody may wait
//! ten minutes for an alarm because of that.

use fengsui_telemetry::Fault;

use super::{
    Class, Health, PROBE_FIRST_MS, PROBE_MAX_MS, RELEARN_MS, Scanner, Slot, exception_fault,
};

/// What a single point was refused with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    fault: Fault,
    /// Until it is asked again.
    wait_ms: u64,
}

impl Scanner {
    /// A single point was refused. A block with a time register keeps its period: there is nothing
    /// else to ask.
    pub(super) fn refuse_alone(&mut self, place: usize, code: u8, now: u64) {
        let Some(slot) = self.slots.get_mut(place) else { return };
        if !matches!(code, 2 | 3) || slot.block.time_at.is_some() {
            return;
        }
        let most = match slot.class {
            Class::Alarm => PROBE_MAX_MS,
            Class::Bulk => RELEARN_MS,
        };
        let wait_ms = slot.refused.map_or(PROBE_FIRST_MS, |before| before.wait_ms * 2).min(most);
        slot.refused = Some(Refused { fault: exception_fault(code), wait_ms });
        slot.due = slot.due.max(now + wait_ms);
        self.relearn_at.get_or_insert(now + RELEARN_MS);
    }

    /// It was answered. Where that was the last that was refused, the device is planned anew.
    pub(super) fn accepted(&mut self, place: usize, now: u64) {
        let was = self.slots.get_mut(place).and_then(|slot| slot.refused.take());
        if was.is_some() && self.slots.iter().all(|slot| slot.refused.is_none()) {
            self.relearn_at = Some(now + PROBE_FIRST_MS);
        }
    }

    /// Why nothing of it can be read: it does not answer, or refuses every point.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        match self.health {
            Health::Suspect(fault) | Health::Dead { fault, .. } => Some(fault),
            Health::Healthy => {
                let refused = |slot: &Slot| slot.refused.map(|refused| refused.fault);
                let first = refused(self.slots.first()?)?;
                self.slots.iter().all(|slot| slot.refused.is_some()).then_some(first)
            }
        }
    }
}
