//! The office over a real journal, and providers on loopback that misbehave.

use std::sync::Arc;
use std::time::Duration;

use fengsui_alerting::calls::{AnswerRequest, CallRequest, Outcome, Receipt};
use fengsui_alerting::closure::{self, Step};
use fengsui_alerting::limits::LimitSet;
use fengsui_store::{AlarmJournal, JournalRow, RowKind};
use fengsui_telemetry::{GatewayId, Revision};
use serde_json::Value;
use tokio::sync::{mpsc, watch};

use super::channels::tests::{Act, Double};
use super::*;
use crate::clock;
use crate::config::KnownGateway;
use crate::note::Note;

const LIMITS: &str = include_str!("../../../../configs/demo/limits.csv");
const TOKEN: &str = "0123456789abcdef";

struct Scene {
    calls: Calls,
    journal: AlarmJournal,
    alarm: String,
    stop: watch::Sender<bool>,
    _registry: watch::Sender<Arc<Registry>>,
    _desk: mpsc::Receiver<DeskInput>,
}

fn registry() -> Registry {
    Registry::new(&[KnownGateway {
        id: GatewayId::parse("GW-01").unwrap(),
        limits: LimitSet::parse("limits.csv", LIMITS).unwrap(),
        limits_revision: Revision(1),
        limits_text: LIMITS.to_owned(),
    }])
}

fn config(channel: &str) -> CallsConfig {
    config::parse("calls.toml", &text(channel), 480).unwrap()
}

fn text(channel: &str) -> String {
    format!(
        r#"
digits = 8
[[person]]
id = "wang"
name = "王敏"
phone = "13800000001"
[[person]]
id = "li"
name = "李强"
phone = "13800000002"
[[duty]]
person = "wang"
[[roster]]
installation = "*"
principal = ["li"]
[[channel]]
name = "hook"
token = "{TOKEN}"
backoff_ms = 1
{channel}
[[channel]]
name = "log"
kind = "log"
[[policy]]
priority = 1
message = ["hook"]
voice = ["log"]
[[policy]]
priority = 2
message = ["hook"]
voice = ["log"]
"#
    )
}

/// An office on a journal; the gateway's own alarm stands for any.
fn scene(journal: &AlarmJournal, config: CallsConfig) -> Scene {
    let registry = registry();
    let settings = AlarmSettings::default();
    let alarm = registry.plan(settings).alarms[0].key.clone();
    let (registry_in, registry) = watch::channel(Arc::new(registry));
    let (desk, desk_out) = mpsc::channel(1);
    let (stop, stopped) = watch::channel(false);
    let stamp = Stamp::in_zone("Asia/Shanghai").unwrap();
    let parts = Parts { config, journal: journal.clone(), registry, settings, desk, stamp };
    let calls = start(parts, stopped).unwrap();
    let journal = journal.clone();
    Scene { calls, journal, alarm, stop, _registry: registry_in, _desk: desk_out }
}

impl Scene {
    async fn row(&self, from: char, to: char, cause: &str) {
        let id = format!("{}#1/{cause}", self.alarm);
        let alarm = self.alarm.clone();
        let note = Note { id, alarm, occurrence: 1, ..Note::default() };
        let row = note.row(clock::now());
        let cause = cause.to_owned();
        let row = JournalRow { kind: RowKind::Alarm, from, to, cause, ..row };
        let (tell, told) = oneshot::channel();
        let done = move |answer: Result<Vec<Option<u64>>, fengsui_store::StoreError>| {
            tell.send(answer.is_ok()).unwrap();
        };
        self.journal.append(vec![row], Box::new(done)).unwrap();
        assert!(told.await.unwrap());
    }

    /// The ladder, once it is as wanted.
    async fn until(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        let look = async {
            loop {
                let ladder = self.calls.ladder(self.alarm.clone(), 1).await.unwrap();
                if let Some(ladder) = ladder.filter(&wanted) {
                    return ladder;
                }
            }
        };
        let found = tokio::time::timeout(Duration::from_secs(30), look).await;
        match found {
            Ok(found) => found,
            Err(_) => panic!("{:#?}", self.calls.ladder(self.alarm.clone(), 1).await),
        }
    }

