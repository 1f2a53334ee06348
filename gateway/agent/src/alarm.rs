//! The alarm loop: one owner of the engine, between the readers and everything else.
//!
//! - Deadlines come before inputs: a flood of samples delays no alarm.
//! - The siren follows the engine at once. Neither a full spool nor a slow disk holds it up.
//! - Records go to the spool in the order in which the engine saw them, so a saved state of the
//!   engine covers exactly the records queued before it.
//! - When the spool's queue is full, transitions wait here, telemetry is counted and named by a
//!   Gap.

mod limits;

use std::collections::{BTreeSet, VecDeque};

use fengsui_alerting::{
    Action, AlarmId, Command, Engine, Event, GatewayRef, Plan, PointRef, Row, Verb,
};
use fengsui_telemetry::wire::DeviceHealth;
use fengsui_telemetry::{
    Body, ClockChange, Gap, GapCause, Lane, LocalTransition, Reading, Record, Revision, Scan,
    TimeMs,
};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};
use tracing::{error, info, warn};

use crate::bus::Scanned;
use crate::clock::Clock;
use crate::siren::SirenState;
use crate::sparkplug::Live;
use crate::spool::{Job, SpoolHandle};

/// The gateway's own number: it judges nobody else's points.
const OWN: GatewayRef = GatewayRef(0);
/// Transitions that wait for a full spool: an hour of three a second. Beyond it the oldest is
/// dropped with an error: then the disk has refused for a long time.
const TRANSITIONS_MAX: usize = 10_000;
/// The loop turns at least this often, so that a standing count of turns means a stalled engine.
const TURN_MS: u64 = 1_000;
/// Between two saved states of the engine. A start replays what came since: some seconds of work.
const SNAPSHOT_MS: u64 = 120_000;
/// Wall clock moved against the monotonic one by more than this: a step, not drift.
const STEP_MS: i64 = 1_000;
/// Answers to recalls on their way; the engine asks for one point at a time.
const RECALLS_MAX: usize = 64;
/// How long the first answers of all devices are waited for before ticks count again (R7).
const CATCH_UP_MS: u64 = 5_000;

/// What the loop tells the uplink's heartbeat.
#[derive(Clone, Debug, Default)]
pub(crate) struct LoopState {
    /// Turns of the loop.
    pub(crate) turns: u64,
    /// The devices, in the order of the site.
    pub(crate) devices: Vec<DeviceHealth>,
    /// The limits by which it judges.
    pub(crate) limits: Revision,
}

/// Stored samples that the engine had asked for.
struct Recalled {
    point: PointRef,
    from: TimeMs,
    samples: Vec<(TimeMs, Reading)>,
}

/// The way out of the loop.
#[derive(Debug)]
pub(crate) struct Outputs {
    pub(crate) siren: watch::Sender<SirenState>,
    pub(crate) state: watch::Sender<LoopState>,
    pub(crate) spool: SpoolHandle,
}

/// The loop and what it owns.
pub(crate) struct AlarmLoop {
    engine: Engine,
    /// The engine's number of each point of the catalogue.
    numbers: Vec<u32>,
    clock: Clock,
    out: Outputs,
    live: Live,
    revision: Revision,
    sounding: BTreeSet<AlarmId>,
    waiting: VecDeque<Record>,
    dropped: Option<Gap>,
    state: LoopState,
    /// Devices that have not answered since the start.
    silent: BTreeSet<usize>,
    /// Wall minus monotonic time, as last seen.
    skew_ms: i64,
    snapshot_at: u64,
    actions: Vec<Action>,
    recalls: (mpsc::Sender<Recalled>, Option<mpsc::Receiver<Recalled>>),
    /// Transitions that the spool holds already: a replay comes to them again.
    replayed: BTreeSet<(String, u64, char, char, i64)>,
}

impl AlarmLoop {
    pub(crate) fn new(
        engine: Engine,
        numbers: Vec<u32>,
        devices: &[String],
        clock: Clock,
        out: Outputs,
    ) -> Self {
        let revision = engine.plan().revision;
        let health = |name: &String| DeviceHealth {
            name: name.clone(),
            last_good: TimeMs(0),
            fault: String::new(),
        };
        let (ask, answers) = mpsc::channel(RECALLS_MAX);
        Self {
            engine,
            numbers,
            clock,
            out,
            live: Live::default(),
            revision,
            sounding: BTreeSet::new(),
            waiting: VecDeque::new(),
            dropped: None,
            state: LoopState {
                turns: 0,
                devices: devices.iter().map(health).collect(),
                limits: revision,
            },
            silent: (0..devices.len()).collect(),
            skew_ms: skew(&clock),
            snapshot_at: clock.mono_ms() + SNAPSHOT_MS,
            actions: Vec::new(),
            recalls: (ask, Some(answers)),
            replayed: BTreeSet::new(),
        }
    }

    /// Shows live readings there as well.
    pub(crate) fn showing(mut self, live: Live) -> Self {
        self.live = live;
        self
    }

