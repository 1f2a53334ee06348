//! What a plan must be before the engine takes it.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::model::{AlarmSpec, Condition, Plan, PointRef, Subject};

/// Alarms of one engine: thirty thousand points of one gateway with four alarms each, ten times.
pub const ALARMS_MAX: usize = 1_200_000;
/// Points and gateways are dense numbers; a number beyond this is a slip of the host.
pub const REFS_MAX: u32 = 1_000_000;

/// What is wrong with a plan.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PlanFault {
    /// Too many alarms.
    #[error("the plan has {0} alarms, at most {ALARMS_MAX} are allowed")]
    TooMany(usize),
    /// A number that is not dense.
    #[error("{key}: point or gateway number {number} is not below {REFS_MAX}")]
    Number {
        /// The alarm.
        key: String,
        /// The number.
        number: u32,
    },
    /// Two alarms of one key.
    #[error("{key}: the key comes twice; keys must be unique")]
    DuplicateKey {
        /// The key.
        key: String,
    },
    /// A limit that is no number.
    #[error("{key}: limit and deadband must be finite, the deadband not negative")]
    Limit {
        /// The alarm.
        key: String,
    },
    /// A time that is not possible.
    #[error("{key}: {what} must {must}")]
    Time {
        /// The alarm.
        key: String,
        /// Which time.
        what: &'static str,
        /// What it must be.
        must: &'static str,
    },
    /// A limit on a gateway, or a gateway alarm on a point.
    #[error("{key}: this condition does not fit its subject")]
    Subject {
        /// The alarm.
        key: String,
    },
    /// Alarms of one point under several time rules or gateways.
    #[error(
        "{key}: gateway and time rules must be those of {first}, which is about the same point"
    )]
    Differs {
        /// The alarm.
        key: String,
        /// The first alarm of that point.
        first: String,
    },
    /// A second STALE or OFFLINE of one subject.
    #[error("{key}: {first} watches the same silence already")]
    SecondSilence {
        /// The alarm.
        key: String,
        /// The first one.
        first: String,
    },
    /// Q8: the value would be stale before the delay ends.
    #[error("{key}: a delay is longer than {stale}; no delay fires on a stale value")]
    DelayBeyondStale {
        /// The alarm.
        key: String,
        /// The STALE alarm.
        stale: String,
    },
}

/// Why a snapshot cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RestoreFault {
    /// The plan itself.
    #[error("the plan has {} faults, the first: {}", .0.len(), .0.first().map_or(String::new(), ToString::to_string))]
    Plan(Vec<PlanFault>),
    /// Not a snapshot of this engine.
    #[error("these bytes are no snapshot of the alarm engine")]
    NotASnapshot,
    /// From another version.
    #[error(
        "the snapshot has format {found}, this program reads {known}; start without it and replay"
    )]
    Version {
        /// Its format.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// Damaged.
    #[error("the snapshot is damaged (checksum); start without it and replay")]
    Checksum,
    /// Cut short or wrong inside.
    #[error("the snapshot is damaged at byte {0}; start without it and replay")]
    Damaged(usize),
}

/// Every fault of a plan; empty when the engine may take it.
pub(crate) fn faults(plan: &Plan) -> Vec<PlanFault> {
    let mut faults = Vec::new();
    if plan.alarms.len() > ALARMS_MAX {
        return vec![PlanFault::TooMany(plan.alarms.len())];
    }
    let mut keys = BTreeMap::new();
    let mut silences: BTreeMap<Subject, &AlarmSpec> = BTreeMap::new();
    let mut points: BTreeMap<PointRef, &AlarmSpec> = BTreeMap::new();
    for spec in &plan.alarms {
        let key = spec.key.clone();
        if keys.insert(spec.key.as_str(), ()).is_some() {
            faults.push(PlanFault::DuplicateKey { key: key.clone() });
        }
        check_alone(spec, &mut faults);
        if let Subject::Point(point) = spec.subject {
            let first = points.entry(point).or_insert(spec);
            if first.times != spec.times || first.gateway != spec.gateway {
                faults.push(PlanFault::Differs { key: key.clone(), first: first.key.clone() });
            }
        }
        match (spec.condition, spec.subject) {
            (Condition::Stale { .. }, Subject::Point(_))
            | (Condition::GatewayOffline { .. }, Subject::Gateway(_)) => {
                let first = silences.entry(spec.subject).or_insert(spec);
                if first.key != spec.key {
                    faults.push(PlanFault::SecondSilence { key, first: first.key.clone() });
                }
            }
            (Condition::High { .. } | Condition::Low { .. }, _)
            | (Condition::Stale { .. }, Subject::Gateway(_))
            | (Condition::GatewayOffline { .. }, Subject::Point(_)) => {}
        }
    }
    for spec in &plan.alarms {
        if let Some(stale) = silences.get(&spec.subject)
            && let Condition::Stale { after_ms } = stale.condition
            && spec.on_delay_ms.max(spec.off_delay_ms) > after_ms
        {
            let (key, stale) = (spec.key.clone(), stale.key.clone());
            faults.push(PlanFault::DelayBeyondStale { key, stale });
        }
    }
    faults
}

fn check_alone(spec: &AlarmSpec, faults: &mut Vec<PlanFault>) {
    let key = || spec.key.clone();
    let mut number = |n: u32| {
        if n >= REFS_MAX {
            faults.push(PlanFault::Number { key: key(), number: n });
        }
    };
    number(spec.gateway.0);
    match spec.subject {
        Subject::Point(point) => number(point.0),
        Subject::Gateway(gateway) => number(gateway.0),
    }
    let mut time = |good: bool, what, must| {
        if !good {
            faults.push(PlanFault::Time { key: key(), what, must });
        }
    };
    let no_delay = spec.on_delay_ms == 0 && spec.off_delay_ms == 0;
    time(spec.on_delay_ms >= 0, "the on-delay", "not be negative");
    time(spec.off_delay_ms >= 0, "the off-delay", "not be negative");
    time(spec.lifecycle.realarm_ms >= 0, "the re-alarm time", "not be negative");
    time(spec.times.live_ms >= 0, "the live time", "not be negative");
    time(spec.times.hold_lag_ms >= 0, "the hold lag", "not be negative");
    time(spec.times.late_horizon_ms >= 0, "the late horizon", "not be negative");
    time(spec.times.max_future_ms >= 0, "the largest future", "not be negative");
    let fits = match (spec.condition, spec.subject) {
        (Condition::High { limit, deadband, .. }, Subject::Point(_))
        | (Condition::Low { limit, deadband, .. }, Subject::Point(_)) => {
            if !(limit.is_finite() && deadband.is_finite() && deadband >= 0.0) {
                faults.push(PlanFault::Limit { key: key() });
            }
            true
        }
        (Condition::Stale { after_ms }, Subject::Point(_)) => {
            time(after_ms > 0, "STALE", "be above 0");
            time(no_delay, "the delays of STALE", "be 0: lengthen STALE instead");
            true
        }
        (Condition::GatewayOffline { after_ms }, Subject::Gateway(gateway)) => {
            time(after_ms > 0, "OFFLINE", "be above 0");
            time(no_delay, "the delays of OFFLINE", "be 0: lengthen OFFLINE instead");
            gateway == spec.gateway
        }
        (
            Condition::High { .. } | Condition::Low { .. } | Condition::Stale { .. },
            Subject::Gateway(_),
        )
        | (Condition::GatewayOffline { .. }, Subject::Point(_)) => false,
    };
    if !fits {
        faults.push(PlanFault::Subject { key: key() });
    }
}
