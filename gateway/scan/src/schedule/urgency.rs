//! What is read before the rest: points that carry an alarm, and what they need.

use std::sync::Arc;

use super::{Class, Scanner};
use crate::plan::{Block, Item};
use crate::point_set::PointSet;

impl Scanner {
    /// The same, told which points carry an alarm: they are read before others that are due.
    #[must_use]
    pub fn with_alarms(mut self, points: &PointSet) -> Self {
        self.set_alarms(points);
        self
    }

    /// The same device as if nothing of it had been learnt, where these points carry an alarm.
    pub(crate) fn afresh(&self, points: &PointSet) -> Self {
        Self::new(self.device.clone(), Arc::clone(&self.places.points), 0).with_alarms(points)
    }

    /// Other points carry an alarm from now on. What they need is as urgent as they are: a value is
    /// worth no more than the status beside it.
    pub fn set_alarms(&mut self, points: &PointSet) {
        let own = (0_u32..).zip(self.places.points.iter());
        let alarmed = || own.clone().filter(|(_, m)| points.contains(m.point));
        self.alarms = alarmed().map(|(at, _)| at).collect();
        let needed = alarmed().flat_map(|(_, mapping)| self.conditions.needed_by(mapping));
        self.alarms.extend(needed.filter_map(|place| u32::try_from(place).ok()));
        for slot in &mut self.slots {
            slot.class = class_of(&slot.block, &self.alarms);
            slot.hasten();
            if let Some(again) = &mut slot.again {
                again.class = again.class.min(slot.class);
            }
        }
    }
}

pub(super) fn class_of(block: &Block, alarms: &PointSet) -> Class {
    let place = |item: &Item| u32::try_from(item.mapping).unwrap_or(u32::MAX);
    match block.items.iter().any(|item| alarms.contains(place(item))) {
        true => Class::Alarm,
        false => Class::Bulk,
    }
}
