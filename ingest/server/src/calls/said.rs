//! Why a request about calls, cases or rosters had no effect: what is wrong, in a kind that the API
//! words and a reader of the audit can count.

use fengsui_alerting::{calls, closure};

use crate::config::ConfigFault;

/// Why a request had no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// It cannot be done.
    Refused(Refused, String),
    /// Another roster cannot be used: every fault of it.
    Roster(Vec<String>),
    /// The journal did not take it: try again.
    NotRecorded(String),
}

/// What is wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// No such ladder.
    NoCall,
    /// No such attempt of it.
    NoAttempt,
    /// A receipt for nothing that was sent.
    NoReference,
    /// Nobody of that name in the roster.
    NoPerson,
    /// No number for that channel, or no such channel.
    Unreachable,
    /// No such alarm, or not so often.
    NoAlarm,
    /// No such hidden danger.
    NoCase,
    /// The number is taken.
    CaseExists,
    /// A field that must be given, or cannot be used.
    Field(&'static str),
    /// Not in this state.
    NotAllowed,
    /// Somebody else took the step first.
    Overtaken,
    /// The id of the request belongs to another deed.
    RequestUsed,
    /// The centre's file names no roster.
    NoRoster,
}

impl Said {
    pub(super) fn no_reference(reference: &str) -> Self {
        Self::Refused(Refused::NoReference, reference.to_owned())
    }

    pub(super) fn faults(faults: Vec<ConfigFault>) -> Self {
        Self::Roster(faults.into_iter().map(|fault| fault.0).collect())
    }
}

impl From<calls::Refusal> for Said {
    fn from(refusal: calls::Refusal) -> Self {
        let kind = match refusal {
            calls::Refusal::NoLadder { .. } => Refused::NoCall,
            calls::Refusal::NoAttempt { .. } => Refused::NoAttempt,
            calls::Refusal::NoPerson(_) => Refused::NoPerson,
            calls::Refusal::Unreachable { .. } => Refused::Unreachable,
            calls::Refusal::RequestUsed => Refused::RequestUsed,
        };
        Self::Refused(kind, refusal.to_string())
    }
}

impl From<closure::Refusal> for Said {
    fn from(refusal: closure::Refusal) -> Self {
        let kind = match refusal {
            closure::Refusal::NoCase(_) => Refused::NoCase,
            closure::Refusal::Taken(_) => Refused::CaseExists,
            closure::Refusal::BadName => Refused::Field("case"),
            closure::Refusal::NotAllowed { .. } => Refused::NotAllowed,
            closure::Refusal::Missing(field) => Refused::Field(field),
            closure::Refusal::Past => Refused::Field("deadline"),
            closure::Refusal::RequestUsed => Refused::RequestUsed,
        };
        Self::Refused(kind, refusal.to_string())
    }
}
