//! What the journal tells since the engine's snapshot.

use std::collections::HashMap;

use fengsui_alerting::{Cause, Flags, GatewayRef, Letter, Told, ToldRow};
use fengsui_store::{AlarmJournal, JournalRow, RowKind, StoreError};
use fengsui_telemetry::{Revision, TimeMs};

/// Rows that are read at once.
const PAGE: usize = 5_000;

/// What a journal tells.
#[derive(Debug)]
pub(super) struct Since {
    /// Of each alarm.
    pub(super) told: Vec<Told>,
    /// When the newest row about an alarm was made.
    pub(super) newest: Option<TimeMs>,
}

/// What the rows above `after` leave of each alarm that they are about.
///
/// # Errors
/// The journal cannot be read.
pub(super) fn since(
    journal: &AlarmJournal,
    after: u64,
    gateway: &dyn Fn(&str) -> GatewayRef,
) -> Result<Since, StoreError> {
    let mut told: HashMap<String, Told> = HashMap::new();
    let (mut at, mut newest) = (after, None);
    loop {
        let page = journal.page(at, PAGE)?;
        let Some(last) = page.last() else { break };
        at = last.seq;
        for stored in &page {
            let row = &stored.row;
            if row.kind == RowKind::Alarm {
                let told = told.entry(row.alarm.clone()).or_insert_with(|| fresh(row, gateway));
                told.take(told_row(row));
                newest = newest.max(Some(row.ti));
            }
        }
    }
    Ok(Since { told: told.into_values().collect(), newest })
}

fn fresh(row: &JournalRow, gateway: &dyn Fn(&str) -> GatewayRef) -> Told {
    let (name, _) = row.alarm.split_once('/').unwrap_or((&row.alarm, ""));
    Told::of(&row.alarm, gateway(name))
}

/// A row as the engine reads it. Words that this version does not know change nothing but what the
/// letter says.
fn told_row(row: &JournalRow) -> ToldRow<'_> {
    ToldRow {
        ti: row.ti,
        te: row.te,
        to: Letter::from_char(row.to).unwrap_or(Letter::B),
        occurrence: row.occurrence,
        bounds: (row.te_on, row.te_off),
        cause: Cause::from_word(&row.cause).unwrap_or(Cause::JudgedAgain),
        late: Flags::from_words(&row.flags).is_some_and(|flags| flags.late),
        value: row.value,
        by: row.by.as_deref(),
        revision: Revision(row.revision),
    }
}
