//! What the spool tells of alarms that a replay of samples does not bring up again.
//!
//! - Between two saves of the engine a start plays the samples that came since. What arose by the
//!   clock (a silence), under limits that were another file's, or ended by the button is not in
//!   them; it is in the transitions, which are on the disk as well.
//! - Only what stands is taken from there, and numbers: nothing that the replay finds in alarm is
//!   made quiet by an older row.

use std::collections::BTreeMap;

use fengsui_alerting::{AlarmId, Cause, Letter, Told, ToldRow};
use fengsui_telemetry::{LocalTransition, TimeMs};
use tracing::{error, warn};

use super::{AlarmLoop, OWN};

impl AlarmLoop {
    /// One transition that is in the spool.
    pub(super) fn note_told(&mut self, te: TimeMs, transition: &LocalTransition) {
        let LocalTransition { alarm, occurrence, to, why, known, .. } = transition;
        let Some(to) = Letter::from_char(*to) else { return };
        let cause = Cause::from_word(why).unwrap_or(Cause::JudgedAgain);
        let on = (cause == Cause::On).then_some(te);
        let bounds = (on, (cause == Cause::Off).then_some(te));
        let told = self.told.entry(alarm.clone());
        told.or_insert_with(|| Told::of(alarm, OWN)).take(ToldRow {
            ti: *known,
            te: Some(te),
            to,
            occurrence: *occurrence,
            bounds,
            cause,
            late: false,
            value: transition.value,
            by: None,
            revision: transition.revision,
        });
    }

    /// After the replay: what stands by the transitions stands, and sounds until somebody has
    /// acknowledged it.
    pub(super) fn stand_as_told(&mut self) {
        let told = std::mem::take(&mut self.told);
        let told = self.lacking(told);
        match self.engine.held_to(told) {
            Ok(taken) if taken.is_empty() => {}
            Ok(taken) => {
                warn!(alarms = taken.len(), first = ?taken.first(), "报警按本地记录恢复 / alarms that the samples do not bring up stand by their records");
            }
            Err(fault) => error!(%fault, "alarms cannot be taken from their records"),
        }
    }

    /// Those that stand by their records and not in the engine, or have a higher number there.
    fn lacking(&self, mut told: BTreeMap<String, Told>) -> Vec<Told> {
        for (spec, id) in self.engine.specs().zip(0..) {
            let id = AlarmId(id);
            let lacks = |told: &Told| {
                self.engine.standing(id).letter == Letter::A && !told.is_normal()
                    || self.engine.highest(id) < told.highest()
            };
            if told.get(spec.key).is_some_and(|told| !lacks(told)) {
                told.remove(spec.key);
            }
        }
        told.into_values().collect()
    }
}
