//! What people did, in the journal: a note with the cause `audit` for each command, log-in,
//! log-out and refusal.
//!
//! - Part of the journal's hash chain, like the alarms.
//! - Nobody waits for it: a command has its own row, and a journal that does not take a note says
//!   so in the log and in a counter.
//! - Refusals are folded: whoever is refused a thousand times a minute must not write a thousand
//!   rows. The ones not told are counted and told in one row.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use fengsui_store::{AccountNote, AlarmJournal, StoreError};
use serde_json::json;
use tracing::error;

use super::secret::{NoRandom, key};
use super::throttle::Network;
use crate::clock;
use crate::counters::{Counters, add};
use crate::note::Note;

/// The word by which the journal knows these notes.
pub const CAUSE: &str = "audit";
/// Refusals of one network that are told in a window, and of all networks.
const TOLD_MAX: u32 = 5;
const TOLD_ALL_MAX: u32 = 60;
/// Their window.
const WINDOW: Duration = Duration::from_secs(60);
/// How long the journal may take for the changes of accounts.
const CARRY: Duration = Duration::from_secs(5);
/// Networks counted apart in a window; of more only the sum is known.
const NETWORKS_MAX: usize = 1_024;

/// What somebody did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Act<'a> {
    /// Who: the name that people read; empty where it is not known.
    pub by: &'a str,
    /// The name that logged in, or was tried.
    pub login: &'a str,
    /// One word, or method and path.
    pub verb: &'a str,
    /// To what.
    pub object: &'a str,
    /// How it ended.
    pub outcome: &'a str,
    /// More, in words.
    pub detail: &'a str,
    /// The address that it came from.
    pub from: &'a str,
}

/// Writes what people did.
pub struct Audit {
    journal: AlarmJournal,
    counters: Arc<Counters>,
    /// Names this run, so that ids of two runs differ.
    run: String,
    serial: AtomicU64,
    // Counted by handlers on any thread, for microseconds: a channel would need a task to serve it.
    folding: Mutex<Folding>,
}

impl Audit {
    /// Into a journal.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn new(journal: AlarmJournal, counters: Arc<Counters>) -> Result<Self, NoRandom> {
        let folding = Mutex::new(Folding::new(clock::monotonic()));
        Ok(Self { journal, counters, run: key()?, serial: AtomicU64::new(0), folding })
    }

    /// Tells one act.
    pub fn note(&self, act: Act<'_>) {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        self.write(format!("audit/{}/{serial}", self.run), act);
    }

    /// Tells a refusal, or counts it where enough were told.
    pub fn refusal(&self, network: Network, act: Act<'_>) {
        add(&self.counters.refusals, 1);
        let now = clock::monotonic();
        let (told, closed) = {
            let mut folding = self.folding.lock().unwrap_or_else(PoisonError::into_inner);
            let closed = folding.close(now);
            (folding.tell(network), closed)
        };
        self.tell_closed(closed);
        if told {
            self.note(act);
        }
    }

    /// Tells what a window that is over has hidden.
    pub fn close_window(&self) {
        let now = clock::monotonic();
        let closed = self.folding.lock().unwrap_or_else(PoisonError::into_inner).close(now);
        self.tell_closed(closed);
    }

    fn tell_closed(&self, closed: Option<Hidden>) {
        let Some(Hidden { refusals, networks }) = closed else { return };
        let detail = format!(
            "另有 {refusals} 次拒绝未逐条记录，来自 {networks} 个网络 / {refusals} more refusals of {networks} networks"
        );
        self.note(Act { verb: "refused", outcome: "folded", detail: &detail, ..Act::default() });
    }

    /// Records changes of accounts and waits for the disk; false where it did not answer. Blocks.
    pub(super) fn carry(&self, notes: &[AccountNote]) -> bool {
        let row = |note: &AccountNote| {
            let act = Act {
                login: &note.by,
                verb: &note.verb,
                object: &note.object,
                outcome: "ok",
                detail: &note.detail,
                ..Act::default()
            };
            act.note(format!("audit/account/{}/{}", note.at.0, note.id)).row(note.at)
        };
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        let done = move |answer: Result<_, StoreError>| {
            // Who asked may have lost patience.
            tell.send(answer.is_ok()).ok();
        };
        self.journal.append(notes.iter().map(row).collect(), Box::new(done)).is_ok()
            && told.recv_timeout(CARRY).unwrap_or(false)
    }

    fn write(&self, id: String, act: Act<'_>) {
        let counters = self.counters.clone();
        let done = move |answer: Result<_, StoreError>| {
            if let Err(fault) = answer {
                add(&counters.audit_lost, 1);
                error!(%fault, "an audit note was not recorded");
            }
        };
        let row = act.note(id).row(clock::now());
        if self.journal.append(vec![row], Box::new(done)).is_err() {
            add(&self.counters.audit_lost, 1);
            error!(verb = act.verb, "the journal's queue is full: an audit note is lost");
        }
    }
}

