//! How long it takes at worst from a change in the plant to the local alarm.
//!
//! What a line can promise is computed in `fengsui-scan`; the alarm's own delay and the gateway's
//! processing come on top. Alarms that need a history (slopes, votes, frozen signals) have no such
//! bound and are not listed.

use std::collections::BTreeMap;

use fengsui_alerting::{Condition, Derived, Plan, Subject};
use fengsui_scan::{PointSet, Problem, Site, SiteFault, Valve, worst_cases};
use serde::Serialize;

/// From a reading in the gateway to its siren's output: decoding, queue, engine, a board under load.
/// An allowance, not a measurement.
const PROCESSING_MS: u64 = 100;

/// The bound of one alarm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reach {
    /// The alarm.
    pub alarm: String,
    /// Its point.
    pub tag: String,
    /// The device that is read.
    pub device: String,
    /// Until the gateway knows of the change.
    pub read_ms: u64,
    /// The alarm's on-delay.
    pub on_delay_ms: u64,
    /// All in all, with the gateway's own time.
    pub worst_ms: u64,
    /// What the site file asks for (`device.response_s`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub required_ms: Option<u64>,
    /// Outputs that call for attention to it, without simulated ones; none where the gateway's own
    /// file was not read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heard_by: Option<Vec<String>>,
}

/// The points whose value an alarm or a watched valve waits for: read before all others on a line
/// that is asked for more than it can carry. That a sensor is silent, bad, frozen or out
/// of range may be alarmed on every point, and puts none before the others. The plan numbers points
/// as the catalogue does.
pub(crate) fn alarmed(plan: &Plan, valves: &[Valve]) -> PointSet {
    let mut points = PointSet::default();
    for spec in &plan.alarms {
        let Subject::Point(own) = spec.subject else { continue };
        match &spec.condition {
            Condition::High { .. } | Condition::Low { .. } => {
                points.insert(own.0);
            }
            Condition::Derived(derived) => match &**derived {
                Derived::Frozen { .. } | Derived::BadQuality | Derived::Range { .. } => {}
                Derived::RateOfChange { .. }
                | Derived::Deviation { .. }
                | Derived::Discrete { .. }
                | Derived::Vote { .. }
                | Derived::TimeToLimit { .. }
                | Derived::Composite { .. } => {
                    points.extend(derived.points(own).iter().map(|point| point.0));
                }
            },
            Condition::Stale { .. }
            | Condition::GatewayOffline { .. }
            | Condition::Clock { .. }
            | Condition::Unset
            | Condition::Unjudged => {}
        }
    }
    points.extend(valves.iter().flat_map(|valve| [valve.demand, valve.open, valve.closed]));
    points
}

/// The bounds of all limit alarms of a plan that numbers points as the catalogue does, the longest
/// first; and those that are longer than their device allows. `outputs`: how many hang on a line.
pub(crate) fn reaches(
    file: &str,
    site: &Site,
    plan: &Plan,
    alarmed: &PointSet,
    outputs: &dyn Fn(&str) -> u64,
) -> (Vec<Reach>, Vec<SiteFault>) {
    let cases = worst_cases(site, alarmed, outputs);
    let cases: BTreeMap<u32, _> = cases.iter().map(|case| (case.point, case)).collect();
    let (mut found, mut faults) = (Vec::new(), Vec::new());
    for spec in &plan.alarms {
        let Subject::Point(point) = spec.subject else { continue };
        if !matches!(spec.condition, Condition::High { .. } | Condition::Low { .. }) {
            continue;
        }
        let Some(case) = cases.get(&point.0) else { continue };
        let place = usize::try_from(point.0).unwrap_or(usize::MAX);
        let (Some(named), Some(device)) =
            (site.catalogue.points.get(place), site.devices.get(case.device))
        else {
            continue;
        };
        let on_delay_ms = u64::try_from(spec.on_delay_ms).unwrap_or(0);
        let worst_ms = case.read_ms + on_delay_ms + PROCESSING_MS;
        if let Some(required) = device.response.filter(|r| u64::from(r.ms) < worst_ms) {
            faults.push(SiteFault {
                file: file.to_owned(),
                row: Some(required.row),
                column: Some("device.response_s".to_owned()),
                value: Some((required.ms / 1_000).to_string()),
                problem: Problem::TooSlow(spec.key.clone(), worst_ms),
            });
        }
        found.push(Reach {
            alarm: spec.key.clone(),
            tag: named.tag.to_string(),
            device: device.name.clone(),
            read_ms: case.read_ms,
            on_delay_ms,
            worst_ms,
            required_ms: device.response.map(|required| u64::from(required.ms)),
            heard_by: None,
        });
    }
    found.sort_by_key(|reach| std::cmp::Reverse(reach.worst_ms));
    (found, faults)
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn a_temperature_that_can_only_fall_silent_is_not_read_before_the_levels() {
        let folder = tempfile::tempdir().unwrap();
        let demo = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/demo");
        for name in ["gateway.toml", "site.toml", "points.csv", "limits.csv"] {
            std::fs::copy(demo.join(name), folder.path().join(name)).unwrap();
        }
        let limits = folder.path().join("limits.csv");
        let mut rows = std::fs::read_to_string(&limits).unwrap();
        rows.push_str("TK-101.TT,STALE,10,,\nTK-102.TT,BADQ,5,,\n");
        std::fs::write(&limits, rows).unwrap();
        let config = Config::load(&folder.path().join("gateway.toml"));
        let config = config.unwrap_or_else(|faults| panic!("{faults:?}"));
        let found = config.alarmed;
        let tags: Vec<&str> = (0_u32..)
            .zip(&config.site.catalogue.points)
            .filter_map(|(number, point)| found.contains(number).then_some(point.tag.as_str()))
            .collect();
        assert!(tags.contains(&"TK-101.LT") && tags.contains(&"GD-201.AT"), "{tags:?}");
        let other: Vec<_> = tags.iter().filter(|tag| tag.ends_with(".TT")).collect();
        assert!(other.is_empty(), "{other:?}");
    }
}
