//! What the journal tells and a restored engine does not know.
//!
//! - A log that ends early, a snapshot that cannot be read, or limits of which nothing is left can
//!   make another engine than the one that wrote the journal. People have read the journal and acted
//!   by it: its numbers are never given again, what stands in it stands, and what a person has lifted
//!   stays lifted.
//! - Where both agree, which is always so unless a file was damaged, nothing is changed.

use std::collections::{BTreeMap, HashMap};

use fengsui_telemetry::{Revision, TimeMs};

use crate::condition::Judgement;
use crate::engine::unjudged::{Past, with_past};
use crate::engine::{Engine, NONE};
use crate::lifecycle::Phase;
use crate::model::{AlarmId, Cause, Condition, GatewayRef, Letter, Priority, Row, Subject};
use crate::overlay::Overlays;
use crate::plan::RestoreFault;
use crate::story::Happening;

/// Occurrences of one alarm that are taken from the journal, the newest; older ones are in it.
const TOLD_MAX: usize = 64;

/// What rows of a journal, in their order, tell of one alarm.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    key: String,
    gateway: GatewayRef,
    letter: Letter,
    since: TimeMs,
    value: Option<f64>,
    by: Option<String>,
    highest: u64,
    revision: Revision,
    occurrences: BTreeMap<u64, Heard>,
}

/// One row, as far as it tells how an alarm stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ToldRow<'a> {
    /// When the host knew.
    pub ti: TimeMs,
    /// When it happened.
    pub te: Option<TimeMs>,
    /// The letter afterwards.
    pub to: Letter,
    /// The occurrence.
    pub occurrence: u64,
    /// Its begin and end, where the row has them.
    pub bounds: (Option<TimeMs>, Option<TimeMs>),
    /// Why.
    pub cause: Cause,
    /// It was found in late data.
    pub late: bool,
    /// The value that decided.
    pub value: Option<f64>,
    /// Who.
    pub by: Option<&'a str>,
    /// The limits that judged.
    pub revision: Revision,
}

/// What is told of one occurrence.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Heard {
    on: TimeMs,
    off: Option<TimeMs>,
    late: bool,
    refuted: bool,
    answered: bool,
    known: TimeMs,
    value: Option<f64>,
}

impl<'a> From<&'a Row> for ToldRow<'a> {
    fn from(row: &'a Row) -> Self {
        Self {
            ti: row.ti,
            te: row.te,
            to: row.to,
            occurrence: row.occurrence,
            bounds: row.bounds.map_or((None, None), |b| (Some(b.on), b.off)),
            cause: row.cause,
            late: row.flags.late,
            value: row.value,
            by: row.by.as_deref(),
            revision: row.revision,
        }
    }
}

impl Told {
    /// Nothing yet of an alarm; its gateway is asked for where no plan has it.
    #[must_use]
    pub fn of(key: &str, gateway: GatewayRef) -> Self {
        Self {
            key: key.to_owned(),
            gateway,
            letter: Letter::A,
            since: TimeMs(0),
            value: None,
            by: None,
            highest: 0,
            revision: Revision(0),
            occurrences: BTreeMap::new(),
        }
    }

    /// The alarm.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Its newest row leaves it normal.
    #[must_use]
    pub fn is_normal(&self) -> bool {
        self.letter == Letter::A
    }

    /// The highest number of an occurrence.
    #[must_use]
    pub fn highest(&self) -> u64 {
        self.highest
    }

