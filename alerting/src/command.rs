//! What people ask of one alarm.
//!
//! - A command names what it is about; it never means "all".
//! - The engine checks what a state and the rules of shelving allow; who may do what at all is
//!   the host's question.

use crate::model::AlarmId;

/// What a person can do to one alarm.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// Which alarm.
    pub alarm: AlarmId,
    /// What.
    pub verb: Verb,
    /// Who, as the journal names people.
    pub by: String,
    /// Free text. An acknowledgement of P1, P2 or anything late needs it, and so does a shelf.
    pub comment: String,
    /// Client-made id: the same command twice has one effect.
    pub request: String,
}

/// The verbs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verb {
    /// "I have seen occurrence n."
    Acknowledge {
        /// The occurrence on the person's screen.
        occurrence: u64,
        /// For HH and LL: the occurrence of H or L of the same side on the same screen. It is
        /// acknowledged as well if it is still the current one (Q10). None covers nothing else.
        first_level: Option<u64>,
    },
    /// Ends a latch whose condition is normal.
    Reset,
    /// Quiet for a while, by a person.
    Shelve {
        /// How long, ms.
        for_ms: i64,
        /// Ends at the first return to normal as well.
        one_shot: bool,
        /// What allows it.
        permit: Permit,
    },
    /// Ends a shelf early.
    Unshelve,
    /// Suppression by design begins.
    Suppress,
    /// Suppression by design ends.
    Unsuppress,
    /// Maintenance begins.
    OutOfService,
    /// Maintenance ends.
    InService,
}

impl Verb {
    /// Acknowledges one occurrence and nothing else.
    #[must_use]
    pub fn acknowledge(occurrence: u64) -> Self {
        Self::Acknowledge { occurrence, first_level: None }
    }
}

/// What allows a shelf (W16).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Permit {
    /// Reason code of the site: never empty. The free text is the command's comment.
    pub reason: String,
    /// The operator position that holds the shelf: at most [`crate::SHELVES_MAX`] each.
    pub position: String,
    /// The second person, whom P1 needs.
    pub second_person: Option<String>,
    /// Number of the written permit, which a statutory alarm needs.
    pub permit_number: Option<String>,
}
