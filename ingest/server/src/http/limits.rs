//! Limits over HTTP: what is in force, what runs, what is proposed; propose, approve, reject.

mod refused;

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use fengsui_store::LimitsStatus;
use fengsui_telemetry::TimeMs;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Problem;
use super::problem::wants_english;
use crate::accounts::Identity;
use crate::limits::{
    CSV_MAX, Draft, EVIDENCE_MAX, Office, OfficeFault, Proposed, Refusal, WORDS_MAX, diff_json,
    put_file, revision_json,
};
use refused::{answer_fault, put};

/// A file of limits with its evidence, as JSON.
const BODY_MAX: usize = CSV_MAX + 2 * EVIDENCE_MAX;
/// Revisions in one answer of the history.
const HISTORY_MAX: usize = 500;

/// The routes below `/api/v1`. They know the office and nothing else.
pub(super) fn routes<S>(office: Office) -> Router<S> {
    Router::new()
        .route("/limits", get(overview))
        .route("/limits/key", get(key))
        .route("/limits/history", get(history))
        .route("/limits/revisions/{number}", get(revision))
        .route("/limits/propose", post(propose).layer(DefaultBodyLimit::max(BODY_MAX)))
        .route("/limits/{number}/approve", post(decide).layer(Extension(Says::Approve)))
        .route("/limits/{number}/reject", post(decide).layer(Extension(Says::Reject)))
        .with_state(office)
}

#[derive(Deserialize)]
struct Which {
    gateway: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    gateway: Option<String>,
    csv: String,
    reason: String,
    #[serde(default)]
    evidence: Value,
    valid_from: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Word {
    gateway: Option<String>,
    #[serde(default)]
    comment: String,
}

/// The public key that a gateway's file is given.
async fn key(State(office): State<Office>) -> Response {
    Json(json!({ "algorithm": "Ed25519", "public_key": office.parts().key.public() }))
        .into_response()
}

/// Per gateway: what is in force, what the gateway runs, what waits. With `gateway` also the file.
async fn overview(
    State(office): State<Office>,
    headers: HeaderMap,
    which: Result<Query<Which>, QueryRejection>,
) -> Response {
    let english = wants_english(&headers);
    let which = match which {
        Ok(Query(which)) => which.gateway,
        Err(fault) => return Problem::bad_query(&fault, english).into_response(),
    };
    let listed = match office.history(which.clone(), HISTORY_MAX).await {
        Ok(listed) => listed,
        Err(fault) => return answer_fault(&fault, english),
    };
    let registry = office.parts().registry.borrow().clone();
    let states = office.parts().gateways.borrow().clone();
    let mut gateways = Vec::new();
    for known in &registry.gateways {
        if which.as_ref().is_some_and(|which| which != known.id.as_str()) {
            continue;
        }
        let own = || listed.iter().filter(|r| r.proposal.gateway == known.id.as_str());
        let in_force = own().find(|r| r.status() == LimitsStatus::InForce);
        let waiting: Vec<Value> = own()
            .filter(|r| matches!(r.status(), LimitsStatus::Proposed | LimitsStatus::Approved))
            .map(|r| revision_json(r, &office.parts().stamp))
            .collect();
        let state = states.iter().find(|state| state.gateway == known.id.as_str());
        let running = state.and_then(|state| state.limits_running);
        let mut one = json!({
            "gateway": known.id.as_str(),
            // Rows in force that the engine does not judge, or not as they are meant.
            "not_judged": super::misfits::of(known),
            "in_force": in_force.map(|r| revision_json(r, &office.parts().stamp)),
            "wanted": known.limits_revision.to_string(),
            "running": running.map(|running| running.to_string()),
            "delivered": running == Some(known.limits_revision),
            "refused": state.map(|state| state.limits_fault.clone()).unwrap_or_default(),
            "waiting": waiting,
        });
        if let (Some(_), Some(in_force)) = (&which, in_force)
            && let Ok(found) = office.find(known.id.as_str(), in_force.number).await
        {
            put_file(&mut one, &found.revision);
        }
        gateways.push(one);
    }
    if let Some(name) = which.filter(|_| gateways.is_empty()) {
        return answer_fault(&Refusal::NoGateway(name).into(), english);
    }
    Json(json!({ "gateways": gateways })).into_response()
}

async fn history(
    State(office): State<Office>,
    headers: HeaderMap,
    which: Result<Query<Which>, QueryRejection>,
) -> Response {
    let english = wants_english(&headers);
    let which = match which {
        Ok(Query(which)) => which.gateway,
        Err(fault) => return Problem::bad_query(&fault, english).into_response(),
    };
    match office.history(which.clone(), HISTORY_MAX).await {
        Ok(listed) => {
            // One that is watched no longer keeps its history; a name that was never one has none.
            if let Some(name) = which.filter(|_| listed.is_empty())
                && let Err(refusal) = office.gateway(&name)
            {
                return answer_fault(&refusal.into(), english);
            }
            let revisions: Vec<Value> = listed
                .iter()
                .map(|revision| revision_json(revision, &office.parts().stamp))
                .collect();
            Json(json!({ "revisions": revisions })).into_response()
        }
        Err(fault) => answer_fault(&fault, english),
    }
}

/// A revision whole: its file, and what it changed.
async fn revision(
    State(office): State<Office>,
    Path(number): Path<u64>,
    headers: HeaderMap,
    which: Result<Query<Which>, QueryRejection>,
) -> Response {
    let english = wants_english(&headers);
    let found = match which {
        Ok(Query(which)) => match named(&office, which.gateway) {
            Ok(gateway) => office.find(&gateway, number).await,
            Err(fault) => Err(fault),
        },
        Err(fault) => return Problem::bad_query(&fault, english).into_response(),
    };
    match found {
        Ok(found) => {
            let mut json = proposed_json(&office, &found);
            put_file(&mut json, &found.revision);
            Json(json).into_response()
        }
        Err(fault) => answer_fault(&fault, english),
    }
}

async fn propose(
    State(office): State<Office>,
    Extension(who): Extension<Identity>,
    headers: HeaderMap,
    body: Result<Json<Body>, JsonRejection>,
) -> Response {
    let english = wants_english(&headers);
    let Json(body) = match body {
        Ok(body) => body,
        Err(fault) => return bad_body(&fault, BODY_MAX, english),
    };
    let valid_from = match body.valid_from.as_deref().map(time).transpose() {
        Ok(valid_from) => valid_from,
        Err(why) => {
            return answer_fault(&Refusal::Field { field: "valid_from", why }.into(), english);
        }
    };
    let evidence = match body.evidence {
        Value::Null => String::new(),
        Value::String(text) => text,
        other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            other.to_string()
        }
    };
    let proposed = match named(&office, body.gateway) {
        Ok(gateway) => {
            let (csv, reason) = (body.csv, body.reason);
            office.propose(&who, Draft { gateway, csv, reason, evidence, valid_from }).await
        }
        Err(fault) => Err(fault),
    };
    match proposed {
        Ok(found) => (StatusCode::CREATED, Json(proposed_json(&office, &found))).into_response(),
        Err(fault) => answer_fault(&fault, english),
    }
}

