//! Checks a gateway's files and says what they would do.

mod budget;
mod exceptions;
mod heard;
mod hints;
mod text;

use std::path::Path;

use fengsui_scan::{BusKind, BusSpec, Direction, Scanner, Site, Timing};
use serde::Serialize;
use toml::de::DeTable;

use crate::alarm::hears_of_limits;
use crate::config::{Config, ConfigFault, SiteFiles};
use crate::outputs::config::OutputPlan;
use crate::reach::{self, Reach};
use crate::spreadsheet;

/// What a check found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The file that was named.
    pub file: String,
    /// Points of the site; 0 where there are faults.
    pub points: usize,
    /// Alarms of the site.
    pub alarms: usize,
    /// Points that are reported by exception; for some of them the rule may rest, see the hints.
    pub by_exception: usize,
    /// Its devices.
    pub devices: Vec<DeviceReport>,
    /// Lines that devices share.
    pub buses: Vec<BusReport>,
    /// How long each limit alarm takes at worst, the longest first.
    pub reaches: Vec<Reach>,
    /// Every fault, each with file, row, column, value and mend.
    pub faults: Vec<FaultReport>,
    /// What should be looked at once more, in a site without faults.
    pub hints: Vec<FaultReport>,
}

/// One device of a report.
#[derive(Clone, Debug, Serialize)]
pub struct DeviceReport {
    /// Its name.
    pub name: String,
    /// Its points.
    pub points: usize,
    /// Requests that read them all once.
    pub requests: usize,
    /// Requests a second.
    pub requests_per_s: f64,
    /// Over Modbus TCP: how long an answer may take on average, so that every scan is done in time;
    /// devices at one address are asked one after the other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer_within_ms: Option<f64>,
}

/// One line of a report.
#[derive(Clone, Debug, Serialize)]
pub struct BusReport {
    /// Its name.
    pub name: String,
    /// Bits a second.
    pub baud: u32,
    /// Its devices.
    pub devices: usize,
    /// How much of it the configured scans take if devices answer without delay, percent. Above
    /// some 90 scans will be missed.
    pub used_percent: u32,
    /// How long after a start a device is silent that answers no other length than its own, ms.
    pub start_ms: u64,
    /// Who switches the RS-485 direction: `adapter` or `kernel`; none behind a converter.
    pub rs485: Option<&'static str>,
}

/// One fault of a report.
#[derive(Clone, Debug, Serialize)]
pub struct FaultReport {
    /// Which file.
    pub file: String,
    /// Line.
    pub row: Option<u64>,
    /// Column or key.
    pub column: Option<String>,
    /// What stands there.
    pub value: Option<String>,
    /// What is wrong and the mend, in Chinese; empty where only English is to be had.
    pub zh: String,
    /// The same in English.
    pub en: String,
    /// The whole message in one line.
    pub message: String,
}

impl Report {
    /// Its faults for a person, and how many there are.
    #[must_use]
    pub fn faults_text(&self) -> String {
        text::faults(&self.faults)
    }

    /// Its hints for a person.
    #[must_use]
    pub fn hints_text(&self) -> String {
        text::hints(&self.hints)
    }
}

/// Checks a gateway's own file or a site file, whichever it is.
#[must_use]
pub fn check(path: &Path) -> Report {
    let mut report = Report {
        file: path.display().to_string(),
        points: 0,
        alarms: 0,
        by_exception: 0,
        devices: Vec::new(),
        buses: Vec::new(),
        reaches: Vec::new(),
        faults: Vec::new(),
        hints: Vec::new(),
    };
    let files = if is_site(path) {
        SiteFiles::load(path, &mut spreadsheet::bytes, &OutputPlan::default())
            .map(|files| (files.plan(), files.site, files.limits, files.alarmed, (true, None)))
    } else {
        Config::load(path).map(|config| {
            let hears = hears_of_limits(&config);
            let rest = (hears, Some(config.outputs.clone()));
            (config.plan(), config.site, config.limits, config.alarmed, rest)
        })
    };
    match files {
        Ok((plan, site, limits, alarmed, (hears, outputs))) => {
            let (by_exception, resting) = exceptions::of(&site, &plan, hears);
            report.by_exception = by_exception;
            let unheard = outputs.as_ref().and_then(|own| heard::hint(&report.file, &plan, own));
            let hints = hints::hints(&site, &limits).into_iter().chain(resting).chain(unheard);
            let crowded = outputs.as_ref().map(|o| hints::crowded(&report.file, o.crowded(&site)));
            let hints = hints.chain(crowded.into_iter().flatten());
            report.hints = hints.map(ConfigFault::Site).map(|hint| fault_report(&hint)).collect();
            report.points = site.catalogue.points.len();
            report.alarms = plan.alarms.len();
            let on_line = |line: &str| outputs.as_ref().map_or(0, |own| own.on_line(line));
            report.reaches = reach::reaches("", &site, &plan, &alarmed, &on_line).0;
            if let Some(own) = &outputs {
                heard::mark(&mut report.reaches, &plan, own);
            }
            report.buses =
                site.buses.iter().enumerate().map(|bus| bus_report(&site, bus)).collect();
            let endpoints: Vec<_> = budget::endpoints(&site).collect();
            for (index, device) in site.devices.iter().enumerate() {
                let mappings = site.mappings_of(index);
                let points = mappings.len();
                let scanner = Scanner::new(device.clone(), mappings, 0);
                let requests_per_s = budget::requests_per_s(&scanner);
                let shared = endpoints.iter().find(|(devices, _)| devices.contains(&index));
                report.devices.push(DeviceReport {
                    name: device.name.clone(),
                    points,
                    requests: scanner.requests().len(),
                    requests_per_s,
                    answer_within_ms: shared.and_then(|(_, asked)| asked.answer_within_ms()),
                });
            }
        }
        Err(faults) => report.faults = faults.iter().map(fault_report).collect(),
    }
    report
}

