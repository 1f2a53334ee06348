//! Stories and seeded runs of the spool's database: power cuts, damage, full disks.

use super::*;
use fengsui_telemetry::{
    Catalogue, ClockQuality, GatewayId, LocalTransition, Point, Reading, Scan, Tag,
};
use std::collections::BTreeMap;
use tempfile::TempDir;

pub(super) const NOW: TimeMs = TimeMs(1_800_000_000_000);

pub(super) fn catalogue(tag: &str) -> Catalogue {
    let point = Point {
        tag: Tag::parse(tag).unwrap(),
        name: "n".into(),
        unit: "%".into(),
        low: 0.0,
        high: 1.0,
        installation: 0,
        equipment: String::new(),
        period_ms: 1_000,
        silence_ms: 0,
        signal: "level".into(),
    };
    let installation =
        fengsui_telemetry::Installation { name: "a".into(), hazard_class: 1, kind: "k".into() };
    Catalogue {
        enterprise: "示例".into(), installations: vec![installation], points: vec![point]
    }
}

pub(super) fn scan(n: u32) -> Record {
    let readings = vec![(0, Reading::Good(f64::from(n)))];
    let te = NOW + i64::from(n) * 1_000;
    Record { te, body: Body::Scan(Scan { readings, clock: ClockQuality::Rtc }) }
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
        known: NOW,
    };
    Record { te: NOW + i64::from(n) * 1_000, body: Body::Transition(transition) }
}

fn open(folder: &Path) -> Db {
    let mut db = Db::open(folder, NOW).unwrap();
    db.use_catalogue(&catalogue("A")).unwrap();
    db
}

pub(super) fn append(db: &mut Db, records: &[Record]) {
    let incoming: Vec<_> = records.iter().map(Incoming::new).collect();
    db.append(&incoming, None, None).unwrap();
}

/// `0 scan 0` · `5+3 gap spool_full` …: what is kept, with holes made visible.
fn kept(db: &mut Db) -> Vec<String> {
    let mut said = Vec::new();
    let mut at = db.oldest;
    while let Some(chunk) = db.read(at, db.next, 400).unwrap() {
        assert_eq!(chunk.first, at, "a hole before {}", chunk.first);
        let mut offset = chunk.first;
        for sealed in &chunk.sealed {
            let record = decode_record(&sealed.bytes).unwrap();
            let span = wire::span(&record);
            let place = if span == 1 { offset.to_string() } else { format!("{offset}+{span}") };
            said.push(match &record.body {
                Body::Scan(scan) => format!("{place} {}", scan.readings[0].1.value().unwrap()),
                Body::Transition(t) => format!("{place} alarm {}", t.occurrence),
                Body::Gap(gap) => format!("{place} gap {:?}", gap.cause),
                Body::Clock(_) => format!("{place} clock"),
            });
            offset += span;
        }
        at = chunk.end;
    }
    assert_eq!(at, db.next, "the end is missing");
    said
}

fn check(db: &mut Db, expected: &[&str]) {
    assert_eq!(kept(db), expected);
}

#[test]
fn what_was_committed_is_there_after_a_restart() {
    let folder = TempDir::new().unwrap();
    let mut db = open(folder.path());
    let epoch = db.epoch;
    append(&mut db, &[scan(0), scan(1)]);
    db.append(&[Incoming::new(&alarm(2))], Some((Revision(9), b"engine")), Some(1)).unwrap();
    drop(db);
    let mut db = open(folder.path());
    assert_eq!((db.epoch, db.next, db.durable_next, db.oldest), (epoch, 3, 1, 0));
    check(&mut db, &["0 0", "1 1", "2 alarm 2"]);
    let saved = db.snapshot().unwrap().unwrap();
    assert_eq!(
        (saved.covers, saved.limits, saved.bytes.as_slice()),
        (3, Revision(9), &b"engine"[..])
    );
    assert_eq!(db.state().unacked_since, Some(NOW + 1_000));
}

