//! Stories of the alarm journal, each on real files.

#![expect(clippy::unwrap_used, reason = "what a test did not expect ends it")]

use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;

use fengsui_store::{
    AlarmJournal, ChainFault, EngineInput, InputLog, JournalReader, JournalRow, RowKind, Snapshot,
    StoreError,
};
use fengsui_telemetry::TimeMs;
use rusqlite::Connection;

fn row(i: i64) -> JournalRow {
    JournalRow {
        id: format!("TK-101/{i}"),
        kind: RowKind::Alarm,
        alarm: format!("GW-01/TK-{}.LT/HH", i % 3),
        ti: TimeMs(i),
        te: (i % 2 == 0).then_some(TimeMs(-i)),
        from: 'A',
        to: 'B',
        occurrence: i.cast_unsigned(),
        te_on: (i % 3 == 0).then_some(TimeMs(i - 1)),
        te_off: (i % 6 == 0).then_some(TimeMs(i + 1)),
        cause: "on".into(),
        flags: "late rev".into(),
        value: (i % 4 != 0).then_some(0.1 * i as f64),
        by: (i % 5 == 0).then(|| "值班员".into()),
        comment: "液位高高".into(),
        request: String::new(),
        command: (i % 5 == 0).then(|| "{}".into()),
        revision: u64::MAX - i.cast_unsigned(),
    }
}

fn append(journal: &AlarmJournal, rows: Vec<JournalRow>) -> Result<Vec<Option<u64>>, StoreError> {
    let (answer, wait) = sync_channel(1);
    journal.append(rows, Box::new(move |seqs| answer.send(seqs).unwrap())).unwrap();
    wait.recv().unwrap()
}

fn journal_of(dir: &Path, rows: i64) -> (AlarmJournal, PathBuf) {
    let path = dir.join("alarms.db");
    let journal = AlarmJournal::open(&path).unwrap();
    append(&journal, (1..=rows).map(row).collect()).unwrap();
    (journal, path)
}

/// As somebody would who has the file and knows SQLite.
fn tamper(path: &Path, sql: &str) {
    let conn = Connection::open(path).unwrap();
    conn.execute_batch(
        "DROP TRIGGER IF EXISTS journal_no_update; DROP TRIGGER IF EXISTS journal_no_delete",
    )
    .unwrap();
    conn.execute_batch(sql).unwrap();
}

fn faults(path: &Path) -> Vec<ChainFault> {
    AlarmJournal::open(path).unwrap().verify().unwrap_err()
}

#[test]
fn rows_come_back_as_they_went_in_page_by_page() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, path) = journal_of(dir.path(), 10);
    assert_eq!(journal.last_seq(), 10);
    let page = journal.page(3, 4).unwrap();
    assert_eq!(page.iter().map(|r| r.seq).collect::<Vec<_>>(), [4, 5, 6, 7]);
    for stored in &page {
        assert_eq!(stored.row, row(stored.seq.cast_signed()));
    }
    assert_eq!(journal.newest(2).unwrap().iter().map(|r| r.seq).collect::<Vec<_>>(), [10, 9]);
    let of_alarm = journal.of_alarm("GW-01/TK-1.LT/HH", 2).unwrap();
    assert_eq!(of_alarm.iter().map(|r| r.seq).collect::<Vec<_>>(), [10, 7]);
    assert_eq!(journal.verify().unwrap().rows, 10);
    drop(journal);
    let journal = AlarmJournal::open(&path).unwrap();
    assert_eq!(journal.last_seq(), 10);
    let verified = journal.verify().unwrap();
    assert_eq!((verified.rows, verified.head), (10, journal.head().unwrap()));
    assert_eq!(append(&journal, vec![row(11)]).unwrap(), [Some(11)]);
    assert_eq!(journal.verify().unwrap().rows, 11);
}

#[test]
fn the_same_fact_is_recorded_once_within_and_across_batches() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = journal_of(dir.path(), 2);
    let seqs = append(&journal, vec![row(2), row(3), row(3), row(1), row(4)]).unwrap();
    assert_eq!(seqs, [None, Some(3), None, None, Some(4)]);
    assert_eq!(append(&journal, vec![row(4)]).unwrap(), [None]);
    assert_eq!(append(&journal, vec![]).unwrap(), []);
    assert_eq!(journal.verify().unwrap().rows, 4);
}

