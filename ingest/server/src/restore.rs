//! Start after any end: the engine is its last snapshot, what its log holds since, and what the
//! series store took that the log does not hold.
//!
//! - The log is what the engine took, in its order; the rows that came of it are in the journal
//!   by the same transaction. Played again by the plan that it was made by, it makes the same rows,
//!   and the journal knows them. What is damaged is made good from the journal.
//! - Samples that a kill kept out of the log made no recorded row. They are judged now.
//! - Samples that a kill kept out of the store are in the log, and are stored now: the gateway
//!   need not bring them again.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use anyhow::{Context, anyhow};
use fengsui_alerting::{
    Action, AlarmId, Cause, Engine, Event, GatewayRef, Plan, PlanFault, PointRef, Row, Told,
};
use fengsui_store::{
    AlarmJournal, ConfigDb, EngineInput, Intake, JournalRow, LedgerRow, SeriesStore, Snapshot,
    StoreError, StoredRow,
};
use fengsui_telemetry::wire::decode_catalogue;
use fengsui_telemetry::{GatewayId, Point, Revision, TimeMs};
use tracing::{info, warn};

use crate::alarm_loop::{is_answer, journal_row, judge};
use crate::clock;
use crate::config::Config;
use crate::registry::{Numbered, Registry};
use crate::view::AlarmRow;
use told::Since;

pub(crate) mod plan;
#[cfg(test)]
mod tests;
mod told;

/// Alarms that the log names; the journal has them all.
const NAMED: usize = 20;
/// Rows of one alarm in which its answer is looked for; beyond it the desk shows who, not when.
const ANSWERS_MAX: usize = 200;

/// Gateways of the configuration with the catalogues that the database holds.
///
/// # Errors
/// The database cannot be read.
pub fn registry(config: &Config, db: &ConfigDb) -> anyhow::Result<Registry> {
    let mut registry = Registry::new(&config.gateways);
    let known = db.points()?;
    let number: BTreeMap<(&str, &str), u32> =
        known.iter().map(|(id, gateway, tag)| ((gateway.as_str(), tag.as_str()), *id)).collect();
    for (name, revision, bytes, in_force) in db.catalogues()? {
        let Ok(id) = GatewayId::parse(&name) else { continue };
        let Some(index) = registry.gateway(&id) else { continue };
        let catalogue = match decode_catalogue(&bytes) {
            Ok(catalogue) => catalogue,
            Err(fault) => {
                warn!(gateway = %id, %fault, "a saved catalogue cannot be read; its birth brings it");
                continue;
            }
        };
        let number_of = |point: &Point| {
            number.get(&(name.as_str(), point.tag.as_str())).copied().unwrap_or(u32::MAX)
        };
        let ids = catalogue.points.iter().map(number_of).collect();
        registry.learn(index, Revision(revision), Numbered { catalogue, ids }, in_force);
    }
    Ok(registry)
}

/// An engine that is where it was, and the number of the next chunk of its log.
pub struct Restored {
    /// The engine.
    pub engine: Engine,
    /// The number.
    pub chunk: u64,
    /// The plan in force, as it is kept.
    pub plan: Vec<u8>,
}

