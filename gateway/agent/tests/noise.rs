//! A line on which something babbles without pause, beside a device over TCP: real process, real
//! pseudo-terminal. What the line does must not reach the other device, a reload or the end.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

#[expect(dead_code, reason = "other test programs use the rest")]
mod plant;
#[expect(dead_code, reason = "other test programs use the rest")]
mod process;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fengsui_scan::crc16;
use fengsui_telemetry::wire::decode_record;
use fengsui_telemetry::{Body, Fault, Reading};
use plant::{Device, until, write_site};
use process::Process;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_serial::{SerialPort, SerialStream};

/// Place of the point on the line in the sheet, and of the one over TCP.
const LINE: u32 = 0;
const TCP: u32 = 1;
/// Period of both points.
const PERIOD_MS: i64 = 40;

/// The far end of a serial line: it babbles, or is a slave that answers every question.
struct FarEnd {
    port: String,
    babbles: Arc<AtomicBool>,
    /// While it is open the line does not hang up between two gateways.
    _near: SerialStream,
}

impl FarEnd {
    fn babbling() -> Self {
        let (far, near) = SerialStream::pair().unwrap();
        let port = SerialPort::name(&near).unwrap();
        let babbles = Arc::new(AtomicBool::new(true));
        tokio::spawn(speak(far, babbles.clone()));
        Self { port, babbles, _near: near }
    }

    fn babble(&self, on: bool) {
        self.babbles.store(on, Ordering::SeqCst);
    }
}

async fn speak(mut far: SerialStream, babbles: Arc<AtomicBool>) {
    // Faster than 9,600 baud would carry: there is never a pause.
    let mut tick = interval(Duration::from_millis(4));
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (mut heard, mut bytes) = (Vec::new(), [0; 64]);
    loop {
        tokio::select! {
            _ = tick.tick() => {
                if babbles.load(Ordering::SeqCst) {
                    drop(far.write(&[0x55, 0xAA, 0x01, 0x03, 0x00]).await);
                }
            }
            read = far.read(&mut bytes) => {
                let Ok(count) = read else { continue };
                heard.extend(bytes.iter().take(count));
                while heard.len() >= 8 {
                    if crc16(heard.get(..8).unwrap()) == 0 && !babbles.load(Ordering::SeqCst) {
                        drop(far.write_all(&answer(&heard)).await);
                    }
                    heard.clear();
                }
            }
        }
    }
}

/// 61.2 as a single, as often as it was asked for.
fn answer(request: &[u8]) -> Vec<u8> {
    let [unit, function, .., count] = *request.first_chunk::<6>().unwrap();
    let words = [0x42_u8, 0x74, 0xCC, 0xCD].into_iter().cycle().take(usize::from(count) * 2);
    let mut reply = vec![unit, function, count * 2];
    reply.extend(words);
    reply.extend(crc16(&reply).to_le_bytes());
    reply
}

/// The site of [`plant`] with its first device on this line.
fn site(folder: &Path, port: &str, gas: u16) {
    write_site(folder, 1, gas);
    let on_tcp = "kind='modbus-tcp'\nhost='127.0.0.1'\nport=1\n";
    let text = std::fs::read_to_string(folder.join("site.toml")).unwrap();
    assert!(text.contains(on_tcp), "{text}");
    let text = text.replace(on_tcp, "kind='modbus-rtu'\nbus='A'\nunit=1\n")
        + &format!(
            "[[bus]]\nname='A'\nkind='modbus-rtu'\npath='{port}'\nbaud=9600\nparity='none'\n\
             stop_bits=1\n"
        );
    std::fs::write(folder.join("site.toml"), text).unwrap();
}

/// What was said of this point so far: (time, reading).
fn said(folder: &Path, point: u32) -> Vec<(i64, Reading)> {
    let path = folder.join("data/spool.db");
    let Ok(sql) = rusqlite::Connection::open(path) else { return Vec::new() };
    sql.busy_timeout(Duration::from_secs(5)).unwrap();
    let Ok(mut select) = sql.prepare("SELECT bytes FROM record ORDER BY offset") else {
        return Vec::new();
    };
    let rows = select.query_map([], |row| row.get::<_, Vec<u8>>(0)).unwrap();
    let mut all = Vec::new();
    for bytes in rows {
        let record = decode_record(&bytes.unwrap()).unwrap();
        if let Body::Scan(scan) = &record.body {
            let mine = scan.readings.iter().filter(|(index, _)| *index == point);
            all.extend(mine.map(|(_, reading)| (record.te.0, *reading)));
        }
    }
    all
}

