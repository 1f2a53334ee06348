//! Reading: desk, points, trend, journal, health.

use std::sync::Arc;

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use fengsui_store::{GapRow, StoreError, StoredRow};
use fengsui_telemetry::TimeMs;
use serde::Deserialize;
use serde_json::{Value, json};

use super::problem::wants_english;
use super::{App, Problem};
use crate::accounts::Identity;
use crate::clock;
use crate::counters::add;
use crate::desk::{json_rows, look};
use crate::registry::{Known, Registry};
use crate::stamp::Stamp;

/// Columns of a plot.
const BUCKETS_MAX: usize = 4_000;
/// Up to this many samples a trend gives each one.
const RAW_MAX: usize = 4_000;
/// Rows of one page of the journal.
const PAGE_MAX: usize = 1_000;

pub(super) async fn desk(State(app): State<App>, Extension(who): Extension<Identity>) -> Response {
    let Some(look) = look(&app.desk).await else {
        return Problem::unavailable("desk").into_response();
    };
    let mut unack = [0_u32; 4];
    for row in look.rows.iter().filter(|row| row.wants_person()) {
        let place = usize::from(row.facts.0.priority.clamp(1, 4) - 1);
        if let Some(count) = unack.get_mut(place) {
            *count += 1;
        }
    }
    let [p1, p2, p3, p4] = unack;
    let gateways: Vec<_> = look.gateways.iter().map(|g| g.json(&app.stamp)).collect();
    Json(json!({
        "server_time": app.stamp.rfc3339(clock::now()),
        "seq": look.seq,
        "zone": app.stamp.zone(),
        "demo": app.demo.is_some(),
        "alarms": json_rows(&look.rows, &app.stamp),
        "counts": { "unack": { "p1": p1, "p2": p2, "p3": p3, "p4": p4 } },
        "gateways": gateways,
        "proof": look.proof,
        "misfits": super::misfits::json(&app.registry.borrow()),
        "packages": look.packages,
        "flood": look.flood.map(|since| json!({ "since": app.stamp.rfc3339(since) })),
        "user": {
            "name": who.display, "login": who.name, "role": who.role, "position": who.position,
        },
    }))
    .into_response()
}

fn point_json(app: &App, registry: &Registry, known: &Known) -> Value {
    let latest = app.store.latest(known.id);
    let limits: Vec<Value> = known
        .limits
        .iter()
        .map(|limit| {
            json!({
                "kind": limit.kind.word(), "limit": limit.limit, "deadband": limit.deadband,
                "on_delay_ms": limit.on_delay_ms, "off_delay_ms": limit.off_delay_ms,
                "priority": limit.priority.number(), "latch": limit.latch,
                "source": limit.source, "confidence": limit.confidence,
            })
        })
        .collect();
    let gateway = registry.gateways.get(known.gateway);
    json!({
        "point": known.id,
        "gateway": gateway.map(|g| g.id.to_string()),
        "enterprise": gateway.map(crate::registry::Gateway::enterprise),
        "tag": known.point.tag.as_str(),
        "name": known.point.name,
        "unit": known.point.unit,
        "low": known.point.low,
        "high": known.point.high,
        "installation": known.installation,
        "equipment": known.point.equipment,
        "signal": known.point.signal,
        "period_ms": known.point.period_ms,
        "silence_ms": known.point.silence_ms,
        "value": latest.and_then(|s| s.reading.value()),
        "quality": latest.map_or("missing", |s| s.reading.word()),
        "te": latest.map(|s| app.stamp.rfc3339(s.te)),
        "limits": limits,
    })
}

pub(super) async fn points(State(app): State<App>) -> Response {
    let registry = app.registry.borrow().clone();
    let all: Vec<Value> =
        registry.points.values().map(|known| point_json(&app, &registry, known)).collect();
    Json(all).into_response()
}

