//! Stories of the series store, each on real files.

#![expect(clippy::unwrap_used, reason = "what a test did not expect ends it")]

use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};

use fengsui_store::{Full, GapReason, GapRow, Intake, SeriesStore, StoreError, StoreOptions};
use fengsui_telemetry::{Doubt, Fault, Lane, Reading, TimeMs};
use rusqlite::Connection;

const BUCKET: i64 = 60_000;

fn options() -> StoreOptions {
    StoreOptions { bucket_ms: BUCKET, commit_ms: 1, ..StoreOptions::default() }
}

fn open(dir: &Path) -> SeriesStore {
    SeriesStore::open(dir, options()).unwrap()
}

fn intake(ti: i64, samples: &[(u32, i64, Reading)]) -> Intake {
    Intake {
        gateway: "GW-01".into(),
        epoch: 7,
        lane: Lane::Live,
        ti: TimeMs(ti),
        samples: samples.iter().map(|(p, te, r)| (*p, TimeMs(*te), *r)).collect(),
        offsets: Vec::new(),
        gaps: Vec::new(),
        locals: Vec::new(),
    }
}

fn append(store: &SeriesStore, intake: Intake) -> Result<u64, StoreError> {
    let (answer, wait) = sync_channel(1);
    store.append(intake, Box::new(move |seq| answer.send(seq).unwrap())).unwrap();
    wait.recv().unwrap()
}

fn put(store: &SeriesStore, ti: i64, samples: &[(u32, i64, f64)]) -> u64 {
    let samples: Vec<_> = samples.iter().map(|(p, te, v)| (*p, *te, Reading::Good(*v))).collect();
    append(store, intake(ti, &samples)).unwrap()
}

fn range(store: &SeriesStore, point: u32) -> Vec<(i64, Reading)> {
    let all = store.range(point, TimeMs::MIN, TimeMs::MAX, usize::MAX).unwrap();
    all.into_iter().map(|s| (s.te.0, s.reading)).collect()
}

fn values(store: &SeriesStore, point: u32) -> Vec<(i64, f64)> {
    range(store, point).into_iter().map(|(te, r)| (te, r.value().unwrap())).collect()
}

fn hot_db(dir: &Path) -> Connection {
    Connection::open(dir.join("ts/hot.db")).unwrap()
}

#[test]
fn a_sample_reads_the_same_from_tail_chunk_and_journal() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let readings = [
        (3, -1, Reading::Good(-0.0)),
        (3, 0, Reading::Uncertain(61.2, Doubt::Frozen)),
        (3, 5, Reading::Bad(Fault::Timeout)),
        (3, BUCKET, Reading::Good(f64::MIN_POSITIVE / 2.0)),
        (3, 40 * BUCKET, Reading::Good(1.0 / 3.0)),
    ];
    let want: Vec<(i64, Reading)> = readings.iter().map(|(_, te, r)| (*te, *r)).collect();
    append(&store, intake(0, &readings)).unwrap();
    let bits = |found: &[(i64, Reading)]| {
        let bits = |(te, r): &(i64, Reading)| (*te, r.code(), r.value().map(f64::to_bits));
        found.iter().map(bits).collect::<Vec<_>>()
    };
    assert_eq!(bits(&range(&store, 3)), bits(&want));
    drop(store);
    let store = open(dir.path());
    assert_eq!(bits(&range(&store, 3)), bits(&want), "from the journal");
    store.seal_now().unwrap();
    assert_eq!(store.health().tail_samples, 0);
    assert_eq!(bits(&range(&store, 3)), bits(&want), "from chunks");
    drop(store);
    let store = open(dir.path());
    assert_eq!(bits(&range(&store, 3)), bits(&want), "from chunks after a restart");
    assert_eq!(store.latest(3).map(|s| s.te), Some(TimeMs(40 * BUCKET)));
    assert_eq!(store.last_seq(), 1);
    let counts = store.count().unwrap();
    assert_eq!((counts.samples, counts.good, counts.bad, counts.damaged), (5, 4, 1, 0));
}

