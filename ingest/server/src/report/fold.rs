//! The journal's rows of a period, folded into the facts that the figures are made of.
//!
//! - One row at a time: what is kept are announcements, late excursions and stretches, each with
//!   a limit. What is beyond a limit is counted, and the report says that it was cut.
//! - By the words of the journal, not by the engine: a row of another version that nobody
//!   understands is counted as such.
//! - What began before the period comes from the newest rows of each alarm before it.

mod notes;

use std::collections::{BTreeMap, HashMap};

use fengsui_alerting::calls::Member;
use fengsui_alerting::kpi::{Annunciation, Facts, Late, Stretch};
use fengsui_alerting::{AlarmId, Cause, Priority, Verb};
use fengsui_store::{JournalReader, JournalRow, RowKind, StoreError, StoredRow};
use fengsui_telemetry::TimeMs;

use super::period::Period;
use super::site::{Site, Tells};
use crate::calls::SUBSUMED;
use crate::commands;
use crate::stamp::Stamp;

/// Announcements that the lists and times are made of: a flood of an hour, 45 MB. More are
/// counted.
pub(super) const ANNUNCIATIONS_MAX: usize = 500_000;
/// Late excursions kept.
const LATE_MAX: usize = 200_000;
/// Stretches of one alarm: an instrument that comes and goes every four seconds for a day.
const SPANS_MAX: usize = 20_000;
/// Stretches of all alarms, 64 MB.
const SPANS_ALL_MAX: usize = 2_000_000;
/// Alarms that are no longer configured and are told apart.
const FOREIGN_MAX: usize = 10_000;
/// Rows of one alarm in which its standing at the beginning is looked for.
const LOOK_BACK: usize = 32;

/// One occurrence.
#[derive(Clone, Copy, Debug)]
pub(super) struct Happened {
    number: u64,
    pub(super) on: TimeMs,
    pub(super) off: Option<TimeMs>,
}

/// What is kept of one alarm.
#[derive(Clone, Debug, Default)]
pub(super) struct Track {
    /// Announcements: occurrence and place.
    told: Vec<(u64, usize)>,
    /// Those of them that nobody has acknowledged.
    open: Vec<(u64, usize)>,
    /// Occurrences of what tells about seeing.
    pub(super) happened: Vec<Happened>,
    /// More than can be kept: what it says of time is unknown.
    pub(super) overfull: bool,
    shelved: Option<TimeMs>,
    suppressed: Option<TimeMs>,
    out_of_service: Option<TimeMs>,
    /// Stretches under any of the three.
    pub(super) muted: Vec<(TimeMs, TimeMs)>,
}

/// What is only counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Announcements by hour of the day; whether anybody watched it stands in the report.
    pub by_hour: [u64; 24],
    /// By priority of today, P1 first.
    pub by_priority: [u64; 4],
    /// Announcements of alarms that are no longer configured: they have no priority.
    pub foreign: u64,
    /// By installation of today; a gateway's own under its name.
    pub by_installation: BTreeMap<String, u64>,
    /// Announcements.
    pub announced: u64,
    /// Persons called.
    pub calls: u64,
    /// Calls that were answered.
    pub answered: u64,
    /// Rows read.
    pub rows: u64,
    /// Rows that this version does not understand.
    pub unread: u64,
    /// Breaks of the hash chain that the centre itself noted.
    pub chain_breaks: u64,
    /// Something was more than is kept.
    pub cut: bool,
}

/// Facts in the making.
pub(super) struct Fold<'a> {
    site: &'a Site,
    period: &'a Period,
    stamp: &'a Stamp,
    pub(super) facts: Facts,
    pub(super) counts: Counts,
    pub(super) tracks: Vec<Track>,
    /// Tags whose limits were loosened in the last day of the period.
    pub(super) loosened: Vec<String>,
    foreign: HashMap<String, usize>,
    foreign_names: Vec<String>,
    late: BTreeMap<(usize, u64), Late>,
    packages: HashMap<u64, Vec<Member>>,
    spans: usize,
}

impl<'a> Fold<'a> {
    pub(super) fn new(site: &'a Site, period: &'a Period, stamp: &'a Stamp) -> Self {
        Self {
            site,
            period,
            stamp,
            facts: Facts::default(),
            counts: Counts::default(),
            tracks: vec![Track::default(); site.alarms.len()],
            loosened: Vec::new(),
            foreign: HashMap::new(),
            foreign_names: Vec::new(),
            late: BTreeMap::new(),
            packages: HashMap::new(),
            spans: 0,
        }
    }

