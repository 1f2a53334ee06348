//! Reports, online rate and the ranking of what is suspiciously green, for whoever may read.
//!
//! - The work is done beside the web server's threads, a few at a time; whoever comes when all
//!   are busy is told to come again.
//! - A request that is given up ends its work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::api::time_of;
use super::problem::wants_english;
use super::{App, Problem};
use crate::clock;
use crate::desk::look;
use crate::intake::GatewayState;
use crate::report::{
    self, Ask, Kind, Period, Report, ReportFault, Settings, Site, blind_json, online_json,
    report_json,
};
use crate::stamp::Stamp;

/// Reports made at the same time: each may hold a hundred megabytes and a processor. When all are
/// busy: 503, come again.
const REPORTS_MAX: usize = 2;

/// What reports need beside the centre's own parts.
#[derive(Clone)]
pub struct Reports {
    settings: Arc<Settings>,
    flood_window_ms: Option<i64>,
    room: Arc<Semaphore>,
}

impl Reports {
    /// With what the plant decides.
    #[must_use]
    pub fn new(settings: Settings, flood_window_ms: Option<i64>) -> Self {
        let room = Arc::new(Semaphore::new(REPORTS_MAX));
        Self { settings: Arc::new(settings), flood_window_ms, room }
    }
}

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/report", get(range))
        .route("/report/{kind}", get(newest))
        .route("/report/{kind}/{date}", get(dated))
        .route("/online", get(online))
        .route("/blind", get(blind))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Span {
    from: Option<String>,
    to: Option<String>,
}

/// A path that says everything takes no parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

async fn range(
    State(app): State<App>,
    span: Result<Query<Span>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    spanned(app, span, &headers, |report, stamp, _| report_json(report, stamp)).await
}

async fn blind(
    State(app): State<App>,
    span: Result<Query<Span>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    spanned(app, span, &headers, |report, stamp, _| blind_json(report, stamp)).await
}

async fn online(
    State(app): State<App>,
    span: Result<Query<Span>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    let shape = |report: &Report, stamp: &Stamp, states: Option<&[GatewayState]>| {
        let mut json = online_json(report, stamp);
        let one = |state: &GatewayState| json!(state.json(stamp));
        let gateways = states.map(|states| states.iter().map(one).collect::<Vec<Value>>());
        if let Some(json) = json.as_object_mut() {
            json.insert("gateways_now".to_owned(), json!(gateways));
        }
        json
    };
    spanned(app, span, &headers, shape).await
}

async fn newest(
    State(app): State<App>,
    Path(kind): Path<String>,
    query: Result<Query<Nothing>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    of_kind(app, &kind, None, query, &headers).await
}

async fn dated(
    State(app): State<App>,
    Path((kind, date)): Path<(String, String)>,
    query: Result<Query<Nothing>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    of_kind(app, &kind, Some(&date), query, &headers).await
}

async fn of_kind(
    app: App,
    kind: &str,
    date: Option<&str>,
    query: Result<Query<Nothing>, QueryRejection>,
    headers: &HeaderMap,
) -> Response {
    let english = wants_english(headers);
    if let Err(fault) = query {
        return Problem::bad_query(&fault, english).into_response();
    }
    let Some(of) = Kind::from_word(kind) else {
        return Problem::bad_field("kind", kind, english, "day, month, shift").into_response();
    };
    match Period::of(of, date, &app.report.settings, &app.stamp, clock::now()) {
        Ok(period) => made(app, period, |report, stamp, _| report_json(report, stamp)).await,
        Err(fault) => {
            let fix = "/api/v1/report/day/2026-11-21, /month/2026-11, /shift/2026-11-21";
            Problem::bad_field("date", &fault.to_string(), english, fix).into_response()
        }
    }
}

/// Over `from..to`; without them the day so far.
async fn spanned(
    app: App,
    span: Result<Query<Span>, QueryRejection>,
    headers: &HeaderMap,
    shape: impl FnOnce(&Report, &Stamp, Option<&[GatewayState]>) -> Value + Send + 'static,
) -> Response {
    let english = wants_english(headers);
    let span = match span {
        Ok(Query(span)) => span,
        Err(fault) => return Problem::bad_query(&fault, english).into_response(),
    };
    let now = clock::now();
    let midnight = app.stamp.date(now).to_datetime(jiff::civil::Time::midnight());
    let midnight = app.stamp.at(midnight).unwrap_or(now - 1);
    let from = time_of("from", span.from.as_deref(), midnight, english);
    let to = time_of("to", span.to.as_deref(), now, english);
    let period = match (from, to) {
        (Ok(from), Ok(to)) => Period::range(from, to, &app.stamp, now),
        (Err(problem), _) | (_, Err(problem)) => return problem.into_response(),
    };
    match period {
        Ok(period) => made(app, period, shape).await,
        Err(fault) => Problem::bad_field("from", &fault.to_string(), english, "from < to <= now")
            .into_response(),
    }
}

/// Ends the work when the request is given up.
struct Waits(Arc<AtomicBool>);

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

async fn made(
    app: App,
    period: Period,
    shape: impl FnOnce(&Report, &Stamp, Option<&[GatewayState]>) -> Value + Send + 'static,
) -> Response {
    let Ok(room) = app.report.room.clone().try_acquire_owned() else {
        return full().into_response();
    };
    // The journal tells of time, the desk of this moment.
    let states = look(&app.desk).await.map(|look| look.gateways);
    let waits = Arc::new(AtomicBool::new(true));
    let _waits = Waits(waits.clone());
    let work = move || {
        // Held until the work has ended, also where nobody waits for it any longer.
        let _room = room;
        let journal = app.journal.reader()?;
        let states = states.as_ref().map(|states| states.as_slice());
        let site = Site::of(&app.registry.borrow().clone()).heard(states.unwrap_or_default());
        let report = report::make(&Ask {
            journal: &journal,
            site: &site,
            period,
            as_of: clock::now(),
            stamp: &app.stamp,
            settings: &app.report.settings,
            flood_window_ms: app.report.flood_window_ms,
            progress: &|_, _| waits.load(Ordering::Relaxed),
        })?;
        Ok::<Value, ReportFault>(shape(&report, &app.stamp, states))
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(json)) => Json(json).into_response(),
        Ok(Err(fault)) => Problem::unavailable(&fault.to_string()).into_response(),
        Err(fault) => Problem::unavailable(&fault.to_string()).into_response(),
    }
}

fn full() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "reports_busy",
        "正在生成其他报告 / other reports are being made",
        "report",
        format!("同时最多 {REPORTS_MAX} 份 / {REPORTS_MAX} at a time"),
        "稍后重试，或用 fengsui report / try again, or use fengsui report",
    )
}
