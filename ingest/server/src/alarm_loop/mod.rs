//! The one owner of the alarm engine: a thread of its own that waits for nobody.
//!
//! - Deadlines come before inputs, so that a flood cannot delay an alarm.
//! - Rows go to the journal, then to the desk; the desk sounds them after the journal's answer or
//!   after its patience, whichever comes first.
//! - Samples go on to the series store only when the rows that they caused are in the journal.
//! - A journal that fails keeps its rows here and is tried again; nothing is acknowledged
//!   meanwhile. When too many rows wait, the process ends: the journal and the gateways
//!   hold what is needed to come to the same state again.

mod recorder;

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use fengsui_alerting::{
    Action, AlarmId, Cause, Command, Engine, Event, GatewayRef, Letter, Plan, PointRef, Row,
};
use fengsui_store::{AlarmJournal, Intake, JournalRow, SeriesStore, Snapshot, StoreError};
use fengsui_telemetry::{Lane, Reading, TimeMs};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tracing::{error, warn};

use crate::clock;
use crate::counters::{Counters, add};
use crate::desk::DeskInput;
use crate::registry::{AlarmFacts, Registry, facts};
use crate::view::{AlarmRow, rows_of};

use recorder::Unrecorded;
pub use recorder::{Recorder, Stored, journal_row};

/// Inputs that wait for the engine. When full, the intake takes no more from the broker.
pub const INPUTS_MAX: usize = 1_024;
/// Between two snapshots of the engine: the length of the replay after a kill.
const SNAPSHOT_EVERY_MS: i64 = 10_000;
/// Longest wait without a turn, so that supervision sees the loop turn.
const TURN: Duration = Duration::from_millis(500);

/// Samples to judge, and what to do when they are judged.
#[derive(Debug)]
pub struct Judge {
    /// Whose.
    pub gateway: usize,
    /// What to store afterwards.
    pub intake: Intake,
    /// The back-fill is complete, or has waited long enough.
    pub settle: bool,
    /// Live lane: the gateway has caught up.
    pub caught_up: bool,
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What the engine made of it.
    pub cause: Cause,
    /// The letter that the alarm shows afterwards.
    pub letter: Letter,
    /// In words.
    pub why: String,
}

/// What reaches the engine.
#[derive(Debug)]
pub enum Input {
    /// Samples.
    Judge(Box<Judge>),
    /// A sign of life.
    Heard(usize),
    /// Stored samples that the engine asked for.
    History(PointRef, TimeMs, Vec<(TimeMs, Reading)>),
    /// A person.
    Command(Command, oneshot::Sender<Option<Outcome>>),
    /// The number of a key.
    Find(String, oneshot::Sender<Option<AlarmId>>),
    /// Other alarms from now on.
    Registry(Arc<Registry>, Plan),
    /// End, after a last snapshot; says when it is saved.
    Stop(oneshot::Sender<()>),
}

/// What the loop works with.
pub struct Parts {
    /// The engine, restored.
    pub engine: Engine,
    /// Gateways and points.
    pub registry: Arc<Registry>,
    /// The journal.
    pub journal: AlarmJournal,
    /// The series store.
    pub store: SeriesStore,
    /// The desk.
    pub desk: mpsc::Sender<DeskInput>,
    /// The intake, for what became durable.
    pub stored: mpsc::Sender<Stored>,
    /// Counters.
    pub counters: Arc<Counters>,
}

struct AlarmLoop {
    parts: Parts,
    facts: Vec<Arc<AlarmFacts>>,
    /// The desk's queue was full.
    behind: Cell<bool>,
    recalls: SyncSender<(PointRef, TimeMs, TimeMs)>,
    /// Recalls that wait for room; the engine asks for a point once until it is answered.
    unasked: VecDeque<(PointRef, TimeMs, TimeMs)>,
    recorder: Recorder,
    change: u64,
    snapshot_at: TimeMs,
    dirty: bool,
    late: BTreeMap<usize, Late>,
}

/// A back-fill of one gateway since the last settlement.
#[derive(Clone, Copy, Debug, Default)]
struct Late {
    records: u64,
    samples: u64,
    from: Option<TimeMs>,
    to: Option<TimeMs>,
}

