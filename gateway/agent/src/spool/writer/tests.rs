//! The spool's thread with a small quota: what it says of its disk when the centre takes up.

use std::path::Path;

use fengsui_telemetry::{Catalogue, ClockQuality, GatewayId, LocalTransition, Reading, Scan};
use tempfile::TempDir;

use super::super::{Spool, SpoolHandle};
use super::*;

/// So large that one pass does not free the eighth that ends the thinning.
const QUOTA: u64 = 16 << 20;
/// Records in one commit.
const BATCH: i64 = 200;
/// What people are promised.
const RECOVERY: Duration = Duration::from_secs(10);

fn catalogue() -> Catalogue {
    Catalogue { enterprise: "示例".into(), installations: Vec::new(), points: Vec::new() }
}

fn open(folder: &Path, config: SpoolConfig) -> Spool {
    let gateway = GatewayId::parse("GW-01").unwrap();
    Spool::open(folder, config, (&gateway, &catalogue()), Clock::start()).unwrap()
}

fn spool(folder: &Path) -> SpoolHandle {
    let config = SpoolConfig { commit_ms: 10, bytes_max: QUOTA };
    open(folder, config).start().unwrap().0
}

/// A hundred readings of one moment.
fn scan(n: i64) -> Record {
    let readings = (0..100).map(|point| (point, Reading::Good(f64::from(point) / 7.0))).collect();
    let body = Body::Scan(Scan { readings, clock: ClockQuality::Rtc });
    Record { te: TimeMs(1_800_000_000_000 + n * 1_000), body }
}

fn send(spool: &SpoolHandle, mut job: Job) {
    while let Err(refused) = spool.send(job) {
        job = refused;
        std::thread::yield_now();
    }
}

/// A commit of its own.
fn write(spool: &SpoolHandle, n: &mut i64) {
    let records = (*n..*n + BATCH).map(scan).collect();
    *n += BATCH;
    send(spool, Job::Append { records, urgent: true });
    let (reply, mut done) = tokio::sync::oneshot::channel();
    send(spool, Job::Flush(reply));
    until("it is committed", || done.try_recv().is_ok());
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let (clock, patience) = (Clock::start(), RECOVERY.as_millis());
    let begun = clock.mono_ms();
    while !holds() {
        assert!(u128::from(clock.mono_ms() - begun) < patience, "not in time: {what}");
        std::thread::yield_now();
    }
}

fn is(state: &watch::Receiver<SpoolState>, storage: Storage) -> bool {
    state.borrow().storage == storage
}

fn thinning(folder: &Path) -> (SpoolHandle, i64) {
    let spool = spool(folder);
    let state = spool.state();
    let mut n = 0;
    until("it thins", || {
        write(&spool, &mut n);
        is(&state, Storage::Thinning)
    });
    (spool, n)
}

#[test]
fn what_the_centre_has_is_room_and_ends_the_thinning_without_a_new_record() {
    let folder = TempDir::new().unwrap();
    let (spool, _) = thinning(folder.path());
    let state = spool.state();
    until("all is written", || {
        let next = state.borrow().next;
        send(&spool, Job::Durable(next));
        let known = state.borrow();
        known.durable_next == known.next
    });
    until("it is fine", || is(&state, Storage::Fine));
    assert!(state.borrow().bytes > QUOTA / 16, "what may be offered again is kept");
    send(&spool, Job::Stop);
}

#[test]
fn a_spool_that_stays_full_of_what_the_centre_has_does_not_thin() {
    let folder = TempDir::new().unwrap();
    let (spool, mut n) = thinning(folder.path());
    let state = spool.state();
    let mut fine = 0;
    until("it is fine, and stays so", || {
        write(&spool, &mut n);
        let next = state.borrow().next;
        send(&spool, Job::Durable(next));
        fine = if is(&state, Storage::Fine) { fine + 1 } else { 0 };
        fine > 100
    });
    send(&spool, Job::Stop);
}

#[test]
fn what_the_centre_does_not_have_is_no_room() {
    let folder = TempDir::new().unwrap();
    let (spool, mut n) = thinning(folder.path());
    let state = spool.state();
    // Each is a look of the thread at a spool that is as full as before.
    for _ in 0..3 {
        write(&spool, &mut n);
        assert_eq!(state.borrow().storage, Storage::Thinning);
    }
    send(&spool, Job::Stop);
}

