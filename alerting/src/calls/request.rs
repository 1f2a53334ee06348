//! What people and providers tell, checked against what is known, as rows to record.

use fengsui_telemetry::TimeMs;

use super::decide::Call;
use super::entry::{Entry, Kind, Outcome, Reason, Receipt, Reply, SendResult};
use super::ladder::{Attempt, Ladder, Send};
use super::machine::{Action, Key, Machine};

/// Times that a hand-over without a known result is made. Beyond it, it counts as failed: one
/// that ends the process each time must not do so for ever.
const AGAIN_MAX: u32 = 3;

/// The answer of a called person, as somebody records it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnswerRequest {
    /// Ladder or occurrence.
    pub alarm: String,
    /// Ladder or occurrence.
    pub occurrence: u64,
    /// Which attempt; none: the newest.
    pub attempt: Option<u64>,
    /// How it ended; none: answered.
    pub outcome: Option<Outcome>,
    /// What was read back.
    pub digits: String,
    /// What was replied.
    pub reply: Reply,
    /// Who records it.
    pub by: String,
    /// Their request.
    pub request: String,
}

/// A call that somebody at the desk asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallRequest {
    /// Ladder or occurrence.
    pub alarm: String,
    /// Ladder or occurrence.
    pub occurrence: u64,
    /// Whom.
    pub person: String,
    /// Over what.
    pub channel: String,
    /// Who asks.
    pub by: String,
    /// Their request.
    pub request: String,
}

/// Why something cannot be recorded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such ladder.
    #[error("没有这条叫应 (no ladder for {alarm} #{occurrence})")]
    NoLadder {
        /// Alarm.
        alarm: String,
        /// Occurrence.
        occurrence: u64,
    },
    /// No such attempt.
    #[error("没有第 {attempt} 次叫应 (no attempt {attempt}; the newest is {newest})")]
    NoAttempt {
        /// Asked for.
        attempt: u64,
        /// Known.
        newest: u64,
    },
    /// The id of the request belongs to another call.
    #[error(
        "此请求编号已用于另一次叫应，请换新编号 (this request id was used for another call; use a new one)"
    )]
    RequestUsed,
    /// Nobody of that name.
    #[error("没有这个人 (no person {0:?})")]
    NoPerson(String),
    /// The channel cannot reach the person.
    #[error(
        "渠道 {channel:?} 叫不到 {person:?} (the channel does not exist, or lacks their number)"
    )]
    Unreachable {
        /// Who.
        person: String,
        /// Over what.
        channel: String,
    },
}

impl Machine {
    /// The ladder that speaks for a name: itself, or the package that holds it.
    fn speaking(&self, alarm: &str, occurrence: u64) -> Result<(Key, &Ladder), Refusal> {
        let key = (alarm.to_owned(), occurrence);
        let open = self.ladders.get(&key).filter(|ladder| ladder.settled.is_none());
        let key = if open.is_some() { key } else { self.ladder_of(&key) };
        let refusal = Refusal::NoLadder { alarm: alarm.to_owned(), occurrence };
        self.ladders.get(&key).map(|ladder| (key, ladder)).ok_or(refusal)
    }

    /// The row of an answer.
    ///
    /// # Errors
    /// What it is about is not known.
    pub fn answer(&self, request: AnswerRequest) -> Result<Entry, Refusal> {
        let AnswerRequest { alarm, occurrence, attempt, outcome, digits, reply, by, request } =
            request;
        // An attempt that is named belongs to the ladder that is named, also when that one has
        // gone into a package since.
        let own = self.ladders.get(&(alarm.clone(), occurrence));
        let names = |number| own.is_some_and(|ladder| find(ladder, number).is_some());
        let (key, ladder) = match (attempt, own) {
            (Some(number), Some(ladder)) if names(number) => ((alarm, occurrence), ladder),
            _ => self.speaking(&alarm, occurrence)?,
        };
        let newest = ladder.attempts.back().map_or(0, |attempt| attempt.intent.attempt);
        let number = attempt.unwrap_or(newest);
        if find(ladder, number).is_none() {
            return Err(Refusal::NoAttempt { attempt: number, newest });
        }
        let outcome = outcome.unwrap_or(Outcome::Answered);
        let (alarm, occurrence) = key;
        let digits = digits.trim().to_owned();
        let attempt = number;
        let covers = self.covers(&alarm, occurrence);
        Ok(Entry::Answer {
            alarm,
            occurrence,
            attempt,
            outcome,
            digits,
            reply,
            covers,
            by,
            request,
        })
    }

