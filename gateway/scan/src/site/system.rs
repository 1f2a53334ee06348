//! The site file: TOML. Every fault is found, with its line.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use fengsui_telemetry::{GatewayId, INSTALLATIONS_MAX, Installation};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::bus::{self, BusSpec};
use super::{Device, Kind, Link, Problem, Required, SiteFault};

/// Devices of one gateway. A serial-line concentrator serves some hundred; beyond this somebody
/// has generated a file by mistake.
const DEVICES_MAX: usize = 1_000;
/// Lines of one gateway: more than USB adapters on one board.
const BUSES_MAX: usize = 64;
const TIMEOUT_MS: i64 = 500;
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

pub(super) struct Text<'a> {
    pub(super) file: &'a str,
    pub(super) text: &'a str,
    pub(super) faults: &'a mut Vec<SiteFault>,
}

impl Text<'_> {
    pub(super) fn row(&self, span: &Range<usize>) -> usize {
        let upto = self.text.get(..span.start).unwrap_or_default();
        upto.bytes().filter(|byte| *byte == b'\n').count() + 1
    }

    pub(super) fn fault(
        &mut self,
        row: usize,
        column: &str,
        value: Option<String>,
        problem: Problem,
    ) {
        let (file, column) = (self.file.to_owned(), Some(column.to_owned()));
        self.faults.push(SiteFault { file, row: Some(row), column, value, problem });
    }
}

/// One table of the file; keys are taken out, and what is left over was unknown.
pub(super) struct Section<'t, 'i> {
    name: &'static str,
    row: usize,
    /// Row of the value that was taken last.
    pub(super) value_row: usize,
    table: &'t DeTable<'i>,
    known: Vec<&'static str>,
}

impl<'t, 'i> Section<'t, 'i> {
    pub(super) fn new(name: &'static str, row: usize, table: &'t DeTable<'i>) -> Self {
        Self { name, row, value_row: row, table, known: Vec::new() }
    }

