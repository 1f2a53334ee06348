//! One gateway as the intake watches it: ledger, parked batches, signs of life.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use fengsui_store::{GapReason, GapRow, Intake, LocalRow};
use fengsui_telemetry::ledger::Ledger;
use fengsui_telemetry::wire::{Ack, Batch, Beat, Birth, Entry, Storage};
use fengsui_telemetry::{Body, Epoch, GatewayId, Lane, Offset, Revision, TimeMs};
use tracing::warn;

use super::clock_watch::ClockWatch;
use super::orders::Sending;
use super::set_back::SetBack;
use super::{GatewayState, Parts, Remembered};
use crate::alarm_loop::{Judge, Stored};
use crate::clock;
use crate::counters::{Counters, add};
use crate::registry::{Gateway, Numbered};

/// Batches parked for one gateway while its birth is on the way. Further ones are not taken; the
/// gateway offers them again.
const PARKED_MAX: usize = 32;
/// Batches stored before an acknowledgement goes out at once: half a gateway's backlog window, so
/// that its link never rests. Fewer wait for the next round, at most two seconds: on a metered
/// link an acknowledgement costs as much as fifty samples.
const ACK_EVERY: u32 = 4;
/// Not heard for this long: shown as offline, whatever its alarm says.
const OFFLINE_AFTER_MS: i64 = 12_000;
/// Late samples wait for the end of their back-fill at most this long.
const SETTLE_AFTER: Duration = Duration::from_secs(15);

/// What became of a batch.
pub(super) enum Taken {
    /// Known already, or refused.
    Nothing,
    /// To be judged and stored.
    Judge(Box<Judge>),
}

/// The limits by which a gateway judges, and why it refused the last ones; empty: it did not.
type Running = (Revision, String);

/// One gateway.
pub(super) struct Watched {
    pub(super) id: GatewayId,
    pub(super) ledger: Ledger,
    epoch: Option<Epoch>,
    next: Offset,
    parked: VecDeque<(Lane, Batch)>,
    birth_wanted: bool,
    ack_due: bool,
    acked_lately: bool,
    stored_since_ack: u32,
    fault: String,
    heard: Option<TimeMs>,
    will: bool,
    /// It has said something since this centre began.
    spoke: bool,
    skew_ms: Option<i64>,
    pub(super) clock: ClockWatch,
    set_back: SetBack,
    gaps: u64,
    limits: Option<Revision>,
    limits_fault: String,
    /// What its last beat said of its disk.
    storage: Disk,
    /// What the disk holds of both.
    remembered: Option<Running>,
    pub(super) sending: Sending,
    caught_up: bool,
    unsettled: Option<Instant>,
}

/// A gateway's disk, as it says itself.
#[derive(Default)]
struct Disk {
    state: Storage,
    fault: String,
    bytes: u64,
    quota: u64,
}

impl Watched {
    pub(super) fn new(id: GatewayId) -> Self {
        Self {
            id,
            ledger: Ledger::new(),
            epoch: None,
            next: 0,
            parked: VecDeque::new(),
            birth_wanted: false,
            ack_due: false,
            acked_lately: false,
            stored_since_ack: 0,
            fault: String::new(),
            heard: None,
            will: false,
            spoke: false,
            skew_ms: None,
            clock: ClockWatch::default(),
            set_back: SetBack::default(),
            gaps: 0,
            limits: None,
            limits_fault: String::new(),
            storage: Disk::default(),
            remembered: None,
            sending: Sending::new(None),
            caught_up: false,
            unsettled: None,
        }
    }

    /// What was known of it before this centre began.
    pub(super) fn remember(&mut self, engine: Remembered, running: Option<Running>) {
        self.heard = engine.heard;
        self.set_back.remember(engine.newest);
        self.clock.remember(engine.clock_bad);
        if let Some((limits, fault)) = running.clone() {
            (self.limits, self.limits_fault) = (Some(limits), fault);
        }
        self.remembered = running;
    }

    /// What it says of its limits, unless that is known on disk.
    pub(super) fn unremembered(&self) -> Option<Running> {
        let running = (self.limits?, self.limits_fault.clone());
        (self.remembered.as_ref() != Some(&running)).then_some(running)
    }

