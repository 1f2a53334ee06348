//! Limits in force that are not judged, or not as they are meant, as desk and pages show them.

use fengsui_alerting::limits::LimitKind;
use serde_json::{Value, json};

use crate::registry::{Gateway, Registry};

/// Misfits that are listed; `proof.misfits` counts them all.
const LISTED_MAX: usize = 200;

/// Of every gateway.
pub(super) fn json(registry: &Registry) -> Value {
    Value::Array(registry.gateways.iter().flat_map(each).take(LISTED_MAX).collect())
}

/// Of one gateway.
pub(super) fn of(gateway: &Gateway) -> Value {
    Value::Array(each(gateway).take(LISTED_MAX).collect())
}

/// Each with its alarm, its row and what is wrong with it.
fn each(gateway: &Gateway) -> impl Iterator<Item = Value> {
    gateway.misfits.iter().map(|misfit| {
        json!({
            "gateway": gateway.id.as_str(),
            "alarm": format!("{}/{}", gateway.id, misfit.name()),
            "tag": misfit.tag,
            "kind": misfit.kind.map(LimitKind::word),
            "row": misfit.row,
            "judged": misfit.judged,
            "zh": misfit.zh,
            "en": misfit.en,
        })
    })
}

/// For the page without script: one line each, Chinese first.
pub(super) fn lines(registry: &Registry) -> Vec<String> {
    let all = registry.gateways.iter().flat_map(|gateway| {
        gateway.misfits.iter().map(move |misfit| {
            let row = misfit.row.map_or(String::new(), |row| format!("（第 {row} 行 row）"));
            format!("{}/{}{row}：{}  |  {}", gateway.id, misfit.name(), misfit.zh, misfit.en)
        })
    });
    all.take(LISTED_MAX).collect()
}
