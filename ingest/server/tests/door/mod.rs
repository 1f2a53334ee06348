//! A real centre with four people, and a client that shows what it is told to.

use std::path::Path;
use std::time::Duration;

use fengsui::accounts::{Role, password, secret};
use fengsui::config::Config;
use fengsui::{Centre, Extras};
use fengsui_store::{ConfigDb, Deed, NewUser};
use fengsui_telemetry::TimeMs;
use futures::StreamExt;
use serde_json::{Value, json};

/// Of all four.
pub(crate) const PASSWORD: &str = "tank farm at dawn";
const PATIENCE: Duration = Duration::from_secs(10);

/// A centre.
pub(crate) struct Door {
    /// Holds `centre.toml`, which it runs by, and its data.
    pub(crate) folder: tempfile::TempDir,
    centre: Centre,
    client: reqwest::Client,
    base: String,
}

/// An answer.
pub(crate) struct Answer {
    /// Status.
    pub(crate) status: u16,
    /// Body.
    pub(crate) body: String,
    headers: reqwest::header::HeaderMap,
}

impl Answer {
    /// The code of a problem; empty where it is none.
    pub(crate) fn code(&self) -> &str {
        let at = self.body.split("\"code\":\"").nth(1).unwrap_or_default();
        at.split('"').next().unwrap_or_default()
    }

    /// A header; empty where there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// A live stream.
pub(crate) struct Stream(
    std::pin::Pin<Box<dyn futures::Stream<Item = reqwest::Result<bytes::Bytes>> + Send>>,
);

impl Stream {
    /// True once it has said this.
    pub(crate) async fn hears(&mut self, text: &str) -> bool {
        let mut heard = String::new();
        let search = async {
            while let Some(Ok(bytes)) = self.0.next().await {
                heard += &String::from_utf8_lossy(&bytes);
                if heard.contains(text) {
                    return true;
                }
            }
            false
        };
        tokio::time::timeout(PATIENCE, search).await.unwrap_or(false)
    }

    /// True once it has ended.
    pub(crate) async fn ends(&mut self) -> bool {
        let end = async { while self.0.next().await.is_some() {} };
        tokio::time::timeout(PATIENCE, end).await.is_ok()
    }
}

fn seat(data: &Path) {
    std::fs::create_dir_all(data).unwrap();
    let db = ConfigDb::open(&data.join("config.db")).unwrap();
    let hash = password::hash(PASSWORD).unwrap();
    for role in Role::ALL {
        let name = role.word();
        let new = NewUser { name, display: name, role: name, position: "值班台", hash: &hash };
        db.add_user(new, Deed { by: "test", now: TimeMs(1_795_270_445_000) }).unwrap();
    }
}

impl Door {
    /// Starts a centre with a viewer, an operator, an engineer and an admin.
    pub(crate) async fn open() -> Self {
        Self::open_with("位号,类型,限值\ntag,kind,limit\nTK-101.LT,H,80\n").await
    }

    /// The same with other limits.
    pub(crate) async fn open_with(limits: &str) -> Self {
        Self::open_by(limits, "").await
    }

    /// The same with more lines in `[http]`.
    pub(crate) async fn open_by(limits: &str, http: &str) -> Self {
        rustls::crypto::ring::default_provider().install_default().ok();
        let folder = tempfile::tempdir().unwrap();
        let toml = format!(
            "data = \"centre\"\n[http]\nlisten = \"127.0.0.1:0\"\n{http}\n[mqtt]\nembedded = \"127.0.0.1:0\"\n[[gateway]]\nid = \"GW-01\"\nlimits = \"limits.csv\"\n"
        );
        std::fs::write(folder.path().join("centre.toml"), toml).unwrap();
        std::fs::write(folder.path().join("limits.csv"), limits).unwrap();
        seat(&folder.path().join("centre"));
        let config = Config::load(&folder.path().join("centre.toml")).unwrap();
        let centre = Centre::start(config, Extras::default()).await.unwrap();
        let none = reqwest::redirect::Policy::none();
        let client = reqwest::Client::builder().redirect(none).build().unwrap();
        let base = format!("http://{}", centre.http);
        Self { folder, centre, client, base }
    }

    /// Sends a request with the header that our pages send.
    pub(crate) async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let url = format!("{}{path}", self.base);
        let mut request = self.client.request(method, url).header("x-fengsui", "1");
        if !headers.iter().any(|(name, _)| *name == "content-type") {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.body(body.to_owned()).send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Answer { status, headers, body: answer.text().await.unwrap() }
    }

    /// Tries to log in.
    pub(crate) async fn log_in(
        &self,
        name: &str,
        password: &str,
        headers: &[(&str, &str)],
    ) -> Answer {
        let body = json!({ "name": name, "password": password }).to_string();
        self.ask("POST", "/api/v1/login", headers, &body).await
    }

    /// Logs in; the cookie.
    pub(crate) async fn enter(&self, name: &str) -> String {
        let answer = self.log_in(name, PASSWORD, &[]).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.header("set-cookie").split(';').next().unwrap().to_owned()
    }

    /// Whose cookie it is.
    pub(crate) async fn me(&self, cookie: &str) -> Value {
        let answer = self.ask("GET", "/api/v1/me", &[("cookie", cookie)], "").await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        serde_json::from_str(&answer.body).unwrap()
    }

    /// The live stream.
    pub(crate) async fn stream(&self, cookie: &str) -> Stream {
        let url = format!("{}/api/v1/stream", self.base);
        let answer = self.client.get(url).header("cookie", cookie).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        Stream(Box::pin(answer.bytes_stream()))
    }

    /// Makes a token as the command line does, beside the running centre.
    pub(crate) fn token(&self, name: &str) -> String {
        let db = ConfigDb::open(&self.folder.path().join("centre/config.db")).unwrap();
        let text = secret::token().unwrap();
        let hash = secret::hash_of_token(&text).unwrap();
        let deed = Deed { by: "test", now: TimeMs(1_795_270_445_000) };
        db.add_token(name, "test", &hash, TimeMs(i64::MAX), deed).unwrap();
        format!("Bearer {text}")
    }

    /// The audit once it holds the newest deed: notes are written beside the answers, in order.
    pub(crate) async fn audit(
        &self,
        headers: &[(&str, &str)],
        newest: impl Fn(&Value) -> bool,
    ) -> Vec<Value> {
        let mut rows: Vec<Value> = Vec::new();
        let look = async {
            while !rows.iter().any(&newest) {
                let answer = self.ask("GET", "/api/v1/audit?limit=500", headers, "").await;
                rows = serde_json::from_str(&answer.body).unwrap();
            }
        };
        tokio::time::timeout(PATIENCE, look).await.unwrap();
        rows
    }

    /// True where the hash chain holds.
    pub(crate) fn journal_is_whole(&self) -> bool {
        self.centre.journal.verify().is_ok()
    }

    /// Stops the centre.
    pub(crate) async fn close(self) {
        self.centre.stop().await;
    }
}
