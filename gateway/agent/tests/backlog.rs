//! A week without a network: the backlog drains fast, and what is measured now does not wait
//! behind it.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails where it stands")]

mod centre;
#[expect(dead_code, reason = "the other test programs use the rest")]
mod plant;

use std::time::Duration;

use centre::{Broker, Centre};
use fengsui_gateway::{Config, UplinkConfig, preload_spool, run};
use fengsui_telemetry::{Body, ClockQuality, Reading, Record, Scan, TimeMs};
use plant::{Device, until, write_site};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::time::{Instant, interval};

/// One group of twenty points every ten seconds.
const EVERY_MS: i64 = 10_000;
const POINTS: u32 = 20;
/// Records of a week.
const WEEK: i64 = 7 * 86_400_000 / EVERY_MS;
/// The backlog must come in at this many times the speed at which it was made.
const TIMES: f64 = 20.0;

/// A slowly moving value with two decimals, as instruments give it.
fn scan(n: i64, ago_ms: i64, now: TimeMs) -> Record {
    let value = |point: u32| {
        let step = (n * 7 + i64::from(point) * 31) % 4_000;
        f64::from(i32::try_from(step).unwrap()) / 100.0 + 40.0
    };
    let readings = (0..POINTS).map(|point| (point, Reading::Good(value(point)))).collect();
    let te = now + (n * EVERY_MS - ago_ms);
    Record { te, body: Body::Scan(Scan { readings, clock: ClockQuality::Synchronised }) }
}

/// The two live points of the test plant, and eighteen more that only the past has.
fn widen(folder: &std::path::Path) {
    let path = folder.join("points.csv");
    let mut text = std::fs::read_to_string(&path).unwrap();
    for point in 2..POINTS {
        text += &format!(
            "P-{point},点{point},罐区,level,%,0,100,plc,holding,{},f32,1,60000\n",
            2 * point
        );
    }
    std::fs::write(&path, text).unwrap();
    let own = std::fs::read_to_string(folder.join("gateway.toml")).unwrap();
    std::fs::write(folder.join("gateway.toml"), own.replace("max_mb = 8", "max_mb = 64")).unwrap();
}

fn p99(mut ages: Vec<i64>) -> i64 {
    assert!(ages.len() >= 50, "only {} live records", ages.len());
    ages.sort_unstable();
    ages[ages.len() * 99 / 100]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_week_of_backlog_drains_and_live_values_do_not_wait_for_it() {
    let plc = Device::start().await;
    let gas = Device::start().await;
    let folder = TempDir::new().unwrap();
    write_site(folder.path(), plc.port, gas.port);
    widen(folder.path());
    let mut config = Config::load(&folder.path().join("gateway.toml")).unwrap();
    let now = centre::wall();
    preload_spool(&config, &mut (0..WEEK).map(|n| scan(n, WEEK * EVERY_MS, now))).unwrap();
    let port = centre::free_port();
    config.uplink = Some(UplinkConfig { host: "127.0.0.1".into(), port });
    let (stop, stopped) = watch::channel(false);
    let gateway = tokio::spawn(run(config, stopped));
    let asked = plc.asked();
    until("the plant is read", || plc.asked() > asked + 20).await;
    let _broker = Broker::start(port).await;
    let centre = Centre::start(port);
    let begun = Instant::now();
    let week = u64::try_from(WEEK).unwrap();
    let mut live_first = false;
    let patience = Duration::from_secs(120);
    let mut look = interval(Duration::from_millis(5));
    while centre.seen(|c| c.durable()) < week {
        live_first |= centre.seen(|c| c.live_ages.len() > 5 && c.durable() < week / 2);
        assert!(begun.elapsed() < patience, "{} of {week}", centre.seen(|c| c.durable()));
        look.tick().await;
    }
    let took = begun.elapsed();
    let count = centre.seen(|c| c.live_ages.len());
    until("live alone", || centre.seen(|c| c.live_ages.len() >= count + 150)).await;
    let mut during = centre.seen(|c| c.live_ages.clone());
    let alone = p99(during.split_off(count));
    let times = WEEK as f64 * EVERY_MS as f64 / 1_000.0 / took.as_secs_f64();
    let rate = WEEK as f64 * f64::from(POINTS) / took.as_secs_f64();
    let beside = p99(during);
    eprintln!(
        "a week in {took:?}: {times:.0} x real time, {rate:.0} samples/s; live p99 {beside} ms \
         beside it ({count} records), {alone} ms alone"
    );
    assert!(live_first, "live waited for the backlog");
    assert!(times >= TIMES, "{times}");
    // What waits behind a backlog of this size waits for seconds; a loaded machine costs some
    // hundred milliseconds on both sides. The ratio itself is measured by `make bench`.
    assert!(beside < 2 * alone + 500, "{beside} ms beside the backlog, {alone} ms alone");
    stop.send_replace(true);
    gateway.await.unwrap().unwrap();
    centre.seen(|c| {
        assert!(c.records.keys().copied().eq(0..c.durable()), "not all of it came");
        assert_eq!(c.changed, 0);
    });
}
