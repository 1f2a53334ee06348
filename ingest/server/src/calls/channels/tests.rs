//! Each channel against a double on loopback, and one HTTP channel against every misbehaviour.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fengsui_alerting::calls::Hand;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::sign::{base64, hex, hmac_sha256, percent};
use super::*;

/// What the double does with one request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    /// Status and body.
    Answer(u16, &'static str),
    /// Takes it and says nothing.
    Hang,
    /// Takes it and breaks off: accepted, and the answer lost.
    Drop,
}

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub(crate) head: String,
    pub(crate) body: String,
}

/// A provider on loopback.
pub(crate) struct Double {
    pub(crate) address: SocketAddr,
    pub(crate) heard: mpsc::Receiver<Heard>,
}

impl Double {
    /// The last act is repeated.
    pub(crate) async fn start(acts: &[Act]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, heard) = mpsc::channel(64);
        // Shared by the connections, which are served side by side.
        let acts = Arc::new(Mutex::new(VecDeque::from(acts.to_vec())));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tell, acts) = (tell.clone(), Arc::clone(&acts));
                tokio::spawn(serve_one(stream, tell, acts));
            }
        });
        Self { address, heard }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/send", self.address)
    }

    pub(crate) async fn next(&mut self) -> Heard {
        let next = tokio::time::timeout(Duration::from_secs(20), self.heard.recv());
        next.await.expect("a request within 20 s").expect("the double runs")
    }
}

async fn serve_one(stream: TcpStream, tell: mpsc::Sender<Heard>, acts: Arc<Mutex<VecDeque<Act>>>) {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut head, mut length) = (String::new(), 0_usize);
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                return;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
            head += &line;
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.unwrap();
        let body = String::from_utf8(body).unwrap();
        let act = {
            let mut acts = acts.lock().unwrap();
            if acts.len() > 1 { acts.pop_front() } else { acts.front().copied() }
        };
        tell.send(Heard { head, body }).await.ok();
        match act.unwrap() {
            Act::Answer(status, body) => {
                let length = body.len();
                let text = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n\r\n{body}");
                stream.write_all(text.as_bytes()).await.unwrap();
            }
            Act::Hang => std::future::pending().await,
            Act::Drop => return,
        }
    }
}

fn channel(toml: &str) -> ChannelConfig {
    let text = format!("name = \"c\"\nbackoff_ms = 1\ntimeout_ms = 2000\n{toml}");
    ChannelConfig::parse(&toml::from_str(&text).unwrap()).unwrap()
}

fn message() -> Message {
    Message {
        reference: "17-c".into(),
        alarm: "GW-01/TK-101.LT/HH".into(),
        occurrence: 1,
        attempt: 2,
        person: "王敏".into(),
        phone: "13800000001".into(),
        email: "wang@example.org".into(),
        kind: "message",
        digits: "4821".into(),
        title: "P1 报警".into(),
        text: "P1 \"紧急\"\n核对码 4821; $(rm x)".into(),
        ..Message::default()
    }
}

/// Through the channel's own task, as the office does it.
async fn send(config: ChannelConfig, message: Message) -> SendResult {
    let (done, mut results) = mpsc::channel(4);
    let jobs = start(config, done);
    let hand = Hand {
        alarm: message.alarm.clone(),
        occurrence: 1,
        attempt: 2,
        channel: "c".into(),
        again: 0,
    };
    jobs.send(Job { hand: hand.clone(), message }).await.unwrap();
    let done = tokio::time::timeout(Duration::from_secs(30), results.recv());
    let done = done.await.expect("a result").expect("the channel runs");
    assert_eq!(done.hand, hand);
    done.result
}

fn accepted(receipt: &str) -> SendResult {
    SendResult::Accepted { receipt: receipt.to_owned() }
}

fn header<'a>(heard: &'a Heard, name: &str) -> &'a str {
    let lines = heard.head.lines().filter_map(|line| line.split_once(": "));
    lines.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).expect(name).1
}

