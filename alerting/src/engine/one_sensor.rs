//! One bad sensor is one alarm: RANGE speaks for BADQ and STALE, BADQ speaks for STALE.
//!
//! - All of them are recorded and listed; the most specific one that holds is announced, as a second
//!   level is for its first. When it ends and a coarser one still holds, that one is announced.
//! - Which of them may speak for another is said by [`Engine::speaks_for`].

use crate::derived::Derived;
use crate::engine::Engine;
use crate::model::{AlarmId, Condition, Subject};

/// The sensor alarms of one point, the most specific first.
#[derive(Clone, Debug, Default)]
pub(crate) struct SensorFaults {
    range: Vec<AlarmId>,
    bad: Vec<AlarmId>,
    stale: Vec<AlarmId>,
}

impl Engine {
    /// Finds the points with more than one kind of sensor alarm.
    pub(crate) fn lay_sensor_faults(&mut self) {
        for (id, spec) in (0_u32..).map(AlarmId).zip(self.specs.iter()) {
            let Subject::Point(point) = spec.subject else { continue };
            let Condition::Derived(derived) = spec.condition else { continue };
            let of: fn(&mut SensorFaults) -> &mut Vec<AlarmId> = match derived.as_ref() {
                Derived::Range { .. } => |faults| &mut faults.range,
                Derived::BadQuality => |faults| &mut faults.bad,
                Derived::RateOfChange { .. }
                | Derived::Deviation { .. }
                | Derived::Discrete { .. }
                | Derived::Frozen { .. }
                | Derived::Vote { .. }
                | Derived::TimeToLimit { .. }
                | Derived::Composite { .. } => continue,
            };
            of(self.sensors.entry(point).or_default()).push(id);
        }
        for (point, faults) in &mut self.sensors {
            let stale = self.points.get(point.0 as usize).map_or(super::NONE, |state| state.stale);
            if stale != super::NONE {
                faults.stale.push(AlarmId(stale));
            }
        }
    }

    /// The sensor alarms of an alarm's point by grade, and which grade is its own.
    fn grades_of(&self, id: AlarmId) -> Option<([&[AlarmId]; 3], usize)> {
        if self.sensors.is_empty() {
            return None;
        }
        let faults = match self.specs.get(id)?.subject {
            Subject::Point(point) => self.sensors.get(&point)?,
            Subject::Gateway(_) => return None,
        };
        let grades = [&faults.range[..], &faults.bad[..], &faults.stale[..]];
        let own = grades.iter().position(|grade| grade.contains(&id))?;
        Some((grades, own))
    }

    /// The more specific alarm of the same sensor that speaks for this one.
    pub(crate) fn sensor_fault_of(&self, id: AlarmId) -> Option<AlarmId> {
        let (grades, own) = self.grades_of(id)?;
        let mut finer = grades.iter().take(own).flat_map(|grade| grade.iter().copied());
        finer.find(|finer| self.speaks_for(*finer, id))
    }

    /// The alarms of the same sensor that this one may have spoken for.
    pub(crate) fn coarser(&self, id: AlarmId) -> Vec<AlarmId> {
        let Some((grades, own)) = self.grades_of(id) else { return Vec::new() };
        grades.iter().skip(own + 1).flat_map(|grade| grade.iter().copied()).collect()
    }
}
