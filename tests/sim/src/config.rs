//! The configuration file: which devices there are and how fast the plant's time runs.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;

use serde::Deserialize;
use thiserror::Error;

/// Registers of one counting device: the design load of one gateway.
const WIDE_MAX: u32 = 30_000;
/// Unit numbers of Modbus.
const UNIT_MAX: u8 = 247;
/// Devices of one plant.
const DEVICES_MAX: usize = 256;

/// The whole file. Unknown keys are faults.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlantConfig {
    /// Process seconds in a second.
    #[serde(default = "real_time")]
    pub speed: f64,
    /// How often readings change, wall milliseconds.
    #[serde(default = "a_tenth")]
    pub tick_ms: u64,
    /// Same seed, same day.
    #[serde(default)]
    pub seed: u64,
    /// The devices.
    #[serde(rename = "device")]
    pub devices: Vec<DeviceConfig>,
}

/// One device: one TCP listener.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceConfig {
    /// As the site file calls it.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Where it listens.
    #[serde(default = "loopback")]
    pub host: IpAddr,
    /// 0 = a free port, reported in [`crate::Plant::endpoints`].
    #[serde(default)]
    pub port: u16,
    /// Its unit number; a wide device has units 1 to `units` instead.
    #[serde(default = "one")]
    pub unit: u8,
    /// Wide only: how many holding registers.
    #[serde(default)]
    pub registers: u32,
    /// Wide only: over how many units they are spread.
    #[serde(default = "one")]
    pub units: u8,
    /// Wide only: how often all of them count up by one, wall milliseconds.
    #[serde(default = "a_second")]
    pub count_ms: u64,
    /// What registers between the readings do.
    #[serde(default)]
    pub holes: Holes,
}

/// What a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Four tanks: levels, temperatures, pumps, overfill switches.
    Tank,
    /// Four combustible gas heads and one for hydrogen sulphide.
    Gas,
    /// Piezometer and rain gauge.
    Dam,
    /// Counting registers, for benches.
    Wide,
}

/// What a device answers for registers between its readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Holes {
    /// Zeros, as most controllers do.
    #[default]
    Zero,
    /// Exception 2, as the strict ones do.
    Refuse,
}

/// What is wrong with the file, with the mend.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{place}: {fault}; {mend}")]
pub struct ConfigFault {
    /// Key, device or file.
    pub place: String,
    /// What is wrong.
    pub fault: String,
    /// What to do.
    pub mend: &'static str,
}

impl PlantConfig {
    /// The plant of the demo site on free ports.
    #[must_use]
    pub fn demo() -> Self {
        let device =
            |name: &str, kind| DeviceConfig { name: name.to_owned(), ..DeviceConfig::new(kind) };
        Self {
            speed: real_time(),
            tick_ms: a_tenth(),
            seed: 0,
            devices: vec![
                device("plc-tank", Kind::Tank),
                device("gas", Kind::Gas),
                device("dam", Kind::Dam),
            ],
        }
    }

    /// One device of `registers` counting registers over `units` units, on a free port.
    #[must_use]
    pub fn wide(registers: u32, units: u8) -> Self {
        let device = DeviceConfig { registers, units, ..DeviceConfig::new(Kind::Wide) };
        Self { devices: vec![device], ..Self::demo() }
    }