    /// What stood when the period began: the newest rows of each alarm up to `through`.
    pub(super) fn begin(
        &mut self,
        journal: &JournalReader,
        through: u64,
        going_on: &dyn Fn() -> bool,
    ) -> Result<(), StoreError> {
        if through == 0 {
            return Ok(());
        }
        for place in 0..self.site.alarms.len() {
            let Some(alarm) = self.site.alarms.get(place) else { continue };
            if !going_on() {
                return Ok(());
            }
            let mut rows = journal.of_alarm(&alarm.facts.key, through, LOOK_BACK)?;
            rows.retain(|stored| stored.row.kind == RowKind::Alarm);
            let Some(newest) = rows.first().map(|stored| stored.row.clone()) else { continue };
            if newest.to == 'A' {
                continue;
            }
            rows.iter().rev().for_each(|stored| self.alarm_row(&stored.row));
            self.stood(place, &newest);
        }
        Ok(())
    }

    /// The beginning of what stands may lie further back than was looked.
    fn stood(&mut self, place: usize, newest: &JournalRow) {
        let from = self.period.from;
        let tells = self.site.alarms.get(place).map_or(Tells::Process, |alarm| alarm.tells);
        let Some(track) = self.tracks.get_mut(place) else { return };
        let quiet = [track.shelved, track.suppressed, track.out_of_service];
        if quiet.iter().all(Option::is_none) {
            match newest.to {
                'G' => track.shelved = Some(from),
                'H' => track.suppressed = Some(from),
                'I' => track.out_of_service = Some(from),
                _ => {}
            }
        }
        if let (Some(on), None, true) = (newest.te_on, newest.te_off, track.happened.is_empty())
            && tells != Tells::Process
        {
            track.happened.push(Happened { number: newest.occurrence, on, off: None });
        }
    }

    /// One row more.
    pub(super) fn take(&mut self, stored: &StoredRow) {
        let row = &stored.row;
        self.counts.rows += 1;
        match (row.kind, row.cause.as_str()) {
            (RowKind::Alarm, _) => self.alarm_row(row),
            (RowKind::System, "call") => self.call(row),
            (RowKind::System, "limits") => self.limits(row),
            (RowKind::System, "chain_break") if self.inside(row.ti) => {
                self.counts.chain_breaks += 1;
            }
            // The gateway's own engine says the same as the centre's.
            (RowKind::System | RowKind::Gateway, _) => {}
        }
    }

    fn inside(&self, at: TimeMs) -> bool {
        self.period.from <= at && at < self.period.to
    }

    /// The number of an alarm; of one that is no longer configured a number beyond the others.
    fn place(&mut self, key: &str) -> Option<usize> {
        if let Some(place) = self.site.keys.get(key).or_else(|| self.foreign.get(key)) {
            return Some(*place);
        }
        if self.foreign_names.len() >= FOREIGN_MAX {
            self.counts.cut = true;
            return None;
        }
        let place = self.tracks.len();
        self.foreign.insert(key.to_owned(), place);
        self.foreign_names.push(key.to_owned());
        self.tracks.push(Track::default());
        Some(place)
    }

    /// The key of an alarm's number.
    pub(super) fn key(&self, place: usize) -> &str {
        match self.site.alarms.get(place) {
            Some(alarm) => &alarm.facts.key,
            None => place
                .checked_sub(self.site.alarms.len())
                .and_then(|place| self.foreign_names.get(place))
                .map_or("", String::as_str),
        }
    }

    fn alarm_row(&mut self, row: &JournalRow) {
        let Some(cause) = Cause::from_word(&row.cause) else {
            self.counts.unread += 1;
            return;
        };
        let Some(place) = self.place(&row.alarm) else { return };
        self.happen(place, row, cause);
        if row.to == 'B'
            && (row.from != 'B' || cause == Cause::ReAlarm)
            && !row.comment.starts_with(SUBSUMED)
        {
            self.announce(place, row);
        }
        let is_late = row.flags.split(' ').any(|flag| flag == "late");
        let key = (place, row.occurrence);
        match cause {
            Cause::On if is_late => self.found_late(key, row),
            Cause::Off | Cause::Revised => self.end(key, row.te_on, row.te_off),
            Cause::Refuted => {
                self.late.remove(&key);
                self.end(key, None, Some(row.ti));
            }
            Cause::Acknowledged => self.acknowledge(key, row.ti),
            Cause::StaleAcknowledgement => {
                if let Some(named) = named(row) {
                    self.acknowledge((place, named), row.ti);
                }
            }
            Cause::Shelved
            | Cause::Unshelved
            | Cause::Suppressed
            | Cause::Unsuppressed
            | Cause::OutOfService
            | Cause::InService => self.quiet(place, row, cause),
            Cause::On
            | Cause::Reset
            | Cause::Refused
            | Cause::ReAlarm
            | Cause::Duplicate
            | Cause::FutureStamp
            | Cause::History
            | Cause::NoLongerJudged
            | Cause::JudgedAgain => {}
        }
    }

