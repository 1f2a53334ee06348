//! What rows do to the ladders. Nothing is decided here.
//!
//! - A row that comes twice, or about a ladder that nobody knows any more, does no harm.

use fengsui_telemetry::TimeMs;

use super::decide::HOUR_MS;
use super::entry::{
    Entry, Intent, Kind, Member, Outcome, PACKAGE, Reason, Receipt, SendResult, Why,
};
use super::ladder::{ATTEMPTS_KEPT, Attempt, Ladder, Send, Settled};
use super::machine::{Action, Hand, Key, Machine, Matter, Novelty, Occurrence};
use super::setup::Policy;

impl Machine {
    pub(super) fn opened(&mut self, facts: Occurrence, novelty: Novelty, now: TimeMs) {
        let key = (facts.alarm.clone(), facts.occurrence);
        let known = self.matters.get_mut(&key);
        if let Some(matter) = known {
            // What was hidden is seen again, or what was spoken for speaks for itself.
            (matter.quiet, matter.acknowledged) = (false, false);
            matter.facts.ended = facts.ended;
            let ladder_key = self.ladder_of(&key);
            if let Some(ladder) = self.ladders.get_mut(&ladder_key) {
                ladder.spoken_for &= novelty == Novelty::SpokenFor;
            }
            return self.refresh(&ladder_key, now);
        }
        if let Some(ladder) = self.running(&facts.alarm, novelty) {
            return self.join_in(facts, &ladder, novelty, now);
        }
        if !self.setup.policies.contains_key(&facts.priority) {
            return self.leave_uncalled(facts, novelty, now);
        }
        self.uncalled.remove(&key);
        let member = Member { alarm: facts.alarm.clone(), occurrence: facts.occurrence };
        let ladder = self
            .ladders
            .entry(key.clone())
            .or_insert_with(|| Ladder::new(facts.priority, vec![member.clone()], now));
        ladder.reopen(now);
        ladder.members = vec![member];
        ladder.priority = facts.priority;
        ladder.installations = [facts.installation.clone()].into();
        ladder.late = (novelty == Novelty::Late).then(|| facts.gateway.clone());
        ladder.spoken_for = novelty == Novelty::SpokenFor;
        self.matters.insert(key.clone(), Matter::new(facts));
        self.refresh(&key, now);
    }

    pub(super) fn acknowledged(
        &mut self,
        alarm: &str,
        occurrence: u64,
        through: bool,
        now: TimeMs,
    ) {
        let from = if through { 0 } else { occurrence };
        self.forget_uncalled(alarm, from, occurrence);
        for key in self.of_alarm(alarm, from, occurrence) {
            let stops = self.policy_of(&key).is_none_or(|policy| policy.ack_stops);
            if stops {
                self.close(&key, Settled::Acknowledged, now);
            } else if let Some(matter) = self.matters.get_mut(&key) {
                matter.acknowledged = true;
                let ladder = self.ladder_of(&key);
                self.refresh(&ladder, now);
            }
        }
    }

    pub(super) fn ended(&mut self, key: &Key, now: TimeMs) {
        self.end_uncalled(key, now);
        let Some(matter) = self.matters.get_mut(key) else { return };
        matter.facts.ended.get_or_insert(now);
        if self.policy_of(key).is_some_and(|policy| policy.end_stops) {
            self.close(key, Settled::Ended, now);
        }
    }

    pub(super) fn refuted(&mut self, key: &Key, now: TimeMs) {
        self.forget_uncalled(&key.0, key.1, key.1);
        if self.matters.contains_key(key) {
            self.close(key, Settled::Refuted, now);
        }
    }

    pub(super) fn quieted(&mut self, alarm: &str, now: TimeMs) {
        self.quiet_uncalled(alarm);
        for key in self.of_alarm(alarm, 0, u64::MAX) {
            if let Some(matter) = self.matters.get_mut(&key) {
                matter.quiet = true;
            }
            let ladder = self.ladder_of(&key);
            self.refresh(&ladder, now);
        }
    }

