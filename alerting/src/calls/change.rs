//! Another roster while ladders are open: what differs, whom it would leave alone, and how open
//! ladders go on.
//!
//! - A ladder goes on behind the person whom it called last. Where that person has left the chain,
//!   with whoever has not been called in this round: nobody is called who is not in the roster any
//!   more, and nobody is left out because places have moved.
//! - Whether a roster may come into force while it leaves an urgent alarm alone is the host's word;
//!   [`Machine::left_alone`] names each.

use std::collections::{BTreeMap, BTreeSet};

use fengsui_telemetry::TimeMs;

use super::audit::{Fault, nobody_of};
use super::entry::{Kind, Reason};
use super::ladder::{Go, Ladder, Step};
use super::machine::{Key, Machine};
use super::setup::{Needs, Policy, ReplyFrom, Setup, Slot, StopAt};

/// Priorities for which somebody must always be there.
pub const URGENT: u8 = 2;
const MINUTE_MS: i64 = 60_000;
const DAY_MIN: u32 = 1_440;

/// One thing that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What, as the file names it: `person wang phone`.
    pub what: String,
    /// Before; none: it was not there.
    pub old: Option<String>,
    /// After; none: it is there no more.
    pub new: Option<String>,
}

/// An open urgent alarm that nobody would be called for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftAlone {
    /// Key.
    pub alarm: String,
    /// Occurrence.
    pub occurrence: u64,
    /// 1 or 2.
    pub priority: u8,
    /// Whose persons are missing.
    pub installations: BTreeSet<String>,
    /// From when, within a day.
    pub at: TimeMs,
    /// What is missing.
    pub fault: Fault,
}

/// What another setup changes, in the order of its names.
#[must_use]
pub fn differences(old: &Setup, new: &Setup) -> Vec<Difference> {
    let (old, new) = (facts(old), facts(new));
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let differs = names.into_iter().filter(|name| old.get(*name) != new.get(*name));
    let told = |name: &String| Difference {
        what: name.clone(),
        old: old.get(name).cloned(),
        new: new.get(name).cloned(),
    };
    differs.map(told).collect()
}

/// Everything of a setup by name.
fn facts(setup: &Setup) -> BTreeMap<String, String> {
    let mut facts = BTreeMap::new();
    for (id, person) in &setup.persons {
        facts.insert(format!("person {id} name"), person.name.clone());
        let phone = person.phone.iter().map(|phone| (format!("person {id} phone"), phone.clone()));
        let email = person.email.iter().map(|email| (format!("person {id} email"), email.clone()));
        facts.extend(phone.chain(email));
    }
    for turn in &setup.duty {
        let time = |minute: u32| format!("{:02}:{:02}", minute / 60, minute % 60);
        let turns: &mut String = facts.entry(format!("duty {}", turn.person)).or_default();
        let gap = if turns.is_empty() { "" } else { ", " };
        *turns = format!("{turns}{gap}{}-{}", time(turn.from), time(turn.to));
    }
    for (installation, roster) in &setup.rosters {
        for (slot, persons) in &roster.slots {
            facts.insert(format!("roster {installation} {}", slot.word()), persons.join(", "));
        }
    }
    for (priority, policy) in &setup.policies {
        let told = policy_facts(policy);
        facts.extend(told.map(|(field, told)| (format!("policy {priority} {field}"), told)));
    }
    for (name, channel) in &setup.channels {
        let needs = match channel.needs {
            Needs::Nothing => "nothing",
            Needs::Phone => "phone",
            Needs::Email => "email",
        };
        facts.insert(format!("channel {name} needs"), needs.to_owned());
        facts.insert(format!("channel {name} per_hour"), channel.budget.per_hour.to_string());
        facts.insert(format!("channel {name} for_p1"), channel.budget.for_p1.to_string());
    }
    facts.insert("package_s".to_owned(), seconds(setup.package_ms));
    facts.insert("digest_s".to_owned(), seconds(setup.digest_ms));
    facts.insert("digits".to_owned(), setup.digits.to_string());
    facts
}

