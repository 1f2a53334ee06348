//! Who may change what: the rules of a change, without a database or a clock.

use fengsui_alerting::limits::{LimitFault, LimitSet, LimitsDiff, RowChange, SecondPerson, diff};
use fengsui_alerting::{GatewayRef, Plan, PlanFault, PointRef};
use fengsui_store::LimitsStatus;
use fengsui_telemetry::{Catalogue, GatewayId, Revision, TimeMs};

use crate::accounts::{Identity, Role};

/// Characters of a reason or a comment.
pub const WORDS_MAX: usize = 2_000;
/// Bytes of evidence: the whole result of a back-test over a month.
pub const EVIDENCE_MAX: usize = 256 * 1_024;
/// Bytes of a file of limits: what a gateway can be sent.
pub const CSV_MAX: usize = fengsui_telemetry::wire::LIMITS_UNPACKED_MAX;

/// Rows that a refusal names in words.
const NAMED_MAX: usize = 8;

/// How a site guards its limits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// When a second person is needed.
    pub second: SecondPerson,
    /// Alarm keys whose statutory limit may be made looser after all, since the rule behind it
    /// has changed. Only who can write the centre's own file can name one.
    pub release: Vec<String>,
}

/// Why a change is refused.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Not a person who may.
    #[error("需要{}权限 / the role {} is needed", role_zh(*.0), role_word(*.0))]
    Role(Role),
    /// Nobody watches it.
    #[error("没有网关 {0} / no gateway {0}")]
    NoGateway(String),
    /// No such number.
    #[error(
        "网关 {gateway} 没有第 {number} 版限值 / gateway {gateway} has no limits number {number}"
    )]
    NoRevision {
        /// Whose.
        gateway: String,
        /// Which.
        number: u64,
    },
    /// A field of the request.
    #[error("{field}：{why}")]
    Field {
        /// Which.
        field: &'static str,
        /// What is wrong, and the mend.
        why: String,
    },
    /// The file.
    #[error("限值文件有 {} 处错误 / the file of limits has {} faults", .0.len(), .0.len())]
    File(Vec<LimitFault>),
    /// What the engine does not take.
    #[error("报警引擎不接受：{} / the engine does not take it", first(.0))]
    Plan(Vec<PlanFault>),
    /// Nothing left to judge by.
    #[error(
        "文件没有一行限值，网关 {0} 将失去全部限值；请至少保留一行，停用网关请从中心配置文件中删除它 / \
         the file has no row of limits: gateway {0} would lose them all; keep at least one row, and \
         take a gateway out of service in the centre's own file"
    )]
    Empty(String),
    /// Nothing to do.
    #[error("与在用第 {0} 版没有差别 / does not differ from number {0}, which is in force")]
    Same(u64),
    /// The law.
    #[error("法定限值只能收紧，不得放宽：{} / statutory limits may not be made looser: {}", named(.0), named(.0))]
    Statutory(Vec<String>),
    /// The author.
    #[error("{} 需由提出人以外的工程师批准 / somebody other than the author must approve {}", named(.0), named(.0))]
    SecondPerson(Vec<String>),
    /// Decided before.
    #[error("第 {number} 版已是“{}”状态 / number {number} is {} already", status_zh(*.status), .status.word())]
    Status {
        /// Which.
        number: u64,
        /// What it is.
        status: LimitsStatus,
    },
    /// Compared with what judges no longer.
    #[error(
        "提出之后第 {0} 版已生效，请对照它重新提交 / number {0} has come into force since; propose anew against it"
    )]
    Overtaken(u64),
    /// Another one is agreed to and waits for its hour; this one would take its place unasked.
    #[error(
        "第 {number} 版已批准，定于 {from} 生效，批准本版会使它作废 / number {number} is approved and \
         comes into force at {from}; this one would do away with it"
    )]
    Waits {
        /// Which.
        number: u64,
        /// When, as people read it.
        from: String,
    },
}

fn first<T: ToString>(faults: &[T]) -> String {
    faults.first().map(ToString::to_string).unwrap_or_default()
}

