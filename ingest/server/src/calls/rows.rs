//! Rows of the journal as the ladder hears them.
//!
//! - By the words of the journal and not by the engine's types: the journal is older than any
//!   build that reads it, and a word that nobody knows calls nobody. The audit asks the desk, so
//!   that such a hole is found.

use std::collections::HashMap;
use std::sync::Arc;

use fengsui_alerting::calls::{Entry, Event, Novelty, Occurrence};
use fengsui_alerting::closure;
use fengsui_store::{JournalRow, RowKind};
use serde::Deserialize;
use tracing::warn;

use crate::registry::AlarmFacts;

/// The cause of the ledger's rows.
pub(super) const CALL: &str = "call";
/// The cause of the rows about hidden dangers.
pub(super) const CLOSURE: &str = "closure";
/// How the engine says that a higher level speaks for an alarm.
pub(crate) const SUBSUMED: &str = "从属于";

/// What is known of alarms, by key.
pub(super) type Facts = HashMap<String, Arc<AlarmFacts>>;

/// What one row says.
#[derive(Debug, PartialEq)]
pub(super) enum Told {
    /// To the ladders.
    Call(Vec<Event>),
    /// To the cases.
    Case(closure::Row),
}

/// Reads one row.
pub(super) fn told(row: &JournalRow, seq: u64, facts: &Facts) -> Told {
    let nothing = Told::Call(Vec::new());
    match (row.kind, row.cause.as_str(), row.command.as_deref()) {
        (RowKind::System, CALL, Some(text)) => match Entry::from_json(text) {
            Ok(entry) => Told::Call(vec![Event::Ledger(entry, seq)]),
            Err(fault) => {
                warn!(id = %row.id, %fault, "a row of the call ledger is unreadable");
                nothing
            }
        },
        (RowKind::System, CLOSURE, Some(text)) => match closure::Row::from_json(text) {
            Ok(row) => Told::Case(row),
            Err(fault) => {
                warn!(id = %row.id, %fault, "a row about a hidden danger is unreadable");
                nothing
            }
        },
        (RowKind::Alarm, _, _) => Told::Call(alarm(row, facts)),
        (RowKind::System | RowKind::Gateway, _, _) => nothing,
    }
}

fn alarm(row: &JournalRow, facts: &Facts) -> Vec<Event> {
    let (alarm, occurrence) = (row.alarm.clone(), row.occurrence);
    let waits = matches!(row.to, 'B' | 'D' | 'E');
    let hidden = matches!(row.to, 'G' | 'H' | 'I');
    let mut events = Vec::new();
    let mut open = |novelty| events.extend(opened(row, novelty, facts));
    match row.cause.as_str() {
        "on" if hidden => {}
        "on" if has(row, "late") && row.te_off.is_some() => open(Novelty::Late),
        "on" if waits && row.comment.starts_with(SUBSUMED) => open(Novelty::SpokenFor),
        // Whoever was answered before: that nobody judges it any more is news.
        "no_longer_judged" if row.to == 'B' && row.from != 'B' => open(Novelty::Live),
        "on" | "re_alarm" | "unshelved" | "unsuppressed" | "in_service" if waits => {
            open(Novelty::Live);
        }
        "revised" if row.to == 'B' && row.from != 'B' => open(Novelty::Live),
        "unshelved" | "unsuppressed" | "in_service" if matches!(row.to, 'C' | 'F') => {
            events.push(Event::Acknowledged { alarm: alarm.clone(), occurrence, through: true });
        }
        "off" => events.push(Event::Ended { alarm: alarm.clone(), occurrence }),
        "acknowledged" => {
            // In B a late occurrence was answered while a newer, older or open one still waits.
            let through = row.to != 'B';
            events.push(Event::Acknowledged { alarm: alarm.clone(), occurrence, through });
        }
        "stale_acknowledgement" => {
            if let Some(occurrence) = named(row) {
                let alarm = alarm.clone();
                events.push(Event::Acknowledged { alarm, occurrence, through: false });
            }
        }
        "refuted" => events.push(Event::Refuted { alarm: alarm.clone(), occurrence }),
        _ => {}
    }
    if hidden && row.from != row.to {
        events.push(Event::Quieted { alarm });
    } else if row.to == 'A' && row.from != 'A' {
        events.push(Event::Normal { alarm });
    }
    events
}

fn has(row: &JournalRow, flag: &str) -> bool {
    row.flags.split(' ').any(|word| word == flag)
}

fn opened(row: &JournalRow, novelty: Novelty, facts: &Facts) -> Option<Event> {
    let known = facts.get(&row.alarm)?;
    let occurrence = Occurrence {
        alarm: row.alarm.clone(),
        occurrence: row.occurrence,
        priority: known.priority,
        installation: known.installation.clone(),
        gateway: known.gateway.clone(),
        happened: row.te_on,
        ended: row.te_off,
        value: row.value,
        // Another revision may have another limit: none is better than a wrong one.
        limit: known.limit.filter(|_| known.revision.0 == row.revision),
    };
    Some(Event::Opened(occurrence, novelty))
}

