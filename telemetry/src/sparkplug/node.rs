//! The edge node: what is published next, and what a host's words change.
//!
//! - `seq` is one counter over node and devices, dense modulo 256; NBIRTH begins it at 0.
//! - No data before NBIRTH and all DBIRTHs. A wish for a rebirth stops data at once; several
//!   wishes are one, and none is dropped.
//! - `bdSeq` names one CONNECT: it stands in the will and in every NBIRTH of that connection.
//! - Of a point only the newest reading is kept. One that was replaced before it could be sent is
//!   counted, and the count is a metric of the node.
//! - Nothing is formed before it is asked for: who does not take [`EdgeNode::next`]'s steps makes
//!   no queue.

mod words;

use std::collections::{BTreeSet, VecDeque};

use prost::Message;

pub use words::{Commanded, Counters, Now, Publish, Qos, Setup, Step, Stimulus};

use super::layout::Layout;
use super::metric;
use super::payload::{Command, Metric, Payload};
use crate::{Reading, TimeMs};

/// A command larger than this is refused unread: a wish for a rebirth has some sixty bytes.
pub const COMMAND_BYTES_MAX: usize = 16 << 10;
/// Data go out at most this often, so that a fast point costs a slow host four messages a second.
const ROUND_MS: u64 = 250;
/// Two births of one connection are at least this far apart: a host that answers every birth with
/// a wish for another must not keep the gateway busy.
const REBIRTH_MS: u64 = 1_000;
/// The node's own counters are looked at this often.
const COUNTERS_MS: u64 = 10_000;

const BD_SEQ: &str = "bdSeq";
const REBIRTH: &str = "Node Control/Rebirth";
const SOFTWARE: &str = "Properties/Software";
const SUPERSEDED: &str = "Fengsui/Values superseded";
const OVERRUN: &str = "Fengsui/Scans overrun";
const REFUSED: &str = "Fengsui/Commands refused";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No connection.
    Away,
    /// CONNECT is on its way, or its subscriptions.
    Joining,
    /// The primary host is not online; nothing was born in this connection.
    Waiting,
    /// The first NBIRTH of this connection is due.
    FirstBirth,
    /// Another NBIRTH is due.
    Rebirth,
    /// The DBIRTH of this device is due.
    Births(usize),
    /// The same, and a rebirth is wanted after it.
    BirthsAgain(usize),
    /// Data.
    Live,
    /// NDEATH is due.
    Dying,
    /// The farewell of MQTT is due.
    Closing,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    latest: Option<(TimeMs, Reading)>,
    /// What the host was told last.
    said: Option<Reading>,
    dirty: bool,
}

/// One gateway as a Sparkplug edge node.
#[derive(Clone, Debug)]
pub struct EdgeNode {
    setup: Setup,
    layout: Layout,
    slots: Vec<Slot>,
    /// Of each device, the points with news.
    news: Vec<Vec<usize>>,
    /// Devices with news.
    devices: BTreeSet<usize>,
    /// Devices of the present round.
    round: VecDeque<usize>,
    round_at: u64,
    phase: Phase,
    seq: u8,
    bd_seq: u8,
    /// A CONNECT with this number has gone out.
    spent: bool,
    /// The newest word of the primary host in this connection.
    host: Option<(i64, bool)>,
    birth_at: u64,
    counters: Counters,
    told: Counters,
    counters_at: u64,
}

impl EdgeNode {
    /// `last_bd_seq` is the number of the last CONNECT of an earlier life, if one is known.
    #[must_use]
    pub fn new(setup: Setup, layout: Layout, last_bd_seq: Option<u8>) -> Self {
        Self {
            slots: vec![Slot::default(); layout.signals.len()],
            news: vec![Vec::new(); layout.devices.len()],
            setup,
            layout,
            devices: BTreeSet::new(),
            round: VecDeque::new(),
            round_at: 0,
            phase: Phase::Away,
            seq: 0,
            bd_seq: last_bd_seq.unwrap_or(0),
            spent: last_bd_seq.is_some(),
            host: None,
            birth_at: 0,
            counters: Counters::default(),
            told: Counters::default(),
            counters_at: 0,
        }
    }