    fn announce(&mut self, place: usize, row: &JournalRow) {
        let alarm = self.site.alarms.get(place);
        let priority = alarm.and_then(|alarm| Priority::from_number(alarm.facts.priority));
        if self.inside(row.ti) {
            self.counts.announced += 1;
            let hour = row.ti.0 + i64::from(self.stamp.offset_min(row.ti)) * 60_000;
            let hour = usize::try_from(hour.div_euclid(3_600_000).rem_euclid(24)).unwrap_or(0);
            if let Some(count) = self.counts.by_hour.get_mut(hour) {
                *count += 1;
            }
            match priority {
                Some(priority) => {
                    let place = usize::from(priority.number()) - 1;
                    if let Some(count) = self.counts.by_priority.get_mut(place) {
                        *count += 1;
                    }
                }
                None => self.counts.foreign += 1,
            }
            let of = match alarm.map(|alarm| (&alarm.facts.installation, &alarm.facts.gateway)) {
                Some((installation, gateway)) if installation.is_empty() => gateway.as_str(),
                Some((installation, _)) => installation.as_str(),
                None => "",
            };
            *self.counts.by_installation.entry(of.to_owned()).or_default() += 1;
        }
        if self.facts.annunciations.len() >= ANNUNCIATIONS_MAX {
            self.counts.cut = true;
            return;
        }
        let entry = (row.occurrence, self.facts.annunciations.len());
        self.facts.annunciations.push(Annunciation {
            alarm: u32::try_from(place).unwrap_or(u32::MAX),
            // Shares by priority are not given where one is not known.
            priority: priority.unwrap_or(Priority::P4),
            at: row.ti,
            on: row.te_on.unwrap_or(row.ti),
            off: row.te_off,
            acknowledged: None,
            answered: None,
        });
        if let Some(track) = self.tracks.get_mut(place) {
            track.told.push(entry);
            track.open.push(entry);
        }
    }

    fn found_late(&mut self, key: (usize, u64), row: &JournalRow) {
        let Some(on) = row.te_on else { return };
        if self.late.len() >= LATE_MAX {
            self.counts.cut = true;
            return;
        }
        self.late.entry(key).or_insert(Late { on, known: row.ti });
    }

    /// The occurrence, and those before it, are answered.
    fn acknowledge(&mut self, (place, through): (usize, u64), at: TimeMs) {
        let Some(track) = self.tracks.get_mut(place) else { return };
        let annunciations = &mut self.facts.annunciations;
        track.open.retain(|(occurrence, place)| {
            let answered = *occurrence <= through;
            if answered && let Some(told) = annunciations.get_mut(*place) {
                told.acknowledged = Some(at);
            }
            !answered
        });
    }

    /// The occurrence has other bounds.
    fn end(&mut self, (place, number): (usize, u64), on: Option<TimeMs>, off: Option<TimeMs>) {
        let Some(track) = self.tracks.get(place) else { return };
        // Numbers rise: the newest are at the end.
        let same = track.told.iter().rev().take_while(|(told, _)| *told >= number);
        for (_, place) in same.filter(|(told, _)| *told == number) {
            if let Some(told) = self.facts.annunciations.get_mut(*place) {
                told.on = on.unwrap_or(told.on);
                told.off = off;
            }
        }
    }

