//! One alarm as the desk shows it.

use fengsui_alerting::{AlarmId, Engine, Letter, Occurrence};
use fengsui_telemetry::TimeMs;
use serde::Serialize;

use crate::first_out::Place;
use crate::registry::AlarmFacts;
use crate::stamp::Stamp;

/// A row of the desk: one occurrence of one alarm that is not normal.
#[derive(Clone, Debug, PartialEq)]
pub struct AlarmRow {
    /// Which alarm.
    pub facts: AlarmFactsRef,
    /// Which occurrence.
    pub occurrence: u64,
    /// State word.
    pub state: &'static str,
    /// The condition holds.
    pub active: bool,
    /// The value that decided.
    pub value: Option<f64>,
    /// Beginning in source time.
    pub te_on: Option<TimeMs>,
    /// End in source time.
    pub te_off: Option<TimeMs>,
    /// When the centre knew of the latest change.
    pub known: TimeMs,
    /// Found in late data.
    pub late: bool,
    /// The journal has it.
    pub recorded: bool,
    /// Who acknowledged.
    pub acked_by: Option<String>,
    /// When.
    pub acked_at: Option<TimeMs>,
    /// What they wrote.
    pub comment: String,
    /// End of a shelf.
    pub shelf_until: Option<TimeMs>,
    /// Whether it came first in its installation; none where that says nothing.
    pub first_out: Option<Place>,
}

/// The facts, shared by all rows of an alarm.
#[derive(Clone, Debug)]
pub struct AlarmFactsRef(pub std::sync::Arc<AlarmFacts>);

impl PartialEq for AlarmFactsRef {
    fn eq(&self, other: &Self) -> bool {
        self.0.key == other.0.key
    }
}

/// The wire form of [`AlarmRow`].
#[derive(Serialize)]
pub struct AlarmJson<'a> {
    alarm: &'a str,
    occurrence: u64,
    gateway: &'a str,
    enterprise: &'a str,
    installation: &'a str,
    equipment: &'a str,
    tag: &'a str,
    point: Option<u32>,
    name: &'a str,
    kind: &'a str,
    priority: u8,
    state: &'a str,
    active: bool,
    limit: Option<f64>,
    unit: &'a str,
    value: Option<f64>,
    te_on: Option<String>,
    te_off: Option<String>,
    known: String,
    late: bool,
    recorded: bool,
    acked_by: Option<&'a str>,
    acked_at: Option<String>,
    comment: &'a str,
    shelf_until: Option<String>,
    first_out: Option<&'a str>,
}

impl AlarmRow {
    /// As JSON says it.
    #[must_use]
    pub fn json<'a>(&'a self, stamp: &Stamp) -> AlarmJson<'a> {
        let facts = self.facts.0.as_ref();
        AlarmJson {
            alarm: &facts.key,
            occurrence: self.occurrence,
            gateway: &facts.gateway,
            enterprise: &facts.enterprise,
            installation: &facts.installation,
            equipment: &facts.equipment,
            tag: &facts.tag,
            point: facts.point,
            name: &facts.name,
            kind: facts.kind,
            priority: facts.priority,
            state: self.state,
            active: self.active,
            limit: facts.limit,
            unit: &facts.unit,
            value: self.value,
            te_on: self.te_on.map(|t| stamp.rfc3339(t)),
            te_off: self.te_off.map(|t| stamp.rfc3339(t)),
            known: stamp.rfc3339(self.known),
            late: self.late,
            recorded: self.recorded,
            acked_by: self.acked_by.as_deref(),
            acked_at: self.acked_at.map(|t| stamp.rfc3339(t)),
            comment: &self.comment,
            shelf_until: self.shelf_until.map(|t| stamp.rfc3339(t)),
            first_out: self.first_out.map(Place::word),
        }
    }

    /// Unacknowledged, in any of the three states that ask for a person.
    #[must_use]
    pub fn wants_person(&self) -> bool {
        matches!(self.state, "unack" | "rtn_unack" | "latched_unack")
    }
}

/// The rows that one alarm has on the desk now: its newest occurrence, and older ones that still
/// want an acknowledgement. None: the alarm is normal.
#[must_use]
pub fn rows_of(
    engine: &Engine,
    alarm: AlarmId,
    facts: &std::sync::Arc<AlarmFacts>,
) -> Vec<AlarmRow> {
    let standing = engine.standing(alarm);
    if standing.letter == Letter::A && standing.unacknowledged.is_empty() {
        return Vec::new();
    }
    let newest = standing.occurrence.map_or(0, |o| o.number);
    let row = |occurrence: Option<Occurrence>, number, state, active| AlarmRow {
        facts: AlarmFactsRef(facts.clone()),
        occurrence: number,
        state,
        active,
        value: standing.value,
        te_on: occurrence.map(|o| o.on),
        te_off: occurrence.and_then(|o| o.off),
        known: standing.since,
        late: occurrence.is_some_and(|o| o.late),
        recorded: true,
        acked_by: standing.acknowledged_by.clone(),
        acked_at: None,
        comment: String::new(),
        shelf_until: standing.shelf_until,
        first_out: None,
    };
    let mut rows = Vec::new();
    if standing.letter != Letter::A {
        rows.push(row(standing.occurrence, newest, standing.letter.word(), standing.active));
    }
    // In order of number. Of what an alarm on the screen covers only late ones stand apart.
    let older = &standing.unacknowledged;
    if older.iter().any(|number| *number != newest) {
        let waits =
            |o: &Occurrence| o.late && o.number != newest && older.binary_search(&o.number).is_ok();
        for occurrence in engine.occurrences(alarm).into_iter().filter(waits) {
            rows.push(row(Some(occurrence), occurrence.number, Letter::D.word(), false));
        }
    }
    rows
}
