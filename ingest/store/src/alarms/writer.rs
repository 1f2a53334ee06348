//! The journal's writer thread: what is queued, in one transaction, at once.
//!
//! - A failed commit answers every caller with the error and drops the connection; the next batch
//!   opens the file anew. Nothing is tried again on the same handle.
//! - A snapshot is written after the rows that were queued before it, in a transaction of its own.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Receiver;

use rusqlite::{Connection, TransactionBehavior};
use tracing::{error, warn};

use super::chain::{BREAK_CAUSE, hash};
use super::head::{self, Head, Remembered};
use super::{JournalDone, JournalRow, RowKind, Snapshot, StoredRow, sql};
use crate::StoreError;
use crate::clock::wall;
use crate::codec::{Inputs, Place, seal};
use crate::error::{database, opening};
use crate::sqlite::{Settled, open_writer, settle};

/// Rows of one transaction: a flood of alarms commits about every 20 ms instead of once.
const GROUP_MAX: usize = 4_096;

pub(super) enum Job {
    Rows(Vec<JournalRow>, Option<Inputs>, JournalDone),
    Snapshot(Snapshot, Vec<JournalRow>, JournalDone),
}

/// Rows of one caller, with the inputs that they came of.
struct Batch {
    rows: Vec<JournalRow>,
    inputs: Option<Inputs>,
}

pub(super) struct Writer {
    path: PathBuf,
    queue: Receiver<Job>,
    last_seq: Arc<AtomicU64>,
    /// None after a failed commit, until the file is open again.
    state: Option<State>,
    failed: bool,
    /// The newest rows were not recorded; whoever sent them keeps them and sends them again.
    owed: bool,
}

struct State {
    conn: Connection,
    head: Head,
    side: File,
}

impl Writer {
    pub(super) fn new(path: &Path, queue: Receiver<Job>, last_seq: Arc<AtomicU64>) -> Self {
        Self { path: path.to_owned(), queue, last_seq, state: None, failed: false, owed: false }
    }

    /// Opens the file unless it is open.
    pub(super) fn load(&mut self) -> Result<(), StoreError> {
        if self.state.is_some() {
            return Ok(());
        }
        let conn = open_writer(&self.path, sql::PAGE_SIZE)?;
        match settle(&conn).map_err(database("bring the log home", &self.path))? {
            Settled::Whole => {}
            Settled::HeldOpen if self.failed => {
                return Err(StoreError::NotSettled { path: self.path.clone() });
            }
            Settled::HeldOpen => warn!("another program reads alarms.db"),
        }
        sql::create(&conn).map_err(database("make the tables", &self.path))?;
        let found = sql::format(&conn).map_err(database("read its format", &self.path))?;
        if found != sql::FORMAT {
            return Err(StoreError::Format {
                path: self.path.clone(),
                key: "format",
                found: found.to_string(),
                wanted: sql::FORMAT.to_string(),
            });
        }
        let head = sql::head(&conn).map_err(database("read the head", &self.path))?;
        let side_path = head::beside(&self.path);
        let remembered = head::read(&side_path);
        let side = head::open(&side_path, head).map_err(opening(&side_path))?;
        let mut state = State { conn, head, side };
        state.note_cut(remembered).map_err(database("record a break of the chain", &self.path))?;
        self.last_seq.store(state.head.seq, Ordering::Release);
        self.state = Some(state);
        Ok(())
    }

    /// Until the last handle is gone.
    pub(super) fn run(mut self) {
        while let Ok(first) = self.queue.recv() {
            let mut batches = Vec::new();
            let mut snapshot = None;
            let mut rows = 0;
            let mut next = Some(first);
            while let Some(job) = next {
                match job {
                    Job::Rows(batch, inputs, done) => {
                        rows += batch.len();
                        batches.push((Batch { rows: batch, inputs }, done));
                    }
                    // It closes its group: rows that come after it are not in it.
                    Job::Snapshot(taken, rows, done) => snapshot = Some((taken, rows, done)),
                }
                let more = rows < GROUP_MAX && snapshot.is_none();
                next = if more { self.queue.try_recv().ok() } else { None };
            }
            self.commit(batches);
            if let Some((snapshot, rows, done)) = snapshot {
                let result = self.save(snapshot, rows);
                answer(|| done(result));
            }
        }
    }

    fn commit(&mut self, batches: Vec<(Batch, JournalDone)>) {
        if batches.is_empty() {
            return;
        }
        let (batches, answers): (Vec<Batch>, Vec<JournalDone>) = batches.into_iter().unzip();
        let result = self.load().and_then(|()| {
            let Some(state) = &mut self.state else {
                return Err(StoreError::Stopped { path: self.path.clone() });
            };
            state.append(batches, None).map_err(database("record alarm rows", &self.path))
        });
        match result {
            Ok(seqs) => {
                self.owed = false;
                if let Some(state) = &self.state {
                    self.last_seq.store(state.head.seq, Ordering::Release);
                }
                for (seqs, done) in seqs.into_iter().zip(answers) {
                    answer(|| done(Ok(seqs)));
                }
            }
            Err(why) => {
                self.owed = true;
                self.fail(&why);
                for done in answers {
                    answer(|| done(Err(why.clone())));
                }
            }
        }
    }