#[test]
fn the_later_intake_wins_wherever_the_earlier_one_lies() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.hold_journal_from(u64::MAX);
    put(&store, 0, &[(1, 100, 1.0), (1, 200, 1.0), (1, 300, 1.0)]);
    put(&store, 1, &[(1, 200, 2.0)]);
    assert_eq!(values(&store, 1), [(100, 1.0), (200, 2.0), (300, 1.0)]);
    store.seal_now().unwrap();
    put(&store, 2, &[(1, 100, 3.0), (1, 150, 3.0), (1, 100, 4.0)]);
    let want = [(100, 4.0), (150, 3.0), (200, 2.0), (300, 1.0)];
    assert_eq!(values(&store, 1), want);
    drop(store);
    let store = open(dir.path());
    assert_eq!(values(&store, 1), want);
    store.seal_now().unwrap();
    assert_eq!(values(&store, 1), want);
    assert_eq!(store.count().unwrap().samples, 4);
}

#[test]
fn buckets_seal_when_over_and_quiet_and_the_journal_follows() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.hold_journal_from(u64::MAX);
    let mut ti = 0;
    for second in 0..600 {
        ti = second * 1_000;
        put(&store, ti, &[(1, ti, 1.0), (2, ti, 2.0)]);
    }
    // The open bucket and those within the grace time, at most.
    let tail = store.health().tail_samples;
    assert!(tail < 2 * 120, "{tail} samples are still in memory");
    assert_eq!(store.count().unwrap().samples, 1_200);
    let rows: i64 =
        hot_db(dir.path()).query_row("SELECT count(*) FROM journal", [], |r| r.get(0)).unwrap();
    assert!(rows < 200, "{rows} journal rows are left");
    drop(store);
    let store = open(dir.path());
    assert_eq!(store.count().unwrap().samples, 1_200);
    assert_eq!(store.last_seq(), 600);
    assert_eq!(put(&store, ti, &[(1, ti, 1.0)]), 601);
}

#[test]
fn a_clock_that_steps_back_and_stamps_from_the_future_pin_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    put(&store, 0, &[(1, 0, 1.0), (1, 1_000 * BUCKET, 1.0)]);
    let day = 86_400_000;
    put(&store, day, &[(2, day, 1.0)]);
    put(&store, day + 1, &[(2, day + 1, 1.0)]);
    assert!(store.health().tail_samples < 12, "only the newest bucket is in memory");
    for second in 0..200 {
        put(&store, second * 1_000, &[(2, second * 1_000, 1.0)]);
    }
    put(&store, 500_000, &[(2, 500_000, 1.0)]);
    assert!(store.health().tail_samples < 20);
    assert_eq!(store.count().unwrap().samples, 205);
}

#[test]
fn held_journal_rows_are_replayed_in_order_with_their_own_seqs() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let sent: Vec<Intake> = (0..50)
        .map(|i| {
            let reading = if i % 7 == 0 {
                Reading::Bad(Fault::BadFrame)
            } else {
                Reading::Good(i as f64 / 7.0)
            };
            Intake {
                lane: if i % 2 == 0 { Lane::Live } else { Lane::Backlog },
                epoch: u64::MAX - 3,
                offsets: vec![(i, i + 1)],
                gaps: vec![gap(i as i64)],
                locals: Vec::new(),
                ..intake(i as i64, &[(5, i as i64 * BUCKET, reading), (9, -5, Reading::Good(0.5))])
            }
        })
        .collect();
    let (answer, wait) = sync_channel(1_000);
    for intake in &sent {
        let answer = answer.clone();
        let done = Box::new(move |seq: Result<u64, StoreError>| answer.send(seq.unwrap()).unwrap());
        store.append(intake.clone(), done).unwrap();
    }
    let seqs: Vec<u64> = wait.iter().take(50).collect();
    assert_eq!(seqs, (1..=50).collect::<Vec<_>>());
    store.seal_now().unwrap();
    let replayed = |store: &SeriesStore, after| {
        let mut found = Vec::new();
        store.replay(after, &mut |seq, intake| found.push((seq, intake.clone()))).unwrap();
        found
    };
    let want: Vec<(u64, Intake)> = (1..).zip(sent).collect();
    assert_eq!(replayed(&store, 0), want);
    assert_eq!(replayed(&store, 20), want[20..]);
    drop(store);
    let store = open(dir.path());
    assert_eq!(replayed(&store, 0), want, "nothing is let go before the engine says so");
    store.hold_journal_from(30);
    put(&store, 100, &[(5, 100, 1.0)]);
    store.seal_now().unwrap();
    let left = replayed(&store, 30);
    assert_eq!(left[..20], want[30..]);
    assert_eq!(store.count().unwrap().samples, 52);
}

