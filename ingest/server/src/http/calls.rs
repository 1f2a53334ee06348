//! Calls: what was tried and what comes next, answers recorded by hand, receipts of providers.

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use fengsui_alerting::calls::{AnswerRequest, CallRequest, Outcome, Receipt, Reply};
use serde::Deserialize;
use serde_json::json;

use super::problem::wants_english;
use super::{App, Problem};
use crate::accounts::{Identity, Role};
use crate::calls::{ReceiptRequest, Refused, Said};

/// Where providers send receipts: they show a token and no session.
pub(super) const RECEIPT: &str = "/api/v1/calls/receipt";
/// Characters of any text of an answer.
const TEXT_MAX: usize = 2_000;
/// Bytes of a request's id.
const REQUEST_MAX: usize = 100;
/// Digits that anybody reads back.
const DIGITS_MAX: usize = 32;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/calls", get(list))
        .route("/calls/{alarm}/{occurrence}", get(one))
        .route("/calls/answer", post(answer))
        .route("/calls/call", post(call))
        .route("/calls/receipt", post(receipt))
}

#[derive(Deserialize)]
pub(super) struct Which {
    /// 1: only what has not ended.
    open: Option<u8>,
}

impl Which {
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some_and(|open| open > 0)
    }
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
    match app.calls.ladders(which.is_open()).await {
        Some(json) => Json(json).into_response(),
        None => Problem::unavailable("calls").into_response(),
    }
}

async fn one(State(app): State<App>, Path((alarm, occurrence)): Path<(String, u64)>) -> Response {
    match app.calls.ladder(alarm.clone(), occurrence).await {
        Some(Some(json)) => Json(json).into_response(),
        Some(None) => refused(Refused::NoCall, &format!("{alarm} #{occurrence}")).into_response(),
        None => Problem::unavailable("calls").into_response(),
    }
}

/// What the office said of a request, as an answer.
pub(super) fn said<T: serde::Serialize>(said: Option<Result<T, Said>>) -> Response {
    match said {
        Some(Ok(json)) => Json(json).into_response(),
        Some(Err(Said::Refused(kind, why))) => refused(kind, &why).into_response(),
        Some(Err(Said::Roster(faults))) => super::roster::unusable(&faults),
        Some(Err(Said::NotRecorded(why))) => Problem::unavailable(&why).into_response(),
        None => Problem::unavailable("calls").into_response(),
    }
}

/// Code, place and mend of what is wrong.
fn refused(kind: Refused, why: &str) -> Problem {
    const NONE: StatusCode = StatusCode::NOT_FOUND;
    const CONFLICT: StatusCode = StatusCode::CONFLICT;
    const UNUSABLE: StatusCode = StatusCode::UNPROCESSABLE_ENTITY;
    let (status, code, title, place, fix) = match kind {
        Refused::NoCall => {
            let title = "没有这条叫应 / no such call";
            (NONE, "no_such_call", title, "alarm", "GET /api/v1/calls?open=1")
        }
        Refused::NoAttempt => {
            let (title, fix) = ("没有这次叫应 / no such attempt", "GET /api/v1/calls?open=1");
            (NONE, "no_such_attempt", title, "attempt", fix)
        }
        Refused::NoReference => {
            let title = "没有发出过这条消息 / no such message";
            (NONE, "no_such_reference", title, "ref", "{ref} of the message / 消息中的 {ref}")
        }
        Refused::NoPerson => {
            let title = "名册中没有这个人 / nobody of that name in the roster";
            let fix = "用 GET /api/v1/roster 查看；新人先写入名册 [[person]] 再 fengsui roster reload / GET /api/v1/roster lists them; add a [[person]] and reload";
            (UNUSABLE, "no_such_person", title, "person", fix)
        }
        Refused::Unreachable => {
            let title = "该渠道叫不到此人 / the channel cannot reach this person";
            let fix = "换渠道，或在名册中补号码 / another channel, or their number in the roster";
            (UNUSABLE, "unreachable", title, "channel", fix)
        }
        Refused::NoAlarm => {
            let title = "没有这次报警 / no such occurrence of an alarm";
            let fix = "用 GET /api/v1/journal 查看；与报警无关则不填 alarm / GET /api/v1/journal; leave alarm out where there is none";
            (NONE, "no_such_alarm", title, "alarm", fix)
        }
        Refused::NoCase => {
            let title = "没有这个隐患 / no such case";
            (NONE, "no_such_case", title, "case", "GET /api/v1/closure; step find")
        }
        Refused::CaseExists => {
            let (title, fix) = ("编号已用 / the case exists", "换一个编号 / another number");
            (CONFLICT, "case_exists", title, "case", fix)
        }
        Refused::Field(field) => {
            let title = "字段无法使用 / a field cannot be used";
            (UNUSABLE, "bad_field", title, field, "按说明修改 / mend it")
        }
        Refused::NotAllowed => {
            let title = "当前状态不能这样做 / not in this state";
            (
                CONFLICT,
                "step_not_allowed",
                title,
                "step",
                "按说明选择步骤 / take a step that is named",
            )
        }
        Refused::Overtaken => {
            let title = "别人刚刚处理 / somebody was first";
            (CONFLICT, "overtaken", title, "case", "刷新后再看 / reload")
        }
        Refused::RequestUsed => {
            let title = "请求编号已用 / the request id was used";
            (CONFLICT, "request_used", title, "request", "请换新编号 / use a new id")
        }
        Refused::NoRoster => {
            let title = "没有名册 / no roster";
            let fix = "[calls] file = \"calls.toml\"";
            (CONFLICT, "no_roster", title, "calls.file", fix)
        }
    };
    Problem::new(status, code, title, place, why, fix)
}