    /// A snapshot holds what all rows before it did. Where the newest of them were not recorded,
    /// it is refused: a restart from it would never make them again.
    fn save(
        &mut self,
        mut snapshot: Snapshot,
        rows: Vec<JournalRow>,
    ) -> Result<Vec<Option<u64>>, StoreError> {
        if self.owed {
            return Err(StoreError::RowsOwed { path: self.path.clone() });
        }
        snapshot.data = seal(Place::Snapshot, snapshot.data);
        snapshot.plan = snapshot.plan.map(|plan| seal(Place::Plan, plan));
        let result = self.load().and_then(|()| {
            let Some(state) = &mut self.state else {
                return Err(StoreError::Stopped { path: self.path.clone() });
            };
            let batch = Batch { rows, inputs: None };
            let seqs = state
                .append(vec![batch], Some(snapshot))
                .map_err(database("save the engine's snapshot", &self.path))?;
            self.last_seq.store(state.head.seq, Ordering::Release);
            Ok(seqs.into_iter().flatten().collect())
        });
        if let Err(why) = &result {
            self.fail(why);
        }
        result
    }

    fn fail(&mut self, why: &StoreError) {
        error!(%why, "journal commit failed");
        self.failed = true;
        self.state = None;
    }
}

impl State {
    /// Appends every batch in one transaction: for each of their rows its seq, or none where the
    /// id was there already.
    fn append(
        &mut self,
        batches: Vec<Batch>,
        snapshot: Option<Snapshot>,
    ) -> rusqlite::Result<Vec<Vec<Option<u64>>>> {
        let tx = self.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut head = self.head;
        let mut answers = Vec::with_capacity(batches.len());
        for batch in batches {
            if let Some(inputs) = &batch.inputs {
                sql::put_inputs(&tx, inputs.number, &inputs.data)?;
            }
            let mut seqs = Vec::with_capacity(batch.rows.len());
            for row in batch.rows {
                if sql::knows(&tx, &row.id)? {
                    seqs.push(None);
                    continue;
                }
                let row = canonical(row);
                let seq = head.seq + 1;
                let stored =
                    StoredRow { seq, hash: hash(&head.hash, seq, &row), row, prev: head.hash };
                sql::put(&tx, &stored)?;
                head = Head { seq, hash: stored.hash };
                seqs.push(Some(seq));
            }
            answers.push(seqs);
        }
        if let Some(mut snapshot) = snapshot {
            snapshot.journal_seq = head.seq;
            sql::put_snapshot(&tx, &snapshot)?;
        }
        tx.commit()?;
        self.head = head;
        if let Err(why) = head::write(&self.side, head) {
            // The rows are durable; only the proof that none is cut away lags behind.
            warn!(%why, "alarms.head cannot be written");
        }
        Ok(answers)
    }

    /// Where more was remembered than is there, the chain itself says so from now on.
    fn note_cut(&mut self, remembered: Remembered) -> rusqlite::Result<()> {
        let Remembered::Head(head) = remembered else {
            if self.head.seq > 0 {
                warn!(rows = self.head.seq, "alarms.head is missing or unreadable");
            }
            return Ok(());
        };
        let whole = head.seq == 0 || sql::hash_at(&self.conn, head.seq)? == Some(head.hash);
        if whole {
            return Ok(());
        }
        error!(remembered = head.seq, found = self.head.seq, "the end of the journal is missing");
        let row = JournalRow {
            id: format!("chain-break/{}", head.to_line()),
            kind: RowKind::System,
            alarm: String::new(),
            ti: wall(),
            te: None,
            from: 'A',
            to: 'A',
            occurrence: 0,
            te_on: None,
            te_off: None,
            cause: BREAK_CAUSE.to_owned(),
            flags: String::new(),
            value: None,
            by: None,
            comment: format!("remembered {}, found {}", head.to_line(), self.head.to_line()),
            request: String::new(),
            command: None,
            revision: 0,
        };
        self.append(vec![Batch { rows: vec![row], inputs: None }], None).map(|_| ())
    }
}

/// What SQLite would change in keeping it is changed before it is hashed.
fn canonical(mut row: JournalRow) -> JournalRow {
    row.value = row.value.filter(|value| value.is_finite()).map(|value| value + 0.0);
    row
}

/// A callback that panics is its owner's fault and nobody else's.
fn answer(done: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(done)).is_err() {
        error!("a callback of the journal panicked");
    }
}
