//! A strict host listens to the node: scripted stories, then random lives.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::sparkplug::layout::{Device, Signal};
use crate::sparkplug::payload::{CommandMetric, PropertyValue, Value};
use crate::{Doubt, Fault};

const T0: i64 = 1_795_270_445_120;

fn layout(devices: usize, points: usize) -> Layout {
    let signal = |index: usize| Signal {
        name: format!("P-{index}"),
        description: "液位".into(),
        unit: "%".into(),
        low: 0.0,
        high: 100.0,
        device: index % devices,
    };
    let signals: Vec<Signal> = (0..points).map(signal).collect();
    let device = |d: usize| Device {
        name: format!("TK-{d}"),
        points: (0..points).filter(|p| p % devices == d).collect(),
    };
    Layout { devices: (0..devices).map(device).collect(), signals }
}

fn setup(primary_host: Option<&str>) -> Setup {
    Setup {
        group: "plant".into(),
        node: "GW-01".into(),
        primary_host: primary_host.map(str::to_owned),
        software: "fengsui 0".into(),
    }
}

fn at(ms: u64) -> Now {
    Now { wall: TimeMs(T0.saturating_add_unsigned(ms)), mono_ms: ms }
}

/// What a host knows of the node, and the rules that it holds it to.
struct Host {
    node: EdgeNode,
    ms: u64,
    devices: usize,
    points: usize,
    will: Option<u64>,
    next_seq: Option<u64>,
    born: usize,
    values: BTreeMap<String, Reading>,
    said: Vec<String>,
}

fn bd_of(payload: &Payload) -> u64 {
    let metric = payload.metrics.iter().find(|m| m.name.as_deref() == Some("bdSeq")).unwrap();
    assert_eq!(metric.datatype, Some(4), "bdSeq is an Int64");
    match metric.value {
        Some(Value::Long(bd)) => bd,
        ref other => panic!("bdSeq {other:?}"),
    }
}

fn reading_of(metric: &Metric) -> Reading {
    let properties = metric.properties.as_ref().unwrap();
    assert_eq!(properties.keys[0], "Quality");
    assert_eq!(properties.values[0].datatype, Some(3), "quality is an Int32");
    let quality = properties.values[0].value.clone();
    let reason = match &properties.values[1].value {
        Some(PropertyValue::String(reason)) => reason.as_str(),
        other => panic!("reason {other:?}"),
    };
    match (&metric.value, quality) {
        (Some(Value::Double(value)), Some(PropertyValue::Int(192))) => {
            assert_eq!((metric.is_null, reason), (None, "good"));
            Reading::Good(*value)
        }
        (Some(Value::Double(value)), Some(PropertyValue::Int(500))) => {
            let doubt = Doubt::ALL.iter().find(|doubt| doubt.word() == reason).unwrap();
            Reading::Uncertain(*value, *doubt)
        }
        (None, Some(PropertyValue::Int(0))) => {
            assert_eq!(metric.is_null, Some(true));
            let fault = Fault::ALL.iter().find(|fault| fault.word() == reason).unwrap();
            Reading::Bad(*fault)
        }
        other => panic!("{other:?} {reason}"),
    }
}

impl Host {
    fn new(devices: usize, points: usize, primary: Option<&str>, last: Option<u8>) -> Self {
        let node = EdgeNode::new(setup(primary), layout(devices, points), last);
        let values = BTreeMap::new();
        let (ms, will, next_seq, born, said) = (0, None, None, 0, Vec::new());
        Self { node, ms, devices, points, will, next_seq, born, values, said }
    }

    fn connect(&mut self) {
        let will = self.node.connecting(at(self.ms));
        assert_eq!(will.topic, "spBv1.0/plant/NDEATH/GW-01");
        assert_eq!(will.qos, Qos::AtLeastOnce);
        let payload = Payload::decode(will.payload.as_slice()).unwrap();
        assert_eq!((payload.seq, payload.metrics.len()), (None, 1));
        assert_eq!(bd_of(&payload), u64::from(self.node.bd_seq()));
        self.will = Some(bd_of(&payload));
        self.next_seq = None;
    }

