//! Facts beside the alarms in the same journal: commands, calls, closures, changes of limits.
//!
//! - One hash chain for everything: what was done about an alarm stands beside it.
//! - The id is the fact: the same one again is dropped, so a repeat after a kill does no harm.

use fengsui_store::{AlarmJournal, JournalRow, RowKind, StoreError};
use fengsui_telemetry::TimeMs;
use tokio::sync::oneshot;

/// What a note says. `cause` is one word: `audit`, `call`, `closure`, `limits`, `roster`,
/// `canary`, `flood`, `no_longer_judged`.
#[derive(Clone, Debug, Default)]
pub struct Note {
    /// Same fact, same id.
    pub id: String,
    /// What kind of fact.
    pub cause: &'static str,
    /// The alarm's key; empty where there is none.
    pub alarm: String,
    /// Its occurrence.
    pub occurrence: u64,
    /// Who.
    pub by: Option<String>,
    /// In words.
    pub comment: String,
    /// The whole of it, JSON.
    pub body: Option<String>,
}

impl Note {
    /// As the journal keeps it.
    #[must_use]
    pub fn row(self, now: TimeMs) -> JournalRow {
        JournalRow {
            id: self.id,
            kind: RowKind::System,
            alarm: self.alarm,
            ti: now,
            te: None,
            from: 'A',
            to: 'A',
            occurrence: self.occurrence,
            te_on: None,
            te_off: None,
            cause: self.cause.to_owned(),
            flags: String::new(),
            value: None,
            by: self.by,
            comment: self.comment,
            request: String::new(),
            command: self.body,
            revision: 0,
        }
    }
}

/// Records notes in one transaction and waits for the disk; for each its seq, or none where it was
/// recorded before.
///
/// # Errors
/// The journal does not record: whoever asked must be told so.
pub async fn record(
    journal: &AlarmJournal,
    notes: Vec<Note>,
    now: TimeMs,
) -> Result<Vec<Option<u64>>, RecordFault> {
    let rows = notes.into_iter().map(|note| note.row(now)).collect();
    let (tell, told) = oneshot::channel();
    let done = move |answer: Result<Vec<Option<u64>>, StoreError>| {
        // Who asked may have gone.
        tell.send(answer).ok();
    };
    journal.append(rows, Box::new(done)).map_err(|_| RecordFault::Full)?;
    Ok(told.await.map_err(|_| RecordFault::Stopped)??)
}

/// Why a note was not recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecordFault {
    /// The journal's queue is full.
    #[error("日志队列已满，请重试 (the journal's queue is full: try again)")]
    Full,
    /// The journal's writer has ended.
    #[error("日志已停止 (the journal's writer has ended)")]
    Stopped,
    /// The disk.
    #[error(transparent)]
    Store(#[from] StoreError),
}
