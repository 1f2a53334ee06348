//! `scan`, `read`, `watch` and `guess` as a technician runs them: real processes against devices on
//! real sockets.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails where it stands")]

mod choosy;
mod clock;
mod device;
mod noise;

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use device::{Device, Unit};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{interval, timeout};

/// A real process.
fn gateway(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fengsui-gateway"));
    command.args(arguments).kill_on_drop(true).env_remove("FENGSUI_GATEWAY_CONFIG");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

struct Ended {
    code: i32,
    out: String,
    err: String,
}

impl Ended {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|fault| panic!("{fault}: {}", self.out))
    }
}

async fn ended(child: Child) -> Ended {
    let done = timeout(Duration::from_secs(30), child.wait_with_output()).await;
    let done = done.expect("the command ends").unwrap();
    Ended {
        code: done.status.code().expect("no signal killed it"),
        out: String::from_utf8(done.stdout).unwrap(),
        err: String::from_utf8(done.stderr).unwrap(),
    }
}

async fn run(arguments: &[&str]) -> Ended {
    ended(gateway(arguments).spawn().unwrap()).await
}

async fn interrupt(child: &Child) {
    let pid = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().await.unwrap().success());
}

fn words(first: u16, words: &[u16]) -> Unit {
    Unit { holding: (first..).zip(words.iter().copied()).collect(), ..Unit::default() }
}

/// 61.2 as a single, high word first.
const LEVEL: [u16; 2] = [0x4274, 0xCCCD];

fn address(device: &Device) -> String {
    format!("127.0.0.1:{}", device.port)
}

/// A site of two devices: a level as a float, a temperature with a sentinel, and whatever else.
fn site(folder: &Path, ports: [u16; 2], rows: &str) -> String {
    let device = |name: &str, port: u16| {
        format!(
            "[[device]]\nname='{name}'\nkind='modbus-tcp'\nhost='127.0.0.1'\nport={port}\ntimeout_ms=150\n"
        )
    };
    let site = format!(
        "[site]\nenterprise='示例石化有限公司'\ngateway='GW-01'\npoints='points.csv'\nlimits='limits.csv'\n\
         [[installation]]\nname='罐区'\nkind='tank_farm'\nhazard_class=3\n{}{}",
        device("plc", ports[0]),
        device("gas", ports[1])
    );
    let points = format!(
        "位号\ntag,name,installation,signal,unit,low,high,device,function,address,type,order,scale,offset,period_ms,sentinels\n\
         TK-101.LT,液位,罐区,level,%,0,100,plc,holding,0,f32,ABCD,1,0,100,\n\
         TK-101.TT,温度,罐区,temperature,℃,-50,150,plc,holding,2,i16,,0.1,0,100,32767\n{rows}"
    );
    let limits = "位号\ntag,kind,limit,deadband\nTK-101.LT,H,85,1\n";
    for (name, text) in
        [("site.toml", site.as_str()), ("points.csv", &points), ("limits.csv", limits)]
    {
        std::fs::write(folder.join(name), text).unwrap();
    }
    folder.join("site.toml").display().to_string()
}

const GAS: &str =
    "GD-201.AT,可燃气体,罐区,gas_combustible,%LEL,0,100,gas,holding,0,u16,,0.1,0,100,\n";

#[tokio::test]
async fn a_scan_names_the_units_that_are_there() {
    let named = Unit { name: Some(("ACME", "GX-8")), ..words(0, &[0x41A4]) };
    let device = Device::start([(1, named), (7, Unit::default())]).await;
    let scan = ["scan", "--tcp", &address(&device), "--units", "1-8", "--timeout-ms", "100"];
    let text = run(&scan).await;
    assert_eq!(text.code, 0, "{}", text.err);
    assert!(text.out.contains("ACME GX-8") && text.out.contains("2 of 8"), "{}", text.out);
    assert!(text.out.contains("0x41A4") && text.out.contains("异常 2"), "{}", text.out);
    let json = run(&[&scan[..], &["--json"]].concat()).await.json();
    let units: Vec<_> = json["units"].as_array().unwrap().iter().map(|u| &u["unit"]).collect();
    assert_eq!(units, [1, 7]);
    assert_eq!(json["units"][0]["holding"]["word"], "0x41A4");
    assert_eq!(json["units"][0]["identity"]["product"], "GX-8");
    assert_eq!(json["units"][1]["holding"]["exception"], 2);
    assert_eq!(json["units"][1]["identity"], Value::Null);
    assert_eq!(json["asked"], 8);
}

