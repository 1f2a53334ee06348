//! The one door: where a request comes from, who sends it, and whether they may.
//!
//! - What a foreign page could make a browser send is refused before anybody is looked for.
//! - Rights are one table, [`RIGHTS`]. A path that changes something and is not in it is refused,
//!   whoever asks: a new command does not work before somebody has said who may give it.
//! - Every command leaves a note in the journal, also one that was refused.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};

use super::{App, Problem};
use crate::accounts::audit::Act;
use crate::accounts::password::Way;
use crate::accounts::settings::Metrics;
use crate::accounts::throttle::Network;
// Providers show a token of their channel, which its handler checks, and cannot be taught our
// header.
use super::calls::RECEIPT;
use super::origins::{Origins, host_and_port};
use crate::accounts::{Credential, Identity, Peer, Role, secret};

/// The cookie of a session over https, and over plain HTTP.
pub(super) const COOKIE_SECURE: &str = "__Host-fengsui";
pub(super) const COOKIE_PLAIN: &str = "fengsui";

/// Who may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Least {
    /// Everybody, also without a log-in.
    Open,
    /// A known person with at least this role.
    Person(Role),
    /// Nobody: the table does not know it.
    Nobody,
}

/// Methods of a line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Does {
    /// GET and HEAD.
    Reads,
    /// Everything else.
    Changes,
    /// Both.
    Any,
}

use Does::{Any, Changes, Reads};
use Least::{Open, Person};
use Role::{Admin, Engineer, Operator, Viewer};

/// The least role for what stands here; the first line that fits counts. `*` stands for one part
/// of a path, `**` for the rest of it, which may be empty.
const RIGHTS: &[(Does, &str, Least)] = &[
    (Any, "/healthz", Open),
    (Changes, "/api/v1/login", Open),
    (Changes, "/api/v1/logout", Open),
    (Reads, "/basic", Open),
    (Changes, "/basic/login", Open),
    (Changes, "/basic/logout", Open),
    (Changes, "/basic", Person(Operator)),
    (Changes, "/api/v1/me/password", Person(Viewer)),
    (Changes, "/api/v1/alarms/**", Person(Operator)),
    (Changes, RECEIPT, Open),
    (Changes, "/api/v1/calls/**", Person(Operator)),
    (Changes, "/api/v1/closures/**", Person(Operator)),
    (Changes, "/api/v1/closure/**", Person(Operator)),
    (Changes, "/api/v1/demo/**", Person(Operator)),
    (Changes, "/api/v1/limits/**", Person(Engineer)),
    (Changes, "/api/v1/rosters/**", Person(Engineer)),
    (Changes, "/api/v1/roster/**", Person(Engineer)),
    (Changes, "/api/v1/people/**", Person(Engineer)),
    (Reads, "/api/v1/audit", Person(Engineer)),
    (Any, "/api/v1/users/**", Person(Admin)),
    // Grafana asks by form.
    (Changes, "/prom/api/v1/query", Person(Viewer)),
    (Changes, "/prom/api/v1/query_range", Person(Viewer)),
    (Changes, "/prom/api/v1/series", Person(Viewer)),
    (Changes, "/prom/api/v1/labels", Person(Viewer)),
];

/// Who may do this. `known`: the router has a path for it; what it has none for is a page of the
/// console, or nothing.
pub(super) fn least(method: &Method, path: &str, known: bool) -> Least {
    let reads = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    let fits = |(does, pattern, _): &&(Does, &str, Least)| {
        let right = match does {
            Reads => reads,
            Changes => !reads,
            Any => true,
        };
        right && matches(pattern, path)
    };
    match RIGHTS.iter().find(fits) {
        Some((_, _, least)) => *least,
        None if !reads => Least::Nobody,
        None if known || path.starts_with("/api/") => Person(Viewer),
        None => Open,
    }
}

fn matches(pattern: &str, path: &str) -> bool {
    let mut parts = path.split('/');
    for wanted in pattern.split('/') {
        match (wanted, parts.next()) {
            ("**", _) => return true,
            ("*", Some(_)) => {}
            (wanted, Some(part)) if wanted == part => {}
            (_, Some(_) | None) => return false,
        }
    }
    parts.next().is_none()
}

/// What a handler wants to have in the journal beside its path.
#[derive(Clone, Debug)]
pub(super) struct Told {
    what: String,
    refused: bool,
}

impl Told {
    /// What was done.
    pub(super) fn done(what: String) -> Self {
        Self { what, refused: false }
    }

    /// What was not done, and why.
    pub(super) fn refused(why: String) -> Self {
        Self { what: why, refused: true }
    }
}

/// Refuses names that are not ours: a foreign name that was pointed at this address (DNS
/// rebinding) would make a foreign page one of this server. An address cannot be re-pointed.
pub(super) async fn known_host(State(app): State<App>, request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|v| v.to_str().ok()).unwrap_or("");
    if of_itself(host) || app.origins.has_host(host) {
        next.run(request).await
    } else {
        Problem::foreign_host(host).into_response()
    }
}

