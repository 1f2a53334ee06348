//! Shows the live values to a SCADA host as a Sparkplug B edge node, where `[sparkplug]` asks for
//! it. [`EdgeNode`] decides; here are the connection and the way from the alarm loop.
//!
//! - The alarm loop never waits for it: what it hands over goes into a ring that overwrites its
//!   oldest scan. A broker that is slow or dead costs this part its freshness and nobody anything.
//! - No part of delivery: the spool and the uplink know nothing of it.

mod connection;
mod number;
mod settings;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fengsui_telemetry::sparkplug::{
    Counters, EdgeNode, Layout, Now, Publish, Setup, Step, Stimulus,
};
use fengsui_telemetry::{ClockQuality, Doubt, Reading, TimeMs};
use rumqttc::{QoS, SubscribeFilter};
use serde::Deserialize;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, sleep_until, timeout};
use tracing::{debug, error, info, warn};

use crate::clock::Clock;
use crate::config::Config;
use connection::{Connection, End, Said};
pub use settings::SparkplugConfig;
pub(crate) use settings::SparkplugFile;

/// Scans on their way here: a second of a thousand scan groups. When full the oldest is
/// overwritten and counted; the next scan of the same points makes up for it.
const SCANS_MAX: usize = 1_024;
/// Pause after a full request channel.
const AGAIN_MS: u64 = 20;
/// Longest sleep between two looks at the machine.
const LOOK_MS: u64 = 5_000;
/// Commands refused and scans left out are logged at most this often.
const COUNTERS_MS: u64 = 60_000;
/// First pause before another connection; doubles to [`RECONNECT_MAX_MS`].
const RECONNECT_MS: u64 = 250;
const RECONNECT_MAX_MS: u64 = 10_000;
/// A connection that lived so long was a good one: the next begins without a long pause.
const STEADY_MS: u64 = 10_000;
/// How long death and farewell may take.
const FAREWELL_MS: u64 = 500;
/// How long the whole part may take to end.
const END_MAX: Duration = Duration::from_secs(2);

/// The readings of one scan.
#[derive(Debug)]
struct LiveScan {
    te: TimeMs,
    readings: Vec<(u32, Reading)>,
}

/// The alarm loop's end of the ring; off where nobody asked for the projection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Live(Option<broadcast::Sender<Arc<LiveScan>>>);

impl Live {
    /// Never waits, whatever becomes of it.
    pub(crate) fn offer(&self, te: TimeMs, readings: &[(u32, Reading)], clock: ClockQuality) {
        let Some(ring) = &self.0 else { return };
        let mut readings = readings.to_vec();
        if clock == ClockQuality::Unset {
            readings.iter_mut().for_each(|(_, reading)| *reading = undated(*reading));
        }
        // An error means that the other end is just being started again.
        ring.send(Arc::new(LiveScan { te, readings })).ok();
    }
}

/// Stamped by a clock that was never set: a host must not take it for a good reading.
fn undated(reading: Reading) -> Reading {
    match reading {
        Reading::Good(value) => Reading::Uncertain(value, Doubt::EstimatedTime),
        Reading::Uncertain(..) | Reading::Bad(_) => reading,
    }
}

/// The running projection.
#[derive(Debug)]
pub(crate) struct Projection {
    live: Live,
    stop: watch::Sender<bool>,
    task: Option<JoinHandle<()>>,
}

impl Projection {
    /// Starts it if it is asked for.
    pub(crate) fn start(config: &Config, clock: Clock) -> Self {
        let (stop, stopped) = watch::channel(false);
        let Some(sparkplug) = config.sparkplug.clone() else {
            return Self { live: Live::default(), stop, task: None };
        };
        let (ring, _) = broadcast::channel(SCANS_MAX);
        let task = tokio::spawn(keep(Part {
            setup: setup_of(&sparkplug),
            layout: layout_of(config),
            client_id: format!("fengsui-sparkplug-{}", config.site.gateway),
            config: sparkplug,
            data: config.data.clone(),
            clock,
            ring: ring.clone(),
            stop: stopped,
        }));
        Self { live: Live(Some(ring)), stop, task: Some(task) }
    }

    /// For the alarm loop.
    pub(crate) fn live(&self) -> Live {
        self.live.clone()
    }

    /// Says NDEATH and leaves.
    pub(crate) async fn end(self) {
        self.stop.send_replace(true);
        let Some(task) = self.task else { return };
        let stop = task.abort_handle();
        if timeout(END_MAX, task).await.is_err() {
            stop.abort();
            warn!("sparkplug did not end in time");
        }
    }
}