/// May this person act, and is their request named?
pub(super) fn may_act(who: &Identity, request: &str, headers: &HeaderMap) -> Result<(), Problem> {
    if !who.may(Role::Operator) {
        return Err(Problem::role_needed(Role::Operator));
    }
    if request.is_empty() || request.len() > REQUEST_MAX {
        let fix = if wants_english(headers) {
            "any id of 1 to 100 bytes, new for each request"
        } else {
            "每次请求一个新编号，1 至 100 字节"
        };
        return Err(Problem::bad_field("request", request, wants_english(headers), fix));
    }
    Ok(())
}

/// The body of a request, or what is wrong with it.
pub(super) fn body<T>(
    body: Result<Json<T>, JsonRejection>,
    headers: &HeaderMap,
    fix: &str,
) -> Result<T, Problem> {
    match body {
        Ok(Json(body)) => Ok(body),
        Err(fault) => Err(Problem::bad_body(&fault, super::BODY_MAX, wants_english(headers), fix)),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    alarm: String,
    occurrence: u64,
    attempt: Option<u64>,
    outcome: Option<Outcome>,
    #[serde(default)]
    digits: String,
    #[serde(default)]
    reply: Reply,
    request: String,
}

async fn answer(
    State(app): State<App>,
    Extension(who): Extension<Identity>,
    headers: HeaderMap,
    json: Result<Json<Answer>, JsonRejection>,
) -> Response {
    const FIX: &str = r#"{"alarm":"GW-01/TK-101.LT/HH","occurrence":1,"attempt":2,"outcome":"answered","digits":"4821","reply":{"commander":"李强","affected":0,"moved":false,"text":""},"request":"id"}"#;
    let answer = match body(json, &headers, FIX) {
        Ok(answer) => answer,
        Err(problem) => return problem.into_response(),
    };
    if let Err(problem) = may_act(&who, &answer.request, &headers) {
        return problem.into_response();
    }
    let said_nothing = answer.outcome.is_none() && answer.digits.is_empty();
    if said_nothing && answer.reply.text.is_empty() && answer.reply.commander.is_empty() {
        let fix = "写明结果、核对码或反馈 / give an outcome, the digits or a reply";
        return Problem::bad_field("outcome", "", wants_english(&headers), fix).into_response();
    }
    let long = |text: &str| text.chars().count() > TEXT_MAX;
    if long(&answer.reply.text) || long(&answer.reply.commander) || answer.digits.len() > DIGITS_MAX
    {
        let fix = "不超过 2000 字，核对码不超过 32 位 / at most 2,000 characters and 32 digits";
        let english = wants_english(&headers);
        return Problem::bad_field("reply", "", english, fix).into_response();
    }
    let Answer { alarm, occurrence, attempt, outcome, digits, reply, request } = answer;
    let by = who.display;
    let request = AnswerRequest { alarm, occurrence, attempt, outcome, digits, reply, by, request };
    said(app.calls.answer(request).await)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ByHand {
    alarm: String,
    occurrence: u64,
    person: String,
    channel: String,
    request: String,
}

async fn call(
    State(app): State<App>,
    Extension(who): Extension<Identity>,
    headers: HeaderMap,
    json: Result<Json<ByHand>, JsonRejection>,
) -> Response {
    const FIX: &str = r#"{"alarm":"GW-01/TK-101.LT/HH","occurrence":1,"person":"wang","channel":"sms","request":"id"}"#;
    let ByHand { alarm, occurrence, person, channel, request } = match body(json, &headers, FIX) {
        Ok(by_hand) => by_hand,
        Err(problem) => return problem.into_response(),
    };
    if let Err(problem) = may_act(&who, &request, &headers) {
        return problem.into_response();
    }
    let by = who.display;
    said(app.calls.call(CallRequest { alarm, occurrence, person, channel, by, request }).await)
}

#[derive(Deserialize)]
struct Told {
    #[serde(rename = "ref")]
    reference: String,
    state: Option<Receipt>,
    outcome: Option<Outcome>,
    #[serde(default)]
    digits: String,
}

/// `Authorization: Bearer TOKEN` names the channel. The same receipt twice has one effect and the
/// same answer.
async fn receipt(
    State(app): State<App>,
    headers: HeaderMap,
    json: Result<Json<Told>, JsonRejection>,
) -> Response {
    const FIX: &str = r#"{"ref":"123-sms","state":"delivered|read|failed","outcome":"answered|no_answer|busy|invalid_number","digits":"4821"}"#;
    let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = shown.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    let Some(channel) = app.calls.channel_of(token) else {
        let title = "回执令牌不符 / unknown token";
        let fix = "Authorization: Bearer <channel.token>";
        let status = StatusCode::UNAUTHORIZED;
        return Problem::new(status, "bad_token", title, "Authorization", "", fix).into_response();
    };
    let told = match body(json, &headers, FIX) {
        Ok(told) => told,
        Err(problem) => return problem.into_response(),
    };
    if told.digits.len() > DIGITS_MAX || (told.state.is_none() && told.outcome.is_none()) {
        let english = wants_english(&headers);
        return Problem::bad_field("state", "", english, FIX).into_response();
    }
    let Told { reference, state, outcome, digits } = told;
    let request = ReceiptRequest { reference, channel, state, outcome, digits };
    let new = app.calls.receipt(request).await;
    said(new.map(|new| new.map(|new| json!({ "taken": true, "new": new }))))
}
