//! Facts that the journal holds and that no replayed event comes to: their samples were on the way
//! to the store when the host was killed. People have seen them, so they hold.
//!
//! - Number, bounds and phase are taken over as the row says them. When the samples come again,
//!   they meet the occurrence under the number that people know.
//! - The sample that the row names is put in its place, so that a recomputation before the others
//!   are here does not refute what it cannot see. Edges of a delay name no sample.
//! - What people did is not adopted: the host plays the command.

use crate::condition::Judgement;
use crate::engine::{Engine, NONE};
use crate::held::Sample;
use crate::lifecycle::Phase;
use crate::model::{Cause, Letter, Occurrence, Row, Subject};
use crate::story::Happening;

impl Engine {
    /// Takes over a row of the journal after a restore, in the order of the journal. False for
    /// notes and for alarms that the plan does not have: they change nothing.
    pub fn adopt(&mut self, row: &Row) -> bool {
        let Some(bounds) = row.bounds.filter(|_| is_fact(row.cause)) else { return false };
        if self.alarms.get(row.alarm.0 as usize).is_none() {
            return false;
        }
        // Of an occurrence that was over when it was found, only the beginning has a value.
        if row.cause != Cause::On || bounds.off.is_none() {
            self.adopt_sample(row);
        }
        self.adopt_bounds(row, bounds);
        self.adopt_condition(row);
        self.adopt_letter(row);
        true
    }

    fn adopt_sample(&mut self, row: &Row) {
        let Subject::Point(point) = self.spec(row.alarm).subject else { return };
        let place = self.alarms.get(row.alarm.0 as usize).map_or(NONE, |alarm| alarm.hot);
        let Some(rule) = self.hot.get(place as usize).map(|hot| hot.rule) else { return };
        let delay = if row.cause == Cause::On { rule.on_delay } else { rule.off_delay };
        let keep = self.keep;
        let (Some(te), Some(value), 0) = (row.te, row.value, delay) else { return };
        let Some(state) = self.point_mut(point) else { return };
        let sample = Sample::new(te.0, Some(value));
        if state.held.head().is_none_or(|head| head < te.0) {
            state.held.push(sample, keep);
            state.newest = state.newest.max(te.0);
            state.fresh = state.fresh.max(te.0);
        } else if te.0 >= state.held.floor() && state.held.at(te.0).is_none() {
            state.held.insert(sample);
        }
    }

    fn adopt_bounds(&mut self, row: &Row, bounds: Occurrence) {
        let story = self.story_mut(row.alarm);
        let number = row.occurrence;
        let refuted = row.cause == Cause::Refuted;
        let (on, off) = (bounds.on.0, bounds.off.map(|off| off.0));
        let late = row.cause == Cause::On && row.flags.late;
        match story.numbered(number) {
            Some(known) => {
                (known.on, known.off, known.refuted) = (on, off, refuted);
            }
            None => {
                let happening = Happening { number, on, off, late, refuted, wants_answer: false };
                let place = story.happenings.partition_point(|known| known.number < number);
                story.happenings.insert(place, happening);
            }
        }
        story.next_number = story.next_number.max(number.saturating_add(1));
        let over = off.is_some();
        let asks = asks(row, over);
        if let Some(happening) = story.numbered(number).filter(|_| asks) {
            happening.wants_answer = true;
        }
        if asks && !over {
            story.answered_by = None;
            story.announced = row.ti;
        }
    }

    fn adopt_condition(&mut self, row: &Row) {
        let id = row.alarm;
        let open = self.story(id).is_some_and(|story| story.confirmed().any(|h| h.is_open()));
        let place = self.alarms.get(id.0 as usize).map_or(NONE, |alarm| alarm.hot);
        match self.hot.get_mut(place as usize) {
            Some(hot) if hot.judge != Judgement::settled(open) => {
                hot.judge = Judgement::settled(open);
                self.rearm(place as usize);
            }
            Some(_) => {}
            None => self.set_silent(id, open),
        }
        if let Subject::Gateway(gateway) = self.spec(id).subject
            && let Some(state) = self.gateway_mut(gateway)
        {
            state.cover = open;
            if !open {
                state.heard = state.heard.max(row.ti.0);
            }
        }
    }

    fn adopt_letter(&mut self, row: &Row) {
        let id = row.alarm;
        let story = self.story_mut(id);
        if let Some(phase) = phase_of(row.to).filter(|_| !story.overlays.any()) {
            story.phase = phase;
        }
        story.since = row.ti;
        story.value = row.value.or(story.value);
        if self.letter(id) == Letter::A {
            self.standing.remove(&id);
        } else {
            self.standing.insert(id);
        }
        self.rearm_realarm(id);
    }
}

/// Rows that say how an occurrence stands.
fn is_fact(cause: Cause) -> bool {
    match cause {
        Cause::On | Cause::Off | Cause::Revised | Cause::Refuted | Cause::ReAlarm => true,
        Cause::Acknowledged
        | Cause::StaleAcknowledgement
        | Cause::Reset
        | Cause::Refused
        | Cause::Shelved
        | Cause::Unshelved
        | Cause::Suppressed
        | Cause::Unsuppressed
        | Cause::OutOfService
        | Cause::InService
        | Cause::Duplicate
        | Cause::FutureStamp
        | Cause::History => false,
    }
}

/// Whether a person owes an answer to the occurrence of this row.
fn asks(row: &Row, over: bool) -> bool {
    let sounds = row.to == Letter::B;
    if row.cause == Cause::On && over {
        // Found late and over: asked for beside whatever the alarm shows.
        return phase_of(row.to).is_some();
    }
    sounds && !over && (row.cause != Cause::Revised || row.from != Letter::B)
}

/// The phase of a letter; none for what only lies over it.
fn phase_of(letter: Letter) -> Option<Phase> {
    match letter {
        Letter::A => Some(Phase::Normal),
        Letter::B => Some(Phase::Unacknowledged),
        Letter::C => Some(Phase::Acknowledged),
        Letter::D => Some(Phase::Returned),
        Letter::E => Some(Phase::LatchedUnacknowledged),
        Letter::F => Some(Phase::LatchedAcknowledged),
        Letter::G | Letter::H | Letter::I => None,
    }
}
