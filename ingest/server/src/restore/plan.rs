//! The plan that the engine's log was judged by, kept beside its snapshot.
//!
//! - Between the moment at which other limits, another catalogue or another list of gateways are
//!   written down and the engine's next snapshot, a kill leaves a log that other limits made. Played
//!   by the new ones it would make other occurrences under the same numbers.
//! - So the log is played by the plan that it was made by, and the engine then goes over to the plan
//!   in force, as it does while it runs.

use std::collections::BTreeMap;
use std::io::Read;

use fengsui_alerting::{Condition, GatewayRef, Plan};
use fengsui_telemetry::Revision;
use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::registry::Registry;

/// Fast; a plan is mostly repetition.
const LEVEL: i32 = 1;
/// Bytes of a plan, unpacked. Alarms are bounded, and one takes some four hundred.
const UNPACKED_MAX: u64 = 1 << 30;

/// A plan, and the gateways that it numbers.
#[derive(Debug, PartialEq, Deserialize)]
pub(crate) struct Kept {
    gateways: Vec<String>,
    /// The plan.
    pub(super) plan: Plan,
}

#[derive(Serialize)]
struct Keep<'a> {
    gateways: Vec<&'a str>,
    plan: &'a Plan,
}

/// The bytes of a plan: the same plan, the same bytes.
#[must_use]
pub(crate) fn encode(registry: &Registry, plan: &Plan) -> Vec<u8> {
    let gateways = registry.gateways.iter().map(|gateway| gateway.id.as_str()).collect();
    let pack = || -> anyhow::Result<Vec<u8>> {
        let mut packed = zstd::stream::write::Encoder::new(Vec::new(), LEVEL)?;
        serde_json::to_writer(&mut packed, &Keep { gateways, plan })?;
        Ok(packed.finish()?)
    };
    // Into memory: nothing there can fail. Without it a restart plays the log by its own plan.
    pack().inspect_err(|fault| warn!(%fault, "the plan cannot be kept")).unwrap_or_default()
}

/// The plan of some bytes; none where another version made them in another way.
#[must_use]
pub(crate) fn decode(bytes: &[u8]) -> Option<Kept> {
    let unpack = || -> anyhow::Result<Kept> {
        let mut text = Vec::new();
        zstd::stream::read::Decoder::new(bytes)?.take(UNPACKED_MAX).read_to_end(&mut text)?;
        Ok(serde_json::from_slice(&text)?)
    };
    unpack().inspect_err(|fault| warn!(%fault, "the saved plan cannot be read")).ok()
}

impl Kept {
    /// The number of each gateway, by name.
    #[must_use]
    pub(crate) fn numbers(&self) -> BTreeMap<String, GatewayRef> {
        self.gateways.iter().cloned().zip((0..).map(GatewayRef)).collect()
    }

    /// By which revision of its limits each gateway was judged.
    #[must_use]
    pub(crate) fn judged_by(&self) -> BTreeMap<String, Revision> {
        let judged = self
            .plan
            .alarms
            .iter()
            .filter(|alarm| !matches!(alarm.condition, Condition::Unset | Condition::Unjudged));
        let name = |gateway: GatewayRef| self.gateways.get(usize::try_from(gateway.0).ok()?);
        judged.filter_map(|alarm| Some((name(alarm.gateway)?.clone(), alarm.revision))).collect()
    }

    /// The number that the registry gives to a gateway of this plan. What the registry does not have
    /// any more comes behind all that it has.
    pub(crate) fn now(&self, registry: &Registry) -> impl Fn(GatewayRef) -> GatewayRef + use<> {
        let gone = GatewayRef(u32::try_from(registry.gateways.len()).unwrap_or(u32::MAX));
        let place = |name: &String| {
            let place = registry.gateways.iter().position(|gateway| gateway.id.as_str() == name);
            place.and_then(|place| u32::try_from(place).ok()).map_or(gone, GatewayRef)
        };
        let places: Vec<GatewayRef> = self.gateways.iter().map(place).collect();
        move |before| {
            let place = usize::try_from(before.0).ok();
            place.and_then(|place| places.get(place)).copied().unwrap_or(gone)
        }
    }
}