impl Act<'_> {
    fn note(&self, id: String) -> Note {
        let comment = [self.verb, self.object, self.outcome].join(" ");
        let body = json!({
            "verb": self.verb, "object": self.object, "outcome": self.outcome,
            "detail": self.detail, "login": self.login, "from": self.from,
        });
        let by = if self.by.is_empty() { self.login } else { self.by };
        Note {
            id,
            cause: CAUSE,
            by: (!by.is_empty()).then(|| by.to_owned()),
            comment: comment.trim().to_owned(),
            body: Some(body.to_string()),
            ..Note::default()
        }
    }
}

/// What a window has hidden.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hidden {
    refusals: u64,
    networks: usize,
}

/// Counts refusals in windows.
#[derive(Debug)]
struct Folding {
    began: Instant,
    told: u32,
    hidden: u64,
    networks: HashMap<Network, u32>,
}

impl Folding {
    fn new(now: Instant) -> Self {
        Self { began: now, told: 0, hidden: 0, networks: HashMap::new() }
    }

    /// Counts one; true where it is to be told.
    fn tell(&mut self, network: Network) -> bool {
        let known = self.networks.contains_key(&network);
        let mut told = self.told < TOLD_ALL_MAX && (known || self.networks.len() < NETWORKS_MAX);
        if known || self.networks.len() < NETWORKS_MAX {
            let count = self.networks.entry(network).or_insert(0);
            *count = count.saturating_add(1);
            told &= *count <= TOLD_MAX;
        }
        self.told += u32::from(told);
        self.hidden += u64::from(!told);
        told
    }

    /// Begins a new window where this one is over; what it has hidden.
    fn close(&mut self, now: Instant) -> Option<Hidden> {
        if now.saturating_duration_since(self.began) < WINDOW {
            return None;
        }
        let closed = Hidden { refusals: self.hidden, networks: self.networks.len() };
        *self = Self::new(now);
        (closed.refusals > 0).then_some(closed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_folded_and_every_one_is_counted() {
        let start = clock::monotonic();
        let mut folding = Folding::new(start);
        let home = |n: u32| Network::of(std::net::Ipv4Addr::from_bits(n).into());
        let told = (0..1_000).filter(|_| folding.tell(home(1))).count();
        assert_eq!(told, 5);
        assert!(folding.tell(home(2)), "another network is told all the same");
        let many = (3..5_000).filter(|n| folding.tell(home(*n))).count();
        assert_eq!(many, 54, "sixty rows in a minute, whoever comes");
        assert_eq!(folding.close(start + WINDOW / 2), None);
        let all = 1_000 + 1 + 4_997;
        let hidden = Hidden { refusals: all - 60, networks: NETWORKS_MAX };
        assert_eq!(folding.close(start + WINDOW), Some(hidden));
        assert!(folding.tell(home(1)), "a new window tells again");
        assert_eq!(folding.close(start + WINDOW * 2), None, "nothing was hidden");
    }
}