/// The site of a gateway's own file or of a site file, whichever it is.
pub(crate) fn site_of(path: &Path) -> Result<Site, Vec<ConfigFault>> {
    if is_site(path) {
        SiteFiles::load(path, &mut spreadsheet::bytes, &OutputPlan::default())
            .map(|files| files.site)
    } else {
        Config::load(path).map(|config| config.site)
    }
}

fn bus_report(site: &Site, (bus, spec): (usize, &BusSpec)) -> BusReport {
    let (timing, members) = (Timing::new(&spec.settings), site.devices_on(bus));
    let mut ppm = 0;
    for device in &members {
        let Some(found) = site.devices.get(*device) else { continue };
        for (request, period) in
            Scanner::new(found.clone(), site.mappings_of(*device), 0).requests()
        {
            let cost_us = found.pause_us() + timing.exchange_us(request);
            ppm += cost_us * 1_000 / u64::from(period.max(1));
        }
    }
    BusReport {
        name: spec.name.clone(),
        baud: spec.settings.baud,
        devices: members.len(),
        start_ms: fengsui_scan::start_ms(site, bus),
        used_percent: u32::try_from(ppm.div_ceil(10_000)).unwrap_or(u32::MAX),
        rs485: match &spec.kind {
            BusKind::Serial { direction: Direction::Kernel, .. } => Some("kernel"),
            BusKind::Serial { direction: Direction::Adapter, .. } => Some("adapter"),
            BusKind::RtuTcp { .. } => None,
        },
    }
}

/// A site file has a table `[site]`; a gateway's file names one.
fn is_site(path: &Path) -> bool {
    let bytes = spreadsheet::bytes(path).unwrap_or_default();
    let text = String::from_utf8(bytes).unwrap_or_default();
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    // As far as it can be read: its faults are told by whoever reads it whole.
    let (document, _faults) = DeTable::parse_recoverable(text);
    document.get_ref().get("site").is_some_and(|site| site.get_ref().is_table())
}

/// Faults for a person, and how many there are.
pub(crate) fn faults_text(faults: &[ConfigFault]) -> String {
    let reports: Vec<FaultReport> = faults.iter().map(fault_report).collect();
    text::faults(&reports)
}

fn fault_report(fault: &ConfigFault) -> FaultReport {
    let message = fault.to_string();
    let (file, row, column, value) = match fault {
        ConfigFault::Site(f) => (f.file.clone(), f.row, f.column.clone(), f.value.clone()),
        ConfigFault::Limit(f) => {
            let (column, value) = (Some(f.column.clone()), Some(f.value.clone()));
            (f.file.clone(), usize::try_from(f.row).ok(), column, value)
        }
    };
    let row = row.and_then(|row| u64::try_from(row).ok());
    let (zh, en) = mends(fault);
    FaultReport { file, row, column, value, zh, en, message }
}

/// What is wrong, in both languages where there are two.
fn mends(fault: &ConfigFault) -> (String, String) {
    let both = |text: &str| match text.split_once("  |  ") {
        Some((zh, en)) => (zh.to_owned(), en.to_owned()),
        None => (String::new(), text.to_owned()),
    };
    match fault {
        ConfigFault::Site(fault) => (fault.problem.zh(), fault.problem.en()),
        ConfigFault::Limit(fault) => both(&fault.trouble.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_file_is_known_by_its_table() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("any.toml");
        for (text, is) in [
            ("[site]\ngateway = 'GW'\n", true),
            ("\u{feff}[site]\ngateway = 'GW'\n", true),
            ("# 站点\r\n  [ site ] # here\r\ngateway = 'GW'\r\n", true),
            ("[site]\ngateway = 'GW\n[[device]]\nname = 'plc'\n", true),
            ("[[device]]\nname = 'plc'\n", false),
            ("site = 'site.toml'\n", false),
            ("\u{feff}site = 'site.toml'\nnote = \"\"\"\n[site]\n\"\"\"\n", false),
        ] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(is_site(&path), is, "{text}");
        }
        assert!(!is_site(&folder.path().join("none.toml")));
    }
}
