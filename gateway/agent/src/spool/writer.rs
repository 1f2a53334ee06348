//! The thread that owns the spool's database.
//!
//! - Telemetry waits a moment for company, alarms do not.
//! - A commit that fails is not tried again on the same handle: the file is set aside and what was
//!   not committed goes into a new one. A full disk is the exception: SQLite rolls that back, so
//!   room is made and the commit repeated.
//! - While nothing can be written, records wait in memory up to a limit; then the oldest telemetry
//!   gives way to a Gap.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;
use std::{fs, io};

use fengsui_telemetry::{Body, Gap, GapCause, Offset, Record, Revision, TimeMs};
use rusqlite::ErrorCode;
use tokio::sync::watch;
use tracing::{debug, error, info, warn};

use super::db::{Db, Incoming, Kind};
use super::{Job, SpoolConfig, SpoolFault, SpoolState};
use crate::clock::Clock;

/// Bytes that end the waiting for company.
const COMMIT_BYTES: u64 = 64 << 10;
/// Records that wait in memory while the disk refuses: a quarter of an hour of a small gateway.
const PENDING_BYTES_MAX: u64 = 8 << 20;
/// Pause before a refused disk is asked again.
const RETRY_MS: u64 = 2_000;
/// How long the thread sleeps without a job.
const IDLE_MS: u64 = 1_000;
/// Part of the quota that telemetry leaves to alarm records.
const ALARM_RESERVE: u64 = 10;
/// A file that is deleted on a full disk, so that the alarm about it can be written.
const RESERVE_BYTES: usize = 1 << 20;
const RESERVE_FILE: &str = "reserve";

pub(super) struct Writer {
    db: Db,
    config: SpoolConfig,
    clock: Clock,
    publish: watch::Sender<SpoolState>,
    reserve: PathBuf,
    pending: VecDeque<Incoming>,
    pending_bytes: u64,
    /// Telemetry that had to give way in memory: how many, and from when to when.
    dropped: Option<(u64, TimeMs, TimeMs)>,
    snapshot: Option<(Revision, Vec<u8>)>,
    durable: Option<Offset>,
    /// When the oldest pending record must be committed, monotonic ms.
    commit_at: Option<u64>,
    failing: Option<String>,
}

impl Writer {
    pub(super) fn new(
        db: Db,
        config: SpoolConfig,
        clock: Clock,
        publish: watch::Sender<SpoolState>,
    ) -> Self {
        let reserve = db.folder().join(RESERVE_FILE);
        Self {
            db,
            config,
            clock,
            publish,
            reserve,
            pending: VecDeque::new(),
            pending_bytes: 0,
            dropped: None,
            snapshot: None,
            durable: None,
            commit_at: None,
            failing: None,
        }
    }