    fn join(&mut self) {
        self.connect();
        self.node.handle(Stimulus::Subscribed);
    }

    /// Takes what there is now.
    fn listen(&mut self) -> Vec<String> {
        while let Some(step) = self.node.next(at(self.ms)) {
            self.step(&step);
        }
        std::mem::take(&mut self.said)
    }

    fn one(&mut self) -> Option<String> {
        let step = self.node.next(at(self.ms))?;
        self.step(&step);
        self.said.pop()
    }

    fn after(&mut self, ms: u64) -> Vec<String> {
        self.ms += ms;
        self.listen()
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Publish(publish) => self.hear(publish),
            Step::Disconnect => {
                self.said.push("bye".into());
                self.node.handle(Stimulus::Lost);
                self.next_seq = None;
            }
        }
    }

    fn hear(&mut self, publish: &Publish) {
        let payload = Payload::decode(publish.payload.as_slice()).unwrap();
        let levels: Vec<&str> = publish.topic.split('/').collect();
        assert_eq!((levels[0], levels[1], levels[3]), ("spBv1.0", "plant", "GW-01"));
        assert!(payload.timestamp.is_some());
        let kind = levels[2];
        if kind == "NDEATH" {
            assert_eq!(Some(bd_of(&payload)), self.will, "death names this connection");
            self.said.push("NDEATH".into());
            self.next_seq = None;
            return;
        }
        assert_eq!(publish.qos, Qos::AtMostOnce);
        for metric in &payload.metrics {
            assert!(metric.timestamp.is_some() && metric.name.is_some());
            assert_eq!(metric.datatype.is_some(), kind.ends_with("BIRTH"));
        }
        let seq = payload.seq.unwrap();
        if kind == "NBIRTH" {
            assert_eq!(seq, 0);
            assert_eq!(Some(bd_of(&payload)), self.will, "birth and will name one connection");
            (self.born, self.next_seq) = (0, Some(1));
            let rebirth = payload.metrics.iter().find(|m| m.name.as_deref() == Some(REBIRTH));
            assert_eq!(rebirth.unwrap().value, Some(Value::Boolean(false)));
            self.said.push("NBIRTH".into());
            return;
        }
        assert_eq!(Some(seq), self.next_seq, "{kind}: seq is dense");
        self.next_seq = Some((seq + 1) % 256);
        match kind {
            "DBIRTH" => {
                self.born += 1;
                assert_eq!(payload.metrics.len(), self.points.div_ceil(self.devices));
                self.said.push(format!("DBIRTH {}", levels[4]));
                for metric in &payload.metrics {
                    assert_eq!(metric.datatype, Some(10));
                    let read = metric.value.is_some() || metric.is_null != Some(true);
                    if read || !unread(metric) {
                        self.values.insert(metric.name.clone().unwrap(), reading_of(metric));
                    }
                }
            }
            "DDATA" => {
                assert_eq!(self.born, self.devices, "data before all births");
                let mut names = Vec::new();
                for metric in &payload.metrics {
                    let (name, reading) = (metric.name.clone().unwrap(), reading_of(metric));
                    let before = self.values.insert(name.clone(), reading);
                    assert_ne!(before, Some(reading), "report by exception");
                    names.push(name);
                }
                assert!(!names.is_empty());
                self.said.push(format!("DDATA {}: {}", levels[4], names.join(" ")));
            }
            "NDATA" => {
                assert_eq!(self.born, self.devices, "data before all births");
                self.said.push("NDATA".into());
            }
            other => panic!("{other}"),
        }
    }
}

fn unread(metric: &Metric) -> bool {
    let values = &metric.properties.as_ref().unwrap().values;
    values[1].value == Some(PropertyValue::String("not_read_yet".into()))
}

fn rebirth() -> Vec<u8> {
    command(&[(REBIRTH, Some(true))])
}

fn command(metrics: &[(&str, Option<bool>)]) -> Vec<u8> {
    let metric = |(name, boolean): &(&str, Option<bool>)| CommandMetric {
        name: Some((*name).to_owned()),
        boolean: *boolean,
    };
    Command { metrics: metrics.iter().map(metric).collect() }.encode_to_vec()
}

