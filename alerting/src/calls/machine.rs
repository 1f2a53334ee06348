//! All ladders: events in, rows to record and messages to hand over out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use fengsui_telemetry::TimeMs;

use super::decide::Crowd;
use super::entry::{Entry, Kind};
use super::grade::Uncalled;
use super::ladder::{Ladder, Next};
use super::setup::{Policy, Setup};

/// Ladders that are over and still here, for screens and for answers that come late. Older ones
/// are in the journal.
const SETTLED_MAX: usize = 1_000;

/// Further back than this, the clock was set: rows of one moment may come a little out of order.
const STEP_MS: i64 = 2_000;

/// Names a ladder: alarm and occurrence, or the word for packages and a number.
pub(super) type Key = (String, u64);

/// What an alarm's occurrence is, for those who are called.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Occurrence {
    /// Key.
    pub alarm: String,
    /// Number.
    pub occurrence: u64,
    /// 1..=4.
    pub priority: u8,
    /// Whose persons; empty: nobody's in particular.
    pub installation: String,
    /// Where it comes from.
    pub gateway: String,
    /// When it happened.
    pub happened: Option<TimeMs>,
    /// When it was over; none while it lasts.
    pub ended: Option<TimeMs>,
    /// The value that decided.
    pub value: Option<f64>,
    /// The limit that it was judged by; none: there is none, or it is not known any more.
    pub limit: Option<f64>,
}

/// How an occurrence came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Novelty {
    /// It holds now.
    Live,
    /// It was over when it became known.
    Late,
    /// It holds, and a higher level of the same point speaks for it.
    SpokenFor,
}

/// What happens to the machine.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// An occurrence wants a person.
    Opened(Occurrence, Novelty),
    /// It was acknowledged.
    Acknowledged {
        /// Key.
        alarm: String,
        /// Number.
        occurrence: u64,
        /// True: so were all older ones.
        through: bool,
    },
    /// Its condition has ended.
    Ended {
        /// Key.
        alarm: String,
        /// Number.
        occurrence: u64,
    },
    /// Late data refuted it.
    Refuted {
        /// Key.
        alarm: String,
        /// Number.
        occurrence: u64,
    },
    /// An overlay hides the alarm.
    Quieted {
        /// Key.
        alarm: String,
    },
    /// The alarm is normal and nothing of it waits.
    Normal {
        /// Key.
        alarm: String,
    },
    /// The alarm's priority is this from now on.
    Graded {
        /// Key.
        alarm: String,
        /// 1..=4.
        priority: u8,
    },
    /// A row of the ledger is durable, at this place of the journal.
    Ledger(Entry, u64),
    /// The journal holds a row of this name already: it is not to be made again.
    Known(Entry),
    /// The time of [`Machine::wake_at`] has come.
    Wake,
}

/// A message for a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hand {
    /// Ladder.
    pub alarm: String,
    /// Ladder.
    pub occurrence: u64,
    /// Attempt.
    pub attempt: u64,
    /// Channel.
    pub channel: String,
    /// Which time; above 0 the message says that it is a repeat.
    pub again: u32,
}

/// What the host must do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make this durable, then hand it in as [`Event::Ledger`].
    Record(Entry),
    /// Give this to a channel.
    Hand(Hand),
}

/// An occurrence that wants a person.
#[derive(Clone, Debug, PartialEq)]
pub struct Matter {
    /// What.
    pub facts: Occurrence,
    /// The package that speaks for it.
    pub package: Option<u64>,
    /// The occurrence of the same alarm whose ladder it has joined.
    pub joined: Option<u64>,
    /// Hidden by an overlay.
    pub quiet: bool,
    /// Acknowledged, where the policy does not let that stop the ladder.
    pub acknowledged: bool,
}

impl Matter {
    pub(super) fn new(facts: Occurrence) -> Self {
        Self { facts, package: None, joined: None, quiet: false, acknowledged: false }
    }
}