fn gap(from: i64) -> GapRow {
    GapRow {
        gateway: "GW-01".into(),
        from: TimeMs(from),
        to: TimeMs(from + 10),
        records: 3,
        cause: GapReason::SpoolFull,
        points: vec![4, 5],
        detail: "thinned".into(),
    }
}

#[test]
fn gaps_and_ledgers_are_as_durable_as_the_samples_and_repeat_without_harm() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let with = |offsets: &[(u64, u64)], gaps: Vec<GapRow>| Intake {
        offsets: offsets.to_vec(),
        gaps,
        locals: Vec::new(),
        ..intake(0, &[(1, 0, Reading::Good(1.0))])
    };
    append(&store, with(&[(0, 5), (8, 9)], vec![gap(100)])).unwrap();
    append(&store, with(&[(0, 5)], vec![gap(100), gap(500)])).unwrap();
    append(&store, with(&[(5, 8)], vec![])).unwrap();
    append(&store, with(&[(u64::MAX - 1, u64::MAX)], vec![])).unwrap();
    let look = |store: &SeriesStore| {
        let ledgers: Vec<_> = store
            .ledgers()
            .unwrap()
            .into_iter()
            .map(|r| (r.gateway, r.epoch, r.lo, r.hi))
            .collect();
        assert_eq!(
            ledgers,
            [("GW-01".to_owned(), 7, 0, 9), ("GW-01".to_owned(), 7, u64::MAX - 1, u64::MAX)]
        );
        assert_eq!(store.gaps(TimeMs::MIN, TimeMs::MAX).unwrap(), [gap(100), gap(500)]);
        assert_eq!(store.gaps(TimeMs(111), TimeMs(500)).unwrap(), []);
        assert_eq!(store.gaps(TimeMs(110), TimeMs(111)).unwrap(), [gap(100)]);
    };
    look(&store);
    drop(store);
    let store = open(dir.path());
    look(&store);
    append(&store, with(&[(9, 12)], vec![])).unwrap();
    assert_eq!(store.ledgers().unwrap()[0].hi, 12);
}

#[test]
fn a_plot_shows_every_spike_and_every_hole() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let samples: Vec<(u32, i64, f64)> = (0..600_i64)
        .filter(|i| !(200..300).contains(i))
        .map(|i| (1, i * 1_000, if i == 455 { 99.0 } else { (i % 10) as f64 }))
        .collect();
    put(&store, 0, &samples[..300]);
    store.seal_now().unwrap();
    put(&store, 0, &samples[300..]);
    append(&store, intake(0, &[(1, 205_000, Reading::Bad(Fault::Timeout))])).unwrap();
    let plot = store.envelope(1, TimeMs(0), TimeMs(600_000), 60).unwrap();
    assert_eq!(plot.len(), 60);
    assert_eq!(plot[45].max, Some(99.0));
    assert_eq!((plot[0].min, plot[0].max, plot[0].last), (Some(0.0), Some(9.0), Some(9.0)));
    assert_eq!((plot[0].t, plot[1].t), (TimeMs(0), TimeMs(10_000)));
    assert_eq!((plot[20].n_good, plot[20].n_bad, plot[20].min), (0, 1, None));
    assert_eq!((plot[21].n_good, plot[21].n_bad), (0, 0));
    assert_eq!(plot.iter().map(|b| b.n_good).sum::<u64>(), 500);
    assert_eq!(store.envelope(1, TimeMs(0), TimeMs(3), 600).unwrap().len(), 3);
    assert!(store.envelope(1, TimeMs(5), TimeMs(5), 600).unwrap().is_empty());
    assert_eq!(store.envelope(1, TimeMs::MIN, TimeMs::MAX, 2).unwrap()[1].n_good, 500);
    let some = store.range(1, TimeMs(10_000), TimeMs(20_000), 3).unwrap();
    assert_eq!(some.iter().map(|s| s.te.0).collect::<Vec<_>>(), [10_000, 11_000, 12_000]);
    assert_eq!(store.range(1, TimeMs(10_000), TimeMs(20_000), 99).unwrap().len(), 10);
}

