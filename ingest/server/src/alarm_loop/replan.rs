//! Other alarms from now on, by a new catalogue or other limits.
//!
//! - An alarm that stands and that nobody judges any more does not vanish: the journal says so.
//! - The log before the change belongs to the old plan. The rows of what is left out go with it,
//!   and a snapshot ends it, so that a restart does not play them again.

use std::collections::BTreeSet;
use std::sync::Arc;

use fengsui_alerting::{Engine, Letter, Plan, Standing};
use fengsui_store::JournalRow;
use fengsui_telemetry::TimeMs;
use serde_json::json;
use tracing::{error, warn};

use super::recorder::Unrecorded;
use super::{AlarmLoop, shared_facts};
use crate::clock;
use crate::note::Note;
use crate::registry::Registry;

/// The cause of such rows.
const CAUSE: &str = "no_longer_judged";
/// What they say to people.
const SAYS: &str = "不再判断：点表或限值已改 / no longer judged: the points or limits have changed";
/// Alarms that the log names; the journal has them all.
const NAMED: usize = 20;

impl AlarmLoop {
    pub(super) fn replan(&mut self, registry: Arc<Registry>, plan: Plan) {
        let now = clock::now();
        let left = no_longer_judged(&self.parts.engine, &plan, now);
        match Engine::restore(plan, &self.parts.engine.snapshot()) {
            Ok(engine) => {
                self.tell_of_left(left);
                self.parts.engine = engine;
                self.parts.registry = registry;
                self.facts = shared_facts(&self.parts.registry, &self.parts.engine.plan());
                // The log before this belongs to the other plan.
                self.snapshot(clock::now(), None);
                self.resync();
                // A replay after a kill begins behind the change: what was judged before it was
                // judged by the old limits.
                self.snapshot(clock::now(), None);
            }
            Err(fault) => error!(%fault, "the new catalogue cannot be judged; the old one stays"),
        }
    }

    fn tell_of_left(&mut self, rows: Vec<JournalRow>) {
        if rows.is_empty() {
            return;
        }
        let named: Vec<&str> = rows.iter().take(NAMED).map(|row| row.alarm.as_str()).collect();
        warn!(alarms = rows.len(), ?named, "standing alarms are no longer judged");
        let inputs = self.chunk();
        self.recorder.record(Unrecorded { rows, raised: 0, inputs, change: 0, reply: None });
    }
}

/// A row for every alarm that is not normal and that the new plan does not have.
pub(super) fn no_longer_judged(engine: &Engine, plan: &Plan, now: TimeMs) -> Vec<JournalRow> {
    let stays: BTreeSet<&str> = plan.alarms.iter().map(|alarm| alarm.key.as_str()).collect();
    let standing = engine.all_standing().into_iter();
    let left = standing.filter_map(|standing| {
        let key = engine.spec_of(standing.alarm)?.key;
        (!stays.contains(key)).then(|| row(key, &standing, now))
    });
    left.collect()
}

fn row(key: &str, standing: &Standing, now: TimeMs) -> JournalRow {
    let occurrence = standing.occurrence.map_or(0, |occurrence| occurrence.number);
    let letter = standing.letter.as_char();
    let waits = !standing.unacknowledged.is_empty();
    let body = json!({
        "alarm": key, "occurrence": occurrence, "letter": letter.to_string(),
        "active": standing.active, "unacknowledged": standing.unacknowledged,
    });
    let note = Note {
        id: format!("{CAUSE}/{key}/{occurrence}/{}", now.0),
        cause: CAUSE,
        alarm: key.to_owned(),
        occurrence,
        comment: SAYS.to_owned(),
        body: Some(body.to_string()),
        ..Note::default()
    };
    let words = [("active", standing.active), ("unacknowledged", waits)];
    let flags: Vec<&str> = words.into_iter().filter(|(_, is)| *is).map(|(word, _)| word).collect();
    JournalRow {
        from: letter,
        to: Letter::A.as_char(),
        flags: flags.join(" "),
        value: standing.value,
        ..note.row(now)
    }
}
