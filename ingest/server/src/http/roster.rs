//! The roster: what is in force, what its file would change, and putting it in force.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use serde_json::{Value, json};

use super::calls::said;
use super::guard::Told;
use super::{App, Problem};
use crate::accounts::Identity;
use crate::calls::Reload;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/roster", get(roster))
        .route("/roster/check", post(check))
        .route("/roster/reload", post(reload))
}

async fn roster(State(app): State<App>) -> Response {
    match app.calls.roster().await {
        Some(json) => Json(json).into_response(),
        None => Problem::unavailable("calls").into_response(),
    }
}

async fn check(State(app): State<App>) -> Response {
    said(app.calls.reload(Reload::Check).await)
}

async fn reload(State(app): State<App>, Extension(who): Extension<Identity>) -> Response {
    let reloaded = app.calls.reload(Reload::By(who.display)).await;
    let count = match &reloaded {
        Some(Ok(json)) => json.get("count").and_then(Value::as_u64),
        Some(Err(_)) | None => None,
    };
    let mut response = said(reloaded);
    if let Some(count) = count {
        response.extensions_mut().insert(Told::done(format!("{count} changed")));
    }
    response
}

/// Every fault of a roster that did not come into force.
pub(super) fn unusable(faults: &[String]) -> Response {
    let title = "名册未变更 / the roster was not changed";
    let count = faults.len();
    let detail = format!("{count} 处错误 / {count} faults: {}", faults.join("; "));
    let fix =
        "逐条修改 faults 所列各处后重试；在用名册不变 / mend each of faults; the old one stays";
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    let problem = Problem::new(status, "bad_roster", title, "calls.file", detail, fix);
    let told = problem.told();
    let mut body = serde_json::to_value(&problem).unwrap_or_default();
    if let Some(body) = body.as_object_mut() {
        body.insert("faults".to_owned(), json!(faults));
    }
    let kind = [(header::CONTENT_TYPE, "application/problem+json")];
    let mut response = (status, kind, body.to_string()).into_response();
    response.extensions_mut().insert(told);
    response
}