/// Starts the thread.
///
/// # Errors
/// The system has no thread left.
pub fn start(parts: Parts) -> std::io::Result<SyncSender<Input>> {
    let (inputs, queue) = sync_channel(INPUTS_MAX);
    let recorder = Recorder::new(
        parts.journal.clone(),
        parts.store.clone(),
        parts.desk.clone(),
        parts.stored.clone(),
        parts.counters.clone(),
    );
    let recalls = start_recalls(parts.store.clone(), inputs.clone())?;
    std::thread::Builder::new().name("alarm-loop".into()).spawn(move || {
        let mut alarm_loop = AlarmLoop {
            facts: shared_facts(&parts.registry, parts.engine.plan()),
            parts,
            behind: Cell::new(false),
            recalls,
            unasked: VecDeque::new(),
            recorder,
            change: 0,
            snapshot_at: clock::now(),
            dirty: false,
            late: BTreeMap::new(),
        };
        alarm_loop.run(&queue);
    })?;
    Ok(inputs)
}

fn shared_facts(registry: &Registry, plan: &Plan) -> Vec<Arc<AlarmFacts>> {
    facts(registry, plan).into_iter().map(Arc::new).collect()
}

/// Reads stored samples for the engine, beside it: the engine never waits for the store.
fn start_recalls(
    store: SeriesStore,
    inputs: SyncSender<Input>,
) -> std::io::Result<SyncSender<(PointRef, TimeMs, TimeMs)>> {
    let (ask, asked) = sync_channel::<(PointRef, TimeMs, TimeMs)>(INPUTS_MAX);
    std::thread::Builder::new().name("alarm-recall".into()).spawn(move || {
        while let Ok((point, from, to)) = asked.recv() {
            let until = TimeMs(to.0.saturating_add(1));
            match store.range(point.0, from, until, usize::MAX) {
                Ok(samples) => {
                    let samples = samples.into_iter().map(|s| (s.te, s.reading)).collect();
                    if inputs.send(Input::History(point, from, samples)).is_err() {
                        return;
                    }
                }
                Err(fault) => error!(point = point.0, %fault, "late samples stay unjudged"),
            }
        }
    })?;
    Ok(ask)
}

