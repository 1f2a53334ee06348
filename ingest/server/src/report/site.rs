//! What a report is about: the alarms, points and gateways of today.
//!
//! - The journal names alarms by their keys and knows neither priority nor installation: those are
//!   the ones in force now, also for a report of last month.
//! - A point is *required* where somebody has given it a limit, or has said that its limit is
//!   missing. A point that is only measured cannot be blind to anything. The file of limits says
//!   so before the gateway does: a tag that no catalogue has is a point that nobody sees.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use fengsui_alerting::Condition;
use fengsui_alerting::kpi::required_tags;
use fengsui_alerting::packs::{DELIVERED, Judgement, Pack, check};
use fengsui_telemetry::TimeMs;

use crate::config::AlarmSettings;
use crate::intake::GatewayState;
use crate::registry::{AlarmFacts, Registry, facts};

/// What an alarm tells about seeing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tells {
    /// The gateway is silent.
    Offline,
    /// No fresh value comes.
    Stale,
    /// Values cannot be believed: bad quality, out of range.
    Bad,
    /// The value does not move.
    Frozen,
    /// A limit is missing.
    Unset,
    /// Nothing: it is about the plant, or a clock.
    Process,
    /// A clock.
    Clock,
}

impl Tells {
    fn of(kind: &str) -> Self {
        match kind {
            "gateway_offline" => Self::Offline,
            "stale" => Self::Stale,
            "badq" | "range" => Self::Bad,
            "frozen" => Self::Frozen,
            "unset" => Self::Unset,
            "clock" => Self::Clock,
            _ => Self::Process,
        }
    }
}

/// One alarm.
#[derive(Clone, Debug)]
pub(super) struct Alarm {
    pub(super) facts: AlarmFacts,
    pub(super) tells: Tells,
    /// Place in [`Site::points`]; none for an alarm of a gateway.
    pub(super) point: Option<usize>,
    /// Place in [`Site::gateways`].
    pub(super) gateway: usize,
    /// For how long a gateway is silent before OFFLINE says so, ms; 0 for others.
    pub(super) after_ms: i64,
}

/// One point.
#[derive(Clone, Debug)]
pub(super) struct PointOf {
    pub(super) tag: String,
    pub(super) name: String,
    pub(super) installation: String,
    pub(super) gateway: usize,
    pub(super) required: bool,
    /// A delivered rule pack refuses one of its limits.
    pub(super) looser_than_statute: bool,
    /// A delivered rule pack misses one.
    pub(super) unset: bool,
    /// It has limits, and no catalogue in force has it: nothing measures it.
    pub(super) absent: bool,
}

/// One gateway.
#[derive(Clone, Debug)]
pub(super) struct GatewayOf {
    pub(super) name: String,
    pub(super) enterprise: String,
    /// It has a catalogue: it was heard once.
    pub(super) known: bool,
    /// How it does at this moment; none where only the journal is at hand.
    pub(super) now: Option<HeardNow>,
}

/// How a gateway does at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HeardNow {
    /// Heard lately.
    pub(super) online: bool,
    /// Its last sign of life that this centre has had.
    pub(super) last: Option<TimeMs>,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub struct Site {
    pub(super) alarms: Vec<Alarm>,
    pub(super) keys: HashMap<String, usize>,
    pub(super) points: Vec<PointOf>,
    pub(super) gateways: Vec<GatewayOf>,
}

