//! The rows of the ledger, and their JSON: the format that the journal keeps.
//!
//! - An id names the fact: a repeat after a kill, or a receipt that a provider sends twice, is
//!   dropped by the journal.
//! - New fields need a default: old journals are read for ever.

use serde::{Deserialize, Serialize};

/// The name under which packages stand where an alarm's key stands otherwise.
pub const PACKAGE: &str = "package";

/// How a person is contacted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// What can be read: push, SMS, mail, a group.
    Message,
    /// What rings.
    Voice,
    /// Both at once.
    Both,
}

/// Why an attempt is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// First contact.
    First,
    /// The message was not read, or could not be sent.
    Unread,
    /// Nobody answered: the next person.
    Unanswered,
    /// Wrong digits, or none.
    NotConfirmed,
    /// The ladder has ended and starts from the top.
    AgainFromTop,
    /// The reply is overdue.
    ReplyOverdue,
    /// The alarm has become graver than it was at the attempt before.
    Graver,
    /// A person at the desk asked for it.
    Manual,
}

impl Reason {
    /// One word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Unread => "unread",
            Self::Unanswered => "unanswered",
            Self::NotConfirmed => "not_confirmed",
            Self::AgainFromTop => "again_from_top",
            Self::ReplyOverdue => "reply_overdue",
            Self::Graver => "graver",
            Self::Manual => "manual",
        }
    }

    /// In Chinese.
    #[must_use]
    pub fn zh(self) -> &'static str {
        match self {
            Self::First => "首次",
            Self::Unread => "未读，转语音",
            Self::Unanswered => "未叫通，升级",
            Self::NotConfirmed => "核对码未通过，复叫",
            Self::AgainFromTop => "全部未叫通，从头再叫",
            Self::ReplyOverdue => "反馈超时，升级",
            Self::Graver => "优先级提高",
            Self::Manual => "人工叫应",
        }
    }
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// 接通
    Answered,
    /// 无人接
    NoAnswer,
    /// 拒接/忙
    Busy,
    /// 空号
    InvalidNumber,
}

impl Outcome {
    /// One word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::NoAnswer => "no_answer",
            Self::Busy => "busy",
            Self::InvalidNumber => "invalid_number",
        }
    }
}

/// One occurrence in a package.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Member {
    /// Key.
    pub alarm: String,
    /// Number.
    pub occurrence: u64,
}

/// A person is to be contacted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// From 1 in each ladder.
    pub attempt: u64,
    /// Who.
    pub person: String,
    /// As which of the ladder: a word of `Slot`; empty for one called by hand.
    #[serde(default)]
    pub slot: String,
    /// How.
    pub kind: Kind,
    /// Why.
    pub reason: Reason,
    /// How often the ladder was begun, from 1.
    pub round: u64,
    /// The place in the ladder, from 0.
    pub rung: usize,
    /// Over which channels.
    pub channels: Vec<String>,
    /// What the person reads back.
    pub digits: String,
    /// For which priority; none: a row of an older version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u8>,
    /// Who asked for it, if a person did.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub by: String,
    /// Their request.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub request: String,
}

/// What became of one hand-over to a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum SendResult {
    /// The provider took it. No proof of anything else.
    Accepted {
        /// The provider's own number for it.
        receipt: String,
    },
    /// It was not taken.
    Failed {
        /// In words.
        why: String,
    },
}

/// What a provider tells afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Receipt {
    /// It has reached the device.
    Delivered,
    /// It was opened.
    Read,
    /// It will not arrive.
    Failed,
}

impl Receipt {
    /// One word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Read => "read",
            Self::Failed => "failed",
        }
    }
}

/// A structured reply.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reply {
    /// Who commands on the spot.
    #[serde(default)]
    pub commander: String,
    /// How many people are affected.
    #[serde(default)]
    pub affected: Option<u64>,
    /// Whether people were moved.
    #[serde(default)]
    pub moved: Option<bool>,
    /// Anything else.
    #[serde(default)]
    pub text: String,
}

impl Reply {
    /// True where nothing was said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Why occurrences were put into one package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// A back-fill showed them together (R8a).
    Late,
    /// One by one they would exceed the person's budget.
    Budget,
}

