//! What the centre knows of a gateway beside its samples: its clock, when it was last heard, and
//! by which limits it judges. A kill forgets none of it.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails where it stands")]

use std::path::Path;
use std::time::Duration;

use fengsui::config::{Config, revision};
use fengsui::intake::GatewayState;
use fengsui::link::Incoming;
use fengsui::{Centre, Extras, clock};
use fengsui_store::{EngineInput, StoredRow};
use fengsui_telemetry::wire::{
    BatchHead, Beat, Birth, Channel, Storage, Topic, catalogue_bytes, encode_batch, encode_beat,
    encode_birth, seal,
};
use fengsui_telemetry::{
    Body, Catalogue, ClockChange, ClockQuality, Epoch, GatewayId, Installation, Point, Reading,
    Record, Revision, Scan, Tag, TimeMs,
};
use tempfile::TempDir;
use tokio::time::{interval, timeout};

const SOON: Duration = Duration::from_secs(20);
const CENTRE: &str = "data = \"centre\"\n[http]\nlisten = \"127.0.0.1:0\"\n[mqtt]\n\
    embedded = \"127.0.0.1:0\"\n[[gateway]]\nid = \"GW-01\"\nlimits = \"limits.csv\"\n";
const LIMITS: &str = "tag,kind,limit\nTK-101.LT,H,80\n,CLOCK,5\n";
const CLOCK: &str = "GW-01//CLOCK";
const HIGH: &str = "GW-01/TK-101.LT/H";
/// Limits that the centre does not have.
const OTHERS: Revision = Revision(7);

async fn start(folder: &Path) -> Centre {
    Centre::start(Config::load(&folder.join("centre.toml")).unwrap(), Extras::default())
        .await
        .unwrap()
}

/// The disk as a loss of power at this moment would leave it.
fn image(running: &Path) -> TempDir {
    loop {
        let copy = tempfile::tempdir().unwrap();
        let first = bytes_of(running);
        if bytes_of(running) == first {
            for (name, bytes) in first {
                let (path, from) = (copy.path().join(&name), running.join(&name));
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(&path, bytes).unwrap();
                // A key that others could read would be refused.
                let rights = std::fs::metadata(from).unwrap().permissions();
                std::fs::set_permissions(path, rights).unwrap();
            }
            return copy;
        }
    }
}

/// Every file with its bytes, but the memory that the databases share with nobody here.
fn bytes_of(folder: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let (mut files, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.to_string_lossy().ends_with("-shm") {
                let name = path.strip_prefix(folder).unwrap().to_owned();
                files.push((name, std::fs::read(&path).unwrap()));
            }
        }
    }
    files.sort();
    files
}

fn catalogue() -> Catalogue {
    let point = Point {
        tag: Tag::parse("TK-101.LT").unwrap(),
        name: "液位".into(),
        unit: "%".into(),
        low: 0.0,
        high: 100.0,
        installation: 0,
        equipment: "TK-101".into(),
        period_ms: 1_000,
        silence_ms: 0,
        signal: "level".into(),
    };
    let installation =
        Installation { name: "罐区".into(), hazard_class: 0, kind: "tank_farm".into() };
    Catalogue {
        enterprise: "企业".into(), installations: vec![installation], points: vec![point]
    }
}

/// A gateway, as far as the centre can see.
struct Gateway<'a>(&'a Centre);

