//! The writer thread: groups intakes, commits them with one fsync, then answers.
//!
//! - One transaction holds the journal row, the ledger ranges, the gaps, the seals that are due
//!   and the trimming of the journal.
//! - A failed commit answers every caller with the error and drops the connection: the next group
//!   opens the file anew and rebuilds memory from it. Nothing is tried again on the same handle,
//!   because after a failed fsync a second one lies.
//! - Memory changes only after the commit.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

use fengsui_telemetry::{Fault, Reading, TimeMs};
use tracing::{error, warn};

use super::Done;
use super::key::span;
use super::seal::seal;
use super::shared::Shared;
use super::sql::{self, JournalBlob};
use super::start::{Occasion, State, load};
use crate::clock::monotonic;
use crate::codec::encode_group;
use crate::error::database;
use crate::model::POINT_MAX;
use crate::{GapReason, GapRow, Intake, LedgerRow, StoreError};

/// While memory is over its bound, so many times more chunks are sealed in one commit.
const RELIEF: usize = 10;

/// What a handle asks of the writer.
pub(super) enum Job {
    Intake(Box<Intake>, Done),
    Seal(SyncSender<Result<(), StoreError>>),
}

/// What one commit takes.
#[derive(Default)]
struct Group {
    intakes: Vec<(Intake, Done)>,
    samples: usize,
}

