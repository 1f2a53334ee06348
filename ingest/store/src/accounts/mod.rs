//! People, their sessions and their tokens, in `config.db`.
//!
//! - Secrets are kept as hashes alone: a password as its Argon2id text, a session or a token as
//!   the SHA-256 of what its owner carries.
//! - What ends a session is written with it: a new password, a disabled person and the end of the
//!   session are one transaction each.
//! - Every change leaves a note in the same transaction, which the centre carries into the
//!   journal: also what the command line did while no centre ran.
//! - The last person who may manage accounts cannot be lost.

mod sql;

use fengsui_telemetry::TimeMs;
use rusqlite::{Connection, TransactionBehavior};
use thiserror::Error;

use crate::error::database;
use crate::{ConfigDb, StoreError};

pub(crate) use sql::create;

/// Sessions of one person at once: every desk of a county, and browsers that forgot theirs. The
/// longest unused goes first.
const SESSIONS_MAX: i64 = 50;
/// Tokens of one person.
const TOKENS_MAX: i64 = 50;
/// The role that manages accounts, as the table keeps it.
const ADMIN: &str = "admin";

/// A person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Number.
    pub id: i64,
    /// The name that logs in.
    pub name: String,
    /// The name that people read.
    pub display: String,
    /// One word: viewer, operator, engineer, admin.
    pub role: String,
    /// The operator position.
    pub position: String,
    /// The password's Argon2id text.
    pub hash: String,
    /// May not log in.
    pub disabled: bool,
    /// Since when.
    pub created: TimeMs,
}

/// A person to be.
#[derive(Clone, Copy, Debug)]
pub struct NewUser<'a> {
    /// The name that logs in.
    pub name: &'a str,
    /// The name that people read.
    pub display: &'a str,
    /// One word: viewer, operator, engineer, admin.
    pub role: &'a str,
    /// The operator position.
    pub position: &'a str,
    /// The password's Argon2id text.
    pub hash: &'a str,
}

/// What changes about a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserChange<'a> {
    /// A new password, as its Argon2id text. Ends all sessions.
    Password(&'a str),
    /// May not log in any more. Ends all sessions; tokens sleep.
    Disable,
    /// May log in again.
    Enable,
    /// Another role.
    Role(&'a str),
}

impl UserChange<'_> {
    /// One word, as the journal tells it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Password(_) => "user_password",
            Self::Disable => "user_disable",
            Self::Enable => "user_enable",
            Self::Role(_) => "user_role",
        }
    }
}

/// A person's token for programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiToken {
    /// Number.
    pub id: i64,
    /// What it is for.
    pub label: String,
    /// Whose, by name.
    pub user: String,
    /// Since when.
    pub created: TimeMs,
    /// Until when.
    pub expires: TimeMs,
}

/// Who changes something, and when.
#[derive(Clone, Copy, Debug)]
pub struct Deed<'a> {
    /// Who, as the journal shall tell it.
    pub by: &'a str,
    /// When.
    pub now: TimeMs,
}

/// A change that the journal does not tell yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountNote {
    /// Number.
    pub id: i64,
    /// When.
    pub at: TimeMs,
    /// Who.
    pub by: String,
    /// What, one word.
    pub verb: String,
    /// To whom.
    pub object: String,
    /// More, in words.
    pub detail: String,
}

