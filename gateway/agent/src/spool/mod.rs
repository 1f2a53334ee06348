//! The spool: every record, on disk before it is published, until the centre has it.
//!
//! - One thread owns the database; others send it jobs through one bounded queue.
//! - Taken is not durable: [`SpoolState::next`] moves when a commit is on the disk.
//! - Starting never needs a person. What was damaged is set aside and named by a Gap.
//! - Bounded: beyond its quota the oldest telemetry gives way to a Gap; alarm records stay.

mod db;
mod export;
mod thin;
mod verbs;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use fengsui_telemetry::wire::{Sealed, Storage, decode_catalogue};
use fengsui_telemetry::{Catalogue, Epoch, GatewayId, Offset, Record, Revision, TimeMs};
use thiserror::Error;
use tokio::sync::{oneshot, watch};
use tracing::warn;

pub(crate) use db::Snapshot;
pub use export::{
    Place, SPOOL_FILE, SpoolCheck, SpoolStatus, Wanted, each_record, preload_spool, spool_export,
    spool_status, spool_verify,
};
pub use verbs::{SpoolVerb, spool_verb};

use crate::clock::Clock;
use db::Db;

/// Jobs waiting for the spool's thread: four seconds of 1,000 scan groups a second. When full the
/// alarm loop keeps its transitions, drops telemetry and says so by a Gap; nobody waits.
const JOBS_MAX: usize = 4_096;

/// A spool in memory: an hour of a small gateway, and little enough for its board.
const MEMORY_BYTES_MAX: u64 = 16 << 20;

/// How the spool is to behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpoolConfig {
    /// How long telemetry may wait for company before it is committed. Alarms never wait.
    pub commit_ms: u64,
    /// Bytes on disk, at most.
    pub bytes_max: u64,
}

impl Default for SpoolConfig {
    fn default() -> Self {
        Self { commit_ms: 200, bytes_max: 512 << 20 }
    }
}

/// Why the spool does not do what it should.
#[derive(Debug, Error)]
pub(crate) enum SpoolFault {
    #[error("another fengsui-gateway uses {0}; stop it, or give this one another data folder")]
    InUse(PathBuf),
    #[error(
        "{0}：是符号链接，缓存不写到链接指向的地方；请删除该链接，或把 gateway.toml 的 data 改为真实目录  |  is a \
         symbolic link, and the spool is not written to where it leads; remove the link, or let \
         data in gateway.toml name the folder that is meant"
    )]
    Linked(PathBuf),
    #[error("{0}: {1}")]
    File(PathBuf, std::io::Error),
    #[error("spool database: {0}")]
    Database(#[from] rusqlite::Error),
    #[error("spool database holds {0} where that cannot be")]
    Implausible(&'static str),
}

/// What stands in the spool, after each commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SpoolState {
    pub(crate) epoch: Epoch,
    /// First record that is kept.
    pub(crate) oldest: Offset,
    /// One past the newest committed record.
    pub(crate) next: Offset,
    /// What the centre has.
    pub(crate) durable_next: Offset,
    pub(crate) bytes: u64,
    /// Source time of the oldest record that the centre does not have.
    pub(crate) unacked_since: Option<TimeMs>,
    /// Why nothing is being committed, if so.
    pub(crate) failing: Option<String>,
    /// How the disk does.
    pub(crate) storage: Storage,
    /// Bytes that it may hold.
    pub(crate) quota: u64,
}

impl SpoolState {
    /// What is wrong with the disk, in words for people; empty = nothing.
    pub(crate) fn complaint(&self) -> String {
        let words = match self.storage {
            Storage::Fine => return String::new(),
            Storage::Thinning => {
                "缓存配额已用完，中心尚未收到的历史数据按时间抽稀  |  the spool's quota is used: what the centre \
                 does not have becomes coarser"
            }
            Storage::Full => {
                "磁盘已满：缓存只用已占的空间，用完后报警记录优先、遥测数据抽稀  |  the disk is full: the \
                 spool lives in the room that it has, and when that is used telemetry becomes coarser \
                 and makes room for alarm records"
            }
            Storage::Refusing => {
                "磁盘拒绝写入，记录暂存内存  |  the disk refuses: records wait in memory"
            }
            Storage::InMemory => {
                "磁盘不可用，记录只在内存中  |  the disk is dead: records are in memory only"
            }
        };
        let why = self.failing.as_deref().map_or_else(String::new, |why| format!(" ({why})"));
        format!("{words}{why}")
    }
}

/// Consecutive records, as the spool holds them.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) epoch: Epoch,
    pub(crate) first: Offset,
    /// One past the last offset that they stand for.
    pub(crate) end: Offset,
    /// The catalogue that gives their point indexes a meaning.
    pub(crate) catalogue: Revision,
    pub(crate) sealed: Vec<Sealed>,
}

