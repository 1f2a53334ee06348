//! The lines of a site: `[[bus]]`.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::de::DeTable;

use super::Problem;
use super::section::{Section, Text};
use super::system::unique;
use crate::rtu::{Echo, Parity, SerialSettings, StopBits};

/// What a line is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BusKind {
    /// A serial port.
    Serial {
        /// The device file, best one under `/dev/serial/by-id`.
        path: String,
        /// Whether the adapter gives back what is sent.
        echo: Echo,
        /// Who switches the direction of the transceiver.
        direction: Direction,
    },
    /// RTU frames over TCP, to a converter.
    RtuTcp {
        /// Name or address.
        host: String,
        /// TCP port.
        port: u16,
    },
}

/// Who switches the direction of an RS-485 transceiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The adapter itself.
    Adapter,
    /// The kernel's driver of the port, which is told so when the port is opened.
    Kernel,
}

/// One line that several devices share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusSpec {
    /// Unique in the site.
    pub name: String,
    /// What it is.
    pub kind: BusKind,
    /// How the line is set; behind a converter how its serial side is set, for the times.
    pub settings: SerialSettings,
}

/// The fastest rate that RS-485 transceivers of plant instruments are sold for.
const BAUD_MAX: i64 = 1_000_000;

pub(super) fn bus(
    at: &mut Text<'_>,
    span: &Range<usize>,
    table: &DeTable<'_>,
    seen: &mut BTreeMap<String, usize>,
) -> Option<BusSpec> {
    let mut section = Section::new("bus", at.row(span), table);
    let name = section.text(at, "name");
    let name = unique(at, "bus.name", section.value_row, name, seen);
    let kind = section.word(at, "kind", None, &["modbus-rtu", "modbus-rtu-tcp"]);
    let is_serial = kind == Some("modbus-rtu");
    // Behind a converter the settings are only for the times; a port needs the right ones.
    let baud = section.whole(at, "baud", (300, BAUD_MAX), (!is_serial).then_some(9_600));
    section.whole(at, "data_bits", (8, 8), Some(8));
    let parity = (!is_serial).then_some("none");
    let parity = section.word(at, "parity", parity, &["none", "even", "odd"]);
    let stop_bits = section.whole(at, "stop_bits", (1, 2), Some(1));
    let kind = match kind {
        Some("modbus-rtu") => {
            let path = section.text(at, "path");
            let echo = if section.flag(at, "echo") { Echo::Own } else { Echo::None };
            let rs485 = section.word(at, "rs485", Some("adapter"), &["adapter", "kernel"]);
            let by_kernel = rs485 == Some("kernel");
            let direction = if by_kernel { Direction::Kernel } else { Direction::Adapter };
            path.map(|path| BusKind::Serial { path, echo, direction })
        }
        Some(_) => {
            let host = section.text(at, "host");
            let port = section.whole(at, "port", (1, 65_535), None);
            let port = port.and_then(|port| u16::try_from(port).ok());
            host.zip(port).map(|(host, port)| BusKind::RtuTcp { host, port })
        }
        None => {
            section.allow(&["path", "echo", "rs485", "host", "port"]);
            None
        }
    };
    section.finish(at);
    let settings = SerialSettings {
        baud: u32::try_from(baud?).ok()?,
        parity: match parity? {
            "even" => Parity::Even,
            "odd" => Parity::Odd,
            _ => Parity::None,
        },
        stop_bits: if stop_bits? == 2 { StopBits::Two } else { StopBits::One },
    };
    Some(BusSpec { name: name?, kind: kind?, settings })
}

/// The line that a device names; a fault where there is none of that name.
pub(super) fn named(at: &mut Text<'_>, row: usize, name: &str, buses: &[BusSpec]) -> Option<usize> {
    let place = buses.iter().position(|bus| bus.name == name);
    if place.is_none() {
        let known: Vec<_> = buses.iter().map(|bus| bus.name.as_str()).collect();
        let known = if known.is_empty() { "[[bus]] ?".to_owned() } else { known.join(", ") };
        at.fault(row, "device.bus", Some(name.to_owned()), Problem::Undefined(known));
    }
    place
}
