//! Limits at a start: `config.db` leads, the file of the configuration is offered.

use std::cell::LazyCell;
use std::collections::BTreeMap;

use anyhow::Context;
use fengsui_alerting::limits::LimitSet;
use fengsui_store::{ConfigDb, Decided, LimitsProposal, LimitsRevision, LimitsStatus, StoreError};
use fengsui_telemetry::wire::LimitsOrder;
use fengsui_telemetry::{GatewayId, Revision, TimeMs};
use tracing::{error, info, warn};

use super::held::{Held, LOOK_BACK, held, judging};
use super::key::SigningKey;
use super::ledger::decision;
use crate::clock;
use crate::config::{Config, KnownGateway};

/// Who wrote what came from the file of the configuration.
pub const FILE_AUTHOR: &str = "file";
const FILE_NAME: &str = "配置文件";
/// Faults of one file that the log names; the pages show them all.
const NAMED: usize = 100;

/// The signed order of each gateway of the configuration, as far as there is one.
pub type Orders = Vec<Option<Vec<u8>>>;

/// The centre's key, and the limits in force in place of those of the configuration. `judged_by` is
/// asked where the database knows no limits: by which revision each gateway was judged before.
///
/// # Errors
/// The key or the database cannot be used.
pub fn begin(
    config: &mut Config,
    db: &ConfigDb,
    judged_by: impl FnOnce() -> BTreeMap<String, Revision>,
) -> anyhow::Result<(SigningKey, Orders)> {
    let key = SigningKey::open(&config.data)?;
    let orders = seed(config, db, &key, judged_by, clock::now())?;
    Ok((key, orders))
}

/// Replaces the limits of the configuration by those in force, and gives for each gateway the
/// signed order that its revision is sent with.
///
/// # Errors
/// The database cannot be used.
fn seed(
    config: &mut Config,
    db: &ConfigDb,
    key: &SigningKey,
    judged_by: impl FnOnce() -> BTreeMap<String, Revision>,
    now: TimeMs,
) -> anyhow::Result<Orders> {
    let judged_by = LazyCell::new(judged_by);
    let mut orders = Vec::with_capacity(config.gateways.len());
    for gateway in &mut config.gateways {
        let mut held = held(db, gateway);
        let unknown = held == Held::Never;
        if unknown {
            let before = judged_by.get(gateway.id.as_str());
            held = if before.is_none_or(|before| *before == gateway.limits_revision) {
                Held::Whole(first(gateway, db, now)?)
            } else {
                Held::Lost
            };
        }
        match &held {
            Held::Whole(found) | Held::Damaged(found) => {
                if let Err(fault) = offer(gateway, found, db, now) {
                    warn!(gateway = %gateway.id, %fault, "the file of limits cannot be offered");
                }
            }
            Held::Lost | Held::Never => match offer_for_lost(gateway, db, now) {
                // Kept before it judges: a later start must not take it for the first one.
                Err(fault) if unknown => return Err(fault.into()),
                Err(fault) => {
                    warn!(gateway = %gateway.id, %fault, "the file of limits cannot be offered");
                }
                Ok(()) => {}
            },
        }
        let (limits, revision) = judging(gateway, &held);
        tell(gateway, &held, &limits);
        orders.push(match &held {
            Held::Whole(found) if !limits.is_in_place_of_others() => {
                order_of(&gateway.id, found, key)
            }
            Held::Whole(_) | Held::Damaged(_) | Held::Lost | Held::Never => None,
        });
        (gateway.limits, gateway.limits_revision) = (limits, revision);
    }
    Ok(orders)
}

/// What is wrong with the limits that judge, for the log.
fn tell(gateway: &KnownGateway, held: &Held, limits: &LimitSet) {
    let id = &gateway.id;
    if let Held::Whole(found) | Held::Damaged(found) = held {
        let number = found.number;
        let faults = LimitSet::parse(&format!("{id} #{number}"), &found.proposal.csv).err();
        for fault in faults.unwrap_or_default().iter().take(NAMED) {
            error!(gateway = %id, number, %fault,
                "在用限值有一行不能判断，其余照常判断；请用 fengsui limits import 提交改正的限值 / a row of the limits in force cannot be judged, the others are; mend it with fengsui limits import");
        }
    }
    if let Some((zh, en)) = limits.why_in_place_of_others() {
        error!(gateway = %id, en, "{zh}");
    }
}

