//! The connections of the web server: how many there may be, and whose turn it is to go.
//!
//! - A connection on which nothing is asked costs a descriptor and may be anybody's, without a
//!   log-in. Where there are too many, the one that has asked for nothing for longest goes.
//! - One that is being answered, or carries a live stream, is never closed for another.
//! - Some are kept for this machine: whoever stands at it always gets in.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, Response, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tracing::{debug, warn};

use crate::accounts::throttle::Network;
use crate::clock;

/// A head that is not complete by then, or a connection on which nothing new was asked for so
/// long, is over; a browser opens another.
const HEAD_MAX: Duration = Duration::from_secs(10);
/// One network's part of all, as a divisor: several desks behind one address, and no more.
const PER_NETWORK: usize = 8;
/// This machine's own part of all, as a divisor.
const RESERVE: usize = 8;
/// Where the system gives no descriptor, it is asked again after this.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// And said so this often.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// How many connections there may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// In all.
    all: usize,
    /// Of these for this machine alone.
    reserve: usize,
    /// Of one network, not of this machine: a proxy on it has everybody's.
    network: usize,
    /// For a request's head.
    head: Duration,
    /// Whether an address is this machine's.
    near: fn(SocketAddr) -> bool,
}

impl Limits {
    /// So many in all.
    pub(super) fn of(all: usize) -> Self {
        Self {
            all,
            reserve: (all / RESERVE).max(1),
            network: (all / PER_NETWORK).max(1),
            head: HEAD_MAX,
            near: |address| address.ip().to_canonical().is_loopback(),
        }
    }
}

/// A connection.
#[derive(Debug)]
struct Line {
    network: Network,
    near: bool,
    /// Since which turn nothing is asked on it; none while it is answered.
    idle: Option<u64>,
    close: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Held {
    /// Counts whatever happens: what is smaller was earlier.
    turn: u64,
    lines: BTreeMap<u64, Line>,
}

impl Held {
    fn next(&mut self) -> u64 {
        self.turn += 1;
        self.turn
    }

    /// The one that has been idle for longest among some.
    fn idlest(&self, some: impl Fn(&Line) -> bool) -> Option<u64> {
        let idle = self.lines.iter().filter(|(_, line)| some(line));
        let idle = idle.filter_map(|(id, line)| Some((line.idle?, *id)));
        idle.min().map(|(_, id)| id)
    }

    fn count(&self, some: impl Fn(&Line) -> bool) -> usize {
        self.lines.values().filter(|line| some(line)).count()
    }
}

/// What becomes of one who comes.
#[derive(Debug, PartialEq, Eq)]
enum Entry {
    /// There is room.
    Room,
    /// Once this one has gone.
    After(u64),
    /// All others are being answered.
    Full,
}

impl From<Option<u64>> for Entry {
    fn from(id: Option<u64>) -> Self {
        id.map_or(Self::Full, Self::After)
    }
}

/// All connections.
#[derive(Debug)]
pub(super) struct Lines {
    limits: Limits,
    // Asked by every connection's task, for microseconds.
    held: Mutex<Held>,
}

impl Lines {
    pub(super) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self { limits, held: Mutex::default() })
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn entry(&self, held: &Held, network: Network, near: bool) -> Entry {
        let Limits { all, reserve, network: most, .. } = self.limits;
        let of_them = |line: &Line| !line.near && line.network == network;
        let far = |line: &Line| !line.near;
        if !near && held.count(of_them) >= most {
            held.idlest(of_them).into()
        } else if !near && held.count(far) >= all - reserve {
            held.idlest(far).into()
        } else if held.lines.len() < all {
            Entry::Room
        } else {
            // Either the far, or the machine with more than its reserve: the idlest of both.
            held.idlest(|_| true).into()
        }
    }

