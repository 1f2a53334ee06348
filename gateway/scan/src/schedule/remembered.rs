//! What a device's points said so far, from one configuration to the next: a reload that does not
//! touch a point must not begin its count anew, call a broken wire whole or a frozen value fresh.
//!
//! - A point is the same where everything that is known of its registers and its rules is the same,
//!   on a device of the same name, address and unit. Its row, its index and what it is called are
//!   nothing.
//! - Left out: what auxiliary registers said, and whether the device answers. Both are asked anew
//!   within a round.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Scanner;
use crate::condition::Memory;
use crate::site::{Device, Form, Link, Mapping};

/// The memory of one device.
#[derive(Clone, Debug)]
pub struct Remembered {
    device: Device,
    points: Arc<[Mapping]>,
    memory: BTreeMap<usize, Memory>,
}

impl Remembered {
    /// True where this is about that device. Which line it hangs on is for the caller to know: its
    /// number changes with the file.
    #[must_use]
    pub fn is_of(&self, device: &Device) -> bool {
        let same_link = match (&self.device.link, &device.link) {
            (Link::Rtu { .. }, Link::Rtu { .. }) => true,
            (Link::ModbusTcp { .. }, _) | (Link::Rtu { .. }, Link::ModbusTcp { .. }) => {
                self.device.link == device.link
            }
        };
        same_link && (&self.device.name, self.device.unit) == (&device.name, device.unit)
    }
}

impl Scanner {
    /// What its points said so far; none where nothing is remembered.
    #[must_use]
    pub fn into_memory(self) -> Option<Remembered> {
        let memory = self.conditions.memories();
        let (device, points) = (self.device, self.places.points);
        (!memory.is_empty()).then_some(Remembered { device, points, memory })
    }

    /// The same reader, which knows what those points said that are as they were.
    #[must_use]
    pub fn recalling(mut self, remembered: Option<Remembered>) -> Self {
        let Some(remembered) = remembered.filter(|one| one.is_of(&self.device)) else {
            return self;
        };
        let Remembered { points, mut memory, .. } = remembered;
        for (place, mapping) in self.places.points.iter().enumerate() {
            if mapping.rules.is_none() {
                continue;
            }
            let before = points.iter().position(|before| is_same(before, mapping));
            if let Some(found) = before.and_then(|before| memory.remove(&before)) {
                self.conditions.recall(place, found);
            }
        }
        self
    }
}

/// The same registers, read and judged in the same way.
fn is_same(before: &Mapping, now: &Mapping) -> bool {
    let registers = |m: &Mapping| (m.function, m.address);
    let form = || Form { period_ms: now.period_ms, ..(*before.form).clone() };
    registers(before) == registers(now) && *now.form == form()
}
