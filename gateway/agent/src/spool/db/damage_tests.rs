//! Flipped bits, anywhere in the database file.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "small whole numbers that the test itself has written"
)]

use super::tests::{NOW, Seed, append, catalogue, scan};
use super::*;
use tempfile::TempDir;

/// 40 flips in every test, 1,000 in the full runs.
fn rounds() -> u64 {
    if std::env::var_os("FENGSUI_FULL").is_some() { 1_000 } else { 40 }
}

const RECORDS: u32 = 3_000;

/// (place, number) of every readable scan, by place from the oldest, and the offsets that gaps
/// stand for.
fn contents(db: &mut Db) -> (Vec<(u64, u32)>, u64) {
    // As the writer does where a file turns out to be damaged while it is read.
    if db.read_all().is_err() {
        db.reopen(NOW).unwrap();
        db.use_catalogue(&catalogue("A")).unwrap();
    }
    let (mut whole, mut lost) = (Vec::new(), 0);
    let mut at = db.oldest;
    while let Some(chunk) = db.read(at, db.next, 1 << 16).unwrap() {
        assert_eq!(chunk.first, at, "a silent hole");
        for sealed in &chunk.sealed {
            let record = decode_record(&sealed.bytes).unwrap();
            match &record.body {
                Body::Scan(scan) => {
                    whole.push((at, scan.readings[0].1.value().unwrap() as u32));
                }
                Body::Gap(gap) => {
                    assert_eq!(gap.cause, GapCause::Corrupt);
                    lost += wire::span(&record);
                }
                Body::Transition(_) | Body::Clock(_) => panic!("nobody wrote this"),
            }
            at += wire::span(&record);
        }
    }
    assert_eq!(at, db.next, "the end is missing");
    (whole, lost)
}

impl Db {
    fn read_all(&mut self) -> Result<(), SpoolFault> {
        let mut at = self.oldest;
        while let Some(chunk) = self.read(at, self.next, 1 << 16)? {
            at = chunk.end;
        }
        Ok(())
    }
}

#[test]
fn a_flipped_bit_anywhere_costs_what_stood_there_and_is_named() {
    let folder = TempDir::new().unwrap();
    let mut db = Db::open(folder.path(), NOW).unwrap();
    db.use_catalogue(&catalogue("A")).unwrap();
    let records: Vec<_> = (0..RECORDS).map(scan).collect();
    for part in records.chunks(50) {
        append(&mut db, part);
    }
    db.restart_log().unwrap();
    let epoch = db.epoch;
    drop(db);
    let good = fs::read(folder.path().join(FILE)).unwrap();
    let (mut hit, mut worst) = (0, 0);
    for seed in 0..rounds() {
        let mut random = Seed(seed);
        let image = TempDir::new().unwrap();
        let mut bad = good.clone();
        let place = random.below(bad.len() as u64) as usize;
        bad[place] ^= 1 << random.below(8);
        fs::write(image.path().join(FILE), &bad).unwrap();
        let mut db = Db::open(image.path(), NOW).unwrap();
        db.use_catalogue(&catalogue("A")).unwrap();
        let (whole, lost) = contents(&mut db);
        // Nothing was acknowledged, so a new epoch numbers from the same beginning.
        for (offset, number) in &whole {
            assert_eq!(*offset, u64::from(*number), "seed {seed}, byte {place}: a wrong value");
        }
        assert_eq!(whole.len() as u64 + lost, u64::from(RECORDS), "seed {seed}, byte {place}");
        // At most what one page of the tree holds, and two beside a place where an inner page
        // points wrong.
        assert!(lost <= 200, "seed {seed}, byte {place}: {lost} records lost by one bit");
        assert!(lost <= 1 || db.epoch != epoch, "seed {seed}: {lost} in one epoch");
        hit += u64::from(lost > 0);
        worst = worst.max(lost);
        append(&mut db, &[scan(RECORDS)]);
        assert_eq!(contents(&mut db).0.last().unwrap().1, RECORDS, "seed {seed}: it goes on");
    }
    assert!(hit > rounds() / 3, "only {hit} flips hit a record: the test does not test");
}

