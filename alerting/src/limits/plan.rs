//! From limits and a catalogue to alarms.
//!
//! - The order of alarms is the order of the catalogue, HH first; the gateway's own comes last.
//! - Keys are stable over revisions: `GW-01/TK-101.LT/HH`, `GW-01//OFFLINE`.

use std::collections::{BTreeMap, BTreeSet};

use fengsui_telemetry::{Catalogue, Point, Revision};

use crate::limits::derive::{Around, condition};
use crate::limits::fault::{LimitFault, LimitTrouble};
use crate::limits::parse::milliseconds;
use crate::limits::{
    Detail, LimitKind, LimitRow, LimitSet, OFFLINE_DEFAULT_MS, PointLimit, STALE_FAST_MAX_MS,
    STALE_FAST_PERIOD_MS, STALE_MIN_MS, STALE_PERIODS,
};
use crate::model::{
    AlarmSpec, Condition, GatewayRef, Lifecycle, PointRef, Priority, Subject, TimeRules,
};
use crate::plan::looks_at;

/// How long a watched shut-off valve took: it has no value until its first demand, which may be
/// months away, so no default STALE. What is silent is told by the valve's other points.
const OF_AN_EVENT: &str = "shutoff_travel_s";
/// R1: a sample is late after this many scan periods, or thirty seconds if that is longer (Q11).
const LIVE_PERIODS: i64 = 3;

impl LimitSet {
    /// What is wrong when the catalogue is known: tags that are not there, limits and deadbands
    /// that the instrument cannot reach. Empty when the two fit.
    #[must_use]
    pub fn check_against(&self, catalogue: &Catalogue) -> Vec<LimitFault> {
        let mut faults = self.check_points(catalogue);
        faults.extend(self.check_names(catalogue));
        faults.sort_by_key(|fault| fault.row);
        faults
    }

    /// Tags and ranges: what a row and its point say without any other row.
    pub(crate) fn check_points(&self, catalogue: &Catalogue) -> Vec<LimitFault> {
        let points: BTreeMap<&str, &Point> =
            catalogue.points.iter().map(|p| (p.tag.as_str(), p)).collect();
        let mut faults = Vec::new();
        for row in self.rows.iter().filter(|row| !row.limit.kind.is_of_gateway()) {
            match points.get(row.tag.as_str()) {
                None => {
                    faults.push(self.fault(row, "tag", &row.tag, LimitTrouble::UnknownTag));
                }
                Some(point) if row.limit.kind.is_level() && !row.limit.detail.unset => {
                    self.check_range(row, point, &mut faults);
                }
                Some(_) => {}
            }
        }
        faults
    }

    fn check_range(&self, row: &LimitRow, point: &Point, faults: &mut Vec<LimitFault>) {
        let PointLimit { limit, deadband, kind, .. } = &row.limit;
        let (limit, deadband) = (*limit, *deadband);
        let (low, high) = (point.low.to_string(), point.high.to_string());
        if limit < point.low || limit > point.high {
            let trouble = LimitTrouble::BeyondRange { low, high };
            faults.push(self.fault(row, "limit", &limit.to_string(), trouble));
            return;
        }
        let deadband_text = deadband.to_string();
        if deadband > 0.0 && deadband >= point.high - point.low {
            let trouble = LimitTrouble::WiderThanSpan((point.high - point.low).to_string());
            faults.push(self.fault(row, "deadband", &deadband_text, trouble));
            return;
        }
        let high_side = matches!(kind, LimitKind::HighHigh | LimitKind::High);
        let clear = if high_side { limit - deadband } else { limit + deadband };
        if deadband > 0.0 && (clear < point.low || clear > point.high) {
            let clear = clear.to_string();
            let trouble = LimitTrouble::NeverClears { clear, low, high };
            faults.push(self.fault(row, "deadband", &deadband_text, trouble));
        }
    }

    pub(crate) fn fault(
        &self,
        row: &LimitRow,
        column: &str,
        value: &str,
        trouble: LimitTrouble,
    ) -> LimitFault {
        LimitFault {
            file: self.file.clone(),
            row: row.line,
            column: column.to_owned(),
            value: value.to_owned(),
            trouble,
        }
    }

