//! What is due now: whom to contact, and what goes into a package instead.
//!
//! - Changes nothing but deadlines; everything else comes back as a row of the ledger.
//! - The same state and time give the same rows with the same ids, before and after a restart,
//!   but for the digits of persons who have none yet.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use fengsui_telemetry::TimeMs;

use super::change::URGENT;
use super::entry::{Entry, Intent, Kind, Member, Reason, Why};
use super::ladder::{Ladder, Next, Step};
use super::machine::{Action, Key, Machine};
use super::setup::Policy;

/// Budgets are per hour.
pub(super) const HOUR_MS: i64 = 3_600_000;
/// Nobody can be called: looked at again after this, since rosters change with the hour.
const NOBODY_MS: i64 = 60_000;
/// A row that has not come back by then is asked for again; its id is the same.
const RECORD_MS: i64 = 5_000;
/// Rows in one turn; what is left is due at once.
const RECORDS_MAX: usize = 512;
/// Occurrences in one package; more make another one.
const MEMBERS_MAX: usize = 5_000;

/// What a due step comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Resolved {
    Call(Call),
    Later(TimeMs),
    Nobody,
}

/// Whom, how, why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) rung: usize,
    pub(super) round: u64,
    pub(super) slot: &'static str,
    pub(super) person: String,
    pub(super) kind: Kind,
    pub(super) reason: Reason,
    pub(super) channels: Vec<String>,
}

/// Ladders that would exceed a person's budget, and since when each is due at which place. Made
/// anew from the rows after a restart: then all of them are due.
#[derive(Clone, Debug, Default)]
pub(super) struct Crowd {
    keys: BTreeMap<Key, (TimeMs, usize)>,
    /// The budget has room again.
    room_at: Option<TimeMs>,
}

/// One turn.
#[derive(Default)]
struct Turn {
    seen: HashSet<Key>,
    /// Spent in this turn, beyond what the rows say.
    spent: BTreeMap<(String, String), usize>,
    crowds: BTreeSet<(String, Kind)>,
    packages: u64,
    rows: Vec<Entry>,
}

impl Turn {
    fn spend(&mut self, call: &Call) {
        for channel in &call.channels {
            *self.spent.entry((call.person.clone(), channel.clone())).or_default() += 1;
        }
    }
}

impl Machine {
    pub(super) fn decide(&mut self, now: TimeMs, actions: &mut Vec<Action>) {
        let due = self.due.iter().take_while(|(at, _)| *at <= now).map(|(_, key)| key.clone());
        let mut due: Vec<Key> = due.collect();
        // The urgent first, then the oldest, whenever each was held and let go.
        due.sort_by_cached_key(|key| self.urgency(key));
        let mut turn = Turn { packages: self.packages, ..Turn::default() };
        for key in due {
            if turn.rows.len() >= RECORDS_MAX {
                break;
            }
            if turn.seen.insert(key.clone()) {
                self.due_ladder(&key, now, &mut turn);
            }
        }
        for (person, kind) in std::mem::take(&mut turn.crowds) {
            self.crowd(&person, kind, now, &mut turn);
        }
        actions.extend(turn.rows.into_iter().map(Action::Record));
    }

    fn urgency(&self, key: &Key) -> (u8, TimeMs, Key) {
        let ladder = self.ladders.get(key);
        let next = ladder.and_then(|ladder| Some(ladder.next(self.policy(ladder)?)));
        let at = match next {
            Some(Next::At(at, _)) => at,
            Some(Next::Reached | Next::Quiet | Next::SpokenFor | Next::Settled(_)) | None => {
                TimeMs::MAX
            }
        };
        (ladder.map_or(u8::MAX, |ladder| ladder.priority), at, key.clone())
    }

    fn due_ladder(&mut self, key: &Key, now: TimeMs, turn: &mut Turn) {
        let Some(ladder) = self.ladders.get(key) else { return self.schedule(key) };
        let Some(policy) = self.policy(ladder) else { return self.schedule(key) };
        let Next::At(at, step) = ladder.next(policy) else { return self.schedule(key) };
        if at > now {
            self.release(key);
            return;
        }
        if let Some(gateway) = ladder.late.clone().filter(|_| ladder.newest().is_none()) {
            let together = self.late_of(&gateway);
            if together.len() > 1 {
                let kind = Kind::Message;
                return self.pack(Why::Late, ("", kind, 0), &together, now, turn);
            }
        }
        let resolved = self.resolve(ladder, policy, step, at, now);
        self.leave_crowds(key);
        let Some(ladder) = self.ladders.get(key) else { return };
        match resolved {
            Resolved::Later(until) => self.hold(key, until),
            Resolved::Nobody => self.hold(key, now + NOBODY_MS),
            Resolved::Call(call) => {
                // A package has waited; P1 waits for nothing.
                let first = ladder.why == Some(Why::Budget) && ladder.newest().is_none();
                let room_at = if first {
                    None
                } else if ladder.priority <= 1 {
                    turn.spend(&call);
                    None
                } else {
                    self.room_at(&call, ladder.priority, now, turn)
                };
                match room_at {
                    None => self.intend(key, call, now, turn),
                    Some(room_at) => self.join(key, call, (at, room_at), turn),
                }
            }
        }
    }