fn known(app: &App, point: &str, english: bool) -> Result<(Arc<Registry>, Known), Problem> {
    let registry = app.registry.borrow().clone();
    let by_number = point.parse().ok().and_then(|id: u32| registry.points.get(&id).cloned());
    let by_tag = || registry.points.values().find(|k| k.point.tag.as_str() == point).cloned();
    match by_number.or_else(by_tag) {
        Some(known) => Ok((registry, known)),
        None => Err(Problem::no_point(point, english)),
    }
}

pub(super) async fn point(
    State(app): State<App>,
    Path(point): Path<String>,
    headers: HeaderMap,
) -> Response {
    let (registry, known) = match known(&app, &point, wants_english(&headers)) {
        Ok(found) => found,
        Err(problem) => return problem.into_response(),
    };
    let store = app.store.clone();
    let gaps = blocking(move || store.gaps(TimeMs::MIN, TimeMs::MAX)).await;
    let mut json = point_json(&app, &registry, &known);
    let gateway = registry.gateways.get(known.gateway).map(|g| g.id.to_string());
    let gaps: Vec<Value> = gaps
        .unwrap_or_default()
        .iter()
        .filter(|gap| Some(&gap.gateway) == gateway.as_ref() || gap.gateway.is_empty())
        .filter(|gap| gap.points.is_empty() || gap.points.contains(&known.id))
        .map(|gap| gap_json(gap, &app.stamp))
        .collect();
    if let Some(object) = json.as_object_mut() {
        object.insert("gaps".to_owned(), Value::Array(gaps));
    }
    Json(json).into_response()
}

fn gap_json(gap: &GapRow, stamp: &Stamp) -> Value {
    json!({
        "from": stamp.rfc3339(gap.from), "to": stamp.rfc3339(gap.to),
        "records": gap.records, "cause": gap.cause.word(), "detail": gap.detail,
    })
}

/// A trend without a beginning.
const HOUR_MS: i64 = 3_600_000;

#[derive(Deserialize)]
pub(super) struct Span {
    from: Option<String>,
    to: Option<String>,
    buckets: Option<usize>,
}

/// A time of a query, or the default where it names none.
pub(super) fn time_of(
    name: &str,
    text: Option<&str>,
    default: TimeMs,
    english: bool,
) -> Result<TimeMs, Problem> {
    match text {
        None => Ok(default),
        Some(text) => Stamp::parse(text).ok_or_else(|| {
            Problem::bad_field(name, text, english, "2026-11-21T22:14:05+08:00, 1795270445120")
        }),
    }
}

/// From when to when; without an end until `now`, without a beginning `long_ms` before the end.
pub(super) fn stretch(
    app: &App,
    (from, to): (Option<&str>, Option<&str>),
    now: TimeMs,
    long_ms: i64,
    english: bool,
) -> Result<(TimeMs, TimeMs), Problem> {
    let to = time_of("to", to, now, english)?;
    let from = time_of("from", from, to - long_ms, english)?;
    if from < to {
        return Ok((from, to));
    }
    let value = format!("{}..{}", app.stamp.rfc3339(from), app.stamp.rfc3339(to));
    Err(Problem::bad_field("from", &value, english, "from < to"))
}

