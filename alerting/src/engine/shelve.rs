//! Shelving: who may quiet what for how long (W16).
//!
//! - A shelf always has an end; the end is the shelf's own and survives a stop (P8).
//! - Whether the second person is who they say is the host's question.

use crate::command::{Command, Permit};
use crate::engine::{Engine, Out};
use crate::model::{AlarmId, Cause, Condition, Priority};
use crate::overlay::Shelf;
use crate::refusal::{Refusal, SHELVES_MAX};

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
        let shelf = Some(Shelf { until, one_shot });
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
        let second = permit.second_person.as_deref().filter(|name| !empty(name));
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
            match second {
                None => return Some(Refusal::SecondPersonNeeded),
                Some(name) if name == command.by => return Some(Refusal::SamePerson),
                Some(_) => {}
            }
        }
        if spec.statutory && permit.permit_number.as_deref().is_none_or(empty) {
            return Some(Refusal::PermitNeeded);
        }
        None
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
