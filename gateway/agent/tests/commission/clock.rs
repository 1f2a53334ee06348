//! A device that dates its own readings, by a clock that was set to local time as if it were UTC.

use std::time::UNIX_EPOCH;

use super::*;

const AHEAD_S: u32 = 8 * 3_600;

fn unix_s() -> u32 {
    u32::try_from(UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap()
}

/// 61.2, a temperature, and the time of the device in registers 4 and 5.
fn dated(time: u32) -> Unit {
    let [high, low] = [time >> 16, time & 0xffff].map(|word| u16::try_from(word).unwrap());
    words(0, &[LEVEL[0], LEVEL[1], 215, 0, high, low])
}

async fn timed_site(folder: &Path, time: u32, more: &str) -> (Device, String) {
    let plc = Device::start([(1, dated(time))]).await;
    let file = site(folder, [plc.port, plc.port], "");
    let text = std::fs::read_to_string(&file).unwrap();
    let timed =
        text.replacen("timeout_ms=150\n", &format!("timeout_ms=150\ntime_register=4\n{more}"), 1);
    std::fs::write(&file, timed).unwrap();
    (plc, file)
}

#[tokio::test]
async fn a_device_whose_clock_is_hours_ahead_is_named_by_read_and_watch() {
    let folder = TempDir::new().unwrap();
    let (plc, file) = timed_site(folder.path(), unix_s() + AHEAD_S, "").await;
    let text = run(&["read", "--config", &file]).await;
    for part in ["设备时钟快 8.0 h", "device clock is 8.0 h ahead", "UTC", "61.2", "存疑"] {
        assert!(text.out.contains(part), "{part}: {}", text.out);
    }
    let json = run(&["read", "--config", &file, "--json"]).await.json();
    assert_eq!(json["points"][0]["reason"], "estimated_time");
    assert_eq!(json["points"][0]["value"], 61.2);
    let off_ms = json["devices"][0]["clock_off_ms"].as_i64().unwrap();
    assert!((off_ms - i64::from(AHEAD_S) * 1_000).abs() < 60_000, "{off_ms}");
    let got = run(&["watch", "--config", &file, "--for", "1s"]).await;
    let first: Value = serde_json::from_str(got.out.lines().next().unwrap()).unwrap();
    assert!(first["clock_off_ms"].as_i64().unwrap() > 28_700_000, "{first}");
    drop(plc);
}

#[tokio::test]
async fn a_clock_that_is_right_or_may_tell_late_is_believed() {
    let now = unix_s();
    for (time, more) in [(now + 20, ""), (now - 3 * 86_400, "time_late_s=604800\n")] {
        let folder = TempDir::new().unwrap();
        let (_plc, file) = timed_site(folder.path(), time, more).await;
        let json = run(&["read", "--config", &file, "--json"]).await.json();
        assert_eq!(json["points"][0]["reason"], "good", "{json}");
        assert_eq!(json["devices"][0]["clock_off_ms"], Value::Null);
    }
}

#[tokio::test]
async fn a_clock_that_is_seconds_behind_is_believed_and_named() {
    let folder = TempDir::new().unwrap();
    let (_plc, file) = timed_site(folder.path(), unix_s() - 20, "").await;
    let text = run(&["read", "--config", &file]).await.out;
    for part in ["设备时间慢 2", "s behind", "STALE"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let json = run(&["read", "--config", &file, "--json"]).await.json();
    assert_eq!(json["points"][0]["reason"], "good", "{json}");
    assert!(json["devices"][0]["clock_off_ms"].as_i64().unwrap() <= -20_000, "{json}");
}
