//! What a plan must be before the engine takes it.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use crate::model::{AlarmSpec, Condition, Plan, PointRef, Subject};
use crate::mutant::{Mutant, planted};

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
    /// A derived condition that cannot be computed.
    #[error("{key}: {what}")]
    Derived {
        /// The alarm.
        key: String,
        /// What it needs.
        what: &'static str,
    },
    /// An alarm that looks at one that is not there.
    #[error("{key}: there is no alarm {named}; mend the name or add the alarm")]
    UnknownAlarm {
        /// The alarm.
        key: String,
        /// What it names.
        named: String,
    },
    /// Alarms that look at each other.
    #[error("{key}: looks at itself by way of {by}; break the circle")]
    Circle {
        /// The alarm.
        key: String,
        /// The way back to it.
        by: String,
    },
    /// Q8: the value would be stale before the delay ends.
    #[error(
        "{key}: a delay is longer than {stale}, and no delay fires on a stale value; shorten the \
         delay or lengthen STALE"
    )]
    DelayBeyondStale {
        /// The alarm.
        key: String,
        /// The STALE alarm.
        stale: String,
    },
}

impl PlanFault {
    /// The key of the alarm that is wrong; none where it is the plan as a whole.
    #[must_use]
    pub fn alarm(&self) -> Option<&str> {
        match self {
            Self::TooMany(_) => None,
            Self::Number { key, .. }
            | Self::DuplicateKey { key }
            | Self::Limit { key }
            | Self::Time { key, .. }
            | Self::Subject { key }
            | Self::Differs { key, .. }
            | Self::SecondSilence { key, .. }
            | Self::Derived { key, .. }
            | Self::UnknownAlarm { key, .. }
            | Self::Circle { key, .. }
            | Self::DelayBeyondStale { key, .. } => Some(key),
        }
    }

    /// What is wrong with it, in Chinese, with the mend.
    #[must_use]
    pub fn zh(&self) -> String {
        match self {
            Self::TooMany(count) => format!("共 {count} 个报警，最多 {ALARMS_MAX} 个；请拆分"),
            Self::Number { number, .. } => format!("点或网关的序号 {number} 过大；请减少测点"),
            Self::DuplicateKey { .. } => "同一报警出现两次；请删去其一".to_owned(),
            Self::Limit { .. } => "限值和回差须为有限数，回差不能为负；请改正".to_owned(),
            Self::Time { what, must, .. } => format!("时间不合要求（{what} must {must}）；请改正"),
            Self::Subject { .. } => "这种报警不适用于该对象；请改类型或位号".to_owned(),
            Self::Differs { first, .. } => {
                format!("与同一测点的 {first} 网关或时间规则不同；请统一")
            }
            Self::SecondSilence { first, .. } => format!("{first} 已在监视同一静默；请删去其一"),
            Self::Derived { what, .. } => format!("限值或 detail 不合要求（{what}）；请改正"),
            Self::UnknownAlarm { named, .. } => {
                format!("没有报警 {named}；请改正名称，或添加该报警")
            }
            Self::Circle { by, .. } => format!("绕回到自身：{by}；请断开循环"),
            Self::DelayBeyondStale { stale, .. } => {
                format!("延时比 {stale} 还长，延时未到数据已陈旧；请缩短延时或加长 STALE")
            }
        }
    }
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

impl Plan {
    /// Everything for which [`crate::Engine::new`] would refuse it; nothing is laid out.
    #[must_use]
    pub fn faults(&self) -> Vec<PlanFault> {
        faults(self)
    }
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
        let judged = spec.condition != Condition::Unjudged;
        if let Subject::Point(point) = spec.subject
            && judged
        {
            let first = points.entry(point).or_insert(spec);
            if first.times != spec.times || first.gateway != spec.gateway {
                faults.push(PlanFault::Differs { key: key.clone(), first: first.key.clone() });
            }
        }
        match (&spec.condition, spec.subject) {
            (Condition::Stale { .. }, Subject::Point(_))
            | (Condition::GatewayOffline { .. }, Subject::Gateway(_)) => {
                let first = silences.entry(spec.subject).or_insert(spec);
                if first.key != spec.key {
                    faults.push(PlanFault::SecondSilence { key, first: first.key.clone() });
                }
            }
            (
                Condition::High { .. }
                | Condition::Low { .. }
                | Condition::Clock { .. }
                | Condition::Unset
                | Condition::Derived(_)
                | Condition::Unjudged,
                _,
            )
            | (Condition::Stale { .. }, Subject::Gateway(_))
            | (Condition::GatewayOffline { .. }, Subject::Point(_)) => {}
        }
    }
    check_looks(plan, &mut faults);
    for spec in &plan.alarms {
        if let Some(stale) = silences.get(&spec.subject)
            && let Condition::Stale { after_ms } = stale.condition
            && spec.on_delay_ms.max(spec.off_delay_ms) > after_ms
            && !planted(Mutant::DelayBeyondStale)
        {
            let (key, stale) = (spec.key.clone(), stale.key.clone());
            faults.push(PlanFault::DelayBeyondStale { key, stale });
        }
    }
    faults
}

/// Whom an alarm looks at: its expression's alarms, and the one that suppresses it.
pub(crate) fn looks_at(spec: &AlarmSpec) -> Vec<&str> {
    let mut named: Vec<&str> = spec.suppressed_by.as_deref().into_iter().collect();
    if let Condition::Derived(derived) = &spec.condition {
        named.extend(derived.alarms().iter().map(String::as_str));
    }
    named
}

