//! Installations, and the colours of tailings ponds (GB 39496-2020 5.5.4).
//!
//! - Colours are worked out by the steps of the delivered rule pack and by nothing else. What the
//!   pack does not have is said in its words, and a pond without its second step has no colour.
//! - A point's colour comes from the priority of what stands on it, by the default mapping of the
//!   alarm model, which is our proposal and is named as such.
//! - A point that nobody can see has no colour; an item with such a point is never normal.

use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use fengsui_alerting::colour::{Aggregation, Colour, Pond};
use fengsui_alerting::packs::{DELIVERED, NOT_OBTAINED, Pack};
use serde_json::{Value, json};

use super::{App, Problem};
use crate::desk::look;
use crate::registry::{Gateway, Registry};
use crate::view::AlarmRow;

/// Which kind of installation has colours.
const POND: &str = "tailings_pond";
const PACK: &str = "tailings.toml";

pub(super) async fn installations(State(app): State<App>) -> Response {
    let Some(look) = look(&app.desk).await else {
        return Problem::unavailable("desk").into_response();
    };
    let registry = app.registry.borrow().clone();
    let pack = DELIVERED.iter().find(|(name, _)| *name == PACK);
    let pack = pack.and_then(|(name, text)| Pack::parse(name, text).ok());
    let mut all = Vec::new();
    for (index, gateway) in registry.gateways.iter().enumerate() {
        let Some(numbered) = gateway.numbered() else { continue };
        for installation in &numbered.catalogue.installations {
            let points = registry
                .points
                .values()
                .filter(|known| known.gateway == index && known.installation == installation.name)
                .count();
            let colours = (installation.kind == POND)
                .then(|| pond(&registry, (index, gateway), &installation.name, &look.rows, &pack));
            all.push(json!({
                "name": installation.name, "kind": installation.kind,
                "hazard_class": installation.hazard_class, "gateway": gateway.id.to_string(),
                "enterprise": gateway.enterprise(), "points": points, "colours": colours,
            }));
        }
    }
    Json(all).into_response()
}

/// What stands on one point.
#[derive(Debug, Default, PartialEq)]
struct Standing {
    worst: Option<Colour>,
    blind: bool,
}

/// By point's number.
fn standing(rows: &[AlarmRow]) -> BTreeMap<u32, Standing> {
    let mut found: BTreeMap<u32, Standing> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.active) {
        let Some(point) = row.facts.0.point else { continue };
        let standing = found.entry(point).or_default();
        match row.facts.0.kind {
            "stale" | "badq" | "range" | "frozen" | "unset" => standing.blind = true,
            _ => standing.worst = standing.worst.max(of_priority(row.facts.0.priority)),
        }
    }
    found
}

/// Red, orange, yellow, blue for P1 to P4: the default of the alarm model [I].
fn of_priority(priority: u8) -> Option<Colour> {
    match priority {
        1 => Some(Colour::Red),
        2 => Some(Colour::Orange),
        3 => Some(Colour::Yellow),
        4 => Some(Colour::Blue),
        _ => None,
    }
}

/// One monitored item: what is known of its points.
#[derive(Debug, Default)]
struct Item {
    colours: Vec<Colour>,
    points: Vec<(String, Option<Colour>, bool)>,
}

fn pond(
    registry: &Registry,
    (index, gateway): (usize, &Gateway),
    name: &str,
    rows: &[AlarmRow],
    pack: &Option<Pack>,
) -> Value {
    let steps = pack.as_ref().map(Pack::aggregation).unwrap_or_default();
    let standing = standing(rows);
    let offline = rows.iter().any(|row| {
        let facts = &row.facts.0;
        row.active && facts.kind == "gateway_offline" && facts.gateway == gateway.id.as_str()
    });
    let mut items: BTreeMap<&str, Item> = BTreeMap::new();
    let of_pond = registry.points.values().filter(|p| p.gateway == index && p.installation == name);
    for known in of_pond {
        let item = items.entry(known.point.signal.as_str()).or_default();
        let stands = standing.get(&known.id);
        let colour = stands.and_then(|stands| stands.worst);
        let blind = offline || stands.is_some_and(|stands| stands.blind) || known.limits.is_empty();
        item.colours.extend(colour);
        item.points.push((known.point.tag.to_string(), colour, blind));
    }
    aggregated(&steps, &items, pack)
}

