//! The centre dies between every two steps of a transition: judged, journaled, annunciated, stored,
//! acknowledged. Afterwards the journal holds every transition once.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, ensure};
use fengsui_e2e::broker::Broker;
use fengsui_e2e::centre::{Centre, CentreSetup};
use fengsui_e2e::replay_line::full;
use fengsui_e2e::scene::{Scene, act, say};
use fengsui_e2e::stranger::{Mimic, Stranger};
use fengsui_e2e::{clock, wait};
use fengsui_telemetry::wire::{Channel, decode_ack};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(1_500);
const SOON: Duration = Duration::from_secs(30);
const STEPS: [&str; 5] = ["judged", "journaled", "annunciated", "stored", "acknowledged"];
const ALARM: &str = "GW-MIMIC/MIMIC.1/H";
/// Transitions between two deaths.
const ROUND: u64 = 6;
const LIMITS: &str = "\u{6d4b}\u{70b9},类型,限值,回差,上升延时,下降延时,优先级,锁存,依据,可信度
tag,kind,limit,deadband,on_delay_s,off_delay_s,priority,latch,source,confidence
MIMIC.1,H,85,1,,,P2,false,实验用,示例
MIMIC.1,STALE,86400,,,,P3,false,实验用,示例
,OFFLINE,86400,,,,P2,false,实验用,示例
";

struct Sender {
    stranger: Stranger,
    topic: String,
    batches: Vec<Vec<u8>>,
    durable: usize,
}

impl Sender {
    fn look(&mut self) {
        for (topic, payload) in self.stranger.heard_so_far() {
            if topic.ends_with("/ack")
                && let Ok(ack) = decode_ack(&payload)
            {
                let next = usize::try_from(ack.durable.next).unwrap_or(usize::MAX);
                self.durable = self.durable.max(next.min(self.batches.len()));
            }
        }
    }

    /// What is not known to be durable, again.
    async fn offer(&mut self) -> anyhow::Result<()> {
        self.look();
        for batch in self.batches.iter().skip(self.durable) {
            self.stranger.say(&self.topic, batch.clone(), false).await?;
        }
        self.stranger.flush().await
    }
}

async fn play(scene: &Scene) -> anyhow::Result<()> {
    let deaths = if full() { 500 } else { 25 };
    std::fs::write(scene.path().join("limits.csv"), LIMITS)?;
    let broker = Broker::start(scene).await?;
    let setup = CentreSetup {
        mqtt: format!("broker = \"127.0.0.1:{}\"", broker.port),
        alarm: "live_s = 86000".to_owned(),
        gateways: vec![("GW-MIMIC".to_owned(), "limits.csv".to_owned())],
    };
    let mut centre = Centre::start(scene, &setup).await?;
    let mut mimic = Mimic::new("GW-MIMIC", 3);
    let stranger = Stranger::connect(broker.port, "mimic", &["fengsui/1/GW-MIMIC/ack"]).await?;
    let topic = mimic.topic(Channel::Live)?;
    let mut sender = Sender { stranger, topic, batches: Vec::new(), durable: 0 };
    let birth = mimic.birth()?;
    sender.stranger.say(&mimic.topic(Channel::Birth)?, birth, true).await?;
    let begin = clock::wall_ms() - 20 * 3_600_000;
    let mut chance = scene.chance();
    let mut wanted = Vec::new();
    for death in 0..deaths {
        let step = STEPS.get(death % STEPS.len()).context("a step")?;
        let count = chance.within(1, ROUND);
        centre.kill()?;
        centre.env = vec![("FENGSUI_DIE_AT".to_owned(), format!("{step}:{count}"))];
        // It may die before it has answered once.
        let alive = centre.restart().await.is_ok();
        for _ in 0..ROUND {
            let number = i64::try_from(sender.batches.len())?;
            let te = begin + number * 20_000;
            let high = number % 2 == 1;
            if number > 0 {
                wanted.push((if high { "on" } else { "off" }.to_owned(), te));
            }
            sender.batches.push(mimic.batch(te, if high { 90.0 } else { 10.0 })?);
        }
        if alive {
            die(&mut centre, &mut sender, step).await?;
        }
        centre.env.clear();
        centre.revive();
        if !alive {
            say(&format!("death {death} at {step}:{count}: before it answered"));
        }
        centre.restart().await?;
        settle(&mut sender).await?;
    }
    told_once(&centre, &wanted).await?;
    centre.terminate().await
}