#[test]
fn a_crash_between_commits_loses_none_of_them() {
    let folder = TempDir::new().unwrap();
    let mut db = open(folder.path());
    for n in 0..20 {
        append(&mut db, &[scan(n)]);
        // What a power cut would leave: the files as they stand, the handle still open.
        let image = TempDir::new().unwrap();
        for suffix in ["", "-wal"] {
            let name = format!("{FILE}{suffix}");
            fs::copy(folder.path().join(&name), image.path().join(&name)).unwrap();
        }
        let mut after = open(image.path());
        assert_eq!(after.epoch, db.epoch);
        assert_eq!(kept(&mut after), kept(&mut db));
    }
}

#[test]
fn two_gateways_cannot_share_a_folder() {
    let folder = TempDir::new().unwrap();
    let _first = open(folder.path());
    assert!(matches!(Db::open(folder.path(), NOW), Err(SpoolFault::InUse(_))));
}

#[test]
fn acknowledged_telemetry_goes_first_and_without_a_trace() {
    let folder = TempDir::new().unwrap();
    let mut db = open(folder.path());
    append(&mut db, &[scan(0), scan(1), scan(2)]);
    db.append(&[], None, Some(3)).unwrap();
    let evicted = db.evict(NOW, 1 << 20, Haste::Grain).unwrap();
    assert_eq!((evicted.freed, evicted.lost), (3, 0));
    assert_eq!((db.oldest, db.next, db.bytes), (3, 3, 0));
    check(&mut db, &[]);
}

/// Until nothing more may go.
fn evict_all(db: &mut Db, haste: Haste) -> (u64, u64) {
    let (mut freed, mut lost) = (0, 0);
    loop {
        let evicted = db.evict(NOW, 1 << 20, haste).unwrap();
        (freed, lost) = (freed + evicted.freed, lost + evicted.lost);
        if evicted == Evicted::default() {
            return (freed, lost);
        }
    }
}

#[test]
fn what_must_go_early_is_named_by_a_gap_and_alarms_stay() {
    let folder = TempDir::new().unwrap();
    let mut db = open(folder.path());
    append(&mut db, &[scan(0), scan(1), alarm(2), scan(3), scan(4), scan(5), scan(6), alarm(7)]);
    db.append(&[], None, Some(4)).unwrap();
    let evicted = db.evict(NOW, 1 << 20, Haste::Now).unwrap();
    assert_eq!((evicted.freed, evicted.lost), (3, 0), "first what the centre has");
    let evicted = db.evict(NOW, 1 << 20, Haste::Now).unwrap();
    assert_eq!((evicted.freed, evicted.lost), (0, 2), "then what no alarm needs");
    let gap = "3 gap SpoolFull";
    check(&mut db, &["2 alarm 2", gap, "4+2 gap SpoolFull", "6 6", "7 alarm 7"]);
    append(&mut db, &[scan(8), scan(9), scan(10)]);
    let evicted = db.evict(NOW, 1 << 20, Haste::Now).unwrap();
    assert_eq!((evicted.freed, evicted.lost), (0, 2));
    let gap = "4+2 gap SpoolFull";
    let after = ["7 alarm 7", "8 8", "9+2 gap SpoolFull"];
    check(&mut db, &[&["2 alarm 2", "3 gap SpoolFull", gap, "6 6"][..], &after].concat());
    // What alarms need, last of all what the centre has of them; never what it has not.
    assert_eq!(evict_all(&mut db, Haste::Now), (1, 2));
    check(&mut db, &["4+3 gap SpoolFull", "7 alarm 7", "8+3 gap SpoolFull"]);
    db.append(&[], None, Some(11)).unwrap();
    assert_eq!(evict_all(&mut db, Haste::Now), (1, 0));
    check(&mut db, &[]);
    assert_eq!(db.oldest, 11);
}

