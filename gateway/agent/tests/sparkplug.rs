//! The real program, a real mosquitto, and a Sparkplug host whose decoder nobody here wrote
//! (`tests/peers/sparkplug/host.py`): births, data, commands, a broker that hangs, deaths.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails where it stands")]

#[expect(dead_code, reason = "the other test programs use the rest")]
mod plant;

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};

use plant::{Device, until, write_site};
use serde_json::Value;
use tempfile::TempDir;

const NODE: &str = "罐区-GW-01";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A child that does not outlive its test.
struct Program(Child);

impl Program {
    fn start(command: &mut Command) -> Self {
        Self(command.spawn().unwrap_or_else(|fault| panic!("{command:?}: {fault}")))
    }

    /// `-STOP`, `-CONT`, `-TERM`.
    fn signal(&self, name: &str) {
        let id = self.0.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn mosquitto(folder: &Path) -> (Program, u16) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let file = folder.join("mosquitto.conf");
    fs::write(&file, format!("listener {port} 127.0.0.1\nallow_anonymous true\n")).unwrap();
    let places = ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto"];
    let program = places.into_iter().find(|place| Path::new(place).is_file());
    let program = program.expect("mosquitto is not installed: run tests/setup.sh");
    let mut command = Command::new(program);
    (Program::start(command.arg("-c").arg(file).stderr(Stdio::null())), port)
}

/// What the host has heard so far, and its mouth.
struct Host {
    _program: Program,
    mouth: ChildStdin,
    heard: Arc<Mutex<Vec<Value>>>,
}

impl Host {
    async fn start(port: u16) -> Self {
        until("mosquitto", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()).await;
        let python = root().join(".venv/sparkplug/bin/python");
        assert!(python.is_file(), "{} is missing: run tests/setup.sh", python.display());
        let mut command = Command::new(python);
        command.arg(root().join("tests/peers/sparkplug/host.py")).arg(port.to_string());
        let mut program = Program::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()));
        let (mouth, out) = (program.0.stdin.take().unwrap(), program.0.stdout.take().unwrap());
        let heard = Arc::new(Mutex::new(Vec::new()));
        let all = heard.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                all.lock().unwrap().push(serde_json::from_str(&line).unwrap());
            }
        });
        let host = Self { _program: program, mouth, heard };
        until("the host", || host.seen(|all| all.iter().any(|m| m["topic"] == "ready"))).await;
        host
    }

    fn say(&mut self, line: &str) {
        writeln!(self.mouth, "{line}").unwrap();
    }

    fn seen<T>(&self, look: impl FnOnce(&[Value]) -> T) -> T {
        look(&self.heard.lock().unwrap())
    }

    fn count(&self, kind: &str) -> usize {
        self.seen(|all| all.iter().filter(|m| kind_of(m) == kind).count())
    }

    /// The newest word on a metric.
    fn metric(&self, name: &str) -> Option<Value> {
        self.seen(|all| {
            let metrics = all.iter().rev().filter_map(|m| m["metrics"].as_array());
            metrics.flatten().find(|metric| metric["name"] == name).cloned()
        })
    }

    fn value(&self, name: &str) -> Option<f64> {
        self.metric(name)?["value"].as_f64()
    }

    fn quality(&self, name: &str) -> Option<u64> {
        self.metric(name)?["properties"]["Quality"]["value"].as_u64()
    }

    /// bdSeq of all messages of a kind.
    fn numbers(&self, kind: &str) -> Vec<u64> {
        self.seen(|all| {
            let of_kind = all.iter().filter(|m| kind_of(m) == kind);
            of_kind.map(|m| metric_of(m, "bdSeq")["value"].as_u64().unwrap()).collect()
        })
    }
}

fn kind_of(message: &Value) -> &str {
    message["topic"].as_str().unwrap().split('/').nth(2).unwrap_or_default()
}

fn metric_of<'a>(message: &'a Value, name: &str) -> &'a Value {
    let metrics = message["metrics"].as_array().unwrap();
    metrics.iter().find(|m| m["name"] == name).unwrap()
}