    /// The next row.
    pub fn take(&mut self, row: ToldRow<'_>) {
        (self.letter, self.since, self.revision) = (row.to, row.ti, row.revision);
        self.highest = self.highest.max(row.occurrence);
        if row.cause == Cause::Acknowledged {
            self.by = row.by.map(str::to_owned);
        }
        if row.occurrence > 0 {
            self.value = row.value.or(self.value);
            let new = || Heard {
                on: row.te.unwrap_or(row.ti),
                off: None,
                late: row.late,
                refuted: false,
                answered: false,
                known: row.ti,
                value: row.value,
            };
            let heard = self.occurrences.entry(row.occurrence).or_insert_with(new);
            (heard.on, heard.off) = (row.bounds.0.unwrap_or(heard.on), row.bounds.1.or(heard.off));
            match row.cause {
                Cause::On | Cause::Revised => {
                    (heard.off, heard.known) = (row.bounds.1, row.ti);
                    heard.answered &= row.to != Letter::B || heard.off.is_some();
                    // Nobody has to answer it; what came before may still wait.
                    heard.answered |= row.cause == Cause::On && row.to == Letter::C && !row.late;
                    heard.value = row.value.or(heard.value);
                }
                Cause::Off => (heard.off, heard.known) = (row.bounds.1.or(row.te), row.ti),
                // Rather one answer too many is asked for than one too few.
                Cause::Acknowledged => heard.answered = true,
                Cause::Refuted => heard.refuted = true,
                // An earlier answer no longer holds.
                Cause::NoLongerJudged | Cause::ReAlarm => heard.answered = false,
                Cause::Unshelved | Cause::Unsuppressed | Cause::InService => {
                    heard.answered &= !matches!(row.to, Letter::B | Letter::D | Letter::E);
                }
                Cause::StaleAcknowledgement
                | Cause::Reset
                | Cause::Refused
                | Cause::Shelved
                | Cause::Suppressed
                | Cause::OutOfService
                | Cause::Duplicate
                | Cause::FutureStamp
                | Cause::History
                | Cause::JudgedAgain => {}
            }
        }
        let uncovered =
            matches!(row.cause, Cause::Unshelved | Cause::Unsuppressed | Cause::InService);
        match row.to {
            Letter::A => self.answer_through(u64::MAX),
            Letter::C | Letter::F if uncovered => self.answer_through(self.current()),
            Letter::B
            | Letter::C
            | Letter::D
            | Letter::E
            | Letter::F
            | Letter::G
            | Letter::H
            | Letter::I => {}
        }
        while self.occurrences.len() > TOLD_MAX {
            self.occurrences.pop_first();
        }
    }

    /// What an answer must name: the open occurrence, else the newest.
    fn current(&self) -> u64 {
        self.open().unwrap_or(self.highest)
    }

    fn answer_through(&mut self, number: u64) {
        self.occurrences.range_mut(..=number).for_each(|(_, heard)| heard.answered = true);
    }

    fn says_nothing(&self) -> bool {
        self.occurrences.values().all(|heard| heard.refuted)
    }

    fn open(&self) -> Option<u64> {
        let open = |(number, heard): (&u64, &Heard)| {
            (heard.off.is_none() && !heard.refuted).then_some(*number)
        };
        self.occurrences.iter().rev().find_map(open)
    }

    fn differs_from(&self, engine: &Engine, id: AlarmId) -> bool {
        self.letter != engine.letter(id) || self.highest > engine.highest(id)
    }
}

impl Engine {
    /// Takes what the journal tells beyond this engine. Answers with the keys of the alarms that it
    /// did not know so; none: engine and journal agree.
    ///
    /// # Errors
    /// An engine with the alarms that the plan does not have cannot be made; this one is as it was.
    pub fn held_to(&mut self, told: Vec<Told>) -> Result<Vec<String>, RestoreFault> {
        let places = self.places();
        let news = |one: &Told| match places.get(one.key.as_str()) {
            Some(id) => one.differs_from(self, *id),
            None => one.letter != Letter::A,
        };
        let told: Vec<Told> = told.into_iter().filter(news).collect();
        let missing = told.iter().filter(|one| !places.contains_key(one.key.as_str()));
        let missing: Vec<Past> = missing.map(past_of).collect();
        if !missing.is_empty() {
            let plan = with_past(self.plan(), missing);
            let (keep, keep_asked) = (self.keep, self.keep_asked);
            *self = Self { keep, keep_asked, ..Self::restore(plan, &self.snapshot())? };
        }
        let places = self.places();
        let stand: Vec<(Option<AlarmId>, Told)> =
            told.into_iter().map(|one| (places.get(one.key.as_str()).copied(), one)).collect();
        for (id, one) in &stand {
            if let Some(id) = id {
                self.stand_as_told(*id, one);
            }
        }
        Ok(stand.into_iter().map(|(_, one)| one.key).collect())
    }

