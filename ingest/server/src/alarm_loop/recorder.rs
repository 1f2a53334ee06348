//! Rows and inputs to the journal, samples to the series store.
//!
//! - The two do not wait for each other: whichever a kill leaves out, the other brings back.
//! - A journal that fails keeps its rows here and is tried again. When [`UNRECORDED_MAX`] rows
//!   wait, the process ends: the log and the gateways hold what is needed to come to the same state.

use std::collections::{BTreeMap, VecDeque};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use fengsui_alerting::Row;
use fengsui_store::{AlarmJournal, Inputs, Intake, JournalRow, RowKind, SeriesStore, StoreError};
use tokio::sync::mpsc;
use tracing::{error, warn};

use super::INPUTS_MAX;
use crate::clock;
use crate::counters::{Counters, add};
use crate::desk::DeskInput;
use crate::steps::{Step, reached};

/// Rows that wait for a failing journal.
const UNRECORDED_MAX: usize = 200_000;
/// Bytes of inputs that wait for it.
const UNRECORDED_BYTES: usize = 256 << 20;
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

/// Runs when the journal holds what a command did.
pub(super) type Reply = Box<dyn FnOnce() + Send>;

/// What waits for the journal: inputs, and the rows that came of them.
pub(super) struct Unrecorded {
    pub(super) rows: Vec<JournalRow>,
    /// How many of them, from the first on, the engine made; notes come after.
    pub(super) raised: usize,
    pub(super) inputs: Inputs,
    /// Which change of the desk; 0 for none.
    pub(super) change: u64,
    pub(super) reply: Option<Reply>,
}

/// Intakes on their way to the series store, counted by the chunk of the log that holds them.
type Unstored = Arc<Mutex<BTreeMap<u64, u64>>>;

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
    unstored: Unstored,
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
        Self {
            journal,
            series,
            desk,
            stored,
            counters,
            failed,
            failed_in,
            waiting,
            retry_at: None,
            unstored: Unstored::default(),
        }
    }

    /// Rows wait for the journal.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The oldest chunk of the log with samples that are not stored yet.
    #[must_use]
    pub fn oldest_unstored(&self) -> Option<u64> {
        lock(&self.unstored).keys().next().copied()
    }

    /// Stores samples; their inputs are in this chunk of the log.
    pub fn store(&self, gateway: usize, intake: Intake, chunk: u64) {
        *lock(&self.unstored).entry(chunk).or_default() += 1;
        let (epoch, offsets) = (intake.epoch, intake.offsets.clone());
        let notice = move |durable| Stored { gateway, epoch, offsets: offsets.clone(), durable };
        let (tell, count) = (self.stored.clone(), self.counters.clone());
        let (unstored, again) = (self.unstored.clone(), notice.clone());
        let done = move |answer: Result<u64, StoreError>| {
            if let Err(fault) = &answer {
                add(&count.failed_commits, 1);
                warn!(%fault, "samples not stored; the gateway offers them again");
            }
            leave(&unstored, chunk);
            reached(Step::Stored);
            // The writer may wait here: the intake drains this queue before it takes messages.
            if tell.blocking_send(notice(answer.is_ok())).is_err() {
                warn!("stored samples were not acknowledged: the intake has ended");
            }
        };
        if self.series.append(intake, Box::new(done)).is_err() {
            leave(&self.unstored, chunk);
            add(&self.counters.shed, 1);
            if self.stored.try_send(again(false)).is_err() {
                warn!("a full store was not reported to the intake");
            }
        }
    }

    /// Records inputs with their rows.
    pub(super) fn record(&mut self, unrecorded: Unrecorded) {
        if !self.waiting.is_empty() {
            self.waiting.push_back(unrecorded);
            return self.limit_waiting();
        }
        let Unrecorded { rows, raised, inputs, change, reply } = unrecorded;
        let copy = (rows.clone(), inputs.clone());
        let counters = self.counters.clone();
        let (desk, failed) = (self.desk.clone(), self.failed_in.clone());
        // The journal may refuse it here, or fail later: one of the two takes the reply.
        let reply = Arc::new(Mutex::new(reply));
        let kept = (copy.clone(), Arc::clone(&reply));
        let done = move |answer: Result<Vec<Option<u64>>, StoreError>| match answer {
            Ok(seqs) => {
                add(&counters.journaled, seqs.iter().take(raised).flatten().count() as u64);
                let seq = seqs.iter().flatten().max().copied();
                if seq.is_some() {
                    reached(Step::Journaled);
                }
                let told =
                    change == 0 || desk.try_send(DeskInput::Recorded { change, seq }).is_ok();
                if !told {
                    warn!("the desk was not told that a change is recorded");
                }
                let reply = lock(&reply).take();
                reply.into_iter().for_each(|tell| tell());
            }
            Err(fault) => {
                add(&counters.failed_commits, 1);
                error!(%fault, "the alarm journal does not record; trying again");
                let (rows, inputs) = copy;
                let reply = lock(&reply).take();
                if failed.try_send(Unrecorded { rows, raised, inputs, change, reply }).is_err() {
                    error!("too many unrecorded changes; ending so that the log replays");
                    std::process::abort();
                }
            }
        };
        if self.journal.append_with(inputs, rows, Box::new(done)).is_err() {
            let ((rows, inputs), reply) = kept;
            let reply = lock(&reply).take();
            self.waiting.push_back(Unrecorded { rows, raised, inputs, change, reply });
            self.retry_at.get_or_insert(clock::monotonic() + RETRY);
            self.limit_waiting();
        }
    }

    fn limit_waiting(&self) {
        let rows: usize = self.waiting.iter().map(|waiting| waiting.rows.len()).sum();
        let bytes: usize = self.waiting.iter().map(|waiting| waiting.inputs.len()).sum();
        if rows > UNRECORDED_MAX || bytes > UNRECORDED_BYTES {
            error!(
                rows,
                bytes, "nothing was recorded for too long; ending so that the log replays"
            );
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

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One intake of a chunk less on its way.
fn leave(unstored: &Mutex<BTreeMap<u64, u64>>, chunk: u64) {
    let mut unstored = lock(unstored);
    if let Some(count) = unstored.get_mut(&chunk) {
        *count -= 1;
        if *count == 0 {
            unstored.remove(&chunk);
        }
    }
}