    pub(super) fn normal(&mut self, alarm: &str, now: TimeMs) {
        self.forget_uncalled(alarm, 0, u64::MAX);
        for key in self.of_alarm(alarm, 0, u64::MAX) {
            let waits = self.matters.get(&key).is_some_and(|matter| matter.acknowledged);
            // Acknowledged under a policy that wants an answer all the same.
            if !waits {
                self.close(&key, Settled::Normal, now);
            }
        }
    }

    pub(super) fn of_alarm(&self, alarm: &str, from: u64, to: u64) -> Vec<Key> {
        let range = (alarm.to_owned(), from)..=(alarm.to_owned(), to);
        self.matters.range(range).map(|(key, _)| key.clone()).collect()
    }

    /// The ladder that speaks for an occurrence.
    pub(super) fn ladder_of(&self, key: &Key) -> Key {
        let Some(matter) = self.matters.get(key) else { return key.clone() };
        match (matter.package, matter.joined) {
            (Some(number), _) => (PACKAGE.to_owned(), number),
            (None, Some(first)) => (key.0.clone(), first),
            (None, None) => key.clone(),
        }
    }

    /// By which an occurrence is called for.
    fn policy_of(&self, key: &Key) -> Option<&Policy> {
        let ladder = self.ladders.get(&self.ladder_of(key));
        ladder.and_then(|ladder| self.policy(ladder))
    }

    fn close(&mut self, key: &Key, why: Settled, now: TimeMs) {
        let ladder = self.ladder_of(key);
        let Some(gone) = self.matters.remove(key) else { return };
        // Its own ladder, which went into the package, is over when nothing of it waits.
        let own = (key.0.clone(), gone.joined.unwrap_or(key.1));
        let waits = self.of_ladder(&own).iter().any(|one| self.matters.contains_key(one));
        if ladder != own
            && !waits
            && let Some(own) = self.ladders.get_mut(&own)
        {
            own.settled = Some((why, now));
        }
        self.settle_if_done(&ladder, why, now);
        self.refresh(&ladder, now);
    }

    fn settle_if_done(&mut self, key: &Key, why: Settled, now: TimeMs) {
        let Some(ladder) = self.ladders.get_mut(key) else { return };
        let waits = |m: &Member| self.matters.contains_key(&(m.alarm.clone(), m.occurrence));
        if ladder.settled.is_none() && !ladder.members.iter().any(waits) {
            ladder.settled = Some((why, now));
            self.keep_settled(key.clone());
        }
    }

    /// After any change of a ladder or of its members.
    pub(super) fn refresh(&mut self, key: &Key, now: TimeMs) {
        self.leave_crowds(key);
        let Some(ladder) = self.ladders.get(key) else { return };
        let of = |m: &Member| self.matters.get(&(m.alarm.clone(), m.occurrence));
        let quiet = ladder.members.iter().filter_map(of).all(|matter| matter.quiet);
        let answered = ladder.members.iter().filter_map(of).all(|matter| matter.acknowledged);
        let done = matches!(self.next(ladder), Some(super::Next::Reached)) && answered;
        if let Some(ladder) = self.ladders.get_mut(key) {
            ladder.quiet = quiet && ladder.settled.is_none();
            ladder.held_until = None;
            if done {
                for member in ladder.members.clone() {
                    self.close(&(member.alarm, member.occurrence), Settled::Acknowledged, now);
                }
            }
        }
        self.schedule(key);
    }

    pub(super) fn known(&mut self, entry: &Entry) {
        match entry {
            Entry::Intent { alarm, occurrence, intent } => {
                let key = (alarm.clone(), *occurrence);
                let unread = |ladder: &&mut Ladder| ladder.number == intent.attempt;
                if let Some(ladder) = self.ladders.get_mut(&key).filter(unread) {
                    // An earlier life of this ladder, forgotten here, took the number.
                    ladder.number = intent.attempt + 1;
                    ladder.since = ladder.since.max(intent.attempt + 1);
                    ladder.held_until = None;
                }
                self.schedule(&key);
            }
            Entry::Package { number, .. } => self.packages = self.packages.max(*number),
            Entry::Again { .. }
            | Entry::Result { .. }
            | Entry::Receipt { .. }
            | Entry::Answer { .. }
            | Entry::Finding { .. } => {}
        }
    }