#[test]
fn a_full_queue_says_so_and_loses_nothing_that_it_took() {
    let dir = tempfile::tempdir().unwrap();
    let store = SeriesStore::open(dir.path(), StoreOptions { queue: 3, ..options() }).unwrap();
    let (release, blocked) = sync_channel::<()>(0);
    let (started, start) = sync_channel(1_000);
    let wait_here = Box::new(move |_| {
        started.send(()).unwrap();
        blocked.recv().unwrap();
    });
    store.append(intake(0, &[(1, 0, Reading::Good(0.0))]), wait_here).unwrap();
    start.recv().unwrap();
    let (answer, wait): (_, Receiver<u64>) = sync_channel(1_000);
    let mut taken = 0;
    loop {
        let answer = answer.clone();
        let next = intake(0, &[(1, taken + 1, Reading::Good(1.0))]);
        match store.append(next, Box::new(move |seq| answer.send(seq.unwrap()).unwrap())) {
            Ok(()) => taken += 1,
            Err(Full) => break,
        }
    }
    assert_eq!(taken, 3);
    release.send(()).unwrap();
    assert_eq!(wait.iter().take(3).count(), 3);
    assert_eq!(store.count().unwrap().samples, 4);
}

#[test]
fn a_poisoned_chunk_is_a_gap_and_the_rest_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let samples: Vec<(u32, i64, f64)> = (0..180).map(|i| (1, i * 1_000, i as f64)).collect();
    put(&store, 0, &samples);
    store.seal_now().unwrap();
    drop(store);
    let changed = hot_db(dir.path())
        .execute("UPDATE chunk SET data = zeroblob(length(data)) WHERE id = (1 << 24) | 1", [])
        .unwrap();
    assert_eq!(changed, 1);

    let store = open(dir.path());
    assert_eq!(range(&store, 1).len(), 120);
    let gaps = store.gaps(TimeMs(0), TimeMs(180_000)).unwrap();
    assert_eq!(gaps.len(), 1);
    assert_eq!((gaps[0].from.0, gaps[0].to.0, gaps[0].records), (BUCKET, 2 * BUCKET, 60));
    assert_eq!((gaps[0].cause, &gaps[0].points[..]), (GapReason::StoreDamaged, &[1][..]));
    let counts = store.count().unwrap();
    assert_eq!((counts.samples, counts.damaged), (120, 1));
    assert_eq!(store.health().damaged, 1, "counted once, however often it is read");

    // New samples of that bucket are stored; the damaged bytes are kept aside, the gap stays.
    put(&store, 0, &[(1, BUCKET + 1, 5.0)]);
    store.seal_now().unwrap();
    assert_eq!(range(&store, 1).len(), 121);
    drop(store);
    let store = open(dir.path());
    assert_eq!(store.gaps(TimeMs(0), TimeMs(180_000)).unwrap().len(), 1);
    assert_eq!(store.count().unwrap().damaged, 0);
    let aside: i64 = hot_db(dir.path())
        .query_row("SELECT count(*) FROM aside WHERE what = 'chunk'", [], |r| r.get(0))
        .unwrap();
    assert_eq!(aside, 1);
}

