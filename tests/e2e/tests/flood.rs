//! Thousands of alarms at once and more every second: each is in the journal, each reaches the
//! page, the process keeps its size, and the flood is declared and ended by rule.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use fengsui_e2e::broker::Broker;
use fengsui_e2e::centre::{Centre, CentreSetup};
use fengsui_e2e::replay_line::full;
use fengsui_e2e::scene::{Scene, act, say};
use fengsui_e2e::stranger::{Mimic, Stranger};
use fengsui_e2e::stream::Stream;
use fengsui_e2e::{clock, wait};
use fengsui_telemetry::wire::Channel;
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(400);
const SOON: Duration = Duration::from_secs(60);
/// Resident memory of the process, KiB.
const MEMORY_MAX: u64 = 512 * 1_024;

async fn flood_is(centre: &Centre, running: bool) -> anyhow::Result<bool> {
    let desk = centre.api.json("/api/v1/desk").await?;
    Ok(desk.get("flood").is_some_and(|flood| !flood.is_null()) == running)
}

fn limits(points: u32) -> String {
    let mut text = "测点,类型,限值,回差,上升延时,下降延时,优先级,锁存,依据,可信度\ntag,kind,limit,deadband,on_delay_s,off_delay_s,priority,latch,source,confidence\n".to_owned();
    for point in 1..=points {
        text += &format!("MIMIC.{point},H,85,1,,,P3,false,实验用,示例\n");
        text += &format!("MIMIC.{point},STALE,86400,,,,P4,false,实验用,示例\n");
    }
    text + ",OFFLINE,86400,,,,P2,false,实验用,示例\n"
}

async fn play(scene: &Scene) -> anyhow::Result<()> {
    let (points, seconds) = if full() { (10_000, 60) } else { (2_000, 5) };
    let tenth = points / 10;
    std::fs::write(scene.path().join("limits.csv"), limits(points))?;
    let broker = Broker::start(scene).await?;
    let setup = CentreSetup {
        mqtt: format!("broker = \"127.0.0.1:{}\"", broker.port),
        alarm: "live_s = 86000\nflood_window_s = 6".to_owned(),
        gateways: vec![("GW-MIMIC".to_owned(), "limits.csv".to_owned())],
    };
    let mut centre = Centre::start(scene, &setup).await?;
    let mut stranger = Stranger::connect(broker.port, "mimic", &["fengsui/1/GW-MIMIC/ack"]).await?;
    let mut mimic = Mimic::wide("GW-MIMIC", 5, points);
    stranger.say(&mimic.topic(Channel::Birth)?, mimic.birth()?, true).await?;
    let live = mimic.topic(Channel::Live)?;
    let begin = clock::wall_ms() - 3_600_000;
    stranger.say(&live, mimic.batch(begin, 10.0)?, false).await?;
    // The catalogue is in force: pages have been told to load anew.
    stranger.ack("GW-MIMIC", |ack| ack.durable.next >= 1).await?;
    ensure!(flood_is(&centre, false).await?, "nothing yet");

    let mut stream = Stream::open(&centre.api, None).await?;
    stream.find("hello", SOON, |event| event.name == "hello").await?;
    let sent = Sent::default();
    let announced = (points + seconds * tenth) as usize;
    let speak = async {
        note(&sent, 1..=points, 1);
        stranger.say(&live, mimic.batch(begin + 1_000, 90.0)?, false).await?;
        // Then a tenth of them every second, back and up again.
        let mut rhythm = tokio::time::interval(Duration::from_secs(1));
        rhythm.tick().await;
        for second in 0..seconds {
            rhythm.tick().await;
            let part = second % 10;
            let places: Vec<u32> = (part * tenth..(part + 1) * tenth).collect();
            let te = begin + 10_000 + i64::from(second) * 10_000;
            let values = |value: f64| places.iter().map(|p| (*p, value)).collect::<Vec<_>>();
            let records =
                vec![Mimic::scan(te, &values(10.0)), Mimic::scan(te + 1_000, &values(90.0))];
            note(&sent, part * tenth + 1..=(part + 1) * tenth, u64::from(second / 10) + 2);
            stranger.say(&live, mimic.batch_at(mimic.next(), records)?, false).await?;
        }
        anyhow::Ok(())
    };
    let (spoken, heard) = tokio::join!(speak, hear_all(&mut stream, &sent, announced));
    spoken?;
    heard?;
    wait::until_true("the flood to be declared", SOON, async || flood_is(&centre, true).await)
        .await?;
    let memory = centre.program()?.memory_kb()?;
    ensure!(memory < MEMORY_MAX, "{memory} KiB");
    say(&format!("{announced} announcements, {memory} KiB"));
    wait::until_true("the flood to end", SOON, async || flood_is(&centre, false).await).await?;

    let rows = centre.api.journal().await?;
    let word =
        |row: &Value, key: &str| row.get(key).and_then(Value::as_str).unwrap_or("").to_owned();
    let on = rows.iter().filter(|row| word(row, "cause") == "on").count();
    ensure!(on == announced, "{on} in the journal, {announced} announced");
    let floods = rows.iter().filter(|row| word(row, "cause") == "flood").count();
    ensure!(floods == 2, "a beginning and an end, not {floods} rows");
    Ok(())
}

/// When each announcement was caused.
type Sent = Mutex<HashMap<(String, u64), Instant>>;

fn note(sent: &Sent, points: std::ops::RangeInclusive<u32>, occurrence: u64) {
    let at = clock::monotonic();
    let key = |point: u32| (format!("GW-MIMIC/MIMIC.{point}/H"), occurrence);
    let mut sent = sent.lock().unwrap_or_else(PoisonError::into_inner);
    sent.extend(points.map(|point| (key(point), at)));
}

/// Until as many as wanted have come by the stream; how long they took.
async fn hear_all(stream: &mut Stream, sent: &Sent, wanted: usize) -> anyhow::Result<()> {
    let (mut burst, mut steady) = (Vec::new(), Vec::new());
    while burst.len() + steady.len() < wanted {
        let heard = burst.len() + steady.len();
        let event = stream.next(SOON).await.with_context(|| format!("{heard} heard"))?;
        ensure!(event.name != "reset", "the stream did not keep up");
        let key = event.data.get("alarm").and_then(Value::as_str).unwrap_or_default().to_owned();
        let occurrence = event.data.get("occurrence").and_then(Value::as_u64).unwrap_or_default();
        let mut sent = sent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = sent.remove(&(key, occurrence)) {
            let of = if occurrence == 1 { &mut burst } else { &mut steady };
            of.push(at.elapsed().as_millis());
        }
    }
    say(&format!("first announcement, all at once: {}", spread(&mut burst)));
    say(&format!("first announcement, every second: {}", spread(&mut steady)));
    burst.append(&mut steady);
    say(&format!("first announcement, both: {}", spread(&mut burst)));
    Ok(())
}

fn spread(took: &mut [u128]) -> String {
    took.sort_unstable();
    let at = |part: usize| took.get(took.len() * part / 100).copied().unwrap_or_default();
    format!("p50 {} ms, p99 {} ms", at(50), at(99))
}

#[test]
fn a_flood_is_recorded_whole_declared_and_ended() {
    act("flood", LIMIT, play);
}
