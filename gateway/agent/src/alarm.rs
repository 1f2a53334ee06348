//! The alarm loop: one owner of the engine, between the readers and everything else.
//!
//! - Deadlines come before inputs: a flood of samples delays no alarm.
//! - The siren follows the engine at once. Neither a full spool nor a slow disk holds it up.
//! - Records go to the spool in the order in which the engine saw them, so a saved state of the
//!   engine covers exactly the records queued before it.
//! - When the spool's queue is full, transitions wait here, telemetry is counted and named by a
//!   Gap.

mod course;
mod keep;
mod limits;
mod report;
mod show;
mod told;
mod valves;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use fengsui_alerting::{
    Action, AlarmId, Command, Engine, Event, GatewayRef, Plan, PointRef, Row, Told, Verb,
};
use fengsui_scan::{Arrears, Reporter};
use fengsui_telemetry::wire::DeviceHealth;
use fengsui_telemetry::{
    Body, ClockQuality, Gap, Lane, LocalTransition, Reading, Record, Revision, Scan, TimeMs,
};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};
use tracing::{error, info, warn};

use course::Course;
use keep::Undated;
pub(crate) use report::{every_sample, hears_of_limits, reporter_of};
pub(crate) use valves::{Valves, parted};

use crate::bus::Scanned;
use crate::clock::Clock;
use crate::outputs::siren::SirenState;
use crate::sparkplug::Live;
use crate::spool::{Job, SpoolHandle};

/// The gateway's own number: it judges nobody else's points.
const OWN: GatewayRef = GatewayRef(0);
/// Transitions that wait for a full spool: an hour of three a second. Beyond it the oldest is
/// dropped with an error: then the disk has refused for a long time.
const TRANSITIONS_MAX: usize = 10_000;
/// Samples that the engine keeps for late ones, of all points together: a megabyte. Late are here
/// only those of devices with a clock of their own; what is older is asked of the spool.
const HELD_SAMPLES: usize = 32_768;
/// The loop turns at least this often, so that a standing count of turns means a stalled engine.
const TURN_MS: u64 = 1_000;
/// Between two saved states of the engine. A start replays what came since: some seconds of work.
const SNAPSHOT_MS: u64 = 120_000;
/// From so many points on it is worth laying the engine anew: a megabyte of 30,000.
const LARGE_POINTS: usize = 5_000;
/// Answers to recalls on their way; the engine asks for one point at a time.
const RECALLS_MAX: usize = 64;
/// How long the first answers of all devices are waited for before ticks count again (R7).
const CATCH_UP_MS: u64 = 5_000;

/// What the loop tells the uplink's heartbeat.
#[derive(Clone, Debug, Default)]
pub(crate) struct LoopState {
    /// Turns of the loop.
    pub(crate) turns: u64,
    /// When it turned last, monotonic ms.
    pub(crate) turned_at: u64,
    /// The devices, in the order of the site.
    pub(crate) devices: Vec<DeviceHealth>,
    /// What each of them is behind with.
    pub(crate) arrears: Vec<Arrears>,
    /// How far ahead their own clocks are, ms, where they are too wrong to be believed.
    pub(crate) clocks_off_ms: Vec<Option<i64>>,
    /// Outputs and buttons.
    pub(crate) outputs: Vec<DeviceHealth>,
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
    /// How the outputs do, for the heartbeat.
    pub(crate) healths: watch::Receiver<Vec<DeviceHealth>>,
    pub(crate) spool: SpoolHandle,
}