#[tokio::test]
async fn a_scan_tells_silence_from_a_dead_line_and_from_a_wrong_command() {
    let device = Device::start([]).await;
    let at = address(&device);
    let silent = run(&["scan", "--tcp", &at, "--units", "1-2", "--timeout-ms", "50"]).await;
    assert_eq!(silent.code, 1);
    assert!(silent.out.contains("A/B"), "{}", silent.out);
    let closed = run(&["scan", "--tcp", "127.0.0.1:1"]).await;
    assert_eq!((closed.code, closed.out.as_str()), (3, ""));
    assert!(closed.err.contains("127.0.0.1:1"), "{}", closed.err);
    for wrong in [&["scan"][..], &["scan", "--tcp", &at, "--units", "9-1"], &["scan", "--tcp", ":"]]
    {
        let wrong = run(wrong).await;
        assert_eq!((wrong.code, wrong.out.as_str()), (2, ""));
    }
}

#[tokio::test]
async fn a_line_behind_a_converter_is_scanned_and_guessed_alike() {
    let device = Device::start_rtu([(3, words(0, &[0, 234, 0, 0, 0, 0]))]).await;
    let at = address(&device);
    let scan = ["scan", "--rtu-tcp", &at, "--units", "1-4", "--timeout-ms", "60", "--json"];
    let got = run(&scan).await;
    assert_eq!(got.code, 0, "{}{}", got.out, got.err);
    let json = got.json();
    assert_eq!(
        (&json["units"][0]["unit"], json["units"].as_array().unwrap().len()),
        (&3.into(), 1)
    );
    assert_eq!(json["units"][0]["coil"]["exception"], 1);
    let guess = ["guess", "--rtu-tcp", &at, "--unit", "3", "--register", "1", "--display", "23.4"];
    let got = run(&guess).await;
    assert!(got.out.contains("holding,1,u16,ABCD,0.1,0"), "{}{}", got.out, got.err);
    let nobody = run(&["scan", "--rtu-tcp", "127.0.0.1:1", "--units", "1-9"]).await;
    assert_eq!((nobody.code, nobody.out.as_str()), (3, ""), "{}", nobody.err);
    let none = run(&["scan", "--serial", "/dev/ttyNOWHERE", "--bauds", "9600,19200"]).await;
    assert_eq!((none.code, none.out.as_str()), (3, ""));
    assert!(none.err.contains("/dev/ttyNOWHERE"), "{}", none.err);
    let both = run(&["scan", "--tcp", &at, "--bauds", "9600"]).await;
    assert_eq!(both.code, 2);
}

#[tokio::test]
async fn a_device_that_ignores_the_unit_is_one_device() {
    let same = (1..=20).map(|unit| (unit, words(0, &[5])));
    let device = Device::start(same).await;
    let got = run(&["scan", "--tcp", &address(&device), "--units", "1-20"]).await;
    assert_eq!(got.out.matches("0x0005").count(), 1, "{}", got.out);
    assert!(got.out.contains("unit = 1"), "{}", got.out);
}

#[tokio::test]
async fn an_interrupted_scan_shows_what_it_has() {
    let device = Device::start([(1, words(0, &[1]))]).await;
    let at = address(&device);
    let child = gateway(&["scan", "--tcp", &at, "--timeout-ms", "2000", "--json"]).spawn().unwrap();
    let mut look = interval(Duration::from_millis(10));
    while device.asked() < 6 {
        look.tick().await;
    }
    interrupt(&child).await;
    let got = ended(child).await;
    assert_eq!(got.code, 0, "{}", got.err);
    let json = got.json();
    assert_eq!((&json["interrupted"], &json["units"][0]["unit"]), (&true.into(), &1.into()));
}