/// The first rows by name: a sentence of thirty thousand is none. The answer lists them all.
fn named(rows: &[String]) -> String {
    let head = rows.iter().take(NAMED_MAX).map(String::as_str).collect::<Vec<_>>().join("、");
    match rows.len().saturating_sub(NAMED_MAX) {
        0 => head,
        more => format!("{head}（另 {more} 行 and {more} more）"),
    }
}

fn role_word(role: Role) -> &'static str {
    match role {
        Role::Viewer => "viewer",
        Role::Operator => "operator",
        Role::Engineer => "engineer",
        Role::Admin => "admin",
    }
}

fn role_zh(role: Role) -> &'static str {
    match role {
        Role::Viewer => "查看",
        Role::Operator => "值班员",
        Role::Engineer => "工程师",
        Role::Admin => "管理员",
    }
}

/// A status as operators read it.
#[must_use]
pub fn status_zh(status: LimitsStatus) -> &'static str {
    match status {
        LimitsStatus::Proposed => "待批准",
        LimitsStatus::Approved => "已批准",
        LimitsStatus::Rejected => "已驳回",
        LimitsStatus::InForce => "在用",
        LimitsStatus::Superseded => "已被取代",
    }
}

/// A file that is to become a revision, read and compared.
#[derive(Clone, Debug)]
pub struct Reviewed {
    /// Read.
    pub limits: LimitSet,
    /// Against what is in force.
    pub diff: LimitsDiff,
}

/// Reads a file whole and checks it against the points, the engine and the law.
///
/// # Errors
/// Every fault of the first kind that is found.
pub fn review(
    gateway: &GatewayId,
    old: (&LimitSet, u64),
    csv: &str,
    catalogue: Option<&Catalogue>,
    policy: &Policy,
) -> Result<Reviewed, Refusal> {
    if csv.len() > CSV_MAX {
        let why = format!("{} 字节，最多 {CSV_MAX} / bytes, at most {CSV_MAX}", csv.len());
        return Err(Refusal::Field { field: "csv", why });
    }
    let limits = match catalogue {
        Some(catalogue) => LimitSet::parse_for("csv", csv, catalogue),
        None => LimitSet::parse("csv", csv),
    };
    let limits = limits.map_err(Refusal::File)?;
    if catalogue.is_none() {
        // Before the first birth: as far as it can be known without the points.
        let faults = limits.check_alone();
        if !faults.is_empty() {
            return Err(Refusal::File(faults));
        }
    }
    if let Some(catalogue) = catalogue {
        let alarms =
            limits.plan(gateway.as_str(), GatewayRef(0), catalogue, &PointRef, Revision::default());
        let faults = Plan { revision: Revision::default(), alarms }.faults();
        if !faults.is_empty() {
            return Err(Refusal::Plan(faults));
        }
    }
    if limits.is_empty() {
        return Err(Refusal::Empty(gateway.to_string()));
    }
    let changes = diff(old.0, &limits);
    held_by_law(gateway, &changes, policy)?;
    if changes.is_empty() && old.0.is_whole() {
        return Err(Refusal::Same(old.1));
    }
    // Nobody has agreed to what judges in place of others: every row is agreed to now.
    let nothing = LimitSet::default();
    let in_place = old.0.is_in_place_of_others();
    let diff = if in_place { diff(&nothing, &limits) } else { changes };
    Ok(Reviewed { limits, diff })
}

/// What law set in limits that were agreed to before may not become looser by a mend of those that
/// were lost or damaged since.
///
/// # Errors
/// The rows that would.
pub fn check_law(
    gateway: &GatewayId,
    before: &[LimitSet],
    limits: &LimitSet,
    policy: &Policy,
) -> Result<(), Refusal> {
    before.iter().try_for_each(|before| held_by_law(gateway, &diff(before, limits), policy))
}

fn held_by_law(gateway: &GatewayId, changes: &LimitsDiff, policy: &Policy) -> Result<(), Refusal> {
    let held: Vec<String> = changes
        .loosened_by_law()
        .filter(|row| !policy.release.contains(&alarm_key(gateway, row)))
        .map(RowChange::name)
        .collect();
    if held.is_empty() { Ok(()) } else { Err(Refusal::Statutory(held)) }
}

fn alarm_key(gateway: &GatewayId, row: &RowChange) -> String {
    format!("{gateway}/{}/{}", row.tag, row.kind.key())
}

