//! When the centre lived: rows of the journal that tell time in which nobody watched from quiet.
//!
//! - A start says when it was, and when the centre before it was last known to live. Between the
//!   two nobody watched, however the end came about.
//! - A loop that stood still says so as soon as it goes on.
//! - What is older than the first such row is not known to have been watched.

use fengsui_alerting::kpi::Moments;
use fengsui_store::{AlarmJournal, JournalReader, JournalRow, StoreError};
use fengsui_telemetry::TimeMs;
use serde::{Deserialize, Serialize};
use tracing::error;

use crate::note::Note;

/// The journal's word for them.
const CAUSE: &str = "centre";
/// Rows of one page.
const PAGE: usize = 500;
/// Starts and stops that a report looks at; beyond it earlier time is unknown.
const EVENTS_MAX: usize = 100_000;

/// What such a row says, ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Life {
    /// The centre began.
    Start { at: i64, alive_until: Option<i64> },
    /// It stood still.
    Stood { from: i64, to: i64 },
}

fn row(life: Life, id: String, comment: String, now: TimeMs) -> JournalRow {
    let body = serde_json::to_string(&life).ok();
    Note { id, cause: CAUSE, comment, body, ..Note::default() }.row(now)
}

/// When the centre before this one was last known to live; to be asked before anything is
/// written.
///
/// # Errors
/// The journal cannot be read.
pub fn last_alive(journal: &AlarmJournal) -> Result<Option<TimeMs>, StoreError> {
    journal.reader()?.alive()
}

/// Records a start. Nobody waits for it: a journal that does not take it leaves time unknown.
pub fn began(journal: &AlarmJournal, alive_until: Option<TimeMs>, now: TimeMs) {
    let life = Life::Start { at: now.0, alive_until: alive_until.map(|at| at.0) };
    let comment = "中心启动 / the centre starts".to_owned();
    let row = row(life, format!("{CAUSE}/start/{}", now.0), comment, now);
    let done = |answer: Result<_, StoreError>| {
        if let Err(fault) = answer {
            error!(%fault, "the start was not recorded: reports do not know this time");
        }
    };
    if journal.append(vec![row], Box::new(done)).is_err() {
        error!("the start was not recorded: reports do not know this time");
    }
}

/// The row of a loop that stood still.
#[must_use]
pub fn stood(from: TimeMs, to: TimeMs) -> JournalRow {
    let life = Life::Stood { from: from.0, to: to.0 };
    let comment = "中心曾停顿 / the centre stood still".to_owned();
    row(life, format!("{CAUSE}/stood/{}", to.0), comment, to)
}

/// The time that was watched, up to `as_of`: when the centre that writes is last known to live.
///
/// # Errors
/// The journal cannot be read.
pub(super) fn watched(
    journal: &JournalReader,
    from: TimeMs,
    as_of: TimeMs,
) -> Result<Moments, StoreError> {
    let mut events = Vec::new();
    let mut before = u64::MAX;
    'pages: while events.len() < EVENTS_MAX {
        let page = journal.of_cause(CAUSE, before, PAGE)?;
        let Some(oldest) = page.last() else { break };
        before = oldest.seq;
        for stored in &page {
            let body = stored.row.command.as_deref().unwrap_or_default();
            let Ok(life) = serde_json::from_str(body) else { continue };
            events.push(life);
            if matches!(life, Life::Start { at, .. } if at <= from.0) {
                break 'pages;
            }
        }
    }
    Ok(from_events(&events, as_of))
}

/// From events, the newest first.
fn from_events(events: &[Life], as_of: TimeMs) -> Moments {
    let (mut lived, mut stood) = (Vec::new(), Vec::new());
    let mut until = Some(as_of);
    for event in events {
        match *event {
            Life::Start { at, alive_until } => {
                lived.extend(until.map(|until| (TimeMs(at), until)));
                until = alive_until.map(|alive| TimeMs(alive.min(at)));
            }
            Life::Stood { from, to } => stood.push((TimeMs(from), TimeMs(to))),
        }
    }
    Moments::of(lived).without(&Moments::of(stood))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_between_the_last_sign_of_life_and_the_next_start_is_not_watched() {
        let events = [
            Life::Start { at: 900, alive_until: Some(700) },
            Life::Stood { from: 500, to: 600 },
            Life::Start { at: 200, alive_until: None },
        ];
        let watched = from_events(&events, TimeMs(1_000));
        let wanted = [(200, 500), (600, 700), (900, 1_000)].map(|(a, b)| (TimeMs(a), TimeMs(b)));
        assert_eq!(watched, Moments::of(wanted));
        assert_eq!(from_events(&[], TimeMs(1_000)), Moments::default(), "nobody has said so");
    }
}
