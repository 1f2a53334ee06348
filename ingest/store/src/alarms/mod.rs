//! The alarm and event journal: `alarms.db`, append-only, hash-chained, with its own writer.
//!
//! - Rows are committed as soon as they arrive, whatever is queued in one transaction, and
//!   answered after the fsync. Telemetry cannot delay them: another file, another thread.
//! - A row's hash is the SHA-256 of everything in it and of the hash before it. Altering,
//!   inserting or removing a row in the middle breaks the chain by itself; for a tail that was
//!   cut away something must remember the head: the side file `alarms.head`, and whoever keeps
//!   [`AlarmJournal::head`] elsewhere. One who can write both files can cut both: an outside copy
//!   is the only answer to that.
//! - SQLite triggers refuse UPDATE and DELETE. They stop mistakes; the chain finds intent.
//! - The engine's snapshot, and what the engine took since, lie beside the journal and are no
//!   part of the chain. Inputs and the rows that came of them are one transaction.

mod chain;
mod head;
mod reader;
mod sql;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use fengsui_telemetry::TimeMs;
use tracing::{error, warn};

use crate::codec::{EngineInput, Inputs, decode_inputs};
use crate::error::opening;
use crate::sqlite::Readers;
use crate::{Full, StoreError};
pub use chain::{ChainFault, Verified};
pub use head::Head;
pub use reader::JournalReader;
use writer::{Job, Writer};

/// Batches of rows that may wait for the writer. At a commit of 20 ms that is 20 s of one batch
/// each; when full, [`Full`]: annunciate anyway, marked as not recorded, and offer it again.
const BATCHES_MAX: usize = 1_024;

/// Runs on the journal's writer thread after the commit: for each row its seq, or none where its
/// id was there already.
pub type JournalDone = Box<dyn FnOnce(Result<Vec<Option<u64>>, StoreError>) + Send>;

/// What a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RowKind {
    /// An alarm of the centre's engine.
    Alarm,
    /// A transition that a gateway's own engine made.
    Gateway,
    /// The centre itself: starts, failures, breaks of this chain.
    System,
}

impl RowKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Alarm, Self::Gateway, Self::System];

    /// One word, the same in database, API and console.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Alarm => "alarm",
            Self::Gateway => "gateway",
            Self::System => "system",
        }
    }

    /// The kind of a word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// One fact to record.
#[derive(Clone, Debug, PartialEq)]
pub struct JournalRow {
    /// Same fact, same id: a repeat is dropped.
    pub id: String,
    /// What it is about.
    pub kind: RowKind,
    /// The alarm's key; empty where there is none.
    pub alarm: String,
    /// When the centre knew.
    pub ti: TimeMs,
    /// When it happened; none for what people do.
    pub te: Option<TimeMs>,
    /// State letter before.
    pub from: char,
    /// State letter after. Equal to `from`: a note.
    pub to: char,
    /// Number of the occurrence.
    pub occurrence: u64,
    /// Where that occurrence begins, as this row leaves it.
    pub te_on: Option<TimeMs>,
    /// Where it ends, as this row leaves it; none while it lasts.
    pub te_off: Option<TimeMs>,
    /// Why, one word.
    pub cause: String,
    /// Marks, words separated by spaces.
    pub flags: String,
    /// The value that decided. −0.0 is kept as 0, a number that is not finite as none.
    pub value: Option<f64>,
    /// Who, for what people do.
    pub by: Option<String>,
    /// Free text.
    pub comment: String,
    /// The client's id of a command; empty where there is none.
    pub request: String,
    /// The command as JSON, so that a restart can play it again.
    pub command: Option<String>,
    /// The limits that judged.
    pub revision: u64,
}

/// One recorded fact.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredRow {
    /// Its place in the journal, from 1, without holes.
    pub seq: u64,
    /// The fact.
    pub row: JournalRow,
    /// The hash of the row before.
    pub prev: [u8; 32],
    /// The hash of this row.
    pub hash: [u8; 32],
}

