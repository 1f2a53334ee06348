//! Limits on `config.db` itself, for a centre that does not run.

use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;

use fengsui_alerting::limits::{LimitFault, LimitSet, diff};
use fengsui_store::{ConfigDb, LimitsProposal, LimitsRevision, StoreError};
use fengsui_telemetry::TimeMs;
use serde_json::{Value, json};

use super::{Import, Trouble};
use crate::cli::Exit;
use crate::clock;
use crate::config::{Config, revision as revision_of};
use crate::limits::{
    Refusal, SigningKey, agreed_before, check_law, check_words, diff_json, diff_of, faults_json,
    held, judging, put_file, review, revision_json,
};
use crate::registry::{Gateway, Registry};

/// A centre on this machine answers a connection at once.
const KNOCK: Duration = Duration::from_millis(300);
/// Revisions in one list.
const HISTORY_MAX: usize = 500;

/// A centre's files.
pub(super) struct Direct {
    config: Config,
    db: ConfigDb,
    registry: Registry,
}

impl Direct {
    /// Opens the database of a centre that has run before.
    pub(super) fn open(mut config: Config) -> Result<Self, Trouble> {
        let path = config.data.join("config.db");
        if !path.is_file() {
            let why = format!(
                "{}：没有数据库，请先启动一次中心 / there is no database: start the centre once",
                path.display()
            );
            return Err(Trouble::said(Exit::Usage, why));
        }
        let db = ConfigDb::open(&path).map_err(stored)?;
        // By what the centre judges, as it finds it at its start.
        for gateway in &mut config.gateways {
            (gateway.limits, gateway.limits_revision) = judging(gateway, &held(&db, gateway));
        }
        let registry = crate::restore::registry(&config, &db)
            .map_err(|fault| Trouble::said(Exit::Problems, format!("{fault:#}")))?;
        Ok(Self { config, db, registry })
    }

    pub(super) fn file(&self) -> PathBuf {
        self.config.data.join("config.db")
    }

    fn gateway(&self, name: Option<&str>) -> Result<&Gateway, Trouble> {
        let known = &self.registry.gateways;
        match (name, known.as_slice()) {
            (Some(name), all) => all.iter().find(|gateway| gateway.id.as_str() == name),
            (None, [only]) => Some(only),
            (None, _) => None,
        }
        .ok_or_else(|| {
            let names: Vec<&str> = known.iter().map(|gateway| gateway.id.as_str()).collect();
            let why = format!("请用 --gateway 指明 / name one by --gateway: {}", names.join(", "));
            Trouble::said(Exit::Usage, why)
        })
    }

    fn in_force(&self, gateway: &Gateway) -> Result<LimitsRevision, Trouble> {
        self.db.limits_in_force(gateway.id.as_str()).map_err(stored)?.ok_or_else(|| {
            let why = format!(
                "{}：还没有限值，请先启动一次中心 / no limits yet: start the centre once",
                gateway.id
            );
            Trouble::said(Exit::Usage, why)
        })
    }

    /// The number that a proposal is compared with; 0 where the limits in force were lost.
    fn base(&self, gateway: &Gateway) -> Result<u64, Trouble> {
        if gateway.limits.is_in_place_of_others() {
            let found = self.db.limits_in_force(gateway.id.as_str()).map_err(stored)?;
            return Ok(found.map_or(0, |found| found.number));
        }
        self.in_force(gateway).map(|found| found.number)
    }

    pub(super) fn import(&self, gateway: Option<&str>, import: Import) -> Result<Value, Trouble> {
        let listen = self.config.listen;
        if TcpStream::connect_timeout(&listen, KNOCK).is_ok() {
            let why = format!(
                "中心正在 {listen} 运行，请加 --url http://{listen} 和 --token / the centre runs: give --url and --token"
            );
            return Err(Trouble::said(Exit::Refused, why));
        }
        let Some(by) = import.by.filter(|by| !by.trim().is_empty()) else {
            return Err(Trouble::said(
                Exit::Usage,
                "请用 --by 写明提出人 / say by --by who proposes",
            ));
        };
        let valid_from = import.valid_from.as_deref().map(time).transpose()?;
        let now = clock::now();
        check_words(&import.reason, &import.evidence, valid_from, now).map_err(refused)?;
        let gateway = self.gateway(gateway)?;
        let base = self.base(gateway)?;
        let catalogue = gateway.numbered().map(|numbered| &numbered.catalogue);
        let policy = &self.config.limits;
        let reviewed = review(&gateway.id, (&gateway.limits, base), &import.csv, catalogue, policy)
            .map_err(refused)?;
        if gateway.limits.is_in_place_of_others() {
            let before = agreed_before(&self.db, gateway.id.as_str()).map_err(stored)?;
            check_law(&gateway.id, &before, &reviewed.limits, policy).map_err(refused)?;
        }
        let proposal = LimitsProposal {
            gateway: gateway.id.to_string(),
            revision: revision_of(import.csv.as_bytes()),
            csv: import.csv,
            base,
            author: by.clone(),
            author_name: format!("{by}（命令行）"),
            reason: import.reason,
            evidence: import.evidence,
            valid_from,
            created: now,
        };
        let number = self.db.propose_limits(&proposal).map_err(stored)?;
        let revision = LimitsRevision { number, proposal, decisions: Vec::new() };
        let mut json = revision_json(&revision, &self.config.stamp);
        put(&mut json, "diff", diff_json(&reviewed.diff, &policy.second));
        Ok(json)
    }

