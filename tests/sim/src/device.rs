//! One device on the wire: a listener and its connections.
//!
//! - A connection answers one request at a time, from the newest image; the fault that holds when
//!   a request has been read is the fault that its reply gets.
//! - Nothing here decides what the registers hold.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{debug, info, warn};

use crate::fault::Fault;
use crate::image::Image;
use crate::modbus::{HEADER, Header, answer, exception};

/// Connections of one device; real controllers have 4 to 16. One more is closed at once.
const CONNECTIONS_MAX: usize = 64;
/// Between two tries to listen again after "refused", if somebody took the port meanwhile.
const LISTEN_AGAIN: Duration = Duration::from_millis(100);

/// What a device knows of the rest of the plant.
#[derive(Clone)]
pub(crate) struct Feed {
    pub(crate) name: Arc<str>,
    pub(crate) image: watch::Receiver<Arc<Image>>,
    pub(crate) fault: watch::Receiver<Fault>,
    pub(crate) stop: watch::Receiver<bool>,
}

/// Serves until the plant stops.
pub(crate) async fn serve(listener: TcpListener, address: SocketAddr, mut feed: Feed) {
    let mut stop = feed.stop.clone();
    let serving = async {
        let mut listener = Some(listener);
        loop {
            if let Some(open) = listener.take() {
                accept_until_refused(open, &feed).await;
            }
            if feed.fault.wait_for(|fault| *fault != Fault::Refused).await.is_err() {
                return;
            }
            listener = Some(listen_again(address, &feed).await);
        }
    };
    tokio::select! {
        _ = stop.wait_for(|stop| *stop) => {}
        () = serving => {}
    }
}

async fn listen_again(address: SocketAddr, feed: &Feed) -> TcpListener {
    let mut again = tokio::time::interval(LISTEN_AGAIN);
    loop {
        again.tick().await;
        match TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(error) => warn!(device = %feed.name, %address, %error, "cannot listen again"),
        }
    }
}

/// Returns, with every connection closed, when the fault becomes "refused".
async fn accept_until_refused(listener: TcpListener, feed: &Feed) {
    let mut connections = JoinSet::new();
    let mut fault = feed.fault.clone();
    loop {
        tokio::select! {
            biased;
            () = refusal(&mut fault) => {
                drop(listener);
                connections.shutdown().await;
                info!(device = %feed.name, "port closed");
                return;
            }
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) if connections.len() < CONNECTIONS_MAX => {
                    debug!(device = %feed.name, %peer, "connected");
                    connections.spawn(connection(stream, feed.clone()));
                }
                Ok((_, peer)) => warn!(device = %feed.name, %peer, "too many connections"),
                Err(error) => warn!(device = %feed.name, %error, "accept failed"),
            }
        }
    }
}

async fn refusal(fault: &mut watch::Receiver<Fault>) {
    if fault.wait_for(|fault| *fault == Fault::Refused).await.is_err() {
        // The plant is gone: `serve` hears so and ends this with everything else.
        std::future::pending().await
    }
}

async fn connection(mut stream: TcpStream, mut feed: Feed) {
    if let Err(error) = stream.set_nodelay(true) {
        debug!(device = %feed.name, %error, "no delay could not be set");
    }
    loop {
        let mut front = [0; HEADER];
        if stream.read_exact(&mut front).await.is_err() {
            return;
        }
        let Some(header) = Header::parse(front) else {
            debug!(device = %feed.name, "not Modbus, closed");
            return;
        };
        let mut request = vec![0; header.rest];
        if stream.read_exact(&mut request).await.is_err() {
            return;
        }
        let fault = *feed.fault.borrow();
        let reply = reply_under(fault, header, &request, &feed.image.borrow());
        if let Fault::Late(by) = fault {
            // Ends early only with the plant; the reply then goes nowhere.
            let _stopped_or_late = timeout(by, feed.stop.wait_for(|stop| *stop)).await.is_ok();
        }
        if let Some(reply) = reply
            && stream.write_all(&reply).await.is_err()
        {
            return;
        }
    }
}

/// The bytes that go out, `None` for silence.
fn reply_under(fault: Fault, header: Header, request: &[u8], image: &Image) -> Option<Vec<u8>> {
    let right = || header.frame(&answer(image, header.unit, request));
    match fault {
        Fault::Dead | Fault::Refused => None,
        // A frozen or noisy instrument lies in the image, not in the frame.
        Fault::None | Fault::Frozen | Fault::Noise | Fault::Late(_) => Some(right()),
        Fault::Exception(code) => {
            let function = request.first().copied().unwrap_or(0);
            Some(header.frame(&exception(function, code)))
        }
        Fault::Truncated => {
            let mut reply = right();
            reply.pop();
            Some(reply)
        }
        Fault::WrongTransaction => {
            let wrong = Header { transaction: !header.transaction, ..header };
            Some(wrong.frame(&answer(image, header.unit, request)))
        }
        Fault::WrongUnit => {
            let wrong = Header { unit: header.unit ^ 1, ..header };
            Some(wrong.frame(&answer(image, header.unit, request)))
        }
    }
}