/// The engine's state at a moment, to shorten a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The engine's own bytes.
    pub data: Vec<u8>,
    /// The intakes up to this seq are in it.
    pub store_seq: u64,
    /// The journal rows up to this seq are in it; the writer sets it when it saves.
    pub journal_seq: u64,
    /// The first chunk of inputs that is not in it.
    pub inputs_from: u64,
    /// Older chunks than this are dropped: their samples are stored.
    pub keep_from: u64,
    /// The plan that it and the inputs since were judged by, in the host's own bytes. Saving: none
    /// leaves the one that is there. Loading: none where there is none or it is damaged.
    pub plan: Option<Vec<u8>>,
    /// When it was taken.
    pub ti: TimeMs,
}

/// A handle to the journal. Clones share one writer thread, which ends, after writing what is
/// queued, with the last of them.
#[derive(Clone)]
pub struct AlarmJournal {
    inner: Arc<Inner>,
}

struct Inner {
    /// Gone only while dropping: its end tells the writer to finish.
    jobs: Option<SyncSender<Job>>,
    readers: Readers,
    last_seq: Arc<AtomicU64>,
    writer: Option<JoinHandle<()>>,
}

impl AlarmJournal {
    /// Opens, or makes, the journal at `path` (`alarms.db`), and `alarms.head` beside it.
    ///
    /// A tail that was cut away since the last run stops nothing: a row that says so is the first
    /// to be written, and [`Self::verify`] names it for ever.
    ///
    /// # Errors
    /// The file cannot be used, or another version made it.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let last_seq = Arc::new(AtomicU64::new(0));
        let (jobs, queue) = sync_channel(BATCHES_MAX);
        let mut writer = Writer::new(path, queue, Arc::clone(&last_seq));
        writer.load()?;
        let thread = std::thread::Builder::new()
            .name("journal-writer".to_owned())
            .spawn(move || writer.run())
            .map_err(opening(path))?;
        let readers = Readers::new(path);
        let inner = Inner { jobs: Some(jobs), readers, last_seq, writer: Some(thread) };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Queues rows for one transaction, in this order. A row whose id is known is dropped.
    ///
    /// # Errors
    /// [`Full`]: nothing was taken and `done` will not run.
    pub fn append(&self, rows: Vec<JournalRow>, done: JournalDone) -> Result<(), Full> {
        self.send(Job::Rows(rows, None, done))
    }

    /// Queues inputs of the engine and the rows that came of them, for one transaction: either
    /// both are there after a kill or neither.
    ///
    /// # Errors
    /// [`Full`]: nothing was taken and `done` will not run.
    pub fn append_with(
        &self,
        inputs: Inputs,
        rows: Vec<JournalRow>,
        done: JournalDone,
    ) -> Result<(), Full> {
        self.send(Job::Rows(rows, Some(inputs), done))
    }

