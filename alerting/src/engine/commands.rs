//! What people do to an alarm.
//!
//! - An acknowledgement names an occurrence and never covers a newer one (P6).
//! - A command that the state does not allow changes nothing and is noted (Q19).
//! - The same request twice has one effect.

use std::collections::{HashSet, VecDeque};

use fengsui_telemetry::TimeMs;

use crate::command::{Command, Verb};
use crate::engine::rows::Note;
use crate::engine::{Engine, Out};
use crate::lifecycle::{Stimulus, Turn, Way};
use crate::model::{Action, AlarmId, Cause, Flags, Priority};
use crate::refusal::Refusal;

/// Requests remembered. A console repeats one within seconds, if at all.
const REQUESTS_MAX: usize = 4_096;

/// The newest requests, to know a repeat.
#[derive(Clone, Debug, Default)]
pub(crate) struct Requests {
    order: VecDeque<(u32, String)>,
    known: HashSet<(u32, String)>,
}

impl Requests {
    /// Remembers a request; false if it is known.
    pub(crate) fn remember(&mut self, alarm: AlarmId, request: &str) -> bool {
        let entry = (alarm.0, request.to_owned());
        if !self.known.insert(entry.clone()) {
            return false;
        }
        self.order.push_back(entry);
        if self.order.len() > REQUESTS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }

