//! A network cable between gateway and broker that can be pulled: bytes stop, nobody is told.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Bytes on the way in one direction.
const BUFFER: usize = 64 * 1_024;
/// Connections at once; the gateway opens one at a time.
const CONNECTIONS_MAX: usize = 64;

/// Starts a cable to `broker`; it carries nothing while `pulled` is true.
///
/// # Errors
/// No loopback port is left.
pub(super) async fn lay(
    broker: SocketAddr,
    pulled: watch::Receiver<bool>,
) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        let open = std::sync::Arc::new(tokio::sync::Semaphore::new(CONNECTIONS_MAX));
        while let Ok((near, _)) = listener.accept().await {
            let Ok(permit) = open.clone().try_acquire_owned() else { continue };
            let pulled = pulled.clone();
            tokio::spawn(async move {
                let _held = permit;
                carry(near, broker, pulled).await;
            });
        }
    });
    Ok(address)
}

async fn carry(near: TcpStream, broker: SocketAddr, mut pulled: watch::Receiver<bool>) {
    // A connection attempt over a pulled cable hangs until it is in again.
    if pulled.wait_for(|pulled| !pulled).await.is_err() {
        return;
    }
    let Ok(far) = TcpStream::connect(broker).await else { return };
    let (near_in, near_out) = near.into_split();
    let (far_in, far_out) = far.into_split();
    let up = copy(near_in, far_out, pulled.clone());
    let down = copy(far_in, near_out, pulled);
    tokio::join!(up, down);
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut pulled: watch::Receiver<bool>) {
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = match from.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(read) => read,
        };
        if pulled.wait_for(|pulled| !pulled).await.is_err() {
            return;
        }
        let Some(bytes) = buffer.get(..read) else { return };
        if to.write_all(bytes).await.is_err() {
            return;
        }
    }
}