fn gateway(folder: &Path, port: u16, more: &str) -> Program {
    let file = folder.join("gateway.toml");
    let mut text = OpenOptions::new().append(true).open(&file).unwrap();
    if !fs::read_to_string(&file).unwrap().contains("[sparkplug]") {
        writeln!(
            text,
            "[sparkplug]\nhost='127.0.0.1'\nport={port}\ngroup='plant'\nnode='{NODE}'\n{more}"
        )
        .unwrap();
    }
    let log = OpenOptions::new().create(true).append(true).open(folder.join("log")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_fengsui-gateway"));
    command.arg("run").arg("--config").arg(file).stdout(Stdio::null()).stderr(log);
    Program::start(&mut command)
}

fn sounds(folder: &Path) -> bool {
    let text = fs::read_to_string(folder.join("data/siren.json")).unwrap_or_default();
    text.contains("\"sounding\":true")
}

/// What a strict host holds a node to, over all that was heard.
fn check(all: &[Value]) {
    let (mut next, mut born) = (None, 0);
    for message in all.iter().filter(|m| !m["metrics"].is_null()) {
        let kind = kind_of(message);
        assert_eq!(message["retain"], false, "{kind}");
        assert!(message["timestamp"].is_u64(), "{kind}");
        assert_eq!(message["qos"], u64::from(kind == "NDEATH"), "{kind}");
        if kind == "NDEATH" {
            assert!(message["seq"].is_null());
            next = None;
            continue;
        }
        let seq = message["seq"].as_u64().unwrap();
        match kind {
            "NBIRTH" => (next, born) = (Some(0), 0),
            "DBIRTH" => born += 1,
            _ => assert_eq!(born, 2, "{kind} before all births"),
        }
        assert_eq!(Some(seq), next, "{kind}");
        next = Some((seq + 1) % 256);
        for metric in message["metrics"].as_array().unwrap() {
            assert!(metric["timestamp"].is_u64() && metric["alias"].is_null(), "{metric}");
            assert_eq!(metric["datatype"].is_null(), kind.ends_with("DATA"), "{metric}");
            if kind.starts_with('D') {
                let quality = &metric["properties"]["Quality"];
                assert_eq!(quality["type"], 3, "{metric}");
                assert_eq!(metric["value"].is_null(), metric["is_null"] == true, "{metric}");
                assert!(metric["value"].is_null() || quality["value"] != 0, "{metric}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_host_sees_births_data_and_deaths() {
    let (plc, gas) = (Device::start().await, Device::start().await);
    plc.set_f32(0, 61.5);
    gas.set(0, 123);
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    write_site(folder, plc.port, gas.port);
    let (broker, port) = mosquitto(folder);
    let mut host = Host::start(port).await;
    let mut program = gateway(folder, port, "");

    until("the level", || host.value("TK-101.LT") == Some(61.5)).await;
    until("the gas", || host.value("GD-201.AT") == Some(12.3)).await;
    assert_eq!((host.count("NBIRTH"), host.count("DBIRTH")), (1, 2));
    host.seen(|all| {
        let birth = all.iter().find(|m| kind_of(m) == "NBIRTH").unwrap();
        assert_eq!(birth["topic"], format!("spBv1.0/plant/NBIRTH/{NODE}"));
        let (number, rebirth) =
            (metric_of(birth, "bdSeq"), metric_of(birth, "Node Control/Rebirth"));
        assert_eq!((&number["datatype"], &number["value"]), (&4.into(), &0.into()));
        assert_eq!((&rebirth["datatype"], &rebirth["value"]), (&11.into(), &false.into()));
        let device = all.iter().find(|m| kind_of(m) == "DBIRTH").unwrap();
        assert_eq!(device["topic"], format!("spBv1.0/plant/DBIRTH/{NODE}/plc"));
        let level = metric_of(device, "TK-101.LT");
        assert_eq!(level["datatype"], 10);
        assert_eq!(level["properties"]["engUnit"]["value"], "%");
        assert_eq!(level["properties"]["engHigh"]["value"], 100.0);
        assert_eq!(level["properties"]["Description"]["value"], "液位");
    });

    // An instrument that falls silent is bad, not gone, and has no number.
    gas.hang();
    until("the silence", || host.quality("GD-201.AT") == Some(0)).await;
    let silent = host.metric("GD-201.AT").unwrap();
    assert_eq!((&silent["is_null"], &silent["kind"]), (&true.into(), &Value::Null));
    assert_eq!(silent["properties"]["Reason"]["value"], "timeout");
    assert_eq!(host.count("DDEATH"), 0);

    // A rebirth, twice; a wish to write is refused, and the host sees that it was.
    host.say(&format!("write plant {NODE} plc TK-101.LT"));
    for births in [2, 3] {
        host.say(&format!("rebirth plant {NODE}"));
        until("a rebirth", || host.count("DBIRTH") == 2 * births).await;
    }
    assert_eq!(host.value("Fengsui/Commands refused"), Some(1.0));
    assert_eq!(host.numbers("NBIRTH"), [0, 0, 0]);

    // The broker hangs: the plant is watched and the siren sounds. Then the newest value comes.
    broker.signal("-STOP");
    plc.set_f32(0, 90.5);
    until("the siren", || sounds(folder)).await;
    let asked = plc.asked();
    until("scans", || plc.asked() > asked + 20).await;
    plc.set_f32(0, 91.25);
    until("scans", || plc.asked() > asked + 40).await;
    broker.signal("-CONT");
    until("the newest level", || host.value("TK-101.LT") == Some(91.25)).await;

    // Killed: the broker says so. The next connection has the next number.
    program.0.kill().unwrap();
    until("the will", || host.count("NDEATH") == 1).await;
    drop(program);
    program = gateway(folder, port, "");
    until("births after the kill", || host.count("DBIRTH") == 8).await;
    program.signal("-TERM");
    until("the end", || program.0.try_wait().unwrap().is_some()).await;
    // Whatever the broker has to say of it comes before this.
    host.say("state nobody true 1");
    until("a last word", || {
        host.seen(|all| all.iter().any(|m| m["topic"] == "spBv1.0/STATE/nobody"))
    })
    .await;
    assert_eq!(host.numbers("NBIRTH"), [0, 0, 0, 1]);
    assert_eq!(host.numbers("NDEATH"), [0, 1], "said once: the will was taken back");
    host.seen(|all| {
        check(all);
        let last = |kind| all.iter().rfind(|m| kind_of(m) == kind).unwrap()["timestamp"].as_u64();
        assert!(last("NBIRTH") < last("NDEATH"), "the gateway itself said it, not its will");
    });
    assert!(log(folder).contains("sparkplug commands were refused"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_shown_while_the_primary_host_is_away() {
    let (plc, gas) = (Device::start().await, Device::start().await);
    plc.set_f32(0, 61.5);
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    write_site(folder, plc.port, gas.port);
    let (_broker, port) = mosquitto(folder);
    let mut host = Host::start(port).await;
    host.say("state scada false 1000");
    let program = gateway(folder, port, "primary_host='scada'");
    until("the STATE to be read", || log(folder).contains("sparkplug primary host")).await;
    assert_eq!(host.count("NBIRTH"), 0);
    host.say("state scada true 2000");
    until("the level", || host.value("TK-101.LT") == Some(61.5)).await;
    // The will of an earlier life of the host ends nothing; its own does.
    host.say("state scada false 1999");
    host.say(&format!("rebirth plant {NODE}"));
    until("a rebirth", || host.count("NBIRTH") == 2).await;
    host.say("state scada false 2000");
    until("the death", || host.count("NDEATH") == 1).await;
    host.say("state scada true 3000");
    until("births again", || host.count("DBIRTH") == 6).await;
    assert_eq!(host.numbers("NBIRTH"), [0, 0, 1]);
    assert_eq!(host.numbers("NDEATH"), [0]);

    // A reload ends the old node and begins the new one.
    let file = folder.join("gateway.toml");
    let text = fs::read_to_string(&file).unwrap().replace("group='plant'", "group='north'");
    fs::write(&file, text).unwrap();
    program.signal("-HUP");
    until("births of the other group", || host.count("DBIRTH") == 8).await;
    host.seen(|all| {
        let last = |kind| &all.iter().rfind(|m| kind_of(m) == kind).unwrap()["topic"];
        assert_eq!(last("NDEATH"), &format!("spBv1.0/plant/NDEATH/{NODE}"));
        assert_eq!(last("NBIRTH"), &format!("spBv1.0/north/NBIRTH/{NODE}"));
    });
    assert_eq!(host.numbers("NDEATH"), [0, 1]);
    host.seen(check);
}

fn log(folder: &Path) -> String {
    fs::read_to_string(folder.join("log")).unwrap_or_default()
}