pub(super) struct Writer {
    shared: Arc<Shared>,
    queue: Receiver<Job>,
    /// None after a failed commit, until the file is open again.
    state: Option<State>,
    /// Callers of `seal_now`, answered when nothing is left to seal.
    seal_waiters: Vec<SyncSender<Result<(), StoreError>>>,
    /// Some of them came since everything was last marked for sealing.
    seal_wanted: bool,
    /// Ingest time of the newest intake.
    now: Option<TimeMs>,
    occasion: Occasion,
    /// Locked until the writer ends: one process writes here.
    _lock: File,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, queue: Receiver<Job>, lock: File) -> Self {
        Self {
            shared,
            queue,
            state: None,
            seal_waiters: Vec::new(),
            seal_wanted: false,
            now: None,
            occasion: Occasion::Start,
            _lock: lock,
        }
    }

    /// Opens the file unless it is open.
    pub(super) fn load(&mut self) -> Result<(), StoreError> {
        if self.state.is_some() {
            return Ok(());
        }
        let (state, hot) = load(&self.shared, self.occasion)?;
        self.occasion = Occasion::AfterFailure;
        self.shared.last_seq.store(state.last_seq, Ordering::Release);
        self.shared.tail_samples.store(state.book.samples as u64, Ordering::Relaxed);
        *self.shared.hot_mut() = hot;
        self.state = Some(state);
        Ok(())
    }

    /// Until the last handle is gone.
    pub(super) fn run(mut self) {
        let _flag = WritingFlag(Arc::clone(&self.shared));
        while let Some(group) = self.gather() {
            self.commit(group);
        }
    }

    /// Waits for a first job, then takes what comes until the group is full or its time is up.
    /// None when nobody can send any more and nothing was taken.
    fn gather(&mut self) -> Option<Group> {
        let interval = Duration::from_millis(self.shared.options.commit_ms);
        let mut group = Group::default();
        let mut sealing = self.state.as_ref().is_some_and(|state| state.book.is_sealing());
        let first = if !self.seal_waiters.is_empty() {
            self.queue.recv_timeout(Duration::ZERO)
        } else if sealing {
            self.queue.recv_timeout(interval)
        } else {
            self.queue.recv().map_err(|_| RecvTimeoutError::Disconnected)
        };
        match first {
            Ok(job) => sealing = self.take(job, &mut group),
            Err(RecvTimeoutError::Timeout) => return Some(group),
            Err(RecvTimeoutError::Disconnected) => return None,
        }
        let end = monotonic() + interval;
        while !sealing && group.samples < self.shared.options.commit_samples {
            let left = end.saturating_duration_since(monotonic());
            match self.queue.recv_timeout(left) {
                Ok(job) => sealing = self.take(job, &mut group),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
        Some(group)
    }

    /// True if the group ends with this job.
    fn take(&mut self, job: Job, group: &mut Group) -> bool {
        match job {
            Job::Intake(intake, done) => {
                match at_the_door(*intake, self.shared.options.bucket_ms) {
                    Ok(intake) => {
                        group.samples += intake.samples.len();
                        group.intakes.push((intake, done));
                    }
                    Err(why) => answer(done, Err(why)),
                }
                false
            }
            Job::Seal(waiter) => {
                self.seal_waiters.push(waiter);
                self.seal_wanted = true;
                true
            }
        }
    }

    fn commit(&mut self, group: Group) {
        let (intakes, answers): (Vec<Intake>, Vec<Done>) = group.intakes.into_iter().unzip();
        match self.try_commit(&intakes) {
            Ok(first) => {
                for (seq, done) in (first..).zip(answers) {
                    answer(done, Ok(seq));
                }
                if self.state.as_ref().is_some_and(|state| !state.book.is_sealing()) {
                    self.answer_seals(&Ok(()));
                }
            }
            Err(why) => {
                error!(%why, intakes = intakes.len(), "group commit failed");
                self.shared.failed_commits.fetch_add(1, Ordering::Relaxed);
                self.state = None;
                for done in answers {
                    answer(done, Err(why.clone()));
                }
                self.answer_seals(&Err(why));
            }
        }
    }

    fn answer_seals(&mut self, result: &Result<(), StoreError>) {
        for waiter in self.seal_waiters.drain(..) {
            if waiter.send(result.clone()).is_err() {
                warn!("whoever waited for a seal has gone");
            }
        }
    }

    /// One transaction, one fsync, then memory. The seq of the first intake.
    fn try_commit(&mut self, intakes: &[Intake]) -> Result<u64, StoreError> {
        self.load()?;
        let shared = Arc::clone(&self.shared);
        let path = shared.readers.path();
        let Some(state) = &mut self.state else {
            return Err(StoreError::Stopped { path: path.to_owned() });
        };
        if let Some(newest) = intakes.last() {
            self.now = Some(newest.ti);
        }
        if let Some(now) = self.now {
            state.book.close_due(now, &shared.options);
        }
        let over = state.book.is_over(&shared.options);
        let most = shared.options.seals_per_commit * if over { RELIEF } else { 1 };
        let seals = state.book.next_seals(most);
        let found = shared.unwritten();
        let first = state.last_seq + 1;
        if !intakes.is_empty() || !seals.is_empty() || !found.is_empty() {
            write(&shared, state, intakes, &seals, &found)
                .map_err(database("commit a group", path))?;
            shared.commits.fetch_add(1, Ordering::Relaxed);
        }
        shared.written(&found);

        state.last_seq += intakes.len() as u64;
        let mut hot = shared.hot_mut();
        for (bucket, point) in &seals {
            hot.remove(&mut state.book, *point, *bucket);
        }
        for (seq, intake) in (first..).zip(intakes) {
            hot.apply(&mut state.book, seq, intake, |_, _| false);
        }
        drop(hot);
        shared.last_seq.store(state.last_seq, Ordering::Release);
        shared.tail_samples.store(state.book.samples as u64, Ordering::Relaxed);
        if std::mem::take(&mut self.seal_wanted) {
            state.book.close_all();
        }
        Ok(first)
    }
}

fn write(
    shared: &Shared,
    state: &mut State,
    intakes: &[Intake],
    seals: &[(i64, u32)],
    found: &[(String, GapRow)],
) -> rusqlite::Result<()> {
    let tx = state.conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    seal(shared, &tx, seals, state.last_seq)?;
    if !intakes.is_empty() {
        let first = state.last_seq + 1;
        let last = state.last_seq + intakes.len() as u64;
        let stamps = || intakes.iter().flat_map(|intake| &intake.samples).map(|(_, te, _)| te.0);
        let row = JournalBlob {
            seq: last,
            t_min: stamps().min(),
            t_max: stamps().max(),
            data: encode_group(first, last, intakes.iter()),
        };
        sql::put_journal(&tx, first, &row)?;
    }
    for intake in intakes {
        for gap in &intake.gaps {
            sql::put_gap(&tx, gap)?;
        }
        for local in &intake.locals {
            sql::put_local(&tx, &intake.gateway, intake.epoch, local)?;
        }
        if intake.offsets.is_empty() {
            continue;
        }
        let key = (intake.gateway.clone(), intake.epoch);
        let ranges = state.ledger.entry(key).or_default();
        for change in intake.offsets.iter().filter_map(|(lo, hi)| ranges.add(*lo, *hi)) {
            for lo in change.gone {
                sql::drop_range(&tx, &intake.gateway, intake.epoch, lo)?;
            }
            let (gateway, epoch) = (intake.gateway.clone(), intake.epoch);
            sql::put_range(&tx, &LedgerRow { gateway, epoch, lo: change.lo, hi: change.hi })?;
        }
    }
    for (_, gap) in found {
        sql::put_gap(&tx, gap)?;
    }
    let unsealed = state.book.oldest_unsealed().map_or(state.last_seq, |seq| seq - 1);
    let through = unsealed.min(state.last_seq).min(shared.hold.load(Ordering::Acquire));
    if through > state.trimmed {
        sql::trim_journal(&tx, through)?;
    }
    tx.commit()?;
    state.trimmed = state.trimmed.max(through);
    Ok(())
}

/// What no type forbids is checked once. Nearly every intake passes as it is.
fn at_the_door(intake: Intake, bucket_ms: i64) -> Result<Intake, StoreError> {
    let (from, to) = span(bucket_ms);
    let mut highest = 0;
    let mut plain = true;
    for (point, te, reading) in &intake.samples {
        highest = highest.max(*point);
        plain &= from <= *te && *te < to;
        plain &= match reading {
            Reading::Good(number) | Reading::Uncertain(number, _) => number.is_finite(),
            Reading::Bad(_) => true,
        };
    }
    if highest > POINT_MAX {
        return Err(StoreError::PointNumber { point: highest });
    }
    Ok(if plain { intake } else { put_right(intake, from, to) })
}

/// A number that is not finite is bad, and samples whose stamps no chunk can hold become a gap.
fn put_right(mut intake: Intake, from: TimeMs, to: TimeMs) -> Intake {
    for (_, _, reading) in &mut intake.samples {
        if reading.value().is_some_and(|number| !number.is_finite()) {
            *reading = Reading::Bad(Fault::NotANumber);
        }
    }
    let mut refused: Vec<u32> = Vec::new();
    intake.samples.retain(|(point, te, _)| {
        let kept = from <= *te && *te < to;
        if !kept {
            refused.push(*point);
        }
        kept
    });
    if !refused.is_empty() {
        let records = refused.len() as u64;
        warn!(gateway = intake.gateway, records, "stamps are out of every range");
        refused.sort_unstable();
        refused.dedup();
        intake.gaps.push(GapRow {
            gateway: intake.gateway.clone(),
            from: intake.ti,
            to: intake.ti,
            records,
            cause: GapReason::StampUnusable,
            points: refused,
            detail: format!("stamps before {from} or from {to} on"),
        });
    }
    intake
}

/// A callback that panics is its owner's fault and nobody else's.
fn answer(done: Done, result: Result<u64, StoreError>) {
    if catch_unwind(AssertUnwindSafe(|| done(result))).is_err() {
        error!("a callback of the store panicked");
    }
}

/// Says so when the writer ends, however it ends.
struct WritingFlag(Arc<Shared>);

impl Drop for WritingFlag {
    fn drop(&mut self) {
        self.0.writing.store(false, Ordering::Release);
    }
}
