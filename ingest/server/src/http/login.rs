//! Log-in, log-out, and who one is.

use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};

use super::guard::{COOKIE_SECURE, cookie_name};
use super::problem::wants_english;
use super::{App, Problem};
use crate::accounts::password::{Weak, acceptable};
use crate::accounts::{Credential, Identity, Peer, Refusal};

/// What a demo's visitor shows who has logged out: not a session, but something, so that the page
/// asks for a log-in and does not take them for a new visitor.
const OUT: &str = "out";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LogIn {
    name: String,
    password: String,
}

/// A person as the API tells it.
pub(super) fn person(who: &Identity) -> Value {
    json!({
        "id": who.id, "name": who.name, "display": who.display, "role": who.role,
        "role_zh": who.role.people(), "position": who.position,
    })
}

pub(super) async fn me(Extension(who): Extension<Identity>) -> Json<Value> {
    Json(person(&who))
}

pub(super) async fn log_in(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    before: Option<Extension<Credential>>,
    headers: HeaderMap,
    body: Result<Json<LogIn>, JsonRejection>,
) -> Response {
    let english = wants_english(&headers);
    let Json(wanted) = match body {
        Ok(body) => body,
        Err(fault) => {
            let fix = r#"{"name":"wang","password":"…"}"#;
            return Problem::bad_field("body", &fault.status().to_string(), english, fix)
                .into_response();
        }
    };
    match app.accounts.log_in(&wanted.name, &wanted.password, peer).await {
        Ok((text, who)) => {
            // Whoever logs in anew leaves nothing of the old session behind.
            if let Some(Extension(Credential::Session(old))) = before {
                app.accounts.log_out(old).await.ok();
            }
            let mut response = Json(person(&who)).into_response();
            set_cookie(&app, peer, &text, &mut response);
            response
        }
        Err(refusal) => refused(&refusal, english),
    }
}

/// A refused log-in as an answer.
pub(super) fn refused(refusal: &Refusal, english: bool) -> Response {
    match refusal {
        Refusal::Wrong => {
            let (title, fix) = if english {
                ("name or password is wrong", "check the Caps Lock; an admin sets a new password")
            } else {
                ("名称或密码不对", "检查大小写锁定；忘记密码请管理员重设")
            };
            let status = StatusCode::UNAUTHORIZED;
            Problem::new(status, "wrong_password", title, "password", "", fix).into_response()
        }
        Refusal::Wait(span) => {
            let seconds = span.as_secs_f64().ceil().max(1.0);
            let (title, fix) = if english {
                ("too many tries", format!("try again in {seconds} s"))
            } else {
                ("尝试过于频繁", format!("{seconds} 秒后再试"))
            };
            let status = StatusCode::TOO_MANY_REQUESTS;
            let problem = Problem::new(status, "too_many_tries", title, "password", "", &fix);
            let mut response = problem.into_response();
            if let Ok(value) = HeaderValue::from_str(&seconds.to_string()) {
                response.headers_mut().insert(header::RETRY_AFTER, value);
            }
            response
        }
        Refusal::Unavailable(why) => Problem::unavailable(why).into_response(),
    }
}

pub(super) async fn log_out(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    who: Option<Extension<Identity>>,
    credential: Option<Extension<Credential>>,
) -> Response {
    match end(&app, peer, who, credential).await {
        Ok(()) => {
            let mut response = Json(json!({})).into_response();
            clear_cookie(&app, peer, &mut response);
            response
        }
        Err(refusal) => refused(&refusal, false),
    }
}

/// Ends the session that a request shows.
pub(super) async fn end(
    app: &App,
    peer: Peer,
    who: Option<Extension<Identity>>,
    credential: Option<Extension<Credential>>,
) -> Result<(), Refusal> {
    if let Some(Extension(Credential::Session(hash))) = credential {
        app.accounts.log_out(hash).await?;
    }
    if let Some(Extension(who)) = who {
        app.accounts.tell(&who, peer, "log_out", "");
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPassword {
    old: String,
    new: String,
}

pub(super) async fn new_password(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    Extension(who): Extension<Identity>,
    headers: HeaderMap,
    body: Result<Json<NewPassword>, JsonRejection>,
) -> Response {
    let english = wants_english(&headers);
    let Json(wanted) = match body {
        Ok(body) => body,
        Err(fault) => {
            let fix = r#"{"old":"…","new":"…"}"#;
            return Problem::bad_field("body", &fault.status().to_string(), english, fix)
                .into_response();
        }
    };
    if let Err(weak) = acceptable(&who.name, &wanted.new) {
        return weak_password(weak, english).into_response();
    }
    match app.accounts.new_password(&who, &wanted.old, &wanted.new, peer).await {
        Ok(()) => {
            // All sessions are over, this one too.
            let mut response = Json(json!({})).into_response();
            clear_cookie(&app, peer, &mut response);
            response
        }
        Err(refusal) => refused(&refusal, english),
    }
}

/// A password that is not taken, as an answer that does not repeat it.
pub(super) fn weak_password(weak: Weak, english: bool) -> Problem {
    Problem::bad_field("password", "", english, &weak.to_string())
}

/// Gives a browser its session.
pub(super) fn set_cookie(app: &App, peer: Peer, text: &str, response: &mut Response) {
    let seconds = app.accounts.settings.session_ms / 1_000;
    put_cookie(cookie_name(app, peer), text, seconds, response);
}

/// Takes it back.
pub(super) fn clear_cookie(app: &App, peer: Peer, response: &mut Response) {
    if app.accounts.visitor.is_some() {
        let seconds = app.accounts.settings.session_ms / 1_000;
        put_cookie(cookie_name(app, peer), OUT, seconds, response);
        return;
    }
    put_cookie(cookie_name(app, peer), "", 0, response);
}

fn put_cookie(name: &'static str, text: &str, seconds: i64, response: &mut Response) {
    let secure = if name == COOKIE_SECURE { "; Secure" } else { "" };
    let line =
        format!("{name}={text}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}");
    if let Ok(value) = HeaderValue::from_str(&line) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
    let private = HeaderValue::from_static("no-store");
    response.headers_mut().insert(header::CACHE_CONTROL, private);
}
