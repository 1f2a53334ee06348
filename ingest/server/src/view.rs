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
    /// False: its limit was taken away while it stood; a person closes it.
    judged: bool,
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
            judged: !facts.unjudged,
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
    let row = |occurrence: Option<Occurrence>, number, state, active: Option<bool>| {
        let own = number == newest && active.is_some();
        // Of several occurrences each has its own edge.
        let (known, value) = match engine.edge_of(alarm, number) {
            Some((known, value)) if !own => (known, value),
            Some(_) | None => (standing.since, standing.value),
        };
        AlarmRow {
            facts: AlarmFactsRef(facts.clone()),
            occurrence: number,
            state,
            active: active.unwrap_or(false),
            value,
            te_on: occurrence.map(|o| o.on),
            te_off: occurrence.and_then(|o| o.off),
            known,
            late: occurrence.is_some_and(|o| o.late),
            recorded: true,
            // Who answered the newest has not answered one that waits beside it.
            acked_by: standing.acknowledged_by.clone().filter(|_| own),
            acked_at: None,
            comment: String::new(),
            shelf_until: standing.shelf_until.filter(|_| own),
            first_out: None,
        }
    };
    let mut rows = Vec::new();
    if standing.letter != Letter::A {
        rows.push(row(standing.occurrence, newest, standing.letter.word(), Some(standing.active)));
    }
    // In order of number. Of what an alarm on the screen covers only late ones stand apart.
    let older = &standing.unacknowledged;
    if older.iter().any(|number| *number != newest) {
        let waits =
            |o: &Occurrence| o.late && o.number != newest && older.binary_search(&o.number).is_ok();
        for occurrence in engine.occurrences(alarm).into_iter().filter(waits) {
            rows.push(row(Some(occurrence), occurrence.number, Letter::D.word(), None));
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use fengsui_alerting::limits::LimitSet;
    use fengsui_alerting::{Condition, Event, GatewayRef};
    use fengsui_telemetry::{Catalogue, GatewayId, Lane, Point, Reading, Revision, Tag};

    use super::*;
    use crate::config::{AlarmSettings, KnownGateway};
    use crate::registry::{Numbered, Registry, facts};

    const LIMITS: &str = "tag,kind,limit,deadband,on_delay_s,off_delay_s,priority,latch,source,confidence\nP,HH,90,0,0,0,P1,false,test,\n";

    #[test]
    fn each_occurrence_of_one_alarm_has_its_own_value_and_time() {
        let limits = LimitSet::parse("limits.csv", LIMITS).unwrap();
        let mut registry = Registry::new(&[KnownGateway {
            id: GatewayId::parse("GW-01").unwrap(),
            limits,
            limits_revision: Revision(1),
            limits_text: LIMITS.to_owned(),
        }]);
        let point = Point {
            tag: Tag::parse("P").unwrap(),
            name: String::new(),
            unit: "%".to_owned(),
            low: 0.0,
            high: 100.0,
            installation: 0,
            equipment: String::new(),
            period_ms: 1_000,
            silence_ms: 0,
            signal: "level".to_owned(),
        };
        let catalogue =
            Catalogue { enterprise: String::new(), installations: Vec::new(), points: vec![point] };
        registry.learn(0, Revision(1), Numbered { catalogue, ids: vec![1] }, true);
        let plan = registry.plan(AlarmSettings::default());
        let high =
            |alarm: &fengsui_alerting::AlarmSpec| matches!(alarm.condition, Condition::High { .. });
        let place = plan.alarms.iter().position(high).unwrap();
        let (alarm, facts) = (AlarmId(u32::try_from(place).unwrap()), facts(&registry, &plan));
        let mut engine = Engine::new(plan).unwrap();
        let mut tell = |te: i64, value: f64, lane, now: i64| {
            let point = fengsui_alerting::PointRef(1);
            let reading = Reading::Good(value);
            let event = Event::Sample { point, te: TimeMs(te), reading, lane };
            engine.handle(event, TimeMs(now), &mut Vec::new());
        };
        tell(1_000, 50.0, Lane::Live, 1_000);
        tell(60_000, 95.0, Lane::Live, 60_000);
        // Beside the one that stands, a back-fill shows one that was over before it.
        tell(20_000, 99.0, Lane::Backlog, 70_000);
        tell(30_000, 40.0, Lane::Backlog, 70_000);
        engine.handle(Event::Settle { gateway: GatewayRef(0) }, TimeMs(70_000), &mut Vec::new());
        let facts = std::sync::Arc::new(facts[place].clone());
        let mut shown: Vec<_> = rows_of(&engine, alarm, &facts)
            .into_iter()
            .map(|row| (row.te_on.unwrap().0, row.value, row.known.0))
            .collect();
        shown.sort_by_key(|row| row.0);
        assert_eq!(shown, [(20_000, Some(99.0), 70_000), (60_000, Some(95.0), 60_000)]);
    }
}
