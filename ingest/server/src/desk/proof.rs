//! Why quiet may be believed, for a page that shows nothing.

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