fn setup_of(config: &SparkplugConfig) -> Setup {
    Setup {
        group: config.group.clone(),
        node: config.node.clone(),
        primary_host: config.primary_host.clone(),
        software: format!("fengsui-gateway {}", env!("CARGO_PKG_VERSION")),
    }
}

fn layout_of(config: &Config) -> Layout {
    let site = &config.site;
    let mut readers = vec![String::new(); site.catalogue.points.len()];
    for (index, device) in site.devices.iter().enumerate() {
        for mapping in site.mappings_of(index) {
            let place = usize::try_from(mapping.point).unwrap_or(usize::MAX);
            if let Some(reader) = readers.get_mut(place) {
                reader.clone_from(&device.name);
            }
        }
    }
    Layout::new(&site.catalogue, |index| readers.get(index).cloned().unwrap_or_default())
}

/// What a projection is made of, again after a failure.
#[derive(Clone)]
struct Part {
    setup: Setup,
    layout: Layout,
    client_id: String,
    config: SparkplugConfig,
    data: PathBuf,
    clock: Clock,
    ring: broadcast::Sender<Arc<LiveScan>>,
    stop: watch::Receiver<bool>,
}

/// A failing projection harms nobody: it begins again after a pause.
async fn keep(part: Part) {
    loop {
        match tokio::spawn(part.clone().run()).await {
            Ok(()) => return,
            Err(fault) => error!(%fault, "sparkplug failed"),
        }
        sleep(Duration::from_millis(RECONNECT_MAX_MS)).await;
    }
}

impl Part {
    async fn run(self) {
        let scans = self.ring.subscribe();
        let last = number::recall(&self.data).await;
        let Self { setup, layout, client_id, config, data, clock, mut stop, .. } = self;
        info!(devices = layout.devices.len(), metrics = layout.signals.len(), "sparkplug is on");
        let node = EdgeNode::new(setup, layout, last);
        let mut task = Task::new(node, clock, scans, config);
        let mut pause = RECONNECT_MS;
        let mut kept = last;
        // A sender that is gone asks for the end as well.
        while !*stop.borrow() && stop.has_changed().is_ok() {
            let will = task.node.connecting(task.now());
            let bd_seq = task.node.bd_seq();
            if kept != Some(bd_seq) {
                number::keep(&data, bd_seq).await;
                kept = Some(bd_seq);
            }
            let began = clock.mono_ms();
            let connection = Connection::start(&task.config, &client_id, will);
            task.serve(connection, &mut stop).await;
            task.pending = None;
            if clock.mono_ms().saturating_sub(began) >= STEADY_MS {
                pause = RECONNECT_MS;
            }
            task.rest(pause, &mut stop).await;
            pause = (pause * 2).min(RECONNECT_MAX_MS);
        }
    }
}

struct Task {
    node: EdgeNode,
    clock: Clock,
    scans: broadcast::Receiver<Arc<LiveScan>>,
    /// Formed, but not taken by the connection yet. Its number is given: it goes out next.
    pending: Option<(Publish, Bytes)>,
    config: SparkplugConfig,
    /// Why there is no connection, as last logged.
    refusal: String,
    /// When the counters were logged last, monotonic ms, and what they were.
    logged: (u64, Counters),
}

impl Task {
    fn new(
        node: EdgeNode,
        clock: Clock,
        scans: broadcast::Receiver<Arc<LiveScan>>,
        config: SparkplugConfig,
    ) -> Self {
        let (refusal, logged) = (String::new(), (0, Counters::default()));
        Self { node, clock, scans, pending: None, config, refusal, logged }
    }

    fn now(&self) -> Now {
        Now { wall: self.clock.wall(), mono_ms: self.clock.mono_ms() }
    }

