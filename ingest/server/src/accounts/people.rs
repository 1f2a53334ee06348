//! The accounts of a running centre: log-in, sessions, tokens, changes.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use fengsui_store::{
    AccountFault, AlarmJournal, ConfigDb, Deed, NewUser, StoreError, User, UserChange,
};
use tokio::sync::watch;
use tracing::warn;

use super::audit::{Act, Audit};
use super::password::{self, Busy, Desk, Way};
use super::secret::{self, NoRandom};
use super::settings::Settings;
use super::spare::Spare;
use super::throttle::{Network, Throttle};
use super::{Identity, Role};
use crate::clock;
use crate::counters::Counters;

/// For this long a person is taken as last read: what another process changes holds after it.
const FRESH: Duration = Duration::from_secs(2);
/// A session in use is written down this often.
const TOUCH_EVERY: Duration = Duration::from_secs(60);
/// People remembered at once: more than there are streams. When full, all are asked for anew.
const KNOWN_MAX: usize = 1_024;
/// Notes carried into the journal at once.
const NOTES_MAX: usize = 100;
/// How often is looked for what is over, and for what the command line did.
const SWEEP_EVERY: Duration = Duration::from_secs(10);
/// Waiting where too many passwords are being computed, s.
const BUSY_WAIT: Duration = Duration::from_secs(2);

/// What a request shows of its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Credential {
    /// The hash of a session's cookie.
    Session([u8; 32]),
    /// The hash of a token.
    Token([u8; 32]),
}

/// Where a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The address: the last one that a proxy on this machine names, else the connection's.
    pub address: IpAddr,
    /// From this machine itself, and by no proxy.
    pub way: Way,
    /// The browser came by https.
    pub https: bool,
}

/// Why a log-in is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Name or password.
    Wrong,
    /// Not evaluated: come again after this.
    Wait(Duration),
    /// The accounts cannot be read.
    Unavailable(String),
}

#[derive(Clone, Debug)]
struct Seen {
    identity: Identity,
    checked: Instant,
    touched: Instant,
}

/// Accounts, sessions and what is remembered of them.
pub struct Accounts {
    pub(super) db: Arc<ConfigDb>,
    /// What people did.
    pub audit: Audit,
    /// How sessions live.
    pub settings: Settings,
    /// In a demo: who comes from this machine without a log-in.
    pub visitor: Option<Identity>,
    desk: Desk,
    // Both are asked by handlers on any thread, for microseconds: a channel would need a task.
    throttle: Mutex<Throttle>,
    known: Mutex<HashMap<Credential, Seen>>,
    pub(super) spare: Mutex<Spare>,
    /// Grows with every change that may end a session.
    changes: watch::Sender<u64>,
}

