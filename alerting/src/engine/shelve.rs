//! Shelving: who may quiet what for how long (W16).
//!
//! - A shelf always has an end; the end is the shelf's own and survives a stop (P8).
//! - Whether the second person is who they say is the host's question.
//! - A change of the plan is no way around it: what the table would not allow for the alarm as it is
//!   now does not stay.

use fengsui_telemetry::TimeMs;

use crate::command::{Command, Permit};
use crate::engine::rows::Note;
use crate::engine::{Engine, Out};
use crate::lifecycle::Way;
use crate::model::{AlarmId, Cause, Condition, Priority};
use crate::overlay::Shelf;
use crate::refusal::{Refusal, SHELVES_MAX};

/// What the rows say to people.
const ENDED: &str = "报警级别或法定标记已改，原搁置手续不足，搁置结束 / the alarm is graver or statutory now: the shelf lacks the second person or the permit, and has ended";
const SHORTENED: &str =
    "报警级别已改，搁置缩短至现上限 / the alarm is graver now: the shelf ends earlier";

impl Engine {
    pub(crate) fn shelve(
        &mut self,
        command: &Command,
        for_ms: i64,
        one_shot: bool,
        permit: &Permit,
        out: &mut Out<'_>,
    ) {
        let id = command.alarm;
        let until = out.now + for_ms;
        if let Some(why) = self.why_no_shelf(command, for_ms, permit) {
            return self.refuse_because(why, command, out);
        }
        let running = self.story(id).and_then(|story| story.overlays.shelf);
        if let Some(shelf) = running {
            if until >= shelf.until {
                let left = shelf.until.since(out.now);
                return self.refuse_because(Refusal::NotEarlier(left), command, out);
            }
            self.deadlines.unshelve(shelf.until, id);
        } else if self.shelves_of(&permit.position) >= SHELVES_MAX {
            return self.refuse_because(Refusal::TooMany, command, out);
        }
        self.deadlines.shelve(until, id);
        let shelf = Some(Shelf {
            until,
            one_shot,
            second_person: second_person(permit).is_some_and(|name| name != command.by),
            permit_number: permit_number(permit).is_some(),
        });
        let position = permit.position.clone();
        let lay = |overlays: &mut crate::overlay::Overlays| {
            overlays.shelf = shelf;
            overlays.position = position;
        };
        self.begin_overlay(command, Cause::Shelved, lay, out);
    }

    fn why_no_shelf(&self, command: &Command, for_ms: i64, permit: &Permit) -> Option<Refusal> {
        let spec = self.spec(command.alarm);
        let priority = self.gravest_behind(command.alarm);
        let most = priority.longest_shelf_ms();
        let empty = |text: &str| text.trim().is_empty();
        if empty(&permit.reason) || empty(&command.comment) {
            return Some(Refusal::ReasonNeeded);
        }
        if for_ms <= 0 {
            return Some(Refusal::EndNeeded);
        }
        if for_ms > most {
            return Some(Refusal::TooLong(most));
        }
        if priority == Priority::P1 {
            match second_person(permit) {
                None => return Some(Refusal::SecondPersonNeeded),
                Some(name) if name == command.by => return Some(Refusal::SamePerson),
                Some(_) => {}
            }
        }
        if spec.statutory && permit_number(permit).is_none() {
            return Some(Refusal::PermitNeeded);
        }
        None
    }

    /// Measures every shelf against the alarm as the plan has it now: one that could not have been
    /// laid ends, one that is too long ends earlier.
    pub(crate) fn measure_shelves(&mut self, out: &mut Out<'_>) {
        let mut shelved: Vec<AlarmId> = self.deadlines.shelved().collect();
        shelved.sort_unstable();
        for id in shelved {
            let Some(shelf) = self.story(id).and_then(|story| story.overlays.shelf) else {
                continue;
            };
            // One that is over ends by itself.
            if shelf.until <= out.now {
                continue;
            }
            let priority = self.gravest_behind(id);
            let wants_second = priority == Priority::P1 && !shelf.second_person;
            let wants_permit = self.spec(id).statutory && !shelf.permit_number;
            let latest = TimeMs(self.latest) + priority.longest_shelf_ms();
            if wants_second || wants_permit {
                self.end_unfounded(id, shelf, out);
            } else if shelf.until > latest {
                self.shorten(id, shelf, latest, out);
            }
        }
    }

    fn end_unfounded(&mut self, id: AlarmId, shelf: Shelf, out: &mut Out<'_>) {
        self.deadlines.unshelve(shelf.until, id);
        let ended = self.shelf_note(Cause::Unshelved, id, shelf.until, out).saying(ENDED.into());
        self.end_overlay(id, Way::ByRule, ended, |overlays| overlays.shelf = None, out);
    }

    fn shorten(&mut self, id: AlarmId, shelf: Shelf, until: TimeMs, out: &mut Out<'_>) {
        self.deadlines.unshelve(shelf.until, id);
        self.deadlines.shelve(until, id);
        self.story_mut(id).overlays.shelf = Some(Shelf { until, ..shelf });
        let note = self.shelf_note(Cause::Shelved, id, until, out).saying(SHORTENED.into());
        self.write(id, note, out);
    }

    /// Told by the shelf's end, which is its own: no person did it.
    fn shelf_note(&self, cause: Cause, id: AlarmId, until: TimeMs, out: &Out<'_>) -> Note {
        let note = Note::at(cause, self.current(id), self.letter(id), until.0, out.now);
        Note { te: None, ..note }
    }

    /// The gravest priority that a shelf hides. A dead-man speaks for everything behind its
    /// gateway.
    fn gravest_behind(&self, id: AlarmId) -> Priority {
        let spec = self.spec(id);
        match spec.condition {
            Condition::GatewayOffline { .. } => {
                let behind = self.specs.iter().filter(|a| a.gateway == spec.gateway);
                behind.map(|alarm| alarm.priority).min().unwrap_or(spec.priority)
            }
            Condition::High { .. }
            | Condition::Low { .. }
            | Condition::Stale { .. }
            | Condition::Clock { .. }
            | Condition::Unset
            | Condition::Derived(_)
            | Condition::Unjudged => spec.priority,
        }
    }

    /// Shelves that a position holds now.
    fn shelves_of(&self, position: &str) -> usize {
        let held = |id: AlarmId| {
            self.story(id)
                .is_some_and(|s| s.overlays.shelf.is_some() && s.overlays.position == position)
        };
        self.deadlines.shelved().filter(|id| held(*id)).count()
    }
}

fn second_person(permit: &Permit) -> Option<&str> {
    permit.second_person.as_deref().filter(|name| !name.trim().is_empty())
}

fn permit_number(permit: &Permit) -> Option<&str> {
    permit.permit_number.as_deref().filter(|number| !number.trim().is_empty())
}