#[test]
fn what_sqlite_would_round_is_rounded_before_it_is_hashed() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = journal_of(dir.path(), 0);
    let odd = [-0.0, f64::MIN_POSITIVE / 8.0, 9_007_199_254_740_994.0, 1e300, f64::NAN, 88.0];
    let rows = odd.iter().zip(1..).map(|(v, i)| JournalRow { value: Some(*v), ..row(i) });
    append(&journal, rows.collect()).unwrap();
    assert_eq!(journal.verify().unwrap().rows, 6);
    let back: Vec<Option<f64>> =
        journal.page(0, 9).unwrap().into_iter().map(|r| r.row.value).collect();
    assert_eq!(back[1..4], [Some(odd[1]), Some(odd[2]), Some(odd[3])]);
    assert_eq!((back[0], back[4]), (Some(0.0), None));
}

#[test]
fn sql_itself_refuses_to_change_or_delete() {
    let dir = tempfile::tempdir().unwrap();
    let (_journal, path) = journal_of(dir.path(), 2);
    let conn = Connection::open(path).unwrap();
    for sql in ["UPDATE journal SET comment = ''", "DELETE FROM journal WHERE seq = 2"] {
        let refused = conn.execute(sql, []).unwrap_err().to_string();
        assert!(refused.contains("append-only"), "{refused}");
    }
}

#[test]
fn every_altered_column_is_found_at_its_row() {
    let columns = [
        ("id", "'x'"),
        ("kind", "'gateway'"),
        ("alarm", "'x'"),
        ("ti", "ti + 1"),
        ("te", "7"),
        ("letter_from", "'C'"),
        ("letter_to", "'A'"),
        ("occurrence", "occurrence + 1"),
        ("te_on", "NULL"),
        ("te_off", "5"),
        ("cause", "'off'"),
        ("flags", "''"),
        ("value", "value * 2"),
        ("by_whom", "'x'"),
        ("comment", "''"),
        ("request", "'x'"),
        ("command", "''"),
        ("revision", "0"),
    ];
    for (column, change) in columns {
        let dir = tempfile::tempdir().unwrap();
        let (journal, path) = journal_of(dir.path(), 7);
        drop(journal);
        tamper(&path, &format!("UPDATE journal SET {column} = {change} WHERE seq = 3"));
        assert_eq!(faults(&path), [ChainFault::Altered { seq: 3 }], "{column}");
    }
}

#[test]
fn a_letter_with_anything_beside_it_is_found_and_its_row_is_still_read() {
    for column in ["letter_from", "letter_to"] {
        let spaced = format!("{column} || ' '");
        let ended = format!("{column} || char(0)");
        let blob = format!("CAST({column} AS BLOB)");
        for change in [spaced.as_str(), &ended, &blob, "''", "'AB'"] {
            let dir = tempfile::tempdir().unwrap();
            let (journal, path) = journal_of(dir.path(), 7);
            drop(journal);
            tamper(&path, &format!("UPDATE journal SET {column} = {change} WHERE seq = 3"));
            assert_eq!(faults(&path), [ChainFault::Altered { seq: 3 }], "{column} {change}");
            let journal = AlarmJournal::open(&path).unwrap();
            let rows = journal.page(0, 100).unwrap();
            assert_eq!(rows.len(), 7, "{column} {change}");
            // What can still be told from it is: an alarm that stood goes on standing.
            let first = change == "'AB'" && column == "letter_from";
            let told = first || change == spaced || change == ended;
            assert_eq!((rows[2].row.from, rows[2].row.to) == ('A', 'B'), told, "{column} {change}");
        }
    }
}

#[test]
fn a_removed_inserted_or_rehashed_row_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, path) = journal_of(dir.path(), 7);
    drop(journal);
    tamper(&path, "DELETE FROM journal WHERE seq = 4");
    assert_eq!(faults(&path), [ChainFault::Broken { seq: 5, after: 3 }]);

    let dir = tempfile::tempdir().unwrap();
    let (journal, path) = journal_of(dir.path(), 7);
    drop(journal);
    // Two rows change places, hashes and all.
    tamper(
        &path,
        "UPDATE journal SET seq = 99 WHERE seq = 4; UPDATE journal SET seq = 4 WHERE seq = 5;
         UPDATE journal SET seq = 5 WHERE seq = 99;",
    );
    let found = faults(&path);
    assert!(found.contains(&ChainFault::Altered { seq: 4 }), "{found:?}");
    assert!(found.contains(&ChainFault::Broken { seq: 4, after: 3 }), "{found:?}");
}

