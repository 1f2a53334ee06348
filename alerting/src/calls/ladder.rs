//! One ladder: what was tried, how far it came, and what comes next.
//!
//! - What comes next is computed from the rows and never stored: there is nothing to lose.
//! - Outcomes that end an attempt (nobody, busy, no such number) need no further waiting.

use std::collections::{BTreeSet, VecDeque};

use fengsui_telemetry::TimeMs;

use super::entry::{Intent, Kind, Member, Outcome, Reason, Reply, Why};
use super::setup::{Policy, ReplyFrom, StopAt};

/// Attempts of one ladder kept here; earlier ones are in the journal. An hour of a ladder that
/// nobody answers has about thirty.
pub(super) const ATTEMPTS_KEPT: usize = 64;

/// How far one attempt has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Delivery {
    /// Recorded, not yet taken by any provider.
    Intended,
    /// No channel took it.
    Failed,
    /// Taken by a provider: no proof of anything.
    Sent,
    /// On the device.
    Delivered,
    /// Opened.
    Read,
    /// Somebody answered.
    Answered,
    /// The digits were read back: 叫应成功.
    Confirmed,
    /// A structured reply came.
    Replied,
}

impl Delivery {
    /// One word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Intended => "intended",
            Self::Failed => "failed",
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Read => "read",
            Self::Answered => "answered",
            Self::Confirmed => "confirmed",
            Self::Replied => "replied",
        }
    }
}

/// One hand-over to one channel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Send {
    /// Which channel.
    pub channel: String,
    /// How often it was repeated.
    pub again: u32,
    /// Taken.
    pub accepted_at: Option<TimeMs>,
    /// The provider's number.
    pub receipt: String,
    /// Refused or lost, and why.
    pub failed: Option<(TimeMs, String)>,
    /// On the device.
    pub delivered_at: Option<TimeMs>,
    /// Opened.
    pub read_at: Option<TimeMs>,
}

impl Send {
    /// True until the channel has said something.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.accepted_at.is_none() && self.failed.is_none()
    }
}

/// One attempt to reach one person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// What was intended.
    pub intent: Intent,
    /// When.
    pub at: TimeMs,
    /// The row of the journal that holds the intent.
    pub seq: u64,
    /// Over which channels.
    pub sends: Vec<Send>,
    /// How the newest call of it ended.
    pub outcome: Option<(Outcome, TimeMs)>,
    /// First answer.
    pub answered_at: Option<TimeMs>,
    /// Digits read back.
    pub confirmed_at: Option<TimeMs>,
    /// Wrong digits so far.
    pub wrong: u32,
    /// The reply.
    pub reply: Option<(TimeMs, Reply)>,
    /// Who recorded the newest answer.
    pub recorded_by: String,
}

impl Attempt {
    /// How far it has come.
    #[must_use]
    pub fn delivery(&self) -> Delivery {
        let any = |is: &dyn Fn(&Send) -> bool| self.sends.iter().any(is);
        if self.reply.is_some() {
            Delivery::Replied
        } else if self.confirmed_at.is_some() {
            Delivery::Confirmed
        } else if self.answered_at.is_some() {
            Delivery::Answered
        } else if any(&|send| send.read_at.is_some()) {
            Delivery::Read
        } else if any(&|send| send.delivered_at.is_some()) {
            Delivery::Delivered
        } else if any(&|send| send.accepted_at.is_some() && send.failed.is_none()) {
            Delivery::Sent
        } else if any(&Send::is_open) {
            Delivery::Intended
        } else {
            Delivery::Failed
        }
    }

    /// When the last of its channels failed, if all have.
    fn failed_at(&self) -> Option<TimeMs> {
        let failures = self.sends.iter().map(|send| send.failed.as_ref().map(|(at, _)| *at));
        failures.collect::<Option<Vec<_>>>()?.into_iter().max()
    }

    fn read_at(&self) -> Option<TimeMs> {
        self.sends.iter().filter_map(|send| send.read_at).min()
    }
}

/// Why a ladder calls nobody any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The alarm was acknowledged.
    Acknowledged,
    /// The condition has ended, and the policy lets that stop it.
    Ended,
    /// The alarm is normal.
    Normal,
    /// Late data refuted the occurrence.
    Refuted,
    /// It goes on in this package.
    Merged(u64),
}

