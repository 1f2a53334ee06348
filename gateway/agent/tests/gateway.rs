//! The whole gateway against real Modbus TCP devices, without a broker.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails where it stands")]

mod plant;

use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use fengsui_gateway::{Config, check, run};
use fengsui_telemetry::wire::decode_record;
use fengsui_telemetry::{Body, Doubt, Fault, GapCause, Reading, Record};
use plant::{Device, site, until};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;

struct Running {
    stop: watch::Sender<bool>,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Running {
    fn start(config: Config) -> Self {
        let (stop, stopped) = watch::channel(false);
        Self { stop, task: tokio::spawn(run(config, stopped)) }
    }

    async fn stop(self) {
        self.stop.send_replace(true);
        self.task.await.unwrap().unwrap();
    }
}

fn siren(data: &Path) -> (bool, Vec<String>) {
    let text = std::fs::read_to_string(data.join("siren.json")).unwrap_or_default();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    let alarms = json["alarms"].as_array().cloned().unwrap_or_default();
    let keys = alarms.iter().map(|key| key.as_str().unwrap().to_owned()).collect();
    (json["sounding"].as_bool().unwrap_or(false), keys)
}

/// Every record of a closed spool, in order; offsets must be dense.
fn spool(data: &Path) -> Vec<Record> {
    let sql = rusqlite::Connection::open(data.join("spool.db")).unwrap();
    let mut select =
        sql.prepare("SELECT offset, span, crc, bytes FROM record ORDER BY offset").unwrap();
    let rows = select
        .query_map([], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, u32>(2)?, row.get(3)?))
        })
        .unwrap();
    let mut next = None;
    let mut records = Vec::new();
    for row in rows {
        let (offset, span, crc, bytes): (i64, i64, u32, Vec<u8>) = row.unwrap();
        assert!(next.is_none_or(|next| next == offset), "hole before {offset}");
        // The column holds the checksum with the offset in it.
        let place = crc32c::crc32c(&offset.to_le_bytes());
        assert_eq!(crc32c::crc32c(&bytes), crc ^ place, "{offset}");
        next = Some(offset + span);
        records.push(decode_record(&bytes).unwrap());
    }
    records
}

fn readings(records: &[Record], point: u32) -> Vec<Reading> {
    let of = |record: &Record| match &record.body {
        Body::Scan(scan) => {
            scan.readings.iter().find(|(index, _)| *index == point).map(|(_, reading)| *reading)
        }
        Body::Transition(_) | Body::Gap(_) | Body::Clock(_) => None,
    };
    records.iter().filter_map(of).collect()
}

fn transitions(records: &[Record]) -> Vec<String> {
    let of = |record: &Record| match &record.body {
        Body::Transition(t) => Some(format!("{} {}{} {}", t.alarm, t.from, t.to, t.occurrence)),
        Body::Scan(_) | Body::Gap(_) | Body::Clock(_) => None,
    };
    records.iter().filter_map(of).collect()
}

#[tokio::test]
async fn a_high_level_sounds_the_siren_and_is_in_the_spool() {
    let plc = Device::start().await;
    let gas = Device::start().await;
    plc.set_f32(0, 61.2);
    gas.set(0, 105);
    let folder = TempDir::new().unwrap();
    let config = site(folder.path(), plc.port, gas.port);
    let data = config.data.clone();
    let running = Running::start(config);
    until("siren state", || data.join("siren.json").exists()).await;
    until("both devices", || plc.asked() > 3 && gas.asked() > 3).await;
    assert_eq!(siren(&data), (false, vec![]));
    plc.set_f32(0, 85.0);
    until("siren", || siren(&data).0).await;
    assert_eq!(siren(&data).1, ["GW-01/TK-101.LT/H"]);
    running.stop().await;
    let records = spool(&data);
    let levels = readings(&records, 0);
    assert_eq!(levels.first(), Some(&Reading::Good(61.2)));
    assert_eq!(levels.last(), Some(&Reading::Good(85.0)));
    assert_eq!(readings(&records, 1).first(), Some(&Reading::Good(10.5)));
    assert_eq!(transitions(&records), ["GW-01/TK-101.LT/H AB 1"]);
}