impl Site {
    /// Of everything that the centre knows.
    #[must_use]
    pub fn of(registry: &Registry) -> Self {
        let plan = registry.plan(AlarmSettings::default());
        let judged = by_packs(registry);
        let mut places = BTreeMap::new();
        let mut site = Self::default();
        for (index, gateway) in registry.gateways.iter().enumerate() {
            let name = gateway.id.to_string();
            let enterprise = gateway.enterprise().to_owned();
            let known = gateway.numbered().is_some();
            site.gateways.push(GatewayOf { name, enterprise, known, now: None });
            let of_gateway = registry.points.values().filter(|known| known.gateway == index);
            for known in of_gateway {
                places.insert(known.id, site.points.len());
                let tag = known.point.tag.to_string();
                let verdict = judged.get(&(index, tag.clone()));
                site.points.push(PointOf {
                    looser_than_statute: verdict.is_some_and(|v| v.0),
                    unset: verdict.is_some_and(|v| v.1),
                    tag,
                    name: known.point.name.clone(),
                    installation: known.installation.clone(),
                    gateway: index,
                    required: verdict.is_some_and(|v| v.1),
                    absent: false,
                });
            }
            site.absent(index, required_tags(&gateway.limits));
        }
        for (facts, spec) in facts(registry, &plan).into_iter().zip(&plan.alarms) {
            let tells = Tells::of(facts.kind);
            let point = facts.point.and_then(|id| places.get(&id).copied());
            let states_a_limit = matches!(tells, Tells::Process | Tells::Unset);
            if let Some(point) = point.and_then(|place| site.points.get_mut(place)) {
                point.required |= states_a_limit;
            }
            let gateway = usize::try_from(spec.gateway.0).unwrap_or(usize::MAX);
            site.keys.insert(facts.key.clone(), site.alarms.len());
            let after_ms = if let Condition::GatewayOffline { after_ms } = spec.condition {
                after_ms
            } else {
                0
            };
            site.alarms.push(Alarm { facts, tells, point, gateway, after_ms });
        }
        site
    }

    /// With what the centre hears of its gateways at this moment.
    #[must_use]
    pub fn heard(mut self, states: &[GatewayState]) -> Self {
        for gateway in &mut self.gateways {
            let state = states.iter().find(|state| state.gateway == gateway.name);
            gateway.now = state.map(|s| HeardNow { online: s.is_online(), last: s.last_heard });
        }
        self
    }

    /// Adds the tags that have limits and are in no catalogue.
    fn absent(&mut self, gateway: usize, tags: BTreeSet<&str>) {
        let known: BTreeSet<String> = (self.points.iter())
            .filter(|point| point.gateway == gateway)
            .map(|point| point.tag.clone())
            .collect();
        let absent = tags.into_iter().filter(|tag| !known.contains(*tag));
        self.points.extend(absent.map(|tag| PointOf {
            tag: tag.to_owned(),
            name: String::new(),
            installation: String::new(),
            gateway,
            required: true,
            looser_than_statute: false,
            unset: false,
            absent: true,
        }));
    }

    /// Installations with their enterprise.
    pub(super) fn installations(&self) -> BTreeSet<(String, String)> {
        let of = |point: &PointOf| (self.enterprise(point.gateway), point.installation.clone());
        self.points.iter().map(of).collect()
    }

    pub(super) fn enterprise(&self, gateway: usize) -> String {
        self.gateways.get(gateway).map(|g| g.enterprise.clone()).unwrap_or_default()
    }
}

/// What the delivered packs say of points: (refused, missing). A number that a pack does not have
/// says nothing.
fn by_packs(registry: &Registry) -> BTreeMap<(usize, String), (bool, bool)> {
    let mut judged: BTreeMap<(usize, String), (bool, bool)> = BTreeMap::new();
    let packs: Vec<Pack> =
        DELIVERED.iter().filter_map(|(name, text)| Pack::parse(name, text).ok()).collect();
    for (index, gateway) in registry.gateways.iter().enumerate() {
        let Some(numbered) = gateway.numbered() else { continue };
        for finding in packs.iter().flat_map(|p| check(p, &numbered.catalogue, &gateway.limits)) {
            let verdict = judged.entry((index, finding.tag)).or_default();
            match finding.judgement {
                Judgement::Refused => verdict.0 = true,
                Judgement::Unset => verdict.1 = true,
                Judgement::Warned
                | Judgement::Asked
                | Judgement::NotComparable
                | Judgement::Recorded
                | Judgement::Kept => {}
            }
        }
    }
    judged
}