    /// Plays a kept record after a restart. Nothing sounds and nothing is written yet.
    pub(crate) fn replay(&mut self, record: Record) {
        match record.body {
            Body::Scan(scan) => {
                for (index, reading) in scan.readings {
                    self.sample(index, record.te, reading, record.te);
                }
            }
            Body::Transition(t) => {
                self.replayed.insert((t.alarm, t.occurrence, t.from, t.to, record.te.0));
            }
            Body::Gap(_) | Body::Clock(_) => {}
        }
    }

    /// Runs until no reader is left, then saves the engine.
    pub(crate) async fn run(
        mut self,
        mut scans: mpsc::Receiver<Scanned>,
        mut button: mpsc::Receiver<()>,
        mut limits: mpsc::Receiver<Plan>,
    ) {
        let mut recalled = self.recalls.1.take();
        let caught_up_at = self.clock.mono_ms() + CATCH_UP_MS;
        loop {
            self.turn(caught_up_at);
            let wake = self.wake();
            let recall = async {
                match recalled.as_mut() {
                    Some(answers) => answers.recv().await,
                    None => None,
                }
            };
            tokio::select! {
                biased;
                () = sleep_until(wake) => {}
                Some(Recalled { point, from, samples }) = recall => {
                    self.handle(Event::History { point, from, samples });
                }
                Some(()) = button.recv() => self.acknowledge(),
                Some(plan) = limits.recv() => self.replan(plan),
                scanned = scans.recv() => match scanned {
                    Some(scanned) => self.scanned(scanned),
                    None => break,
                },
            }
        }
        self.save();
        self.flush();
        if !self.waiting.is_empty() {
            error!(records = self.waiting.len(), "transitions were not written");
        }
    }

    /// After a restore: what the replay brought up is new to nobody but the siren.
    pub(crate) fn begin(&mut self) {
        self.handle(Event::Restarted);
        let standing = self.engine.all_standing();
        for one in standing.into_iter().filter(|s| !s.unacknowledged.is_empty()) {
            self.sounding.insert(one.alarm);
        }
        self.show();
        self.clock_record(0);
        if self.silent.is_empty() {
            self.handle(Event::CaughtUp { gateway: OWN });
        }
    }

    /// What every turn does, whatever woke it.
    fn turn(&mut self, caught_up_at: u64) {
        self.state.turns += 1;
        let state = &self.state;
        self.out.state.send_modify(|out| out.clone_from(state));
        if self.engine.wake_at().is_some_and(|at| at <= self.clock.wall()) {
            self.handle(Event::Wake);
        }
        let now = self.clock.mono_ms();
        if !self.silent.is_empty() && now >= caught_up_at {
            self.silent.clear();
            self.handle(Event::CaughtUp { gateway: OWN });
        }
        let skew = skew(&self.clock);
        let step = skew.saturating_sub(self.skew_ms);
        if step.abs() > STEP_MS {
            warn!(step_ms = step, "wall clock stepped");
            self.clock_record(step);
        }
        self.skew_ms = skew;
        if now >= self.snapshot_at {
            self.save();
        }
        self.flush();
    }

    /// When to turn again at the latest. At least a millisecond away: what is due was done in
    /// [`AlarmLoop::turn`], and then an input has its turn.
    fn wake(&self) -> Instant {
        let due = self.engine.wake_at().map(|at| at.since(self.clock.wall()));
        let ms = due.map_or(TURN_MS, |ms| u64::try_from(ms).unwrap_or(0));
        self.clock.instant_after(ms.clamp(1, TURN_MS))
    }

    /// The button in the plant: everything that sounds has been heard by somebody.
    fn acknowledge(&mut self) {
        let now = self.clock.wall();
        for alarm in self.sounding.clone() {
            for occurrence in self.engine.standing(alarm).unacknowledged {
                let command = Command {
                    alarm,
                    verb: Verb::acknowledge(occurrence),
                    by: "就地按钮".to_owned(),
                    comment: "就地按钮确认".to_owned(),
                    request: format!("button-{now}-{}-{occurrence}", alarm.0),
                };
                self.handle(Event::Command(command));
            }
        }
        // A command is in no record that could be replayed.
        self.save();
    }

    fn scanned(&mut self, scanned: Scanned) {
        let Scanned { device, te, readings, answered, fault } = scanned;
        if let Some(health) = self.state.devices.get_mut(device) {
            health.last_good = answered.unwrap_or(health.last_good);
            health.fault = fault.map_or_else(String::new, |fault| fault.word().to_owned());
        }
        let now = self.clock.wall();
        for (index, reading) in &readings {
            self.sample(*index, te, *reading, now);
        }
        if !readings.is_empty() {
            self.live.offer(te, &readings);
            let scan = Scan { readings, clock: self.clock.quality() };
            self.act(vec![Record { te, body: Body::Scan(scan) }]);
        }
        if self.silent.remove(&device) && self.silent.is_empty() {
            self.handle(Event::CaughtUp { gateway: OWN });
        }
    }

    fn sample(&mut self, index: u32, te: TimeMs, reading: Reading, now: TimeMs) {
        let place = usize::try_from(index).unwrap_or(usize::MAX);
        let Some(number) = self.numbers.get(place) else { return };
        let sample = Event::Sample { point: PointRef(*number), te, reading, lane: Lane::Live };
        self.engine.handle(sample, now, &mut self.actions);
    }

