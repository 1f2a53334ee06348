//! The series store: one SQLite file, one writer thread, any number of readers.
//!
//! - Every intake goes through the journal, so an answer `Ok` means one fsync has covered its
//!   samples, its ledger ranges and its gaps together.
//! - Samples wait in memory (the tail) until their bucket of source time is over and quiet, then
//!   become chunks. There is no table of late samples: a late sample opens its bucket's tail
//!   again, and the next seal merges it into the chunk. A chunk's `seq_hi` names the last intake
//!   it has seen of its point, so a restart knows for each journaled sample whether the chunk
//!   holds it already, and a sample in both places is neither doubled nor reverted: *the higher
//!   seq wins*.
//! - Readers copy the tail first, under a read lock held for microseconds, then read chunks in
//!   short read-only transactions. What is sealed in between is seen twice and merged; the other
//!   order could miss it. A snapshot handed over by channel would copy every tail for each read.

mod book;
mod hot;
mod key;
mod ranges;
mod read;
mod seal;
mod shared;
mod sql;
mod start;
mod tail;
mod visit;
mod writer;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use fengsui_telemetry::TimeMs;
use tracing::error;

use crate::StoreOptions;
use crate::error::opening;
use crate::sqlite::Readers;
use crate::{
    Bucket, Counts, Full, GapRow, Intake, LedgerRow, LocalRow, Sample, StoreError, StoreHealth,
};
use shared::Shared;
use writer::{Job, Writer};

/// Runs on the writer thread after the commit: the intake's seq, or why it is not durable.
pub type Done = Box<dyn FnOnce(Result<u64, StoreError>) + Send>;

/// A handle to the series store. Clones share one writer thread, which ends, after writing what
/// is queued, with the last of them.
#[derive(Clone)]
pub struct SeriesStore {
    inner: Arc<Inner>,
}

struct Inner {
    /// Gone only while dropping: its end tells the writer to finish.
    jobs: Option<SyncSender<Job>>,
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

impl SeriesStore {
    /// Opens, or makes, `ts/hot.db` below the data folder and replays its journal.
    ///
    /// # Errors
    /// The folder cannot be used, another process has it, or another version or bucket length
    /// made it. Damaged blocks are no error: they become gaps.
    pub fn open(dir: &Path, options: StoreOptions) -> Result<Self, StoreError> {
        check(&options)?;
        let folder = dir.join("ts");
        std::fs::create_dir_all(&folder).map_err(opening(&folder))?;
        let lock = lock(&folder)?;
        let path = folder.join("hot.db");
        let shared = Arc::new(Shared::new(&path, options));
        let (jobs, queue) = sync_channel(options.queue);
        let mut writer = Writer::new(Arc::clone(&shared), queue, lock);
        writer.load()?;
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer.run())
            .map_err(opening(&path))?;
        shared.writing.store(true, Ordering::Release);
        let inner = Inner { jobs: Some(jobs), shared, writer: Some(thread) };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Opens the store of a centre that may be running, to read it: what is durable now, and
    /// nothing later. Writes nothing; takes no intake.
    ///
    /// # Errors
    /// There is no such store, it cannot be read, or another version made it.
    pub fn open_beside(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join("ts").join("hot.db");
        let shared = start::beside(&path, StoreOptions::default())?;
        Ok(Self { inner: Arc::new(Inner { jobs: None, shared: Arc::new(shared), writer: None }) })
    }

    /// Queues one intake for the next group commit. `done` runs on the writer thread when the
    /// commit is durable or has failed; it must not block.
    ///
    /// # Errors
    /// [`Full`]: nothing was taken and `done` will not run.
    pub fn append(&self, intake: Intake, done: Done) -> Result<(), Full> {
        let jobs = self.inner.jobs.as_ref().ok_or(Full)?;
        jobs.try_send(Job::Intake(Box::new(intake), done)).map_err(|_| Full)
    }

    /// The first `max` samples of a point with `from <= te < to`, in order of source time, each
    /// time once.
    ///
    /// # Errors
    /// The file cannot be read. A damaged block is no error: it is left out and shows in
    /// [`Self::gaps`].
    pub fn range(
        &self,
        point: u32,
        from: TimeMs,
        to: TimeMs,
        max: usize,
    ) -> Result<Vec<Sample>, StoreError> {
        read::range(&self.inner.shared, point, from, to, max)
    }

    /// The same stretch as so many equal columns; fewer if it has fewer milliseconds. Extremes
    /// are real samples: no spike is averaged away.
    ///
    /// # Errors
    /// As [`Self::range`].
    pub fn envelope(
        &self,
        point: u32,
        from: TimeMs,
        to: TimeMs,
        buckets: usize,
    ) -> Result<Vec<Bucket>, StoreError> {
        read::envelope(&self.inner.shared, point, from, to, buckets)
    }