/// The engine as it was when the process ended, and a little further.
///
/// # Errors
/// Journal or store cannot be read or written, or the plan has faults.
pub fn engine(
    plan: Plan,
    registry: &Registry,
    journal: &AlarmJournal,
    store: &SeriesStore,
) -> anyhow::Result<Restored> {
    let began = clock::monotonic();
    // Whatever is wrong with a limit, the others are judged.
    let (plan, _) = plan.sound();
    let kept = plan::encode(registry, &plan);
    let snapshot = match journal.load_snapshot() {
        Err(fault @ StoreError::SnapshotDamaged { .. }) => {
            warn!(%fault, "the engine starts from its log, and what stands in the journal stands");
            None
        }
        snapshot => snapshot.context("the engine's snapshot")?,
    };
    let store_seq = snapshot.as_ref().map_or(0, |s| s.store_seq);
    // What the log was judged by, unless that is what is in force.
    let before = snapshot.as_ref().and_then(|s| s.plan.as_deref()).filter(|bytes| **bytes != kept);
    let before = before.and_then(plan::decode);
    let Begun { engine, from, journal_seq } = begin(&plan, before.as_ref(), snapshot)?;
    let names = before.as_ref().map_or_else(|| numbers(registry), plan::Kept::numbers);
    let mut replay = Replay::new(engine, names.clone());
    let ledger = Ledger::of(store.ledgers()?);
    let mut unstored = Vec::new();
    let (chunk, whole) = journal.inputs(&mut |number, input| {
        if let EngineInput::Judged { intake, .. } = &input {
            replay.known.insert(key(intake));
            if !ledger.holds(intake) {
                unstored.push(intake.clone());
            }
        }
        if number >= from {
            replay.again(&input);
        }
    })?;
    let logged = replay.rows.len();
    let beyond = GatewayRef(u32::try_from(names.len()).unwrap_or(u32::MAX));
    let gateway = |name: &str| names.get(name).copied().unwrap_or(beyond);
    let Since { told, newest } = told::since(journal, journal_seq, &gateway)?;
    // What only the plan in force has was told under it.
    let keys: HashSet<&str> = plan.alarms.iter().map(|alarm| alarm.key.as_str()).collect();
    let (of_now, told) = told.into_iter().partition(|one| {
        before.is_some() && keys.contains(one.key()) && !replay.alarms.contains_key(one.key())
    });
    let agreed = replay.hold_to(told)?;
    if let Some(before) = &before {
        info!("the plan is another one than before: the log was played by the one before");
        replay.go_over(plan, registry, before)?;
        replay.hold_to(of_now)?;
    }
    // Of what is not in a log that is whole nothing was judged. Where it is not, what came before
    // the newest row was, and the journal tells what came of it.
    let judged = if whole && agreed { None } else { newest };
    store.replay(store_seq, &mut |_, intake| {
        if judged.is_none_or(|newest| intake.ti > newest) {
            replay.judge(intake);
        }
    })?;
    replay.play(Event::Restarted, clock::now());
    let stored = bring_home(store, unstored)?;
    let Replay { engine, rows, samples, .. } = replay;
    let snapshot = Snapshot {
        data: engine.snapshot(),
        store_seq: store.last_seq(),
        journal_seq: 0,
        inputs_from: chunk,
        keep_from: chunk,
        plan: Some(kept.clone()),
        ti: clock::now(),
    };
    let seqs =
        waiting(|done| journal.save_snapshot(snapshot, rows, done).map_err(|f| anyhow!("{f}")))
            .context("the restored engine cannot be recorded")?;
    let rows = warn_of_unknown(&seqs, logged);
    let ms = began.elapsed().as_millis();
    info!(samples, rows, stored, ms, "engine restored");
    Ok(Restored { engine, chunk, plan: kept })
}

/// How many rows are new; a log that is whole makes none.
fn warn_of_unknown(seqs: &[Option<u64>], logged: usize) -> usize {
    let unknown = seqs.iter().take(logged).flatten().count();
    if unknown > 0 {
        warn!(rows = unknown, "the log made rows that the journal did not hold; they are added");
    }
    seqs.iter().flatten().count()
}

/// The engine of the snapshot.
struct Begun {
    engine: Engine,
    /// The first chunk of the log that it does not hold.
    from: u64,
    /// The rows of the journal up to here are in it.
    journal_seq: u64,
}

/// Begins under the plan that the snapshot was saved with.
fn begin(
    plan: &Plan,
    before: Option<&plan::Kept>,
    snapshot: Option<Snapshot>,
) -> anyhow::Result<Begun> {
    let plan = before.map_or(plan, |before| &before.plan);
    let nothing = || Ok(Begun { engine: fresh(plan.clone())?, from: 0, journal_seq: 0 });
    let Some(Snapshot { data, inputs_from: from, journal_seq, .. }) = snapshot else {
        return nothing();
    };
    match Engine::restore_with_past(plan.clone(), &data) {
        Ok(engine) => Ok(Begun { engine, from, journal_seq }),
        Err(fault) => {
            warn!(%fault, "the snapshot cannot be used; the engine starts from its log");
            nothing()
        }
    }
}

fn numbers(registry: &Registry) -> BTreeMap<String, GatewayRef> {
    let names = registry.gateways.iter().map(|gateway| gateway.id.to_string());
    names.zip((0..).map(GatewayRef)).collect()
}

fn fresh(plan: Plan) -> anyhow::Result<Engine> {
    Engine::new(plan).map_err(|faults| {
        let said = |fault: &PlanFault| format!("{}  |  {fault}", fault.zh());
        let list: Vec<String> = faults.iter().map(said).collect();
        anyhow!(
            "限值不能判断，请用 fengsui limits import 提交改正的限值 / limits that cannot be judged; \
             mend them with fengsui limits import:\n  {}",
            list.join("\n  ")
        )
    })
}