/// What somebody says of a proposal.
#[derive(Clone, Copy)]
enum Says {
    Approve,
    Reject,
}

async fn decide(
    State(office): State<Office>,
    Path(number): Path<u64>,
    (Extension(who), Extension(says)): (Extension<Identity>, Extension<Says>),
    headers: HeaderMap,
    body: Result<Json<Word>, JsonRejection>,
) -> Response {
    let english = wants_english(&headers);
    let (gateway, comment) = match word(&office, body, english) {
        Ok(word) => word,
        Err(response) => return *response,
    };
    let decided = match says {
        Says::Approve => office.approve(&who, &gateway, number, &comment).await,
        Says::Reject => office.reject(&who, &gateway, number, &comment).await,
    };
    match decided {
        Ok(found) => Json(proposed_json(&office, &found)).into_response(),
        Err(fault) => answer_fault(&fault, english),
    }
}

fn word(
    office: &Office,
    body: Result<Json<Word>, JsonRejection>,
    english: bool,
) -> Result<(String, String), Box<Response>> {
    let Json(Word { gateway, comment }) =
        body.map_err(|fault| Box::new(bad_body(&fault, super::BODY_MAX, english)))?;
    if comment.chars().count() > WORDS_MAX {
        let why = format!("最多 {WORDS_MAX} 字 / at most {WORDS_MAX} characters");
        let fault = Refusal::Field { field: "comment", why }.into();
        return Err(Box::new(answer_fault(&fault, english)));
    }
    let gateway =
        named(office, gateway).map_err(|fault| Box::new(answer_fault(&fault, english)))?;
    Ok((gateway, comment))
}

/// The gateway of a request; where there is only one, it need not be named.
fn named(office: &Office, gateway: Option<String>) -> Result<String, OfficeFault> {
    if let Some(gateway) = gateway {
        return Ok(gateway);
    }
    let registry = office.parts().registry.borrow().clone();
    match registry.gateways.as_slice() {
        [only] => Ok(only.id.to_string()),
        _ => {
            let why = "有多个网关，请指明 / there are several: name one".to_owned();
            Err(Refusal::Field { field: "gateway", why }.into())
        }
    }
}

fn proposed_json(office: &Office, found: &Proposed) -> Value {
    let mut json = revision_json(&found.revision, &office.parts().stamp);
    let diff = diff_json(&found.diff, &office.parts().policy.second);
    put(&mut json, "diff", diff);
    json
}

fn time(text: &str) -> Result<TimeMs, String> {
    let at: Result<jiff::Timestamp, _> = text.parse();
    at.map(|at| TimeMs(at.as_millisecond()))
        .map_err(|_| format!("{text:?}：写成 2026-11-21T22:00:00+08:00 / write it like that"))
}

fn bad_body(fault: &JsonRejection, max: usize, english: bool) -> Response {
    let fix = "{\"gateway\":\"GW-01\",\"csv\":\"…\",\"reason\":\"…\",\"evidence\":…}";
    Problem::bad_body(fault, max, english, fix).into_response()
}

#[cfg(test)]
mod tests;
