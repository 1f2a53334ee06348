//! Call-and-respond at work: reads the journal, records, hands over, hears answers.
//!
//! - The journal is ledger and outbox: an attempt is durable before a channel sees it, and a start
//!   folds everything from there. What has no result then is handed over again, marked 重复.
//! - A task of its own. It reads what the alarm loop wrote and never makes it wait.
//! - Every ten seconds the audit compares what the desk shows with what the ladders will do.
//!
//! Left out: a snapshot of the ledger. A start reads the whole journal, beside everything else.

pub mod channels;
pub mod config;
pub(crate) mod doubts;
mod message;
mod office;
mod reload;
mod rows;
mod said;
#[cfg(test)]
mod tests;
mod view;

use std::collections::BTreeMap;
use std::sync::Arc;

use fengsui_alerting::calls::{AnswerRequest, CallRequest, Outcome, Receipt};
use fengsui_alerting::closure;
use fengsui_store::AlarmJournal;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};

use crate::config::AlarmSettings;
use crate::desk::DeskInput;
use crate::registry::Registry;
use crate::stamp::Stamp;

pub use config::CallsConfig;
pub use reload::Reload;
pub(crate) use rows::SUBSUMED;
pub use said::{Refused, Said};

/// Requests that wait for the office. When full, whoever asks waits.
const ASKS_MAX: usize = 256;
/// Results of channels that wait for the office. When full, a channel waits with its next result.
const DONE_MAX: usize = 1_024;

/// What a provider tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiptRequest {
    /// The reference that the message carried.
    pub reference: String,
    /// The channel whose token was shown.
    pub channel: String,
    /// What happened to the message.
    pub state: Option<Receipt>,
    /// How a call ended.
    pub outcome: Option<Outcome>,
    /// Digits that were keyed in.
    pub digits: String,
}

/// What the office can be asked.
pub(crate) enum Ask {
    Ladders { open: bool, reply: oneshot::Sender<Value> },
    Ladder { alarm: String, occurrence: u64, reply: oneshot::Sender<Option<Value>> },
    Answer(AnswerRequest, oneshot::Sender<Result<Value, Said>>),
    Call(CallRequest, oneshot::Sender<Result<Value, Said>>),
    Receipt(ReceiptRequest, oneshot::Sender<Result<bool, Said>>),
    Cases { open: bool, reply: oneshot::Sender<Value> },
    Step(closure::Request, oneshot::Sender<Result<Value, Said>>),
    Roster(oneshot::Sender<Value>),
    Reload(Reload, oneshot::Sender<Result<Value, Said>>),
}

/// What the office works with.
pub struct Parts {
    /// Persons and channels; without policies nobody is called.
    pub config: CallsConfig,
    /// Ledger and outbox.
    pub journal: AlarmJournal,
    /// What alarms are.
    pub registry: watch::Receiver<Arc<Registry>>,
    /// How they are judged.
    pub settings: AlarmSettings,
    /// What stands open, for the audit.
    pub desk: mpsc::Sender<DeskInput>,
    /// Zone.
    pub stamp: Stamp,
}

/// A handle to the office. Each method yields none when the office has ended.
#[derive(Clone)]
pub struct Calls {
    asks: mpsc::Sender<Ask>,
    /// Who may send receipts: token by channel.
    tokens: watch::Receiver<BTreeMap<String, String>>,
}

/// Starts the office.
///
/// # Errors
/// The system gives no random bytes.
pub fn start(parts: Parts, stop: watch::Receiver<bool>) -> anyhow::Result<Calls> {
    for doubt in doubts::doubts(&parts.config.setup) {
        tracing::warn!("{doubt}");
    }
    let (asks, asked) = mpsc::channel(ASKS_MAX);
    let (done, results) = mpsc::channel(DONE_MAX);
    let (tokens_out, tokens) = watch::channel(parts.config.tokens());
    let office = office::Office::new(parts, (done, tokens_out), seed()?);
    tokio::spawn(office.run(asked, results, stop));
    Ok(Calls { asks, tokens })
}

fn seed() -> anyhow::Result<u64> {
    use ring::rand::SecureRandom;
    let mut bytes = [0_u8; 8];
    let random = ring::rand::SystemRandom::new();
    random.fill(&mut bytes).map_err(|_| anyhow::anyhow!("the system gives no random bytes"))?;
    Ok(u64::from_le_bytes(bytes))
}

impl Calls {
    async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.asks.send(ask(reply)).await.ok()?;
        answer.await.ok()
    }

    /// Every ladder, or those that are open, with findings.
    pub async fn ladders(&self, open: bool) -> Option<Value> {
        self.ask(|reply| Ask::Ladders { open, reply }).await
    }

    /// One ladder.
    pub async fn ladder(&self, alarm: String, occurrence: u64) -> Option<Option<Value>> {
        self.ask(|reply| Ask::Ladder { alarm, occurrence, reply }).await
    }

    /// Records an answer.
    pub async fn answer(&self, request: AnswerRequest) -> Option<Result<Value, Said>> {
        self.ask(|reply| Ask::Answer(request, reply)).await
    }

    /// Calls somebody by hand.
    pub async fn call(&self, request: CallRequest) -> Option<Result<Value, Said>> {
        self.ask(|reply| Ask::Call(request, reply)).await
    }

    /// Takes a receipt; true: it was new.
    pub async fn receipt(&self, request: ReceiptRequest) -> Option<Result<bool, Said>> {
        self.ask(|reply| Ask::Receipt(request, reply)).await
    }

    /// Every case of a hidden danger, or those that have not ended.
    pub async fn cases(&self, open: bool) -> Option<Value> {
        self.ask(|reply| Ask::Cases { open, reply }).await
    }

    /// Takes a step in a case.
    pub async fn step(&self, request: closure::Request) -> Option<Result<Value, Said>> {
        self.ask(|reply| Ask::Step(request, reply)).await
    }

    /// The roster in force.
    pub async fn roster(&self) -> Option<Value> {
        self.ask(Ask::Roster).await
    }

    /// Reads the roster anew.
    pub async fn reload(&self, what: Reload) -> Option<Result<Value, Said>> {
        self.ask(|reply| Ask::Reload(what, reply)).await
    }

    /// The channel whose token this is.
    #[must_use]
    pub fn channel_of(&self, token: &str) -> Option<String> {
        // Every token is compared to its end: how long it takes tells nothing.
        let same = |known: &str| {
            let differs = known.bytes().zip(token.bytes()).fold(0, |all, (a, b)| all | (a ^ b));
            known.len() == token.len() && differs == 0
        };
        let tokens = self.tokens.borrow();
        let found: Vec<&String> =
            tokens.iter().filter(|(_, known)| same(known)).map(|(name, _)| name).collect();
        found.first().map(|name| (*name).clone())
    }
}
