//! Orders of the right and of the wrong hand.

use super::*;
use fengsui_alerting::Subject;
use fengsui_scan::Site;
use fengsui_telemetry::wire::{SignedLimits, catalogue_bytes, encode_limits, encode_limits_order};
use ring::signature::{Ed25519KeyPair, KeyPair};

use crate::config::{AlarmSettings, LocalOutput, SpoolConfig};
use crate::outputs::siren::{Lit, SirenState};
use crate::reload::Proposal;

const OLD: &str = "tag,kind,limit\nTK-101.LT,H,85\n";
const NEW: &str = "tag,kind,limit\nTK-101.LT,H,80\n";

fn pair(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

fn key(seed: u8) -> CentreKey {
    CentreKey(pair(seed).public_key().as_ref().try_into().unwrap())
}

fn order(number: u64, issued: i64, csv: &str) -> LimitsOrder {
    LimitsOrder {
        gateway: GatewayId::parse("GW-01").unwrap(),
        revision: revision_of(csv.as_bytes()),
        number,
        csv: csv.to_owned(),
        valid_from: TimeMs(issued),
        issued: TimeMs(issued),
    }
}

fn signed(seed: u8, order: &LimitsOrder) -> Vec<u8> {
    let order = encode_limits_order(order).unwrap();
    let signature = pair(seed).sign(&order.message()).as_ref().to_vec();
    encode_limits(&SignedLimits { order, signature })
}

fn config(data: &Path) -> Config {
    let site = "[site]\nenterprise = \"示例\"\ngateway = \"GW-01\"\npoints = \"points.csv\"\n\
        limits = \"limits.csv\"\n[[installation]]\nname = \"1#罐区\"\nkind = \"tank_farm\"\n\
        hazard_class = 3\n[[device]]\nname = \"plc\"\nkind = \"modbus-tcp\"\n\
        host = \"127.0.0.1\"\nport = 1502\nunit = 1\n";
    let points = include_str!("../../../../configs/demo/points.csv");
    let mut lines = points.lines();
    let heads: Vec<&str> = lines.by_ref().take(2).collect();
    let tank = lines.find(|line| line.contains("TK-101.LT")).unwrap();
    let points = format!("{}\n{}\n", heads.join("\n"), tank.replace("plc-tank", "plc"));
    let site = Site::load("site.toml", site, &mut |_| Ok(points.clone())).unwrap();
    let limits = LimitSet::parse("limits.csv", OLD).unwrap();
    Config {
        site,
        limits,
        limits_revision: revision_of(OLD.as_bytes()),
        alarmed: Arc::default(),
        data: data.to_owned(),
        uplink: None,
        local: LocalOutput::Sim,
        spool: SpoolConfig::default(),
        alarm: AlarmSettings::default(),
        centre_key: Some(key(1)),
        outputs: crate::outputs::config::OutputPlan::default(),
        health: None,
        clock_battery: true,
        sparkplug: None,
    }
}

fn keeper(config: &Config) -> (Keeper, mpsc::Receiver<Plan>, watch::Receiver<String>) {
    let (to_loop, plans) = mpsc::channel(1);
    let (fault, faults) = watch::channel(String::new());
    let keeper = Keeper {
        key: key(1),
        gateway: config.site.gateway.clone(),
        data: config.data.clone(),
        alarm: config.alarm,
        catalogue: Packed::of(&catalogue_bytes(&config.site.catalogue)).unwrap(),
        numbers: [7].into(),
        held: None,
        floor: None,
        to_loop,
        first: watch::channel(Arc::default()).0,
        valves: Vec::new(),
        fault,
    };
    (keeper, plans, faults)
}

#[test]
fn an_order_is_taken_once_and_comes_back_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let (mut keeper, _plans, _faults) = keeper(&config);
    let read_first = keeper.first.subscribe();
    let first = order(2, 1_000, NEW);
    let plan = keeper.take(&signed(1, &first)).unwrap().expect("new");
    assert_eq!(plan.revision, revision_of(NEW.as_bytes()));
    let high = plan.alarms.iter().find(|alarm| alarm.key == "GW-01/TK-101.LT/H").unwrap();
    assert_eq!(high.condition.limit(), Some(80.0));
    assert_eq!(high.subject, Subject::Point(PointRef(7)), "as the spool numbers it");
    assert_eq!(keeper.take(&signed(1, &first)), Ok(None), "the same order again");

    // It is read before others from now on, and after a restart.
    assert!(read_first.borrow().contains(0) && !config.alarmed.contains(0));
    let (now, held, fault) = recalled(&config);
    assert!(now.alarmed.contains(0));
    assert_eq!((now.limits_revision, held, fault.as_str()), (first.revision, Some(first), ""));
    // Another key was configured meanwhile: the file of the site judges.
    for (centre_key, why) in [(Some(key(2)), "public_key 已更换"), (None, "")] {
        let other = Config { centre_key, ..config.clone() };
        let (now, held, fault) = recalled(&other);
        assert_eq!((now.limits_revision, held), (config.limits_revision, None));
        assert!(fault.contains(why) && fault.is_empty() == why.is_empty(), "{fault}");
    }
}

