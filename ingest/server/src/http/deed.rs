//! What a person does to an alarm beside acknowledging it: shelve, unshelve, reset, out of service
//! and back.

use axum::extract::rejection::JsonRejection;
use axum::extract::{OriginalUri, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use fengsui_alerting::{AlarmId, Cause, Command, Permit, Verb};
use serde::Deserialize;
use serde_json::json;

use super::ack::{Silence, USED_BEFORE, command_done};
use super::guard::Told;
use super::problem::wants_english;
use super::{App, Problem, login};
use crate::accounts::{Identity, Peer, Role, secret};
use crate::alarm_loop::{Answered, Outcome};

/// The longest shelf of any priority, minutes: more is refused before the engine is asked.
const MINUTES_MAX: u32 = 24 * 60;
/// Characters of a text.
const TEXT_MAX: usize = 2_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Body {
    alarm: String,
    #[serde(default)]
    comment: String,
    request: String,
    minutes: Option<u32>,
    #[serde(default)]
    one_shot: bool,
    #[serde(default)]
    reason: String,
    second_person: Option<String>,
    second_password: Option<String>,
    permit: Option<String>,
}

pub(super) async fn deed(
    State(app): State<App>,
    uri: OriginalUri,
    Path(deed): Path<String>,
    Extension(who): Extension<Identity>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    body: Result<Json<Body>, JsonRejection>,
) -> Response {
    let english = wants_english(&headers);
    let Json(mut body) = match body {
        Ok(body) => body,
        Err(fault) => {
            let fix = r#"{"alarm":"GW-01/TK-101.LT/H","minutes":30,"reason":"…","request":"id"}"#;
            return Problem::bad_body(&fault, super::BODY_MAX, english, fix).into_response();
        }
    };
    if let Some(problem) = faults(&body, english) {
        return problem.into_response();
    }
    let verb = match deed.as_str() {
        "shelve" => match shelve(&app, &body, &who, peer, english).await {
            Ok(verb) => verb,
            Err(refusal) => return refusal,
        },
        "unshelve" => Verb::Unshelve,
        "reset" => Verb::Reset,
        "out_of_service" => match out_of_service(&app, &body, &who, peer, english).await {
            Ok(second) => {
                // The journal's row names both, and the permit.
                let permit = body.permit.as_deref().filter(|permit| !permit.trim().is_empty());
                let permit = permit.map(|permit| format!("；许可 {permit}")).unwrap_or_default();
                body.comment = format!("{}（第二人 {second}{permit}）", body.comment);
                Verb::OutOfService
            }
            Err(refusal) => return refusal,
        },
        "in_service" => Verb::InService,
        _ => return super::problem::no_such_path(uri).await.into_response(),
    };
    let (word, why) = match act(&app, &deed, &body, &who, verb).await {
        Ok(Answered::Done(outcome)) => told(&outcome),
        Ok(Answered::Conflict) => return conflict(&deed, &body, english),
        Ok(Answered::Unknown) => ("unknown", "没有这个报警 / no such alarm".to_owned()),
        Err(silence) => return silence.problem().into_response(),
    };
    let answer = json!({ "outcome": word, "why": &why });
    let mut response = Json(answer).into_response();
    let told = match word {
        "done" => Told::done(format!("{deed} {} done", body.alarm)),
        _ => Told::refused(format!("{deed} {} {word}: {why}", body.alarm)),
    };
    response.extensions_mut().insert(told);
    response
}

/// The id of the request belongs to another deed: neither is done again nor called done.
fn conflict(deed: &str, body: &Body, english: bool) -> Response {
    let fix = if english { "use a new id" } else { "请换新编号" };
    let title = USED_BEFORE;
    let problem =
        Problem::new(StatusCode::CONFLICT, "request_used", title, "request", &body.request, fix);
    let mut response = problem.into_response();
    let told = format!("{deed} {} refused: request {} was used before", body.alarm, body.request);
    response.extensions_mut().insert(Told::refused(told));
    response
}

fn faults(body: &Body, english: bool) -> Option<Problem> {
    let long = |text: &str| text.chars().count() > TEXT_MAX;
    if long(&body.comment) || long(&body.reason) {
        let fix = if english { "at most 2,000 characters" } else { "不超过 2000 字" };
        return Some(Problem::bad_field("comment", "", english, fix));
    }
    if body.request.is_empty() || body.request.len() > 100 {
        let fix = if english {
            "any id of 1 to 100 bytes, new for each request"
        } else {
            "每次请求一个新编号，1 至 100 字节"
        };
        return Some(Problem::bad_field("request", &body.request, english, fix));
    }
    None
}

/// A shelf needs an end and a reason; a second person shows that they are one.
async fn shelve(
    app: &App,
    body: &Body,
    who: &Identity,
    peer: Peer,
    english: bool,
) -> Result<Verb, Response> {
    let bad = |field: &str, value: &str, fix: &str| {
        Problem::bad_field(field, value, english, fix).into_response()
    };
    let minutes = body.minutes.filter(|minutes| (1..=MINUTES_MAX).contains(minutes));
    let Some(minutes) = minutes else {
        let fix = if english {
            "give an end: 1 to 1440 minutes"
        } else {
            "必须给出时长：1 至 1440 分钟"
        };
        return Err(bad("minutes", &body.minutes.unwrap_or_default().to_string(), fix));
    };
    let second_person = second(app, body, who, peer, english).await?;
    let permit = Permit {
        reason: body.reason.clone(),
        position: who.position.clone(),
        second_person,
        permit_number: body.permit.clone(),
    };
    Ok(Verb::Shelve { for_ms: i64::from(minutes) * 60_000, one_shot: body.one_shot, permit })
}

/// The second person, who has shown that they are one; none where none is named.
async fn second(
    app: &App,
    body: &Body,
    who: &Identity,
    peer: Peer,
    english: bool,
) -> Result<Option<String>, Response> {
    let bad = |field: &str, value: &str, fix: &str| {
        Problem::bad_field(field, value, english, fix).into_response()
    };
    Ok(match (&body.second_person, &body.second_password) {
        (None, _) => None,
        (Some(_), None) => {
            let fix = if english {
                "the second person enters their password"
            } else {
                "第二人须输入自己的密码"
            };
            return Err(bad("second_password", "", fix));
        }
        (Some(name), Some(password)) => match app.accounts.log_in(name, password, peer).await {
            Ok((session, second)) => {
                // Only shown to be there: nothing of it stays.
                if let Some(hash) = secret::hash_of_session(&session) {
                    app.accounts.log_out(hash).await.ok();
                }
                if second.id == who.id || !second.may(Role::Operator) {
                    let fix = if english {
                        "another person with the role operator"
                    } else {
                        "须为另一名有操作权限的人"
                    };
                    return Err(bad("second_person", name, fix));
                }
                Some(second.display)
            }
            Err(refusal) => return Err(login::refused(&refusal, english)),
        },
    })
}

/// Out of service has no end of its own and silences everything: an engineer's act, with a reason,
/// and with a second person.
async fn out_of_service(
    app: &App,
    body: &Body,
    who: &Identity,
    peer: Peer,
    english: bool,
) -> Result<String, Response> {
    if !who.may(Role::Engineer) {
        return Err(Problem::role_needed(Role::Engineer).into_response());
    }
    if body.comment.trim().is_empty() {
        let fix = if english { "say why" } else { "必须写明原因" };
        return Err(Problem::bad_field("comment", "", english, fix).into_response());
    }
    if let Some(minutes) = body.minutes {
        let fix = if english {
            "has no end of its own: leave it out, and put it back in service; or shelve it"
        } else {
            "退出服务没有时限：请去掉，完工后恢复；需要时限请搁置"
        };
        return Err(
            Problem::bad_field("minutes", &minutes.to_string(), english, fix).into_response()
        );
    }
    second(app, body, who, peer, english).await?.ok_or_else(|| {
        let fix = if english {
            "a second person with their password"
        } else {
            "须第二人及其密码"
        };
        Problem::bad_field("second_person", "", english, fix).into_response()
    })
}

async fn act(
    app: &App,
    deed: &str,
    body: &Body,
    who: &Identity,
    verb: Verb,
) -> Result<Answered, Silence> {
    let command = Command {
        // The alarm loop finds it by its key.
        alarm: AlarmId(u32::MAX),
        verb,
        by: who.display.clone(),
        comment: body.comment.clone(),
        // The same id of another person, or for another deed, is another request.
        request: format!("{}/{deed}/{}/{}", body.request, who.id, body.alarm),
    };
    command_done(app, &body.alarm, command).await
}

fn told(outcome: &Outcome) -> (&'static str, String) {
    match outcome.cause {
        Cause::Refused if outcome.why.is_empty() => {
            ("refused", "当前状态不允许 / not in this state".to_owned())
        }
        Cause::Refused => ("refused", outcome.why.clone()),
        Cause::On
        | Cause::Off
        | Cause::Acknowledged
        | Cause::StaleAcknowledgement
        | Cause::Reset
        | Cause::Shelved
        | Cause::Unshelved
        | Cause::Suppressed
        | Cause::Unsuppressed
        | Cause::OutOfService
        | Cause::InService
        | Cause::ReAlarm
        | Cause::Duplicate
        | Cause::FutureStamp
        | Cause::Revised
        | Cause::Refuted
        | Cause::History
        | Cause::NoLongerJudged
        | Cause::JudgedAgain => ("done", String::new()),
    }
}