#[test]
fn births_come_first_and_then_only_what_changed() {
    let mut host = Host::new(2, 4, None, None);
    host.node.offer(0, TimeMs(T0), Reading::Good(1.0));
    assert_eq!(host.listen(), [""; 0], "nothing without a connection");
    host.connect();
    assert_eq!(host.listen(), [""; 0], "nothing before the subscriptions stand");
    host.node.handle(Stimulus::Subscribed);
    assert_eq!(host.listen(), ["NBIRTH", "DBIRTH TK-0", "DBIRTH TK-1"]);
    host.node.offer(0, TimeMs(T0 + 1), Reading::Good(1.0));
    assert_eq!(host.after(ROUND_MS), [""; 0], "the same again is no news");
    host.node.offer(0, TimeMs(T0 + 2), Reading::Bad(Fault::Timeout));
    host.node.offer(3, TimeMs(T0 + 2), Reading::Uncertain(7.0, Doubt::Frozen));
    host.node.offer(2, TimeMs(T0 + 2), Reading::Good(2.0));
    assert_eq!(host.listen(), ["DDATA TK-0: P-0 P-2", "DDATA TK-1: P-3"]);
    assert_eq!(host.values["P-0"], Reading::Bad(Fault::Timeout));
    assert_eq!(host.values["P-3"], Reading::Uncertain(7.0, Doubt::Frozen));
}

#[test]
fn a_point_that_is_faster_than_the_rounds_shows_its_newest_value_and_the_rest_is_counted() {
    let mut host = Host::new(1, 1, None, None);
    host.join();
    host.listen();
    for value in [1.0, 2.0, 3.0, 3.0, 4.0] {
        host.node.offer(0, TimeMs(T0), Reading::Good(value));
        host.ms += 1;
        host.listen();
    }
    assert_eq!(host.values["P-0"], Reading::Good(1.0));
    assert_eq!(host.node.wake_at(), Some(ROUND_MS + 1));
    assert_eq!(host.after(ROUND_MS), ["DDATA TK-0: P-0"]);
    assert_eq!(host.values["P-0"], Reading::Good(4.0));
    assert_eq!(host.node.counters().superseded, 2);
    assert_eq!(host.after(COUNTERS_MS), ["NDATA"], "the host sees the count");
    assert_eq!(host.node.wake_at(), None);
}

#[test]
fn a_wish_for_a_rebirth_stops_data_and_is_never_lost_or_answered_twice() {
    let mut host = Host::new(2, 2, None, Some(4));
    host.join();
    let births = ["NBIRTH", "DBIRTH TK-0", "DBIRTH TK-1"];
    assert_eq!(host.listen(), births);
    host.ms += 5_000;
    host.node.offer(0, TimeMs(T0), Reading::Good(1.0));
    for _ in 0..3 {
        let done = host.node.command(&rebirth(), false);
        assert_eq!(done, Commanded { rebirth: true, refused: 0 });
    }
    assert_eq!(host.listen(), births, "three wishes are one, and no data in between");
    assert_eq!(host.node.bd_seq(), 5, "a rebirth keeps its number");
    // Wished for in the midst of births: they end, and come again after a second.
    host.node.command(&rebirth(), false);
    assert_eq!(host.listen(), [""; 0], "not twice within a second");
    assert_eq!(host.node.wake_at(), Some(5_000 + REBIRTH_MS));
    host.ms += REBIRTH_MS;
    assert_eq!(host.one().as_deref(), Some("NBIRTH"));
    assert_eq!(host.one().as_deref(), Some("DBIRTH TK-0"));
    host.node.command(&rebirth(), false);
    assert_eq!(host.listen(), ["DBIRTH TK-1"]);
    assert_eq!(host.after(REBIRTH_MS), births);
    host.node.offer(0, TimeMs(T0), Reading::Good(2.0));
    assert_eq!(host.after(ROUND_MS), ["DDATA TK-0: P-0"]);
}

