//! What a change of limits means: row by row, field by field, stricter or looser.
//!
//! - Two sets are compared by (tag, kind); the order of rows and the file's name are nothing.
//! - *Looser* is whatever can make an alarm come later, less loudly or not at all. What cannot be
//!   told (a deadband, a delay of the return, a default that a row replaces) is *other*, and is
//!   treated like looser.
//! - A statutory row may become stricter, never looser.

use std::collections::{BTreeMap, BTreeSet};

use crate::limits::fitted::Unread;
use crate::limits::{Detail, LimitKind, LimitRow, LimitSet, PointLimit};
use crate::model::Priority;

/// Whether a change makes alarms come sooner or later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// Later, less loudly, or not at all.
    Looser,
    /// Neither can be told.
    Other,
    /// Sooner or more loudly.
    Tighter,
}

impl Direction {
    /// As the API writes it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Looser => "looser",
            Self::Other => "other",
            Self::Tighter => "tighter",
        }
    }

    /// As operators read it.
    #[must_use]
    pub fn zh(self) -> &'static str {
        match self {
            Self::Looser => "放宽",
            Self::Other => "其他",
            Self::Tighter => "收紧",
        }
    }
}

/// What became of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Change {
    /// It was not there.
    Added,
    /// It is not there any longer.
    Removed,
    /// It says something else.
    Changed,
}

impl Change {
    /// As the API writes it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
        }
    }

    /// As operators read it.
    #[must_use]
    pub fn zh(self) -> &'static str {
        match self {
            Self::Added => "新增",
            Self::Removed => "删除",
            Self::Changed => "修改",
        }
    }
}

/// One field of a changed row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldChange {
    /// Key of the column.
    pub field: &'static str,
    /// As it was, as the file writes it.
    pub old: String,
    /// As it is to be.
    pub new: String,
    /// What that does.
    pub direction: Direction,
}

/// One row that differs.
#[derive(Clone, Debug, PartialEq)]
pub struct RowChange {
    /// Empty for OFFLINE.
    pub tag: String,
    /// What it limits.
    pub kind: LimitKind,
    /// What became of it.
    pub change: Change,
    /// All its fields together: the worst of them.
    pub direction: Direction,
    /// The more urgent of the two priorities.
    pub priority: Priority,
    /// The row was statutory.
    pub statutory: bool,
    /// What differs; a row that was added or removed gives all its fields, against nothing.
    pub fields: Vec<FieldChange>,
}

impl RowChange {
    /// `TK-101.LT HH`, as reasons and refusals name it.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{} {}", self.tag, self.kind.key()).trim().to_owned()
    }
}

/// Everything that differs between two sets, in the order of tags, HH first.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct LimitsDiff {
    /// The rows that differ.
    pub rows: Vec<RowChange>,
}

/// When a change needs somebody other than its author.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecondPerson {
    /// Any change of an alarm of these priorities.
    pub priorities: Vec<Priority>,
    /// Any change that is not certainly stricter.
    pub unless_tighter: bool,
}

impl Default for SecondPerson {
    fn default() -> Self {
        Self { priorities: vec![Priority::P1, Priority::P2], unless_tighter: true }
    }
}

impl LimitsDiff {
    /// True when the sets say the same.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The rows for which a second person is needed.
    pub fn needing_second<'a>(
        &'a self,
        rule: &'a SecondPerson,
    ) -> impl Iterator<Item = &'a RowChange> {
        self.rows.iter().filter(|row| {
            rule.priorities.contains(&row.priority)
                || (rule.unless_tighter && row.direction != Direction::Tighter)
        })
    }

    /// Statutory rows that would become looser, or would no longer be statutory.
    pub fn loosened_by_law(&self) -> impl Iterator<Item = &RowChange> {
        self.rows.iter().filter(|row| row.statutory && row.direction == Direction::Looser)
    }

    /// How many rows go in a direction.
    #[must_use]
    pub fn count(&self, direction: Direction) -> usize {
        self.rows.iter().filter(|row| row.direction == direction).count()
    }
}