    fn receipt(&self, reference: &str, state: Option<Receipt>) -> ReceiptRequest {
        ReceiptRequest {
            reference: reference.to_owned(),
            channel: "hook".into(),
            state,
            outcome: None,
            digits: String::new(),
        }
    }
}

fn first(ladder: &Value) -> &Value {
    &ladder["attempts"][0]
}

fn journal() -> (tempfile::TempDir, AlarmJournal) {
    let folder = tempfile::tempdir().unwrap();
    let journal = AlarmJournal::open(&folder.path().join("alarms.db")).unwrap();
    (folder, journal)
}

#[tokio::test]
async fn an_alarm_is_told_receipted_answered_and_replied() {
    let (_folder, journal) = journal();
    let mut double = Double::start(&[Act::Answer(200, r#"{"id":"p-1"}"#)]).await;
    let hook = format!("kind = \"webhook\"\nurl = \"{}\"", double.url());
    let scene = scene(&journal, config(&hook));
    scene.row('A', 'B', "on").await;
    let heard = double.next().await;
    let said: Value = serde_json::from_str(&heard.body).unwrap();
    let (reference, digits) = (said["ref"].as_str().unwrap(), said["digits"].as_str().unwrap());
    assert!(said["text"].as_str().unwrap().contains(digits), "{said}");
    assert_eq!(said["repeat"], 0);
    let sent = scene.until(|ladder| first(ladder)["state"] == "sent").await;
    assert_eq!(first(&sent)["sends"][0]["receipt"], "p-1");
    assert_eq!(sent["state"], "calling", "sent is not answered");
    assert!(sent["next"]["at"].is_string() && sent["next"]["reason"]["key"] == "unread");
    assert!(!sent.to_string().contains(digits), "the digits are heard, not read here");

    // The provider tells twice; another channel's token, or a made-up reference, tells nothing.
    let delivered = scene.receipt(reference, Some(Receipt::Delivered));
    assert_eq!(scene.calls.receipt(delivered.clone()).await.unwrap(), Ok(true));
    assert_eq!(scene.calls.receipt(delivered.clone()).await.unwrap(), Ok(false));
    let foreign = ReceiptRequest { channel: "log".into(), ..delivered };
    assert!(scene.calls.receipt(foreign).await.unwrap().is_err());
    let made_up = scene.receipt("999-hook", Some(Receipt::Read));
    assert!(scene.calls.receipt(made_up).await.unwrap().is_err());
    assert_eq!(scene.calls.channel_of(TOKEN).as_deref(), Some("hook"));
    assert_eq!(scene.calls.channel_of("0123456789abcdeX"), None);
    assert_eq!(scene.calls.channel_of(""), None);

    let answer = |digits: &str, request: &str| AnswerRequest {
        alarm: scene.alarm.clone(),
        occurrence: 1,
        attempt: Some(1),
        outcome: Some(Outcome::Answered),
        digits: digits.to_owned(),
        by: "值班员".into(),
        request: request.into(),
        ..AnswerRequest::default()
    };
    let wrong = scene.calls.answer(answer("none", "r1")).await.unwrap().unwrap();
    assert_eq!(first(&wrong)["state"], "answered");
    assert_eq!(wrong["attempts"][1]["reason"]["key"], "not_confirmed", "called again at once");
    let right = scene.calls.answer(answer(digits, "r2")).await.unwrap().unwrap();
    assert_eq!(right["state"], "awaiting_feedback");
    let mut reply = answer("", "r3");
    reply.reply.commander = "李强".into();
    let replied = scene.calls.answer(reply).await.unwrap().unwrap();
    assert_eq!((replied["state"].as_str(), &replied["next"]), (Some("reached"), &Value::Null));

    let rows = journal.page(0, 1_000).unwrap();
    assert!(rows.iter().filter(|row| row.row.cause == "call").count() >= 7);
    assert!(journal.verify().is_ok(), "the ledger is part of the chain");
}

#[tokio::test]
async fn a_kill_between_intent_and_result_says_it_again_as_a_repeat() {
    let (_folder, journal) = journal();
    let mut deaf = Double::start(&[Act::Hang]).await;
    let hook = format!("kind = \"webhook\"\nurl = \"{}\"\ntimeout_s = 600", deaf.url());
    let before = scene(&journal, config(&hook));
    before.row('A', 'B', "on").await;
    let once: Value = serde_json::from_str(&deaf.next().await.body).unwrap();
    before.stop.send_replace(true);
    drop(before);

    let mut double = Double::start(&[Act::Answer(200, "{}")]).await;
    let hook = format!("kind = \"webhook\"\nurl = \"{}\"", double.url());
    let after = scene(&journal, config(&hook));
    let again: Value = serde_json::from_str(&double.next().await.body).unwrap();
    assert_eq!((&again["ref"], &again["digits"]), (&once["ref"], &once["digits"]));
    assert_eq!(again["repeat"], 1);
    assert!(again["text"].as_str().unwrap().starts_with("【重复】"), "{again}");
    let ladder = after.until(|ladder| first(ladder)["state"] == "sent").await;
    assert_eq!(ladder["attempts"].as_array().unwrap().len(), 1, "and it is the same attempt");
    after.stop.send_replace(true);

    let third = scene(&journal, config(&hook));
    third.until(|ladder| first(ladder)["state"] == "sent").await;
    assert!(double.heard.try_recv().is_err(), "what has a result is not said again");
}

#[tokio::test]
async fn an_acknowledgement_ends_the_ladder_and_a_dead_channel_does_not() {
    let (_folder, journal) = journal();
    let double = Double::start(&[Act::Answer(500, "no")]).await;
    let hook = format!("kind = \"webhook\"\nurl = \"{}\"", double.url());
    let scene = scene(&journal, config(&hook));
    scene.row('A', 'B', "on").await;
    let failed = scene.until(|ladder| ladder["attempts"][1]["state"] == "sent").await;
    assert_eq!(first(&failed)["state"], "failed");
    let why = first(&failed)["sends"][0]["failed"]["why"].as_str().unwrap().to_owned();
    assert!(why.contains("HTTP 500"), "{why}");
    assert_eq!(failed["attempts"][1]["kind"], "voice", "not said, so rung at once");

    let by_hand = CallRequest {
        alarm: scene.alarm.clone(),
        occurrence: 1,
        person: "li".into(),
        channel: "log".into(),
        by: "值班员".into(),
        request: "c1".into(),
    };
    let called = scene.calls.call(by_hand.clone()).await.unwrap().unwrap();
    assert_eq!(called["attempts"][2]["reason"]["key"], "manual");
    let twice = scene.calls.call(by_hand).await.unwrap().unwrap();
    assert_eq!(twice["attempts"].as_array().unwrap().len(), 3);

    scene.row('B', 'C', "acknowledged").await;
    let over = scene.until(|ladder| ladder["state"] == "settled").await;
    assert_eq!((&over["settled"]["why"], &over["next"]), (&"acknowledged".into(), &Value::Null));
    let open = scene.calls.ladders(true).await.unwrap();
    assert_eq!((open["total"].as_u64(), open["configured"].as_bool()), (Some(0), Some(true)));
    assert_eq!(scene.calls.ladders(false).await.unwrap()["total"], 1);
}

#[tokio::test]
async fn a_hidden_danger_is_kept_over_a_restart_and_refusals_name_what_is_allowed() {
    let (_folder, journal) = journal();
    let scene_one = scene(&journal, CallsConfig::default());
    let take = |step: Step, request: &str| closure::Request {
        case: "YH-1".into(),
        step,
        by: "值班员".into(),
        request: request.into(),
    };
    scene_one.row('A', 'B', "raised").await;
    let alarm = scene_one.alarm.clone();
    let find = |alarm: &str, occurrence| Step::Find {
        title: "阀门内漏".into(),
        alarm: alarm.to_owned(),
        occurrence,
    };
    for nothing in [find(&alarm, 99), find("GW-01/NOPE/HH", 1)] {
        let refused = scene_one.calls.step(take(nothing, "0")).await.unwrap().unwrap_err();
        assert!(matches!(refused, Said::Refused(Refused::NoAlarm, _)), "{refused:?}");
    }
    let find = find(&alarm, 1);
    let found = scene_one.calls.step(take(find, "1")).await.unwrap().unwrap();
    assert_eq!(found["state"]["key"], "found");
    let close = Step::Close { cause: "x".into(), evidence: "y".into() };
    let refused = scene_one.calls.step(take(close, "2")).await.unwrap().unwrap_err();
    let Said::Refused(Refused::NotAllowed, why) = refused else { panic!("{refused:?}") };
    assert!(why.contains("confirm, not_a_danger"), "{why}");
    scene_one.stop.send_replace(true);

    let scene_two = scene(&journal, CallsConfig::default());
    let cases = scene_two.calls.cases(true).await.unwrap();
    assert_eq!(cases["cases"][0]["title"], "阀门内漏");
    assert_eq!(cases["cases"][0]["allowed"][0], "confirm");
    let unconfigured = scene_two.calls.ladders(true).await.unwrap();
    assert_eq!(unconfigured["configured"], false);
}

#[tokio::test]
async fn the_api_asks_for_a_token_a_mark_and_an_allowed_step() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("limits.csv", LIMITS.to_owned()),
        ("calls.toml", include_str!("../../../../configs/demo/calls.toml").to_owned()),
        (
            "centre.toml",
            "data = \"c\"\n[http]\nlisten = \"127.0.0.1:0\"\n[mqtt]\nembedded = \"127.0.0.1:0\"\n[calls]\nfile = \"calls.toml\"\n[[gateway]]\nid = \"GW-01\"\nlimits = \"limits.csv\"\n".to_owned(),
        ),
    ] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let config = crate::config::Config::load(&folder.path().join("centre.toml")).unwrap();
    let centre = crate::Centre::start(config, crate::Extras::default()).await.unwrap();
    rustls::crypto::ring::default_provider().install_default().ok();
    let token = centre.accounts.program_token("admin", "test").await.unwrap();
    let http = reqwest::Client::new();
    let url = |path: &str| format!("http://{}/api/v1{path}", centre.http);
    let calls: Value = http
        .get(url("/calls?open=1"))
        .bearer_auth(&token)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(calls["configured"], true);
    assert_eq!(calls["persons"].as_array().unwrap().len(), 5);

    let ask = async |path: &str, body: Value, mark: &str| {
        let request = http.post(url(path)).header("x-fengsui", mark).json(&body);
        let request = if path == "/calls/receipt" { request } else { request.bearer_auth(&token) };
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    let answer = serde_json::json!({ "alarm": "no/such", "occurrence": 1, "outcome": "no_answer", "request": "r" });
    assert_eq!(ask("/calls/answer", answer.clone(), "0").await.0, 403, "an unmarked request");
    let (status, problem) = ask("/calls/answer", answer, "1").await;
    assert_eq!((status, problem["code"].as_str()), (404, Some("no_such_call")));
    let receipt = serde_json::json!({ "ref": "1-push", "state": "read" });
    let (status, problem) = ask("/calls/receipt", receipt, "0").await;
    assert_eq!((status, problem["code"].as_str()), (401, Some("bad_token")));

    let find = serde_json::json!({ "case": "YH-1", "step": "find", "title": "x", "request": "1" });
    let (status, case) = ask("/closure", find, "1").await;
    assert_eq!((status, case["state"]["key"].as_str()), (200, Some("found")));
    let close = serde_json::json!({ "case": "YH-1", "step": "close", "cause": "x", "evidence": "y", "request": "2" });
    let (status, problem) = ask("/closure", close, "1").await;
    assert_eq!((status, problem["code"].as_str()), (409, Some("step_not_allowed")));
    assert!(problem["detail"].as_str().unwrap().contains("confirm, not_a_danger"), "{problem}");
    closure_by_code(&ask).await;
    let list: Value = http
        .get(url("/closure?open=1"))
        .bearer_auth(&token)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(list["total"], 1);
    centre.stop().await;
}

/// What is wrong with a step is named for what it is.
async fn closure_by_code(ask: &impl AsyncFn(&str, Value, &str) -> (u16, Value)) {
    let later = i64::MAX / 2;
    for step in [
        serde_json::json!({ "case": "YH-1", "step": "confirm", "request": "c1" }),
        serde_json::json!({ "case": "YH-1", "step": "grade", "grade": "general", "request": "c2" }),
    ] {
        assert_eq!(ask("/closure", step, "1").await.0, 200);
    }
    for (step, status, code, place) in [
        (serde_json::json!({ "case": "YH-9", "step": "confirm" }), 404, "no_such_case", "case"),
        (
            serde_json::json!({ "case": "YH-1", "step": "find", "title": "x" }),
            409,
            "case_exists",
            "case",
        ),
        (
            serde_json::json!({ "case": "a/b", "step": "find", "title": "x" }),
            422,
            "bad_field",
            "case",
        ),
        (
            serde_json::json!({ "case": "YH-1", "step": "dispatch", "person": " ", "deadline": later }),
            422,
            "bad_field",
            "person",
        ),
        (
            serde_json::json!({ "case": "YH-1", "step": "dispatch", "person": "鬼", "deadline": later }),
            422,
            "no_such_person",
            "person",
        ),
    ] {
        let mut step = step;
        step["request"] = format!("code {code} {place}").into();
        let (found, problem) = ask("/closure", step, "1").await;
        let told = (problem["code"].as_str(), problem["where"].as_str());
        assert_eq!((found, told), (status, (Some(code), Some(place))), "{problem}");
        assert!(!problem["fix"].as_str().unwrap().is_empty());
    }
}

#[tokio::test]
async fn another_roster_counts_at_once_whole_or_not_at_all() {
    let (folder, journal) = journal();
    let file = folder.path().join("calls.toml");
    let first = text("kind = \"log\"");
    std::fs::write(&file, &first).unwrap();
    let scene = scene(&journal, config::from_file(&file).unwrap());
    scene.row('A', 'B', "on").await;
    scene.until(|ladder| ladder["attempts"][0]["person"] == "wang").await;
    let reload = async || scene.calls.reload(Reload::By("值班长".into())).await.unwrap();
    let same = reload().await.unwrap();
    assert_eq!(same["count"], 0);

    // Broken in two places: named by line and field, and nothing counts.
    let broken = first.replace("person = \"wang\"", "person = \"wnag\"") + "digit = 3\n";
    std::fs::write(&file, broken.replace("digit = 3", "")).unwrap();
    let Err(Said::Roster(faults)) = reload().await else { panic!("taken") };
    assert!(faults[0].contains("line 11") && faults[0].contains("\"wnag\""), "{faults:?}");
    std::fs::write(&file, broken).unwrap();
    let Err(Said::Roster(faults)) = reload().await else { panic!("taken") };
    assert!(faults[0].contains("digit"), "{faults:?}");

    // Nobody for what stands open.
    let alone = first.replace("principal = [\"li\"]", "town = [\"li\"]");
    let alone = alone.replace("[[duty]]\nperson = \"wang\"", "");
    let alone = alone.replace("voice = [\"log\"]", "voice = [\"log\"]\nladder = [\"town\"]");
    std::fs::write(&file, alone.replace("installation = \"*\"", "installation = \"别处\""))
        .unwrap();
    let Err(Said::Roster(faults)) = reload().await else { panic!("taken") };
    assert!(faults[0].contains(&scene.alarm) && faults[0].contains("[[duty]]"), "{faults:?}");

    // wang goes, chen has the duty: checked first, then in force, in the journal, and called.
    let next = first
        .replace("id = \"wang\"\nname = \"王敏\"", "id = \"chen\"\nname = \"陈静\"")
        .replace("person = \"wang\"", "person = \"chen\"");
    std::fs::write(&file, &next).unwrap();
    let checked = scene.calls.reload(Reload::Check).await.unwrap().unwrap();
    assert_eq!((&checked["in_force"], &checked["count"]), (&false.into(), &6.into()), "{checked}");
    let done = reload().await.unwrap();
    assert_eq!((&done["in_force"], &done["changed"]), (&true.into(), &checked["changed"]));
    let noted = journal.of_cause("roster", u64::MAX, 10).unwrap();
    assert_eq!(noted.len(), 1, "once, and not for what was refused or checked");
    assert_eq!(noted[0].row.by.as_deref(), Some("值班长"));
    let by_hand = |person: &str| CallRequest {
        alarm: scene.alarm.clone(),
        occurrence: 1,
        person: person.into(),
        channel: "log".into(),
        by: "值班员".into(),
        request: format!("call {person}"),
    };
    let gone = scene.calls.call(by_hand("wang")).await.unwrap().unwrap_err();
    assert!(matches!(gone, Said::Refused(Refused::NoPerson, _)), "{gone:?}");
    assert!(scene.calls.call(by_hand("chen")).await.unwrap().is_ok());
    let roster = scene.calls.roster().await.unwrap().to_string();
    assert!(roster.contains("陈静") && !roster.contains("王敏"), "{roster}");
    assert!(journal.verify().is_ok());
}
