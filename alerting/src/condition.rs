//! The condition of one limit alarm: a pure function over samples in order of event time.
//!
//! - On at the limit, off beyond limit and deadband; between the two the last side is kept.
//! - The deadband acts first, the delays on its output. Expiry wins a tie with a sample (R3).
//! - A bad reading freezes a running delay; it neither raises nor clears (R4).
//! - Without a running delay the state is the one bit `active`: that is what makes it possible
//!   to start a recomputation anywhere but inside a running delay.

use fengsui_telemetry::Revision;

use crate::derived::Threshold;
use crate::held::{Sample, Trust};
use crate::model::Condition;
use crate::mutant::{Mutant, planted};
use crate::specs::SpecRef;

/// No deadline, no freeze.
pub(crate) const NEVER: i64 = i64::MAX;

/// A limit, ready to compare: a low limit is mirrored, so that "at or above" always means alarm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rule {
    pub(crate) mirrored: bool,
    /// At or above: alarm.
    pub(crate) set: f64,
    /// Below: normal.
    pub(crate) clear: f64,
    pub(crate) on_delay: i64,
    pub(crate) off_delay: i64,
    pub(crate) revision: Revision,
}

impl Rule {
    /// The rule of a limit or derived alarm; none for alarms about silence, clocks, gaps.
    pub(crate) fn of(spec: SpecRef<'_>) -> Option<Self> {
        let (mirrored, limit, deadband) = match spec.condition {
            Condition::High { limit, deadband, .. } => (false, *limit, *deadband),
            Condition::Low { limit, deadband, .. } => (true, *limit, *deadband),
            Condition::Derived(derived) => {
                let Threshold { mirrored, limit, deadband } = derived.threshold();
                (mirrored, limit, deadband)
            }
            Condition::Stale { .. }
            | Condition::GatewayOffline { .. }
            | Condition::Clock { .. }
            | Condition::Unset
            | Condition::Unjudged => return None,
        };
        let (set, clear) = if mirrored {
            (-limit, -apart(limit, deadband))
        } else {
            (limit, apart(limit, -deadband))
        };
        let (on_delay, off_delay) = (spec.on_delay_ms, spec.off_delay_ms);
        Some(Self { mirrored, set, clear, on_delay, off_delay, revision: spec.revision })
    }

    /// Same numbers, whatever the revision that holds them.
    pub(crate) fn judges_like(&self, other: &Self) -> bool {
        Self { revision: other.revision, ..*self } == *other
    }

    /// False for an estimated time that would not raise: it is no evidence of a return (Q7).
    pub(crate) fn counts(&self, sample: Sample) -> bool {
        sample.trust() != Trust::RaisesOnly || self.side(sample.raw_value()) == Side::Alarm
    }

    fn side(&self, value: f64) -> Side {
        let x = if self.mirrored { -value } else { value };
        if x >= self.set {
            Side::Alarm
        } else if x < self.clear {
            Side::Normal
        } else {
            Side::Between
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Alarm,
    Normal,
    Between,
}

/// `limit + offset` as a person computes it: 1.1 - 0.2 is 0.9 and not 0.9000000000000001, so that
/// a value equal to the edge of the band lies inside it.
fn apart(limit: f64, offset: f64) -> f64 {
    let binary = limit + offset;
    if offset == 0.0 {
        return binary;
    }
    let decimal = format!("{binary:.13e}").parse().unwrap_or(binary);
    let rounding = 4.0 * f64::EPSILON * limit.abs().max(offset.abs());
    if (decimal - binary).abs() <= rounding { decimal } else { binary }
}

/// Where a condition stands between two samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Judgement {
    pub(crate) active: bool,
    /// End of a running delay, or [`NEVER`].
    pub(crate) deadline: i64,
    /// First bad sample inside a running delay, or [`NEVER`].
    pub(crate) frozen: i64,
    /// The sample that started the running delay, or [`NEVER`].
    pub(crate) since: i64,
}

/// What one sample changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Step {
    /// A delay ended at this time, before the sample was looked at.
    pub(crate) fired: Option<i64>,
    /// The sample itself turned the condition, without a delay.
    pub(crate) turned: Option<i64>,
    /// A delay that ran over this stretch has ended, by firing or by being called off.
    pub(crate) ran: Option<(i64, i64)>,
}

impl Judgement {
    /// No delay running.
    pub(crate) fn settled(active: bool) -> Self {
        Self { active, deadline: NEVER, frozen: NEVER, since: NEVER }
    }

