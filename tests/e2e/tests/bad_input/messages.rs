//! Messages that no gateway sends, on every topic, while a real gateway works beside them.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use fengsui_e2e::centre::Centre;
use fengsui_e2e::chance::Chance;
use fengsui_e2e::clock;
use fengsui_e2e::peers::Peers;
use fengsui_e2e::recorded;
use fengsui_e2e::replay_line::{Line, PART};
use fengsui_e2e::scene::{Scene, act, say};
use fengsui_e2e::stranger::{Mimic, RawRecords, Stranger};
use fengsui_e2e::wait;
use fengsui_telemetry::wire::{BATCH_RECORDS_MAX, Channel, PACKET_MAX};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(240);
const SOON: Duration = Duration::from_secs(20);
/// Rows that the real gateway reads meanwhile: 16 s.
const ROWS: usize = 800;
const NOISE: u64 = 600;
/// Of the quarantine: a hundred files of 64 KiB and their heads.
const QUARANTINE_FILES: usize = 100;
const QUARANTINE_BYTES: u64 = 100 * 66 * 1_024;
/// What noise may cost the process: debug build, buffers of a few packets included.
const MEMORY_GROWTH_KB: u64 = 96 * 1_024;

const TOPICS: [&str; 14] = [
    "fengsui/1/GW-PEER/live",
    "fengsui/1/GW-PEER/backlog",
    "fengsui/1/GW-PEER/birth",
    "fengsui/1/GW-PEER/beat",
    "fengsui/1/GW-PEER/ack",
    "fengsui/1/GW-STRANGE/live",
    "fengsui/1/GW-STRANGE/backlog",
    "fengsui/1/GW-STRANGE/birth",
    "fengsui/1/GW-STRANGE/beat",
    "fengsui/1/a b c/live",
    "fengsui/1/GW-PEER/other",
    "fengsui/2/GW-PEER/live",
    "fengsui/1//live",
    "somebody/else",
];

async fn line(scene: &Scene) -> anyhow::Result<Line> {
    let peers = Peers::ready()?;
    let series = peers.part(scene, PART.0, ROWS)?;
    Line::over(scene, peers, series, &[]).await
}

/// Random bytes everywhere, and the gateway's own messages cut short.
async fn make_noise(stranger: &mut Stranger, chance: &mut Chance) -> anyhow::Result<()> {
    for n in 0..NOISE {
        if n % 6 == 0 {
            let (topic, mut payload) = stranger.hear().await?;
            let keep = chance.within(0, payload.len().max(1) as u64);
            payload.truncate(usize::try_from(keep)?);
            stranger.say(&topic, payload, false).await?;
            continue;
        }
        let place = usize::try_from(chance.within(0, TOPICS.len() as u64))?;
        let topic = TOPICS.get(place).context("a topic")?;
        let len = usize::try_from(chance.within(0, 3_000))?;
        let retain = topic.ends_with("/birth") && chance.within(0, 2) == 0;
        stranger.say(topic, chance.bytes(len), retain).await?;
    }
    stranger.flush().await
}

fn quarantined(data: &Path) -> anyhow::Result<(usize, u64)> {
    let mut found = (0, 0);
    for entry in std::fs::read_dir(data.join("quarantine"))? {
        found.0 += 1;
        found.1 += entry?.metadata()?.len();
    }
    Ok(found)
}

async fn quarantine_is_bounded(centre: &Centre) -> anyhow::Result<()> {
    let (files, bytes) = quarantined(&centre.data)?;
    ensure!((1..=QUARANTINE_FILES).contains(&files), "{files} files in quarantine");
    ensure!(bytes <= QUARANTINE_BYTES, "{bytes} bytes in quarantine");
    say(&format!("quarantine: {files} files, {bytes} bytes"));
    Ok(())
}