/// One row of the ledger. `alarm` and `occurrence` name the ladder: an occurrence, or
/// [`PACKAGE`] and the package's number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "snake_case")]
pub enum Entry {
    /// Durable before anything is handed to a channel.
    Intent {
        /// Ladder.
        alarm: String,
        /// Ladder.
        occurrence: u64,
        /// What.
        #[serde(flatten)]
        intent: Intent,
    },
    /// Occurrences are one ladder from now on.
    Package {
        /// Its number, from 1.
        number: u64,
        /// Why.
        why: Why,
        /// For whom it was made first.
        person: String,
        /// How that person is contacted first.
        kind: Kind,
        /// Where in the ladder it begins.
        rung: usize,
        /// Which.
        members: Vec<Member>,
    },
    /// A hand-over without a known result is made once more.
    Again {
        /// Ladder.
        alarm: String,
        /// Ladder.
        occurrence: u64,
        /// Attempt.
        attempt: u64,
        /// Channel.
        channel: String,
        /// Which time, from 1 for the first repeat.
        again: u32,
    },
    /// What the channel said.
    Result {
        /// Ladder.
        alarm: String,
        /// Ladder.
        occurrence: u64,
        /// Attempt.
        attempt: u64,
        /// Channel.
        channel: String,
        /// Which time, 0 for the first.
        again: u32,
        /// What.
        #[serde(flatten)]
        result: SendResult,
    },
    /// What the provider said later.
    Receipt {
        /// Ladder.
        alarm: String,
        /// Ladder.
        occurrence: u64,
        /// Attempt.
        attempt: u64,
        /// Channel.
        channel: String,
        /// What.
        state: Receipt,
    },
    /// What the person did.
    Answer {
        /// Ladder.
        alarm: String,
        /// Ladder.
        occurrence: u64,
        /// Attempt.
        attempt: u64,
        /// How the call ended.
        outcome: Outcome,
        /// What was read back.
        #[serde(default)]
        digits: String,
        /// What was replied.
        #[serde(default, skip_serializing_if = "Reply::is_empty")]
        reply: Reply,
        /// Other occurrences of the alarm that the ladder speaks for.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        covers: Vec<u64>,
        /// Who recorded it.
        by: String,
        /// Their request: the same twice has one effect.
        request: String,
    },
    /// The audit found a hole; no part of any ladder.
    Finding {
        /// Which alarm.
        alarm: String,
        /// Which occurrence.
        occurrence: u64,
        /// What, one word.
        fault: String,
        /// Since when the hole is known, ms.
        at: i64,
    },
}

impl Entry {
    /// The id of the journal row.
    #[must_use]
    pub fn id(&self) -> String {
        match self {
            Self::Intent { alarm, occurrence, intent } => {
                format!("call/{alarm}/{occurrence}/{}/intent", intent.attempt)
            }
            Self::Package { number, .. } => format!("call/{PACKAGE}/{number}/open"),
            Self::Again { alarm, occurrence, attempt, channel, again } => {
                format!("call/{alarm}/{occurrence}/{attempt}/again/{channel}/{again}")
            }
            Self::Result { alarm, occurrence, attempt, channel, again, .. } => {
                format!("call/{alarm}/{occurrence}/{attempt}/result/{channel}/{again}")
            }
            Self::Receipt { alarm, occurrence, attempt, channel, state } => {
                let state = state.word();
                format!("call/{alarm}/{occurrence}/{attempt}/receipt/{channel}/{state}")
            }
            Self::Answer { alarm, occurrence, attempt, request, .. } => {
                format!("call/{alarm}/{occurrence}/{attempt}/answer/{request}")
            }
            Self::Finding { alarm, occurrence, fault, at } => {
                format!("call/{alarm}/{occurrence}/finding/{fault}/{at}")
            }
        }
    }

    /// The ladder that it belongs to.
    #[must_use]
    pub fn ladder(&self) -> (&str, u64) {
        match self {
            Self::Intent { alarm, occurrence, .. }
            | Self::Again { alarm, occurrence, .. }
            | Self::Result { alarm, occurrence, .. }
            | Self::Receipt { alarm, occurrence, .. }
            | Self::Answer { alarm, occurrence, .. }
            | Self::Finding { alarm, occurrence, .. } => (alarm, *occurrence),
            Self::Package { number, .. } => (PACKAGE, *number),
        }
    }

    /// As the journal keeps it.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("strings and numbers are always JSON")
    }

    /// From the journal.
    ///
    /// # Errors
    /// The text is no row of this version.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}