/// Hours of two groups, one of which changes its quality, with an alarm in the middle.
#[test]
fn an_outage_becomes_coarser_step_by_step_and_every_record_is_accounted_for() {
    let folder = TempDir::new().unwrap();
    let mut db = open(folder.path());
    let mut written = Vec::new();
    for part in 0..36 {
        let mut records: Vec<_> = (part * 200..(part + 1) * 200).map(scan).collect();
        if part == 18 {
            records.push(alarm(part * 200 + 199));
        }
        append(&mut db, &records);
        written.extend(records);
    }
    let (before, mut grains) = (db.bytes, Vec::new());
    while evict_all_of(&mut db, before / 40) {
        grains.push(kept(&mut db).iter().filter(|line| !line.contains("gap")).count());
    }
    assert!(grains.windows(2).all(|pair| pair[1] <= pair[0]), "{grains:?}");
    assert!(db.bytes <= before / 40, "{} of {before}", db.bytes);
    let mut at = 0;
    let (mut scans, mut spans) = (0_u64, 0_u64);
    while let Some(chunk) = db.read(at, db.next, 1 << 16).unwrap() {
        for sealed in &chunk.sealed {
            let record = decode_record(&sealed.bytes).unwrap();
            let span = wire::span(&record);
            let covered =
                &written[usize::try_from(at).unwrap()..usize::try_from(at + span).unwrap()];
            if let Body::Gap(gap) = &record.body {
                let te = (covered[0].te, covered.last().unwrap().te);
                assert_eq!((gap.from, gap.to, gap.records), (te.0, te.1, span), "at {at}");
                assert!(covered.iter().all(|r| matches!(r.body, Body::Scan(_))), "an alarm went");
                if gap.cause == GapCause::Thinned {
                    assert_eq!(gap.points, [0], "at {at}");
                }
                spans += span;
            } else {
                assert_eq!([record], *covered, "at {at}");
                scans += 1;
            }
            at += span;
        }
    }
    assert_eq!((at, scans + spans), (db.next, written.len() as u64));
    let said = kept(&mut db);
    let place = said.iter().position(|line| line.contains("alarm")).unwrap();
    assert!(!said[place - 1].contains("gap"), "the reading that raised it: {said:?}");
    assert!(said.iter().filter(|line| line.contains("Thinned")).count() > 4, "{said:?}");
    assert!(said[0].ends_with(" 0") || said[0].contains("SpoolFull"), "{said:?}");
    assert!(said.last().unwrap().ends_with(" 7199") || db.bytes < before / 50, "{said:?}");
}

/// One pass, while there are more bytes than this.
fn evict_all_of(db: &mut Db, quota: u64) -> bool {
    db.bytes > quota && db.evict(NOW, quota, Haste::Grain).unwrap() != Evicted::default()
}

#[test]
fn what_a_centre_lost_again_counts_as_not_delivered() {
    let folder = TempDir::new().unwrap();
    let mut db = open(folder.path());
    append(&mut db, &(0..1_000).map(scan).collect::<Vec<_>>());
    db.append(&[], None, Some(1_000)).unwrap();
    db.append(&[], None, Some(100)).unwrap();
    let (freed, lost) = evict_all(&mut db, Haste::Grain);
    assert_eq!((freed, freed + lost), (100, 1_000));
}

/// A day of one group a second: all of it has been acknowledged but the end.
#[test]
fn what_the_centre_has_is_kept_for_ten_thousand_records_as_long_as_there_is_room() {
    let folder = TempDir::new().unwrap();
    let mut db = open(folder.path());
    for part in 0..30 {
        append(&mut db, &(part * 1_000..(part + 1) * 1_000).map(scan).collect::<Vec<_>>());
    }
    db.append(&[], None, Some(29_000)).unwrap();
    let quota = 8 * 2 * db.bytes;
    let mut freed = 0;
    while db.oldest < 19_000 {
        freed += db.evict(NOW, quota, Haste::Grain).unwrap().freed;
    }
    assert_eq!((db.oldest, freed), (19_000, 19_000), "ten thousand are left");
    // Only when there is nothing else do they go as well, before what nobody has.
    let evicted = db.evict(NOW, quota, Haste::Grain).unwrap();
    assert_eq!((evicted.freed, evicted.lost, db.oldest), (1_000, 0, 20_000));
    // In a small spool they are an eighth.
    let evicted = db.evict(NOW, db.bytes, Haste::Grain).unwrap();
    assert_eq!((evicted.freed, evicted.lost), (1_000, 0));
}