fn recalled(config: &Config) -> (Config, Option<LimitsOrder>, String) {
    let Recalled { config, held, fault, .. } = recall(config.clone());
    (config, held, fault)
}

/// A keeper as after a restart.
fn restarted(config: &Config) -> (Keeper, String) {
    let Recalled { config, held, floor, fault } = recall(config.clone());
    (Keeper { held, floor, ..keeper(&config).0 }, fault)
}

#[test]
fn where_the_order_on_disk_is_lost_an_older_one_is_no_newer_one() {
    let [old, last, next] = [(4, 4_000, OLD), (5, 5_000, NEW), (6, 6_000, OLD)]
        .map(|(number, issued, csv)| signed(1, &order(number, issued, csv)));
    let twin = signed(1, &order(9, 5_000, OLD));
    for (what, why) in [("gone", "不见了"), ("damaged", "已损坏"), ("older", "较早的第 4 版")]
    {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        let mut before = keeper(&config).0;
        before.take(&last).unwrap().expect("new");
        let file = folder.path().join(FILE);
        match what {
            "gone" => fs::remove_file(&file).unwrap(),
            "damaged" => fs::write(&file, &last[..last.len() - 1]).unwrap(),
            _ => fs::write(&file, &old).unwrap(),
        }
        let (mut keeper, fault) = restarted(&config);
        assert!(fault.contains(why), "{what}: {fault}");
        for replayed in [&old, &twin] {
            let refused = keeper.take(replayed);
            let refused = matches!(refused, Err(Refusal::NotNewer { .. }) | Ok(None));
            assert!(refused, "{what}");
        }
        assert!(keeper.take(&last).unwrap().is_some(), "{what}: the last itself is taken again");
        assert!(keeper.take(&next).unwrap().is_some(), "{what}");
        assert_eq!(restarted(&config).1, "");
    }
}

/// A box that was given the card of another takes its own limits, however old they are.
#[test]
fn what_another_gateway_took_last_bars_nothing_here() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    let mut before = keeper(&config).0;
    before.take(&signed(1, &order(5, 5_000, NEW))).unwrap().expect("new");
    config.site.gateway = GatewayId::parse("GW-02").unwrap();
    let (mut keeper, fault) = restarted(&config);
    assert!(fault.contains("GW-01"), "{fault}");
    let own = LimitsOrder { gateway: config.site.gateway.clone(), ..order(2, 2_000, OLD) };
    assert!(keeper.take(&signed(1, &own)).unwrap().is_some());
}

#[test]
fn a_damaged_floor_is_told_and_the_order_itself_still_stands() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let mut before = keeper(&config).0;
    before.take(&signed(1, &order(5, 5_000, NEW))).unwrap().expect("new");
    let file = folder.path().join("limits.floor");
    let mut bytes = fs::read(&file).unwrap();
    for at in 0..bytes.len() {
        bytes[at] ^= 1;
        fs::write(&file, &bytes).unwrap();
        bytes[at] ^= 1;
        let (mut keeper, fault) = restarted(&config);
        assert!(fault.contains("limits.floor") && keeper.held.is_some(), "{at}: {fault}");
        let older = keeper.take(&signed(1, &order(4, 4_000, OLD)));
        assert!(matches!(older, Err(Refusal::NotNewer { .. })), "{at}");
    }
}

#[tokio::test]
async fn an_alarm_of_the_centres_limits_does_not_vanish_with_a_reload() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let (mut keeper, _plans, _faults) = keeper(&config);
    let order = order(1, 1_000, "tag,kind,limit\nTK-101.LT,HH,95\n");
    keeper.take(&signed(1, &order)).unwrap().expect("new");
    let lit = |kind: &str| {
        let key = format!("GW-01/TK-101.LT/{kind}");
        let lit = vec![Lit { key, priority: 1, sounding: true }];
        watch::channel(SirenState { lit, ..SirenState::default() }).0
    };
    for (kind, stays) in [("HH", true), ("H", false)] {
        let (proposal, answer) = Proposal::new(config.clone());
        let taken = proposal.decide(false, &lit(kind)).await;
        assert_eq!(taken.is_some(), stays, "{kind}");
        let said = answer.await.unwrap();
        assert_eq!(said.is_ok(), stays, "{kind}: {said:?}");
    }
}