/// What has to change in `old` to make it `new`. A row of `old` that cannot be read is one that
/// `new` replaces or removes.
#[must_use]
pub fn diff(old: &LimitSet, new: &LimitSet) -> LimitsDiff {
    let unread: Vec<&Unread> = old.unread.iter().filter(|row| !new.has_unread(row)).collect();
    let (old, new) = (by_name(old), by_name(new));
    let mut rows = Vec::new();
    for (name, before) in &old {
        match new.get(name) {
            None => rows.push(alone(before, Change::Removed)),
            Some(after) => rows.extend(between(before, after)),
        }
    }
    rows.extend(
        new.iter()
            .filter(|(name, _)| !old.contains_key(*name))
            .map(|(_, row)| alone(row, Change::Added)),
    );
    for row in unread {
        let Some(kind) = row.kind else { continue };
        let name = (row.tag.as_str(), kind);
        if old.contains_key(&name) {
            continue;
        }
        match rows.iter_mut().find(|found| (found.tag.as_str(), found.kind) == name) {
            Some(found) => repaired(found, row, new.get(&name).copied()),
            None => rows.push(given_up(row, kind)),
        }
    }
    // A silent instrument would hide what law limits: its dead-men belong to it.
    let lawful: BTreeSet<&str> =
        old.values().filter(|row| row.limit.statutory).map(|row| row.tag.as_str()).collect();
    for row in &mut rows {
        row.statutory |= row.kind == LimitKind::Stale && lawful.contains(row.tag.as_str());
        row.statutory |= row.kind == LimitKind::Offline && !lawful.is_empty();
    }
    rows.sort_by(|a, b| (&a.tag, a.kind).cmp(&(&b.tag, b.kind)));
    LimitsDiff { rows }
}

fn by_name(set: &LimitSet) -> BTreeMap<(&str, LimitKind), &LimitRow> {
    set.rows.iter().map(|row| ((row.tag.as_str(), row.limit.kind), row)).collect()
}

/// A row without its like. What it replaces or what replaces it is a default where there is one
/// (STALE, OFFLINE): then nobody can say which of the two is stricter without the catalogue.
fn alone(row: &LimitRow, change: Change) -> RowChange {
    let direction = match change {
        Change::Removed => Direction::Looser,
        Change::Added if has_default(row.limit.kind) => Direction::Other,
        Change::Added | Change::Changed => Direction::Tighter,
    };
    let fields = said(&row.limit)
        .into_iter()
        .filter(|(_, text)| !text.is_empty())
        .map(|(field, text)| {
            let (old, new) = match change {
                Change::Removed => (text, String::new()),
                Change::Added | Change::Changed => (String::new(), text),
            };
            FieldChange { field, old, new, direction }
        })
        .collect();
    RowChange {
        tag: row.tag.clone(),
        kind: row.limit.kind,
        change,
        direction,
        priority: row.limit.priority,
        statutory: row.limit.statutory && change == Change::Removed,
        fields,
    }
}

/// A row that nobody could read, and that the file no longer has.
fn given_up(row: &Unread, kind: LimitKind) -> RowChange {
    RowChange {
        tag: row.tag.clone(),
        kind,
        change: Change::Removed,
        direction: Direction::Looser,
        priority: row.priority.unwrap_or(kind.default_priority()),
        statutory: row.statutory,
        fields: Vec::new(),
    }
}

/// What nobody could read may have been stricter; and what was set by law stays so.
fn repaired(found: &mut RowChange, row: &Unread, is: Option<&LimitRow>) {
    let unlawful = row.statutory && !is.is_some_and(|is| is.limit.statutory);
    found.direction = if unlawful { Direction::Looser } else { Direction::Other };
    found.statutory |= row.statutory;
    found.priority = found.priority.min(row.priority.unwrap_or(found.priority));
}

fn has_default(kind: LimitKind) -> bool {
    match kind {
        LimitKind::Stale | LimitKind::Offline => true,
        LimitKind::HighHigh
        | LimitKind::High
        | LimitKind::Low
        | LimitKind::LowLow
        | LimitKind::RateUp
        | LimitKind::RateDown
        | LimitKind::Deviation
        | LimitKind::Discrete
        | LimitKind::Frozen
        | LimitKind::BadQuality
        | LimitKind::Range
        | LimitKind::Vote
        | LimitKind::TimeToLimit
        | LimitKind::Composite
        | LimitKind::Clock => false,
    }
}

fn between(old: &LimitRow, new: &LimitRow) -> Option<RowChange> {
    let (was, is) = (&old.limit, &new.limit);
    let fields: Vec<FieldChange> = said(was)
        .into_iter()
        .zip(said(is))
        .filter(|((_, old), (_, new))| old != new)
        .map(|((field, old), (_, new))| FieldChange {
            field,
            old,
            new,
            direction: direction(field, was, is),
        })
        .collect();
    let worst = fields.iter().map(|field| field.direction).min()?;
    Some(RowChange {
        tag: old.tag.clone(),
        kind: was.kind,
        change: Change::Changed,
        direction: worst,
        priority: was.priority.min(is.priority),
        statutory: was.statutory,
        fields,
    })
}

