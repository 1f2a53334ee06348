//! A change of limits that was not made: status, code, and the mend, in the reader's language.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::super::Problem;
use crate::limits::{OfficeFault, Refusal, faults_json};

/// Puts a member into an object.
pub(super) fn put(object: &mut Value, name: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(name.to_owned(), value);
    }
}

/// The answer to what was not done.
pub(super) fn answer_fault(fault: &OfficeFault, english: bool) -> Response {
    let refusal = match fault {
        OfficeFault::Refused(refusal) => refusal,
        OfficeFault::Store(_) | OfficeFault::Record(_) | OfficeFault::Stopping => {
            return Problem::unavailable(&fault.to_string()).into_response();
        }
    };
    let (status, code, place) = kind_of(refusal);
    let (zh, en) = mend_of(refusal);
    let fix = if english { en } else { zh };
    let title = if english { "limits not changed" } else { "限值未变更" };
    let problem = Problem::new(status, code, title, place, refusal.to_string(), fix);
    let mut body = serde_json::to_value(&problem).unwrap_or_default();
    match refusal {
        Refusal::File(faults) => put(&mut body, "faults", faults_json(faults)),
        Refusal::Statutory(rows) | Refusal::SecondPerson(rows) => {
            put(&mut body, "rows", json!(rows));
        }
        Refusal::Plan(faults) => {
            let faults = faults.iter().map(|fault| json!({ "why": fault.to_string() })).collect();
            put(&mut body, "faults", faults);
        }
        Refusal::Role(_)
        | Refusal::NoGateway(_)
        | Refusal::NoRevision { .. }
        | Refusal::Field { .. }
        | Refusal::Empty(_)
        | Refusal::Same(_)
        | Refusal::Status { .. }
        | Refusal::Overtaken(_)
        | Refusal::Waits { .. } => {}
    }
    let kind = [(header::CONTENT_TYPE, "application/problem+json")];
    let mut response = (status, kind, body.to_string()).into_response();
    response.extensions_mut().insert(problem.told());
    response
}

fn kind_of(refusal: &Refusal) -> (StatusCode, &'static str, &'static str) {
    let unusable = StatusCode::UNPROCESSABLE_ENTITY;
    match refusal {
        Refusal::Role(_) => (StatusCode::FORBIDDEN, "role_needed", "user"),
        Refusal::NoGateway(_) => (StatusCode::NOT_FOUND, "no_such_gateway", "gateway"),
        Refusal::NoRevision { .. } => (StatusCode::NOT_FOUND, "no_such_revision", "number"),
        Refusal::Field { field, .. } => (unusable, "bad_field", field),
        Refusal::File(_) | Refusal::Plan(_) => (unusable, "bad_limits", "csv"),
        Refusal::Empty(_) => (unusable, "no_limits_left", "csv"),
        Refusal::Same(_) => (StatusCode::CONFLICT, "no_change", "csv"),
        Refusal::Statutory(_) => (unusable, "statutory", "csv"),
        Refusal::SecondPerson(_) => (StatusCode::FORBIDDEN, "second_person_needed", "user"),
        Refusal::Status { .. } => (StatusCode::CONFLICT, "decided_before", "number"),
        Refusal::Overtaken(_) => (StatusCode::CONFLICT, "overtaken", "number"),
        Refusal::Waits { .. } => (StatusCode::CONFLICT, "another_waits", "number"),
    }
}

fn mend_of(refusal: &Refusal) -> (&'static str, &'static str) {
    match refusal {
        Refusal::Role(_) => ("请工程师操作", "ask an engineer"),
        Refusal::NoGateway(_) => (
            "用 fengsui limits history 或 GET /api/v1/limits 查看",
            "fengsui limits history or GET /api/v1/limits lists them",
        ),
        Refusal::NoRevision { .. } => (
            "用 fengsui limits history 或 GET /api/v1/limits/history 查看",
            "fengsui limits history or GET /api/v1/limits/history lists them",
        ),
        Refusal::Field { .. } => ("按说明修改", "mend the field"),
        Refusal::File(_) => ("逐条修改 faults 所列的行", "mend each row that faults names"),
        Refusal::Plan(_) => ("修改所指的报警", "mend the alarm that is named"),
        Refusal::Empty(_) => (
            "提交完整的限值文件；用 fengsui limits export 可取得在用的文件",
            "send the whole file; fengsui limits export gives the one in force",
        ),
        Refusal::Same(_) => ("无需提交", "there is nothing to propose"),
        Refusal::Statutory(_) => (
            "恢复这些行；若依据的条文已变，由系统管理员在中心配置文件 [limits] release 中列出该报警后重新提交",
            "restore these rows; where the rule behind them has changed, the administrator names \
             the alarm under [limits] release in the centre's file",
        ),
        Refusal::SecondPerson(_) => ("请另一位工程师批准", "ask another engineer to approve"),
        Refusal::Status { .. } => ("刷新后再看", "look again"),
        Refusal::Overtaken(_) => ("对照在用版本重新提交", "propose anew against what is in force"),
        Refusal::Waits { .. } => (
            "等它生效后重新提交，或先驳回它并把它的修改并入本次修改",
            "propose anew once it is in force, or reject it first and take its change into this one",
        ),
    }
}
