//! Orders of outputs on their way to the one task that owns their line.
//!
//! - Outputs outlive a reload, the task of a line does not: it is found by the line's name, and an
//!   order that is given while there is none waits for the next one.
//! - An order that was not begun in time is never done. Whoever waits for it is told by its end.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fengsui_scan::{COMMANDS_MAX, Command, Line, Outcome, Question, RtuFault};
use tokio::sync::mpsc;

/// What came of an order.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) outcome: Outcome,
    /// Why it is a bad frame.
    pub(crate) fault: Option<RtuFault>,
}

/// To a module on a line.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) unit: u8,
    pub(crate) question: Question,
    /// To be begun before this, monotonic ms.
    pub(crate) until: u64,
    /// Dropped where it was not begun.
    pub(crate) answer: SyncSender<Said>,
}

/// The ways to the present owners of lines. A lock and no channel: those who look for an owner are
/// threads that may block, and owners come and go.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ways(Arc<Owners>);

#[derive(Debug, Default)]
struct Owners {
    by_line: Mutex<BTreeMap<String, mpsc::Sender<Order>>>,
    changed: Condvar,
}

impl Ways {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, mpsc::Sender<Order>>> {
        self.0.by_line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Orders to this line come here from now on.
    pub(super) fn own(&self, line: &str) -> mpsc::Receiver<Order> {
        let (way, inbox) = mpsc::channel(COMMANDS_MAX);
        self.lock().insert(line.to_owned(), way);
        self.0.changed.notify_all();
        inbox
    }

    /// The way to a line's owner; waits so long for one. Blocks.
    pub(crate) fn to(&self, line: &str, most: Duration) -> Option<mpsc::Sender<Order>> {
        let missing = |owners: &mut BTreeMap<String, mpsc::Sender<Order>>| {
            owners.get(line).is_none_or(mpsc::Sender::is_closed)
        };
        let waited = self.0.changed.wait_timeout_while(self.lock(), most, missing);
        let (owners, _) = waited.unwrap_or_else(PoisonError::into_inner);
        owners.get(line).filter(|way| !way.is_closed()).cloned()
    }
}

/// The orders that one line has taken.
#[derive(Debug)]
pub(super) struct Orders {
    /// None where no output hangs on the line.
    inbox: Option<mpsc::Receiver<Order>>,
    /// Who waits, and until when it may be begun.
    waiting: BTreeMap<u64, (u64, SyncSender<Said>)>,
    taken: u64,
}

impl Orders {
    pub(super) fn new(inbox: Option<mpsc::Receiver<Order>>) -> Self {
        Self { inbox, waiting: BTreeMap::new(), taken: 0 }
    }

    /// Until one comes.
    pub(super) async fn come(&mut self) -> Order {
        if let Some(inbox) = &mut self.inbox {
            if let Some(order) = inbox.recv().await {
                return order;
            }
            self.inbox = None;
        }
        pending().await
    }

    /// Hands what has come to the line.
    pub(super) fn take(&mut self, line: &mut Line, now: u64) {
        self.waiting.retain(|_, (until, _)| *until > now);
        while let Some(Ok(order)) = self.inbox.as_mut().map(mpsc::Receiver::try_recv) {
            self.give(order, line, now);
        }
    }

    /// One that is too much for the line is dropped; its output tries again.
    pub(super) fn give(&mut self, order: Order, line: &mut Line, now: u64) {
        let Order { unit, question, until, answer } = order;
        self.taken += 1;
        if line.order(Command { id: self.taken, unit, question, until }, now) {
            self.waiting.insert(self.taken, (until, answer));
        }
    }

    /// Who waits for this.
    pub(super) fn begun(&mut self, id: u64) -> Option<SyncSender<Said>> {
        self.waiting.remove(&id).map(|(_, answer)| answer)
    }
}