    /// The person of a step, and how.
    pub(super) fn resolve(
        &self,
        ladder: &Ladder,
        policy: &Policy,
        step: Step,
        at: TimeMs,
        now: TimeMs,
    ) -> Resolved {
        let chain = self.setup.chain(policy, &ladder.installations, now);
        let (mut rung, mut kind, mut reason) = self.place(ladder, &chain, step);
        let mut round = ladder.round.max(1);
        // Each person once, and the first of them twice: by message, then by voice.
        for _ in 0..=chain.len() + 1 {
            let Some((slot, person)) = chain.get(rung) else {
                if chain.is_empty() || round > ladder.round.max(1) {
                    return Resolved::Nobody;
                }
                if at + policy.rest_ms > now {
                    return Resolved::Later(at + policy.rest_ms);
                }
                (rung, kind, round) = (0, Kind::Both, round + 1);
                if reason != Reason::ReplyOverdue {
                    reason = Reason::AgainFromTop;
                }
                continue;
            };
            let channels = self.channels(policy, person, kind);
            if !channels.is_empty() {
                let (slot, person) = (slot.word(), person.clone());
                let call = Call { rung, round, slot, person, kind, reason, channels };
                return Resolved::Call(call);
            }
            match kind {
                Kind::Message => kind = Kind::Voice,
                Kind::Voice | Kind::Both => {
                    (rung, kind) = (rung + 1, Kind::Both);
                    if matches!(reason, Reason::Unread | Reason::NotConfirmed) {
                        reason = Reason::Unanswered;
                    }
                }
            }
        }
        Resolved::Nobody
    }

    fn channels(&self, policy: &Policy, person: &str, kind: Kind) -> Vec<String> {
        let message = || self.setup.reach(person, &policy.message);
        let voice = || self.setup.reach(person, &policy.voice);
        match kind {
            Kind::Message => message(),
            Kind::Voice => voice(),
            Kind::Both => {
                let mut all = message();
                let rings = voice();
                all.extend(rings.into_iter().filter(|name| !policy.message.contains(name)));
                all
            }
        }
    }

    /// When the budget has room for a call; none: now, and it is spent.
    fn room_at(&self, call: &Call, priority: u8, now: TimeMs, turn: &mut Turn) -> Option<TimeMs> {
        let mut latest = None;
        for channel in &call.channels {
            let Some(known) = self.setup.channels.get(channel) else { continue };
            let kept = if priority > 1 { known.budget.for_p1 } else { 0 };
            let limit = known.budget.per_hour.saturating_sub(kept);
            let key = (call.person.clone(), channel.clone());
            let here = turn.spent.get(&key).copied().unwrap_or(0);
            let spent = self.spent(&call.person, channel, now);
            if spent + here >= limit {
                // With so many gone by, there is room for one more.
                let times = self.spent.get(&key).into_iter().flatten();
                let mut recent = times.filter(|at| now.since(**at) < HOUR_MS);
                let oldest = recent.nth(spent.saturating_sub(limit.max(1))).copied();
                let oldest = oldest.unwrap_or(now);
                latest = latest.max(Some((oldest + HOUR_MS).max(now + 1_000)));
            }
        }
        if latest.is_none() {
            turn.spend(call);
        }
        latest
    }

    fn join(&mut self, key: &Key, call: Call, (at, room_at): (TimeMs, TimeMs), turn: &mut Turn) {
        let place = (call.person, call.kind);
        let crowd = self.crowds.entry(place.clone()).or_default();
        crowd.keys.insert(key.clone(), (at, call.rung));
        crowd.room_at = Some(crowd.room_at.map_or(room_at, |known| known.min(room_at)));
        turn.crowds.insert(place);
    }

    fn intend(&mut self, key: &Key, call: Call, now: TimeMs, turn: &mut Turn) {
        let Some(ladder) = self.ladders.get(key) else { return };
        let entry = self.intent(key, ladder, call, (String::new(), String::new()));
        turn.rows.push(entry);
        self.hold(key, now + RECORD_MS);
    }

    pub(super) fn intent(
        &self,
        key: &Key,
        ladder: &Ladder,
        call: Call,
        (by, request): (String, String),
    ) -> Entry {
        let (alarm, occurrence) = key.clone();
        let attempt = ladder.number;
        let known = ladder.digits_of(&call.person).map(str::to_owned);
        let digits = known.unwrap_or_else(|| self.new_digits(key, attempt));
        let Call { rung, round, slot, person, kind, reason, channels } = call;
        let slot = slot.to_owned();
        let intent = Intent {
            attempt,
            person,
            slot,
            kind,
            reason,
            round,
            rung,
            channels,
            digits,
            priority: Some(ladder.priority),
            by,
            request,
        };
        Entry::Intent { alarm, occurrence, intent }
    }

