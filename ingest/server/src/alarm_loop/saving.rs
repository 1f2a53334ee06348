//! What a restart needs: the log of what the engine took, and now and then its whole state.
//!
//! - Inputs are written with the rows that came of them, or by themselves soon after. What a kill
//!   keeps out of the log made no row; its samples are in the series store or still at the
//!   gateway.
//! - A snapshot ends the log before it, but for the chunks whose samples are not yet stored.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fengsui_alerting::Event;
use fengsui_store::{Snapshot, StoreError};
use fengsui_telemetry::TimeMs;
use tokio::sync::oneshot;
use tracing::warn;

use super::AlarmLoop;
use super::recorder::Unrecorded;
use crate::clock;
use crate::desk::DeskInput;

/// Between two snapshots of the engine at least.
const SNAPSHOT_AFTER_MS: i64 = 10_000;
/// A replay after a kill is at most this long ...
const SNAPSHOT_LATEST_MS: i64 = 60_000;
/// ... and holds about this many samples, which the engine plays in a fraction of a second.
const SNAPSHOT_SAMPLES: usize = 500_000;
/// Inputs without a row wait this long for one, ms.
const LOG_AGE_MS: i64 = 500;
/// Or until they are so many bytes.
const LOG_BYTES: usize = 256 * 1_024;

/// A canary goes through engine, journal and desk this often: an alarm that finds no way would
/// otherwise be noticed by the first that matters.
const CANARY: Duration = Duration::from_secs(3);

impl AlarmLoop {
    /// The way of an alarm, walked by nothing: a deadline for the engine, a commit of the
    /// journal, a word to the desk, which shows the age and latency of the newest.
    pub(super) fn canary_if_due(&mut self, now: TimeMs) {
        let began = clock::monotonic();
        if began < self.canary_at {
            return;
        }
        self.canary_at = began + CANARY;
        self.log.wake(now);
        self.engine(Event::Wake, now);
        if self.recorder.is_behind() {
            return;
        }
        self.change += 1;
        let change = self.change;
        self.tell(DeskInput::Canary { change, began });
        // An alarm that the wake raised has taken the inputs with it: then this chunk is empty.
        self.write_log(change, now);
    }

    /// Inputs that have waited for a row long enough are written by themselves.
    pub(super) fn flush_if_due(&mut self, now: TimeMs) {
        if self.log.is_empty() {
            self.flushed_at = now;
        } else if self.log.len() >= LOG_BYTES || now.since(self.flushed_at).abs() >= LOG_AGE_MS {
            self.flush(now);
        }
    }

    fn flush(&mut self, now: TimeMs) {
        if self.log.is_empty() {
            self.flushed_at = now;
        } else {
            self.write_log(0, now);
        }
    }

    /// What waits in the log, without rows; a change of the desk may ride on it.
    fn write_log(&mut self, change: u64, now: TimeMs) {
        self.flushed_at = now;
        let (rows, inputs) = (Vec::new(), self.chunk());
        self.recorder.record(Unrecorded { rows, raised: 0, inputs, change, reply: None });
    }

    /// A loop that stood still watched nothing: reports must know.
    pub(super) fn tell_of_standing(&mut self, stood: Duration, now: TimeMs) {
        if stood <= super::STOOD {
            return;
        }
        let stood_ms = i64::try_from(stood.as_millis()).unwrap_or(i64::MAX);
        let rows = vec![crate::report::life::stood(now - stood_ms, now)];
        let inputs = self.chunk();
        self.recorder.record(Unrecorded { rows, raised: 0, inputs, change: 0, reply: None });
    }

    /// What waits in the log, as its next chunk.
    pub(super) fn chunk(&mut self) -> fengsui_store::Inputs {
        let number = self.chunk;
        self.chunk += 1;
        self.log.take(number)
    }

    pub(super) fn snapshot_if_due(&mut self, now: TimeMs) {
        let age = now.since(self.snapshot_at).abs();
        let long = age >= SNAPSHOT_LATEST_MS || self.judged_since >= SNAPSHOT_SAMPLES;
        // The log before another plan belongs to the plan before.
        let over = self.replanned && !self.recorder.is_behind();
        if over || self.dirty && long && age >= SNAPSHOT_AFTER_MS {
            self.snapshot(now, None);
        }
    }

    /// Saves the engine, after the rows that wait; the journal's writer keeps the order.
    pub(super) fn snapshot(&mut self, now: TimeMs, done: Option<oneshot::Sender<()>>) {
        self.snapshot_at = now;
        self.flush(now);
        if self.recorder.is_behind() {
            return;
        }
        (self.dirty, self.replanned) = (false, false);
        self.judged_since = 0;
        // In this order: samples that are stored in between are then known twice, never not at all.
        let keep_from = self.recorder.oldest_unstored().map_or(self.chunk, |c| c.min(self.chunk));
        let store_seq = self.parts.store.last_seq();
        let store = self.parts.store.clone();
        let plan_saved = Arc::clone(&self.plan_saved);
        let is_new = !plan_saved.load(Ordering::Acquire);
        let saved = move |answer: Result<Vec<Option<u64>>, StoreError>| {
            match answer {
                Ok(_) => {
                    plan_saved.fetch_or(is_new, Ordering::AcqRel);
                    store.hold_journal_from(store_seq);
                }
                Err(fault) => warn!(%fault, "the engine's snapshot was not saved"),
            }
            if let Some(done) = done {
                // Nobody waiting any longer is no fault.
                done.send(()).ok();
            }
        };
        let snapshot = Snapshot {
            data: self.parts.engine.snapshot(),
            store_seq,
            journal_seq: 0,
            inputs_from: self.chunk,
            keep_from,
            plan: is_new.then(|| self.parts.plan.clone()),
            ti: now,
        };
        if self.parts.journal.save_snapshot(snapshot, Vec::new(), Box::new(saved)).is_err() {
            (self.dirty, self.replanned) = (true, true);
        }
    }

    pub(super) fn stop(&mut self, done: oneshot::Sender<()>) {
        self.recorder.retry_now();
        self.snapshot(clock::now(), Some(done));
    }
}