/// All ladders.
#[derive(Clone, Debug)]
pub struct Machine {
    pub(super) setup: Setup,
    pub(super) seed: u64,
    pub(super) matters: BTreeMap<Key, Matter>,
    /// Occurrences that nobody is called for.
    pub(super) uncalled: BTreeMap<Key, Uncalled>,
    pub(super) ladders: BTreeMap<Key, Ladder>,
    pub(super) due: BTreeSet<(TimeMs, Key)>,
    pub(super) scheduled: BTreeMap<Key, TimeMs>,
    pub(super) settled: VecDeque<Key>,
    /// When who was contacted over what in the last hour.
    pub(super) spent: BTreeMap<(String, String), VecDeque<TimeMs>>,
    /// The newest package that a person's budget made.
    pub(super) packaged: BTreeMap<String, TimeMs>,
    pub(super) packages: u64,
    /// Ladders that wait for a package of this person.
    pub(super) crowds: BTreeMap<(String, Kind), Crowd>,
    /// The newest time of the ledger, or of the clock.
    pub(super) newest: TimeMs,
    /// Attempts by the place of their intent in the journal.
    pub(super) by_seq: BTreeMap<u64, (Key, u64)>,
}

impl Machine {
    /// Without any ladder. `seed` makes the digits of this run.
    #[must_use]
    pub fn new(setup: Setup, seed: u64) -> Self {
        Self {
            setup,
            seed,
            matters: BTreeMap::new(),
            uncalled: BTreeMap::new(),
            ladders: BTreeMap::new(),
            due: BTreeSet::new(),
            scheduled: BTreeMap::new(),
            settled: VecDeque::new(),
            spent: BTreeMap::new(),
            packaged: BTreeMap::new(),
            packages: 0,
            crowds: BTreeMap::new(),
            newest: TimeMs(0),
            by_seq: BTreeMap::new(),
        }
    }

    /// Takes one event. `now` is the time of the row, or the clock for [`Event::Wake`].
    pub fn handle(&mut self, event: Event, now: TimeMs, actions: &mut Vec<Action>) {
        if matches!(event, Event::Ledger(..) | Event::Wake) {
            self.mind_clock(now);
        }
        match event {
            Event::Opened(facts, novelty) => self.opened(facts, novelty, now),
            Event::Acknowledged { alarm, occurrence, through } => {
                self.acknowledged(&alarm, occurrence, through, now);
            }
            Event::Ended { alarm, occurrence } => self.ended(&(alarm, occurrence), now),
            Event::Refuted { alarm, occurrence } => self.refuted(&(alarm, occurrence), now),
            Event::Quieted { alarm } => self.quieted(&alarm, now),
            Event::Normal { alarm } => self.normal(&alarm, now),
            Event::Graded { alarm, priority } => self.graded(&alarm, priority, now),
            Event::Ledger(entry, seq) => self.fold(entry, seq, now, actions),
            Event::Known(entry) => self.known(&entry),
            Event::Wake => self.decide(now, actions),
        }
    }

    /// When the machine wants to be woken.
    #[must_use]
    pub fn wake_at(&self) -> Option<TimeMs> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Looks at the clock. Where it was set back, every deadline comes nearer by as much: a
    /// ladder does not stand still until the old time has come again. The host calls this often;
    /// set forward, a clock makes calls early, which does no harm.
    pub fn mind_clock(&mut self, now: TimeMs) {
        let back = self.newest.since(now);
        let set_back = self.newest != TimeMs(0) && back > STEP_MS;
        self.newest = if set_back { now } else { self.newest.max(now) };
        if !set_back {
            return;
        }
        for times in self.spent.values_mut() {
            times.iter_mut().for_each(|at| *at = (*at).min(now));
        }
        self.packaged.values_mut().for_each(|at| *at = (*at).min(now));
        self.crowds.clear();
        let keys: Vec<Key> = self.ladders.keys().cloned().collect();
        for key in keys {
            if let Some(ladder) = self.ladders.get_mut(&key) {
                ladder.set_back_ms = ladder.set_back_ms.saturating_add(back);
                ladder.held_until = None;
            }
            self.schedule(&key);
        }
    }