#[tokio::test]
async fn a_dead_device_leaves_the_others_alone() {
    let plc = Device::start().await;
    let gas = Device::start().await;
    let folder = TempDir::new().unwrap();
    let config = site(folder.path(), plc.port, gas.port);
    let data = config.data.clone();
    let running = Running::start(config);
    until("both devices", || plc.asked() > 3 && gas.asked() > 3).await;
    gas.hang();
    let before = plc.asked();
    until("many scans of the other", || plc.asked() > before + 30).await;
    running.stop().await;
    let records = spool(&data);
    let gas = readings(&records, 1);
    assert_eq!(gas.last(), Some(&Reading::Bad(Fault::Timeout)), "{gas:?}");
    assert!(gas.iter().filter(|r| r.is_bad()).count() < 6, "asked too often: {gas:?}");
    assert!(readings(&records, 0).iter().all(|r| !r.is_bad()));
}

#[tokio::test]
async fn a_restart_neither_forgets_nor_repeats_an_alarm() {
    let plc = Device::start().await;
    let gas = Device::start().await;
    plc.set_f32(0, 90.0);
    let folder = TempDir::new().unwrap();
    let config = site(folder.path(), plc.port, gas.port);
    let data = config.data.clone();
    for _ in 0..3 {
        std::fs::remove_file(data.join("siren.json")).ok();
        let running = Running::start(config.clone());
        until("siren", || siren(&data).0).await;
        let before = plc.asked();
        until("more scans", || plc.asked() > before + 3).await;
        running.stop().await;
    }
    assert_eq!(transitions(&spool(&data)), ["GW-01/TK-101.LT/H AB 1"]);
}

/// The image of a power cut: the files as they stand while the gateway runs.
/// What is on the disk at this moment, in a folder of its own.
fn power_cut(data: &Path) -> PathBuf {
    let image = data.with_file_name("image");
    std::fs::create_dir_all(&image).unwrap();
    for name in ["spool.db", "spool.db-wal"] {
        std::fs::copy(data.join(name), image.join(name)).unwrap();
    }
    image
}

#[tokio::test]
async fn after_a_power_cut_the_siren_sounds_again_and_nothing_is_written_twice() {
    let plc = Device::start().await;
    let gas = Device::start().await;
    plc.set_f32(0, 90.0);
    let folder = TempDir::new().unwrap();
    let mut config = site(folder.path(), plc.port, gas.port);
    let data = config.data.clone();
    let running = Running::start(config.clone());
    until("siren", || siren(&data).0).await;
    let before = plc.asked();
    until("more scans", || plc.asked() > before + 10).await;
    let image = power_cut(&data);
    running.stop().await;
    // The level has gone down meanwhile: the horn goes on until somebody has answered.
    plc.set_f32(0, 50.0);
    config.data.clone_from(&image);
    let running = Running::start(config);
    until("siren", || siren(&image).0).await;
    let before = plc.asked();
    until("more scans", || plc.asked() > before + 5).await;
    running.stop().await;
    assert_eq!(siren(&image).1, ["GW-01/TK-101.LT/H"]);
    assert_eq!(transitions(&spool(&image)), ["GW-01/TK-101.LT/H AB 1", "GW-01/TK-101.LT/H BD 1"]);
}

/// A sheet without the point, which a running gateway refuses to load while the alarm stands, is
/// what a start finds after a power cut.
#[tokio::test]
async fn an_alarm_of_a_point_that_is_gone_sounds_after_a_power_cut_until_somebody_answers() {
    let plc = Device::start().await;
    let gas = Device::start().await;
    plc.set_f32(0, 90.0);
    let folder = TempDir::new().unwrap();
    let config = site(folder.path(), plc.port, gas.port);
    let data = config.data.clone();
    let running = Running::start(config);
    until("siren", || siren(&data).0).await;
    plc.set_f32(0, 50.0);
    let before = plc.asked();
    until("more scans", || plc.asked() > before + 10).await;
    let image = power_cut(&data);
    running.stop().await;
    for name in ["points.csv", "limits.csv"] {
        let file = folder.path().join(name);
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains("TK-101.LT"), "{text}");
        std::fs::write(&file, text.replace("TK-101.LT", "TK-109.LT")).unwrap();
    }
    let mut config = Config::load(&folder.path().join("gateway.toml")).unwrap();
    config.data.clone_from(&image);
    let running = Running::start(config);
    until("siren", || siren(&image).0).await;
    assert_eq!(siren(&image).1, ["GW-01/TK-101.LT/H"]);
    std::fs::write(image.join("siren.ack"), "").unwrap();
    until("silence", || !siren(&image).0).await;
    running.stop().await;
}

