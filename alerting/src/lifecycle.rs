//! The life cycle A to F: one table of every phase and every stimulus.
//!
//! - Works in processing time and is never rewound.
//! - Overlays (G, H, I) are not in here: while one lies over the alarm, the phase rests and
//!   [`leaving`] says what comes out from under it.

use crate::model::{Letter, Lifecycle};

/// The state without overlays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// A
    Normal,
    /// B
    Unacknowledged,
    /// C
    Acknowledged,
    /// D
    Returned,
    /// E
    LatchedUnacknowledged,
    /// F
    LatchedAcknowledged,
}

impl Phase {
    pub(crate) fn letter(self) -> Letter {
        match self {
            Self::Normal => Letter::A,
            Self::Unacknowledged => Letter::B,
            Self::Acknowledged => Letter::C,
            Self::Returned => Letter::D,
            Self::LatchedUnacknowledged => Letter::E,
            Self::LatchedAcknowledged => Letter::F,
        }
    }

    /// True where a horn may sound and a person still owes an answer.
    pub(crate) fn wants_answer(self) -> bool {
        match self {
            Self::Unacknowledged | Self::Returned | Self::LatchedUnacknowledged => true,
            Self::Normal | Self::Acknowledged | Self::LatchedAcknowledged => false,
        }
    }
}

/// What can happen to a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stimulus {
    /// The condition came on (also by late data).
    On(Answer),
    /// The condition went off.
    Off(Others),
    /// Late data showed an occurrence that is over (R8a).
    LateClosed,
    /// Late data showed that the newest occurrence never ended (Q3).
    Reopened,
    /// The occurrence that an acknowledgement must name was named.
    Acknowledge,
    /// Reset.
    Reset,
    /// The re-alarm timer.
    ReAlarm,
}

/// Whether an occurrence asks for an acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Needed,
    NotNeeded,
}

/// Whether other occurrences of the same alarm, late ones, still ask for one (Q6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Others {
    Answered,
    Waiting,
}

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// The phase from now on; may be the same.
    To(Phase),
    /// The state does not allow it.
    Refused,
}

/// The table.
pub(crate) fn next(phase: Phase, stimulus: Stimulus, life: Lifecycle) -> Turn {
    use Phase::{
        Acknowledged as C, LatchedAcknowledged as F, LatchedUnacknowledged as E, Normal as A,
        Returned as D, Unacknowledged as B,
    };
    use Stimulus::{Acknowledge, LateClosed, Off, On, ReAlarm, Reopened, Reset};
    let returned = if life.latch { E } else { D };
    let to = match (phase, stimulus) {
        // T1, T2, T10, T13: a second excursion is news, whatever became of the first.
        (A | D | E | F, On(Answer::Needed)) => B,
        (A | D | E | F, On(Answer::NotNeeded)) => C,
        (B, On(Answer::Needed | Answer::NotNeeded)) => B,
        (C, On(Answer::Needed | Answer::NotNeeded)) => C,

        // T5, T6: an answer is still owed.
        (B, Off(Others::Answered | Others::Waiting)) => returned,
        // T7, T8; and Q6 where a late occurrence waits.
        (C, Off(Others::Answered)) if life.latch => F,
        (C, Off(Others::Answered)) => A,
        (C, Off(Others::Waiting)) => returned,
        (A, Off(Others::Answered | Others::Waiting)) => A,
        (D, Off(Others::Answered | Others::Waiting)) => D,
        (E, Off(Others::Answered | Others::Waiting)) => E,
        (F, Off(Others::Answered | Others::Waiting)) => F,

        // R8a, Q6.
        (A, LateClosed) => returned,
        (B, LateClosed) => B,
        (C, LateClosed) => C,
        (D, LateClosed) => D,
        (E | F, LateClosed) => E,

        // Q3: an earlier acknowledgement is void.
        (A | B | C | D | E | F, Reopened) => B,

        // T3, T9, T11, T12.
        (B, Acknowledge) => C,
        (D, Acknowledge) => A,
        (E, Acknowledge) if life.ack_resets_latch => A,
        (E, Acknowledge) => F,
        (A | C | F, Acknowledge) => return Turn::Refused,

        // T14, T15, Q19.
        (F, Reset) => A,
        (A | B | C | D | E, Reset) => return Turn::Refused,

        // T16.
        (B | C, ReAlarm) => B,
        (A, ReAlarm) => A,
        (D, ReAlarm) => D,
        (E, ReAlarm) => E,
        (F, ReAlarm) => F,
    };
    Turn::To(to)
}

/// How the last overlay went away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// By time, by return, or by the rule that laid it there.
    ByRule,
    /// A person ended a shelf.
    ByPerson,
}

/// What lay under an overlay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Under {
    /// The phase when the first overlay came.
    pub(crate) entered: Phase,
    /// The condition now.
    pub(crate) active: bool,
    /// An occurrence ended under the overlay.
    pub(crate) returned: bool,
    /// Late occurrences outside the overlay wait for an answer.
    pub(crate) others: Others,
}

/// The phase that comes out from under an overlay (T19–T23, Q1, Q2).
pub(crate) fn leaving(under: Under, way: Way, life: Lifecycle) -> Phase {
    use Phase::{
        Acknowledged as C, LatchedAcknowledged as F, LatchedUnacknowledged as E, Normal as A,
        Returned as D, Unacknowledged as B,
    };
    if under.active {
        return match way {
            Way::ByRule => B,
            Way::ByPerson => C,
        };
    }
    let waiting = under.others == Others::Waiting;
    // A latch that returned under an overlay is never let go by the overlay (Q1).
    let latched = match way {
        Way::ByRule => E,
        Way::ByPerson => F,
    };
    match under.entered {
        A | B | C if waiting => {
            if life.latch {
                E
            } else {
                D
            }
        }
        A if life.latch && under.returned => latched,
        B | C if life.latch => latched,
        A | B | C => A,
        D => D,
        E => E,
        F if waiting => E,
        F if under.returned => latched,
        F => F,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PHASES: [Phase; 6] = [
        Phase::Normal,
        Phase::Unacknowledged,
        Phase::Acknowledged,
        Phase::Returned,
        Phase::LatchedUnacknowledged,
        Phase::LatchedAcknowledged,
    ];

    #[test]
    fn nothing_but_a_person_leads_out_of_an_unanswered_alarm() {
        for latch in [false, true] {
            let life = Lifecycle { latch, ..Lifecycle::default() };
            for phase in PHASES.into_iter().filter(|p| p.wants_answer()) {
                for stimulus in [
                    Stimulus::On(Answer::Needed),
                    Stimulus::Off(Others::Answered),
                    Stimulus::Off(Others::Waiting),
                    Stimulus::LateClosed,
                    Stimulus::Reopened,
                    Stimulus::ReAlarm,
                ] {
                    match next(phase, stimulus, life) {
                        Turn::To(to) => assert!(to.wants_answer(), "{phase:?} {stimulus:?}"),
                        Turn::Refused => panic!("{phase:?} {stimulus:?} is no command"),
                    }
                }
            }
        }
    }

    #[test]
    fn a_latch_never_goes_by_itself() {
        let life = Lifecycle { latch: true, ..Lifecycle::default() };
        for entered in [Phase::Unacknowledged, Phase::Acknowledged] {
            for way in [Way::ByRule, Way::ByPerson] {
                let under =
                    Under { entered, active: false, returned: true, others: Others::Answered };
                assert_ne!(leaving(under, way, life), Phase::Normal);
            }
        }
    }
}
