//! Sessions while the disk takes none: a full disk keeps nobody from the desk.
//!
//! - A password is checked as ever, and who it is is read from disk each time; only that somebody
//!   is logged in, or out, stands in memory until the disk takes it.
//! - A restart forgets it: who logged in logs in again, who logged out may find the session alive.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{MutexGuard, PoisonError};

use fengsui_store::{AccountFault, User};
use fengsui_telemetry::TimeMs;
use tracing::warn;

use super::Accounts;
use super::audit::Act;
use crate::clock;

/// Sessions of one person: the least used goes for a newer one. The account's own number on disk
/// is larger; this is for a night.
const OPEN_OF_ONE: usize = 8;
/// Sessions in all: everybody of a plant.
const OPEN_MAX: usize = 256;
/// Log-outs that wait for the disk. Beyond it the first one is forgotten.
const ENDED_MAX: usize = 1_024;

/// The hash of a session's cookie.
pub(super) type Hash = [u8; 32];

/// A session in memory.
#[derive(Clone, Debug)]
pub(super) struct Session {
    /// Whose, as read when the password was checked.
    user: User,
    since: TimeMs,
    expires: TimeMs,
    /// From which address.
    from: String,
    seen: TimeMs,
}

impl Session {
    fn new(user: User, since: TimeMs, expires: TimeMs, from: String) -> Self {
        Self { user, since, expires, from, seen: since }
    }

    /// The name that logged in.
    pub(super) fn name(&self) -> &str {
        &self.user.name
    }

    /// True while the account is what it was when the password was checked.
    pub(super) fn is_of(&self, user: &User) -> bool {
        user.id == self.user.id && user.hash == self.user.hash && !user.disabled
    }
}

/// What stands in memory alone.
#[derive(Debug, Default)]
pub(super) struct Spare {
    open: BTreeMap<Hash, Session>,
    ended: VecDeque<Hash>,
}

impl Spare {
    /// Opens one, if need be in the place of the least used: of the same person first.
    pub(super) fn open(&mut self, hash: Hash, session: Session) {
        let of = |user: i64| self.open.values().filter(|one| one.user.id == user).count();
        let own = of(session.user.id) >= OPEN_OF_ONE;
        if own || self.open.len() >= OPEN_MAX {
            let some = self.open.iter().filter(|(_, one)| !own || one.user.id == session.user.id);
            if let Some(least) = some.min_by_key(|(_, one)| one.seen).map(|(hash, _)| *hash) {
                self.open.remove(&least);
            }
        }
        self.open.insert(hash, session);
    }

    /// A session that is used now, unless its time is over.
    pub(super) fn used(&mut self, hash: &Hash, now: TimeMs, used_since: TimeMs) -> Option<Session> {
        let session = self.open.get_mut(hash)?;
        if session.expires <= now || session.seen <= used_since {
            self.open.remove(hash);
            return None;
        }
        session.seen = session.seen.max(now);
        Some(session.clone())
    }

    /// True where it was open here; it is no more.
    pub(super) fn close(&mut self, hash: &Hash) -> bool {
        self.open.remove(hash).is_some()
    }

    /// Remembers that a session on disk is over.
    pub(super) fn end(&mut self, hash: Hash) {
        if self.ended.contains(&hash) {
            return;
        }
        if self.ended.len() >= ENDED_MAX {
            self.ended.pop_front();
        }
        self.ended.push_back(hash);
    }

    /// True where the session on disk is over.
    pub(super) fn has_ended(&self, hash: &Hash) -> bool {
        self.ended.contains(hash)
    }

    /// The disk knows that it is over.
    pub(super) fn ended_on_disk(&mut self, hash: &Hash) {
        self.ended.retain(|one| one != hash);
    }

    /// All that the disk does not know yet.
    pub(super) fn owed(&self) -> (Vec<(Hash, Session)>, Vec<Hash>) {
        let open = self.open.iter().map(|(hash, session)| (*hash, session.clone()));
        (open.collect(), self.ended.iter().copied().collect())
    }
}

impl Accounts {
    /// On disk; where that takes nothing, in memory.
    pub(super) fn open_session(
        &self,
        user: User,
        hash: [u8; 32],
        from: String,
    ) -> Result<bool, AccountFault> {
        let now = clock::now();
        let expires = now + self.settings.session_ms;
        match self.db.open_session(&user, &hash, now, expires) {
            Err(AccountFault::Store(fault)) if fault.is_unwritable() => {
                warn!(
                    login = user.name, from, %fault,
                    "数据盘写不进，登录只记在内存，重启后须重新登录  |  the disk takes nothing: this log-in is held in memory until it does; after a restart, log in again"
                );
                self.spare().open(hash, Session::new(user, now, expires, from));
                Ok(true)
            }
            opened => opened,
        }
    }