    /// Every input that is kept, oldest first, with the number of its chunk; answers with the
    /// number that the next chunk must have, and whether all of them were there. A chunk that is
    /// missing or damaged ends them, with a warning.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn inputs(
        &self,
        each: &mut dyn FnMut(u64, EngineInput),
    ) -> Result<(u64, bool), StoreError> {
        let read = |conn: &rusqlite::Connection| sql::inputs_span(conn);
        let (first, end) = self.inner.readers.read("read the inputs", read)?;
        for number in first..end {
            let found =
                self.inner.readers.read("read the inputs", |conn| sql::inputs(conn, number))?;
            match found.map(|data| decode_inputs(number, &data)) {
                Some(Ok(inputs)) => inputs.into_iter().for_each(|input| each(number, input)),
                Some(Err(damage)) => {
                    warn!(number, end, %damage, "the engine's input log ends early");
                    return Ok((end, false));
                }
                None => {
                    warn!(number, end, "the engine's input log has a hole");
                    return Ok((end, false));
                }
            }
        }
        Ok((end, true))
    }

    /// Rows with a seq above `after`, oldest first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn page(&self, after: u64, limit: usize) -> Result<Vec<StoredRow>, StoreError> {
        self.inner.readers.read("read the journal", |conn| sql::page(conn, after, limit))
    }

    /// The newest rows, newest first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn newest(&self, limit: usize) -> Result<Vec<StoredRow>, StoreError> {
        self.inner.readers.read("read the journal", |conn| sql::newest(conn, limit))
    }

    /// The newest rows of one alarm, newest first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn of_alarm(&self, key: &str, limit: usize) -> Result<Vec<StoredRow>, StoreError> {
        self.inner.readers.read("read the journal", |conn| sql::of_alarm(conn, key, limit))
    }

    /// Notes of one cause (`audit`, `call`, …) with a seq below `before`, newest first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn of_cause(
        &self,
        cause: &str,
        before: u64,
        limit: usize,
    ) -> Result<Vec<StoredRow>, StoreError> {
        self.inner.readers.read("read the notes", |conn| sql::of_cause(conn, cause, before, limit))
    }

    /// The same file for somebody who reads at length, over connections of their own.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn reader(&self) -> Result<JournalReader, StoreError> {
        JournalReader::open(self.inner.readers.path())
    }

    /// The seq of the newest durable row; 0 before the first.
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        self.inner.last_seq.load(Ordering::Acquire)
    }

    /// The newest row's seq and hash: keep it elsewhere, and [`Self::verify_against`] finds a
    /// tail that was cut even where the side file was cut with it.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn head(&self) -> Result<Head, StoreError> {
        self.inner.readers.read("read the head", sql::head)
    }

    /// Reads the whole chain and the remembered head in `alarms.head`.
    ///
    /// # Errors
    /// Every fault found, up to a thousand.
    pub fn verify(&self) -> Result<Verified, Vec<ChainFault>> {
        let path = self.inner.readers.path();
        // Read before the rows: rows that come meanwhile are ahead of it, never behind.
        let remembered = head::read(&head::beside(path));
        chain::verify(&self.inner.readers, remembered)
    }

    /// The same against a head that was kept elsewhere.
    ///
    /// # Errors
    /// Every fault found, up to a thousand.
    pub fn verify_against(&self, remembered: Head) -> Result<Verified, Vec<ChainFault>> {
        chain::verify(&self.inner.readers, head::Remembered::Head(remembered))
    }

    /// Replaces the engine's snapshot, after the rows that are queued; `rows` come with it in the
    /// same transaction.
    ///
    /// # Errors
    /// [`Full`]: nothing was taken and `done` will not run.
    pub fn save_snapshot(
        &self,
        snapshot: Snapshot,
        rows: Vec<JournalRow>,
        done: JournalDone,
    ) -> Result<(), Full> {
        self.send(Job::Snapshot(snapshot, rows, done))
    }

    /// The engine's snapshot, if one was saved.
    ///
    /// # Errors
    /// The file cannot be read, or the snapshot does not match its checksum: start without it.
    pub fn load_snapshot(&self) -> Result<Option<Snapshot>, StoreError> {
        let found = self.inner.readers.read("read the snapshot", sql::snapshot)?;
        let Some(mut snapshot) = found else { return Ok(None) };
        let body = crate::codec::open(crate::codec::Place::Snapshot, &snapshot.data)
            .map_err(|_| StoreError::SnapshotDamaged { path: self.inner.readers.path().into() })?
            .len();
        snapshot.data.truncate(body);
        snapshot.plan = snapshot.plan.take().and_then(|mut plan| {
            let found = crate::codec::open(crate::codec::Place::Plan, &plan).map(<[u8]>::len);
            let body = found.inspect_err(|damage| warn!(%damage, "the saved plan is left aside"));
            plan.truncate(body.ok()?);
            Some(plan)
        });
        Ok(Some(snapshot))
    }

    fn send(&self, job: Job) -> Result<(), Full> {
        self.inner.jobs.as_ref().ok_or(Full)?.try_send(job).map_err(|_| Full)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.jobs = None;
        let Some(writer) = self.writer.take() else { return };
        // The last handle may die inside a callback: a thread cannot wait for itself.
        if writer.thread().id() != std::thread::current().id() && writer.join().is_err() {
            error!("the journal's writer thread panicked");
        }
    }
}
