//! Channels over HTTP: what is posted, and what counts as taken.
//!
//! - The robots answer 200 to what they refuse: their own code decides.

use std::time::Duration;

use serde_json::{Value, json};

use super::config::Sms;
use super::sign::{base64, hex, hmac_sha256, percent};
use super::{ANSWER_MAX, Failure, Message};
use crate::clock;

/// Bytes of a text that 企业微信 takes.
const WECOM_TEXT_MAX: usize = 2_048;
/// Codes of 钉钉, 企业微信 and 飞书 for "too often": later it may do.
const TOO_OFTEN: [i64; 5] = [-1, 130_101, 45_009, 9_499, 11_232];

pub(super) fn client(timeout: Duration) -> Result<reqwest::Client, String> {
    // Tests and other hosts may not have chosen a provider of TLS.
    rustls::crypto::ring::default_provider().install_default().ok();
    let redirects = reqwest::redirect::Policy::none();
    let builder = reqwest::Client::builder().timeout(timeout).redirect(redirects);
    builder.build().map_err(|fault| format!("no HTTP client: {fault}"))
}

async fn post(request: reqwest::RequestBuilder) -> Result<String, Failure> {
    let passing = |fault: reqwest::Error| Failure::Passing(fault.without_url().to_string());
    let mut response = request.send().await.map_err(passing)?;
    let status = response.status();
    let mut body = Vec::new();
    while body.len() < ANSWER_MAX {
        match response.chunk().await.map_err(passing)? {
            Some(chunk) => body.extend_from_slice(&chunk),
            None => break,
        }
    }
    body.truncate(ANSWER_MAX);
    let text = String::from_utf8_lossy(&body).into_owned();
    if status.is_success() {
        return Ok(text);
    }
    let why = format!("HTTP {} {}", status.as_u16(), head(&text));
    let again = status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429);
    Err(if again { Failure::Passing(why) } else { Failure::Lasting(why) })
}

fn head(text: &str) -> String {
    text.chars().take(200).collect()
}

/// The answer of a robot: `field` is 0 where it took the message.
fn robot(answer: &str, fields: [&str; 2]) -> Result<String, Failure> {
    let json: Value = serde_json::from_str(answer)
        .map_err(|_| Failure::Lasting(format!("应答不是 JSON / no JSON: {}", head(answer))))?;
    let code = fields.iter().find_map(|field| json.get(*field)).and_then(Value::as_i64);
    match code {
        Some(0) => Ok("ok".to_owned()),
        Some(code) if TOO_OFTEN.contains(&code) => Err(Failure::Passing(head(answer))),
        Some(_) | None => Err(Failure::Lasting(head(answer))),
    }
}

/// JSON with `X-Fengsui-Timestamp` and `X-Fengsui-Signature: sha256=hex(hmac(secret, timestamp +
/// "." + body))`.
pub(super) async fn webhook(
    client: &reqwest::Client,
    url: &str,
    secret: &str,
    message: &Message,
) -> Result<String, Failure> {
    let body = serde_json::to_string(message).map_err(|e| Failure::Lasting(e.to_string()))?;
    let stamp = clock::now().0.to_string();
    let sum = hmac_sha256(secret.as_bytes(), format!("{stamp}.{body}").as_bytes());
    let request = client
        .post(url)
        .header("content-type", "application/json")
        .header("idempotency-key", &message.reference)
        .header("x-fengsui-timestamp", stamp)
        .header("x-fengsui-signature", format!("sha256={}", hex(&sum)))
        .body(body);
    post(request).await.map(|answer| receipt(&answer))
}

/// The provider's own number, where the answer names one in the usual ways.
fn receipt(answer: &str) -> String {
    let json: Value = serde_json::from_str(answer).unwrap_or_default();
    let found = ["receipt", "id", "message_id", "msgid", "BizId"]
        .iter()
        .find_map(|field| json.get(*field))
        .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    found.map(|text| text.chars().take(100).collect()).unwrap_or_default()
}

