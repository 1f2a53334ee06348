//! The one owner of the alarm engine: a thread of its own that waits for nobody.
//!
//! - Deadlines come before inputs, so that a flood cannot delay an alarm.
//! - Rows go to the journal, then to the desk; the desk sounds them after the journal's answer or
//!   after its patience, whichever comes first.
//! - Everything that the engine takes is logged, with the rows that came of it in one transaction:
//!   a restart plays the log again and comes to the same rows, occurrences and numbers.
//! - A journal that fails keeps its rows here and is tried again. When too many wait, the process
//!   ends: the log and the series store hold what is needed to come to the same state again.

mod deeds;
mod flooding;
mod play;
mod recorder;
mod replan;
mod saving;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use fengsui_alerting::flood::Flood;
use fengsui_alerting::{
    Action, AlarmId, Cause, Command, Engine, Event, GatewayRef, Letter, Plan, PointRef, Row, Verb,
};
use fengsui_store::{AlarmJournal, InputLog, Intake, JournalRow, SeriesStore};
use fengsui_telemetry::{Lane, Reading, TimeMs};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tracing::{error, warn};

use crate::clock;
use crate::counters::{Counters, add};
use crate::desk::DeskInput;
use crate::intake::ClockReport;
use crate::outage::{Late, Package, packages};
use crate::registry::{AlarmFacts, Registry, facts};
use crate::steps::{Step, reached};
use crate::view::{AlarmRow, rows_of};

pub use deeds::Answered;
use deeds::Answers;
pub use flooding::restored as flood_restored;
pub(crate) use play::judge;
pub use recorder::{Recorder, Stored, journal_row};
use recorder::{Reply, Unrecorded};

/// Inputs that wait for the engine. When full, the intake takes no more from the broker.
pub const INPUTS_MAX: usize = 1_024;
/// A turn that comes later than this: the machine or the process was stopped.
const STOOD: Duration = Duration::from_secs(5);
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
    /// In words; empty where no rule but the state refused it.
    pub why: String,
}

impl Outcome {
    fn of(row: &Row) -> Self {
        let why = if is_own_words(row) { String::new() } else { row.comment.clone() };
        Self { cause: row.cause, letter: row.to, why }
    }
}

/// What reaches the engine.
#[derive(Debug)]
pub enum Input {
    /// Samples.
    Judge(Box<Judge>),
    /// A sign of life.
    Heard(usize),
    /// What the intake found out about a gateway's clock.
    Clock(usize, ClockReport),
    /// Stored samples that the engine asked for.
    History(PointRef, TimeMs, Vec<(TimeMs, Reading)>),
    /// A person, about the alarm of this key; the number in the command says nothing.
    Command(String, Command, oneshot::Sender<Answered>),
    /// Other alarms from now on.
    Registry(Arc<Registry>, Plan),
    /// End, after a last snapshot; says when it is saved.
    Stop(oneshot::Sender<()>),
}

