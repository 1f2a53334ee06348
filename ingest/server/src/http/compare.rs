//! `GET /api/v1/gateways/{id}/compare`: does the gateway's own journal tell the same as ours?

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::api::{blocking, stretch};
use super::problem::wants_english;
use super::{App, Problem};
use crate::clock;
use crate::compare::{CHANGES_MAX, SETTLED_MS, as_json, of_gateway};

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
    let (from, to) = (span.from.as_deref(), span.to.as_deref());
    let span = match stretch(&app, (from, to), clock::now() - SETTLED_MS, DAY_MS, english) {
        Ok(stretch) => stretch,
        Err(problem) => return problem.into_response(),
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
