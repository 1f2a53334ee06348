//! The MQTT connection: polls rumqttc and hands on what the uplink wants to know.
//!
//! - Its own task, so that reading never waits for publishing.
//! - rumqttc loses and repeats as it likes: nothing here counts as delivered.

use std::time::Duration;

use fengsui_telemetry::wire::{Channel, PACKET_MAX, Topic};
use rumqttc::Outgoing;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{ConnAck, LastWill, Packet};
use rumqttc::v5::{
    AsyncClient, ConnectionError, Event, EventLoop, MqttOptions, MqttState, Request,
};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use crate::config::UplinkConfig;

/// Events on their way to the uplink. Acknowledgements come a few a second; when full, reading
/// from the broker waits.
const EVENTS_MAX: usize = 64;
/// Publications waiting for the connection. Small: what waits here is published again after a
/// reconnection.
const REQUESTS_MAX: usize = 32;
/// The broker tells the others that this gateway is gone after one and a half times this.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// A connection on which nothing moves for so long is none: signs of life, and answers to them, go
/// every [`KEEP_ALIVE`], and rumqttc waits for ever where the socket takes no more.
const STUCK: Duration = Duration::from_secs(30);
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
    let task = tokio::spawn(pump(events, options, say, STUCK));
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

async fn pump(
    mut events: EventLoop,
    options: MqttOptions,
    say: mpsc::Sender<Said>,
    stuck: Duration,
) {
    let mut pause = RECONNECT_MS;
    let (mut up, mut told) = (false, String::new());
    let mut leaving = false;
    loop {
        let polled = match timeout(stuck, events.poll()).await {
            Ok(Ok(Event::Incoming(Packet::ConnAck(ack)))) => greeted(&ack, &mut events),
            Ok(Ok(event)) => Ok(event),
            Ok(Err(ConnectionError::RequestsDone)) => return,
            Ok(Err(fault)) => Err(fault.to_string()),
            Err(_) => Err(format!("nothing moves for {} s", stuck.as_secs())),
        };
        let said = match polled {
            Ok(Event::Incoming(packet)) => heard(packet),
            Ok(Event::Outgoing(Outgoing::Disconnect)) => {
                leaving = true;
                None
            }
            Ok(Event::Outgoing(_)) => None,
            // What comes after our own farewell is no fault.
            Err(_) if leaving => return,
            Err(fault) => {
                if up {
                    warn!(fault, "broker lost");
                } else if fault != told {
                    warn!(fault, "no broker");
                }
                (up, told) = (false, fault);
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

/// The broker has taken the gateway in, and may have set limits. One that takes no publication is
/// none. Whoever wants no sign of life, or a rarer one, is given one all the same: else nobody here
/// would notice that a connection is dead.
fn greeted(ack: &ConnAck, events: &mut EventLoop) -> Result<Event, String> {
    let limits = ack.properties.as_ref();
    if limits.and_then(|limits| limits.receive_max) == Some(0) {
        return Err("broker takes no publication: its Receive Maximum is 0".to_owned());
    }
    let wanted = limits.and_then(|limits| limits.server_keep_alive).map(u64::from);
    if wanted.is_some_and(|s| s == 0 || s > KEEP_ALIVE.as_secs()) {
        events.options.set_keep_alive(KEEP_ALIVE);
    }
    Ok(Event::Incoming(Packet::ConnAck(ack.clone())))
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

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    /// A broker that says these properties in its CONNACK, and the pump that meets it.
    async fn meet(stuck: Duration) -> (TcpListener, mpsc::Receiver<Said>, AsyncClient) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut options = MqttOptions::new("GW-01", "127.0.0.1", port);
        options.set_keep_alive(KEEP_ALIVE);
        let (client, events) = AsyncClient::new(options.clone(), REQUESTS_MAX);
        let (say, said) = mpsc::channel(EVENTS_MAX);
        tokio::spawn(pump(events, options, say, stuck));
        (listener, said, client)
    }

    async fn greet(listener: &TcpListener, properties: &[u8]) -> TcpStream {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut connect = [0; 256];
        assert!(stream.read(&mut connect).await.unwrap() > 10);
        let length = u8::try_from(properties.len()).unwrap();
        let head = [0x20, 3 + length, 0, 0, length];
        stream.write_all(&[&head[..], properties].concat()).await.unwrap();
        stream
    }

    #[tokio::test]
    async fn a_connection_on_which_nothing_moves_is_given_up() {
        let (listener, mut said, _client) = meet(Duration::from_millis(100)).await;
        for _ in 0..2 {
            let _still_open = greet(&listener, &[]).await;
            assert_eq!(said.recv().await, Some(Said::Connected));
            assert_eq!(said.recv().await, Some(Said::Gone));
        }
    }

    #[tokio::test]
    async fn a_broker_that_takes_no_publication_is_none() {
        let (listener, mut said, _client) = meet(STUCK).await;
        let _refused = greet(&listener, &[0x21, 0, 0]).await;
        assert_eq!(said.recv().await, Some(Said::Gone));
        let _good = greet(&listener, &[]).await;
        assert_eq!(said.recv().await, Some(Said::Connected));
    }

    #[tokio::test]
    async fn a_broker_that_wants_no_sign_of_life_is_published_to_all_the_same() {
        let (listener, mut said, client) = meet(STUCK).await;
        let mut stream = greet(&listener, &[0x13, 0, 0]).await;
        assert_eq!(said.recv().await, Some(Said::Connected));
        let mut pings = 0;
        for wanted in 0..20_u8 {
            client.try_publish("t", QoS::AtMostOnce, false, vec![wanted]).unwrap();
            loop {
                let mut head = [0; 2];
                stream.read_exact(&mut head).await.unwrap();
                let mut packet = vec![0; usize::from(head[1])];
                stream.read_exact(&mut packet).await.unwrap();
                if head[0] == 0x30 {
                    assert_eq!(packet.last(), Some(&wanted));
                    break;
                }
                pings += 1;
            }
        }
        assert!(pings <= 1, "asked {pings} times");
    }
}
