//! Reports of a journal on a disk, against counts that share no code with them.

use std::collections::BTreeMap;
use std::sync::mpsc::sync_channel;

use fengsui_store::{AlarmJournal, JournalReader, JournalRow, RowKind};
use fengsui_telemetry::TimeMs;

use super::site::{Alarm, GatewayOf, HeardNow, PointOf, Tells};
use super::*;
use crate::note::Note;
use crate::registry::AlarmFacts;

/// 2026-11-20 00:00 in Shanghai.
const DAY: i64 = 1_795_104_000_000;
const HOUR: i64 = 3_600_000;
const MINUTE: i64 = 60_000;

fn site() -> Site {
    let mut site = Site::default();
    for gateway in 0..2 {
        let name = format!("GW-0{}", gateway + 1);
        let enterprise = "甲厂".into();
        site.gateways.push(GatewayOf { name: name.clone(), enterprise, known: true, now: None });
        for point in 0..3 {
            let tag = format!("TK-{gateway}{point}.LT");
            for (kind, tells, priority) in
                [("HH", Tells::Process, 1), ("H", Tells::Process, 2), ("STALE", Tells::Stale, 3)]
            {
                let facts = AlarmFacts {
                    key: format!("{name}/{tag}/{kind}"),
                    priority,
                    gateway: name.clone(),
                    installation: format!("{gateway}#罐区"),
                    ..AlarmFacts::default()
                };
                site.keys.insert(facts.key.clone(), site.alarms.len());
                let point = Some(site.points.len());
                site.alarms.push(Alarm { facts, tells, point, gateway, after_ms: 0 });
            }
            site.points.push(PointOf {
                tag,
                name: "液位".into(),
                installation: format!("{gateway}#罐区"),
                gateway,
                required: point < 2,
                looser_than_statute: false,
                unset: false,
                absent: false,
            });
        }
        let facts = AlarmFacts {
            key: format!("{name}//OFFLINE"),
            priority: 2,
            gateway: name,
            ..AlarmFacts::default()
        };
        site.keys.insert(facts.key.clone(), site.alarms.len());
        let tells = Tells::Offline;
        site.alarms.push(Alarm { facts, tells, point: None, gateway, after_ms: 0 });
    }
    site
}

struct Book {
    folder: tempfile::TempDir,
    journal: AlarmJournal,
}

impl Book {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let journal = AlarmJournal::open(&folder.path().join("alarms.db")).unwrap();
        Self { folder, journal }
    }

    fn write(&self, rows: Vec<JournalRow>) {
        let (tell, told) = sync_channel(1);
        let done = move |answer: Result<_, StoreError>| tell.send(answer.is_ok()).unwrap();
        self.journal.append(rows, Box::new(done)).unwrap();
        assert!(told.recv().unwrap());
    }

    fn report(&self, site: &Site, period: Period, as_of: i64) -> Report {
        let journal = JournalReader::open(&self.folder.path().join("alarms.db")).unwrap();
        make(&Ask {
            journal: &journal,
            site,
            period,
            as_of: TimeMs(as_of),
            stamp: &Stamp::in_zone("Asia/Shanghai").unwrap(),
            settings: &Settings::default(),
            flood_window_ms: None,
            progress: &|_, _| true,
        })
        .unwrap()
    }
}

fn day(number: i64) -> Period {
    let (from, to) = (TimeMs(DAY + number * DAY_MS), TimeMs(DAY + (number + 1) * DAY_MS));
    Period { kind: Kind::Day, name: number.to_string(), from, to, complete: true }
}

fn row(key: &str, number: u64, letters: &str, cause: &str, ti: i64) -> JournalRow {
    let mut letters = letters.chars();
    let note = Note { id: format!("{key}#{number}/{cause}@{ti}"), ..Note::default() };
    JournalRow {
        kind: RowKind::Alarm,
        alarm: key.into(),
        from: letters.next().unwrap(),
        to: letters.next().unwrap(),
        occurrence: number,
        cause: cause.into(),
        ..note.row(TimeMs(ti))
    }
}

