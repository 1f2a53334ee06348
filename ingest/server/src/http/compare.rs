//! `GET /api/v1/gateways/{id}/compare`: does the gateway's own journal tell the same as ours?

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use fengsui_telemetry::TimeMs;
use serde::Deserialize;

use super::api::blocking;
use super::problem::wants_english;
use super::{App, Problem};
use crate::clock;
use crate::compare::{CHANGES_MAX, SETTLED_MS, as_json, of_gateway};
use crate::stamp::Stamp;

/// Asked without a time: the last day.
const DAY_MS: i64 = 86_400_000;

#[derive(Deserialize)]
pub(super) struct Span {
    from: Option<String>,
    to: Option<String>,
}

pub(super) async fn compare(
    State(app): State<App>,
    Path(gateway): Path<String>,
    span: Result<Query<Span>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    let english = wants_english(&headers);
    let span = match span {
        Ok(Query(span)) => span,
        Err(fault) => return Problem::bad_query(&fault, english).into_response(),
    };
    if !app.registry.borrow().gateways.iter().any(|known| known.id.as_str() == gateway) {
        let known: Vec<String> =
            app.registry.borrow().gateways.iter().map(|g| g.id.to_string()).collect();
        return Problem::bad_field("gateway", &gateway, english, &known.join(", ")).into_response();
    }
    let time = |name: &str, text: Option<&String>, default: TimeMs| match text {
        None => Ok(default),
        Some(text) => Stamp::parse(text).ok_or_else(|| {
            Problem::bad_field(name, text, english, "2026-11-21T22:14:05+08:00, 1795270445120")
        }),
    };
    let to = time("to", span.to.as_ref(), clock::now() - SETTLED_MS);
    let from = to.clone().and_then(|to| time("from", span.from.as_ref(), to - DAY_MS));
    let span = match (from, to) {
        (Ok(from), Ok(to)) if from < to => (from, to),
        (Ok(from), Ok(to)) => {
            let value = format!("{}..{}", app.stamp.rfc3339(from), app.stamp.rfc3339(to));
            return Problem::bad_field("from", &value, english, "from < to").into_response();
        }
        (Err(problem), _) | (_, Err(problem)) => return problem.into_response(),
    };
    let (store, journal, asked) = (app.store.clone(), app.journal.clone(), gateway.clone());
    let read = blocking(move || {
        let locals = store.locals(&asked, span, CHANGES_MAX)?;
        let cut = locals.len() == CHANGES_MAX;
        let span =
            (span.0, if cut { locals.last().map_or(span.1, |last| last.te) } else { span.1 });
        Ok((of_gateway(&journal.reader()?, &asked, &locals, span)?, span, cut))
    });
    match read.await {
        Ok((found, span, cut)) => {
            Json(as_json(&gateway, span, cut, &found, &app.stamp)).into_response()
        }
        Err(fault) => Problem::unavailable(&fault).into_response(),
    }
}
