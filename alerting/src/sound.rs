//! A plan of which the engine takes everything that can be judged.
//!
//! - One limit that cannot be judged must not silence all others: it alone is left out, and named.
//! - A suppression that cannot be judged is lifted, not the alarm: rather one alarm too many.

use std::collections::BTreeSet;

use crate::model::Plan;
use crate::plan::{ALARMS_MAX, PlanFault};

impl Plan {
    /// The plan without what [`crate::Engine::new`] would refuse it for, and everything that was
    /// wrong: each alarm that is named is left out, or judged without its suppression.
    #[must_use]
    pub fn sound(mut self) -> (Self, Vec<PlanFault>) {
        let mut left = Vec::new();
        loop {
            let faults = self.faults();
            if faults.is_empty() {
                return (self, left);
            }
            let mended = self.mend(&faults);
            left.extend(faults);
            if !mended {
                // Not reached: every fault names an alarm of the plan.
                self.alarms.clear();
                return (self, left);
            }
        }
    }

    /// Leaves out what is named; false when nothing was.
    fn mend(&mut self, faults: &[PlanFault]) -> bool {
        if faults.iter().any(|fault| fault.alarm().is_none()) {
            self.alarms.truncate(ALARMS_MAX);
            return true;
        }
        if self.lift(faults) {
            return true;
        }
        let before = self.alarms.len();
        let named = |fault: &PlanFault| !matches!(fault, PlanFault::DuplicateKey { .. });
        let bad: BTreeSet<&str> =
            faults.iter().filter(|fault| named(fault)).filter_map(PlanFault::alarm).collect();
        let mut seen = BTreeSet::new();
        self.alarms.retain(|spec| {
            let key = spec.key.as_str();
            !bad.contains(key) && seen.insert(key.to_owned())
        });
        self.alarms.len() < before
    }

    /// Lifts suppressions by alarms that are not there, or by way of the alarm itself.
    fn lift(&mut self, faults: &[PlanFault]) -> bool {
        let mut lifted = BTreeSet::new();
        for fault in faults {
            match fault {
                PlanFault::UnknownAlarm { key, named } => {
                    lifted.insert((key.as_str(), Some(named.as_str())));
                }
                PlanFault::Circle { key, .. } => {
                    lifted.insert((key.as_str(), None));
                }
                PlanFault::TooMany(_)
                | PlanFault::Number { .. }
                | PlanFault::DuplicateKey { .. }
                | PlanFault::Limit { .. }
                | PlanFault::Time { .. }
                | PlanFault::Subject { .. }
                | PlanFault::Differs { .. }
                | PlanFault::SecondSilence { .. }
                | PlanFault::Derived { .. }
                | PlanFault::DelayBeyondStale { .. } => {}
            }
        }
        let mut any = false;
        for spec in &mut self.alarms {
            let key = spec.key.as_str();
            let by = spec.suppressed_by.as_deref();
            if by.is_some() && (lifted.contains(&(key, None)) || lifted.contains(&(key, by))) {
                spec.suppressed_by = None;
                any = true;
            }
        }
        any
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::Engine;
    use crate::derived::{Derived, Expression};
    use crate::limits::LimitSet;
    use crate::model::Condition;
    use crate::model::{GatewayRef, PointRef};
    use fengsui_telemetry::Revision;

    const ROWS: &str = "tag,kind,limit,detail\nA,HH,90,\nA,H,80,suppressed_by=A/COMPOSITE\n\
                        A,COMPOSITE,,\"expr=on(\"\"A/HH\"\")\"\n";

    fn plan() -> Plan {
        let limits = LimitSet::parse("limits.csv", ROWS).unwrap();
        let catalogue = crate::limits::placeholder(["A"]);
        let revision = Revision::default();
        let alarms = limits.plan("GW", GatewayRef(0), &catalogue, &PointRef, revision);
        Plan { revision, alarms }
    }

    fn keys(plan: &Plan) -> Vec<&str> {
        plan.alarms.iter().map(|spec| spec.key.as_str()).collect()
    }

    fn composite(of: &[&str]) -> Condition {
        let text: Vec<String> = of.iter().map(|name| format!("on({name:?})")).collect();
        let expression = Expression::parse(&text.join(" && ")).unwrap();
        let alarms = of.iter().map(|name| format!("GW/{name}")).collect();
        Condition::Derived(Arc::new(Derived::Composite {
            expression,
            points: Vec::new(),
            alarms,
            hold_ms: 1_000,
        }))
    }

    #[test]
    fn one_alarm_that_cannot_be_judged_leaves_the_others() {
        let good = plan();
        assert_eq!(good.clone().sound(), (good.clone(), Vec::new()));
        let mut bad = good.clone();
        let inverted = Derived::Range { low: 1.0, high: 0.0 };
        bad.alarms[0].condition = Condition::Derived(Arc::new(inverted));
        bad.alarms.push(good.alarms[1].clone());
        let (sound, left) = bad.sound();
        // Whoever looks at it cannot be judged either; whom that suppressed, is judged.
        assert_eq!(keys(&sound), ["GW/A/H", "GW/A/STALE", "GW//OFFLINE"]);
        assert_eq!(sound.alarms[0].suppressed_by, None);
        assert_eq!(left.iter().filter_map(PlanFault::alarm).filter(|k| *k == "GW/A/HH").count(), 1);
        assert!(left.iter().any(|fault| matches!(fault, PlanFault::DuplicateKey { .. })));
        assert!(Engine::new(sound).is_ok());
    }

    #[test]
    fn all_of_a_circle_are_left_out_and_nobody_else() {
        let mut plan = plan();
        plan.alarms[0].condition = composite(&["A/COMPOSITE"]);
        let (sound, left) = plan.clone().sound();
        assert_eq!(keys(&sound), ["GW/A/H", "GW/A/STALE", "GW//OFFLINE"]);
        assert!(left.iter().any(|fault| matches!(fault, PlanFault::Circle { .. })), "{left:?}");

        // Suppressed by what looks at it: judged, without the suppression.
        let own = plan.alarms.iter().position(|spec| spec.key == "GW/A/COMPOSITE").unwrap();
        plan.alarms[0].condition = plan.alarms[1].condition.clone();
        plan.alarms[own].condition = composite(&["A/H"]);
        let (sound, _) = plan.clone().sound();
        assert_eq!(sound.alarms.len(), plan.alarms.len());
        assert_eq!(sound.alarms[1].suppressed_by, None);
    }
}