    fn new_digits(&self, (alarm, occurrence): &Key, attempt: u64) -> String {
        // FNV-1a, then the finisher of splitmix64: no secret, only not to be guessed by habit.
        let mut mixed = 0xcbf2_9ce4_8422_2325_u64 ^ self.seed;
        let numbers = occurrence.to_le_bytes().into_iter().chain(attempt.to_le_bytes());
        for byte in alarm.bytes().chain(numbers) {
            mixed = (mixed ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        let count = self.setup.digits.clamp(2, 8);
        let width = usize::try_from(count).unwrap_or(4);
        format!("{:0width$}", mixed % 10_u64.pow(count))
    }

    /// Late occurrences of one gateway that nobody was told of yet.
    fn late_of(&self, gateway: &str) -> Vec<Key> {
        let waits = |ladder: &Ladder| {
            ladder.late.as_deref() == Some(gateway)
                && ladder.newest().is_none()
                && ladder.settled.is_none()
                && !ladder.quiet
        };
        let waiting = self.ladders.iter().filter(|(_, ladder)| waits(ladder));
        waiting.map(|(key, _)| key.clone()).collect()
    }

    /// Ladders beyond a budget: one package, not sooner than its person may have one.
    fn crowd(&mut self, person: &str, kind: Kind, now: TimeMs, turn: &mut Turn) {
        let place = (person.to_owned(), kind);
        let Some(crowd) = self.crowds.remove(&place) else { return };
        let since = crowd.keys.values().map(|(at, _)| *at).min().unwrap_or(now);
        let rung = crowd.keys.values().map(|(_, rung)| *rung).min().unwrap_or(0);
        let priority = |key: &Key| self.ladders.get(key).map(|ladder| ladder.priority);
        let gravest = crowd.keys.keys().filter_map(priority).min().unwrap_or(u8::MAX);
        // Beyond its budget P2 is told at once with whatever is due, and what comes in the next few
        // seconds after them; it waits for no budget and no digest.
        let (gather_ms, pace_ms) = if gravest <= URGENT {
            (0, self.setup.package_ms)
        } else {
            (self.setup.package_ms, self.setup.digest_ms)
        };
        let gathered = since + gather_ms;
        let paced = self.packaged.get(person).map(|at| *at + pace_ms);
        let ready = paced.map_or(gathered, |paced| paced.max(gathered));
        let keys: Vec<Key> = crowd.keys.keys().cloned().collect();
        if ready <= now {
            return self.pack(Why::Budget, (person, kind, rung), &keys, now, turn);
        }
        let until = crowd.room_at.map_or(ready, |room| room.min(ready));
        for key in &keys {
            if self.ladders.get(key).is_some_and(|ladder| ladder.held_until != Some(until)) {
                self.hold(key, until);
            }
        }
        let room_at = crowd.room_at.filter(|room| *room > until);
        self.crowds.insert(place, Crowd { room_at, ..crowd });
    }

    /// A row changed this ladder: it is looked at anew.
    pub(super) fn leave_crowds(&mut self, key: &Key) {
        self.crowds.retain(|_, crowd| {
            crowd.keys.remove(key);
            !crowd.keys.is_empty()
        });
    }

    fn pack(
        &mut self,
        why: Why,
        (person, kind, rung): (&str, Kind, usize),
        keys: &[Key],
        now: TimeMs,
        turn: &mut Turn,
    ) {
        let mut members = Vec::new();
        for key in keys {
            turn.seen.insert(key.clone());
            let open = |m: &&Member| self.matters.contains_key(&(m.alarm.clone(), m.occurrence));
            let ladder = self.ladders.get(key);
            members.extend(ladder.iter().flat_map(|l| l.members.iter()).filter(open).cloned());
            self.hold(key, now + RECORD_MS);
        }
        members.sort();
        members.dedup();
        for part in members.chunks(MEMBERS_MAX) {
            turn.packages += 1;
            turn.rows.push(Entry::Package {
                number: turn.packages,
                why,
                person: person.to_owned(),
                kind,
                rung,
                members: part.to_vec(),
            });
        }
    }

    fn hold(&mut self, key: &Key, until: TimeMs) {
        if let Some(ladder) = self.ladders.get_mut(key) {
            ladder.held_until = Some(until);
        }
        self.schedule(key);
    }

    fn release(&mut self, key: &Key) {
        if let Some(ladder) = self.ladders.get_mut(key) {
            ladder.held_until = None;
        }
        self.schedule(key);
    }
}
