//! A running gateway whose files change: real process, real devices.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails where it stands")]

mod centre;
#[expect(dead_code, reason = "the other test program uses the rest")]
mod plant;
mod relay;

use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use centre::{Broker, Centre};
use fengsui_telemetry::wire::decode_record;
use fengsui_telemetry::{Body, Record};
use plant::{Device, until, write_site};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

struct Running {
    child: Child,
    log: Arc<Mutex<Vec<Value>>>,
}

impl Running {
    fn start(folder: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fengsui-gateway"));
        command.args(["run", "--log-json", "--config"]).arg(folder.join("gateway.toml"));
        command.env_remove("FENGSUI_LOG").env_remove("NOTIFY_SOCKET").kill_on_drop(true);
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let (lines, kept) = (BufReader::new(child.stderr.take().unwrap()), log.clone());
        tokio::spawn(async move {
            let mut lines = lines.lines();
            while let Ok(Some(line)) = lines.next_line().await {
                kept.lock().unwrap().push(serde_json::from_str(&line).unwrap());
            }
        });
        Self { child, log }
    }

    /// The fields of each line with this message.
    fn said(&self, message: &str) -> Vec<Value> {
        let log = self.log.lock().unwrap();
        let lines = log.iter().map(|line| line["fields"].clone());
        lines.filter(|fields| fields["message"] == message).collect()
    }

    async fn signal(&self, name: &str) {
        let pid = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().await.unwrap().success());
    }

    async fn stop(mut self) {
        self.signal("-TERM").await;
        let status = timeout(Duration::from_secs(20), self.child.wait()).await.unwrap().unwrap();
        assert!(status.success(), "{status}");
    }
}

fn edit(folder: &Path, name: &str, from: &str, to: &str) {
    let text = std::fs::read_to_string(folder.join(name)).unwrap();
    assert!(text.contains(from), "{text}");
    let beside = folder.join("beside");
    std::fs::write(&beside, text.replace(from, to)).unwrap();
    std::fs::rename(beside, folder.join(name)).unwrap();
}

/// Every record of a closed spool; offsets must be dense.
fn spool(folder: &Path) -> Vec<Record> {
    let sql = rusqlite::Connection::open(folder.join("data/spool.db")).unwrap();
    let mut select = sql.prepare("SELECT offset, span, bytes FROM record ORDER BY offset").unwrap();
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    let (mut next, mut records) = (None, Vec::new());
    for row in rows {
        let (offset, span, bytes): (i64, i64, Vec<u8>) = row.unwrap();
        assert!(next.is_none_or(|next| next == offset), "hole before {offset}");
        next = Some(offset + span);
        records.push(decode_record(&bytes).unwrap());
    }
    records
}

fn transitions(records: &[Record]) -> Vec<String> {
    let of = |record: &Record| match &record.body {
        Body::Transition(t) => Some(format!("{} {}{}", t.alarm, t.from, t.to)),
        Body::Scan(_) | Body::Gap(_) | Body::Clock(_) => None,
    };
    records.iter().filter_map(of).collect()
}

fn sounding(folder: &Path) -> Option<bool> {
    let text = std::fs::read_to_string(folder.join("data/siren.json")).ok()?;
    serde_json::from_str::<Value>(&text).ok()?["sounding"].as_bool()
}

fn lit(folder: &Path) -> Option<usize> {
    let text = std::fs::read_to_string(folder.join("data/siren.json")).ok()?;
    Some(serde_json::from_str::<Value>(&text).ok()?["lit"].as_array()?.len())
}

const NEW_POINT: &str = "TK-102.LT,液位,罐区,level,%,0,100,plc,holding,2,f32,1,40\n";

