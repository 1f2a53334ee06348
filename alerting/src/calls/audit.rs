//! The independent checker: every open alarm that wants a person has a valid next step.
//!
//! - It is told what is open by somebody else (the desk), not by the ladders.
//! - A finding says what is wrong; what is due anyway is not its business.

use std::collections::BTreeSet;

use fengsui_telemetry::TimeMs;

use super::change::URGENT;
use super::ladder::{Ladder, Next};
use super::machine::Machine;
use super::setup::{Policy, Setup};

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
    /// Its priority has no policy.
    NoPolicy,
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
            Self::NoPolicy => "no_policy",
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
            Self::NoPolicy => (
                "该优先级没有叫应策略，请人工叫应，并补充 [[policy]]",
                "no policy has its priority: call by hand, then add a [[policy]]",
            ),
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

/// Checks every open alarm that somebody should be called for: the urgent ones, and those whose
/// priority has a policy. Without any policy, calls are not configured and nothing is checked.
#[must_use]
pub fn audit(machine: &Machine, open: &[Open], now: TimeMs) -> Vec<Finding> {
    let policies = &machine.setup().policies;
    if policies.is_empty() {
        return Vec::new();
    }
    let called = |one: &&Open| one.priority <= URGENT || policies.contains_key(&one.priority);
    let mut findings = Vec::new();
    for one in open.iter().filter(called) {
        let fault = match state(machine, one, now) {
            State::Called => None,
            State::SpokenFor => uncalled_speaker(machine, one, open, now),
            State::Hole(fault) => Some(fault),
        };
        if let Some(fault) = fault {
            let (alarm, occurrence) = (one.alarm.clone(), one.occurrence);
            findings.push(Finding { alarm, occurrence, fault });
        }
    }
    findings
}

enum State {
    Called,
    SpokenFor,
    Hole(Fault),
}

fn state(machine: &Machine, open: &Open, now: TimeMs) -> State {
    if !machine.setup().policies.contains_key(&open.priority) {
        return State::Hole(Fault::NoPolicy);
    }
    let key = (open.alarm.clone(), open.occurrence);
    let (alarm, occurrence) = machine.ladder_of(&key);
    let Some(ladder) = machine.ladder(&alarm, occurrence) else {
        return State::Hole(Fault::NoLadder);
    };
    let hole = match machine.next(ladder) {
        None => Some(Fault::NoPolicy),
        Some(Next::Settled(_) | Next::Quiet) => Some(Fault::NoStep),
        Some(Next::SpokenFor) => return State::SpokenFor,
        Some(Next::Reached) => None,
        Some(Next::At(at, _)) => nobody(machine, ladder, now)
            .or_else(|| (now.since(at) > GRACE_MS).then_some(Fault::PastDeadline)),
    };
    hole.map_or(State::Called, State::Hole)
}

/// The second level of the same point speaks for the first, the finer fault of a sensor for the
/// coarser. Where it stands open and nobody is
/// called for it, nobody is called for either; one that is not open was answered by a person.
fn uncalled_speaker(machine: &Machine, of: &Open, open: &[Open], now: TimeMs) -> Option<Fault> {
    let speaks = |(first, second)| Some(format!("{}{second}", of.alarm.strip_suffix(first)?));
    let pairs = [
        ("/H", "/HH"),
        ("/L", "/LL"),
        ("/BADQ", "/RANGE"),
        ("/STALE", "/RANGE"),
        ("/STALE", "/BADQ"),
    ];
    let named: Vec<String> = pairs.into_iter().filter_map(speaks).collect();
    let mut speakers = open.iter().filter(|one| named.contains(&one.alarm)).peekable();
    speakers.peek()?;
    let uncalled = |one: &Open| matches!(state(machine, one, now), State::Hole(_));
    speakers.all(uncalled).then_some(Fault::NoLadder)
}

fn nobody(machine: &Machine, ladder: &Ladder, now: TimeMs) -> Option<Fault> {
    machine.policy(ladder)?;
    nobody_of(machine.setup(), ladder, now)
}

/// Why a setup calls nobody for a ladder, if it does.
pub(super) fn nobody_of(setup: &Setup, ladder: &Ladder, now: TimeMs) -> Option<Fault> {
    let Some(policy) = setup.policies.get(&ladder.priority) else { return Some(Fault::Nobody) };
    uncallable(setup, policy, &ladder.installations, now)
}

/// Why a policy calls nobody of some installations at a moment, if it does.
pub(super) fn uncallable(
    setup: &Setup,
    policy: &Policy,
    installations: &BTreeSet<String>,
    now: TimeMs,
) -> Option<Fault> {
    let chain = setup.chain(policy, installations, now);
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