    pub(super) fn fold(&mut self, entry: Entry, seq: u64, now: TimeMs, actions: &mut Vec<Action>) {
        let key = {
            let (alarm, occurrence) = entry.ladder();
            (alarm.to_owned(), occurrence)
        };
        match entry {
            Entry::Intent { intent, .. } => self.intended(&key, intent, seq, now, actions),
            Entry::Package { number, why, person, kind, rung, members } => {
                let start = (rung, kind);
                self.package(number, why, start, &members, now);
                if why == Why::Budget {
                    self.packaged.insert(person, now);
                }
            }
            Entry::Again { attempt, channel, again, .. } => {
                let Some(send) = self.send_mut(&key, attempt, &channel) else { return };
                send.again = send.again.max(again);
                let (alarm, occurrence) = key.clone();
                actions.push(Action::Hand(Hand { alarm, occurrence, attempt, channel, again }));
            }
            Entry::Result { attempt, channel, result, .. } => {
                let Some(send) = self.send_mut(&key, attempt, &channel) else { return };
                match result {
                    SendResult::Accepted { receipt } => {
                        send.accepted_at.get_or_insert(now);
                        send.receipt = receipt;
                        send.failed = None;
                    }
                    SendResult::Failed { why } => send.failed = Some((now, why)),
                }
            }
            Entry::Receipt { attempt, channel, state, .. } => {
                let Some(send) = self.send_mut(&key, attempt, &channel) else { return };
                match state {
                    Receipt::Delivered => send.delivered_at.get_or_insert(now),
                    Receipt::Read => send.read_at.get_or_insert(now),
                    Receipt::Failed => {
                        let why = "回执：未送达 / receipt: not delivered".to_owned();
                        &mut send.failed.get_or_insert((now, why)).0
                    }
                };
            }
            Entry::Answer { attempt, outcome, digits, reply, by, .. } => {
                self.answered(&key, attempt, (outcome, &digits), now);
                let Some(ladder) = self.ladders.get_mut(&key) else { return };
                let Some(found) = ladder.attempt_mut(attempt) else { return };
                found.recorded_by = by;
                if !reply.is_empty() {
                    found.reply = Some((now, reply));
                    ladder.replied_at.get_or_insert(now);
                }
                self.unmerge(&key, now);
            }
            Entry::Finding { .. } => return,
        }
        self.refresh(&key, now);
    }

    fn send_mut(&mut self, key: &Key, attempt: u64, channel: &str) -> Option<&mut Send> {
        let attempt = self.ladders.get_mut(key)?.attempt_mut(attempt)?;
        attempt.sends.iter_mut().find(|send| send.channel == channel)
    }

    fn intended(
        &mut self,
        key: &Key,
        intent: Intent,
        seq: u64,
        now: TimeMs,
        actions: &mut Vec<Action>,
    ) {
        for channel in &intent.channels {
            let spent = self.spent.entry((intent.person.clone(), channel.clone())).or_default();
            spent.push_back(now);
            while spent.front().is_some_and(|at| now.since(*at) >= HOUR_MS) {
                spent.pop_front();
            }
        }
        self.stand_alone(key, intent.reason, now);
        self.called_with(key, intent.priority);
        let Some(ladder) = self.ladders.get_mut(key) else { return };
        let (alarm, occurrence) = key.clone();
        let hand = |channel: &String| {
            Action::Hand(Hand {
                alarm: alarm.clone(),
                occurrence,
                attempt: intent.attempt,
                channel: channel.clone(),
                again: 0,
            })
        };
        actions.extend(intent.channels.iter().map(hand));
        let send = |channel: &String| Send { channel: channel.clone(), ..Send::default() };
        let sends = intent.channels.iter().map(send).collect();
        ladder.number = ladder.number.max(intent.attempt + 1);
        if intent.reason != Reason::Manual {
            (ladder.round, ladder.set_back_ms) = (intent.round, 0);
        }
        if intent.reason == Reason::ReplyOverdue {
            // Whoever was reached has not replied: from here on somebody else must be reached.
            (ladder.answered_at, ladder.confirmed_at) = (None, None);
        }
        self.by_seq.insert(seq, (key.clone(), intent.attempt));
        ladder.attempts.push_back(Attempt {
            intent,
            at: now,
            seq,
            sends,
            outcome: None,
            answered_at: None,
            confirmed_at: None,
            wrong: 0,
            reply: None,
            recorded_by: String::new(),
        });
        if ladder.attempts.len() > ATTEMPTS_KEPT
            && let Some(oldest) = ladder.attempts.pop_front()
        {
            self.by_seq.remove(&oldest.seq);
        }
    }