    /// Forgets the newest one: a rule refused it, and the same may be asked again, mended.
    pub(crate) fn forget(&mut self, alarm: AlarmId, request: &str) {
        let is = |entry: &(u32, String)| entry.0 == alarm.0 && entry.1 == request;
        if self.order.back().is_some_and(is)
            && let Some(entry) = self.order.pop_back()
        {
            self.known.remove(&entry);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &(u32, String)> {
        self.order.iter()
    }
}

impl Engine {
    pub(crate) fn command(&mut self, command: &Command, out: &mut Out<'_>) {
        let id = command.alarm;
        if self.alarms.get(id.0 as usize).is_none() {
            return;
        }
        if !command.request.is_empty() && !self.requests.remember(id, &command.request) {
            return;
        }
        match command.verb {
            Verb::Acknowledge { occurrence, first_level } => {
                self.acknowledge(command, occurrence, first_level, out);
            }
            Verb::Reset => self.reset(command, out),
            Verb::Shelve { for_ms, one_shot, ref permit } => {
                self.shelve(command, for_ms, one_shot, permit, out);
            }
            Verb::Unshelve => self.unshelve(command, out),
            Verb::Suppress if self.overlays(id, |o| o.suppressed) => self.refuse(command, out),
            Verb::Suppress => {
                self.begin_overlay(command, Cause::Suppressed, |o| o.suppressed = true, out);
            }
            Verb::Unsuppress if self.overlays(id, |o| o.suppressed) => {
                let (number, letter) = (self.current(id), self.letter(id));
                let ended = Note::by(Cause::Unsuppressed, number, letter, command, out.now);
                self.end_overlay(id, Way::ByRule, ended, |o| o.suppressed = false, out);
            }
            Verb::OutOfService if self.overlays(id, |o| o.out_of_service) => {
                self.refuse(command, out);
            }
            Verb::OutOfService => {
                let cause = Cause::OutOfService;
                self.begin_overlay(command, cause, |o| o.out_of_service = true, out);
            }
            Verb::InService if self.overlays(id, |o| o.out_of_service) => {
                let (number, letter) = (self.current(id), self.letter(id));
                let ended = Note::by(Cause::InService, number, letter, command, out.now);
                self.end_overlay(id, Way::ByRule, ended, |o| o.out_of_service = false, out);
            }
            Verb::Unsuppress | Verb::InService => self.refuse(command, out),
        }
        self.close_unjudged(id, out);
    }

    fn overlays(&self, id: AlarmId, which: impl Fn(&crate::overlay::Overlays) -> bool) -> bool {
        self.story(id).is_some_and(|story| which(&story.overlays))
    }

    fn refuse(&mut self, command: &Command, out: &mut Out<'_>) {
        self.refuse_because(Refusal::State, command, out);
    }

    pub(crate) fn refuse_because(&mut self, why: Refusal, command: &Command, out: &mut Out<'_>) {
        let id = command.alarm;
        let note = Note::by(Cause::Refused, self.current(id), self.letter(id), command, out.now);
        if why.says().is_some() {
            self.requests.forget(id, &command.request);
        }
        let said = why.says().unwrap_or_else(|| command.comment.clone());
        self.write(id, note.saying(said), out);
    }

    /// P1, P2 and whatever is late is answered in words (section 6, Q15).
    fn wants_words(&self, id: AlarmId, named: u64) -> bool {
        let late = |h: &crate::story::Happening| h.late && h.wants_answer && h.number <= named;
        matches!(self.spec(id).priority, Priority::P1 | Priority::P2)
            || self.story(id).is_some_and(|story| story.happenings.iter().any(late))
    }

    fn acknowledge(
        &mut self,
        command: &Command,
        named: u64,
        first_level: Option<u64>,
        out: &mut Out<'_>,
    ) {
        let id = command.alarm;
        let highest = self.highest(id);
        if named == 0 || named > highest {
            return self.refuse_because(Refusal::NoOccurrence(named, highest), command, out);
        }
        if self.overlays(id, crate::overlay::Overlays::any) {
            return self.refuse(command, out);
        }
        let (from, current) = (self.letter(id), self.current(id));
        let seen_below = first_level.filter(|_| named == current);
        let below = seen_below.map_or_else(Vec::new, |number| self.answered_below(id, number));
        // One answer to several: in the words that any of them needs.
        let wants_words = self.wants_words(id, named)
            || below.iter().any(|below| self.wants_words(*below, self.current(*below)));
        if command.comment.trim().is_empty() && wants_words {
            return self.refuse_because(Refusal::CommentNeeded, command, out);
        }
        if named == current {
            if self.turn(id, Stimulus::Acknowledge) == Turn::Refused {
                return self.refuse(command, out);
            }
            let story = self.story_mut(id);
            story.answer_through(named);
            story.answered_by = Some(command.by.clone());
            story.owed = false;
            self.write(id, Note::by(Cause::Acknowledged, named, from, command, out.now), out);
            out.actions.push(Action::Silence { alarm: id });
            self.acknowledge_below(command, &below, out);
            return;
        }
        // An older one, or a late one that is over while the open one is older than it.
        let story = self.story_mut(id);
        let waited =
            story.numbered(named).is_some_and(|h| std::mem::replace(&mut h.wants_answer, false));
        if !waited && !story.phase.wants_answer() {
            return self.refuse(command, out);
        }
        let (cause, occurrence) = if named < current {
            (Cause::StaleAcknowledgement, current)
        } else {
            (Cause::Acknowledged, named)
        };
        self.write(id, Note::by(cause, occurrence, from, command, out.now), out);
    }

    fn reset(&mut self, command: &Command, out: &mut Out<'_>) {
        let id = command.alarm;
        if self.overlays(id, crate::overlay::Overlays::any) {
            return self.refuse(command, out);
        }
        let from = self.letter(id);
        if self.turn(id, Stimulus::Reset) == Turn::Refused {
            return self.refuse(command, out);
        }
        let note = Note::by(Cause::Reset, self.current(id), from, command, out.now);
        self.write(id, note, out);
        out.actions.push(Action::Silence { alarm: id });
    }

    /// W01, Q10: who has seen HH has seen H, if the occurrence of H that they name is the one
    /// that stands.
    fn answered_below(&self, id: AlarmId, number: u64) -> Vec<AlarmId> {
        let stands = |below: &AlarmId| {
            self.story(*below).is_some_and(|s| !s.overlays.any() && s.phase.wants_answer())
        };
        let named = |below: &AlarmId| self.current(*below) == number;
        self.below(id).into_iter().filter(stands).filter(named).collect()
    }

    /// The rows carry no command: a replay comes here through that of HH.
    fn acknowledge_below(&mut self, command: &Command, all: &[AlarmId], out: &mut Out<'_>) {
        for below in all.iter().copied() {
            let (from, number) = (self.letter(below), self.current(below));
            if self.turn(below, Stimulus::Acknowledge) == Turn::Refused {
                continue;
            }
            let story = self.story_mut(below);
            story.answer_through(number);
            story.answered_by = Some(command.by.clone());
            story.owed = false;
            let note = Note::by(Cause::Acknowledged, number, from, command, out.now);
            self.write(below, Note { command: None, ..note }, out);
            out.actions.push(Action::Silence { alarm: below });
        }
    }

    fn unshelve(&mut self, command: &Command, out: &mut Out<'_>) {
        let id = command.alarm;
        let Some(shelf) = self.story(id).and_then(|story| story.overlays.shelf) else {
            return self.refuse(command, out);
        };
        self.deadlines.unshelve(shelf.until, id);
        let ended = Note::by(Cause::Unshelved, self.current(id), self.letter(id), command, out.now);
        self.end_overlay(id, Way::ByPerson, ended, |overlays| overlays.shelf = None, out);
    }

    /// Ends every shelf whose time has come (T19). The row carries the shelf's own end: it needed
    /// no tick to end.
    pub(crate) fn end_shelves(&mut self, out: &mut Out<'_>) {
        while let Some((until, id)) = self.deadlines.take_shelf(out.now) {
            self.end_shelf(id, until, until, out);
        }
    }

    pub(crate) fn end_shelf(&mut self, id: AlarmId, until: TimeMs, ti: TimeMs, out: &mut Out<'_>) {
        let flags = Flags { recovered: ti != until, ..Flags::default() };
        let (current, letter) = (self.current(id), self.letter(id));
        let note = Note::at(Cause::Unshelved, current, letter, until.0, ti).flagged(flags);
        self.end_overlay(id, Way::ByRule, note, |overlays| overlays.shelf = None, out);
    }
}
