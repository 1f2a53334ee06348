//! Rows that name other points and other alarms: everything named is there, nothing names itself.

use std::collections::{BTreeMap, BTreeSet};

use fengsui_telemetry::{Catalogue, Point};

use crate::limits::fault::{LimitFault, LimitTrouble};
use crate::limits::plan::with_stale;
use crate::limits::{LimitKind, LimitRow, LimitSet};
use crate::plan::way_back;
use crate::signal::WINDOW_SAMPLES_MAX;

impl LimitSet {
    /// What is wrong with the names of this file, given the points.
    pub(crate) fn check_names(&self, catalogue: &Catalogue) -> Vec<LimitFault> {
        let points: BTreeMap<&str, &Point> =
            catalogue.points.iter().map(|p| (p.tag.as_str(), p)).collect();
        let named = self.rows.iter().any(|row| !row.limit.detail.alarms().is_empty());
        let alarms = if named { self.alarm_names(catalogue) } else { BTreeSet::new() };
        let mut faults = Vec::new();
        for row in &self.rows {
            let mut fault = |value: &str, trouble| {
                faults.push(self.fault(row, "detail", value, trouble));
            };
            let detail = &row.limit.detail;
            for tag in detail.tags().into_iter().filter(|tag| !points.contains_key(tag)) {
                fault(tag, LimitTrouble::UnknownTag);
            }
            for name in detail.alarms().into_iter().filter(|name| !alarms.contains(*name)) {
                fault(name, LimitTrouble::UnknownAlarm);
            }
            if let (Some(window_ms), Some(point)) = (detail.window_ms, points.get(row.tag.as_str()))
            {
                let samples = window_ms / i64::from(point.period_ms.max(1));
                if usize::try_from(samples).is_ok_and(|samples| samples > WINDOW_SAMPLES_MAX) {
                    let trouble = LimitTrouble::WindowTooLong(WINDOW_SAMPLES_MAX);
                    fault(&format!("window={}s", window_ms / 1000), trouble);
                }
            }
        }
        faults
    }

    /// What is wrong with the names of this file whatever the points are: an alarm that no row
    /// gives. STALE and OFFLINE are there without one.
    #[must_use]
    pub fn check_alone(&self) -> Vec<LimitFault> {
        let given = self.rows.iter().filter(|row| !row.limit.detail.unset);
        let given: BTreeSet<String> =
            given.map(|row| format!("{}/{}", row.tag, row.limit.kind.key())).collect();
        let by_default = |name: &str| name == "/OFFLINE" || name.ends_with("/STALE");
        let mut faults = Vec::new();
        for row in &self.rows {
            let named = row.limit.detail.alarms().into_iter();
            for name in named.filter(|name| !given.contains(*name) && !by_default(name)) {
                faults.push(self.fault(row, "detail", name, LimitTrouble::UnknownAlarm));
            }
        }
        faults
    }

    /// `TAG/KIND` of every alarm that the plan will have.
    fn alarm_names(&self, catalogue: &Catalogue) -> BTreeSet<String> {
        let mut names = BTreeSet::from(["/OFFLINE".to_owned()]);
        for point in &catalogue.points {
            let mut limits: Vec<_> = self.of_tag(point.tag.as_str()).cloned().collect();
            with_stale(&mut limits, point);
            for limit in limits.iter().filter(|limit| !limit.detail.unset) {
                names.insert(format!("{}/{}", point.tag.as_str(), limit.kind.key()));
            }
        }
        let gateway = self.rows.iter().filter(|row| row.limit.kind == LimitKind::Clock);
        names.extend(gateway.map(|_| "/CLOCK".to_owned()));
        names
    }
}

/// Rows that look at themselves by way of others.
pub(crate) fn circles(rows: &[LimitRow]) -> Vec<(&LimitRow, String)> {
    let name = |row: &LimitRow| format!("{}/{}", row.tag, row.limit.kind.key());
    let looking: Vec<(String, &LimitRow)> = rows
        .iter()
        .filter(|row| !row.limit.detail.alarms().is_empty())
        .map(|row| (name(row), row))
        .collect();
    let lookers: BTreeMap<&str, Vec<&str>> =
        looking.iter().map(|(name, row)| (name.as_str(), row.limit.detail.alarms())).collect();
    let back = looking
        .iter()
        .filter_map(|(name, row)| way_back(name, &lookers).map(|way| (*row, way.join(" -> "))));
    back.collect()
}
