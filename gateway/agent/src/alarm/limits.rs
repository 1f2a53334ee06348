//! Other limits while the loop runs.
//!
//! - What is in alarm when its limit goes away goes on: it sounds until somebody has acknowledged it.

use std::collections::BTreeMap;

use fengsui_alerting::{AlarmId, Condition, Engine, Plan};
use tracing::{error, info, warn};

use super::{AlarmLoop, HELD_SAMPLES};

impl AlarmLoop {
    /// Judges by another plan from the next event on: whole, or not at all. What stands stays as
    /// it stood; data from before are judged by the limits that held then.
    pub(crate) fn replan(&mut self, plan: Plan) {
        let revision = plan.revision;
        let engine = match Engine::restore_with_past(plan, &self.engine.snapshot()) {
            Ok(engine) => engine,
            Err(fault) => {
                error!(%fault, %revision, "limits cannot be judged by; the old ones stay");
                return;
            }
        };
        let sounding: Vec<String> = self.sounding.iter().map(|alarm| self.key(*alarm)).collect();
        self.engine = engine.keeping(HELD_SAMPLES);
        self.rest_anew();
        self.revision = revision;
        self.state.limits = revision;
        let numbers: BTreeMap<&str, AlarmId> = (0..)
            .zip(self.engine.specs())
            .map(|(number, spec)| (spec.key, AlarmId(number)))
            .collect();
        self.sounding =
            sounding.iter().filter_map(|key| numbers.get(key.as_str()).copied()).collect();
        for alarm in &self.sounding {
            let spec = self.engine.spec_of(*alarm);
            if spec.is_some_and(|spec| *spec.condition == Condition::Unjudged) {
                warn!(
                    alarm = self.key(*alarm),
                    "报警中的限值已删除，确认前继续鸣响 / the limit of an alarm that sounds is gone; it sounds until somebody has acknowledged it"
                );
            }
        }
        info!(%revision, alarms = self.engine.specs().count(), "limits in force");
        self.show();
        // No record tells of the change: a replay must begin after it.
        self.save();
    }
}
