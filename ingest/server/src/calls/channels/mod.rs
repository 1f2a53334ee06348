//! Ways to people. Each says only whether a provider took a message, never that it was heard.
//!
//! - One task per channel with a bounded queue; when it is full the hand-over counts as failed and
//!   the ladder goes on.
//! - Time, answer and tries are bounded. A try that times out may have been taken: the message
//!   carries a reference, so that a provider can drop the repeat.

mod command;
mod config;
mod http;
mod mail;
mod sign;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fengsui_alerting::calls::{Hand, SendResult};
use serde::Serialize;
use tokio::sync::{Semaphore, mpsc};
use tracing::warn;

use crate::clock;

pub use config::{ChannelConfig, ChannelText, Way};

/// Messages that wait for one channel: an hour of the busiest budget. When full: failed.
pub const QUEUE_MAX: usize = 256;
/// Messages on the way at once over one channel, so that a slow answer does not hold the next.
const INFLIGHT_MAX: usize = 8;
/// Bytes of a provider's answer that are looked at.
const ANSWER_MAX: usize = 16 * 1_024;
/// The longest pause between two tries.
const BACKOFF_MAX: Duration = Duration::from_secs(30);
const MINUTE: Duration = Duration::from_secs(60);

/// What a channel is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Message {
    /// Names this hand-over for receipts: `123-sms`.
    #[serde(rename = "ref")]
    pub reference: String,
    /// Ladder.
    pub alarm: String,
    /// Ladder.
    pub occurrence: u64,
    /// Attempt.
    pub attempt: u64,
    /// Above 0: said before, perhaps not heard.
    pub repeat: u32,
    /// Name.
    pub person: String,
    /// Number, where there is one.
    pub phone: String,
    /// Address, where there is one.
    pub email: String,
    /// `message`, `voice` or `both`.
    pub kind: &'static str,
    /// Read back.
    pub digits: String,
    /// One line.
    pub title: String,
    /// All of it.
    pub text: String,
}

/// A hand-over with its message.
#[derive(Clone, Debug)]
pub struct Job {
    /// What the ladder asked for.
    pub hand: Hand,
    /// What is said.
    pub message: Message,
}

/// What became of a hand-over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// Which.
    pub hand: Hand,
    /// What the channel said.
    pub result: SendResult,
}

/// Why a try failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// Another try may help.
    Passing(String),
    /// It will not.
    Lasting(String),
}

/// Starts a channel.
#[must_use]
pub fn start(config: ChannelConfig, done: mpsc::Sender<Done>) -> mpsc::Sender<Job> {
    let (jobs, queue) = mpsc::channel(QUEUE_MAX);
    tokio::spawn(serve(Arc::new(config), queue, done));
    jobs
}

async fn serve(
    config: Arc<ChannelConfig>,
    mut queue: mpsc::Receiver<Job>,
    done: mpsc::Sender<Done>,
) {
    let client = http::client(config.timeout);
    let inflight = Arc::new(Semaphore::new(INFLIGHT_MAX));
    let mut sent: VecDeque<Instant> = VecDeque::new();
    while let Some(job) = queue.recv().await {
        keep_pace(&config, &mut sent).await;
        let Ok(permit) = Arc::clone(&inflight).acquire_owned().await else { return };
        let (config, client, done) = (Arc::clone(&config), client.clone(), done.clone());
        tokio::spawn(async move {
            let result = deliver(&config, client.as_ref(), &job.message).await;
            // Whoever asked has ended: the next start finds no result and sends again.
            done.send(Done { hand: job.hand, result }).await.ok();
            drop(permit);
        });
    }
}

/// Waits where the provider would block: so many in a minute and no more.
async fn keep_pace(config: &ChannelConfig, sent: &mut VecDeque<Instant>) {
    let Some(per_minute) = config.per_minute else { return };
    while sent.front().is_some_and(|at| clock::monotonic().duration_since(*at) >= MINUTE) {
        sent.pop_front();
    }
    if sent.len() >= per_minute.max(1)
        && let Some(oldest) = sent.pop_front()
    {
        tokio::time::sleep(MINUTE.saturating_sub(clock::monotonic().duration_since(oldest))).await;
    }
    sent.push_back(clock::monotonic());
}

async fn deliver(
    config: &ChannelConfig,
    client: Result<&reqwest::Client, &String>,
    message: &Message,
) -> SendResult {
    let mut why = String::new();
    for n in 1..=config.tries {
        let one = tokio::time::timeout(config.timeout, attempt(config, client, message));
        match one.await {
            Ok(Ok(receipt)) => return SendResult::Accepted { receipt },
            Ok(Err(Failure::Lasting(lasting))) => return SendResult::Failed { why: lasting },
            Ok(Err(Failure::Passing(passing))) => why = passing,
            Err(_) => {
                why = format!("{:?} 内无应答 / no answer in {:?}", config.timeout, config.timeout)
            }
        }
        warn!(channel = %config.name, n, %why, reference = %message.reference, "not sent");
        if n < config.tries {
            let pause = config.backoff.saturating_mul(1 << (n - 1).min(10));
            tokio::time::sleep(pause.min(BACKOFF_MAX)).await;
        }
    }
    SendResult::Failed { why }
}

/// One try. Yields the provider's own number for it, as far as it gives one.
async fn attempt(
    config: &ChannelConfig,
    client: Result<&reqwest::Client, &String>,
    message: &Message,
) -> Result<String, Failure> {
    let lasting = |why: &String| Failure::Lasting(why.clone());
    match &config.way {
        Way::Log => Ok("log".to_owned()),
        Way::Command { argv } => command::run(argv, message).await,
        Way::Smtp(mail) => mail::send(mail, message, config.timeout).await,
        Way::Webhook { url, secret } => {
            http::webhook(client.map_err(lasting)?, url, secret, message).await
        }
        Way::DingTalk { url, secret } => {
            http::dingtalk(client.map_err(lasting)?, url, secret, message).await
        }
        Way::WeCom { url } => http::wecom(client.map_err(lasting)?, url, message).await,
        Way::Feishu { url, secret } => {
            http::feishu(client.map_err(lasting)?, url, secret, message).await
        }
        Way::Sms(sms) => http::sms(client.map_err(lasting)?, sms, message).await,
    }
}