fn alarm(n: u32) -> Record {
    let transition = LocalTransition {
        alarm: GatewayId::parse("GW-01").unwrap().to_string(),
        occurrence: n.into(),
        from: 'A',
        to: 'B',
        revision: Revision(1),
        value: None,
        why: "on".into(),
        known: TimeMs(1_800_000_000_000),
    };
    Record { te: TimeMs(1_800_000_000_000 + i64::from(n)), body: Body::Transition(transition) }
}

/// A spool whose file may not grow, on a disk that has no room until the folder given back is gone.
fn full(folder: &Path) -> (SpoolHandle, std::thread::JoinHandle<()>, PathBuf) {
    let config = SpoolConfig { commit_ms: 10, bytes_max: QUOTA };
    let spool = open(folder, config);
    let blocked = folder.join("reserve.new");
    std::fs::create_dir(&blocked).unwrap();
    spool.db.hold_size().unwrap();
    let (spool, thread) = spool.start().unwrap();
    (spool, thread, blocked)
}

fn flush(spool: &SpoolHandle) {
    let (reply, mut done) = tokio::sync::oneshot::channel();
    send(spool, Job::Flush(reply));
    until("it is tried", || done.try_recv().is_ok());
}

fn reopened(folder: &Path) -> Db {
    Db::open(folder, TimeMs(1_800_000_000_000)).unwrap()
}

#[test]
fn on_a_full_disk_no_record_waits_for_the_engine_or_gives_way_to_it() {
    let folder = TempDir::new().unwrap();
    let (spool, thread, blocked) = full(folder.path());
    let state = spool.state();
    write(&spool, &mut 0);
    let engine = vec![7; 3 << 20];
    send(&spool, Job::Append { records: vec![alarm(1)], urgent: true });
    send(&spool, Job::Snapshot { limits: Revision(9), bytes: engine.clone() });
    flush(&spool);
    let covers = BATCH.unsigned_abs() + 1;
    assert_eq!(state.borrow().next, covers, "the alarm waits for the engine");
    assert!(is(&state, Storage::Full), "{:?}", state.borrow());
    send(&spool, Job::Append { records: vec![alarm(2)], urgent: true });
    flush(&spool);
    assert_eq!(state.borrow().next, covers + 1);
    assert!(is(&state, Storage::Full), "{:?}", state.borrow());
    std::fs::remove_dir(blocked).unwrap();
    until("there is room", || is(&state, Storage::Fine));
    send(&spool, Job::Stop);
    thread.join().unwrap();
    let mut db = reopened(folder.path());
    let saved = db.snapshot().unwrap().expect("the engine's state is lost");
    assert!(saved.bytes == engine && saved.limits == Revision(9));
    assert_eq!(saved.covers, covers, "an alarm after it is not replayed");
    db.use_catalogue(&catalogue()).unwrap();
    let mut kept = 0;
    db.replay(0, u64::MAX, &mut |record| kept += usize::from(!matches!(record.body, Body::Gap(_))))
        .unwrap();
    assert_eq!(kept as u64, covers + 1, "records gave way to it");
}

/// Alarms until none fits; gives back how many.
fn refusing(spool: &SpoolHandle) -> u64 {
    let (state, mut n) = (spool.state(), 0);
    until("it refuses", || {
        let records: Vec<_> = (n..n + 1_000).map(alarm).collect();
        n += 1_000;
        send(spool, Job::Append { records, urgent: true });
        flush(spool);
        is(&state, Storage::Refusing)
    });
    u64::from(n)
}

#[test]
fn a_spool_that_refuses_finds_the_room_by_itself() {
    let folder = TempDir::new().unwrap();
    let (spool, thread, blocked) = full(folder.path());
    let state = spool.state();
    let alarms = refusing(&spool);
    std::fs::remove_dir(blocked).unwrap();
    until("all is written", || is(&state, Storage::Fine) && state.borrow().next == alarms);
    send(&spool, Job::Stop);
    thread.join().unwrap();
}

#[test]
fn a_spool_that_refuses_asks_for_room_once_more_when_it_ends() {
    let folder = TempDir::new().unwrap();
    let (spool, thread, blocked) = full(folder.path());
    let alarms = refusing(&spool);
    std::fs::remove_dir(blocked).unwrap();
    send(&spool, Job::Stop);
    thread.join().unwrap();
    assert_eq!(reopened(folder.path()).state().next, alarms);
}
