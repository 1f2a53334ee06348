//! What one gateway is told: its own file, the site, the points, the limits.
//!
//! - Loads whole or lists every fault of every file it could read.
//! - Paths in a file are relative to that file.

mod own;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fengsui_alerting::limits::{LimitFault, LimitSet};
use fengsui_alerting::{AlarmSpec, Condition, GatewayRef, Plan, PlanFault, PointRef, Subject};
use fengsui_scan::{PointSet, Problem, Site, SiteFault};
use fengsui_telemetry::{Catalogue, GatewayId, Revision};
use serde::Deserialize;

use crate::orders::CentreKey;
use crate::outputs::config::OutputPlan;
use crate::reach;
use crate::sparkplug::SparkplugConfig;
pub use crate::spool::SpoolConfig;
use crate::spreadsheet::{self, Reading};

/// Everything that a gateway runs by. Checked; a demonstration may change endpoints and ports.
#[derive(Clone, Debug)]
pub struct Config {
    /// Devices and points.
    pub site: Site,
    /// The limits by which the gateway judges on its own.
    pub limits: LimitSet,
    /// Names these limits: the head of the SHA-256 of their file.
    pub limits_revision: Revision,
    /// Points that are read before others, by their place in the catalogue.
    pub(crate) alarmed: Arc<PointSet>,
    /// Where the spool and the state of local outputs stand.
    pub data: PathBuf,
    /// The broker; none: the gateway watches on its own.
    pub uplink: Option<UplinkConfig>,
    /// The local siren and beacon.
    pub local: LocalOutput,
    /// The spool.
    pub spool: SpoolConfig,
    /// The engine's time rules.
    pub alarm: AlarmSettings,
    /// Whose limits are taken; none: those of the site file alone.
    pub centre_key: Option<CentreKey>,
    /// Horns, lamps, relays and buttons.
    pub outputs: OutputPlan,
    /// Where `/healthz` and `/metrics` are answered; none: nowhere.
    pub health: Option<SocketAddr>,
    /// False: the board has no battery for its clock.
    pub clock_battery: bool,
    /// Live values for a SCADA host; none: not shown.
    pub sparkplug: Option<SparkplugConfig>,
}

/// The engine's time rules, where a site needs others than the usual.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AlarmSettings {
    /// R1: older than this when it is read is late, ms.
    pub live_ms: Option<i64>,
    /// R8f: older than this is history only, ms.
    pub late_horizon_ms: Option<i64>,
}

/// Where the broker is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UplinkConfig {
    /// Name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// What sounds in the plant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocalOutput {
    /// Nothing: a state file and log lines, for demonstrations and tests.
    Sim,
}

/// What is wrong with a gateway's files.
#[derive(Clone, Debug, PartialEq)]
pub enum ConfigFault {
    /// The gateway's own file, the site file or the point sheet; a file that cannot be read;
    /// limits that the engine does not take.
    Site(SiteFault),
    /// The limits.
    Limit(LimitFault),
}

impl fmt::Display for ConfigFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Site(fault) => fault.fmt(f),
            Self::Limit(fault) => fault.fmt(f),
        }
    }
}

/// Site and limits, checked against each other.
#[derive(Clone, Debug)]
pub(crate) struct SiteFiles {
    pub(crate) site: Site,
    pub(crate) limits: LimitSet,
    pub(crate) limits_revision: Revision,
    pub(crate) alarmed: Arc<PointSet>,
}

impl Config {
    /// Reads a gateway's file and everything that it names.
    ///
    /// # Errors
    /// Every fault.
    pub fn load(path: &Path) -> Result<Self, Vec<ConfigFault>> {
        Self::load_from(path, &mut spreadsheet::bytes)
    }