    /// Keeps the occurrences of what tells about seeing.
    fn happen(&mut self, place: usize, row: &JournalRow, cause: Cause) {
        let tells = self.site.alarms.get(place).map_or(Tells::Process, |alarm| alarm.tells);
        let Some(track) = self.tracks.get_mut(place).filter(|_| tells != Tells::Process) else {
            return;
        };
        let number = row.occurrence;
        let known = track.happened.iter().rposition(|happened| happened.number == number);
        match (cause, known, row.te_on) {
            (Cause::On | Cause::Off | Cause::Revised, Some(known), Some(on)) => {
                if let Some(happened) = track.happened.get_mut(known) {
                    *happened = Happened { number, on, off: row.te_off };
                }
            }
            (Cause::On | Cause::Off | Cause::Revised, None, Some(on)) => {
                if track.happened.len() >= SPANS_MAX || self.spans >= SPANS_ALL_MAX {
                    track.overfull = true;
                    self.counts.cut = true;
                    return;
                }
                self.spans += 1;
                track.happened.push(Happened { number, on, off: row.te_off });
            }
            (Cause::Refuted, Some(known), _) => {
                track.happened.remove(known);
            }
            (_, _, _) => {}
        }
    }

    fn quiet(&mut self, place: usize, row: &JournalRow, cause: Cause) {
        let running = self.tracks.get(place).is_some_and(|track| track.shelved.is_some());
        // A new plan makes a shelf end earlier: that is nobody's, and quiets nothing.
        let cut = cause == Cause::Shelved && running && row.by.is_none();
        let begins = matches!(cause, Cause::Shelved | Cause::OutOfService) && !cut;
        if begins && self.inside(row.ti) && !is_authorised(row, self.site, place) {
            self.facts.unauthorised_suppressions += 1;
        }
        let Some(track) = self.tracks.get_mut(place) else { return };
        // An end has a time of its own where a restart has delayed the row.
        let at = row.te.unwrap_or(row.ti);
        let ended = match cause {
            Cause::Shelved => {
                track.shelved.get_or_insert(row.ti);
                return;
            }
            Cause::Suppressed => {
                track.suppressed.get_or_insert(row.ti);
                return;
            }
            Cause::OutOfService => {
                track.out_of_service.get_or_insert(row.ti);
                return;
            }
            Cause::Unshelved => {
                let from = track.shelved.take();
                let what = u32::try_from(place).unwrap_or(u32::MAX);
                self.facts.shelved.extend(from.map(|from| Stretch { what, from, to: Some(at) }));
                from
            }
            Cause::Unsuppressed => track.suppressed.take(),
            Cause::InService => track.out_of_service.take(),
            Cause::On
            | Cause::Off
            | Cause::Acknowledged
            | Cause::StaleAcknowledgement
            | Cause::Reset
            | Cause::Refused
            | Cause::ReAlarm
            | Cause::Duplicate
            | Cause::FutureStamp
            | Cause::Revised
            | Cause::Refuted
            | Cause::History
            | Cause::NoLongerJudged
            | Cause::JudgedAgain => None,
        };
        if track.muted.len() < SPANS_MAX {
            track.muted.extend(ended.map(|from| (from, at)));
        } else {
            track.overfull = true;
            self.counts.cut = true;
        }
    }

    /// Everything is read: what still lasts lasts to the end.
    pub(super) fn finish(&mut self) {
        let to = self.period.to;
        for (what, track) in (0_u32..).zip(&mut self.tracks) {
            if let Some(from) = track.shelved {
                self.facts.shelved.push(Stretch { what, from, to: None });
            }
            let lasting = [track.shelved, track.suppressed, track.out_of_service];
            track.muted.extend(lasting.into_iter().flatten().map(|from| (from, to)));
        }
        self.facts.late = std::mem::take(&mut self.late).into_values().collect();
    }
}

/// The occurrence that an acknowledgement named.
fn named(row: &JournalRow) -> Option<u64> {
    let command = commands::from_json(AlarmId(0), row.command.as_deref()?).ok()?;
    match command.verb {
        Verb::Acknowledge { occurrence, .. } => Some(occurrence),
        Verb::Reset
        | Verb::Shelve { .. }
        | Verb::Unshelve
        | Verb::Suppress
        | Verb::Unsuppress
        | Verb::OutOfService
        | Verb::InService => None,
    }
}

/// A known person did it, and a second one where P1 asks for it.
fn is_authorised(row: &JournalRow, site: &Site, place: usize) -> bool {
    let is_urgent = site.alarms.get(place).is_some_and(|alarm| alarm.facts.priority == 1);
    let command =
        row.command.as_deref().and_then(|text| commands::from_json(AlarmId(0), text).ok());
    let second = match command.map(|command| command.verb) {
        Some(Verb::Shelve { permit, .. }) => permit.second_person.is_some() || !is_urgent,
        Some(_) => true,
        None => false,
    };
    second && row.by.as_ref().is_some_and(|by| !by.is_empty())
}
