//! The API of limits over a socket, with persons of several roles.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::middleware::{Next, from_fn};
use fengsui_store::{AlarmJournal, ConfigDb};
use fengsui_telemetry::GatewayId;
use reqwest::Client;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use super::*;
use crate::accounts::Role;
use crate::config::{Config, KnownGateway};
use crate::limits::{Parts, Policy, begin};
use crate::registry::Registry;
use crate::stamp::Stamp;

const FILE: &str = "tag,kind,limit,priority,statutory\nA,HH,90,P1,true\nA,H,80,P3,\n";

struct Desk {
    client: Client,
    url: String,
    _folder: tempfile::TempDir,
}

/// Who asks stands in a header, as the accounts would have found out.
async fn identify(mut request: axum::extract::Request, next: Next) -> Response {
    let who = request.headers().get("x-who").map(|v| v.to_str().unwrap().to_owned());
    let (name, role) = match who.as_deref() {
        Some("li") => ("li", Role::Engineer),
        Some("wang") => ("wang", Role::Engineer),
        _ => ("zhang", Role::Operator),
    };
    let who =
        Identity { name: name.into(), display: name.into(), role, id: 1, position: String::new() };
    request.extensions_mut().insert(who);
    next.run(request).await
}

async fn desk() -> Desk {
    desk_after(None).await
}

/// A centre that starts with this in force, whatever it is worth: what was agreed to, and what is
/// left of it; without, with its file.
async fn desk_after(in_force: Option<(&str, &str)>) -> Desk {
    // A second call finds the first one's.
    rustls::crypto::ring::default_provider().install_default().ok();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("l.csv"), FILE).unwrap();
    let toml = "data = \"data\"\n[[gateway]]\nid = \"GW-01\"\nlimits = \"l.csv\"\n";
    std::fs::write(folder.path().join("centre.toml"), toml).unwrap();
    let mut config = Config::load(&folder.path().join("centre.toml")).unwrap();
    std::fs::create_dir_all(&config.data).unwrap();
    let db = Arc::new(ConfigDb::open(&config.data.join("config.db")).unwrap());
    let (key, _orders) = begin(&mut config, &db, BTreeMap::new).unwrap();
    if let Some((agreed, csv)) = in_force {
        let first = db.limits_in_force("GW-01").unwrap().unwrap().proposal;
        let (csv, revision) = (csv.to_owned(), crate::config::revision(agreed.as_bytes()));
        let proposal = fengsui_store::LimitsProposal { csv, revision, base: 1, ..first };
        db.propose_limits(&proposal).unwrap();
        let word = fengsui_store::LimitsDecision {
            status: LimitsStatus::InForce,
            at: TimeMs(6_000),
            by: "wang".into(),
            by_name: "王工".into(),
            comment: String::new(),
        };
        db.decide_limits("GW-01", 2, &word).unwrap();
        config = Config::load(&folder.path().join("centre.toml")).unwrap();
        begin(&mut config, &db, BTreeMap::new).unwrap();
    }
    let journal = AlarmJournal::open(&config.data.join("alarms.db")).unwrap();
    let known: &[KnownGateway] = &config.gateways;
    let (registry_out, registry) = watch::channel(Arc::new(Registry::new(known)));
    let (_states, gateways) = watch::channel(Arc::new(Vec::new()));
    let (changes, mut asked) = mpsc::channel::<crate::limits::Change>(1);
    // An intake that takes every change.
    tokio::spawn(async move {
        while let Some(change) = asked.recv().await {
            let mut registry = Registry::clone(&registry_out.borrow());
            registry.limit(change.gateway, change.limits, change.revision);
            registry_out.send_replace(Arc::new(registry));
            change.reply.send(true).ok();
        }
    });
    let stamp = Stamp::in_zone("Asia/Shanghai").unwrap();
    let policy = Policy::default();
    let office =
        Office::new(Parts { db, journal, registry, gateways, policy, key, changes, stamp });
    let router: Router<()> = routes(office);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serving = axum::serve(listener, router.layer(from_fn(identify)));
    tokio::spawn(async move { serving.await });
    Desk { client: Client::new(), url, _folder: folder }
}