/// The file is offered in place of limits that were lost, once.
fn offer_for_lost(gateway: &KnownGateway, db: &ConfigDb, now: TimeMs) -> Result<(), StoreError> {
    let known = db.limits_history(Some(gateway.id.as_str()), LOOK_BACK);
    let offered = known.unwrap_or_default().iter().any(|known| {
        let same = known.proposal.revision == gateway.limits_revision && known.proposal.base == 0;
        same && !matches!(known.status(), LimitsStatus::InForce | LimitsStatus::Superseded)
    });
    if !offered {
        let reason =
            "在用限值已丢失，提交配置文件 / the limits in force are lost: the file is offered";
        db.propose_limits(&proposal(gateway, 0, reason, now))?;
    }
    Ok(())
}

/// The file becomes revision 1.
fn first(gateway: &KnownGateway, db: &ConfigDb, now: TimeMs) -> anyhow::Result<LimitsRevision> {
    let reason = "首次启动时的配置文件 / the file of the configuration at the first start";
    let number = db.propose_limits(&proposal(gateway, 0, reason, now))?;
    let word = decision(LimitsStatus::InForce, now, (FILE_AUTHOR, FILE_NAME), "");
    let decided = db.decide_limits(gateway.id.as_str(), number, &word)?;
    anyhow::ensure!(decided == Decided::Done, "limits of {}: {decided:?}", gateway.id);
    info!(gateway = %gateway.id, number, revision = %gateway.limits_revision,
        "limits of the file are in force as the first revision");
    db.limits_revision(gateway.id.as_str(), number)?.context("a revision that was just written")
}

/// A file that differs is offered once.
fn offer(
    gateway: &KnownGateway,
    in_force: &LimitsRevision,
    db: &ConfigDb,
    now: TimeMs,
) -> Result<(), StoreError> {
    let revision = gateway.limits_revision;
    if revision == in_force.proposal.revision {
        return Ok(());
    }
    let id = gateway.id.as_str();
    let known = db.limits_history(Some(id), LOOK_BACK)?;
    let judges = in_force.number;
    let Some(known) = known.iter().find(|known| known.proposal.revision == revision) else {
        let reason = "启动时配置文件与在用限值不同 / the file differs from the limits in force";
        let number = db.propose_limits(&proposal(gateway, judges, reason, now))?;
        warn!(
            gateway = id,
            number,
            judges,
            "the file of limits differs from those in force: it is offered as a proposal and judges nothing until it is approved (fengsui limits diff, approve)"
        );
        return Ok(());
    };
    let number = known.number;
    match known.status() {
        LimitsStatus::Proposed | LimitsStatus::Approved => warn!(
            gateway = id,
            number,
            judges,
            "the file of limits is not in force: its proposal waits (fengsui limits diff, approve)"
        ),
        LimitsStatus::Rejected => warn!(
            gateway = id,
            number, judges, "the file of limits is not in force: its proposal was rejected"
        ),
        LimitsStatus::Superseded | LimitsStatus::InForce => info!(
            gateway = id,
            number, judges, "the file of limits is an older revision; config.db leads"
        ),
    }
    Ok(())
}

fn proposal(gateway: &KnownGateway, base: u64, reason: &str, now: TimeMs) -> LimitsProposal {
    LimitsProposal {
        gateway: gateway.id.to_string(),
        revision: gateway.limits_revision,
        csv: gateway.limits_text.clone(),
        base,
        author: FILE_AUTHOR.to_owned(),
        author_name: FILE_NAME.to_owned(),
        reason: reason.to_owned(),
        evidence: String::new(),
        valid_from: None,
        created: now,
    }
}

