//! The MQTT connection: polls rumqttc and hands on what the uplink wants to know.
//!
//! - Its own task, so that reading never waits for publishing.
//! - rumqttc loses and repeats as it likes: nothing here counts as delivered.

use std::time::Duration;

use fengsui_telemetry::wire::{Channel, PACKET_MAX, Topic};
use rumqttc::Outgoing;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{LastWill, Packet};
use rumqttc::v5::{AsyncClient, Event, EventLoop, MqttOptions, MqttState, Request};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tracing::{debug, info, warn};

use crate::config::UplinkConfig;

/// Events on their way to the uplink. Acknowledgements come a few a second; when full, reading
/// from the broker waits.
const EVENTS_MAX: usize = 64;
/// Publications waiting for the connection. Small: what waits here is published again after a
/// reconnection.
const REQUESTS_MAX: usize = 32;
/// The broker tells the others that this gateway is gone after one and a half times this.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// How long the broker keeps the session: queued acknowledgements survive a short absence.
const SESSION_S: u32 = 3_600;
/// First pause before another connection; doubles to [`RECONNECT_MAX_MS`].
const RECONNECT_MS: u64 = 250;
const RECONNECT_MAX_MS: u64 = 10_000;
/// Publications without PUBACK. Beyond it rumqttc waits; the uplink's own windows are smaller.
const INFLIGHT_MAX: u16 = 100;

/// What happened on the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// The broker has taken the gateway in.
    Connected,
    /// The connection is gone.
    Gone,
    /// An acknowledgement of the centre, undecoded.
    Ack(Vec<u8>),
    /// Limits of the centre, undecoded.
    Limits(Vec<u8>),
    /// The broker refused a publication.
    Refused(String),
}

/// Starts the connection. The task ends when the client and every clone of it is gone, or after
/// `disconnect`.
pub(super) fn start(
    config: &UplinkConfig,
    client_id: &str,
    will: (&Topic, Vec<u8>),
) -> (AsyncClient, mpsc::Receiver<Said>, tokio::task::JoinHandle<()>) {
    let mut options = MqttOptions::new(client_id, config.host.clone(), config.port);
    options.set_keep_alive(KEEP_ALIVE);
    options.set_clean_start(false);
    options.set_session_expiry_interval(Some(SESSION_S));
    options.set_max_packet_size(u32::try_from(PACKET_MAX).ok());
    options.set_outgoing_inflight_upper_limit(INFLIGHT_MAX);
    let (topic, payload) = will;
    options.set_last_will(LastWill::new(topic.to_string(), payload, QoS::AtLeastOnce, true, None));
    let (client, events) = AsyncClient::new(options.clone(), REQUESTS_MAX);
    let (say, said) = mpsc::channel(EVENTS_MAX);
    let task = tokio::spawn(pump(events, options, say));
    (client, said, task)
}

/// What one connection has left behind is no word about the next: a broker may ask for fewer
/// publications at a time, or for another sign of life, than the one before. What was under way is
/// offered again.
fn forget(events: &mut EventLoop, options: &MqttOptions) {
    events.clean();
    events.pending.retain(|request| !matches!(request, Request::Publish(_)));
    events.state = MqttState::new(INFLIGHT_MAX, false);
    events.options = options.clone();
}

async fn pump(mut events: EventLoop, options: MqttOptions, say: mpsc::Sender<Said>) {
    let mut pause = RECONNECT_MS;
    let mut up = false;
    let mut leaving = false;
    loop {
        let said = match events.poll().await {
            Ok(Event::Incoming(packet)) => heard(packet),
            Ok(Event::Outgoing(Outgoing::Disconnect)) => {
                leaving = true;
                None
            }
            Ok(Event::Outgoing(_)) => None,
            Err(rumqttc::v5::ConnectionError::RequestsDone) => return,
            // What comes after our own farewell is no fault.
            Err(_) if leaving => return,
            Err(fault) => {
                if up {
                    warn!(%fault, "broker lost");
                } else {
                    debug!(%fault, "no broker");
                }
                up = false;
                forget(&mut events, &options);
                if say.send(Said::Gone).await.is_err() {
                    return;
                }
                sleep(Duration::from_millis(pause)).await;
                pause = (pause * 2).min(RECONNECT_MAX_MS);
                continue;
            }
        };
        let Some(said) = said else { continue };
        if said == Said::Connected {
            info!("broker connected");
            up = true;
            pause = RECONNECT_MS;
        }
        if say.send(said).await.is_err() {
            return;
        }
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "not our enum; the rest is rumqttc's own work")]
fn heard(packet: Packet) -> Option<Said> {
    match packet {
        Packet::ConnAck(_) => Some(Said::Connected),
        Packet::Publish(publish) => {
            let topic = Topic::parse(&String::from_utf8_lossy(&publish.topic))?;
            match topic.channel {
                Channel::Ack => Some(Said::Ack(publish.payload.to_vec())),
                Channel::Limits => Some(Said::Limits(publish.payload.to_vec())),
                Channel::Live | Channel::Backlog | Channel::Birth | Channel::Beat => None,
            }
        }
        Packet::Disconnect(_) => Some(Said::Gone),
        Packet::PubAck(ack) => {
            use rumqttc::v5::mqttbytes::v5::PubAckReason::{NoMatchingSubscribers, Success};
            (ack.reason != Success && ack.reason != NoMatchingSubscribers)
                .then(|| Said::Refused(format!("{:?}", ack.reason)))
        }
        _ => None,
    }
}
