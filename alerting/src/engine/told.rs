//! What the journal tells and a restored engine does not know.
//!
//! - A log that ends early, a snapshot that cannot be read, or limits of which nothing is left can
//!   make another engine than the one that wrote the journal. People have read the journal: its
//!   numbers are never given again, and what stands in it stands.
//! - What stood and was lost wants an answer again, whoever answered before; the next event that is
//!   about it judges it.

use std::collections::HashMap;

use fengsui_telemetry::TimeMs;

use crate::condition::Judgement;
use crate::engine::unjudged::{Past, with_past};
use crate::engine::{Engine, NONE};
use crate::lifecycle::Phase;
use crate::model::{AlarmId, Condition, GatewayRef, Letter, Priority, Subject};
use crate::plan::RestoreFault;
use crate::story::Happening;
use fengsui_telemetry::Revision;

/// What a journal tells of one alarm.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// Its key.
    pub key: String,
    /// Its gateway, for an alarm that the plan does not have.
    pub gateway: GatewayRef,
    /// The highest number of an occurrence.
    pub highest: u64,
    /// What stands by its newest row; none where that leaves it normal.
    pub stands: Option<ToldOccurrence>,
    /// The limits that judged.
    pub revision: Revision,
}

/// An occurrence that stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ToldOccurrence {
    /// Its number.
    pub number: u64,
    /// Where it began.
    pub on: TimeMs,
    /// When the host knew of its newest edge.
    pub known: TimeMs,
    /// The value there.
    pub value: Option<f64>,
}

impl Engine {
    /// This engine, and what the journal tells beyond it. Answers with the keys of the alarms that
    /// it did not know so; none: engine and journal agree.
    ///
    /// # Errors
    /// An engine with the alarms that the plan does not have cannot be made.
    pub fn held_to(self, told: Vec<Told>) -> Result<(Self, Vec<String>), RestoreFault> {
        let places: HashMap<&str, AlarmId> =
            self.specs().zip(0_u32..).map(|(spec, id)| (spec.key, AlarmId(id))).collect();
        let news = |one: &Told| match places.get(one.key.as_str()) {
            Some(id) => {
                let gone = one.stands.is_some() && self.letter(*id) == Letter::A;
                gone || one.highest > self.highest(*id)
            }
            None => one.stands.is_some(),
        };
        let told: Vec<Told> = told.into_iter().filter(news).collect();
        if told.is_empty() {
            return Ok((self, Vec::new()));
        }
        let missing = told.iter().filter(|one| !places.contains_key(one.key.as_str()));
        let missing: Vec<Past> = missing.map(past_of).collect();
        let mut engine = if missing.is_empty() {
            self
        } else {
            let bytes = self.snapshot();
            Self::restore(with_past(self.plan(), missing), &bytes)?
        };
        let places: HashMap<String, AlarmId> =
            engine.specs().zip(0_u32..).map(|(s, id)| (s.key.to_owned(), AlarmId(id))).collect();
        for one in &told {
            if let Some(id) = places.get(one.key.as_str()) {
                engine.stand_as_told(*id, one);
            }
        }
        Ok((engine, told.into_iter().map(|one| one.key).collect()))
    }

    fn stand_as_told(&mut self, id: AlarmId, told: &Told) {
        let stood = self.letter(id) != Letter::A;
        let story = self.story_mut(id);
        story.next_number = story.next_number.max(told.highest.saturating_add(1));
        let Some(stands) = told.stands.filter(|_| !stood) else { return };
        match story.numbered(stands.number) {
            Some(happening) => {
                (happening.off, happening.refuted, happening.wants_answer) = (None, false, true);
            }
            None => {
                let place = story.happenings.partition_point(|h| h.number < stands.number);
                let happening = Happening {
                    number: stands.number,
                    on: stands.on.0,
                    off: None,
                    late: false,
                    refuted: false,
                    wants_answer: true,
                    known: stands.known.0,
                    value: stands.value,
                };
                story.happenings.insert(place, happening);
            }
        }
        story.phase = Phase::Unacknowledged;
        story.answered_by = None;
        (story.since, story.value) = (stands.known, stands.value);
        // What came before is in the journal and not judged again.
        story.known_from = story.known_from.max(stands.known.0);
        self.standing.insert(id);
        let place = self.alarms.get(id.0 as usize).map_or(NONE, |alarm| alarm.hot);
        match self.hot.get_mut(place as usize) {
            Some(hot) => hot.judge = Judgement::settled(true),
            None => self.set_silent(id, true),
        }
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
