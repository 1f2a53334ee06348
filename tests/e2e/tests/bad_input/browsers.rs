//! Browsers that do not read, do not ask, or ask for what they may not.

use std::time::Duration;

use anyhow::{Context, ensure};
use fengsui_e2e::broker::Broker;
use fengsui_e2e::centre::{Centre, CentreSetup};
use fengsui_e2e::clock;
use fengsui_e2e::peers::time_ms;
use fengsui_e2e::scene::{Scene, act, say};
use fengsui_e2e::stranger::{Mimic, Stranger};
use fengsui_e2e::stream::{Stream, never_ask, never_read};
use fengsui_telemetry::wire::Channel;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

const LIMIT: Duration = Duration::from_secs(180);
/// A ping comes every five seconds.
const PING: Duration = Duration::from_secs(8);
/// From the message to the event of an alarm, on a machine that builds beside it.
const ALARM: Duration = Duration::from_secs(2);
const DEAF: usize = 20;
const IDLE: usize = 50;
/// Alarm edges while nobody of the deaf reads: more than a stream may lag.
const EDGES: usize = 30_000;
/// Points whose alarms come and go together.
const POINTS: usize = 100;
/// How long before now the edges begin, and the time between two: all of them come while samples
/// of their time are live.
const EARLY_MS: i64 = 26_000;
const STEP_MS: i64 = 80;
/// The events of a full stream buffer, the journal's queue, a debug build.
const MEMORY_GROWTH_KB: u64 = 128 * 1_024;

async fn start(scene: &Scene) -> anyhow::Result<(Broker, Centre, Stranger, Mimic)> {
    let head = "位号,类型,限值\ntag,kind,limit\n".to_owned();
    let limits = (1..=POINTS).fold(head, |text, n| text + &format!("MIMIC.{n},H,5\n"));
    std::fs::write(scene.path().join("limits.csv"), limits)?;
    let broker = Broker::start(scene).await?;
    let setup = CentreSetup {
        mqtt: format!("broker = \"127.0.0.1:{}\"", broker.port),
        // However long a busy machine takes for all the edges, they are live.
        alarm: "live_s = 600".to_owned(),
        gateways: vec![("GW-MIMIC".to_owned(), "limits.csv".to_owned())],
    };
    let centre = Centre::start(scene, &setup).await?;
    let mimic = Mimic::wide("GW-MIMIC", 5, u32::try_from(POINTS)?);
    let mut stranger = Stranger::connect(broker.port, "mimic", &["fengsui/1/GW-MIMIC/ack"]).await?;
    stranger.say(&mimic.topic(Channel::Birth)?, mimic.birth()?, true).await?;
    stranger.ack("GW-MIMIC", |ack| !ack.birth_wanted).await?;
    Ok((broker, centre, stranger, mimic))
}

/// A device whose alarms come and go, [`STEP_MS`] of its time between two edges.
struct Chatter {
    stranger: Stranger,
    mimic: Mimic,
    te: i64,
}

impl Chatter {
    async fn say(&mut self, value: f64) -> anyhow::Result<()> {
        self.te += STEP_MS;
        let batch = self.mimic.batch(self.te, value)?;
        self.stranger.say(&self.mimic.topic(Channel::Live)?, batch, false).await
    }

    /// Waits until everything is stored, so that the next edge's way is its own.
    async fn catch_breath(&mut self) -> anyhow::Result<()> {
        let next = self.mimic.next();
        self.stranger.ack("GW-MIMIC", |ack| ack.durable.next >= next).await.map(drop)
    }

    /// One edge of all alarms, and how long the first took to the stream.
    async fn edge(&mut self, stream: &mut Stream, on: bool) -> anyhow::Result<Duration> {
        let began = clock::monotonic();
        self.say(if on { 9.0 } else { 1.0 }).await?;
        let te = Some(self.te);
        let key = if on { "te_on" } else { "te_off" };
        stream
            .find("an alarm's edge", PING, |event| {
                let time = event.data.get(key).and_then(Value::as_str);
                event.name == "alarm" && time.and_then(|time| time_ms(time).ok()) == te
            })
            .await?;
        Ok(began.elapsed())
    }
}