/// May this person approve what that author proposed?
///
/// # Errors
/// The role, or the rule of two persons.
pub fn may_approve(
    who: &Identity,
    author: &str,
    diff: &LimitsDiff,
    policy: &Policy,
) -> Result<(), Refusal> {
    may_change(who)?;
    if who.name != author {
        return Ok(());
    }
    let mut rows: Vec<String> = diff.needing_second(&policy.second).map(RowChange::name).collect();
    if diff.is_empty() {
        // It gives up rows of which not even the kind could be read.
        rows.push("无法读取的行 rows that cannot be read".to_owned());
    }
    if rows.is_empty() { Ok(()) } else { Err(Refusal::SecondPerson(rows)) }
}

/// May this person propose, reject or approve at all?
///
/// # Errors
/// The role.
pub fn may_change(who: &Identity) -> Result<(), Refusal> {
    if who.may(Role::Engineer) { Ok(()) } else { Err(Refusal::Role(Role::Engineer)) }
}

/// The words of a proposal.
///
/// # Errors
/// No reason, or too many words, or a time that has passed.
pub fn check_words(
    reason: &str,
    evidence: &str,
    valid_from: Option<TimeMs>,
    now: TimeMs,
) -> Result<(), Refusal> {
    let refuse = |field, why: String| Err(Refusal::Field { field, why });
    if reason.trim().is_empty() {
        return refuse("reason", "请写明变更理由 / say why".to_owned());
    }
    if reason.chars().count() > WORDS_MAX {
        return refuse("reason", format!("最多 {WORDS_MAX} 字 / at most {WORDS_MAX} characters"));
    }
    if evidence.len() > EVIDENCE_MAX {
        return refuse(
            "evidence",
            format!("最多 {EVIDENCE_MAX} 字节 / at most {EVIDENCE_MAX} bytes"),
        );
    }
    if valid_from.is_some_and(|from| from <= now) {
        let why = "已经过去；已判断的数据不改判，请留空或给出将来的时间 / has passed; what was judged \
                   stays judged: leave it empty or name a time to come";
        return refuse("valid_from", why.to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "tag,kind,limit,priority,statutory\nA,HH,90,P1,true\nA,H,80,P3,\n";

    fn person(name: &str, role: Role) -> Identity {
        Identity { id: 1, name: name.into(), display: name.into(), role, position: String::new() }
    }

    fn gateway() -> GatewayId {
        GatewayId::parse("GW-01").unwrap()
    }

    fn reviewed(csv: &str, policy: &Policy) -> Result<Reviewed, Refusal> {
        let old = LimitSet::parse("old", OLD).unwrap();
        review(&gateway(), (&old, 4), csv, None, policy)
    }

    #[test]
    fn every_fault_of_a_file_is_named() {
        let csv = OLD.replace("90", "x").replace("P3", "P9");
        match reviewed(&csv, &Policy::default()) {
            Err(Refusal::File(faults)) => {
                let told: Vec<(u64, &str)> =
                    faults.iter().map(|f| (f.row, f.column.as_str())).collect();
                assert_eq!(told, [(2, "limit"), (3, "priority")]);
            }
            other => panic!("{other:?}"),
        }
        assert!(matches!(reviewed(OLD, &Policy::default()), Err(Refusal::Same(4))));
    }

    #[test]
    fn what_no_engine_takes_is_refused_before_the_points_are_known() {
        for row in ["A,RANGE,5,P3,", "A,COMPOSITE,,P3,,\"expr=on(\"\"A/LL\"\")\""] {
            let csv = format!("{}{row}\n", OLD.replace("statutory", "statutory,detail"));
            match reviewed(&csv, &Policy::default()) {
                Err(Refusal::File(faults)) => assert_eq!((faults.len(), faults[0].row), (1, 4)),
                other => panic!("{row}: {other:?}"),
            }
        }
        let of_any_point = "A,COMPOSITE,,P3,,\"expr=on(\"\"B/STALE\"\") || on(\"\"/OFFLINE\"\")\"";
        let csv = format!("{}{of_any_point}\n", OLD.replace("statutory", "statutory,detail"));
        assert!(reviewed(&csv, &Policy::default()).is_ok());
    }

    #[test]
    fn the_law_yields_only_to_the_centres_own_file() {
        let looser = OLD.replace("90", "95");
        let refused = reviewed(&looser, &Policy::default()).unwrap_err().to_string();
        assert!(refused.contains("A HH"), "{refused}");
        assert!(reviewed(&OLD.replace("90", "85"), &Policy::default()).is_ok(), "stricter");
        let release = vec!["GW-01/A/HH".to_owned()];
        assert!(reviewed(&looser, &Policy { release, ..Policy::default() }).is_ok());
    }

    #[test]
    fn nobody_approves_their_own_change_of_an_urgent_alarm() {
        let policy = Policy::default();
        let urgent = reviewed(&OLD.replace("90", "85"), &policy).unwrap().diff;
        let minor = reviewed(&OLD.replace("80", "75"), &policy).unwrap().diff;
        let looser = reviewed(&OLD.replace("80", "85"), &policy).unwrap().diff;
        let (li, wang) = (person("li", Role::Engineer), person("wang", Role::Engineer));
        for (diff, own) in [(&urgent, false), (&looser, false), (&minor, true)] {
            assert_eq!(may_approve(&li, "li", diff, &policy).is_ok(), own);
            assert!(may_approve(&wang, "li", diff, &policy).is_ok());
        }
        let duty = person("zhang", Role::Operator);
        assert!(matches!(may_approve(&duty, "li", &minor, &policy), Err(Refusal::Role(_))));
        let many = (1..=20).map(|number| format!("T{number} H")).collect();
        let told = Refusal::SecondPerson(many).to_string();
        assert!(told.contains("T8 H（另 12 行") && !told.contains("T9 H"), "{told}");
        let admin = person("li", Role::Admin);
        assert!(may_approve(&admin, "li", &urgent, &policy).is_err(), "no role is two persons");
    }

    #[test]
    fn a_change_needs_a_reason_and_cannot_reach_back() {
        let now = TimeMs(1_000);
        assert!(check_words("抖动", "", Some(TimeMs(1_001)), now).is_ok());
        assert!(check_words("  ", "", None, now).is_err());
        assert!(check_words("抖动", "", Some(now), now).is_err());
        assert!(check_words(&"字".repeat(WORDS_MAX + 1), "", None, now).is_err());
        assert!(check_words("抖动", &"x".repeat(EVIDENCE_MAX + 1), None, now).is_err());
    }

    #[test]
    fn a_file_without_a_row_is_refused_whatever_judges() {
        let heading = "tag,kind,limit\n";
        for csv in [heading, "位号,类型,限值\ntag,kind,limit\n,,\n"] {
            let refused = reviewed(csv, &Policy::default()).unwrap_err();
            assert!(matches!(refused, Refusal::Empty(_)), "{refused}");
            assert!(refused.to_string().contains("GW-01"), "{refused}");
        }
        // All but one: by name, and the law's row not at all.
        let refused = reviewed("tag,kind,limit\n,OFFLINE,20\n", &Policy::default()).unwrap_err();
        assert!(matches!(&refused, Refusal::Statutory(rows) if *rows == ["A HH"]), "{refused}");
    }

    #[test]
    fn rows_that_cannot_be_read_are_given_up_by_two_persons_only() {
        let policy = Policy::default();
        let old = LimitSet::readable("old", &format!("{OLD}B,XX,1,P1,\n"));
        let made = review(&gateway(), (&old, 4), OLD, None, &policy).unwrap();
        assert!(made.diff.is_empty(), "not the same: a row is missing from it");
        let (li, wang) = (person("li", Role::Engineer), person("wang", Role::Engineer));
        assert!(may_approve(&li, "li", &made.diff, &policy).is_err());
        assert!(may_approve(&wang, "li", &made.diff, &policy).is_ok());
        // A row by law that cannot be read is still a row by law.
        let old = LimitSet::readable("old", &OLD.replace("90", "x"));
        let dropped = OLD.replace("A,HH,90,P1,true\n", "");
        let refused = review(&gateway(), (&old, 4), &dropped, None, &policy).unwrap_err();
        assert!(matches!(refused, Refusal::Statutory(_)), "{refused}");
        assert!(review(&gateway(), (&old, 4), OLD, None, &policy).is_ok());
    }
}