    /// The same, with the bytes of each file from elsewhere.
    pub(crate) fn load_from(
        path: &Path,
        bytes: &mut Reading<'_>,
    ) -> Result<Self, Vec<ConfigFault>> {
        let text = read(path, bytes).map_err(|fault| vec![fault])?;
        let (file, mut wrong) = (path.display().to_string(), Vec::new());
        let own = own::read(&file, &text, &mut wrong);
        let base = path.parent().unwrap_or(Path::new("."));
        let data = own.data.as_ref().map(|data| base.join(data));
        let files = match &own.site {
            Some(site) => SiteFiles::load(&base.join(site), bytes, &own.outputs),
            None => Err(Vec::new()),
        };
        if let Ok(SiteFiles { site, .. }) = &files {
            let known = |tag: &str| site.catalogue.points.iter().any(|p| p.tag.as_str() == tag);
            let unknown = own.tags.iter().filter(|(_, tag)| !known(tag));
            wrong.extend(unknown.map(|(row, tag)| no_such_tag(&file, *row, tag)));
            let forbidden = own.outputs.forbidden(site).into_iter();
            wrong.extend(forbidden.map(|(place, (column, value), problem)| {
                let (column, value) = (Some(format!("output.{column}")), Some(value));
                let row = own.output_rows.get(place).copied();
                SiteFault { row, column, value, ..SiteFault::of_file(&file, problem) }
            }));
        }
        wrong.sort_by_key(|fault| fault.row);
        let wrong = wrong.into_iter().map(ConfigFault::Site);
        match (files, data) {
            (Ok(files), Some(data)) if wrong.len() == 0 => Ok(Self {
                sparkplug: own.sparkplug.map(|file| file.of_gateway(files.site.gateway.as_str())),
                site: files.site,
                limits: files.limits,
                limits_revision: files.limits_revision,
                alarmed: files.alarmed,
                data,
                uplink: own.uplink,
                local: own.local.unwrap_or(LocalOutput::Sim),
                spool: own.spool,
                alarm: own.alarm,
                centre_key: own.centre_key,
                outputs: own.outputs,
                health: own.health,
                clock_battery: own.clock_battery.unwrap_or(true),
            }),
            (Ok(_), _) => Err(wrong.collect()),
            (Err(more), _) => Err(wrong.chain(more).collect()),
        }
    }

    /// Without what only the beginning needs: megabytes of short strings, whose place what stays
    /// takes in memory ([`crate::alarm::AlarmLoop::laid_anew`]).
    pub(crate) fn begun(mut self) -> Self {
        self.limits = LimitSet::default();
        if self.sparkplug.is_none() {
            self.site.catalogue.points = Vec::new();
        }
        self
    }

    /// The alarms that the gateway itself judges: those about points and about its clock. Its own
    /// silence is for the centre to notice.
    #[must_use]
    pub fn plan(&self) -> Plan {
        self.ground().plan(&self.limits, self.limits_revision, &PointRef)
    }

    /// The same, with points numbered as the spool numbers them.
    pub(crate) fn plan_numbered(&self, numbers: &[u32]) -> Plan {
        self.ground().plan(&self.limits, self.limits_revision, &numbered(numbers))
    }

    pub(crate) fn ground(&self) -> Ground<'_> {
        let Site { gateway, catalogue, .. } = &self.site;
        Ground { gateway, catalogue, alarm: self.alarm }
    }
}

/// What limits are made into alarms with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ground<'a> {
    pub(crate) gateway: &'a GatewayId,
    pub(crate) catalogue: &'a Catalogue,
    pub(crate) alarm: AlarmSettings,
}

impl Ground<'_> {
    pub(crate) fn plan(
        &self,
        limits: &LimitSet,
        revision: Revision,
        number: &dyn Fn(u32) -> PointRef,
    ) -> Plan {
        let name = self.gateway.as_str();
        let mut alarms = limits.plan(name, GatewayRef(0), self.catalogue, number, revision);
        alarms.retain(|spec| match spec.subject {
            Subject::Point(_) => true,
            Subject::Gateway(_) => matches!(spec.condition, Condition::Clock { .. }),
        });
        for AlarmSpec { times, .. } in &mut alarms {
            times.live_ms = self.alarm.live_ms.unwrap_or(times.live_ms);
            times.late_horizon_ms = self.alarm.late_horizon_ms.unwrap_or(times.late_horizon_ms);
        }
        Plan { revision, alarms }
    }
}

