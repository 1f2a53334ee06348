//! Alarms that the engine takes, whatever the limits are, and everything that is not judged as the
//! file means it.
//!
//! - Limits are checked before they are agreed to. What still does not fit (a new catalogue, an
//!   older version's file) costs its own row and no other.
//! - In place of what nobody can judge stands an alarm that says so, like that of an UNSET limit.

use std::collections::{BTreeMap, BTreeSet};

use fengsui_telemetry::{Catalogue, Point, Revision, Tag};

use crate::limits::derive::{Around, condition};
use crate::limits::fault::{LimitFault, LimitTrouble};
use crate::limits::plan::{Common, spec, times_of};
use crate::limits::{LimitKind, LimitRow, LimitSet, PointLimit};
use crate::model::{AlarmSpec, GatewayRef, Plan, PointRef, Priority, Subject, TimeRules};
use crate::plan::PlanFault;

/// A limit that is in force and is not judged, or not as it is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// The point; empty for the gateway.
    pub tag: String,
    /// What it limits; none where that cannot be read.
    pub kind: Option<LimitKind>,
    /// Line in the file.
    pub row: Option<u64>,
    /// False: nobody judges it. True: judged, but not as it is meant.
    pub judged: bool,
    /// What is wrong, and the mend.
    pub zh: String,
    /// The same in English.
    pub en: String,
}

impl Misfit {
    /// `TAG/KIND`, as files name an alarm; `/LIMITS` where neither can be told.
    #[must_use]
    pub fn name(&self) -> String {
        let unknown = if self.tag.is_empty() { "LIMITS" } else { "" };
        format!("{}/{}", self.tag, self.kind.map_or(unknown, LimitKind::key))
    }

    /// True where it is about every point of the gateway: none of its limits is in force.
    #[must_use]
    pub fn is_of_all(&self) -> bool {
        self.tag.is_empty() && self.kind.is_none() && self.row.is_none()
    }
}

/// What is wrong, and the mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Words {
    pub(crate) zh: String,
    pub(crate) en: String,
}

/// What an engine can take of a file of limits.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fitted {
    /// Never refused by the engine.
    pub alarms: Vec<AlarmSpec>,
    /// What is missing among them, or not as it is meant; by tag and kind, each once. A row of which
    /// not even the kind can be read is named by itself.
    pub misfits: Vec<Misfit>,
}

/// A row that cannot be read, of a file that is in force all the same.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Unread {
    pub(crate) tag: String,
    pub(crate) kind: Option<LimitKind>,
    pub(crate) priority: Option<Priority>,
    pub(crate) statutory: bool,
    pub(crate) fault: LimitFault,
}

impl LimitSet {
    /// The rows of a file that can be read. The others are named by [`LimitSet::fitted`]: for a
    /// file that was agreed to under another version of this program.
    #[must_use]
    pub fn readable(file_name: &str, text: &str) -> Self {
        let (mut set, faults, lost) = Self::read(file_name, text);
        set.unread = faults
            .into_iter()
            .map(|fault| {
                let whole = lost.iter().find(|row| row.line == fault.row);
                let kept = set.rows.iter().find(|row| row.line == fault.row);
                let (tag, kind, priority, statutory) = match (whole, kept) {
                    (Some(row), _) => (row.tag.clone(), row.kind, row.priority, row.statutory),
                    (None, Some(LimitRow { tag, limit, .. })) => {
                        (tag.clone(), Some(limit.kind), Some(limit.priority), false)
                    }
                    // The heading, or a line that nobody can cut into cells.
                    (None, None) => (String::new(), None, None, false),
                };
                Unread { tag, kind, priority, statutory, fault }
            })
            .collect();
        set
    }

