//! The thread that owns the spool's database.
//!
//! - Telemetry waits a moment for company, alarms do not.
//! - A commit that fails is not tried again on the same handle: the file is set aside and what was
//!   not committed goes into a new one. A full disk is the exception: SQLite rolls that back, so
//!   room is made, and until there is room on the disk again the file grows no more: what is old
//!   becomes coarser, and alarm records take its place. The engine's state waits then until it
//!   fits: no record waits for it, and none gives way to it.
//! - While nothing can be written, records wait in memory up to a limit; then the oldest telemetry
//!   gives way to a Gap.

mod home;
mod room;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use fengsui_telemetry::wire::Storage;
use fengsui_telemetry::{Body, Gap, GapCause, Offset, Record, Revision, TimeMs};
use rusqlite::ErrorCode;
use tokio::sync::watch;
use tracing::{debug, error, info, warn};

use super::db::{Db, Evicted, Haste, Incoming, Kind, RESERVE_FILE, is_full};
use super::{Job, SpoolConfig, SpoolFault, SpoolState};
use crate::clock::Clock;
use room::is_no_room;

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
/// Passes that make what is old coarser before a commit; then what is oldest goes, so that no
/// alarm waits for more than some ten milliseconds of it.
const PATIENT_PASSES: u32 = 16;
/// And so long at most.
const PATIENCE_MS: u64 = 250;
/// Thinning is over when this part of the quota is free, or holds only what the centre has.
const THINNING_ENDS: u64 = 8;
/// Between two passes that free what the centre has: twenty thousand rows a second, which is more
/// than a centre takes, and an alarm waits for one pass at most.
const EASE_MS: u64 = 50;
/// Pause after room was made.
const MADE_ROOM_MS: u64 = 50;
/// Before it ends, what waits is tried so often: on a full disk a try may make the room.
const LAST_TRIES: u32 = 3;

/// The newest state of the engine, on its way into the database.
struct Waiting {
    limits: Revision,
    bytes: Vec<u8>,
    /// Offsets that were queued after it, which it does not cover.
    after: u64,
}

pub(super) struct Writer {
    db: Db,
    config: SpoolConfig,
    clock: Clock,
    publish: watch::Sender<SpoolState>,
    /// Where the reserve is; none for a spool in memory.
    reserve: Option<PathBuf>,
    pending: VecDeque<Incoming>,
    pending_bytes: u64,
    /// Telemetry that had to give way in memory: how many, and from when to when.
    dropped: Option<(u64, TimeMs, TimeMs)>,
    snapshot: Option<Waiting>,
    /// On a full disk: when the engine's state may be tried again, monotonic ms.
    save_at: u64,
    durable: Option<Offset>,
    /// When the oldest pending record must be committed, monotonic ms.
    commit_at: Option<u64>,
    failing: Option<String>,
    /// The last commit failed.
    refused: bool,
    /// And nothing could be done about it.
    stuck: bool,
    /// The quota is used, and what the centre does not have becomes coarser.
    thinning: bool,
    /// When more of what the centre has is freed, so that thinning ends, monotonic ms.
    ease_at: u64,
    /// The disk is full: when room is asked for, monotonic ms.
    full: Option<u64>,
    /// When the disk is looked at next, monotonic ms.
    look_at: u64,
    /// When the file's name is looked at next, monotonic ms.
    home_at: u64,
}

