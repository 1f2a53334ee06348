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
            None => rows.push(alone(before, Change::Removed, Direction::Looser)),
            Some(after) => rows.extend(between(before, after)),
        }
    }
    rows.extend(
        new.iter()
            .filter(|(name, _)| !old.contains_key(*name))
            .map(|(_, row)| alone(row, Change::Added, added(row, &new))),
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

/// What a row does that was not there. What it replaces is a default where there is one (STALE,
/// OFFLINE): then nobody can say which of the two is stricter without the catalogue. One that asks
/// for no answer, that another alarm may silence, or that is a second level of lower priority than
/// its first, may take the place of what is heard.
fn added(row: &LimitRow, all: &BTreeMap<(&str, LimitKind), &LimitRow>) -> Direction {
    let limit = &row.limit;
    let first = match limit.kind {
        LimitKind::HighHigh => all.get(&(row.tag.as_str(), LimitKind::High)),
        LimitKind::LowLow => all.get(&(row.tag.as_str(), LimitKind::Low)),
        LimitKind::High
        | LimitKind::Low
        | LimitKind::Stale
        | LimitKind::Offline
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
        | LimitKind::Clock => None,
    };
    let below_first = first.is_some_and(|first| limit.priority > first.limit.priority);
    let quiet = !limit.detail.ack || limit.detail.suppressed_by.is_some();
    if has_default(limit.kind) || quiet || below_first {
        Direction::Other
    } else {
        Direction::Tighter
    }
}

/// A row without its like.
fn alone(row: &LimitRow, change: Change, direction: Direction) -> RowChange {
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
mod tests;