    pub(super) fn is_remembered(&mut self, running: Running) {
        self.remembered = Some(running);
    }

    pub(super) fn heard(&mut self, now: TimeMs) {
        self.heard = Some(now);
        self.spoke = true;
        self.will = false;
    }

    pub(super) fn said_offline(&mut self) {
        self.will = true;
    }

    pub(super) fn refused(&mut self, why: String) {
        self.fault = why;
        self.ack_due = true;
    }

    /// Keeps a batch until its catalogue comes.
    pub(super) fn park(&mut self, lane: Lane, batch: Batch, counters: &Counters) {
        self.birth_wanted = true;
        self.ack_due = true;
        self.epoch.get_or_insert(batch.head.epoch);
        if self.parked.len() < PARKED_MAX {
            counters.parked.fetch_add(1, Ordering::Relaxed);
            self.parked.push_back((lane, batch));
        } else {
            add(&counters.shed, 1);
        }
    }

    pub(super) fn unpark(&mut self, counters: &Counters) -> Vec<(Lane, Batch)> {
        counters.parked.fetch_sub(self.parked.len() as u64, Ordering::Relaxed);
        self.parked.drain(..).collect()
    }

    /// Takes what is new in a batch.
    pub(super) fn accept(
        &mut self,
        lane: Lane,
        batch: Batch,
        numbered: &Numbered,
        now: TimeMs,
        parts: &Parts,
    ) -> Taken {
        let (epoch, first, end) = (batch.head.epoch, batch.head.first, batch.end());
        if self.epoch != Some(epoch) {
            self.epoch = Some(epoch);
            self.next = 0;
            self.birth_wanted = true;
            self.ack_due = true;
        }
        self.next = self.next.max(end);
        let fresh = match self.ledger.take(epoch, first, end) {
            Ok(fresh) => fresh,
            Err(refusal) => {
                self.fault = refusal.to_string();
                self.ack_due = true;
                return Taken::Nothing;
            }
        };
        let is_fresh = |offset| fresh.iter().any(|(lo, hi)| *lo <= offset && offset < *hi);
        let mut intake = Intake {
            gateway: self.id.as_str().to_owned(),
            epoch: epoch.0,
            lane,
            ti: now,
            samples: Vec::new(),
            offsets: fresh.clone(),
            gaps: Vec::new(),
            locals: Vec::new(),
        };
        for entry in batch.entries {
            if is_fresh(entry.offset) {
                if let Ok(record) = &entry.record {
                    self.set_back.record(&record.body);
                    if lane == Lane::Live {
                        self.clock.record(&record.body);
                    }
                }
                self.unpack(entry, numbered, &mut intake, parts);
            } else {
                add(&parts.counters.repeats, entry.span);
            }
        }
        if fresh.is_empty() {
            // The acknowledgement was lost. What is new is acknowledged once it is stored.
            self.ack_due = true;
            return Taken::Nothing;
        }
        add(&parts.counters.samples, intake.samples.len() as u64);
        self.gaps += intake.gaps.iter().map(|gap| gap.records).sum::<u64>();
        let caught_up = lane == Lane::Live && !std::mem::replace(&mut self.caught_up, true);
        let settle = self.settles(lane, epoch);
        let gateway = parts.registry.gateway(&self.id).unwrap_or(usize::MAX);
        Taken::Judge(Box::new(Judge { gateway, intake, settle, caught_up }))
    }

    /// A back-fill is at its end when nothing below the newest record is missing.
    fn settles(&mut self, lane: Lane, epoch: Epoch) -> bool {
        if lane == Lane::Live {
            return false;
        }
        let waiting = self.unsettled.get_or_insert_with(clock::monotonic);
        let complete = self.ledger.lost_below(epoch, self.next).is_empty();
        if complete || clock::monotonic().duration_since(*waiting) > SETTLE_AFTER {
            self.unsettled = None;
            return true;
        }
        false
    }

    pub(super) fn settle_due(&self, now: Instant) -> bool {
        self.unsettled.is_some_and(|since| now.duration_since(since) > SETTLE_AFTER)
    }