#[test]
fn a_cut_tail_is_found_now_and_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, path) = journal_of(dir.path(), 7);
    tamper(&path, "DELETE FROM journal WHERE seq > 5");
    assert_eq!(journal.verify(), Err(vec![ChainFault::Cut { remembered: 7, found: 5 }]));
    drop(journal);
    // The next start goes on, and its first row says what happened.
    let journal = AlarmJournal::open(&path).unwrap();
    assert_eq!(journal.last_seq(), 6);
    append(&journal, vec![row(20), row(21), row(22)]).unwrap();
    drop(journal);
    let found = faults(&path);
    assert!(matches!(&found[..], [ChainFault::CutBefore { seq: 6, .. }]), "{found:?}");
}

#[test]
fn a_tail_cut_with_its_side_file_is_found_by_a_head_kept_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, path) = journal_of(dir.path(), 7);
    let kept = journal.head().unwrap();
    assert_eq!(journal.verify_against(kept).unwrap().rows, 7);
    append(&journal, vec![row(8)]).unwrap();
    assert_eq!(journal.verify_against(kept).unwrap().rows, 8, "growing is no fault");
    drop(journal);
    tamper(&path, "DELETE FROM journal WHERE seq > 5");
    std::fs::remove_file(path.with_extension("head")).unwrap();
    let journal = AlarmJournal::open(&path).unwrap();
    let cut = ChainFault::Cut { remembered: 7, found: 5 };
    assert_eq!(journal.verify_against(kept), Err(vec![cut]));
    // Rewritten to the same length: another hash at the remembered place.
    append(&journal, vec![row(30), row(31)]).unwrap();
    assert_eq!(journal.verify_against(kept), Err(vec![ChainFault::Replaced { seq: 7 }]));
}

#[test]
fn a_lost_side_file_is_a_fault_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, path) = journal_of(dir.path(), 3);
    std::fs::write(path.with_extension("head"), "gone").unwrap();
    assert_eq!(journal.verify(), Err(vec![ChainFault::HeadLost { rows: 3 }]));
}

#[test]
fn many_callers_are_all_answered_and_the_chain_holds() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = journal_of(dir.path(), 0);
    let (answer, wait) = sync_channel(1_000);
    std::thread::scope(|scope| {
        for part in 0..4 {
            let (journal, answer) = (journal.clone(), answer.clone());
            scope.spawn(move || {
                for i in 0..50 {
                    let answer = answer.clone();
                    let rows = vec![row(part * 1_000 + i), row(5_000 + i)];
                    let done = Box::new(move |seqs: Result<Vec<_>, _>| {
                        answer.send(seqs.unwrap().into_iter().flatten().count()).unwrap();
                    });
                    journal.append(rows, done).unwrap();
                }
            });
        }
    });
    assert_eq!(wait.iter().take(200).sum::<usize>(), 250);
    assert_eq!(journal.verify().unwrap().rows, 250);
}

#[test]
fn a_snapshot_is_replaced_checked_and_no_part_of_the_chain() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, path) = journal_of(dir.path(), 2);
    assert_eq!(journal.load_snapshot().unwrap(), None);
    let before = journal.head().unwrap();
    let mut last = None;
    for i in 1..4_u8 {
        let snapshot = Snapshot {
            data: vec![i; 300],
            store_seq: u64::from(i),
            journal_seq: 2,
            inputs_from: 3,
            keep_from: 3,
            plan: (i == 2).then(|| vec![7; 20]),
            ti: TimeMs(-5),
        };
        let (answer, wait) = sync_channel(1);
        journal
            .save_snapshot(
                snapshot.clone(),
                Vec::new(),
                Box::new(move |r| answer.send(r.is_ok()).unwrap()),
            )
            .unwrap();
        assert!(wait.recv().unwrap());
        last = Some(snapshot);
    }
    // The plan of the second stays in force for the third, which brought none.
    let last = last.map(|last| Snapshot { plan: Some(vec![7; 20]), ..last });
    assert_eq!(journal.load_snapshot().unwrap(), last);
    assert_eq!(journal.head().unwrap(), before);
    drop(journal);
    tamper(&path, "UPDATE plan SET data = zeroblob(24)");
    let journal = AlarmJournal::open(&path).unwrap();
    let last = last.map(|last| Snapshot { plan: None, ..last });
    assert_eq!(journal.load_snapshot().unwrap(), last, "the engine's state is still good");
    drop(journal);
    tamper(&path, "UPDATE snapshot SET data = zeroblob(304)");
    let journal = AlarmJournal::open(&path).unwrap();
    assert!(matches!(journal.load_snapshot(), Err(StoreError::SnapshotDamaged { .. })));
    assert_eq!(journal.verify().unwrap().rows, 2);
}

