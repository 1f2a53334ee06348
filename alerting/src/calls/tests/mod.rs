//! Stories of the ladder: a script in, rows and messages out.

mod flood;
mod grades;
mod holes;
mod joins;
mod random;
mod rosters;
mod stories;
mod w15;

use std::collections::HashSet;

use fengsui_telemetry::TimeMs;

use super::*;

/// Steps of one wake that do not end would be a ladder that spins.
const SPINS_MAX: usize = 2_000;

/// A host with a journal in memory.
pub(super) struct Host {
    pub(super) machine: Machine,
    pub(super) journal: Vec<(TimeMs, Event)>,
    ids: HashSet<String>,
    pub(super) hands: Vec<(TimeMs, Hand)>,
    pub(super) now: TimeMs,
}

pub(super) fn s(seconds: i64) -> TimeMs {
    TimeMs(1_795_000_000_000 + seconds * 1_000)
}

pub(super) fn channel(needs: Needs, per_hour: usize) -> Channel {
    Channel { needs, budget: Budget { per_hour, for_p1: per_hour / 4 } }
}

pub(super) fn person(name: &str, phone: bool) -> Person {
    let phone = phone.then(|| "13800000000".to_owned());
    Person { name: name.to_owned(), phone, email: None }
}

/// Duty officer, operating lead, principal; push, SMS, voice.
pub(super) fn setup() -> Setup {
    let policy = Policy {
        ladder: vec![Slot::Duty, Slot::Operational, Slot::Principal],
        message: vec!["push".into(), "sms".into()],
        voice: vec!["voice".into()],
        ..Policy::default()
    };
    let mut roster = Roster::default();
    roster.slots.insert(Slot::Operational, vec!["li".into()]);
    roster.slots.insert(Slot::Principal, vec!["zhao".into()]);
    Setup {
        persons: ["wang", "li", "zhao"].map(|id| (id.to_owned(), person(id, true))).into(),
        duty: vec![Turn { person: "wang".into(), from: 0, to: 0 }],
        rosters: [("*".to_owned(), roster)].into(),
        policies: [(1, policy.clone()), (2, policy)].into(),
        channels: [
            ("push".to_owned(), channel(Needs::Nothing, 1_000)),
            ("sms".to_owned(), channel(Needs::Phone, 1_000)),
            ("voice".to_owned(), channel(Needs::Phone, 1_000)),
        ]
        .into(),
        ..Setup::default()
    }
}

pub(super) fn occurrence(alarm: &str, occurrence: u64, priority: u8) -> Occurrence {
    Occurrence {
        alarm: alarm.to_owned(),
        occurrence,
        priority,
        installation: "1#罐区".to_owned(),
        gateway: "GW-01".to_owned(),
        ..Occurrence::default()
    }
}

impl Host {
    pub(super) fn new(setup: Setup) -> Self {
        Self {
            machine: Machine::new(setup, 7),
            journal: Vec::new(),
            ids: HashSet::new(),
            hands: Vec::new(),
            now: s(0),
        }
    }

    /// A row of the journal; one whose id is known is dropped, as the journal does.
    pub(super) fn tell(&mut self, event: Event) {
        if let Event::Ledger(entry, _) = &event
            && !self.ids.insert(entry.id())
        {
            let mut none = Vec::new();
            self.machine.handle(Event::Known(entry.clone()), self.now, &mut none);
            return;
        }
        self.journal.push((self.now, event.clone()));
        let mut actions = Vec::new();
        self.machine.handle(event, self.now, &mut actions);
        self.act(actions);
    }

    pub(super) fn act(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Hand(hand) => self.hands.push((self.now, hand)),
                Action::Record(entry) => {
                    let seq = self.journal.len() as u64 + 1;
                    self.tell(Event::Ledger(entry, seq));
                }
            }
        }
    }

    /// Time passes; everything that is due is done when it is due.
    pub(super) fn until(&mut self, to: TimeMs) {
        for _ in 0..SPINS_MAX {
            match self.machine.wake_at() {
                Some(at) if at <= to => {
                    self.now = self.now.max(at);
                    let mut actions = Vec::new();
                    self.machine.handle(Event::Wake, self.now, &mut actions);
                    self.act(actions);
                }
                Some(_) | None => {
                    self.now = to;
                    return;
                }
            }
        }
        panic!("the ladder spins at {:?}", self.now);
    }

    pub(super) fn open(&mut self, facts: Occurrence) {
        self.tell(Event::Opened(facts, Novelty::Live));
        self.until(self.now);
    }

    pub(super) fn ledger(&mut self, entry: Entry) {
        let seq = self.journal.len() as u64 + 1;
        self.tell(Event::Ledger(entry, seq));
        self.until(self.now);
    }

    pub(super) fn answer(&mut self, alarm: &str, outcome: Outcome, digits: &str, request: &str) {
        let request = AnswerRequest {
            alarm: alarm.to_owned(),
            occurrence: 1,
            outcome: Some(outcome),
            digits: digits.to_owned(),
            by: "王敏".to_owned(),
            request: request.to_owned(),
            ..AnswerRequest::default()
        };
        let entry = self.machine.answer(request).expect("the attempt is known");
        self.ledger(entry);
    }

    /// What every provider says at once: taken.
    pub(super) fn accept_all(&mut self) {
        for (_, hand) in std::mem::take(&mut self.hands) {
            let Hand { alarm, occurrence, attempt, channel, again } = hand;
            let result = SendResult::Accepted { receipt: format!("p{attempt}") };
            self.ledger(Entry::Result { alarm, occurrence, attempt, channel, again, result });
        }
    }

    pub(super) fn attempts(&self, alarm: &str) -> Vec<(i64, String, Kind, Reason)> {
        let Some(ladder) = self.machine.ladder(alarm, 1) else { return Vec::new() };
        ladder
            .attempts
            .iter()
            .map(|attempt| {
                let at = attempt.at.since(s(0)) / 1_000;
                let intent = &attempt.intent;
                (at, intent.person.clone(), intent.kind, intent.reason)
            })
            .collect()
    }

    pub(super) fn state(&self, alarm: &str, attempt: u64) -> Delivery {
        let ladder = self.machine.ladder(alarm, 1).expect("a ladder");
        let found = ladder.attempts.iter().find(|a| a.intent.attempt == attempt);
        found.expect("an attempt").delivery()
    }

    pub(super) fn digits(&self, alarm: &str) -> String {
        let ladder = self.machine.ladder(alarm, 1).expect("a ladder");
        ladder.attempts.back().expect("an attempt").intent.digits.clone()
    }

    pub(super) fn next(&self, alarm: &str) -> Option<i64> {
        let ladder = self.machine.ladder(alarm, 1)?;
        match self.machine.next(ladder)? {
            Next::At(at, _) => Some(at.since(s(0)) / 1_000),
            Next::Reached | Next::Quiet | Next::SpokenFor | Next::Settled(_) => None,
        }
    }

    /// Killed and started again: everything from the journal.
    pub(super) fn restarted(&self) -> Self {
        let mut machine = Machine::new(self.machine.setup().clone(), 7);
        let mut ignored = Vec::new();
        for (at, event) in &self.journal {
            machine.handle(event.clone(), *at, &mut ignored);
        }
        Self {
            machine,
            journal: self.journal.clone(),
            ids: self.ids.clone(),
            hands: Vec::new(),
            now: self.now,
        }
    }
}
