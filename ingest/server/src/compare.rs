//! The journal of a gateway beside ours: where both engines began an alarm, and where only one did.

use fengsui_alerting::Cause;
use fengsui_alerting::compare::{Began, Comparison, comparable, compare};
use fengsui_store::{JournalReader, LocalRow, RowKind, StoreError, StoredRow};
use fengsui_telemetry::{Revision, TimeMs};
use serde_json::{Value, json};

use crate::stamp::Stamp;

/// Changes of one gateway that are compared at once: a day of a flood. Beyond it the answer says
/// that it is cut, and ends where the reading ended.
pub const CHANGES_MAX: usize = 200_000;
/// Rows of the journal that are read at once.
const PAGE: usize = 2_000;
/// A held value is judged with up to two seconds of lag on either side.
pub const APART_MS: i64 = 5_000;
/// What is younger may be on its way.
pub const SETTLED_MS: i64 = 60_000;

/// Compares what a gateway sent with what stands in the journal.
///
/// # Errors
/// The journal cannot be read.
pub fn of_gateway(
    journal: &JournalReader,
    gateway: &str,
    locals: &[LocalRow],
    (from, to): (TimeMs, TimeMs),
) -> Result<Comparison, StoreError> {
    let on = Cause::On.word();
    let theirs: Vec<Began> = locals
        .iter()
        .filter(|local| local.why == on && comparable(&local.alarm))
        .map(|local| Began {
            alarm: local.alarm.clone(),
            te: local.te,
            revision: Revision(local.revision),
            covered: false,
        })
        .collect();
    let mut ours = Vec::new();
    let mut after = 0;
    loop {
        let page = journal.page(after, PAGE)?;
        let Some(last) = page.last() else { break };
        after = last.seq;
        ours.extend(page.iter().filter_map(|stored| began(stored, gateway, from, to)));
    }
    Ok(compare(&theirs, &ours, APART_MS))
}

fn began(stored: &StoredRow, gateway: &str, from: TimeMs, to: TimeMs) -> Option<Began> {
    let row = &stored.row;
    let te = row.te.filter(|te| *te >= from && *te < to)?;
    let of_gateway = row.alarm.split('/').next() == Some(gateway);
    let counts = row.kind == RowKind::Alarm && row.cause == Cause::On.word();
    (of_gateway && counts && comparable(&row.alarm)).then(|| Began {
        alarm: row.alarm.clone(),
        te,
        revision: Revision(row.revision),
        covered: row.from == row.to,
    })
}

/// As API and command line show it.
#[must_use]
pub fn as_json(
    gateway: &str,
    (from, to): (TimeMs, TimeMs),
    cut: bool,
    found: &Comparison,
    stamp: &Stamp,
) -> Value {
    let alone: Vec<Value> = found
        .alone
        .iter()
        .map(|(side, began)| {
            json!({
                "only": side.word(), "alarm": began.alarm, "began": stamp.rfc3339(began.te),
                "limits": began.revision.to_string(),
            })
        })
        .collect();
    json!({
        "gateway": gateway, "from": stamp.rfc3339(from), "to": stamp.rfc3339(to), "cut": cut,
        "same": found.same, "alone": alone, "agree": agree(found, cut),
    })
}

/// None where there is nothing that could agree, or not all was read.
#[must_use]
pub fn agree(found: &Comparison, cut: bool) -> Option<bool> {
    if !found.alone.is_empty() {
        return Some(false);
    }
    (found.same > 0 && !cut).then_some(true)
}