impl Desk {
    async fn get(&self, path: &str) -> (u16, Value) {
        let answer = self.client.get(format!("{}{path}", self.url)).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn post(&self, who: &str, path: &str, body: Value) -> (u16, Value) {
        let request = self.client.post(format!("{}{path}", self.url)).header("x-who", who);
        let answer = request.json(&body).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn propose(&self, who: &str, csv: &str) -> (u16, Value) {
        let body = json!({ "csv": csv, "reason": "抖动", "evidence": { "count": 3 } });
        self.post(who, "/limits/propose", body).await
    }
}

#[tokio::test]
async fn a_file_that_judges_already_is_named_by_the_number_that_judges() {
    let desk = desk().await;
    let stricter = FILE.replace("80", "70");
    for number in [2, 3] {
        let (_, made) = desk.propose("li", &stricter).await;
        assert_eq!(made["number"], number);
    }
    assert_eq!(desk.post("wang", "/limits/2/approve", json!({})).await.0, 200);
    let (status, same) = desk.post("wang", "/limits/3/approve", json!({})).await;
    assert_eq!((status, &same["code"]), (409, &json!("no_change")), "{same}");
    let detail = same["detail"].as_str().unwrap();
    assert!(detail.contains('2') && !detail.contains('1'), "{detail}");
}

#[tokio::test]
async fn a_change_goes_its_way_by_two_persons() {
    let desk = desk().await;
    let stricter = FILE.replace("90", "88");
    let (status, made) = desk.propose("li", &stricter).await;
    assert_eq!((status, &made["status"], &made["number"]), (201, &json!("proposed"), &json!(2)));
    assert_eq!(made["diff"]["second_person"], json!(["A HH"]));
    assert_eq!(made["diff"]["rows"][0]["direction"], "tighter");
    let (_, all) = desk.get("/limits?gateway=GW-01").await;
    let one = &all["gateways"][0];
    assert_eq!(one["in_force"]["number"], 1, "nothing judges by it yet");
    assert_eq!(one["waiting"][0]["number"], 2);
    assert_eq!(one["csv"], FILE);
    assert_eq!((&one["running"], &one["delivered"]), (&Value::Null, &json!(false)));

    let (status, own) = desk.post("li", "/limits/2/approve", json!({})).await;
    assert_eq!((status, &own["code"]), (403, &json!("second_person_needed")));
    let (status, done) = desk.post("wang", "/limits/2/approve", json!({ "comment": "同意" })).await;
    assert_eq!((status, &done["status"]), (200, &json!("in_force")), "{done}");
    let (_, all) = desk.get("/limits").await;
    assert_eq!(all["gateways"][0]["in_force"]["number"], 2);
    assert_eq!(all["gateways"][0]["wanted"], done["revision"]);
    let (status, again) = desk.post("wang", "/limits/2/approve", json!({})).await;
    assert_eq!((status, &again["code"]), (409, &json!("decided_before")), "{again}");
    let (_, whole) = desk.get("/limits/revisions/2").await;
    assert_eq!((&whole["csv"], &whole["evidence"]["count"]), (&json!(stricter), &json!(3)));
    let (_, history) = desk.get("/limits/history?gateway=GW-01").await;
    let told: Vec<&Value> =
        history["revisions"].as_array().unwrap().iter().map(|r| &r["status"]).collect();
    assert_eq!(told, ["in_force", "superseded"]);
    let (_, key) = desk.get("/limits/key").await;
    assert_eq!(key["public_key"].as_str().unwrap().len(), 64);
}

#[tokio::test]
async fn what_may_not_be_is_refused_with_its_mend() {
    let desk = desk().await;
    let refused = |(status, body): (u16, Value), want: u16, code: &str| {
        assert_eq!((status, body["code"].as_str()), (want, Some(code)), "{body}");
        assert!(body["fix"].as_str().is_some_and(|fix| !fix.is_empty()), "{body}");
        body
    };
    refused(desk.propose("zhang", &FILE.replace("90", "88")).await, 403, "role_needed");
    let body = desk.propose("li", &FILE.replace("90", "x").replace("P3", "P9")).await;
    let body = refused(body, 422, "bad_limits");
    let faults = body["faults"].as_array().unwrap();
    assert_eq!(faults.len(), 2, "all of them: {body}");
    assert_eq!((&faults[0]["row"], &faults[0]["field"]), (&json!(2), &json!("limit")));
    assert_eq!(faults[0]["value"], "x");
    let body = refused(desk.propose("li", &FILE.replace("90", "95")).await, 422, "statutory");
    assert_eq!(body["rows"], json!(["A HH"]));
    refused(desk.propose("li", FILE).await, 409, "no_change");
    let body = json!({ "csv": FILE, "reason": " " });
    refused(desk.post("li", "/limits/propose", body).await, 422, "bad_field");
    let body = json!({ "csv": FILE, "reason": "r", "gateway": "GW-99" });
    refused(desk.post("li", "/limits/propose", body).await, 404, "no_such_gateway");
    refused(desk.post("li", "/limits/9/approve", json!({})).await, 404, "no_such_revision");
    refused(desk.get("/limits?gateway=GW-99").await, 404, "no_such_gateway");
    refused(desk.get("/limits/history?gateway=GW-99").await, 404, "no_such_gateway");
    assert!(GatewayId::parse("GW-99").is_ok(), "a good name that nobody bears");

    // Rejected is rejected; what was compared with older limits must be proposed anew.
    assert_eq!(desk.propose("li", &FILE.replace("80", "75")).await.0, 201);
    assert_eq!(desk.propose("li", &FILE.replace("80", "70")).await.0, 201);
    assert_eq!(desk.propose("li", &FILE.replace("80", "72")).await.0, 201);
    let (status, body) = desk.post("wang", "/limits/2/reject", json!({})).await;
    assert_eq!((status, &body["status"]), (200, &json!("rejected")));
    refused(desk.post("wang", "/limits/2/approve", json!({})).await, 409, "decided_before");
    // A P3 alarm that becomes stricter: its author may do it alone.
    let (status, body) = desk.post("li", "/limits/3/approve", json!({})).await;
    assert_eq!((status, &body["status"]), (200, &json!("in_force")), "{body}");
    refused(desk.post("wang", "/limits/4/approve", json!({})).await, 409, "overtaken");
}

#[tokio::test]
async fn a_change_of_tomorrow_waits() {
    let desk = desk().await;
    let body = json!({ "csv": FILE.replace("80", "75"), "reason": "r",
        "valid_from": "2126-01-01T00:00:00+08:00" });
    assert_eq!(desk.post("li", "/limits/propose", body).await.0, 201);
    let (_, body) = desk.post("li", "/limits/2/approve", json!({})).await;
    assert_eq!(body["status"], "approved");
    let (_, all) = desk.get("/limits").await;
    assert_eq!(all["gateways"][0]["in_force"]["number"], 1);
    assert_eq!(all["gateways"][0]["waiting"][0]["status"], "approved");
    let body = json!({ "csv": FILE, "reason": "r", "valid_from": "2020-01-01T00:00:00+08:00" });
    assert_eq!(desk.post("li", "/limits/propose", body).await.0, 422, "that time has passed");

    // Another change would do away with it, and nobody would be told at its hour.
    assert_eq!(desk.propose("li", &FILE.replace("80", "72")).await.0, 201);
    let (status, body) = desk.post("li", "/limits/3/approve", json!({})).await;
    assert_eq!((status, &body["code"]), (409, &json!("another_waits")), "{body}");
    let told = body["detail"].as_str().unwrap();
    assert!(told.contains("第 2 版") && told.contains("2126-01-01"), "{told}");
    assert_eq!(desk.post("wang", "/limits/2/reject", json!({})).await.0, 200);
    let (status, body) = desk.post("li", "/limits/3/approve", json!({})).await;
    assert_eq!((status, &body["status"]), (200, &json!("in_force")), "{body}");
}

#[tokio::test]
async fn limits_that_nobody_can_read_show_until_good_ones_are_agreed_to() {
    let unreadable = "tag,kind,limit\nA,HH,neunzig\n";
    let desk = desk_after(Some((unreadable, unreadable))).await;
    let (_, all) = desk.get("/limits").await;
    let one = &all["gateways"][0];
    assert_eq!(one["in_force"]["number"], 2);
    let told = &one["not_judged"][0];
    assert_eq!((&told["alarm"], &told["judged"]), (&json!("GW-01//LIMITS"), &json!(true)));
    assert!(told["zh"].as_str().unwrap().contains("第 2 版"), "{told}");

    // The file that judges for want of a better one is no change, and can be agreed to; by two.
    let (status, made) = desk.propose("li", FILE).await;
    assert_eq!((status, &made["number"]), (201, &json!(3)), "{made}");
    let (status, own) = desk.post("li", "/limits/3/approve", json!({})).await;
    assert_eq!((status, &own["code"]), (403, &json!("second_person_needed")), "{own}");
    let (status, done) = desk.post("wang", "/limits/3/approve", json!({})).await;
    assert_eq!((status, &done["status"]), (200, &json!("in_force")), "{done}");
    let (_, all) = desk.get("/limits").await;
    let one = &all["gateways"][0];
    assert_eq!((&one["in_force"]["number"], &one["not_judged"]), (&json!(3), &json!([])));
    assert_eq!(one["wanted"], done["revision"]);
}

#[tokio::test]
async fn a_file_without_rows_takes_no_limit_away() {
    let desk = desk().await;
    for csv in ["tag,kind,limit\n", "位号,类型,限值\ntag,kind,limit\n,,\n"] {
        let (status, body) = desk.propose("li", csv).await;
        assert_eq!((status, &body["code"]), (422, &json!("no_limits_left")), "{body}");
        assert!(body["detail"].as_str().unwrap().contains("GW-01"), "{body}");
        assert!(body["fix"].as_str().unwrap().contains("export"), "{body}");
    }
    assert_eq!(desk.propose("li", "").await.0, 422);
    // Without the row of the law not even two persons; without the other, two.
    let (status, body) = desk.propose("li", "tag,kind,limit\n,OFFLINE,20\n").await;
    assert_eq!((status, &body["rows"]), (422, &json!(["A HH"])), "{body}");
    let (status, made) = desk.propose("li", &FILE.replace("A,H,80,P3,\n", "")).await;
    assert_eq!((status, &made["diff"]["second_person"]), (201, &json!(["A H"])), "{made}");
    let (_, own) = desk.post("li", "/limits/2/approve", json!({})).await;
    assert_eq!(own["code"], "second_person_needed");
}

#[tokio::test]
async fn what_the_law_set_outlives_the_damage_of_its_row() {
    let agreed = FILE.replace("80", "75");
    let left = agreed.replace("A,HH,90,P1,true\n", "");
    let desk = desk_after(Some((&agreed, &left))).await;
    let (_, all) = desk.get("/limits").await;
    let told = &all["gateways"][0]["not_judged"][0];
    assert_eq!(told["alarm"], "GW-01//LIMITS");
    assert!(told["zh"].as_str().unwrap().contains("第 2 版"), "{told}");

    // Nothing of the row is left in what is in force; it was agreed to before.
    for csv in [&left, &agreed.replace("90", "95"), &agreed.replace("true", "")] {
        let (status, body) = desk.propose("li", csv).await;
        assert_eq!((status, &body["rows"]), (422, &json!(["A HH"])), "{body}");
    }
    // The very text that was agreed to is a mend like any other; by two.
    let (status, made) = desk.propose("li", &agreed).await;
    assert_eq!((status, &made["number"]), (201, &json!(3)), "{made}");
    let (status, own) = desk.post("li", "/limits/3/approve", json!({})).await;
    assert_eq!((status, &own["code"]), (403, &json!("second_person_needed")), "{own}");
    let (status, done) = desk.post("wang", "/limits/3/approve", json!({})).await;
    assert_eq!((status, &done["status"]), (200, &json!("in_force")), "{done}");
    let (_, all) = desk.get("/limits").await;
    assert_eq!(all["gateways"][0]["not_judged"], json!([]));
}