#[test]
fn a_poisoned_journal_row_is_a_gap_and_the_start_needs_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    put(&store, 0, &[(1, 1_000, 1.0)]);
    put(&store, 0, &[(1, 2_000, 2.0)]);
    put(&store, 0, &[(1, 3_000, 3.0)]);
    drop(store);
    for seq in [2, 3] {
        let changed = hot_db(dir.path())
            .execute("UPDATE journal SET data = x'0102030405060708' WHERE seq = ?1", [seq])
            .unwrap();
        assert_eq!(changed, 1);
    }
    for _ in 0..2 {
        let store = open(dir.path());
        assert_eq!(values(&store, 1), [(1_000, 1.0)]);
        let gaps = store.gaps(TimeMs::MIN, TimeMs::MAX).unwrap();
        assert_eq!(gaps.iter().map(|g| g.from.0).collect::<Vec<_>>(), [2_000, 3_000]);
        assert!(gaps.iter().all(|g| g.cause == GapReason::StoreDamaged));
        let mut seqs = Vec::new();
        store.replay(0, &mut |seq, _| seqs.push(seq)).unwrap();
        assert_eq!(seqs, [1]);
    }
    let store = open(dir.path());
    assert_eq!(put(&store, 0, &[(1, 4_000, 4.0)]), 4, "a seq is never given twice");
}

#[test]
fn what_cannot_be_filed_is_a_gap_and_what_cannot_be_a_number_is_bad() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let odd = [
        (1, i64::MAX, Reading::Good(1.0)),
        (2, i64::MIN, Reading::Good(1.0)),
        (3, 0, Reading::Good(f64::NAN)),
    ];
    append(&store, intake(77, &odd)).unwrap();
    assert_eq!(store.count().unwrap().samples, 1);
    assert_eq!(range(&store, 3), [(0, Reading::Bad(Fault::NotANumber))]);
    let gaps = store.gaps(TimeMs(77), TimeMs(78)).unwrap();
    assert_eq!((gaps[0].cause, gaps[0].records), (GapReason::StampUnusable, 2));
    assert_eq!(gaps[0].points, [1, 2]);
    let refused = append(&store, intake(0, &[(1 << 24, 0, Reading::Good(1.0))]));
    assert!(matches!(refused, Err(StoreError::PointNumber { point: 0x0100_0000 })));
}

#[test]
fn a_second_process_and_another_bucket_length_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    assert!(matches!(SeriesStore::open(dir.path(), options()), Err(StoreError::InUse { .. })));
    drop(store);
    let other = StoreOptions { bucket_ms: 600_000, ..options() };
    let refused = SeriesStore::open(dir.path(), other);
    assert!(matches!(refused, Err(StoreError::Format { key: "bucket_ms", .. })));
    let odd = StoreOptions { bucket_ms: 7_000, ..options() };
    assert!(matches!(SeriesStore::open(dir.path(), odd), Err(StoreError::Option { .. })));
    open(dir.path());
}

#[test]
fn a_failed_commit_answers_err_and_the_store_recovers_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    put(&store, 0, &[(1, 0, 1.0)]);
    let saboteur = hot_db(dir.path());
    let refuse = "CREATE TRIGGER no BEFORE INSERT ON journal BEGIN SELECT RAISE(FAIL, 'disk'); END";
    saboteur.execute_batch(refuse).unwrap();
    let failed = append(&store, intake(0, &[(1, 1, Reading::Good(2.0))]));
    assert!(matches!(failed, Err(StoreError::Database { .. })), "{failed:?}");
    assert_eq!(values(&store, 1), [(0, 1.0)], "what was not committed is not shown");
    saboteur.execute_batch("DROP TRIGGER no").unwrap();
    drop(saboteur);
    assert_eq!(put(&store, 0, &[(1, 1, 2.0)]), 2);
    assert_eq!(values(&store, 1), [(0, 1.0), (1, 2.0)]);
    assert_eq!(store.health().failed_commits, 1);
    assert!(store.health().writing);
}