    /// A CONNECT is about to go out: its will. [`EdgeNode::bd_seq`] must be on disk before it
    /// does.
    pub fn connecting(&mut self, now: Now) -> Publish {
        if self.spent {
            self.bd_seq = self.bd_seq.wrapping_add(1);
        }
        self.spent = true;
        self.phase = Phase::Joining;
        // A host's clock may have been mended meanwhile: its first word in a connection counts.
        self.host = None;
        self.death(now)
    }

    /// The connection failed before a CONNECT could go out: the number is free.
    pub fn unreached(&mut self) {
        self.spent = false;
        self.phase = Phase::Away;
    }

    /// Names the present or next connection.
    #[must_use]
    pub fn bd_seq(&self) -> u8 {
        self.bd_seq
    }

    /// True while data may go out: everything is born.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.phase == Phase::Live
    }

    /// What was not sent so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Where the commands and the word of the primary host come from.
    #[must_use]
    pub fn subscriptions(&self) -> Vec<String> {
        let Setup { group, node, primary_host, .. } = &self.setup;
        let host = primary_host.iter().map(|host| format!("spBv1.0/STATE/{host}"));
        let commands =
            [format!("spBv1.0/{group}/NCMD/{node}"), format!("spBv1.0/{group}/DCMD/{node}/+")];
        commands.into_iter().chain(host).collect()
    }

    /// A reading came.
    pub fn offer(&mut self, point: usize, te: TimeMs, reading: Reading) {
        let (Some(slot), Some(signal)) =
            (self.slots.get_mut(point), self.layout.signals.get(point))
        else {
            return;
        };
        let before = slot.latest.replace((te, reading)).map(|(_, reading)| reading);
        if slot.dirty {
            if before != Some(reading) {
                self.counters.superseded += 1;
            }
        } else if slot.said != Some(reading) {
            slot.dirty = true;
            if let Some(news) = self.news.get_mut(signal.device) {
                news.push(point);
            }
            self.devices.insert(signal.device);
        }
    }

    /// So many scans never came here.
    pub fn overrun(&mut self, scans: u64) {
        self.counters.overrun += scans;
    }

    /// A command of a host, as it came. `retained` ones are old and nobody's present wish.
    pub fn command(&mut self, payload: &[u8], retained: bool) -> Commanded {
        let mut done = Commanded::default();
        let decoded = (payload.len() <= COMMAND_BYTES_MAX && !retained)
            .then(|| Command::decode(payload).ok())
            .flatten();
        match decoded {
            Some(command) => {
                for metric in &command.metrics {
                    if metric.name.as_deref() == Some(REBIRTH) && metric.boolean == Some(true) {
                        done.rebirth = true;
                    } else {
                        done.refused += 1;
                    }
                }
            }
            None => done.refused = 1,
        }
        self.counters.refused += done.refused;
        if done.rebirth {
            self.handle(Stimulus::Rebirth);
        }
        done
    }

    /// Something happened.
    pub fn handle(&mut self, stimulus: Stimulus) {
        match stimulus {
            Stimulus::HostOnline(at) | Stimulus::HostOffline(at) => {
                if self.setup.primary_host.is_none() || self.host.is_some_and(|(seen, _)| at < seen)
                {
                    return;
                }
                self.host = Some((at, matches!(stimulus, Stimulus::HostOnline(_))));
            }
            Stimulus::Subscribed | Stimulus::Lost | Stimulus::Rebirth | Stimulus::Stop => {}
        }
        self.phase = self.after(stimulus);
    }

    /// The table: every phase with every stimulus.
    fn after(&self, stimulus: Stimulus) -> Phase {
        use Phase::{
            Away, Births, BirthsAgain, Closing, Dying, FirstBirth, Joining, Live, Rebirth, Waiting,
        };
        let host_ready =
            self.setup.primary_host.is_none() || self.host.is_some_and(|(_, online)| online);
        match (self.phase, stimulus) {
            (Joining, Stimulus::Subscribed) => {
                if host_ready {
                    FirstBirth
                } else {
                    Waiting
                }
            }
            (
                phase @ (Away | Waiting | FirstBirth | Rebirth | Births(_) | BirthsAgain(_) | Live
                | Dying | Closing),
                Stimulus::Subscribed,
            ) => phase,
            (
                Away | Joining | Waiting | FirstBirth | Rebirth | Births(_) | BirthsAgain(_) | Live
                | Dying | Closing,
                Stimulus::Lost,
            ) => Away,
            (Waiting, Stimulus::HostOnline(_)) => FirstBirth,
            // Joining: remembered until the subscriptions stand.
            (
                phase @ (Away | Joining | FirstBirth | Rebirth | Births(_) | BirthsAgain(_) | Live
                | Dying | Closing),
                Stimulus::HostOnline(_),
            ) => phase,
            (FirstBirth, Stimulus::HostOffline(_)) => Waiting,
            (Rebirth | Births(_) | BirthsAgain(_) | Live, Stimulus::HostOffline(_)) => Dying,
            (phase @ (Away | Joining | Waiting | Dying | Closing), Stimulus::HostOffline(_)) => {
                phase
            }
            (Live, Stimulus::Rebirth) => Rebirth,
            // Some were born before the wish: the host may have missed them.
            (Births(next) | BirthsAgain(next), Stimulus::Rebirth) => BirthsAgain(next),
            // A birth is due or nobody is to be told; in an end there is no beginning.
            (
                phase @ (Away | Joining | Waiting | FirstBirth | Rebirth | Dying | Closing),
                Stimulus::Rebirth,
            ) => phase,
            (Away, Stimulus::Stop) => Away,
            (Joining | Waiting | FirstBirth | Closing, Stimulus::Stop) => Closing,
            (Rebirth | Births(_) | BirthsAgain(_) | Live | Dying, Stimulus::Stop) => Dying,
        }
    }

    /// What to do now. Ask again until there is nothing.
    pub fn next(&mut self, now: Now) -> Option<Step> {
        match self.phase {
            Phase::Away | Phase::Joining | Phase::Waiting => None,
            Phase::FirstBirth => Some(Step::Publish(self.node_birth(now))),
            Phase::Rebirth => {
                (now.mono_ms >= self.birth_at).then(|| Step::Publish(self.node_birth(now)))
            }
            Phase::Births(device) => {
                let birth = self.device_birth(device, now);
                self.phase = self.born(device + 1, Phase::Births, Phase::Live);
                Some(Step::Publish(birth))
            }
            Phase::BirthsAgain(device) => {
                let birth = self.device_birth(device, now);
                self.phase = self.born(device + 1, Phase::BirthsAgain, Phase::Rebirth);
                Some(Step::Publish(birth))
            }
            Phase::Live => self.device_data(now).or_else(|| self.node_data(now)).map(Step::Publish),
            Phase::Dying => {
                self.phase = Phase::Closing;
                Some(Step::Publish(self.death(now)))
            }
            Phase::Closing => {
                self.phase = Phase::Away;
                Some(Step::Disconnect)
            }
        }
    }

    /// When to ask again, monotonic ms, if nothing happens before.
    #[must_use]
    pub fn wake_at(&self) -> Option<u64> {
        match self.phase {
            Phase::Rebirth => Some(self.birth_at),
            Phase::Live => {
                let data = (!self.devices.is_empty()).then_some(self.round_at);
                let node = (self.counters != self.told).then_some(self.counters_at);
                data.into_iter().chain(node).min()
            }
            Phase::Away
            | Phase::Joining
            | Phase::Waiting
            | Phase::FirstBirth
            | Phase::Births(_)
            | Phase::BirthsAgain(_)
            | Phase::Dying
            | Phase::Closing => None,
        }
    }

    fn born(&self, next: usize, more: fn(usize) -> Phase, done: Phase) -> Phase {
        if next < self.layout.devices.len() { more(next) } else { done }
    }

    fn node_birth(&mut self, now: Now) -> Publish {
        self.birth_at = now.mono_ms + REBIRTH_MS;
        self.seq = 0;
        self.round.clear();
        self.phase = self.born(0, Phase::Births, Phase::Live);
        let wall = now.wall;
        let mut metrics = vec![
            metric::count(BD_SEQ, u64::from(self.bd_seq), wall),
            metric::switch(REBIRTH, false, wall),
            metric::text(SOFTWARE, &self.setup.software, wall),
        ];
        metrics.extend(self.own_metrics(wall));
        self.counters_at = now.mono_ms + COUNTERS_MS;
        self.publish("NBIRTH", None, metrics, now)
    }

    fn own_metrics(&mut self, wall: TimeMs) -> [Metric; 3] {
        self.told = self.counters;
        let Counters { superseded, overrun, refused } = self.counters;
        [
            metric::count(SUPERSEDED, superseded, wall),
            metric::count(OVERRUN, overrun, wall),
            metric::count(REFUSED, refused, wall),
        ]
    }

    fn device_birth(&mut self, device: usize, now: Now) -> Publish {
        self.news.get_mut(device).map(Vec::clear);
        self.devices.remove(&device);
        let points = self.layout.devices.get(device).map_or(&[][..], |d| d.points.as_slice());
        let mut metrics = Vec::with_capacity(points.len());
        for point in points {
            let (Some(slot), Some(signal)) =
                (self.slots.get_mut(*point), self.layout.signals.get(*point))
            else {
                continue;
            };
            slot.dirty = false;
            slot.said = slot.latest.map(|(_, reading)| reading);
            metrics.push(metric::birth(signal, slot.latest, now.wall));
        }
        self.publish("DBIRTH", Some(device), metrics, now)
    }

    /// The news of the next device of the round that has any.
    fn device_data(&mut self, now: Now) -> Option<Publish> {
        if self.round.is_empty() && !self.devices.is_empty() && now.mono_ms >= self.round_at {
            self.round = std::mem::take(&mut self.devices).into_iter().collect();
            self.round_at = now.mono_ms + ROUND_MS;
        }
        while let Some(device) = self.round.pop_front() {
            self.devices.remove(&device);
            let points = self.news.get_mut(device).map(std::mem::take).unwrap_or_default();
            let mut metrics = Vec::with_capacity(points.len());
            for point in points {
                let (Some(slot), Some(signal)) =
                    (self.slots.get_mut(point), self.layout.signals.get(point))
                else {
                    continue;
                };
                slot.dirty = false;
                let reading = slot.latest.map(|(_, reading)| reading);
                // It may have come back to what was said.
                if slot.said != reading {
                    slot.said = reading;
                    metrics.push(metric::data(signal, slot.latest, now.wall));
                }
            }
            if !metrics.is_empty() {
                return Some(self.publish("DDATA", Some(device), metrics, now));
            }
        }
        None
    }

    fn node_data(&mut self, now: Now) -> Option<Publish> {
        if self.counters == self.told || now.mono_ms < self.counters_at {
            return None;
        }
        self.counters_at = now.mono_ms + COUNTERS_MS;
        let mut metrics = self.own_metrics(now.wall);
        for metric in &mut metrics {
            metric.datatype = None;
        }
        Some(self.publish("NDATA", None, metrics.to_vec(), now))
    }

    /// The will, and what is said before an orderly end: the same but for the time.
    fn death(&self, now: Now) -> Publish {
        let metrics = vec![metric::count(BD_SEQ, u64::from(self.bd_seq), now.wall)];
        let payload = Payload { timestamp: Some(metric::stamp(now.wall)), metrics, seq: None };
        Publish {
            topic: self.topic("NDEATH", None),
            payload: payload.encode_to_vec(),
            qos: Qos::AtLeastOnce,
        }
    }

    fn publish(
        &mut self,
        kind: &str,
        device: Option<usize>,
        metrics: Vec<Metric>,
        now: Now,
    ) -> Publish {
        let payload = Payload {
            timestamp: Some(metric::stamp(now.wall)),
            metrics,
            seq: Some(u64::from(self.seq)),
        };
        self.seq = self.seq.wrapping_add(1);
        let topic = self.topic(kind, device);
        Publish { topic, payload: payload.encode_to_vec(), qos: Qos::AtMostOnce }
    }

    fn topic(&self, kind: &str, device: Option<usize>) -> String {
        let Setup { group, node, .. } = &self.setup;
        match device.and_then(|device| self.layout.devices.get(device)) {
            Some(device) => format!("spBv1.0/{group}/{kind}/{node}/{}", device.name),
            None => format!("spBv1.0/{group}/{kind}/{node}"),
        }
    }
}

#[cfg(test)]
mod tests;