pub(super) async fn trend(
    State(app): State<App>,
    Path(point): Path<String>,
    span: Result<Query<Span>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    let english = wants_english(&headers);
    let span = match span {
        Ok(Query(span)) => span,
        Err(fault) => return Problem::bad_query(&fault, english).into_response(),
    };
    let known = match known(&app, &point, english) {
        Ok((_, known)) => known,
        Err(problem) => return problem.into_response(),
    };
    let (from, to) = (span.from.as_deref(), span.to.as_deref());
    let (from, to) = match stretch(&app, (from, to), clock::now(), HOUR_MS, english) {
        Ok(stretch) => stretch,
        Err(problem) => return problem.into_response(),
    };
    let buckets = span.buckets.unwrap_or(600).clamp(1, BUCKETS_MAX);
    let (store, journal, id) = (app.store.clone(), app.journal.clone(), known.id);
    let keys: Vec<(String, &'static str)> = known
        .limits
        .iter()
        .map(|limit| (key_of(&app, &known, limit.kind.key()), limit.kind.word()))
        .collect();
    let read = blocking(move || read_trend(&store, &journal, id, from, to, buckets, &keys)).await;
    match read {
        Ok(mut json) => {
            stamp_alarms(&mut json, &app.stamp);
            if let Some(object) = json.as_object_mut() {
                object.insert("from".to_owned(), app.stamp.rfc3339(from).into());
                object.insert("to".to_owned(), app.stamp.rfc3339(to).into());
            }
            Json(json).into_response()
        }
        Err(fault) => Problem::unavailable(&fault.to_string()).into_response(),
    }
}

fn key_of(app: &App, known: &Known, kind: &str) -> String {
    let registry = app.registry.borrow();
    let gateway = registry.gateways.get(known.gateway).map(|g| g.id.to_string());
    format!("{}/{}/{kind}", gateway.unwrap_or_default(), known.point.tag)
}

fn read_trend(
    store: &fengsui_store::SeriesStore,
    journal: &fengsui_store::AlarmJournal,
    id: u32,
    from: TimeMs,
    to: TimeMs,
    buckets: usize,
    keys: &[(String, &'static str)],
) -> Result<Value, StoreError> {
    let samples = store.range(id, from, to, RAW_MAX + 1)?;
    let raw = samples.len() <= RAW_MAX;
    let samples: Vec<Value> = samples
        .iter()
        .filter(|_| raw)
        .map(|s| json!([s.te.0, s.reading.value(), s.reading.word()]))
        .collect();
    let buckets: Vec<Value> = if raw {
        Vec::new()
    } else {
        let buckets = store.envelope(id, from, to, buckets)?;
        let full = buckets.iter().filter(|b| b.n_good + b.n_bad > 0);
        full.map(|b| json!([b.t.0, b.min, b.max, b.last, b.n_good, b.n_bad])).collect()
    };
    let mut alarms = Vec::new();
    for (key, kind) in keys {
        for (on, off, late) in crate::history::occurrences(&journal.of_alarm(key, PAGE_MAX)?) {
            if on < to && off.is_none_or(|off| off > from) {
                alarms.push(
                    json!({ "kind": kind, "on": on.0, "off": off.map(|t| t.0), "late": late }),
                );
            }
        }
    }
    Ok(json!({ "point": id, "raw": raw, "samples": samples, "buckets": buckets, "alarms": alarms }))
}

fn stamp_alarms(json: &mut Value, stamp: &Stamp) {
    let Some(alarms) = json.get_mut("alarms").and_then(Value::as_array_mut) else { return };
    for alarm in alarms {
        let time = |name: &str| {
            alarm.get(name).and_then(Value::as_i64).map(|ms| stamp.rfc3339(TimeMs(ms)))
        };
        *alarm = json!({
            "kind": alarm.get("kind"), "te_on": time("on"), "te_off": time("off"),
            "late": alarm.get("late"),
        });
    }
}

#[derive(Deserialize)]
pub(super) struct Page {
    after: Option<u64>,
    limit: Option<usize>,
}

pub(super) async fn journal(
    State(app): State<App>,
    page: Result<Query<Page>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    let page = match page {
        Ok(Query(page)) => page,
        Err(fault) => {
            return Problem::bad_query(&fault, wants_english(&headers)).into_response();
        }
    };
    let journal = app.journal.clone();
    let limit = page.limit.unwrap_or(100).clamp(1, PAGE_MAX);
    let rows = blocking(move || match page.after {
        Some(after) => journal.page(after, limit),
        None => journal.newest(limit),
    })
    .await;
    match rows {
        Ok(rows) => {
            let rows: Vec<Value> = rows.iter().map(|row| row_json(row, &app.stamp)).collect();
            Json(rows).into_response()
        }
        Err(fault) => Problem::unavailable(&fault.to_string()).into_response(),
    }
}

fn row_json(stored: &StoredRow, stamp: &Stamp) -> Value {
    let row = &stored.row;
    json!({
        "seq": stored.seq, "id": row.id, "alarm": row.alarm,
        "ti": stamp.rfc3339(row.ti), "te": row.te.map(|t| stamp.rfc3339(t)),
        "ti_ms": row.ti.0, "te_ms": row.te.map(|t| t.0),
        "te_on_ms": row.te_on.map(|t| t.0), "te_off_ms": row.te_off.map(|t| t.0),
        "from": row.from.to_string(), "to": row.to.to_string(), "occurrence": row.occurrence,
        "cause": row.cause, "flags": row.flags, "value": row.value, "by": row.by,
        "comment": row.comment, "revision": format!("{:016x}", row.revision),
    })
}

/// Whether an alarm would come through. The watchdog asks here, and says that it is one.
pub(super) async fn healthz(State(app): State<App>, headers: HeaderMap) -> Response {
    if headers.contains_key(crate::watchdog::MARK) {
        add(&app.counters.watchdog, 1);
    }
    match look(&app.desk).await {
        Some(look)
            if app.store.health().writing && look.proof.journal_ok && look.proof.engine_ok =>
        {
            Json(json!({ "status": "ok", "proof": look.proof })).into_response()
        }
        Some(look) => {
            let body = json!({ "status": "degraded", "proof": look.proof });
            (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
        }
        None => Problem::unavailable("desk").into_response(),
    }
}

pub(super) async fn metrics(State(app): State<App>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], app.counters.text()).into_response()
}

pub(super) async fn demo(State(app): State<App>) -> Response {
    match &app.demo {
        Some(demo) => Json(demo.status()).into_response(),
        None => Problem::no_demo().into_response(),
    }
}

#[derive(Deserialize)]
pub(super) struct Cable {
    pulled: bool,
}

pub(super) async fn cable(
    State(app): State<App>,
    headers: HeaderMap,
    cable: Result<Json<Cable>, JsonRejection>,
) -> Response {
    match (&app.demo, cable) {
        (Some(_), Err(fault)) => {
            let fix = r#"{"pulled":true}"#;
            let english = wants_english(&headers);
            Problem::bad_body(&fault, super::BODY_MAX, english, fix).into_response()
        }
        (Some(demo), Ok(Json(cable))) => {
            demo.cable_by_hand(cable.pulled);
            Json(demo.status()).into_response()
        }
        (None, _) => Problem::no_demo().into_response(),
    }
}

#[derive(Deserialize)]
pub(super) struct DeviceFault {
    device: String,
    fault: String,
}

pub(super) async fn fault(
    State(app): State<App>,
    headers: HeaderMap,
    wanted: Result<Json<DeviceFault>, JsonRejection>,
) -> Response {
    match (&app.demo, wanted) {
        (Some(_), Err(fault)) => {
            let fix = r#"{"device":"gas","fault":"none"}"#;
            let english = wants_english(&headers);
            Problem::bad_body(&fault, super::BODY_MAX, english, fix).into_response()
        }
        (Some(demo), Ok(Json(wanted))) => match demo.fault(&wanted.device, &wanted.fault).await {
            Ok(()) => Json(demo.status()).into_response(),
            Err(why) => {
                let fix = "none, dead, exception, frozen, noise";
                Problem::bad_field("fault", &why, wants_english(&headers), fix).into_response()
            }
        },
        (None, _) => Problem::no_demo().into_response(),
    }
}

/// Runs a store read beside the web server's threads.
pub(super) async fn blocking<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, String> {
    match tokio::task::spawn_blocking(read).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(fault)) => Err(fault.to_string()),
        Err(fault) => Err(fault.to_string()),
    }
}
