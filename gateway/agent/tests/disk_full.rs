//! A full disk: a small tmpfs of its own, filled by somebody else while the gateway works.
//!
//! Mounting needs root. Where it is refused, the test says so and is left out.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

#[expect(dead_code, reason = "the other test programs use the rest")]
mod plant;
#[expect(dead_code, reason = "the other test programs use the rest")]
mod process;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use fengsui_gateway::{Config, each_record, spool_status, spool_verify};
use fengsui_telemetry::wire::span;
use fengsui_telemetry::{Body, GapCause};
use plant::{Device, until, write_site};
use process::Process;
use tempfile::TempDir;
use tokio::time::{Instant, interval};

/// How long there is no room: ten minutes in the full runs.
fn full_for() -> Duration {
    let full = std::env::var_os("FENGSUI_FULL").is_some();
    Duration::from_secs(if full { 600 } else { 15 })
}

/// Room for some minutes of this plant.
const DISK: &str = "size=6m";
/// Back in order after so long, at most.
const RECOVERY: Duration = Duration::from_secs(10);

/// Until it is noticed, long before the spool has used what it had set aside: until then nobody
/// would be told.
const NOTICED: Duration = Duration::from_secs(25);
/// Until that is used.
const PATIENCE: Duration = Duration::from_secs(100);

/// Two devices take turns: what one said may be stamped so much later than what follows it.
const TURNS_MS: i64 = 1_000;

/// Between two alarms.
const ALARM_EVERY: Duration = Duration::from_millis(500);

struct Mounted(PathBuf);

impl Mounted {
    fn new(at: &Path) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", DISK, "tmpfs"]).arg(at);
        mount.status().is_ok_and(|done| done.success()).then(|| Self(at.to_owned()))
    }

    /// Somebody else writes until nothing more fits; gives back how much that was.
    fn fill(&self) -> u64 {
        let path = self.0.join("somebody-elses");
        let mut file = fs::OpenOptions::new().create(true).append(true).open(&path).unwrap();
        let mut part = 65_536;
        while part > 0 {
            if file.write(&vec![1; part]).is_err() {
                part /= 2;
            }
        }
        file.metadata().unwrap().len()
    }

    fn free(&self) {
        fs::remove_file(self.0.join("somebody-elses")).unwrap();
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}

/// A hundred values with all their decimals, fifty times a second, so that the room that the spool
/// has set aside is used up in half a minute.
fn widen(folder: &Path, plc: &Device) {
    let path = folder.join("points.csv");
    let mut text = fs::read_to_string(&path).unwrap().replace("f32,1,40", "f32,1,20");
    for point in 1..100_u16 {
        text +=
            &format!("P-{point},点{point},罐区,level,%,0,100,plc,holding,{},f32,1,20\n", 2 * point);
        plc.set_f32(2 * point, f32::from(point) / 7.0);
    }
    fs::write(&path, text).unwrap();
}

fn thins(data: &Path) -> bool {
    spool_verify(data).unwrap().gaps.iter().any(|gap| gap.what == "thinned")
}

