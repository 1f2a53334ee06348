//! Where limits are proposed, approved, rejected and put in force.
//!
//! - A decision is in `config.db` first, then in the journal, then in the engine. A kill between
//!   two of them is made good at the next start: notes have deterministic ids, and what is
//!   approved and due is put in force again.
//! - One coming into force at a time. The intake owns the registry: it takes a change or leaves it.

use std::sync::Arc;
use std::time::Duration;

use fengsui_alerting::limits::{LimitSet, LimitsDiff};
use fengsui_store::{
    AlarmJournal, ConfigDb, Decided, LimitsDecision, LimitsProposal, LimitsRevision, LimitsStatus,
    StoreError,
};
use fengsui_telemetry::{GatewayId, Revision, TimeMs};
use tokio::sync::{Mutex, Notify, mpsc, oneshot, watch};
use tracing::{error, info, warn};

use super::held::{agreed_before, is_whole};
use super::key::SigningKey;
use super::ledger::{decision, diff_of, note_of, notes_of};
use super::rules::{self, Policy, Refusal, Reviewed};
use super::seed::order_of;
use crate::accounts::Identity;
use crate::clock;
use crate::config::revision as revision_of;
use crate::intake::GatewayState;
use crate::note::{self, RecordFault};
use crate::registry::{Gateway, Registry};
use crate::stamp::Stamp;

/// Changes that wait for the intake. One is made at a time; when full, it waits.
pub const CHANGES_MAX: usize = 4;
/// Revisions whose notes are made sure of at a start.
const RENOTED: usize = 50;
/// Longest rest of the clerk: a wall clock that was set is noticed after this.
const REST: Duration = Duration::from_secs(30);

/// What the intake is to put in force.
#[derive(Debug)]
pub struct Change {
    /// Whose.
    pub gateway: usize,
    /// By what it is judged from now on.
    pub limits: LimitSet,
    /// Names them.
    pub revision: Revision,
    /// What the gateway is sent; none: it cannot be sent.
    pub order: Option<Vec<u8>>,
    /// True once the alarm loop has it.
    pub reply: oneshot::Sender<bool>,
}

/// What the office works with.
pub struct Parts {
    /// Revisions.
    pub db: Arc<ConfigDb>,
    /// Notes.
    pub journal: AlarmJournal,
    /// Limits in force, and the points.
    pub registry: watch::Receiver<Arc<Registry>>,
    /// What the gateways run.
    pub gateways: watch::Receiver<Arc<Vec<GatewayState>>>,
    /// Who may do what.
    pub policy: Policy,
    /// What the gateways trust.
    pub key: SigningKey,
    /// To the intake.
    pub changes: mpsc::Sender<Change>,
    /// Zone.
    pub stamp: Stamp,
}

/// A change as a person asks for it.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    /// Whose limits.
    pub gateway: String,
    /// The whole file.
    pub csv: String,
    /// Why.
    pub reason: String,
    /// What supports it.
    pub evidence: String,
    /// Not before this.
    pub valid_from: Option<TimeMs>,
}

