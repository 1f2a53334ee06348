//! From limits and a catalogue to alarms.
//!
//! - The order of alarms is the order of the catalogue, HH first; the gateway's own comes last.
//! - Keys are stable over revisions: `GW-01/TK-101.LT/HH`, `GW-01//OFFLINE`.

use std::collections::{BTreeMap, BTreeSet};

use fengsui_telemetry::{Catalogue, Point, Revision};

use crate::limits::fault::{LimitFault, LimitTrouble};
use crate::limits::parse::milliseconds;
use crate::limits::{
    LimitKind, LimitRow, LimitSet, OFFLINE_DEFAULT_MS, PointLimit, STALE_FAST_MAX_MS,
    STALE_FAST_PERIOD_MS, STALE_MIN_MS, STALE_PERIODS,
};
use crate::model::{
    AlarmSpec, Condition, GatewayRef, Level, Lifecycle, PointRef, Subject, TimeRules,
};

/// R1: a sample is late after this many scan periods, or thirty seconds if that is longer (Q11).
const LIVE_PERIODS: i64 = 3;

impl LimitSet {
    /// What is wrong when the catalogue is known: tags that are not there, limits and deadbands
    /// that the instrument cannot reach. Empty when the two fit.
    #[must_use]
    pub fn check_against(&self, catalogue: &Catalogue) -> Vec<LimitFault> {
        let points: BTreeMap<&str, &Point> =
            catalogue.points.iter().map(|p| (p.tag.as_str(), p)).collect();
        let mut faults = Vec::new();
        for row in self.rows.iter().filter(|row| row.limit.kind != LimitKind::Offline) {
            match points.get(row.tag.as_str()) {
                None => {
                    faults.push(self.fault(row, "tag", &row.tag, LimitTrouble::UnknownTag));
                }
                Some(point) if row.limit.kind.is_level() => {
                    self.check_range(row, point, &mut faults);
                }
                Some(_) => {}
            }
        }
        faults
    }

    fn check_range(&self, row: &LimitRow, point: &Point, faults: &mut Vec<LimitFault>) {
        let PointLimit { limit, deadband, kind, .. } = row.limit;
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

    fn fault(
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
        with_stale(&mut limits, point);
        limits
    }

    /// The alarms of one gateway: every limit of the file whose tag the catalogue knows, STALE
    /// for every point and OFFLINE for the gateway.
    #[must_use]
    pub fn plan(
        &self,
        gateway_name: &str,
        gateway: GatewayRef,
        catalogue: &Catalogue,
        point_ref_of: &dyn Fn(u32) -> PointRef,
        revision: Revision,
    ) -> Vec<AlarmSpec> {
        let mut by_tag: BTreeMap<&str, Vec<PointLimit>> = BTreeMap::new();
        for row in &self.rows {
            by_tag.entry(row.tag.as_str()).or_default().push(row.limit.clone());
        }
        let mut seen = BTreeSet::new();
        let mut alarms = Vec::new();
        for (index, point) in (0_u32..).zip(&catalogue.points) {
            let tag = point.tag.as_str();
            if !seen.insert(tag) {
                continue;
            }
            let mut limits = by_tag.remove(tag).unwrap_or_default();
            with_stale(&mut limits, point);
            let times = times_of(point);
            let subject = Subject::Point(point_ref_of(index));
            for limit in limits {
                let key = format!("{gateway_name}/{tag}/{}", limit.kind.key());
                alarms.push(spec(key, subject, gateway, &limit, times, revision));
            }
        }
        let offline = by_tag
            .remove("")
            .and_then(|rows| rows.into_iter().find(|r| r.kind == LimitKind::Offline))
            .unwrap_or_else(|| silence(LimitKind::Offline, OFFLINE_DEFAULT_MS));
        let key = format!("{gateway_name}//{}", LimitKind::Offline.key());
        let subject = Subject::Gateway(gateway);
        alarms.push(spec(key, subject, gateway, &offline, TimeRules::default(), revision));
        alarms
    }
}

fn with_stale(limits: &mut Vec<PointLimit>, point: &Point) {
    limits.sort_by_key(|limit| limit.kind);
    if !limits.iter().any(|limit| limit.kind == LimitKind::Stale) {
        let delays = limits.iter().map(|l| l.on_delay_ms.max(l.off_delay_ms)).max().unwrap_or(0);
        limits.push(silence(LimitKind::Stale, default_stale_ms(point).max(delays)));
    }
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
    }
}

fn times_of(point: &Point) -> TimeRules {
    let rules = TimeRules::default();
    let live_ms = rules.live_ms.max(LIVE_PERIODS * i64::from(point.period_ms));
    TimeRules { live_ms, ..rules }
}

fn spec(
    key: String,
    subject: Subject,
    gateway: GatewayRef,
    row: &PointLimit,
    times: TimeRules,
    revision: Revision,
) -> AlarmSpec {
    let PointLimit { limit, deadband, .. } = *row;
    let after_ms = milliseconds(limit).unwrap_or(OFFLINE_DEFAULT_MS);
    let condition = match row.kind {
        LimitKind::HighHigh => Condition::High { limit, deadband, level: Level::Second },
        LimitKind::High => Condition::High { limit, deadband, level: Level::First },
        LimitKind::Low => Condition::Low { limit, deadband, level: Level::First },
        LimitKind::LowLow => Condition::Low { limit, deadband, level: Level::Second },
        LimitKind::Stale => Condition::Stale { after_ms },
        LimitKind::Offline => Condition::GatewayOffline { after_ms },
    };
    AlarmSpec {
        key,
        subject,
        gateway,
        condition,
        on_delay_ms: row.on_delay_ms,
        off_delay_ms: row.off_delay_ms,
        priority: row.priority,
        lifecycle: Lifecycle { latch: row.latch, ..Lifecycle::default() },
        times,
        revision,
        statutory: false,
        suppressed_by: None,
    }
}
