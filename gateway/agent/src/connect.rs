//! Connections to devices that a site names by address or by name.
//!
//! A name server that does not answer holds a thread for half a minute and more, whatever the
//! patience with the device; the same threads time the frames of every line. So no more than
//! [`LOOKUPS_MAX`] names are looked up at a time, and an address is never looked up.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// Names that are looked up at a time; who comes later waits, within the patience with its device.
const LOOKUPS_MAX: usize = 16;

static LOOKUPS: Semaphore = Semaphore::const_new(LOOKUPS_MAX);

/// Connects, within this patience.
///
/// # Errors
/// What the system said, or what did not answer.
pub(crate) async fn connect(host: &str, port: u16, patience: Duration) -> io::Result<TcpStream> {
    let mut silent = "no answer to the connection";
    let connecting = async {
        if let Ok(address) = host.parse::<IpAddr>() {
            return TcpStream::connect(SocketAddr::new(address, port)).await;
        }
        silent = "域名服务器不应答，请把主机名改写成 IP 地址 / the name server does not answer: write an IP address";
        let host = host.to_owned();
        let found = look_up(move || Ok((host.as_str(), port).to_socket_addrs()?.collect())).await?;
        silent = "no answer to the connection";
        TcpStream::connect(found.as_slice()).await
    };
    let done = timeout(patience, connecting).await;
    done.unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, silent)))
}

/// A lookup that was given up keeps its place until it ends: its thread is taken.
async fn look_up(
    resolve: impl FnOnce() -> io::Result<Vec<SocketAddr>> + Send + 'static,
) -> io::Result<Vec<SocketAddr>> {
    let place = LOOKUPS.acquire().await.map_err(io::Error::other)?;
    let looking = spawn_blocking(move || {
        let _taken = place;
        resolve()
    });
    looking.await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tokio::net::TcpListener;
    use tokio::runtime::Builder;

    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn names_that_nobody_resolves_take_neither_addresses_nor_the_timing_of_lines() {
        let threads = LOOKUPS_MAX + 1;
        let runtime =
            Builder::new_multi_thread().max_blocking_threads(threads).enable_all().build().unwrap();
        let (begun, begins) = mpsc::sync_channel(10 * LOOKUPS_MAX);
        let (end, ended) = mpsc::sync_channel::<()>(1);
        let ended = std::sync::Arc::new(std::sync::Mutex::new(ended));
        runtime.block_on(async {
            let hung: Vec<_> = (0..10 * LOOKUPS_MAX)
                .map(|_| {
                    let (begun, ended) = (begun.clone(), ended.clone());
                    tokio::spawn(look_up(move || {
                        begun.send(()).unwrap();
                        assert!(ended.lock().unwrap().recv().is_err(), "nothing is sent");
                        Err(io::ErrorKind::TimedOut.into())
                    }))
                })
                .collect();
            for _ in 0..LOOKUPS_MAX {
                begins.recv_timeout(LONG).expect("as many as may begin");
            }
            let nap = spawn_blocking(|| ());
            timeout(LONG, nap).await.expect("a thread is left").unwrap();
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            connect("127.0.0.1", port, LONG).await.expect("nobody is asked");
            let named = connect("localhost", port, Duration::from_millis(50)).await;
            let why = named.unwrap_err().to_string();
            assert!(why.contains("name server does not answer"), "{why}");
            assert!(begins.try_recv().is_err(), "more than may be at a time");
            // Who was given up frees its place when it ends, and a name is found again.
            for one in hung {
                one.abort();
            }
            drop(end);
            connect("localhost", port, LONG).await.expect("a place is free");
        });
    }
}