/// The signed order of a revision that is in force; none where it is too large to be sent.
#[must_use]
pub fn order_of(
    gateway: &GatewayId,
    revision: &LimitsRevision,
    key: &SigningKey,
) -> Option<Vec<u8>> {
    let at = revision.decided(LimitsStatus::InForce).map_or(TimeMs(0), |decision| decision.at);
    let order = LimitsOrder {
        gateway: gateway.clone(),
        revision: revision.proposal.revision,
        number: revision.number,
        csv: revision.proposal.csv.clone(),
        valid_from: at,
        issued: at,
    };
    match key.sign(&order) {
        Ok(bytes) => Some(bytes),
        Err(fault) => {
            error!(%gateway, number = revision.number, %fault, "limits are too large to be sent");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "tag,kind,limit\nA,H,80\n";

    fn start(folder: &std::path::Path, csv: &str) -> (Config, ConfigDb, Orders) {
        start_after(folder, csv, BTreeMap::new())
    }

    fn start_after(
        folder: &std::path::Path,
        csv: &str,
        judged_by: BTreeMap<String, Revision>,
    ) -> (Config, ConfigDb, Orders) {
        std::fs::write(folder.join("l.csv"), csv).unwrap();
        let toml = "data = \"data\"\n[[gateway]]\nid = \"GW-01\"\nlimits = \"l.csv\"\n";
        std::fs::write(folder.join("centre.toml"), toml).unwrap();
        let mut config = Config::load(&folder.join("centre.toml")).unwrap();
        std::fs::create_dir_all(&config.data).unwrap();
        let db = ConfigDb::open(&config.data.join("config.db")).unwrap();
        let key = SigningKey::open(&config.data).unwrap();
        let orders = seed(&mut config, &db, &key, || judged_by, TimeMs(5_000)).unwrap();
        (config, db, orders)
    }

    /// A second revision in force, by a person; the centre is down afterwards.
    fn agree(db: ConfigDb, csv: String) -> Revision {
        let revision = crate::config::revision(csv.as_bytes());
        let first = db.limits_in_force("GW-01").unwrap().unwrap();
        db.propose_limits(&LimitsProposal { csv, revision, base: 1, ..first.proposal }).unwrap();
        let word = decision(LimitsStatus::InForce, TimeMs(6_000), ("wang", "王工"), "");
        assert_eq!(db.decide_limits("GW-01", 2, &word).unwrap(), Decided::Done);
        drop(db);
        revision
    }

    fn high(config: &Config) -> String {
        config.gateways[0].limits.of_tag("A").next().unwrap().limit.to_string()
    }

    #[test]
    fn the_first_file_is_revision_one_and_a_later_one_is_offered_once() {
        let folder = tempfile::tempdir().unwrap();
        let (config, db, orders) = start(folder.path(), FILE);
        let first = db.limits_in_force("GW-01").unwrap().unwrap();
        assert_eq!((first.number, first.proposal.author.as_str()), (1, "file"));
        assert_eq!(first.proposal.csv, FILE);
        assert!(orders[0].is_some());
        let revision = config.gateways[0].limits_revision;
        drop(db);
        let (_, db, again) = start(folder.path(), FILE);
        assert_eq!(db.limits_history(None, 10).unwrap().len(), 1);
        assert_eq!(again, orders, "the same order, byte for byte");
        drop(db);

        for _restart in 0..2 {
            let (config, db, orders_now) = start(folder.path(), &FILE.replace("80", "95"));
            assert_eq!(config.gateways[0].limits_revision, revision, "not applied");
            assert_eq!(high(&config), "80");
            let all = db.limits_history(None, 10).unwrap();
            assert_eq!(all.len(), 2, "not ignored, and offered once");
            assert_eq!(all[0].status(), LimitsStatus::Proposed);
            assert_eq!((all[0].proposal.base, orders_now), (1, orders.clone()));
        }
    }

    #[test]
    fn a_file_that_was_replaced_through_the_console_does_not_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let (_, db, _) = start(folder.path(), FILE);
        let csv = FILE.replace("80", "70");
        let revision = agree(db, csv);
        let (config, db, _) = start(folder.path(), FILE);
        assert_eq!(config.gateways[0].limits_revision, revision);
        assert_eq!(high(&config), "70");
        assert_eq!(db.limits_history(None, 10).unwrap().len(), 2, "nothing new is offered");
    }

    #[test]
    fn a_row_in_force_that_cannot_be_judged_costs_itself_and_no_start() {
        let folder = tempfile::tempdir().unwrap();
        let (_, db, _) = start(folder.path(), FILE);
        let csv = format!("{FILE}A,RANGE,5,P3\n");
        let revision = agree(db, csv);
        let (config, _, _) = start(folder.path(), FILE);
        assert_eq!(config.gateways[0].limits_revision, revision, "what was agreed to judges");
        assert_eq!(high(&config), "80");
        let registry = crate::registry::Registry::new(&config.gateways);
        let shown: Vec<_> = registry.gateways[0].misfits.iter().map(|m| m.name()).collect();
        assert_eq!(shown, ["A/RANGE"], "before the first birth as well");
    }

    #[test]
    fn when_no_row_in_force_can_be_read_the_file_judges_and_every_point_shows_it() {
        let folder = tempfile::tempdir().unwrap();
        let (_, db, _) = start(folder.path(), FILE);
        agree(db, "tag,kind,limit\nA,H,acht\n".to_owned());
        let (config, db, orders) = start(folder.path(), FILE);
        assert_eq!(high(&config), "80", "the file judges");
        assert_eq!(orders, [None], "and nothing that nobody agreed to is sent");
        let registry = crate::registry::Registry::new(&config.gateways);
        let shown: Vec<_> = registry.gateways[0].misfits.iter().map(|m| m.name()).collect();
        assert_eq!(shown, ["/LIMITS", "A/H"]);
        let told = &registry.gateways[0].misfits[0];
        for words in ["GW-01", "第 2 版", "fengsui limits import"] {
            assert!(told.zh.contains(words), "{}", told.zh);
        }
        assert!(told.en.contains("number 2"), "{}", told.en);
        let plan = registry.plan(crate::config::AlarmSettings::default());
        let standing = plan.alarms.iter().any(|spec| spec.key == "GW-01//LIMITS-UNSET");
        assert!(standing, "an alarm says so: {:?}", plan.alarms);
        // Also while the file is what it was, and at every further start.
        assert_eq!(db.limits_history(None, 10).unwrap().len(), 2);
    }

    /// What a disk or a hand does to the file while the centre is down.
    fn damage(folder: &std::path::Path, sql: &str) {
        let raw = rusqlite::Connection::open(folder.join("data/config.db")).unwrap();
        raw.execute_batch("PRAGMA foreign_keys = 0; DROP TRIGGER IF EXISTS limits_revision_stays; DROP TRIGGER IF EXISTS limits_revision_kept; DROP TRIGGER IF EXISTS limits_decision_kept; DROP TRIGGER IF EXISTS limits_decision_stays").unwrap();
        raw.execute_batch(sql).unwrap();
    }

    /// Every point is blind, an alarm says why, and the gateway is sent nothing.
    fn assert_shown(config: &Config, orders: &Orders, words: &str) {
        assert_eq!(orders, &[None], "nothing that nobody agreed to is sent");
        let registry = crate::registry::Registry::new(&config.gateways);
        let told = &registry.gateways[0].misfits[0];
        assert!(told.is_of_all(), "{told:?}");
        for words in ["GW-01", words, "fengsui limits import"] {
            assert!(told.zh.contains(words), "{}", told.zh);
        }
        let plan = registry.plan(crate::config::AlarmSettings::default());
        assert!(plan.alarms.iter().any(|spec| spec.key == "GW-01//LIMITS-UNSET"));
    }

    #[test]
    fn a_flipped_bit_is_no_agreed_limit() {
        let folder = tempfile::tempdir().unwrap();
        let (_, db, _) = start(folder.path(), FILE);
        agree(db, FILE.replace("80", "70"));
        damage(folder.path(), "UPDATE limits_revision SET csv = replace(csv, '70', '78')");
        let (config, db, orders) = start(folder.path(), FILE);
        assert_eq!(high(&config), "78", "what can be read judges");
        assert_shown(&config, &orders, "第 2 版");
        drop(db);
        // A letter that is none, a row that is gone: the same.
        damage(folder.path(), "UPDATE limits_revision SET csv = CAST(x'7461672cff' AS TEXT)");
        let (config, db, orders) = start(folder.path(), FILE);
        assert_eq!(high(&config), "80", "the file judges");
        assert_shown(&config, &orders, "第 2 版");
        assert_eq!(db.limits_in_force("GW-01").unwrap().unwrap().number, 2);
    }

    #[test]
    fn a_damaged_text_that_the_file_has_whole_is_what_was_agreed_to() {
        let folder = tempfile::tempdir().unwrap();
        let (config, db, orders) = start(folder.path(), FILE);
        drop(db);
        damage(folder.path(), "UPDATE limits_revision SET csv = replace(csv, '80', '88')");
        let (again, db, same) = start(folder.path(), FILE);
        assert_eq!((high(&again), &same), ("80".to_owned(), &orders), "the same order");
        assert!(again.gateways[0].limits.is_whole());
        assert_eq!(again.gateways[0].limits_revision, config.gateways[0].limits_revision);
        assert_eq!(db.limits_history(None, 10).unwrap().len(), 1);
    }

    #[test]
    fn limits_that_were_lost_are_not_the_files_in_silence() {
        for sql in [
            "DELETE FROM limits_revision WHERE number = 2",
            "DELETE FROM limits_decision WHERE number = 2",
            "UPDATE limits_decision SET status = 'in_forcd' WHERE status = 'in_force'",
            "DROP TABLE limits_revision",
            "DELETE FROM limits_revision",
        ] {
            let folder = tempfile::tempdir().unwrap();
            let (_, db, _) = start(folder.path(), FILE);
            agree(db, FILE.replace("80", "70"));
            damage(folder.path(), sql);
            for _restart in 0..2 {
                let (config, db, orders) = start(folder.path(), FILE);
                assert_eq!(high(&config), "80", "{sql}");
                assert_shown(&config, &orders, "丢失");
                let all = db.limits_history(None, 10).unwrap();
                assert_eq!((all[0].number, all[0].status()), (3, LimitsStatus::Proposed), "{sql}");
                assert!(db.limits_in_force("GW-01").unwrap().is_none());
            }
            // Agreed to by people, it is in force.
            let (_, db, _) = start(folder.path(), FILE);
            let word = decision(LimitsStatus::InForce, TimeMs(7_000), ("wang", "王工"), "");
            assert_eq!(db.decide_limits("GW-01", 3, &word).unwrap(), Decided::Done);
            drop(db);
            let (config, _, orders) = start(folder.path(), FILE);
            assert!(orders[0].is_some() && config.gateways[0].limits.is_whole());
        }
    }

    #[test]
    fn a_database_that_is_gone_agrees_to_the_file_only_where_the_file_judged() {
        let by = |csv: &str| {
            let revision = crate::config::revision(csv.as_bytes());
            BTreeMap::from([("GW-01".to_owned(), revision)])
        };
        let folder = tempfile::tempdir().unwrap();
        let judged_by = by(&FILE.replace("80", "70"));
        let (config, db, orders) = start_after(folder.path(), FILE, judged_by);
        assert_shown(&config, &orders, "丢失");
        assert_eq!(high(&config), "80");
        drop(db);
        // At the next start the journal says that the file judged, which nobody agreed to.
        let (config, db, orders) = start_after(folder.path(), FILE, by(FILE));
        assert_shown(&config, &orders, "丢失");
        assert_eq!(db.limits_history(None, 10).unwrap().len(), 1, "offered once");

        let folder = tempfile::tempdir().unwrap();
        let (config, db, orders) = start_after(folder.path(), FILE, by(FILE));
        assert!(orders[0].is_some() && config.gateways[0].limits.is_whole());
        assert_eq!(db.limits_in_force("GW-01").unwrap().unwrap().number, 1);
    }
}