fn last(folder: &Path, point: u32) -> Option<Reading> {
    said(folder, point).last().map(|(_, reading)| *reading)
}

/// The fields of each line of the log with this message.
fn logged(gateway: &Process, message: &str) -> Vec<Value> {
    let log = gateway.log();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let fields = lines.filter_map(|line| line.get("fields").cloned());
    fields.filter(|fields| fields.get("message").is_some_and(|m| m == message)).collect()
}

fn signal(gateway: &Process, name: &str) {
    let id = gateway.id().to_string();
    assert!(std::process::Command::new("kill").args([name, &id]).status().unwrap().success());
}

/// The pauses between the samples of the device over TCP, longest last.
fn pauses(folder: &Path) -> Vec<i64> {
    let all = said(folder, TCP);
    assert!(all.iter().all(|(_, reading)| matches!(reading, Reading::Good(_))), "{all:?}");
    let times: Vec<i64> = all.iter().map(|(te, _)| *te).collect();
    let mut pauses: Vec<i64> = times.iter().zip(times.iter().skip(1)).map(|(a, b)| b - a).collect();
    pauses.sort_unstable();
    pauses
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_that_babbles_is_bad_alone_and_recovers_by_itself() {
    let (far, gas) = (FarEnd::babbling(), Device::start().await);
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    site(folder, &far.port, gas.port);
    let gateway = Process::start(folder, 0);
    // Bad with its reason, within the time of a few questions.
    let began = Instant::now();
    until("the line is bad", || last(folder, LINE) == Some(Reading::Bad(Fault::BadFrame))).await;
    let bad_after = began.elapsed();
    assert!(bad_after < Duration::from_secs(5), "{bad_after:?}");
    let before = gas.asked();
    until("the other device is read", || gas.asked() > before + 50).await;
    let unharmed = pauses(folder);
    let usual = unharmed.get(unharmed.len() / 2).copied().unwrap();
    assert!(usual < 2 * PERIOD_MS, "{unharmed:?}");

    // A reload while it lasts: no reader is given up, and the other device is blind no longer than
    // it says.
    let points = std::fs::read_to_string(folder.join("points.csv")).unwrap();
    std::fs::write(folder.join("points.csv"), points.replace("可燃气体", "可燃气体一")).unwrap();
    let told = Instant::now();
    signal(&gateway, "-HUP");
    until("reload", || !logged(&gateway, "reloaded").is_empty()).await;
    let reloaded_after = told.elapsed();
    let blind_ms = logged(&gateway, "reloaded").first().unwrap()["blind_ms"].as_i64().unwrap();
    assert!(blind_ms < 2_000, "{blind_ms}");
    assert!(reloaded_after < Duration::from_secs(5), "{reloaded_after:?}");
    let before = gas.asked();
    until("the other device is read", || gas.asked() > before + 20).await;
    let longest = pauses(folder).last().copied().unwrap();
    assert!(longest < blind_ms + 1_000, "{longest} ms of {blind_ms} ms");
    assert_eq!(last(folder, LINE), Some(Reading::Bad(Fault::BadFrame)));

    // Quiet, and a slave that answers.
    far.babble(false);
    let quiet = Instant::now();
    let level = |reading: Option<Reading>| {
        reading.is_some_and(|r| matches!(r, Reading::Good(value) if (value - 61.2).abs() < 1e-4))
    };
    until("the line is good by itself", || level(last(folder, LINE))).await;
    let good_after = quiet.elapsed();
    far.babble(true);
    until("bad again", || last(folder, LINE).is_some_and(|reading| reading.is_bad())).await;

    let told = Instant::now();
    let log = gateway.terminate();
    let ended_after = told.elapsed();
    assert!(ended_after < Duration::from_secs(5), "{ended_after:?}");
    assert!(!log.contains("not end in time"), "{log}");
    assert!(log.contains("gateway ended"), "{log}");
    eprintln!(
        "bad after {bad_after:?}, other device every {usual} ms, reload {reloaded_after:?} with \
         {blind_ms} ms blind, good {good_after:?} after the noise, ended in {ended_after:?}"
    );
}