    /// The alarms of [`LimitSet::plan`] as far as an engine takes them, each limit that is not
    /// judged in its own name, and an alarm that stands in its place.
    #[must_use]
    pub fn fitted(
        &self,
        gateway_name: &str,
        gateway: GatewayRef,
        catalogue: &Catalogue,
        point_ref_of: &dyn Fn(u32) -> PointRef,
        revision: Revision,
    ) -> Fitted {
        let alarms = self.plan(gateway_name, gateway, catalogue, point_ref_of, revision);
        let (mut plan, left) = Plan { revision, alarms }.sound();
        let misfits = self.misfits(gateway_name, catalogue, &plan, &left);
        if misfits.is_empty() {
            return Fitted { alarms: plan.alarms, misfits };
        }
        let mut points: BTreeMap<&str, (u32, &Point)> = BTreeMap::new();
        for (index, point) in (0_u32..).zip(&catalogue.points) {
            points.entry(point.tag.as_str()).or_insert((index, point));
        }
        let common = Common { gateway, revision };
        let mut stand_ins = Vec::new();
        if misfits.iter().any(|misfit| misfit.kind.is_none()) {
            // Nobody knows which alarm is missing: it may be the most urgent one, and a person has
            // to know.
            let key = format!("{gateway_name}//LIMITS");
            let (subject, times) = (Subject::Gateway(gateway), TimeRules::default());
            let mut all = common.stand_in(&key, subject, Priority::P1, times);
            all.lifecycle.ack_required = true;
            stand_ins.push(all);
        }
        for misfit in misfits.iter().filter(|misfit| !misfit.judged) {
            let (Some(kind), Some((index, point))) = (misfit.kind, points.get(misfit.tag.as_str()))
            else {
                continue;
            };
            let row = self.row_of(&misfit.tag, kind).map(|row| &row.limit);
            let priority = row.map(|row| row.priority).or_else(|| self.unread_priority(misfit));
            let (key, subject) =
                (format!("{gateway_name}/{}", misfit.name()), Subject::Point(point_ref_of(*index)));
            let priority = priority.unwrap_or(kind.default_priority());
            stand_ins.push(common.stand_in(&key, subject, priority, times_of(point)));
        }
        plan.alarms.extend(stand_ins);
        // A number too large for its alarm is too large for what stands in its place.
        Fitted { alarms: plan.sound().0.alarms, misfits }
    }

    fn unread_priority(&self, misfit: &Misfit) -> Option<Priority> {
        let same = |row: &&Unread| row.tag == misfit.tag && row.kind == misfit.kind;
        self.unread.iter().find(same).and_then(|row| row.priority)
    }

    fn row_of(&self, tag: &str, kind: LimitKind) -> Option<&LimitRow> {
        self.rows.iter().find(|row| row.tag == tag && row.limit.kind == kind)
    }

    fn misfits(
        &self,
        gateway_name: &str,
        catalogue: &Catalogue,
        plan: &Plan,
        left: &[PlanFault],
    ) -> Vec<Misfit> {
        // Before the first birth nothing is known of the points.
        let known = !catalogue.points.is_empty();
        let against = if known { self.check_against(catalogue) } else { Vec::new() };
        let wanting = self.wanting(gateway_name, catalogue, plan);
        let faultless = left.is_empty() && against.is_empty() && wanting.is_empty();
        if faultless && self.unread.is_empty() && self.in_place_of.is_none() {
            return Vec::new();
        }
        let keys: BTreeSet<&str> = plan.alarms.iter().map(|spec| spec.key.as_str()).collect();
        let mut found = Found { gateway: gateway_name, keys, misfits: BTreeMap::new() };
        if let Some(Words { zh, en }) = self.in_place_of.as_deref() {
            found.add("", None, None, (zh.clone(), en.clone()), true);
            // Others judge in their place.
            found.misfits.values_mut().for_each(|misfit| misfit.judged = true);
        }
        for row in &self.unread {
            found.said(&row.tag, row.kind, &row.fault);
        }
        let by_line: BTreeMap<u64, &LimitRow> = self.rows.iter().map(|r| (r.line, r)).collect();
        for fault in &against {
            let Some(row) = by_line.get(&fault.row) else { continue };
            found.said(&row.tag, Some(row.limit.kind), fault);
        }
        for fault in left {
            let name = fault.alarm().and_then(|key| key.strip_prefix(gateway_name)?.get(1..));
            let Some((tag, kind)) = name.and_then(|name| name.rsplit_once('/')) else { continue };
            let kind = LimitKind::from_key(kind);
            let row = kind.and_then(|kind| self.row_of(tag, kind)).map(|row| row.line);
            found.add(tag, kind, row, (fault.zh(), fault.to_string()), false);
        }
        for row in wanting {
            let zh = "所依赖的测点或报警不能判断；请改正 detail".to_owned();
            let en = "looks at a point or an alarm that cannot be judged; mend its detail";
            let words = (zh, en.to_owned());
            found.add(&row.tag, Some(row.limit.kind), Some(row.line), words, false);
        }
        found.misfits.into_values().collect()
    }

