//! Two hours without a gateway, and what came to light afterwards: what is over asks for an answer
//! without a horn, what lasts is announced in full, and the page shows one package.

use std::time::Duration;

use anyhow::{Context, ensure};
use fengsui_e2e::broker::Broker;
use fengsui_e2e::centre::{Centre, CentreSetup};
use fengsui_e2e::scene::{Scene, act};
use fengsui_e2e::stranger::{Mimic, Stranger};
use fengsui_e2e::stream::Stream;
use fengsui_e2e::{clock, wait};
use fengsui_telemetry::wire::Channel;
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(120);
const SOON: Duration = Duration::from_secs(30);
const MINUTE: i64 = 60_000;
/// What came two hours ago came in time then: the test cannot wait two hours.
const ALARM: &str = "live_s = 10000";
const LIMITS: &str = "\u{6d4b}\u{70b9},类型,限值,回差,上升延时,下降延时,优先级,锁存,依据,可信度
tag,kind,limit,deadband,on_delay_s,off_delay_s,priority,latch,source,confidence
MIMIC.1,HH,95,1,,,P1,false,实验用,示例
MIMIC.1,H,85,1,,,P2,false,实验用,示例
MIMIC.2,H,85,1,,,P2,false,实验用,示例
MIMIC.3,H,85,1,,,P3,false,实验用,示例
,OFFLINE,3,,,,P2,false,实验用,示例
";

fn text<'a>(row: &'a Value, key: &str) -> &'a str {
    row.get(key).and_then(Value::as_str).unwrap_or_default()
}

async fn rows(centre: &Centre) -> anyhow::Result<Vec<Value>> {
    let desk = centre.api.json("/api/v1/desk").await?;
    Ok(desk.get("alarms").and_then(Value::as_array).context("alarms")?.clone())
}

async fn stands(centre: &Centre, alarm: &str, state: &str) -> anyhow::Result<Value> {
    wait::until(&format!("{alarm} as {state}"), SOON, async || {
        let found = rows(centre).await?;
        Ok(found.into_iter().find(|row| text(row, "alarm") == alarm && text(row, "state") == state))
    })
    .await
}

async fn packages(centre: &Centre) -> anyhow::Result<Vec<Value>> {
    let desk = centre.api.json("/api/v1/desk").await?;
    Ok(desk.get("packages").and_then(Value::as_array).context("packages")?.clone())
}

/// Everything that the stream says until the package is there: no horn for what is over.
async fn listen(stream: &mut Stream, centre: &Centre) -> anyhow::Result<()> {
    loop {
        let event = stream.next(SOON).await?;
        let over = event.data.get("alarm").and_then(Value::as_str) == Some("GW-MIMIC/MIMIC.1/HH");
        if over {
            ensure!(text(&event.data, "state") == "rtn_unack", "a horn for it: {}", event.data);
            ensure!(event.data.get("late") == Some(&Value::Bool(true)), "{}", event.data);
            ensure!(packages(centre).await?.len() <= 1, "one outage, one package");
            return Ok(());
        }
    }
}