#[test]
fn other_commands_are_refused_and_counted() {
    let mut host = Host::new(1, 1, None, None);
    host.join();
    host.listen();
    let refused = |refused| Commanded { rebirth: false, refused };
    assert_eq!(host.node.command(&command(&[("P-0", None)]), false), refused(1));
    assert_eq!(host.node.command(&command(&[(REBIRTH, Some(false))]), false), refused(1));
    assert_eq!(host.node.command(&rebirth(), true), refused(1), "a retained wish is an old one");
    assert_eq!(host.node.command(&[0xff; 9], false), refused(1));
    assert_eq!(host.node.command(&vec![0; COMMAND_BYTES_MAX + 1], false), refused(1));
    assert_eq!(host.node.command(&[], false), refused(0));
    let both = command(&[(REBIRTH, Some(true)), ("Node Control/Reboot", Some(true))]);
    let done = host.node.command(&both, false);
    assert_eq!(done, Commanded { rebirth: true, refused: 1 });
    assert_eq!(host.node.counters().refused, 6);
}

#[test]
fn the_number_of_a_connection_goes_up_with_each_and_over_255_to_0() {
    let mut host = Host::new(1, 1, None, None);
    for expected in [0, 1] {
        host.join();
        assert_eq!(host.node.bd_seq(), expected);
        host.listen();
        host.node.handle(Stimulus::Lost);
    }
    host.connect();
    host.node.unreached();
    assert_eq!(host.listen(), [""; 0]);
    host.join();
    assert_eq!(host.node.bd_seq(), 2, "a connection that never began has used no number");
    let mut host = Host::new(1, 1, None, Some(255));
    host.join();
    assert_eq!(host.node.bd_seq(), 0);
}

#[test]
fn a_primary_host_is_waited_for_and_followed() {
    let births = ["NBIRTH", "DBIRTH TK-0"];
    let mut host = Host::new(1, 1, Some("scada"), None);
    assert_eq!(host.node.subscriptions()[2], "spBv1.0/STATE/scada");
    host.join();
    assert_eq!(host.listen(), [""; 0]);
    host.node.handle(Stimulus::HostOffline(900));
    assert_eq!(host.listen(), [""; 0]);
    host.node.handle(Stimulus::HostOnline(899));
    assert_eq!(host.listen(), [""; 0], "an older word than the last");
    host.node.handle(Stimulus::HostOnline(1_000));
    assert_eq!(host.listen(), births);
    host.node.handle(Stimulus::HostOffline(999));
    assert_eq!(host.listen(), [""; 0], "the will of an earlier life");
    host.node.handle(Stimulus::HostOffline(1_000));
    assert_eq!(host.listen(), ["NDEATH", "bye"]);
    // Its word may come before the subscriptions are confirmed.
    host.connect();
    host.node.handle(Stimulus::HostOnline(500));
    assert_eq!(host.listen(), [""; 0]);
    host.node.handle(Stimulus::Subscribed);
    assert_eq!(host.listen(), births);
    assert_eq!(host.node.bd_seq(), 1);
}

#[test]
fn an_orderly_end_says_so_and_only_what_was_born_dies() {
    let mut host = Host::new(1, 1, None, None);
    host.join();
    host.listen();
    host.node.handle(Stimulus::Stop);
    assert_eq!(host.listen(), ["NDEATH", "bye"]);
    let mut host = Host::new(1, 1, Some("scada"), None);
    host.join();
    host.node.handle(Stimulus::Stop);
    assert_eq!(host.listen(), ["bye"]);
    host.node.handle(Stimulus::Stop);
    assert_eq!(host.listen(), [""; 0]);
}

/// `tests/peers/sparkplug/golden.py` made them with the protobuf classes of others.
const GOLDEN: &str = include_str!("../../../../tests/data/sparkplug/edge.txt");

