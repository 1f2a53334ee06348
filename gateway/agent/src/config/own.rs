//! The gateway's own file, key by key: every fault of it is found, each with its line.

use std::path::PathBuf;

use fengsui_scan::{Problem, Section, SiteFault, Text};

use super::{AlarmSettings, LocalOutput, SpoolConfig, UplinkConfig};
use crate::orders::CentreKey;
use crate::outputs::config::{self as outputs, OutputPlan};
use crate::sparkplug::SparkplugFile;

/// Smallest spool that makes sense: some minutes of a small gateway.
const SPOOL_MB_MIN: i64 = 4;
const SPOOL_MB_MAX: i64 = 1 << 20;
/// Longest that telemetry may wait for its commit (`reliability`: 1 s on flash).
const COMMIT_MS_MAX: i64 = 5_000;
/// Years. What is longer was meant in another unit.
const SECONDS_MAX: i64 = u32::MAX as i64;

/// What stands in the file; as usual where it says nothing or is faulty.
#[derive(Default)]
pub(super) struct OwnFile {
    pub(super) site: Option<PathBuf>,
    pub(super) data: Option<PathBuf>,
    pub(super) uplink: Option<UplinkConfig>,
    pub(super) local: Option<LocalOutput>,
    pub(super) spool: SpoolConfig,
    pub(super) alarm: AlarmSettings,
    pub(super) centre_key: Option<CentreKey>,
    pub(super) outputs: OutputPlan,
    /// The line of each output.
    pub(super) output_rows: Vec<usize>,
    pub(super) health: Option<std::net::SocketAddr>,
    /// None: nothing is said.
    pub(super) clock_battery: Option<bool>,
    pub(super) sparkplug: Option<SparkplugFile>,
    /// Tags that outputs name, each with its line.
    pub(super) tags: Vec<(usize, String)>,
}

/// Reads the file as far as it can be read.
pub(super) fn read(file: &str, text: &str, faults: &mut Vec<SiteFault>) -> OwnFile {
    let (document, mut at) = Text::open(file, text, faults);
    // What a damaged line said is not known: nothing is called missing then.
    let whole = at.faults.is_empty();
    let mut own = OwnFile::default();
    let mut root = Section::new("", 1, document.get_ref());
    own.site = root.text(&mut at, "site").map(PathBuf::from);
    own.data = root.text(&mut at, "data").map(PathBuf::from);
    own.uplink = root.table(&mut at, "uplink").and_then(|table| uplink(&mut at, table));
    own.local = root.table(&mut at, "local").and_then(|mut table| {
        let word = table.word(&mut at, "output", None, &["sim"]);
        table.finish(&mut at);
        word.map(|_| LocalOutput::Sim)
    });
    if let Some(table) = root.table(&mut at, "spool") {
        own.spool = spool(&mut at, table);
    }
    if let Some(table) = root.table(&mut at, "alarm") {
        own.alarm = alarm(&mut at, table);
    }
    own.centre_key = root.table(&mut at, "centre").and_then(|table| centre_key(&mut at, table));
    own.health = root.table(&mut at, "health").and_then(|table| health(&mut at, table));
    own.clock_battery = root.table(&mut at, "clock").and_then(|mut table| {
        let battery = table.flagged(&mut at, "battery");
        if !table.has("battery") {
            at.fault(table.row, &table.column("battery"), None, Problem::MissingKey);
        }
        table.finish(&mut at);
        battery
    });
    let sparkplug = root.table(&mut at, "sparkplug");
    own.sparkplug = sparkplug.and_then(|table| SparkplugFile::read(&mut at, table));
    (own.outputs, own.output_rows) = outputs::read(&mut at, document.get_ref(), &mut own.tags);
    root.allow(&["output", "button"]);
    root.finish(&mut at);
    if !whole {
        faults.retain(|fault| fault.problem != Problem::MissingKey);
    }
    own
}

fn uplink(at: &mut Text<'_>, mut section: Section<'_, '_>) -> Option<UplinkConfig> {
    let host = section.text(at, "host");
    let port = section.whole(at, "port", (1, 65_535), None);
    section.finish(at);
    Some(UplinkConfig { host: host?, port: u16::try_from(port?).ok()? })
}