#[test]
fn inputs_come_back_in_order_with_their_rows_and_leave_with_a_snapshot() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, path) = journal_of(dir.path(), 0);
    let mut log = InputLog::default();
    for number in 0..3_u64 {
        log.wake(TimeMs(number.cast_signed()));
        let (answer, wait) = sync_channel(1);
        let done = Box::new(move |seqs: Result<Vec<_>, _>| answer.send(seqs.is_ok()).unwrap());
        journal.append_with(log.take(number), vec![row(number.cast_signed())], done).unwrap();
        assert!(wait.recv().unwrap());
    }
    let inputs = |journal: &AlarmJournal| {
        let mut found = Vec::new();
        let (end, whole) =
            journal.inputs(&mut |number, input| found.push((number, input))).unwrap();
        (found, end, whole)
    };
    let wake = |n: u64| (n, EngineInput::Wake { at: TimeMs(n.cast_signed()) });
    assert_eq!(inputs(&journal), (vec![wake(0), wake(1), wake(2)], 3, true));
    tamper(&path, "DELETE FROM inputs WHERE number = 0");
    assert_eq!(inputs(&journal), (vec![], 3, false), "what comes behind a hole is not played");
    let snapshot = Snapshot {
        data: Vec::new(),
        store_seq: 0,
        journal_seq: 0,
        inputs_from: 3,
        keep_from: 2,
        plan: None,
        ti: TimeMs(0),
    };
    let (answer, wait) = sync_channel(1);
    let done = Box::new(move |seqs: Result<Vec<_>, _>| answer.send(seqs.unwrap()).unwrap());
    journal.save_snapshot(snapshot, vec![row(2), row(9)], done).unwrap();
    assert_eq!(wait.recv().unwrap(), [None, Some(4)], "rows come with it, known ones do not");
    assert_eq!(inputs(&journal), (vec![wake(2)], 3, true));
    tamper(&path, "DELETE FROM inputs");
    assert_eq!(inputs(&journal), (vec![], 3, true), "numbers are never given twice");
    assert_eq!(journal.verify().unwrap().rows, 4);
}

#[test]
fn a_failed_commit_answers_err_and_the_chain_goes_on_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, path) = journal_of(dir.path(), 2);
    let saboteur = Connection::open(&path).unwrap();
    saboteur
        .execute_batch("CREATE TRIGGER no BEFORE INSERT ON journal WHEN NEW.id = 'TK-101/4' BEGIN SELECT RAISE(FAIL, 'disk'); END")
        .unwrap();
    let failed = append(&journal, vec![row(3), row(4)]);
    assert!(matches!(failed, Err(StoreError::Database { .. })), "{failed:?}");
    assert_eq!(journal.page(0, 9).unwrap().len(), 2, "all rows or none");
    saboteur.execute_batch("DROP TRIGGER no").unwrap();
    assert_eq!(append(&journal, vec![row(3), row(4)]).unwrap(), [Some(3), Some(4)]);
    assert_eq!(journal.verify().unwrap().rows, 4);
}

#[test]
fn a_reader_finds_a_time_reads_beside_the_writer_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("alarms.db");
    assert!(JournalReader::open(&path).is_err(), "a reader makes no file");
    assert!(!path.exists());
    let journal = AlarmJournal::open(&path).unwrap();
    let reader = journal.reader().unwrap();
    assert_eq!((reader.before(TimeMs(5)).unwrap(), reader.alive().unwrap()), (0, None));
    // Three rows at each of ten times.
    append(&journal, (0..30).map(|i| JournalRow { ti: TimeMs(100 + i / 3), ..row(i) }).collect())
        .unwrap();
    for (at, seq) in [(0, 0), (100, 0), (101, 3), (105, 15), (109, 27), (110, 30), (999, 30)] {
        assert_eq!(reader.before(TimeMs(at)).unwrap(), seq, "{at}");
    }
    assert_eq!(reader.alive().unwrap(), Some(TimeMs(109)));
    let mut log = InputLog::default();
    log.wake(TimeMs(500));
    let (answer, wait) = sync_channel(1);
    let done = Box::new(move |seqs| answer.send(seqs).unwrap());
    journal.append_with(log.take(0), Vec::new(), done).unwrap();
    wait.recv().unwrap().unwrap();
    assert_eq!(reader.alive().unwrap(), Some(TimeMs(500)), "an input is a sign of life");
    let rows = reader.of_alarm("GW-01/TK-0.LT/HH", 10, 2).unwrap();
    assert_eq!(rows.iter().map(|row| row.seq).collect::<Vec<_>>(), [10, 7]);
    drop(journal);
    assert_eq!(JournalReader::open(&path).unwrap().page(28, 9).unwrap().len(), 2, "closed as well");
}
