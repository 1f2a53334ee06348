//! One enterprise's devices and points, as the site file and the point sheet say.
//!
//! - A site loads whole or lists every fault: file, row, column, value and the mend.
//! - Unknown keys and columns are faults: a misspelt limit must not be a silent default.
//! - The limits sheet is named here and read elsewhere.

mod bus;
mod fault;
mod lines;
mod nearest;
mod profiled;
mod report;
mod rules;
mod section;
mod sentinel;
mod sheet;
mod shutoff;
mod slips;
mod system;

use std::ops::Deref;
use std::sync::Arc;

use fengsui_telemetry::{Catalogue, GatewayId, Tag};

pub use bus::{BusKind, BusSpec, Direction};
pub(crate) use fault::add as add_fault;
pub use fault::{Kind, Problem, SiteFault};
pub(crate) use rules::{TIME_WORDS, time_span};
pub use section::{Section, Text};
pub(crate) use sentinel::sentinels;
pub use shutoff::Valve;
pub use slips::is_hidden;
pub use system::LATE_S;

use crate::condition::Rules;
use crate::decode::{Raw, Scaling};
use crate::profile::Profile;
use crate::register::{Encoding, Function, WordOrder};

/// How a device is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// Modbus TCP; devices at one address share a connection.
    ModbusTcp {
        /// Name or address.
        host: String,
        /// TCP port.
        port: u16,
    },
    /// Modbus RTU, on a line that it shares.
    Rtu {
        /// Index of the line in [`Site::buses`].
        bus: usize,
    },
}

/// How fast an alarm must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Required {
    /// From the change to the local alarm, its on-delay included.
    pub ms: u32,
    /// Row of the site file, for messages.
    pub row: usize,
}

/// The longest pause before a question, ms: a device that needs more cannot be read in time.
pub const PAUSE_MS_MAX: u32 = 5_000;

/// One device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Unique in the site.
    pub name: String,
    /// How it is reached.
    pub link: Link,
    /// Modbus unit.
    pub unit: u8,
    /// Patience with one reply.
    pub timeout_ms: u32,
    /// How long its line or connection is left alone before it is asked: after the exchange before,
    /// and after the opening.
    pub pause_ms: u32,
    /// Registers in one request, at most.
    pub max_registers: u16,
    /// Unused registers that may be read to merge two points.
    pub gap_registers: u16,
    /// One point a request.
    pub read_singly: bool,
    /// Where the device keeps the time of its values: two registers, seconds since 1970, ABCD.
    /// All its points are then read together with it, in one request.
    pub time_register: Option<u16>,
    /// How far behind its time may be and be believed, s: 60 unless a logger tells late.
    pub time_late_s: u32,
    /// How fast each of its alarms must be; none: no requirement.
    pub response: Option<Required>,
    /// Its profile says that writing to it is dangerous.
    pub never_write: bool,
}

impl Device {
    /// What each of its questions costs its line beside the exchange, µs.
    #[must_use]
    pub fn pause_us(&self) -> u64 {
        u64::from(self.pause_ms) * 1_000
    }
}

/// Where a point's value stands and how it is read. A gateway has some 30,000 of these: what is the
/// same for many is shared.
#[derive(Clone, Debug, PartialEq)]
pub struct Mapping {
    /// Index of the point in the catalogue.
    pub point: u32,
    /// Which table.
    pub function: Function,
    /// First address.
    pub address: u16,
    /// Index of the device in [`Site::devices`].
    pub device: usize,
    /// Row of the point sheet, for messages.
    pub row: usize,
    /// How it is read; its fields are the mapping's own.
    pub form: Arc<Form>,
}

impl Deref for Mapping {
    type Target = Form;

    fn deref(&self) -> &Form {
        &self.form
    }
}

/// How a value is read.
#[derive(Clone, Debug, PartialEq)]
pub struct Form {
    /// How it is encoded.
    pub encoding: Encoding,
    /// In which order its bytes stand.
    pub order: WordOrder,
    /// Raw to unit.
    pub scaling: Arc<Scaling>,
    /// Raw values by which the instrument says that it has none.
    pub sentinels: Arc<[Raw]>,
    /// Lower end of the range.
    pub low: f64,
    /// Upper end of the range.
    pub high: f64,
    /// Scan period.
    pub period_ms: u32,
    /// What else is known of it; none for most points.
    pub rules: Option<Box<Rules>>,
}

impl Mapping {
    /// One past its last address.
    #[must_use]
    pub fn end(&self) -> u32 {
        u32::from(self.address) + u32::from(self.encoding.words())
    }
}

/// The profile of a device.
#[derive(Clone, Debug, PartialEq)]
pub struct UsedProfile {
    /// What the manual says.
    pub profile: Arc<Profile>,
    /// Line of the device in the site file, for messages.
    pub row: usize,
}

