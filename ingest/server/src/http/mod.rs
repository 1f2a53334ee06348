//! The API, the live stream, the no-script page and the console's files.
//!
//! - Nothing here is on the alarm path: a handler asks an owner and waits for its answer.
//! - A request that changes something needs the header `X-Fengsui: 1` and, where the browser
//!   names one, an Origin of this server: a foreign page can send neither.
//! - Every request passes `guard`: who it is, and whether they may.

mod ack;
mod api;
mod assets;
mod audit;
mod basic;
mod calls;
mod closure;
mod compare;
mod deed;
mod guard;
mod installations;
mod limits;
mod lines;
mod login;
mod misfits;
mod origins;
mod problem;
mod report;
mod roster;
mod stream;
mod users;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{from_fn_with_state, map_response};
use axum::routing::{get, post};
use fengsui_store::{AlarmJournal, ConfigDb, SeriesStore};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::TimeoutLayer;

use crate::accounts::Accounts;
use crate::alarm_loop::Input;
use crate::calls::Calls;
use crate::counters::Counters;
use crate::demo::Control;
use crate::desk::DeskInput;
use crate::registry::Registry;
use crate::stamp::Stamp;
use lines::{Limits, Lines};

pub use assets::has_console;
pub use origins::{ORIGINS_MAX, Origins};
pub use problem::Problem;
pub use report::Reports;
pub use stream::Streams;

/// Largest request body: an acknowledgement of fifty rows with comments.
const BODY_MAX: usize = 256 * 1_024;
/// A handler that takes longer answers 504.
const HANDLER_MAX: Duration = Duration::from_secs(20);

/// What handlers work with.
#[derive(Clone)]
pub struct App {
    /// Calls and hidden dangers.
    pub calls: Calls,
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
    /// Reports.
    pub report: Reports,
    /// Zone.
    pub stamp: Stamp,
    /// Counters.
    pub counters: Arc<Counters>,
    /// Live streams.
    pub streams: Arc<Streams>,
    /// The demo's handles, in a demo.
    pub demo: Option<Control>,
    /// Console files from disk.
    pub console_dist: Option<PathBuf>,
    /// Who may log in, and who has.
    pub accounts: Arc<Accounts>,
    /// Names under which browsers come by a proxy.
    pub origins: Arc<Origins>,
    /// Proves the forms of this server, which foreign pages cannot.
    pub form_secret: Arc<str>,
}

/// Binds and serves until asked to stop, so many connections at once.
///
/// # Errors
/// The address cannot be bound.
pub async fn start(
    app: App,
    address: SocketAddr,
    connections: usize,
    mut stop: watch::Receiver<bool>,
) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    let serving = lines::serve(listener, router(app), Lines::new(Limits::of(connections)));
    tokio::spawn(async move {
        tokio::select! {
            never = serving => match never {},
            () = crate::stop::asked(&mut stop) => {}
        }
    });
    Ok(address)
}

/// The whole of it; who serves it gives it the address of each connection.
fn router(app: App) -> Router {
    let api = Router::new()
        .route("/desk", get(api::desk))
        .route("/gateways/{id}/compare", get(compare::compare))
        .route("/installations", get(installations::installations))
        .route("/points", get(api::points))
        .route("/points/{point}", get(api::point))
        .route("/points/{point}/trend", get(api::trend))
        .route("/journal", get(api::journal))
        .route("/alarms/ack", post(ack::acknowledge))
        .route("/alarms/{deed}", post(deed::deed))
        .route("/login", post(login::log_in))
        .route("/logout", post(login::log_out))
        .route("/me", get(login::me))
        .route("/me/password", post(login::new_password))
        .route("/users", get(users::list).post(users::add))
        .route("/users/{name}/{deed}", post(users::change))
        .route("/audit", get(audit::audit))
        .merge(calls::routes())
        .merge(closure::routes())
        .merge(roster::routes())
        .merge(report::routes())
        .merge(limits::routes(app.limits.clone()))
        .route("/demo", get(api::demo))
        .route("/demo/cable", post(api::cable))
        .route("/demo/fault", post(api::fault))
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, HANDLER_MAX))
        .route("/stream", get(stream::stream))
        .fallback(problem::no_such_path)
        .layer(map_response(problem::worded));
    let same = |name: HeaderName, value: &'static str| {
        SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
    };
    Router::new()
        .nest("/api/v1", api)
        .route("/basic", get(basic::page).post(basic::acknowledge))
        .route("/basic/login", post(basic::log_in))
        .route("/basic/logout", post(basic::log_out))
        .route("/healthz", get(api::healthz))
        .route("/metrics", get(api::metrics))
        .fallback(assets::serve)
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, HANDLER_MAX))
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(from_fn_with_state(app.clone(), guard::guard))
        .layer(from_fn_with_state(app.clone(), guard::known_host))
        .layer(same(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(same(header::REFERRER_POLICY, "same-origin"))
        .layer(same(header::X_FRAME_OPTIONS, "DENY"))
        .layer(same(
            header::CONTENT_SECURITY_POLICY,
            "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'; form-action 'self'; base-uri 'none'",
        ))
        .with_state(app)
}