#[tokio::test]
async fn a_webhook_is_signed_and_carries_its_reference() {
    let mut double = Double::start(&[Act::Answer(200, r#"{"id":"w-9"}"#)]).await;
    let toml = format!("kind = \"webhook\"\nurl = \"{}\"\nsecret = \"s3cret\"", double.url());
    assert_eq!(send(channel(&toml), message()).await, accepted("w-9"));
    let heard = double.next().await;
    let signed = format!("{}.{}", header(&heard, "x-fengsui-timestamp"), heard.body);
    let sum = hex(&hmac_sha256(b"s3cret", signed.as_bytes()));
    assert_eq!(header(&heard, "x-fengsui-signature"), format!("sha256={sum}"));
    assert_eq!(header(&heard, "idempotency-key"), "17-c");
    let body: serde_json::Value = serde_json::from_str(&heard.body).unwrap();
    assert_eq!((body["ref"].as_str(), body["digits"].as_str()), (Some("17-c"), Some("4821")));
}

#[tokio::test]
async fn a_provider_that_misbehaves_is_tried_again_and_never_taken_for_one_that_took_it() {
    let good = Act::Answer(200, "{}");
    let bad = Act::Answer(500, "broken");
    // Acts, whether it is taken in the end, requests that the provider sees.
    let matrix: [(&[Act], bool, usize); 6] = [
        (&[bad, bad, good], true, 3),
        (&[Act::Hang, good], true, 2),
        (&[Act::Drop, good], true, 2),
        (&[Act::Answer(429, "later"), good], true, 2),
        (&[bad], false, 3),
        (&[Act::Answer(400, "no such template"), good], false, 1),
    ];
    for (acts, taken, requests) in matrix {
        let mut double = Double::start(acts).await;
        let toml = format!("kind = \"webhook\"\nurl = \"{}\"", double.url());
        let config = ChannelConfig { timeout: Duration::from_millis(300), ..channel(&toml) };
        let result = send(config, message()).await;
        assert_eq!(matches!(result, SendResult::Accepted { .. }), taken, "{acts:?}: {result:?}");
        let mut references = Vec::new();
        while let Ok(heard) = double.heard.try_recv() {
            references.push(header(&heard, "idempotency-key").to_owned());
        }
        assert_eq!(references, vec!["17-c"; requests], "{acts:?}");
        if let SendResult::Failed { why } = result {
            assert!(why.contains("HTTP 500 broken") || why.contains("no such template"), "{why}");
        }
    }
}

#[tokio::test]
async fn nobody_listens_and_the_hand_over_fails() {
    let double = Double::start(&[Act::Drop]).await;
    let url = double.url();
    let result = send(channel(&format!("kind = \"webhook\"\nurl = \"{url}\"")), message()).await;
    assert!(matches!(result, SendResult::Failed { .. }), "{result:?}");
}

#[tokio::test]
async fn dingtalk_signs_in_the_query_and_its_own_code_decides() {
    let refused = r#"{"errcode":310000,"errmsg":"keywords not in content"}"#;
    let acts = [Act::Answer(200, r#"{"errcode":0,"errmsg":"ok"}"#), Act::Answer(200, refused)];
    let mut double = Double::start(&acts).await;
    let url = format!("{}?access_token=t", double.url());
    let config = channel(&format!("kind = \"dingtalk\"\nurl = \"{url}\"\nsecret = \"SEC\""));
    assert_eq!(send(config.clone(), message()).await, accepted("ok"));
    let heard = double.next().await;
    let (_, query) = heard.head.split_once("&timestamp=").unwrap();
    let (stamp, rest) = query.split_once("&sign=").unwrap();
    let sign = base64(&hmac_sha256(b"SEC", format!("{stamp}\nSEC").as_bytes()));
    assert!(rest.starts_with(&percent(&sign)), "{rest}");
    let body: serde_json::Value = serde_json::from_str(&heard.body).unwrap();
    assert_eq!(body["msgtype"], "text");
    assert_eq!(body["at"]["atMobiles"][0], "13800000001");
    assert_eq!(body["text"]["content"], message().text);
    let SendResult::Failed { why } = send(config, message()).await else { panic!("refused") };
    assert!(why.contains("310000"), "{why}");
}

#[tokio::test]
async fn wecom_takes_so_many_bytes_and_no_half_letter() {
    let mut double = Double::start(&[Act::Answer(200, r#"{"errcode":0}"#)]).await;
    let config = channel(&format!("kind = \"wecom\"\nurl = \"{}\"", double.url()));
    let long = Message { text: format!("a{}", "罐".repeat(1_000)), ..message() };
    assert_eq!(send(config, long).await, accepted("ok"));
    let body: serde_json::Value = serde_json::from_str(&double.next().await.body).unwrap();
    let content = body["text"]["content"].as_str().unwrap();
    assert_eq!((content.len(), content.chars().last()), (2_047, Some('罐')));
}

#[tokio::test]
async fn feishu_signs_in_the_body() {
    let mut double = Double::start(&[Act::Answer(200, r#"{"code":0,"msg":"success"}"#)]).await;
    let toml = format!("kind = \"feishu\"\nurl = \"{}\"\nsecret = \"SEC\"", double.url());
    assert_eq!(send(channel(&toml), message()).await, accepted("ok"));
    let body: serde_json::Value = serde_json::from_str(&double.next().await.body).unwrap();
    let stamp = body["timestamp"].as_str().unwrap();
    let sign = base64(&hmac_sha256(format!("{stamp}\nSEC").as_bytes(), b""));
    assert_eq!(body["sign"].as_str(), Some(sign.as_str()));
    assert_eq!(body["content"]["text"], message().text);
}

#[tokio::test]
async fn an_sms_template_is_filled_and_stays_json() {
    let acts = [Act::Answer(200, r#"{"code":"OK","BizId":"b-1"}"#), Act::Answer(200, "{}")];
    let mut double = Double::start(&acts).await;
    let toml = format!(
        "kind = \"sms\"\nurl = \"{}?m={{phone}}\"\naccept = '\"OK\"'\nheaders = {{ x-key = \"k\" }}\nbody = '{{\"to\":\"{{phone}}\",\"text\":\"{{text}}\",\"id\":\"{{ref}}\",\"x\":{{}}}}'",
        double.url()
    );
    assert_eq!(send(channel(&toml), message()).await, accepted("b-1"));
    let heard = double.next().await;
    assert!(heard.head.contains("m=13800000001"), "{}", heard.head);
    assert_eq!(header(&heard, "x-key"), "k");
    let body: serde_json::Value = serde_json::from_str(&heard.body).unwrap();
    assert_eq!(body["text"], message().text);
    assert_eq!(body["id"], "17-c");
    let result = send(channel(&toml), message()).await;
    assert!(matches!(result, SendResult::Failed { .. }), "an answer without the word: {result:?}");
}

#[tokio::test]
async fn mail_goes_out_with_its_reference() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = BufReader::new(stream);
        stream.write_all(b"220 double\r\n").await.unwrap();
        let mut said = String::new();
        let mut data = false;
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                return said;
            }
            let answer = match (data, line.trim_end()) {
                (true, ".") => {
                    data = false;
                    "250 queued as q-7\r\n"
                }
                (true, _) => "",
                (false, "DATA") => {
                    data = true;
                    "354 go on\r\n"
                }
                (false, "QUIT") => "221 bye\r\n",
                (false, _) => "250 ok\r\n",
            };
            stream.write_all(answer.as_bytes()).await.unwrap();
            said += &line;
            if answer.starts_with("250 queued") {
                return said;
            }
        }
    });
    let toml = format!(
        "kind = \"smtp\"\nhost = \"127.0.0.1\"\nport = {port}\nfrom = \"fengsui@example.org\"\nencrypted = false"
    );
    let config = channel(&toml);
    assert!(matches!(send(config, message()).await, SendResult::Accepted { .. }));
    let said = server.await.unwrap();
    assert!(said.contains("RCPT TO:<wang@example.org>"), "{said}");
    assert!(said.contains("Message-ID: <17-c@fengsui>"), "{said}");
}

#[tokio::test]
async fn a_command_gets_words_and_no_shell() {
    let echo = channel("kind = \"command\"\nargv = [\"/bin/echo\", \"{phone}\", \"{text}\"]");
    assert_eq!(send(echo, message()).await, accepted("13800000001 P1 \"紧急\""));
    let input = channel("kind = \"command\"\nargv = [\"/bin/cat\"]");
    let SendResult::Accepted { receipt } = send(input, message()).await else { panic!("taken") };
    assert!(receipt.starts_with(r#"{"ref":"17-c""#), "{receipt}");
    let fails = channel("kind = \"command\"\nargv = [\"/bin/false\"]\ntries = 1");
    assert!(matches!(send(fails, message()).await, SendResult::Failed { .. }));
    let hangs = channel("kind = \"command\"\nargv = [\"/bin/sleep\", \"600\"]\ntries = 1");
    let hangs = ChannelConfig { timeout: Duration::from_millis(100), ..hangs };
    assert!(matches!(send(hangs, message()).await, SendResult::Failed { .. }));
    let gone = channel("kind = \"command\"\nargv = [\"/no/such/program\"]");
    assert!(matches!(send(gone, message()).await, SendResult::Failed { .. }));
}

#[tokio::test]
async fn the_log_channel_needs_nothing() {
    assert_eq!(send(channel("kind = \"log\""), message()).await, accepted("log"));
}

#[test]
fn every_fault_of_a_channel_has_its_mend() {
    let faults = |toml: &str| {
        let text = format!("name = \"c\"\n{toml}");
        ChannelConfig::parse(&toml::from_str(&text).unwrap()).err().unwrap_or_default().join("; ")
    };
    for (toml, part) in [
        ("kind = \"pigeon\"", "none of log, webhook"),
        ("kind = \"wecom\"", "has no url; add one"),
        ("kind = \"webhook\"\nurl = \"ftp://x\"", "is not http:// or https://"),
        ("kind = \"sms\"\nurl = \"http://x\"", "has no body; write"),
        ("kind = \"smtp\"", "has no host; name"),
        ("kind = \"smtp\"\nhost = \"h\"\nfrom = \"a@b\"\nuser = \"u\"", "belong together"),
        ("kind = \"command\"", "has no argv; write"),
        ("kind = \"log\"\ntoken = \"short\"", "16 characters"),
    ] {
        assert!(faults(toml).contains(part), "{toml}: {}", faults(toml));
    }
}
