//! What people do to alarms: each request has one effect and one answer.
//!
//! - A command names its alarm by key and finds it here: whatever plan came into force while it was
//!   on its way, it never reaches another alarm.
//! - The same request again gets the answer of the first time. Another deed under the id of an
//!   earlier one is refused, and whoever asked is told so.

use std::collections::{BTreeMap, VecDeque};

use fengsui_alerting::{Action, AlarmId, Cause, Command, Event, Letter, Verb};
use fengsui_telemetry::TimeMs;
use tokio::sync::oneshot;
use tracing::warn;

use super::{AlarmLoop, Outcome};

/// Answers kept: as many requests as the engine knows again.
const ANSWERS_MAX: usize = 4_096;

/// What becomes of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answered {
    /// This, now or by the same request before.
    Done(Outcome),
    /// The request's id belongs to another deed.
    Conflict,
    /// No such alarm.
    Unknown,
}

/// Answers to requests, the newest ones.
#[derive(Default)]
pub(super) struct Answers {
    order: VecDeque<String>,
    known: BTreeMap<String, (Command, Outcome)>,
}

impl Answers {
    fn of(&self, command: &Command) -> Option<Answered> {
        let (first, outcome) = self.known.get(&command.request)?;
        // A plan that changed meanwhile gives alarms other numbers; the id holds the key.
        let same = Command { alarm: first.alarm, ..command.clone() } == *first;
        Some(if same { Answered::Done(outcome.clone()) } else { Answered::Conflict })
    }

    fn keep(&mut self, command: Command, outcome: Outcome) {
        // What a rule refused may be asked again, mended, under the same id.
        let mended = outcome.cause == Cause::Refused && !outcome.why.is_empty();
        if mended || command.request.is_empty() {
            return;
        }
        if self.order.len() >= ANSWERS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.order.push_back(command.request.clone());
        self.known.insert(command.request.clone(), (command, outcome));
    }
}

impl AlarmLoop {
    /// A person hears that it is done when the journal holds it.
    pub(super) fn command(
        &mut self,
        key: &str,
        command: Command,
        reply: oneshot::Sender<Answered>,
        now: TimeMs,
    ) {
        let tell = move |answered| {
            if reply.send(answered).is_err() {
                warn!("a command was done and nobody waits for its answer");
            }
        };
        let Some(alarm) = self.find(key) else { return tell(Answered::Unknown) };
        let command = Command { alarm, ..command };
        if let Some(answered) = self.answers.of(&command) {
            return tell(answered);
        }
        self.log.command(key, &crate::commands::to_json(&command), now);
        let mut actions = Vec::new();
        self.parts.engine.handle(Event::Command(command.clone()), now, &mut actions);
        let outcome = actions.iter().find_map(|action| match action {
            Action::Record(row) => Some(Outcome::of(row)),
            Action::Annunciate { .. }
            | Action::Silence { .. }
            | Action::Chime { .. }
            | Action::Recall { .. } => None,
        });
        // Known from before a restart: how it stands says whether it had its effect.
        let outcome = outcome.unwrap_or_else(|| self.as_it_stands(&command));
        self.answers.keep(command, outcome.clone());
        self.perform(actions, Some(Box::new(move || tell(Answered::Done(outcome)))), None);
    }

    fn find(&self, key: &str) -> Option<AlarmId> {
        let place = self.facts.iter().position(|facts| facts.key == key)?;
        u32::try_from(place).ok().map(AlarmId)
    }

    fn as_it_stands(&self, command: &Command) -> Outcome {
        let standing = self.parts.engine.standing(command.alarm);
        let letter = standing.letter;
        let shelved = standing.shelf_until.is_some();
        let (holds, cause) = match command.verb {
            Verb::Acknowledge { occurrence, .. } => {
                (!standing.unacknowledged.contains(&occurrence), Cause::Acknowledged)
            }
            Verb::Reset => (letter == Letter::A, Cause::Reset),
            Verb::Shelve { .. } => (shelved, Cause::Shelved),
            Verb::Unshelve => (!shelved, Cause::Unshelved),
            Verb::Suppress => (letter == Letter::H, Cause::Suppressed),
            Verb::Unsuppress => (letter != Letter::H, Cause::Unsuppressed),
            Verb::OutOfService => (letter == Letter::I, Cause::OutOfService),
            Verb::InService => (letter != Letter::I, Cause::InService),
        };
        if holds {
            return Outcome { cause, letter, why: String::new() };
        }
        let why = "此请求编号已用过，报警现状与之不符；请换新编号再试 / this request id was used before, \
                   and the alarm does not stand as it asked; use a new id";
        Outcome { cause: Cause::Refused, letter, why: why.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use fengsui_alerting::Permit;

    use super::*;

    fn shelve(minutes: i64, alarm: u32, request: &str) -> Command {
        Command {
            alarm: AlarmId(alarm),
            verb: Verb::Shelve {
                for_ms: minutes * 60_000,
                one_shot: false,
                permit: Permit::default(),
            },
            by: "王敏".into(),
            comment: "检修".into(),
            request: request.into(),
        }
    }

    fn outcome(cause: Cause, why: &str) -> Outcome {
        Outcome { cause, letter: Letter::G, why: why.to_owned() }
    }

    #[test]
    fn a_repeat_has_the_first_answer_and_another_deed_under_its_id_is_refused() {
        let mut answers = Answers::default();
        let shelved = outcome(Cause::Shelved, "");
        answers.keep(shelve(30, 4, "a"), shelved.clone());
        assert_eq!(answers.of(&shelve(30, 4, "a")), Some(Answered::Done(shelved.clone())));
        assert_eq!(answers.of(&shelve(30, 9, "a")), Some(Answered::Done(shelved)), "renumbered");
        assert_eq!(answers.of(&shelve(60, 4, "a")), Some(Answered::Conflict));
        assert_eq!(answers.of(&shelve(60, 4, "b")), None);
    }

    #[test]
    fn what_a_rule_refused_may_be_mended_and_what_the_state_refused_stays_refused() {
        let mut answers = Answers::default();
        answers.keep(shelve(90, 4, "a"), outcome(Cause::Refused, "过长"));
        assert_eq!(answers.of(&shelve(30, 4, "a")), None);
        let refused = outcome(Cause::Refused, "");
        answers.keep(shelve(30, 4, "b"), refused.clone());
        assert_eq!(answers.of(&shelve(30, 4, "b")), Some(Answered::Done(refused)));
    }

    #[test]
    fn answers_are_bounded() {
        let mut answers = Answers::default();
        for n in 0..=ANSWERS_MAX {
            answers.keep(shelve(30, 4, &n.to_string()), outcome(Cause::Shelved, ""));
        }
        assert_eq!((answers.order.len(), answers.known.len()), (ANSWERS_MAX, ANSWERS_MAX));
        assert_eq!(answers.of(&shelve(30, 4, "0")), None);
    }
}