/// One site, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Site {
    /// The gateway that reads it.
    pub gateway: GatewayId,
    /// Who and what there is.
    pub catalogue: Catalogue,
    /// The lines that devices share.
    pub buses: Vec<BusSpec>,
    /// The devices.
    pub devices: Vec<Device>,
    /// One a point of the sheet, in the order of the catalogue.
    pub mappings: Vec<Mapping>,
    /// Shut-off valves that are watched; their points come last in the catalogue.
    pub valves: Vec<Valve>,
    /// The profile of each device that names one, by the index of the device.
    pub profiles: Vec<Option<UsedProfile>>,
    /// The site file, as messages name it.
    pub file: String,
    /// The point sheet, as the site file names it.
    pub points_file: String,
    /// The limits sheet, as the site file names it.
    pub limits_file: String,
}

impl Site {
    /// Checks a site file and the point sheet that it names. `read` gives the text of a file by
    /// the name that the site file uses, or says why it cannot.
    ///
    /// # Errors
    /// Every fault of both files.
    pub fn load(
        file: &str,
        text: &str,
        read: &mut dyn FnMut(&str) -> Result<String, String>,
    ) -> Result<Self, Vec<SiteFault>> {
        let mut faults = Vec::new();
        let mut system = system::parse(file, text, &mut faults);
        let profiles = profiled::profiles(file, &mut system.devices, read, &mut faults);
        let rows = match (&system.points_file, faults.as_slice()) {
            (Some(name), _) => match read(name) {
                Ok(text) => sheet::parse(name, &text, (&system, &profiles), read, &mut faults),
                Err(why) => {
                    faults.push(SiteFault::of_file(name, Problem::Unreadable(why)));
                    Vec::new()
                }
            },
            (None, _) => Vec::new(),
        };
        let points_file = system.points_file.clone().unwrap_or_default();
        rules::check(file, &points_file, &system.devices, &rows, &mut faults);
        let (mut points, mappings): (Vec<_>, Vec<_>) =
            rows.into_iter().map(|row| (row.point, row.mapping)).unzip();
        let valves = shutoff::parse(file, text, &system, &mut points, &mut faults);
        report::never_of_valves(&valves, &mut points);
        let Some(gateway) = system.gateway.filter(|_| faults.is_empty()) else {
            faults.sort_by(|a, b| (&a.file, a.row).cmp(&(&b.file, b.row)));
            return Err(faults);
        };
        let catalogue = Catalogue {
            enterprise: system.enterprise,
            installations: system.installations,
            points,
        };
        let left = catalogue.faults();
        assert!(left.is_empty(), "the sheet let pass what the catalogue refuses: {left:?}");
        let used =
            system.devices.iter().zip(profiles).map(|(found, chosen)| {
                Some(UsedProfile { profile: chosen?.profile, row: found.row })
            });
        let used = used.collect();
        Ok(Self {
            gateway,
            catalogue,
            buses: system.buses,
            devices: system.devices.into_iter().map(|found| found.device).collect(),
            mappings,
            valves,
            profiles: used,
            file: file.to_owned(),
            points_file,
            limits_file: system.limits_file.unwrap_or_default(),
        })
    }

    /// Gives a device another address: ports of a demonstration or a test. False where there is no
    /// such device.
    pub fn set_endpoint(&mut self, device: &str, host: &str, port: u16) -> bool {
        let Some(found) = self.devices.iter_mut().find(|d| d.name == device) else {
            return false;
        };
        found.link = Link::ModbusTcp { host: host.to_owned(), port };
        true
    }

    /// The devices that share a line.
    #[must_use]
    pub fn devices_on(&self, bus: usize) -> Vec<usize> {
        let on = |(_, device): &(usize, &Device)| device.link == Link::Rtu { bus };
        self.devices.iter().enumerate().filter(on).map(|(index, _)| index).collect()
    }

    /// The devices over Modbus TCP, those at one address together: units behind one converter
    /// share its connection.
    #[must_use]
    pub fn endpoints(&self) -> Vec<Vec<usize>> {
        let mut found: Vec<(String, u16, Vec<usize>)> = Vec::new();
        for (index, device) in self.devices.iter().enumerate() {
            let Link::ModbusTcp { host, port } = &device.link else { continue };
            let host = host.to_ascii_lowercase();
            match found.iter_mut().find(|(at, on, _)| *at == host && on == port) {
                Some((_, _, devices)) => devices.push(index),
                None => found.push((host, *port, vec![index])),
            }
        }
        found.into_iter().map(|(_, _, devices)| devices).collect()
    }

    /// The mappings of one device, in the order of the catalogue.
    #[must_use]
    pub fn mappings_of(&self, device: usize) -> Vec<Mapping> {
        self.mappings.iter().filter(|m| m.device == device).cloned().collect()
    }

    /// The index of a tag.
    #[must_use]
    pub fn point(&self, tag: &Tag) -> Option<u32> {
        let index = self.catalogue.points.iter().position(|p| &p.tag == tag)?;
        u32::try_from(index).ok()
    }
}

#[cfg(test)]
mod tests;