/// Reads what the system had kept of a stream, and then the word to load anew.
async fn told_to_load_anew(stream: &mut TcpStream) -> anyhow::Result<()> {
    let mut tail = Vec::new();
    let mut buffer = vec![0; 64 * 1_024];
    let search = async {
        loop {
            let read = stream.read(&mut buffer).await?;
            ensure!(read > 0, "the stream ended");
            tail.extend_from_slice(buffer.get(..read).unwrap_or_default());
            if tail.windows(13).any(|text| text == b"event: reset\n") {
                return Ok(());
            }
            tail.drain(..tail.len().saturating_sub(13));
        }
    };
    tokio::time::timeout(PING, search).await.context("no reset")?
}

#[test]
fn twenty_browsers_that_never_read_hold_up_nobody() {
    act("deaf-browsers", LIMIT, async |scene| {
        let (_broker, mut centre, stranger, mimic) = start(scene).await?;
        let mut chatter = Chatter { stranger, mimic, te: clock::wall_ms() - EARLY_MS };
        let mut stream = Stream::open(&centre.api, None).await?;
        stream.find("hello", PING, |event| event.name == "hello").await?;
        let mut deaf = Vec::new();
        for _ in 0..DEAF {
            let token = centre.api.token.as_deref().context("a token")?;
            deaf.push(never_read(centre.port, token).await?);
        }
        let memory = centre.program()?.memory_kb()?;
        let mut slowest = Duration::ZERO;
        let began = clock::monotonic();
        for _ in 0..EDGES / POINTS / 10 {
            for _ in 0..4 {
                chatter.say(9.0).await?;
                chatter.say(1.0).await?;
            }
            chatter.catch_breath().await?;
            slowest = slowest.max(chatter.edge(&mut stream, true).await?);
            slowest = slowest.max(chatter.edge(&mut stream, false).await?);
        }
        let seconds = began.elapsed().as_secs_f64();
        let rows = centre.api.counter("fengsui_alarm_rows_total").await?;
        ensure!(rows >= EDGES as u64, "{rows} rows of {EDGES} edges");
        stream.find("a ping", PING, |event| event.name == "ping").await?;
        let grown = centre.program()?.memory_kb()?.saturating_sub(memory);
        // A deaf one that hears again is told to load everything anew.
        let mut late = deaf.pop().context("twenty")?;
        told_to_load_anew(&mut late).await?;
        let resets = centre.api.counter("fengsui_stream_resets_total").await?;
        say(&format!(
            "{EDGES} edges in {seconds:.1} s, slowest measured {slowest:?}, {resets} resets, memory +{grown} KiB"
        ));
        ensure!(slowest < ALARM, "an alarm took {slowest:?}");
        ensure!(grown < MEMORY_GROWTH_KB, "memory grew by {grown} KiB");
        ensure!(centre.api.get("/healthz").await?.status().is_success(), "healthy");
        drop(deaf);
        Ok(())
    });
}

#[test]
fn connections_that_never_ask_do_not_stop_others() {
    act("idle-connections", LIMIT, async |scene| {
        let (_broker, centre, _stranger, _mimic) = start(scene).await?;
        let mut idle = Vec::new();
        for _ in 0..IDLE {
            idle.push(never_ask(centre.port).await?);
        }
        for _ in 0..10 {
            let began = clock::monotonic();
            let answer = centre.api.get("/healthz").await?;
            ensure!(answer.status().is_success(), "{}", answer.status());
            ensure!(began.elapsed() < ALARM, "healthz took {:?}", began.elapsed());
        }
        drop(idle);
        Ok(())
    });
}

const JSON: (&str, &str) = ("content-type", "application/json");
const MARK: (&str, &str) = ("x-fengsui", "1");
const ACK: &str = "/api/v1/alarms/ack";

/// What it is, its headers and body, the status and the code that it must get.
type Post<'a> = (&'a str, &'a [(&'a str, &'a str)], String, u16, &'a str);