/// The fields of a row, as a file writes them.
fn said(limit: &PointLimit) -> [(&'static str, String); 10] {
    let seconds = |ms: i64| {
        if ms == 0 { String::new() } else { (ms as f64 / 1000.0).to_string() }
    };
    let yes = |yes: bool| if yes { "true".to_owned() } else { String::new() };
    [
        ("limit", number(limit)),
        ("deadband", if limit.deadband > 0.0 { limit.deadband.to_string() } else { String::new() }),
        ("on_delay_s", seconds(limit.on_delay_ms)),
        ("off_delay_s", seconds(limit.off_delay_ms)),
        ("priority", format!("P{}", limit.priority.number())),
        ("latch", yes(limit.latch)),
        ("source", limit.source.clone()),
        ("confidence", limit.confidence.clone()),
        ("statutory", yes(limit.statutory)),
        ("detail", limit.detail.text()),
    ]
}

fn number(limit: &PointLimit) -> String {
    if limit.detail.unset {
        return "UNSET".to_owned();
    }
    if limit.limit.is_nan() { String::new() } else { limit.limit.to_string() }
}

/// Another alarm that may silence this one makes it looser, and so does needing no acknowledgement.
fn detail(was: &Detail, is: &Detail) -> Direction {
    let tighter = |tighter: bool| if tighter { Direction::Tighter } else { Direction::Looser };
    let rest = |of: &Detail| Detail { ack: true, suppressed_by: None, ..of.clone() };
    let by = (was.suppressed_by != is.suppressed_by).then(|| tighter(is.suppressed_by.is_none()));
    let ack = (was.ack != is.ack).then(|| tighter(is.ack));
    let other = (rest(was) != rest(is)).then_some(Direction::Other);
    [by, ack, other].into_iter().flatten().min().unwrap_or(Direction::Other)
}

/// What the change of one field does.
fn direction(field: &str, was: &PointLimit, is: &PointLimit) -> Direction {
    let tighter = |tighter: bool| if tighter { Direction::Tighter } else { Direction::Looser };
    match field {
        // A limit that nobody knows is no limit.
        "limit" if was.detail.unset || is.detail.unset => tighter(was.detail.unset),
        "limit" => match was.kind {
            LimitKind::Low | LimitKind::LowLow => tighter(is.limit > was.limit),
            LimitKind::HighHigh
            | LimitKind::High
            | LimitKind::Stale
            | LimitKind::RateUp
            | LimitKind::RateDown
            | LimitKind::Deviation
            | LimitKind::BadQuality
            | LimitKind::Range
            | LimitKind::Offline
            | LimitKind::Clock => tighter(is.limit < was.limit),
            LimitKind::Vote => tighter((is.limit < was.limit) != was.detail.low),
            // More movement counts as none.
            LimitKind::Frozen => tighter(is.limit > was.limit),
            LimitKind::TimeToLimit | LimitKind::Discrete | LimitKind::Composite => Direction::Other,
        },
        "on_delay_s" => tighter(is.on_delay_ms < was.on_delay_ms),
        "priority" => tighter(is.priority < was.priority),
        "latch" => tighter(is.latch),
        "statutory" => tighter(is.statutory),
        "detail" => detail(&was.detail, &is.detail),
        _ => Direction::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "TK-1,HH,90,1,0,0,P1,,设计,高,true\nTK-1,H,85,1,5,0,P3,,,,\n\
        TK-1,L,10,1,0,0,P2,,,,\nTK-2,H,40,,,,P4,true,,,\n,OFFLINE,20,,,,P2,,,,\n";

    fn set(rows: &str) -> LimitSet {
        let heading = "tag,kind,limit,deadband,on_delay_s,off_delay_s,priority,latch,source,\
            confidence,statutory";
        LimitSet::parse("l.csv", &format!("{heading}\n{rows}")).unwrap()
    }

    /// The base with one text replaced, as `TK-1 HH changed looser: limit 90>92 looser`.
    fn told(from: &str, to: &str) -> Vec<String> {
        assert!(BASE.contains(from), "{from}");
        let found = diff(&set(BASE), &set(&BASE.replace(from, to)));
        found.rows.iter().map(tell).collect()
    }

    fn tell(row: &RowChange) -> String {
        let fields: Vec<String> = row
            .fields
            .iter()
            .map(|f| format!("{} {}>{} {}", f.field, f.old, f.new, f.direction.word()))
            .collect();
        let head = format!("{} {} {}", row.name(), row.change.word(), row.direction.word());
        format!("{head}: {}", fields.join(", "))
    }

    #[test]
    fn the_same_limits_in_another_order_are_no_change() {
        let mut rows: Vec<&str> = BASE.lines().collect();
        rows.reverse();
        assert!(diff(&set(BASE), &set(&rows.join("\n"))).is_empty());
    }

    #[test]
    fn each_field_says_which_way_it_goes() {
        for (from, to, want) in [
            ("HH,90", "HH,92", "TK-1 HH changed looser: limit 90>92 looser"),
            ("HH,90", "HH,88", "TK-1 HH changed tighter: limit 90>88 tighter"),
            ("L,10", "L,8", "TK-1 L changed looser: limit 10>8 looser"),
            ("L,10", "L,12", "TK-1 L changed tighter: limit 10>12 tighter"),
            ("OFFLINE,20", "OFFLINE,60", "OFFLINE changed looser: limit 20>60 looser"),
            ("H,85,1,5", "H,85,1,9", "TK-1 H changed looser: on_delay_s 5>9 looser"),
            ("H,85,1,5", "H,85,1,0", "TK-1 H changed tighter: on_delay_s 5> tighter"),
            ("H,85,1,5,0", "H,85,1,5,3", "TK-1 H changed other: off_delay_s >3 other"),
            ("H,85,1", "H,85,2", "TK-1 H changed other: deadband 1>2 other"),
            ("P2,,,,\nTK-2", "P3,,,,\nTK-2", "TK-1 L changed looser: priority P2>P3 looser"),
            ("P4,true", "P4,", "TK-2 H changed looser: latch true> looser"),
            ("高,true", "高,", "TK-1 HH changed looser: statutory true> looser"),
            ("设计", "国标", "TK-1 HH changed other: source 设计>国标 other"),
        ] {
            assert_eq!(told(from, to), [want], "{from} -> {to}");
        }
    }

    #[test]
    fn the_worst_field_decides_for_its_row() {
        let rows = told("TK-1,HH,90,1", "TK-1,HH,88,2");
        assert_eq!(rows, ["TK-1 HH changed other: limit 90>88 tighter, deadband 1>2 other"]);
        let rows = told("TK-1,H,85,1,5", "TK-1,H,84,1,9");
        assert_eq!(rows, ["TK-1 H changed looser: limit 85>84 tighter, on_delay_s 5>9 looser"]);
    }

    #[test]
    fn rows_come_and_go() {
        assert_eq!(
            told("TK-2,H,40,,,,P4,true,,,\n", "TK-2,L,4,,,,P4,,,,\nTK-2,STALE,600,,,,P3,,,,\n"),
            [
                "TK-2 H removed looser: limit 40> looser, priority P4> looser, latch true> looser",
                "TK-2 L added tighter: limit >4 tighter, priority >P4 tighter",
                // It replaces the default, which may have been shorter.
                "TK-2 STALE added other: limit >600 other, priority >P3 other",
            ]
        );
    }

    #[test]
    fn who_may_do_it_alone_depends_on_priority_and_direction() {
        let rule = SecondPerson::default();
        let needing = |from: &str, to: &str| -> Vec<String> {
            let found = diff(&set(BASE), &set(&BASE.replace(from, to)));
            found.needing_second(&rule).map(RowChange::name).collect()
        };
        assert_eq!(needing("HH,90", "HH,88"), ["TK-1 HH"], "P1, even stricter");
        assert_eq!(needing("H,85", "H,84"), [""; 0], "P3, stricter");
        assert_eq!(needing("H,85", "H,86"), ["TK-1 H"], "P3, looser");
        assert_eq!(needing("TK-2,H,40,", "TK-2,H,40,2"), ["TK-2 H"], "P4, who knows");
        assert_eq!(needing("H,85,1,5,0,P3", "H,85,1,5,0,P2"), ["TK-1 H"], "P3 becomes P2");
        let nobody = SecondPerson { priorities: Vec::new(), unless_tighter: false };
        let found = diff(&set(BASE), &set(""));
        assert_eq!(found.rows.len(), 5);
        assert_eq!(found.needing_second(&nobody).count(), 0);
    }

    #[test]
    fn what_the_law_sets_may_only_become_stricter() {
        let loosened = |from: &str, to: &str| -> Vec<String> {
            let found = diff(&set(BASE), &set(&BASE.replace(from, to)));
            found.loosened_by_law().map(RowChange::name).collect()
        };
        assert_eq!(loosened("HH,90", "HH,91"), ["TK-1 HH"]);
        assert_eq!(loosened("HH,90,1,0,0,P1", "HH,90,1,3,0,P1"), ["TK-1 HH"], "later");
        assert_eq!(loosened("高,true", "高,"), ["TK-1 HH"], "no longer statutory");
        assert_eq!(loosened("TK-1,HH,90,1,0,0,P1,,设计,高,true\n", ""), ["TK-1 HH"], "gone");
        assert_eq!(loosened("HH,90", "HH,89"), [""; 0]);
        assert_eq!(loosened("H,85", "H,89"), [""; 0], "not statutory");
    }

    #[test]
    fn a_mark_in_the_detail_is_the_same_mark() {
        let set = |limit: &str, detail: &str| {
            let text = format!("tag,kind,limit,detail\nTK-1,HH,{limit},{detail}\n");
            LimitSet::parse("l.csv", &text).unwrap()
        };
        let marked = set("90", "statutory=true");
        assert_eq!(diff(&marked, &set("95", "statutory=true")).loosened_by_law().count(), 1);
        assert_eq!(diff(&marked, &set("90", "")).loosened_by_law().count(), 1, "unmarked");
        assert_eq!(diff(&marked, &LimitSet::default()).loosened_by_law().count(), 1, "gone");
        let quiet = set("90", "statutory=true;suppressed_by=TK-2/L");
        assert_eq!(diff(&marked, &quiet).loosened_by_law().count(), 1, "another may silence it");
        assert_eq!(diff(&quiet, &marked).loosened_by_law().count(), 0);
        let unheard = set("90", "statutory=true;ack=false");
        assert_eq!(diff(&marked, &unheard).loosened_by_law().count(), 1, "nobody need answer");
    }

    #[test]
    fn the_dead_men_of_a_statutory_alarm_belong_to_it() {
        let set = |stale: &str, offline: &str| {
            let text = format!(
                "tag,kind,limit,detail\nTK-1,HH,90,statutory=true\nTK-1,STALE,{stale},\n\
                 TK-2,H,5,\nTK-2,STALE,{stale},\n,OFFLINE,{offline},\n"
            );
            LimitSet::parse("l.csv", &text).unwrap()
        };
        let names = |to: &LimitSet| -> Vec<String> {
            diff(&set("10", "15"), to).loosened_by_law().map(RowChange::name).collect()
        };
        assert_eq!(names(&set("600", "15")), ["TK-1 STALE"]);
        assert_eq!(names(&set("10", "600")), ["OFFLINE"]);
        assert_eq!(names(&set("5", "10")), [""; 0]);
    }

    #[test]
    fn a_row_that_nobody_can_read_is_not_given_up_unseen() {
        let broken = BASE.replace("HH,90", "HH,x").replace("H,40", "H,y");
        let heading = "tag,kind,limit,deadband,on_delay_s,off_delay_s,priority,latch,source,\
            confidence,statutory";
        let old = LimitSet::readable("l.csv", &format!("{heading}\n{broken}"));
        let tell_of = |rows: &str| -> Vec<(String, bool)> {
            let found = diff(&old, &set(rows));
            let law: Vec<_> = found.loosened_by_law().map(RowChange::name).collect();
            let told = |row: &RowChange| {
                let head = format!("{} {} {}", row.name(), row.change.word(), row.direction.word());
                (head, law.contains(&row.name()))
            };
            found.rows.iter().map(told).collect()
        };
        let told = |text: &str, law| (text.to_owned(), law);
        assert_eq!(
            tell_of(BASE),
            [told("TK-1 HH added other", false), told("TK-2 H added other", false)]
        );
        assert_eq!(
            tell_of(&BASE.replace("高,true", "高,")),
            [told("TK-1 HH added looser", true), told("TK-2 H added other", false)]
        );
        let without: Vec<&str> = BASE.lines().filter(|line| !line.contains("0,1,0,0,P1")).collect();
        assert_eq!(
            tell_of(&without.join("\n")),
            [told("TK-1 HH removed looser", true), told("TK-2 H added other", false)]
        );
        assert!(diff(&old, &old).is_empty());
    }
}