/// What the loop works with.
pub struct Parts {
    /// The engine, restored.
    pub engine: Engine,
    /// The number of the next chunk of its input log.
    pub chunk: u64,
    /// The plan that it judges by, as a restart wants it.
    pub plan: Vec<u8>,
    /// What was announced lately.
    pub flood: Flood,
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
    answers: Answers,
    /// The desk's queue was full.
    behind: Cell<bool>,
    recalls: SyncSender<(PointRef, TimeMs, TimeMs)>,
    /// Recalls that wait for room; the engine asks for a point once until it is answered.
    unasked: VecDeque<(PointRef, TimeMs, TimeMs)>,
    recorder: Recorder,
    /// What the engine took and the journal does not hold yet.
    log: InputLog,
    canary_at: Instant,
    /// The number that it will have there.
    chunk: u64,
    flushed_at: TimeMs,
    flood: Flood,
    change: u64,
    snapshot_at: TimeMs,
    /// No snapshot was taken under the newest plan yet.
    replanned: bool,
    /// The newest plan lies beside the snapshot; it need not be written with the next one.
    plan_saved: Arc<AtomicBool>,
    judged_since: usize,
    dirty: bool,
    late: BTreeMap<usize, Late>,
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
            facts: shared_facts(&parts.registry, &parts.engine.plan()),
            chunk: parts.chunk,
            flood: parts.flood.clone(),
            answers: Answers::default(),
            parts,
            behind: Cell::new(false),
            recalls,
            unasked: VecDeque::new(),
            recorder,
            log: InputLog::default(),
            canary_at: clock::monotonic(),
            flushed_at: clock::now(),
            change: 0,
            snapshot_at: clock::now(),
            replanned: false,
            plan_saved: Arc::new(AtomicBool::new(true)),
            judged_since: 0,
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
        let mut turned = clock::monotonic();
        loop {
            add(&self.parts.counters.turns, 1);
            let now = clock::now();
            let stood = clock::monotonic().duration_since(turned);
            turned = clock::monotonic();
            let step_ms = steps.look();
            if step_ms.is_some() || stood > STOOD {
                // What stood still itself has no word on who was silent meanwhile.
                warn!(
                    step_ms,
                    ?stood,
                    "the clock was set or the loop stood still; silence is counted anew"
                );
                self.log.restarted(now);
                self.engine(Event::Restarted, now);
                self.tell_of_standing(stood, now);
            }
            self.ask_again();
            if self.parts.engine.wake_at().is_some_and(|at| at <= now) {
                self.log.wake(now);
                self.engine(Event::Wake, now);
            }
            self.end_flood(now);
            self.canary_if_due(now);
            self.flush_if_due(now);
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
                let Some(known) = self.parts.registry.gateways.get(gateway) else { return };
                self.log.heard(known.id.as_str(), now);
                self.engine(Event::Heard { gateway: place(gateway) }, now);
            }
            Input::Clock(gateway, ClockReport { skew_ms, synchronised }) => {
                let Some(known) = self.parts.registry.gateways.get(gateway) else { return };
                self.log.clock(known.id.as_str(), skew_ms, synchronised, now);
                let gateway = place(gateway);
                self.engine(Event::Clock { gateway, skew_ms, synchronised }, now);
            }
            Input::History(point, from, samples) => {
                self.log.history(point.0, from, &samples, now);
                self.engine(Event::History { point, from, samples }, now);
            }
            Input::Command(key, command, reply) => self.command(&key, command, reply, now),
            Input::Registry(registry, plan) => self.replan(registry, plan),
            Input::Stop(_) => {}
        }
    }

    fn judge(&mut self, mut judge: Judge, now: TimeMs) {
        // A restart plays it again at this time.
        judge.intake.ti = now;
        let (settle, caught_up) = (judge.settle, judge.caught_up);
        self.log.judged(&judge.intake, settle, caught_up);
        self.judged_since += judge.intake.samples.len();
        let mut actions = Vec::new();
        let engine = &mut self.parts.engine;
        let gateway = place(judge.gateway);
        play::judge(engine, gateway, &judge.intake, (settle, caught_up), &mut actions);
        if judge.intake.lane == Lane::Backlog {
            self.note_late(judge.gateway, &judge.intake);
        }
        let late = if settle { self.end_late(judge.gateway, &actions) } else { None };
        self.dirty = true;
        self.recorder.store(judge.gateway, judge.intake, self.chunk);
        self.perform(actions, None, late);
        self.flush_if_due(now);
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

    /// The back-fill that a settlement ended, told to every page.
    fn end_late(&mut self, gateway: usize, actions: &[Action]) -> Option<(usize, Late)> {
        let late = self.late.remove(&gateway).filter(|late| late.samples > 0)?;
        let found = |action: &&Action| matches!(action, Action::Record(row) if row.flags.late && row.cause == Cause::On);
        let excursions = actions.iter().filter(found).count();
        let name = self.parts.registry.gateways.get(gateway).map(|g| g.id.to_string());
        self.tell(DeskInput::Late {
            gateway: name.unwrap_or_default(),
            records: late.records,
            samples: late.samples,
            from: late.from.unwrap_or_default(),
            to: late.to.unwrap_or_default(),
            excursions: excursions as u64,
        });
        Some((gateway, late))
    }

    fn engine(&mut self, event: Event, now: TimeMs) {
        let mut actions = Vec::new();
        self.parts.engine.handle(event, now, &mut actions);
        self.perform(actions, None, None);
    }

    fn perform(&mut self, actions: Vec<Action>, reply: Option<Reply>, late: Option<(usize, Late)>) {
        let notes = self.watch_flood(&actions, clock::now());
        let mut rows = Vec::new();
        let mut touched = Vec::new();
        for action in actions {
            match action {
                Action::Record(row) => {
                    touched.push(row.alarm);
                    rows.push(row);
                }
                Action::Annunciate { alarm, .. } | Action::Silence { alarm } => touched.push(alarm),
                Action::Chime { .. } => {}
                Action::Recall { point, from, to } => self.unasked.push_back((point, from, to)),
            }
        }
        let packages = self.packages(&rows, late);
        if rows.is_empty() && packages.is_empty() {
            return reply.into_iter().for_each(|tell| tell());
        }
        reached(Step::Judged);
        self.dirty = true;
        self.change += 1;
        add(&self.parts.counters.raised, rows.len() as u64);
        self.show(&rows, &mut touched);
        let mut rows: Vec<_> = rows.iter().map(|row| self.journal_row(row)).collect();
        let raised = rows.len();
        rows.extend(notes);
        rows.extend(packages.iter().map(|package| package.row(TimeMs(package.known))));
        packages.into_iter().for_each(|package| self.tell(DeskInput::Package(package)));
        let inputs = self.chunk();
        self.recorder.record(Unrecorded { rows, raised, inputs, change: self.change, reply });
    }

    fn packages(&self, rows: &[Row], late: Option<(usize, Late)>) -> Vec<Package> {
        if late.is_none() && !rows.iter().any(|row| row.flags.late) {
            return Vec::new();
        }
        let gateways = &self.parts.registry.gateways;
        let name = |gateway: u32| {
            let gateway = usize::try_from(gateway).ok().and_then(|place| gateways.get(place));
            gateway.map(|gateway| gateway.id.to_string()).unwrap_or_default()
        };
        packages(&self.parts.engine, rows, late, &name, clock::now())
    }

    /// Tells the desk what has changed; it waits for the journal's word before it sounds it.
    fn show(&mut self, rows: &[Row], touched: &mut Vec<AlarmId>) {
        touched.sort_unstable();
        touched.dedup();
        // A flood touches thousands at once: each finds its own rows without looking at all.
        let mut by_alarm: Vec<&Row> = rows.iter().collect();
        by_alarm.sort_by_key(|row| row.alarm);
        let mut alarms = Vec::with_capacity(touched.len());
        for alarm in touched.iter() {
            let Some(facts) = usize::try_from(alarm.0).ok().and_then(|i| self.facts.get(i)) else {
                continue;
            };
            let mut shown = rows_of(&self.parts.engine, *alarm, facts);
            let from = by_alarm.partition_point(|row| row.alarm < *alarm);
            let own = by_alarm.iter().skip(from).take_while(|row| row.alarm == *alarm);
            annotate(&mut shown, own.copied());
            alarms.push((facts.clone(), shown));
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
}

/// Puts on the rows what only the journal row knows: who acknowledged when, and what they wrote,
/// also afterwards.
fn annotate<'a>(shown: &mut [AlarmRow], rows: impl Iterator<Item = &'a Row>) {
    for row in rows {
        let acknowledged = matches!(row.cause, Cause::Acknowledged | Cause::StaleAcknowledgement);
        let answer = row.command.as_ref().is_some_and(is_answer);
        let noted = answer && is_own_words(row) && !row.comment.is_empty();
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

/// A refusal by the state keeps what the person wrote: that is no reason for it.
fn is_own_words(row: &Row) -> bool {
    let written = row.command.as_ref().is_some_and(|command| command.comment == row.comment);
    row.cause == Cause::Refused && written
}

/// A comment on an acknowledgement is a note on the alarm, also a second one's; what belongs to
/// another deed that was refused is none.
pub(crate) fn is_answer(command: &Command) -> bool {
    matches!(command.verb, Verb::Acknowledge { .. })
}

fn place(gateway: usize) -> GatewayRef {
    GatewayRef(u32::try_from(gateway).unwrap_or(u32::MAX))
}