fn policy_facts(policy: &Policy) -> impl Iterator<Item = (&'static str, String)> {
    let ladder: Vec<&str> = policy.ladder.iter().map(|slot| Slot::word(*slot)).collect();
    let stop_at = match policy.stop_at {
        StopAt::Answered => "answered",
        StopAt::Confirmed => "confirmed",
    };
    let reply_from = match policy.reply_from {
        ReplyFrom::Answered => "answered",
        ReplyFrom::Confirmed => "confirmed",
    };
    [
        ("ladder", ladder.join(", ")),
        ("message", policy.message.join(", ")),
        ("voice", policy.voice.join(", ")),
        ("unread_s", seconds(policy.unread_ms)),
        ("unanswered_s", seconds(policy.unanswered_ms)),
        ("reply_s", policy.reply_ms.map_or_else(|| "0".to_owned(), seconds)),
        ("reply_from", reply_from.to_owned()),
        ("stop_at", stop_at.to_owned()),
        ("ack_stops", policy.ack_stops.to_string()),
        ("end_stops", policy.end_stops.to_string()),
        ("rest_s", seconds(policy.rest_ms)),
        ("repeats", policy.repeats.to_string()),
    ]
    .into_iter()
}

fn seconds(ms: i64) -> String {
    (ms / 1_000).to_string()
}

impl Machine {
    /// Goes on by another setup. Nothing of the ledger changes; every open ladder is looked at
    /// anew, since whoever it waited for may be gone.
    pub fn reconfigure(&mut self, setup: Setup) {
        self.setup = setup;
        self.crowds.clear();
        self.call_for_all();
        let keys: Vec<Key> = self.ladders.keys().cloned().collect();
        for key in keys {
            if let Some(ladder) = self.ladders.get_mut(&key) {
                ladder.held_until = None;
            }
            self.schedule(&key);
        }
    }

    /// Open alarms of the two urgent priorities for which a setup has nobody: now, or from a change
    /// of duty within a day on, unless the setup in force has the same hole then.
    #[must_use]
    pub fn left_alone(&self, setup: &Setup, now: TimeMs) -> Vec<LeftAlone> {
        let mut alone = Vec::new();
        let moments = moments(setup, now);
        let open = |ladder: &Ladder| ladder.settled.is_none() && ladder.priority <= URGENT;
        for ((alarm, occurrence), ladder) in self.ladders.iter().filter(|(_, l)| open(l)) {
            let hole = moments.iter().find_map(|at| {
                let fault = nobody_of(setup, ladder, *at)?;
                let known = *at > now && nobody_of(&self.setup, ladder, *at).is_some();
                (!known).then_some((*at, fault))
            });
            if let Some((at, fault)) = hole {
                alone.push(LeftAlone {
                    alarm: alarm.clone(),
                    occurrence: *occurrence,
                    priority: ladder.priority,
                    installations: ladder.installations.clone(),
                    at,
                    fault,
                });
            }
        }
        alone
    }

    /// The place of a step in today's chain, which may not be the one in which it was decided.
    pub(super) fn place(
        &self,
        ladder: &Ladder,
        chain: &[(Slot, String)],
        step: Step,
    ) -> (usize, Kind, Reason) {
        let (rung, further) = match step.go {
            Go::Here(rung) => (rung, 0),
            Go::After(rung) => (rung, 1),
        };
        if step.reason == Reason::Graver {
            return (rung, step.kind, step.reason);
        }
        let Some(last) = ladder.newest().map(|attempt| &attempt.intent) else {
            return (rung + further, step.kind, step.reason);
        };
        let at = |place: usize| chain.get(place).is_some_and(|(_, person)| *person == last.person);
        if at(rung) {
            return (rung + further, step.kind, step.reason);
        }
        if let Some(place) = (0..chain.len()).find(|place| at(*place)) {
            return (place + further, step.kind, step.reason);
        }
        let called = |person: &String| {
            let own = |reason| reason != Reason::Manual;
            ladder.attempts.iter().map(|attempt| &attempt.intent).any(|intent| {
                intent.person == *person && intent.round == ladder.round && own(intent.reason)
            })
        };
        let fresh = chain.iter().position(|(_, person)| !called(person));
        let reason = match step.reason {
            Reason::Unread | Reason::NotConfirmed => Reason::Unanswered,
            Reason::First
            | Reason::Unanswered
            | Reason::AgainFromTop
            | Reason::ReplyOverdue
            | Reason::Graver
            | Reason::Manual => step.reason,
        };
        (fresh.unwrap_or(chain.len()), Kind::Both, reason)
    }
}

/// Now, and each time within a day at which somebody's duty begins or ends.
fn moments(setup: &Setup, now: TimeMs) -> Vec<TimeMs> {
    let minute = setup.minute(now);
    let began = now.0 - now.0.rem_euclid(MINUTE_MS);
    let turns = setup.duty.iter().flat_map(|turn| [turn.from, turn.to]);
    let later = turns.map(|at| (at + DAY_MIN - minute) % DAY_MIN).filter(|after| *after > 0);
    let later: BTreeSet<i64> = later.map(|after| began + i64::from(after) * MINUTE_MS).collect();
    std::iter::once(now).chain(later.into_iter().map(TimeMs)).collect()
}
