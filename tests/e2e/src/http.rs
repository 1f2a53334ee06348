//! Asking the centre, as a browser or an operator's script does.

use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::{Client, RequestBuilder, Response};
use serde_json::Value;

/// Longer than a handler of the centre may take.
const ANSWER: Duration = Duration::from_secs(30);
/// Rows of one page of the journal.
const PAGE: usize = 1_000;

/// The API of one centre.
#[derive(Clone, Debug)]
pub struct Api {
    /// `http://127.0.0.1:PORT`
    pub base: String,
    client: Client,
    /// What every request shows: `Bearer …`, or nothing.
    pub token: Option<String>,
}

impl Api {
    /// For the centre on a port.
    ///
    /// # Errors
    /// No client can be made.
    pub fn new(port: u16) -> anyhow::Result<Self> {
        crate::tls();
        // A connection each: the centre may close one whose body it did not want to read.
        let client = Client::builder().timeout(ANSWER).pool_max_idle_per_host(0).build()?;
        Ok(Self { base: format!("http://127.0.0.1:{port}"), client, token: None })
    }

    /// A request of somebody whom the centre knows.
    pub fn known(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.token {
            Some(token) => request.header("authorization", token),
            None => request,
        }
    }

    /// Any GET.
    ///
    /// # Errors
    /// No answer.
    pub async fn get(&self, path: &str) -> anyhow::Result<Response> {
        let request = self.client.get(format!("{}{path}", self.base));
        Ok(self.known(request).send().await?)
    }

    /// A GET that must answer with JSON and 200.
    ///
    /// # Errors
    /// Anything else.
    pub async fn json(&self, path: &str) -> anyhow::Result<Value> {
        let answer = self.get(path).await?;
        let status = answer.status();
        let text = answer.text().await?;
        if !status.is_success() {
            bail!("GET {path}: {status} {text}");
        }
        serde_json::from_str(&text).with_context(|| format!("GET {path}: {text}"))
    }

    /// A POST with these headers.
    ///
    /// # Errors
    /// No answer.
    pub async fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> anyhow::Result<Response> {
        let request = self.client.post(format!("{}{path}", self.base)).body(body);
        let mut request = self.known(request);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Ok(request.send().await?)
    }

    /// Acknowledges one occurrence, as the console does; gives the outcome's word.
    ///
    /// # Errors
    /// Refused or not answered.
    pub async fn acknowledge(&self, alarm: &str, occurrence: u64) -> anyhow::Result<String> {
        let body = serde_json::json!({
            "acks": [{ "alarm": alarm, "occurrence": occurrence }],
            "comment": "现场已确认", "request": format!("{alarm}-{occurrence}"),
        });
        let headers = [("content-type", "application/json"), ("x-fengsui", "1")];
        let answer = self.post("/api/v1/alarms/ack", &headers, body.to_string()).await?;
        let text = answer.text().await?;
        let json: Value = serde_json::from_str(&text).with_context(|| text.clone())?;
        let outcome = json.pointer("/results/0/outcome").and_then(Value::as_str);
        Ok(outcome.with_context(|| text.clone())?.to_owned())
    }

    /// The whole journal, oldest row first, without the notes about who did what.
    ///
    /// # Errors
    /// A page cannot be read.
    pub async fn journal(&self) -> anyhow::Result<Vec<Value>> {
        let mut rows = Vec::new();
        let mut after = 0;
        loop {
            let page = self.json(&format!("/api/v1/journal?after={after}&limit={PAGE}")).await?;
            let page = page.as_array().context("a page of the journal is a list")?;
            if page.is_empty() {
                return Ok(rows);
            }
            let last = page.last().and_then(|row| row.get("seq")?.as_u64());
            after = last.with_context(|| format!("a row without seq: {page:?}"))?;
            // What people asked for, and the centre's own starts, are no alarms.
            let cause = |row: &Value| row.get("cause").and_then(Value::as_str).map(str::to_owned);
            let own = |row: &&Value| matches!(cause(row).as_deref(), Some("audit" | "centre"));
            rows.extend(page.iter().filter(|row| !own(row)).cloned());
        }
    }

    /// One of the centre's own counters.
    ///
    /// # Errors
    /// There is no such counter.
    pub async fn counter(&self, name: &str) -> anyhow::Result<u64> {
        let text = self.get("/metrics").await?.text().await?;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(value.with_context(|| format!("no counter {name}"))?.trim().parse()?)
    }
}