    pub(super) fn settle(&mut self, gateway: usize) -> Box<Judge> {
        self.unsettled = None;
        let intake = self.nothing(Lane::Backlog, clock::now());
        Box::new(Judge { gateway, intake, settle: true, caught_up: false })
    }

    fn nothing(&self, lane: Lane, now: TimeMs) -> Intake {
        Intake {
            gateway: self.id.as_str().to_owned(),
            epoch: self.epoch.map_or(0, |epoch| epoch.0),
            lane,
            ti: now,
            samples: Vec::new(),
            offsets: Vec::new(),
            gaps: Vec::new(),
            locals: Vec::new(),
        }
    }

    fn unpack(&mut self, entry: Entry, numbered: &Numbered, intake: &mut Intake, parts: &Parts) {
        let record = match entry.record {
            Ok(record) => record,
            Err(fault) => {
                add(&parts.counters.undecodable, 1);
                warn!(gateway = %self.id, offset = entry.offset, %fault, "record not readable");
                let now = intake.ti;
                intake.gaps.push(self.gap(now, now, 1, GapReason::Corrupt, fault.to_string()));
                return;
            }
        };
        match record.body {
            Body::Scan(scan) => {
                for (index, reading) in scan.readings {
                    let id = usize::try_from(index).ok().and_then(|i| numbered.ids.get(i));
                    let Some(id) = id else {
                        add(&parts.counters.undecodable, 1);
                        continue;
                    };
                    let (te, reading) = match intake.lane {
                        Lane::Live => self.set_back.stamp(*id, record.te, reading, intake.ti),
                        Lane::Backlog => (record.te, reading),
                    };
                    intake.samples.push((*id, te, reading));
                }
            }
            Body::Gap(gap) => {
                let points = gap.points.iter().filter_map(|index| {
                    usize::try_from(*index).ok().and_then(|i| numbered.ids.get(i)).copied()
                });
                let mut row = self.gap(gap.from, gap.to, gap.records, gap.cause.into(), gap.detail);
                row.points = points.collect();
                intake.gaps.push(row);
            }
            // Raises nothing here: it stands beside our own journal, to be compared with it.
            Body::Transition(local) => intake.locals.push(LocalRow {
                offset: entry.offset,
                alarm: local.alarm,
                occurrence: local.occurrence,
                from: local.from,
                to: local.to,
                te: record.te,
                known: local.known,
                revision: local.revision.0,
                value: local.value,
                why: local.why,
            }),
            Body::Clock(_) => {}
        }
    }

    fn gap(
        &self,
        from: TimeMs,
        to: TimeMs,
        records: u64,
        cause: GapReason,
        detail: String,
    ) -> GapRow {
        GapRow {
            gateway: self.id.as_str().to_owned(),
            from,
            to,
            records,
            cause,
            points: Vec::new(),
            detail,
        }
    }

    /// A birth: what lies below its oldest record and is not here is lost to us, and said so.
    pub(super) fn born(
        &mut self,
        gateway: usize,
        birth: &Birth,
        now: TimeMs,
    ) -> Option<Box<Judge>> {
        self.heard(now);
        self.birth_wanted = false;
        self.fault.clear();
        self.ack_due = true;
        self.epoch = Some(birth.epoch);
        self.next = birth.next;
        self.limits = Some(birth.limits_revision);
        self.sending.born();
        self.clock.born(birth.boot);
        self.caught_up = false;
        let lost = self.ledger.lost_below(birth.epoch, birth.oldest);
        if lost.is_empty() {
            return None;
        }
        let records = lost.iter().map(|(lo, hi)| hi - lo).sum();
        warn!(gateway = %self.id, records, "the gateway no longer has records that never came here");
        self.gaps += records;
        let mut intake = self.nothing(Lane::Live, now);
        for (lo, hi) in &lost {
            // They are taken, so that nobody waits for them.
            drop(self.ledger.take(birth.epoch, *lo, *hi));
        }
        intake.offsets = lost;
        let detail = "freed before this centre had them".to_owned();
        intake.gaps.push(self.gap(now, now, records, GapReason::FreedBefore, detail));
        Some(Box::new(Judge { gateway, intake, settle: false, caught_up: false }))
    }