    fn handle(&mut self, event: Event) {
        self.engine.handle(event, self.clock.wall(), &mut self.actions);
        self.act(Vec::new());
    }

    /// Does what the engine asked: siren first, then the spool with the records that led to it.
    fn act(&mut self, mut records: Vec<Record>) {
        let before = self.sounding.clone();
        let mut urgent = false;
        for action in std::mem::take(&mut self.actions) {
            match action {
                Action::Annunciate { alarm, .. } => {
                    self.sounding.insert(alarm);
                }
                Action::Silence { alarm } => {
                    self.sounding.remove(&alarm);
                }
                Action::Record(row) => {
                    if let Some(record) = self.transition(&row) {
                        urgent = true;
                        records.push(record);
                    }
                }
                Action::Chime { .. } => info!("late excursions"),
                Action::Recall { point, from, to } => self.recall(point, from, to),
            }
        }
        if before != self.sounding {
            self.show();
        }
        self.keep(records, urgent);
    }

    /// Notes change no letter and stay in the log; a replayed change is in the spool already.
    fn transition(&mut self, row: &Row) -> Option<Record> {
        let alarm = self.key(row.alarm);
        let (from, to) = (row.from.as_char(), row.to.as_char());
        let te = row.te.unwrap_or(row.ti);
        if from == to {
            return None;
        }
        info!(alarm, from = %from, to = %to, why = row.cause.word(), "alarm");
        if self.replayed.remove(&(alarm.clone(), row.occurrence, from, to, te.0)) {
            return None;
        }
        let transition = LocalTransition {
            alarm,
            occurrence: row.occurrence,
            from,
            to,
            revision: self.revision,
            value: row.value,
            why: row.cause.word().to_owned(),
            known: row.ti,
        };
        Some(Record { te, body: Body::Transition(transition) })
    }

    fn key(&self, alarm: AlarmId) -> String {
        let place = usize::try_from(alarm.0).unwrap_or(usize::MAX);
        self.engine.plan().alarms.get(place).map_or_else(String::new, |spec| spec.key.clone())
    }

    fn show(&self) {
        let alarms: Vec<String> = self.sounding.iter().map(|alarm| self.key(*alarm)).collect();
        let now = self.clock.wall().0;
        self.out.siren.send_modify(|state| {
            let sounding = !alarms.is_empty();
            if state.sounding != sounding || state.since_ms == 0 {
                state.since_ms = now;
            }
            (state.sounding, state.alarms) = (sounding, alarms);
        });
    }

    /// The spool answers by and by; the engine waits for it, nobody else does.
    fn recall(&self, point: PointRef, from: TimeMs, to: TimeMs) {
        let place = self.numbers.iter().position(|number| *number == point.0);
        let Some(index) = place.and_then(|place| u32::try_from(place).ok()) else { return };
        let (reply, answer) = oneshot::channel();
        let job = Job::History { point: index, from, to, reply };
        if self.out.spool.send(job).is_err() {
            warn!(point = point.0, "spool is busy; a recall stays without answer");
            return;
        }
        let back = self.recalls.0.clone();
        tokio::spawn(async move {
            let samples = answer.await.unwrap_or_default();
            // The loop may have ended meanwhile.
            drop(back.send(Recalled { point, from, samples }).await);
        });
    }

    fn clock_record(&mut self, step_ms: i64) {
        let change = ClockChange {
            boot: self.clock.boot(),
            monotonic_ms: self.clock.since_boot_ms(),
            step_ms,
            quality: self.clock.quality(),
        };
        let record = Record { te: self.clock.wall(), body: Body::Clock(change) };
        self.keep(vec![record], false);
    }

    fn save(&mut self) {
        self.snapshot_at = self.clock.mono_ms() + SNAPSHOT_MS;
        // Records that wait here are in the engine but not yet in the queue: they must not be
        // counted as covered, so they go first.
        self.flush();
        if !self.waiting.is_empty() {
            return;
        }
        let job = Job::Snapshot { limits: self.revision, bytes: self.engine.snapshot() };
        if self.out.spool.send(job).is_err() {
            warn!("spool is busy; the engine is saved later");
        }
    }

    /// Hands records to the spool, or keeps what must not be lost.
    fn keep(&mut self, records: Vec<Record>, urgent: bool) {
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
    fn flush(&mut self) {
        if self.waiting.is_empty() && self.dropped.is_none() {
            return;
        }
        let mut records: Vec<Record> = self.waiting.iter().cloned().collect();
        if let Some(gap) = &self.dropped {
            records.push(Record { te: gap.to, body: Body::Gap(gap.clone()) });
        }
        if self.out.spool.send(Job::Append { records, urgent: true }).is_ok() {
            self.waiting.clear();
            self.dropped = None;
        }
    }
}

fn skew(clock: &Clock) -> i64 {
    clock.wall().0.saturating_sub_unsigned(clock.mono_ms())
}

#[cfg(test)]
mod tests;