impl Gateway<'_> {
    async fn send(&self, channel: Channel, payload: Vec<u8>) {
        let topic = Topic { gateway: GatewayId::parse("GW-01").unwrap(), channel };
        self.0.messages.send(Incoming { topic, payload: payload.into() }).await.unwrap();
    }

    async fn born(&self) {
        let catalogue = catalogue();
        let birth = Birth {
            gateway: GatewayId::parse("GW-01").unwrap(),
            online: true,
            epoch: Epoch(11),
            oldest: 0,
            next: 0,
            boot: 1,
            catalogue_revision: revision(&catalogue_bytes(&catalogue)),
            catalogue: Some(catalogue),
            limits_revision: OTHERS,
            software: "test".into(),
        };
        self.send(Channel::Birth, encode_birth(&birth).unwrap()).await;
    }

    /// Records of the live lane from this number on, each stamped now and so much ahead.
    async fn lives(&self, first: u64, ahead_ms: i64, bodies: Vec<Body>) {
        let head = BatchHead {
            gateway: GatewayId::parse("GW-01").unwrap(),
            epoch: Epoch(11),
            first,
            catalogue: revision(&catalogue_bytes(&catalogue())),
        };
        let te = clock::now() + ahead_ms;
        let sealed = bodies.into_iter().map(|body| seal(&Record { te, body })).collect();
        self.send(Channel::Live, encode_batch(&head, sealed).unwrap()).await;
    }

    /// A beat whose clock is ahead by so much.
    async fn beats(&self, ahead_ms: i64) {
        let beat = Beat {
            gateway: GatewayId::parse("GW-01").unwrap(),
            epoch: Epoch(11),
            next: 0,
            oldest: 0,
            durable_next: 0,
            spool_bytes: 0,
            spool_quota: 0,
            storage: Storage::default(),
            storage_fault: String::new(),
            oldest_unacked_ms: 0,
            catalogue_revision: revision(&catalogue_bytes(&catalogue())),
            limits_revision: OTHERS,
            alarm_loop_turns: 1,
            clock: clock::now() + ahead_ms,
            devices: Vec::new(),
            counter: 1,
            limits_fault: "签名无效".into(),
        };
        self.send(Channel::Beat, encode_beat(&beat)).await;
    }
}

async fn state(
    centre: &Centre,
    what: &str,
    wanted: impl Fn(&GatewayState) -> bool,
) -> GatewayState {
    let mut states = centre.gateways.clone();
    match timeout(SOON, states.wait_for(|all| all.iter().any(&wanted))).await {
        Ok(states) => states.unwrap()[0].clone(),
        Err(_) => panic!("{what}: {:?}", *centre.gateways.borrow()),
    }
}

/// The rows of an alarm, once there are so many.
async fn rows_of(centre: &Centre, alarm: &str, count: usize) -> Vec<StoredRow> {
    let look = async {
        let mut again = interval(Duration::from_millis(50));
        loop {
            again.tick().await;
            let mut rows = centre.journal.of_alarm(alarm, 100).unwrap();
            if rows.len() >= count {
                rows.reverse();
                return rows;
            }
        }
    };
    timeout(SOON, look).await.unwrap_or_else(|_| panic!("no {count} rows of {alarm}"))
}

/// Waits until the log on disk holds a sign of life: it is written twice a second.
async fn logged(centre: &Centre) {
    let look = async {
        let mut again = interval(Duration::from_millis(50));
        let mut heard = false;
        while !heard {
            again.tick().await;
            let journal = &centre.journal;
            let mut see = |_, input| heard |= matches!(input, EngineInput::Heard { .. });
            journal.inputs(&mut see).unwrap();
        }
    };
    timeout(SOON, look).await.unwrap();
}

fn told(rows: &[StoredRow]) -> Vec<(&str, u64)> {
    rows.iter().map(|stored| (stored.row.cause.as_str(), stored.row.occurrence)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_clock_is_one_alarm_over_a_kill_and_returns_when_it_is_right() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("centre.toml"), CENTRE).unwrap();
    std::fs::write(folder.path().join("limits.csv"), LIMITS).unwrap();
    let centre = start(folder.path()).await;
    let gateway = Gateway(&centre);
    gateway.born().await;
    gateway.beats(4_000).await;
    gateway.beats(20_000).await;
    let rows = rows_of(&centre, CLOCK, 1).await;
    assert_eq!(told(&rows), [("on", 1)], "four seconds are within the limit of five");
    let ahead = rows[0].row.value.unwrap();
    assert!((15.0..=20.0).contains(&ahead), "{ahead} s ahead");
    let disk = image(folder.path());
    centre.stop().await;

    let centre = start(disk.path()).await;
    let gateway = Gateway(&centre);
    gateway.beats(20_000).await;
    // Set right; its machine started again, so that nothing of before counts.
    gateway.born().await;
    gateway.lives(0, 1_000, vec![level(50.0)]).await;
    gateway.beats(1_000).await;
    let rows = rows_of(&centre, CLOCK, 2).await;
    assert_eq!(told(&rows), [("on", 1), ("off", 1)]);
    assert!(centre.journal.verify().is_ok());
    centre.stop().await;
}

