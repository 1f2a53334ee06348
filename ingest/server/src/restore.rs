//! Start after any end: the engine is its last snapshot plus everything that came after it.
//!
//! - Samples that the store committed after the snapshot, and commands that the journal took, are
//!   played again in the order in which the centre knew of them.
//! - Rows that come out again carry the same ids, so the journal drops them; rows that a kill
//!   kept out of it are written now; rows whose samples a kill kept out of the store are taken
//!   over from the journal.

mod replay;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use anyhow::{Context, anyhow};
use fengsui_alerting::{Cause, Engine, Plan, Row};
use fengsui_store::{AlarmJournal, ConfigDb, SeriesStore, StoredRow};
use fengsui_telemetry::wire::decode_catalogue;
use fengsui_telemetry::{GatewayId, Point, Revision};
use tracing::{info, warn};

use crate::alarm_loop::journal_row;
use crate::clock;
use crate::config::Config;
use crate::registry::{Numbered, Registry};
use crate::view::AlarmRow;
use replay::Replay;

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
    let store_seq = snapshot.as_ref().map_or(0, |s| s.store_seq);
    let restored = snapshot.map(|s| (s.journal_seq, Engine::restore(plan.clone(), &s.data)));
    let (engine, journal_seq) = match restored {
        Some((journal_seq, Ok(engine))) => (engine, journal_seq),
        Some((_, Err(fault))) => {
            warn!(%fault, "the snapshot cannot be used; the engine starts from the journal");
            (fresh(plan)?, 0)
        }
        None => (fresh(plan)?, 0),
    };
    let mut replay = Replay::begin(engine, registry, journal, journal_seq)?;
    let mut samples = 0_u64;
    store.replay(store_seq, &mut |_, intake| samples += replay.intake(intake))?;
    replay.end(clock::now());
    let again = record(journal, &replay.engine, &replay.untold())?;
    let (adopted, ms) = (replay.adopted, began.elapsed().as_millis());
    info!(samples, rows = again, adopted, ms, "engine restored");
    Ok(replay.engine)
}

fn fresh(plan: Plan) -> anyhow::Result<Engine> {
    Engine::new(plan).map_err(|faults| {
        let list: Vec<String> = faults.iter().map(ToString::to_string).collect();
        anyhow!("limits that cannot be judged:\n  {}", list.join("\n  "))
    })
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
        crate::registry::facts(registry, engine.plan()).into_iter().map(Arc::new).collect();
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

/// When an occurrence was answered, and what was written then or later.
fn answer(shown: &mut AlarmRow, told: &[StoredRow]) {
    for StoredRow { row, .. } in told.iter().filter(|told| told.row.occurrence == shown.occurrence)
    {
        match Cause::from_word(&row.cause) {
            Some(Cause::Acknowledged) => {
                shown.acked_at = Some(row.ti);
                shown.comment.clone_from(&row.comment);
            }
            Some(Cause::Refused) if !row.comment.is_empty() => {
                shown.comment.clone_from(&row.comment);
            }
            Some(_) | None => {}
        }
    }
}