    /// Rows of known points without an alarm in the plan.
    fn wanting(&self, gateway_name: &str, catalogue: &Catalogue, plan: &Plan) -> Vec<&LimitRow> {
        let looks = |row: &&LimitRow| {
            let detail = &row.limit.detail;
            !detail.unset && (!detail.tags().is_empty() || !detail.alarms().is_empty())
        };
        let mut looking: Vec<&LimitRow> = self.rows.iter().filter(looks).collect();
        if looking.is_empty() {
            return looking;
        }
        let tags: BTreeSet<&str> = catalogue.points.iter().map(|p| p.tag.as_str()).collect();
        let keys: BTreeSet<&str> = plan.alarms.iter().map(|spec| spec.key.as_str()).collect();
        looking.retain(|row| {
            let key = format!("{gateway_name}/{}/{}", row.tag, row.limit.kind.key());
            tags.contains(row.tag.as_str()) && !keys.contains(key.as_str())
        });
        looking
    }
}

/// Misfits by tag and kind; by row as well where the kind cannot be read, so that each is named.
struct Found<'a> {
    gateway: &'a str,
    keys: BTreeSet<&'a str>,
    misfits: BTreeMap<(String, Option<LimitKind>, Option<u64>), Misfit>,
}

impl Found<'_> {
    fn said(&mut self, tag: &str, kind: Option<LimitKind>, fault: &LimitFault) {
        let text = fault.trouble.to_string();
        let (zh, en) = text.split_once("  |  ").unwrap_or((&text, &text));
        let LimitFault { column, value, .. } = fault;
        let words = (format!("[{column}] {value:?} {zh}"), format!("[{column}] {value:?} {en}"));
        self.add(tag, kind, Some(fault.row), words, is_hopeless(&fault.trouble));
    }

    fn add(
        &mut self,
        tag: &str,
        kind: Option<LimitKind>,
        row: Option<u64>,
        (zh, en): (String, String),
        hopeless: bool,
    ) {
        let place = (tag.to_owned(), kind, row.filter(|_| kind.is_none()));
        let key = format!("{}/{tag}/{}", self.gateway, kind.map_or("", LimitKind::key));
        let judged = !hopeless && self.keys.contains(key.as_str());
        let misfit = Misfit { tag: tag.to_owned(), kind, row, judged, zh, en };
        self.misfits.entry(place).and_modify(|known| known.judged &= judged).or_insert(misfit);
    }
}

/// True where the alarm is there and can never come.
fn is_hopeless(trouble: &LimitTrouble) -> bool {
    matches!(trouble, LimitTrouble::BeyondRange { .. } | LimitTrouble::WindowTooLong(_))
}

/// Points of these names about which nothing else is known: limits can be tried on them before a
/// gateway has said what it measures.
pub(crate) fn placeholder<'a>(tags: impl IntoIterator<Item = &'a str>) -> Catalogue {
    let point = |tag: &str| {
        Some(Point {
            tag: Tag::parse(tag).ok()?,
            name: String::new(),
            unit: String::new(),
            low: 0.0,
            high: 100.0,
            installation: 0,
            equipment: String::new(),
            period_ms: 1_000,
            silence_ms: 0,
            signal: String::new(),
        })
    };
    let points = tags.into_iter().filter_map(point).collect();
    Catalogue { enterprise: String::new(), installations: Vec::new(), points }
}