    fn places(&self) -> HashMap<&str, AlarmId> {
        self.specs().zip(0_u32..).map(|(spec, id)| (spec.key, AlarmId(id))).collect()
    }

    fn stand_as_told(&mut self, id: AlarmId, told: &Told) {
        let (before, open) = (self.letter(id), told.open());
        let mut lifted = Overlays::default();
        let story = self.story_mut(id);
        story.next_number = story.next_number.max(told.highest.saturating_add(1));
        for (number, heard) in &told.occurrences {
            let happening = Happening {
                number: *number,
                on: heard.on.0,
                off: heard.off.map(|off| off.0),
                late: heard.late,
                refuted: heard.refuted,
                wants_answer: !heard.answered,
                known: heard.known.0,
                value: heard.value,
            };
            match story.numbered(*number) {
                Some(known) => *known = happening,
                None => {
                    let place = story.happenings.partition_point(|h| h.number < *number);
                    story.happenings.insert(place, happening);
                }
            }
        }
        // Another one has begun since, or none lasts.
        let over = |h: &&mut Happening| h.is_open() && Some(h.number) != open;
        story.happenings.iter_mut().filter(over).for_each(|h| h.off = Some(told.since.0));
        if told.letter != before {
            let past = std::mem::take(&mut story.overlays.past);
            lifted =
                std::mem::replace(&mut story.overlays, Overlays { past, ..Overlays::default() });
        }
        let active = open.is_some();
        story.phase = match told.letter {
            Letter::A => Phase::Normal,
            Letter::B => Phase::Unacknowledged,
            Letter::C => Phase::Acknowledged,
            Letter::D => Phase::Returned,
            Letter::E => Phase::LatchedUnacknowledged,
            Letter::F => Phase::LatchedAcknowledged,
            // What lay over it is known only where the engine has it as well; else it speaks.
            Letter::G | Letter::H | Letter::I if active => Phase::Unacknowledged,
            Letter::G | Letter::H | Letter::I if told.says_nothing() => Phase::Normal,
            Letter::G | Letter::H | Letter::I => Phase::Returned,
        };
        if story.phase.wants_answer()
            && let Some(newest) = story.happenings.iter_mut().rev().find(|h| !h.refuted)
        {
            newest.wants_answer = true;
        }
        story.answered_by = if story.phase.wants_answer() { None } else { told.by.clone() };
        (story.since, story.value) = (told.since, told.value);
        // What came before is in the journal and not judged again.
        story.known_from = story.known_from.max(told.since.0);
        if let Some(shelf) = lifted.shelf {
            self.deadlines.unshelve(shelf.until, id);
        }
        if self.letter(id) == Letter::A {
            self.standing.remove(&id);
        } else {
            self.standing.insert(id);
        }
        let place = self.alarms.get(id.0 as usize).map_or(NONE, |alarm| alarm.hot);
        match self.hot.get_mut(place as usize) {
            Some(hot) => hot.judge = Judgement::settled(active),
            None => self.set_silent(id, active),
        }
        self.rearm_realarm(id);
    }
}

/// An alarm of which nothing is left but its rows. How urgent it was they do not say: it is treated
/// as the most urgent.
fn past_of(told: &Told) -> Past {
    Past {
        key: told.key.clone(),
        word: Condition::Unjudged.word().to_owned(),
        priority: Priority::P1,
        gateway: told.gateway,
        subject: Subject::Gateway(told.gateway),
        statutory: false,
        revision: told.revision,
        stands: true,
    }
}