    /// These keys may stand here as well.
    pub(super) fn allow(&mut self, keys: &[&'static str]) {
        self.known.extend(keys);
    }

    /// One of a few words.
    pub(super) fn word(
        &mut self,
        at: &mut Text<'_>,
        key: &'static str,
        default: Option<&'static str>,
        words: &[&'static str],
    ) -> Option<&'static str> {
        if default.is_some() && self.table.get(key).is_none() {
            self.known.push(key);
            return default;
        }
        let text = self.text(at, key)?;
        let found = words.iter().find(|word| **word == text).copied();
        if found.is_none() {
            let column = self.column(key);
            at.fault(self.value_row, &column, Some(text), Problem::NotOneOf(words.join(", ")));
        }
        found
    }

    pub(super) fn get(&mut self, key: &'static str) -> Option<&'t Spanned<DeValue<'i>>> {
        self.known.push(key);
        self.table.get(key)
    }

    fn column(&self, key: &str) -> String {
        format!("{}.{key}", self.name)
    }

    pub(super) fn text(&mut self, at: &mut Text<'_>, key: &'static str) -> Option<String> {
        let column = self.column(key);
        let row = self.row;
        let Some(value) = self.get(key) else {
            at.fault(row, &column, None, Problem::MissingKey);
            return None;
        };
        let row = at.row(&value.span());
        self.value_row = row;
        match value.get_ref().as_str() {
            Some(text) if text.trim().is_empty() => {
                at.fault(row, &column, None, Problem::Empty);
                None
            }
            Some(text) => Some(text.trim().to_owned()),
            None => {
                let shown = at.text.get(value.span()).map(str::to_owned);
                at.fault(row, &column, shown, Problem::NotA(Kind::Text));
                None
            }
        }
    }

    pub(super) fn whole(
        &mut self,
        at: &mut Text<'_>,
        key: &'static str,
        bounds: (i64, i64),
        default: Option<i64>,
    ) -> Option<i64> {
        let column = self.column(key);
        let row = self.row;
        let Some(value) = self.get(key) else {
            if default.is_none() {
                at.fault(row, &column, None, Problem::MissingKey);
            }
            return default;
        };
        let row = at.row(&value.span());
        self.value_row = row;
        let shown = at.text.get(value.span()).map(str::to_owned);
        let number = value
            .get_ref()
            .as_integer()
            .and_then(|n| i64::from_str_radix(n.as_str(), n.radix()).ok());
        match number {
            Some(number) if (bounds.0..=bounds.1).contains(&number) => Some(number),
            Some(_) => {
                let problem = Problem::OutOfBounds(bounds.0.to_string(), bounds.1.to_string());
                at.fault(row, &column, shown, problem);
                None
            }
            None => {
                at.fault(row, &column, shown, Problem::NotA(Kind::Whole));
                None
            }
        }
    }

    pub(super) fn flag(&mut self, at: &mut Text<'_>, key: &'static str) -> bool {
        let column = self.column(key);
        let Some(value) = self.get(key) else { return false };
        let (row, shown) = (at.row(&value.span()), at.text.get(value.span()).map(str::to_owned));
        value.get_ref().as_bool().unwrap_or_else(|| {
            at.fault(row, &column, shown, Problem::NotA(Kind::Flag));
            false
        })
    }

    /// A key that may be missing; the outer none is a fault that was reported.
    fn optional<T>(
        &mut self,
        at: &mut Text<'_>,
        key: &'static str,
        read: impl Fn(&mut Self, &mut Text<'_>, &'static str) -> Option<T>,
    ) -> Option<Option<T>> {
        if self.table.get(key).is_some() {
            return read(self, at, key).map(Some);
        }
        self.known.push(key);
        Some(None)
    }

    pub(super) fn finish(self, at: &mut Text<'_>) {
        for (key, _) in self.table {
            let name: &str = key.get_ref();
            if !self.known.contains(&name) {
                let row = at.row(&key.span());
                let column = format!("{}.{name}", self.name);
                at.fault(row, &column, None, Problem::UnknownKey(self.known.join(", ")));
            }
        }
    }
}

pub(super) fn parse(file: &str, text: &str, faults: &mut Vec<SiteFault>) -> System {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut at = Text { file, text, faults };
    for error in errors {
        let row = error.span().map(|span| at.row(&span));
        let problem = Problem::Syntax(error.message().to_owned());
        at.faults.push(SiteFault {
            file: file.to_owned(),
            row,
            column: None,
            value: None,
            problem,
        });
    }
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
    let mut seen = BTreeMap::new();
    if root.contains_key("bus") {
        for (span, table) in tables(&mut at, root, "bus") {
            system.buses.extend(bus::bus(&mut at, &span, table, &mut seen));
        }
    }
    let mut seen = BTreeMap::new();
    for (span, table) in tables(&mut at, root, "device") {
        if let Some(found) = device(&mut at, &span, table, &system.buses, &mut seen) {
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
    let Some(value) = root.get(name) else {
        at.fault(1, name, None, Problem::MissingKey);
        return Vec::new();
    };
    let mut found = Vec::new();
    for item in value.get_ref().as_array().into_iter().flatten() {
        if let Some(table) = item.get_ref().as_table() {
            found.push((item.span(), table));
        }
    }
    if found.is_empty() {
        at.fault(at.row(&value.span()), name, None, Problem::NotA(Kind::Tables));
    }
    found
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
    buses: &[BusSpec],
    seen: &mut BTreeMap<String, usize>,
) -> Option<Found> {
    let row = at.row(span);
    let mut section = Section::new("device", row, table);
    let name = section.text(at, "name");
    let name = unique(at, "device.name", section.value_row, name, seen);
    let link = link(at, &mut section, buses);
    let on_line = matches!(link, Some(Link::Rtu { .. }));
    // On a line 0 speaks to everybody and 248 to 255 are reserved.
    let units = if on_line { (1, 247) } else { (0, 255) };
    let unit = section.whole(at, "unit", units, Some(1));
    let timeout_ms = section.whole(at, "timeout_ms", (20, 60_000), Some(TIMEOUT_MS));
    let max_registers = section.whole(at, "max_registers", (1, REGISTERS_MAX), Some(REGISTERS_MAX));
    let gap_registers = section.whole(at, "gap_registers", (0, REGISTERS_MAX), Some(0));
    let read_singly = section.flag(at, "read_singly");
    let time_register = match section.table.get("time_register") {
        Some(_) => Some(section.whole(at, "time_register", (0, 65_534), None)?),
        None => {
            section.known.push("time_register");
            None
        }
    };
    let profile = section.optional(at, "profile", Section::text)?;
    let base =
        |s: &mut Section<'_, '_>, at: &mut Text<'_>, key| s.whole(at, key, (0, 65_535), None);
    let profile_base = section.optional(at, "profile_base", base)?;
    let response = required(at, &mut section);
    section.finish(at);
    let profile_base = profile_base.and_then(|address| u16::try_from(address).ok());
    let device = Device {
        name: name?,
        link: link?,
        unit: u8::try_from(unit?).ok()?,
        timeout_ms: u32::try_from(timeout_ms?).ok()?,
        max_registers: u16::try_from(max_registers?).ok()?,
        gap_registers: u16::try_from(gap_registers?).ok()?,
        read_singly,
        time_register: time_register.and_then(|address| u16::try_from(address).ok()),
        response,
        never_write: false,
    };
    Some(Found { device, row, profile, profile_base })
}

fn link(at: &mut Text<'_>, section: &mut Section<'_, '_>, buses: &[BusSpec]) -> Option<Link> {
    match section.word(at, "kind", None, &["modbus-tcp", "modbus-rtu"]) {
        Some("modbus-rtu") => {
            let name = section.text(at, "bus")?;
            let bus = bus::named(at, section.value_row, &name, buses)?;
            Some(Link::Rtu { bus })
        }
        Some(_) => {
            let host = section.text(at, "host");
            let port = section.whole(at, "port", (1, 65_535), Some(502));
            Some(Link::ModbusTcp { host: host?, port: u16::try_from(port?).ok()? })
        }
        None => {
            section.allow(&["host", "port", "bus"]);
            if section.table.get("host").is_some() {
                section.text(at, "host");
                section.whole(at, "port", (1, 65_535), Some(502));
            }
            None
        }
    }
}

/// In how many seconds every alarm of the device must sound after a change.
fn required(at: &mut Text<'_>, section: &mut Section<'_, '_>) -> Option<Required> {
    if section.table.get("response_s").is_none() {
        section.known.push("response_s");
        return None;
    }
    let seconds = section.whole(at, "response_s", (1, 3_600), None)?;
    let ms = u32::try_from(seconds * 1_000).ok()?;
    Some(Required { ms, row: section.value_row })
}
