//! Acknowledgement: names occurrences, never "all".

use std::collections::BTreeSet;
use std::time::Duration;

use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use fengsui_alerting::{AlarmId, Cause, Command, Letter, Verb};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::guard::Told;
use super::problem::wants_english;
use super::{App, Problem};
use crate::accounts::Identity;
use crate::alarm_loop::{Answered, Input};

/// Rows in one request: what a person can have on the screen.
const ROWS_MAX: usize = 50;
/// Characters of a comment.
const COMMENT_MAX: usize = 2_000;

/// The journal has a command by then, or whoever gave it hears that it has not: the engine has
/// done it, and the disk may be full.
const RECORD_MAX: Duration = Duration::from_secs(5);

/// How the engine begins to say that an occurrence never was.
const NO_OCCURRENCE: &str = "没有第";
/// The id of a request belongs to one deed of one person.
pub(super) const USED_BEFORE: &str = "此请求编号已用于另一操作；请换新编号 / this request id was used for another deed; use a new one";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    acks: Vec<Named>,
    #[serde(default)]
    comment: String,
    request: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Named {
    alarm: String,
    occurrence: u64,
    /// For a second level: the occurrence of the first that the screen shows with it.
    #[serde(default)]
    first_level: Option<u64>,
}

/// What became of one acknowledgement.
#[derive(Serialize)]
pub(super) struct Done {
    pub(super) alarm: String,
    pub(super) occurrence: u64,
    pub(super) outcome: &'static str,
    pub(super) why: String,
}

#[derive(Serialize)]
struct Answer {
    results: Vec<Done>,
}

pub(super) async fn acknowledge(
    State(app): State<App>,
    Extension(who): Extension<Identity>,
    headers: HeaderMap,
    body: Result<Json<Request>, JsonRejection>,
) -> Response {
    let english = wants_english(&headers);
    let Json(request) = match body {
        Ok(body) => body,
        Err(fault) => {
            let fix = r#"{"acks":[{"alarm":"GW-01/TK-101.LT/HH","occurrence":1}],"comment":"","request":"id"}"#;
            return Problem::bad_body(&fault, super::BODY_MAX, english, fix).into_response();
        }
    };
    if request.acks.is_empty() || request.acks.len() > ROWS_MAX {
        let count = request.acks.len().to_string();
        let fix = if english { "name 1 to 50 occurrences" } else { "每次 1 至 50 条" };
        return Problem::bad_field("acks", &count, english, fix).into_response();
    }
    if request.comment.chars().count() > COMMENT_MAX {
        let fix = if english { "at most 2,000 characters" } else { "不超过 2000 字" };
        return Problem::bad_field("comment", "", english, fix).into_response();
    }
    if request.request.is_empty() || request.request.len() > 100 {
        let fix = if english {
            "any id of 1 to 100 bytes, new for each request"
        } else {
            "每次请求一个新编号，1 至 100 字节"
        };
        return Problem::bad_field("request", &request.request, english, fix).into_response();
    }
    let mut results = Vec::with_capacity(request.acks.len());
    let mut named_before = BTreeSet::new();
    for named in request.acks {
        if !named_before.insert((named.alarm.clone(), named.occurrence)) {
            continue;
        }
        let ask = Ask { comment: &request.comment, request: &request.request, by: &who };
        match one(&app, &named.alarm, (named.occurrence, named.first_level), ask).await {
            Ok(done) => results.push(done),
            Err(silence) => return silence.problem().into_response(),
        }
    }
    let told = told(&results);
    let mut response = Json(Answer { results }).into_response();
    response.extensions_mut().insert(told);
    response
}

/// Whose acknowledgement, with what words.
#[derive(Clone, Copy)]
pub(super) struct Ask<'a> {
    pub(super) comment: &'a str,
    pub(super) request: &'a str,
    pub(super) by: &'a Identity,
}

