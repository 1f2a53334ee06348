//! One alarm for one thing: an occurrence of an alarm whose ladder is still calling joins it.
//!
//! - A point that chatters makes one ladder: its deadlines go on from the first occurrence, its
//!   next message names the newest, its answer covers all.
//! - What holds now does not join a ladder that told of what was over: that it holds is news.
//! - Rows decide: an attempt that names an occurrence of its own has its own ladder, whatever
//!   would have joined by today's policies.

use fengsui_telemetry::TimeMs;

use super::entry::{Member, PACKAGE, Reason, Why};
use super::ladder::{Ladder, Next};
use super::machine::{Key, Machine, Matter, Novelty, Occurrence};

/// Occurrences of one alarm in one ladder, the newest: an acknowledgement of the newest covers the
/// older ones, and so does the ladder.
const JOINED_MAX: usize = 64;

impl Machine {
    /// The ladder of an alarm that still calls and that another occurrence can join.
    pub(super) fn running(&self, alarm: &str, novelty: Novelty) -> Option<Key> {
        let live = novelty != Novelty::Late;
        self.of_alarm(alarm, 0, u64::MAX).iter().rev().find_map(|key| {
            let matter = self.matters.get(key)?;
            let speaker = self.ladder_of(key);
            let ladder = self.ladders.get(&speaker)?;
            let over = ladder.late.is_some() || ladder.why == Some(Why::Late);
            let reached = self.policy(ladder).is_some_and(|p| ladder.reached_at(p).is_some());
            let calls = match self.next(ladder)? {
                Next::At(..) | Next::SpokenFor => !reached,
                Next::Reached | Next::Quiet | Next::Settled(_) => false,
            };
            let waits = calls && !matter.quiet && !matter.acknowledged;
            let is_news = live && over;
            (waits && !is_news).then_some(speaker)
        })
    }

    pub(super) fn join_in(
        &mut self,
        facts: Occurrence,
        ladder: &Key,
        novelty: Novelty,
        now: TimeMs,
    ) {
        let key = (facts.alarm.clone(), facts.occurrence);
        let member = Member { alarm: facts.alarm.clone(), occurrence: facts.occurrence };
        let mut matter = Matter::new(facts);
        if ladder.0 == PACKAGE {
            matter.package = Some(ladder.1);
        } else {
            matter.joined = Some(ladder.1);
        }
        self.uncalled.remove(&key);
        self.matters.insert(key, matter);
        if let Some(running) = self.ladders.get_mut(ladder) {
            running.members.push(member.clone());
            running.spoken_for &= novelty == Novelty::SpokenFor;
            let of_alarm = |m: &&Member| m.alarm == member.alarm;
            let oldest = running.members.iter().find(of_alarm).cloned();
            let many = running.members.iter().filter(of_alarm).count() > JOINED_MAX;
            if let Some(oldest) = oldest.filter(|_| many) {
                running.members.retain(|m| *m != oldest);
                self.matters.remove(&(oldest.alarm, oldest.occurrence));
            }
        }
        self.weigh(ladder);
        self.refresh(ladder, now);
    }

    /// The occurrences that a ladder of one alarm speaks for.
    pub(super) fn of_ladder(&self, key: &Key) -> Vec<Key> {
        let members = self.ladders.get(key).into_iter().flat_map(|ladder| &ladder.members);
        members.map(|m| (m.alarm.clone(), m.occurrence)).collect()
    }

    /// The members of a package, and what has joined them while its row was on its way.
    pub(super) fn with_joined(&self, members: &[Member]) -> Vec<Member> {
        let mut all = members.to_vec();
        for member in members {
            let ladder = self.ladder_of(&(member.alarm.clone(), member.occurrence));
            let own = self.ladders.get(&ladder).filter(|_| ladder.0 == member.alarm);
            let waits = |m: &&Member| self.matters.contains_key(&(m.alarm.clone(), m.occurrence));
            all.extend(own.into_iter().flat_map(|own| &own.members).filter(waits).cloned());
        }
        all.sort();
        all.dedup();
        all
    }

    /// An attempt of its own: this occurrence has joined nothing.
    pub(super) fn stand_alone(&mut self, key: &Key, reason: Reason, now: TimeMs) {
        let joined = self.matters.get(key).is_some_and(|matter| matter.joined.is_some());
        if !joined || reason == Reason::Manual {
            return;
        }
        let before = self.ladder_of(key);
        let Some(matter) = self.matters.get_mut(key) else { return };
        (matter.joined, matter.package) = (None, None);
        let priority = matter.facts.priority;
        let installation = matter.facts.installation.clone();
        let member = Member { alarm: key.0.clone(), occurrence: key.1 };
        let mut members = vec![member.clone()];
        // Where the other never called, it is the other that had joined this one.
        let silent = |old: &Ladder| before.0 == key.0 && old.newest().is_none();
        if self.ladders.get(&before).is_some_and(silent) {
            members = self.ladders.remove(&before).map_or(members, |old| old.members);
            for other in members.iter().filter(|other| **other != member) {
                let other = self.matters.get_mut(&(other.alarm.clone(), other.occurrence));
                other.into_iter().for_each(|matter| matter.joined = Some(key.1));
            }
            self.schedule(&before);
        } else if let Some(before) = self.ladders.get_mut(&before) {
            before.members.retain(|m| *m != member);
        }
        let ladder = self
            .ladders
            .entry(key.clone())
            .or_insert_with(|| Ladder::new(priority, Vec::new(), now));
        ladder.reopen(now);
        ladder.priority = priority;
        ladder.members = members;
        ladder.installations = [installation].into();
        self.refresh(&before, now);
    }
}
