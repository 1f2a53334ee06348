//! Whether more is announced than people can answer: declared and ended by rule, in the journal.

use fengsui_alerting::flood::{Flood, FloodChange, FloodRules, Told};
use fengsui_alerting::{Action, Cause};
use fengsui_store::{AlarmJournal, JournalRow, RowKind, StoreError};
use fengsui_telemetry::TimeMs;

use super::AlarmLoop;
use super::recorder::Unrecorded;
use crate::desk::DeskInput;
use crate::note::Note;

/// The journal's word.
const CAUSE: &str = "flood";
/// Rows looked through at a start for what was announced lately.
const LOOKED_MAX: usize = 70_000;

/// The watch as it was: what the journal says was announced within the window.
///
/// # Errors
/// The journal cannot be read.
pub fn restored(
    journal: &AlarmJournal,
    window_ms: Option<i64>,
    now: TimeMs,
) -> Result<Flood, StoreError> {
    let usual = FloodRules::default();
    let rules = FloodRules { window_ms: window_ms.unwrap_or(usual.window_ms), ..usual };
    let mut flood = Flood::new(rules);
    let lately = now - rules.window_ms;
    let mut rows = journal.newest(LOOKED_MAX)?;
    rows.reverse();
    for stored in rows.iter().filter(|stored| stored.row.ti > lately) {
        let row = &stored.row;
        let again = row.cause == Cause::ReAlarm.word();
        if row.kind == RowKind::Alarm && row.to == 'B' && (row.from != 'B' || again) {
            flood.told(Told::Announced, row.ti);
        }
    }
    Ok(flood)
}

impl AlarmLoop {
    /// Counts what is announced; rows for the journal where a flood begins or ends.
    pub(super) fn watch_flood(&mut self, actions: &[Action], now: TimeMs) -> Vec<JournalRow> {
        let mut changes = Vec::new();
        for action in actions {
            let told = match action {
                Action::Annunciate { .. } => Told::Announced,
                Action::Record(row) if row.flags.late && row.cause == Cause::On => {
                    let over = row.bounds.is_some_and(|bounds| bounds.off.is_some());
                    if over { Told::LateAndOver } else { continue }
                }
                Action::Record(_)
                | Action::Silence { .. }
                | Action::Chime { .. }
                | Action::Recall { .. } => continue,
            };
            changes.extend(self.flood.told(told, now));
        }
        self.flood_rows(changes, now)
    }

    /// A flood may end without anything being told.
    pub(super) fn end_flood(&mut self, now: TimeMs) {
        if self.flood.wake_at().is_none_or(|at| at > now) {
            return;
        }
        let changes = self.flood.tick(now).into_iter().collect();
        let rows = self.flood_rows(changes, now);
        if !rows.is_empty() {
            let inputs = self.chunk();
            self.recorder.record(Unrecorded { rows, raised: 0, inputs, change: 0, reply: None });
        }
    }

    fn flood_rows(&mut self, changes: Vec<FloodChange>, now: TimeMs) -> Vec<JournalRow> {
        if !changes.is_empty() {
            self.tell(DeskInput::Flood(self.flood.since()));
        }
        let row = |change: FloodChange| {
            let (id, comment, body) = match change {
                FloodChange::Began { at } => (
                    format!("{CAUSE}/{}", at.0),
                    "报警泛滥开始 / an alarm flood begins".to_owned(),
                    serde_json::json!({ "began": at.0 }),
                ),
                FloodChange::Ended { at, announced } => (
                    format!("{CAUSE}/{}/end", at.0),
                    format!(
                        "报警泛滥结束，共 {announced} 条 / the flood has ended, {announced} announcements"
                    ),
                    serde_json::json!({ "ended": at.0, "announced": announced }),
                ),
            };
            let body = Some(body.to_string());
            Note { id, cause: CAUSE, comment, body, ..Note::default() }.row(now)
        };
        changes.into_iter().map(row).collect()
    }
}
