//! Outage packages (R9): what a back-fill of one gateway brought to light, as one thing.
//!
//! - A package belongs to the silence of its gateway; what comes in several settlements joins.
//! - Each part is a row of the journal, in the transaction of the rows that it sums up: a restart
//!   finds the packages there.
//! - It stays on the desk while one of its excursions wants an answer, and half a day beyond.

use std::collections::{BTreeMap, BTreeSet};

use fengsui_alerting::{Cause, Condition, Engine, GatewayRef, Letter, Row, Subject};
use fengsui_store::{AlarmJournal, JournalRow, StoreError};
use fengsui_telemetry::TimeMs;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tracing::warn;

use crate::note::Note;
use crate::stamp::Stamp;
use crate::view::AlarmRow;

/// The journal's word for them.
pub const CAUSE: &str = "outage";
/// Packages kept; the oldest goes first.
const KEEP_MAX: usize = 200;
/// Excursions named in one row of the journal; of more the number is told.
const NAMED_MAX: usize = 1_000;
/// Shown this long after everything is answered: a shift.
const SHOWN_MS: i64 = 12 * 3_600_000;

/// One part of a package.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Package {
    /// Its name: gateway and occurrence of its silence.
    pub package: String,
    /// Whose.
    pub gateway: String,
    /// The silence, ms; none where it is not known or not over.
    pub silent_from: Option<i64>,
    /// Its end.
    pub silent_to: Option<i64>,
    /// Oldest late sample, ms.
    pub from: i64,
    /// Newest late sample.
    pub to: i64,
    /// Records.
    pub records: u64,
    /// Samples.
    pub samples: u64,
    /// What they brought to light.
    pub excursions: Vec<Excursion>,
    /// How many there are, named or not.
    pub count: u64,
    /// When the centre knew.
    pub known: i64,
}

/// One occurrence found late.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excursion {
    /// Which alarm.
    pub alarm: String,
    /// Which occurrence.
    pub occurrence: u64,
    /// 1..=4.
    pub priority: u8,
    /// Beginning, ms.
    pub te_on: i64,
    /// End; none: it still lasts.
    pub te_off: Option<i64>,
}

/// Samples of a back-fill.
#[derive(Clone, Copy, Debug, Default)]
pub struct Late {
    /// Records.
    pub records: u64,
    /// Samples.
    pub samples: u64,
    /// Oldest.
    pub from: Option<TimeMs>,
    /// Newest.
    pub to: Option<TimeMs>,
}

/// The packages of some rows: one for each gateway with late occurrences, and one for a back-fill
/// that follows a silence, whatever it held.
#[must_use]
pub fn packages(
    engine: &Engine,
    rows: &[Row],
    late: Option<(usize, Late)>,
    names: &dyn Fn(u32) -> String,
    now: TimeMs,
) -> Vec<Package> {
    let mut found: BTreeMap<u32, Vec<Excursion>> = BTreeMap::new();
    // What lies wholly inside a shelf or a suppression is for the journal alone (R8e).
    let shown = |row: &&Row| !matches!(row.to, Letter::G | Letter::H | Letter::I);
    let late_on = rows.iter().filter(|row| row.flags.late && row.cause == Cause::On);
    for row in late_on.filter(shown) {
        let (Some(spec), Some(bounds)) = (engine.spec_of(row.alarm), row.bounds) else {
            continue;
        };
        found.entry(spec.gateway.0).or_default().push(Excursion {
            alarm: spec.key.to_owned(),
            occurrence: row.occurrence,
            priority: spec.priority.number(),
            te_on: bounds.on.0,
            te_off: bounds.off.map(|off| off.0),
        });
    }
    let late = late.and_then(|(gateway, late)| Some((u32::try_from(gateway).ok()?, late)));
    if let Some((gateway, _)) = late {
        found.entry(gateway).or_default();
    }
    let mut packages = Vec::new();
    for (gateway, mut excursions) in found {
        let oldest = excursions.iter().map(|e| e.te_on).min();
        let own = late.filter(|(of, _)| *of == gateway).map(|(_, late)| late).unwrap_or_default();
        let from = own.from.map(|at| at.0).into_iter().chain(oldest).min();
        let ends = excursions.iter().map(|e| e.te_off.unwrap_or(now.0)).max();
        let to = own.to.map(|at| at.0).into_iter().chain(ends).max();
        let data = (from.unwrap_or(now.0), to.unwrap_or(now.0));
        let silence = silence(engine, GatewayRef(gateway), data, now);
        if excursions.is_empty() && silence.is_none() {
            continue;
        }
        let (late, from) = (own, data.0);
        let name = names(gateway);
        let count = excursions.len() as u64;
        excursions.truncate(NAMED_MAX);
        packages.push(Package {
            package: match silence {
                Some((number, _, _)) => format!("{name}/OFFLINE#{number}"),
                None => format!("{name}/late@{}", from.div_euclid(3_600_000)),
            },
            gateway: name,
            silent_from: silence.map(|(_, from, _)| from),
            silent_to: silence.and_then(|(_, _, to)| to),
            from,
            to: late.to.map_or(now.0, |to| to.0),
            records: late.records,
            samples: late.samples,
            excursions,
            count,
            known: now.0,
        });
    }
    packages
}