#[tokio::test]
async fn a_damaged_spool_does_not_stop_the_siren() {
    let plc = Device::start().await;
    let gas = Device::start().await;
    plc.set_f32(0, 90.0);
    let folder = TempDir::new().unwrap();
    let config = site(folder.path(), plc.port, gas.port);
    let data = config.data.clone();
    std::fs::create_dir_all(&data).unwrap();
    std::fs::write(data.join("spool.db"), vec![0xa5; 20_000]).unwrap();
    let running = Running::start(config);
    until("siren", || siren(&data).0).await;
    running.stop().await;
    let records = spool(&data);
    let first = records.first().map(|r| &r.body);
    assert!(matches!(first, Some(Body::Gap(gap)) if gap.cause == GapCause::Corrupt), "{first:?}");
    assert_eq!(transitions(&records), ["GW-01/TK-101.LT/H AB 1"]);
}

#[tokio::test]
async fn a_dead_disk_does_not_stop_the_siren() {
    let plc = Device::start().await;
    let gas = Device::start().await;
    plc.set_f32(0, 90.0);
    let folder = TempDir::new().unwrap();
    let config = site(folder.path(), plc.port, gas.port);
    // Where the spool belongs stands a folder that cannot be set aside by being opened.
    std::fs::create_dir_all(config.data.join("lock")).unwrap();
    let data = config.data.clone();
    let running = Running::start(config);
    until("siren", || siren(&data).0).await;
    running.stop().await;
}

#[tokio::test]
async fn the_devices_own_time_stamps_the_record_and_is_recorded_once() {
    let plc = Device::start().await;
    let gas = Device::start().await;
    plc.set_f32(0, 50.0);
    plc.set_u32(20, 1_700_000_000);
    let folder = TempDir::new().unwrap();
    let mut config = site(folder.path(), plc.port, gas.port);
    config.site.devices[0].time_register = Some(20);
    config.site.devices[0].time_late_s = u32::MAX;
    let data = config.data.clone();
    let running = Running::start(config);
    until("scans", || plc.asked() > 5).await;
    plc.set_u32(20, 1_700_000_060);
    let before = plc.asked();
    until("more scans", || plc.asked() > before + 3).await;
    running.stop().await;
    let times: Vec<i64> = spool(&data)
        .iter()
        .filter(|r| matches!(&r.body, Body::Scan(scan) if scan.readings[0].0 == 0))
        .map(|r| r.te.0)
        .collect();
    assert_eq!(times, [1_700_000_000_000, 1_700_000_060_000]);
}

/// Set to local time in China as if it were UTC.
#[tokio::test]
async fn a_device_that_is_hours_ahead_writes_nothing_into_the_future() {
    let (plc, gas) = (Device::start().await, Device::start().await);
    plc.set_f32(0, 50.0);
    let unix_s = || UNIX_EPOCH.elapsed().unwrap().as_secs();
    let began_ms = i64::try_from(unix_s()).unwrap() * 1_000;
    let ahead = || u32::try_from(unix_s() + 8 * 3_600).unwrap();
    plc.set_u32(20, ahead());
    let folder = TempDir::new().unwrap();
    let mut config = site(folder.path(), plc.port, gas.port);
    config.site.devices[0].time_register = Some(20);
    config.site.devices[0].time_late_s = u32::MAX;
    let data = config.data.clone();
    let running = Running::start(config);
    until("scans", || plc.asked() > 5).await;
    plc.set_u32(20, ahead() + 60);
    let before = plc.asked();
    until("more scans", || plc.asked() > before + 3).await;
    running.stop().await;
    let records = spool(&data);
    let doubted = Reading::Uncertain(50.0, Doubt::EstimatedTime);
    assert_eq!(readings(&records, 0), [doubted, doubted]);
    let ended_ms = i64::try_from(unix_s() + 1).unwrap() * 1_000;
    assert!(records.iter().all(|r| (began_ms..=ended_ms).contains(&r.te.0)), "{records:?}");
    assert!(readings(&records, 1).iter().all(|r| matches!(r, Reading::Good(_))));
}

