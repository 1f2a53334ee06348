//! The stop signal of the process.

use tokio::sync::watch;

/// Waits until the process is to stop; also when whoever could say so has gone.
pub async fn asked(stop: &mut watch::Receiver<bool>) {
    drop(stop.wait_for(|stop| *stop).await);
}