    /// True when this reading cannot change anything: the case of nearly every sample.
    #[inline]
    pub(crate) fn unmoved_by(&self, rule: &Rule, value: Option<f64>) -> bool {
        if self.deadline != NEVER {
            return false;
        }
        let Some(value) = value else { return true };
        let x = if rule.mirrored { -value } else { value };
        if self.active { x >= rule.clear } else { x < rule.set }
    }

    /// Takes one sample, later than every one before.
    pub(crate) fn step(&mut self, rule: &Rule, te: i64, value: Option<f64>) -> Step {
        let mut step = Step::default();
        let tie_lost = self.deadline == te && planted(Mutant::SampleWinsTie);
        if !planted(Mutant::SampleFiresNoDelay)
            && !tie_lost
            && let Some((since, deadline)) = self.expire(te)
        {
            step.fired = Some(deadline);
            step.ran = Some((since, deadline));
        }
        let Some(value) = value else {
            let freezes = !planted(Mutant::BadDoesNotFreeze);
            if self.deadline != NEVER && self.frozen == NEVER && freezes {
                self.frozen = te;
            }
            return step;
        };
        if self.frozen != NEVER {
            self.deadline = self.deadline.saturating_add(te.saturating_sub(self.frozen));
            self.frozen = NEVER;
        }
        let alarm = match rule.side(value) {
            Side::Between => return step,
            Side::Alarm => true,
            Side::Normal => false,
        };
        if alarm == self.active {
            if self.deadline != NEVER {
                step.ran = Some((self.since, te));
                *self = Self::settled(self.active);
            }
        } else if self.deadline == NEVER {
            let delay = if alarm { rule.on_delay } else { rule.off_delay };
            if delay == 0 {
                self.active = alarm;
                step.turned = Some(te);
            } else {
                self.deadline = te.saturating_add(delay);
                self.since = te;
            }
        }
        step
    }

    /// Ends a running delay whose time has come by `until`: start and end of the delay.
    pub(crate) fn expire(&mut self, until: i64) -> Option<(i64, i64)> {
        if self.deadline > until || self.deadline == NEVER || self.frozen != NEVER {
            return None;
        }
        let ran = (self.since, self.deadline);
        *self = Self::settled(!self.active);
        Some(ran)
    }

    /// The deadline that a tick may fire.
    pub(crate) fn due(&self) -> Option<i64> {
        (self.deadline != NEVER && self.frozen == NEVER).then_some(self.deadline)
    }
}

/// One stretch in which the condition held.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Found {
    pub(crate) on: i64,
    pub(crate) off: Option<i64>,
    /// The value that decided the beginning; none when it began before the recomputation.
    pub(crate) value_on: Option<f64>,
    pub(crate) value_off: Option<f64>,
}

/// What a recomputation found.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Folded {
    pub(crate) found: Vec<Found>,
    pub(crate) end: Judgement,
    /// Stretches in which a delay ran, ended ones only.
    pub(crate) ran: Vec<(i64, i64)>,
}

/// The rules of an alarm over time: each holds from its time on, the first from ever.
pub(crate) type Rules<'a> = &'a [(i64, Rule)];

/// Recomputes from `start` (the time of an open occurrence's beginning if one is open there)
/// over samples in order; at the end a delay may fire up to `trusted`.
pub(crate) fn fold(
    rules: Rules<'_>,
    open_since: Option<i64>,
    samples: &[Sample],
    trusted: i64,
) -> Folded {
    let mut state = Judgement::settled(open_since.is_some());
    let mut found = Vec::new();
    let mut ran = Vec::new();
    if let Some(on) = open_since {
        found.push(Found { on, off: None, value_on: None, value_off: None });
    }
    let mut turn = |active: bool, te: i64, value: Option<f64>| {
        if active {
            found.push(Found { on: te, off: None, value_on: value, value_off: None });
        } else if let Some(last) = found.last_mut() {
            last.off = Some(te);
            last.value_off = value;
        }
    };
    let mut held = None;
    let mut at = 0;
    for sample in samples {
        let (te, value) = (sample.te(), sample.value());
        while rules.get(at + 1).is_some_and(|(from, _)| *from <= te) {
            at += 1;
        }
        let Some((_, rule)) = rules.get(at) else { break };
        if !rule.counts(*sample) {
            continue;
        }
        if state.unmoved_by(rule, value) {
            held = value.or(held);
            continue;
        }
        let before = state.active;
        let step = state.step(rule, te, value);
        if let Some(fired) = step.fired {
            turn(!before, fired, held);
        }
        held = value.or(held);
        if let Some(turned) = step.turned {
            turn(state.active, turned, held);
        }
        ran.extend(step.ran);
    }
    if let Some((since, deadline)) = state.expire(trusted) {
        turn(state.active, deadline, held);
        ran.push((since, deadline));
    }
    Folded { found, end: state, ran }
}