    /// One connection, until it is gone or was left.
    async fn serve(&mut self, mut connection: Connection, stop: &mut watch::Receiver<bool>) {
        let mut leave_at = None;
        loop {
            self.log_counters();
            let was_live = self.node.is_live();
            let flow = self.publish(&connection);
            if self.node.is_live() && !was_live {
                info!(bd_seq = self.node.bd_seq(), "sparkplug host is shown live values");
            }
            let now = self.clock.mono_ms();
            let next = match flow {
                Flow::Idle => self.node.wake_at(),
                Flow::Full => Some(now + AGAIN_MS),
                Flow::Leaving => Some(*leave_at.get_or_insert(now + FAREWELL_MS)),
            };
            if leave_at.is_some_and(|at| at <= now) {
                return;
            }
            let wake = next.into_iter().chain(leave_at).min();
            let wake = wake.map_or(LOOK_MS, |at| at.saturating_sub(now)).clamp(1, LOOK_MS);
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop), if leave_at.is_none() => {
                    leave_at = Some(now + FAREWELL_MS);
                    self.node.handle(Stimulus::Stop);
                }
                said = connection.said.recv() => {
                    let gone = match said {
                        Some(said) => self.hear(said, &connection),
                        None => true,
                    };
                    if gone {
                        self.node.handle(Stimulus::Lost);
                        return;
                    }
                }
                scan = self.scans.recv() => self.take(scan),
                () = sleep_until(self.clock.instant_after(wake)) => {}
            }
        }
    }

    /// Between two connections: nothing is sent, but the newest values are kept.
    async fn rest(&mut self, pause: u64, stop: &mut watch::Receiver<bool>) {
        let until = self.clock.instant_after(pause);
        loop {
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return,
                () = sleep_until(until) => return,
                scan = self.scans.recv() => self.take(scan),
            }
        }
    }

    fn take(&mut self, scan: Result<Arc<LiveScan>, RecvError>) {
        match scan {
            Ok(scan) => {
                for (point, reading) in &scan.readings {
                    let place = usize::try_from(*point).unwrap_or(usize::MAX);
                    self.node.offer(place, scan.te, *reading);
                }
            }
            Err(RecvError::Lagged(scans)) => self.node.overrun(scans),
            Err(RecvError::Closed) => unreachable!("this part holds an end of the ring itself"),
        }
    }

    /// Hands over what the connection takes.
    fn publish(&mut self, connection: &Connection) -> Flow {
        loop {
            let (publish, payload) = match self.pending.take() {
                Some(pending) => pending,
                None => match self.node.next(self.now()) {
                    Some(Step::Publish(mut publish)) => {
                        let payload = Bytes::from(std::mem::take(&mut publish.payload));
                        (publish, payload)
                    }
                    Some(Step::Disconnect) => {
                        // A full channel: the connection is dropped instead, and the will speaks.
                        connection.client.try_disconnect().ok();
                        return Flow::Leaving;
                    }
                    None => return Flow::Idle,
                },
            };
            let qos = connection::qos(publish.qos);
            let topic = publish.topic.clone();
            if connection.client.try_publish(topic, qos, false, payload.clone()).is_err() {
                self.pending = Some((publish, payload));
                return Flow::Full;
            }
        }
    }

    /// True: the connection is gone.
    fn hear(&mut self, said: Said, connection: &Connection) -> bool {
        match said {
            Said::Connected => {
                info!(broker = %self.config.host, "sparkplug broker connected");
                self.refusal.clear();
                let topics = self.node.subscriptions();
                let ask = |topic| SubscribeFilter::new(topic, QoS::AtLeastOnce);
                let asked = connection.client.try_subscribe_many(topics.into_iter().map(ask));
                // The channel of a connection that has just begun is empty.
                asked.is_err()
            }
            Said::Subscribed { refused } => {
                if refused > 0 {
                    warn!(refused, "broker refuses sparkplug subscriptions: no rebirth on demand");
                }
                self.node.handle(Stimulus::Subscribed);
                false
            }
            Said::Heard { topic, payload, retained } => {
                self.told(&topic, &payload, retained);
                false
            }
            Said::Gone(end) => {
                match end {
                    End::Farewell => info!("sparkplug broker left"),
                    End::Unreached(why) => {
                        self.node.unreached();
                        self.refused(why);
                    }
                    End::Broken(why) => self.refused(why),
                }
                true
            }
        }
    }

    /// The same reason is news once.
    fn refused(&mut self, why: String) {
        if why == self.refusal {
            debug!(why, "no sparkplug broker");
        } else {
            warn!(why, broker = %self.config.host, "no sparkplug broker");
        }
        self.refusal = why;
    }

    fn told(&mut self, topic: &str, payload: &[u8], retained: bool) {
        if topic.starts_with("spBv1.0/STATE/") {
            match serde_json::from_slice::<State>(payload) {
                Ok(State { online, timestamp }) => {
                    info!(online, timestamp, "sparkplug primary host");
                    self.node.handle(match online {
                        true => Stimulus::HostOnline(timestamp),
                        false => Stimulus::HostOffline(timestamp),
                    });
                }
                Err(fault) => warn!(%fault, "STATE of the sparkplug host cannot be read"),
            }
            return;
        }
        let done = self.node.command(payload, retained);
        debug!(topic, rebirth = done.rebirth, refused = done.refused, "sparkplug command");
    }

    /// What goes wrong again and again is said now and then.
    fn log_counters(&mut self) {
        let (at, before) = self.logged;
        let (now, counters) = (self.clock.mono_ms(), self.node.counters());
        let same = (counters.refused, counters.overrun) == (before.refused, before.overrun);
        if same || (at > 0 && now < at + COUNTERS_MS) {
            return;
        }
        self.logged = (now, counters);
        if counters.refused > before.refused {
            let commands = counters.refused - before.refused;
            warn!(commands, "sparkplug commands were refused: nothing is controlled from there");
        }
        if counters.overrun > before.overrun {
            let scans = counters.overrun - before.overrun;
            warn!(scans, "sparkplug was too slow: scans were left out");
        }
    }
}