#[tokio::test]
async fn read_shows_registers_value_and_reason() {
    let plc = Device::start([(1, words(0, &[LEVEL[0], LEVEL[1], 32_767]))]).await;
    let gas = Device::start([]).await;
    let folder = TempDir::new().unwrap();
    let hole = "TK-109.LT,液位,罐区,level,%,0,100,plc,holding,900,u16,,1,0,100,\n";
    let file = site(folder.path(), [plc.port, gas.port], &format!("{GAS}{hole}"));
    let got = run(&["read", "--config", &file, "--json"]).await;
    assert_eq!(got.code, 1, "{}", got.err);
    let json = got.json();
    let seen = |tag: &str| {
        let all = json["points"].as_array().unwrap();
        let one = all.iter().find(|point| point["tag"] == tag).unwrap();
        (
            one["value"].clone(),
            one["quality"].clone(),
            one["reason"].clone(),
            one["raw"].to_string(),
        )
    };
    let bad = |why: &str, raw: &str| (Value::Null, "bad".into(), why.into(), raw.to_owned());
    let good = (61.2.into(), "good".into(), "good".into(), r#"["0x4274","0xCCCD"]"#.to_owned());
    assert_eq!(seen("TK-101.LT"), good);
    assert_eq!(seen("TK-101.TT"), bad("sentinel", r#"["0x7FFF"]"#));
    assert_eq!(seen("TK-109.LT"), bad("illegal_address", "[]"));
    assert_eq!(seen("GD-201.AT"), bad("timeout", "[]"));
    assert_eq!((&json["good"], &json["bad"]), (&1.into(), &3.into()));
    assert!(json["points"][0]["rtt_ms"].as_f64().unwrap() > 0.0);
    let text = run(&["read", "--config", &file]).await;
    for part in ["0x4274 0xCCCD", "61.2", "超时无应答", "no answer in time", "1 good"] {
        assert!(text.out.contains(part), "{part}: {}", text.out);
    }
    let one = run(&["read", "--config", &file, "TK-101.LT"]).await;
    assert_eq!(one.code, 0, "{}", one.out);
    assert!(!one.out.contains("GD-201"), "{}", one.out);
}

#[tokio::test]
async fn read_says_whether_the_site_the_tag_or_the_plant_is_at_fault() {
    let silent = Device::start([]).await;
    let folder = TempDir::new().unwrap();
    let file = site(folder.path(), [silent.port, 1], GAS);
    let got = run(&["read", "--config", &file]).await;
    assert_eq!(got.code, 3, "{}", got.out);
    let got = run(&["read", "--config", &file, "TK-101"]).await;
    assert_eq!((got.code, got.out.as_str()), (2, ""));
    assert!(got.err.contains("TK-101.LT, TK-101.TT"), "{}", got.err);
    let points = folder.path().join("points.csv");
    let text = std::fs::read_to_string(&points).unwrap();
    std::fs::write(&points, text.replace("plc,holding,0,f32", "plx,holding,0,f23")).unwrap();
    let got = run(&["read", "--config", &file]).await;
    assert_eq!((got.code, got.out.as_str()), (4, ""));
    assert!(got.err.contains("\"plx\"") && got.err.contains("\"f23\""), "{}", got.err);
}

#[tokio::test]
async fn a_port_that_another_program_has_is_named_so() {
    let (_master, slave) = tokio_serial::SerialStream::pair().unwrap();
    let port = tokio_serial::SerialPort::name(&slave).unwrap();
    // As a gateway that runs.
    let held = tokio_serial::SerialStream::open(&tokio_serial::new(&port, 9_600)).unwrap();
    let folder = TempDir::new().unwrap();
    let file = site(folder.path(), [1, 1], "");
    let text = std::fs::read_to_string(&file).unwrap();
    let on_line = format!(
        "[[bus]]\nname='A'\nkind='modbus-rtu'\npath='{port}'\nbaud=9600\nparity='none'\nstop_bits=1\n\
         [[device]]\nname='plc'\nkind='modbus-rtu'\nbus='A'\nunit=1\n"
    );
    let (head, tail) = text.split_once("[[device]]").unwrap();
    let rest = tail.split_once("[[device]]").unwrap().1;
    std::fs::write(&file, format!("{head}{on_line}[[device]]{rest}")).unwrap();
    let got = run(&["read", "--config", &file]).await;
    assert_eq!(got.code, 3, "{} {}", got.out, got.err);
    assert!(got.out.contains("串口被其他程序占用") && got.out.contains(&port), "{}", got.out);
    assert!(!got.out.contains("网线"), "no advice about a cable: {}", got.out);
    let got = run(&["scan", "--serial", &port, "--units", "1"]).await;
    assert_eq!(got.code, 3, "{}", got.out);
    assert!(got.err.contains("another program has the port"), "{}", got.err);
    drop(held);
    let missing = run(&["scan", "--serial", "/dev/no-such-port", "--units", "1"]).await;
    assert!(missing.err.contains("No such file"), "{}", missing.err);
}

#[tokio::test]
async fn watch_writes_a_line_for_each_request_and_ends_when_told() {
    let plc = Device::start([(1, words(0, &[LEVEL[0], LEVEL[1], 215]))]).await;
    let gas = Device::start([]).await;
    let folder = TempDir::new().unwrap();
    let file = site(folder.path(), [plc.port, gas.port], GAS);
    let mut child = gateway(&["watch", "--config", &file]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = async || {
        let line = timeout(Duration::from_secs(10), lines.next_line()).await.unwrap().unwrap();
        serde_json::from_str::<Value>(&line.unwrap()).unwrap()
    };
    let (mut good, mut dead) = (0, 0);
    while good < 3 || dead < 1 {
        let line = next().await;
        let first = &line["points"][0];
        if line["device"] == "plc" {
            assert_eq!((&first["value"], &first["quality"]), (&61.2.into(), &"good".into()));
            assert_eq!(first["raw"][0], "0x4274");
            assert!(line["rtt_ms"].is_f64() && line["t"].as_i64().unwrap() > 0, "{line}");
            good += 1;
        } else if line["fault"] == "timeout" && !first.is_null() {
            assert_eq!((&first["value"], &first["reason"]), (&Value::Null, &"timeout".into()));
            dead += 1;
        }
    }
    plc.set(1, 2, &[230]);
    while next().await["points"][1]["value"] != 23.0 {}
    interrupt(&child).await;
    assert_eq!(ended(child).await.code, 0);
}

#[tokio::test]
async fn watch_gives_the_terminal_back() {
    let plc = Device::start([(1, words(0, &[LEVEL[0], LEVEL[1], 215]))]).await;
    let folder = TempDir::new().unwrap();
    let file = site(folder.path(), [plc.port, plc.port], "");
    // `script` gives the process a terminal.
    let exe = env!("CARGO_BIN_EXE_fengsui-gateway");
    let line = format!("stty rows 24 cols 80; {exe} watch --config {file} --for 1s");
    let mut command = Command::new("script");
    command.args(["-qec", &line, "/dev/null"]).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let got = ended(command.spawn().unwrap()).await;
    assert_eq!(got.code, 0, "{}", got.out);
    let (before, after) =
        got.out.split_once("\x1b[?25h\x1b[?1049l").expect("the screen comes back");
    assert!(before.starts_with("\x1b[?1049h\x1b[?25l"), "{before:?}");
    assert!(before.contains("0x4274 0xCCCD") && after.contains("61.2"), "{after}");
    let wide = after.lines().map(|line| line.trim_end().chars().count()).max();
    assert!(wide.unwrap() <= 80, "{after}");
}

/// The row that `guess` prints, with the plant's own words put in, is a row that `check` takes and
/// `read` reads.
#[tokio::test]
async fn the_row_that_guess_prints_reads_what_the_display_shows() {
    let device = Device::start([(1, words(100, &[0xCCCD, 0x4274, 0, 0, 0]))]).await;
    let at = address(&device);
    // The manual counts from 1, and the low word comes first.
    let guess = [
        "guess",
        "--tcp",
        &at,
        "--register",
        "101",
        "--display",
        "61.2",
        "--low",
        "0",
        "--high",
        "100",
    ];
    let text = run(&guess).await;
    assert_eq!(text.code, 0, "{}", text.err);
    assert!(text.out.contains("holding,100,f32,CDAB,1,0"), "{}", text.out);
    assert!(text.out.contains("the manual counts from 1"), "{}", text.out);
    let json = run(&[&guess[..], &["--json"]].concat()).await.json();
    let row = json["fits"][0]["row"].as_str().unwrap();
    let row =
        row.replace("位号,名称,装置,信号,单位", "LT-1,液位,罐区,level,%").replace("设备", "plc");
    let folder = TempDir::new().unwrap();
    let file = site(folder.path(), [device.port, 1], "");
    let sheet = format!("位号\n{}\n{row}\n", json["headings"].as_str().unwrap());
    std::fs::write(folder.path().join("points.csv"), sheet).unwrap();
    std::fs::write(folder.path().join("limits.csv"), "位号\ntag,kind,limit\nLT-1,H,85\n").unwrap();
    assert_eq!(run(&["check", &file]).await.code, 0);
    let read = run(&["read", "--config", &file, "--json"]).await;
    assert_eq!((read.code, &read.json()["points"][0]["value"]), (0, &61.2.into()));
}

#[tokio::test]
async fn a_second_value_tells_likenesses_apart() {
    // 25.0 as tenths, and beside it what only looks like it once.
    let device = Device::start([(1, words(9, &[250, 250, 0, 0, 0, 0]))]).await;
    let at = address(&device);
    let guess = [
        "guess",
        "--tcp",
        &at,
        "--register",
        "10",
        "--function",
        "holding",
        "--display",
        "25.0",
        "--json",
    ];
    let fits = |json: &Value| -> Vec<String> {
        let fits = json["fits"].as_array().unwrap();
        fits.iter()
            .map(|fit| format!("{} {}", fit["address"], fit["type"].as_str().unwrap()))
            .collect()
    };
    let once = fits(&run(&guess).await.json());
    assert!(once.contains(&"9 u16".to_owned()) && once.contains(&"10 u16".to_owned()), "{once:?}");
    let mut command = gateway(&[&guess[..], &["--and", "31.5"]].concat());
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut told = BufReader::new(child.stderr.take().unwrap()).lines();
    let line = timeout(Duration::from_secs(10), told.next_line()).await.unwrap().unwrap().unwrap();
    assert!(line.contains("31.5"), "{line}");
    device.set(1, 10, &[315]);
    drop(child.stdin.take());
    let twice = fits(&ended(child).await.json());
    assert!(twice.iter().all(|way| way.starts_with("10 ")) && !twice.is_empty(), "{twice:?}");
}

/// A loop's row says so: no current is then no value, where a plain scale would make a number of it.
#[tokio::test]
async fn a_current_loop_becomes_a_row_that_shows_no_value_without_a_current() {
    let device = Device::start([(1, words(0, &[12_000, 7_200, 0, 0, 0, 0]))]).await;
    let at = address(&device);
    let guess = ["guess", "--tcp", &at, "--register", "0", "--function", "holding", "--json"];
    let range = ["--display", "25.0", "--low", "0", "--high", "50"];
    let json = run(&[&guess[..], &range].concat()).await.json();
    let row = json["fits"][0]["row"].as_str().unwrap();
    assert!(row.ends_with(",holding,0,u16,ABCD,0.001,0,1000,loop=4-20"), "{row}");
    let row = row
        .replace("位号,名称,装置,信号,单位", "PT-1,压力,罐区,pressure,bar")
        .replace("设备", "plc");
    let folder = TempDir::new().unwrap();
    let file = site(folder.path(), [device.port, 1], "");
    let sheet = format!("位号\n{}\n{row}\n", json["headings"].as_str().unwrap());
    std::fs::write(folder.path().join("points.csv"), sheet).unwrap();
    std::fs::write(folder.path().join("limits.csv"), "位号\ntag,kind,limit\nPT-1,H,40\n").unwrap();
    let read = run(&["read", "--config", &file, "--json"]).await.json();
    assert_eq!(read["points"][0]["value"], 25.0);
    device.set(1, 0, &[0]);
    let read = run(&["read", "--config", &file, "--json"]).await.json();
    assert_eq!(
        (&read["points"][0]["quality"], &read["points"][0]["value"]),
        (&"bad".into(), &Value::Null)
    );
}

#[tokio::test]
async fn guess_says_when_nothing_fits_and_when_nobody_is_there() {
    let device = Device::start([(1, words(0, &[1_012, 9_999, 9_999, 9_999, 9_999, 9_999]))]).await;
    let at = address(&device);
    let got = run(&["guess", "--tcp", &at, "--register", "0", "--display", "100"]).await;
    assert_eq!(got.code, 1);
    assert!(got.out.contains("near misses") && got.out.contains("101.2"), "{}", got.out);
    let got = run(&["guess", "--tcp", &at, "--register", "700", "--display", "7"]).await;
    assert_eq!(got.code, 1);
    assert!(got.err.contains("exception 2"), "{}", got.err);
    let silent = ["guess", "--tcp", &at, "--unit", "9", "--register", "0", "--display", "7"];
    let got = run(&[&silent[..], &["--timeout-ms", "50"]].concat()).await;
    assert_eq!((got.code, got.out.as_str()), (3, ""));
    let got = run(&["guess", "--tcp", &at, "--register", "0", "--display", "0"]).await;
    assert_eq!(got.code, 2);
}
