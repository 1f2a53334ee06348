//! What goes into the edge node and what comes out of it.

use crate::TimeMs;

/// Who the node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// The Sparkplug group.
    pub group: String,
    /// The edge node within the group.
    pub node: String,
    /// The host that must be online; none: births go out at once.
    pub primary_host: Option<String>,
    /// Name and version of this program.
    pub software: String,
}

/// Both clocks: stamps come from the one, pauses from the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Wall clock.
    pub wall: TimeMs,
    /// Monotonic clock, ms.
    pub mono_ms: u64,
}

/// How sure MQTT is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Qos {
    /// QoS 0: births and data.
    AtMostOnce,
    /// QoS 1: deaths.
    AtLeastOnce,
}

/// One MQTT message, never retained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// Where.
    pub topic: String,
    /// What.
    pub payload: Vec<u8>,
    /// How.
    pub qos: Qos,
}

/// What the shell does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Publish.
    Publish(Publish),
    /// Leave the broker in an orderly way, then report [`Stimulus::Lost`].
    Disconnect,
}

/// What happens to the connection, and what the primary host says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stimulus {
    /// The broker has taken the node in and its subscriptions.
    Subscribed,
    /// The connection is gone.
    Lost,
    /// The primary host said so, at its own time (ms).
    HostOnline(i64),
    /// The primary host, or its will, said so, with the time of the birth it ends (ms).
    HostOffline(i64),
    /// A host wants to be told everything again.
    Rebirth,
    /// The gateway ends.
    Stop,
}

/// What became of a command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Commanded {
    /// It asked for a rebirth.
    pub rebirth: bool,
    /// So many other things it asked for, all refused.
    pub refused: u64,
}

/// What was not sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Changes replaced by newer ones before they could be sent.
    pub superseded: u64,
    /// Scans that never came here, since this part of the program was too slow.
    pub overrun: u64,
    /// Commands refused.
    pub refused: u64,
}
