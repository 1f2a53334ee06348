//! What a device that answers is behind with: one that is asked for more than it can carry starves
//! the points that no alarm waits for, and nothing else would say so.

use super::{Class, Health, Scanner, Slot};

/// A scan that is overdue by so many of its periods is told: one or two are a busy moment.
const OVERDUE_PERIODS: u64 = 3;

/// What a device that answers is behind with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arrears {
    /// Scans that were skipped because earlier ones took too long.
    pub missed: u64,
    /// Points, and registers that they need, whose scan is overdue by more than three of its
    /// periods, or that carry an alarm and are refused.
    pub overdue: u32,
}

impl Scanner {
    /// What it is behind with. Of a device that does not answer its fault says enough.
    #[must_use]
    pub fn arrears(&self, now: u64) -> Arrears {
        let late = |slot: &&Slot| {
            let patience = OVERDUE_PERIODS * u64::from(slot.block.period_ms);
            match slot.refused {
                None => slot.due.saturating_add(patience) < now,
                Some(_) => slot.class == Class::Alarm,
            }
        };
        let points = |slot: &Slot| slot.block.items.len();
        let overdue = match self.health {
            Health::Healthy | Health::Suspect(_) => {
                self.slots.iter().filter(late).map(points).sum()
            }
            Health::Dead { .. } => 0,
        };
        Arrears { missed: self.missed, overdue: u32::try_from(overdue).unwrap_or(u32::MAX) }
    }
}