/// The silence that a back-fill belongs to: the newest that lies over the time of its data. None
/// does where the data were late for another reason; an outage of long ago has nothing to do with
/// them.
fn silence(
    engine: &Engine,
    gateway: GatewayRef,
    data: (i64, i64),
    now: TimeMs,
) -> Option<(u64, i64, Option<i64>)> {
    let mut specs = engine.specs().enumerate();
    let (place, after_ms) = specs.find_map(|(place, alarm)| {
        let Condition::GatewayOffline { after_ms } = *alarm.condition else { return None };
        (alarm.subject == Subject::Gateway(gateway)).then_some((place, after_ms))
    })?;
    let alarm = fengsui_alerting::AlarmId(u32::try_from(place).ok()?);
    let silences: Vec<Silence> = engine
        .occurrences(alarm)
        .into_iter()
        .filter(|o| !o.refuted)
        .map(|o| (o.number, o.on.0, o.off.map(|off| off.0)))
        .collect();
    covering(&silences, after_ms, data, now)
}

/// Number, beginning, end.
type Silence = (u64, i64, Option<i64>);

/// The one that lies over most of the data. Nothing was heard for a while before it was called
/// silent; that belongs to it.
fn covering(
    silences: &[Silence],
    after_ms: i64,
    (from, to): (i64, i64),
    now: TimeMs,
) -> Option<Silence> {
    let over = |(_, on, off): &Silence| {
        off.unwrap_or(now.0).min(to).saturating_sub(on.saturating_sub(after_ms).max(from))
    };
    let over = silences.iter().filter(|silence| over(silence) >= 0).max_by_key(|s| (over(s), s.0));
    over.copied()
}

impl Package {
    /// As the journal keeps it.
    #[must_use]
    pub fn row(&self, now: TimeMs) -> JournalRow {
        let first = self.excursions.first();
        let note = Note {
            id: format!(
                "{CAUSE}/{}/{}-{}/{}/{}",
                self.package,
                self.from,
                self.to,
                self.samples,
                first.map_or("", |e| e.alarm.as_str())
            ),
            cause: CAUSE,
            comment: format!(
                "补传 {} 条记录，查出 {} 次越限 / {} records brought {} excursions to light",
                self.records, self.count, self.records, self.count
            ),
            body: serde_json::to_string(self).ok(),
            ..Note::default()
        };
        note.row(now)
    }

    fn absorb(&mut self, other: Self) {
        self.from = self.from.min(other.from);
        self.to = self.to.max(other.to);
        self.records += other.records;
        self.samples += other.samples;
        self.count += other.count;
        self.silent_to = other.silent_to.or(self.silent_to);
        self.excursions.extend(other.excursions);
        self.excursions.truncate(NAMED_MAX);
        self.known = other.known;
    }
}

/// The packages that the desk shows.
#[derive(Debug, Default)]
pub struct Book(BTreeMap<String, Package>);