/// Offers what is not durable until the centre has died of it.
async fn die(centre: &mut Centre, sender: &mut Sender, step: &str) -> anyhow::Result<()> {
    let what = format!("the death at {step}");
    let mut offered = None;
    wait::until_true(&what, SOON, async || {
        if centre.program()?.must_run().is_err() {
            return Ok(true);
        }
        let again = offered.is_none_or(|at: std::time::Instant| at.elapsed().as_secs() >= 3);
        if again {
            offered = Some(clock::monotonic());
            sender.offer().await?;
        }
        Ok(false)
    })
    .await
}

/// Offers until all of it is durable.
async fn settle(sender: &mut Sender) -> anyhow::Result<()> {
    let mut offered = None;
    wait::until_true("everything to be durable", SOON, async || {
        sender.look();
        if sender.durable == sender.batches.len() {
            return Ok(true);
        }
        let again = offered.is_none_or(|at: std::time::Instant| at.elapsed().as_secs() >= 3);
        if again {
            offered = Some(clock::monotonic());
            sender.offer().await?;
        }
        Ok(false)
    })
    .await
}

/// Every occurrence is in the journal, begun once, with the bounds that the samples give it, and
/// nothing else is. A batch that a death held up comes after younger ones: then a row revises.
async fn told_once(centre: &Centre, wanted: &[(String, i64)]) -> anyhow::Result<()> {
    let mut told = BTreeMap::new();
    let mut changes = 0;
    for row in &centre.api.journal().await? {
        if row.get("alarm").and_then(Value::as_str) != Some(ALARM) {
            continue;
        }
        changes += 1;
        let cause = row.get("cause").and_then(Value::as_str).unwrap_or_default();
        let number = row.get("occurrence").and_then(Value::as_u64).context("occurrence")?;
        let time = |key: &str| row.get(key).and_then(Value::as_i64);
        let bounds = (time("te_on_ms").context("te_on_ms")?, time("te_off_ms"));
        let before = told.insert(number, bounds);
        ensure!((cause == "on") == before.is_none(), "occurrence {number} begins twice: {row}");
        ensure!(before != Some(bounds), "occurrence {number} is told twice: {row}");
    }
    let ons = wanted.iter().filter(|(cause, _)| cause == "on").map(|(_, te)| *te);
    let mut offs = wanted.iter().filter(|(cause, _)| cause == "off").map(|(_, te)| *te);
    let wanted: Vec<(i64, Option<i64>)> = ons.map(|on| (on, offs.next())).collect();
    let mut told: Vec<_> = told.into_values().collect();
    told.sort_unstable();
    let differs = told.iter().zip(&wanted).position(|(told, wanted)| told != wanted);
    ensure!(
        told == wanted,
        "{} occurrences told, {} wanted, first difference at {differs:?}: {:?} / {:?}",
        told.len(),
        wanted.len(),
        told.get(differs.unwrap_or(0)..).map(|rest| rest.iter().take(6).collect::<Vec<_>>()),
        wanted.get(differs.unwrap_or(0)..).map(|rest| rest.iter().take(6).collect::<Vec<_>>())
    );
    say(&format!("{} occurrences in {changes} rows, each begun once", told.len()));
    Ok(())
}

#[test]
fn a_death_between_any_two_steps_loses_and_doubles_nothing() {
    act("kill-steps", LIMIT, play);
}
