//! The live stream (SSE). A browser that does not read lags, is told to load anew, and holds
//! nobody up.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Extension;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream::{self, Stream, StreamExt};
use serde::Deserialize;
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;
use tracing::warn;

use super::problem::wants_english;
use super::{App, Problem};
use crate::accounts::{Accounts, Credential};
use crate::counters::{Counters, add};
use crate::desk::{StreamEvent, follow};

/// Streams at once: two hundred desks, and browsers that forgot to close theirs.
const STREAMS_MAX: u64 = 400;

/// How often a stream asks whether its session holds.
const ASK_EVERY: Duration = Duration::from_secs(5);

#[derive(Deserialize)]
pub(super) struct After {
    after: Option<u64>,
}

/// Counts a stream for as long as it lives.
struct Counted(Arc<Counters>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

pub(super) async fn stream(
    State(app): State<App>,
    credential: Option<Extension<Credential>>,
    query: Result<Query<After>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    let after = match query {
        Ok(Query(query)) => query.after,
        Err(fault) => {
            return Problem::bad_query(&fault, wants_english(&headers)).into_response();
        }
    };
    if app.counters.streams.fetch_add(1, Ordering::Relaxed) >= STREAMS_MAX {
        app.counters.streams.fetch_sub(1, Ordering::Relaxed);
        return Problem::unavailable("实时流过多 / too many streams").into_response();
    }
    let counted = Counted(app.counters.clone());
    let last = headers.get("last-event-id").and_then(|v| v.to_str().ok()?.parse().ok());
    let Some(follow) = follow(&app.desk, last.or(after)).await else {
        return Problem::unavailable("desk").into_response();
    };
    let events = events(follow.missed, follow.events, app.counters.clone());
    let credential = credential.map(|Extension(credential)| credential);
    let events = events.take_until(Box::pin(gone(app.accounts, credential))).map(move |event| {
        let _held = &counted;
        Ok::<_, Infallible>(event)
    });
    let mut response = Sse::new(events).into_response();
    response.headers_mut().insert("x-accel-buffering", axum::http::HeaderValue::from_static("no"));
    response
}

/// Ends when whoever reads the stream has logged out, was disabled, or their time is over. A
/// stream that is read counts as use: a quiet night logs no desk out.
async fn gone(accounts: Arc<Accounts>, credential: Option<Credential>) {
    // A demo's visitor has no session that could end.
    let Some(credential) = credential else { return std::future::pending().await };
    let mut changes = accounts.changes();
    let mut turn = tokio::time::interval(ASK_EVERY);
    loop {
        tokio::select! {
            _ = turn.tick() => {}
            changed = changes.changed() => if changed.is_err() { return },
        }
        match accounts.who(credential).await {
            Ok(Some(_)) => {}
            Ok(None) => return,
            // What cannot be read does not blind a desk.
            Err(fault) => warn!(%fault, "whether a stream's session holds cannot be read"),
        }
    }
}

fn events(
    missed: Option<Vec<StreamEvent>>,
    coming: broadcast::Receiver<StreamEvent>,
    counters: Arc<Counters>,
) -> impl Stream<Item = Event> {
    let first = match missed {
        Some(missed) => missed.iter().map(event).collect(),
        None => vec![reset()],
    };
    // The hello tells the browser at once that the stream stands.
    let hello = Event::default().event("hello").data("{}");
    stream::iter(std::iter::once(hello).chain(first)).chain(BroadcastStream::new(coming).map(
        move |item| match item {
            Ok(item) => event(&item),
            Err(BroadcastStreamRecvError::Lagged(_)) => {
                add(&counters.resets, 1);
                reset()
            }
        },
    ))
}

fn event(event: &StreamEvent) -> Event {
    let out = Event::default().event(event.name).data(event.data.as_ref());
    match event.id {
        Some(id) => out.id(id.to_string()),
        None => out,
    }
}

fn reset() -> Event {
    Event::default().event("reset").data("{}")
}
