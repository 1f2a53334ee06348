//! The API, the live stream, the no-script page and the console's files.
//!
//! - Nothing here is on the alarm path: a handler asks an owner and waits for its answer.
//! - A request that changes something needs the header `X-Fengsui: 1` and, where the browser
//!   names one, an Origin of this server: a foreign page can send neither.

mod ack;
mod api;
mod assets;
mod basic;
mod limits;
mod problem;
mod stream;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use fengsui_store::{AlarmJournal, ConfigDb, SeriesStore};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::TimeoutLayer;

use crate::accounts::Identity;
use crate::alarm_loop::Input;
use crate::counters::Counters;
use crate::demo::Control;
use crate::desk::DeskInput;
use crate::registry::Registry;
use crate::stamp::Stamp;

pub use assets::has_console;
pub use problem::Problem;

/// Largest request body: an acknowledgement of fifty rows with comments.
const BODY_MAX: usize = 256 * 1_024;
/// A handler that takes longer answers 504.
const HANDLER_MAX: Duration = Duration::from_secs(20);

/// What handlers work with.
#[derive(Clone)]
pub struct App {
    /// The desk.
    pub desk: mpsc::Sender<DeskInput>,
    /// The alarm loop.
    pub alarms: SyncSender<Input>,
    /// Points and gateways.
    pub registry: watch::Receiver<Arc<Registry>>,
    /// Values.
    pub store: SeriesStore,
    /// The journal.
    pub journal: AlarmJournal,
    /// Catalogues, accounts, limits.
    pub config_db: Arc<ConfigDb>,
    /// Limits: propose, approve, put in force.
    pub limits: crate::limits::Office,
    /// Zone.
    pub stamp: Stamp,
    /// Counters.
    pub counters: Arc<Counters>,
    /// The demo's handles, in a demo.
    pub demo: Option<Control>,
    /// Console files from disk.
    pub console_dist: Option<PathBuf>,
    /// What the forms of this server carry and foreign pages do not know.
    pub form_secret: Arc<str>,
}

/// Binds and serves until asked to stop.
///
/// # Errors
/// The address cannot be bound.
pub async fn start(
    app: App,
    address: SocketAddr,
    mut stop: watch::Receiver<bool>,
) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    let router = router(app);
    tokio::spawn(async move {
        let serving = axum::serve(listener, router);
        tokio::select! {
            _ = serving => {}
            () = crate::stop::asked(&mut stop) => {}
        }
    });
    Ok(address)
}

fn router(app: App) -> Router {
    let api = Router::new()
        .route("/desk", get(api::desk))
        .route("/points", get(api::points))
        .route("/points/{point}", get(api::point))
        .route("/points/{point}/trend", get(api::trend))
        .route("/journal", get(api::journal))
        .route("/alarms/ack", post(ack::acknowledge))
        .merge(limits::routes(app.limits.clone()))
        .route("/demo", get(api::demo))
        .route("/demo/cable", post(api::cable))
        .route("/demo/fault", post(api::fault))
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, HANDLER_MAX))
        .route("/stream", get(stream::stream))
        .fallback(problem::no_such_path);
    let same = |name: HeaderName, value: &'static str| {
        SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
    };
    Router::new()
        .nest("/api/v1", api)
        .route("/basic", get(basic::page).post(basic::acknowledge))
        .route("/healthz", get(api::healthz))
        .route("/metrics", get(api::metrics))
        .fallback(assets::serve)
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(from_fn(guard))
        .layer(from_fn(known_host))
        .layer(same(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(same(header::REFERRER_POLICY, "same-origin"))
        .layer(same(header::X_FRAME_OPTIONS, "DENY"))
        .layer(same(
            header::CONTENT_SECURITY_POLICY,
            "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'; form-action 'self'; base-uri 'none'",
        ))
        .with_state(app)
}

/// Refuses names that are not ours: a foreign name that was pointed at this address (DNS
/// rebinding) would make a foreign page one of this server. An address cannot be re-pointed.
async fn known_host(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|v| v.to_str().ok()).unwrap_or("");
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        Some(_) | None => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']');
    let known = name.is_empty() || name == "localhost" || address.parse::<IpAddr>().is_ok();
    if known { next.run(request).await } else { Problem::foreign_host(host).into_response() }
}

/// Refuses what a foreign page could make a browser send.
async fn guard(mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(Identity::local());
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return next.run(request).await;
    }
    let headers = request.headers();
    let text = |name: HeaderName| headers.get(name).and_then(|v| v.to_str().ok());
    let host = text(header::HOST).unwrap_or_default();
    // The no-script form carries a secret of its own, see `basic`; browsers send it with an
    // Origin, with `null`, or with none.
    let form = request.uri().path() == "/basic";
    let origin_is_ours = match text(header::ORIGIN) {
        None => true,
        Some("null") => form,
        Some(origin) => origin.split_once("://").is_some_and(|(_, from)| from == host),
    };
    if !origin_is_ours {
        return Problem::foreign_origin().into_response();
    }
    let marked = text(HeaderName::from_static("x-fengsui")) == Some("1");
    if !marked && !form {
        return Problem::unmarked().into_response();
    }
    next.run(request).await
}