    /// On disk, or in memory until that takes it.
    pub(super) fn end_session(&self, hash: [u8; 32]) -> Result<(), AccountFault> {
        let was_spare = self.spare().close(&hash);
        match self.db.end_session(&hash) {
            Err(AccountFault::Store(fault)) if fault.is_unwritable() => {
                if !was_spare {
                    warn!(%fault, "数据盘写不进，退出只记在内存，写得进时补记  |  the disk takes nothing: this log-out is held in memory until it does");
                    self.spare().end(hash);
                }
                Ok(())
            }
            ended => ended.map(|_| ()),
        }
    }

    /// Writes down what sessions began and ended while the disk took nothing.
    pub(super) fn carry_spare(&self) {
        let (open, ended) = self.spare().owed();
        for hash in ended {
            if self.db.end_session(&hash).is_err() {
                return;
            }
            self.spare().ended_on_disk(&hash);
        }
        for (hash, session) in open {
            let Session { user, since, expires, from, seen } = &session;
            match self.db.open_session(user, &hash, *seen, *expires) {
                // A commit that was said to have failed may be on disk.
                Err(_) if self.is_on_disk(&hash) => drop(self.spare().close(&hash)),
                Err(_) => return,
                // Closed meanwhile: it was not on disk yet when its end was written.
                Ok(_) if !self.spare().close(&hash) => drop(self.db.end_session(&hash)),
                Ok(_) => {
                    let minutes = (clock::now().0 - since.0) / 60_000;
                    let detail = format!(
                        "{minutes} 分钟前数据盘写不进时登录，补记 / {minutes} min ago, while the disk took nothing"
                    );
                    let (by, login) = (user.display.as_str(), user.name.as_str());
                    let (verb, outcome, detail) = ("log_in", "ok", detail.as_str());
                    self.audit.note(Act { by, login, verb, object: "", outcome, detail, from });
                }
            }
        }
    }

    fn is_on_disk(&self, hash: &Hash) -> bool {
        matches!(self.db.session(hash, TimeMs(i64::MIN), TimeMs(i64::MIN)), Ok(Some(_)))
    }

    pub(super) fn spare(&self) -> MutexGuard<'_, Spare> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: TimeMs = TimeMs(1_795_270_445_000);

    fn user(id: i64) -> User {
        User {
            id,
            name: format!("user{id}"),
            display: String::new(),
            role: "operator".to_owned(),
            position: String::new(),
            hash: "a".to_owned(),
            disabled: false,
            created: NOW,
        }
    }

    fn open(spare: &mut Spare, id: i64, n: u16, at: i64) -> Hash {
        let mut hash = [0; 32];
        hash[..2].copy_from_slice(&n.to_be_bytes());
        spare.open(hash, Session::new(user(id), NOW + at, NOW + 100_000, String::new()));
        hash
    }

    #[test]
    fn sessions_end_as_on_disk() {
        let mut spare = Spare::default();
        let hash = open(&mut spare, 1, 1, 0);
        assert!(spare.used(&hash, NOW + 10, NOW - 1).is_some());
        assert!(spare.used(&hash, NOW + 30, NOW + 10).is_none(), "unused for too long");
        let hash = open(&mut spare, 1, 2, 0);
        assert!(spare.used(&hash, NOW + 100_000, NOW - 1).is_none(), "expired");
        let hash = open(&mut spare, 1, 3, 0);
        assert!(spare.close(&hash) && !spare.close(&hash));
        assert!(spare.used(&hash, NOW, NOW - 1).is_none(), "closed");
        let session = Session::new(user(1), NOW, NOW, String::new());
        let changed = User { hash: "b".to_owned(), ..user(1) };
        let disabled = User { disabled: true, ..user(1) };
        assert!(session.is_of(&user(1)) && !session.is_of(&changed) && !session.is_of(&disabled));
    }

    #[test]
    fn memory_is_bounded_and_one_person_pushes_out_themselves() {
        let mut spare = Spare::default();
        let other = open(&mut spare, 2, 5_000, 0);
        let own: Vec<Hash> = (0..20).map(|n| open(&mut spare, 1, n, i64::from(n) + 1)).collect();
        assert_eq!(spare.open.len(), 1 + OPEN_OF_ONE);
        assert!(spare.used(&other, NOW, NOW - 1).is_some());
        assert!(spare.used(&own[11], NOW, NOW - 1).is_none(), "the least used has gone");
        assert!(spare.used(&own[12], NOW, NOW - 1).is_some());
        for n in 0..1_000 {
            open(&mut spare, i64::from(n) + 10, 6_000 + n, 50);
            spare.end([n.to_be_bytes()[1]; 32]);
        }
        assert_eq!(spare.open.len(), OPEN_MAX);
        for n in 0..2_000_u16 {
            let mut hash = [9; 32];
            hash[..2].copy_from_slice(&n.to_be_bytes());
            spare.end(hash);
        }
        assert_eq!(spare.ended.len(), ENDED_MAX);
    }
}
