//! Limits of a running centre, through its API.

use std::time::Duration;

use fengsui_alerting::limits::{LimitSet, SecondPerson, diff};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use super::{Import, Trouble};
use crate::cli::Exit;
use crate::limits::{diff_json, faults_json};

/// How long the centre may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// A running centre.
pub(in crate::cli) struct Remote {
    url: String,
    token: Option<String>,
}

impl Remote {
    pub(in crate::cli) fn new(url: &str, token: Option<&str>) -> Self {
        Self { url: url.trim_end_matches('/').to_owned(), token: token.map(str::to_owned) }
    }

    pub(in crate::cli) fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Trouble> {
        if !["http://", "https://"].iter().any(|scheme| self.url.starts_with(scheme)) {
            let url = &self.url;
            let why = format!(
                "--url {url:?}：写成 http://127.0.0.1:8080 / write it like http://127.0.0.1:8080"
            );
            return Err(Trouble::said(Exit::Usage, why));
        }
        let unreachable = |why: String| {
            let why = format!("{}：无法连接中心 / the centre does not answer: {why}", self.url);
            Trouble::said(Exit::Unreachable, why)
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|fault| unreachable(fault.to_string()))?;
        runtime.block_on(async {
            let client = reqwest::Client::builder().timeout(ANSWER_MAX).build();
            let client = client.map_err(|fault| unreachable(fault.to_string()))?;
            let mut request: RequestBuilder = client
                .request(method, format!("{}/api/v1{path}", self.url))
                .header("X-Fengsui", "1")
                .header("Accept-Language", "zh-CN");
            if let Some(token) = &self.token {
                request = request.bearer_auth(token);
            }
            if let Some(body) = body {
                request = request.json(body);
            }
            let answer = request.send().await.map_err(|fault| unreachable(fault.to_string()))?;
            let status = answer.status();
            let body = answer.text().await.map_err(|fault| unreachable(fault.to_string()))?;
            let value: Value = serde_json::from_str(&body)
                .map_err(|_| unreachable(format!("{status}, 不是 JSON / no JSON")))?;
            if status.is_success() {
                return Ok(value);
            }
            let exit = exit_of(status.as_u16(), &value);
            let value = if status == StatusCode::UNAUTHORIZED { self.who(value) } else { value };
            Err(Trouble::Problem(exit, value))
        })
    }

    /// The centre cannot know that the command line has no other way to log in than a token.
    fn who(&self, mut problem: Value) -> Value {
        let why = match &self.token {
            None => {
                "未给出令牌：请加 --token 或设置环境变量 FENGSUI_TOKEN（由 fengsui user token add 新建） / \
                 no token: give --token or set FENGSUI_TOKEN (fengsui user token add makes one)"
            }
            Some(_) => {
                "令牌无效、已过期或已撤销：请换一个（fengsui user token add） / \
                 the token is wrong, expired or revoked: use another one"
            }
        };
        if let Some(problem) = problem.as_object_mut() {
            problem.insert("detail".to_owned(), Value::from(why));
            // It says how a page logs in.
            problem.remove("fix");
        }
        problem
    }

    pub(super) fn import(&self, gateway: Option<&str>, import: &Import) -> Result<Value, Trouble> {
        let evidence: Value = serde_json::from_str(&import.evidence)
            .unwrap_or_else(|_| Value::String(import.evidence.clone()));
        let body = json!({
            "gateway": gateway, "csv": import.csv, "reason": import.reason,
            "evidence": evidence, "valid_from": import.valid_from,
        });
        self.ask(Method::POST, "/limits/propose", Some(&body))
    }

    pub(super) fn decide(
        &self,
        gateway: Option<&str>,
        verb: &str,
        number: u64,
        comment: &str,
    ) -> Result<Value, Trouble> {
        let body = json!({ "gateway": gateway, "comment": comment });
        self.ask(Method::POST, &format!("/limits/{number}/{verb}"), Some(&body))
    }

    pub(super) fn revision(
        &self,
        gateway: Option<&str>,
        number: Option<u64>,
    ) -> Result<Value, Trouble> {
        let (name, number) = match number {
            Some(number) => (gateway.map(str::to_owned), number),
            None => self.in_force(gateway).map(|(name, number)| (Some(name), number))?,
        };
        let path = format!("/limits/revisions/{number}{}", query(name.as_deref()));
        self.ask(Method::GET, &path, None)
    }

