//! The alarms of a plan as an engine keeps them.
//!
//! - A gateway has some 60,000 alarms and little memory: keys stand one behind the other, and what
//!   many alarms have in common stands once.
//! - Nothing changes here. Other alarms are another engine.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::Arc;

use fengsui_telemetry::Revision;

use crate::model::{
    AlarmId, AlarmSpec, Condition, GatewayRef, Lifecycle, Plan, Priority, Subject, TimeRules,
};

/// What alarms have in common: the fields of [`AlarmSpec`] of these names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Terms {
    /// On-delay, ms.
    pub on_delay_ms: i64,
    /// Off-delay, ms.
    pub off_delay_ms: i64,
    /// Priority.
    pub priority: Priority,
    /// Acknowledgement and latch.
    pub lifecycle: Lifecycle,
    /// Time rules.
    pub times: TimeRules,
    /// The limits that the alarm came from.
    pub revision: Revision,
    /// A shelf needs the number of a written permit.
    pub statutory: bool,
    /// Key of the alarm that suppresses this one while it is on.
    pub suppressed_by: Option<Arc<str>>,
}

/// One alarm of an engine: everything that its [`AlarmSpec`] said.
#[derive(Clone, Copy, Debug)]
pub struct SpecRef<'a> {
    /// Unique in the plan and stable over revisions.
    pub key: &'a str,
    /// What it is about.
    pub subject: Subject,
    /// The gateway whose live lane it waits for.
    pub gateway: GatewayRef,
    /// When it is true.
    pub condition: &'a Condition,
    terms: &'a Terms,
}

impl Deref for SpecRef<'_> {
    type Target = Terms;

    fn deref(&self) -> &Terms {
        self.terms
    }
}

impl SpecRef<'_> {
    /// True where the alarm depends on others of the plan.
    pub(crate) fn looks_at_alarms(&self) -> bool {
        self.condition.looks_at_alarms() || self.suppressed_by.is_some()
    }

    fn to_spec(self) -> AlarmSpec {
        let Terms { on_delay_ms, off_delay_ms, priority, lifecycle, times, revision, .. } =
            *self.terms;
        AlarmSpec {
            key: self.key.to_owned(),
            subject: self.subject,
            gateway: self.gateway,
            condition: self.condition.clone(),
            on_delay_ms,
            off_delay_ms,
            priority,
            lifecycle,
            times,
            revision,
            statutory: self.terms.statutory,
            suppressed_by: self.terms.suppressed_by.clone(),
        }
    }
}

#[derive(Clone, Debug)]
struct Kept {
    subject: Subject,
    gateway: GatewayRef,
    condition: u32,
    /// Where its key ends; it begins where that of the one before ends.
    key_end: u32,
    terms: u32,
}

/// Every alarm of an engine.
#[derive(Clone, Debug)]
pub(crate) struct Specs {
    revision: Revision,
    keys: String,
    terms: Vec<Terms>,
    conditions: Vec<Condition>,
    kept: Vec<Kept>,
}

/// Conditions that a new one is compared with: the alarms of points next to each other are often
/// alike.
const CONDITIONS_COMPARED: usize = 8;

impl Specs {
    pub(crate) fn of(plan: Plan) -> Self {
        let mut known: HashMap<Terms, u32> = HashMap::new();
        let keys = plan.alarms.iter().map(|spec| spec.key.len()).sum();
        let mut specs = Self {
            revision: plan.revision,
            keys: String::with_capacity(keys),
            terms: Vec::new(),
            conditions: Vec::new(),
            kept: Vec::with_capacity(plan.alarms.len()),
        };
        for spec in plan.alarms {
            let AlarmSpec { key, subject, gateway, condition, on_delay_ms, off_delay_ms, .. } =
                spec;
            let AlarmSpec { priority, lifecycle, times, revision, statutory, .. } = spec;
            let terms = Terms {
                on_delay_ms,
                off_delay_ms,
                priority,
                lifecycle,
                times,
                revision,
                statutory,
                suppressed_by: spec.suppressed_by,
            };
            let place = match known.get(&terms) {
                Some(place) => *place,
                None => {
                    let place = u32::try_from(specs.terms.len()).unwrap_or(u32::MAX);
                    specs.terms.push(terms.clone());
                    known.insert(terms, place);
                    place
                }
            };
            specs.keys.push_str(&key);
            let key_end =
                u32::try_from(specs.keys.len()).expect("fewer keys than the plan's check allows");
            let condition = specs.place_of(condition);
            specs.kept.push(Kept { subject, gateway, condition, key_end, terms: place });
        }
        specs.conditions.shrink_to_fit();
        specs
    }

    fn place_of(&mut self, condition: Condition) -> u32 {
        let lately = self.conditions.iter().enumerate().rev().take(CONDITIONS_COMPARED);
        let known = lately.filter(|(_, one)| **one == condition).map(|(place, _)| place).next();
        let place = known.unwrap_or_else(|| {
            self.conditions.push(condition);
            self.conditions.len() - 1
        });
        u32::try_from(place).expect("no more conditions than alarms")
    }

    pub(crate) fn revision(&self) -> Revision {
        self.revision
    }

    pub(crate) fn len(&self) -> usize {
        self.kept.len()
    }

    pub(crate) fn get(&self, id: AlarmId) -> Option<SpecRef<'_>> {
        let place = id.0 as usize;
        let Kept { subject, condition, gateway, key_end, terms } = self.kept.get(place)?;
        let before = place.checked_sub(1).and_then(|before| self.kept.get(before));
        let begins = before.map_or(0, |before| before.key_end);
        Some(SpecRef {
            key: self.keys.get(begins as usize..*key_end as usize)?,
            subject: *subject,
            gateway: *gateway,
            condition: self.conditions.get(*condition as usize)?,
            terms: self.terms.get(*terms as usize)?,
        })
    }

    /// In order of [`AlarmId`].
    pub(crate) fn iter(&self) -> impl Iterator<Item = SpecRef<'_>> {
        (0_u32..).map_while(|id| self.get(AlarmId(id)))
    }

    pub(crate) fn plan(&self) -> Plan {
        let alarms = self.iter().map(SpecRef::to_spec).collect();
        Plan { revision: self.revision, alarms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::high;

    #[test]
    fn a_plan_comes_back_as_it_was_and_what_is_the_same_stands_once() {
        let latched = Lifecycle { latch: true, ..Lifecycle::default() };
        let plan = Plan {
            revision: Revision(3),
            alarms: vec![
                high("P/H", 80.0),
                AlarmSpec { lifecycle: latched, ..high("罐-1/HH", 90.0) },
                AlarmSpec { suppressed_by: Some("P/H".into()), ..high("Q/H", 80.0) },
                high("R/H", 70.0),
            ],
        };
        let specs = Specs::of(plan.clone());
        assert_eq!(specs.plan(), plan);
        assert_eq!(specs.terms.len(), 3);
        assert_eq!(specs.conditions.len(), 3);
        assert_eq!(specs.get(AlarmId(1)).unwrap().key, "罐-1/HH");
        assert!(specs.get(AlarmId(4)).is_none());
    }
}
