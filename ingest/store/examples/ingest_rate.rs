//! How many samples a CPU-second the store takes, durable, and what they cost on disk.
//!
//! 2,000 points at 1 Hz for an hour: a third tank levels (0.1 %), a third gas detectors (mostly
//! 0), a third piezometers (3 decimals); a rare timeout. Intakes of 10,000 samples, each
//! acknowledged after its own fsync. Meanwhile one alarm row every 20 ms goes to the journal.
//!
//! ```text
//! cargo run --release -p fengsui-store --example ingest_rate [folder]
//! ```

#![expect(clippy::print_stdout, reason = "an example prints what it measured")]
#![expect(clippy::disallowed_methods, reason = "an example may time itself")]

use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use fengsui_store::{AlarmJournal, Intake, JournalRow, RowKind, SeriesStore};
use fengsui_store::{StoreError, StoreOptions};
use fengsui_telemetry::{Fault, Lane, Reading, TimeMs};

const POINTS: u32 = 2_000;
const SECONDS: i64 = 3_600;
const START: i64 = 1_790_000_000_000;
/// Scans of one intake: 10,000 samples.
const SCANS: i64 = 5;
/// Intakes that wait for their acknowledgement at a time.
const UNDER_WAY: usize = 4;
/// Between two alarm rows.
const PACE: Duration = Duration::from_millis(20);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let dir = tempfile::tempdir_in(folder)?;
    let mut sent = 0;
    let store = SeriesStore::open(dir.path(), StoreOptions::default())?;
    store.hold_journal_from(u64::MAX);

    let (wall, written) = (Instant::now(), written_bytes());
    let alarms = Alarms::start(&dir.path().join("alarms.db"))?;
    let (permit, permits) = sync_channel(UNDER_WAY);
    for _ in 0..UNDER_WAY {
        permit.send(true)?;
    }
    for intake in plant() {
        sent += intake.samples.len();
        assert!(permits.recv()?, "a commit failed");
        let permit = permit.clone();
        let done = Box::new(move |seq: Result<u64, _>| {
            permit.send(seq.is_ok()).expect("main waits for every permit");
        });
        store.append(intake, done)?;
    }
    for _ in 0..UNDER_WAY {
        assert!(permits.recv()?, "a commit failed");
    }
    store.seal_now()?;
    let (cpu, wall) = (writer_cpu_s(), wall.elapsed().as_secs_f64());
    let written = written_bytes() - written;
    let sent_f = f64::from(u32::try_from(sent)?);
    println!("samples                {sent}");
    println!("samples / CPU-second   {:.2} M", sent_f / cpu / 1e6);
    println!("samples / second       {:.2} M", sent_f / wall / 1e6);
    println!("bytes written / sample {:.2}", written / sent_f);
    println!("alarm commit           {}", alarms.stop()?);

    store.range(8, TimeMs(START), TimeMs(START + 1_000), 1)?;
    let one = Instant::now();
    let hour = store.range(7, TimeMs(START), TimeMs(START + SECONDS * 1_000), usize::MAX)?;
    println!("1 point, 1 hour        {:?} ({} samples)", one.elapsed(), hour.len());
    let one = Instant::now();
    let plot = store.envelope(7, TimeMs(START), TimeMs(START + SECONDS * 1_000), 600)?;
    println!("600 columns            {:?} ({} columns)", one.elapsed(), plot.len());
    let one = Instant::now();
    let latest = store.latest_all();
    println!("latest of all          {:?} ({} points)", one.elapsed(), latest.len());
    let one = Instant::now();
    let counts = store.count()?;
    println!("count                  {:?} ({} samples)", one.elapsed(), counts.samples);
    assert_eq!(counts.samples, u64::try_from(sent)?, "nothing lost, nothing twice");
    drop(store);
    let one = Instant::now();
    drop(SeriesStore::open(dir.path(), StoreOptions::default())?);
    println!("open                   {:?}", one.elapsed());
    let db = std::fs::metadata(dir.path().join("ts/hot.db"))?.len();
    let chunks = chunk_bytes(&dir.path().join("ts/hot.db"))?;
    println!("chunk bytes / sample   {:.3}", chunks / sent_f);
    println!("file bytes / sample    {:.3}", f64::from(u32::try_from(db)?) / sent_f);
    Ok(())
}

/// Commits one row after another and keeps how long each took.
struct Alarms {
    stop: SyncSender<()>,
    thread: JoinHandle<Vec<Duration>>,
}