impl Book {
    /// What the journal tells of the newest packages.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn of(journal: &AlarmJournal) -> Result<Self, StoreError> {
        let mut book = Self::default();
        let mut rows = journal.of_cause(CAUSE, u64::MAX, KEEP_MAX)?;
        rows.reverse();
        for stored in rows {
            let body = stored.row.command.unwrap_or_default();
            match serde_json::from_str(&body) {
                Ok(package) => book.take(package),
                Err(fault) => warn!(seq = stored.seq, %fault, "an outage package is unreadable"),
            }
        }
        Ok(book)
    }

    /// One more part.
    pub fn take(&mut self, part: Package) {
        match self.0.get_mut(&part.package) {
            Some(known) => known.absorb(part),
            None => {
                self.0.insert(part.package.clone(), part);
            }
        }
        while self.0.len() > KEEP_MAX {
            let oldest = self.0.iter().min_by_key(|(_, package)| package.known);
            let Some(oldest) = oldest.map(|(name, _)| name.clone()) else { return };
            self.0.remove(&oldest);
        }
    }

    /// What is shown beside these rows, newest first.
    #[must_use]
    pub fn shown(&self, rows: &[AlarmRow], stamp: &Stamp, now: TimeMs) -> Vec<Value> {
        let waiting: BTreeSet<(&str, u64)> = rows
            .iter()
            .filter(|row| row.wants_person())
            .map(|row| (row.facts.0.key.as_str(), row.occurrence))
            .collect();
        let mut shown: Vec<(&Package, usize)> = self
            .0
            .values()
            .map(|package| {
                let asks = |e: &&Excursion| waiting.contains(&(e.alarm.as_str(), e.occurrence));
                (package, package.excursions.iter().filter(asks).count())
            })
            .filter(|(package, open)| *open > 0 || now.since(TimeMs(package.known)) < SHOWN_MS)
            .collect();
        shown.sort_by_key(|(package, _)| std::cmp::Reverse(package.known));
        shown.into_iter().map(|(package, open)| package.json(open, stamp)).collect()
    }
}

impl Package {
    fn json(&self, unanswered: usize, stamp: &Stamp) -> Value {
        let time = |ms: i64| stamp.rfc3339(TimeMs(ms));
        let excursions: Vec<Value> = self
            .excursions
            .iter()
            .map(|e| {
                json!({
                    "alarm": e.alarm, "occurrence": e.occurrence, "priority": e.priority,
                    "te_on": time(e.te_on), "te_off": e.te_off.map(time),
                })
            })
            .collect();
        json!({
            "package": self.package, "gateway": self.gateway,
            "silent_from": self.silent_from.map(time), "silent_to": self.silent_to.map(time),
            "from": time(self.from), "to": time(self.to),
            "records": self.records, "samples": self.samples,
            "count": self.count, "unanswered": unanswered,
            "worst": self.excursions.iter().map(|e| e.priority).min(),
            "excursions": excursions, "known": time(self.known),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;

    #[test]
    fn a_package_names_the_silence_that_lies_over_its_data_and_no_other() {
        // Yesterday's outage, today's of two hours, and a blink shortly after.
        let silences = [
            (1, 0, Some(HOUR_MS)),
            (2, 24 * HOUR_MS, Some(26 * HOUR_MS)),
            (3, 26 * HOUR_MS + 60_000, Some(26 * HOUR_MS + 90_000)),
        ];
        let now = TimeMs(29 * HOUR_MS);
        let named = |from, to| covering(&silences, 15_000, (from, to), now).map(|s| s.0);
        assert_eq!(named(24 * HOUR_MS - 14_000, 26 * HOUR_MS + 80_000), Some(2));
        assert_eq!(named(26 * HOUR_MS + 50_000, 26 * HOUR_MS + 80_000), Some(3));
        assert_eq!(named(HOUR_MS / 2, HOUR_MS / 2), Some(1));
        assert_eq!(named(5 * HOUR_MS, 6 * HOUR_MS), None, "late for another reason");
        assert_eq!(named(28 * HOUR_MS, 29 * HOUR_MS), None, "the newest is over");
        let lasting = [(4, 28 * HOUR_MS, None)];
        let found = covering(&lasting, 15_000, (28 * HOUR_MS, 29 * HOUR_MS), now);
        assert_eq!(found.map(|s| s.0), Some(4), "it lasts");
    }
}
