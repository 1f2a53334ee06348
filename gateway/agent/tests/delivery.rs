//! The gateway with a real broker and a centre of a few lines, through broken connections.

mod centre;
#[expect(dead_code, reason = "the other test program uses the rest")]
mod plant;

use centre::{Broker, Centre};
use fengsui_gateway::{UplinkConfig, run};
use fengsui_telemetry::{Body, Lane, Reading, TimeMs};
use plant::{Device, site, until};
use tempfile::TempDir;
use tokio::sync::watch;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_record_arrives_once_whatever_the_broker_does() {
    let plc = Device::start().await;
    let gas = Device::start().await;
    plc.set_f32(0, 61.2);
    let folder = TempDir::new().unwrap();
    let mut config = site(folder.path(), plc.port, gas.port);
    let port = centre::free_port();
    config.uplink = Some(UplinkConfig { host: "127.0.0.1".into(), port });
    let (stop, stopped) = watch::channel(false);
    // Without a broker the plant is watched all the same.
    let gateway = tokio::spawn(run(config, stopped));
    until("scans without a broker", || plc.asked() > 5).await;

    let broker = Broker::start(port).await;
    let centre = Centre::start(port);
    until("first acknowledgements", || centre.seen(|c| c.durable() > 5)).await;
    centre.seen(|c| {
        let birth = c.birth.as_ref().unwrap();
        assert!(birth.online);
        assert_eq!(birth.catalogue.as_ref().unwrap().points.len(), 2);
        assert!(c.lanes.contains(&Lane::Backlog.into()), "what came before the broker is backlog");
    });
    until("a beat", || centre.seen(|c| c.beats > 0)).await;

    // The broker dies and forgets everything; the centre stays away for a while as well.
    drop(broker);
    let asked = plc.asked();
    until("scans during the outage", || plc.asked() > asked + 10).await;
    let _broker = Broker::start(port).await;
    let durable = centre.seen(|c| c.durable());
    until("acknowledgements after the outage", || centre.seen(|c| c.durable() > durable + 20))
        .await;

    plc.set_f32(0, 85.5);
    until("the alarm", || centre.seen(|c| c.transitions == ["GW-01/TK-101.LT/H AB"])).await;
    // A broker that dies may still have told the gateway's will.
    let wills = centre.seen(|c| c.farewells);
    stop.send_replace(true);
    gateway.await.unwrap().unwrap();
    until("the farewell", || centre.seen(|c| c.birth.as_ref().is_some_and(|b| !b.online))).await;
    centre.seen(|c| {
        // Drained: the centre has all there is, in one piece, and the order of times is right.
        assert_eq!(
            c.records.keys().copied().collect::<Vec<_>>(),
            (0..c.durable()).collect::<Vec<_>>()
        );
        let levels: Vec<(TimeMs, Reading)> = c
            .records
            .values()
            .filter_map(|record| match &record.body {
                Body::Scan(scan) if scan.readings[0].0 == 0 => {
                    Some((record.te, scan.readings[0].1))
                }
                Body::Scan(_) | Body::Transition(_) | Body::Gap(_) | Body::Clock(_) => None,
            })
            .collect();
        assert!(levels.is_sorted_by_key(|(te, _)| *te));
        assert_eq!(levels.last().unwrap().1, Reading::Good(85.5));
        assert_eq!(c.changed, 0, "the same offset came with other bytes");
        assert_eq!(c.farewells, wills + 1);
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_centre_that_lost_its_data_is_sent_what_is_kept() {
    let plc = Device::start().await;
    let gas = Device::start().await;
    let folder = TempDir::new().unwrap();
    let mut config = site(folder.path(), plc.port, gas.port);
    let port = centre::free_port();
    config.uplink = Some(UplinkConfig { host: "127.0.0.1".into(), port });
    let _broker = Broker::start(port).await;
    let (stop, stopped) = watch::channel(false);
    let gateway = tokio::spawn(run(config, stopped));
    let first = Centre::start(port);
    until("acknowledgements", || first.seen(|c| c.durable() > 30)).await;
    drop(first);
    let second = Centre::start(port);
    until("everything again", || second.seen(|c| c.durable() > 40)).await;
    second.seen(|c| assert!(c.records.contains_key(&0)));
    stop.send_replace(true);
    gateway.await.unwrap().unwrap();
}
