//! Limits at a start: `config.db` leads, the file of the configuration is offered.

use anyhow::Context;
use fengsui_alerting::limits::{LimitFault, LimitSet};
use fengsui_store::{ConfigDb, Decided, LimitsProposal, LimitsRevision, LimitsStatus, StoreError};
use fengsui_telemetry::wire::LimitsOrder;
use fengsui_telemetry::{GatewayId, TimeMs};
use tracing::{error, info, warn};

use super::key::SigningKey;
use super::ledger::decision;
use crate::clock;
use crate::config::{Config, KnownGateway};

/// Who wrote what came from the file of the configuration.
pub const FILE_AUTHOR: &str = "file";
const FILE_NAME: &str = "配置文件";
/// Revisions in which the file is looked for: a change a day for years.
const LOOK_BACK: usize = 1_000;

/// The signed order of each gateway of the configuration, as far as there is one.
pub type Orders = Vec<Option<Vec<u8>>>;

/// The centre's key, and the limits in force in place of those of the configuration.
///
/// # Errors
/// The key or the database cannot be used.
pub fn begin(config: &mut Config, db: &ConfigDb) -> anyhow::Result<(SigningKey, Orders)> {
    let key = SigningKey::open(&config.data)?;
    let orders = seed(config, db, &key, clock::now())?;
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
    now: TimeMs,
) -> anyhow::Result<Orders> {
    let mut orders = Vec::with_capacity(config.gateways.len());
    for gateway in &mut config.gateways {
        let in_force = match db.limits_in_force(gateway.id.as_str())? {
            Some(in_force) => {
                offer(gateway, &in_force, db, now)?;
                in_force
            }
            None => first(gateway, db, now)?,
        };
        let name = format!("{} #{}", gateway.id, in_force.number);
        let limits = match LimitSet::parse(&name, &in_force.proposal.csv) {
            Ok(limits) => limits,
            Err(faults) => {
                let limits = LimitSet::readable(&name, &in_force.proposal.csv);
                if limits.is_empty() {
                    stand_in(gateway, in_force.number, limits, &faults);
                    orders.push(None);
                    continue;
                }
                for fault in &faults {
                    error!(gateway = %gateway.id, number = in_force.number, %fault,
                        "在用限值有一行不能判断，其余照常判断；请用 fengsui limits import 提交改正的限值 / a row of the limits in force cannot be judged, the others are; mend it with fengsui limits import");
                }
                limits
            }
        };
        gateway.limits = limits;
        gateway.limits_revision = in_force.proposal.revision;
        orders.push(order_of(&gateway.id, &in_force, key));
    }
    Ok(orders)
}

/// Not one row in force can be read: better the file than nothing; and shown as blind on every
/// point, since nobody has agreed to it.
fn stand_in(gateway: &mut KnownGateway, number: u64, unreadable: LimitSet, faults: &[LimitFault]) {
    let first = faults.first().map(ToString::to_string).unwrap_or_default();
    let id = &gateway.id;
    error!(gateway = %id, number, faults = faults.len(), first,
        "在用限值无法读取，暂用配置文件判断；请用 fengsui limits import 提交改正的限值 / the limits in force cannot be read: the file judges; mend them with fengsui limits import");
    let zh = format!(
        "网关 {id} 在用限值第 {number} 版没有一行能读取，暂用配置文件中的限值判断，未经批准；请用 \
         fengsui limits import 提交改正的限值并批准"
    );
    let en = format!(
        "no row of the limits in force of {id}, number {number}, can be read: those of the \
         configuration's file judge, and nobody has approved them; mend the limits with fengsui \
         limits import and have them approved"
    );
    gateway.limits = std::mem::take(&mut gateway.limits).in_place_of(unreadable, zh, en);
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
    use fengsui_telemetry::Revision;

    const FILE: &str = "tag,kind,limit\nA,H,80\n";

    fn start(folder: &std::path::Path, csv: &str) -> (Config, ConfigDb, Orders) {
        std::fs::write(folder.join("l.csv"), csv).unwrap();
        let toml = "data = \"data\"\n[[gateway]]\nid = \"GW-01\"\nlimits = \"l.csv\"\n";
        std::fs::write(folder.join("centre.toml"), toml).unwrap();
        let mut config = Config::load(&folder.join("centre.toml")).unwrap();
        std::fs::create_dir_all(&config.data).unwrap();
        let db = ConfigDb::open(&config.data.join("config.db")).unwrap();
        let key = SigningKey::open(&config.data).unwrap();
        let orders = seed(&mut config, &db, &key, TimeMs(5_000)).unwrap();
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
}