fn spanning(row: JournalRow, on: i64, off: Option<i64>) -> JournalRow {
    JournalRow { te: row.ti.into(), te_on: Some(TimeMs(on)), te_off: off.map(TimeMs), ..row }
}

/// Numbers that look random.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }

    fn ms(&mut self, from: i64, to: i64) -> i64 {
        from + self.below((to - from).cast_unsigned()).cast_signed()
    }
}

/// What the generator knows of what it wrote.
#[derive(Default)]
struct Oracle {
    told: Vec<(String, i64, Option<i64>)>,
    spans: BTreeMap<String, Vec<(i64, i64)>>,
}

/// The lives of all alarms of a site around a day; each alarm's rows in order.
fn lives(site: &Site, dice: &mut Dice) -> (Vec<Vec<JournalRow>>, Oracle) {
    let mut oracle = Oracle::default();
    let mut all = Vec::new();
    for alarm in &site.alarms {
        let key = &alarm.facts.key;
        let mut rows = Vec::new();
        let mut now = DAY - dice.ms(0, 6 * HOUR);
        for number in 1..=dice.below(12) {
            let on = now + dice.ms(1, 4 * HOUR);
            rows.push(spanning(row(key, number, "AB", "on", on), on, None));
            let off = on + dice.ms(1, 3 * HOUR);
            let ack = on + dice.ms(1, 5 * HOUR);
            let answered = dice.below(4) > 0;
            oracle.told.push((key.clone(), on, answered.then_some(ack)));
            oracle.spans.entry(key.clone()).or_default().push((on, off));
            let end =
                |letters: &str| spanning(row(key, number, letters, "off", off), on, Some(off));
            let say = |letters: &str| row(key, number, letters, "acknowledged", ack);
            match (answered, ack < off) {
                (true, true) => rows.extend([say("BC"), end("CA")]),
                (true, false) => rows.extend([end("BD"), say("DA")]),
                // Nobody ever answers it.
                (false, _) => {
                    rows.push(end("BD"));
                    break;
                }
            }
            now = off.max(ack);
        }
        all.push(rows);
    }
    (all, oracle)
}

/// The rows of all alarms in one order of time.
fn merged(lives: &[Vec<JournalRow>]) -> Vec<JournalRow> {
    let mut rows: Vec<JournalRow> = lives.iter().flatten().cloned().collect();
    rows.sort_by_key(|row| row.ti);
    rows
}

#[test]
fn figures_agree_with_a_count_that_shares_no_code() {
    for seed in 0..12 {
        let site = site();
        let (lives, oracle) = lives(&site, &mut Dice(seed));
        let book = Book::new();
        life::began(&book.journal, None, TimeMs(DAY - 12 * HOUR));
        book.write(merged(&lives));
        let report = book.report(&site, day(0), DAY + 3 * DAY_MS);
        let (from, to) = (DAY, DAY + DAY_MS);
        let told: Vec<_> =
            oracle.told.iter().filter(|(_, at, _)| (from..to).contains(at)).collect();
        assert_eq!(report.counts.announced, told.len() as u64, "seed {seed}");
        assert_eq!(report.figures.load.announced, told.len(), "seed {seed}");
        assert_eq!(report.counts.by_hour.iter().sum::<u64>(), told.len() as u64, "seed {seed}");
        assert_eq!(report.counts.by_priority.iter().sum::<u64>(), told.len() as u64);
        assert_eq!(report.counts.by_installation.values().sum::<u64>(), told.len() as u64);
        for (hour, count) in (0..24).zip(report.counts.by_hour) {
            let of = told.iter().filter(|(_, at, _)| (at - from) / HOUR == hour).count();
            assert_eq!(count, of as u64, "seed {seed} hour {hour}");
        }
        let mut took: Vec<i64> = told
            .iter()
            .filter_map(|(_, at, ack)| ack.filter(|ack| *ack < to).map(|ack| ack - at))
            .collect();
        took.sort_unstable();
        let open = told.len() - took.len();
        assert_eq!(report.figures.answering.not_acknowledged, open, "seed {seed}");
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of a day")]
        let middle = (!took.is_empty()).then(|| took[took.len().div_ceil(2) - 1] as f64 / 1_000.0);
        assert_eq!(report.figures.answering.to_acknowledge_median_s, middle, "seed {seed}");
        let mut often: BTreeMap<&str, usize> = BTreeMap::new();
        told.iter().for_each(|(key, _, _)| *often.entry(key).or_default() += 1);
        let most = often.values().max().copied().unwrap_or(0);
        assert_eq!(report.top.first().map_or(0, |top| top.count), most, "seed {seed}");
        check_online(&report, &site, &oracle, seed);
    }
}

