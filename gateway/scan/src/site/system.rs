//! The site file: TOML. Every fault is found, with its line.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use fengsui_telemetry::{GatewayId, INSTALLATIONS_MAX, Installation};
use toml::de::DeTable;

use super::bus::{self, BusSpec};
use super::section::{Section, Text};
use super::{Device, Kind, Link, PAUSE_MS_MAX, Problem, Required, SiteFault};

/// Devices of one gateway. A serial-line concentrator serves some hundred; beyond this somebody
/// has generated a file by mistake.
const DEVICES_MAX: usize = 1_000;
/// Lines of one gateway: more than USB adapters on one board.
const BUSES_MAX: usize = 64;
const TIMEOUT_MS: i64 = 500;
/// A device that dates its readings has measured them within a minute, unless the site says more.
pub const LATE_S: u32 = 60;
/// Twenty years: what a logger may tell late, and a recording that is played again.
const LATE_S_MAX: i64 = 631_152_000;
const REGISTERS_MAX: i64 = 125;

/// What stands in a site file; absent where it was faulty.
#[derive(Debug, Default)]
pub(super) struct System {
    pub(super) enterprise: String,
    pub(super) gateway: Option<GatewayId>,
    pub(super) points_file: Option<String>,
    pub(super) limits_file: Option<String>,
    pub(super) installations: Vec<Installation>,
    pub(super) buses: Vec<BusSpec>,
    pub(super) devices: Vec<Found>,
    /// Installations and devices that are there and faulty: their rows need no fault of their own.
    pub(super) faulty: BTreeSet<String>,
}

/// A device and where it was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) device: Device,
    pub(super) row: usize,
    /// The profile that it names.
    pub(super) profile: Option<String>,
    /// The address from which those of the profile are counted.
    pub(super) profile_base: Option<u16>,
}

pub(super) fn parse(file: &str, text: &str, faults: &mut Vec<SiteFault>) -> System {
    let (document, mut at) = Text::open(file, text, faults);
    let mut system = System::default();
    let root = document.get_ref();
    for (key, value) in root {
        let name: &str = key.get_ref();
        if !["site", "installation", "bus", "device", "shutoff"].contains(&name) {
            let row = at.row(&key.span());
            let known = "[site], [[installation]], [[bus]], [[device]], [[shutoff]]".to_owned();
            at.fault(row, name, None, Problem::UnknownKey(known));
        } else if name == "site" && value.get_ref().as_table().is_none() {
            at.fault(at.row(&value.span()), "site", None, Problem::NotA(Kind::Table));
        }
    }
    match root.get("site").and_then(|value| Some((value.span(), value.get_ref().as_table()?))) {
        Some((span, table)) => site(&mut at, &span, table, &mut system),
        None => at.fault(1, "site", None, Problem::MissingKey),
    }
    let mut seen = BTreeMap::new();
    for (span, table) in tables(&mut at, root, "installation") {
        if let Some(found) = installation(&mut at, &span, table, &mut seen) {
            system.installations.push(found);
        }
    }
    let known: BTreeSet<_> = system.installations.iter().map(|found| found.name.clone()).collect();
    system.faulty.extend(seen.into_keys().filter(|name| !known.contains(name)));
    let mut lines = bus::Seen::default();
    if root.contains_key("bus") {
        for (span, table) in tables(&mut at, root, "bus") {
            system.buses.extend(bus::bus(&mut at, &span, table, &mut lines));
        }
    }
    let mut seen = BTreeMap::new();
    for (span, table) in tables(&mut at, root, "device") {
        if let Some(found) = device(&mut at, &span, table, (&system.buses, &lines), &mut seen) {
            system.devices.push(found);
        }
    }
    let known: BTreeSet<_> = system.devices.iter().map(|d| d.device.name.clone()).collect();
    system.faulty.extend(seen.into_keys().filter(|name| !known.contains(name)));
    for (count, max, name) in [
        (system.installations.len(), INSTALLATIONS_MAX, "installation"),
        (system.devices.len(), DEVICES_MAX, "device"),
        (system.buses.len(), BUSES_MAX, "bus"),
    ] {
        if count > max {
            at.fault(1, name, None, Problem::TooMany(count, max));
        }
    }
    system
}

