//! Other alarms from now on, by a new catalogue or other limits.
//!
//! - An alarm that stands and that nobody judges any more does not vanish: the engine keeps it, the
//!   journal says so, and a person has to answer it (`fengsui_alerting::Engine::restore_with_past`).
//! - The log before the change belongs to the old plan; a snapshot ends it, so that a restart does
//!   not play it again.

use std::sync::Arc;

use fengsui_alerting::{Action, Cause, Engine, Event, Plan};
use tracing::{error, warn};

use super::{AlarmLoop, shared_facts};
use crate::clock;
use crate::registry::Registry;

/// Alarms that the log names; the journal has them all.
const NAMED: usize = 20;

impl AlarmLoop {
    pub(super) fn replan(&mut self, registry: Arc<Registry>, plan: Plan) {
        let (plan, _) = plan.sound();
        let kept = crate::restore::plan::encode(&registry, &plan);
        match Engine::restore_with_past(plan, &self.parts.engine.snapshot()) {
            Ok(engine) => {
                self.parts.engine = engine;
                self.parts.registry = registry;
                (self.parts.plan, self.replanned) = (kept, true);
                // Another one: what is under way says nothing of it.
                self.plan_saved = Arc::default();
                self.facts = shared_facts(&self.parts.registry, &self.parts.engine.plan());
                let mut actions = Vec::new();
                self.parts.engine.handle(Event::Wake, clock::now(), &mut actions);
                self.warn_of_left(&actions);
                self.perform(actions, None, None);
                // The log before this belongs to the other plan.
                self.snapshot(clock::now(), None);
                self.resync();
                // A replay after a kill begins behind the change: what was judged before it was
                // judged by the old limits.
                self.snapshot(clock::now(), None);
            }
            // A sound plan and the engine's own snapshot: neither is ever refused.
            Err(fault) => {
                error!(%fault, "新的点表或限值不能判断，仍按旧的判断 / other points or limits cannot be judged; the old ones stay")
            }
        }
    }

    fn warn_of_left(&self, actions: &[Action]) {
        let left = actions.iter().filter_map(|action| match action {
            Action::Record(row) if row.cause == Cause::NoLongerJudged => Some(row.alarm),
            Action::Record(_)
            | Action::Annunciate { .. }
            | Action::Silence { .. }
            | Action::Chime { .. }
            | Action::Recall { .. } => None,
        });
        let left: Vec<_> = left.collect();
        if left.is_empty() {
            return;
        }
        let key = |alarm| self.parts.engine.spec_of(alarm).map(|spec| spec.key);
        let named: Vec<&str> = left.iter().take(NAMED).copied().filter_map(key).collect();
        warn!(alarms = left.len(), ?named, "standing alarms are no longer judged");
    }
}