/// Moment by moment, against the spans of the oracle.
fn check_online(report: &Report, site: &Site, oracle: &Oracle, seed: u64) {
    let within = |key: &str, at: i64| {
        oracle
            .spans
            .get(key)
            .is_some_and(|spans| spans.iter().any(|(on, off)| *on <= at && at < *off))
    };
    for line in report.online.iter().filter(|line| line.of == Of::Point) {
        let point = site.points.iter().find(|point| point.tag == line.name).unwrap();
        let gateway = &site.gateways[point.gateway].name;
        let (mut offline, mut stale) = (0, 0);
        let (silent, quiet) =
            (format!("{gateway}//OFFLINE"), format!("{gateway}/{}/STALE", point.tag));
        // Every five seconds, so that the ends in between are off by less than that each.
        for at in (DAY..DAY + DAY_MS).step_by(5_000) {
            if within(&silent, at) {
                offline += 5_000;
            } else if within(&quiet, at) {
                stale += 5_000;
            }
        }
        let near = |a: i64, b: i64| (a - b).abs() <= 120_000;
        let online = line.online;
        assert!(near(online.gateway_offline, offline), "seed {seed} {}: {online:?}", line.name);
        assert!(near(online.stale, stale), "seed {seed} {}: {online:?} {stale}", line.name);
        assert_eq!(online.known() + online.unknown, DAY_MS, "every moment has one state");
        assert_eq!(online.unknown, 0);
    }
}

#[test]
fn the_order_of_rows_of_different_alarms_is_irrelevant() {
    let site = site();
    let (lives, _) = lives(&site, &mut Dice(77));
    let mut reports: Vec<Report> = [0, 1]
        .into_iter()
        .map(|order| {
            let book = Book::new();
            life::began(&book.journal, None, TimeMs(DAY - 12 * HOUR));
            let mut rows = merged(&lives);
            if order == 1 {
                // Within one commit a centre may write what it knew at about the same time in any
                // order; the rows of one alarm stay in theirs.
                let place = |key: &str| site.keys.get(key).copied().unwrap_or(0);
                rows.sort_by_key(|row| (row.ti.0 / (40 * MINUTE), place(&row.alarm), row.ti));
            }
            book.write(rows);
            book.report(&site, day(0), DAY + 3 * DAY_MS)
        })
        .collect();
    // How far back it had to be read is no figure.
    reports.iter_mut().for_each(|report| report.counts.rows = 0);
    assert_eq!(reports[0].figures, reports[1].figures);
    assert_eq!(reports[0].counts, reports[1].counts);
    assert_eq!(reports[0].online, reports[1].online);
}

