//! First-out on the desk: which alarm of an installation came first since it was all normal.
//!
//! - By event time, as far as the clocks tell: a value may have crossed its limit any time since
//!   the scan before, and clocks of two gateways differ. What cannot be told apart is a tie.
//! - Only what the plant does counts; a silent instrument is first to nothing.
//! - What stood when the centre started may have had others before it that are gone: nobody can
//!   tell, and the desk says so.

use std::collections::{BTreeMap, BTreeSet};

use fengsui_alerting::AlarmId;
use fengsui_alerting::first_out::{CameOn, FirstOut};
use fengsui_telemetry::TimeMs;

use crate::intake::GatewayState;
use crate::registry::{AlarmFacts, Registry};
use crate::view::AlarmRow;

/// Groups followed at once; of more none is judged.
const GROUPS_MAX: usize = 4_096;
/// Candidates told apart by name; with more all of them are a tie, and nothing is computed again
/// for each of a flood.
const TIES_MAX: usize = 64;
/// Where nobody knows how two clocks differ: later than everything that stands on a desk.
const CLOCK_UNKNOWN_MS: i64 = 366 * 86_400_000;

/// How an alarm stands in its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It alone came first.
    First,
    /// It may have been first, and so may others.
    Tie,
    /// Another came before it.
    Later,
    /// Nobody can tell.
    Unknown,
}

impl Place {
    /// One word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Tie => "tie",
            Self::Later => "later",
            Self::Unknown => "unknown",
        }
    }
}

/// Enterprise and installation.
type Name = (String, String);

/// When an alarm came on, how long before that it may have been, and by whose clock.
#[derive(Clone, Debug)]
struct Member {
    te: TimeMs,
    period_ms: i64,
    gateway: String,
}

#[derive(Debug, Default)]
struct Group {
    watch: FirstOut,
    /// Those that may be first; an [`AlarmId`] of the watch is a place in here.
    candidates: Vec<String>,
    /// The end of the first of all intervals: who begins later was not first.
    first_end: Option<TimeMs>,
    crowded: bool,
    standing: BTreeSet<String>,
    gateways: BTreeSet<String>,
    members: BTreeMap<String, Member>,
    restored: bool,
}

/// All groups that are not normal.
#[derive(Debug, Default)]
pub struct FirstOuts {
    groups: BTreeMap<Name, Group>,
}

/// The group of an alarm; none for what is not about the plant.
fn group_of(facts: &AlarmFacts) -> Option<Name> {
    let about_seeing = matches!(
        facts.kind,
        "stale" | "badq" | "range" | "frozen" | "unset" | "clock" | "gateway_offline"
    );
    let has = !facts.installation.is_empty() && !about_seeing;
    has.then(|| (facts.enterprise.clone(), facts.installation.clone()))
}

impl FirstOuts {
    /// What stood when the centre started.
    #[must_use]
    pub fn restored(rows: &[AlarmRow]) -> Self {
        let mut all = Self::default();
        for row in rows {
            let Some(name) = group_of(&row.facts.0) else { continue };
            let group = all.groups.entry(name).or_default();
            group.restored = true;
            group.standing.insert(row.facts.0.key.clone());
        }
        all
    }

    /// The rows of an alarm are these now. Answers with the alarms whose place may have changed.
    pub fn change(
        &mut self,
        facts: &AlarmFacts,
        rows: &[AlarmRow],
        registry: &Registry,
        gateways: &[GatewayState],
    ) -> Vec<String> {
        let Some(name) = group_of(facts) else { return Vec::new() };
        if rows.is_empty() {
            let Some(group) = self.groups.get_mut(&name) else { return Vec::new() };
            group.standing.remove(&facts.key);
            if group.standing.is_empty() {
                self.groups.remove(&name);
            }
            return Vec::new();
        }
        if self.groups.len() >= GROUPS_MAX && !self.groups.contains_key(&name) {
            return Vec::new();
        }
        let group = self.groups.entry(name).or_default();
        group.standing.insert(facts.key.clone());
        let Some(te) = rows.iter().filter_map(|row| row.te_on).min() else { return Vec::new() };
        if group.members.get(&facts.key).is_some_and(|known| known.te <= te) {
            return Vec::new();
        }
        let known = facts.point.and_then(|id| registry.points.get(&id));
        let period_ms = known.map_or(0, |known| i64::from(known.point.period_ms));
        let member = Member { te, period_ms, gateway: facts.gateway.clone() };
        group.members.insert(facts.key.clone(), member);
        let clocks = group.gateways.len();
        group.gateways.insert(facts.gateway.clone());
        if clocks == 1 && group.gateways.len() == 2 {
            // A second clock: what was sure of the first is not any more.
            return group.judge_anew(gateways);
        }
        group.judge(&facts.key, gateways)
    }