#[test]
fn a_gap_is_read_whole_even_from_its_middle() {
    let folder = TempDir::new().unwrap();
    let mut db = open(folder.path());
    append(&mut db, &[scan(0), scan(1), scan(2)]);
    evict_all(&mut db, Haste::Now);
    append(&mut db, &[scan(3)]);
    let chunk = db.read(1, 4, 1_000).unwrap().unwrap();
    assert_eq!((chunk.first, chunk.end, chunk.sealed.len()), (0, 4, 2));
}

#[test]
fn a_flipped_bit_becomes_a_gap_of_exactly_its_record() {
    let folder = TempDir::new().unwrap();
    let mut db = open(folder.path());
    append(&mut db, &[scan(0), scan(1), scan(2), scan(3)]);
    db.sql
        .execute("UPDATE record SET bytes = zeroblob(length(bytes)) WHERE offset = 1", [])
        .unwrap();
    db.sql.execute("DELETE FROM record WHERE offset = 2", []).unwrap();
    check(&mut db, &["0 0", "1 gap Corrupt", "2 gap Corrupt", "3 3"]);
    db.sql.execute("UPDATE record SET crc = crc + 1 WHERE offset = 3", []).unwrap();
    check(&mut db, &["0 0", "1 gap Corrupt", "2 gap Corrupt", "3 gap Corrupt"]);
    assert_eq!(db.next, 4);
}

#[test]
fn a_batch_never_mixes_catalogues() {
    let folder = TempDir::new().unwrap();
    let mut db = open(folder.path());
    append(&mut db, &[scan(0), scan(1)]);
    let old = db.catalogue;
    drop(db);
    let mut db = Db::open(folder.path(), NOW).unwrap();
    db.use_catalogue(&catalogue("B")).unwrap();
    append(&mut db, &[scan(2)]);
    let first = db.read(0, 3, 10_000).unwrap().unwrap();
    assert_eq!((first.end, first.catalogue), (2, old));
    let second = db.read(2, 3, 10_000).unwrap().unwrap();
    assert_eq!((second.end, second.catalogue), (3, db.catalogue));
    assert_eq!(db.old_catalogues().unwrap(), [(2, wire::catalogue_bytes(&catalogue("A")))]);
    let mut played = Vec::new();
    db.replay(0, 100, &mut |record| played.push(record)).unwrap();
    assert_eq!(played, [scan(2)]);
    db.append(&[], None, Some(2)).unwrap();
    assert!(db.old_catalogues().unwrap().is_empty());
}

#[test]
fn a_new_epoch_numbers_from_nothing_what_the_centre_does_not_have() {
    let folder = TempDir::new().unwrap();
    let mut db = open(folder.path());
    append(&mut db, &[scan(0), scan(1), scan(2), alarm(3), scan(4)]);
    db.append(&[], None, Some(2)).unwrap();
    let before = db.epoch;
    db.new_epoch().unwrap();
    assert_ne!(db.epoch, before);
    check(&mut db, &["0 2", "1 alarm 3", "2 4"]);
    assert_eq!((db.next, db.durable_next), (3, 0));
    append(&mut db, &[scan(5)]);
    check(&mut db, &["0 2", "1 alarm 3", "2 4", "3 5"]);
}

#[test]
fn history_is_in_order_of_its_time() {
    let folder = TempDir::new().unwrap();
    let mut db = open(folder.path());
    append(&mut db, &[scan(5), scan(1), alarm(2), scan(3)]);
    let found = db.history(0, NOW, NOW + 4_000).unwrap();
    assert_eq!(found, [(NOW + 1_000, Reading::Good(1.0)), (NOW + 3_000, Reading::Good(3.0))]);
    assert!(db.history(1, NOW, NOW + 9_000).unwrap().is_empty());
}

#[test]
fn a_file_that_is_no_database_is_set_aside() {
    let folder = TempDir::new().unwrap();
    for (round, rubbish) in [&b"this is not a database, and long enough to look like one"[..], b""]
        .into_iter()
        .enumerate()
    {
        fs::write(folder.path().join(FILE), rubbish).unwrap();
        let mut db = open(folder.path());
        append(&mut db, &[scan(7)]);
        // Nobody knows what a lost file held: one offset says that it was lost.
        let wanted: &[_] = if round == 0 { &["0 gap Corrupt", "1 7"] } else { &["0 7"] };
        check(&mut db, wanted);
        drop(db);
        let aside = fs::read_dir(folder.path())
            .unwrap()
            .filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().contains("damaged"))
            .count();
        assert_eq!(aside, 1, "round {round}: an empty file is a new database");
    }
}