fn tables<'t, 'i>(
    at: &mut Text<'_>,
    root: &'t DeTable<'i>,
    name: &'static str,
) -> Vec<(Range<usize>, &'t DeTable<'i>)> {
    if !root.contains_key(name) {
        at.fault(1, name, None, Problem::MissingKey);
    }
    at.tables(root, name)
}

fn site(at: &mut Text<'_>, span: &Range<usize>, table: &DeTable<'_>, system: &mut System) {
    let row = at.row(span);
    let mut section = Section::new("site", row, table);
    system.enterprise = section.text(at, "enterprise").unwrap_or_default();
    if let Some(name) = section.text(at, "gateway") {
        match GatewayId::parse(&name) {
            Ok(id) => system.gateway = Some(id),
            Err(fault) => {
                let problem = Problem::BadName(fault.to_string());
                at.fault(section.value_row, "site.gateway", Some(name), problem);
            }
        }
    }
    system.points_file = section.text(at, "points");
    system.limits_file = section.text(at, "limits");
    section.finish(at);
}

/// A name that must be unique: its first row is remembered.
pub(super) fn unique(
    at: &mut Text<'_>,
    column: &str,
    row: usize,
    name: Option<String>,
    seen: &mut BTreeMap<String, usize>,
) -> Option<String> {
    let name = name?;
    if let Some(first) = seen.get(&name) {
        let first = *first;
        at.fault(row, column, Some(name), Problem::Duplicate(first));
        return None;
    }
    seen.insert(name.clone(), row);
    Some(name)
}

fn installation(
    at: &mut Text<'_>,
    span: &Range<usize>,
    table: &DeTable<'_>,
    seen: &mut BTreeMap<String, usize>,
) -> Option<Installation> {
    let row = at.row(span);
    let mut section = Section::new("installation", row, table);
    let name = section.text(at, "name");
    let name = unique(at, "installation.name", section.value_row, name, seen);
    let kind = section.text(at, "kind");
    let class = section.whole(at, "hazard_class", (0, 5), Some(0));
    section.finish(at);
    Some(Installation { name: name?, hazard_class: u8::try_from(class?).ok()?, kind: kind? })
}