#[test]
fn noise_on_every_topic_costs_a_real_gateway_nothing() {
    act("bad-messages", LIMIT, async |scene| {
        let mut line = line(scene).await?;
        let mut chance = scene.chance();
        let broker = line.broker.port;
        let mut stranger = Stranger::connect(broker, "noise", &["fengsui/1/GW-PEER/#"]).await?;
        let id = line.centre.program()?.id();
        let memory = line.centre.program()?.memory_kb()?;
        make_noise(&mut stranger, &mut chance).await?;
        let api = line.centre.api.clone();
        wait::until_true("the counters to show it", SOON, async || {
            let undecodable = api.counter("fengsui_undecodable_total").await?;
            Ok(undecodable > 0 && api.counter("fengsui_unknown_gateway_total").await? > 0)
        })
        .await?;
        oversized(&mut line, &mut stranger).await?;
        let grown = line.centre.program()?.memory_kb()?.saturating_sub(memory);
        line.check(scene, LIMIT / 2).await?;
        quarantine_is_bounded(&line.centre).await?;
        ensure!(line.centre.program()?.id() == id, "the process lives");
        line.centre.program()?.must_run()?;
        line.gateway.program()?.must_run()?;
        let undecodable = api.counter("fengsui_undecodable_total").await?;
        let strangers = api.counter("fengsui_unknown_gateway_total").await?;
        say(&format!("{undecodable} unusable, {strangers} of strangers, memory +{grown} KiB"));
        ensure!(grown < MEMORY_GROWTH_KB, "memory grew by {grown} KiB");
        // A retained birth of noise greets the next centre: it must ask the gateway and go on.
        line.centre.kill()?;
        line.centre.restart().await?;
        let name = "GW-PEER";
        wait::until_true("the gateway to be online again", SOON, async || {
            let desk = line.centre.api.json("/api/v1/desk").await?;
            let state = desk.pointer("/gateways/0/state").and_then(Value::as_str);
            ensure!(desk.pointer("/gateways/0/gateway").and_then(Value::as_str) == Some(name));
            Ok(state == Some("online"))
        })
        .await?;
        let errors = scene.errors()?;
        ensure!(errors.is_empty(), "{errors:#?}");
        Ok(())
    });
}

/// A packet beyond the limit, a bomb, and one record too many.
async fn oversized(line: &mut Line, stranger: &mut Stranger) -> anyhow::Result<()> {
    let api = line.centre.api.clone();
    let mimic = Mimic::new("GW-PEER", 77);
    let before = api.counter("fengsui_undecodable_total").await?;
    let zeros = std::io::Read::take(std::io::repeat(0), 256 << 20);
    let bomb = zstd::stream::encode_all(zeros, 1)?;
    say(&format!("a bomb of {} bytes", bomb.len()));
    stranger
        .say(&mimic.topic(Channel::Live)?, mimic.raw_batch(RawRecords::Zstd(bomb.clone())), false)
        .await?;
    stranger.say(&mimic.topic(Channel::Birth)?, bomb, false).await?;
    let too_many = vec![Mimic::record(0, 1.0); BATCH_RECORDS_MAX + 1];
    stranger
        .say(&mimic.topic(Channel::Backlog)?, mimic.raw_batch(RawRecords::Plain(too_many)), false)
        .await?;
    stranger.flush().await?;
    wait::until_true("three refusals", SOON, async || {
        Ok(api.counter("fengsui_undecodable_total").await? >= before + 3)
    })
    .await?;
    // Larger than any packet may be: by a client of its own, who may be thrown out for it.
    let mut heavy = Stranger::connect(line.broker.port, "heavy", &[]).await?;
    heavy.say(&mimic.topic(Channel::Live)?, vec![0xa5; 2 * PACKET_MAX], false).await?;
    heavy.flush().await
}

/// The same against the broker inside the centre, which has to throw the sender out itself.
#[test]
fn the_embedded_broker_survives_what_is_too_large() {
    act("bad-packets", LIMIT, async |scene| {
        let (centre, broker) = mimic_centre(scene, Mqtt::Embedded).await?;
        let mut mimic = Mimic::new("GW-MIMIC", 5);
        let mut good = Stranger::connect(broker, "GW-MIMIC", &["fengsui/1/GW-MIMIC/ack"]).await?;
        good.say(&mimic.topic(Channel::Birth)?, mimic.birth()?, true).await?;
        for n in 0..20 {
            let mut heavy = Stranger::connect(broker, "heavy", &[]).await?;
            heavy.say(&mimic.topic(Channel::Live)?, vec![0xa5; 2 * PACKET_MAX], false).await?;
            let te = clock::wall_ms();
            good.say(&mimic.topic(Channel::Live)?, mimic.batch(te, 1.0)?, false).await?;
            let ack = good.ack("GW-MIMIC", |ack| ack.durable.next > n).await?;
            ensure!(ack.fault.is_empty(), "{}", ack.fault);
        }
        ensure!(centre.api.counter("fengsui_samples_total").await? == 20, "twenty samples");
        Ok(())
    });
}