    pub(super) fn diff(&self, gateway: Option<&str>, csv: &str) -> Result<Value, Trouble> {
        let gateway = self.gateway(gateway)?;
        let base = self.base(gateway)?;
        let new = LimitSet::parse("csv", csv).map_err(|faults| refused(Refusal::File(faults)))?;
        let diff = diff_json(&diff(&gateway.limits, &new), &self.config.limits.second);
        Ok(json!({ "gateway": gateway.id.as_str(), "base": base, "diff": diff }))
    }

    pub(super) fn revision(
        &self,
        gateway: Option<&str>,
        number: Option<u64>,
    ) -> Result<Value, Trouble> {
        let gateway = self.gateway(gateway)?;
        let found = match number {
            None => self.in_force(gateway)?,
            Some(number) => {
                let found = self.db.limits_revision(gateway.id.as_str(), number).map_err(stored)?;
                let gateway = gateway.id.to_string();
                found.ok_or_else(|| refused(Refusal::NoRevision { gateway, number }))?
            }
        };
        let diff = diff_of(&self.db, &found).map_err(stored)?;
        let mut json = revision_json(&found, &self.config.stamp);
        put(&mut json, "diff", diff_json(&diff, &self.config.limits.second));
        put_file(&mut json, &found);
        Ok(json)
    }

    pub(super) fn history(&self, gateway: Option<&str>) -> Result<Value, Trouble> {
        let all = self.db.limits_history(gateway, HISTORY_MAX).map_err(stored)?;
        let all: Vec<Value> = all.iter().map(|r| revision_json(r, &self.config.stamp)).collect();
        let which = self.registry.gateways.iter();
        let which = which.filter(|known| gateway.is_none_or(|name| known.id.as_str() == name));
        let mut not_judged = Vec::new();
        for known in which {
            if let Some((zh, en)) = known.limits.why_in_place_of_others() {
                let alarm = format!("{}//LIMITS", known.id);
                not_judged.push(json!({
                    "gateway": known.id.as_str(), "alarm": alarm, "row": null, "judged": true,
                    "zh": zh, "en": en,
                }));
            }
            if let Some(in_force) = self.db.limits_in_force(known.id.as_str()).map_err(stored)? {
                not_judged.extend(unread(&in_force));
            }
        }
        Ok(json!({ "revisions": all, "not_judged": not_judged }))
    }

    pub(super) fn key(&self) -> Result<Value, Trouble> {
        let key = SigningKey::read(&self.config.data)
            .map_err(|fault| Trouble::said(Exit::Problems, format!("{fault:#}")))?;
        Ok(json!({ "algorithm": "Ed25519", "public_key": key.public() }))
    }
}

/// Rows in force that cannot be read, as the API names them.
fn unread(in_force: &LimitsRevision) -> Vec<Value> {
    let LimitsProposal { gateway, csv, .. } = &in_force.proposal;
    let name = format!("{gateway} #{}", in_force.number);
    let faults = LimitSet::parse(&name, csv).err().unwrap_or_default();
    let told = |fault: &LimitFault| {
        let text = fault.trouble.to_string();
        let (zh, en) = text.split_once("  |  ").unwrap_or((&text, &text));
        let LimitFault { row, column, value, .. } = fault;
        json!({
            "gateway": gateway, "alarm": format!("{gateway} #{}", in_force.number), "row": row,
            "judged": false, "zh": format!("[{column}] {value:?} {zh}"),
            "en": format!("[{column}] {value:?} {en}"),
        })
    };
    faults.iter().map(told).collect()
}

fn put(object: &mut Value, name: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(name.to_owned(), value);
    }
}

fn time(text: &str) -> Result<TimeMs, Trouble> {
    let at: Result<jiff::Timestamp, _> = text.parse();
    at.map(|at| TimeMs(at.as_millisecond())).map_err(|_| {
        let why =
            format!("--valid-from {text:?}：写成 2026-12-01T08:00:00+08:00 / write it like that");
        Trouble::said(Exit::Usage, why)
    })
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn stored(fault: StoreError) -> Trouble {
    Trouble::said(Exit::Problems, fault.to_string())
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn refused(refusal: Refusal) -> Trouble {
    let mut problem = json!({ "title": "限值未变更", "detail": refusal.to_string() });
    let exit = match &refusal {
        Refusal::File(faults) => {
            put(&mut problem, "faults", faults_json(faults));
            Exit::Problems
        }
        Refusal::Plan(faults) => {
            let faults = faults.iter().map(|fault| json!({ "why": fault.to_string() })).collect();
            put(&mut problem, "faults", faults);
            Exit::Problems
        }
        Refusal::Field { .. } | Refusal::NoGateway(_) | Refusal::NoRevision { .. } => Exit::Usage,
        Refusal::Role(_)
        | Refusal::Empty(_)
        | Refusal::Same(_)
        | Refusal::Statutory(_)
        | Refusal::SecondPerson(_)
        | Refusal::Status { .. }
        | Refusal::Overtaken(_)
        | Refusal::Waits { .. } => Exit::Refused,
    };
    Trouble::Problem(exit, problem)
}
