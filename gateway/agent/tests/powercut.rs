//! Power cuts without hardware: the real gateway writes its spool under `strace`; from what it
//! wrote and synced, disks are made as a cut at any moment could have left them, and each is
//! started.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

mod disk;
#[expect(dead_code, reason = "the other test programs use the rest")]
mod plant;
#[expect(dead_code, reason = "the other test programs use the rest")]
mod process;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use disk::{CALLS, Chance, Disk, Step, parse, whole_lines};
use fengsui_gateway::{Config, each_record, run, spool_verify};
use fengsui_telemetry::Record;
use plant::{Device, until, write_site};
use process::{Process, committed};
use tempfile::TempDir;
use tokio::sync::watch;

/// Images: 200 in the full runs.
fn images() -> u64 {
    if std::env::var_os("FENGSUI_FULL").is_some() { 200 } else { 40 }
}

/// Records to wait for while the gateway is watched: several emptyings of its log.
const RECORDS: u64 = 600;

fn strace_is_there() -> bool {
    Command::new("strace").arg("-V").output().is_ok_and(|said| said.status.success())
}

/// Every record of a spool, by its offset.
fn records(data: &Path) -> BTreeMap<u64, Record> {
    let mut found = BTreeMap::new();
    each_record(data, &mut |offset, record| {
        found.insert(offset, record.clone());
    })
    .unwrap();
    found
}

/// Starts the gateway on a disk and ends it: it must open it by itself.
async fn start_on(config: &Config, data: &Path) {
    let mut config = config.clone();
    config.data = data.to_path_buf();
    config.site.devices.iter_mut().for_each(|device| device.timeout_ms = 50);
    let (_stop, stopped) = watch::channel(true);
    run(config, stopped).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_power_cut_loses_a_committed_record() {
    assert!(strace_is_there(), "strace is missing: tests/setup.sh installs it");
    let plc = Device::start().await;
    let gas = Device::start().await;
    let folder = TempDir::new().unwrap();
    write_site(folder.path(), plc.port, gas.port);
    let config = Config::load(&folder.path().join("gateway.toml")).unwrap();
    let trace = folder.path().join("trace");
    let mut command = Command::new("strace");
    // -D: the gateway is our child, strace watches from the side.
    command.args(["-D", "-f", "-xx", "-s", "1200000", "-e", CALLS, "-e", "signal=none", "-o"]);
    command.arg(&trace).arg(env!("CARGO_BIN_EXE_fengsui-gateway"));
    let gateway = Process::start_under(command, folder.path(), 0);
    let mut high = 0.0;
    until("records under strace", || {
        high += 0.5;
        plc.set_f32(0, if high % 60.0 < 30.0 { 50.0 } else { 90.0 });
        gateway.committed().is_some_and(|next| next > RECORDS)
    })
    .await;
    gateway.kill();
    let lines = whole_lines(&fs::read_to_string(&trace).unwrap());
    let steps: Vec<Step> = lines.iter().filter_map(|line| parse(line)).collect();
    let everything = records(&config.data);
    let syncs = steps.iter().filter(|step| matches!(step, Step::Sync { .. })).count();
    assert!(syncs > 60, "only {syncs} syncs were seen: {} steps", steps.len());

    let (mut torn, mut most) = (0, 0);
    for seed in 0..images() {
        let mut chance = Chance(seed);
        let end = usize::try_from(chance.below(steps.len() as u64)).unwrap();
        let (mut disk, mut promised) = (Disk::new(&config.data), None);
        for step in &steps[..end] {
            disk.step(step);
            if let Step::Write { at: None, bytes, .. } = step {
                promised = said(bytes).or(promised);
            }
        }
        // What the images are on is of no matter: memory is quicker.
        let memory = Path::new("/dev/shm");
        let image = TempDir::new_in(if memory.is_dir() { memory } else { folder.path() }).unwrap();
        let data = image.path().join("data");
        disk.cut(&mut chance, &data);
        let raw = fs::read(data.join("spool.db-wal")).unwrap_or_default();
        start_on(&config, &data).await;
        let check = spool_verify(&data).unwrap();
        assert!(check.whole, "seed {seed}, step {end}: {check:?}");
        let aside = fs::read_dir(&data)
            .unwrap()
            .filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().contains("damaged"));
        assert_eq!(aside.count(), 0, "seed {seed}, step {end}: a power cut is no damage");
        let Some((_, next)) = promised else { continue };
        let kept = records(&data);
        for offset in 0..next {
            assert_eq!(
                kept.get(&offset),
                everything.get(&offset),
                "seed {seed}, step {end}: record {offset} of {next} was committed"
            );
        }
        torn += usize::from(!raw.is_empty());
        most = most.max(next);
    }
    assert!(most > RECORDS / 2 && torn > 10, "the cuts hit nothing: {most}, {torn}");
}

/// What a line of the log promises, if these bytes are one.
fn said(bytes: &[u8]) -> Option<(u64, u64)> {
    std::str::from_utf8(bytes).ok()?.lines().filter_map(committed).next_back()
}
