//! What the journal tells since the engine's snapshot.

use std::collections::HashMap;

use fengsui_alerting::{GatewayRef, Told, ToldOccurrence};
use fengsui_store::{AlarmJournal, JournalRow, RowKind, StoreError};
use fengsui_telemetry::Revision;

/// Rows that are read at once.
const PAGE: usize = 5_000;

/// What the rows above `after` leave of each alarm that they are about.
///
/// # Errors
/// The journal cannot be read.
pub(super) fn since(
    journal: &AlarmJournal,
    after: u64,
    gateway: &dyn Fn(&str) -> GatewayRef,
) -> Result<Vec<Told>, StoreError> {
    let mut told: HashMap<String, Told> = HashMap::new();
    let mut at = after;
    loop {
        let page = journal.page(at, PAGE)?;
        let Some(last) = page.last() else { break };
        at = last.seq;
        for stored in &page {
            let row = &stored.row;
            if row.kind == RowKind::Alarm {
                take(told.entry(row.alarm.clone()).or_insert_with(|| fresh(row, gateway)), row);
            }
        }
    }
    Ok(told.into_values().collect())
}

fn fresh(row: &JournalRow, gateway: &dyn Fn(&str) -> GatewayRef) -> Told {
    let (name, _) = row.alarm.split_once('/').unwrap_or((&row.alarm, ""));
    Told {
        key: row.alarm.clone(),
        gateway: gateway(name),
        highest: 0,
        stands: None,
        revision: Revision(row.revision),
    }
}

fn take(told: &mut Told, row: &JournalRow) {
    told.highest = told.highest.max(row.occurrence);
    told.revision = Revision(row.revision);
    let stands = || ToldOccurrence {
        number: row.occurrence,
        on: row.te_on.or(row.te).unwrap_or(row.ti),
        known: row.ti,
        value: row.value,
    };
    told.stands = (row.to != 'A' && row.occurrence > 0).then(stands);
}