/// What the thread can be asked to do.
pub(crate) enum Job {
    /// Keep these. Urgent: commit at once.
    Append { records: Vec<Record>, urgent: bool },
    /// Keep this state of the engine: it covers every record that was queued before it.
    Snapshot { limits: Revision, bytes: Vec<u8> },
    /// Read from here on, at least one record, about so many bytes.
    Read { from: Offset, to: Offset, bytes: usize, reply: oneshot::Sender<Option<Chunk>> },
    /// The kept samples of one point, in order of te.
    History {
        point: u32,
        from: TimeMs,
        to: TimeMs,
        reply: oneshot::Sender<Vec<(TimeMs, fengsui_telemetry::Reading)>>,
    },
    /// The centre has everything below.
    Durable(Offset),
    /// Offsets are in doubt: begin a new epoch with what the centre does not have.
    NewEpoch,
    /// Commit now and say when it is done.
    Flush(oneshot::Sender<()>),
    /// Commit and end.
    Stop,
}

/// The way to the spool's thread.
#[derive(Clone, Debug)]
pub(crate) struct SpoolHandle {
    jobs: SyncSender<Job>,
    state: watch::Receiver<SpoolState>,
}

impl SpoolHandle {
    /// Hands a job over, or gives it back when the queue is full or the thread is gone.
    pub(crate) fn send(&self, job: Job) -> Result<(), Job> {
        self.jobs.try_send(job).map_err(|refused| match refused {
            TrySendError::Full(job) | TrySendError::Disconnected(job) => job,
        })
    }

    /// A handle without a thread behind it: the test takes the jobs.
    #[cfg(test)]
    pub(crate) fn double(jobs_max: usize) -> (Self, std::sync::mpsc::Receiver<Job>) {
        let (jobs, inbox) = sync_channel(jobs_max);
        let state = SpoolState {
            epoch: Epoch(1),
            oldest: 0,
            next: 0,
            durable_next: 0,
            bytes: 0,
            unacked_since: None,
            failing: None,
            storage: Storage::Fine,
            quota: 0,
        };
        (Self { jobs, state: watch::channel(state).1 }, inbox)
    }

    /// What stands in the spool.
    pub(crate) fn state(&self) -> watch::Receiver<SpoolState> {
        self.state.clone()
    }
}

/// The spool before its thread runs: what a start wants to know.
#[derive(Debug)]
pub(crate) struct Spool {
    db: Db,
    config: SpoolConfig,
    clock: Clock,
}

impl Spool {
    /// Opens the spool of a data folder, healing what is damaged and setting aside what is another
    /// gateway's.
    ///
    /// # Errors
    /// Another process has it, or the folder cannot be written at all.
    pub(crate) fn open(
        folder: &Path,
        config: SpoolConfig,
        (gateway, catalogue): (&GatewayId, &Catalogue),
        clock: Clock,
    ) -> Result<Self, SpoolFault> {
        let mut db = Db::open(folder, clock.wall())?;
        db.claim(gateway, clock.wall())?;
        db.use_catalogue(catalogue)?;
        if let Err(fault) = db.take_room() {
            warn!(%fault, "no room could be set aside");
        }
        Ok(Self { db, config, clock })
    }

    /// A spool in memory, for a gateway whose disk is dead: it watches and sends all the same, and
    /// what it holds ends with it.
    ///
    /// # Errors
    /// Memory cannot be had.
    pub(crate) fn in_memory(
        folder: &Path,
        config: SpoolConfig,
        catalogue: &Catalogue,
        clock: Clock,
    ) -> Result<Self, SpoolFault> {
        let mut db = Db::in_memory(folder)?;
        db.use_catalogue(catalogue)?;
        let bytes_max = config.bytes_max.min(MEMORY_BYTES_MAX);
        Ok(Self { db, config: SpoolConfig { bytes_max, ..config }, clock })
    }

    /// A number for each point of the catalogue, the same over all catalogues.
    pub(crate) fn numbers(&mut self, catalogue: &Catalogue) -> Result<Vec<u32>, SpoolFault> {
        self.db.numbers(catalogue)
    }

    /// The saved state of the engine.
    pub(crate) fn snapshot(&self) -> Option<Snapshot> {
        self.db.snapshot().ok().flatten()
    }

    /// Each kept record of the present catalogue from `from` on; `from` is raised so that at most
    /// `most` records are played. Gives back how many were not readable.
    pub(crate) fn replay(
        &mut self,
        from: Offset,
        most: u64,
        each: &mut dyn FnMut(Record),
    ) -> Result<u64, SpoolFault> {
        self.db.replay(from, most, each)
    }

    /// Catalogues of kept records that are not the present one, each with the offset at which the
    /// next begins, in canonical bytes that can be read.
    pub(crate) fn old_catalogues(&self) -> Vec<(Offset, Vec<u8>)> {
        let mut kept = self.db.old_catalogues().unwrap_or_default();
        kept.retain(|(_, bytes)| decode_catalogue(bytes).is_ok());
        kept
    }

    /// Where things stand.
    pub(crate) fn state(&self) -> SpoolState {
        self.db.state()
    }

    /// Starts the thread.
    ///
    /// # Errors
    /// No thread could be started.
    pub(crate) fn start(self) -> std::io::Result<(SpoolHandle, JoinHandle<()>)> {
        let (jobs, inbox) = sync_channel(JOBS_MAX);
        let (publish, state) = watch::channel(self.db.state());
        let writer = writer::Writer::new(self.db, self.config, self.clock, publish);
        let thread = std::thread::Builder::new()
            .name("spool".to_owned())
            .spawn(move || writer.run(&inbox))?;
        Ok((SpoolHandle { jobs, state }, thread))
    }
}
