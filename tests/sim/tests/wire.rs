//! The plant seen from a plain socket: right values, and every fault as it says.

use std::net::SocketAddr;
use std::time::Duration;

use fengsui_plant::{Command, Fault, Plant, PlantConfig, Signal, TruthRow};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Long enough for a busy machine; nothing here waits for it unless something is broken.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long silence is listened to.
const SILENCE: Duration = Duration::from_millis(300);

const READ_LEVEL_1: [u8; 12] = [0x12, 0x34, 0, 0, 0, 6, 1, 3, 0, 0, 0, 2];

async fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.expect("the device listens")
}

async fn ask(stream: &mut TcpStream, request: &[u8], size: usize) -> Vec<u8> {
    stream.write_all(request).await.expect("sent");
    let mut reply = vec![0; size];
    timeout(PATIENCE, stream.read_exact(&mut reply)).await.expect("in time").expect("whole");
    reply
}

async fn is_silent(stream: &mut TcpStream) -> bool {
    timeout(SILENCE, stream.read_u8()).await.is_err()
}

async fn demo() -> (Plant, SocketAddr, TcpStream) {
    let plant = Plant::start(PlantConfig::demo()).await.expect("started");
    let level = "tank1.level".parse().expect("a signal");
    plant.control().set(level, 61.2).await.expect("set");
    let address = plant.address("plc-tank").expect("the device");
    let stream = connect(address).await;
    (plant, address, stream)
}

/// The whole reply with level 61.2 (0x4274CCCD).
const LEVEL_61_2: [u8; 13] = [0x12, 0x34, 0, 0, 0, 7, 1, 3, 4, 0x42, 0x74, 0xCC, 0xCD];

async fn check_reply_under(fault: Fault, reply: &[u8]) {
    let (plant, _, mut stream) = demo().await;
    plant.control().fault("plc-tank", fault).await.expect("set");
    assert_eq!(ask(&mut stream, &READ_LEVEL_1, reply.len()).await, reply, "under {fault}");
    assert!(is_silent(&mut stream).await, "more bytes under {fault}");
    plant.control().fault("plc-tank", Fault::None).await.expect("set");
    let whole = ask(&mut stream, &READ_LEVEL_1, LEVEL_61_2.len()).await;
    assert_eq!(whole, LEVEL_61_2, "after {fault}");
    plant.stop().await;
}

#[tokio::test]
async fn a_healthy_device_answers_to_the_bit() {
    check_reply_under(Fault::None, &LEVEL_61_2).await;
}

#[tokio::test]
async fn an_exception_carries_its_code() {
    check_reply_under(Fault::Exception(6), &[0x12, 0x34, 0, 0, 0, 3, 1, 0x83, 6]).await;
}

#[tokio::test]
async fn a_truncated_reply_lacks_its_last_byte() {
    check_reply_under(Fault::Truncated, &LEVEL_61_2[..12]).await;
}

#[tokio::test]
async fn a_wrong_transaction_number_is_wrong() {
    let mut reply = LEVEL_61_2;
    reply[..2].copy_from_slice(&[0xED, 0xCB]);
    check_reply_under(Fault::WrongTransaction, &reply).await;
}

#[tokio::test]
async fn a_wrong_unit_number_is_wrong() {
    let mut reply = LEVEL_61_2;
    reply[6] = 0;
    check_reply_under(Fault::WrongUnit, &reply).await;
}

#[tokio::test]
async fn a_dead_device_accepts_and_never_answers() {
    let (plant, address, mut old) = demo().await;
    plant.control().fault("plc-tank", Fault::Dead).await.expect("set");
    let mut new = connect(address).await;
    for stream in [&mut old, &mut new] {
        stream.write_all(&READ_LEVEL_1).await.expect("sent");
        assert!(is_silent(stream).await);
    }
    plant.stop().await;
}

#[tokio::test]
async fn a_refusing_device_closes_and_comes_back_on_its_port() {
    let (plant, address, mut stream) = demo().await;
    plant.control().fault("plc-tank", Fault::Refused).await.expect("set");
    let end = timeout(PATIENCE, stream.read_u8()).await.expect("in time");
    assert!(end.is_err(), "the open connection is closed");
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens");
    plant.control().fault("plc-tank", Fault::None).await.expect("set");
    let again = async {
        let mut pace = tokio::time::interval(Duration::from_millis(20));
        loop {
            pace.tick().await;
            if let Ok(stream) = TcpStream::connect(address).await {
                return stream;
            }
        }
    };
    let mut stream = timeout(PATIENCE, again).await.expect("listens again");
    assert_eq!(ask(&mut stream, &READ_LEVEL_1, 13).await, LEVEL_61_2);
    plant.stop().await;
}

#[tokio::test]
async fn a_late_reply_is_right_and_late() {
    let (plant, _, mut stream) = demo().await;
    let late = Fault::Late(Duration::from_millis(600));
    plant.control().fault("plc-tank", late).await.expect("set");
    stream.write_all(&READ_LEVEL_1).await.expect("sent");
    assert!(is_silent(&mut stream).await, "nothing yet");
    let mut reply = [0; 13];
    timeout(PATIENCE, stream.read_exact(&mut reply)).await.expect("in time").expect("whole");
    assert_eq!(reply, LEVEL_61_2);
    plant.stop().await;
}