/// True for a Host that nobody can point elsewhere.
fn of_itself(host: &str) -> bool {
    let (name, _) = host_and_port(host);
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name.is_empty() || name == "localhost" || address.parse::<IpAddr>().is_ok()
}

/// Lets a request in, with its [`Peer`] and, where there is one, its [`Identity`] and
/// [`Credential`] in its extensions.
pub(super) async fn guard(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let mut peer = peer_of(&request);
    if app.origins.come_by(request.headers()) {
        // By a proxy, also one that does not say so: never from the machine itself.
        peer.way = Way::Far;
        peer.https |= app.origins.come_by_https(request.headers());
    }
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    if !reads && let Err(problem) = by_our_page(&app.origins, request.headers(), &path) {
        return refuse(&app, peer, (&method, &path), None, problem);
    }
    let credential = credential_of(request.headers(), peer, &app);
    let who = match identify(&app, credential, request.headers(), peer).await {
        Ok(who) => who,
        Err(problem) => return problem.into_response(),
    };
    let known = request.extensions().get::<MatchedPath>().is_some();
    let least = match (path.as_str(), app.accounts.settings.metrics, peer.way) {
        ("/metrics", Metrics::Open, Way::Near | Way::Far)
        | ("/metrics", Metrics::Loopback, Way::Near) => Open,
        (_, Metrics::Open | Metrics::Loopback | Metrics::Login, Way::Near | Way::Far) => {
            least(&method, &path, known)
        }
    };
    let form = path.starts_with("/basic");
    match (least, &who) {
        (Open, _) => {}
        (Person(_), None) if form => return Redirect::to("/basic").into_response(),
        (Person(_) | Least::Nobody, None) => {
            let problem = Problem::log_in_needed();
            let guessed = match credential {
                Some(Credential::Token(_)) => true,
                Some(Credential::Session(_)) => !reads,
                None => false,
            };
            return if !guessed {
                // A page that begins, or one whose session is over and that asks every few seconds.
                problem.into_response()
            } else {
                refuse(&app, peer, (&method, &path), None, problem)
            };
        }
        (Person(role), Some(who)) if who.may(role) => {}
        (Person(role), Some(who)) => {
            return refuse(&app, peer, (&method, &path), Some(who), Problem::role_needed(role));
        }
        (Least::Nobody, Some(who)) => {
            return refuse(&app, peer, (&method, &path), Some(who), Problem::nobody_may(&path));
        }
    }
    request.extensions_mut().insert(peer);
    if let Some(who) = &who {
        request.extensions_mut().insert(who.clone());
    }
    if let Some(credential) = credential.filter(|_| who.is_some()) {
        request.extensions_mut().insert(credential);
    }
    let response = next.run(request).await;
    // Log-in and log-out tell of themselves.
    if !reads
        && least != Open
        && let Some(who) = &who
    {
        tell(&app, peer, who, (&method, &path), &response);
    }
    response
}

/// Refuses what a foreign page could make a browser send.
fn by_our_page(origins: &Origins, headers: &HeaderMap, path: &str) -> Result<(), Problem> {
    let text = |name: HeaderName| headers.get(name).and_then(|v| v.to_str().ok());
    let host = text(header::HOST).unwrap_or_default();
    // The no-script forms carry a proof of their own, see `basic`; browsers send them with an
    // Origin, with `null`, or with none.
    let form = path == "/basic" || path.starts_with("/basic/");
    let origin_is_ours = match text(header::ORIGIN) {
        None => !headers.contains_key(header::ORIGIN),
        Some("null") => form,
        Some(origin) if origins.has(origin) => true,
        // Under a name only what the configuration says, so that its plain page is not its https one.
        Some(origin) => {
            of_itself(host) && origin.split_once("://").is_some_and(|(_, from)| from == host)
        }
    };
    if !origin_is_ours {
        return Err(Problem::foreign_origin());
    }
    let marked = text(HeaderName::from_static("x-fengsui")) == Some("1");
    if marked || form || path == RECEIPT { Ok(()) } else { Err(Problem::unmarked()) }
}

/// Where it comes from. Only a proxy on this machine is believed, and a request that came by one
/// is never from the machine itself.
fn peer_of(request: &Request) -> Peer {
    let connected = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let connected = connected.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |info| info.0.ip());
    let connected = connected.to_canonical();
    let far = Peer { address: connected, way: Way::Far, https: false };
    if !connected.is_loopback() {
        return far;
    }
    let headers = request.headers();
    let last = |name: &'static str| {
        let line = headers.get_all(name).iter().next_back()?.to_str().ok()?;
        line.rsplit(',').next().map(str::trim)
    };
    let https = last("x-forwarded-proto") == Some("https");
    let proxied = ["forwarded", "x-forwarded-for", "x-forwarded-proto", "x-real-ip", "via"]
        .iter()
        .any(|name| headers.contains_key(*name));
    let address = last("x-forwarded-for").and_then(|text| text.parse().ok()).unwrap_or(connected);
    if proxied { Peer { address, https, ..far } } else { Peer { way: Way::Near, ..far } }
}

