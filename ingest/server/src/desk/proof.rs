//! Why quiet may be believed, for a page that shows nothing.

use fengsui_telemetry::Point;
use serde::Serialize;

/// Why quiet may be believed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Proof {
    /// Age of the newest sample, ms.
    pub data_age_ms: Option<i64>,
    /// Points in force, and those that have limits and are in no catalogue.
    pub points: usize,
    /// Points with a number that is fresh.
    pub reporting: usize,
    /// Points without, and those with a limit that is not judged as it is meant.
    pub blind: usize,
    /// Limits in force that are not judged, or not as they are meant.
    pub misfits: usize,
    /// Gateways that must be heard.
    pub gateways: usize,
    /// Gateways that are.
    pub gateways_online: usize,
    /// The journal records.
    pub journal_ok: bool,
    /// Changes shown before they were recorded.
    pub unrecorded: usize,
    /// A canary came through engine, journal and desk lately: an alarm would as well.
    pub engine_ok: bool,
    /// How long ago, ms.
    pub canary_age_ms: Option<u64>,
    /// How long it took, ms.
    pub canary_ms: Option<u64>,
    /// The watchdog asks; none where none is expected.
    pub watchdog_ok: Option<bool>,
}

/// Three scans may be lost before a point is no longer seen, and ten seconds at least; one that is
/// reported by exception may be quiet before that.
const FRESH_PERIODS: i64 = 3;
/// The shortest time that counts, ms.
const FRESH_MIN_MS: i64 = 10_000;

/// True while a sample of this age says what the point says now.
pub(super) fn is_fresh(point: &Point, age_ms: i64) -> bool {
    let scans_ms = FRESH_PERIODS * i64::from(point.period_ms);
    let quiet_ms = match point.silence_ms {
        0 => 0,
        silence_ms => i64::from(silence_ms) + scans_ms,
    };
    age_ms <= scans_ms.max(FRESH_MIN_MS).max(quiet_ms)
}

#[cfg(test)]
mod tests {
    use fengsui_telemetry::Tag;

    use super::*;

    fn point(period_ms: u32, silence_ms: u32) -> Point {
        Point {
            tag: Tag::parse("TK-101.TT").unwrap(),
            name: String::new(),
            unit: "℃".into(),
            low: 0.0,
            high: 100.0,
            installation: 0,
            equipment: String::new(),
            period_ms,
            silence_ms,
            signal: "temperature".into(),
        }
    }

    #[test]
    fn a_point_reported_by_exception_is_seen_through_its_silence_and_blind_after_it() {
        let quiet = point(1_000, 300_000);
        assert!(is_fresh(&quiet, 10_001) && is_fresh(&quiet, 303_000));
        assert!(!is_fresh(&quiet, 303_001), "a sample was due by then");
    }

    #[test]
    fn a_point_that_sends_every_sample_is_blind_after_three_periods() {
        assert!(is_fresh(&point(1_000, 0), 10_000) && !is_fresh(&point(1_000, 0), 10_001));
        assert!(is_fresh(&point(20_000, 0), 60_000) && !is_fresh(&point(20_000, 0), 60_001));
    }
}
