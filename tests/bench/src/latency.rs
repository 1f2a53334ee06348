//! From the publication of a changed reading to the event on a browser's live stream: broker,
//! intake, engine, journal with fsync, desk, HTTP. And what it all costs on the wire.
//!
//! - Fifty gateways on MQTT, a hundred samples a second from each, a batch a second; each batch
//!   brings two points above their limit and takes the two of the batch before back.
//! - The clock starts before the batch is encoded and stops when the client has the bytes of the
//!   event. The scan period is not in it. Gateways, broker, centre and client share the machine.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};
use fengsui::stamp::Stamp;
use fengsui_telemetry::Reading;
use futures::StreamExt;
use serde::Deserialize;
use tokio::task::JoinSet;

use crate::figures::{Figure, aims};
use crate::fleet::{Member, Traffic};
use crate::load::{Gateway, tag};
use crate::{centre, clock, note};

const GATEWAYS: u32 = 50;
const POINTS: u32 = 100;
/// Longer than the centre goes without a snapshot of its engine, so that one is in it.
const SECONDS: u32 = 64;
/// Points of each batch that come above their limit.
const CHANGES: u32 = 2;
/// Above H (85), below HH (95) of every point that is no gas head.
const ALARMING: f64 = 90.0;
/// Of ten points the first five are levels and temperatures.
const LIKELY: u32 = 5;
/// Fewer events than this measure nothing.
const EVENTS_MIN: usize = 2_000;
/// Last events may take this long.
const TAIL: Duration = Duration::from_secs(5);
/// IPv4, TCP and its time stamps.
const SEGMENT: f64 = 52.0;
/// Segments of one PUBLISH with its PUBACK; loopback showed 3.8.
const SEGMENTS: f64 = 4.0;
const PUBACK: f64 = 4.0;

/// When each alarm was sent, by key and source time. A mutex, since both ends look at it from
/// threads of their own, for microseconds.
type Sent = Arc<Mutex<HashMap<(String, i64), Instant>>>;

pub(crate) async fn measure(folder: &Path) -> anyhow::Result<Vec<Figure>> {
    let gateways: Vec<Gateway> = (0..GATEWAYS).map(|number| Gateway::new(number, POINTS)).collect();
    let centre = centre::start(folder, &gateways, POINTS).await?;
    let broker = centre.broker.context("the broker has no address")?;
    let sent = Sent::default();
    let traffic = Arc::new(Traffic::default());
    let over = Arc::new(AtomicBool::new(false));
    let listener = {
        let (url, sent, over) =
            (format!("http://{}/api/v1/stream", centre.http), sent.clone(), over.clone());
        let token = centre.accounts.program_token("admin", "bench").await?;
        own_thread("listener", move || async move { listen(&url, &token, &sent, &over).await })?
    };
    let fleet = {
        let (sent, traffic) = (sent.clone(), traffic.clone());
        own_thread("fleet", move || publish_all(gateways, broker, sent, traffic))?
    };
    let sending = tokio::task::spawn_blocking(move || fleet.join());
    sending.await?.map_err(|_| anyhow!("the fleet panicked"))??;
    tokio::time::sleep(TAIL).await;
    over.store(true, Ordering::Relaxed);
    let heard = tokio::task::spawn_blocking(move || listener.join());
    let heard = heard.await?.map_err(|_| anyhow!("the listener panicked"))??;
    note(&format!("  slowest {}", slowest(&heard)));
    let mut latencies: Vec<f64> = heard.iter().map(|(_, ms)| *ms).collect();
    let expected = usize::try_from(GATEWAYS * CHANGES * (SECONDS - 1))?;
    let unanswered = sent.lock().unwrap_or_else(PoisonError::into_inner).len();
    let early = centre.counters.unrecorded.load(Ordering::Relaxed);
    note(&format!(
        "  {} alarm events of {expected}, {unanswered} missing, {early} shown before they were recorded",
        latencies.len()
    ));
    centre.stop().await;
    ensure!(latencies.len() >= EVENTS_MIN, "{} events are too few", latencies.len());
    ensure!(unanswered == 0, "{unanswered} alarms never came");
    latencies.sort_by(f64::total_cmp);
    let at = |part: f64| quantile(&latencies, part);
    let wire = bytes_per_sample(&traffic);
    Ok(vec![
        Figure::new(aims::latency_change_to_sse_p50_ms, at(0.5)),
        Figure::new(aims::latency_change_to_sse_p99_ms, at(0.99)),
        Figure::new(aims::latency_change_to_sse_p999_ms, at(0.999)),
        Figure::new(aims::wire_bytes_per_sample, wire),
    ])
}