    pub(super) fn run(mut self, inbox: &Receiver<Job>) {
        self.make_reserve();
        loop {
            let now = self.clock.mono_ms();
            let wait = self.commit_at.map_or(IDLE_MS, |at| at.saturating_sub(now));
            match inbox.recv_timeout(Duration::from_millis(wait)) {
                Ok(Job::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(job) => self.take(job),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if self.commit_at.is_some_and(|at| at <= self.clock.mono_ms()) {
                self.commit();
            }
        }
        self.commit();
        if !self.pending.is_empty() {
            error!(records = self.pending.len(), "spool ends without having written these");
        }
    }

    fn take(&mut self, job: Job) {
        match job {
            Job::Append { records, urgent } => {
                for record in &records {
                    let one = Incoming::new(record);
                    self.pending_bytes += one.cost();
                    self.pending.push_back(one);
                }
                self.shed();
                let full = self.pending_bytes >= COMMIT_BYTES;
                self.commit_within(if urgent || full { 0 } else { self.config.commit_ms });
            }
            Job::Snapshot { limits, bytes } => {
                self.snapshot = Some((limits, bytes));
                self.commit_within(0);
            }
            Job::Read { from, to, bytes, reply } => {
                let chunk = self.db.read(from, to, bytes).unwrap_or_else(|fault| {
                    self.fail(&fault);
                    None
                });
                // The asker may be gone: then nobody misses the answer.
                drop(reply.send(chunk));
            }
            Job::History { point, from, to, reply } => {
                let found = self.db.history(point, from, to).unwrap_or_else(|fault| {
                    warn!(%fault, "recall failed");
                    Vec::new()
                });
                drop(reply.send(found));
            }
            Job::Durable(next) => {
                self.durable = Some(next);
                self.commit_within(self.config.commit_ms);
            }
            Job::NewEpoch => {
                self.commit();
                if let Err(fault) = self.db.new_epoch() {
                    self.fail(&fault);
                }
                self.tell();
            }
            Job::Flush(reply) => {
                self.commit();
                if reply.send(()).is_err() {
                    debug!("nobody waits for the flush any more");
                }
            }
            Job::Stop => {}
        }
    }

    /// While the disk refuses, nothing hurries it.
    fn commit_within(&mut self, ms: u64) {
        let at = self.clock.mono_ms() + ms;
        if self.failing.is_none() {
            self.commit_at = Some(self.commit_at.map_or(at, |before| before.min(at)));
        } else if self.commit_at.is_none() {
            self.commit_at = Some(self.clock.mono_ms() + RETRY_MS);
        }
    }

    fn commit(&mut self) {
        self.commit_at = None;
        self.make_room();
        if let Some(gap) = self.dropped_gap() {
            self.dropped = None;
            self.pending_bytes += gap.cost();
            self.pending.push_front(gap);
        }
        if self.pending.is_empty() && self.snapshot.is_none() && self.durable.is_none() {
            return;
        }
        let snapshot = self.snapshot.as_ref().map(|(limits, bytes)| (*limits, bytes.as_slice()));
        match self.db.append(self.pending.make_contiguous(), snapshot, self.durable) {
            Ok(()) => {
                self.pending.clear();
                self.pending_bytes = 0;
                (self.snapshot, self.durable) = (None, None);
                if self.failing.take().is_some() {
                    info!("spool writes again");
                    self.make_reserve();
                }
                self.tell();
            }
            Err(fault) => self.fail(&fault),
        }
    }

    /// Says so, mends what can be mended, and tries again after a pause.
    fn fail(&mut self, fault: &SpoolFault) {
        if self.failing.is_none() {
            error!(%fault, "spool cannot be written; records wait in memory");
        }
        self.failing = Some(fault.to_string());
        match code(fault) {
            Some(ErrorCode::DiskFull) => {
                // Room for the alarm that says that there is no room.
                if let Err(fault) = fs::remove_file(&self.reserve)
                    && fault.kind() != io::ErrorKind::NotFound
                {
                    warn!(%fault, "reserve could not be deleted");
                }
                if let Err(fault) = self.db.evict(self.clock.wall()) {
                    warn!(%fault, "no room could be made");
                }
            }
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {}
            Some(_) | None => {
                if let Err(fault) = self.db.reopen(self.clock.wall()) {
                    error!(%fault, "no new spool could be begun");
                }
            }
        }
        self.commit_at = Some(self.clock.mono_ms() + RETRY_MS);
        self.tell();
    }

    /// Oldest telemetry first; alarm records stay.
    fn shed(&mut self) {
        while self.pending_bytes > PENDING_BYTES_MAX {
            let place = self.pending.iter().position(|one| one.kind == Kind::Telemetry);
            let Some(one) = place.and_then(|place| self.pending.remove(place)) else { return };
            self.pending_bytes = self.pending_bytes.saturating_sub(one.cost());
            self.dropped = Some(match self.dropped {
                Some((n, from, to)) => (n + 1, from.min(one.te), to.max(one.te)),
                None => (1, one.te, one.te),
            });
        }
    }

    fn dropped_gap(&self) -> Option<Incoming> {
        let (records, from, to) = self.dropped?;
        let gap = Gap {
            from,
            to,
            records,
            cause: GapCause::QueueFull,
            points: Vec::new(),
            detail: "disk refused, memory full".to_owned(),
        };
        Some(Incoming::new(&Record { te: to, body: Body::Gap(gap) }))
    }

    /// Evicts until what waits fits into the quota.
    fn make_room(&mut self) {
        let urgent = self.pending.iter().any(|one| one.kind == Kind::Alarm);
        let quota = self.config.bytes_max;
        let quota = if urgent { quota } else { quota - quota / ALARM_RESERVE };
        while self.db.bytes() + self.pending_bytes > quota {
            match self.db.evict(self.clock.wall()) {
                Ok(evicted) if evicted.freed + evicted.lost > 0 => {}
                Ok(_) => return,
                Err(fault) => {
                    warn!(%fault, "no room could be made");
                    return;
                }
            }
        }
    }

    fn make_reserve(&self) {
        if !self.reserve.exists()
            && let Err(fault) = fs::write(&self.reserve, vec![0x5a; RESERVE_BYTES])
        {
            warn!(%fault, "no reserve could be laid down");
        }
    }

    fn tell(&self) {
        let state = SpoolState { failing: self.failing.clone(), ..self.db.state() };
        self.publish.send_replace(state);
    }
}

fn code(fault: &SpoolFault) -> Option<ErrorCode> {
    match fault {
        SpoolFault::Database(e) => e.sqlite_error_code(),
        SpoolFault::InUse(_) | SpoolFault::File(..) | SpoolFault::Implausible(_) => None,
    }
}
