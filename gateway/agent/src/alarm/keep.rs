//! From the loop to the spool: stamps, a queue that may be full, and a clock that may not be set.
//!
//! - While the clock was never set, records wait here: their stamps would be wrong. Once a time is
//!   known they go to the spool stamped by it, and a Clock record names by how much they moved.
//! - They wait [`UNSET_MS`] at most. After that they are kept as the board's clock has it, doubted
//!   ([`Doubt::EstimatedTime`]), so that a power cut cannot take more.
//! - A power cut takes records that wait, but no alarm: the engine's state is saved with each
//!   transition meanwhile.

use fengsui_telemetry::{
    Body, ClockChange, ClockQuality, Doubt, Gap, GapCause, Reading, Record, TimeMs,
};
use tracing::{error, info, warn};

use super::{AlarmLoop, TRANSITIONS_MAX};
use crate::spool::Job;

/// A board with a network hears a time server or the centre well within this.
const UNSET_MS: u64 = 600_000;
/// While transitions wait for a time: from one to the next save of the engine. An alarm that
/// chatters must not wear out the card.
const UNSET_SAVE_MS: u64 = 250;
/// Records that wait for a time: ten minutes of thirty scan groups a second, some megabytes.
const UNSET_MAX: usize = 20_000;

/// Records that wait for a time, stamped by the engine.
#[derive(Debug, Default)]
pub(super) struct Undated {
    records: Vec<Record>,
    /// Since when, monotonic ms.
    since: Option<u64>,
    /// No time came: stamps are the board's own.
    given_up: bool,
}

impl AlarmLoop {
    /// Records bear the engine's time here.
    pub(super) fn emit(&mut self, mut records: Vec<Record>, urgent: bool) {
        let unset = self.clock.quality() == ClockQuality::Unset;
        if unset && !self.undated.given_up {
            let now = self.clock.mono_ms();
            let since = *self.undated.since.get_or_insert(now);
            if records.iter().any(|record| matches!(record.body, Body::Transition(_))) {
                self.snapshot_at = self.snapshot_at.min(now + UNSET_SAVE_MS);
            }
            self.undated.records.append(&mut records);
            if self.undated.records.len() >= UNSET_MAX || now.saturating_sub(since) >= UNSET_MS {
                self.give_up();
            }
            return;
        }
        if !unset {
            self.date();
        }
        if unset {
            records.iter_mut().for_each(doubt);
        }
        records.iter_mut().for_each(|record| self.stamp(record));
        self.keep(records, urgent);
    }

    /// The time is known: what waited is stamped by it. The stamps that it would have borne are
    /// those less the step of the Clock record.
    pub(super) fn date(&mut self) {
        if self.undated.records.is_empty() {
            return;
        }
        let mut records = std::mem::take(&mut self.undated).records;
        info!(records = records.len(), "the clock is set: what waited for it is stamped");
        records.iter_mut().for_each(|record| self.stamp(record));
        self.keep_dated(records);
    }

    /// No time is to be had: kept with the board's own, and doubted.
    pub(super) fn give_up(&mut self) {
        if self.undated.records.is_empty() {
            return;
        }
        let mut records = std::mem::take(&mut self.undated).records;
        self.undated.given_up = true;
        warn!(
            records = records.len(),
            "the clock was never set: records bear the board's own time"
        );
        for record in &mut records {
            doubt(record);
            self.stamp(record);
        }
        self.keep_dated(records);
    }

    /// The engine knows these records, and its saved state does not cover them: it is saved anew,
    /// so that a restart does not judge them twice.
    fn keep_dated(&mut self, records: Vec<Record>) {
        self.keep(records, true);
        self.snapshot_at = self.clock.mono_ms();
    }

    /// From the engine's time to the wall clock's.
    fn stamp(&self, record: &mut Record) {
        record.te = self.course.wall(record.te);
        match &mut record.body {
            Body::Transition(transition) => transition.known = self.course.wall(transition.known),
            Body::Scan(scan) => scan.clock = self.clock.quality(),
            Body::Gap(_) | Body::Clock(_) => {}
        }
    }

    pub(super) fn clock_record(&mut self, step_ms: i64) {
        let change = ClockChange {
            boot: self.clock.boot(),
            monotonic_ms: self.clock.since_boot_ms(),
            step_ms,
            quality: self.clock.quality(),
        };
        let record = Record { te: self.clock.wall(), body: Body::Clock(change) };
        self.keep(vec![record], false);
    }

    /// Hands records to the spool, or keeps what must not be lost.
    pub(super) fn keep(&mut self, records: Vec<Record>, urgent: bool) {
        self.flush();
        if records.is_empty() {
            return;
        }
        if self.waiting.is_empty() {
            match self.out.spool.send(Job::Append { records, urgent }) {
                Ok(()) => {}
                Err(Job::Append { records, .. }) => self.hold(records),
                Err(_other) => {}
            }
        } else {
            self.hold(records);
        }
    }

    fn hold(&mut self, records: Vec<Record>) {
        for record in records {
            match record.body {
                Body::Transition(_) => {
                    if self.waiting.len() >= TRANSITIONS_MAX {
                        error!("spool refuses for too long: a transition is lost");
                        self.waiting.pop_front();
                    }
                    self.waiting.push_back(record);
                }
                Body::Scan(_) | Body::Gap(_) | Body::Clock(_) => self.count_dropped(record.te),
            }
        }
    }

    fn count_dropped(&mut self, te: TimeMs) {
        if self.dropped.is_none() {
            error!("spool's queue is full: telemetry is dropped and will be named by a gap");
        }
        let gap = self.dropped.get_or_insert_with(|| Gap {
            from: te,
            to: te,
            records: 0,
            cause: GapCause::QueueFull,
            points: Vec::new(),
            detail: "spool queue full".to_owned(),
        });
        gap.from = gap.from.min(te);
        gap.to = gap.to.max(te);
        gap.records += 1;
    }

    /// What had to wait goes first.
    pub(super) fn flush(&mut self) {
        if self.waiting.is_empty() && self.dropped.is_none() {
            return;
        }
        let mut records: Vec<Record> = self.waiting.iter().cloned().collect();
        if let Some(gap) = &self.dropped {
            records.push(Record { te: gap.to, body: Body::Gap(gap.clone()) });
        }
        if self.out.spool.send(Job::Append { records, urgent: true }).is_ok() {
            self.waiting.clear();
            if self.dropped.take().is_some() {
                // What was dropped may be what a point said last.
                self.reporter.forget();
            }
        }
    }
}

fn doubt(record: &mut Record) {
    if let Body::Scan(scan) = &mut record.body {
        for (_, reading) in &mut scan.readings {
            if let Reading::Good(value) = *reading {
                *reading = Reading::Uncertain(value, Doubt::EstimatedTime);
            }
        }
    }
}