#[tokio::test]
async fn an_added_point_is_read_after_the_signal_and_nothing_is_lost() {
    let (plc, gas) = (Device::start().await, Device::start().await);
    plc.set_f32(0, 61.2);
    plc.set_f32(2, 44.4);
    let folder = TempDir::new().unwrap();
    write_site(folder.path(), plc.port, gas.port);
    let running = Running::start(folder.path());
    until("scans", || plc.asked() > 5 && gas.asked() > 5).await;
    edit(folder.path(), "points.csv", "GD-201.AT,", &format!("{NEW_POINT}GD-201.AT,"));
    edit(folder.path(), "limits.csv", "H,85,1", "H,80,1");
    running.signal("-HUP").await;
    until("reload", || !running.said("reloaded").is_empty()).await;
    let changes: Vec<String> =
        running.said("reload").iter().map(|f| f["change"].to_string()).collect();
    assert_eq!(
        changes,
        [r#""point added: TK-102.LT""#, r#""limit changed: TK-101.LT H: limit 85 -> 80""#]
    );
    let blind = running.said("reloaded")[0]["blind_ms"].as_u64().unwrap();
    assert!(blind < 3_000, "{blind}");
    let before = (plc.asked(), gas.asked());
    until("more scans", || plc.asked() > before.0 + 5 && gas.asked() > before.1 + 5).await;
    // The new limit judges.
    plc.set_f32(0, 82.0);
    until("siren", || sounding(folder.path()) == Some(true)).await;
    running.stop().await;
    let records = spool(folder.path());
    let new = records.iter().any(|record| match &record.body {
        Body::Scan(scan) => {
            scan.readings.iter().any(|(index, r)| *index == 1 && r.value() == Some(44.4))
        }
        Body::Transition(_) | Body::Gap(_) | Body::Clock(_) => false,
    });
    assert!(new, "the new point is in the spool");
    assert!(!records.iter().any(|record| matches!(record.body, Body::Gap(_))), "no gap");
    assert_eq!(transitions(&records), ["GW-01/TK-101.LT/H AB"]);
}

#[tokio::test]
async fn a_count_goes_on_through_a_reload_that_does_not_touch_it() {
    let (plc, gas) = (Device::start().await, Device::start().await);
    gas.set(0, 100);
    let folder = TempDir::new().unwrap();
    write_site(folder.path(), plc.port, gas.port);
    edit(folder.path(), "points.csv", "period_ms\n", "period_ms,rules\n");
    edit(folder.path(), "points.csv", "f32,1,40\n", "f32,1,40,\n");
    edit(folder.path(), "points.csv", "u16,0.1,40\n", "u16,0.1,40,counter=65536;counter_per_s=9\n");
    let running = Running::start(folder.path());
    until("scans", || gas.asked() > 5).await;
    let before = gas.asked();
    edit(folder.path(), "points.csv", "TK-101.LT,液位", "TK-101.LT,大罐液位");
    running.signal("-HUP").await;
    until("reload", || running.said("reloaded").len() == 1).await;
    gas.set(0, 101);
    until("more scans", || gas.asked() > before + 20).await;
    running.stop().await;
    let counts: Vec<(&str, Option<f64>)> = spool(folder.path())
        .iter()
        .flat_map(|record| match &record.body {
            Body::Scan(scan) => scan.readings.clone(),
            Body::Transition(_) | Body::Gap(_) | Body::Clock(_) => Vec::new(),
        })
        .filter(|(point, _)| *point == 1)
        .map(|(_, reading)| (reading.word(), reading.value()))
        .collect();
    let anew = counts.iter().filter(|(word, _)| *word == "count_restarted").count();
    assert_eq!(anew, 1, "only the start begins to count: {counts:?}");
    assert_eq!(counts.last(), Some(&("good", Some(10.1))));
}

#[tokio::test]
async fn a_broken_file_is_refused_whole_and_a_mended_one_is_taken_without_a_signal() {
    let (plc, gas) = (Device::start().await, Device::start().await);
    plc.set_f32(0, 61.2);
    let folder = TempDir::new().unwrap();
    write_site(folder.path(), plc.port, gas.port);
    let running = Running::start(folder.path());
    until("scans", || plc.asked() > 5).await;
    edit(folder.path(), "points.csv", "plc,holding,0", "plx,holdin,0");
    running.signal("-HUP").await;
    until("refusal", || !running.said("the old configuration stays").is_empty()).await;
    let faults: Vec<String> =
        running.said("reload is refused").iter().map(|f| f["fault"].to_string()).collect();
    assert!(
        faults.len() == 2 && faults[0].contains("plx") && faults[1].contains("holdin"),
        "{faults:?}"
    );
    let before = plc.asked();
    until("the old one goes on", || plc.asked() > before + 10).await;
    edit(folder.path(), "gateway.toml", "data = \"data\"", "data = \"elsewhere\"");
    edit(folder.path(), "points.csv", "plx,holdin,0", "plc,holding,0");
    running.signal("-HUP").await;
    until("refusal", || running.said("the old configuration stays").len() == 2).await;
    assert!(running.said("reload is refused")[2].to_string().contains("data"));
    assert!(running.said("reloaded").is_empty());
    // Now by the files alone.
    edit(folder.path(), "gateway.toml", "data = \"elsewhere\"", "data = \"data\"");
    edit(folder.path(), "points.csv", "0.1,40", "0.01,40");
    until("reload", || !running.said("reloaded").is_empty()).await;
    assert!(running.said("reload")[0].to_string().contains("point changed: GD-201.AT"));
    running.stop().await;
}

/// Without a signal: the sheet names the table, the site file does not.
#[tokio::test]
async fn another_strapping_table_is_noticed_and_a_lit_alarm_keeps_its_limit() {
    let (plc, gas) = (Device::start().await, Device::start().await);
    plc.set_f32(0, 50.0);
    let folder = TempDir::new().unwrap();
    write_site(folder.path(), plc.port, gas.port);
    let table = "液位,容积\nlevel,volume\n0,0\n100,60\n";
    std::fs::write(folder.path().join("tank.csv"), table).unwrap();
    edit(folder.path(), "points.csv", "period_ms\n", "period_ms,rules\n");
    edit(folder.path(), "points.csv", "f32,1,40\n", "f32,1,40,table=tank.csv\n");
    edit(folder.path(), "points.csv", "u16,0.1,40\n", "u16,0.1,40,\n");
    let running = Running::start(folder.path());
    until("scans", || plc.asked() > 5).await;
    until("no siren", || sounding(folder.path()) == Some(false)).await;
    edit(folder.path(), "tank.csv", "100,60", "100,180");
    until("reload", || running.said("reloaded").len() == 1).await;
    until("siren", || sounding(folder.path()) == Some(true)).await;
    edit(folder.path(), "limits.csv", "TK-101.LT,H,85,1\n", "");
    for round in 1..3 {
        running.signal("-HUP").await;
        until("refusal", || running.said("the old configuration stays").len() == round).await;
    }
    assert!(running.said("reload is refused")[1].to_string().contains("GW-01/TK-101.LT/H"));
    plc.set_f32(0, 10.0);
    std::fs::write(folder.path().join("data/siren.ack"), "").unwrap();
    until("nothing is lit", || lit(folder.path()) == Some(0)).await;
    running.signal("-HUP").await;
    until("reload", || running.said("reloaded").len() == 2).await;
    running.stop().await;
}

#[tokio::test]
async fn a_horn_that_sounds_goes_on_through_a_reload() {
    let (plc, gas) = (Device::start().await, Device::start().await);
    plc.set_f32(0, 90.0);
    let folder = TempDir::new().unwrap();
    write_site(folder.path(), plc.port, gas.port);
    let running = Running::start(folder.path());
    until("siren", || sounding(folder.path()) == Some(true)).await;
    // Below the limit again, but nobody has answered: it must sound.
    plc.set_f32(0, 50.0);
    let before = plc.asked();
    until("scans", || plc.asked() > before + 5).await;
    for round in 1..4 {
        edit(folder.path(), "points.csv", GAS_NAME[round - 1], GAS_NAME[round]);
        running.signal("-HUP").await;
        until("reload", || {
            assert_eq!(sounding(folder.path()), Some(true), "silent during reload {round}");
            running.said("reloaded").len() == round
        })
        .await;
        let before = plc.asked();
        until("scans", || plc.asked() > before + 5).await;
    }
    let sirens: Vec<Value> = running.said("siren");
    let fell_silent =
        sirens.iter().skip_while(|f| f["sounding"] == false).any(|f| f["sounding"] == false);
    assert!(!fell_silent, "{sirens:?}");
    // The button still works: it is lent from one configuration to the next.
    std::fs::write(folder.path().join("data/siren.ack"), "").unwrap();
    until("silence", || sounding(folder.path()) == Some(false)).await;
    running.stop().await;
    let letters = transitions(&spool(folder.path()));
    let letters: Vec<&str> = letters.iter().filter_map(|t| t.rsplit(' ').next()).collect();
    assert_eq!(letters, ["AB", "BD", "DA"]);
}

const ON_THE_LINE: &str = r#"[[output]]
name = "siren"
kind = "coil"
bus = "A"
unit = 9
coil = 2
follows = "siren"
[[output]]
name = "trouble"
kind = "coil"
bus = "A"
unit = 9
coil = 3
follows = "trouble"
[spool]"#;

/// The relays hang on the line of the transmitter: its one reader gives their orders, whichever
/// configuration it belongs to, and after the last one somebody still does.
#[tokio::test]
async fn a_horn_on_the_line_of_a_transmitter_goes_on_through_a_reload_and_a_restart() {
    let (line, gas) = (relay::Line::start().await, Device::start().await);
    line.set(50.0);
    let folder = TempDir::new().unwrap();
    write_site(folder.path(), 1, gas.port);
    let bus = format!(
        "[[bus]]\nname='A'\nkind='modbus-rtu-tcp'\nhost='127.0.0.1'\nport={}\nbaud=115200\n\
         parity='none'\n[[device]]\nname='plc'",
        line.port
    );
    edit(folder.path(), "site.toml", "[[device]]\nname='plc'", &bus);
    let tcp = "kind='modbus-tcp'\nhost='127.0.0.1'\nport=1\n";
    edit(folder.path(), "site.toml", tcp, "kind='modbus-rtu'\nbus='A'\nunit=1\n");
    edit(folder.path(), "gateway.toml", "[spool]", ON_THE_LINE);
    let running = Running::start(folder.path());
    until("scans, and no trouble", || line.asked() > 5 && line.coil(3) == Some(true)).await;
    assert_eq!(line.coil(2), Some(false));
    line.set(90.0);
    until("the horn", || line.coil(2) == Some(true)).await;
    line.set(50.0);
    for round in 1..3 {
        edit(folder.path(), "points.csv", GAS_NAME[round - 1], GAS_NAME[round]);
        running.signal("-HUP").await;
        until("reload", || running.said("reloaded").len() == round).await;
        let before = line.asked();
        until("scans", || line.asked() > before + 5).await;
    }
    // Nor does a restart let it fall silent for a moment.
    running.stop().await;
    let running = Running::start(folder.path());
    let before = line.asked();
    until("scans after the restart", || line.asked() > before + 20).await;
    until("no trouble", || line.coil(3) == Some(true)).await;
    // A line that an output hangs on cannot be taken away.
    edit(folder.path(), "site.toml", "name='A'", "name='B'");
    edit(folder.path(), "site.toml", "bus='A'", "bus='B'");
    running.signal("-HUP").await;
    until("refusal", || !running.said("the old configuration stays").is_empty()).await;
    let refused = running.said("reload is refused");
    assert!(refused.len() == 2 && refused[0].to_string().contains("[output.bus]"), "{refused:?}");
    let first = line.told(2).iter().position(|on| *on).unwrap();
    assert!(line.told(2)[first..].iter().all(|on| *on), "it fell silent");
    std::fs::write(folder.path().join("data/siren.ack"), "").unwrap();
    until("silence", || line.coil(2) == Some(false)).await;
    assert_eq!(line.coil(3), Some(true));
    assert!(running.said("output does not work").is_empty());
    running.stop().await;
    assert_eq!(line.coil(3), Some(false), "nobody watches any more");
}

const GAS_NAME: [&str; 4] = ["可燃气体", "可燃气体一", "可燃气体二", "可燃气体三"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_centre_gets_the_new_points_and_sees_no_absence() {
    let (plc, gas) = (Device::start().await, Device::start().await);
    let folder = TempDir::new().unwrap();
    write_site(folder.path(), plc.port, gas.port);
    let port = centre::free_port();
    let uplink = format!("data = \"data\"\n[uplink]\nhost = \"127.0.0.1\"\nport = {port}");
    edit(folder.path(), "gateway.toml", "data = \"data\"", &uplink);
    let _broker = Broker::start(port).await;
    let centre = Centre::start(port);
    let running = Running::start(folder.path());
    until("acknowledgements", || centre.seen(|c| c.durable() > 20)).await;
    edit(folder.path(), "points.csv", "GD-201.AT,", &format!("{NEW_POINT}GD-201.AT,"));
    running.signal("-HUP").await;
    let points = |online: &fengsui_telemetry::wire::Birth| {
        online.catalogue.as_ref().map_or(0, |catalogue| catalogue.points.len())
    };
    until("the new birth", || centre.seen(|c| c.birth.as_ref().is_some_and(|b| points(b) == 3)))
        .await;
    let durable = centre.seen(|c| c.durable());
    until("acknowledgements", || centre.seen(|c| c.durable() > durable + 20)).await;
    centre.seen(|c| assert_eq!((c.farewells, c.changed), (0, 0)));
    running.stop().await;
    until("the farewell", || centre.seen(|c| c.farewells == 1)).await;
    centre.seen(|c| {
        let offsets: Vec<_> = c.records.keys().copied().collect();
        assert_eq!(offsets, (0..c.durable()).collect::<Vec<_>>());
    });
}