    /// The other occurrences that an answer to a ladder of one alarm is about.
    #[must_use]
    pub fn covers(&self, alarm: &str, occurrence: u64) -> Vec<u64> {
        let ladder = self.ladder(alarm, occurrence);
        let members = ladder.into_iter().flat_map(|ladder| &ladder.members);
        let others = members.filter(|m| m.alarm == alarm && m.occurrence != occurrence);
        others.map(|m| m.occurrence).collect()
    }

    /// True where an answer says what its attempt holds already: the repeat of a request, and no
    /// other answer under its id.
    #[must_use]
    pub fn repeats(&self, entry: &Entry) -> bool {
        let Entry::Answer { alarm, occurrence, attempt, outcome, reply, .. } = entry else {
            return true;
        };
        let ladder = self.ladder(alarm, *occurrence);
        let held = ladder.and_then(|ladder| find(ladder, *attempt));
        held.is_some_and(|held| {
            let outcome = held.outcome.map(|(outcome, _)| outcome) == Some(*outcome);
            let replied = held.reply.as_ref().is_some_and(|(_, said)| said == reply);
            outcome && (reply.is_empty() || replied)
        })
    }

    /// The row of a call by hand; none where the same request was taken before.
    ///
    /// # Errors
    /// What it is about, whom or over what is not known.
    pub fn call(&self, request: &CallRequest) -> Result<Option<Entry>, Refusal> {
        let (key, ladder) = self.speaking(&request.alarm, request.occurrence)?;
        let mut intents = ladder.attempts.iter().map(|attempt| &attempt.intent);
        let (person, channel) = (request.person.clone(), request.channel.clone());
        if let Some(before) = intents.find(|intent| intent.request == request.request) {
            let same = before.person == person
                && before.channels.contains(&channel)
                && before.by == request.by;
            return if same { Ok(None) } else { Err(Refusal::RequestUsed) };
        }
        if !self.setup.persons.contains_key(&person) {
            return Err(Refusal::NoPerson(person));
        }
        let channels = self.setup.reach(&person, std::slice::from_ref(&channel));
        if channels.is_empty() {
            return Err(Refusal::Unreachable { person, channel });
        }
        let rings = self.policy(ladder).is_some_and(|policy| policy.voice.contains(&channel));
        let kind = if rings { Kind::Voice } else { Kind::Message };
        let rung = ladder.newest().map_or(0, |attempt| attempt.intent.rung);
        let (round, reason) = (ladder.round.max(1), Reason::Manual);
        let call = Call { rung, round, slot: "", person, kind, reason, channels };
        let who = (request.by.clone(), request.request.clone());
        Ok(Some(self.intent(&key, ladder, call, who)))
    }

    /// The row of a provider's receipt, by the reference that it was given: the place of the
    /// intent in the journal. None: nobody knows it.
    #[must_use]
    pub fn receipt(&self, seq: u64, channel: &str, state: Receipt) -> Option<Entry> {
        let (alarm, occurrence, attempt) = self.by_seq(seq)?;
        let ladder = self.ladder(alarm, occurrence)?;
        let used = |send: &Send| send.channel == channel;
        find(ladder, attempt)?.sends.iter().find(|send| used(send))?;
        let (alarm, channel) = (alarm.to_owned(), channel.to_owned());
        Some(Entry::Receipt { alarm, occurrence, attempt, channel, state })
    }

    /// After a start: hand-overs whose result nobody knows. Each is made once more and says so.
    #[must_use]
    pub fn unsent(&self) -> Vec<Action> {
        let mut rows = Vec::new();
        for ((alarm, occurrence), ladder) in &self.ladders {
            for attempt in ladder.attempts.iter().filter(|_| ladder.settled.is_none()) {
                for send in attempt.sends.iter().filter(|send| send.is_open()) {
                    rows.push(Action::Record(once_more(alarm, *occurrence, attempt, send)));
                }
            }
        }
        rows
    }

    /// When the reply of a ladder is due, if one is awaited.
    #[must_use]
    pub fn reply_due(&self, ladder: &Ladder) -> Option<TimeMs> {
        ladder.reply_due(self.policy(ladder)?)
    }
}

fn find(ladder: &Ladder, number: u64) -> Option<&Attempt> {
    ladder.attempts.iter().find(|attempt| attempt.intent.attempt == number)
}

fn once_more(alarm: &str, occurrence: u64, attempt: &Attempt, send: &Send) -> Entry {
    let (alarm, channel) = (alarm.to_owned(), send.channel.clone());
    let (attempt, again) = (attempt.intent.attempt, send.again + 1);
    if again > AGAIN_MAX {
        let why = "多次重发均无结果 / no result of any repeat".to_owned();
        let (again, result) = (send.again, SendResult::Failed { why });
        return Entry::Result { alarm, occurrence, attempt, channel, again, result };
    }
    Entry::Again { alarm, occurrence, attempt, channel, again }
}