fn level(value: f64) -> Body {
    let readings = vec![(0, Reading::Good(value))];
    Body::Scan(Scan { readings, clock: ClockQuality::Synchronised })
}

/// The clock was set back by half an hour: what is high now is announced now, also by a centre
/// that began in between and knows of the step from a beat alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_set_back_keeps_no_alarm_waiting() {
    const BACK: i64 = -1_800_000;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("centre.toml"), CENTRE).unwrap();
    std::fs::write(folder.path().join("limits.csv"), LIMITS).unwrap();
    let centre = start(folder.path()).await;
    let gateway = Gateway(&centre);
    gateway.born().await;
    gateway.beats(0).await;
    gateway.lives(0, 0, vec![level(50.0)]).await;
    let quality = ClockQuality::Synchronised;
    let step = ClockChange { boot: 1, monotonic_ms: 1, step_ms: BACK, quality };
    let before = clock::now();
    gateway.lives(1, BACK, vec![Body::Clock(step), level(95.0)]).await;
    gateway.beats(BACK).await;
    let rows = rows_of(&centre, HIGH, 1).await;
    assert_eq!(told(&rows), [("on", 1)]);
    let at = rows[0].row.te.unwrap();
    assert!((0..20_000).contains(&at.since(before)), "began at {at}, sent after {before}");
    assert_eq!(told(&rows_of(&centre, CLOCK, 1).await), [("on", 1)]);
    gateway.lives(3, BACK, vec![level(40.0)]).await;
    assert_eq!(told(&rows_of(&centre, HIGH, 2).await), [("on", 1), ("off", 1)]);
    logged(&centre).await;
    let disk = image(folder.path());
    centre.stop().await;

    let centre = start(disk.path()).await;
    let gateway = Gateway(&centre);
    gateway.beats(BACK).await;
    gateway.lives(4, BACK, vec![level(96.0)]).await;
    let rows = rows_of(&centre, HIGH, 3).await;
    assert_eq!(told(&rows), [("on", 1), ("off", 1), ("on", 2)]);
    assert!(rows[2].row.te > rows[1].row.te, "in the order of the records");
    centre.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_centre_knows_since_when_a_gateway_is_silent_and_what_it_runs() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("centre.toml"), CENTRE).unwrap();
    std::fs::write(folder.path().join("limits.csv"), LIMITS).unwrap();
    let centre = start(folder.path()).await;
    state(&centre, "a gateway that never spoke", |g| g.state == "never_seen").await;
    let gateway = Gateway(&centre);
    gateway.born().await;
    gateway.beats(10).await;
    let before =
        state(&centre, "heard", |g| g.state == "online" && !g.limits_fault.is_empty()).await;
    let heard = before.last_heard.unwrap();
    assert!(before.limits_differ);
    logged(&centre).await;
    let disk = image(folder.path());
    centre.stop().await;

    let centre = start(disk.path()).await;
    let after = state(&centre, "known", |_| true).await;
    assert_eq!(after.state, "offline", "it has not spoken since");
    let moved = after.last_heard.map_or(i64::MAX, |at: TimeMs| at.since(heard).abs());
    assert!(moved < 1_000, "heard {heard}, remembered {:?}", after.last_heard);
    assert_eq!((after.limits_running, after.limits_differ), (Some(OTHERS), true));
    assert_eq!(after.limits_fault, "签名无效");
    Gateway(&centre).beats(10).await;
    state(&centre, "back", |g| g.state == "online").await;
    centre.stop().await;
}