impl Settled {
    /// One word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Acknowledged => "acknowledged",
            Self::Ended => "ended",
            Self::Normal => "normal",
            Self::Refuted => "refuted",
            Self::Merged(_) => "merged",
        }
    }
}

/// Which person a step is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Go {
    /// The one at this place.
    Here(usize),
    /// The one after this place.
    After(usize),
}

/// One step of a ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    pub(super) go: Go,
    /// How.
    pub kind: Kind,
    /// Why.
    pub reason: Reason,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// A step, and its time.
    At(TimeMs, Step),
    /// Somebody was reached and owes nothing.
    Reached,
    /// Shelved, suppressed or out of service.
    Quiet,
    /// A higher level of the same point speaks for it.
    SpokenFor,
    /// Over.
    Settled(Settled),
}

/// The attempts about one occurrence, or about one package of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ladder {
    /// The highest priority in it.
    pub priority: u8,
    /// Whose persons.
    pub installations: BTreeSet<String>,
    /// What it is about.
    pub members: Vec<Member>,
    /// Since when.
    pub opened_at: TimeMs,
    /// For a package: why.
    pub why: Option<Why>,
    /// For a late occurrence: the gateway whose back-fill showed it.
    pub late: Option<String>,
    /// Another alarm speaks for it.
    pub spoken_for: bool,
    /// All of it is shelved, suppressed or out of service.
    pub quiet: bool,
    /// Newest last; at most `ATTEMPTS_KEPT`.
    pub attempts: VecDeque<Attempt>,
    /// Where it begins: place and kind.
    pub(super) start: (usize, Kind),
    /// The number of the next attempt.
    pub(super) number: u64,
    /// Attempts before this number belong to an earlier announcement.
    pub(super) since: u64,
    /// The highest priority that an attempt was made for.
    pub(super) called: Option<u8>,
    /// How often the ladder was begun.
    pub round: u64,
    /// First answer since the newest start.
    pub answered_at: Option<TimeMs>,
    /// First read-back since the newest start.
    pub confirmed_at: Option<TimeMs>,
    /// The reply.
    pub replied_at: Option<TimeMs>,
    /// It is over.
    pub settled: Option<(Settled, TimeMs)>,
    /// Not before this: a package waits for its time.
    pub(super) held_until: Option<TimeMs>,
    /// How far the clock was set back since the row that the next deadline counts from, ms.
    pub(super) set_back_ms: i64,
}

impl Ladder {
    pub(super) fn new(priority: u8, members: Vec<Member>, at: TimeMs) -> Self {
        Self {
            priority,
            installations: BTreeSet::new(),
            members,
            opened_at: at,
            why: None,
            late: None,
            spoken_for: false,
            quiet: false,
            attempts: VecDeque::new(),
            start: (0, Kind::Message),
            number: 1,
            since: 1,
            called: None,
            round: 0,
            answered_at: None,
            confirmed_at: None,
            replied_at: None,
            settled: None,
            held_until: None,
            set_back_ms: 0,
        }
    }

    /// Announced anew: from the bottom, whatever was said before.
    pub(super) fn reopen(&mut self, at: TimeMs) {
        self.opened_at = at;
        self.since = self.number;
        self.called = None;
        self.start = (0, Kind::Message);
        self.round = 0;
        (self.answered_at, self.confirmed_at, self.replied_at) = (None, None, None);
        (self.settled, self.held_until, self.spoken_for) = (None, None, false);
        self.set_back_ms = 0;
    }

    /// When the state that stops the escalation was reached.
    #[must_use]
    pub fn reached_at(&self, policy: &Policy) -> Option<TimeMs> {
        match policy.stop_at {
            StopAt::Answered => self.answered_at,
            StopAt::Confirmed => self.confirmed_at,
        }
    }

    /// When the reply is due, if one is awaited.
    #[must_use]
    pub fn reply_due(&self, policy: &Policy) -> Option<TimeMs> {
        let reached = self.reached_at(policy)?;
        let from = match policy.reply_from {
            ReplyFrom::Answered => self.answered_at,
            ReplyFrom::Confirmed => self.confirmed_at,
        };
        let awaited = self.replied_at.is_none().then_some(policy.reply_ms).flatten();
        awaited.map(|ms| from.unwrap_or(reached) + (ms - self.set_back_ms))
    }