#[derive(Clone, Copy)]
enum Mqtt {
    Embedded,
    Mosquitto(u16),
}

/// A centre that knows two gateways, neither of which is real.
async fn mimic_centre(scene: &Scene, mqtt: Mqtt) -> anyhow::Result<(Centre, u16)> {
    use fengsui_e2e::centre::CentreSetup;
    use fengsui_e2e::scene::free_port;
    let (port, mqtt) = match mqtt {
        Mqtt::Embedded => {
            let port = free_port()?;
            (port, format!("embedded = \"127.0.0.1:{port}\""))
        }
        Mqtt::Mosquitto(port) => (port, format!("broker = \"127.0.0.1:{port}\"")),
    };
    let limits = "位号,类型,限值\ntag,kind,limit\nMIMIC.1,H,5\n";
    std::fs::write(scene.path().join("limits.csv"), limits)?;
    let gateways = ["GW-MIMIC", "GW-OTHER"].map(|id| (id.to_owned(), "limits.csv".to_owned()));
    let setup = CentreSetup { mqtt, alarm: String::new(), gateways: gateways.to_vec() };
    Ok((Centre::start(scene, &setup).await?, port))
}

#[test]
fn a_batch_is_refused_under_a_foreign_name_and_parked_under_an_unknown_catalogue() {
    act("bad-batches", LIMIT, async |scene| {
        let broker = fengsui_e2e::broker::Broker::start(scene).await?;
        let (centre, port) = mimic_centre(scene, Mqtt::Mosquitto(broker.port)).await?;
        let api = &centre.api;
        let mut mimic = Mimic::new("GW-MIMIC", 5);
        let other = Mimic::new("GW-OTHER", 6);
        let mut stranger = Stranger::connect(port, "two", &["fengsui/1/+/ack"]).await?;

        // No birth yet: parked, and the birth is asked for.
        let te = clock::wall_ms();
        stranger.say(&mimic.topic(Channel::Live)?, mimic.batch(te, 2.5)?, false).await?;
        let ack = stranger.ack("GW-MIMIC", |ack| ack.birth_wanted).await?;
        ensure!(ack.durable.next == 0, "nothing is durable yet: {ack:?}");
        ensure!(api.counter("fengsui_parked_batches").await? == 1, "one batch waits");
        stranger.say(&mimic.topic(Channel::Birth)?, mimic.birth()?, true).await?;
        stranger.ack("GW-MIMIC", |ack| ack.durable.next == 1 && !ack.birth_wanted).await?;
        ensure!(api.counter("fengsui_parked_batches").await? == 0, "none waits");
        let point = *recorded::points(api).await?.get("MIMIC.1").context("MIMIC.1")?;
        let stored = recorded::samples(api, point, te, te).await?;
        ensure!(stored.len() == 1 && stored[0].value == Some(2.5), "{stored:?}");

        // One gateway's batch on the other's topic.
        stranger.say(&other.topic(Channel::Birth)?, other.birth()?, true).await?;
        stranger.ack("GW-OTHER", |ack| !ack.birth_wanted).await?;
        let before = api.counter("fengsui_undecodable_total").await?;
        stranger.say(&other.topic(Channel::Live)?, mimic.batch(te + 1, 9.0)?, false).await?;
        let ack = stranger.ack("GW-OTHER", |ack| !ack.fault.is_empty()).await?;
        ensure!(ack.fault.contains("GW-MIMIC"), "the fault names the other: {}", ack.fault);
        ensure!(api.counter("fengsui_undecodable_total").await? == before + 1, "counted");
        ensure!(api.counter("fengsui_samples_total").await? == 1, "and not stored");
        Ok(())
    });
}
