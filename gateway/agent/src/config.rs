//! What one gateway is told: its own file, the site, the points, the limits.
//!
//! - Loads whole or lists every fault of every file it could read.
//! - Paths in a file are relative to that file.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use fengsui_alerting::limits::{LimitFault, LimitSet};
use fengsui_alerting::{AlarmSpec, Condition, GatewayRef, Plan, PlanFault, PointRef, Subject};
use fengsui_scan::{Site, SiteFault};
use fengsui_telemetry::{Catalogue, GatewayId, Revision};
use serde::Deserialize;
use toml::Spanned;

use crate::orders::CentreKey;
use crate::outputs::config::{ButtonFile, OutputFile, OutputPlan};
use crate::reach;
use crate::sparkplug::{SparkplugConfig, SparkplugFile};
pub use crate::spool::SpoolConfig;
use crate::spreadsheet::{self, Reading};

/// Smallest spool that makes sense: some minutes of a small gateway.
const SPOOL_MB_MIN: u64 = 4;
const SPOOL_MB_MAX: u64 = 1 << 20;
/// Longest that telemetry may wait for its commit (`reliability`: 1 s on flash).
const COMMIT_MS_MAX: u64 = 5_000;

/// Everything that a gateway runs by. Checked; a demonstration may change endpoints and ports.
#[derive(Clone, Debug)]
pub struct Config {
    /// Devices and points.
    pub site: Site,
    /// The limits by which the gateway judges on its own.
    pub limits: LimitSet,
    /// Names these limits: the head of the SHA-256 of their file.
    pub limits_revision: Revision,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LocalOutput {
    /// Nothing: a state file and log lines, for demonstrations and tests.
    Sim,
}

/// What is wrong with a gateway's files.
#[derive(Clone, Debug, PartialEq)]
pub enum ConfigFault {
    /// A file that cannot be read.
    Unreadable {
        /// Which.
        file: PathBuf,
        /// Why.
        why: String,
    },
    /// The gateway's own file.
    Own {
        /// Which.
        file: PathBuf,
        /// Line, where known.
        row: Option<usize>,
        /// What is wrong, and the mend.
        why: String,
    },
    /// The site file or the point sheet.
    Site(SiteFault),
    /// The limits.
    Limit(LimitFault),
    /// Limits that the engine does not take.
    Plan {
        /// The limits' file.
        file: String,
        /// What is wrong.
        fault: PlanFault,
    },
}

impl fmt::Display for ConfigFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { file, why } => {
                write!(f, "{}：无法读取；请检查文件名  |  cannot be read: {why}", file.display())
            }
            Self::Own { file, row: Some(row), why } => write!(f, "{}:{row}：{why}", file.display()),
            Self::Own { file, row: None, why } => write!(f, "{}：{why}", file.display()),
            Self::Site(fault) => fault.fmt(f),
            Self::Limit(fault) => fault.fmt(f),
            Self::Plan { file, fault } => write!(f, "{file}: {fault}"),
        }
    }
}