/// What the engine would say of a row whatever its point is.
pub(crate) fn alone(tag: &str, limit: &PointLimit) -> Option<PlanFault> {
    if limit.kind.is_level() || limit.kind.is_about_the_system() {
        // A number and times, which are checked cell by cell.
        return None;
    }
    let named = limit.detail.tags();
    let mut tags: BTreeSet<&str> = named.into_iter().collect();
    tags.insert(tag);
    let catalogue = placeholder(tags);
    let points = (0_u32..)
        .zip(&catalogue.points)
        .map(|(number, point)| (point.tag.as_str(), (PointRef(number), 1_000)))
        .collect();
    let around = Around { gateway: "", points: &points };
    let point = catalogue.points.iter().find(|point| point.tag.as_str() == tag)?;
    let condition = condition(limit, point, &around)?;
    let common = Common { gateway: GatewayRef(0), revision: Revision::default() };
    let subject = Subject::Point(PointRef(0));
    let mut spec =
        spec(tag.to_owned(), subject, condition, limit, times_of(point), &common, &around);
    spec.suppressed_by = None;
    let mut told = Vec::new();
    crate::plan::check_alone(&spec, &mut told);
    told.into_iter().next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Engine;
    use crate::model::Condition;

    const HEAD: &str = "tag,kind,limit,priority,detail\n";

    fn fitted(rows: &str, points: &Catalogue) -> Fitted {
        let limits = LimitSet::readable("limits", &format!("{HEAD}{rows}"));
        let fitted = limits.fitted("GW", GatewayRef(0), points, &PointRef, Revision::default());
        let plan = Plan { revision: Revision::default(), alarms: fitted.alarms.clone() };
        assert!(Engine::new(plan).is_ok(), "{fitted:#?}");
        fitted
    }

    fn keys(fitted: &Fitted) -> Vec<&str> {
        fitted.alarms.iter().map(|spec| spec.key.as_str()).collect()
    }

    #[test]
    fn what_fits_is_the_plan_and_nothing_else() {
        let rows = "A,HH,90,P1,\nA,RANGE,105,P3,\n";
        let points = placeholder(["A"]);
        let found = fitted(rows, &points);
        assert_eq!(found.misfits, []);
        let limits = LimitSet::parse("limits", &format!("{HEAD}{rows}")).unwrap();
        let plan = limits.plan("GW", GatewayRef(0), &points, &PointRef, Revision::default());
        assert_eq!(found.alarms, plan);
    }

    #[test]
    fn a_row_that_cannot_be_read_costs_itself_and_is_shown() {
        let rows = "A,HH,90,P1,\nA,RANGE,5,P2,\nB,HH,x,P1,\n,OFFLINE,x,,\n";
        let found = fitted(rows, &placeholder(["A", "B"]));
        assert_eq!(
            keys(&found),
            [
                "GW/A/HH",
                "GW/A/STALE",
                "GW/B/STALE",
                "GW//OFFLINE",
                "GW/A/RANGE-UNSET",
                "GW/B/HH-UNSET"
            ]
        );
        let told: Vec<_> =
            found.misfits.iter().map(|m| (m.name(), m.row.unwrap(), m.judged)).collect();
        let told: Vec<_> =
            told.iter().map(|(name, row, judged)| (name.as_str(), *row, *judged)).collect();
        // OFFLINE is judged by its default, which is not what the file means.
        assert_eq!(told, [("/OFFLINE", 5, true), ("A/RANGE", 3, false), ("B/HH", 4, false)]);
        assert!(found.misfits[1].zh.contains("105"), "{:?}", found.misfits[1]);
        let stand_in = &found.alarms[4];
        assert_eq!((&stand_in.condition, stand_in.priority), (&Condition::Unset, Priority::P2));
    }

    #[test]
    fn a_row_that_only_the_points_make_impossible_costs_itself() {
        let mut points = placeholder(["A", "B"]);
        points.points[0].high = 1e6;
        let found = fitted("A,HH,90,P1,\nA,RANGE,1e306,P3,\nB,HH,90,P1,\n", &points);
        assert_eq!(found.misfits.len(), 1, "{:#?}", found.misfits);
        assert_eq!((found.misfits[0].name().as_str(), found.misfits[0].judged), ("A/RANGE", false));
        assert!(keys(&found).contains(&"GW/A/RANGE-UNSET") && keys(&found).contains(&"GW/B/HH"));
    }

    #[test]
    fn a_limit_beyond_a_new_range_is_not_judged_as_it_is_meant() {
        let mut points = placeholder(["A"]);
        points.points[0].high = 80.0;
        let found = fitted("A,HH,90,P1,\nA,H,70,P2,\n", &points);
        assert_eq!(found.misfits.len(), 1);
        assert_eq!((found.misfits[0].name().as_str(), found.misfits[0].judged), ("A/HH", false));
        // Still judged, in case the value comes after all; and shown, since it hardly will.
        for key in ["GW/A/HH", "GW/A/HH-UNSET", "GW/A/H"] {
            assert!(keys(&found).contains(&key), "{key}");
        }
    }

    #[test]
    fn what_looks_at_nothing_is_named_also_at_second_hand() {
        let rows = "A,COMPOSITE,,P2,\"expr=on(\"\"B/COMPOSITE\"\")\"\n\
                    B,COMPOSITE,,P2,\"expr=on(\"\"B/HH\"\")\"\n\
                    A,DEVIATION,5,P2,of=C\nA,HH,90,P1,suppressed_by=A/COMPOSITE\n";
        let found = fitted(rows, &placeholder(["A", "B"]));
        let told: Vec<_> = found.misfits.iter().map(|m| (m.name(), m.judged)).collect();
        let told: Vec<_> = told.iter().map(|(name, judged)| (name.as_str(), *judged)).collect();
        assert_eq!(told, [("A/DEVIATION", false), ("A/COMPOSITE", false), ("B/COMPOSITE", false)]);
        // Nobody suppresses it: it is judged.
        assert!(keys(&found).contains(&"GW/A/HH"));
    }

    #[test]
    fn a_stray_quote_costs_its_own_row_and_each_lost_row_is_named() {
        let rows =
            "A,HH,90,P1,\nA,H,80,P2,\"note\nB,HH,70,P1,\nxx\"x,\"\nB,L,5,P2,\n\"\nB,LL,1,,\n";
        let found = fitted(rows, &placeholder(["A", "B"]));
        for key in ["GW/A/HH", "GW/B/HH", "GW/B/L", "GW/B/LL", "GW/A/H-UNSET", "GW//LIMITS-UNSET"] {
            assert!(keys(&found).contains(&key), "{key} is not among {:?}", keys(&found));
        }
        let told: Vec<_> = found.misfits.iter().map(|m| (m.name(), m.row.unwrap())).collect();
        let told: Vec<_> = told.iter().map(|(name, row)| (name.as_str(), *row)).collect();
        assert_eq!(told, [("/LIMITS", 7), ("A/H", 3), ("xxx/", 5)]);
        let asks = |key: &str| {
            found.alarms.iter().any(|spec| spec.key == key && spec.lifecycle.ack_required)
        };
        assert!(asks("GW//LIMITS-UNSET"), "a person has to know");
        assert!(!asks("GW/A/H-UNSET"), "it is shown");
        assert!(found.misfits[1].zh.contains("引号"), "{:?}", found.misfits[1]);
    }

    #[test]
    fn limits_in_place_of_unreadable_ones_judge_and_say_so() {
        let unreadable = LimitSet::readable("#7", &format!("{HEAD}A,HH,x,P1,statutory=true\n"));
        assert!(unreadable.is_empty());
        let file = LimitSet::parse("l.csv", &format!("{HEAD}A,H,80,P2,\n")).unwrap();
        let limits = file.in_place_of(unreadable, "第 7 版无法读取".into(), "number 7".into());
        let points = placeholder(["A"]);
        let found = limits.fitted("GW", GatewayRef(0), &points, &PointRef, Revision::default());
        let mut all = keys(&found);
        all.sort_unstable();
        let want = ["GW//LIMITS-UNSET", "GW//OFFLINE", "GW/A/H", "GW/A/HH-UNSET", "GW/A/STALE"];
        assert_eq!(all, want);
        assert!(found.misfits[0].is_of_all() && found.misfits[0].judged, "{:#?}", found.misfits);
        assert_eq!((found.misfits[0].zh.as_str(), found.misfits.len()), ("第 7 版无法读取", 2));
    }
}