#[test]
fn days_of_a_month_add_up_to_it() {
    let site = site();
    let book = Book::new();
    let first = Stamp::parse("2026-11-01T00:00:00+08:00").unwrap().0;
    life::began(&book.journal, None, TimeMs(first - HOUR));
    let rows = (0..120).map(|n| {
        let at = first + n * 6 * HOUR + MINUTE;
        let key = "GW-01/TK-00.LT/HH";
        spanning(row(key, n.cast_unsigned() + 1, "AB", "on", at), at, Some(at + MINUTE))
    });
    book.write(rows.collect());
    let stamp = Stamp::in_zone("Asia/Shanghai").unwrap();
    let now = TimeMs(first + 40 * DAY_MS);
    let november = Period::of(Kind::Month, Some("2026-11"), &Settings::default(), &stamp, now);
    let report = book.report(&site, november.unwrap(), now.0);
    assert_eq!((report.days.len(), report.counts.announced), (30, 120));
    assert!(report.days.iter().all(|day| day.load.announced == 4));
    assert!(report.figures.enough, "thirty days");
    assert_eq!(report.counts.by_hour[6], 30);
}

#[test]
fn a_period_in_which_nobody_watched_has_no_figures() {
    let (site, book) = (site(), Book::new());
    let report = book.report(&site, day(0), DAY + DAY_MS);
    assert!(!report.has_data);
    let stamp = Stamp::in_zone("Asia/Shanghai").unwrap();
    let sheets = sheets(&report, &stamp);
    for told in [write::text(&sheets), write::html(&sheets, "日报")] {
        assert!(told.contains("没有数据") && !told.contains("100 %"), "{told}");
        assert!(!told.contains("0 %"), "nothing is not zero: {told}");
    }
    let json = report_json(&report, &stamp);
    assert_eq!((json["data"].as_bool(), json["figures"].is_null()), (Some(false), true));
    // Later the centre ran: the day before is still unknown, and so is a day of its future.
    life::began(&book.journal, None, TimeMs(DAY + DAY_MS));
    book.write(Vec::new());
    assert!(!book.report(&site, day(0), DAY + 2 * DAY_MS).has_data);
    let quiet = book.report(&site, day(1), DAY + 2 * DAY_MS);
    assert!(quiet.has_data, "watched and quiet is data");
    assert_eq!(quiet.figures.online_rate, Some(1.0));
}

#[test]
fn a_centre_that_was_down_makes_time_unknown_and_not_online() {
    let (site, book) = (site(), Book::new());
    life::began(&book.journal, None, TimeMs(DAY));
    let offline = "GW-01//OFFLINE";
    let (on, off) = (DAY + 10 * HOUR, DAY + 15 * HOUR);
    book.write(vec![spanning(row(offline, 1, "AB", "on", on), on, None)]);
    // Killed at 12:00, back at 14:00; GW-01 is heard at 15:00.
    life::began(&book.journal, Some(TimeMs(DAY + 12 * HOUR)), TimeMs(DAY + 14 * HOUR));
    book.write(vec![spanning(row(offline, 1, "BD", "off", off), on, Some(off))]);
    let report = book.report(&site, day(0), DAY + DAY_MS);
    let line = |name: &str| report.online.iter().find(|line| line.name == name).unwrap().online;
    assert_eq!(line("GW-01").unknown, 2 * HOUR);
    assert_eq!(line("GW-01").gateway_offline, 3 * HOUR, "unknown is stronger");
    assert_eq!(line("GW-01").rate(), Some(19.0 / 22.0));
    assert_eq!(line("GW-02").rate(), Some(1.0), "of what is known");
    assert_eq!(report.figures.online_rate, Some(41.0 / 44.0));
    assert_eq!(report.figures.online_unknown, Some(2.0 / 24.0));
    assert_eq!(report.figures.blind_s, Some(2.0 * 3.0 * 3_600.0), "two required points");
    let told = write::text(&sheets(&report, &Stamp::in_zone("Asia/Shanghai").unwrap()));
    assert!(told.contains("8.33 % 的时间中心未运行"), "{told}");
}