fn acks(count: usize) -> String {
    let one = json!({ "alarm": "GW-MIMIC/MIMIC.1/H", "occurrence": 1 });
    json!({ "acks": vec![one; count], "comment": "", "request": "r" }).to_string()
}

/// An answer that says what is wrong, where, and the mend.
async fn problem(
    what: &str,
    answer: reqwest::Response,
    status: u16,
    code: &str,
) -> anyhow::Result<()> {
    let got = answer.status().as_u16();
    let kind = answer.headers().get("content-type").cloned();
    let text = answer.text().await?;
    ensure!(got == status, "{what}: {got}, not {status}: {text}");
    let kind = kind.as_ref().and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    ensure!(kind.starts_with("application/problem+json"), "{what}: {kind}: {text}");
    let body: Value = serde_json::from_str(&text).with_context(|| format!("{what}: {text}"))?;
    let field = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
    ensure!(field("code") == code, "{what}: {text}");
    for name in ["title", "where", "fix", "type"] {
        ensure!(!field(name).is_empty(), "{what}: no {name}: {text}");
    }
    ensure!(body.get("status").and_then(Value::as_u64) == Some(u64::from(status)), "{text}");
    Ok(())
}

#[test]
fn wrong_requests_are_answered_with_code_place_and_mend() {
    act("bad-requests", LIMIT, async |scene| {
        let (_broker, centre, _stranger, _mimic) = start(scene).await?;
        let api = &centre.api;
        let foreign = ("origin", "http://elsewhere.example");
        let posts: [Post<'_>; 10] = [
            ("a foreign origin", &[JSON, MARK, foreign], acks(1), 403, "foreign_origin"),
            ("no mark", &[JSON], acks(1), 403, "unmarked_request"),
            ("another mark", &[JSON, ("x-fengsui", "0")], acks(1), 403, "unmarked_request"),
            ("half a body", &[JSON, MARK], acks(1)[..20].to_owned(), 422, "bad_field"),
            ("no JSON", &[MARK], acks(1), 422, "bad_field"),
            ("another shape", &[JSON, MARK], "{\"all\":true}".to_owned(), 422, "bad_field"),
            ("fifty-one", &[JSON, MARK], acks(51), 422, "bad_field"),
            ("none", &[JSON, MARK], acks(0), 422, "bad_field"),
            ("a huge body", &[JSON, MARK], acks(20_000), 413, "too_large"),
            ("deep brackets", &[JSON, MARK], "[".repeat(100_000), 422, "bad_field"),
        ];
        for (what, headers, body, status, code) in posts {
            let answer = api.post(ACK, headers, body).await.with_context(|| what.to_owned())?;
            problem(what, answer, status, code).await?;
        }
        let gets = [
            ("/api/v1/points/no-such", 404, "no_such_point"),
            ("/api/v1/points/99999999999999999999/trend", 404, "no_such_point"),
            ("/api/v1/points/MIMIC.1/trend?from=2&to=1", 422, "bad_field"),
            ("/api/v1/points/MIMIC.1/trend?from=yesterday", 422, "bad_field"),
            ("/api/v1/points/MIMIC.1/trend?buckets=many", 422, "bad_field"),
            ("/api/v1/journal?after=-1", 422, "bad_field"),
            ("/api/v1/stream?after=x", 422, "bad_field"),
            ("/api/v1/nothing", 404, "no_such_path"),
            ("/api/v1/demo", 404, "not_a_demo"),
        ];
        for (path, status, code) in gets {
            problem(path, api.get(path).await?, status, code).await?;
        }
        let posts = [("/api/v1/demo/cable", "{}"), ("/api/v1/demo/fault", "nothing")];
        for (path, body) in posts {
            let answer = api.post(path, &[JSON, MARK], body.to_owned()).await?;
            problem(path, answer, 404, "not_a_demo").await?;
        }
        ensure!(api.acknowledge("GW-MIMIC/NO-SUCH/H", 1).await? == "unknown", "no such alarm");
        ensure!(api.journal().await?.is_empty(), "nothing of this was taken for an action");
        Ok(())
    });
}
