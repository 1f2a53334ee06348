//! A client on the broker that is no gateway of ours: it says whatever a test wants, and a mimic
//! that speaks the gateways' language to provoke what a real gateway would not.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use fengsui_telemetry::wire::{
    Ack, BatchHead, Birth, Channel, PACKET_MAX, Sealed, Topic, decode_ack, encode_batch,
    encode_birth, seal,
};
use fengsui_telemetry::{
    Body, Catalogue, Epoch, GatewayId, Installation, Offset, Point, Reading, Record, Revision,
    Scan, Tag, TimeMs,
};
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::Packet;
use rumqttc::v5::{AsyncClient, Event, EventLoop, MqttOptions};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::wait;

/// Publications that wait for the connection; when full the test waits.
const REQUESTS_MAX: usize = 64;
/// Messages heard and not yet looked at; when full the connection waits.
const HEARD_MAX: usize = 4_096;
const PATIENCE: Duration = Duration::from_secs(20);
/// Room for what is too large for others.
const LARGEST: usize = 8 * PACKET_MAX;

/// Topic and payload.
pub type Message = (String, Vec<u8>);

/// A connection to the broker.
#[derive(Debug)]
pub struct Stranger {
    client: AsyncClient,
    heard: mpsc::Receiver<Message>,
    taken: Arc<AtomicU64>,
    sent: u64,
    task: JoinHandle<()>,
}

impl Stranger {
    /// Connects, and hears these topic filters.
    ///
    /// # Errors
    /// The broker does not answer.
    pub async fn connect(port: u16, name: &str, filters: &[&str]) -> anyhow::Result<Self> {
        let mut options = MqttOptions::new(name, "127.0.0.1", port);
        options.set_clean_start(true);
        options.set_max_packet_size(u32::try_from(LARGEST).ok());
        let (client, events) = AsyncClient::new(options, REQUESTS_MAX);
        let (hear, heard) = mpsc::channel(HEARD_MAX);
        let taken = Arc::new(AtomicU64::new(0));
        let subscribed = Arc::new(AtomicU64::new(0));
        let task = tokio::spawn(run(events, hear, taken.clone(), subscribed.clone()));
        for filter in filters {
            client.subscribe(*filter, QoS::AtLeastOnce).await?;
        }
        let wanted = filters.len() as u64;
        wait::until_true("subscriptions", PATIENCE, async || {
            Ok(subscribed.load(Ordering::Relaxed) >= wanted)
        })
        .await?;
        Ok(Self { client, heard, taken, sent: 0, task })
    }

    /// Publishes.
    ///
    /// # Errors
    /// The connection has ended.
    pub async fn say(&mut self, topic: &str, payload: Vec<u8>, retain: bool) -> anyhow::Result<()> {
        self.client.publish(topic, QoS::AtLeastOnce, retain, payload).await?;
        self.sent += 1;
        Ok(())
    }

    /// Waits until the broker has taken everything.
    ///
    /// # Errors
    /// It does not.
    pub async fn flush(&self) -> anyhow::Result<()> {
        let (sent, taken) = (self.sent, &self.taken);
        wait::until_true("the broker to take what was published", PATIENCE, async || {
            Ok(taken.load(Ordering::Relaxed) >= sent)
        })
        .await
    }

    /// The next message heard, within some seconds.
    ///
    /// # Errors
    /// There is none.
    pub async fn hear(&mut self) -> anyhow::Result<Message> {
        let next = tokio::time::timeout(PATIENCE, self.heard.recv()).await;
        next.context("nothing was heard")?.context("the connection has ended")
    }

    /// What has been heard so far and not been looked at.
    pub fn heard_so_far(&mut self) -> Vec<Message> {
        std::iter::from_fn(|| self.heard.try_recv().ok()).collect()
    }

