//! Hidden dangers as the figures count them: opened, due, done.

use std::collections::BTreeMap;

use fengsui_alerting::closure::{Row, Step};
use fengsui_alerting::kpi::Disposal;
use fengsui_store::{JournalReader, StoreError};
use fengsui_telemetry::TimeMs;

/// Rows of one page.
const PAGE: usize = 1_000;
/// Cases looked at, the newest first; what is older was closed or is in an older report.
const CASES_MAX: usize = 100_000;

#[derive(Default)]
struct Case {
    opened: Option<TimeMs>,
    /// The newest date, by number of its step.
    due: Option<(u64, TimeMs)>,
    done: Option<TimeMs>,
}

/// Every case with what was known of it before `to`.
pub(super) fn disposals(journal: &JournalReader, to: TimeMs) -> Result<Vec<Disposal>, StoreError> {
    let mut cases: BTreeMap<String, Case> = BTreeMap::new();
    let mut before = u64::MAX;
    while cases.len() < CASES_MAX {
        let page = journal.of_cause("closure", before, PAGE)?;
        let Some(oldest) = page.last() else { break };
        before = oldest.seq;
        for stored in page.iter().filter(|stored| stored.row.ti < to) {
            let at = stored.row.ti;
            let body = stored.row.command.as_deref().unwrap_or_default();
            let Ok(row) = Row::from_json(body) else { continue };
            let case = cases.entry(row.case).or_default();
            match row.step {
                Step::Find { .. } => case.opened = Some(at),
                Step::Dispatch { deadline, .. } | Step::Extend { deadline, .. } => {
                    let newer = case.due.is_none_or(|(number, _)| number < row.number);
                    case.due = if newer { Some((row.number, TimeMs(deadline))) } else { case.due };
                }
                Step::Close { .. } | Step::NotADanger { .. } => case.done = Some(at),
                Step::Confirm { .. }
                | Step::Grade { .. }
                | Step::Feedback { .. }
                | Step::Accept { .. }
                | Step::Return { .. } => {}
            }
        }
    }
    let disposal = |case: Case| {
        let due = case.due.map(|(_, due)| due);
        case.opened.map(|opened| Disposal { opened, due, done: case.done })
    };
    Ok(cases.into_values().filter_map(disposal).collect())
}