/// The loop and what it owns.
pub(crate) struct AlarmLoop {
    engine: Engine,
    /// The engine's number of each point of the catalogue.
    numbers: Arc<[u32]>,
    clock: Clock,
    out: Outputs,
    revision: Revision,
    sounding: BTreeSet<AlarmId>,
    waiting: VecDeque<Record>,
    dropped: Option<Gap>,
    state: LoopState,
    /// Devices that have not answered since the start.
    silent: BTreeSet<usize>,
    /// The engine's time beside the wall clock's.
    course: Course,
    undated: Undated,
    valves: Valves,
    live: Live,
    /// Which readings go into the spool.
    reporter: Reporter,
    /// What the engine was told of the clock last.
    clock_good: Option<bool>,
    snapshot_at: u64,
    actions: Vec<Action>,
    recalls: (mpsc::Sender<Recalled>, Option<mpsc::Receiver<Recalled>>),
    /// Transitions that the spool holds already: a replay comes to them again.
    replayed: BTreeSet<(String, u64, char, char, i64)>,
    /// What those tell of each alarm.
    told: BTreeMap<String, Told>,
}

impl AlarmLoop {
    pub(crate) fn new(
        engine: Engine,
        numbers: Arc<[u32]>,
        devices: &[String],
        clock: Clock,
        out: Outputs,
    ) -> Self {
        let revision = engine.revision();
        let health = |name: &String| DeviceHealth {
            name: name.clone(),
            last_good: TimeMs(0),
            fault: String::new(),
        };
        let (ask, answers) = mpsc::channel(RECALLS_MAX);
        Self {
            engine: engine.keeping(HELD_SAMPLES),
            numbers,
            clock,
            out,
            revision,
            sounding: BTreeSet::new(),
            waiting: VecDeque::new(),
            dropped: None,
            state: LoopState {
                devices: devices.iter().map(health).collect(),
                arrears: vec![Arrears::default(); devices.len()],
                clocks_off_ms: vec![None; devices.len()],
                limits: revision,
                ..LoopState::default()
            },
            silent: (0..devices.len()).collect(),
            course: Course::begin(clock.wall(), clock.mono_ms()),
            undated: Undated::default(),
            valves: Valves::default(),
            live: Live::default(),
            reporter: Reporter::default(),
            clock_good: None,
            snapshot_at: clock.mono_ms() + SNAPSHOT_MS,
            actions: Vec::new(),
            recalls: (ask, Some(answers)),
            replayed: BTreeSet::new(),
            told: BTreeMap::new(),
        }
    }

    /// The same, with the engine in another place of the heap: what was freed since it was made
    /// lies below what stays, and is given back to the system only where something else takes it.
    pub(crate) fn laid_anew(mut self) -> Self {
        if self.numbers.len() >= LARGE_POINTS {
            self.engine = self.engine.clone();
        }
        self
    }

