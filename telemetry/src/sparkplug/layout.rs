//! Which point is a metric of which Sparkplug device. Made once from the catalogue, the same at
//! every start.
//!
//! - A device is a piece of equipment as the plant names it (`TK-101`); a point without one goes
//!   to the instrument or controller that reads it.
//! - The metric's name is the point's tag, unique over the whole gateway: equipment of one name in
//!   two places may share a device without harm.
//! - No DDEATH is ever needed: an instrument that is silent is bad quality, not a dead device.

use std::collections::BTreeMap;

use crate::Catalogue;

/// Metrics of one device. A DBIRTH holds them all in one packet: a thousand are some 200 KB. What
/// is beyond goes to a second device of the same name with `~2` behind it.
pub const DEVICE_METRICS_MAX: usize = 1_000;
/// Characters of a device's name; topics are bounded by MQTT.
const NAME_MAX: usize = 64;

/// One point as a metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Signal {
    /// The tag.
    pub name: String,
    /// In the plant's words.
    pub description: String,
    /// As printed.
    pub unit: String,
    /// Lower end of the range.
    pub low: f64,
    /// Upper end of the range.
    pub high: f64,
    /// Index into [`Layout::devices`].
    pub device: usize,
}

/// One Sparkplug device.
#[derive(Clone, Debug, PartialEq)]
pub struct Device {
    /// A level of the topic.
    pub name: String,
    /// Indices of its points.
    pub points: Vec<usize>,
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Layout {
    /// In the order of the catalogue.
    pub signals: Vec<Signal>,
    /// In the order in which the catalogue names them first.
    pub devices: Vec<Device>,
}

impl Layout {
    /// `reader` names what reads a point; it is asked only where the equipment is empty.
    pub fn new(catalogue: &Catalogue, mut reader: impl FnMut(usize) -> String) -> Self {
        let mut layout = Self::default();
        // Name of the equipment -> (its last device, how many it has).
        let mut known: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        for (index, point) in catalogue.points.iter().enumerate() {
            let mut name = level_of(&point.equipment);
            if name.is_empty() {
                name = level_of(&reader(index));
            }
            if name.is_empty() {
                "points".clone_into(&mut name);
            }
            let next = layout.devices.len();
            let (last, parts) = known.entry(name.clone()).or_insert((next, 0));
            let full = layout
                .devices
                .get(*last)
                .is_none_or(|device| device.points.len() >= DEVICE_METRICS_MAX);
            if full {
                *parts += 1;
                let name = if *parts == 1 { name } else { format!("{name}~{parts}") };
                layout.devices.push(Device { name, points: Vec::new() });
                *last = next;
            }
            if let Some(device) = layout.devices.get_mut(*last) {
                device.points.push(index);
            }
            layout.signals.push(Signal {
                name: point.tag.as_str().to_owned(),
                description: point.name.clone(),
                unit: point.unit.clone(),
                low: point.low,
                high: point.high,
                device: *last,
            });
        }
        layout
    }
}

/// What a topic cannot carry is written with the wide form of the same character: `1#罐` stays
/// readable as `1＃罐`.
fn level_of(text: &str) -> String {
    let wide = |c: char| match c {
        '/' => '／',
        '+' => '＋',
        '#' => '＃',
        '~' => '～',
        c if c.is_control() => '_',
        c => c,
    };
    text.trim().chars().take(NAME_MAX).map(wide).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Point, Tag};

    fn catalogue(equipment: &[&str]) -> Catalogue {
        let point = |(index, equipment): (usize, &&str)| Point {
            tag: Tag::parse(&format!("P-{index}")).unwrap(),
            name: String::new(),
            unit: String::new(),
            low: 0.0,
            high: 1.0,
            installation: 0,
            equipment: (*equipment).to_owned(),
            period_ms: 1_000,
            silence_ms: 0,
            signal: String::new(),
        };
        let points = equipment.iter().enumerate().map(point).collect();
        Catalogue { enterprise: String::new(), installations: Vec::new(), points }
    }

    fn names(layout: &Layout) -> Vec<(&str, usize)> {
        layout.devices.iter().map(|d| (d.name.as_str(), d.points.len())).collect()
    }

    #[test]
    fn equipment_is_a_device_and_a_topic_level_always() {
        let catalogue = catalogue(&["TK-101", "", "1#罐/北", "TK-101", " ", "a\u{0}+~2"]);
        let layout = Layout::new(&catalogue, |index| format!("plc-{index}"));
        let expected =
            [("TK-101", 2), ("plc-1", 1), ("1＃罐／北", 1), ("plc-4", 1), ("a_＋～2", 1)];
        assert_eq!(names(&layout), expected);
        assert_eq!(layout.signals[3].device, 0);
        for (index, signal) in layout.signals.iter().enumerate() {
            assert!(layout.devices[signal.device].points.contains(&index));
        }
    }

    #[test]
    fn a_device_of_too_many_points_is_several() {
        let equipment = vec!["A"; DEVICE_METRICS_MAX * 2 + 1];
        let layout = Layout::new(&catalogue(&equipment), |_| String::new());
        let max = DEVICE_METRICS_MAX;
        assert_eq!(names(&layout), [("A", max), ("A~2", max), ("A~3", 1)]);
    }
}
