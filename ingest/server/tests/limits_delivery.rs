//! Limits from a proposal to the siren: a real gateway on a simulated plant, the embedded broker,
//! two persons, and hands that may not.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails where it stands")]

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use fengsui::accounts::{Identity, Role};
use fengsui::compare::{CHANGES_MAX, of_gateway};
use fengsui::config::Config;
use fengsui::intake::GatewayState;
use fengsui::limits::{Draft, OfficeFault, Refusal, SigningKey};
use fengsui::{Centre, Extras};
use fengsui_alerting::compare::Side;
use fengsui_gateway::{CentreKey, UplinkConfig};
use fengsui_plant::{Plant, PlantConfig};
use fengsui_store::{LimitsStatus, SeriesStore, StoredRow};
use fengsui_telemetry::wire::{Channel, LimitsOrder, Topic};
use fengsui_telemetry::{Body, GatewayId, Revision, TimeMs};
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::Packet;
use rumqttc::v5::{AsyncClient, Event, MqttOptions};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{interval, timeout};

/// Three beats and a round of the centre.
const SOON: Duration = Duration::from_secs(30);
const ALARM: &str = "GW-01/TK-101.LT/H";
const CENTRE: &str = "data = \"../centre\"\n[http]\nlisten = \"127.0.0.1:0\"\n[mqtt]\n\
    embedded = \"127.0.0.1:0\"\n[[gateway]]\nid = \"GW-01\"\nlimits = \"limits.csv\"\n";
const LIMITS: &str = include_str!("../../../configs/demo/limits.csv");
const FILES: [(&str, &str); 5] = [
    ("site.toml", include_str!("../../../configs/demo/site.toml")),
    ("points.csv", include_str!("../../../configs/demo/points.csv")),
    ("limits.csv", LIMITS),
    ("gateway.toml", include_str!("../../../configs/demo/gateway.toml")),
    ("centre.toml", CENTRE),
];

/// The tank is far fuller than this.
fn stricter() -> String {
    let (old, new) = ("TK-101.LT,H,85,", "TK-101.LT,H,12,");
    assert!(LIMITS.contains(old));
    LIMITS.replace(old, new)
}

fn person(name: &str, role: Role) -> Identity {
    Identity {
        name: name.into(),
        display: format!("{name}工"),
        role,
        id: 1,
        position: String::new(),
    }
}

fn gateway(site: &Path, plant: &Plant, broker: SocketAddr, key: &str) -> fengsui_gateway::Config {
    let mut config = fengsui_gateway::Config::load(&site.join("gateway.toml")).unwrap();
    for endpoint in plant.endpoints() {
        let (host, port) = (endpoint.address.ip().to_string(), endpoint.address.port());
        config.site.set_endpoint(&endpoint.device, &host, port);
    }
    config.data = site.join("gateway");
    config.uplink = Some(UplinkConfig { host: broker.ip().to_string(), port: broker.port() });
    config.centre_key = Some(CentreKey::parse(key).unwrap());
    config
}

struct Running(watch::Sender<bool>, JoinHandle<anyhow::Result<()>>);

impl Running {
    fn start(config: fengsui_gateway::Config) -> Self {
        let (stop, stopped) = watch::channel(false);
        Self(stop, tokio::spawn(fengsui_gateway::run(config, stopped)))
    }

    async fn stop(self) {
        self.0.send_replace(true);
        timeout(SOON, self.1).await.unwrap().unwrap().unwrap();
    }
}

async fn state(centre: &Centre, what: &str, wanted: impl Fn(&GatewayState) -> bool) {
    let mut states = centre.gateways.clone();
    let seen = timeout(SOON, states.wait_for(|all| all.iter().any(&wanted))).await.is_ok();
    assert!(seen, "{what}: {:?}", *centre.gateways.borrow());
}

