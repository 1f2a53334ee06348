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
use crate::accounts::{Identity, Role};
use crate::calls::Reload;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/roster", get(roster))
        .route("/roster/check", post(check))
        .route("/roster/reload", post(reload))
}

async fn roster(State(app): State<App>, Extension(who): Extension<Identity>) -> Response {
    match app.calls.roster().await {
        Some(json) if who.may(Role::Operator) => Json(json).into_response(),
        Some(json) => Json(without_numbers(json)).into_response(),
        None => Problem::unavailable("calls").into_response(),
    }
}

/// Whoever only looks calls nobody, and needs no private number.
fn without_numbers(mut roster: Value) -> Value {
    let facts = roster.get_mut("facts").and_then(Value::as_array_mut);
    for fact in facts.into_iter().flatten() {
        let what = fact.get("what").and_then(Value::as_str).unwrap_or_default();
        let hide: fn(&str) -> String = match what.strip_prefix("person ") {
            Some(rest) if rest.ends_with(" phone") => masked,
            Some(rest) if rest.ends_with(" email") => masked_mail,
            Some(_) | None => continue,
        };
        let hidden = fact.get("is").and_then(Value::as_str).map(hide);
        if let (Some(fact), Some(hidden)) = (fact.as_object_mut(), hidden) {
            fact.insert("is".to_owned(), Value::from(hidden));
        }
    }
    roster
}

/// `138****0000`; of a short number nothing but its length.
fn masked(number: &str) -> String {
    let count = number.chars().count();
    let shown = |place: usize| count >= 11 && (place < 3 || place + 4 >= count);
    number.chars().enumerate().map(|(place, c)| if shown(place) { c } else { '*' }).collect()
}

fn masked_mail(mail: &str) -> String {
    mail.rsplit_once('@').map_or_else(|| masked(mail), |(_, host)| format!("***@{host}"))
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
    let detail = format!("{count} 处错误 / {count} faults");
    let fix =
        "逐条修改 faults 所列各处后重试；在用名册不变 / mend each of faults; the old one stays";
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    let problem = Problem::new(status, "bad_roster", title, "calls.file", detail, fix);
    let told = Told::refused(format!("bad_roster: {}", faults.join("; ")));
    let mut body = serde_json::to_value(&problem).unwrap_or_default();
    if let Some(body) = body.as_object_mut() {
        body.insert("faults".to_owned(), json!(faults));
    }
    let kind = [(header::CONTENT_TYPE, "application/problem+json")];
    let mut response = (status, kind, body.to_string()).into_response();
    response.extensions_mut().insert(told);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_only_looks_sees_no_private_number() {
        let roster = json!({ "file": "calls.toml", "facts": [
            { "what": "person wang name", "is": "王敏" },
            { "what": "person wang phone", "is": "13812340000" },
            { "what": "person li phone", "is": "110" },
            { "what": "person li email", "is": "li@plant.example" },
            { "what": "policy 1 ladder", "is": "duty" },
        ] });
        let shown = without_numbers(roster);
        let is = |place: usize| shown["facts"][place]["is"].as_str().unwrap().to_owned();
        let all: Vec<String> = (0..5).map(is).collect();
        assert_eq!(all, ["王敏", "138****0000", "***", "***@plant.example", "duty"]);
    }
}