fn device(
    at: &mut Text<'_>,
    span: &Range<usize>,
    table: &DeTable<'_>,
    lines: (&[BusSpec], &bus::Seen),
    seen: &mut BTreeMap<String, usize>,
) -> Option<Found> {
    let row = at.row(span);
    let mut section = Section::new("device", row, table);
    let name = section.text(at, "name");
    let name = unique(at, "device.name", section.value_row, name, seen);
    let link = link(at, &mut section, lines);
    let on_line = matches!(link, Some(Link::Rtu { .. }));
    // On a line 0 speaks to everybody and 248 to 255 are reserved.
    let units = if on_line { (1, 247) } else { (0, 255) };
    let unit = section.whole(at, "unit", units, Some(1));
    let timeout_ms = section.whole(at, "timeout_ms", (20, 60_000), Some(TIMEOUT_MS));
    let pause_ms = section.whole(at, "pause_ms", (0, PAUSE_MS_MAX.into()), Some(0));
    let max_registers = section.whole(at, "max_registers", (1, REGISTERS_MAX), Some(REGISTERS_MAX));
    let gap_registers = section.whole(at, "gap_registers", (0, REGISTERS_MAX), Some(0));
    let read_singly = section.flag(at, "read_singly");
    let register =
        |s: &mut Section<'_, '_>, at: &mut Text<'_>, key| s.whole(at, key, (0, 65_534), None);
    let time_register = section.optional(at, "time_register", register);
    let late =
        |s: &mut Section<'_, '_>, at: &mut Text<'_>, key| s.whole(at, key, (1, LATE_S_MAX), None);
    let time_late_s = section.optional(at, "time_late_s", late);
    if let (Some(None), Some(Some(late))) = (time_register, time_late_s) {
        let column = "device.time_late_s";
        let problem = Problem::Said(
            "需要与 time_register 同时填写".to_owned(),
            "needs time_register beside it; add it, or remove this".to_owned(),
        );
        at.fault(section.value_row, column, Some(late.to_string()), problem);
    }
    let profile = section.optional(at, "profile", Section::text);
    let base =
        |s: &mut Section<'_, '_>, at: &mut Text<'_>, key| s.whole(at, key, (0, 65_535), None);
    let profile_base = section.optional(at, "profile_base", base);
    let response = required(at, &mut section);
    section.finish(at);
    // Only now: a fault of one key hides none of another.
    let (time_register, profile, profile_base) = (time_register?, profile?, profile_base?);
    let time_late_s = time_late_s?.and_then(|seconds| u32::try_from(seconds).ok());
    let profile_base = profile_base.and_then(|address| u16::try_from(address).ok());
    let device = Device {
        name: name?,
        link: link?,
        unit: u8::try_from(unit?).ok()?,
        timeout_ms: u32::try_from(timeout_ms?).ok()?,
        pause_ms: u32::try_from(pause_ms?).ok()?,
        max_registers: u16::try_from(max_registers?).ok()?,
        gap_registers: u16::try_from(gap_registers?).ok()?,
        read_singly,
        time_register: time_register.and_then(|address| u16::try_from(address).ok()),
        time_late_s: time_late_s.unwrap_or(LATE_S),
        response,
        never_write: false,
    };
    Some(Found { device, row, profile, profile_base })
}

fn link(
    at: &mut Text<'_>,
    section: &mut Section<'_, '_>,
    (buses, lines): (&[BusSpec], &bus::Seen),
) -> Option<Link> {
    match section.word(at, "kind", None, &["modbus-tcp", "modbus-rtu"]) {
        Some("modbus-rtu") => {
            let name = section.text(at, "bus")?;
            let bus = bus::named(at, section.value_row, &name, buses)?;
            Some(Link::Rtu { bus })
        }
        Some(_) => {
            let host = section.text(at, "host");
            let port = section.whole(at, "port", (1, 65_535), Some(502));
            let (host, port) = (host?, u16::try_from(port?).ok()?);
            if let Some(line) = lines.at_address(&host, port) {
                let problem = Problem::Said(
                    format!(
                        "第 {line} 行的总线已用此地址（RTU 报文）；请改地址，或写 kind = \"modbus-rtu\" 和 bus"
                    ),
                    format!(
                        "the line of row {line} begins there and speaks RTU; mend the address, or \
                         write kind = \"modbus-rtu\" and bus"
                    ),
                );
                return section.refuse(at, "host", Some(format!("{host}:{port}")), problem);
            }
            Some(Link::ModbusTcp { host, port })
        }
        None => {
            section.allow(&["host", "port", "bus"]);
            if section.has("host") {
                section.text(at, "host");
                section.whole(at, "port", (1, 65_535), Some(502));
            }
            None
        }
    }
}

/// In how many seconds every alarm of the device must sound after a change.
fn required(at: &mut Text<'_>, section: &mut Section<'_, '_>) -> Option<Required> {
    let bounded =
        |s: &mut Section<'_, '_>, at: &mut Text<'_>, key| s.whole(at, key, (1, 3_600), None);
    let seconds = section.optional(at, "response_s", bounded)??;
    let ms = u32::try_from(seconds * 1_000).ok()?;
    Some(Required { ms, row: section.value_row })
}