    /// The only gateway, or the one that is named, and the number that judges there.
    fn in_force(&self, gateway: Option<&str>) -> Result<(String, u64), Trouble> {
        let all = self.ask(Method::GET, &format!("/limits{}", query(gateway)), None)?;
        let gateways = all.get("gateways").and_then(Value::as_array).cloned().unwrap_or_default();
        let found = match gateways.as_slice() {
            [only] => {
                let name = only.get("gateway").and_then(Value::as_str);
                let number = only.pointer("/in_force/number").and_then(Value::as_u64);
                name.map(str::to_owned).zip(number)
            }
            _ => None,
        };
        found.ok_or_else(|| {
            let names: Vec<&str> = gateways
                .iter()
                .filter_map(|one| one.get("gateway").and_then(Value::as_str))
                .collect();
            let why = format!("请用 --gateway 指明 / name one by --gateway: {}", names.join(", "));
            Trouble::said(Exit::Usage, why)
        })
    }

    pub(super) fn diff(&self, gateway: Option<&str>, csv: &str) -> Result<Value, Trouble> {
        let base = self.revision(gateway, None)?;
        let old = base.get("csv").and_then(Value::as_str).unwrap_or_default();
        let old = LimitSet::readable("centre", old);
        let new = LimitSet::parse("csv", csv).map_err(|faults| {
            let detail = format!("限值文件有 {} 处错误 / {} faults", faults.len(), faults.len());
            let problem = json!({ "detail": detail, "faults": faults_json(&faults) });
            Trouble::Problem(Exit::Problems, problem)
        })?;
        let diff = diff_json(&diff(&old, &new), &SecondPerson::default());
        Ok(json!({ "gateway": base.get("gateway"), "base": base.get("number"), "diff": diff }))
    }

    pub(super) fn history(&self, gateway: Option<&str>) -> Result<Value, Trouble> {
        let mut all = self.ask(Method::GET, &format!("/limits/history{}", query(gateway)), None)?;
        // Of all: a gateway that is no longer watched still has revisions.
        let now = self.ask(Method::GET, "/limits", None)?;
        let gateways = now.get("gateways").and_then(Value::as_array).into_iter().flatten();
        let named = |one: &&Value| {
            gateway.is_none_or(|name| one.get("gateway").and_then(Value::as_str) == Some(name))
        };
        let not_judged: Vec<Value> = gateways
            .filter(named)
            .filter_map(|gateway| gateway.get("not_judged").and_then(Value::as_array))
            .flatten()
            .cloned()
            .collect();
        if let Some(all) = all.as_object_mut() {
            all.insert("not_judged".to_owned(), Value::Array(not_judged));
        }
        Ok(all)
    }

    pub(super) fn key(&self) -> Result<Value, Trouble> {
        self.ask(Method::GET, "/limits/key", None)
    }
}

/// The same exit as on the database itself.
fn exit_of(status: u16, problem: &Value) -> Exit {
    match (status, problem.get("code").and_then(Value::as_str).unwrap_or_default()) {
        (_, "bad_field" | "no_such_gateway" | "no_such_revision") => Exit::Usage,
        (_, "statutory" | "no_limits_left") => Exit::Refused,
        (422, _) => Exit::Problems,
        (503 | 504, _) => Exit::Unreachable,
        _ => Exit::Refused,
    }
}

/// A name as it was typed; the centre says that there is no such gateway.
fn query(gateway: Option<&str>) -> String {
    let Some(name) = gateway else { return String::new() };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let coded = name.bytes().map(|byte| {
        if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    });
    format!("?gateway={}", coded.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_asked_for_as_it_was_typed() {
        assert_eq!(query(None), "");
        assert_eq!(query(Some("GW-01")), "?gateway=GW-01");
        assert_eq!(query(Some("GW 1&x=网")), "?gateway=GW%201%26x%3D%E7%BD%91");
    }

    #[test]
    fn a_url_that_is_none_is_named_before_anything_is_asked() {
        match Remote::new("127.0.0.1:8080", None).ask(Method::GET, "/limits", None) {
            Err(Trouble::Said(exit, why)) => {
                assert_eq!(exit, Exit::Usage);
                assert!(why.contains("127.0.0.1:8080") && why.contains("http://"), "{why}");
            }
            Ok(_) | Err(Trouble::Problem(..)) => panic!("nothing was asked"),
        }
    }

    #[test]
    fn a_refusal_is_not_taken_for_a_fault_of_the_file() {
        let problem = |code: &str| json!({ "code": code });
        assert_eq!(exit_of(422, &problem("bad_limits")), Exit::Problems);
        assert_eq!(exit_of(422, &problem("statutory")), Exit::Refused);
        assert_eq!(exit_of(422, &problem("bad_field")), Exit::Usage);
        assert_eq!(exit_of(404, &problem("no_such_revision")), Exit::Usage);
        assert_eq!(exit_of(503, &problem("")), Exit::Unreachable);
    }
}
