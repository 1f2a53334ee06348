//! kill -9 at random moments: what was acknowledged is there, exactly once.
//!
//! The test starts its own executable again as the victim, reads its acknowledgements from a pipe
//! and kills it after so many of them. Then it opens what is left and compares it with what the
//! ledger says: all samples of every offset in it, and none of any other.

#![expect(clippy::unwrap_used, reason = "what a test did not expect ends it")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::sync_channel;

use fengsui_store::{AlarmJournal, Intake, JournalRow, RowKind, SeriesStore, StoreOptions};
use fengsui_telemetry::{Lane, Reading, TimeMs};

const FOLDER: &str = "FENGSUI_CRASH_FOLDER";
const ROUNDS: u64 = 15;
const BUCKET: i64 = 60_000;
const POINTS: u32 = 12;
/// Intakes under way in the victim: more than one group commit takes.
const UNDER_WAY: usize = 40;
/// The point whose few times are written again and again.
const CORRECTED: u32 = 99;

fn options() -> StoreOptions {
    StoreOptions {
        bucket_ms: BUCKET,
        commit_ms: 2,
        commit_samples: 120,
        grace_ms: 3_000,
        seals_per_commit: 5,
        ..StoreOptions::default()
    }
}

fn value(point: u32, te: i64) -> f64 {
    ((te / 10 + i64::from(point) * 7) % 1_000) as f64 / 10.0
}

/// Intake i: a scan half a second after the last, one sample minutes late, one correction.
fn intake(i: u64) -> Intake {
    let now = 1_000_000 + i64::try_from(i).unwrap() * 500;
    let mut samples: Vec<(u32, TimeMs, Reading)> =
        (0..POINTS).map(|p| (p, TimeMs(now), Reading::Good(value(p, now)))).collect();
    let late = now - 7 * BUCKET + 250;
    samples.push((0, TimeMs(late), Reading::Good(value(0, late))));
    let slot = i64::try_from(i % 50).unwrap() * 10_000;
    samples.push((CORRECTED, TimeMs(slot), Reading::Good(i as f64)));
    Intake {
        gateway: "GW-01".into(),
        epoch: 3,
        lane: Lane::Live,
        ti: TimeMs(now),
        samples,
        offsets: vec![(i, i + 1)],
        gaps: Vec::new(),
        locals: Vec::new(),
    }
}

fn row(i: u64) -> JournalRow {
    JournalRow {
        id: format!("row-{i}"),
        kind: RowKind::Alarm,
        alarm: "GW-01/TK-101.LT/HH".into(),
        ti: TimeMs(i64::try_from(i).unwrap()),
        te: None,
        from: 'A',
        to: 'B',
        occurrence: i,
        te_on: None,
        te_off: None,
        cause: "on".into(),
        flags: String::new(),
        value: Some(88.1),
        by: None,
        comment: "液位高高".into(),
        request: String::new(),
        command: None,
        revision: u64::MAX,
    }
}

fn say(word: &str, i: u64) {
    let mut out = std::io::stdout().lock();
    // A line of its own, whatever the test harness has written before.
    write!(out, "\n{word} {i}\n").unwrap();
    out.flush().unwrap();
}

fn next_offset(store: &SeriesStore) -> u64 {
    store.ledgers().unwrap().first().map_or(0, |row| row.hi)
}

/// Does nothing unless the other test has started it.
#[test]
fn victim() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let folder = Path::new(&folder);
    let store = SeriesStore::open(folder, options()).unwrap();
    let journal = AlarmJournal::open(&folder.join("alarms.db")).unwrap();
    store.hold_journal_from(u64::MAX);
    let (permit, permits) = sync_channel(UNDER_WAY);
    // The last ones once more, as a gateway does that has not heard the acknowledgement.
    for i in next_offset(&store).saturating_sub(15).. {
        let (answer, returned) = (permit.clone(), permit.clone());
        let rows = vec![row(i)];
        journal
            .append(
                rows,
                Box::new(move |seqs| {
                    assert_eq!(seqs.unwrap().len(), 1);
                    say("ROW", i);
                    returned.send(()).unwrap();
                }),
            )
            .unwrap();
        store
            .append(
                intake(i),
                Box::new(move |seq| {
                    seq.unwrap();
                    say("ACK", i);
                    answer.send(()).unwrap();
                }),
            )
            .unwrap();
        if i >= UNDER_WAY as u64 / 4 {
            permits.recv().unwrap();
            permits.recv().unwrap();
        }
    }
}