fn own_thread<T, F>(
    name: &str,
    work: impl FnOnce() -> F + Send + 'static,
) -> anyhow::Result<std::thread::JoinHandle<anyhow::Result<T>>>
where
    T: Send + 'static,
    F: Future<Output = anyhow::Result<T>>,
{
    let thread = std::thread::Builder::new().name(name.to_owned());
    Ok(thread.spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(work())
    })?)
}

async fn publish_all(
    gateways: Vec<Gateway>,
    broker: SocketAddr,
    sent: Sent,
    traffic: Arc<Traffic>,
) -> anyhow::Result<()> {
    let mut members = Vec::new();
    for gateway in gateways {
        members.push(Member::join(gateway, broker, traffic.clone()).await?);
    }
    // The engine has each plan a moment after the answer to the birth.
    tokio::time::sleep(Duration::from_secs(2)).await;
    for counter in [&traffic.acks, &traffic.ack_bytes] {
        counter.store(0, Ordering::Relaxed);
    }
    let begin = tokio::time::Instant::from_std(clock::monotonic());
    let mut tasks = JoinSet::new();
    for (place, member) in (0..).zip(members) {
        let first = begin + Duration::from_millis(u64::from(1_000 * place / GATEWAYS));
        tasks.spawn(publish(member, first, sent.clone()));
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(())
}

async fn publish(
    mut member: Member,
    first: tokio::time::Instant,
    sent: Sent,
) -> anyhow::Result<()> {
    let mut tick = tokio::time::interval_at(first, Duration::from_secs(1));
    for second in 0..SECONDS {
        tick.tick().await;
        let mut readings = member.gateway.second();
        let te = clock::now();
        let changing = if second == 0 { 0 } else { CHANGES };
        for change in 0..changing {
            let point = changed(second * CHANGES + change);
            if let Some((_, reading)) =
                usize::try_from(point).ok().and_then(|p| readings.get_mut(p))
            {
                *reading = Reading::Good(ALARMING);
            }
            let key = format!("{}/{}/H", member.gateway.id, tag(point));
            let mut sent = sent.lock().unwrap_or_else(PoisonError::into_inner);
            sent.insert((key, te.0), clock::monotonic());
        }
        let batch = member.gateway.batch(te, readings)?;
        member.publish(batch).await?;
    }
    let next = member.gateway.next();
    member.durable(next).await
}

/// Which point comes above its limit with change number `n`: levels and temperatures in turn.
fn changed(n: u32) -> u32 {
    let likely = POINTS / 10 * LIKELY;
    let n = n % likely;
    n / LIKELY * 10 + n % LIKELY
}

/// When an event arrived, and milliseconds since it was sent.
type Heard = (Instant, f64);

/// The worst moments: seconds since the first event, how many events of that half second took more
/// than 20 ms, the longest.
fn slowest(heard: &[Heard]) -> String {
    let Some((begin, _)) = heard.first() else { return String::new() };
    let mut moments: BTreeMap<u128, (usize, f64)> = BTreeMap::new();
    for (at, ms) in heard.iter().filter(|(_, ms)| *ms > 20.0) {
        let moment = moments.entry(at.duration_since(*begin).as_millis() / 500).or_default();
        *moment = (moment.0 + 1, moment.1.max(*ms));
    }
    let mut moments: Vec<_> = moments.into_iter().collect();
    moments.sort_by(|(_, a), (_, b)| b.1.total_cmp(&a.1));
    let moments = moments.iter().take(8).map(|(half, (count, most))| {
        format!("{}.{} s: {count} to {most:.0} ms", half / 2, half % 2 * 5)
    });
    moments.collect::<Vec<_>>().join(", ")
}

#[derive(Deserialize)]
struct Alarm {
    alarm: String,
    state: String,
    te_on: Option<String>,
}

/// Reads the stream until told to end; milliseconds from sending to arrival.
async fn listen(
    url: &str,
    token: &str,
    sent: &Sent,
    over: &AtomicBool,
) -> anyhow::Result<Vec<Heard>> {
    let request = reqwest::Client::new().get(url).bearer_auth(token);
    let response = request.send().await?.error_for_status()?;
    let mut bytes = response.bytes_stream();
    let mut text = Vec::new();
    let mut latencies = Vec::new();
    let mut resets = 0;
    while !over.load(Ordering::Relaxed) {
        // The stream pings, so this ends in time.
        let Some(chunk) = bytes.next().await else { break };
        let arrived = clock::monotonic();
        // What was looked through is not looked through again: an event of all values is long.
        let mut looked = text.len().saturating_sub(1);
        text.extend_from_slice(&chunk?);
        while let Some(end) = end_of_event(&text, looked) {
            let event: Vec<u8> = text.drain(..end).collect();
            looked = 0;
            let event = String::from_utf8_lossy(&event);
            resets += u32::from(event.starts_with("event: reset"));
            latencies.extend(latency(&event, sent, arrived).map(|ms| (arrived, ms)));
        }
    }
    // Catalogues that come into force reset the stream; later ones would show as missing events.
    note(&format!("  {resets} resets of the stream"));
    Ok(latencies)
}

/// One past the empty line that ends an event.
fn end_of_event(text: &[u8], from: usize) -> Option<usize> {
    let place = text.get(from..)?.windows(2).position(|pair| pair == b"\n\n")?;
    Some(from + place + 2)
}

fn latency(event: &str, sent: &Sent, arrived: Instant) -> Option<f64> {
    if !event.starts_with("event: alarm\n") {
        return None;
    }
    let data = event.lines().find_map(|line| line.strip_prefix("data: "))?;
    let alarm: Alarm = serde_json::from_str(data).ok()?;
    if alarm.state != "unack" {
        return None;
    }
    let te = Stamp::parse(&alarm.te_on?)?;
    let sent = sent.lock().unwrap_or_else(PoisonError::into_inner).remove(&(alarm.alarm, te.0))?;
    Some(arrived.duration_since(sent).as_secs_f64() * 1_000.0)
}

fn quantile(sorted: &[f64], part: f64) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place in a list of some thousands"
    )]
    let place = ((sorted.len() as f64 * part).ceil() as usize).max(1) - 1;
    sorted.get(place).copied().unwrap_or(f64::NAN)
}

