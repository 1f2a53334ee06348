//! Gateways of the load on real MQTT connections, each with a window of batches that wait for
//! their acknowledgement.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use fengsui_telemetry::Offset;
use fengsui_telemetry::wire::{Channel, PACKET_MAX, Topic, decode_ack};
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::Packet;
use rumqttc::v5::{AsyncClient, Event, EventLoop, MqttOptions};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::load::Gateway;

/// Requests of one gateway that wait for its connection.
const REQUESTS_MAX: usize = 64;
/// Without an acknowledgement for this long the measurement has failed.
const STALLED: Duration = Duration::from_secs(20);

/// What went over the connections of a fleet.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    /// Batches and the bytes of their PUBLISH packets.
    pub(crate) batches: AtomicU64,
    pub(crate) batch_bytes: AtomicU64,
    /// Acknowledgements and the bytes of theirs.
    pub(crate) acks: AtomicU64,
    pub(crate) ack_bytes: AtomicU64,
}

/// One connected gateway.
pub(crate) struct Member {
    pub(crate) gateway: Gateway,
    client: AsyncClient,
    live: String,
    durable: watch::Receiver<Offset>,
    traffic: Arc<Traffic>,
}

impl Member {
    /// Connects and says who it is; comes back when the centre has answered.
    pub(crate) async fn join(
        gateway: Gateway,
        broker: SocketAddr,
        traffic: Arc<Traffic>,
    ) -> anyhow::Result<Self> {
        let topic = |channel| Topic { gateway: gateway.id.clone(), channel }.to_string();
        let mut options = MqttOptions::new(
            format!("fengsui-{}", gateway.id),
            broker.ip().to_string(),
            broker.port(),
        );
        options.set_keep_alive(Duration::from_secs(10));
        options.set_max_packet_size(u32::try_from(PACKET_MAX).ok());
        let (client, events) = AsyncClient::new(options, REQUESTS_MAX);
        let (tell, mut durable) = watch::channel(Offset::MAX);
        let ack_topic = topic(Channel::Ack);
        tokio::spawn(listen(events, tell, traffic.clone()));
        client.subscribe(ack_topic, QoS::AtLeastOnce).await?;
        client.publish(topic(Channel::Birth), QoS::AtLeastOnce, true, gateway.birth()?).await?;
        match timeout(STALLED, durable.wait_for(|next| *next != Offset::MAX)).await {
            Ok(answer) => drop(answer?),
            Err(_) => bail!("the centre does not answer the birth of {}", gateway.id),
        }
        let live = topic(Channel::Live);
        Ok(Self { gateway, client, live, durable, traffic })
    }

    /// Publishes a batch.
    pub(crate) async fn publish(&self, payload: Bytes) -> anyhow::Result<()> {
        self.traffic.batches.fetch_add(1, Ordering::Relaxed);
        let bytes = publish_bytes(self.live.len(), payload.len());
        self.traffic.batch_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.client
            .publish_bytes(self.live.clone(), QoS::AtLeastOnce, false, payload)
            .await
            .context("the connection has ended")
    }

    /// Waits until all below `next` is durable.
    pub(crate) async fn durable(&mut self, next: Offset) -> anyhow::Result<()> {
        let came =
            timeout(STALLED, self.durable.wait_for(|durable| *durable >= next)).await.is_ok();
        if !came {
            let durable = *self.durable.borrow();
            bail!("{}: durable is {durable}, waiting for {next}", self.gateway.id);
        }
        Ok(())
    }
}

async fn listen(mut events: EventLoop, tell: watch::Sender<Offset>, traffic: Arc<Traffic>) {
    // A lost connection shows as a measurement that stalls.
    while let Ok(event) = events.poll().await {
        let Event::Incoming(Packet::Publish(publish)) = event else { continue };
        traffic.acks.fetch_add(1, Ordering::Relaxed);
        // With the properties that the broker adds of its own.
        traffic.ack_bytes.fetch_add(publish.size() as u64, Ordering::Relaxed);
        if let Ok(ack) = decode_ack(&publish.payload) {
            tell.send_replace(ack.durable.next);
        }
    }
}

/// Bytes of a PUBLISH with QoS 1 and no properties: header, length, topic, packet id, payload.
fn publish_bytes(topic: usize, payload: usize) -> u64 {
    let rest = 2 + topic + 2 + 1 + payload;
    let length = match rest {
        0..=127 => 1,
        128..=16_383 => 2,
        16_384..=2_097_151 => 3,
        _ => 4,
    };
    (1 + length + rest) as u64
}