#[derive(Default)]
struct Heard {
    acknowledged: Option<u64>,
    rows: Option<u64>,
}

/// Starts the victim, kills it after so many acknowledgements and says what it had promised.
fn run_and_kill(folder: &Path, after: u64) -> Heard {
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "victim", "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let lines = BufReader::new(victim.stdout.take().unwrap()).lines();
    let mut heard = Heard::default();
    let mut left = after;
    if left == 0 {
        victim.kill().unwrap();
    }
    // After the kill too: what stands in the pipe was promised.
    for line in lines {
        let Ok(line) = line else { break };
        if let Some(i) = line.strip_prefix("ACK ").and_then(|i| i.parse().ok()) {
            heard.acknowledged = heard.acknowledged.max(Some(i));
            left = left.saturating_sub(1);
            if left == 0 {
                victim.kill().unwrap();
            }
        } else if let Some(i) = line.strip_prefix("ROW ").and_then(|i| i.parse().ok()) {
            heard.rows = heard.rows.max(Some(i));
        }
    }
    victim.wait().unwrap();
    heard
}

fn check_store(folder: &Path, acknowledged: Option<u64>, round: u64) {
    let store = SeriesStore::open(folder, options()).unwrap();
    let ledgers = store.ledgers().unwrap();
    assert!(ledgers.len() <= 1, "round {round}: offsets came in order, so they are one range");
    let held = next_offset(&store);
    assert!(acknowledged.is_none_or(|last| last < held), "round {round}: lost an acknowledged one");
    let mut want = BTreeMap::new();
    for i in 0..held {
        want.extend(intake(i).samples.into_iter().map(|(p, te, r)| ((p, te.0), r.value())));
    }
    let mut found = BTreeMap::new();
    let mut n = 0;
    for point in (0..POINTS).chain([CORRECTED]) {
        for sample in store.range(point, TimeMs::MIN, TimeMs::MAX, usize::MAX).unwrap() {
            n += 1;
            found.insert((point, sample.te.0), sample.reading.value());
        }
    }
    assert_eq!(n, found.len(), "round {round}: something is there twice");
    let wrong: Vec<_> = want.iter().filter(|(key, v)| found.get(key) != Some(v)).take(5).collect();
    assert!(wrong.is_empty(), "round {round}, held {held}: wanted {wrong:?}");
    assert_eq!(found.len(), want.len(), "round {round}: something is there that nobody sent");
    assert_eq!(store.count().unwrap().samples, want.len() as u64, "round {round}");
}

fn check_journal(folder: &Path, acknowledged: Option<u64>, round: u64) {
    let journal = AlarmJournal::open(&folder.join("alarms.db")).unwrap();
    let verified = journal.verify().unwrap();
    let rows = journal.page(0, usize::MAX).unwrap();
    assert_eq!(verified.rows, rows.len() as u64);
    assert!(acknowledged.is_none_or(|last| last < verified.rows), "round {round}: lost a row");
    for (i, stored) in (0..).zip(&rows) {
        assert_eq!(stored.row, row(i), "round {round}: each row once, in order");
    }
}

#[test]
fn what_was_acknowledged_survives_kill_9_exactly_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = None;
    let mut rows = None;
    for round in 0..ROUNDS {
        let after = [0, 1, 2, 40, 150, 300, 77][usize::try_from(round % 7).unwrap()] + round * 3;
        let heard = run_and_kill(dir.path(), if round == 0 { 0 } else { after });
        acknowledged = acknowledged.max(heard.acknowledged);
        rows = rows.max(heard.rows);
        check_store(dir.path(), acknowledged, round);
        check_journal(dir.path(), rows, round);
    }
    assert!(acknowledged > Some(1_000), "the victim did work: {acknowledged:?}");
}