/// Site and limits, checked against each other.
#[derive(Clone, Debug)]
pub(crate) struct SiteFiles {
    pub(crate) site: Site,
    pub(crate) limits: LimitSet,
    pub(crate) limits_revision: Revision,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OwnFile {
    site: PathBuf,
    data: PathBuf,
    uplink: Option<UplinkFile>,
    local: Option<LocalFile>,
    spool: Option<SpoolFile>,
    alarm: Option<AlarmFile>,
    centre: Option<CentreFile>,
    health: Option<HealthFile>,
    clock: Option<ClockFile>,
    sparkplug: Option<SparkplugFile>,
    #[serde(default)]
    output: Vec<Spanned<OutputFile>>,
    #[serde(default)]
    button: Vec<Spanned<ButtonFile>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClockFile {
    battery: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HealthFile {
    listen: SocketAddr,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CentreFile {
    public_key: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AlarmFile {
    live_s: Option<u32>,
    late_horizon_s: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UplinkFile {
    host: String,
    port: u16,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LocalFile {
    output: LocalOutput,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SpoolFile {
    commit_ms: Option<u64>,
    max_mb: Option<u64>,
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
        let own: OwnFile = toml::from_str(&text).map_err(|error| {
            let row = error.span().map(|span| row_of(&text, span.start));
            let why = error.message().to_owned();
            vec![ConfigFault::Own { file: path.to_owned(), row, why }]
        })?;
        let mut faults = Vec::new();
        let spool = own.spool.as_ref().map_or(Ok(SpoolConfig::default()), |s| s.check());
        let spool = spool.unwrap_or_else(|why| {
            faults.push(ConfigFault::Own { file: path.to_owned(), row: None, why });
            SpoolConfig::default()
        });
        let centre_key = own.centre.map(|centre| CentreKey::parse(&centre.public_key)).transpose();
        let centre_key = centre_key.unwrap_or_else(|why| {
            let why = format!("centre.public_key = {why}");
            faults.push(ConfigFault::Own { file: path.to_owned(), row: None, why });
            None
        });
        let outputs = crate::outputs::config::check(own.output, own.button);
        let outputs = outputs.unwrap_or_else(|misfits| {
            faults.extend(misfits.into_iter().map(|(at, why)| {
                let row = Some(row_of(&text, at));
                ConfigFault::Own { file: path.to_owned(), row, why }
            }));
            OutputPlan::default()
        });
        let base = path.parent().unwrap_or(Path::new("."));
        let files = SiteFiles::load(&base.join(&own.site), bytes);
        if let Ok(SiteFiles { site, .. }) = &files {
            let known = |tag: &str| site.catalogue.points.iter().any(|p| p.tag.as_str() == tag);
            let own = |why| ConfigFault::Own { file: path.to_owned(), row: None, why };
            faults.extend(outputs.unknown_tags(&known).into_iter().map(own));
        }
        let gateway = files.as_ref().map_or("-", |files| files.site.gateway.as_str());
        let sparkplug = own.sparkplug.map(|file| file.check(gateway)).transpose();
        let sparkplug = sparkplug.unwrap_or_else(|why| {
            faults.push(ConfigFault::Own { file: path.to_owned(), row: None, why });
            None
        });
        match files {
            Ok(files) if faults.is_empty() => Ok(Self {
                site: files.site,
                limits: files.limits,
                limits_revision: files.limits_revision,
                data: base.join(own.data),
                uplink: own.uplink.map(|u| UplinkConfig { host: u.host, port: u.port }),
                local: own.local.map_or(LocalOutput::Sim, |l| l.output),
                spool,
                alarm: own.alarm.map_or(AlarmSettings::default(), AlarmFile::settings),
                centre_key,
                outputs,
                health: own.health.map(|health| health.listen),
                clock_battery: own.clock.is_none_or(|clock| clock.battery),
                sparkplug,
            }),
            Ok(_) => Err(faults),
            Err(more) => {
                faults.extend(more);
                Err(faults)
            }
        }
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

impl AlarmFile {
    fn settings(self) -> AlarmSettings {
        let ms = |seconds: u32| i64::from(seconds) * 1_000;
        AlarmSettings { live_ms: self.live_s.map(ms), late_horizon_ms: self.late_horizon_s.map(ms) }
    }
}

impl SpoolFile {
    fn check(&self) -> Result<SpoolConfig, String> {
        let default = SpoolConfig::default();
        let commit_ms = self.commit_ms.unwrap_or(default.commit_ms);
        let max_mb = self.max_mb.unwrap_or(default.bytes_max >> 20);
        if commit_ms > COMMIT_MS_MAX {
            return Err(format!(
                "spool.commit_ms = {commit_ms}：应为 0 到 {COMMIT_MS_MAX}  |  must be 0 to {COMMIT_MS_MAX}"
            ));
        }
        if !(SPOOL_MB_MIN..=SPOOL_MB_MAX).contains(&max_mb) {
            return Err(format!(
                "spool.max_mb = {max_mb}：应为 {SPOOL_MB_MIN} 到 {SPOOL_MB_MAX}  |  must be \
                 {SPOOL_MB_MIN} to {SPOOL_MB_MAX}"
            ));
        }
        Ok(SpoolConfig { commit_ms, bytes_max: max_mb << 20 })
    }
}

impl SiteFiles {
    /// Reads a site file, its points and its limits.
    pub(crate) fn load(path: &Path, bytes: &mut Reading<'_>) -> Result<Self, Vec<ConfigFault>> {
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
        let limits = LimitSet::parse(&site.limits_file, &limits_text)
            .map_err(|faults| to_faults(faults).collect::<Vec<_>>())?;
        let faults = limits.check_against(&site.catalogue);
        if !faults.is_empty() {
            return Err(to_faults(faults).collect());
        }
        let limits_revision = revision_of(limits_text.as_bytes());
        let files = Self { site, limits, limits_revision };
        let plan = files.plan();
        let Self { site, .. } = &files;
        let (_, slow) = reach::reaches(&name, site, &plan);
        if !slow.is_empty() {
            return Err(slow.into_iter().map(ConfigFault::Site).collect());
        }
        let faults = plan.faults();
        if !faults.is_empty() {
            let file = &site.limits_file;
            let plan = |fault| ConfigFault::Plan { file: file.clone(), fault };
            return Err(faults.into_iter().map(plan).collect());
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
    let fault = |why: String| ConfigFault::Unreadable { file: path.to_owned(), why };
    let bytes = bytes(path).map_err(|e| fault(format!("{}: {e}", path.display())))?;
    spreadsheet::utf8(bytes).map_err(fault)
}

fn row_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}