    pub(super) fn beat(&mut self, beat: &Beat, known: Option<Revision>, now: TimeMs) {
        self.heard(now);
        self.ack_due = true;
        self.skew_ms = Some(beat.clock.since(now));
        self.clock.beat(beat.clock, now);
        self.set_back.beat(beat.clock, self.clock.skew_ms(), now);
        self.limits = Some(beat.limits_revision);
        if beat.limits_fault != self.limits_fault && !beat.limits_fault.is_empty() {
            warn!(gateway = %self.id, fault = beat.limits_fault, "the gateway refuses limits");
        }
        self.limits_fault.clone_from(&beat.limits_fault);
        if beat.storage != self.storage.state {
            let (storage, why) = (beat.storage.word(), &beat.storage_fault);
            warn!(gateway = %self.id, storage, why, "the gateway's disk");
        }
        self.storage = Disk {
            state: beat.storage,
            fault: beat.storage_fault.clone(),
            bytes: beat.spool_bytes,
            quota: beat.spool_quota,
        };
        if self.epoch == Some(beat.epoch) {
            self.next = self.next.max(beat.next);
        }
        self.birth_wanted |=
            known != Some(beat.catalogue_revision) || self.epoch != Some(beat.epoch);
    }

    /// The alarm loop had no room: it is as if the batch had not come.
    pub(super) fn shed(&mut self, epoch: Epoch, end: Offset) {
        if self.epoch == Some(epoch) {
            self.next = self.next.max(end);
        }
    }

    pub(super) fn stored(&mut self, notice: &Stored) {
        let epoch = Epoch(notice.epoch);
        for (lo, hi) in &notice.offsets {
            if notice.durable {
                self.ledger.commit(epoch, *lo, *hi);
            } else {
                self.ledger.forget(epoch, *lo, *hi);
            }
        }
        self.stored_since_ack += 1;
        self.ack_due |= self.stored_since_ack >= ACK_EVERY;
    }

    /// What to say now, if anything. In a round (`all`) everybody who is owed a word hears it, and
    /// who has heard nothing since the last round hears the old one again.
    pub(super) fn ack(&mut self, all: bool, now: TimeMs) -> Option<Ack> {
        let epoch = self.epoch.unwrap_or(Epoch(0));
        let known = self.epoch.is_some() || self.birth_wanted;
        let owed = self.ack_due || (all && self.stored_since_ack > 0);
        let repeat = all && !std::mem::take(&mut self.acked_lately);
        if !known || !(owed || repeat) {
            return None;
        }
        self.ack_due = false;
        self.stored_since_ack = 0;
        self.acked_lately = true;
        Some(Ack {
            durable: self.ledger.durable(epoch),
            birth_wanted: self.birth_wanted,
            clock: now,
            fault: self.fault.clone(),
        })
    }

    /// Running others than these, as far as it ever said.
    fn runs_other_limits(&self, wanted: Revision) -> bool {
        self.limits.is_some_and(|running| running != wanted)
    }

    /// It is there to hear of these limits, and runs others.
    pub(super) fn wants_limits(&self, wanted: Revision) -> bool {
        self.spoke && self.runs_other_limits(wanted)
    }

    pub(super) fn state(&self, gateway: &Gateway, now: TimeMs) -> GatewayState {
        let state = match self.heard {
            None => "never_seen",
            // Known from before this centre began, it has yet to say that it is there.
            Some(heard) if !self.spoke || self.will || now.since(heard) > OFFLINE_AFTER_MS => {
                "offline"
            }
            Some(_) => "online",
        };
        GatewayState {
            gateway: self.id.to_string(),
            enterprise: gateway.enterprise().to_owned(),
            state,
            last_heard: self.heard,
            points: gateway.numbered().map_or(0, |numbered| numbered.ids.len()),
            backlog: self.epoch.map_or(0, |epoch| self.ledger.missing_below(epoch, self.next)),
            clock_skew_ms: self.skew_ms,
            gaps: self.gaps,
            limits_differ: self.runs_other_limits(gateway.limits_revision),
            limits_running: self.limits,
            limits_fault: self.limits_fault.clone(),
            storage: self.storage.state,
            storage_fault: self.storage.fault.clone(),
            spool_bytes: self.storage.bytes,
            spool_quota: self.storage.quota,
        }
    }
}