    /// Puts the places of these alarms onto their rows; the rows that look different now.
    pub fn place_anew(
        &self,
        keys: &[String],
        rows: &mut BTreeMap<(String, u64), AlarmRow>,
    ) -> Vec<AlarmRow> {
        let mut changed = Vec::new();
        for key in keys {
            for (_, row) in rows.range_mut((key.clone(), 0)..=(key.clone(), u64::MAX)) {
                let now = self.place(&row.facts.0);
                if std::mem::replace(&mut row.first_out, now) != now {
                    changed.push(row.clone());
                }
            }
        }
        changed
    }

    /// How an alarm stands in its group.
    #[must_use]
    pub fn place(&self, facts: &AlarmFacts) -> Option<Place> {
        let group = self.groups.get(&group_of(facts)?)?;
        if group.restored {
            return Some(Place::Unknown);
        }
        let member = group.members.get(&facts.key)?;
        if group.crowded {
            // Beyond the limit clocks are not asked again: what could be first is a tie.
            let may = group.first_end.is_some_and(|end| member.te - member.period_ms <= end);
            return Some(if may { Place::Tie } else { Place::Later });
        }
        let first = group.watch.first();
        let named = |id: &AlarmId| group.candidate(*id) == Some(facts.key.as_str());
        Some(match (first.iter().any(named), first.len()) {
            (true, 1) => Place::First,
            (true, _) => Place::Tie,
            (false, _) => Place::Later,
        })
    }
}

impl Group {
    fn candidate(&self, id: AlarmId) -> Option<&str> {
        let place = usize::try_from(id.0).ok()?;
        self.candidates.get(place).map(String::as_str)
    }

    fn judge_anew(&mut self, gateways: &[GatewayState]) -> Vec<String> {
        self.watch.all_normal();
        self.candidates.clear();
        self.first_end = None;
        self.crowded = false;
        let keys: Vec<String> = self.members.keys().cloned().collect();
        for key in &keys {
            self.judge(key, gateways);
        }
        keys
    }

