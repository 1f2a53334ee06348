//! People, for the admin: list, make, disable, enable, new password, role.

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use fengsui_store::{AccountFault, Deed, NewUser, User, UserChange};
use serde::Deserialize;
use serde_json::{Value, json};

use super::api::blocking;
use super::guard::Told;
use super::login::{refused, weak_password};
use super::problem::wants_english;
use super::{App, Problem};
use crate::accounts::password::acceptable;
use crate::accounts::people::plain_name;
use crate::accounts::{Identity, Peer, Refusal, Role, secret};
use crate::clock;

/// Letters of a name that people read, and of a position.
const DISPLAY_MAX: usize = 40;

fn user_json(user: &User) -> Value {
    json!({
        "id": user.id, "name": user.name, "display": user.display, "role": user.role,
        "position": user.position, "disabled": user.disabled, "created_ms": user.created.0,
    })
}

pub(super) async fn list(State(app): State<App>) -> Response {
    let db = app.config_db.clone();
    match blocking(move || db.users()).await {
        Ok(users) => Json(users.iter().map(user_json).collect::<Vec<_>>()).into_response(),
        Err(fault) => Problem::unavailable(&fault).into_response(),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    name: String,
    #[serde(default)]
    display: String,
    role: Role,
    #[serde(default)]
    position: String,
    password: Option<String>,
}

pub(super) async fn add(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    Extension(who): Extension<Identity>,
    headers: HeaderMap,
    body: Result<Json<Wanted>, JsonRejection>,
) -> Response {
    let english = wants_english(&headers);
    let Json(wanted) = match body {
        Ok(body) => body,
        Err(_) => {
            let fix = r#"{"name":"wang","display":"王敏","role":"operator","position":"值班台"}"#;
            return Problem::bad_field("body", "", english, fix).into_response();
        }
    };
    if let Err(why) = plain_name(&wanted.name) {
        return Problem::bad_field("name", &wanted.name, english, why).into_response();
    }
    for (field, text) in [("display", &wanted.display), ("position", &wanted.position)] {
        if text.chars().count() > DISPLAY_MAX || text.chars().any(char::is_control) {
            return Problem::bad_field(field, "", english, "≤ 40").into_response();
        }
    }
    let (hash, made) = match password_for(&app, peer, &wanted.name, wanted.password, english).await
    {
        Ok(found) => found,
        Err(response) => return response,
    };
    let told = format!("{} {}", wanted.name, wanted.role.word());
    let name = wanted.name.clone();
    let added = app.accounts.change(move |db| {
        let or = |text: &String, other: &str| {
            if text.is_empty() { other.to_owned() } else { text.clone() }
        };
        let (display, position) =
            (or(&wanted.display, &wanted.name), or(&wanted.position, "值班台"));
        let new = NewUser {
            name: &wanted.name,
            display: &display,
            role: wanted.role.word(),
            position: &position,
            hash: &hash,
        };
        db.add_user(new, Deed { by: &who.name, now: clock::now() })
    });
    match added.await {
        Ok(Ok(id)) => {
            let body = json!({ "id": id, "name": name, "password": made });
            let mut response = (StatusCode::CREATED, Json(body)).into_response();
            response.extensions_mut().insert(Told::done(told));
            response
        }
        Ok(Err(fault)) => account_problem(&fault).into_response(),
        Err(fault) => Problem::unavailable(&fault.to_string()).into_response(),
    }
}

/// The text of the wanted password, or of a new one, which is told once.
async fn password_for(
    app: &App,
    peer: Peer,
    name: &str,
    wanted: Option<String>,
    english: bool,
) -> Result<(String, Option<String>), Response> {
    let (password, made) = match wanted {
        Some(password) => (password, None),
        None => {
            let made = secret::password()
                .map_err(|fault| Problem::unavailable(&fault.to_string()).into_response())?;
            (made.clone(), Some(made))
        }
    };
    acceptable(name, &password).map_err(|weak| weak_password(weak, english).into_response())?;
    let hash = app.accounts.hash(peer.way, &password).await;
    let wait = Refusal::Wait(std::time::Duration::from_secs(2));
    hash.map(|hash| (hash, made)).map_err(|_| refused(&wait, english))
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    password: Option<String>,
    role: Option<Role>,
}

/// `POST /users/{name}/{deed}`: disable, enable, password, role.
pub(super) async fn change(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    Extension(who): Extension<Identity>,
    Path((name, deed)): Path<(String, String)>,
    headers: HeaderMap,
    body: Result<Json<Change>, JsonRejection>,
) -> Response {
    let english = wants_english(&headers);
    let wanted = body.map(|Json(wanted)| wanted).unwrap_or_default();
    let mut made = None;
    let (hash, role) = match (deed.as_str(), wanted.role) {
        ("disable" | "enable", _) => (String::new(), Role::Viewer),
        ("role", Some(role)) => (String::new(), role),
        ("password", _) => match password_for(&app, peer, &name, wanted.password, english).await {
            Ok((hash, new)) => {
                made = new;
                (hash, Role::Viewer)
            }
            Err(response) => return response,
        },
        (_, _) => {
            let fix = r#"disable, enable, password {"password":"…"}, role {"role":"engineer"}"#;
            return Problem::bad_field("deed", &deed, english, fix).into_response();
        }
    };
    let changed = app.accounts.change(move |db| {
        let change = match deed.as_str() {
            "disable" => UserChange::Disable,
            "enable" => UserChange::Enable,
            "role" => UserChange::Role(role.word()),
            _ => UserChange::Password(&hash),
        };
        db.change_user(&name, change, Deed { by: &who.name, now: clock::now() })
    });
    match changed.await {
        Ok(Ok(())) => Json(json!({ "password": made })).into_response(),
        Ok(Err(fault)) => account_problem(&fault).into_response(),
        Err(fault) => Problem::unavailable(&fault.to_string()).into_response(),
    }
}

fn account_problem(fault: &AccountFault) -> Problem {
    let text = fault.to_string();
    let (status, code) = match fault {
        AccountFault::NameTaken(_) => (StatusCode::CONFLICT, "name_taken"),
        AccountFault::NoSuchUser(_) => (StatusCode::NOT_FOUND, "no_such_user"),
        AccountFault::NoSuchToken(_) => (StatusCode::NOT_FOUND, "no_such_token"),
        AccountFault::LastAdmin(_) => (StatusCode::CONFLICT, "last_admin"),
        AccountFault::TokensFull(_) => (StatusCode::CONFLICT, "tokens_full"),
        AccountFault::Store(_) => return Problem::unavailable(&text),
    };
    Problem::new(status, code, "账号未更改 / the account was not changed", "name", "", &text)
}