    /// What it is configured with.
    #[must_use]
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// One ladder.
    #[must_use]
    pub fn ladder(&self, alarm: &str, occurrence: u64) -> Option<&Ladder> {
        self.ladders.get(&(alarm.to_owned(), occurrence))
    }

    /// Every ladder that is kept, with its name.
    pub fn ladders(&self) -> impl Iterator<Item = (&(String, u64), &Ladder)> {
        self.ladders.iter()
    }

    /// The ladder that speaks for an occurrence: its own, that of an earlier one, or a package.
    #[must_use]
    pub fn speaker(&self, alarm: &str, occurrence: u64) -> (String, u64) {
        self.ladder_of(&(alarm.to_owned(), occurrence))
    }

    /// An occurrence that wants a person.
    #[must_use]
    pub fn matter(&self, alarm: &str, occurrence: u64) -> Option<&Matter> {
        self.matters.get(&(alarm.to_owned(), occurrence))
    }

    /// Every occurrence that wants a person.
    pub fn matters(&self) -> impl Iterator<Item = &Matter> {
        self.matters.values()
    }

    /// The policy of a ladder.
    #[must_use]
    pub fn policy(&self, ladder: &Ladder) -> Option<&Policy> {
        self.setup.policies.get(&ladder.priority)
    }

    /// What comes next in a ladder; a ladder that waits for a package says when.
    #[must_use]
    pub fn next(&self, ladder: &Ladder) -> Option<Next> {
        // What a back-fill shows is gathered first.
        let gathers = ladder.late.is_some() && ladder.newest().is_none();
        let gathered = if gathers { self.setup.package_ms } else { 0 };
        Some(match ladder.next(self.policy(ladder)?) {
            Next::At(at, step) => {
                let at = at + gathered;
                Next::At(ladder.held_until.map_or(at, |held| held.max(at)), step)
            }
            next @ (Next::Reached | Next::Quiet | Next::SpokenFor | Next::Settled(_)) => next,
        })
    }

    /// The ladder and attempt whose intent stands at this place of the journal.
    #[must_use]
    pub fn by_seq(&self, seq: u64) -> Option<(&str, u64, u64)> {
        let ((alarm, occurrence), attempt) = self.by_seq.get(&seq)?;
        Some((alarm, *occurrence, *attempt))
    }

    /// Contacts of a person over a channel in the hour before `now`.
    #[must_use]
    pub fn spent(&self, person: &str, channel: &str, now: TimeMs) -> usize {
        let key = (person.to_owned(), channel.to_owned());
        let recent = |times: &VecDeque<TimeMs>| {
            times.iter().filter(|at| now.since(**at) < super::decide::HOUR_MS).count()
        };
        self.spent.get(&key).map_or(0, recent)
    }

    /// Puts a ladder's next step into the order of deadlines.
    pub(super) fn schedule(&mut self, key: &Key) {
        if let Some(at) = self.scheduled.remove(key) {
            self.due.remove(&(at, key.clone()));
        }
        let next = self.ladders.get(key).and_then(|ladder| self.next(ladder));
        if let Some(Next::At(at, _)) = next {
            self.due.insert((at, key.clone()));
            self.scheduled.insert(key.clone(), at);
        }
    }

    /// A ladder is over; the oldest of those that are over is forgotten when there are too many.
    pub(super) fn keep_settled(&mut self, key: Key) {
        self.settled.push_back(key);
        while self.settled.len() > SETTLED_MAX {
            let Some(oldest) = self.settled.pop_front() else { return };
            // Announced anew meanwhile, or settled again later: it has a younger place.
            let over = self.ladders.get(&oldest).is_some_and(|ladder| ladder.settled.is_some());
            if over && !self.settled.contains(&oldest) {
                let gone = self.ladders.remove(&oldest);
                let attempts = gone.into_iter().flat_map(|ladder| ladder.attempts);
                for attempt in attempts {
                    self.by_seq.remove(&attempt.seq);
                }
            }
        }
    }
}
