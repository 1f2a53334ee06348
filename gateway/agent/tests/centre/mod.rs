//! A broker, and a centre of a few lines: it takes batches, keeps a ledger and acknowledges.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fengsui_telemetry::ledger::Ledger;
use fengsui_telemetry::wire::{
    Ack, Birth, Channel, Topic, decode_batch, decode_beat, decode_birth, encode_ack,
};
use fengsui_telemetry::{Body, Epoch, GatewayId, Lane, Offset, Record, TimeMs};
use mqtt5::broker::config::{StorageBackend, StorageConfig};
use mqtt5::broker::{BrokerConfig, MqttBroker};
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::Packet;
use rumqttc::v5::{AsyncClient, Event, MqttOptions};
use tokio::task::JoinHandle;
use tokio::time::interval;

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub(crate) struct Broker {
    task: JoinHandle<()>,
}

impl Broker {
    /// On a port that may have been used a moment ago.
    pub(crate) async fn start(port: u16) -> Self {
        let mut again = interval(Duration::from_millis(50));
        let mut broker = loop {
            again.tick().await;
            let storage = StorageConfig::default()
                .with_backend(StorageBackend::Memory)
                .with_persistence(false);
            let config = BrokerConfig::default()
                .with_bind_address(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
                .with_max_packet_size(1 << 20)
                .with_storage(storage);
            if let Ok(broker) = MqttBroker::with_config(config).await {
                break broker;
            }
        };
        let task = tokio::spawn(async move { broker.run().await.unwrap() });
        Self { task }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The wall clock, as the gateway stamps by it.
pub(crate) fn wall() -> TimeMs {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap();
    TimeMs(i64::try_from(since.as_millis()).unwrap())
}

#[derive(Default)]
pub(crate) struct Taken {
    ledger: Ledger,
    epoch: Option<Epoch>,
    pub(crate) birth: Option<Birth>,
    /// Births that said that the gateway is gone.
    pub(crate) farewells: usize,
    pub(crate) beats: usize,
    pub(crate) records: BTreeMap<Offset, Record>,
    pub(crate) changed: usize,
    pub(crate) lanes: BTreeSet<Lane2>,
    pub(crate) transitions: Vec<String>,
    /// How old each record was when it came on the live lane, ms.
    pub(crate) live_ages: Vec<i64>,
}

/// A lane that can be put in a set.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lane2 {
    Live,
    Backlog,
}

impl From<Lane> for Lane2 {
    fn from(lane: Lane) -> Self {
        match lane {
            Lane::Live => Self::Live,
            Lane::Backlog => Self::Backlog,
        }
    }
}

impl Taken {
    pub(crate) fn durable(&self) -> Offset {
        self.epoch.map_or(0, |epoch| self.ledger.durable(epoch).next)
    }

    fn take(&mut self, topic: &str, payload: &[u8]) {
        let lane = match Topic::parse(topic).unwrap().channel {
            Channel::Birth => {
                let birth = decode_birth(payload).unwrap();
                self.farewells += usize::from(!birth.online);
                if birth.online {
                    self.epoch = Some(birth.epoch);
                }
                self.birth = Some(birth);
                return;
            }
            Channel::Beat => {
                decode_beat(payload).unwrap();
                self.beats += 1;
                return;
            }
            Channel::Live => Lane2::Live,
            Channel::Backlog => Lane2::Backlog,
            Channel::Ack | Channel::Limits => return,
        };
        self.lanes.insert(lane);
        let batch = decode_batch(payload).unwrap();
        let epoch = batch.head.epoch;
        assert!(self.epoch.is_none_or(|known| known == epoch), "a new epoch without need");
        self.epoch = Some(epoch);
        for entry in batch.entries {
            let (lo, hi) = (entry.offset, entry.offset + entry.span);
            let record = entry.record.unwrap();
            let fresh = !self.ledger.take(epoch, lo, hi).unwrap().is_empty();
            self.ledger.commit(epoch, lo, hi);
            if fresh {
                if lane == Lane2::Live {
                    self.live_ages.push(wall().since(record.te));
                }
                if let Body::Transition(t) = &record.body {
                    self.transitions.push(format!("{} {}{}", t.alarm, t.from, t.to));
                }
                self.records.insert(lo, record);
            } else if self.records.get(&lo).is_some_and(|known| *known != record) {
                self.changed += 1;
            }
        }
    }

    fn ack(&self) -> Option<Vec<u8>> {
        let durable = self.ledger.durable(self.epoch?);
        Some(encode_ack(&Ack {
            durable,
            birth_wanted: false,
            clock: TimeMs(0),
            fault: String::new(),
        }))
    }
}

pub(crate) struct Centre {
    taken: Arc<Mutex<Taken>>,
    task: JoinHandle<()>,
}

impl Centre {
    pub(crate) fn start(port: u16) -> Self {
        let taken = Arc::new(Mutex::new(Taken::default()));
        let task = tokio::spawn(serve(port, taken.clone()));
        Self { taken, task }
    }

    pub(crate) fn seen<T>(&self, look: impl FnOnce(&Taken) -> T) -> T {
        look(&self.taken.lock().unwrap())
    }
}

impl Drop for Centre {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(port: u16, taken: Arc<Mutex<Taken>>) {
    let mut options = MqttOptions::new("centre", "127.0.0.1", port);
    options.set_max_packet_size(Some(1 << 20));
    let (client, mut events) = AsyncClient::new(options, 64);
    let gateway = GatewayId::parse("GW-01").unwrap();
    let ack_to = Topic { gateway, channel: Channel::Ack }.to_string();
    let mut again = interval(Duration::from_millis(300));
    loop {
        let event = tokio::select! {
            event = events.poll() => event,
            _ = again.tick() => {
                let ack = taken.lock().unwrap().ack();
                if let Some(ack) = ack {
                    client.try_publish(ack_to.clone(), QoS::AtLeastOnce, false, ack).ok();
                }
                continue;
            }
        };
        match event {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                for channel in Channel::UP {
                    client.try_subscribe(Topic::filter(channel), QoS::AtLeastOnce).unwrap();
                }
            }
            Ok(Event::Incoming(Packet::Publish(publish))) => {
                let topic = String::from_utf8(publish.topic.to_vec()).unwrap();
                taken.lock().unwrap().take(&topic, &publish.payload);
            }
            Ok(_) => {}
            // No broker: asked again with the next tick.
            Err(_) => {
                again.tick().await;
            }
        }
    }
}