/// A revision and what it changes.
#[derive(Clone, Debug)]
pub struct Proposed {
    /// As kept.
    pub revision: LimitsRevision,
    /// Against the one in force when it was proposed.
    pub diff: LimitsDiff,
}

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum OfficeFault {
    /// It may not be done.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The journal.
    #[error(transparent)]
    Record(#[from] RecordFault),
    /// The intake or a task has ended.
    #[error("中心正在停止 / the centre is stopping")]
    Stopping,
}

/// The office; clones are the same one.
#[derive(Clone)]
pub struct Office(Arc<Inner>);

struct Inner {
    parts: Parts,
    /// One coming into force at a time: the revision that another is compared with must stand.
    applying: Mutex<()>,
    due: Notify,
}

impl Office {
    /// An office that does nothing yet: see [`Office::run`].
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(Inner { parts, applying: Mutex::new(()), due: Notify::new() }))
    }

    /// Revisions, for readers.
    #[must_use]
    pub fn parts(&self) -> &Parts {
        &self.0.parts
    }

    /// Puts in force what was approved, each at its time, until asked to stop.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        if let Err(fault) = self.note_again().await {
            error!(%fault, "changes of limits may be missing from the journal");
        }
        loop {
            let next = match self.put_in_force().await {
                Ok(next) => next.map_or(REST, clock::until).min(REST),
                Err(fault) => {
                    error!(%fault, "approved limits did not come into force; trying again");
                    REST
                }
            };
            tokio::select! {
                biased;
                () = crate::stop::asked(&mut stop) => return,
                () = self.0.due.notified() => {}
                () = tokio::time::sleep(next) => {}
            }
        }
    }

    /// Keeps a change as a proposal. Nothing is judged by it yet.
    ///
    /// # Errors
    /// It may not be, or cannot be kept.
    pub async fn propose(&self, who: &Identity, draft: Draft) -> Result<Proposed, OfficeFault> {
        rules::may_change(who)?;
        let now = clock::now();
        rules::check_words(&draft.reason, &draft.evidence, draft.valid_from, now)?;
        let (_, gateway) = self.gateway(&draft.gateway)?;
        let who = who.clone();
        let proposed = self
            .with_db(move |parts| {
                let Draft { gateway: name, csv, reason, evidence, valid_from } = draft;
                let base = parts.db.limits_in_force(&name)?.map_or(0, |revision| revision.number);
                let Reviewed { diff, .. } = review(parts, &gateway, base, &csv)?;
                let proposal = LimitsProposal {
                    gateway: name,
                    revision: revision_of(csv.as_bytes()),
                    csv,
                    base,
                    author: who.name,
                    author_name: who.display,
                    reason,
                    evidence,
                    valid_from,
                    created: now,
                };
                let number = parts.db.propose_limits(&proposal)?;
                let revision = LimitsRevision { number, proposal, decisions: Vec::new() };
                Ok(Proposed { revision, diff })
            })
            .await?;
        self.note(&proposed, None).await?;
        Ok(proposed)
    }

    /// Approves a proposal; due at once, it is in force when this returns.
    ///
    /// # Errors
    /// It may not be, or could not be kept.
    pub async fn approve(
        &self,
        who: &Identity,
        gateway: &str,
        number: u64,
        comment: &str,
    ) -> Result<Proposed, OfficeFault> {
        let (_, known) = self.gateway(gateway)?;
        let found = self.find(gateway, number).await?;
        let status = found.revision.status();
        if status != LimitsStatus::Proposed {
            return Err(Refusal::Status { number, status }.into());
        }
        let policy = &self.0.parts.policy;
        rules::may_approve(who, &found.revision.proposal.author, &found.diff, policy)?;
        // The points or the law's list may be others than when it was proposed.
        undamaged(&found.revision)?;
        let proposal = found.revision.proposal.clone();
        let own = who.name == proposal.author;
        let who_approves = who.clone();
        self.with_db(move |parts| {
            // The same file may have come into force under another number since.
            let judges = parts.db.limits_in_force(known.id.as_str())?;
            let judges = judges.map_or(0, |revision| revision.number);
            let Reviewed { diff, .. } = review(parts, &known, judges, &proposal.csv)?;
            // What it was compared with may be damaged; what judges is what it replaces.
            rules::may_approve(&who_approves, &proposal.author, &diff, &parts.policy)?;
            if own && known.limits.is_in_place_of_others() {
                let all = vec!["全部限值 all limits".to_owned()];
                return Err(Refusal::SecondPerson(all).into());
            }
            if judges != proposal.base {
                return Err(Refusal::Overtaken(judges).into());
            }
            match other_waiting(parts, &known)? {
                Some(waits) => Err(waits.into()),
                None => Ok(()),
            }
        })
        .await?;
        let word =
            decision(LimitsStatus::Approved, clock::now(), (&who.name, &who.display), comment);
        let approved = self.decide(found, word).await?;
        let due = approved.revision.proposal.valid_from.is_none_or(|from| from <= clock::now());
        if due {
            self.put_in_force().await?;
        } else {
            self.0.due.notify_one();
        }
        self.find(gateway, number).await
    }

    /// Turns a proposal down, or an approval that is not yet in force.
    ///
    /// # Errors
    /// It may not be, or could not be kept.
    pub async fn reject(
        &self,
        who: &Identity,
        gateway: &str,
        number: u64,
        comment: &str,
    ) -> Result<Proposed, OfficeFault> {
        rules::may_change(who)?;
        let found = self.find(gateway, number).await?;
        let word =
            decision(LimitsStatus::Rejected, clock::now(), (&who.name, &who.display), comment);
        // Not while it comes into force.
        let _alone = self.0.applying.lock().await;
        self.decide(found, word).await
    }

    /// A revision and what it changes.
    ///
    /// # Errors
    /// There is none, or the database cannot be read.
    pub async fn find(&self, gateway: &str, number: u64) -> Result<Proposed, OfficeFault> {
        let gateway = gateway.to_owned();
        self.with_db(move |parts| {
            let revision = parts.db.limits_revision(&gateway, number)?;
            let revision = revision.ok_or(Refusal::NoRevision { gateway, number })?;
            let diff = diff_of(&parts.db, &revision)?;
            Ok(Proposed { revision, diff })
        })
        .await
    }

    /// Revisions, newest first, without their files.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn history(
        &self,
        gateway: Option<String>,
        most: usize,
    ) -> Result<Vec<LimitsRevision>, OfficeFault> {
        self.with_db(move |parts| Ok(parts.db.limits_history(gateway.as_deref(), most)?)).await
    }

    /// The index of a gateway and what is known of it.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn gateway(&self, name: &str) -> Result<(usize, Gateway), Refusal> {
        let registry = self.0.parts.registry.borrow().clone();
        let index = GatewayId::parse(name).ok().and_then(|id| registry.gateway(&id));
        index
            .and_then(|index| registry.gateways.get(index).map(|known| (index, known.clone())))
            .ok_or_else(|| Refusal::NoGateway(name.to_owned()))
    }

    /// Everything that is approved and due, one after the other; when the next one is due.
    async fn put_in_force(&self) -> Result<Option<TimeMs>, OfficeFault> {
        let _alone = self.0.applying.lock().await;
        let mut next: Option<TimeMs> = None;
        for waiting in self.with_db(|parts| Ok(parts.db.limits_waiting()?)).await? {
            let LimitsRevision { number, proposal, .. } = waiting;
            if let Some(from) = proposal.valid_from.filter(|from| *from > clock::now()) {
                next = Some(next.map_or(from, |next| next.min(from)));
                continue;
            }
            let found = self.find(&proposal.gateway, number).await?;
            if let Err(fault) = self.force(found).await {
                warn!(gateway = proposal.gateway, number, %fault, "approved limits stay out of force");
            }
        }
        Ok(next)
    }

    async fn force(&self, found: Proposed) -> Result<(), OfficeFault> {
        undamaged(&found.revision)?;
        let (gateway, number) = (found.revision.proposal.gateway.clone(), found.revision.number);
        let (index, known) = self.gateway(&gateway)?;
        let base = found.revision.proposal.base;
        let name = gateway.clone();
        let (judges, issued) = self
            .with_db(move |parts| {
                let judges = parts.db.limits_in_force(&name)?.map_or(0, |revision| revision.number);
                Ok((judges, parts.db.limits_issued(&name)?))
            })
            .await?;
        if judges != base {
            let comment =
                format!("第 {judges} 版已先生效 / number {judges} came into force before");
            let word = decision(LimitsStatus::Rejected, clock::now(), ("", ""), &comment);
            self.decide(found, word).await?;
            return Err(Refusal::Overtaken(judges).into());
        }
        // A gateway takes what was issued later: also after the wall clock was set back.
        let at = issued.map_or(clock::now(), |issued| clock::now().max(issued + 1));
        let word = decision(LimitsStatus::InForce, at, ("", ""), "");
        let mut forced = found.revision.clone();
        forced.decisions.push(word.clone());
        let csv = &forced.proposal.csv;
        let limits =
            LimitSet::parse(&format!("{gateway} #{number}"), csv).map_err(Refusal::File)?;
        let order = order_of(&known.id, &forced, &self.0.parts.key);
        let (reply, taken) = oneshot::channel();
        let revision = forced.proposal.revision;
        let change = Change { gateway: index, limits, revision, order, reply };
        self.0.parts.changes.send(change).await.map_err(|_| OfficeFault::Stopping)?;
        if !taken.await.unwrap_or(false) {
            return Err(OfficeFault::Stopping);
        }
        self.decide(found, word).await?;
        info!(gateway, number, %revision, "limits in force");
        Ok(())
    }

    /// Keeps a decision, then notes it.
    async fn decide(&self, found: Proposed, word: LimitsDecision) -> Result<Proposed, OfficeFault> {
        let (gateway, number) = (found.revision.proposal.gateway.clone(), found.revision.number);
        let kept = word.clone();
        let decided =
            self.with_db(move |parts| Ok(parts.db.decide_limits(&gateway, number, &kept)?)).await?;
        match decided {
            Decided::Done => {}
            Decided::Unknown => {
                let gateway = found.revision.proposal.gateway;
                return Err(Refusal::NoRevision { gateway, number }.into());
            }
            Decided::Refused(status) => return Err(Refusal::Status { number, status }.into()),
            Decided::Overtaken(by) => return Err(Refusal::Overtaken(by).into()),
        }
        let mut decided = found;
        decided.revision.decisions.push(word.clone());
        self.note(&decided, Some(&word)).await?;
        Ok(decided)
    }

    async fn note(
        &self,
        found: &Proposed,
        word: Option<&LimitsDecision>,
    ) -> Result<(), RecordFault> {
        let note = note_of(&found.revision, word, &found.diff, &self.0.parts.stamp);
        note::record(&self.0.parts.journal, vec![note], clock::now()).await.map(drop)
    }

    /// Notes of the newest revisions once more; the journal drops those that it has.
    async fn note_again(&self) -> Result<(), OfficeFault> {
        let notes = self
            .with_db(|parts| {
                let mut notes = Vec::new();
                for listed in parts.db.limits_history(None, RENOTED)?.into_iter().rev() {
                    // The file of the first start is no change.
                    if listed.proposal.base == 0 {
                        continue;
                    }
                    let (gateway, number) = (&listed.proposal.gateway, listed.number);
                    let Some(whole) = parts.db.limits_revision(gateway, number)? else { continue };
                    notes.extend(notes_of(&whole, &diff_of(&parts.db, &whole)?, &parts.stamp));
                }
                Ok(notes)
            })
            .await?;
        if !notes.is_empty() {
            note::record(&self.0.parts.journal, notes, clock::now()).await?;
        }
        Ok(())
    }

    /// Database work beside the runtime's threads: a commit waits for the disk.
    async fn with_db<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Parts) -> Result<T, OfficeFault> + Send + 'static,
    ) -> Result<T, OfficeFault> {
        let office = self.0.clone();
        let done = tokio::task::spawn_blocking(move || work(&office.parts)).await;
        done.unwrap_or(Err(OfficeFault::Stopping))
    }
}