    /// The limits that hold for a point, HH first: those of the file, and the default STALE
    /// where the file has none.
    #[must_use]
    pub fn of_point(&self, point: &Point) -> Vec<PointLimit> {
        let mut limits: Vec<PointLimit> = self.of_tag(point.tag.as_str()).cloned().collect();
        let unjudged = limits.is_empty() && !self.looks_at(point.tag.as_str());
        with_stale(&mut limits, point);
        if unjudged {
            limits.iter_mut().for_each(|limit| be_patient(limit, point));
        }
        limits
    }

    /// The alarms of one gateway: every limit of the file whose tag the catalogue knows, STALE
    /// for every point (but a valve's travel time) and OFFLINE for the gateway.
    #[must_use]
    pub fn plan(
        &self,
        gateway_name: &str,
        gateway: GatewayRef,
        catalogue: &Catalogue,
        point_ref_of: &dyn Fn(u32) -> PointRef,
        revision: Revision,
    ) -> Vec<AlarmSpec> {
        let inputs = self.inputs(catalogue, point_ref_of);
        let around = Around { gateway: gateway_name, points: &inputs };
        let common = Common { gateway, revision };
        let mut seen = BTreeSet::new();
        let mut alarms = Vec::new();
        for (index, point) in (0_u32..).zip(&catalogue.points) {
            let tag = point.tag.as_str();
            if !seen.insert(tag) {
                continue;
            }
            let limits = self.of_point(point);
            let subject = Subject::Point(point_ref_of(index));
            for limit in limits {
                let Some(condition) = condition(&limit, point, &around) else { continue };
                let unset = if limit.detail.unset { "-UNSET" } else { "" };
                let key = format!("{gateway_name}/{tag}/{}{unset}", limit.kind.key());
                let times = times_of(point);
                alarms.push(spec(key, subject, condition, &limit, times, &common, &around));
            }
        }
        let of_gateway = self.rows.iter().filter(|row| row.tag.is_empty());
        let mut of_gateway: Vec<PointLimit> = of_gateway.map(|row| row.limit.clone()).collect();
        if !of_gateway.iter().any(|row| row.kind == LimitKind::Offline) {
            of_gateway.push(silence(LimitKind::Offline, OFFLINE_DEFAULT_MS));
        }
        of_gateway.sort_by_key(|row| row.kind == LimitKind::Offline);
        for limit in of_gateway {
            let key = format!("{gateway_name}//{}", limit.kind.key());
            let ms = milliseconds(limit.limit).unwrap_or(OFFLINE_DEFAULT_MS);
            let condition = if limit.kind == LimitKind::Clock {
                Condition::Clock { limit_ms: ms }
            } else {
                Condition::GatewayOffline { after_ms: ms }
            };
            let (subject, times) = (Subject::Gateway(gateway), TimeRules::default());
            alarms.push(spec(key, subject, condition, &limit, times, &common, &around));
        }
        drop_what_looks_at_nothing(&mut alarms);
        alarms
    }

    /// The number of each point, and how long a sample of it says something.
    fn inputs<'a>(
        &self,
        catalogue: &'a Catalogue,
        point_ref_of: &dyn Fn(u32) -> PointRef,
    ) -> BTreeMap<&'a str, (PointRef, i64)> {
        let looks = self.rows.iter().any(|row| !row.limit.detail.tags().is_empty());
        let looks = looks || self.rows.iter().any(|row| row.limit.detail.expression.is_some());
        let points = (0_u32..).zip(&catalogue.points).filter(|_| looks);
        let stale: BTreeMap<&str, i64> = self
            .rows
            .iter()
            .filter(|row| row.limit.kind == LimitKind::Stale)
            .filter_map(|row| Some((row.tag.as_str(), milliseconds(row.limit.limit)?)))
            .collect();
        let mut inputs = BTreeMap::new();
        for (index, point) in points {
            let tag = point.tag.as_str();
            let hold = stale.get(tag).copied().unwrap_or_else(|| default_stale_ms(point));
            inputs.entry(tag).or_insert((point_ref_of(index), hold));
        }
        inputs
    }
}

/// What all alarms of a gateway have in common.
pub(crate) struct Common {
    pub(crate) gateway: GatewayRef,
    pub(crate) revision: Revision,
}

