//! The real gateway's spool: killed while it is written, and looked at while it is written.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

#[expect(dead_code, reason = "the other test programs use the rest")]
mod plant;
#[expect(dead_code, reason = "the other test programs use the rest")]
mod process;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use fengsui_gateway::{Config, each_record, spool_verify};
use fengsui_telemetry::Record;
use plant::{Device, until, write_site};
use process::Process;
use tempfile::TempDir;

/// Kills: 200 in the full runs.
fn kills() -> usize {
    if std::env::var_os("FENGSUI_FULL").is_some() { 200 } else { 15 }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_kill_loses_a_committed_record_and_every_start_is_by_itself() {
    let plc = Device::start().await;
    let gas = Device::start().await;
    let folder = TempDir::new().unwrap();
    write_site(folder.path(), plc.port, gas.port);
    let data = Config::load(&folder.path().join("gateway.toml")).unwrap().data;
    let mut kept: BTreeMap<u64, Record> = BTreeMap::new();
    let mut epoch = None;
    for number in 0..kills() {
        let mut gateway = Process::start(folder.path(), number);
        // Some of them die while they start, some after half a second of work.
        let wanted = (number * 7) % 23;
        let begun = kept.len() as u64;
        let mut level = 0_u8;
        until("commits before a kill", || {
            level = level.wrapping_add(1);
            plc.set_f32(0, if level % 64 < 32 { 50.0 } else { 90.0 });
            assert!(gateway.runs(), "the gateway ended by itself: {}", gateway.log());
            wanted == 0 || gateway.committed().is_some_and(|next| next >= begun + wanted as u64)
        })
        .await;
        let promised = gateway.committed();
        gateway.kill();
        let Ok(check) = spool_verify(&data) else {
            assert_eq!(promised, None, "kill {number}");
            continue;
        };
        assert!(check.whole && check.gaps.is_empty(), "kill {number}: {check:?}");
        let mut now = BTreeMap::new();
        each_record(&data, &mut |offset, record| {
            now.insert(offset, record.clone());
        })
        .unwrap();
        for (offset, record) in &kept {
            assert_eq!(now.get(offset), Some(record), "kill {number}: record {offset} changed");
        }
        let count = now.len() as u64;
        assert!(now.keys().copied().eq(0..count), "kill {number}: offsets are not dense");
        assert!(promised.is_none_or(|next| next <= count), "kill {number}: {promised:?}, {count}");
        let known = fengsui_gateway::spool_status(&data, 0).unwrap().epoch;
        assert!(epoch.as_ref().is_none_or(|before| *before == known), "kill {number}: a new epoch");
        (kept, epoch) = (now, Some(known));
    }
    assert!(kept.len() > kills() * 5, "only {} records were written", kept.len());
}

fn ask(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fengsui-gateway"));
    command.arg("spool").args(arguments).arg("--config").arg(folder.join("gateway.toml"));
    command.output().unwrap()
}

fn json(folder: &Path, arguments: &[&str]) -> serde_json::Value {
    let said = ask(folder, arguments);
    serde_json::from_slice(&said.stdout).unwrap_or_else(|e| panic!("{arguments:?}: {e}: {said:?}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_spool_can_be_looked_at_while_the_gateway_runs() {
    let plc = Device::start().await;
    let gas = Device::start().await;
    plc.set_f32(0, 61.25);
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    write_site(folder, plc.port, gas.port);
    let said = ask(folder, &["status"]);
    assert_eq!(said.status.code(), Some(1), "no spool yet: {said:?}");
    assert!(String::from_utf8_lossy(&said.stderr).contains("没有可读的缓存"), "{said:?}");

    let gateway = Process::start(folder, 0);
    until("records", || gateway.committed().is_some_and(|next| next > 30)).await;
    plc.set_f32(0, 90.0);
    let alarms = || json(folder, &["status", "--json"])["alarms"].as_u64();
    until("the alarm", || alarms() == Some(1)).await;
    let status = json(folder, &["status", "--json"]);
    assert_eq!((status["oldest"].as_u64(), status["durable_next"].as_u64()), (Some(0), Some(0)));
    assert!(status["unacknowledged"].as_u64() > Some(30), "{status}");
    assert_eq!((status["quota_bytes"].as_u64(), &status["reserve"]), (Some(8 << 20), &true.into()));
    let check = json(folder, &["verify", "--json"]);
    assert_eq!((&check["whole"], check["from"].as_u64()), (&true.into(), Some(0)));
    assert_eq!(check["records"], check["to"], "{check}");

    let csv = String::from_utf8(ask(folder, &["export", "--tag", "TK-101.LT"]).stdout).unwrap();
    let mut lines = csv.lines();
    assert_eq!(lines.next(), Some("offset,kind,te_ms,subject,value,quality,detail"));
    let first: Vec<&str> = lines.next().unwrap().split(',').collect();
    assert_eq!((first[1], &first[3..6]), ("sample", &["TK-101.LT", "61.25", "good"][..]));
    assert!(csv.lines().count() > 10 && csv.contains(",90.0,good,"), "{csv}");
    let all = ask(folder, &["export", "--json", "--from", first[2]]);
    let kinds: Vec<String> = String::from_utf8(all.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["kind"].to_string())
        .collect();
    assert!(kinds.contains(&"\"alarm\"".to_owned()) && kinds.contains(&"\"sample\"".to_owned()));
    for form in ["--json", "--tag=TK-101.LT"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fengsui-gateway"));
        command.args(["spool", "export", form, "--config"]).arg(folder.join("gateway.toml"));
        let (reader, writer) = std::io::pipe().unwrap();
        command.stdout(writer).stderr(std::process::Stdio::piped());
        drop(reader);
        let said = command.output().unwrap();
        assert_eq!((said.status.code(), &said.stderr[..]), (Some(0), &b""[..]), "{form}: {said:?}");
    }
    let nothing = ask(folder, &["export", "--to", "1971-01-01T00:00:00Z"]);
    assert_eq!(String::from_utf8(nothing.stdout).unwrap().lines().count(), 1);
    gateway.kill();

    // One byte of one record: said by name, with the code of a problem.
    let sql = rusqlite::Connection::open(folder.join("data/spool.db")).unwrap();
    sql.execute("UPDATE record SET bytes = zeroblob(length(bytes)) WHERE offset = 7", []).unwrap();
    drop(sql);
    let said = ask(folder, &["verify"]);
    let text = String::from_utf8_lossy(&said.stdout);
    assert_eq!(said.status.code(), Some(1), "{text}");
    assert!(text.contains("错误 fault  7 .. 8  damaged"), "{text}");
}