/// The occurrence that an acknowledgement named.
fn named(row: &JournalRow) -> Option<u64> {
    #[derive(Deserialize)]
    struct Named {
        occurrence: u64,
    }
    serde_json::from_str::<Named>(row.command.as_deref()?).ok().map(|named| named.occurrence)
}

#[cfg(test)]
mod tests {
    use fengsui_telemetry::{Revision, TimeMs};

    use super::*;
    use crate::note::Note;

    const HH: &str = "GW-01/TK-101.LT/HH";

    fn facts() -> Facts {
        let facts = AlarmFacts { priority: 1, gateway: "GW-01".into(), ..AlarmFacts::default() };
        [(HH.to_owned(), Arc::new(facts))].into()
    }

    #[test]
    fn the_limit_is_the_one_that_judged() {
        let known = AlarmFacts {
            revision: Revision(7),
            limit: Some(80.0),
            ..AlarmFacts::clone(&facts()[HH])
        };
        let facts: Facts = [(HH.to_owned(), Arc::new(known))].into();
        let limit = |revision| {
            let row = JournalRow { revision, value: Some(95.0), ..row('A', 'B', "on", "") };
            let Told::Call(events) = told(&row, 1, &facts) else { panic!("no call") };
            let Some(Event::Opened(opened, _)) = events.into_iter().next() else { panic!() };
            (opened.value, opened.limit)
        };
        assert_eq!(limit(7), (Some(95.0), Some(80.0)));
        assert_eq!(limit(6), (Some(95.0), None), "judged by other limits than today's");
    }

    fn row(from: char, to: char, cause: &str, flags: &str) -> JournalRow {
        let note = Note { alarm: HH.into(), occurrence: 3, ..Note::default() };
        let cause = cause.to_owned();
        let flags = flags.to_owned();
        JournalRow { kind: RowKind::Alarm, from, to, cause, flags, ..note.row(TimeMs(1)) }
    }

    fn says(row: &JournalRow) -> Vec<String> {
        let Told::Call(events) = told(row, 1, &facts()) else { panic!("no call") };
        let word = |event: Event| match event {
            Event::Opened(_, novelty) => format!("opened {novelty:?}"),
            Event::Acknowledged { occurrence, through, .. } => {
                format!("ack {occurrence} {through}")
            }
            Event::Ended { .. } => "ended".to_owned(),
            Event::Refuted { .. } => "refuted".to_owned(),
            Event::Quieted { .. } => "quieted".to_owned(),
            Event::Normal { .. } => "normal".to_owned(),
            Event::Graded { .. } | Event::Ledger(..) | Event::Known(_) | Event::Wake => {
                "ledger".to_owned()
            }
        };
        events.into_iter().map(word).collect()
    }

    #[test]
    fn rows_are_heard_as_the_model_means_them() {
        assert_eq!(says(&row('A', 'B', "on", "")), ["opened Live"]);
        let mut late = row('A', 'D', "on", "late");
        late.te_off = Some(TimeMs(1));
        assert_eq!(says(&late), ["opened Late"]);
        late.from = 'C';
        late.to = 'C';
        assert_eq!(says(&late), ["opened Late"], "found in late data beside an answered one");
        assert_eq!(says(&row('A', 'B', "on", "late")), ["opened Live"], "late, and still true");
        let mut lower = row('A', 'B', "on", "");
        lower.comment = "从属于 / subsumed by GW-01/TK-101.LT/HH".into();
        assert_eq!(says(&lower), ["opened SpokenFor"]);
        assert_eq!(says(&row('B', 'B', "re_alarm", "")), ["opened Live"]);
        assert_eq!(says(&row('B', 'C', "acknowledged", "")), ["ack 3 true"]);
        assert_eq!(says(&row('B', 'B', "acknowledged", "")), ["ack 3 false"]);
        assert_eq!(says(&row('D', 'A', "acknowledged", "")), ["ack 3 true", "normal"]);
        assert_eq!(says(&row('B', 'D', "off", "")), ["ended"]);
        assert_eq!(says(&row('C', 'A', "off", "")), ["ended", "normal"]);
        assert_eq!(says(&row('B', 'G', "shelved", "")), ["quieted"]);
        assert_eq!(says(&row('G', 'B', "unshelved", "")), ["opened Live"]);
        assert_eq!(says(&row('G', 'G', "on", "")), Vec::<String>::new());
        assert_eq!(says(&row('A', 'C', "on", "")), Vec::<String>::new(), "no answer is wanted");
        let mut stale = row('B', 'B', "stale_acknowledgement", "");
        stale.command = Some(r#"{"verb":"acknowledge","occurrence":2,"by":"x"}"#.into());
        assert_eq!(says(&stale), ["ack 2 false"]);
        assert_eq!(says(&row('C', 'B', "no_longer_judged", "")), ["opened Live"]);
        assert_eq!(says(&row('B', 'B', "no_longer_judged", "")), Vec::<String>::new());
        let mut gateway = row('A', 'B', "on", "");
        gateway.kind = RowKind::Gateway;
        assert_eq!(says(&gateway), Vec::<String>::new(), "the centre's own engine says it too");
    }
}
