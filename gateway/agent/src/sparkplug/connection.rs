//! One MQTT connection of the projection, from CONNECT to its end. The next one is a new one: what
//! waited in this one must not go out before the births of another.
//!
//! - MQTT 3.1.1, clean session: what every SCADA broker speaks.
//! - Its own task, so that reading never waits for publishing.

use std::time::Duration;

use fengsui_telemetry::sparkplug::{COMMAND_BYTES_MAX, Publish, Qos};
use rumqttc::{
    AsyncClient, ConnectionError, Event, EventLoop, LastWill, MqttOptions, Outgoing, Packet, QoS,
    SubscribeReasonCode,
};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::SparkplugConfig;

/// Publications waiting for the connection. Few: data behind them wait in the machine, where a
/// newer value replaces an older one.
pub(super) const REQUESTS_MAX: usize = 8;
/// Events on their way to the projection; when full, reading from the broker waits.
const EVENTS_MAX: usize = 16;
/// The broker publishes the will after one and a half times this.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// A connection on which nothing moves for so long is none.
const STUCK: Duration = Duration::from_secs(30);
/// Largest packet to the broker: a DBIRTH of a thousand metrics with long descriptions.
const PACKET_OUT_MAX: usize = 1 << 20;
/// Largest packet from the broker: a command or a STATE that is worth reading, and its topic. A
/// larger one ends the connection.
const PACKET_IN_MAX: usize = 4 * COMMAND_BYTES_MAX;

/// What happened.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// The broker has taken the node in.
    Connected,
    /// The subscriptions stand; `refused` of them do not.
    Subscribed {
        /// How many.
        refused: usize,
    },
    /// Something was published for us.
    Heard { topic: String, payload: Vec<u8>, retained: bool },
    /// The end of this connection.
    Gone(End),
}

/// How a connection ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// As we asked.
    Farewell,
    /// No CONNECT can have gone out.
    Unreached(String),
    /// In the words of the network.
    Broken(String),
}

/// A connection and the way to it. Its task ends with it.
pub(super) struct Connection {
    pub(super) client: AsyncClient,
    pub(super) said: mpsc::Receiver<Said>,
    task: JoinHandle<()>,
}

impl Connection {
    pub(super) fn start(config: &SparkplugConfig, client_id: &str, will: Publish) -> Self {
        let mut options = MqttOptions::new(client_id, config.host.clone(), config.port);
        options.set_keep_alive(KEEP_ALIVE);
        options.set_clean_session(true);
        options.set_max_packet_size(PACKET_IN_MAX, PACKET_OUT_MAX);
        options.set_last_will(LastWill::new(will.topic, will.payload, qos(will.qos), false));
        let (client, events) = AsyncClient::new(options, REQUESTS_MAX);
        let (say, said) = mpsc::channel(EVENTS_MAX);
        let task = tokio::spawn(pump(events, say));
        Self { client, said, task }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(super) fn qos(qos: Qos) -> QoS {
    match qos {
        Qos::AtMostOnce => QoS::AtMostOnce,
        Qos::AtLeastOnce => QoS::AtLeastOnce,
    }
}

async fn pump(mut events: EventLoop, say: mpsc::Sender<Said>) {
    loop {
        let said = match timeout(STUCK, events.poll()).await {
            Err(_) => Some(Said::Gone(End::Broken("nothing moves any more".to_owned()))),
            Ok(Ok(Event::Incoming(packet))) => heard(packet),
            Ok(Ok(Event::Outgoing(Outgoing::Disconnect))) => Some(Said::Gone(End::Farewell)),
            Ok(Ok(Event::Outgoing(_))) => None,
            Ok(Err(fault)) => {
                let end = if never_left(&fault) { End::Unreached } else { End::Broken };
                Some(Said::Gone(end(fault.to_string())))
            }
        };
        let Some(said) = said else { continue };
        let last = matches!(said, Said::Gone(_));
        if say.send(said).await.is_err() || last {
            return;
        }
    }
}

/// Nothing listened, so nothing was said. In doubt the CONNECT has gone out.
fn never_left(fault: &ConnectionError) -> bool {
    use std::io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable};
    matches!(fault, ConnectionError::Io(io)
        if matches!(io.kind(), ConnectionRefused | HostUnreachable | NetworkUnreachable))
}

#[expect(clippy::wildcard_enum_match_arm, reason = "not our enum; the rest is rumqttc's own work")]
fn heard(packet: Packet) -> Option<Said> {
    match packet {
        Packet::ConnAck(_) => Some(Said::Connected),
        Packet::SubAck(ack) => {
            let failed = |code: &&SubscribeReasonCode| **code == SubscribeReasonCode::Failure;
            Some(Said::Subscribed { refused: ack.return_codes.iter().filter(failed).count() })
        }
        Packet::Publish(publish) => Some(Said::Heard {
            retained: publish.retain,
            payload: publish.payload.to_vec(),
            topic: publish.topic,
        }),
        _ => None,
    }
}