/// The first ones by name; each has its own row in the journal.
fn told(results: &[Done]) -> Told {
    const NAMED: usize = 5;
    let named = results.iter().take(NAMED).map(|done| {
        let gap = if done.why.is_empty() { "" } else { ": " };
        format!("{}#{} {}{gap}{}", done.alarm, done.occurrence, done.outcome, done.why)
    });
    let named: Vec<String> = named.collect();
    let more = results.len().saturating_sub(NAMED);
    let told = if more > 0 { format!("{}; +{more}", named.join("; ")) } else { named.join("; ") };
    // What was acknowledged in part is done; the rest is named.
    let any = results.iter().any(|done| done.outcome == "acknowledged");
    if any { Told::done(told) } else { Told::refused(told) }
}

/// Acknowledges one occurrence.
pub(super) async fn one(
    app: &App,
    alarm: &str,
    (occurrence, first_level): (u64, Option<u64>),
    Ask { comment, request, by }: Ask<'_>,
) -> Result<Done, Silence> {
    let done = |outcome, why: String| Done { alarm: alarm.to_owned(), occurrence, outcome, why };
    let command = Command {
        // The alarm loop finds it by its key.
        alarm: AlarmId(u32::MAX),
        verb: Verb::Acknowledge { occurrence, first_level },
        by: by.display.clone(),
        comment: comment.to_owned(),
        request: format!("{request}/{alarm}/{occurrence}"),
    };
    Ok(match command_done(app, alarm, command).await? {
        Answered::Unknown => done("unknown", "没有这个报警 / no such alarm".to_owned()),
        Answered::Conflict => done("refused", USED_BEFORE.to_owned()),
        Answered::Done(outcome) => match outcome.cause {
            Cause::Acknowledged => done("acknowledged", String::new()),
            Cause::StaleAcknowledgement => {
                let why = "已有更新的一次，请确认最新的 / a newer occurrence stands; acknowledge that one";
                done("stale", why.to_owned())
            }
            // The rule that refused it speaks for itself.
            Cause::Refused if outcome.why.starts_with(NO_OCCURRENCE) => {
                done("unknown", format!("{alarm}: {}", outcome.why))
            }
            Cause::Refused if !outcome.why.is_empty() => done("refused", outcome.why),
            // Somebody was first, or the same person adds a note: it is in the journal.
            Cause::Refused
                if !comment.is_empty() && matches!(outcome.letter, Letter::C | Letter::F) =>
            {
                let why =
                    "已确认过，备注已记入台账 / acknowledged before; the note is in the journal";
                done("acknowledged", why.to_owned())
            }
            Cause::Refused => {
                let why = "当前状态不需要确认 / nothing to acknowledge in this state";
                done("refused", why.to_owned())
            }
            Cause::On
            | Cause::Off
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
            | Cause::JudgedAgain => done("refused", outcome.why),
        },
    })
}

/// Why a command has no answer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Silence {
    /// The loop has ended, or has no room.
    Ended,
    /// It is done and not recorded.
    NotRecorded,
}

impl Silence {
    pub(super) fn problem(self) -> Problem {
        match self {
            Self::Ended => Problem::unavailable("alarm loop"),
            Self::NotRecorded => {
                let title = "已受理，尚未入账 / taken, not recorded yet";
                let fix = "勿重复操作；台账写入后自动补记。请检查中心数据盘的剩余空间 / do not repeat it: the journal is written as soon as the disk takes it; check free space at the centre";
                let status = StatusCode::SERVICE_UNAVAILABLE;
                Problem::new(status, "not_recorded", title, "journal", "", fix)
            }
        }
    }
}

/// Gives a command to the alarm loop and waits until it is recorded.
pub(super) async fn command_done(
    app: &App,
    alarm: &str,
    command: Command,
) -> Result<Answered, Silence> {
    let (reply, answer) = oneshot::channel();
    let (alarms, alarm) = (app.alarms.clone(), alarm.to_owned());
    // The queue may be full for a moment; a blocking send must not hold the web server.
    let send = move || alarms.send(Input::Command(alarm, command, reply)).is_ok();
    match tokio::task::spawn_blocking(send).await {
        Ok(true) => {}
        Ok(false) | Err(_) => return Err(Silence::Ended),
    }
    let answer = tokio::time::timeout(RECORD_MAX, answer).await;
    answer.map_err(|_| Silence::NotRecorded)?.map_err(|_| Silence::Ended)
}
