//! What a scenario wanted beside what the engine did.

use std::collections::BTreeSet;

use fengsui_telemetry::TimeMs;

use crate::engine::Engine;
use crate::model::{Action, AlarmId, Row};
use crate::vectors::script::{Expected, Scenario};

/// What the engine did, in the words of a scenario.
#[derive(Debug)]
pub(crate) struct Got {
    rows: Vec<Expected>,
    occurrences: Vec<(i64, Option<i64>, u64)>,
    not_confirmed: Vec<u64>,
    last: String,
}

impl Got {
    pub(crate) fn of(engine: &Engine, alarm: AlarmId, actions: &[Action]) -> Self {
        let mut rows = Vec::new();
        for action in actions {
            match action {
                Action::Record(row) => rows.push(expected(row)),
                Action::Annunciate { .. }
                | Action::Silence { .. }
                | Action::Chime { .. }
                | Action::Recall { .. } => {}
            }
        }
        let all = engine.occurrences(alarm);
        let occurrences =
            all.iter().map(|o| (seconds(o.on), o.off.map(seconds), o.number)).collect();
        let not_confirmed = all.iter().filter(|o| o.refuted).map(|o| o.number).collect();
        let last = engine.standing(alarm).letter.as_char().to_string();
        Self { rows, occurrences, not_confirmed, last }
    }
}

fn expected(row: &Row) -> Expected {
    Expected {
        ti: seconds(row.ti),
        te: row.te.map(seconds),
        fr: row.from.as_char(),
        to: row.to.as_char(),
        occ: row.occurrence,
        why: format!("{} {}", row.cause.word(), row.comment),
        fl: row.flags.words(),
    }
}

fn seconds(time: TimeMs) -> i64 {
    time.0.div_euclid(1000)
}

/// Every difference in what the scenario wants compared; empty when it came out as written.
pub(crate) fn differences(scenario: &Scenario, got: &Got) -> Vec<String> {
    let mut differences = Vec::new();
    let wants = |what: &str| scenario.compare.iter().any(|c| c == what);
    if wants("rows") {
        rows(&scenario.expect, &got.rows, &mut differences);
    }
    if wants("occurrences") {
        list("occurrences", &scenario.occurrences, &got.occurrences, &mut differences);
        list("not_confirmed", &scenario.not_confirmed, &got.not_confirmed, &mut differences);
    }
    if wants("bounds") {
        let wanted = bounds(&scenario.occurrences, &scenario.not_confirmed);
        let found = bounds(&got.occurrences, &got.not_confirmed);
        list("bounds", &wanted, &found, &mut differences);
    }
    if wants("final") {
        list("final", &scenario.last, &got.last, &mut differences);
    }
    differences
}

fn list<T: PartialEq + std::fmt::Debug>(what: &str, wanted: &T, got: &T, to: &mut Vec<String>) {
    if wanted != got {
        to.push(format!("{what}: wanted {wanted:?}, got {got:?}"));
    }
}

type Bounds = BTreeSet<(i64, Option<i64>)>;

fn bounds(occurrences: &[(i64, Option<i64>, u64)], refuted: &[u64]) -> Bounds {
    let confirmed = occurrences.iter().filter(|(_, _, number)| !refuted.contains(number));
    confirmed.map(|(on, off, _)| (*on, *off)).collect()
}

fn rows(wanted: &[Expected], got: &[Expected], to: &mut Vec<String>) {
    for place in 0..wanted.len().max(got.len()) {
        let (w, g) = (wanted.get(place), got.get(place));
        let same = match (w, g) {
            (Some(w), Some(g)) => same(w, g),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if !same {
            to.push(format!("row {}: wanted {}, got {}", place + 1, told(w), told(g)));
        }
    }
}

fn same(wanted: &Expected, got: &Expected) -> bool {
    let flags = |row: &Expected| -> BTreeSet<String> {
        row.fl.split_whitespace().map(str::to_owned).collect()
    };
    (wanted.ti, wanted.te, wanted.fr, wanted.to, wanted.occ)
        == (got.ti, got.te, got.fr, got.to, got.occ)
        && flags(wanted) == flags(got)
}

fn told(row: Option<&Expected>) -> String {
    match row {
        None => "no row".to_owned(),
        Some(Expected { ti, te, fr, to, occ, why, fl }) => {
            let te = te.map_or("-".to_owned(), |te| te.to_string());
            format!("ti={ti} te={te} {fr}->{to} occ={occ} [{fl}] ({})", why.trim())
        }
    }
}