/// The first row of the journal that is looked for.
async fn row(centre: &Centre, what: &str, wanted: impl Fn(&StoredRow) -> bool) -> StoredRow {
    let look = async {
        let mut again = interval(Duration::from_millis(50));
        loop {
            again.tick().await;
            let rows = centre.journal.page(0, 10_000).unwrap();
            if let Some(found) = rows.into_iter().find(&wanted) {
                return found;
            }
        }
    };
    timeout(SOON, look).await.unwrap_or_else(|_| panic!("no {what} in the journal"))
}

fn limits_note(status: &'static str, number: u64) -> impl Fn(&StoredRow) -> bool {
    move |stored| stored.row.id == format!("limits/GW-01/{number}/{status}")
}

/// Somebody with access to the broker.
async fn publish(broker: SocketAddr, payload: Vec<u8>) {
    let options = MqttOptions::new("somebody", broker.ip().to_string(), broker.port());
    let (client, mut events) = AsyncClient::new(options, 4);
    let gateway = GatewayId::parse("GW-01").unwrap();
    let topic = Topic { gateway, channel: Channel::Limits }.to_string();
    client.publish(topic, QoS::AtLeastOnce, true, payload).await.unwrap();
    let taken = async {
        while !matches!(events.poll().await.unwrap(), Event::Incoming(Packet::PubAck(_))) {}
    };
    timeout(SOON, taken).await.unwrap();
}

fn order(csv: &str, number: u64, issued: TimeMs) -> LimitsOrder {
    LimitsOrder {
        gateway: GatewayId::parse("GW-01").unwrap(),
        revision: fengsui::config::revision(csv.as_bytes()),
        number,
        csv: csv.to_owned(),
        valid_from: issued,
        issued,
    }
}

/// Proposes and approves; what may not be is refused on the way.
async fn change(centre: &Centre) -> Revision {
    let (li, wang) = (person("li", Role::Engineer), person("wang", Role::Engineer));
    let office = &centre.limits;
    let draft = Draft {
        gateway: "GW-01".into(),
        csv: stricter(),
        reason: "检修期间液位不得超过 12 %".into(),
        evidence: "{\"count\":4}".into(),
        valid_from: None,
    };
    let broken = Draft { csv: draft.csv.replace("H,12", "H,twelve"), ..draft.clone() };
    match office.propose(&li, broken).await {
        Err(OfficeFault::Refused(Refusal::File(faults))) => assert_eq!(faults[0].value, "twelve"),
        other => panic!("{other:?}"),
    }
    let duty = person("zhang", Role::Operator);
    let refused = office.propose(&duty, draft.clone()).await.unwrap_err().to_string();
    assert!(refused.contains("engineer"), "{refused}");
    let proposed = office.propose(&li, draft.clone()).await.unwrap();
    assert_eq!((proposed.revision.number, proposed.diff.rows.len()), (2, 1));
    let refused = office.approve(&li, "GW-01", 2, "").await.unwrap_err().to_string();
    assert!(refused.contains("TK-101.LT H"), "its own author: {refused}");
    let before = centre.registry.borrow().gateways[0].limits_revision;
    let approved = office.approve(&wang, "GW-01", 2, "同意").await.unwrap();
    assert_eq!(approved.revision.status(), LimitsStatus::InForce);
    let revision = approved.revision.proposal.revision;
    assert_ne!(revision, before);
    assert_eq!(centre.registry.borrow().gateways[0].limits_revision, revision);
    let again = office.approve(&wang, "GW-01", 2, "").await.unwrap_err();
    assert!(matches!(again, OfficeFault::Refused(_)), "{again}");
    revision
}

/// What a gateway must not take, and says so.
async fn refusals(centre: &Centre, data: &Path, broker: SocketAddr, running: Revision) {
    let own = SigningKey::read(data).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let other = SigningKey::open(folder.path()).unwrap();
    let first = centre.limits.find("GW-01", 1).await.unwrap().revision;
    let later = TimeMs(i64::MAX / 4);
    let broken = stricter().replace("H,12", "H,twelve");
    for (what, payload, why) in [
        ("forged", other.sign(&order(&stricter(), 9, later)), "签名无效"),
        ("older", own.sign(&order(&first.proposal.csv, 1, first.decisions[0].at)), "不晚于"),
        ("broken", own.sign(&order(&broken, 9, later)), "处错误"),
    ] {
        publish(broker, payload.unwrap()).await;
        state(centre, what, |gateway| {
            gateway.limits_fault.contains(why) && gateway.limits_running == Some(running)
        })
        .await;
    }
}