pub(super) async fn dingtalk(
    client: &reqwest::Client,
    url: &str,
    secret: &str,
    message: &Message,
) -> Result<String, Failure> {
    let mut url = url.to_owned();
    if !secret.is_empty() {
        let stamp = clock::now().0;
        let sum = hmac_sha256(secret.as_bytes(), format!("{stamp}\n{secret}").as_bytes());
        let gap = if url.contains('?') { '&' } else { '?' };
        url += &format!("{gap}timestamp={stamp}&sign={}", percent(&base64(&sum)));
    }
    let mut body = json!({ "msgtype": "text", "text": { "content": message.text } });
    if !message.phone.is_empty() {
        set(&mut body, "at", json!({ "atMobiles": [message.phone], "isAtAll": false }));
    }
    robot(&post(client.post(url).json(&body)).await?, ["errcode", "code"])
}

pub(super) async fn wecom(
    client: &reqwest::Client,
    url: &str,
    message: &Message,
) -> Result<String, Failure> {
    let mut end = message.text.len().min(WECOM_TEXT_MAX);
    while !message.text.is_char_boundary(end) {
        end -= 1;
    }
    let content = message.text.get(..end).unwrap_or_default();
    let mut text = json!({ "content": content });
    if !message.phone.is_empty() {
        set(&mut text, "mentioned_mobile_list", json!([message.phone]));
    }
    let body = json!({ "msgtype": "text", "text": text });
    robot(&post(client.post(url).json(&body)).await?, ["errcode", "code"])
}

pub(super) async fn feishu(
    client: &reqwest::Client,
    url: &str,
    secret: &str,
    message: &Message,
) -> Result<String, Failure> {
    let mut body = json!({ "msg_type": "text", "content": { "text": message.text } });
    if !secret.is_empty() {
        let stamp = clock::now().0.div_euclid(1_000);
        // The text to sign is the key here, and what is signed is empty.
        let sum = hmac_sha256(format!("{stamp}\n{secret}").as_bytes(), b"");
        set(&mut body, "timestamp", json!(stamp.to_string()));
        set(&mut body, "sign", json!(base64(&sum)));
    }
    robot(&post(client.post(url).json(&body)).await?, ["code", "StatusCode"])
}

fn set(object: &mut Value, field: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(field.to_owned(), value);
    }
}

pub(super) async fn sms(
    client: &reqwest::Client,
    sms: &Sms,
    message: &Message,
) -> Result<String, Failure> {
    let json = sms.content_type.contains("json");
    let escape = |text: &str| if json { json_text(text) } else { percent(text) };
    let body = fill(&sms.body, message, &escape);
    let url = fill(&sms.url, message, &percent);
    let mut request = client
        .post(url)
        .header("content-type", &sms.content_type)
        .header("idempotency-key", &message.reference);
    for (name, value) in &sms.headers {
        request = request.header(name, value);
    }
    let answer = post(request.body(body)).await?;
    if answer.contains(&sms.accept) {
        Ok(receipt(&answer))
    } else {
        Err(Failure::Lasting(format!("服务商拒绝 / refused: {}", head(&answer))))
    }
}

/// Inside a JSON string.
fn json_text(text: &str) -> String {
    let quoted = serde_json::to_string(text).unwrap_or_default();
    quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default().to_owned()
}

/// Puts a message's fields into a template; other braces stay. What is put in is not looked at
/// again.
pub(super) fn fill(template: &str, message: &Message, escape: &dyn Fn(&str) -> String) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        out += before;
        let named =
            after.split_once('}').and_then(|(name, tail)| Some((field(name, message)?, tail)));
        match named {
            Some((value, tail)) => {
                out += &escape(&value);
                rest = tail;
            }
            None => {
                out.push('{');
                rest = after;
            }
        }
    }
    out + rest
}

fn field(name: &str, message: &Message) -> Option<String> {
    Some(match name {
        "phone" => message.phone.clone(),
        "email" => message.email.clone(),
        "person" => message.person.clone(),
        "text" => message.text.clone(),
        "title" => message.title.clone(),
        "digits" => message.digits.clone(),
        "ref" => message.reference.clone(),
        "kind" => message.kind.to_owned(),
        "alarm" => message.alarm.clone(),
        "attempt" => message.attempt.to_string(),
        _ => return None,
    })
}
