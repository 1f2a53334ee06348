//! The centre's configuration, TOML: whole, or every fault.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use fengsui_alerting::Priority;
use fengsui_alerting::limits::{LimitSet, SecondPerson};
use fengsui_telemetry::{GatewayId, Revision};
use serde::Deserialize;

use crate::accounts::Settings;
use crate::accounts::settings::SettingsText;
use crate::calls::config::{CallsConfig, CallsText};
use crate::http::Origins;
use crate::limits::Policy;
use crate::stamp::Stamp;

/// Everything that `fengsui serve` needs.
#[derive(Clone, Debug)]
pub struct Config {
    /// Folder of the databases.
    pub data: PathBuf,
    /// Zone in which people read times.
    pub stamp: Stamp,
    /// Where the console and the API listen.
    pub listen: SocketAddr,
    /// Names under which browsers come by a proxy.
    pub origins: Origins,
    /// The broker.
    pub mqtt: Mqtt,
    /// The gateways that must be heard, also those never heard yet.
    pub gateways: Vec<KnownGateway>,
    /// The engine's constants.
    pub alarm: AlarmSettings,
    /// Group commit of the series store, ms.
    pub commit_ms: u64,
    /// Sessions, and who may read the metrics.
    pub accounts: Settings,
    /// Console files from disk instead of those in the binary.
    pub console_dist: Option<PathBuf>,
    /// Who speaks when the centre does not.
    pub watchdog: Option<crate::watchdog::Settings>,
    /// Who is called, and how.
    pub calls: CallsConfig,
    /// Who may change limits, and how.
    pub limits: Policy,
    /// Shifts, and what else a plant decides of its reports.
    pub report: crate::report::Settings,
}

/// Which broker carries the gateways' messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mqtt {
    /// The one inside this process.
    Embedded(SocketAddr),
    /// Another one.
    External {
        /// Host name or address.
        host: String,
        /// Port.
        port: u16,
    },
}

/// One gateway that this centre watches.
#[derive(Clone, Debug)]
pub struct KnownGateway {
    /// Its name.
    pub id: GatewayId,
    /// Its limits.
    pub limits: LimitSet,
    /// Names them.
    pub limits_revision: Revision,
    /// The file itself.
    pub limits_text: String,
}

/// The engine's constants, where a site needs others than the usual.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AlarmSettings {
    /// R1: older than this at arrival is late, ms.
    pub live_ms: Option<i64>,
    /// R8f: older than this is history only, ms.
    pub late_horizon_ms: Option<i64>,
    /// How long an annunciation waits for the journal, ms.
    pub journal_patience_ms: Option<u64>,
    /// The window in which announcements make a flood, ms.
    pub flood_window_ms: Option<i64>,
}

/// One fault of a configuration: where, what, and the mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFault(pub String);

impl fmt::Display for ConfigFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    data: PathBuf,
    #[serde(default = "default_zone")]
    zone: String,
    #[serde(default)]
    http: HttpText,
    #[serde(default)]
    mqtt: MqttText,
    #[serde(default)]
    alarm: AlarmText,
    #[serde(default)]
    store: StoreText,
    calls: Option<CallsText>,
    #[serde(default)]
    accounts: SettingsText,
    #[serde(default)]
    limits: LimitsText,
    #[serde(default)]
    gateway: Vec<GatewayText>,
    watchdog: Option<crate::watchdog::Text>,
    #[serde(default)]
    report: crate::report::settings::Text,
}

