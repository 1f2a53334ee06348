//! The independent checker: every open alarm that wants a person has a valid next step.
//!
//! - It is told what is open by somebody else (the desk), not by the ladders.
//! - A finding says what is wrong; what is due anyway is not its business.

use fengsui_telemetry::TimeMs;

use super::ladder::{Ladder, Next};
use super::machine::Machine;
use super::setup::Setup;

/// A step that is this late was missed.
const GRACE_MS: i64 = 15_000;

/// An open alarm, by the word of the desk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// Key.
    pub alarm: String,
    /// Occurrence.
    pub occurrence: u64,
    /// 1..=4.
    pub priority: u8,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// Nobody is to be called for it.
    NoLadder,
    /// Its ladder has ended although the alarm stands open.
    NoStep,
    /// The roster has nobody now.
    Nobody,
    /// Nobody of the roster can be reached over any channel of the policy.
    Unreachable,
    /// The next step should have been made.
    PastDeadline,
}

impl Fault {
    /// One word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::NoLadder => "no_ladder",
            Self::NoStep => "no_step",
            Self::Nobody => "nobody",
            Self::Unreachable => "unreachable",
            Self::PastDeadline => "past_deadline",
        }
    }

    /// In Chinese and English, with the mend.
    #[must_use]
    pub fn text(self) -> (&'static str, &'static str) {
        match self {
            Self::NoLadder => ("没有叫应记录，请人工叫应", "no ladder calls for it: call by hand"),
            Self::NoStep => (
                "报警未确认，但叫应已停止，请人工叫应",
                "the alarm is open and its ladder has ended: call by hand",
            ),
            Self::Nobody => (
                "名册此刻无人，请补充值班表",
                "the roster has nobody now: complete the duty roster",
            ),
            Self::Unreachable => (
                "名册中的人没有可用的号码或渠道",
                "nobody of the roster has a number for any channel",
            ),
            Self::PastDeadline => {
                ("下一步已过期未执行，请人工叫应", "the next step is overdue: call by hand")
            }
        }
    }
}

/// One hole.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Finding {
    /// Key.
    pub alarm: String,
    /// Occurrence.
    pub occurrence: u64,
    /// What.
    pub fault: Fault,
}

/// Checks every open alarm whose priority has a policy.
#[must_use]
pub fn audit(machine: &Machine, open: &[Open], now: TimeMs) -> Vec<Finding> {
    let called = |open: &&Open| machine.setup().policies.contains_key(&open.priority);
    let mut findings = Vec::new();
    for open in open.iter().filter(called) {
        if let Some(fault) = fault(machine, open, now) {
            let (alarm, occurrence) = (open.alarm.clone(), open.occurrence);
            findings.push(Finding { alarm, occurrence, fault });
        }
    }
    findings
}

fn fault(machine: &Machine, open: &Open, now: TimeMs) -> Option<Fault> {
    let key = (open.alarm.clone(), open.occurrence);
    let (alarm, occurrence) = machine.ladder_of(&key);
    let Some(ladder) = machine.ladder(&alarm, occurrence) else { return Some(Fault::NoLadder) };
    match machine.next(ladder)? {
        Next::Settled(_) | Next::Quiet => Some(Fault::NoStep),
        Next::Reached | Next::SpokenFor => None,
        Next::At(at, _) => nobody(machine, ladder, now)
            .or_else(|| (now.since(at) > GRACE_MS).then_some(Fault::PastDeadline)),
    }
}

fn nobody(machine: &Machine, ladder: &Ladder, now: TimeMs) -> Option<Fault> {
    machine.policy(ladder)?;
    nobody_of(machine.setup(), ladder, now)
}

/// Why a setup calls nobody for a ladder, if it does.
pub(super) fn nobody_of(setup: &Setup, ladder: &Ladder, now: TimeMs) -> Option<Fault> {
    let Some(policy) = setup.policies.get(&ladder.priority) else { return Some(Fault::Nobody) };
    let chain = setup.chain(policy, &ladder.installations, now);
    if chain.is_empty() {
        return Some(Fault::Nobody);
    }
    let reaches = |person: &str| {
        let by = |channels: &[String]| !setup.reach(person, channels).is_empty();
        by(&policy.message) || by(&policy.voice)
    };
    let any = chain.iter().any(|(_, person)| reaches(person));
    (!any).then_some(Fault::Unreachable)
}