/// What became of the wish to publish.
enum Flow {
    /// All has gone to the connection.
    Idle,
    /// There is more, but the connection takes nothing now.
    Full,
    /// The farewell was the last.
    Leaving,
}

/// What a host says of itself.
#[derive(Deserialize)]
struct State {
    online: bool,
    timestamp: i64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use fengsui_telemetry::Fault;
    use fengsui_telemetry::sparkplug::{Device, Signal};

    fn task(ring: &broadcast::Sender<Arc<LiveScan>>) -> Task {
        let signal = Signal {
            name: "P".into(),
            description: String::new(),
            unit: "%".into(),
            low: 0.0,
            high: 1e6,
            device: 0,
        };
        let devices = vec![Device { name: "D".into(), points: vec![0] }];
        let config = SparkplugConfig {
            host: "127.0.0.1".into(),
            port: 1,
            group: "g".into(),
            node: "n".into(),
            primary_host: None,
        };
        let layout = Layout { signals: vec![signal], devices };
        let node = EdgeNode::new(setup_of(&config), layout, None);
        Task::new(node, Clock::start(), ring.subscribe(), config)
    }

    #[test]
    fn a_part_that_stands_still_holds_nobody_up_and_keeps_the_newest() {
        let (ring, _) = broadcast::channel(SCANS_MAX);
        let mut task = task(&ring);
        let live = Live(Some(ring));
        let scans = i32::try_from(SCANS_MAX).unwrap() * 3;
        // Nobody reads: were this a queue, it would be full, and this loop would not end.
        for value in 0..scans {
            let readings = [(0, Reading::Good(f64::from(value)))];
            live.offer(TimeMs(i64::from(value)), &readings, ClockQuality::Rtc);
        }
        loop {
            match task.scans.try_recv() {
                Ok(scan) => task.take(Ok(scan)),
                Err(broadcast::error::TryRecvError::Lagged(n)) => {
                    task.take(Err(RecvError::Lagged(n)));
                }
                Err(_) => break,
            }
        }
        let counters = task.node.counters();
        let ring = u64::try_from(SCANS_MAX).unwrap();
        assert_eq!((counters.overrun, counters.superseded), (2 * ring, ring - 1));
        task.node.connecting(task.now());
        task.node.handle(Stimulus::Subscribed);
        task.node.next(task.now());
        let Some(Step::Publish(birth)) = task.node.next(task.now()) else { panic!("no DBIRTH") };
        let newest = f64::from(scans - 1).to_le_bytes();
        assert!(birth.payload.windows(8).any(|bytes| bytes == newest), "the newest value is shown");
    }

    #[test]
    fn nothing_is_handed_over_where_nobody_asked() {
        let readings = [(0, Reading::Good(1.0)), (1, Reading::Bad(Fault::Timeout))];
        Live::default().offer(TimeMs(0), &readings, ClockQuality::Rtc);
        let (ring, _) = broadcast::channel(SCANS_MAX);
        // The other end is being started again.
        let live = Live(Some(ring.clone()));
        live.offer(TimeMs(0), &readings, ClockQuality::Rtc);
        let mut end = ring.subscribe();
        live.offer(TimeMs(0), &readings, ClockQuality::Unset);
        let doubted = Reading::Uncertain(1.0, Doubt::EstimatedTime);
        let expected = [(0, doubted), (1, Reading::Bad(Fault::Timeout))];
        assert_eq!(end.try_recv().unwrap().readings, expected, "a clock that was never set");
    }

    #[test]
    fn a_state_is_read_as_the_specification_writes_it() {
        let state: State = serde_json::from_str(r#"{"online":true,"timestamp":1795270445120}"#)
            .expect("the form of the specification");
        assert!(state.online && state.timestamp == 1_795_270_445_120);
        for bad in ["ONLINE", r#"{"online":1,"timestamp":2}"#, r#"{"online":true}"#] {
            assert!(serde_json::from_str::<State>(bad).is_err(), "{bad}");
        }
    }
}
