//! One channel of `calls.toml`.

use std::collections::BTreeMap;
use std::time::Duration;

use fengsui_alerting::calls::Needs;
use serde::Deserialize;

/// A try that takes longer has failed.
const TIMEOUT_S: u32 = 10;
/// Tries of one hand-over.
const TRIES: u32 = 3;
/// Before the second try; doubled for each further one.
const BACKOFF_MS: u64 = 1_000;
/// Contacts of one person over one channel in an hour.
const PER_HOUR: usize = 30;

/// One channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelConfig {
    /// Its name.
    pub name: String,
    /// How it works.
    pub way: Way,
    /// What it must know of a person.
    pub needs: Needs,
    /// Authenticates its receipts; none: it sends none.
    pub token: Option<String>,
    /// For one try.
    pub timeout: Duration,
    /// Tries.
    pub tries: u32,
    /// Before the second try.
    pub backoff: Duration,
    /// What the provider takes in a minute.
    pub per_minute: Option<usize>,
    /// Contacts of one person in an hour.
    pub per_hour: usize,
    /// Of these, for P1 alone.
    pub for_p1: usize,
}

/// The kinds of channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// Nowhere but into the ledger: for a demo without any provider.
    Log,
    /// JSON, signed.
    Webhook {
        /// Where to.
        url: String,
        /// Signs.
        secret: String,
    },
    /// 钉钉
    DingTalk {
        /// Where to.
        url: String,
        /// Signs, where the robot is set up so.
        secret: String,
    },
    /// 企业微信
    WeCom {
        /// Where to.
        url: String,
    },
    /// 飞书
    Feishu {
        /// Where to.
        url: String,
        /// Signs, where the robot is set up so.
        secret: String,
    },
    /// A provider of SMS or voice over HTTP.
    Sms(Sms),
    /// Mail.
    Smtp(Mail),
    /// A program: its arguments, no shell.
    Command {
        /// Program and arguments, with `{phone}`, `{text}` …
        argv: Vec<String>,
    },
}

/// A provider of SMS or voice over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sms {
    /// Where to; `{phone}` … are put in.
    pub url: String,
    /// What; `{phone}`, `{text}`, `{digits}`, `{ref}`, `{person}` are put in, escaped for the
    /// content type.
    pub body: String,
    /// Of the body.
    pub content_type: String,
    /// More headers: a provider's key.
    pub headers: BTreeMap<String, String>,
    /// What the answer must contain; empty: any answer with status 2xx will do.
    pub accept: String,
}

/// A mail server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// Where to.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Sender.
    pub from: String,
    /// Login, with its password.
    pub login: Option<(String, String)>,
    /// False: neither STARTTLS nor TLS, for a server on this machine.
    pub encrypted: bool,
}

/// The same in the file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelText {
    name: String,
    kind: String,
    url: Option<String>,
    secret: Option<String>,
    token: Option<String>,
    needs: Option<String>,
    timeout_s: Option<u32>,
    timeout_ms: Option<u32>,
    tries: Option<u32>,
    backoff_ms: Option<u64>,
    per_minute: Option<usize>,
    per_hour: Option<usize>,
    for_p1: Option<usize>,
    body: Option<String>,
    content_type: Option<String>,
    accept: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    host: Option<String>,
    port: Option<u16>,
    from: Option<String>,
    user: Option<String>,
    password: Option<String>,
    encrypted: Option<bool>,
    #[serde(default)]
    argv: Vec<String>,
}

