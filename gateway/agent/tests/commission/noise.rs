//! Lines on which something speaks that was not asked: a babbler on a serial port, and the late
//! answer to a program that was ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_serial::{SerialPort, SerialStream};

use super::*;
use crate::device::crc;

/// At this rate a line counts as quiet after 128 ms, longer than a busy machine lets the babbler wait.
const SLOW: &str = "300";

/// A serial port whose other end never stops sending. The line is open while the first is.
fn babbler() -> (SerialStream, String) {
    let (mut far, near) = SerialStream::pair().unwrap();
    let port = SerialPort::name(&near).unwrap();
    tokio::spawn(async move {
        let mut tick = interval(Duration::from_millis(4));
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut heard = [0; 64];
        loop {
            tokio::select! {
                _ = tick.tick() => drop(far.write(&[0x55, 0xAA, 1, 3, 0]).await),
                _ = far.read(&mut heard) => {}
            }
        }
    });
    (near, port)
}

/// The site of two devices, the first of them on this serial port.
fn serial_site(folder: &Path, port: &str) -> String {
    let file = site(folder, [1, 1], "");
    let text = std::fs::read_to_string(&file).unwrap();
    let on_tcp = "kind='modbus-tcp'\nhost='127.0.0.1'\nport=1\ntimeout_ms=150\n";
    assert!(text.contains(on_tcp), "{text}");
    let on_line = "kind='modbus-rtu'\nbus='A'\nunit=1\ntimeout_ms=150\n";
    let bus = format!(
        "[[bus]]\nname='A'\nkind='modbus-rtu'\npath='{port}'\nbaud={SLOW}\nparity='none'\nstop_bits=1\n"
    );
    std::fs::write(&file, text.replacen(on_tcp, on_line, 1) + &bus).unwrap();
    file
}

