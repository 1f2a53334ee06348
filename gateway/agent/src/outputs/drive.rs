//! The hand on an output: one thread that owns the line, and a way to it that never waits long.
//!
//! - Whatever hangs (a stuck bus expander, a silent relay module) hangs this thread alone; the
//!   output is then reported as hanging.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use thiserror::Error;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// Longest wait for one write or reading, where an output says no other.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
/// Orders on their way to the thread: the one in hand. A second is refused, since the first hangs.
const ORDERS_MAX: usize = 1;
/// The thread calls the kernel and little else.
const STACK_BYTES: usize = 256 << 10;

/// Why an output does not do what it is told.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum DriveFault {
    #[error("not there: {0}")]
    Missing(String),
    #[error("refused: {0}")]
    Refused(String),
    #[error("does not come back")]
    Hangs,
    #[error("its read-back says otherwise")]
    Contradicted,
}

impl DriveFault {
    /// One word for the heartbeat.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Missing(_) => "output_missing",
            Self::Refused(_) => "output_refused",
            Self::Hangs => "output_hangs",
            Self::Contradicted => "output_contradicted",
        }
    }
}

/// One line that can be energised. May block.
pub(crate) trait Drive: Send {
    /// Energises or releases it.
    fn set(&mut self, energised: bool) -> Result<(), DriveFault>;
    /// How long one of these may take before it hangs.
    fn patience(&self) -> Duration {
        PATIENCE
    }
    /// What the read-back says; none where there is none.
    fn read(&mut self) -> Result<Option<bool>, DriveFault>;
}

enum Order {
    Set(bool, oneshot::Sender<Result<(), DriveFault>>),
    Read(oneshot::Sender<Result<Option<bool>, DriveFault>>),
}

/// The way to the thread.
pub(crate) struct Hand {
    orders: SyncSender<Order>,
    patience: Duration,
}

impl Hand {
    /// Gives the line to a thread of its own.
    ///
    /// # Errors
    /// No thread can be had.
    pub(crate) fn new(name: &str, drive: Box<dyn Drive>) -> std::io::Result<Self> {
        let (orders, inbox) = sync_channel(ORDERS_MAX);
        let patience = drive.patience();
        std::thread::Builder::new()
            .name(format!("out-{name}"))
            .stack_size(STACK_BYTES)
            .spawn(move || obey(drive, &inbox))?;
        Ok(Self { orders, patience })
    }

    pub(crate) async fn set(&self, energised: bool) -> Result<(), DriveFault> {
        let (reply, answer) = oneshot::channel();
        self.ask(Order::Set(energised, reply), answer).await
    }

    pub(crate) async fn read(&self) -> Result<Option<bool>, DriveFault> {
        let (reply, answer) = oneshot::channel();
        self.ask(Order::Read(reply), answer).await
    }

    async fn ask<T>(
        &self,
        order: Order,
        answer: oneshot::Receiver<Result<T, DriveFault>>,
    ) -> Result<T, DriveFault> {
        match self.orders.try_send(order) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => return Err(DriveFault::Hangs),
            Err(TrySendError::Disconnected(_)) => return Err(ended()),
        }
        match timeout(self.patience, answer).await {
            Ok(Ok(said)) => said,
            Ok(Err(_)) => Err(ended()),
            Err(_) => Err(DriveFault::Hangs),
        }
    }
}

fn ended() -> DriveFault {
    DriveFault::Refused("its thread has ended".to_owned())
}

/// Nobody may be waiting for an answer any more.
fn obey(mut drive: Box<dyn Drive>, orders: &Receiver<Order>) {
    while let Ok(order) = orders.recv() {
        match order {
            Order::Set(energised, reply) => drop(reply.send(drive.set(energised))),
            Order::Read(reply) => drop(reply.send(drive.read())),
        }
    }
}
