//! What the centre knows of gateways and points. Immutable; a new one replaces it whole.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use fengsui_alerting::limits::{Fitted, LimitKind, LimitSet, Misfit, PointLimit};
use fengsui_alerting::{Condition, GatewayRef, Plan, PointRef, Subject};
use fengsui_telemetry::{Catalogue, GatewayId, Point, Revision};
use tracing::error;

use crate::config::{AlarmSettings, KnownGateway};

#[cfg(test)]
mod tests;

/// One gateway.
#[derive(Clone, Debug)]
pub struct Gateway {
    /// Its name.
    pub id: GatewayId,
    /// Its limits.
    pub limits: LimitSet,
    /// Names them.
    pub limits_revision: Revision,
    /// Its catalogues by revision, each with the store's number of every point. Old ones stay:
    /// records made under them may still come.
    pub catalogues: BTreeMap<Revision, Arc<Numbered>>,
    /// The one in force.
    pub current: Option<Revision>,
    /// Tags that have limits and are not in it: nobody judges them.
    pub unmeasured: usize,
    /// Limits in force that are not judged, or not as they are meant.
    pub misfits: Arc<[Misfit]>,
}

/// A catalogue and the store's numbers of its points.
#[derive(Clone, Debug)]
pub struct Numbered {
    /// What the gateway measures.
    pub catalogue: Catalogue,
    /// The store's number of point i.
    pub ids: Vec<u32>,
}

impl Gateway {
    /// The catalogue in force.
    #[must_use]
    pub fn numbered(&self) -> Option<&Arc<Numbered>> {
        self.current.and_then(|revision| self.catalogues.get(&revision))
    }

    /// Its alarms, and what is wrong with its limits.
    fn fitted(&self, place: GatewayRef) -> Fitted {
        let nothing = Numbered {
            catalogue: Catalogue {
                enterprise: String::new(),
                installations: Vec::new(),
                points: Vec::new(),
            },
            ids: Vec::new(),
        };
        let numbered = self.numbered().map_or(&nothing, |known| known.as_ref());
        let number = |index: u32| {
            let place = usize::try_from(index).unwrap_or(usize::MAX);
            PointRef(numbered.ids.get(place).copied().unwrap_or(0))
        };
        let (name, catalogue) = (self.id.as_str(), &numbered.catalogue);
        self.limits.fitted(name, place, catalogue, &number, self.limits_revision)
    }

    /// The enterprise, as far as known.
    #[must_use]
    pub fn enterprise(&self) -> &str {
        self.numbered().map_or("", |numbered| numbered.catalogue.enterprise.as_str())
    }
}

/// One point of a catalogue in force.
#[derive(Clone, Debug)]
pub struct Known {
    /// The store's number.
    pub id: u32,
    /// Index of its gateway.
    pub gateway: usize,
    /// What it is.
    pub point: Point,
    /// The installation's name.
    pub installation: String,
    /// Its limits.
    pub limits: Vec<PointLimit>,
    /// One of them is not judged, or not as it is meant: what it shows is not the whole truth.
    pub misfit: bool,
}

/// All gateways and points.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    /// By [`GatewayRef`].
    pub gateways: Vec<Gateway>,
    /// Points in force, by the store's number.
    pub points: BTreeMap<u32, Known>,
}

impl Registry {
    /// Gateways of the configuration, none heard yet.
    #[must_use]
    pub fn new(known: &[KnownGateway]) -> Self {
        let gateways = known
            .iter()
            .map(|known| Gateway {
                id: known.id.clone(),
                limits: known.limits.clone(),
                limits_revision: known.limits_revision,
                catalogues: BTreeMap::new(),
                current: None,
                unmeasured: 0,
                misfits: Arc::default(),
            })
            .collect();
        let mut registry = Self { gateways, points: BTreeMap::new() };
        (0..known.len()).for_each(|gateway| registry.list_points(gateway));
        registry
    }

    /// The index of a gateway.
    #[must_use]
    pub fn gateway(&self, id: &GatewayId) -> Option<usize> {
        self.gateways.iter().position(|gateway| gateway.id == *id)
    }

    /// Takes a catalogue in, and into force where asked.
    pub fn learn(
        &mut self,
        gateway: usize,
        revision: Revision,
        numbered: Numbered,
        in_force: bool,
    ) {
        let Some(known) = self.gateways.get_mut(gateway) else { return };
        known.catalogues.insert(revision, Arc::new(numbered));
        if in_force {
            known.current = Some(revision);
            self.points.retain(|_, point| point.gateway != gateway);
            self.list_points(gateway);
        }
    }

    /// Other limits of a gateway.
    pub fn limit(&mut self, gateway: usize, limits: LimitSet, revision: Revision) {
        let Some(known) = self.gateways.get_mut(gateway) else { return };
        known.limits = limits;
        known.limits_revision = revision;
        self.list_points(gateway);
    }