    /// Takes one in, if need be after another has gone; none where there is no room.
    async fn take(self: &Arc<Self>, from: SocketAddr) -> Option<(Seat, watch::Receiver<bool>)> {
        let (network, near) = (Network::of(from.ip()), (self.limits.near)(from));
        let goes = {
            let mut held = self.held();
            match self.entry(&held, network, near) {
                Entry::Room => None,
                Entry::After(id) => held.lines.remove(&id),
                Entry::Full => return None,
            }
        };
        if let Some(goes) = goes {
            goes.close.send_replace(true);
            // Its descriptor is free before the next is taken.
            goes.close.closed().await;
        }
        let (close, closing) = watch::channel(false);
        let mut held = self.held();
        let id = held.next();
        held.lines.insert(id, Line { network, near, idle: Some(id), close });
        Some((Seat { id, lines: Arc::clone(self) }, closing))
    }
}

/// A connection's place among the others; it is given up when the connection ends.
#[derive(Debug)]
struct Seat {
    id: u64,
    lines: Arc<Lines>,
}

impl Seat {
    fn busy(&self) {
        if let Some(line) = self.lines.held().lines.get_mut(&self.id) {
            line.idle = None;
        }
    }

    fn idle(&self) {
        let mut held = self.lines.held();
        let turn = held.next();
        if let Some(line) = held.lines.get_mut(&self.id) {
            line.idle = Some(turn);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.lines.held().lines.remove(&self.id);
    }
}

/// Accepts and answers for ever.
pub(super) async fn serve(listener: TcpListener, router: Router, lines: Arc<Lines>) -> Infallible {
    let mut said = None;
    loop {
        match listener.accept().await {
            Ok((stream, from)) => match lines.take(from).await {
                Some((seat, closing)) => {
                    tokio::spawn(carry(stream, from, router.clone(), seat, closing));
                }
                None => debug!(%from, "all connections are in use"),
            },
            // Who came has gone again.
            Err(fault) if is_theirs(&fault) => {}
            Err(fault) => {
                let now = clock::monotonic();
                if said.is_none_or(|at| now.saturating_duration_since(at) >= SAY_EVERY) {
                    warn!(%fault, "no connection can be accepted; tried again and again");
                    said = Some(now);
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn is_theirs(fault: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(fault.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// One connection until it ends, or has to go.
async fn carry(
    stream: TcpStream,
    from: SocketAddr,
    router: Router,
    seat: Seat,
    mut closing: watch::Receiver<bool>,
) {
    let head = seat.lines.limits.head;
    let seat = Arc::new(seat);
    let answer = service_fn(move |request| answer(router.clone(), request, from, seat.clone()));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(head);
    let ended = tokio::select! {
        ended = http.serve_connection(TokioIo::new(stream), answer) => ended,
        _ = closing.wait_for(|close| *close) => Ok(()),
    };
    if let Err(fault) = ended {
        debug!(%from, %fault, "a connection ended");
    }
    // Told only now: the stream is closed.
    drop(closing);
}

async fn answer(
    router: Router,
    request: Request<Incoming>,
    from: SocketAddr,
    seat: Arc<Seat>,
) -> Result<Response<Body>, Infallible> {
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(ConnectInfo(from));
    seat.busy();
    let response = TowerToHyperService::new(router).call(request).await?;
    let kind = response.headers().get(header::CONTENT_TYPE);
    if !kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream")) {
        seat.idle();
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use axum::response::sse::{Event, Sse};
    use axum::routing::get;
    use futures::StreamExt as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpSocket;
    use tokio::sync::broadcast;
    use tokio_stream::wrappers::BroadcastStream;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);
    const HALF: &str = "GET /desk HTTP/1.1\r\nHost: 127";
    /// This machine, among the addresses of a test.
    const NEAR: Ipv4Addr = Ipv4Addr::LOCALHOST;

    struct Site {
        address: SocketAddr,
        lines: Arc<Lines>,
        news: broadcast::Sender<u8>,
    }

    impl Site {
        /// Room for forty: eight for the machine, sixteen for each network.
        async fn open(head: Duration) -> Self {
            let near = |address: SocketAddr| address.ip() == IpAddr::V4(NEAR);
            let limits = Limits { all: 40, reserve: 8, network: 16, head, near };
            let news = broadcast::Sender::new(8);
            let heard = news.clone();
            let stream = move || {
                let news = BroadcastStream::new(heard.subscribe());
                let news =
                    news.map(|n| Ok::<_, Infallible>(Event::default().data(format!("{n:?}"))));
                async { Sse::new(news) }
            };
            let router = Router::new().route("/", get(|| async { "here" }));
            let router = router.route("/stream", get(stream));
            let listener = TcpListener::bind((NEAR, 0)).await.unwrap();
            let address = listener.local_addr().unwrap();
            let lines = Lines::new(limits);
            tokio::spawn(serve(listener, router, lines.clone()));
            Self { address, lines, news }
        }

        async fn send(&self, from: Ipv4Addr, text: &str) -> TcpStream {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind((from, 0).into()).unwrap();
            let mut stream = socket.connect(self.address).await.unwrap();
            // Where there is no room it is closed already.
            stream.write_all(text.as_bytes()).await.ok();
            stream
        }

        /// What comes until this does, or the end.
        async fn hears(stream: &mut TcpStream, until: &str) -> String {
            let mut heard = String::new();
            let read = async {
                let mut bytes = [0; 1_024];
                while !heard.contains(until) {
                    match stream.read(&mut bytes).await {
                        Ok(0) | Err(_) => break,
                        Ok(n) => heard += &String::from_utf8_lossy(&bytes[..n]),
                    }
                }
            };
            tokio::time::timeout(PATIENCE, read).await.expect("neither an answer nor an end");
            heard
        }

        async fn asks(&self, from: Ipv4Addr) -> String {
            let mut stream = self.send(from, "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").await;
            Self::hears(&mut stream, "here").await
        }

        async fn follows(&self, from: Ipv4Addr) -> TcpStream {
            let head = "GET /stream HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
            let mut stream = self.send(from, head).await;
            Self::hears(&mut stream, "\r\n\r\n").await;
            stream
        }
    }

    fn far(n: u8) -> Ipv4Addr {
        Ipv4Addr::new(127, 0, 0, n)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn idle_connections_keep_nobody_out_and_cut_no_stream() {
        let site = Site::open(PATIENCE * 2).await;
        let mut desk = site.follows(far(9)).await;
        let mut idle = Vec::new();
        for n in (2..6).cycle().take(300) {
            idle.push(site.send(far(n), HALF).await);
        }
        assert!(site.asks(NEAR).await.contains("here"), "the machine itself");
        assert!(site.asks(far(8)).await.contains("here"), "a desk");
        for _ in 0..100 {
            idle.push(site.send(NEAR, HALF).await);
        }
        assert!(site.asks(NEAR).await.contains("here"), "the machine itself, by what runs on it");
        assert!(site.asks(far(8)).await.contains("here"), "a desk beside it");
        assert!(site.lines.held().lines.len() <= 40);
        site.news.send(1).unwrap();
        assert!(Site::hears(&mut desk, "data").await.contains("data"), "the stream was cut");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn where_all_are_answered_who_comes_is_sent_away_at_once() {
        let site = Site::open(PATIENCE * 2).await;
        let mut desks = Vec::new();
        for n in 0..16 {
            desks.push(site.follows(far(2)).await);
            desks.push(site.follows(far(3)).await);
            assert!(n < 15 || site.asks(far(2)).await.is_empty(), "more than a network's part");
        }
        assert!(site.asks(far(4)).await.is_empty(), "more than all");
        assert!(site.asks(NEAR).await.contains("here"), "the reserve is the machine's");
        drop(desks.pop());
        let again = async { while site.asks(far(4)).await.is_empty() {} };
        tokio::time::timeout(PATIENCE, again).await.expect("a place that was given up stays lost");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_head_that_does_not_come_ends_and_a_quiet_stream_does_not() {
        let site = Site::open(Duration::from_millis(300)).await;
        let mut desk = site.follows(far(9)).await;
        for text in ["", HALF, "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"] {
            let mut idle = site.send(far(2), text).await;
            Site::hears(&mut idle, "never").await;
        }
        assert_eq!(site.lines.held().lines.len(), 1, "the stream alone");
        site.news.send(1).unwrap();
        assert!(Site::hears(&mut desk, "data").await.contains("data"), "the stream was cut");
    }
}
