//! Hidden dangers: the list, and one step at a time.

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use fengsui_alerting::closure::{Request, Step};
use serde::Deserialize;

use super::calls::{Which, body, may_act, said};
use super::problem::wants_english;
use super::{App, Problem};
use crate::accounts::Identity;

pub(super) fn routes() -> Router<App> {
    Router::new().route("/closure", get(list).post(step))
}

async fn list(
    State(app): State<App>,
    which: Result<Query<Which>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    let which = match which {
        Ok(Query(which)) => which,
        Err(fault) => return Problem::bad_query(&fault, wants_english(&headers)).into_response(),
    };
    match app.calls.cases(which.is_open()).await {
        Some(json) => Json(json).into_response(),
        None => Problem::unavailable("closure").into_response(),
    }
}

#[derive(Deserialize)]
struct Taken {
    case: String,
    #[serde(flatten)]
    step: Step,
    request: String,
}

async fn step(
    State(app): State<App>,
    Extension(who): Extension<Identity>,
    headers: HeaderMap,
    json: Result<Json<Taken>, JsonRejection>,
) -> Response {
    const FIX: &str = r#"{"case":"YH-2026-001","step":"find","title":"…","alarm":"GW-01/TK-101.LT/HH","occurrence":1,"request":"id"}; step: find, confirm, not_a_danger, grade, dispatch, feedback, accept, return, extend, close"#;
    let Taken { case, step, request } = match body(json, &headers, FIX) {
        Ok(taken) => taken,
        Err(problem) => return problem.into_response(),
    };
    if let Err(problem) = may_act(&who, &request, &headers) {
        return problem.into_response();
    }
    said(app.calls.step(Request { case, step, by: who.display, request }).await)
}