fn journaled(engine: &Engine, row: &Row) -> JournalRow {
    journal_row(row, engine.spec_of(row.alarm).map_or("", |alarm| alarm.key))
}

/// Names an intake: no two have the same.
fn key(intake: &Intake) -> IntakeKey {
    (intake.gateway.clone(), intake.epoch, intake.ti, intake.offsets.clone())
}

/// The offsets that the store holds.
struct Ledger(BTreeMap<(String, u64), Vec<(u64, u64)>>);

impl Ledger {
    fn of(rows: Vec<LedgerRow>) -> Self {
        let mut ledger = BTreeMap::<_, Vec<_>>::new();
        for row in rows {
            ledger.entry((row.gateway, row.epoch)).or_default().push((row.lo, row.hi));
        }
        Self(ledger)
    }

    fn holds(&self, intake: &Intake) -> bool {
        let held = self.0.get(&(intake.gateway.clone(), intake.epoch));
        let holds = |(lo, hi): &(u64, u64)| {
            lo >= hi || held.is_some_and(|held| held.iter().any(|(l, h)| l <= lo && hi <= h))
        };
        intake.offsets.iter().all(holds)
    }
}

/// Stores intakes that only the log held, and waits for the disk.
fn bring_home(store: &SeriesStore, intakes: Vec<Intake>) -> anyhow::Result<usize> {
    let count = intakes.len();
    for intake in intakes {
        waiting(|done| store.append(intake, done).map_err(|full| anyhow!("{full}")))
            .context("samples of the log cannot be stored")?;
    }
    Ok(count)
}

type Done<T> = Box<dyn FnOnce(Result<T, StoreError>) + Send>;

/// Asks a writer for something and waits for its answer.
fn waiting<T: Send + 'static>(
    ask: impl FnOnce(Done<T>) -> anyhow::Result<()>,
) -> anyhow::Result<T> {
    let (tell, told) = sync_channel(1);
    // The receiver waits below.
    ask(Box::new(move |answer| drop(tell.send(answer))))?;
    Ok(told.recv().context("the writer has ended")??)
}

/// Gateway, epoch, when it was received, offsets.
type IntakeKey = (String, u64, TimeMs, Vec<(u64, u64)>);

/// A restored engine on its way to where it was.
struct Replay {
    engine: Engine,
    gateways: BTreeMap<String, GatewayRef>,
    alarms: BTreeMap<String, AlarmId>,
    /// Intakes of the log.
    known: HashSet<IntakeKey>,
    rows: Vec<JournalRow>,
    samples: usize,
}

impl Replay {
    fn new(engine: Engine, gateways: BTreeMap<String, GatewayRef>) -> Self {
        let mut replay = Self {
            engine,
            gateways,
            alarms: BTreeMap::new(),
            known: HashSet::new(),
            rows: Vec::new(),
            samples: 0,
        };
        replay.name_alarms();
        replay
    }

    fn name_alarms(&mut self) {
        let keys = self.engine.specs().map(|alarm| alarm.key.to_owned());
        self.alarms = keys.zip((0..).map(AlarmId)).collect();
    }

    /// What the journal tells and the log did not make. True where there is no such thing.
    fn hold_to(&mut self, told: Vec<Told>) -> anyhow::Result<bool> {
        let taken = self.engine.held_to(told).context("what the journal tells")?;
        if !taken.is_empty() {
            let named: Vec<&str> = taken.iter().take(NAMED).map(String::as_str).collect();
            warn!(
                alarms = taken.len(),
                ?named,
                "快照与输入记录中没有事件日志所载的部分报警，已按事件日志恢复，未恢复正常的须重新确认 / snapshot and log do not hold what the journal tells of some alarms; it is taken from there, and what stood wants an answer again"
            );
        }
        self.name_alarms();
        Ok(taken.is_empty())
    }

    /// From the plan before to the one in force.
    fn go_over(
        &mut self,
        plan: Plan,
        registry: &Registry,
        before: &plan::Kept,
    ) -> anyhow::Result<()> {
        let now = before.now(registry);
        self.engine = Engine::restore_renumbered(plan, &self.engine.snapshot(), &now)
            .context("the engine cannot go over to the plan in force")?;
        self.gateways = numbers(registry);
        self.name_alarms();
        Ok(())
    }