    /// The sample of a point with the highest source time, from memory.
    #[must_use]
    pub fn latest(&self, point: u32) -> Option<Sample> {
        self.inner.shared.hot().latest(point)
    }

    /// The same for every point that ever had a sample, by point.
    #[must_use]
    pub fn latest_all(&self) -> Vec<(u32, Sample)> {
        self.inner.shared.hot().latest_all()
    }

    /// The ranges of offsets that are durable here, merged.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn ledgers(&self) -> Result<Vec<LedgerRow>, StoreError> {
        self.inner.shared.readers.read("read the ledger", sql::ledger_rows)
    }

    /// Gaps that touch `from..to`, those found by this store in its own blocks included.
    ///
    /// # Errors
    /// The file cannot be read: no answer must not look like no gap.
    pub fn gaps(&self, from: TimeMs, to: TimeMs) -> Result<Vec<GapRow>, StoreError> {
        read::gaps(&self.inner.shared, from, to)
    }

    /// What a gateway's own engine did in `span`, oldest first, at most `most`; what was taken in
    /// the last moments may not be written yet.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn locals(
        &self,
        gateway: &str,
        span: (TimeMs, TimeMs),
        most: usize,
    ) -> Result<Vec<LocalRow>, StoreError> {
        let readers = &self.inner.shared.readers;
        readers.read("read what the gateway did", |conn| sql::locals(conn, gateway, span, most))
    }

    /// The same from the file of a centre that may be running.
    ///
    /// # Errors
    /// There is no such file, or it cannot be read.
    pub fn locals_of(
        dir: &Path,
        gateway: &str,
        span: (TimeMs, TimeMs),
        most: usize,
    ) -> Result<Vec<LocalRow>, StoreError> {
        let readers = Readers::new(&dir.join("ts").join("hot.db"));
        readers.read("read what the gateway did", |conn| sql::locals(conn, gateway, span, most))
    }

    /// Hands over every journaled intake with a seq above `after_seq` that is still kept, oldest
    /// first. A damaged row is left out and shows in [`Self::gaps`].
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn replay(
        &self,
        after_seq: u64,
        each: &mut dyn FnMut(u64, &Intake),
    ) -> Result<(), StoreError> {
        read::replay(&self.inner.shared, after_seq, each)
    }

    /// Journal rows above this seq are kept although sealed, because an engine snapshot covers
    /// only what is up to it. Until the first call after an open everything is kept; who needs
    /// no replay says `u64::MAX`.
    pub fn hold_journal_from(&self, seq: u64) {
        self.inner.shared.hold.store(seq, Ordering::Release);
    }

    /// Counts every stored sample once by reading and checking all of it, about a hundred
    /// million a second: a proof, not a gauge. Exact when nothing is being appended.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn count(&self) -> Result<Counts, StoreError> {
        read::count(&self.inner.shared)
    }

    /// The seq of the newest durable intake; 0 before the first.
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        self.inner.shared.last_seq.load(Ordering::Acquire)
    }

    /// Seals everything in memory into chunks now, and waits for it: before an export, and in
    /// tests. Not from a callback.
    ///
    /// # Errors
    /// A commit failed; what was not sealed is in the journal as before.
    pub fn seal_now(&self) -> Result<(), StoreError> {
        let stopped = || StoreError::Stopped { path: self.inner.shared.readers.path().to_owned() };
        let (answer, wait) = sync_channel(1);
        let jobs = self.inner.jobs.as_ref().ok_or_else(stopped)?;
        jobs.send(Job::Seal(answer)).map_err(|_| stopped())?;
        wait.recv().map_err(|_| stopped())?
    }

    /// How the store is.
    #[must_use]
    pub fn health(&self) -> StoreHealth {
        self.inner.shared.health()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.jobs = None;
        let Some(writer) = self.writer.take() else { return };
        // The last handle may die inside a callback: a thread cannot wait for itself.
        if writer.thread().id() != std::thread::current().id() && writer.join().is_err() {
            error!("the store's writer thread panicked");
        }
    }
}

fn check(options: &StoreOptions) -> Result<(), StoreError> {
    let refuse = |name, value, why| Err(StoreError::Option { name, value, why });
    if options.bucket_ms < 1_000 || 3_600_000 % options.bucket_ms != 0 {
        return refuse("bucket_ms", options.bucket_ms, "at least 1000 and a divisor of 3600000");
    }
    if options.queue == 0 || options.commit_samples == 0 || options.seals_per_commit == 0 {
        return refuse("queue, commit_samples or seals_per_commit", 0, "at least 1");
    }
    if options.grace_ms < 0 {
        return refuse("grace_ms", options.grace_ms, "not negative");
    }
    Ok(())
}

fn lock(folder: &Path) -> Result<File, StoreError> {
    let path = folder.join("writer.lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(opening(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => {
            Err(StoreError::InUse { path: folder.to_owned() })
        }
        Err(std::fs::TryLockError::Error(source)) => Err(opening(&path)(source)),
    }
}