/// Overwrites one page after another of a spool that is closed; whatever happens, the gateway
/// starts by itself, gives no damaged record away, and keeps most of the others.
#[test]
fn a_damaged_page_costs_its_records_and_nothing_else() {
    let folder = TempDir::new().unwrap();
    let mut db = open(folder.path());
    let records: Vec<_> = (0..3_000).map(scan).collect();
    for part in records.chunks(100) {
        append(&mut db, part);
    }
    let epoch = db.epoch;
    drop(db);
    let good = fs::read(folder.path().join(FILE)).unwrap();
    let pages = good.len() / 4_096;
    let (mut healed, mut most) = (0, 0);
    for page in (0..pages).step_by(7) {
        let image = TempDir::new().unwrap();
        let mut bad = good.clone();
        for (i, byte) in bad[page * 4_096..(page + 1) * 4_096].iter_mut().enumerate() {
            *byte = u8::try_from((i * 7 + page) % 251).unwrap();
        }
        fs::write(image.path().join(FILE), bad).unwrap();
        let mut db = open(image.path());
        let said = kept(&mut db);
        let good = said.iter().filter(|line| !line.contains("gap")).count();
        assert!(
            good == 3_000 || said.iter().any(|line| line.contains("gap")) || good == 0,
            "page {page}"
        );
        if db.epoch != epoch {
            healed += 1;
        }
        most = most.max(good);
        for line in said.iter().filter(|line| !line.contains("gap")) {
            let (_, value) = line.split_once(' ').unwrap();
            let value: u32 = value.parse().unwrap();
            assert!(value < 3_000, "page {page}: {line}");
        }
        append(&mut db, &[scan(9_999)]);
        assert!(kept(&mut db).last().unwrap().ends_with(" 9999"));
    }
    assert!(healed > 2, "damage was not noticed: {healed} of {pages}");
    assert!(most > 2_500, "at best {most} of 3000 were kept");
}

/// A small generator, so that a failure prints the seed that shows it again.
pub(super) struct Seed(pub(super) u64);

impl Seed {
    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// What an operator is promised: from the oldest kept offset on every offset is accounted for, in
/// order; no alarm record is lost before the centre has it.
#[test]
fn whatever_happens_every_offset_is_accounted_for() {
    for seed in 0..20 {
        let folder = TempDir::new().unwrap();
        let mut db = open(folder.path());
        let mut random = Seed(seed);
        let mut alarms: BTreeMap<u64, u32> = BTreeMap::new();
        let mut n = 0;
        for _ in 0..60 {
            match random.below(8) {
                0..=3 => {
                    let mut records = Vec::new();
                    for _ in 0..=random.below(6) {
                        n += 1;
                        if random.below(5) == 0 {
                            alarms.insert(db.next + records.len() as u64, n);
                            records.push(alarm(n));
                        } else {
                            records.push(scan(n));
                        }
                    }
                    append(&mut db, &records);
                }
                4 => {
                    let durable = db.durable_next + random.below(db.next - db.durable_next + 1);
                    db.append(&[], None, Some(durable)).unwrap();
                }
                5 => {
                    let haste = if n % 2 == 0 { Haste::Grain } else { Haste::Now };
                    db.evict(NOW, 1 << 20, haste).unwrap();
                }
                6 => {
                    drop(db);
                    db = open(folder.path());
                }
                _ => {
                    let at = to_sql(random.below(db.next + 1));
                    let hit = db
                        .sql
                        .execute("UPDATE record SET crc = crc + 1 WHERE offset = ?1", [at])
                        .unwrap();
                    if hit == 1 {
                        alarms.remove(&from_sql(at));
                    }
                }
            }
            let said = kept(&mut db);
            for (offset, n) in alarms.range(db.durable_next..) {
                let line = format!("{offset} alarm {n}");
                assert!(said.contains(&line), "seed {seed}: {line} is lost: {said:?}");
            }
        }
    }
}
