//! Start after any end: the engine is its last snapshot plus everything that came after it.
//!
//! - Samples that the store committed after the snapshot, and commands that the journal took, are
//!   played again in the order in which the centre knew of them.
//! - Rows that come out again carry the same ids, so the journal drops them; rows that a kill
//!   kept out of it are written now.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use anyhow::{Context, anyhow};
use fengsui_alerting::{Action, Command, Engine, Event, GatewayRef, Plan, PointRef, Row};
use fengsui_store::{AlarmJournal, ConfigDb, Intake, SeriesStore};
use fengsui_telemetry::wire::decode_catalogue;
use fengsui_telemetry::{GatewayId, Lane, Point, Revision, TimeMs};
use tracing::{info, warn};

use crate::alarm_loop::journal_row;
use crate::clock;
use crate::config::Config;
use crate::registry::{Numbered, Registry, alarm_of};

/// Journal rows read at once.
const PAGE: usize = 1_000;
/// Deadlines between two replayed intakes: one for every alarm of a large centre.
const WAKES_MAX: usize = 1_200_000;

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

/// The engine as it was when the process ended, and a little further.
///
/// # Errors
/// Journal or store cannot be read, or the plan has faults.
pub fn engine(
    plan: Plan,
    registry: &Registry,
    journal: &AlarmJournal,
    store: &SeriesStore,
) -> anyhow::Result<Engine> {
    let began = clock::monotonic();
    let snapshot = journal.load_snapshot().context("the engine's snapshot")?;
    let (store_seq, journal_seq) =
        snapshot.as_ref().map_or((0, 0), |s| (s.store_seq, s.journal_seq));
    let restored = snapshot.as_ref().map(|s| Engine::restore(plan.clone(), &s.data));
    let mut engine = match restored {
        Some(Ok(engine)) => engine,
        Some(Err(fault)) => {
            warn!(%fault, "the snapshot cannot be used; the engine starts from the stored samples");
            fresh(plan)?
        }
        None => fresh(plan)?,
    };
    let mut commands = commands_after(journal, engine.plan(), journal_seq)?.into_iter().peekable();
    let mut rows: Vec<Row> = Vec::new();
    let mut played = 0_u64;
    store.replay(store_seq, &mut |_, intake| {
        while let Some((at, command)) = commands.next_if(|(at, _)| *at <= intake.ti) {
            wake_until(&mut engine, at, &mut rows);
            play(&mut engine, Event::Command(command), at, &mut rows);
        }
        wake_until(&mut engine, intake.ti, &mut rows);
        played += play_intake(&mut engine, registry, intake, &mut rows);
    })?;
    for (at, command) in commands {
        play(&mut engine, Event::Command(command), at, &mut rows);
    }
    play(&mut engine, Event::Restarted, clock::now(), &mut rows);
    let again = record(journal, &engine, &rows)?;
    info!(samples = played, rows = again, ms = began.elapsed().as_millis(), "engine restored");
    Ok(engine)
}

fn fresh(plan: Plan) -> anyhow::Result<Engine> {
    Engine::new(plan).map_err(|faults| {
        let list: Vec<String> = faults.iter().map(ToString::to_string).collect();
        anyhow!("limits that cannot be judged:\n  {}", list.join("\n  "))
    })
}

fn play(engine: &mut Engine, event: Event, at: TimeMs, rows: &mut Vec<Row>) {
    let mut actions = Vec::new();
    engine.handle(event, at, &mut actions);
    rows.extend(actions.into_iter().filter_map(|action| match action {
        Action::Record(row) => Some(row),
        Action::Annunciate { .. }
        | Action::Silence { .. }
        | Action::Chime { .. }
        | Action::Recall { .. } => None,
    }));
}

/// Deadlines that were due while the engine ran before: at their own time, so that occurrences
/// keep their numbers.
fn wake_until(engine: &mut Engine, until: TimeMs, rows: &mut Vec<Row>) {
    for _ in 0..WAKES_MAX {
        match engine.wake_at() {
            Some(at) if at <= until => play(engine, Event::Wake, at, rows),
            Some(_) | None => return,
        }
    }
    warn!("deadlines do not end; the rest is done at the next wake");
}

fn play_intake(
    engine: &mut Engine,
    registry: &Registry,
    intake: &Intake,
    rows: &mut Vec<Row>,
) -> u64 {
    let gateway = GatewayId::parse(&intake.gateway).ok().and_then(|id| registry.gateway(&id));
    let Some(gateway) = gateway.and_then(|index| u32::try_from(index).ok()) else { return 0 };
    let gateway = GatewayRef(gateway);
    play(engine, Event::Heard { gateway }, intake.ti, rows);
    for (point, te, reading) in &intake.samples {
        let event = Event::Sample {
            point: PointRef(*point),
            te: *te,
            reading: *reading,
            lane: intake.lane,
        };
        play(engine, event, intake.ti, rows);
    }
    if intake.lane == Lane::Backlog {
        play(engine, Event::Settle { gateway }, intake.ti, rows);
    }
    intake.samples.len() as u64
}

fn commands_after(
    journal: &AlarmJournal,
    plan: &Plan,
    after: u64,
) -> anyhow::Result<Vec<(TimeMs, Command)>> {
    let mut commands = Vec::new();
    let mut at = after;
    loop {
        let page = journal.page(at, PAGE)?;
        let Some(last) = page.last() else { return Ok(commands) };
        at = last.seq;
        for stored in page {
            let Some(text) = &stored.row.command else { continue };
            let Some(alarm) = alarm_of(plan, &stored.row.alarm) else { continue };
            match crate::commands::from_json(alarm, text) {
                Ok(command) => commands.push((stored.row.ti, command)),
                Err(fault) => {
                    warn!(seq = stored.seq, %fault, "a command of the journal is unreadable")
                }
            }
        }
    }
}

/// Writes rows and waits until they are durable.
fn record(journal: &AlarmJournal, engine: &Engine, rows: &[Row]) -> anyhow::Result<usize> {
    if rows.is_empty() {
        return Ok(0);
    }
    let key = |row: &Row| {
        let place = usize::try_from(row.alarm.0).unwrap_or(usize::MAX);
        engine.plan().alarms.get(place).map_or("", |alarm| alarm.key.as_str())
    };
    let rows: Vec<_> = rows.iter().map(|row| journal_row(row, key(row))).collect();
    let (tell, told) = sync_channel(1);
    let done = move |answer: Result<Vec<Option<u64>>, fengsui_store::StoreError>| {
        // The receiver waits below.
        tell.send(answer).ok();
    };
    journal.append(rows, Box::new(done)).map_err(|full| anyhow!("{full}"))?;
    let seqs = told.recv().context("the journal's writer has ended")??;
    Ok(seqs.iter().flatten().count())
}

/// The rows of a restored engine, for the desk.
#[must_use]
pub fn desk_rows(engine: &Engine, registry: &Arc<Registry>) -> Vec<crate::view::AlarmRow> {
    let facts: Vec<_> =
        crate::registry::facts(registry, engine.plan()).into_iter().map(Arc::new).collect();
    let standing = engine.all_standing();
    let rows = standing.iter().filter_map(|standing| {
        let facts = facts.get(usize::try_from(standing.alarm.0).ok()?)?;
        Some(crate::view::rows_of(engine, standing.alarm, facts))
    });
    rows.flatten().collect()
}
