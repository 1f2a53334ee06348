//! How one gateway does, as screens show it.

use fengsui_telemetry::wire::Storage;
use fengsui_telemetry::{Revision, TimeMs};
use serde::Serialize;

use crate::stamp::Stamp;

/// How one gateway does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GatewayState {
    /// Its name.
    pub gateway: String,
    /// Its enterprise, as far as known.
    pub enterprise: String,
    /// `online`, `offline` or `never_seen`.
    pub state: &'static str,
    /// When it was last heard.
    pub last_heard: Option<TimeMs>,
    /// Its points.
    pub points: usize,
    /// Records that it has and the centre has not.
    pub backlog: u64,
    /// Its clock less ours, ms.
    pub clock_skew_ms: Option<i64>,
    /// Records that are not kept anywhere.
    pub gaps: u64,
    /// Its limits differ from the centre's.
    pub limits_differ: bool,
    /// The limits by which it judges; none: it was not heard.
    pub limits_running: Option<Revision>,
    /// Why it refused the last limits that it was sent; empty = it did not.
    pub limits_fault: String,
    /// How its disk does.
    pub storage: Storage,
    /// Why, in words; empty = it is well.
    pub storage_fault: String,
    /// Bytes of its spool, and how many it may have; 0 = not said.
    pub spool_bytes: u64,
    /// See `spool_bytes`.
    pub spool_quota: u64,
}

/// The wire form.
#[derive(Serialize)]
pub struct GatewayJson<'a> {
    gateway: &'a str,
    enterprise: &'a str,
    state: &'a str,
    last_heard: Option<String>,
    points: usize,
    blind: usize,
    backlog: u64,
    clock_skew_ms: Option<i64>,
    gaps: u64,
    limits_differ: bool,
    storage: &'static str,
    storage_fault: &'a str,
    spool_bytes: u64,
    spool_quota: u64,
}

impl GatewayState {
    /// Heard lately.
    #[must_use]
    pub fn is_online(&self) -> bool {
        self.state == "online"
    }

    /// A screen would look different.
    #[must_use]
    pub fn visibly_differs(&self, other: &Self) -> bool {
        self.state != other.state
            || self.points != other.points
            || self.gaps != other.gaps
            || self.limits_differ != other.limits_differ
            || self.storage != other.storage
            || backlog_shown(self.backlog) != backlog_shown(other.backlog)
            || self.enterprise != other.enterprise
    }

    /// As JSON says it.
    #[must_use]
    pub fn json<'a>(&'a self, stamp: &Stamp) -> GatewayJson<'a> {
        GatewayJson {
            gateway: &self.gateway,
            enterprise: &self.enterprise,
            state: self.state,
            last_heard: self.last_heard.map(|t| stamp.rfc3339(t)),
            points: self.points,
            blind: if self.is_online() { 0 } else { self.points },
            backlog: if backlog_shown(self.backlog) == 0 { 0 } else { self.backlog },
            clock_skew_ms: self.clock_skew_ms,
            gaps: self.gaps,
            limits_differ: self.limits_differ,
            storage: self.storage.word(),
            storage_fault: &self.storage_fault,
            spool_bytes: self.spool_bytes,
            spool_quota: self.spool_quota,
        }
    }
}

/// Some records are always on their way; a screen shows a backlog in steps of five hundred.
fn backlog_shown(records: u64) -> u64 {
    if records <= IN_FLIGHT { 0 } else { 1 + records / 500 }
}

/// Records on their way in ordinary running: what two seconds of a gateway make.
const IN_FLIGHT: u64 = 100;