    /// Judges one member; the alarms whose place may have changed.
    fn judge(&mut self, key: &str, gateways: &[GatewayState]) -> Vec<String> {
        let Some(Member { te, period_ms, gateway }) = self.members.get(key) else {
            return Vec::new();
        };
        let clock_ms = if self.gateways.len() <= 1 {
            0
        } else {
            let known = gateways.iter().find(|state| state.gateway == *gateway);
            let skew = known.and_then(|state| state.clock_skew_ms);
            skew.map_or(CLOCK_UNKNOWN_MS, i64::abs)
        };
        let uncertainty_ms = period_ms.saturating_add(clock_ms);
        let (earliest, latest) = (*te - uncertainty_ms, *te + uncertainty_ms);
        if self.first_end.is_some_and(|end| earliest > end) {
            return Vec::new();
        }
        self.first_end = Some(self.first_end.map_or(latest, |end| end.min(latest)));
        let place = match self.candidates.iter().position(|known| known == key) {
            Some(place) => place,
            None if self.candidates.len() >= TIES_MAX => {
                let newly = !std::mem::replace(&mut self.crowded, true);
                return if newly { self.candidates.clone() } else { Vec::new() };
            }
            None => {
                self.candidates.push(key.to_owned());
                self.candidates.len() - 1
            }
        };
        let before = self.watch.first().to_vec();
        let id = AlarmId(u32::try_from(place).unwrap_or(u32::MAX));
        self.watch.came_on(CameOn { alarm: id, te: *te, uncertainty_ms });
        let both = before.iter().chain(self.watch.first());
        both.filter_map(|id| self.candidate(*id).map(str::to_owned)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::view::AlarmFactsRef;

    fn facts(gateway: &str, tag: &str, kind: &'static str) -> AlarmFacts {
        AlarmFacts {
            key: format!("{gateway}/{tag}/{kind}"),
            kind,
            gateway: gateway.into(),
            enterprise: "甲厂".into(),
            installation: "1#罐区".into(),
            ..AlarmFacts::default()
        }
    }

    fn row(facts: &AlarmFacts, te_on: i64) -> AlarmRow {
        AlarmRow {
            facts: AlarmFactsRef(Arc::new(facts.clone())),
            occurrence: 1,
            state: "unack",
            active: true,
            value: None,
            te_on: Some(TimeMs(te_on)),
            te_off: None,
            known: TimeMs(te_on),
            late: false,
            recorded: true,
            acked_by: None,
            acked_at: None,
            comment: String::new(),
            shelf_until: None,
            first_out: None,
        }
    }

    fn on(
        firsts: &mut FirstOuts,
        facts: &AlarmFacts,
        te: i64,
        gateways: &[GatewayState],
    ) -> Vec<String> {
        firsts.change(facts, &[row(facts, te)], &Registry::default(), gateways)
    }

    #[test]
    fn the_first_by_event_time_is_first_and_late_data_revise_it() {
        let mut firsts = FirstOuts::default();
        let [a, b, c] = ["A", "B", "C"].map(|tag| facts("GW-01", tag, "h"));
        on(&mut firsts, &a, 1_000, &[]);
        on(&mut firsts, &b, 2_000, &[]);
        assert_eq!(firsts.place(&a), Some(Place::First));
        assert_eq!(firsts.place(&b), Some(Place::Later));
        on(&mut firsts, &c, 500, &[]);
        assert_eq!((firsts.place(&a), firsts.place(&c)), (Some(Place::Later), Some(Place::First)));
        // It has gone from the desk, and was first all the same.
        firsts.change(&c, &[], &Registry::default(), &[]);
        assert_eq!(firsts.place(&a), Some(Place::Later));
        firsts.change(&a, &[], &Registry::default(), &[]);
        firsts.change(&b, &[], &Registry::default(), &[]);
        on(&mut firsts, &b, 9_000, &[]);
        assert_eq!(firsts.place(&b), Some(Place::First), "the group was all normal in between");
    }

    #[test]
    fn where_clocks_differ_or_nobody_knows_it_is_a_tie() {
        let mut firsts = FirstOuts::default();
        let (a, b) = (facts("GW-01", "A", "h"), facts("GW-02", "B", "h"));
        let skewed = |gateway: &str, skew| GatewayState {
            gateway: gateway.into(),
            clock_skew_ms: skew,
            ..GatewayState::default()
        };
        let close = [skewed("GW-01", Some(10)), skewed("GW-02", Some(-20))];
        on(&mut firsts, &a, 1_000, &close);
        on(&mut firsts, &b, 1_500, &close);
        assert_eq!(firsts.place(&a), Some(Place::First));
        let mut firsts = FirstOuts::default();
        let unknown = [skewed("GW-01", None), skewed("GW-02", Some(0))];
        on(&mut firsts, &a, 1_000, &unknown);
        assert_eq!(firsts.place(&a), Some(Place::First), "one clock alone");
        on(&mut firsts, &b, 99_000, &unknown);
        assert_eq!((firsts.place(&a), firsts.place(&b)), (Some(Place::Tie), Some(Place::Tie)));
    }

    #[test]
    fn silence_is_first_to_nothing_and_what_stood_at_the_start_is_unknown() {
        let stale = facts("GW-01", "A", "stale");
        let mut firsts = FirstOuts::default();
        on(&mut firsts, &stale, 1, &[]);
        assert_eq!(firsts.place(&stale), None);
        let (old, new) = (facts("GW-01", "A", "h"), facts("GW-01", "B", "h"));
        let mut firsts = FirstOuts::restored(&[row(&old, 1_000)]);
        on(&mut firsts, &new, 2_000, &[]);
        assert_eq!(firsts.place(&new), Some(Place::Unknown));
    }

    #[test]
    fn a_flood_of_ties_stays_a_tie_and_names_few_rows_again() {
        let mut firsts = FirstOuts::default();
        let all: Vec<AlarmFacts> =
            (0..5_000).map(|n| facts("GW-01", &format!("T{n}"), "h")).collect();
        let told: usize = all.iter().map(|f| on(&mut firsts, f, 1_000, &[]).len()).sum();
        assert!(all.iter().all(|f| firsts.place(f) == Some(Place::Tie)));
        assert!(told < 10_000, "{told} rows sent again");
        let later = facts("GW-01", "later", "h");
        assert!(on(&mut firsts, &later, 1_001, &[]).is_empty());
        assert_eq!(firsts.place(&later), Some(Place::Later));
    }
}