    /// The newest attempt that the ladder itself made since it was announced.
    pub(super) fn newest(&self) -> Option<&Attempt> {
        let own = |attempt: &&Attempt| attempt.intent.reason != Reason::Manual;
        self.attempts.iter().rev().find(own).filter(|a| a.intent.attempt >= self.since)
    }

    /// What comes next.
    #[must_use]
    pub fn next(&self, policy: &Policy) -> Next {
        if let Some((settled, _)) = self.settled {
            return Next::Settled(settled);
        }
        if self.quiet {
            return Next::Quiet;
        }
        let newest = self.newest();
        if self.spoken_for && newest.is_none() {
            return Next::SpokenFor;
        }
        if self.replied_at.is_some() {
            return Next::Reached;
        }
        let rung = newest.map_or(0, |attempt| attempt.intent.rung);
        if self.reached_at(policy).is_some() {
            let step = Step { go: Go::After(rung), kind: Kind::Both, reason: Reason::ReplyOverdue };
            return self.reply_due(policy).map_or(Next::Reached, |due| Next::At(due, step));
        }
        let (at, step) = match newest {
            None => {
                let (rung, kind) = self.start;
                (self.opened_at, Step { go: Go::Here(rung), kind, reason: Reason::First })
            }
            // From the bottom of the graver policy, and at once: it may begin with somebody else.
            Some(last) if last.intent.priority.is_some_and(|was| was > self.priority) => {
                (last.at, Step { go: Go::Here(0), kind: Kind::Both, reason: Reason::Graver })
            }
            Some(last) => self.after(last, policy),
        };
        Next::At(at - self.set_back_ms, step)
    }

    fn after(&self, last: &Attempt, policy: &Policy) -> (TimeMs, Step) {
        let rung = last.intent.rung;
        let further = Step { go: Go::After(rung), kind: Kind::Both, reason: Reason::Unanswered };
        let ring = |reason| Step { go: Go::Here(rung), kind: Kind::Voice, reason };
        match (last.outcome, last.intent.kind) {
            (Some((Outcome::Answered, at)), _) => {
                // Wrong digits are called again at once; none may still come.
                let at = if last.wrong > 0 { at } else { at + policy.unanswered_ms };
                let again = self.repeats(rung) < policy.repeats;
                (at, if again { ring(Reason::NotConfirmed) } else { further })
            }
            (Some((Outcome::NoAnswer | Outcome::Busy | Outcome::InvalidNumber, at)), _) => {
                (at, further)
            }
            (None, Kind::Message) => {
                let unread = last.at + policy.unread_ms;
                let read = last.read_at().map(|at| at + policy.unanswered_ms);
                let due = read.map_or(unread, |read| read.max(unread));
                (last.failed_at().unwrap_or(due), ring(Reason::Unread))
            }
            (None, Kind::Voice | Kind::Both) => {
                let due = last.at + policy.unanswered_ms;
                (last.failed_at().unwrap_or(due), further)
            }
        }
    }

    /// How often the person at this place was called again in a row.
    fn repeats(&self, rung: usize) -> u32 {
        let own = self.attempts.iter().rev().filter(|a| a.intent.reason != Reason::Manual);
        let in_a_row = own
            .take_while(|a| a.intent.rung == rung && a.intent.reason == Reason::NotConfirmed)
            .count();
        u32::try_from(in_a_row).unwrap_or(u32::MAX)
    }

    /// One attempt.
    pub(super) fn attempt_mut(&mut self, number: u64) -> Option<&mut Attempt> {
        self.attempts.iter_mut().rev().find(|attempt| attempt.intent.attempt == number)
    }

    /// The digits that a person of this ladder has in hand.
    pub(super) fn digits_of(&self, person: &str) -> Option<&str> {
        let theirs = |attempt: &&Attempt| attempt.intent.person == person;
        self.attempts.iter().rev().find(theirs).map(|attempt| attempt.intent.digits.as_str())
    }
}