/// Everything that a gateway's link carries for its samples, in both directions. Sizes and numbers
/// of PUBLISH packets are counted; each is taken to cost four segments: itself, its PUBACK, and a
/// bare acknowledgement of TCP for either, which a slow link would let ride along. Beats and the
/// link layer are not in it.
#[expect(clippy::cast_precision_loss, reason = "some millions")]
fn bytes_per_sample(traffic: &Traffic) -> f64 {
    let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
    let exchanges = get(&traffic.batches) + get(&traffic.acks);
    let mqtt = get(&traffic.batch_bytes) + get(&traffic.ack_bytes) + exchanges * PUBACK;
    let all = mqtt + exchanges * SEGMENTS * SEGMENT;
    let samples = get(&traffic.batches) * f64::from(POINTS);
    note(&format!(
        "  wire: PUBLISH {:.2}, with PUBACK and acknowledgements {:.2}, with TCP/IP {:.2} bytes a sample; {:.2} acknowledgements a batch",
        get(&traffic.batch_bytes) / samples,
        mqtt / samples,
        all / samples,
        get(&traffic.acks) / get(&traffic.batches)
    ));
    all / samples
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::people;

    #[test]
    fn quantiles_are_real_measurements() {
        let list: Vec<f64> = (1..=1_000).map(f64::from).collect();
        assert_eq!([0.5, 0.999].map(|part| quantile(&list, part)).map(people), ["500", "999"]);
        assert_eq!(people(quantile(&[3.0], 0.5)), "3");
    }

    #[test]
    fn changed_points_are_no_gas_heads_and_do_not_follow_themselves() {
        for n in 0..200 {
            assert!(changed(n) % 10 < LIKELY && changed(n) < POINTS);
            assert_ne!(changed(n), changed(n + CHANGES));
        }
    }
}
