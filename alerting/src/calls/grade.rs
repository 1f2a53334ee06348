//! Priorities that change while alarms stand.
//!
//! - What nobody is called for is remembered while it waits: its priority may become one that
//!   calls, or the roster may get a policy for it. Then its ladder is what it would have been.
//! - A ladder that has called becomes graver and never less grave. Each attempt says for which
//!   priority it was made, so that a restart, which reads old rows with today's priorities, stands
//!   in the same place.

use fengsui_telemetry::TimeMs;

use super::entry::Member;
use super::machine::{Key, Machine, Novelty, Occurrence};

/// Occurrences of one alarm that wait and that nobody is called for, the newest: an alarm that
/// chatters for weeks is called for once, not for each time.
const UNCALLED_MAX: usize = 16;

/// An occurrence whose priority has no policy.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Uncalled {
    facts: Occurrence,
    novelty: Novelty,
    at: TimeMs,
    quiet: bool,
}

impl Machine {
    /// Every alarm of which something waits, each once.
    pub fn waiting(&self) -> impl Iterator<Item = &str> {
        let mut last = None;
        let mut all: Vec<&str> = self.matters.keys().map(|key| key.0.as_str()).collect();
        all.extend(self.uncalled.keys().map(|key| key.0.as_str()));
        all.sort_unstable();
        all.into_iter().filter(move |alarm| last.replace(*alarm) != Some(*alarm))
    }

    pub(super) fn leave_uncalled(&mut self, facts: Occurrence, novelty: Novelty, at: TimeMs) {
        let key = (facts.alarm.clone(), facts.occurrence);
        if let Some(known) = self.uncalled.get_mut(&key) {
            known.quiet = false;
            known.facts.ended = facts.ended;
            if known.novelty == Novelty::SpokenFor {
                known.novelty = novelty;
            }
            return;
        }
        let one = Uncalled { facts, novelty, at, quiet: false };
        self.uncalled.insert(key.clone(), one);
        let all = self.uncalled_of(&key.0, 0, u64::MAX);
        if let Some(oldest) = all.first().filter(|_| all.len() > UNCALLED_MAX) {
            self.uncalled.remove(oldest);
        }
    }

    /// Nobody has to be called for these any more, whatever becomes of their priority.
    pub(super) fn forget_uncalled(&mut self, alarm: &str, from: u64, to: u64) {
        for key in self.uncalled_of(alarm, from, to) {
            self.uncalled.remove(&key);
        }
    }

    pub(super) fn quiet_uncalled(&mut self, alarm: &str) {
        for key in self.uncalled_of(alarm, 0, u64::MAX) {
            if let Some(one) = self.uncalled.get_mut(&key) {
                one.quiet = true;
            }
        }
    }

    pub(super) fn end_uncalled(&mut self, key: &Key, at: TimeMs) {
        if let Some(one) = self.uncalled.get_mut(key) {
            one.facts.ended.get_or_insert(at);
        }
    }

    fn uncalled_of(&self, alarm: &str, from: u64, to: u64) -> Vec<Key> {
        let range = (alarm.to_owned(), from)..=(alarm.to_owned(), to);
        self.uncalled.range(range).map(|(key, _)| key.clone()).collect()
    }

    /// The priority of an alarm is this from now on.
    pub(super) fn graded(&mut self, alarm: &str, priority: u8, now: TimeMs) {
        self.call_for(alarm, priority);
        for key in self.of_alarm(alarm, 0, u64::MAX) {
            if let Some(matter) = self.matters.get_mut(&key) {
                matter.facts.priority = priority;
            }
            let ladder = self.ladder_of(&key);
            self.weigh(&ladder);
            self.refresh(&ladder, now);
        }
    }

    /// Ladders of an alarm that nobody was called for, where its priority has a policy now.
    fn call_for(&mut self, alarm: &str, priority: u8) {
        let mut keys = self.uncalled_of(alarm, 0, u64::MAX);
        keys.sort_by_key(|key| self.uncalled.get(key).map(|one| one.at));
        for key in keys {
            self.call_for_one(&key, priority);
        }
    }

    fn call_for_one(&mut self, key: &Key, priority: u8) {
        let Some(mut one) = self.uncalled.remove(key) else { return };
        one.facts.priority = priority;
        let policy = self.setup.policies.get(&priority);
        if policy.is_none() && self.running(&key.0, one.novelty).is_none() {
            self.uncalled.insert(key.clone(), one);
            return;
        }
        if policy.is_some_and(|policy| policy.end_stops) && one.facts.ended.is_some() {
            return;
        }
        self.opened(one.facts, one.novelty, one.at);
        if let Some(matter) = self.matters.get_mut(key) {
            matter.quiet = one.quiet;
            let ladder = self.ladder_of(key);
            self.refresh(&ladder, one.at);
        }
    }

    /// Another roster may have policies for more.
    pub(super) fn call_for_all(&mut self) {
        let found = self.uncalled.iter().map(|(key, one)| (key.0.clone(), one.facts.priority));
        for (alarm, priority) in found.collect::<Vec<_>>() {
            self.call_for(&alarm, priority);
        }
    }

    /// A ladder is as grave as what it speaks for, and as it was when it called.
    pub(super) fn weigh(&mut self, key: &Key) {
        let Some(ladder) = self.ladders.get(key) else { return };
        let of = |m: &Member| self.matters.get(&(m.alarm.clone(), m.occurrence));
        let grades = ladder.members.iter().filter_map(of).map(|matter| matter.facts.priority);
        let gravest = grades.chain(ladder.called).min();
        if let Some(ladder) = self.ladders.get_mut(key) {
            ladder.priority = gravest.unwrap_or(ladder.priority);
        }
    }

    /// An attempt was made for this priority: whatever the alarm's is today, its ladder has it.
    pub(super) fn called_with(&mut self, key: &Key, priority: Option<u8>) {
        let policies = &self.setup.policies;
        let Some(priority) = priority.filter(|one| policies.contains_key(one)) else { return };
        if self.uncalled.contains_key(key) {
            self.call_for_one(key, priority);
            // Later ones of the alarm had joined it.
            for later in self.uncalled_of(&key.0, 0, u64::MAX) {
                let grade = self.uncalled.get(&later).map_or(priority, |one| one.facts.priority);
                self.call_for_one(&later, grade);
            }
        }
        if let Some(ladder) = self.ladders.get_mut(key) {
            ladder.called = Some(ladder.called.map_or(priority, |known| known.min(priority)));
            ladder.priority = ladder.priority.min(priority);
        }
    }
}