    fn list_points(&mut self, gateway: usize) {
        let Some(known) = self.gateways.get_mut(gateway) else { return };
        let place = GatewayRef(u32::try_from(gateway).unwrap_or(u32::MAX));
        known.misfits = known.fitted(place).misfits.into();
        let Some(numbered) = known.numbered().cloned() else { return };
        let misfit: BTreeSet<&str> = known.misfits.iter().map(|m| m.tag.as_str()).collect();
        let all = known.misfits.iter().any(Misfit::is_of_all);
        let points = &numbered.catalogue.points;
        let measured: HashSet<&str> = points.iter().map(|point| point.tag.as_str()).collect();
        known.unmeasured = known.limits.tags().filter(|tag| !measured.contains(tag)).count();
        for (point, id) in numbered.catalogue.points.iter().zip(&numbered.ids) {
            let place = usize::try_from(point.installation).unwrap_or(usize::MAX);
            let installation = numbered.catalogue.installations.get(place);
            let entry = Known {
                id: *id,
                gateway,
                point: point.clone(),
                installation: installation.map(|i| i.name.clone()).unwrap_or_default(),
                limits: known.limits.of_point(point),
                misfit: all || misfit.contains(point.tag.as_str()),
            };
            self.points.insert(*id, entry);
        }
    }

    /// Points that ought to be seen: those in force, and those that have limits and that no
    /// catalogue in force has.
    #[must_use]
    pub fn wanted(&self) -> usize {
        self.points.len() + self.gateways.iter().map(|gateway| gateway.unmeasured).sum::<usize>()
    }

    /// Limits in force that are not judged, or not as they are meant.
    #[must_use]
    pub fn misfits(&self) -> usize {
        self.gateways.iter().map(|gateway| gateway.misfits.len()).sum()
    }

    /// Every alarm of every gateway, as far as it can be judged: an engine never refuses it. What
    /// is missing is in [`Gateway::misfits`].
    #[must_use]
    pub fn plan(&self, settings: AlarmSettings) -> Plan {
        let mut plan = Plan::default();
        for (index, gateway) in (0_u32..).zip(&self.gateways) {
            plan.alarms.extend(gateway.fitted(GatewayRef(index)).alarms);
            plan.revision.0 = plan.revision.0.rotate_left(7) ^ gateway.limits_revision.0;
        }
        for alarm in &mut plan.alarms {
            alarm.times.live_ms = settings.live_ms.unwrap_or(alarm.times.live_ms);
            alarm.times.late_horizon_ms =
                settings.late_horizon_ms.unwrap_or(alarm.times.late_horizon_ms);
        }
        // Gateways have nothing in common but the number of alarms.
        let (plan, left) = plan.sound();
        for fault in left {
            error!(why = fault.zh(), %fault, "报警不能判断 / an alarm cannot be judged");
        }
        plan
    }
}

/// What screens say of an alarm, beside its state.
#[derive(Clone, Debug, Default)]
pub struct AlarmFacts {
    /// `GW-01/TK-101.LT/HH`.
    pub key: String,
    /// `hh`, `stale`, …
    pub kind: &'static str,
    /// 1..=4.
    pub priority: u8,
    /// Gateway's name.
    pub gateway: String,
    /// Enterprise.
    pub enterprise: String,
    /// Installation.
    pub installation: String,
    /// Tank, unit, section.
    pub equipment: String,
    /// Tag, empty for a gateway.
    pub tag: String,
    /// What the point is.
    pub name: String,
    /// The store's number.
    pub point: Option<u32>,
    /// Unit.
    pub unit: String,
    /// The limit, where it is a value.
    pub limit: Option<f64>,
    /// The limits that it is judged by.
    pub revision: Revision,
    /// Its limit was taken away while it stood: nobody judges the point by it any more.
    pub unjudged: bool,
}

/// The facts of every alarm of a plan, by [`AlarmId`].
#[must_use]
pub fn facts(registry: &Registry, plan: &Plan) -> Vec<AlarmFacts> {
    plan.alarms
        .iter()
        .map(|alarm| {
            let place = usize::try_from(alarm.gateway.0).unwrap_or(usize::MAX);
            let gateway = registry.gateways.get(place);
            let mut facts = AlarmFacts {
                key: alarm.key.clone(),
                kind: alarm.condition.word(),
                priority: alarm.priority.number(),
                gateway: gateway.map(|g| g.id.to_string()).unwrap_or_default(),
                enterprise: gateway.map(|g| g.enterprise().to_owned()).unwrap_or_default(),
                limit: alarm.condition.limit(),
                revision: alarm.revision,
                ..AlarmFacts::default()
            };
            if alarm.condition == Condition::Unjudged {
                facts.unjudged = true;
                (facts.tag, facts.kind) = of_key(&alarm.key);
            }
            let known = match alarm.subject {
                Subject::Point(point) => registry.points.get(&point.0),
                Subject::Gateway(_) => None,
            };
            if let Some(known) = known {
                facts.installation.clone_from(&known.installation);
                facts.equipment.clone_from(&known.point.equipment);
                facts.tag = known.point.tag.to_string();
                facts.name.clone_from(&known.point.name);
                facts.point = Some(known.id);
                facts.unit.clone_from(&known.point.unit);
            }
            facts
        })
        .collect()
}

/// Tag and kind of a key: all that is left of an alarm whose point has gone as well.
fn of_key(key: &str) -> (String, &'static str) {
    let mut parts = key.split('/').skip(1);
    let tag = parts.next().unwrap_or_default().to_owned();
    let kind = parts.next().unwrap_or_default();
    let word = LimitKind::from_key(kind).map(LimitKind::word);
    (tag, word.unwrap_or(if kind.ends_with("-UNSET") { "unset" } else { "unjudged" }))
}
