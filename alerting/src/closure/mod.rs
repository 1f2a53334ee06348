//! Closing hidden dangers (隐患闭环): from a finding to its end with cause and evidence.
//!
//! - One table of state and step; a step that the state does not allow is refused and names the
//!   ones that are.
//! - Overdue and extended are flags, not states.
//! - The host records a [`Row`] and hands it in again: the same rows give the same cases.
//!
//! Left out: funds and contingency plans of rectification; they go into the texts.

mod cases;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use cases::{Case, Cases, Refusal, Request};

/// Where a case stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// 发现
    Found,
    /// 确认为隐患
    Confirmed,
    /// 不是隐患: an end.
    NotADanger,
    /// 已定级
    Graded,
    /// 已派单
    Dispatched,
    /// 已反馈，待验收
    Feedback,
    /// 退回整改
    Returned,
    /// 已验收
    Accepted,
    /// 办结/销警: an end.
    Closed,
}

impl State {
    /// One word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Confirmed => "confirmed",
            Self::NotADanger => "not_a_danger",
            Self::Graded => "graded",
            Self::Dispatched => "dispatched",
            Self::Feedback => "feedback",
            Self::Returned => "returned",
            Self::Accepted => "accepted",
            Self::Closed => "closed",
        }
    }

    /// In Chinese.
    #[must_use]
    pub fn zh(self) -> &'static str {
        match self {
            Self::Found => "发现",
            Self::Confirmed => "已确认",
            Self::NotADanger => "非隐患",
            Self::Graded => "已定级",
            Self::Dispatched => "已派单",
            Self::Feedback => "已反馈",
            Self::Returned => "已退回",
            Self::Accepted => "已验收",
            Self::Closed => "已办结",
        }
    }

    /// True where nothing more is to be done.
    #[must_use]
    pub fn is_end(self) -> bool {
        match self {
            Self::NotADanger | Self::Closed => true,
            Self::Found
            | Self::Confirmed
            | Self::Graded
            | Self::Dispatched
            | Self::Feedback
            | Self::Returned
            | Self::Accepted => false,
        }
    }
}

/// How grave it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// 一般隐患
    General,
    /// 重大隐患
    Major,
}

impl Grade {
    /// One word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::General => "general",
            Self::Major => "major",
        }
    }
}

/// One step of one case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Step {
    /// Somebody, or an alarm, found it.
    Find {
        /// What.
        title: String,
        /// The alarm that showed it; empty: a person did.
        #[serde(default)]
        alarm: String,
        /// Its occurrence.
        #[serde(default)]
        occurrence: u64,
    },
    /// It is a danger.
    Confirm {
        /// In words.
        #[serde(default)]
        text: String,
    },
    /// It is none.
    NotADanger {
        /// Why not.
        why: String,
    },
    /// How grave.
    Grade {
        /// General or major.
        grade: Grade,
    },
    /// Somebody is to put it right.
    Dispatch {
        /// Who.
        person: String,
        /// Until when, ms since 1970.
        deadline: i64,
        /// What is to be done.
        #[serde(default)]
        measures: String,
    },
    /// What was done.
    Feedback {
        /// In words.
        text: String,
        /// A file or a text.
        #[serde(default)]
        evidence: String,
    },
    /// It was looked at and is right.
    Accept {
        /// In words.
        #[serde(default)]
        text: String,
    },
    /// It was looked at and is not right.
    Return {
        /// What is missing.
        why: String,
    },
    /// More time.
    Extend {
        /// Until when, ms since 1970.
        deadline: i64,
        /// Why.
        why: String,
    },
    /// The end.
    Close {
        /// What caused it.
        cause: String,
        /// A file or a text.
        evidence: String,
    },
}

impl Step {
    /// One word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Find { .. } => "find",
            Self::Confirm { .. } => "confirm",
            Self::NotADanger { .. } => "not_a_danger",
            Self::Grade { .. } => "grade",
            Self::Dispatch { .. } => "dispatch",
            Self::Feedback { .. } => "feedback",
            Self::Accept { .. } => "accept",
            Self::Return { .. } => "return",
            Self::Extend { .. } => "extend",
            Self::Close { .. } => "close",
        }
    }

    /// A text that must not be empty, and is: the name of its field.
    #[must_use]
    fn missing(&self) -> Option<&'static str> {
        let empty = |text: &String| text.trim().is_empty();
        match self {
            Self::Find { title, .. } if empty(title) => Some("title"),
            Self::NotADanger { why } | Self::Return { why } | Self::Extend { why, .. }
                if empty(why) =>
            {
                Some("why")
            }
            Self::Dispatch { person, .. } if empty(person) => Some("person"),
            Self::Feedback { text, .. } if empty(text) => Some("text"),
            Self::Close { cause, .. } if empty(cause) => Some("cause"),
            Self::Close { evidence, .. } if empty(evidence) => Some("evidence"),
            Self::Find { .. }
            | Self::Confirm { .. }
            | Self::NotADanger { .. }
            | Self::Grade { .. }
            | Self::Dispatch { .. }
            | Self::Feedback { .. }
            | Self::Accept { .. }
            | Self::Return { .. }
            | Self::Extend { .. }
            | Self::Close { .. } => None,
        }
    }
}

/// The words of the steps that a state allows.
#[must_use]
pub fn allowed(state: State) -> &'static [&'static str] {
    match state {
        State::Found => &["confirm", "not_a_danger"],
        State::Confirmed => &["grade", "not_a_danger"],
        State::Graded => &["grade", "dispatch"],
        State::Dispatched | State::Returned => &["feedback", "extend", "dispatch"],
        State::Feedback => &["accept", "return"],
        State::Accepted => &["close"],
        State::NotADanger | State::Closed => &[],
    }
}

/// Where a step leads; none where the state does not allow it.
#[must_use]
pub fn next(state: State, step: &Step) -> Option<State> {
    if !allowed(state).contains(&step.word()) {
        return None;
    }
    match step {
        Step::Find { .. } => None,
        Step::Confirm { .. } => Some(State::Confirmed),
        Step::NotADanger { .. } => Some(State::NotADanger),
        Step::Grade { .. } => Some(State::Graded),
        Step::Dispatch { .. } => Some(State::Dispatched),
        Step::Feedback { .. } => Some(State::Feedback),
        Step::Accept { .. } => Some(State::Accepted),
        Step::Return { .. } => Some(State::Returned),
        // More time changes nothing else.
        Step::Extend { .. } => Some(state),
        Step::Close { .. } => Some(State::Closed),
    }
}

/// One row of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The case.
    pub case: String,
    /// Which step of it, from 1.
    pub number: u64,
    /// What.
    #[serde(flatten)]
    pub step: Step,
    /// Who.
    pub by: String,
    /// Their request.
    pub request: String,
}

impl Row {
    /// The id of the journal row: two persons cannot both take the same step of a case.
    #[must_use]
    pub fn id(&self) -> String {
        format!("closure/{}/{}", self.case, self.number)
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
