//! The live stream (SSE). A browser that does not read lags, is told to load anew, and holds
//! nobody up. Nobody takes another person's place: who opens too many loses their own oldest.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Extension;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream::{self, Stream, StreamExt};
use serde::Deserialize;
use tokio::sync::{broadcast, oneshot};
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;
use tracing::warn;

use super::problem::wants_english;
use super::{App, Problem};
use crate::accounts::{Accounts, Credential, Identity};
use crate::counters::{Counters, add};
use crate::desk::{StreamEvent, follow};

/// Streams at once: two hundred desks, and browsers that forgot to close theirs.
const STREAMS_MAX: usize = 400;
/// One person's: a desk with several screens, a telephone, and what a flaky network left behind.
const STREAMS_OF_ONE: usize = 16;

/// How often a stream asks whether its session holds.
const ASK_EVERY: Duration = Duration::from_secs(5);

#[derive(Deserialize)]
pub(super) struct After {
    after: Option<u64>,
}

/// Who has which streams open.
#[derive(Debug)]
pub struct Streams {
    counters: Arc<Counters>,
    // Asked when a stream begins or ends, for microseconds.
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    last: u64,
    /// By number, the oldest first: whose, and what ends it when it is dropped.
    streams: BTreeMap<u64, (i64, oneshot::Sender<Infallible>)>,
}

impl Streams {
    pub(crate) fn new(counters: Arc<Counters>) -> Arc<Self> {
        Arc::new(Self { counters, open: Mutex::default() })
    }

    /// Counts a stream of a person for as long as it lives; none where all are taken by others.
    fn begin(self: &Arc<Self>, person: i64) -> Option<(Counted, oneshot::Receiver<Infallible>)> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let theirs = open.streams.iter().filter(|(_, (of, _))| *of == person);
        let theirs: Vec<u64> = theirs.map(|(number, _)| *number).collect();
        if let Some(oldest) = theirs.first()
            && (theirs.len() >= STREAMS_OF_ONE || open.streams.len() >= STREAMS_MAX)
        {
            open.streams.remove(oldest);
            add(&self.counters.streams_displaced, 1);
        }
        if open.streams.len() >= STREAMS_MAX {
            return None;
        }
        let (end, ended) = oneshot::channel();
        open.last += 1;
        let number = open.last;
        open.streams.insert(number, (person, end));
        self.count(&open);
        Some((Counted { number, streams: Arc::clone(self) }, ended))
    }

    fn count(&self, open: &Open) {
        let count = u64::try_from(open.streams.len()).unwrap_or(u64::MAX);
        self.counters.streams.store(count, Ordering::Relaxed);
    }
}

/// A stream's place.
struct Counted {
    number: u64,
    streams: Arc<Streams>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut open = self.streams.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.streams.remove(&self.number);
        self.streams.count(&open);
    }
}

pub(super) async fn stream(
    State(app): State<App>,
    Extension(who): Extension<Identity>,
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
    let Some((counted, displaced)) = app.streams.begin(who.id) else {
        return Problem::unavailable("实时流过多 / too many streams").into_response();
    };
    let last = headers.get("last-event-id").and_then(|v| v.to_str().ok()?.parse().ok());
    let Some(follow) = follow(&app.desk, last.or(after)).await else {
        return Problem::unavailable("desk").into_response();
    };
    let events = events(follow.missed, follow.events, app.counters.clone());
    let credential = credential.map(|Extension(credential)| credential);
    let events = events.take_until(displaced);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counters::get;

    #[test]
    fn one_person_takes_no_other_persons_stream() {
        let counters = Arc::new(Counters::default());
        let streams = Streams::new(counters.clone());
        let mut held: Vec<_> = (0..20).map(|_| streams.begin(1).unwrap()).collect();
        let ended = held.iter_mut().map(|(_, ended)| ended.try_recv());
        let closed = Err(oneshot::error::TryRecvError::Closed);
        let ended: Vec<bool> = ended.map(|end| end == closed).collect();
        assert!(ended[..4].iter().all(|end| *end), "the oldest go");
        assert!(ended[4..].iter().all(|end| !*end), "the newest stay");
        assert_eq!((get(&counters.streams), get(&counters.streams_displaced)), (16, 4));
        held.extend(
            (2..26)
                .flat_map(|person| (0..16).map(move |_| person))
                .map(|person| streams.begin(person).expect("room for others")),
        );
        assert_eq!(get(&counters.streams), 400);
        assert!(streams.begin(99).is_none(), "all are taken");
        assert!(streams.begin(5).is_some(), "one's own place is one's own");
        held.clear();
        assert_eq!(get(&counters.streams), 0);
    }
}