/// Every alarm that is looked at is there, and none looks at itself by way of others.
fn check_looks(plan: &Plan, faults: &mut Vec<PlanFault>) {
    let lookers: BTreeMap<&str, Vec<&str>> = plan
        .alarms
        .iter()
        .filter(|spec| spec.looks_at_alarms())
        .map(|spec| (spec.key.as_str(), looks_at(spec)))
        .collect();
    if lookers.is_empty() {
        return;
    }
    let all: BTreeSet<&str> = plan.alarms.iter().map(|spec| spec.key.as_str()).collect();
    for (key, named) in &lookers {
        for named in named.iter().filter(|named| !all.contains(*named)) {
            let named = (*named).to_owned();
            faults.push(PlanFault::UnknownAlarm { key: (*key).to_owned(), named });
        }
        if let Some(way) = way_back(key, &lookers) {
            faults.push(PlanFault::Circle { key: (*key).to_owned(), by: way.join(" -> ") });
        }
    }
}

/// The way from an alarm back to itself, if there is one.
pub(crate) fn way_back<'a>(
    key: &'a str,
    lookers: &BTreeMap<&'a str, Vec<&'a str>>,
) -> Option<Vec<&'a str>> {
    let mut ways: Vec<Vec<&str>> = vec![vec![key]];
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop() {
        for next in way.last().and_then(|last| lookers.get(last)).into_iter().flatten() {
            let mut longer = way.clone();
            longer.push(next);
            if *next == key {
                return Some(longer);
            }
            if seen.insert(*next) {
                ways.push(longer);
            }
        }
    }
    None
}

pub(crate) fn check_alone(spec: &AlarmSpec, faults: &mut Vec<PlanFault>) {
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
    check_times(spec, faults);
    if !check_condition(spec, faults) {
        faults.push(PlanFault::Subject { key: key() });
    }
}

fn check_times(spec: &AlarmSpec, faults: &mut Vec<PlanFault>) {
    let mut time = |good: bool, what, must| {
        if !good {
            faults.push(PlanFault::Time { key: spec.key.clone(), what, must });
        }
    };
    time(spec.on_delay_ms >= 0, "the on-delay", "not be negative");
    time(spec.off_delay_ms >= 0, "the off-delay", "not be negative");
    time(spec.lifecycle.realarm_ms >= 0, "the re-alarm time", "not be negative");
    time(spec.times.live_ms >= 0, "the live time", "not be negative");
    time(spec.times.hold_lag_ms >= 0, "the hold lag", "not be negative");
    time(spec.times.late_horizon_ms >= 0, "the late horizon", "not be negative");
    time(spec.times.max_future_ms >= 0, "the largest future", "not be negative");
}

/// False where the condition does not fit its subject.
fn check_condition(spec: &AlarmSpec, faults: &mut Vec<PlanFault>) -> bool {
    let key = || spec.key.clone();
    let mut time = |good: bool, what, must| {
        if !good {
            faults.push(PlanFault::Time { key: key(), what, must });
        }
    };
    let no_delay = spec.on_delay_ms == 0 && spec.off_delay_ms == 0;
    match (&spec.condition, spec.subject) {
        (Condition::High { limit, deadband, .. }, Subject::Point(_))
        | (Condition::Low { limit, deadband, .. }, Subject::Point(_)) => {
            if !(limit.is_finite() && deadband.is_finite() && *deadband >= 0.0) {
                faults.push(PlanFault::Limit { key: key() });
            }
            true
        }
        (Condition::Stale { after_ms }, Subject::Point(_)) => {
            time(*after_ms > 0, "STALE", "be above 0");
            time(no_delay, "the delays of STALE", "be 0: lengthen STALE instead");
            true
        }
        (Condition::GatewayOffline { after_ms }, Subject::Gateway(gateway)) => {
            time(*after_ms > 0, "OFFLINE", "be above 0");
            time(no_delay, "the delays of OFFLINE", "be 0: lengthen OFFLINE instead");
            gateway == spec.gateway
        }
        (Condition::Clock { limit_ms }, Subject::Gateway(gateway)) => {
            time(*limit_ms > 0, "CLOCK", "be above 0");
            time(no_delay, "the delays of CLOCK", "be 0");
            gateway == spec.gateway
        }
        (Condition::Unjudged, _) => no_delay,
        (Condition::Unset, Subject::Point(_)) => {
            time(no_delay, "the delays of UNSET", "be 0");
            true
        }
        (Condition::Unset, Subject::Gateway(gateway)) => {
            time(no_delay, "the delays of UNSET", "be 0");
            gateway == spec.gateway
        }
        (Condition::Derived(derived), Subject::Point(own)) => {
            if let Some(what) = derived.fault() {
                faults.push(PlanFault::Derived { key: key(), what });
            }
            for point in derived.points(own).iter().filter(|point| point.0 >= REFS_MAX) {
                faults.push(PlanFault::Number { key: key(), number: point.0 });
            }
            true
        }
        (
            Condition::High { .. }
            | Condition::Low { .. }
            | Condition::Stale { .. }
            | Condition::Derived(_),
            Subject::Gateway(_),
        )
        | (Condition::GatewayOffline { .. } | Condition::Clock { .. }, Subject::Point(_)) => false,
    }
}