impl Alarms {
    fn start(path: &Path) -> Result<Self, StoreError> {
        let journal = AlarmJournal::open(path)?;
        let (stop, stopped) = sync_channel(1);
        let thread = std::thread::spawn(move || {
            let mut took = Vec::new();
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(PACE) {
                let (answer, wait) = sync_channel(1);
                let begun = Instant::now();
                let done = Box::new(move |seqs: Result<Vec<_>, _>| {
                    answer.send(seqs.is_ok()).expect("the sender waits for it");
                });
                journal.append(vec![row(took.len())], done).expect("one at a time is never full");
                assert!(wait.recv().expect("every row is answered"), "a row was not recorded");
                took.push(begun.elapsed());
            }
            took
        });
        Ok(Self { stop, thread })
    }

    fn stop(self) -> Result<String, &'static str> {
        self.stop.send(()).map_err(|_| "the alarm thread panicked")?;
        let mut took = self.thread.join().map_err(|_| "the alarm thread panicked")?;
        took.sort_unstable();
        let at = |percent: usize| took.get(took.len().saturating_sub(1) * percent / 100).copied();
        let (Some(p50), Some(p99), Some(max)) = (at(50), at(99), at(100)) else {
            return Err("no alarm row was recorded");
        };
        Ok(format!("p50 {p50:?}, p99 {p99:?}, max {max:?} of {}", took.len()))
    }
}

fn row(i: usize) -> JournalRow {
    JournalRow {
        id: format!("TK-101.LT/HH/{i}"),
        kind: RowKind::Alarm,
        alarm: "GW-01/TK-101.LT/HH".into(),
        ti: TimeMs(START),
        te: Some(TimeMs(START)),
        from: 'A',
        to: 'B',
        occurrence: 1,
        te_on: Some(TimeMs(START)),
        te_off: None,
        cause: "on".into(),
        flags: String::new(),
        value: Some(88.1),
        by: None,
        comment: String::new(),
        request: String::new(),
        command: None,
        revision: 1,
    }
}

fn plant() -> impl Iterator<Item = Intake> {
    let mut dice = 1_u64;
    let mut roll = move |sides: u64| {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        (dice >> 20) % sides
    };
    let mut state: Vec<i64> = (0..POINTS).map(|p| 300 + i64::from(p) % 400).collect();
    let mut scan = move |now: i64, samples: &mut Vec<(u32, TimeMs, Reading)>| {
        for (point, state) in (1..).zip(&mut state) {
            let reading = match (point % 3, roll(1_000)) {
                (_, 0) if roll(20) == 0 => Reading::Bad(Fault::Timeout),
                (0, dice) => {
                    *state += i64::from(dice < 20) - i64::from(dice > 985);
                    Reading::Good(*state as f64 / 10.0)
                }
                (1, dice) => Reading::Good(if dice < 4 { roll(50) as f64 } else { 0.0 }),
                (_, dice) => {
                    *state += (dice % 3) as i64 - 1;
                    Reading::Good((20_000 + *state) as f64 / 1_000.0)
                }
            };
            samples.push((point, TimeMs(now), reading));
        }
    };
    (0..SECONDS / SCANS).map(move |i| {
        let first = START + i * SCANS * 1_000;
        let mut samples = Vec::with_capacity(10_000);
        for second in 0..SCANS {
            scan(first + second * 1_000, &mut samples);
        }
        let at = i.unsigned_abs() * 5;
        Intake {
            gateway: "GW-01".into(),
            epoch: 1,
            lane: Lane::Live,
            ti: TimeMs(first + SCANS * 1_000),
            samples,
            offsets: vec![(at, at + 5)],
            gaps: Vec::new(),
            locals: Vec::new(),
        }
    })
}

/// User and system time of the store's writer thread, from the kernel's ticks of 10 ms: the plant
/// of this example is not counted.
fn writer_cpu_s() -> f64 {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let stats = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("stat")).ok());
    let writers = stats.filter(|stat| stat.contains("(store-writer)"));
    writers
        .map(|stat| {
            let after = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
            let ticks = after.split(' ').skip(11).take(2).filter_map(|t| t.parse::<f64>().ok());
            ticks.sum::<f64>() / 100.0
        })
        .sum()
}

fn written_bytes() -> f64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    line.and_then(|bytes| bytes.parse().ok()).unwrap_or(f64::NAN)
}

fn chunk_bytes(path: &Path) -> rusqlite::Result<f64> {
    let conn = rusqlite::Connection::open(path)?;
    conn.query_row("SELECT total(length(data)) FROM chunk", [], |row| row.get(0))
}