    /// One input of the log.
    fn again(&mut self, input: &EngineInput) {
        match input {
            EngineInput::Wake { at } => self.play(Event::Wake, *at),
            EngineInput::Restarted { at } => self.play(Event::Restarted, *at),
            EngineInput::Heard { gateway, at } => {
                if let Some(gateway) = self.gateway(gateway) {
                    self.play(Event::Heard { gateway }, *at);
                }
            }
            EngineInput::Clock { gateway, at, skew_ms, synchronised } => {
                if let Some(gateway) = self.gateway(gateway) {
                    let (skew_ms, synchronised) = (*skew_ms, *synchronised);
                    self.play(Event::Clock { gateway, skew_ms, synchronised }, *at);
                }
            }
            EngineInput::Judged { intake, settle, caught_up } => {
                self.intake(intake, (*settle, *caught_up));
            }
            EngineInput::History { at, point, from, samples } => {
                let (point, from, samples) = (PointRef(*point), *from, samples.clone());
                self.play(Event::History { point, from, samples }, *at);
            }
            EngineInput::Command { at, alarm, command } => {
                let Some(id) = self.alarms.get(alarm) else { return };
                match crate::commands::from_json(*id, command) {
                    Ok(command) => self.play(Event::Command(command), *at),
                    Err(fault) => warn!(%alarm, %fault, "a command of the log is unreadable"),
                }
            }
        }
    }

    /// An intake of the store, unless the log had it. Deadlines wait for the restart: what the log
    /// does not hold may have been a sign of life.
    fn judge(&mut self, intake: &Intake) {
        if !self.known.contains(&key(intake)) {
            self.intake(intake, (false, false));
        }
    }

    fn intake(&mut self, intake: &Intake, marks: (bool, bool)) {
        let Some(gateway) = self.gateway(&intake.gateway) else { return };
        self.samples += intake.samples.len();
        let mut actions = Vec::new();
        judge(&mut self.engine, gateway, intake, marks, &mut actions);
        self.take(actions);
    }

    fn gateway(&self, name: &str) -> Option<GatewayRef> {
        self.gateways.get(name).copied()
    }

    fn play(&mut self, event: Event, at: TimeMs) {
        let mut actions = Vec::new();
        self.engine.handle(event, at, &mut actions);
        self.take(actions);
    }

    fn take(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Record(row) => self.rows.push(journaled(&self.engine, &row)),
                // The desk shows all that stands; what was asked of the store is asked again.
                Action::Annunciate { .. }
                | Action::Silence { .. }
                | Action::Chime { .. }
                | Action::Recall { .. } => {}
            }
        }
    }
}

/// The rows of a restored engine, for the desk; answers with their time and words, as the journal
/// tells them.
///
/// # Errors
/// The journal cannot be read.
pub fn desk_rows(
    engine: &Engine,
    registry: &Arc<Registry>,
    journal: &AlarmJournal,
) -> anyhow::Result<Vec<AlarmRow>> {
    let facts: Vec<_> =
        crate::registry::facts(registry, &engine.plan()).into_iter().map(Arc::new).collect();
    let mut rows = Vec::new();
    for standing in engine.all_standing() {
        let place = usize::try_from(standing.alarm.0).unwrap_or(usize::MAX);
        let Some(facts) = facts.get(place) else { continue };
        let mut shown = crate::view::rows_of(engine, standing.alarm, facts);
        if shown.iter().any(|row| row.acked_by.is_some()) {
            let mut told = journal.of_alarm(&facts.key, ANSWERS_MAX)?;
            told.reverse();
            shown.iter_mut().for_each(|row| answer(row, &told));
        }
        rows.extend(shown);
    }
    Ok(rows)
}

/// A person wrote the row's comment to an answer; what a rule says of a refusal is no note.
fn is_written(row: &JournalRow) -> bool {
    let command = row.command.as_ref();
    let command = command.and_then(|text| crate::commands::from_json(AlarmId(0), text).ok());
    command.is_some_and(|command| is_answer(&command) && command.comment == row.comment)
}

/// When an occurrence was answered, and what was written then or later.
fn answer(shown: &mut AlarmRow, told: &[StoredRow]) {
    for StoredRow { row, .. } in told.iter().filter(|told| told.row.occurrence == shown.occurrence)
    {
        match Cause::from_word(&row.cause) {
            Some(Cause::Acknowledged) => {
                shown.acked_at = Some(row.ti);
                shown.comment.clone_from(&row.comment);
            }
            Some(Cause::Refused) if !row.comment.is_empty() && is_written(row) => {
                shown.comment.clone_from(&row.comment);
            }
            Some(_) | None => {}
        }
    }
}