impl ChannelText {
    /// As the file names it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl ChannelConfig {
    /// Checks one channel.
    ///
    /// # Errors
    /// Every fault with its mend.
    pub fn parse(text: &ChannelText) -> Result<Self, Vec<String>> {
        let mut faults = Vec::new();
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        if text.name.is_empty() || !text.name.chars().all(plain) {
            faults.push("a name is of letters, digits, - and _".to_owned());
        }
        let url = || text.url.clone().unwrap_or_default();
        let secret = || text.secret.clone().unwrap_or_default();
        let (way, needs, per_minute) = match text.kind.as_str() {
            "log" => (Way::Log, Needs::Nothing, None),
            "webhook" => (Way::Webhook { url: url(), secret: secret() }, Needs::Nothing, None),
            // Vendors block beyond 20, 20 and 100 in a minute; a little below it.
            "dingtalk" => {
                (Way::DingTalk { url: url(), secret: secret() }, Needs::Nothing, Some(15))
            }
            "wecom" => (Way::WeCom { url: url() }, Needs::Nothing, Some(15)),
            "feishu" => (Way::Feishu { url: url(), secret: secret() }, Needs::Nothing, Some(60)),
            "sms" => (Way::Sms(sms(text, &mut faults)), Needs::Phone, None),
            "smtp" => (Way::Smtp(mail(text, &mut faults)), Needs::Email, None),
            "command" => {
                if text.argv.is_empty() {
                    faults
                        .push("has no argv; write argv = [\"/usr/bin/call\", \"{phone}\"]".into());
                }
                (Way::Command { argv: text.argv.clone() }, Needs::Nothing, None)
            }
            other => {
                let kinds = "log, webhook, dingtalk, wecom, feishu, sms, smtp, command";
                faults.push(format!("kind {other:?} is none of {kinds}"));
                (Way::Log, Needs::Nothing, None)
            }
        };
        check_url(text.url.as_deref(), &way, &mut faults);
        let needs = match text.needs.as_deref() {
            None => needs,
            Some("nothing") => Needs::Nothing,
            Some("phone") => Needs::Phone,
            Some("email") => Needs::Email,
            Some(other) => {
                faults.push(format!("needs {other:?} is none of nothing, phone, email"));
                needs
            }
        };
        if text.token.as_deref().is_some_and(|token| token.len() < 16) {
            faults.push("token is short; use 16 characters or more".to_owned());
        }
        let per_hour = text.per_hour.unwrap_or(PER_HOUR);
        let seconds = u64::from(text.timeout_s.unwrap_or(TIMEOUT_S)) * 1_000;
        let timeout = text.timeout_ms.map_or(seconds, u64::from);
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Self {
            name: text.name.clone(),
            way,
            needs,
            token: text.token.clone(),
            timeout: Duration::from_millis(timeout.max(1)),
            tries: text.tries.unwrap_or(TRIES).clamp(1, 10),
            backoff: Duration::from_millis(text.backoff_ms.unwrap_or(BACKOFF_MS)),
            per_minute: text.per_minute.or(per_minute),
            per_hour,
            for_p1: text.for_p1.unwrap_or(per_hour / 4),
        })
    }
}

fn check_url(url: Option<&str>, way: &Way, faults: &mut Vec<String>) {
    let over_http = match way {
        Way::Webhook { .. }
        | Way::DingTalk { .. }
        | Way::WeCom { .. }
        | Way::Feishu { .. }
        | Way::Sms(_) => true,
        Way::Log | Way::Smtp(_) | Way::Command { .. } => false,
    };
    let is_http = |url: &str| url.starts_with("http://") || url.starts_with("https://");
    match url {
        None | Some("") if over_http => faults.push("has no url; add one".to_owned()),
        Some(url) if over_http && !is_http(url) => {
            faults.push(format!("url {url:?} is not http:// or https://"));
        }
        Some(_) | None => {}
    }
}

fn sms(text: &ChannelText, faults: &mut Vec<String>) -> Sms {
    if text.body.is_none() {
        let mend = r#"body = '{"mobile":"{phone}","content":"{text}","id":"{ref}"}'"#;
        faults.push(format!("has no body; write what the provider wants, for example {mend}"));
    }
    Sms {
        url: text.url.clone().unwrap_or_default(),
        body: text.body.clone().unwrap_or_default(),
        content_type: text.content_type.clone().unwrap_or_else(|| "application/json".to_owned()),
        headers: text.headers.clone(),
        accept: text.accept.clone().unwrap_or_default(),
    }
}

fn mail(text: &ChannelText, faults: &mut Vec<String>) -> Mail {
    if text.host.is_none() {
        faults.push("has no host; name the mail server".to_owned());
    }
    if text.from.as_deref().is_none_or(|from| !from.contains('@')) {
        faults.push("has no from; name the sender's address".to_owned());
    }
    if text.user.is_some() != text.password.is_some() {
        faults.push("user and password belong together; give both or none".to_owned());
    }
    let encrypted = text.encrypted.unwrap_or(true);
    Mail {
        host: text.host.clone().unwrap_or_default(),
        port: text.port.unwrap_or(if encrypted { 465 } else { 25 }),
        from: text.from.clone().unwrap_or_default(),
        login: text.user.clone().zip(text.password.clone()),
        encrypted,
    }
}