#[test]
fn two_damaged_places_do_not_cost_what_stands_between_them() {
    let folder = TempDir::new().unwrap();
    let mut db = Db::open(folder.path(), NOW).unwrap();
    db.use_catalogue(&catalogue("A")).unwrap();
    let records: Vec<_> = (0..RECORDS).map(scan).collect();
    for part in records.chunks(50) {
        append(&mut db, part);
    }
    drop(db);
    let path = folder.path().join(FILE);
    let mut bad = fs::read(&path).unwrap();
    let pages = bad.len() / 4_096;
    for page in [pages / 3, 2 * pages / 3] {
        bad[page * 4_096..(page + 1) * 4_096].fill(0xa5);
    }
    fs::write(&path, bad).unwrap();
    let mut db = Db::open(folder.path(), NOW).unwrap();
    db.use_catalogue(&catalogue("A")).unwrap();
    let (whole, lost) = contents(&mut db);
    assert_eq!(whole.len() as u64 + lost, u64::from(RECORDS));
    assert!(lost > 0 && lost <= 300, "{lost} records lost by two pages");
    assert!(whole.iter().any(|(offset, _)| (1_400..1_600).contains(offset)), "the middle is gone");
}

/// After a damage the engine is what it was: alarms that stood are not new ones.
#[test]
fn a_healed_spool_keeps_the_engine_and_sends_nothing_twice() {
    let folder = TempDir::new().unwrap();
    let mut db = Db::open(folder.path(), NOW).unwrap();
    db.use_catalogue(&catalogue("A")).unwrap();
    let numbers = db.numbers(&catalogue("A")).unwrap();
    let records: Vec<_> = (0..200).map(scan).collect();
    append(&mut db, &records);
    db.append(&[], Some((Revision(7), b"engine")), Some(120)).unwrap();
    append(&mut db, &[scan(200), scan(201)]);
    // A key out of place: no checksum of a record can see it.
    db.sql.execute("UPDATE record SET offset = 9999 WHERE offset = 201", []).unwrap();
    drop(db);
    let mut db = Db::open(folder.path(), NOW).unwrap();
    db.use_catalogue(&catalogue("A")).unwrap();
    assert_eq!(db.numbers(&catalogue("A")).unwrap(), numbers);
    let saved = db.snapshot().unwrap().unwrap();
    assert_eq!((saved.covers, saved.limits, saved.bytes), (80, Revision(7), b"engine".to_vec()));
    let (whole, lost) = contents(&mut db);
    assert_eq!(whole.first(), Some(&(0, 120)), "what the centre has is not sent again");
    assert_eq!((whole.len(), lost), (81, 1));
}

#[test]
fn a_standing_that_lies_is_not_believed() {
    for column in ["next", "durable_next", "epoch", "bytes"] {
        let folder = TempDir::new().unwrap();
        let mut db = Db::open(folder.path(), NOW).unwrap();
        db.use_catalogue(&catalogue("A")).unwrap();
        append(&mut db, &[scan(0), scan(1), scan(2)]);
        let epoch = db.epoch;
        db.sql.execute(&format!("UPDATE standing SET {column} = {column} | 2"), []).unwrap();
        db.sql.execute("UPDATE standing SET crc = crc + 1", []).unwrap();
        drop(db);
        let mut db = Db::open(folder.path(), NOW).unwrap();
        db.use_catalogue(&catalogue("A")).unwrap();
        assert_ne!(db.epoch, epoch, "{column}");
        let (whole, lost) = contents(&mut db);
        assert_eq!((whole, lost), (vec![(0, 0), (1, 1), (2, 2)], 0), "{column}");
        assert_eq!(db.durable_next, 0, "{column}");
    }
}