impl Writer {
    pub(super) fn new(
        db: Db,
        config: SpoolConfig,
        clock: Clock,
        publish: watch::Sender<SpoolState>,
    ) -> Self {
        let reserve = db.folder().map(|folder| folder.join(RESERVE_FILE));
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
            save_at: 0,
            durable: None,
            commit_at: None,
            failing: None,
            refused: false,
            stuck: false,
            thinning: false,
            ease_at: 0,
            full: None,
            look_at: 0,
            home_at: 0,
        }
    }

    pub(super) fn run(mut self, inbox: &Receiver<Job>) {
        if let Err(fault) = self.make_reserve() {
            warn!(%fault, "no reserve could be laid down");
            if is_no_room(&fault) {
                self.disk_is_full(&fault.to_string());
            }
        }
        loop {
            let now = self.clock.mono_ms();
            self.look_for_room(now);
            self.look_home(now);
            self.ask_for_room(now);
            self.end_thinning(now);
            let wait = self.commit_at.map_or(IDLE_MS, |at| at.saturating_sub(now));
            let wait = if self.eases() { wait.min(EASE_MS) } else { wait };
            match inbox.recv_timeout(Duration::from_millis(wait)) {
                Ok(Job::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(job) => self.take(job),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if self.commit_at.is_some_and(|at| at <= self.clock.mono_ms()) {
                self.commit();
            }
        }
        self.end();
    }

    fn end(&mut self) {
        self.look_home(u64::MAX);
        for _ in 0..LAST_TRIES {
            self.save_at = 0;
            if self.full.is_some() {
                let now = self.clock.mono_ms();
                self.full = Some(now);
                self.ask_for_room(now);
            }
            self.commit();
            if self.pending.is_empty() && self.snapshot.is_none() {
                return;
            }
        }
        error!(
            records = self.pending.len(),
            engine_state = self.snapshot.is_some(),
            "spool ends without having written these"
        );
    }

    fn take(&mut self, job: Job) {
        match job {
            Job::Append { records, urgent } => {
                for record in &records {
                    let one = Incoming::new(record);
                    if let Some(snapshot) = &mut self.snapshot {
                        snapshot.after += one.span;
                    }
                    self.pending_bytes += one.cost();
                    self.pending.push_back(one);
                }
                self.shed();
                let full = self.pending_bytes >= COMMIT_BYTES;
                self.commit_within(if urgent || full { 0 } else { self.config.commit_ms });
            }
            Job::Snapshot { limits, bytes } => {
                self.snapshot = Some(Waiting { limits, bytes, after: 0 });
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
        if !self.refused {
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
        if let Err(fault) = self.write() {
            self.fail(&fault);
            return;
        }
        self.pending.clear();
        self.pending_bytes = 0;
        self.durable = None;
        (self.refused, self.stuck) = (false, false);
        if let Err(fault) = self.save() {
            self.fail(&fault);
            return;
        }
        if self.full.is_some()
            && let Err(fault) = self.db.restart_log()
        {
            warn!(%fault, "log could not be emptied");
        }
        if self.full.is_none() && self.failing.take().is_some() {
            info!("spool writes again");
        }
        self.tell();
    }

    /// The records, and with them the engine's state where nothing speaks against it.
    fn write(&mut self) -> Result<(), SpoolFault> {
        let roomy = self.full.is_none() && !self.refused;
        if let Some(state) = self.snapshot.as_ref().filter(|state| roomy && state.after == 0) {
            let saved = Some((state.limits, state.bytes.as_slice()));
            match self.db.append(self.pending.make_contiguous(), saved, self.durable) {
                Ok(()) => {
                    self.snapshot = None;
                    return Ok(());
                }
                Err(fault) if is_full(&fault) => self.state_waits(&fault),
                Err(fault) => return Err(fault),
            }
        }
        self.db.append(self.pending.make_contiguous(), None, self.durable)
    }

    /// The engine's state by itself. Where it does not fit, the older one stays.
    fn save(&mut self) -> Result<(), SpoolFault> {
        let Some(state) = &self.snapshot else { return Ok(()) };
        if self.full.is_some() && (self.clock.mono_ms() < self.save_at || !self.fits(state)) {
            return Ok(());
        }
        match self.db.save(state.after, state.limits, &state.bytes) {
            Ok(()) => self.snapshot = None,
            Err(fault) if is_full(&fault) => self.state_waits(&fault),
            Err(fault) => return Err(fault),
        }
        Ok(())
    }

    /// Says so, mends what can be mended, and tries again after a pause.
    fn fail(&mut self, fault: &SpoolFault) {
        self.refused = true;
        let mut pause = RETRY_MS;
        if is_full(fault) {
            if self.disk_is_full(&fault.to_string()) {
                pause = MADE_ROOM_MS;
            }
        } else {
            if self.failing.is_none() {
                error!(%fault, "spool cannot be written; records wait in memory");
            }
            self.failing = Some(fault.to_string());
            match code(fault) {
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {}
                Some(_) | None => self.reopen(),
            }
        }
        self.stuck = pause == RETRY_MS;
        self.commit_at = Some(self.clock.mono_ms() + pause);
        self.tell();
    }

    fn reopen(&mut self) {
        if let Err(fault) = self.db.reopen(self.clock.wall()) {
            error!(%fault, "no new spool could be begun");
            if is_full(&fault) {
                self.free_reserve();
            }
        }
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

    fn waits(&self) -> bool {
        !self.pending.is_empty() || self.dropped.is_some()
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
        let hurry_at = self.clock.mono_ms() + PATIENCE_MS;
        let mut pass = 0;
        while self.db.bytes() + self.pending_bytes > quota || self.is_tight() {
            let evicted = self.evict(pass);
            pass = if self.clock.mono_ms() < hurry_at { pass + 1 } else { PATIENT_PASSES };
            match evicted {
                Ok(Evicted { freed: 0, lost: 0, looks_on: false }) => return,
                Ok(evicted) => self.thinning |= evicted.lost > 0,
                Err(fault) => {
                    warn!(%fault, "no room could be made");
                    return;
                }
            }
        }
    }

    /// On a full disk that is what is said, and nothing is written without need.
    fn eases(&self) -> bool {
        self.thinning && self.full.is_none()
    }

    /// What the centre has is room. It is freed until a part of the quota is free: without that a
    /// spool that is full of it would say for ever that it thins.
    fn end_thinning(&mut self, now: u64) {
        if !self.eases() || now < self.ease_at {
            return;
        }
        self.ease_at = now + EASE_MS;
        let quota = self.config.bytes_max;
        let most = (quota - quota / THINNING_ENDS).saturating_sub(self.pending_bytes);
        match self.db.ease(self.clock.wall(), quota, most) {
            Ok(true) => {
                self.thinning = false;
                info!("the quota has room again; nothing is thinned any more");
                self.tell();
            }
            Ok(false) => {}
            Err(fault) => {
                warn!(%fault, "what the centre has could not be freed");
                self.ease_at = now + RETRY_MS;
            }
        }
    }

    /// One pass. On a full disk the log must not grow: what changed something begins it again.
    fn evict(&mut self, pass: u32) -> Result<Evicted, SpoolFault> {
        let haste = if pass < PATIENT_PASSES { Haste::Grain } else { Haste::Now };
        let evicted = self.db.evict(self.clock.wall(), self.config.bytes_max, haste)?;
        if self.full.is_some() && evicted.freed + evicted.lost > 0 {
            self.db.restart_log()?;
        }
        Ok(evicted)
    }

    fn tell(&self) {
        let state = self.db.state();
        let storage = match (state.storage, &self.failing) {
            (Storage::InMemory, _) => Storage::InMemory,
            (_, Some(_)) if self.full.is_some() && !(self.stuck && self.waits()) => Storage::Full,
            (_, Some(_)) => Storage::Refusing,
            (_, None) if self.thinning => Storage::Thinning,
            (_, None) => Storage::Fine,
        };
        let (failing, quota) = (self.failing.clone(), self.config.bytes_max);
        let state = SpoolState { failing, storage, quota, ..state };
        debug!(epoch = state.epoch.0, next = state.next, "committed");
        self.publish.send_replace(state);
    }
}

fn code(fault: &SpoolFault) -> Option<ErrorCode> {
    match fault {
        SpoolFault::Database(e) => e.sqlite_error_code(),
        SpoolFault::InUse(_)
        | SpoolFault::Linked(_)
        | SpoolFault::File(..)
        | SpoolFault::Implausible(_) => None,
    }
}

#[cfg(test)]
mod tests;