fn transitions(data: &Path) -> Vec<String> {
    let mut found = Vec::new();
    each_record(data, &mut |_, record| {
        if let Body::Transition(t) = &record.body {
            found.push(format!("{}{}", t.from, t.to));
        }
    })
    .unwrap();
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_full_disk_alarms_are_recorded_and_room_ends_it() {
    let folder = TempDir::new().unwrap();
    let Some(disk) = Mounted::new(&folder.path().join("data")) else {
        eprintln!("LEFT OUT: no tmpfs can be mounted here; run as root to see a full disk");
        return;
    };
    let plc = Device::start().await;
    let gas = Device::start().await;
    plc.set_f32(0, 50.0);
    write_site(folder.path(), plc.port, gas.port);
    widen(folder.path(), &plc);
    let data = Config::load(&folder.path().join("gateway.toml")).unwrap().data;
    let mut gateway = Process::start(folder.path(), 0);
    until("some records", || gateway.committed().is_some_and(|next| next > 50)).await;
    assert!(disk.fill() > 100_000);

    let mut tick = interval(Duration::from_millis(100));
    let (begun, mut noticed) = (Instant::now(), None);
    let (mut alarms, mut slowest) = (0, Duration::ZERO);
    while noticed.is_none_or(|at: Instant| at.elapsed() < full_for()) || !thins(&data) {
        if noticed.is_none() && gateway.log().contains("disk is full") {
            noticed = Some(Instant::now());
        }
        assert!(
            noticed.is_some() || begun.elapsed() < NOTICED,
            "a full disk is called fine: {}",
            gateway.log()
        );
        let thinning_due = full_for().max(PATIENCE);
        assert!(begun.elapsed() < thinning_due + NOTICED, "it finds room: {}", gateway.log());
        // Whatever is given back, somebody else takes.
        disk.fill();
        let (since, before) = (Instant::now(), transitions(&data).len());
        plc.set_f32(0, if alarms % 2 == 0 { 90.0 } else { 50.0 });
        alarms += 1;
        while transitions(&data).len() == before {
            tick.tick().await;
            disk.fill();
            assert!(since.elapsed() < Duration::from_secs(10), "alarm {alarms}: {}", gateway.log());
        }
        slowest = slowest.max(since.elapsed());
        // Two a second are a flood; more would only be a race for a megabyte.
        while since.elapsed() < ALARM_EVERY {
            tick.tick().await;
            disk.fill();
        }
    }
    assert!(!data.join("reserve").exists(), "the reserve is kept while there is no room");
    let check = spool_verify(&data).unwrap();
    assert!(check.whole, "{check:?}");

    disk.free();
    let freed = Instant::now();
    until("room", || data.join("reserve").exists()).await;
    let found = freed.elapsed();
    let gaps = spool_verify(&data).unwrap().gaps;
    let next = spool_status(&data, 0).unwrap().next;
    until("records as before", || spool_status(&data, 0).unwrap().next > next + 50).await;
    let recovered = freed.elapsed();
    assert!(recovered < RECOVERY, "{recovered:?}");
    assert!(gateway.runs());
    let log = gateway.terminate();
    assert!(log.contains("disk has room again"), "{log}");
    let check = spool_verify(&data).unwrap();
    assert!(check.whole, "{check:?}");
    assert_eq!(check.gaps.len(), gaps.len(), "nothing more is thinned");
    let said = Said::of(&data);
    // A device that is late on a busy machine is one more.
    assert!(said.alarms >= alarms, "of {alarms} alarms: {said:?}");
    eprintln!(
        "{} s without room: {alarms} alarms recorded, slowest {slowest:?}; {said:?}; room found \
         {found:?}, in order {recovered:?} after there was room",
        full_for().as_secs()
    );
}

/// What a spool says after all: each offset is a record, or in a Gap that fits between its
/// neighbours.
#[derive(Debug, Default)]
struct Said {
    alarms: usize,
    /// Readings that are kept.
    scans: u64,
    /// Records for which a Gap stands, by its cause.
    thinned: u64,
    evicted: u64,
    in_memory: u64,
    /// How many Gaps say so.
    gaps: u64,
    /// The longest time between two readings that are kept.
    coarsest_ms: i64,
}

impl Said {
    fn of(data: &Path) -> Self {
        let (mut said, mut next) = (Self::default(), None);
        let (mut last_scan, mut last_gap): (Option<i64>, Option<i64>) = (None, None);
        each_record(data, &mut |offset, record| {
            assert!(next.is_none_or(|next| next == offset), "{offset} follows {next:?}");
            next = Some(offset + span(record));
            match &record.body {
                Body::Scan(_) => {
                    let te = record.te.0;
                    assert!(
                        last_gap.is_none_or(|to| to <= te + TURNS_MS),
                        "a gap reaches beyond {offset}"
                    );
                    said.coarsest_ms = said.coarsest_ms.max(last_scan.map_or(0, |last| te - last));
                    last_scan = Some(te);
                    said.scans += 1;
                }
                Body::Transition(_) => said.alarms += 1,
                Body::Clock(_) => {}
                Body::Gap(gap) => {
                    assert!(
                        last_scan.is_none_or(|te| te <= gap.from.0 + TURNS_MS),
                        "{offset}: {gap:?}"
                    );
                    assert!(gap.from <= gap.to, "{offset}: {gap:?}");
                    last_gap = Some(gap.to.0);
                    said.gaps += 1;
                    match gap.cause {
                        GapCause::Thinned => said.thinned += gap.records,
                        GapCause::SpoolFull => said.evicted += gap.records,
                        GapCause::QueueFull => said.in_memory += gap.records,
                        GapCause::Corrupt | GapCause::FreedBefore => panic!("{gap:?}"),
                    }
                }
            }
        })
        .unwrap();
        said
    }
}