fn names_the_noise(text: &str) {
    for part in ["线路一直不静", "the line is never quiet", "终端", "termination"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    for wrong in ["报文错误", "damaged", "A/B"] {
        assert!(!text.contains(wrong), "{wrong}: {text}");
    }
}

#[tokio::test]
async fn a_scan_of_a_line_that_is_never_quiet_says_so_and_ends() {
    let (_open, port) = babbler();
    let began = Instant::now();
    let got = run(&["scan", "--serial", &port, "--baud", SLOW]).await;
    assert!(began.elapsed() < Duration::from_secs(8), "247 units: {:?}", began.elapsed());
    assert_eq!(got.code, 3, "{} {}", got.out, got.err);
    names_the_noise(&got.out);
    let bauds = ["scan", "--serial", &port, "--bauds", SLOW, "--json"];
    let json = run(&bauds).await.json();
    names_the_noise(json["line_fault"].as_str().unwrap());
    assert_eq!((&json["asked"], &json["garbled"]), (&0.into(), &Value::Array(vec![])));
}

/// The process has its own answer to Ctrl-C: the second signal in the mask of those that are caught.
fn listens(id: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
    u64::from_str_radix(caught.trim(), 16).unwrap() & 0b10 != 0
}

#[tokio::test]
async fn a_scan_that_waits_for_a_quiet_line_ends_when_it_is_told() {
    let (_open, port) = babbler();
    let scan = ["scan", "--serial", &port, "--baud", SLOW, "--timeout-ms", "60000", "--json"];
    let child = gateway(&scan).spawn().unwrap();
    let mut look = interval(Duration::from_millis(10));
    let id = child.id().unwrap();
    while !listens(id) {
        look.tick().await;
    }
    interrupt(&child).await;
    let began = Instant::now();
    let got = ended(child).await;
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert_eq!((got.code, &got.json()["interrupted"]), (1, &true.into()));
}

#[tokio::test]
async fn guess_read_and_watch_name_a_line_that_is_never_quiet() {
    let (_open, port) = babbler();
    let guess = ["guess", "--serial", &port, "--baud", SLOW, "--register", "0", "--display", "7"];
    let got = run(&[&guess[..], &["--timeout-ms", "150"]].concat()).await;
    assert_eq!((got.code, got.out.as_str()), (3, ""));
    names_the_noise(&got.err);
    let folder = TempDir::new().unwrap();
    let file = serial_site(folder.path(), &port);
    let got = run(&["read", "--config", &file, "TK-101.LT"]).await;
    assert_eq!(got.code, 3, "{} {}", got.out, got.err);
    let below = got.out.split_once('▸').expect("it says why").1;
    names_the_noise(below);
    let json = run(&["read", "--config", &file, "TK-101.LT", "--json"]).await.json();
    names_the_noise(json["devices"][0]["line_fault"].as_str().unwrap());
    assert_eq!(json["points"][0]["reason"], "bad_frame");
    let got = run(&["watch", "--config", &file, "TK-101.LT", "--for", "2s"]).await;
    assert_eq!(got.code, 3, "{} {}", got.out, got.err);
    let lines = got.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    // The first question may have found a pause.
    let last = lines.collect::<Vec<_>>().pop().unwrap();
    names_the_noise(last["line_fault"].as_str().unwrap());
    let exe = env!("CARGO_BIN_EXE_fengsui-gateway");
    let line = format!("stty rows 24 cols 80; {exe} watch --config {file} TK-101.LT --for 2s");
    let mut command = Command::new("script");
    command.args(["-qec", &line, "/dev/null"]).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let got = ended(command.spawn().unwrap()).await;
    assert!(got.out.contains("▸ 线路一直不静"), "{}", got.out);
}

/// A slave behind a converter whose register 0 holds 42, and who first sends 999, the answer of one
/// register that somebody else asked for.
async fn late(owes: Arc<AtomicUsize>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            owes.store(1, Ordering::SeqCst);
            let mut ask = [0; 8];
            while stream.read_exact(&mut ask).await.is_ok() {
                let [unit, function, _, first, _, count, ..] = ask;
                let mut replies = Vec::new();
                if unit == 3 && owes.swap(0, Ordering::SeqCst) == 1 {
                    replies.push(sealed(vec![3, 3, 2, 0x03, 0xE7]));
                }
                if unit == 3 && function == 3 {
                    let mut reply = vec![unit, function, count * 2];
                    reply.extend(
                        (first..first + count).flat_map(|a| if a == 0 { [0, 42] } else { [0, 0] }),
                    );
                    replies.push(sealed(reply));
                } else if unit == 3 {
                    replies.push(sealed(vec![unit, function | 0x80, 1]));
                }
                for reply in replies {
                    stream.write_all(&reply).await.ok();
                    // A slave needs a moment between two answers.
                    timeout(Duration::from_millis(20), std::future::pending::<()>()).await.ok();
                }
            }
        }
    });
    at
}

fn sealed(mut frame: Vec<u8>) -> Vec<u8> {
    frame.extend(crc(&frame));
    frame
}

#[tokio::test]
async fn the_late_answer_to_a_program_that_was_ended_is_nobodys() {
    let owes = Arc::new(AtomicUsize::new(0));
    let at = late(owes.clone()).await;
    let scan = ["scan", "--rtu-tcp", &at, "--units", "3", "--timeout-ms", "200", "--json"];
    let json = run(&scan).await.json();
    assert_eq!(owes.load(Ordering::SeqCst), 0, "it came");
    assert_eq!(json["units"][0]["holding"]["word"], "0x002A", "{json}");
    assert_eq!(json["garbled"], Value::Array(vec![]), "{json}");
    // Asked for one register at the end of the table: its own answer has the length of the late one.
    let guess = ["guess", "--rtu-tcp", &at, "--unit", "3", "--register", "0"];
    let more = ["--function", "holding", "--display", "42", "--timeout-ms", "200", "--json"];
    let got = run(&[&guess[..], &more].concat()).await;
    assert_eq!(got.code, 0, "{}", got.err);
    let words = got.json()["registers"][0]["words"].to_string();
    assert!(words.contains("0x002A") && !words.contains("0x03E7"), "{words}");
}