    /// The first acknowledgement for a gateway that is as wanted.
    ///
    /// # Errors
    /// There is none.
    pub async fn ack(
        &mut self,
        gateway: &str,
        wanted: impl Fn(&Ack) -> bool,
    ) -> anyhow::Result<Ack> {
        let topic = format!("fengsui/1/{gateway}/ack");
        loop {
            let (heard, payload) = self.hear().await?;
            if heard == topic
                && let Ok(ack) = decode_ack(&payload)
                && wanted(&ack)
            {
                return Ok(ack);
            }
        }
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(
    mut events: EventLoop,
    hear: mpsc::Sender<Message>,
    taken: Arc<AtomicU64>,
    subscribed: Arc<AtomicU64>,
) {
    loop {
        match events.poll().await {
            Ok(Event::Incoming(Packet::PubAck(_))) => {
                taken.fetch_add(1, Ordering::Relaxed);
            }
            Ok(Event::Incoming(Packet::SubAck(_))) => {
                subscribed.fetch_add(1, Ordering::Relaxed);
            }
            Ok(Event::Incoming(Packet::Publish(publish))) => {
                let topic = String::from_utf8_lossy(&publish.topic).into_owned();
                if hear.send((topic, publish.payload.to_vec())).await.is_err() {
                    return;
                }
            }
            Ok(_) => {}
            // Thrown out for what was said: that is for the test to find.
            Err(_) => return,
        }
    }
}

/// A gateway of the test's own making: points `MIMIC.1` and on, values as the test wants.
#[derive(Clone, Debug)]
pub struct Mimic {
    /// Its name.
    pub name: &'static str,
    epoch: Epoch,
    next: Offset,
    points: u32,
}

/// The catalogue's name: any number will do, the centre takes a gateway's word for it.
const CATALOGUE: Revision = Revision(0x0123_4567_89ab_cdef);

impl Mimic {
    /// A gateway of one point, whose spool begins.
    #[must_use]
    pub fn new(name: &'static str, epoch: u64) -> Self {
        Self::wide(name, epoch, 1)
    }

    /// One of many points.
    #[must_use]
    pub fn wide(name: &'static str, epoch: u64, points: u32) -> Self {
        Self { name, epoch: Epoch(epoch), next: 0, points }
    }

    /// One past its newest record.
    #[must_use]
    pub fn next(&self) -> Offset {
        self.next
    }

    /// The topic of a channel.
    ///
    /// # Errors
    /// The name is none.
    pub fn topic(&self, channel: Channel) -> anyhow::Result<String> {
        Ok(Topic { gateway: self.id()?, channel }.to_string())
    }

    fn id(&self) -> anyhow::Result<GatewayId> {
        GatewayId::parse(self.name).map_err(|fault| anyhow::anyhow!("{}: {fault}", self.name))
    }

    /// Its birth.
    ///
    /// # Errors
    /// The name is none.
    pub fn birth(&self) -> anyhow::Result<Vec<u8>> {
        let point = |number: u32| -> anyhow::Result<Point> {
            Ok(Point {
                tag: Tag::parse(&format!("MIMIC.{number}"))?,
                name: "仿真测点".to_owned(),
                unit: "ppm".to_owned(),
                low: 0.0,
                high: 1_000.0,
                installation: 0,
                equipment: "仿真".to_owned(),
                period_ms: 1_000,
                silence_ms: 0,
                signal: "gas_combustible".to_owned(),
            })
        };
        let installation = Installation {
            name: "监测场".to_owned(),
            hazard_class: 4,
            kind: "gas_area".to_owned(),
        };
        let catalogue = Catalogue {
            enterprise: "仿真站".to_owned(),
            installations: vec![installation],
            points: (1..=self.points).map(point).collect::<anyhow::Result<_>>()?,
        };
        Ok(encode_birth(&Birth {
            gateway: self.id()?,
            online: true,
            epoch: self.epoch,
            oldest: 0,
            next: self.next,
            boot: 1,
            catalogue_revision: CATALOGUE,
            catalogue: Some(catalogue),
            limits_revision: Revision(0),
            software: "mimic".to_owned(),
        })?)
    }

    /// One sealed record of one point.
    #[must_use]
    pub fn record(te: i64, value: f64) -> Sealed {
        Self::records_of(1, te, value)
    }

    /// One sealed record of some points, by their place.
    #[must_use]
    pub fn scan(te: i64, values: &[(u32, f64)]) -> Sealed {
        let readings = values.iter().map(|(point, value)| (*point, Reading::Good(*value)));
        let scan = Scan { readings: readings.collect(), ..Scan::default() };
        seal(&Record { te: TimeMs(te), body: Body::Scan(scan) })
    }

    /// A batch of these records from this offset on.
    ///
    /// # Errors
    /// The name is none.
    pub fn batch_at(&mut self, first: Offset, records: Vec<Sealed>) -> anyhow::Result<Vec<u8>> {
        let (gateway, epoch) = (self.id()?, self.epoch);
        self.next = self.next.max(first + records.len() as u64);
        Ok(encode_batch(&BatchHead { gateway, epoch, first, catalogue: CATALOGUE }, records)?)
    }

    fn records_of(points: u32, te: i64, value: f64) -> Sealed {
        let readings = (0..points).map(|point| (point, Reading::Good(value))).collect();
        let scan = Scan { readings, ..Scan::default() };
        seal(&Record { te: TimeMs(te), body: Body::Scan(scan) })
    }

    /// The next batch, one record: all points show this value.
    ///
    /// # Errors
    /// The name is none.
    pub fn batch(&mut self, te: i64, value: f64) -> anyhow::Result<Vec<u8>> {
        let head = BatchHead {
            gateway: self.id()?,
            epoch: self.epoch,
            first: self.next,
            catalogue: CATALOGUE,
        };
        self.next += 1;
        Ok(encode_batch(&head, vec![Self::records_of(self.points, te, value)])?)
    }

    /// A batch as no encoder of ours makes it: these parts, whatever they are.
    #[must_use]
    pub fn raw_batch(&self, records: RawRecords) -> Vec<u8> {
        let mut out = Vec::new();
        put_bytes(&mut out, 1, self.name.as_bytes());
        put_tag(&mut out, 2, 1);
        out.extend(self.epoch.0.to_le_bytes());
        put_tag(&mut out, 3, 0);
        put_varint(&mut out, self.next);
        put_tag(&mut out, 4, 1);
        out.extend(CATALOGUE.0.to_le_bytes());
        match records {
            RawRecords::Zstd(frame) => put_bytes(&mut out, 6, &frame),
            RawRecords::Plain(sealed) => {
                let mut records = Vec::new();
                for one in &sealed {
                    put_bytes(&mut records, 1, &one.bytes);
                }
                let sums: Vec<u8> = sealed.iter().flat_map(|one| one.crc.to_le_bytes()).collect();
                put_bytes(&mut records, 2, &sums);
                put_bytes(&mut out, 5, &records);
            }
        }
        out
    }
}

/// The records of a hand-made batch.
#[derive(Clone, Debug)]
pub enum RawRecords {
    /// As they are.
    Plain(Vec<Sealed>),
    /// A zstd frame of anything.
    Zstd(Vec<u8>),
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7f).unwrap_or(0) | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap_or(0));
}

fn put_tag(out: &mut Vec<u8>, field: u64, wire_type: u64) {
    put_varint(out, field << 3 | wire_type);
}

fn put_bytes(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    put_tag(out, field, 2);
    put_varint(out, bytes.len() as u64);
    out.extend(bytes);
}