#[test]
fn what_is_not_ours_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let before = config(folder.path());
    let (mut keeper, _plans, _faults) = keeper(&before);
    let held = order(5, 5_000, NEW);
    keeper.take(&signed(1, &held)).unwrap().expect("new");
    let stranger =
        LimitsOrder { gateway: GatewayId::parse("GW-02").unwrap(), ..order(6, 6_000, OLD) };
    let renamed = LimitsOrder { revision: Revision(7), ..order(6, 6_000, OLD) };
    let mut damaged = signed(1, &order(6, 6_000, OLD));
    damaged[20] ^= 1;
    let plain = "tag,kind,limit\nTK-101.LT,H,abc\nTK-999.LT,H,1\n";
    for (what, payload, want) in [
        ("another hand", signed(2, &order(6, 6_000, OLD)), "Signature"),
        ("damage", damaged, "Signature"),
        ("noise", b"noise".to_vec(), "Unreadable"),
        ("another gateway", signed(1, &stranger), "OtherGateway"),
        ("another name", signed(1, &renamed), "Hash"),
        ("an older one", signed(1, &order(4, 4_000, OLD)), "NotNewer"),
        ("of the same moment", signed(1, &order(6, 5_000, OLD)), "NotNewer"),
        ("no number", signed(1, &order(6, 6_000, plain)), "Limits"),
        ("beyond the range", signed(1, &order(6, 6_000, &OLD.replace("85", "850"))), "Limits"),
        ("unknown tag", signed(1, &order(6, 6_000, &OLD.replace("101", "999"))), "Limits"),
    ] {
        let refusal = keeper.take(&payload).expect_err(what);
        assert!(format!("{refusal:?}").starts_with(want), "{what}: {refusal:?}");
        assert_eq!(keeper.held, Some(held.clone()), "{what}");
        assert_eq!(recalled(&before).1, Some(held.clone()), "{what}: the disk keeps the old");
    }
    // A centre that was restored counts lower, but later.
    assert!(keeper.take(&signed(1, &order(3, 7_000, OLD))).unwrap().is_some());
}

#[tokio::test]
async fn a_refusal_is_told_until_an_order_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let (keeper, mut plans, mut faults) = keeper(&config(folder.path()));
    let (orders, inbox) = mpsc::channel(ORDERS_MAX);
    tokio::spawn(keeper.run(inbox));
    orders.send(signed(2, &order(2, 1_000, NEW))).await.unwrap();
    faults.changed().await.unwrap();
    assert!(faults.borrow_and_update().contains("签名无效"));
    orders.send(signed(1, &order(2, 1_000, NEW))).await.unwrap();
    faults.changed().await.unwrap();
    assert_eq!(*faults.borrow_and_update(), "");
    assert_eq!(plans.recv().await.unwrap().revision, revision_of(NEW.as_bytes()));
}

#[test]
fn keys_are_read_in_hex_and_base64() {
    let bytes: [u8; 32] = std::array::from_fn(|i| u8::try_from(i * 8 + 3).unwrap());
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(CentreKey::parse(&hex), Ok(CentreKey(bytes)));
    assert_eq!(CentreKey::parse(&hex.to_uppercase()), Ok(CentreKey(bytes)));
    let base64 = "AwsTGyMrMztDS1NbY2tze4OLk5ujq7O7w8vT2+Pr8/s=";
    assert_eq!(CentreKey::parse(base64), Ok(CentreKey(bytes)));
    for bad in ["", "AwsT", &hex[2..], "zz", &base64.replace('T', "!")] {
        assert!(CentreKey::parse(bad).is_err(), "{bad}");
    }
}

/// Every file below a folder, by its path.
fn files_of(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files_of(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// A whole start, on a folder as it was found, and the end that was asked for meanwhile.
async fn start_and_end(config: &Config) -> anyhow::Result<()> {
    crate::run(config.clone(), watch::channel(true).1).await
}

#[tokio::test]
async fn a_start_needs_nobody_whatever_became_of_a_file_in_the_data_folder() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let (mut keeper, _plans, _faults) = keeper(&config);
    let held = order(2, 1_000, NEW);
    keeper.take(&signed(1, &held)).unwrap().expect("new");
    start_and_end(&config).await.unwrap();
    let whole: Vec<(PathBuf, Vec<u8>)> = files_of(folder.path())
        .into_iter()
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect();
    for name in ["spool.db", FILE, "lock", "reserve", "siren.json"] {
        assert!(whole.iter().any(|(path, _)| path.ends_with(name)), "{name} is not tried");
    }
    for (path, bytes) in &whole {
        let damages = [
            ("deleted", None),
            ("empty", Some(Vec::new())),
            ("half", Some(bytes[..bytes.len() / 2].to_vec())),
            (
                "noise",
                Some(
                    (0..bytes.len().max(64))
                        .map(|i| u8::try_from(i * 151 % 251).unwrap())
                        .collect(),
                ),
            ),
        ];
        for (damage, left) in damages {
            let what = format!("{} {damage}", path.display());
            for path in files_of(folder.path()) {
                fs::remove_file(path).unwrap();
            }
            for (path, bytes) in &whole {
                fs::write(path, bytes).unwrap();
            }
            match left {
                None => fs::remove_file(path).unwrap(),
                Some(left) => fs::write(path, left).unwrap(),
            }
            start_and_end(&config).await.unwrap_or_else(|fault| panic!("{what}: {fault}"));
            // On disk, not in memory.
            let spool = fs::read(folder.path().join("spool.db")).expect(&what);
            assert!(spool.starts_with(b"SQLite format 3\0"), "{what}");
            // A lost order is no order; nothing else takes the order away.
            let (now, found, _) = recalled(&config);
            let lost = path.ends_with(FILE);
            assert_eq!(found, (!lost).then(|| held.clone()), "{what}");
            let judges = if lost { config.limits_revision } else { held.revision };
            assert_eq!(now.limits_revision, judges, "{what}");
        }
    }
}