/// Why an account could not be changed.
#[derive(Clone, Debug, Error)]
pub enum AccountFault {
    /// Somebody has that name.
    #[error("用户 {0} 已存在，请换一个名字 (user {0} exists: take another name)")]
    NameTaken(String),
    /// Nobody has that name.
    #[error("没有用户 {0}，用 fengsui user list 查看 (no user {0}: see fengsui user list)")]
    NoSuchUser(String),
    /// No such token.
    #[error("没有令牌 {0}，用 fengsui user token list 查看 (no token {0})")]
    NoSuchToken(i64),
    /// Nobody could manage accounts any more.
    #[error(
        "{0} 是最后一个可用的管理员，先再设一个 ({0} is the last admin: make another one first)"
    )]
    LastAdmin(String),
    /// Too many tokens.
    #[error("用户 {0} 已有 50 个令牌，先撤销不用的 ({0} has 50 tokens: revoke one first)")]
    TokensFull(String),
    /// The file.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ConfigDb {
    /// Everybody, by name.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn users(&self) -> Result<Vec<User>, StoreError> {
        self.readers.read("read the accounts", sql::users)
    }

    /// The person of a name.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn user(&self, name: &str) -> Result<Option<User>, StoreError> {
        self.readers.read("read an account", |conn| sql::user(conn, name))
    }

    /// Makes the very first person; false where there is somebody already.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn add_first_user(&self, new: NewUser<'_>, deed: Deed<'_>) -> Result<bool, AccountFault> {
        self.change("make the first account", |conn| {
            if sql::anybody(conn)? {
                return Ok(Ok(false));
            }
            sql::add_user(conn, new, deed.now)?;
            sql::note(conn, deed, "user_add", new.name, new.role)?;
            Ok(Ok(true))
        })
    }

    /// Makes a person.
    ///
    /// # Errors
    /// The name is taken, or the file cannot be written.
    pub fn add_user(&self, new: NewUser<'_>, deed: Deed<'_>) -> Result<i64, AccountFault> {
        self.change("make an account", |conn| {
            if sql::user(conn, new.name)?.is_some() {
                return Ok(Err(AccountFault::NameTaken(new.name.to_owned())));
            }
            let id = sql::add_user(conn, new, deed.now)?;
            sql::note(conn, deed, "user_add", new.name, new.role)?;
            Ok(Ok(id))
        })
    }

    /// Changes a person.
    ///
    /// # Errors
    /// There is none, it is the last admin, or the file cannot be written.
    pub fn change_user(
        &self,
        name: &str,
        change: UserChange<'_>,
        deed: Deed<'_>,
    ) -> Result<(), AccountFault> {
        self.change("change an account", |conn| {
            let Some(user) = sql::user(conn, name)? else {
                return Ok(Err(AccountFault::NoSuchUser(name.to_owned())));
            };
            let leaves = match change {
                UserChange::Disable => true,
                UserChange::Role(role) => role != ADMIN,
                UserChange::Password(_) | UserChange::Enable => false,
            };
            if leaves && user.role == ADMIN && !user.disabled && sql::admins(conn)? <= 1 {
                return Ok(Err(AccountFault::LastAdmin(name.to_owned())));
            }
            let detail = match change {
                UserChange::Password(hash) => {
                    sql::set_hash(conn, user.id, hash)?;
                    sql::end_sessions_of(conn, user.id)?;
                    ""
                }
                UserChange::Disable => {
                    sql::set_disabled(conn, user.id, true)?;
                    sql::end_sessions_of(conn, user.id)?;
                    ""
                }
                UserChange::Enable => {
                    sql::set_disabled(conn, user.id, false)?;
                    ""
                }
                UserChange::Role(role) => {
                    sql::set_role(conn, user.id, role)?;
                    role
                }
            };
            sql::note(conn, deed, change.word(), name, detail)?;
            Ok(Ok(()))
        })
    }

    /// Opens a session of a person who has shown the password; none where it was changed, or the
    /// person disabled, since the password was read.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn open_session(
        &self,
        user: &User,
        hash: &[u8; 32],
        now: TimeMs,
        expires: TimeMs,
    ) -> Result<bool, AccountFault> {
        self.change("open a session", |conn| {
            let same = |found: &User| found.hash == user.hash && !found.disabled;
            if !sql::user(conn, &user.name)?.as_ref().is_some_and(same) {
                return Ok(Ok(false));
            }
            sql::make_room(conn, user.id, SESSIONS_MAX - 1)?;
            sql::open_session(conn, user.id, hash, now, expires)?;
            Ok(Ok(true))
        })
    }

    /// Whose session it is: not expired, used after `used_since`, and of somebody who may log in.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn session(
        &self,
        hash: &[u8; 32],
        now: TimeMs,
        used_since: TimeMs,
    ) -> Result<Option<User>, StoreError> {
        self.readers.read("read a session", |conn| sql::session(conn, hash, now, used_since))
    }

    /// Remembers that a session is used.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn touch_session(&self, hash: &[u8; 32], now: TimeMs) -> Result<(), AccountFault> {
        self.change("touch a session", |conn| sql::touch_session(conn, hash, now).map(Ok))
    }

    /// Ends a session; true where there was one.
    ///
    /// # Errors
    /// The file cannot be written: the session may live on.
    pub fn end_session(&self, hash: &[u8; 32]) -> Result<bool, AccountFault> {
        self.change("end a session", |conn| sql::end_session(conn, hash).map(Ok))
    }

    /// Forgets sessions and tokens that are over.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn sweep_sessions(&self, now: TimeMs, used_since: TimeMs) -> Result<usize, AccountFault> {
        self.change("sweep the sessions", |conn| sql::sweep(conn, now, used_since).map(Ok))
    }

    /// Gives a person a token.
    ///
    /// # Errors
    /// There is no such person, too many tokens, or the file cannot be written.
    pub fn add_token(
        &self,
        name: &str,
        label: &str,
        hash: &[u8; 32],
        expires: TimeMs,
        deed: Deed<'_>,
    ) -> Result<i64, AccountFault> {
        self.change("make a token", |conn| {
            let Some(user) = sql::user(conn, name)? else {
                return Ok(Err(AccountFault::NoSuchUser(name.to_owned())));
            };
            if sql::tokens_of(conn, user.id)? >= TOKENS_MAX {
                return Ok(Err(AccountFault::TokensFull(name.to_owned())));
            }
            let id = sql::add_token(conn, user.id, label, hash, deed.now, expires)?;
            sql::note(conn, deed, "token_add", name, label)?;
            Ok(Ok(id))
        })
    }

    /// Whose token it is, if it holds and its owner may log in.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn token(&self, hash: &[u8; 32], now: TimeMs) -> Result<Option<User>, StoreError> {
        self.readers.read("read a token", |conn| sql::token(conn, hash, now))
    }

    /// Every token that holds.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn tokens(&self, now: TimeMs) -> Result<Vec<ApiToken>, StoreError> {
        self.readers.read("read the tokens", |conn| sql::tokens(conn, now))
    }

    /// Revokes a token.
    ///
    /// # Errors
    /// There is none, or the file cannot be written.
    pub fn revoke_token(&self, id: i64, deed: Deed<'_>) -> Result<(), AccountFault> {
        self.change("revoke a token", |conn| {
            let Some((user, label)) = sql::take_token(conn, id)? else {
                return Ok(Err(AccountFault::NoSuchToken(id)));
            };
            sql::note(conn, deed, "token_revoke", &user, &label)?;
            Ok(Ok(()))
        })
    }

    /// The oldest changes that the journal does not tell yet.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn account_notes(&self, limit: usize) -> Result<Vec<AccountNote>, StoreError> {
        self.readers.read("read the notes", |conn| sql::notes(conn, limit))
    }

    /// Forgets notes up to this number: the journal tells them.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn forget_account_notes(&self, through: i64) -> Result<(), AccountFault> {
        self.change("forget notes", |conn| sql::forget_notes(conn, through).map(Ok))
    }

    /// One transaction; a refusal leaves nothing behind.
    fn change<T>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Connection) -> rusqlite::Result<Result<T, AccountFault>>,
    ) -> Result<T, AccountFault> {
        let mut conn = self.conn();
        let mut work = Some(work);
        let mut run = || {
            let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let work = work.take().ok_or(rusqlite::Error::InvalidQuery)?;
            match work(&tx)? {
                Ok(done) => tx.commit().map(|()| Ok(done)),
                Err(refused) => Ok(Err(refused)),
            }
        };
        run().map_err(database(doing, &self.path))?
    }
}
