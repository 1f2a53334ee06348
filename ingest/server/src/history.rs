//! Occurrences as the journal tells them: for trends, and for comparing with other counts.

use std::collections::BTreeMap;

use fengsui_alerting::{Cause, Letter};
use fengsui_store::{RowKind, StoredRow};
use fengsui_telemetry::TimeMs;

/// One occurrence: from, to (none while it lasts), and whether late data brought it.
pub type Span = (TimeMs, Option<TimeMs>, bool);

/// The confirmed occurrences of one alarm, in order of their beginning. `rows` are its journal
/// rows in any order.
#[must_use]
pub fn occurrences(rows: &[StoredRow]) -> Vec<Span> {
    let mut sorted: Vec<&StoredRow> = rows.iter().collect();
    sorted.sort_by_key(|row| row.seq);
    let mut by_number: BTreeMap<u64, Span> = BTreeMap::new();
    for stored in sorted {
        let row = &stored.row;
        let late = row.flags.split(' ').any(|flag| flag == "late");
        let (Some(cause), Some(on)) = (Cause::from_word(&row.cause), row.te_on) else { continue };
        match cause {
            Cause::On | Cause::Off | Cause::Revised => {
                let late = late || by_number.get(&row.occurrence).is_some_and(|span| span.2);
                by_number.insert(row.occurrence, (on, row.te_off, late));
            }
            Cause::Refuted => {
                by_number.remove(&row.occurrence);
            }
            Cause::Acknowledged
            | Cause::StaleAcknowledgement
            | Cause::Reset
            | Cause::Refused
            | Cause::Shelved
            | Cause::Unshelved
            | Cause::Suppressed
            | Cause::Unsuppressed
            | Cause::OutOfService
            | Cause::InService
            | Cause::ReAlarm
            | Cause::Duplicate
            | Cause::FutureStamp
            | Cause::History
            | Cause::NoLongerJudged
            | Cause::JudgedAgain => {}
        }
    }
    let mut spans: Vec<Span> = by_number.into_values().collect();
    spans.sort_unstable();
    spans
}

/// The letter that an alarm's newest row shows; notes about it show none.
#[must_use]
pub fn letter(rows: &[StoredRow]) -> Letter {
    let told = rows.iter().filter(|row| row.row.kind == RowKind::Alarm);
    let newest = told.max_by_key(|row| row.seq);
    newest.and_then(|row| Letter::from_char(row.row.to)).unwrap_or(Letter::A)
}