    /// Reads and checks a file.
    ///
    /// # Errors
    /// Every fault of the file.
    pub fn load(path: &Path) -> Result<Self, Vec<ConfigFault>> {
        let place = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| {
            vec![ConfigFault {
                place: place.clone(),
                fault: error.to_string(),
                mend: "name a file that can be read",
            }]
        })?;
        let config: Self = toml::from_str(&text).map_err(|error| {
            vec![ConfigFault {
                place,
                fault: error.to_string(),
                mend: "compare with configs/demo/plant.toml",
            }]
        })?;
        config.check()?;
        Ok(config)
    }

    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// Every fault.
    pub fn check(&self) -> Result<(), Vec<ConfigFault>> {
        let mut faults = Vec::new();
        let mut note = |place: &str, fault: String, mend| {
            faults.push(ConfigFault { place: place.to_owned(), fault, mend });
        };
        if !(0.0 < self.speed && self.speed <= 1e5) {
            note("speed", format!("is {}", self.speed), "write a number above 0, at most 100000");
        }
        if !(1..=60_000).contains(&self.tick_ms) {
            note("tick_ms", format!("is {}", self.tick_ms), "write 1 to 60000");
        }
        if self.devices.is_empty() || DEVICES_MAX < self.devices.len() {
            note(
                "device",
                format!("{} are there", self.devices.len()),
                "write 1 to 256 [[device]]",
            );
        }
        let mut names = BTreeSet::new();
        for device in &self.devices {
            if !names.insert(device.name.as_str()) {
                note(&device.name, "is there twice".to_owned(), "give each device its own name");
            }
            for (fault, mend) in device.faults() {
                note(&device.name, fault, mend);
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }
}

impl DeviceConfig {
    /// A device of this kind, named after it, on a free port.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        let name = match kind {
            Kind::Tank => "tank",
            Kind::Gas => "gas",
            Kind::Dam => "dam",
            Kind::Wide => "wide",
        };
        Self {
            name: name.to_owned(),
            kind,
            host: loopback(),
            port: 0,
            unit: one(),
            registers: if kind == Kind::Wide { 1_000 } else { 0 },
            units: one(),
            count_ms: a_second(),
            holes: Holes::Zero,
        }
    }

    fn faults(&self) -> Vec<(String, &'static str)> {
        let mut faults = Vec::new();
        if !(1..=UNIT_MAX).contains(&self.unit) {
            faults.push((format!("unit is {}", self.unit), "write 1 to 247"));
        }
        let wide = self.kind == Kind::Wide;
        if wide && !(1..=WIDE_MAX).contains(&self.registers) {
            faults.push((format!("registers is {}", self.registers), "write 1 to 30000"));
        }
        if wide && !(1..=UNIT_MAX).contains(&self.units) {
            faults.push((format!("units is {}", self.units), "write 1 to 247"));
        }
        if wide && !(1..=3_600_000).contains(&self.count_ms) {
            faults.push((format!("count_ms is {}", self.count_ms), "write 1 to 3600000"));
        }
        if !wide && (self.registers != 0 || self.units != 1) {
            faults.push((
                "registers and units are for kind = \"wide\"".to_owned(),
                "remove them or change the kind",
            ));
        }
        faults
    }
}

fn real_time() -> f64 {
    1.0
}

fn a_tenth() -> u64 {
    100
}

fn a_second() -> u64 {
    1_000
}

fn one() -> u8 {
    1
}

fn loopback() -> IpAddr {
    IpAddr::from([127, 0, 0, 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_file_loads_and_has_the_devices_of_the_demo_site() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/demo/plant.toml");
        let config = PlantConfig::load(&path).expect("the demo file is right");
        let names: Vec<&str> = config.devices.iter().map(|device| device.name.as_str()).collect();
        assert_eq!(names, ["plc-tank", "gas", "dam"]);
    }

    #[test]
    fn every_fault_is_listed_not_the_first() {
        let text = "speed = 0\ntick_ms = 0\n[[device]]\nname='a'\nkind='gas'\nunit=0\n\
                    [[device]]\nname='a'\nkind='wide'\nregisters=30001";
        let config: PlantConfig = toml::from_str(text).expect("well-formed");
        let faults = config.check().expect_err("five faults");
        assert_eq!(faults.len(), 5, "{faults:?}");
    }

    #[test]
    fn an_unknown_key_is_a_fault() {
        assert!(toml::from_str::<PlantConfig>("sped = 1\ndevice = []").is_err());
    }
}