/// What a request shows of its sender.
fn credential_of(headers: &HeaderMap, peer: Peer, app: &App) -> Option<Credential> {
    if let Some(line) = headers.get(header::AUTHORIZATION) {
        let (kind, token) = line.to_str().ok()?.split_once(' ')?;
        let token = kind.eq_ignore_ascii_case("bearer").then(|| token.trim())?;
        return secret::hash_of_token(token).map(Credential::Token);
    }
    let name = cookie_name(app, peer);
    // A proxy that names neither its scheme nor the browser's Host: only https can have set that one.
    let secure = app.origins.any_https().then(|| cookie(headers, COOKIE_SECURE)).flatten();
    let shown = secure.or_else(|| cookie(headers, name));
    shown.and_then(secret::hash_of_session).map(Credential::Session)
}

/// The cookie's name. By https only the one that no plain page can have set.
pub(super) fn cookie_name(app: &App, peer: Peer) -> &'static str {
    if peer.https || app.accounts.settings.secure_cookie { COOKIE_SECURE } else { COOKIE_PLAIN }
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim())
}

async fn identify(
    app: &App,
    credential: Option<Credential>,
    headers: &HeaderMap,
    peer: Peer,
) -> Result<Option<Identity>, Problem> {
    if let Some(credential) = credential {
        let who = app.accounts.who(credential).await;
        return who.map_err(|fault| Problem::unavailable(&fault.to_string()));
    }
    // In a demo, whoever comes from this machine and shows nothing is its duty officer. Whoever
    // has logged out shows that.
    let shows = headers.contains_key(header::AUTHORIZATION)
        || [COOKIE_PLAIN, COOKIE_SECURE].iter().any(|name| cookie(headers, name).is_some());
    let visits = peer.way == Way::Near && !shows;
    Ok(app.accounts.visitor.clone().filter(|_| visits))
}

fn refuse(
    app: &App,
    peer: Peer,
    (method, path): (&Method, &str),
    who: Option<&Identity>,
    problem: Problem,
) -> Response {
    let from = peer.address.to_string();
    let object = cut(&format!("{method} {path}"));
    let act = Act {
        by: who.map_or("", |who| who.display.as_str()),
        login: who.map_or("", |who| who.name.as_str()),
        verb: "refused",
        object: &object,
        outcome: problem.code(),
        detail: "",
        from: &from,
    };
    app.accounts.audit.refusal(Network::of(peer.address), act);
    problem.into_response()
}

fn tell(
    app: &App,
    peer: Peer,
    who: &Identity,
    (method, path): (&Method, &str),
    response: &Response,
) {
    let (from, object) = (peer.address.to_string(), cut(&format!("{method} {path}")));
    let told = response.extensions().get::<Told>();
    let status = response.status();
    // An answer may be fine and what was asked refused: the engine has its own word.
    let refused = told.is_some_and(|told| told.refused) || status.is_client_error();
    let outcome = match (refused, status.is_success()) {
        (true, _) => "refused",
        (false, true) => "ok",
        (false, false) => status.as_str(),
    };
    let detail = told.map(|told| cut(&told.what)).unwrap_or_default();
    app.accounts.audit.note(Act {
        by: &who.display,
        login: &who.name,
        verb: "command",
        object: &object,
        outcome,
        detail: &detail,
        from: &from,
    });
}

/// As much of a path, or of a reason, as a journal row should hold.
fn cut(text: &str) -> String {
    const LETTERS_MAX: usize = 400;
    text.chars().take(LETTERS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_table_does_not_know_is_for_nobody() {
        let post = |path| least(&Method::POST, path, true);
        assert_eq!(post("/api/v1/alarms/ack"), Person(Operator));
        assert_eq!(post("/api/v1/calls/answer"), Person(Operator));
        assert_eq!(post(RECEIPT), Open);
        assert_eq!(post("/api/v1/limits"), Person(Engineer));
        assert_eq!(post("/api/v1/limits/7/approve"), Person(Engineer));
        assert_eq!(post("/api/v1/users"), Person(Admin));
        for unknown in ["/api/v1/wipe", "/api/v1", "/", "/api/v1/alarmsack", "/metrics", "/desk"] {
            assert_eq!(post(unknown), Least::Nobody, "{unknown}");
        }
        assert_eq!(least(&Method::DELETE, "/api/v1/desk", true), Least::Nobody);
    }

    #[test]
    fn whatever_is_read_needs_a_person_but_the_pages() {
        let get = |path, known| least(&Method::GET, path, known);
        assert_eq!(get("/api/v1/desk", true), Person(Viewer));
        assert_eq!(get("/api/v1/nothing", false), Person(Viewer));
        assert_eq!(get("/prom/api/v1/query", true), Person(Viewer), "a path of tomorrow");
        assert_eq!(get("/metrics", true), Person(Viewer));
        assert_eq!(get("/api/v1/audit", true), Person(Engineer));
        assert_eq!(get("/api/v1/users", true), Person(Admin));
        assert_eq!(get("/desk", false), Open);
        assert_eq!(get("/healthz", true), Open);
        assert_eq!(least(&Method::HEAD, "/api/v1/users", true), Person(Admin));
    }
}