async fn play(scene: &Scene) -> anyhow::Result<()> {
    std::fs::write(scene.path().join("limits.csv"), LIMITS)?;
    let broker = Broker::start(scene).await?;
    let setup = CentreSetup {
        mqtt: format!("broker = \"127.0.0.1:{}\"", broker.port),
        alarm: ALARM.to_owned(),
        gateways: vec![("GW-MIMIC".to_owned(), "limits.csv".to_owned())],
    };
    let mut centre = Centre::start(scene, &setup).await?;
    let mut stranger = Stranger::connect(broker.port, "mimic", &[]).await?;
    let mut mimic = Mimic::wide("GW-MIMIC", 7, 3);
    let (live, backlog) = (mimic.topic(Channel::Live)?, mimic.topic(Channel::Backlog)?);
    let now = clock::wall_ms();
    let begin = now - 120 * MINUTE;

    stranger.say(&mimic.topic(Channel::Birth)?, mimic.birth()?, true).await?;
    let first = vec![Mimic::scan(begin, &[(0, 10.0), (1, 10.0), (2, 10.0)])];
    stranger.say(&live, mimic.batch_at(0, first)?, false).await?;
    stands(&centre, "GW-MIMIC//OFFLINE", "unack").await?;

    shelve(&centre, "GW-MIMIC/MIMIC.3/H").await?;
    let shelved = clock::wall_ms();

    // Back again: the newest value first, on its own lane; then two hours, minute by minute.
    let mut stream = Stream::open(&centre.api, None).await?;
    let late = 1..=119_i64;
    let newest = 122;
    let last = vec![Mimic::scan(clock::wall_ms(), &[(0, 10.0), (1, 90.0), (2, 10.0)])];
    stranger.say(&live, mimic.batch_at(newest, last)?, false).await?;
    stands(&centre, "GW-MIMIC/MIMIC.2/H", "unack").await?;
    let minute = |minute: i64| {
        let high = if (8..23).contains(&minute) { 96.0 } else { 10.0 };
        let lasting = if minute >= 60 { 90.0 } else { 10.0 };
        Mimic::scan(begin + minute * MINUTE, &[(0, high), (1, lasting)])
    };
    let mut records: Vec<_> = late.map(minute).collect();
    // Above and back while the shelf runs: known, recorded, nobody's task.
    records.push(Mimic::scan(shelved + 10, &[(2, 90.0)]));
    records.push(Mimic::scan(shelved + 20, &[(2, 10.0)]));
    stranger.say(&backlog, mimic.batch_at(1, records)?, false).await?;
    listen(&mut stream, &centre).await?;

    let over = stands(&centre, "GW-MIMIC/MIMIC.1/HH", "rtn_unack").await?;
    ensure!(text(&over, "te_on") == at(&over, begin + 8 * MINUTE)?, "{over}");
    ensure!(text(&over, "te_off") == at(&over, begin + 23 * MINUTE)?, "{over}");
    let lasting = wait::until("the true beginning of what lasts", SOON, async || {
        let row = stands(&centre, "GW-MIMIC/MIMIC.2/H", "unack").await?;
        let begins = at(&row, begin + 60 * MINUTE)?;
        Ok((text(&row, "te_on") == begins).then_some(row))
    })
    .await?;
    ensure!(lasting.get("active") == Some(&Value::Bool(true)), "{lasting}");

    let quiet = rows(&centre).await?.into_iter().find(|row| text(row, "tag") == "MIMIC.3");
    ensure!(quiet.is_none_or(|row| text(&row, "state") == "shelved"), "a shelf is quiet");
    let told = centre.api.journal().await?;
    let told = told.iter().filter(|row| text(row, "alarm") == "GW-MIMIC/MIMIC.3/H");
    let on: Vec<_> = told.filter(|row| text(row, "cause") == "on").collect();
    ensure!(on.len() == 1, "the journal keeps what the shelf hides: {on:#?}");

    one_package(&centre).await?;
    centre.kill()?;
    centre.restart().await?;
    one_package(&centre).await
}

async fn shelve(centre: &Centre, alarm: &str) -> anyhow::Result<()> {
    let body = serde_json::json!({
        "alarm": alarm, "minutes": 60, "reason": "标定 calibration", "comment": "实验", "request": "s-1",
    });
    let headers = [("content-type", "application/json"), ("x-fengsui", "1")];
    let answer = centre.api.post("/api/v1/alarms/shelve", &headers, body.to_string()).await?;
    let told = answer.text().await?;
    ensure!(told.contains("\"done\""), "{told}");
    Ok(())
}

/// A time as the page writes it.
fn at(row: &Value, ms: i64) -> anyhow::Result<String> {
    let like = text(row, "te_on");
    let zone = like.get(like.len().saturating_sub(6)..).context("a zone")?;
    ensure!(zone == "+08:00", "{like}");
    let seconds = (ms + 8 * 3_600_000).div_euclid(1_000);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days to a date, after the calendar of four hundred years.
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    let ms = ms.rem_euclid(1_000);
    Ok(format!("{year:04}-{month:02}-{date:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}{zone}"))
}

async fn one_package(centre: &Centre) -> anyhow::Result<()> {
    let packages = packages(centre).await?;
    let [package] = packages.as_slice() else {
        anyhow::bail!("one outage, one package: {packages:#?}");
    };
    ensure!(text(package, "package") == "GW-MIMIC/OFFLINE#1", "{package}");
    ensure!(package.get("worst").and_then(Value::as_u64) == Some(1), "{package}");
    ensure!(package.get("samples").and_then(Value::as_u64) == Some(240), "{package}");
    let excursions = package.get("excursions").and_then(Value::as_array).context("excursions")?;
    let named: Vec<&str> = excursions.iter().map(|e| text(e, "alarm")).collect();
    ensure!(named == ["GW-MIMIC/MIMIC.1/HH", "GW-MIMIC/MIMIC.1/H"], "{named:?}");
    ensure!(package.get("unanswered").and_then(Value::as_u64) == Some(2), "{package}");
    Ok(())
}

#[test]
fn an_outage_of_two_hours_is_one_package_and_no_horn_for_what_is_over() {
    act("outage", LIMIT, play);
}