    /// Watches these valves as well.
    pub(crate) fn watching(mut self, valves: Valves) -> Self {
        self.valves = valves;
        self
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
                // Their points are in records of their own.
                self.valves.observe(&scan.readings, record.te);
                for (index, reading) in scan.readings {
                    self.sample(index, record.te, reading, record.te);
                }
            }
            Body::Transition(t) => {
                self.note_told(record.te, &t);
                self.replayed.insert((t.alarm, t.occurrence, t.from, t.to, record.te.0));
            }
            Body::Gap(_) | Body::Clock(_) => {}
        }
    }

    /// Runs until no reader is left, and gives the button back.
    pub(crate) async fn live(
        self,
        scans: mpsc::Receiver<Scanned>,
        mut button: mpsc::Receiver<()>,
        limits: mpsc::Receiver<Plan>,
    ) -> mpsc::Receiver<()> {
        self.run(scans, &mut button, limits).await;
        button
    }

    /// Runs until no reader is left, then saves the engine.
    pub(crate) async fn run(
        mut self,
        mut scans: mpsc::Receiver<Scanned>,
        button: &mut mpsc::Receiver<()>,
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
                    let engine = |(te, reading)| (self.course.engine(te), reading);
                    let samples = samples.into_iter().map(engine).collect();
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
        self.give_up();
        self.save();
        self.flush();
        if !self.waiting.is_empty() {
            error!(records = self.waiting.len(), "transitions were not written");
        }
    }

    /// After a restore: what the replay brought up is new to nobody but the siren.
    pub(crate) fn begin(&mut self) {
        self.stand_as_told();
        self.course = Course::begin(self.clock.wall(), self.clock.mono_ms());
        self.valves.begin();
        // First of all: a horn that sounded before must not fall silent for a moment.
        self.sound_standing();
        self.handle(Event::Restarted);
        self.sound_standing();
        self.show();
        self.clock_record(0);
        if self.silent.is_empty() {
            self.handle(Event::CaughtUp { gateway: OWN });
        }
    }

    fn sound_standing(&mut self) {
        let standing = self.engine.all_standing();
        let unseen = standing.into_iter().filter(|one| !one.unacknowledged.is_empty());
        self.sounding.extend(unseen.map(|one| one.alarm));
    }

    /// What every turn does, whatever woke it.
    fn turn(&mut self, caught_up_at: u64) {
        self.state.turns += 1;
        self.state.turned_at = self.clock.mono_ms();
        if self.out.healths.has_changed().unwrap_or(false) {
            self.state.outputs.clone_from(&self.out.healths.borrow_and_update());
        }
        let state = &self.state;
        self.out.state.send_modify(|out| out.clone_from(state));
        self.follow_clock();
        let valves = self.valves.due(self.now());
        self.judge(self.now(), valves);
        if self.engine.wake_at().is_some_and(|at| at <= self.now()) {
            self.handle(Event::Wake);
        }
        let now = self.clock.mono_ms();
        if !self.silent.is_empty() && now >= caught_up_at {
            self.silent.clear();
            self.handle(Event::CaughtUp { gateway: OWN });
        }
        if now >= self.snapshot_at {
            self.save();
        }
        self.flush();
    }

    /// When to turn again at the latest. At least a millisecond away: what is due was done in
    /// [`AlarmLoop::turn`], and then an input has its turn.
    fn wake(&self) -> Instant {
        let due = self.engine.wake_at().map(|at| at.since(self.now()));
        let ms = due.map_or(TURN_MS, |ms| u64::try_from(ms).unwrap_or(0));
        self.clock.instant_after(ms.clamp(1, TURN_MS))
    }

    /// The button in the plant: everything that sounds or is lit has been seen by somebody. What
    /// came and went under a worse one no longer sounds, and still waits for an answer.
    fn acknowledge(&mut self) {
        let now = self.clock.wall();
        let lit = self.engine.all_standing().into_iter().filter(|one| self.is_lit(one));
        let seen: Vec<AlarmId> = lit.map(|one| one.alarm).collect();
        for alarm in seen {
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
        let Scanned { device, te, readings, answered, fault, arrears, clock_off_ms } = scanned;
        if let Some(known) = self.state.clocks_off_ms.get_mut(device) {
            *known = clock_off_ms;
        }
        if let Some(known) = self.state.arrears.get_mut(device) {
            *known = arrears;
        }
        if let Some(health) = self.state.devices.get_mut(device) {
            health.last_good = answered.unwrap_or(health.last_good);
            health.fault = fault.map_or_else(String::new, |fault| fault.word().to_owned());
        }
        self.follow_clock();
        let te = self.course.engine(self.course.restamped(te, self.clock.mono_ms()));
        let valves = self.valves.observe(&readings, te);
        self.judge(te, readings.into_iter().chain(valves).collect());
        if self.silent.remove(&device) && self.silent.is_empty() {
            self.handle(Event::CaughtUp { gateway: OWN });
        }
    }

    fn judge(&mut self, te: TimeMs, readings: Vec<(u32, Reading)>) {
        let now = self.now();
        for (index, reading) in &readings {
            self.sample(*index, te, *reading, now);
        }
        if !readings.is_empty() {
            let clock = self.clock.quality();
            self.live.offer(self.course.wall(te), &readings, clock);
            let readings = self.reported(te, readings);
            let kept = (!readings.is_empty()).then_some(Scan { readings, clock });
            self.act(kept.map(|scan| Record { te, body: Body::Scan(scan) }).into_iter().collect());
        }
    }

    fn sample(&mut self, index: u32, te: TimeMs, reading: Reading, now: TimeMs) {
        let place = usize::try_from(index).unwrap_or(usize::MAX);
        let Some(number) = self.numbers.get(place) else { return };
        let sample = Event::Sample { point: PointRef(*number), te, reading, lane: Lane::Live };
        self.engine.handle(sample, now, &mut self.actions);
    }

    fn handle(&mut self, event: Event) {
        self.engine.handle(event, self.now(), &mut self.actions);
        self.act(Vec::new());
    }

    /// The engine's now: no step of the wall clock moves it.
    fn now(&self) -> TimeMs {
        self.course.now(self.clock.mono_ms())
    }

    /// A step is a record, and an event for the CLOCK alarm; a clock that was never set is one for
    /// as long as it lasts.
    fn follow_clock(&mut self) {
        self.clock.settle();
        let step = self.course.follow(self.clock.wall(), self.clock.mono_ms());
        let good = self.clock.quality() != ClockQuality::Unset;
        if let Some(step) = step {
            warn!(step_ms = step, "wall clock stepped");
            self.clock_record(step);
        }
        if step.is_some() || self.clock_good != Some(good) {
            self.clock_good = Some(good);
            let skew_ms = step.unwrap_or(0);
            self.handle(Event::Clock { gateway: OWN, skew_ms, synchronised: good });
            if skew_ms != 0 {
                self.handle(Event::Clock { gateway: OWN, skew_ms: 0, synchronised: good });
            }
        }
        if good {
            self.date();
        }
    }

    /// Does what the engine asked: siren first, then the spool with the records that led to it.
    fn act(&mut self, mut records: Vec<Record>) {
        let before = self.sounding.clone();
        let (mut urgent, mut moved) = (false, false);
        for action in std::mem::take(&mut self.actions) {
            match action {
                Action::Annunciate { alarm, .. } => {
                    self.sounding.insert(alarm);
                }
                Action::Silence { alarm } => {
                    self.sounding.remove(&alarm);
                }
                Action::Record(row) => {
                    moved |= row.from != row.to;
                    if let Some(record) = self.transition(&row) {
                        urgent = true;
                        records.push(record);
                    }
                }
                Action::Chime { .. } => info!("late excursions"),
                Action::Recall { point, from, to } => self.recall(point, from, to),
            }
        }
        if moved || before != self.sounding {
            self.show();
        }
        self.emit(records, urgent);
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
        self.engine.spec_of(alarm).map_or_else(String::new, |spec| spec.key.to_owned())
    }

    /// The spool answers by and by; the engine waits for it, nobody else does.
    fn recall(&self, point: PointRef, from: TimeMs, to: TimeMs) {
        let place = self.numbers.iter().position(|number| *number == point.0);
        let Some(index) = place.and_then(|place| u32::try_from(place).ok()) else { return };
        let (reply, answer) = oneshot::channel();
        let (first, last) = (self.course.wall(from), self.course.wall(to));
        let job = Job::History { point: index, from: first, to: last, reply };
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

    fn save(&mut self) {
        self.snapshot_at = self.clock.mono_ms() + SNAPSHOT_MS;
        // Records that wait here are in the engine but not yet in the queue: they must not be
        // counted as covered, so they go first. Those that wait for a time have no offset yet.
        self.flush();
        if !self.waiting.is_empty() {
            return;
        }
        let bytes = self.valves.sealed(self.engine.snapshot(), &self.numbers);
        let job = Job::Snapshot { limits: self.revision, bytes };
        if self.out.spool.send(job).is_err() {
            warn!("spool is busy; the engine is saved later");
        }
    }
}

#[cfg(test)]
mod tests;
