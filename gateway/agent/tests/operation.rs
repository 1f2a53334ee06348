//! The program as a service: what the service manager hears, what a probe sees, what an output
//! shows, and a wall clock that is set while it runs.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

#[expect(dead_code, reason = "other tests use the rest")]
mod plant;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use plant::{Device, until, write_site};
use tempfile::TempDir;

/// Killed with the test.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn signal(program: &Program, name: &str) {
    let pid = program.0.id().to_string();
    assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
}

/// One answer of the health endpoint; empty where nobody listens.
fn ask(port: u16, path: &str) -> String {
    let mut said = String::new();
    if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) {
        stream.write_all(format!("GET {path} HTTP/1.1\r\n\r\n").as_bytes()).ok();
        stream.read_to_string(&mut said).ok();
    }
    said
}

/// Everything that was said to the service manager since the last look.
fn told(manager: &UnixDatagram) -> String {
    let (mut all, mut piece) = (String::new(), [0; 4_096]);
    while let Ok(count) = manager.recv(&mut piece) {
        all += &String::from_utf8_lossy(piece.get(..count).unwrap());
        all.push('\n');
    }
    all
}

fn level(folder: &Path, name: &str) -> String {
    let file = folder.join("data/outputs").join(name);
    std::fs::read_to_string(file).unwrap_or_default().trim().to_owned()
}

#[tokio::test]
async fn a_service_says_that_it_lives_for_as_long_as_its_loop_turns() {
    let (plc, gas) = (Device::start().await, Device::start().await);
    plc.set_f32(0, 50.0);
    let folder = TempDir::new().unwrap();
    write_site(folder.path(), plc.port, gas.port);
    let health = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = folder.path().join("gateway.toml");
    let mut text = std::fs::read_to_string(&config).unwrap();
    text += &format!("[health]\nlisten = \"127.0.0.1:{health}\"\n");
    for (name, kind, follows) in [
        ("siren", "kind = \"sim\"", "siren"),
        ("trouble", "kind = \"sim\"", "trouble"),
        ("dog", "kind = \"sim\"\nperiod_ms = 100", "watchdog"),
        ("horn", "kind = \"gpio\"\nchip = \"/dev/gpiochip-not-there\"\nline = 3", "siren"),
    ] {
        text += &format!("[[output]]\nname = \"{name}\"\n{kind}\nfollows = \"{follows}\"\n");
    }
    std::fs::write(&config, text).unwrap();
    let socket = folder.path().join("notify");
    let manager = UnixDatagram::bind(&socket).unwrap();
    manager.set_nonblocking(true).unwrap();
    let program = Command::new(env!("CARGO_BIN_EXE_fengsui-gateway"))
        .args(["run", "--config"])
        .arg(&config)
        .env("NOTIFY_SOCKET", &socket)
        .env("WATCHDOG_USEC", "900000")
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut program = Program(program);
    let mut all = String::new();
    until("ready and alive", || {
        all += &told(&manager);
        all.contains("READY=1") && all.matches("WATCHDOG=1").count() > 3
    })
    .await;
    assert!(all.contains("STATUS=设备 2 台"), "{all}");
    until("a missing chip is told", || {
        ask(health, "/healthz")
            .contains(r#""name":"output/horn","last_good_ms":0,"fault":"output_missing""#)
    })
    .await;
    until("and releases the trouble relay", || level(folder.path(), "trouble") == "0").await;
    assert!(ask(health, "/metrics").contains("fengsui_gateway_output_up{name=\"output/horn\"} 0"));
    plc.set_f32(0, 90.0);
    until("siren", || level(folder.path(), "siren") == "1").await;
    std::fs::write(folder.path().join("data/siren.ack"), "").unwrap();
    until("acknowledged", || level(folder.path(), "siren") == "0").await;

    signal(&program, "-STOP");
    let resting = level(folder.path(), "dog");
    told(&manager);
    let mut look = tokio::time::interval(Duration::from_millis(100));
    for _ in 0..15 {
        look.tick().await;
    }
    assert_eq!(told(&manager), "", "a stopped loop is not alive");
    assert_eq!(level(folder.path(), "dog"), resting);
    signal(&program, "-CONT");
    until("alive again", || told(&manager).contains("WATCHDOG=1")).await;
    signal(&program, "-TERM");
    let mut all = String::new();
    until("stopping", || {
        all += &told(&manager);
        all.contains("STOPPING=1")
    })
    .await;
    assert!(program.0.wait().unwrap().success());
}