    fn answered(
        &mut self,
        key: &Key,
        number: u64,
        (outcome, digits): (Outcome, &str),
        now: TimeMs,
    ) {
        let Some(ladder) = self.ladders.get_mut(key) else { return };
        ladder.set_back_ms = 0;
        let Some(attempt) = ladder.attempt_mut(number) else { return };
        attempt.outcome = Some((outcome, now));
        if outcome != Outcome::Answered {
            return;
        }
        attempt.answered_at.get_or_insert(now);
        let right = !digits.is_empty() && digits == attempt.intent.digits;
        if right {
            attempt.confirmed_at.get_or_insert(now);
        } else if !digits.is_empty() {
            attempt.wrong += 1;
        }
        ladder.answered_at.get_or_insert(now);
        if right {
            ladder.confirmed_at.get_or_insert(now);
        }
    }

    /// Somebody was reached by a ladder that had gone into a package: it stands for itself again.
    fn unmerge(&mut self, key: &Key, now: TimeMs) {
        let Some(ladder) = self.ladders.get_mut(key) else { return };
        let Some((Settled::Merged(_), _)) = ladder.settled else { return };
        let policy = self.setup.policies.get(&ladder.priority);
        let reached = policy.is_some_and(|policy| ladder.reached_at(policy).is_some());
        let members = ladder.members.clone();
        let mut left = None;
        for member in members.iter().filter(|_| reached) {
            let matter = self.matters.get_mut(&(member.alarm.clone(), member.occurrence));
            left = matter.and_then(|matter| matter.package.take()).or(left);
        }
        let (Some(number), Some(ladder)) = (left, self.ladders.get_mut(key)) else { return };
        ladder.settled = None;
        let package = (PACKAGE.to_owned(), number);
        if let Some(package) = self.ladders.get_mut(&package) {
            package.members.retain(|member| !members.contains(member));
        }
        self.settle_if_done(&package, Settled::Acknowledged, now);
        self.schedule(&package);
    }

    fn package(
        &mut self,
        number: u64,
        why: Why,
        start: (usize, Kind),
        members: &[Member],
        now: TimeMs,
    ) {
        self.packages = self.packages.max(number);
        let package = (PACKAGE.to_owned(), number);
        if self.ladders.contains_key(&package) {
            return;
        }
        let members = self.with_joined(members);
        let mut ladder = Ladder::new(u8::MAX, members.clone(), now);
        (ladder.why, ladder.start) = (Some(why), start);
        for member in &members {
            let key = (member.alarm.clone(), member.occurrence);
            let before = self.ladder_of(&key);
            let Some(matter) = self.matters.get_mut(&key) else { continue };
            matter.package = Some(number);
            ladder.priority = ladder.priority.min(matter.facts.priority);
            ladder.installations.insert(matter.facts.installation.clone());
            let Some(old) = self.ladders.get_mut(&before) else { continue };
            if before.0 == PACKAGE {
                old.members.retain(|m| m != member);
            }
            let moved = before.0 != PACKAGE || old.members.is_empty();
            if moved && old.settled.is_none() {
                old.settled = Some((Settled::Merged(number), now));
                self.keep_settled(before.clone());
            }
            self.leave_crowds(&before);
            self.schedule(&before);
        }
        // Every member was answered while the row was on its way.
        if ladder.priority == u8::MAX {
            ladder.settled = Some((Settled::Acknowledged, now));
        }
        self.ladders.insert(package, ladder);
    }
}
