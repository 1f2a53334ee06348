//! `GET /api/v1/audit`: what people did, the newest first.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use fengsui_store::StoredRow;
use serde::Deserialize;
use serde_json::{Value, json};

use super::api::blocking;
use super::problem::wants_english;
use super::{App, Problem};
use crate::accounts::audit::CAUSE;
use crate::stamp::Stamp;

/// Rows of one page.
const PAGE_MAX: usize = 500;

#[derive(Deserialize)]
pub(super) struct Page {
    before: Option<u64>,
    limit: Option<usize>,
}

pub(super) async fn audit(
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
    let before = page.before.unwrap_or(u64::MAX);
    let limit = page.limit.unwrap_or(100).clamp(1, PAGE_MAX);
    match blocking(move || journal.of_cause(CAUSE, before, limit)).await {
        Ok(rows) => {
            let rows: Vec<Value> = rows.iter().map(|row| row_json(row, &app.stamp)).collect();
            Json(rows).into_response()
        }
        Err(fault) => Problem::unavailable(&fault).into_response(),
    }
}

fn row_json(stored: &StoredRow, stamp: &Stamp) -> Value {
    let row = &stored.row;
    let act: Value = row
        .command
        .as_deref()
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or(Value::Null);
    json!({
        "seq": stored.seq, "at": stamp.rfc3339(row.ti), "by": row.by,
        "login": act.get("login"), "verb": act.get("verb"), "object": act.get("object"),
        "outcome": act.get("outcome"), "detail": act.get("detail"), "from": act.get("from"),
    })
}