fn default_zone() -> String {
    "Asia/Shanghai".to_owned()
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct HttpText {
    listen: Option<String>,
    #[serde(default)]
    origins: Vec<String>,
    console_dist: Option<PathBuf>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct MqttText {
    embedded: Option<String>,
    broker: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct AlarmText {
    live_s: Option<u32>,
    late_horizon_s: Option<u32>,
    journal_patience_ms: Option<u32>,
    flood_window_s: Option<u32>,
}

impl AlarmText {
    fn settings(&self) -> AlarmSettings {
        let ms = |s: Option<u32>| s.map(|s| i64::from(s) * 1_000);
        AlarmSettings {
            live_ms: ms(self.live_s),
            late_horizon_ms: ms(self.late_horizon_s),
            journal_patience_ms: self.journal_patience_ms.map(u64::from),
            flood_window_ms: ms(self.flood_window_s),
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct StoreText {
    commit_ms: Option<u32>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct LimitsText {
    second_person: Option<Vec<u8>>,
    second_person_unless_tighter: Option<bool>,
    #[serde(default)]
    release: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GatewayText {
    id: String,
    limits: PathBuf,
}

impl Config {
    /// Reads a configuration; paths in it are relative to its folder.
    ///
    /// # Errors
    /// Every fault, each naming file and key.
    pub fn load(path: &Path) -> Result<Self, Vec<ConfigFault>> {
        let name = path.display();
        let text = std::fs::read_to_string(path)
            .map_err(|e| vec![ConfigFault(format!("{name}: {e}; give --config FILE"))])?;
        let text: Text = toml::from_str(&text)
            .map_err(|e| vec![ConfigFault(format!("{name}: {}", e.to_string().trim_end()))])?;
        let base = path.parent().map(Path::to_path_buf).unwrap_or_default();
        let mut faults = Vec::new();
        let mut fault = |key: &str, why: String| {
            faults.push(ConfigFault(format!("{name}: {key}: {why}")));
        };
        let stamp = Stamp::in_zone(&text.zone).or_else(|e| {
            fault("zone", format!("{e}; use a name such as Asia/Shanghai"));
            Stamp::in_zone("UTC")
        });
        let listen = socket(text.http.listen.as_deref(), "127.0.0.1:8080")
            .map_err(|why| fault("http.listen", why));
        let origins = Origins::parse(&text.http.origins);
        let origins = origins.map_err(|why| fault("http.origins", why)).unwrap_or_default();
        let mqtt = mqtt(&text.mqtt).map_err(|why| fault("mqtt", why));
        let accounts = text.accounts.settle().map_err(|why| fault("accounts", why));
        let limits = policy(text.limits).map_err(|why| fault("limits.second_person", why));
        let mut gateways: Vec<KnownGateway> = Vec::new();
        if text.gateway.is_empty() {
            fault("gateway", "no [[gateway]] is named, so nobody would be missed; add one".into());
        }
        for gateway in &text.gateway {
            match known_gateway(&base, gateway) {
                Ok(known) if gateways.iter().any(|other| other.id == known.id) => {
                    fault("gateway.id", format!("{:?} stands twice; remove one", gateway.id));
                }
                Ok(known) => gateways.push(known),
                Err(found) => found.into_iter().for_each(|why| fault("gateway", why)),
            }
        }
        let watchdog = text.watchdog.map(|watchdog| watchdog.settings(&base, listen.ok()));
        let watchdog = watchdog.transpose().map_err(|why| fault("watchdog", why));
        let report = text.report.settle_or(|why| fault("report", why));
        let zone_min = stamp.as_ref().map_or(0, |s| s.offset_min(crate::clock::now()));
        let calls = match &text.calls {
            None => CallsConfig::default(),
            Some(calls) => {
                crate::calls::config::load(&base, calls, zone_min).unwrap_or_else(|found| {
                    faults.extend(found);
                    CallsConfig::default()
                })
            }
        };
        match (stamp, listen, mqtt, watchdog, accounts, limits) {
            (Ok(stamp), Ok(listen), Ok(mqtt), Ok(watchdog), Ok(accounts), Ok(limits))
                if faults.is_empty() =>
            {
                Ok(Self {
                    data: base.join(text.data),
                    stamp,
                    listen,
                    origins,
                    mqtt,
                    gateways,
                    alarm: text.alarm.settings(),
                    commit_ms: u64::from(text.store.commit_ms.unwrap_or(50)),
                    accounts,
                    calls,
                    limits,
                    report,
                    console_dist: text.http.console_dist.map(|dist| base.join(dist)),
                    watchdog,
                })
            }
            _ => Err(faults),
        }
    }

    /// A warning for whoever opens the centre to a network: passwords cross it as they are.
    #[must_use]
    pub fn exposure(&self) -> Option<String> {
        (!self.listen.ip().is_loopback() && !self.accounts.secure_cookie).then(|| {
            format!(
                "{} is not loopback and this is plain HTTP: a log-in can be read on the network. Put a proxy with TLS before it and set accounts.secure_cookie = true",
                self.listen
            )
        })
    }
}

fn socket(text: Option<&str>, default: &str) -> Result<SocketAddr, String> {
    let text = text.unwrap_or(default);
    text.parse().map_err(|_| format!("{text:?} is not ADDRESS:PORT; write for example {default}"))
}

fn mqtt(text: &MqttText) -> Result<Mqtt, String> {
    match (&text.embedded, &text.broker) {
        (Some(_), Some(_)) => Err("has both embedded and broker; keep one".to_owned()),
        (embedded, None) => socket(embedded.as_deref(), "127.0.0.1:1883").map(Mqtt::Embedded),
        (None, Some(broker)) => match broker.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() => match port.parse() {
                Ok(port) => Ok(Mqtt::External { host: host.to_owned(), port }),
                Err(_) => Err(format!("broker: {port:?} is not a port; write HOST:1883")),
            },
            Some(_) | None => Err(format!("broker: {broker:?} is not HOST:PORT")),
        },
    }
}

fn policy(text: LimitsText) -> Result<Policy, String> {
    let mut second = SecondPerson::default();
    if let Some(numbers) = text.second_person {
        second.priorities = Vec::with_capacity(numbers.len());
        for number in numbers {
            let all = [Priority::P1, Priority::P2, Priority::P3, Priority::P4];
            let found = all.into_iter().find(|priority| priority.number() == number);
            second
                .priorities
                .push(found.ok_or_else(|| format!("{number} is not 1 to 4; write [1, 2]"))?);
        }
    }
    second.unless_tighter = text.second_person_unless_tighter.unwrap_or(second.unless_tighter);
    Ok(Policy { second, release: text.release })
}

fn known_gateway(base: &Path, text: &GatewayText) -> Result<KnownGateway, Vec<String>> {
    let id = GatewayId::parse(&text.id).map_err(|why| vec![format!("id {:?} {why}", text.id)])?;
    let path = base.join(&text.limits);
    let bytes = std::fs::read_to_string(&path)
        .map_err(|e| vec![format!("{id}: limits {}: {e}", path.display())])?;
    let limits = LimitSet::parse(&path.display().to_string(), &bytes)
        .map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    let limits_revision = revision(bytes.as_bytes());
    Ok(KnownGateway { id, limits, limits_revision, limits_text: bytes })
}

/// The head of the SHA-256 of bytes: the name of a catalogue or of a set of limits.
#[must_use]
pub fn revision(bytes: &[u8]) -> Revision {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    let head = digest.as_ref().first_chunk::<8>().copied().unwrap_or_default();
    Revision(u64::from_be_bytes(head))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("centre.toml");
        std::fs::write(&path, text).unwrap();
        let prefix = format!("{}: ", path.display());
        match Config::load(&path) {
            Ok(_) => Vec::new(),
            Err(faults) => faults.iter().map(|f| f.0.replace(&prefix, "")).collect(),
        }
    }

    #[test]
    fn every_fault_is_named_at_once() {
        let found = faults(
            "data = \"x\"\nzone = \"Mars\"\n[http]\nlisten = \"nowhere\"\n[mqtt]\nembedded = \"a\"\nbroker = \"b\"\n[accounts]\nidle_hours = 0\n[[gateway]]\nid = \"a b\"\nlimits = \"l.csv\"\n",
        );
        for (found, start) in
            found.iter().zip(["zone:", "http.listen:", "mqtt:", "accounts: idle", "gateway: id"])
        {
            assert!(found.starts_with(start), "{found}");
        }
        assert_eq!(found.len(), 5);
    }

    #[test]
    fn an_origin_that_is_none_is_named_by_its_place() {
        let toml = "data = \"x\"\n[http]\norigins = [\"https://a.cn\", \"https://b.cn/\"]\n";
        let found = faults(toml);
        assert!(found[0].starts_with("http.origins: 第 2 项 \"https://b.cn/\""), "{found:?}");
    }

    #[test]
    fn unknown_keys_and_missing_files_are_faults() {
        assert!(faults("data = \"x\"\nport = 3\n")[0].contains("unknown field `port`"));
        assert!(faults("data = \"x\"\n")[0].contains("no [[gateway]]"));
        assert!(
            faults("data = \"x\"\n[[gateway]]\nid = \"G\"\nlimits = \"no.csv\"\n")[0]
                .contains("no.csv")
        );
    }
}
