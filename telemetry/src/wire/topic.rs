//! Topic names: `fengsui/1/<gateway>/<channel>`.

use std::fmt;

use crate::GatewayId;

/// What a topic carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Channel {
    /// Batches, as they are made.
    Live,
    /// Batches from the spool.
    Backlog,
    /// Retained: who the gateway is. The will replaces it.
    Birth,
    /// Heartbeats.
    Beat,
    /// From the centre: what is durable.
    Ack,
    /// From the centre, retained and signed: the limits by which to judge.
    Limits,
}

impl Channel {
    /// The last level of the topic.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Backlog => "backlog",
            Self::Birth => "birth",
            Self::Beat => "beat",
            Self::Ack => "ack",
            Self::Limits => "limits",
        }
    }

    /// Channels that a gateway publishes.
    pub const UP: [Self; 4] = [Self::Live, Self::Backlog, Self::Birth, Self::Beat];
    /// Channels that the centre publishes.
    pub const DOWN: [Self; 2] = [Self::Ack, Self::Limits];
}

/// One topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Topic {
    /// Whose.
    pub gateway: GatewayId,
    /// What.
    pub channel: Channel,
}

impl Topic {
    /// Reads a topic name; `None` for anything that is not of this plane.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let (gateway, channel) = name.strip_prefix("fengsui/1/")?.split_once('/')?;
        let gateway = GatewayId::parse(gateway).ok()?;
        let channel =
            Channel::UP.into_iter().chain(Channel::DOWN).find(|known| known.word() == channel)?;
        Some(Self { gateway, channel })
    }

    /// The filter by which the centre hears one channel of all gateways.
    #[must_use]
    pub fn filter(channel: Channel) -> String {
        format!("fengsui/1/+/{}", channel.word())
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fengsui/1/{}/{}", self.gateway, self.channel.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_come_back_and_strangers_do_not() {
        for channel in [Channel::Live, Channel::Ack, Channel::Limits] {
            let topic = Topic { gateway: GatewayId::parse("GW-01").unwrap(), channel };
            assert_eq!(Topic::parse(&topic.to_string()), Some(topic));
        }
        for foreign in
            ["", "fengsui/1/GW", "fengsui/2/GW/live", "fengsui/1//live", "fengsui/1/a/b/live"]
        {
            assert_eq!(Topic::parse(foreign), None, "{foreign}");
        }
    }
}