fn aggregated(steps: &Aggregation, items: &BTreeMap<&str, Item>, pack: &Option<Pack>) -> Value {
    let mut blind = BTreeSet::new();
    let coloured: Vec<Colour> =
        items.values().filter_map(|item| steps.item(&item.colours)).collect();
    let shown: Vec<Value> = items
        .iter()
        .map(|(signal, item)| {
            let unseen = item.points.iter().filter(|(_, _, blind)| *blind);
            blind.extend(unseen.map(|(tag, _, _)| tag.as_str()));
            let colour = steps.item(&item.colours);
            let any_blind = item.points.iter().any(|(_, _, blind)| *blind);
            let points = item.points.iter().map(|(tag, colour, blind)| {
                json!({ "tag": tag, "colour": colour.map(Colour::word), "blind": blind })
            });
            json!({
                "signal": signal,
                "colour": colour.map(Colour::word), "colour_zh": colour.map(Colour::zh),
                "state": match (colour, any_blind) {
                    (Some(_), _) => "coloured",
                    (None, true) => "unknown",
                    (None, false) => "normal",
                },
                "points": points.collect::<Vec<_>>(),
            })
        })
        .collect();
    let pond = match (steps.pond(&coloured), blind.is_empty()) {
        (Pond::NotConfigured, _) => json!({ "state": "not_configured", "why": NOT_OBTAINED }),
        (Pond::Coloured(colour), _) => {
            json!({ "state": "coloured", "colour": colour.word(), "colour_zh": colour.zh() })
        }
        (Pond::Normal, true) => json!({ "state": "normal" }),
        (Pond::Normal, false) => {
            json!({ "state": "unknown", "why": "有点位看不见 / blind points" })
        }
    };
    let sources = pack.iter().flat_map(|pack| &pack.steps).map(|step| {
        json!({
            "scope": if step.pond { "pond" } else { "item" }, "count": step.step.count,
            "of": step.step.of.word(), "makes": step.step.makes.word(),
            "source": step.source, "confidence": step.confidence.to_string(),
        })
    });
    json!({
        "pond": pond,
        "items": shown,
        "blind": blind,
        "basis": pack.as_ref().map(|pack| pack.basis.as_str()),
        "steps": sources.collect::<Vec<_>>(),
        "point_colours": {
            "P1": "red", "P2": "orange", "P3": "yellow", "P4": "blue",
            "source": "报警优先级的默认对应 / default mapping of alarm priorities", "confidence": "I",
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(colours: &[Colour], blind: bool) -> Item {
        let point = |colour: &Colour| ("MP".to_owned(), Some(*colour), false);
        let mut points: Vec<_> = colours.iter().map(point).collect();
        points.extend(blind.then(|| ("MP-9".to_owned(), None, true)));
        Item { colours: colours.to_vec(), points }
    }

    #[test]
    fn items_have_colours_with_sources_and_the_pond_says_that_its_basis_is_missing() {
        let pack = Pack::parse("tailings.toml", DELIVERED[6].1).ok();
        let steps = pack.as_ref().unwrap().aggregation();
        let items = BTreeMap::from([
            ("displacement", item(&[Colour::Yellow; 3], false)),
            ("piezometer", item(&[], true)),
            ("rainfall", item(&[], false)),
        ]);
        let told = aggregated(&steps, &items, &pack);
        let state = |place: usize| told["items"][place]["state"].as_str().unwrap();
        assert_eq!(told["items"][0]["colour"], "orange", "three yellow points");
        assert_eq!([state(0), state(1), state(2)], ["coloured", "unknown", "normal"]);
        assert_eq!(told["pond"]["state"], "not_configured");
        assert_eq!(told["pond"]["why"], NOT_OBTAINED);
        let sourced = |step: &Value| step["source"].as_str().is_some_and(|text| !text.is_empty());
        assert!(told["steps"].as_array().unwrap().iter().all(sourced));
    }

    #[test]
    fn a_configured_pond_with_blind_points_is_not_normal() {
        let step =
            fengsui_alerting::colour::Step { count: 4, of: Colour::Blue, makes: Colour::Yellow };
        let steps = Aggregation { item: Vec::new(), pond: vec![step] };
        let state = |blind| {
            let items = BTreeMap::from([("piezometer", item(&[], blind))]);
            aggregated(&steps, &items, &None)["pond"]["state"].clone()
        };
        assert_eq!((state(true), state(false)), (json!("unknown"), json!("normal")));
    }
}