/// The temperature stands in the block of the level: both are read at one time.
#[tokio::test]
async fn a_point_reported_by_exception_has_fewer_samples_each_with_its_own_time() {
    let plc = Device::start().await;
    let gas = Device::start().await;
    plc.set_f32(0, 61.2);
    plc.set(2, 500);
    let folder = TempDir::new().unwrap();
    plant::write_site(folder.path(), plc.port, gas.port);
    let sheet = folder.path().join("points.csv");
    let points = std::fs::read_to_string(&sheet).unwrap();
    let points = points.replace("period_ms\n", "period_ms,rules\n").replace(",40\n", ",40,\n")
        + "TK-101.TT,温度,罐区,temperature,℃,0,1000,plc,holding,2,u16,1,40,report_within=5;report_s=60\n";
    std::fs::write(&sheet, points).unwrap();
    let config = Config::load(&folder.path().join("gateway.toml")).unwrap();
    let data = config.data.clone();
    let running = Running::start(config);
    let scans = async |count: usize| {
        let before = plc.asked();
        until("scans", || plc.asked() > before + count).await;
    };
    scans(10).await;
    plc.set(2, 504);
    scans(10).await;
    plc.set(2, 506);
    scans(10).await;
    // The siren tells that a scan with this level, and so with this temperature, was taken.
    plc.set(2, 900);
    plc.set_f32(0, 85.0);
    until("siren", || siren(&data).0).await;
    running.stop().await;
    let records = spool(&data);
    let (levels, temperatures) = (stamped(&records, 0), stamped(&records, 2));
    assert!(levels.len() > 30, "every sample of a point with an alarm: {}", levels.len());
    let values: Vec<f64> = temperatures.iter().map(|(_, value)| *value).collect();
    assert_eq!(values, [500.0, 506.0, 900.0], "504 is within the deadband");
    let of_levels: Vec<i64> = levels.iter().map(|(te, _)| *te).collect();
    assert!(of_levels.is_sorted_by(|a, b| a < b), "each scan has a time of its own");
    for (te, value) in &temperatures {
        assert!(of_levels.contains(te), "{value} was read with the level, at {te}");
    }
    for pair in temperatures.windows(2) {
        let between = of_levels.iter().filter(|te| pair[0].0 < **te && **te < pair[1].0).count();
        assert!(between >= 9, "scans lie between what was kept, and keep their times: {between}");
    }
}

fn stamped(records: &[Record], point: u32) -> Vec<(i64, f64)> {
    let of = |record: &Record| {
        let Body::Scan(scan) = &record.body else { return None };
        let own = scan.readings.iter().find(|(index, _)| *index == point)?;
        Some((record.te.0, own.1.value()?))
    };
    records.iter().filter_map(of).collect()
}

#[test]
fn broken_files_are_refused_with_every_fault() {
    let folder = TempDir::new().unwrap();
    plant::write_site(folder.path(), 1, 2);
    let good = check(&folder.path().join("gateway.toml"));
    assert!(good.faults.is_empty(), "{:?}", good.faults);
    assert_eq!((good.points, good.devices.len()), (2, 2));
    let points = std::fs::read_to_string(folder.path().join("points.csv")).unwrap();
    let points = points.replace("plc,holding,0", "plx,holdin,0");
    std::fs::write(folder.path().join("points.csv"), points).unwrap();
    let bad = check(&folder.path().join("site.toml"));
    let columns: Vec<_> = bad.faults.iter().map(|f| (f.row, f.column.clone().unwrap())).collect();
    assert_eq!(columns, [(Some(3), "device".to_owned()), (Some(3), "function".to_owned())]);
    assert!(bad.faults[0].message.contains("plc, gas"), "{:?}", bad.faults[0]);
    std::fs::write(folder.path().join("gateway.toml"), "site = \"site.toml\"\nspeed = 1\n")
        .unwrap();
    let bad = check(&folder.path().join("gateway.toml"));
    let told = |part: &str| bad.faults.iter().any(|fault| fault.message.contains(part));
    assert!(told(":1 [data]") && told(":2 [speed]") && told("plc, gas"), "{:?}", bad.faults);
    assert!(!check(&folder.path().join("nowhere.toml")).faults.is_empty());
}