impl AlarmLoop {
    fn run(&mut self, queue: &Receiver<Input>) {
        let mut steps = clock::Steps::new();
        loop {
            add(&self.parts.counters.turns, 1);
            let now = clock::now();
            if let Some(step_ms) = steps.look() {
                warn!(step_ms, "the wall clock was set; silence is counted anew from here");
                self.engine(Event::Restarted, now, None);
            }
            self.ask_again();
            if self.parts.engine.wake_at().is_some_and(|at| at <= now) {
                self.engine(Event::Wake, now, None);
            }
            self.recorder.retry();
            self.resync_if_behind();
            self.snapshot_if_due(now);
            let wait = self.parts.engine.wake_at().map_or(TURN, |at| clock::until(at).min(TURN));
            match queue.recv_timeout(wait) {
                Ok(Input::Stop(done)) => return self.stop(done),
                Ok(input) => self.take(input),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Hands recalls on, as far as there is room.
    fn ask_again(&mut self) {
        while let Some(recall) = self.unasked.front() {
            if self.recalls.try_send(*recall).is_err() {
                return;
            }
            self.unasked.pop_front();
        }
    }

    fn take(&mut self, input: Input) {
        let now = clock::now();
        match input {
            Input::Judge(judge) => self.judge(*judge, now),
            Input::Heard(gateway) => {
                self.engine(Event::Heard { gateway: place(gateway) }, now, None)
            }
            Input::History(point, from, samples) => {
                self.engine(Event::History { point, from, samples }, now, None);
            }
            Input::Command(command, reply) => self.command(command, reply, now),
            Input::Find(key, reply) => {
                let found = self.facts.iter().position(|facts| facts.key == key);
                // Who asked may be gone.
                reply.send(found.and_then(|i| u32::try_from(i).ok()).map(AlarmId)).ok();
            }
            Input::Registry(registry, plan) => self.replan(registry, plan),
            Input::Stop(_) => {}
        }
    }

    fn judge(&mut self, mut judge: Judge, now: TimeMs) {
        // A restart plays intakes and rows again in the order of these times.
        judge.intake.ti = now;
        let gateway = place(judge.gateway);
        let mut actions = Vec::new();
        let engine = &mut self.parts.engine;
        engine.handle(Event::Heard { gateway }, now, &mut actions);
        if judge.caught_up {
            engine.handle(Event::CaughtUp { gateway }, now, &mut actions);
        }
        let lane = judge.intake.lane;
        for (point, te, reading) in &judge.intake.samples {
            let event = Event::Sample { point: PointRef(*point), te: *te, reading: *reading, lane };
            engine.handle(event, now, &mut actions);
        }
        if lane == Lane::Backlog {
            self.note_late(judge.gateway, &judge.intake);
        }
        if judge.settle {
            self.parts.engine.handle(Event::Settle { gateway }, now, &mut actions);
            self.tell_late(judge.gateway, &actions);
        }
        self.perform(actions, Some((judge.gateway, judge.intake)));
        self.ask_again();
    }

    fn note_late(&mut self, gateway: usize, intake: &Intake) {
        let late = self.late.entry(gateway).or_default();
        late.records += intake.offsets.iter().map(|(lo, hi)| hi - lo).sum::<u64>();
        for (_, te, _) in &intake.samples {
            late.samples += 1;
            late.from = Some(late.from.map_or(*te, |from| from.min(*te)));
            late.to = Some(late.to.map_or(*te, |to| to.max(*te)));
        }
    }

    fn tell_late(&mut self, gateway: usize, actions: &[Action]) {
        let Some(late) = self.late.remove(&gateway).filter(|late| late.samples > 0) else { return };
        let excursions = actions
            .iter()
            .filter(|action| matches!(action, Action::Record(row) if row.flags.late && row.cause == Cause::On))
            .count();
        let name = self.parts.registry.gateways.get(gateway).map(|g| g.id.to_string());
        self.tell(DeskInput::Late {
            gateway: name.unwrap_or_default(),
            records: late.records,
            samples: late.samples,
            from: late.from.unwrap_or_default(),
            to: late.to.unwrap_or_default(),
            excursions: excursions as u64,
        });
    }

    fn engine(&mut self, event: Event, now: TimeMs, intake: Option<(usize, Intake)>) {
        let mut actions = Vec::new();
        self.parts.engine.handle(event, now, &mut actions);
        self.perform(actions, intake);
    }

    fn command(&mut self, command: Command, reply: oneshot::Sender<Option<Outcome>>, now: TimeMs) {
        let mut actions = Vec::new();
        self.parts.engine.handle(Event::Command(command), now, &mut actions);
        let outcome = actions.iter().find_map(|action| match action {
            Action::Record(row) => {
                Some(Outcome { cause: row.cause, letter: row.to, why: row.comment.clone() })
            }
            Action::Annunciate { .. }
            | Action::Silence { .. }
            | Action::Chime { .. }
            | Action::Recall { .. } => None,
        });
        self.perform(actions, None);
        if reply.send(outcome).is_err() {
            warn!("a command was done and nobody waits for its answer");
        }
    }

    fn perform(&mut self, actions: Vec<Action>, intake: Option<(usize, Intake)>) {
        let mut rows = Vec::new();
        let mut touched = Vec::new();
        let mut sounded = Vec::new();
        for action in actions {
            match action {
                Action::Record(row) => {
                    touched.push(row.alarm);
                    rows.push(row);
                }
                Action::Annunciate { alarm, .. } => {
                    touched.push(alarm);
                    sounded.push(alarm);
                }
                Action::Silence { alarm } => touched.push(alarm),
                Action::Chime { .. } => {}
                Action::Recall { point, from, to } => self.unasked.push_back((point, from, to)),
            }
        }
        self.dirty |= intake.is_some() || !rows.is_empty();
        if rows.is_empty() {
            if let Some((gateway, intake)) = intake {
                self.recorder.store(gateway, intake);
            }
            return;
        }
        self.change += 1;
        add(&self.parts.counters.raised, rows.len() as u64);
        self.show(&rows, &mut touched, &sounded);
        let rows = rows.iter().map(|row| self.journal_row(row)).collect();
        self.recorder.record(Unrecorded { rows, intake, change: self.change });
    }

    /// Tells the desk what has changed; it waits for the journal's word before it sounds it.
    fn show(&mut self, rows: &[Row], touched: &mut Vec<AlarmId>, sounded: &[AlarmId]) {
        touched.sort_unstable();
        touched.dedup();
        let mut alarms = Vec::with_capacity(touched.len());
        for alarm in touched.iter() {
            let Some(facts) = usize::try_from(alarm.0).ok().and_then(|i| self.facts.get(i)) else {
                continue;
            };
            let mut shown = rows_of(&self.parts.engine, *alarm, facts);
            annotate(&mut shown, rows, *alarm);
            alarms.push((facts.clone(), shown, sounded.contains(alarm)));
        }
        // For measurements: live rows only, since late and held ones are old by their nature.
        let live = rows.iter().filter(|row| !row.flags.late && !row.flags.hold);
        let te = live.filter_map(|row| row.te).max();
        self.tell(DeskInput::Change { change: self.change, alarms, te });
    }

    fn tell(&self, input: DeskInput) {
        match self.parts.desk.try_send(input) {
            Ok(()) => {}
            // The process ends on a desk that has gone; see `run`.
            Err(TrySendError::Closed(_)) => {}
            Err(TrySendError::Full(_)) => self.behind.set(true),
        }
    }

    /// A desk that did not keep up gets all rows, as soon as its queue has emptied.
    fn resync_if_behind(&self) {
        let empty = self.parts.desk.capacity() == self.parts.desk.max_capacity();
        if self.behind.get() && empty {
            warn!("the desk did not keep up; it gets everything anew");
            self.behind.set(false);
            self.resync();
        }
    }

    fn resync(&self) {
        let standing = self.parts.engine.all_standing();
        let mut rows: Vec<AlarmRow> = Vec::new();
        for standing in standing {
            let place = usize::try_from(standing.alarm.0).unwrap_or(usize::MAX);
            if let Some(facts) = self.facts.get(place) {
                rows.extend(rows_of(&self.parts.engine, standing.alarm, facts));
            }
        }
        self.tell(DeskInput::All(rows));
    }

    fn journal_row(&self, row: &Row) -> JournalRow {
        let facts = usize::try_from(row.alarm.0).ok().and_then(|i| self.facts.get(i));
        journal_row(row, facts.map_or("", |facts| facts.key.as_str()))
    }

    fn replan(&mut self, registry: Arc<Registry>, plan: Plan) {
        match Engine::restore(plan, &self.parts.engine.snapshot()) {
            Ok(engine) => {
                self.parts.engine = engine;
                self.parts.registry = registry;
                self.facts = shared_facts(&self.parts.registry, self.parts.engine.plan());
                self.dirty = true;
                self.resync();
                // A replay after a kill begins behind the change: what was judged before it was
                // judged by the old limits.
                self.snapshot(clock::now(), None);
            }
            Err(fault) => error!(%fault, "the new catalogue cannot be judged; the old one stays"),
        }
    }

    fn snapshot_if_due(&mut self, now: TimeMs) {
        if !self.dirty || now.since(self.snapshot_at).abs() < SNAPSHOT_EVERY_MS {
            return;
        }
        self.snapshot(now, None);
    }

    /// Saves the engine. It covers all that the store had committed before, since the engine sees
    /// samples first; the journal's writer keeps the order of rows and snapshot.
    fn snapshot(&mut self, now: TimeMs, done: Option<oneshot::Sender<()>>) {
        self.snapshot_at = now;
        if self.recorder.is_behind() {
            return;
        }
        self.dirty = false;
        let store_seq = self.parts.store.last_seq();
        let journal_seq = self.parts.journal.last_seq();
        let store = self.parts.store.clone();
        let saved = move |answer: Result<(), StoreError>| {
            match answer {
                Ok(()) => store.hold_journal_from(store_seq),
                Err(fault) => warn!(%fault, "the engine's snapshot was not saved"),
            }
            if let Some(done) = done {
                // Nobody waiting any longer is no fault.
                done.send(()).ok();
            }
        };
        let data = self.parts.engine.snapshot();
        let snapshot = Snapshot { data, store_seq, journal_seq, ti: now };
        if self.parts.journal.save_snapshot(snapshot, Box::new(saved)).is_err() {
            self.dirty = true;
        }
    }

    fn stop(&mut self, done: oneshot::Sender<()>) {
        self.recorder.retry_now();
        self.snapshot(clock::now(), Some(done));
    }
}

/// Puts on the rows what only the journal row knows: who acknowledged when, and what they wrote,
/// also afterwards.
fn annotate(shown: &mut [AlarmRow], rows: &[Row], alarm: AlarmId) {
    for row in rows.iter().filter(|row| row.alarm == alarm) {
        let acknowledged = matches!(row.cause, Cause::Acknowledged | Cause::StaleAcknowledgement);
        let noted = row.cause == Cause::Refused && !row.comment.is_empty();
        for shown in shown.iter_mut().filter(|shown| shown.occurrence == row.occurrence) {
            if acknowledged {
                shown.acked_by.clone_from(&row.by);
                shown.acked_at = Some(row.ti);
            }
            if acknowledged || noted {
                shown.comment.clone_from(&row.comment);
            }
        }
    }
}

fn place(gateway: usize) -> GatewayRef {
    GatewayRef(u32::try_from(gateway).unwrap_or(u32::MAX))
}
