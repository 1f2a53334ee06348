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

/// Names of lines and where they begin, each with its row: two lines cannot have one port.
#[derive(Debug, Default)]
pub(super) struct Seen {
    names: BTreeMap<String, usize>,
    ports: BTreeMap<String, usize>,
}

impl Seen {
    /// The row of the line that begins at this address.
    pub(super) fn at_address(&self, host: &str, port: u16) -> Option<usize> {
        self.ports.get(&address(host, port)).copied()
    }
}

fn address(host: &str, port: u16) -> String {
    format!("{}:{port}", host.to_ascii_lowercase())
}

pub(super) fn bus(
    at: &mut Text<'_>,
    span: &Range<usize>,
    table: &DeTable<'_>,
    seen: &mut Seen,
) -> Option<BusSpec> {
    let mut section = Section::new("bus", at.row(span), table);
    let name = section.text(at, "name");
    let name = unique(at, "bus.name", section.value_row, name, &mut seen.names);
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
            let path =
                path.and_then(|path| port_of_its_own(at, &section, seen, path.clone(), path));
            path.map(|path| BusKind::Serial { path, echo, direction })
        }
        Some(_) => {
            let host = section.text(at, "host");
            let port = section.whole(at, "port", (1, 65_535), None);
            let port = port.and_then(|port| u16::try_from(port).ok());
            host.zip(port).and_then(|(host, port)| {
                let port_name = address(&host, port);
                let host = port_of_its_own(at, &section, seen, port_name, host)?;
                Some(BusKind::RtuTcp { host, port })
            })
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

/// The same, unless another line begins there.
fn port_of_its_own(
    at: &mut Text<'_>,
    section: &Section<'_, '_>,
    seen: &mut Seen,
    port: String,
    named: String,
) -> Option<String> {
    let row = section.value_row;
    let Some(first) = seen.ports.get(&port) else {
        seen.ports.insert(port, row);
        return Some(named);
    };
    let problem = Problem::Said(
        format!(
            "第 {first} 行的总线已用此端口；一个端口只能是一条总线，请并为一条，设备写同一个 bus"
        ),
        format!(
            "the line of row {first} has this port; a port is one line: make them one and name it \
             in `bus` of all its devices"
        ),
    );
    at.fault(row, "bus", Some(port), problem);
    None
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