fn spool(at: &mut Text<'_>, mut section: Section<'_, '_>) -> SpoolConfig {
    let mut config = SpoolConfig::default();
    let mut number = |key, bounds| {
        let read = |s: &mut Section<'_, '_>, at: &mut Text<'_>, key| s.whole(at, key, bounds, None);
        let number = section.optional(at, key, read).flatten();
        number.and_then(|number| u64::try_from(number).ok())
    };
    let (commit_ms, max_mb) =
        (number("commit_ms", (0, COMMIT_MS_MAX)), number("max_mb", (SPOOL_MB_MIN, SPOOL_MB_MAX)));
    section.finish(at);
    config.commit_ms = commit_ms.unwrap_or(config.commit_ms);
    config.bytes_max = max_mb.map_or(config.bytes_max, |mb| mb << 20);
    config
}

fn alarm(at: &mut Text<'_>, mut section: Section<'_, '_>) -> AlarmSettings {
    let mut ms = |key| {
        let read = |s: &mut Section<'_, '_>, at: &mut Text<'_>, key| {
            s.whole(at, key, (1, SECONDS_MAX), None)
        };
        section.optional(at, key, read).flatten().map(|seconds| seconds * 1_000)
    };
    let settings = AlarmSettings { live_ms: ms("live_s"), late_horizon_ms: ms("late_horizon_s") };
    section.finish(at);
    settings
}

fn centre_key(at: &mut Text<'_>, mut section: Section<'_, '_>) -> Option<CentreKey> {
    let text = section.text(at, "public_key");
    let key = text.and_then(|text| match CentreKey::parse(&text) {
        Ok(key) => Some(key),
        Err(problem) => section.refuse(at, "public_key", Some(text), problem),
    });
    section.finish(at);
    key
}

fn health(at: &mut Text<'_>, mut section: Section<'_, '_>) -> Option<std::net::SocketAddr> {
    let text = section.text(at, "listen");
    let listen = text.and_then(|text| match text.parse() {
        Ok(listen) => Some(listen),
        Err(_) => {
            let problem = Problem::Said(
                "应为 IP 地址和端口；请写成 127.0.0.1:9090 的样子".to_owned(),
                "must be an IP address and a port; write it like 127.0.0.1:9090".to_owned(),
            );
            section.refuse(at, "listen", Some(text), problem)
        }
    });
    section.finish(at);
    listen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_faults_of_the_own_file_are_told_at_once() {
        let text = "site = \"site.toml\"\nspeed = 9\n\
            [uplink]\nhost = \"\"\nport = 70000\n\
            [local]\noutput = \"horn\"\n\
            [spool]\ncommit_ms = 9000\nmax_mb = \"many\"\n\
            [centre]\npublic_key = \"abc\"\n\
            [health]\nlisten = \"9090\"\n\
            [clock]\nbattery = \"no\"\n";
        let mut faults = Vec::new();
        let own = read("gateway.toml", text, &mut faults);
        let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
        let wanted = [
            "gateway.toml:1 [data]：缺少该键或列；请补上  |  is missing; add it",
            "gateway.toml:2 [speed]：未知的键或列；可用：site, data, uplink",
            "gateway.toml:4 [uplink.host]：为空；请填写  |  is empty; fill it in",
            "gateway.toml:5 [uplink.port] \"70000\"：超出范围；应为 1 到 65535  |  must be 1 to 65535",
            "gateway.toml:7 [local.output] \"horn\"：不是可用的值；应为 sim 之一",
            "gateway.toml:9 [spool.commit_ms] \"9000\"：超出范围；应为 0 到 5000",
            "gateway.toml:10 [spool.max_mb] \"\\\"many\\\"\"：类型不对；应为整数",
            "gateway.toml:12 [centre.public_key] \"abc\"：应为 64 位十六进制",
            "gateway.toml:14 [health.listen] \"9090\"：应为 IP 地址和端口",
            "gateway.toml:16 [clock.battery] \"\\\"no\\\"\"：类型不对",
        ];
        for part in wanted {
            assert!(told.iter().any(|fault| fault.starts_with(part)), "{part}: {told:#?}");
        }
        assert_eq!(told.len(), wanted.len(), "{told:#?}");
        assert_eq!(own.site.as_deref(), Some(std::path::Path::new("site.toml")), "read on");
    }

    #[test]
    fn what_is_not_well_formed_keeps_the_place_that_the_parser_says() {
        let mut faults = Vec::new();
        read("gateway.toml", "site = \"site.toml\"\ndata = = \"d\"\nport 7\n", &mut faults);
        let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert!(
            told.iter()
                .any(|fault| fault.starts_with("gateway.toml:2：格式错误（第 8 列 column 8: ")),
            "{told:#?}"
        );
        assert!(
            told.iter().any(|fault| fault.starts_with("gateway.toml:3：格式错误（第 ")),
            "{told:#?}"
        );
        assert!(!told.iter().any(|fault| fault.contains("缺少")), "{told:#?}");
    }
}