/// Another revision of this gateway that is agreed to and waits for its hour.
fn other_waiting(parts: &Parts, gateway: &Gateway) -> Result<Option<Refusal>, OfficeFault> {
    let waiting = parts.db.limits_waiting()?;
    let other = waiting.into_iter().find(|other| other.proposal.gateway == gateway.id.as_str());
    Ok(other.map(|other| {
        let from = other.proposal.valid_from.unwrap_or(other.proposal.created);
        Refusal::Waits { number: other.number, from: parts.stamp.people(from) }
    }))
}

/// What is agreed to and put in force is what was proposed.
fn undamaged(revision: &LimitsRevision) -> Result<(), Refusal> {
    if is_whole(revision) {
        return Ok(());
    }
    let number = revision.number;
    let why = format!(
        "第 {number} 版的内容在 config.db 中已损坏，请驳回并重新提交 / number {number} is damaged in config.db: reject it and propose it anew"
    );
    Err(Refusal::Field { field: "csv", why })
}

fn review(parts: &Parts, gateway: &Gateway, base: u64, csv: &str) -> Result<Reviewed, OfficeFault> {
    let catalogue = gateway.numbered().map(|numbered| &numbered.catalogue);
    let old = (&gateway.limits, base);
    let reviewed = rules::review(&gateway.id, old, csv, catalogue, &parts.policy)?;
    if gateway.limits.is_in_place_of_others() {
        let before = agreed_before(&parts.db, gateway.id.as_str())?;
        rules::check_law(&gateway.id, &before, &reviewed.limits, &parts.policy)?;
    }
    Ok(reviewed)
}