#[tokio::test]
async fn a_frozen_device_shows_the_past_while_the_truth_goes_on() {
    let (plant, _, mut stream) = demo().await;
    let control = plant.control();
    let level: Signal = "tank1.level".parse().expect("a signal");
    control.fault("plc-tank", Fault::Frozen).await.expect("set");
    control.set(level, 95.0).await.expect("set");
    assert_eq!(ask(&mut stream, &READ_LEVEL_1, 13).await, LEVEL_61_2);
    assert_eq!(control.reading(level).await.expect("runs"), Some(95.0));
    control.fault("plc-tank", Fault::None).await.expect("set");
    let thawed = ask(&mut stream, &READ_LEVEL_1, 13).await;
    assert_eq!(thawed[9..], 95.0_f32.to_be_bytes());
    plant.stop().await;
}

#[tokio::test]
async fn noise_shakes_readings_within_a_fifth_of_the_range() {
    let (plant, _, mut stream) = demo().await;
    let mut shown = Vec::new();
    for _ in 0..8 {
        // Each call publishes anew.
        plant.control().fault("plc-tank", Fault::Noise).await.expect("set");
        let reply = ask(&mut stream, &READ_LEVEL_1, 13).await;
        shown.push(f32::from_be_bytes(reply[9..].try_into().expect("four bytes")));
    }
    assert!(shown.iter().all(|level| (level - 61.2).abs() <= 20.1), "{shown:?}");
    assert!(shown.iter().any(|level| 0.5 < (level - 61.2).abs()), "{shown:?}");
    plant.stop().await;
}

#[tokio::test]
async fn a_command_is_on_the_wire_and_in_the_truth_when_it_is_answered() {
    let (sender, mut rows) = mpsc::channel::<TruthRow>(4_096);
    let sink = Box::new(move |row: &TruthRow| sender.try_send(row.clone()).expect("room"));
    let plant = Plant::start_logged(PlantConfig::demo(), sink).await.expect("started");
    let gas = "gas2".parse().expect("a signal");
    let at = plant.control().set(gas, 63.5).await.expect("set");
    let mut stream = connect(plant.address("gas").expect("the device")).await;
    let reply = ask(&mut stream, &[0, 1, 0, 0, 0, 6, 1, 4, 0, 1, 0, 1], 11).await;
    assert_eq!(reply[9..], 635_u16.to_be_bytes());

    plant.control().command(Command::Break { signal: gas }).await.expect("done");
    let reply = ask(&mut stream, &[0, 2, 0, 0, 0, 6, 1, 4, 0, 1, 0, 1], 11).await;
    assert_eq!(reply[9..], [0xFF, 0xFF]);
    plant.stop().await;

    let mut story = Vec::new();
    while let Some(row) = rows.recv().await {
        if row.signal == "gas2" {
            assert_eq!((row.device.as_str(), row.table.as_str(), row.address), ("gas", "input", 1));
            story.push((row.t_ms, row.value));
        }
    }
    let set = story.iter().position(|(_, value)| *value == Some(63.5)).expect("told");
    assert!(story[set].0 <= at, "recorded before the caller heard");
    assert_eq!(story[set + 1].1, None, "broken: no value");
}

#[tokio::test]
async fn a_wide_device_has_thirty_thousand_counting_registers() {
    let plant = Plant::start(PlantConfig::wide(30_000, 3)).await.expect("started");
    let mut stream = connect(plant.endpoints()[0].address).await;
    let mut read = Vec::new();
    for unit in 1..=3 {
        for address in (0..10_000_u16).step_by(125) {
            let [high, low] = address.to_be_bytes();
            let reply =
                ask(&mut stream, &[0, 1, 0, 0, 0, 6, unit, 3, high, low, 0, 125], 259).await;
            read.extend(reply[9..].chunks(2).map(|w| u16::from_be_bytes([w[0], w[1]])));
        }
    }
    assert_eq!(read.len(), 30_000);
    // It counts while it is read: every register is its number plus a count that only grows.
    let counts: Vec<u16> = (0_u16..).zip(&read).map(|(n, word)| word.wrapping_sub(n)).collect();
    assert!(counts.is_sorted() && counts[29_999] < 100, "{:?}", counts.last());
    plant.stop().await;
}

#[tokio::test]
async fn a_port_in_use_is_an_error_that_names_the_device() {
    let plant = Plant::start(PlantConfig::demo()).await.expect("started");
    let mut second = PlantConfig::demo();
    second.devices[1].port = plant.address("gas").expect("the device").port();
    let refusal = Plant::start(second).await.err().expect("the port is taken");
    assert!(refusal.to_string().contains("\"gas\""), "{refusal}");
    plant.stop().await;
}

#[tokio::test]
async fn mbpoll_reads_what_was_set() {
    let (plant, address, _stream) = demo().await;
    let port = address.port().to_string();
    // -B: high word first; -0: wire addresses; -t 4:float: holding registers as floats.
    let arguments = ["-m", "tcp", "-p", &port, "-a", "1", "-t", "4:float", "-B", "-0", "-r", "0"];
    let asked = tokio::process::Command::new("mbpoll")
        .args(arguments)
        .args(["-c", "1", "-1", "127.0.0.1"])
        .output()
        .await;
    match asked {
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(text.contains("61.2"), "{text}{}", String::from_utf8_lossy(&output.stderr));
        }
        Err(error) => eprintln!("skipped: mbpoll is not installed ({error})"),
    }
    plant.stop().await;
}
