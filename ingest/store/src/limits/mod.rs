//! Revisions of limits in `config.db`: proposed, decided, never edited.
//!
//! - A revision is its gateway's number, counted from 1, and the whole file. The row is written
//!   once; triggers refuse an update or a deletion.
//! - What became of it is a list of decisions beside it, appended in the transaction that checks
//!   that the step is allowed. The newest one is its status.
//! - At most one revision of a gateway is in force: putting one in force supersedes the other in
//!   the same transaction.

mod sql;
#[cfg(test)]
mod tests;

use fengsui_telemetry::{Revision, TimeMs};
use rusqlite::TransactionBehavior;

use crate::StoreError;
use crate::config::ConfigDb;

pub(crate) use sql::create;

/// What became of a revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LimitsStatus {
    /// Waits for somebody's word.
    Proposed,
    /// Agreed; comes into force at its time.
    Approved,
    /// Turned down.
    Rejected,
    /// Judges.
    InForce,
    /// Judged until another one did.
    Superseded,
}

impl LimitsStatus {
    /// Every status.
    pub const ALL: [Self; 5] =
        [Self::Proposed, Self::Approved, Self::Rejected, Self::InForce, Self::Superseded];

    /// As the database and the API write it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Proposed => "proposed",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::InForce => "in_force",
            Self::Superseded => "superseded",
        }
    }

    /// Reads it back.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.word() == word)
    }

    /// The steps that are allowed.
    fn may_become(self, next: Self) -> bool {
        use LimitsStatus::{Approved, InForce, Proposed, Rejected, Superseded};
        match (self, next) {
            (Proposed, Approved | Rejected | InForce)
            | (Approved, InForce | Rejected)
            | (InForce, Superseded) => true,
            (Proposed, Proposed | Superseded)
            | (Approved, Proposed | Approved | Superseded)
            | (InForce, Proposed | Approved | Rejected | InForce)
            | (Rejected | Superseded, Proposed | Approved | Rejected | InForce | Superseded) => {
                false
            }
        }
    }
}

/// A revision as its author wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitsProposal {
    /// Whose limits.
    pub gateway: String,
    /// The head of the SHA-256 of `csv`.
    pub revision: Revision,
    /// The file, whole.
    pub csv: String,
    /// The number that was in force when it was written; 0 = none was.
    pub base: u64,
    /// The author's account.
    pub author: String,
    /// The author as people read it.
    pub author_name: String,
    /// Why.
    pub reason: String,
    /// What supports it: the result of a back-test, a document; empty = nothing was given.
    pub evidence: String,
    /// Wanted in force from here; none: as soon as it is approved.
    pub valid_from: Option<TimeMs>,
    /// When it was proposed.
    pub created: TimeMs,
}

/// A word about a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitsDecision {
    /// What it makes of it.
    pub status: LimitsStatus,
    /// When; of [`LimitsStatus::InForce`] the event time from which it judges.
    pub at: TimeMs,
    /// The account; empty = the program itself.
    pub by: String,
    /// As people read it.
    pub by_name: String,
    /// In their words.
    pub comment: String,
}

/// A revision and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitsRevision {
    /// Of its gateway, from 1.
    pub number: u64,
    /// As its author wrote it.
    pub proposal: LimitsProposal,
    /// Oldest first; empty = nobody has said a word.
    pub decisions: Vec<LimitsDecision>,
}

impl LimitsRevision {
    /// The newest decision.
    #[must_use]
    pub fn status(&self) -> LimitsStatus {
        self.decisions.last().map_or(LimitsStatus::Proposed, |decision| decision.status)
    }

    /// The decision that made it this.
    #[must_use]
    pub fn decided(&self, status: LimitsStatus) -> Option<&LimitsDecision> {
        self.decisions.iter().find(|decision| decision.status == status)
    }
}

/// How a decision ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decided {
    /// It stands.
    Done,
    /// There is no such revision.
    Unknown,
    /// The revision is this already, from which the step is not allowed.
    Refused(LimitsStatus),
    /// Another revision is in force than the one that this one was compared with.
    Overtaken(u64),
}

impl ConfigDb {
    /// Keeps a revision and gives it its number.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn propose_limits(&self, proposal: &LimitsProposal) -> Result<u64, StoreError> {
        self.with("propose limits", |conn| {
            let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let number = sql::insert(&tx, proposal)?;
            tx.commit()?;
            Ok(number)
        })
    }

    /// Appends a decision, if the step is allowed. A revision that comes into force supersedes
    /// the one before; it must be the one that its author compared with.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn decide_limits(
        &self,
        gateway: &str,
        number: u64,
        decision: &LimitsDecision,
    ) -> Result<Decided, StoreError> {
        self.with("decide about limits", |conn| {
            let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let Some((status, base)) = sql::status(&tx, gateway, number)? else {
                return Ok(Decided::Unknown);
            };
            if !status.may_become(decision.status) {
                return Ok(Decided::Refused(status));
            }
            let agrees = match decision.status {
                LimitsStatus::Approved | LimitsStatus::InForce => true,
                LimitsStatus::Proposed | LimitsStatus::Rejected | LimitsStatus::Superseded => false,
            };
            let now = sql::in_force(&tx, gateway)?;
            if agrees && now.unwrap_or(0) != base {
                return Ok(Decided::Overtaken(now.unwrap_or(0)));
            }
            if decision.status == LimitsStatus::InForce
                && let Some(old) = now
            {
                let comment = format!("#{number}");
                let status = LimitsStatus::Superseded;
                sql::decide(
                    &tx,
                    gateway,
                    old,
                    &LimitsDecision { status, comment, ..decision.clone() },
                )?;
            }
            sql::decide(&tx, gateway, number, decision)?;
            tx.commit()?;
            Ok(Decided::Done)
        })
    }

    /// One revision.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn limits_revision(
        &self,
        gateway: &str,
        number: u64,
    ) -> Result<Option<LimitsRevision>, StoreError> {
        self.with("read limits", |conn| sql::revision(conn, gateway, number))
    }

    /// The revision that judges.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn limits_in_force(&self, gateway: &str) -> Result<Option<LimitsRevision>, StoreError> {
        self.with("read limits", |conn| match sql::in_force(conn, gateway)? {
            Some(number) => sql::revision(conn, gateway, number),
            None => Ok(None),
        })
    }

    /// True where anything was ever said of a gateway's limits, also where it is partly lost.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn limits_known(&self, gateway: &str) -> Result<bool, StoreError> {
        self.with("read limits", |conn| sql::known(conn, gateway))
    }

    /// Revisions of one gateway or of all, newest first, without their files.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn limits_history(
        &self,
        gateway: Option<&str>,
        most: usize,
    ) -> Result<Vec<LimitsRevision>, StoreError> {
        self.with("read the history of limits", |conn| sql::history(conn, gateway, most))
    }

    /// Approved revisions that are not yet in force, oldest decision first, without their files.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn limits_waiting(&self) -> Result<Vec<LimitsRevision>, StoreError> {
        self.with("read waiting limits", |conn| sql::waiting(conn))
    }

    /// The latest moment of any coming into force of this gateway's limits.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn limits_issued(&self, gateway: &str) -> Result<Option<TimeMs>, StoreError> {
        self.with("read limits", |conn| sql::issued(conn, gateway))
    }
}