/// Both engines began the alarm at the same source time; a beginning that only the gateway has is
/// named.
fn same_story(centre: &Centre, data: &Path) {
    let span = (TimeMs::MIN, TimeMs::MAX);
    let mut locals = SeriesStore::locals_of(data, "GW-01", span, CHANGES_MAX).unwrap();
    let found = of_gateway(&centre.journal.reader().unwrap(), "GW-01", &locals, span).unwrap();
    assert!(found.same > 0 && found.alone.is_empty(), "{found:?}");
    let began = locals.iter().position(|local| local.why == "on").unwrap();
    locals[began].te = locals[began].te + 60_000;
    let found = of_gateway(&centre.journal.reader().unwrap(), "GW-01", &locals, span).unwrap();
    let sides: Vec<Side> = found.alone.iter().map(|(side, _)| *side).collect();
    assert_eq!(sides, [Side::Centre, Side::Gateway]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_limits_reaches_the_gateway_and_nothing_else_does() {
    let folder = tempfile::tempdir().unwrap();
    let site = folder.path().join("site");
    std::fs::create_dir_all(&site).unwrap();
    for (name, text) in FILES {
        std::fs::write(site.join(name), text).unwrap();
    }
    let plant = Plant::start(PlantConfig::demo()).await.unwrap();
    let config = Config::load(&site.join("centre.toml")).unwrap();
    let data = config.data.clone();
    let first = config.gateways[0].limits_revision;
    let centre = Centre::start(config, Extras::default()).await.unwrap();
    let broker = centre.broker.unwrap();
    let key = SigningKey::read(&data).unwrap().public();
    let config = gateway(&site, &plant, broker, &key);
    let running = Running::start(config.clone());
    state(&centre, "the gateway to come", |g| g.limits_running == Some(first)).await;

    let revision = change(&centre).await;
    state(&centre, "the gateway to run the new limits", |g| {
        g.limits_running == Some(revision) && g.limits_fault.is_empty() && !g.limits_differ
    })
    .await;
    let raised = |stored: &StoredRow| stored.row.alarm == ALARM && stored.row.cause == "on";
    let alarm = row(&centre, "alarm", raised).await.row;
    assert_eq!(alarm.revision, revision.0, "the centre judges by the new limits");
    let note = row(&centre, "approval", limits_note("approved", 2)).await.row;
    assert_eq!((note.cause.as_str(), note.by.as_deref()), ("limits", Some("wang工")));
    let body: serde_json::Value = serde_json::from_str(&note.command.unwrap()).unwrap();
    assert_eq!((&body["author"], &body["approver"]), (&"li".into(), &"wang".into()));
    assert_eq!(body["diff"]["rows"][0]["fields"][0]["new"], "12");
    row(&centre, "proposal", limits_note("proposed", 2)).await;
    row(&centre, "coming into force", limits_note("in_force", 2)).await;

    refusals(&centre, &data, broker, revision).await;
    running.stop().await;
    let mut own = Vec::new();
    fengsui_gateway::each_record(&config.data, &mut |_, record| {
        if let Body::Transition(transition) = &record.body
            && transition.alarm == ALARM
        {
            own.push(transition.revision);
        }
    })
    .unwrap();
    assert!(own.contains(&revision), "the gateway's own journal: {own:?}");
    same_story(&centre, &data);

    // What the broker holds now is the broken file: the gateway starts from its own disk.
    let running = Running::start(config);
    state(&centre, "the restarted gateway", |g| {
        g.limits_running == Some(revision) && g.limits_fault.contains("处错误")
    })
    .await;
    running.stop().await;
    centre.stop().await;
    plant.stop().await;
}
