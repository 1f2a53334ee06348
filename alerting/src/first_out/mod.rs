//! First-out: which alarm of a group came first since the group was all normal.
//!
//! - By event time with the uncertainty of each clock. What cannot be told apart is shown as
//!   several, never decided by the order of arrival.
//! - Late data revise the answer; the earlier one stays in the journal.

use fengsui_telemetry::TimeMs;

use crate::model::AlarmId;

/// Alarms of one group that came on since it was all normal: a plant section. When full, further
/// ones are counted and not judged, which is said in the verdict.
pub const MEMBERS_MAX: usize = 4_096;

/// One alarm of the group coming on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CameOn {
    /// Which alarm.
    pub alarm: AlarmId,
    /// When, in event time.
    pub te: TimeMs,
    /// The clock that gave `te` is right to this many ms, either way.
    pub uncertainty_ms: i64,
}

impl CameOn {
    fn earliest(&self) -> TimeMs {
        self.te - self.uncertainty_ms.max(0)
    }

    fn latest(&self) -> TimeMs {
        self.te + self.uncertainty_ms.max(0)
    }
}

/// Who may have been first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The candidates, by event time. More than one: not distinguishable.
    pub first: Vec<AlarmId>,
    /// Another answer was given before: a `rev` record.
    pub revised: bool,
    /// Alarms that came on beyond [`MEMBERS_MAX`] and were not judged.
    pub not_judged: u64,
}

/// One group.
#[derive(Clone, Debug, Default)]
pub struct FirstOut {
    members: Vec<CameOn>,
    told: Option<Vec<AlarmId>>,
    not_judged: u64,
}

impl FirstOut {
    /// An alarm of the group came on, or late data gave its beginning another time. A verdict
    /// comes out when the answer changes.
    pub fn came_on(&mut self, member: CameOn) -> Option<Verdict> {
        let full = self.members.len() >= MEMBERS_MAX;
        match self.members.iter_mut().find(|known| known.alarm == member.alarm) {
            // A second occurrence of the same alarm is not first; an earlier time is a revision.
            Some(known) if member.te < known.te => *known = member,
            Some(_) => return None,
            None if full => {
                self.not_judged += 1;
                return None;
            }
            None => self.members.push(member),
        }
        let first = candidates(&self.members);
        if self.told.as_ref() == Some(&first) {
            return None;
        }
        let revised = self.told.is_some();
        self.told = Some(first.clone());
        Some(Verdict { first, revised, not_judged: self.not_judged })
    }

    /// The group is all normal: the next alarm is first.
    pub fn all_normal(&mut self) {
        *self = Self::default();
    }

    /// The answer that stands.
    #[must_use]
    pub fn first(&self) -> &[AlarmId] {
        self.told.as_deref().unwrap_or_default()
    }
}

/// Every alarm that no other is certainly earlier than: whose interval `te ± uncertainty` begins
/// before, or when, the first of all intervals ends.
#[must_use]
pub fn candidates(members: &[CameOn]) -> Vec<AlarmId> {
    let Some(first_end) = members.iter().map(CameOn::latest).min() else { return Vec::new() };
    let mut first: Vec<&CameOn> = members.iter().filter(|m| m.earliest() <= first_end).collect();
    first.sort_by_key(|member| (member.te, member.alarm));
    first.into_iter().map(|member| member.alarm).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(alarm: u32, te: i64, uncertainty_ms: i64) -> CameOn {
        CameOn { alarm: AlarmId(alarm), te: TimeMs(te), uncertainty_ms }
    }

    fn ids(verdict: &Verdict) -> Vec<u32> {
        verdict.first.iter().map(|alarm| alarm.0).collect()
    }

    #[test]
    fn w08_what_cannot_be_told_apart_is_first_together_and_late_data_revise_it() {
        let mut group = FirstOut::default();
        let p1 = group.came_on(on(1, 100_000, 50)).unwrap();
        assert_eq!((ids(&p1), p1.revised), (vec![1], false));
        assert_eq!(group.came_on(on(2, 100_400, 50)), None, "P2 is not first");
        let p3 = group.came_on(on(3, 100_200, 2_000)).unwrap();
        assert_eq!(ids(&p3), [1, 3]);
        let p4 = group.came_on(on(4, 99_000, 50)).unwrap();
        assert_eq!((ids(&p4), p4.revised), (vec![4, 3], true));
        assert_eq!(group.first(), [AlarmId(4), AlarmId(3)]);
    }

    #[test]
    fn w08_the_order_of_arrival_changes_nothing() {
        let all = [on(1, 100_000, 50), on(2, 100_400, 50), on(3, 100_200, 2_000)];
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let mut group = FirstOut::default();
            order.iter().for_each(|place: &usize| drop(group.came_on(all[*place])));
            assert_eq!(group.first(), [AlarmId(1), AlarmId(3)], "{order:?}");
        }
    }

    #[test]
    fn ties_are_ties_and_a_second_occurrence_is_not_first() {
        let mut group = FirstOut::default();
        group.came_on(on(1, 10, 0));
        assert_eq!(ids(&group.came_on(on(2, 10, 0)).unwrap()), [1, 2]);
        assert_eq!(group.came_on(on(1, 500, 0)), None);
        group.all_normal();
        assert!(group.first().is_empty());
        let next = group.came_on(on(1, 500, 0)).unwrap();
        assert_eq!((ids(&next), next.revised), (vec![1], false));
    }
}
