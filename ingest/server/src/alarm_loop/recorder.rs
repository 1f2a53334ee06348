//! Rows to the journal, then samples to the series store, in this order and never the reverse.
//!
//! - A journal that fails keeps its rows here and is tried again. When [`UNRECORDED_MAX`] rows
//!   wait, the process ends: journal and gateways hold what is needed to come to the same state.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use fengsui_alerting::Row;
use fengsui_store::{AlarmJournal, Intake, JournalRow, RowKind, SeriesStore, StoreError};
use tokio::sync::mpsc;
use tracing::{error, warn};

use super::INPUTS_MAX;
use crate::clock;
use crate::counters::{Counters, add};
use crate::desk::DeskInput;

/// Rows that wait for a failing journal.
const UNRECORDED_MAX: usize = 200_000;
/// Between two tries of a failing journal.
const RETRY: Duration = Duration::from_secs(1);

/// What the intake learns when records are durable, or are not.
#[derive(Debug)]
pub struct Stored {
    /// Whose.
    pub gateway: usize,
    /// Which life of its spool.
    pub epoch: u64,
    /// Which records.
    pub offsets: Vec<(u64, u64)>,
    /// True: committed.
    pub durable: bool,
}

/// What waits for the journal: rows, and the samples that caused them.
pub(super) struct Unrecorded {
    pub(super) rows: Vec<JournalRow>,
    pub(super) intake: Option<(usize, Intake)>,
    pub(super) change: u64,
}

/// The way of rows and samples to the disk.
pub struct Recorder {
    journal: AlarmJournal,
    series: SeriesStore,
    desk: mpsc::Sender<DeskInput>,
    stored: mpsc::Sender<Stored>,
    counters: Arc<Counters>,
    failed: Receiver<Unrecorded>,
    failed_in: SyncSender<Unrecorded>,
    waiting: VecDeque<Unrecorded>,
    retry_at: Option<Instant>,
}

impl Recorder {
    /// Over the two databases; tells desk and intake what became of it.
    #[must_use]
    pub fn new(
        journal: AlarmJournal,
        series: SeriesStore,
        desk: mpsc::Sender<DeskInput>,
        stored: mpsc::Sender<Stored>,
        counters: Arc<Counters>,
    ) -> Self {
        let (failed_in, failed) = sync_channel(INPUTS_MAX);
        let waiting = VecDeque::new();
        Self { journal, series, desk, stored, counters, failed, failed_in, waiting, retry_at: None }
    }

    /// Rows wait for the journal.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Stores samples that caused no row.
    pub fn store(&self, gateway: usize, intake: Intake) {
        store(&self.series, &self.stored, &self.counters, gateway, intake);
    }

    /// Records rows; the samples that caused them are stored when they are in the journal.
    pub(super) fn record(&mut self, unrecorded: Unrecorded) {
        if !self.waiting.is_empty() {
            self.waiting.push_back(unrecorded);
            return self.limit_waiting();
        }
        let Unrecorded { rows, intake, change } = unrecorded;
        let copy = rows.clone();
        let (series, stored, counters) =
            (self.series.clone(), self.stored.clone(), self.counters.clone());
        let (desk, failed) = (self.desk.clone(), self.failed_in.clone());
        let held = intake.clone();
        let done = move |answer: Result<Vec<Option<u64>>, StoreError>| match answer {
            Ok(seqs) => {
                add(&counters.journaled, seqs.iter().flatten().count() as u64);
                let seq = seqs.iter().flatten().max().copied();
                if desk.try_send(DeskInput::Recorded { change, seq }).is_err() {
                    warn!("the desk was not told that a change is recorded");
                }
                if let Some((gateway, intake)) = intake {
                    store(&series, &stored, &counters, gateway, intake);
                }
            }
            Err(fault) => {
                add(&counters.failed_commits, 1);
                error!(%fault, "the alarm journal does not record; trying again");
                if failed.try_send(Unrecorded { rows: copy, intake, change }).is_err() {
                    error!("too many unrecorded changes; ending so that the journal replays");
                    std::process::abort();
                }
            }
        };
        let kept = rows.clone();
        if self.journal.append(rows, Box::new(done)).is_err() {
            self.waiting.push_back(Unrecorded { rows: kept, intake: held, change });
            self.retry_at.get_or_insert(clock::monotonic() + RETRY);
            self.limit_waiting();
        }
    }

    fn limit_waiting(&self) {
        let rows: usize = self.waiting.iter().map(|waiting| waiting.rows.len()).sum();
        if rows > UNRECORDED_MAX {
            error!(rows, "the journal has not recorded for too long; ending so that it replays");
            std::process::abort();
        }
    }

    /// Tries again at once.
    pub fn retry_now(&mut self) {
        self.retry_at = Some(clock::monotonic());
        self.retry();
    }

    /// Tries again what failed, if it is time.
    pub fn retry(&mut self) {
        while let Ok(unrecorded) = self.failed.try_recv() {
            self.waiting.push_back(unrecorded);
            self.retry_at.get_or_insert(clock::monotonic() + RETRY);
        }
        if self.retry_at.is_none_or(|at| clock::monotonic() < at) {
            return;
        }
        self.retry_at = None;
        for unrecorded in std::mem::take(&mut self.waiting) {
            self.record(unrecorded);
        }
    }
}

/// A row of the engine as the journal keeps it.
#[must_use]
pub fn journal_row(row: &Row, key: &str) -> JournalRow {
    JournalRow {
        id: row.id.clone(),
        alarm: key.to_owned(),
        kind: RowKind::Alarm,
        ti: row.ti,
        te: row.te,
        from: row.from.as_char(),
        to: row.to.as_char(),
        occurrence: row.occurrence,
        te_on: row.bounds.map(|bounds| bounds.on),
        te_off: row.bounds.and_then(|bounds| bounds.off),
        cause: row.cause.word().to_owned(),
        flags: row.flags.words(),
        value: row.value,
        by: row.by.clone(),
        comment: row.comment.clone(),
        request: row.command.as_ref().map(|c| c.request.clone()).unwrap_or_default(),
        command: row.command.as_ref().map(crate::commands::to_json),
        revision: row.revision.0,
    }
}

/// Hands samples to the series store; its answer goes to the intake, which acknowledges.
fn store(
    series: &SeriesStore,
    stored: &mpsc::Sender<Stored>,
    counters: &Arc<Counters>,
    gateway: usize,
    intake: Intake,
) {
    let (epoch, offsets) = (intake.epoch, intake.offsets.clone());
    let notice = move |durable| Stored { gateway, epoch, offsets: offsets.clone(), durable };
    let (tell, count, again) = (stored.clone(), counters.clone(), notice.clone());
    let done = move |answer: Result<u64, StoreError>| {
        if let Err(fault) = &answer {
            add(&count.failed_commits, 1);
            warn!(%fault, "samples not stored; the gateway offers them again");
        }
        // The writer may wait here: the intake drains this queue before it takes messages.
        if tell.blocking_send(notice(answer.is_ok())).is_err() {
            warn!("stored samples were not acknowledged: the intake has ended");
        }
    };
    if series.append(intake, Box::new(done)).is_err() {
        add(&counters.shed, 1);
        if stored.try_send(again(false)).is_err() {
            warn!("a full store was not reported to the intake");
        }
    }
}