#[test]
fn the_bytes_are_those_of_another_encoder() {
    let mut node = EdgeNode::new(setup(None), layout(1, 3), Some(41));
    let mut said = vec![node.connecting(at(0))];
    node.offer(0, TimeMs(T0 - 5), Reading::Good(61.2));
    node.offer(1, TimeMs(T0 - 4), Reading::Bad(Fault::Timeout));
    node.handle(Stimulus::Subscribed);
    let mut take = |node: &mut EdgeNode, ms| {
        while let Some(Step::Publish(publish)) = node.next(at(ms)) {
            said.push(publish);
        }
    };
    take(&mut node, 7);
    node.offer(2, TimeMs(T0 + 300), Reading::Uncertain(-0.5, Doubt::NearRange));
    take(&mut node, 1_000);
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let line = |publish: &Publish| format!("{} {}", publish.topic, hex(&publish.payload));
    let said: Vec<String> = said.iter().map(line).collect();
    assert_eq!(said, GOLDEN.lines().collect::<Vec<_>>());
}

#[derive(Clone, Debug)]
enum Deed {
    Offer(usize, u8),
    Wait(u64),
    Listen,
    One,
    Rebirth,
    Lose,
    Host(bool, i64),
    Restart,
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        8 => (0..6_usize, 0..5_u8).prop_map(|(point, value)| Deed::Offer(point, value)),
        4 => (1..800_u64).prop_map(Deed::Wait),
        4 => Just(Deed::Listen),
        6 => Just(Deed::One),
        2 => Just(Deed::Rebirth),
        1 => Just(Deed::Lose),
        1 => (any::<bool>(), 0..4_i64).prop_map(|(online, at)| Deed::Host(online, at)),
        1 => Just(Deed::Restart),
    ]
}

fn reading(value: u8) -> Reading {
    match value {
        0 => Reading::Bad(Fault::Timeout),
        1 => Reading::Uncertain(1.0, Doubt::NearRange),
        other => Reading::Good(f64::from(other)),
    }
}

/// Plays a life; the host's own rules are checked at every message, the end here.
fn live(primary: bool, deeds: Vec<Deed>) {
    let primary = primary.then_some("scada");
    let mut host = Host::new(3, 6, primary, None);
    let mut newest = BTreeMap::new();
    host.join();
    for deed in deeds {
        match deed {
            Deed::Offer(point, value) => {
                host.node.offer(point, at(host.ms).wall, reading(value));
                newest.insert(format!("P-{point}"), reading(value));
            }
            Deed::Wait(ms) => host.ms += ms,
            Deed::Listen => drop(host.listen()),
            Deed::One => drop(host.one()),
            Deed::Rebirth => drop(host.node.command(&rebirth(), false)),
            Deed::Lose => {
                host.node.handle(Stimulus::Lost);
                host.join();
            }
            Deed::Host(true, at) => host.node.handle(Stimulus::HostOnline(at)),
            Deed::Host(false, at) => host.node.handle(Stimulus::HostOffline(at)),
            Deed::Restart => {
                let bd = host.node.bd_seq();
                host.node = EdgeNode::new(setup(primary), layout(3, 6), Some(bd));
                (host.values, newest) = (BTreeMap::new(), BTreeMap::new());
                host.join();
                assert_eq!(host.node.bd_seq(), bd.wrapping_add(1), "a restart is known as such");
            }
        }
    }
    // In the end the host is told everything, whatever happened before.
    host.listen();
    if host.will.is_some() && host.node.phase == Phase::Away {
        host.join();
    }
    host.node.handle(Stimulus::HostOnline(i64::MAX));
    host.after(2 * REBIRTH_MS);
    host.after(2 * REBIRTH_MS);
    assert!(host.node.is_live());
    assert_eq!(host.values, newest, "the host knows the newest reading of every point");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn a_strict_host_never_has_to_complain(
        primary in any::<bool>(),
        deeds in prop::collection::vec(deed(), 0..400),
    ) {
        live(primary, deeds);
    }

    #[test]
    fn no_bytes_of_a_host_do_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut host = Host::new(1, 1, None, None);
        host.join();
        host.listen();
        host.node.command(&bytes, false);
        host.after(REBIRTH_MS);
        prop_assert!(host.node.is_live());
    }
}
