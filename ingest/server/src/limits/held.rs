//! What `config.db` still holds of the limits in force, and what judges where that is not what was
//! agreed to.
//!
//! - A revision is named by the hash of its file. A text of another hash is damaged: nobody has
//!   agreed to it, so it is shown on every point, and no gateway is sent it.
//! - Limits that were lost are never taken from the file in silence: the file judges, every point
//!   shows it, and people agree to it or to better ones.

use fengsui_alerting::limits::LimitSet;
use fengsui_store::{ConfigDb, LimitsRevision, LimitsStatus, StoreError};
use fengsui_telemetry::{GatewayId, Revision};
use tracing::{error, warn};

use crate::config::{KnownGateway, revision as revision_of};

/// Revisions that are looked through: a change a day for years.
pub(super) const LOOK_BACK: usize = 1_000;

/// What there is of the limits in force of a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// As they were agreed to.
    Whole(LimitsRevision),
    /// Their text is not the one that was agreed to.
    Damaged(LimitsRevision),
    /// There were some.
    Lost,
    /// Nothing was ever said of any.
    Never,
}

/// What the database holds. A damaged text that the gateway's file has unharmed is no damage.
#[must_use]
pub(crate) fn held(db: &ConfigDb, gateway: &KnownGateway) -> Held {
    let id = gateway.id.as_str();
    let lost = |fault: StoreError| {
        error!(gateway = id, %fault, "在用限值无法从 config.db 读出 / the limits in force cannot be read from config.db");
        Held::Lost
    };
    match db.limits_in_force(id) {
        Ok(Some(found)) if is_whole(&found) => Held::Whole(found),
        Ok(Some(mut found)) if gateway.limits_revision == found.proposal.revision => {
            warn!(
                gateway = id,
                number = found.number,
                "config.db 中在用限值的内容已损坏；配置文件与批准的内容完全相同，按它判断 / the limits in force are damaged in config.db: the file is exactly what was agreed to and judges"
            );
            found.proposal.csv.clone_from(&gateway.limits_text);
            Held::Whole(found)
        }
        Ok(Some(found)) => Held::Damaged(found),
        Ok(None) => match db.limits_known(id) {
            Ok(true) => Held::Lost,
            Ok(false) => Held::Never,
            Err(fault) => lost(fault),
        },
        Err(fault) => lost(fault),
    }
}

/// True where the text is the one that was agreed to.
#[must_use]
pub(super) fn is_whole(revision: &LimitsRevision) -> bool {
    revision_of(revision.proposal.csv.as_bytes()) == revision.proposal.revision
}

/// By what a gateway is judged, and what names it.
#[must_use]
pub(crate) fn judging(gateway: &KnownGateway, held: &Held) -> (LimitSet, Revision) {
    let id = &gateway.id;
    let file = || gateway.limits.clone();
    match held {
        Held::Never => (file(), gateway.limits_revision),
        Held::Lost => {
            let (zh, en) = lost_words(id);
            (file().in_place_of(LimitSet::default(), zh, en), gateway.limits_revision)
        }
        Held::Whole(found) => {
            let name = format!("{id} #{}", found.number);
            let csv = &found.proposal.csv;
            let limits =
                LimitSet::parse(&name, csv).unwrap_or_else(|_| LimitSet::readable(&name, csv));
            if !limits.is_empty() {
                return (limits, found.proposal.revision);
            }
            let (zh, en) = unreadable_words(id, found.number);
            (file().in_place_of(limits, zh, en), gateway.limits_revision)
        }
        Held::Damaged(found) => {
            let csv = &found.proposal.csv;
            let limits = LimitSet::readable(&format!("{id} #{}", found.number), csv);
            let (zh, en) = damaged_words(id, found.number, limits.is_empty());
            if limits.is_empty() {
                return (file().in_place_of(limits, zh, en), gateway.limits_revision);
            }
            // By its own name: it is not the revision that was agreed to.
            (limits.clone().in_place_of(limits, zh, en), revision_of(csv.as_bytes()))
        }
    }
}

/// Limits that were agreed to, back to the newest ones that judged and are whole: what the law set
/// there stays, whatever is left of those in force.
///
/// # Errors
/// The database cannot be read.
pub(crate) fn agreed_before(db: &ConfigDb, gateway: &str) -> Result<Vec<LimitSet>, StoreError> {
    let mut sets = Vec::new();
    for listed in db.limits_history(Some(gateway), LOOK_BACK)? {
        let judged = listed.decided(LimitsStatus::InForce).is_some();
        // Its coming into force may be what was lost; what a person withdrew is not.
        let withdrawn =
            listed.decided(LimitsStatus::Rejected).is_some_and(|word| !word.by.is_empty());
        if !judged && (withdrawn || listed.decided(LimitsStatus::Approved).is_none()) {
            continue;
        }
        let found = db.limits_revision(gateway, listed.number)?;
        let Some(found) = found.filter(is_whole) else { continue };
        sets.push(LimitSet::readable("csv", &found.proposal.csv));
        if judged {
            break;
        }
    }
    Ok(sets)
}

fn unreadable_words(id: &GatewayId, number: u64) -> (String, String) {
    let zh = format!(
        "网关 {id} 在用限值第 {number} 版没有一行能读取，暂用配置文件中的限值判断，未经批准；请用 \
         fengsui limits import 提交改正的限值并批准"
    );
    let en = format!(
        "no row of the limits in force of {id}, number {number}, can be read: those of the \
         configuration's file judge, and nobody has approved them; mend the limits with fengsui \
         limits import and have them approved"
    );
    (zh, en)
}

fn damaged_words(id: &GatewayId, number: u64, by_file: bool) -> (String, String) {
    let (by_zh, by_en) = if by_file {
        ("配置文件中的限值", "those of the configuration's file judge")
    } else {
        ("其中还能读取的行", "what can still be read of them judges")
    };
    let zh = format!(
        "config.db 中网关 {id} 在用限值第 {number} 版的内容已损坏，与批准的内容不一致，暂用{by_zh}判断，\
         未经批准，也不下发网关；请用 fengsui limits import 提交正确的限值并批准"
    );
    let en = format!(
        "the limits in force of {id}, number {number}, are damaged in config.db and are not what \
         was approved: {by_en}, nobody has approved that, and the gateway is sent nothing; import \
         the right limits with fengsui limits import and have them approved"
    );
    (zh, en)
}

fn lost_words(id: &GatewayId) -> (String, String) {
    let zh = format!(
        "config.db 中没有网关 {id} 此前判断所用的限值（记录已丢失），暂用配置文件中的限值判断，未经批准，\
         也不下发网关；请用 fengsui limits import 提交正确的限值并批准，或批准配置文件的提案"
    );
    let en = format!(
        "config.db does not hold the limits that {id} was judged by, they are lost: those of the \
         configuration's file judge, nobody has approved them, and the gateway is sent nothing; \
         import the right limits with fengsui limits import and have them approved, or approve the \
         file's proposal"
    );
    (zh, en)
}