#[test]
fn a_callback_that_panics_harms_only_itself() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let quiet = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    store.append(intake(0, &[(1, 0, Reading::Good(1.0))]), Box::new(|_| panic!("oh"))).unwrap();
    put(&store, 0, &[(1, 1, 2.0)]);
    std::panic::set_hook(quiet);
    assert_eq!(store.count().unwrap().samples, 2);
}

#[test]
fn memory_over_its_bound_is_sealed_early() {
    let dir = tempfile::tempdir().unwrap();
    let small = StoreOptions { tail_max: 1_000, ..options() };
    let store = SeriesStore::open(dir.path(), small).unwrap();
    for i in 0..100 {
        let many: Vec<(u32, i64, f64)> = (0..100).map(|p| (p, i, 1.0)).collect();
        put(&store, 0, &many);
    }
    let tail = store.health().tail_samples;
    assert!(tail <= 2_000, "{tail} samples are in memory");
    assert_eq!(store.count().unwrap().samples, 10_000);
}

#[test]
fn readers_never_miss_what_is_sealed_under_them() {
    let dir = tempfile::tempdir().unwrap();
    let quick = StoreOptions { bucket_ms: 1_000, grace_ms: 0, seals_per_commit: 2, ..options() };
    let store = SeriesStore::open(dir.path(), quick).unwrap();
    store.hold_journal_from(u64::MAX);
    let durable = AtomicI64::new(0);
    std::thread::scope(|scope| {
        for reader in 0..2 {
            let (store, durable) = (store.clone(), &durable);
            scope.spawn(move || {
                loop {
                    let before = durable.load(Ordering::Acquire);
                    let found =
                        store.range(7, TimeMs(0), TimeMs(before * 100), usize::MAX).unwrap();
                    let stamps: Vec<i64> = found.iter().map(|s| s.te.0).collect();
                    assert_eq!(stamps, (0..before).map(|i| i * 100).collect::<Vec<_>>());
                    if reader == 1 {
                        let counted = store.count().unwrap().samples;
                        assert!(counted >= 3 * before.unsigned_abs(), "{counted} of {before}");
                        assert!(
                            counted <= 3 * (durable.load(Ordering::Acquire).unsigned_abs() + 1)
                        );
                    }
                    if before == 600 {
                        return;
                    }
                }
            });
        }
        for i in 0..600 {
            put(&store, i * 100, &[(7, i * 100, 1.0), (8, i * 100, 1.0), (9, i * 100, 1.0)]);
            durable.store(i + 1, Ordering::Release);
        }
    });
    assert!(store.health().tail_samples < 200, "seals went on under the readers");
}

#[test]
fn a_reader_beside_the_writer_sees_what_was_durable_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    assert!(SeriesStore::open_beside(dir.path()).is_err(), "nothing to read");
    assert!(!dir.path().join("ts").exists(), "and nothing made");
    let store = open(dir.path());
    put(&store, 0, &[(3, 10, 1.0), (3, BUCKET + 10, 2.0)]);
    store.seal_now().unwrap();
    put(&store, 1, &[(3, 20, 3.0)]);
    let beside = SeriesStore::open_beside(dir.path()).unwrap();
    let seen = vec![(10, 1.0), (20, 3.0), (BUCKET + 10, 2.0)];
    assert_eq!(values(&beside, 3), seen);
    put(&store, 2, &[(3, 30, 4.0)]);
    assert_eq!(values(&beside, 3), seen, "what came later is not seen");
    store.seal_now().unwrap();
    // What was in its tail is in a chunk by now: once, not twice.
    let now: Vec<_> = values(&beside, 3).into_iter().filter(|(te, _)| *te != 30).collect();
    assert_eq!(now, seen);
    assert!(beside.append(intake(9, &[]), Box::new(|_| {})).is_err(), "it takes nothing");
    assert!(beside.seal_now().is_err());
}