impl Accounts {
    /// Over the database and the journal.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn new(
        db: Arc<ConfigDb>,
        journal: AlarmJournal,
        counters: Arc<Counters>,
        settings: Settings,
    ) -> Result<Self, NoRandom> {
        Ok(Self {
            db,
            audit: Audit::new(journal, counters)?,
            settings,
            visitor: None,
            desk: Desk::default(),
            throttle: Mutex::new(Throttle::default()),
            known: Mutex::new(HashMap::new()),
            spare: Mutex::default(),
            changes: watch::Sender::new(0),
        })
    }

    /// Makes the first admin where there is nobody; the password, to be shown once. Blocks.
    ///
    /// # Errors
    /// The file cannot be written, or the system gives no random bytes.
    pub fn first_start(&self) -> anyhow::Result<Option<String>> {
        if !self.db.users()?.is_empty() {
            return Ok(None);
        }
        let password = secret::password()?;
        let hash = password::hash(&password).map_err(|fault| anyhow::anyhow!("{fault}"))?;
        let new = NewUser {
            name: "admin",
            display: "管理员",
            role: Role::Admin.word(),
            position: "管理",
            hash: &hash,
        };
        let made = self.db.add_first_user(new, Deed { by: "first start", now: clock::now() })?;
        Ok(made.then_some(password))
    }

    /// Who shows this; none: nobody, or nobody any more.
    ///
    /// # Errors
    /// The accounts cannot be read, and the person was not here a moment ago.
    pub async fn who(
        self: &Arc<Self>,
        credential: Credential,
    ) -> Result<Option<Identity>, StoreError> {
        let now = clock::monotonic();
        let seen = self.known().get(&credential).cloned();
        if let Some(seen) = &seen
            && now.saturating_duration_since(seen.checked) < FRESH
        {
            return Ok(Some(seen.identity.clone()));
        }
        let accounts = Arc::clone(self);
        let change = *self.changes.borrow();
        let touch = match (&seen, credential) {
            (_, Credential::Token(_)) => false,
            (None, Credential::Session(_)) => true,
            (Some(seen), Credential::Session(_)) => {
                now.saturating_duration_since(seen.touched) > TOUCH_EVERY
            }
        };
        let read = tokio::task::spawn_blocking(move || accounts.read(credential, touch)).await;
        match read {
            Ok(Ok(found)) => {
                let touched = seen.filter(|_| !touch).map_or(now, |seen| seen.touched);
                let found = found.map(|user| Identity::of(&user));
                self.remember(credential, found.as_ref(), (now, touched), change);
                Ok(found)
            }
            Ok(Err(fault)) => match seen {
                Some(seen) => {
                    warn!(%fault, "the accounts cannot be read; who was here stays");
                    Ok(Some(seen.identity))
                }
                None => Err(fault),
            },
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }

    fn read(&self, credential: Credential, touch: bool) -> Result<Option<User>, StoreError> {
        let now = clock::now();
        match credential {
            Credential::Session(hash) => {
                let idle = now - self.settings.idle_ms;
                if self.spare().has_ended(&hash) {
                    return Ok(None);
                }
                let spare = self.spare().used(&hash, now, idle);
                if let Some(session) = spare {
                    let user = self.db.user(session.name())?;
                    return Ok(user.filter(|user| session.is_of(user)));
                }
                let found = self.db.session(&hash, now, idle)?;
                if found.is_some()
                    && touch
                    && let Err(fault) = self.db.touch_session(&hash, now)
                {
                    warn!(%fault, "a session's use was not written down");
                }
                Ok(found)
            }
            Credential::Token(hash) => self.db.token(&hash, now),
        }
    }

    fn remember(
        &self,
        credential: Credential,
        found: Option<&Identity>,
        (checked, touched): (Instant, Instant),
        change: u64,
    ) {
        let mut known = self.known();
        match found {
            // Read before a change that is over now: the next request asks again.
            Some(_) if *self.changes.borrow() != change => {}
            Some(identity) => {
                if known.len() >= KNOWN_MAX {
                    known.clear();
                }
                known.insert(credential, Seen { identity: identity.clone(), checked, touched });
            }
            None => drop(known.remove(&credential)),
        }
    }

    /// Tells of every change that may end a session.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Checks a password and opens a session; its cookie's text.
    ///
    /// # Errors
    /// The log-in is refused.
    pub async fn log_in(
        self: &Arc<Self>,
        name: &str,
        password: &str,
        peer: Peer,
    ) -> Result<(String, Identity), Refusal> {
        let network = Network::of(peer.address);
        let user = match self.evaluate(name, password, peer).await {
            Ok(user) => user,
            Err(refusal) => {
                let outcome = match &refusal {
                    Refusal::Wrong => "wrong",
                    Refusal::Wait(_) => "throttled",
                    Refusal::Unavailable(_) => "unavailable",
                };
                let from = peer.address.to_string();
                let login = shown(name);
                let act =
                    Act { login: &login, verb: "log_in", outcome, from: &from, ..Act::default() };
                self.audit.refusal(network, act);
                return Err(refusal);
            }
        };
        let text = secret::session().map_err(|fault| Refusal::Unavailable(fault.to_string()))?;
        let hash = secret::hash_of_session(&text).ok_or(Refusal::Wrong)?;
        let identity = Identity::of(&user);
        let (accounts, from) = (Arc::clone(self), peer.address.to_string());
        let open = tokio::task::spawn_blocking(move || accounts.open_session(user, hash, from));
        match open.await {
            Ok(Ok(true)) => {}
            // Disabled, or given another password, while this one was checked.
            Ok(Ok(false)) => return Err(Refusal::Wrong),
            Ok(Err(fault)) => return Err(Refusal::Unavailable(fault.to_string())),
            Err(fault) => return Err(Refusal::Unavailable(fault.to_string())),
        }
        self.tell(&identity, peer, "log_in", "");
        Ok((text, identity))
    }

    async fn evaluate(&self, name: &str, password: &str, peer: Peer) -> Result<User, Refusal> {
        let network = Network::of(peer.address);
        match peer.way {
            // Whoever stands at the machine is heard, whatever happens to the account elsewhere.
            Way::Near => {}
            Way::Far => {
                let mut throttle = self.throttle.lock().unwrap_or_else(PoisonError::into_inner);
                throttle.ask(&shown(name), network, clock::monotonic()).map_err(Refusal::Wait)?;
            }
        }
        let (db, wanted) = (Arc::clone(&self.db), name.to_owned());
        let user = tokio::task::spawn_blocking(move || db.user(&wanted)).await;
        let user = match user {
            Ok(Ok(user)) => user,
            Ok(Err(fault)) => return Err(Refusal::Unavailable(fault.to_string())),
            Err(fault) => return Err(Refusal::Unavailable(fault.to_string())),
        };
        if password.chars().count() > password::LETTERS_MAX {
            return Err(Refusal::Wrong);
        }
        let text = user.as_ref().map(|user| user.hash.clone());
        let right = self.desk.check(peer.way, password.to_owned(), text).await;
        let right = right.map_err(|Busy| Refusal::Wait(BUSY_WAIT))?;
        match user {
            Some(user) if right && !user.disabled => {
                let mut throttle = self.throttle.lock().unwrap_or_else(PoisonError::into_inner);
                throttle.right(&shown(name), network);
                Ok(user)
            }
            Some(_) | None => Err(Refusal::Wrong),
        }
    }

    /// Ends a session, here and on disk; where that takes nothing, in memory until it does.
    ///
    /// # Errors
    /// The accounts cannot be read: the session may live on.
    pub async fn log_out(self: &Arc<Self>, hash: [u8; 32]) -> Result<(), Refusal> {
        let accounts = Arc::clone(self);
        let ended = tokio::task::spawn_blocking(move || accounts.end_session(hash)).await;
        self.forget();
        match ended {
            Ok(Ok(())) => Ok(()),
            Ok(Err(fault)) => Err(Refusal::Unavailable(fault.to_string())),
            Err(fault) => Err(Refusal::Unavailable(fault.to_string())),
        }
    }

    /// Changes accounts: `work` runs beside the web server's threads, and its notes are carried
    /// into the journal.
    ///
    /// # Errors
    /// As `work`, or it panicked.
    pub async fn change<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&ConfigDb) -> Result<T, AccountFault> + Send + 'static,
    ) -> anyhow::Result<Result<T, AccountFault>> {
        let accounts = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || {
            let done = work(&accounts.db);
            accounts.forget();
            accounts.carry_notes();
            done
        });
        Ok(done.await?)
    }

    /// The text of a new password.
    ///
    /// # Errors
    /// Too many passwords wait.
    pub async fn hash(&self, way: Way, password: &str) -> Result<String, Busy> {
        self.desk.hash(way, password.to_owned()).await
    }

    /// Sets the password of somebody who knows the old one.
    ///
    /// # Errors
    /// The old one is wrong, or it cannot be written.
    pub async fn new_password(
        self: &Arc<Self>,
        who: &Identity,
        old: &str,
        new: &str,
        peer: Peer,
    ) -> Result<(), Refusal> {
        self.evaluate(&who.name, old, peer).await?;
        let hash = self.hash(peer.way, new).await.map_err(|Busy| Refusal::Wait(BUSY_WAIT))?;
        let name = who.name.clone();
        let changed = self.change(move |db| {
            let deed = Deed { by: &name, now: clock::now() };
            db.change_user(&name, UserChange::Password(&hash), deed)
        });
        match changed.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(fault)) => Err(Refusal::Unavailable(fault.to_string())),
            Err(fault) => Err(Refusal::Unavailable(fault.to_string())),
        }
    }

    /// Tells what a known person did.
    pub fn tell(&self, who: &Identity, peer: Peer, verb: &str, object: &str) {
        let from = peer.address.to_string();
        let (by, login) = (who.display.as_str(), who.name.as_str());
        let act = Act { by, login, verb, object, outcome: "ok", detail: "", from: &from };
        self.audit.note(act);
    }

    /// Sweeps and carries notes until told to stop.
    pub async fn tend(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut turn = tokio::time::interval(SWEEP_EVERY);
        turn.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = turn.tick() => {}
                () = crate::stop::asked(&mut stop) => return,
            }
            let accounts = Arc::clone(&self);
            let swept = tokio::task::spawn_blocking(move || {
                accounts.audit.close_window();
                accounts.carry_notes();
                accounts.carry_spare();
                let now = clock::now();
                accounts.db.sweep_sessions(now, now - accounts.settings.idle_ms)
            });
            match swept.await {
                Ok(Ok(_)) => {}
                Ok(Err(fault)) => warn!(%fault, "the sessions were not swept"),
                Err(fault) => warn!(%fault, "the sessions were not swept"),
            }
        }
    }

    /// Carries what changed into the journal, and forgets it once it is on disk there. Its id is
    /// its own, so that a note handed over twice stands once.
    fn carry_notes(&self) {
        let notes = match self.db.account_notes(NOTES_MAX) {
            Ok(notes) => notes,
            Err(fault) => {
                warn!(%fault, "the account notes cannot be read");
                return;
            }
        };
        let Some(last) = notes.last().map(|note| note.id) else { return };
        if !self.audit.carry(&notes) {
            warn!("the journal has not taken the account notes; they are offered again");
        } else if let Err(fault) = self.db.forget_account_notes(last) {
            warn!(%fault, "the account notes stay and are told again");
        }
    }

    /// Nobody is known from before.
    fn forget(&self) {
        self.changes.send_modify(|count| *count += 1);
        self.known().clear();
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<Credential, Seen>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A token of somebody for a program, for as long as a session lives.
    ///
    /// # Errors
    /// There is no such person, or the file cannot be written.
    pub async fn program_token(
        self: &Arc<Self>,
        name: &str,
        label: &str,
    ) -> anyhow::Result<String> {
        let text = secret::token()?;
        let hash = secret::hash_of_token(&text).context("a new token is a token")?;
        let (name, label) = (name.to_owned(), label.to_owned());
        let session_ms = self.settings.session_ms;
        let made = self.change(move |db| {
            let now = clock::now();
            db.add_token(&name, &label, &hash, now + session_ms, Deed { by: &name, now })
        });
        made.await??;
        Ok(text)
    }
}

/// A name as it was tried, cut to what a journal row should hold.
fn shown(name: &str) -> String {
    const LETTERS_MAX: usize = 64;
    name.chars().filter(|letter| !letter.is_control()).take(LETTERS_MAX).collect()
}

/// Takes a name that logs in: one that a command line, an address and a journal can carry.
///
/// # Errors
/// What it must be.
pub fn plain_name(name: &str) -> Result<(), &'static str> {
    let plain = |letter: char| letter.is_alphanumeric() || matches!(letter, '.' | '-' | '_');
    if (1..=32).contains(&name.chars().count()) && name.chars().all(plain) {
        Ok(())
    } else {
        Err("1 至 32 个字母、汉字、数字或 . - _ (1 to 32 letters, digits or . - _)")
    }
}