#[test]
fn what_stood_before_the_period_is_found_and_a_first_level_is_not_counted_twice() {
    let (site, book) = (site(), Book::new());
    life::began(&book.journal, None, TimeMs(DAY - 3 * DAY_MS));
    let (stale, hh, h) = ("GW-01/TK-00.LT/STALE", "GW-01/TK-00.LT/HH", "GW-01/TK-00.LT/H");
    let early = DAY - 2 * DAY_MS;
    let mut covered = spanning(row(h, 1, "AB", "on", DAY + HOUR), DAY + HOUR, None);
    covered.comment = format!("{SUBSUMED_FOR_TEST} / subsumed by {hh}");
    let mut shelf = row(h, 1, "BG", "shelved", DAY + 2 * HOUR);
    shelf.by = Some("王敏".into());
    book.write(vec![
        spanning(row(stale, 7, "AB", "on", early), early, None),
        spanning(row(hh, 1, "AB", "on", DAY + HOUR), DAY + HOUR, None),
        covered,
        shelf,
    ]);
    let report = book.report(&site, day(0), DAY + DAY_MS);
    assert_eq!(report.counts.announced, 1, "HH speaks for H; STALE was announced before");
    assert_eq!(report.stale.iter().map(|named| named.key.as_str()).collect::<Vec<_>>(), [stale]);
    assert_eq!(report.figures.stale_most, 1);
    let line = report.online.iter().find(|line| line.name == "TK-00.LT").unwrap();
    assert_eq!((line.online.stale, line.now), (DAY_MS, Some(Now::Stale)));
    assert!((report.figures.shelved_s - 22.0 * 3_600.0).abs() < 1e-6);
    assert_eq!(report.figures.unauthorised_suppressions, 1, "no command shows who allowed it");
    let worst = &report.suspicious.points[0];
    assert_eq!((worst.tag.as_str(), worst.suspicion), ("TK-00.LT", 1.0));
    assert_eq!(report.suspicious.gateways[0].name, "GW-01");
    assert_eq!(report.suspicious.without_limit, 2);
    assert!(report.suspicious.not_judged.contains(&"never_in_a_year"), "the journal is young");
}

const SUBSUMED_FOR_TEST: &str = "从属于";

#[test]
fn a_gateway_that_was_never_heard_is_offline_from_the_first_second() {
    let (mut site, book) = (site(), Book::new());
    site.gateways[0].known = false;
    life::began(&book.journal, None, TimeMs(DAY));
    book.write(Vec::new());
    let report = book.report(&site, day(0), DAY + DAY_MS);
    for name in ["GW-01", "TK-00.LT"] {
        let line = report.online.iter().find(|line| line.name == name).unwrap();
        assert_eq!((line.online.rate(), line.now), (Some(0.0), Some(Now::NeverSeen)), "{name}");
    }
    assert_eq!(report.figures.online_rate, Some(0.5), "one of two");
    assert_eq!(report.figures.blind_s, Some(2.0 * 24.0 * 3_600.0), "two required points");
    assert!(report.suspicious.points[0].suspicion >= 1.0);
}