impl Common {
    /// What stands in place of an alarm that nobody can judge: shown like a limit that is not
    /// set, and not sounded, since nothing but other limits ends it.
    pub(crate) fn stand_in(
        &self,
        key: &str,
        subject: Subject,
        priority: Priority,
        times: TimeRules,
    ) -> AlarmSpec {
        AlarmSpec {
            key: format!("{key}-UNSET"),
            subject,
            gateway: self.gateway,
            condition: Condition::Unset,
            on_delay_ms: 0,
            off_delay_ms: 0,
            priority,
            lifecycle: Lifecycle { ack_required: false, ..Lifecycle::default() },
            times,
            revision: self.revision,
            statutory: false,
            suppressed_by: None,
        }
    }
}

/// An alarm that looks at one that the plan does not have cannot be judged: the file's check names
/// it, and the others go on without it. One that such an alarm would suppress is judged.
fn drop_what_looks_at_nothing(alarms: &mut Vec<AlarmSpec>) {
    loop {
        let keys: BTreeSet<String> = if alarms.iter().any(AlarmSpec::looks_at_alarms) {
            alarms.iter().map(|spec| spec.key.clone()).collect()
        } else {
            return;
        };
        for spec in alarms.iter_mut() {
            spec.suppressed_by.take_if(|by| !keys.contains(by.as_ref()));
        }
        let before = alarms.len();
        let there = |name: &str| keys.contains(name);
        alarms.retain(|spec| looks_at(spec).into_iter().all(there));
        if alarms.len() == before {
            return;
        }
    }
}

pub(crate) fn with_stale(limits: &mut Vec<PointLimit>, point: &Point) {
    limits.sort_by_key(|limit| limit.kind);
    if point.signal == OF_AN_EVENT {
        return;
    }
    if !limits.iter().any(|limit| limit.kind == LimitKind::Stale) {
        let delays = limits.iter().map(|l| l.on_delay_ms.max(l.off_delay_ms)).max().unwrap_or(0);
        limits.push(silence(LimitKind::Stale, default_stale_ms(point).max(delays)));
    }
}

/// A point that nothing judges and that is reported by exception may be quiet for that long. One
/// that something judges reports every sample, and is waited for like any other.
fn be_patient(stale: &mut PointLimit, point: &Point) {
    stale.limit += f64::from(point.silence_ms) / 1000.0;
}

/// Three scan periods, at least 5 s; at most 25 s for a point scanned every 5 s or faster (Q25).
fn default_stale_ms(point: &Point) -> i64 {
    let period = i64::from(point.period_ms);
    if period <= STALE_FAST_PERIOD_MS {
        (STALE_PERIODS * period).clamp(STALE_MIN_MS, STALE_FAST_MAX_MS)
    } else {
        STALE_PERIODS * period
    }
}

fn silence(kind: LimitKind, ms: i64) -> PointLimit {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let limit = ms as f64 / 1000.0;
    PointLimit {
        kind,
        limit,
        deadband: 0.0,
        on_delay_ms: 0,
        off_delay_ms: 0,
        priority: kind.default_priority(),
        latch: false,
        source: "默认".to_owned(),
        confidence: String::new(),
        statutory: false,
        detail: Detail::default(),
    }
}

pub(crate) fn times_of(point: &Point) -> TimeRules {
    let rules = TimeRules::default();
    let live_ms = rules.live_ms.max(LIVE_PERIODS * i64::from(point.period_ms));
    TimeRules { live_ms, ..rules }
}

pub(crate) fn spec(
    key: String,
    subject: Subject,
    condition: Condition,
    row: &PointLimit,
    times: TimeRules,
    common: &Common,
    around: &Around<'_>,
) -> AlarmSpec {
    let detail = &row.detail;
    // What is missing is shown; a horn would sound for every gap of a new site.
    let ack_required = detail.ack && condition != Condition::Unset;
    AlarmSpec {
        key,
        subject,
        gateway: common.gateway,
        on_delay_ms: if condition == Condition::Unset { 0 } else { row.on_delay_ms },
        off_delay_ms: if condition == Condition::Unset { 0 } else { row.off_delay_ms },
        condition,
        priority: row.priority,
        lifecycle: Lifecycle { latch: row.latch, ack_required, ..Lifecycle::default() },
        times,
        revision: common.revision,
        statutory: row.statutory || detail.statutory,
        suppressed_by: detail.suppressed_by.as_deref().map(|name| around.key(name).into()),
    }
}
