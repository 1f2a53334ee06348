//! The centre's connection to the broker: messages in, acknowledgements and limits out. It decides nothing.
//!
//! - A message that the intake has no room for is dropped here, counted, and offered again by its
//!   gateway: only the backlog lane is dropped at once, the others wait for room a little.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fengsui_telemetry::GatewayId;
use fengsui_telemetry::wire::{Ack, Channel, PACKET_MAX, Topic, encode_ack};
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::Packet;
use rumqttc::v5::{AsyncClient, Event, EventLoop, MqttOptions};
use tokio::sync::{mpsc, watch};
use tracing::{debug, info, warn};

use crate::counters::{Counters, add};

/// Requests that wait for the connection: acknowledgements of one round. When full, an
/// acknowledgement is left out and repeated two seconds later.
const REQUESTS_MAX: usize = 512;
/// Acknowledgements in flight.
const IN_FLIGHT: u16 = 256;
/// Patience of a live message with a full intake.
const LIVE_PATIENCE: Duration = Duration::from_secs(2);
const RECONNECT_FIRST: Duration = Duration::from_millis(200);
const RECONNECT_MAX: Duration = Duration::from_secs(5);

/// One message of a gateway.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// Where it came from.
    pub topic: Topic,
    /// What it holds.
    pub payload: Bytes,
}

/// Sends acknowledgements.
#[derive(Clone, Debug)]
pub struct Answers(AsyncClient);

impl Answers {
    /// Publishes an acknowledgement, or leaves it out where there is no room: it is repeated.
    pub fn send(&self, gateway: &GatewayId, ack: &Ack) {
        let topic = Topic { gateway: gateway.clone(), channel: Channel::Ack }.to_string();
        crate::steps::reached(crate::steps::Step::Acknowledged);
        if self.0.try_publish(topic, QoS::AtLeastOnce, false, encode_ack(ack)).is_err() {
            debug!(%gateway, "acknowledgement left out, it is repeated");
        }
    }

    /// Publishes signed limits, retained; false where there is no room.
    pub fn send_limits(&self, gateway: &GatewayId, payload: Vec<u8>) -> bool {
        let topic = Topic { gateway: gateway.clone(), channel: Channel::Limits }.to_string();
        self.0.try_publish(topic, QoS::AtLeastOnce, true, payload).is_ok()
    }
}

/// Connects and keeps connecting until asked to stop.
#[must_use]
pub fn start(
    host: &str,
    port: u16,
    to_intake: mpsc::Sender<Incoming>,
    counters: Arc<Counters>,
    stop: watch::Receiver<bool>,
) -> Answers {
    let client_id = format!("fengsui-centre-{:08x}", std::process::id());
    let mut options = MqttOptions::new(client_id, host, port);
    options
        .set_keep_alive(Duration::from_secs(10))
        .set_clean_start(true)
        .set_max_packet_size(u32::try_from(PACKET_MAX + 16 * 1_024).ok())
        .set_receive_maximum(Some(1_000))
        .set_outgoing_inflight_upper_limit(IN_FLIGHT);
    let (client, events) = AsyncClient::new(options, REQUESTS_MAX);
    let answers = Answers(client.clone());
    tokio::spawn(run(client, events, to_intake, counters, stop));
    answers
}

async fn run(
    client: AsyncClient,
    mut events: EventLoop,
    to_intake: mpsc::Sender<Incoming>,
    counters: Arc<Counters>,
    mut stop: watch::Receiver<bool>,
) {
    let mut pause = RECONNECT_FIRST;
    loop {
        let event = tokio::select! {
            biased;
            () = crate::stop::asked(&mut stop) => return,
            event = events.poll() => event,
        };
        match event {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                pause = RECONNECT_FIRST;
                info!("connected to the broker");
                for channel in Channel::UP {
                    if client.try_subscribe(Topic::filter(channel), QoS::AtLeastOnce).is_err() {
                        warn!(channel = channel.word(), "subscription left out, connecting anew");
                        events.clean();
                    }
                }
            }
            Ok(Event::Incoming(Packet::Publish(publish))) => {
                let name = String::from_utf8_lossy(&publish.topic);
                match Topic::parse(&name) {
                    Some(topic) => {
                        let incoming = Incoming { topic, payload: publish.payload };
                        hand_over(&to_intake, incoming, &counters).await;
                    }
                    None => add(&counters.undecodable, 1),
                }
            }
            Ok(_) => {}
            Err(fault) => {
                warn!(%fault, "no connection to the broker");
                tokio::select! {
                    () = crate::stop::asked(&mut stop) => return,
                    () = tokio::time::sleep(pause) => {}
                }
                pause = (pause * 2).min(RECONNECT_MAX);
            }
        }
    }
}

async fn hand_over(to_intake: &mpsc::Sender<Incoming>, incoming: Incoming, counters: &Counters) {
    let taken = match incoming.topic.channel {
        Channel::Backlog => to_intake.try_send(incoming).is_ok(),
        Channel::Live | Channel::Birth | Channel::Beat | Channel::Ack | Channel::Limits => {
            to_intake.send_timeout(incoming, LIVE_PATIENCE).await.is_ok()
        }
    };
    if !taken {
        add(&counters.shed, 1);
    }
}