#[test]
fn silence_counts_from_the_last_sign_of_life_and_what_nothing_proves_is_unknown() {
    let (mut site, book) = (site(), Book::new());
    let place = site.keys["GW-01//OFFLINE"];
    site.alarms[place].after_ms = 4 * HOUR;
    life::began(&book.journal, None, TimeMs(DAY));
    book.write(Vec::new());
    let line = |site: &Site, end: i64| {
        let report = book.report(site, day(0), end);
        let line = report.online.iter().find(|line| line.name == "GW-01").unwrap().clone();
        (line.online, line.now, report)
    };
    let end = DAY + DAY_MS;
    // Only the journal: it can vouch for all but the last four hours.
    let (online, now, report) = line(&site, end);
    assert_eq!((online.online, online.unknown, now), (20 * HOUR, 4 * HOUR, Some(Now::Unknown)));
    assert_eq!(report.figures.online_unknown, Some(4.0 / 48.0));
    let (online, _, _) = line(&site, end + 4 * HOUR);
    assert_eq!((online.online, online.unknown), (DAY_MS, 0), "later it can");
    // Limits so long that nothing is proved at all: no blind time is known.
    site.alarms.iter_mut().for_each(|alarm| alarm.after_ms = 30 * HOUR);
    let (online, _, report) = line(&site, end);
    assert_eq!((online.rate(), report.figures.blind_s), (None, None));
    // The centre says how it does now.
    site.gateways[0].now = Some(HeardNow { online: true, last: Some(TimeMs(end)) });
    assert_eq!(line(&site, end).0.rate(), Some(1.0));
    site.gateways[0].now = Some(HeardNow { online: false, last: Some(TimeMs(DAY + 10 * HOUR)) });
    let (online, now, _) = line(&site, end);
    assert_eq!((online.online, online.gateway_offline), (10 * HOUR, 14 * HOUR));
    assert_eq!(now, Some(Now::GatewayOffline));
    // Not heard since the centre's start.
    site.gateways[0].now = Some(HeardNow { online: false, last: None });
    assert_eq!(line(&site, end).0.rate(), Some(0.0));
    // OFFLINE has come: the silence began as long before it as its limit is.
    site.gateways[0].now = None;
    site.alarms[place].after_ms = 4 * HOUR;
    let (on, off) = (DAY + 12 * HOUR, DAY + 15 * HOUR);
    book.write(vec![spanning(row("GW-01//OFFLINE", 1, "AB", "on", on), on, Some(off))]);
    assert_eq!(line(&site, end + DAY_MS).0.gateway_offline, 7 * HOUR);
}

#[test]
fn hours_that_nobody_watched_are_no_zeros() {
    let (site, book) = (site(), Book::new());
    life::began(&book.journal, None, TimeMs(DAY));
    life::began(&book.journal, Some(TimeMs(DAY + 6 * HOUR)), TimeMs(DAY + 9 * HOUR));
    let on = DAY + 2 * HOUR;
    book.write(vec![spanning(row("GW-01/TK-00.LT/H", 1, "AB", "on", on), on, None)]);
    let to = TimeMs(DAY + 12 * HOUR);
    let report = book.report(&site, Period { to, complete: false, ..day(0) }, to.0);
    for (hour, count) in report.by_hour.into_iter().enumerate() {
        let watched = hour < 6 || (9..12).contains(&hour);
        assert_eq!(count, watched.then_some(u64::from(hour == 2)), "{hour}");
    }
    assert_eq!(report.figures.load.per_day, Some(24.0 / 9.0), "nine hours were watched");
    let stamp = Stamp::in_zone("Asia/Shanghai").unwrap();
    let json = report_json(&report, &stamp);
    assert!(json["counts"]["by_hour"][7].is_null() && json["counts"]["by_hour"][23].is_null());
    let csv = String::from_utf8(write::csv(&sheets(&report, &stamp))).unwrap();
    assert!(csv.contains("05:00,0\n06:00,-\n") && csv.contains("12:00,-"), "{csv}");
    let html = write::html(&sheets(&report, &stamp), "日报");
    assert!(html.contains("<td>07:00</td><td class=\"n\">-</td>"), "{html}");
}

#[test]
fn late_and_refuted_excursions_count_by_when_they_happened() {
    let (site, book) = (site(), Book::new());
    life::began(&book.journal, None, TimeMs(DAY - HOUR));
    let key = "GW-01/TK-00.LT/HH";
    let known = DAY + DAY_MS + HOUR;
    let late = |number, on: i64| {
        let row = spanning(row(key, number, "AD", "on", known + on - DAY), on, Some(on + MINUTE));
        JournalRow { flags: "late".into(), ..row }
    };
    let refuted = row(key, 2, "DA", "refuted", known + 2 * HOUR);
    book.write(vec![late(1, DAY + 10 * MINUTE), late(2, DAY + 20 * MINUTE), refuted]);
    let report = book.report(&site, day(0), known + DAY_MS);
    assert_eq!((report.figures.late, report.counts.announced), (1, 0), "no load, but plant truth");
    assert_eq!(report.figures.late_median_s, Some(25.0 * 3_600.0));
    assert_eq!(book.report(&site, day(1), known + DAY_MS).figures.late, 0);
}
