//! The console's files, from the binary or, for its makers, from a folder.

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Redirect, Response};
use rust_embed::RustEmbed;

use super::App;

/// Built by `make web`; without it the pages are `/basic`.
#[derive(RustEmbed)]
#[folder = "../../console/dist"]
#[allow_missing = true]
struct Console;

/// True when the binary carries the console.
#[must_use]
pub fn has_console() -> bool {
    Console::get("index.html").is_some()
}

pub(super) async fn serve(State(app): State<App>, uri: Uri) -> Response {
    let path = uri.path().trim_start_matches('/');
    if let Some(bytes) = file(&app, path) {
        return answer(path, bytes);
    }
    if path.starts_with("assets/") {
        return StatusCode::NOT_FOUND.into_response();
    }
    match file(&app, "index.html") {
        Some(bytes) => answer("index.html", bytes),
        None => Redirect::temporary("/basic").into_response(),
    }
}

fn file(app: &App, path: &str) -> Option<Vec<u8>> {
    match &app.console_dist {
        Some(dist) => {
            let plain = path.split('/').all(|part| !part.is_empty() && part != ".." && part != ".");
            let file = dist.join(path);
            plain.then(|| std::fs::read(file).ok()).flatten()
        }
        None => Console::get(path).map(|file| file.data.into_owned()),
    }
}

fn answer(path: &str, bytes: Vec<u8>) -> Response {
    let kind = match path.rsplit_once('.').map(|(_, ending)| ending) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("json") => "application/json",
        Some(_) | None => "application/octet-stream",
    };
    let keep = if path.starts_with("assets/") {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CACHE_CONTROL, HeaderValue::from_static(keep)),
    ];
    (headers, bytes).into_response()
}