/// Every fault of a gateway's own file, by its text alone: what it names is not looked at.
///
/// # Errors
/// The faults.
pub fn check_own(file: &str, text: &str) -> Result<(), Vec<SiteFault>> {
    let mut wrong = Vec::new();
    let own = own::read(file, text, &mut wrong);
    assert!(
        !wrong.is_empty() || (own.site.is_some() && own.data.is_some()),
        "a file that names no site or no data folder is faulty"
    );
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

impl SiteFiles {
    /// Reads a site file, its points and its limits, for a gateway with these outputs.
    pub(crate) fn load(
        path: &Path,
        bytes: &mut Reading<'_>,
        outputs: &OutputPlan,
    ) -> Result<Self, Vec<ConfigFault>> {
        let text = read(path, bytes).map_err(|fault| vec![fault])?;
        let base = path.parent().unwrap_or(Path::new("."));
        let name = path.display().to_string();
        let mut table = |file: &str| spreadsheet::read_table(&base.join(file), bytes);
        let site = match Site::load(&name, &text, &mut table) {
            Ok(site) => site,
            Err(faults) => {
                let faults = faults.into_iter().map(ConfigFault::Site);
                return Err(faults.chain(limit_faults(&text, base, bytes)).collect());
            }
        };
        let file = base.join(&site.limits_file);
        let limits_text = read(&file, bytes).map_err(|fault| vec![fault])?;
        let to_faults = |faults: Vec<LimitFault>| faults.into_iter().map(ConfigFault::Limit);
        let limits = LimitSet::parse_for(&site.limits_file, &limits_text, &site.catalogue)
            .map_err(|faults| to_faults(faults).collect::<Vec<_>>())?;
        let limits_revision = revision_of(limits_text.as_bytes());
        let mut files = Self { site, limits, limits_revision, alarmed: Arc::default() };
        let plan = files.plan();
        files.alarmed = Arc::new(reach::alarmed(&plan, &files.site.valves));
        let Self { site, alarmed, .. } = &files;
        let (_, slow) = reach::reaches(&name, site, &plan, alarmed, &|line| outputs.on_line(line));
        if !slow.is_empty() {
            return Err(slow.into_iter().map(ConfigFault::Site).collect());
        }
        let faults = plan.faults();
        if !faults.is_empty() {
            return Err(faults.iter().map(|fault| of_plan(site, &files.limits, fault)).collect());
        }
        Ok(files)
    }
}

/// The faults of the limits beside a site that does not load: as far as they can be read alone.
fn limit_faults(site: &str, base: &Path, bytes: &mut Reading<'_>) -> Vec<ConfigFault> {
    #[derive(Deserialize)]
    struct Head {
        site: Limits,
    }
    #[derive(Deserialize)]
    struct Limits {
        limits: PathBuf,
    }
    let Ok(Head { site: Limits { limits } }) = toml::from_str(site) else { return Vec::new() };
    match read(&base.join(&limits), bytes) {
        Ok(text) => match LimitSet::parse(&limits.display().to_string(), &text) {
            Ok(_) => Vec::new(),
            Err(faults) => faults.into_iter().map(ConfigFault::Limit).collect(),
        },
        Err(fault) => vec![fault],
    }
}

impl SiteFiles {
    pub(crate) fn plan(&self) -> Plan {
        let Site { gateway, catalogue, .. } = &self.site;
        let ground = Ground { gateway, catalogue, alarm: AlarmSettings::default() };
        ground.plan(&self.limits, self.limits_revision, &PointRef)
    }
}

/// Points by the numbers that the spool gave them.
pub(crate) fn numbered(numbers: &[u32]) -> impl Fn(u32) -> PointRef {
    |index| {
        let place = usize::try_from(index).unwrap_or(usize::MAX);
        PointRef(numbers.get(place).copied().unwrap_or(index))
    }
}

/// The head of the SHA-256 of these bytes.
pub(crate) fn revision_of(bytes: &[u8]) -> Revision {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    let head = digest.as_ref().iter().take(8).fold(0, |head, byte| head << 8 | u64::from(*byte));
    Revision(head)
}

fn read(path: &Path, bytes: &mut Reading<'_>) -> Result<String, ConfigFault> {
    let fault = |why: String| {
        let file = path.display().to_string();
        ConfigFault::Site(SiteFault::of_file(&file, Problem::Unreadable(why)))
    };
    let bytes = bytes(path).map_err(|error| fault(error.to_string()))?;
    spreadsheet::utf8(bytes).map_err(fault)
}

/// A limit that the engine does not take, at its line.
fn of_plan(site: &Site, limits: &LimitSet, fault: &PlanFault) -> ConfigFault {
    let name = fault.alarm().and_then(|key| key.strip_prefix(&format!("{}/", site.gateway)));
    let line = name.and_then(|name| limits.line_of(name));
    let problem = Problem::Said(fault.zh(), fault.to_string());
    ConfigFault::Site(SiteFault {
        row: line.and_then(|line| usize::try_from(line).ok()),
        value: fault.alarm().map(str::to_owned),
        ..SiteFault::of_file(&site.limits_file, problem)
    })
}

fn no_such_tag(file: &str, row: usize, tag: &str) -> SiteFault {
    let problem = Problem::Said(
        "点表中没有该位号；请改正，或在点表中添加".to_owned(),
        "is no tag of the point sheet; mend it, or add the point".to_owned(),
    );
    let (column, value) = (Some("output.tags".to_owned()), Some(tag.to_owned()));
    SiteFault { row: Some(row), column, value, ..SiteFault::of_file(file, problem) }
}
