//! The plant at work: one loop owns the process, the faults and the truth; devices read what it
//! publishes.
//!
//! - A command is in effect, and its truth recorded, before its caller hears so: the wall time it
//!   gets back is a fair start for a latency measurement.
//! - Only the loop changes anything; [`Control`] sends it requests over one bounded queue.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tracing::info;

use crate::clock::Clock;
use crate::config::{ConfigFault, DeviceConfig, Kind, PlantConfig};
use crate::device::{Feed, serve};
use crate::fault::Fault;
use crate::image::{Cell, Image, layout};
use crate::noise::Noise;
use crate::process::{Command, Process, Signal};
use crate::truth::{TruthRow, TruthSink};

/// Requests from controls to the loop. When full, the one who asks waits; the loop answers each
/// within a tick.
const REQUESTS_MAX: usize = 64;
/// How far noise shakes a reading, as a part of the instrument's range.
const NOISE_PART: f64 = 0.2;

/// What can go wrong with the plant itself.
#[derive(Debug, Error)]
pub enum PlantError {
    /// The configuration cannot be.
    #[error("configuration has {} fault(s), first: {}", .0.len(), .0.first().map(ToString::to_string).unwrap_or_default())]
    Config(Vec<ConfigFault>),
    /// A port cannot be had.
    #[error(
        "device {device:?} cannot listen on {address}: {source}; choose another port, 0 for a free one"
    )]
    Listen {
        /// The device.
        device: String,
        /// Where it should listen.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// A name that no device has.
    #[error("the plant has no device {0:?}")]
    NoSuchDevice(String),
    /// The plant has stopped.
    #[error("the plant has stopped")]
    Stopped,
}

/// Where a device listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its name.
    pub device: String,
    /// The port that it really has.
    pub address: SocketAddr,
    /// Its first unit number.
    pub unit: u8,
    /// How many units follow each other from there.
    pub units: u8,
}

/// A running plant. It stops when it is dropped, and at once and in order by [`Plant::stop`].
pub struct Plant {
    endpoints: Vec<Endpoint>,
    control: Control,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Plant {
    /// Starts every device.
    ///
    /// # Errors
    /// A faulty configuration or a port that cannot be had.
    pub async fn start(config: PlantConfig) -> Result<Self, PlantError> {
        Self::start_logged(config, Box::new(|_| ())).await
    }

    /// Starts every device and tells the truth to `sink`.
    ///
    /// # Errors
    /// A faulty configuration or a port that cannot be had.
    pub async fn start_logged(config: PlantConfig, sink: TruthSink) -> Result<Self, PlantError> {
        config.check().map_err(PlantError::Config)?;
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let mut endpoints = Vec::new();
        let mut devices = Vec::new();
        for device in &config.devices {
            let wanted = SocketAddr::new(device.host, device.port);
            let failed = |source| PlantError::Listen {
                device: device.name.clone(),
                address: wanted,
                source,
            };
            let listener = TcpListener::bind(wanted).await.map_err(failed)?;
            let address = listener.local_addr().map_err(failed)?;
            let (image, images) = watch::channel(Arc::new(Image::default()));
            let (fault, faults) = watch::channel(Fault::None);
            let feed = Feed {
                name: device.name.as_str().into(),
                image: images,
                fault: faults,
                stop: stopped.clone(),
            };
            devices.push((listener, address, feed));
            endpoints.push((endpoint(device, address), Line::new(device, image, fault)));
        }
        let (endpoints, lines): (Vec<_>, Vec<_>) = endpoints.into_iter().unzip();
        let mut works = Works::new(&config, lines, sink);
        // Before the first connection is taken, so that nobody reads an empty image.
        works.tick();
        for (listener, address, feed) in devices {
            tasks.spawn(serve(listener, address, feed));
        }
        let (requests, inbox) = mpsc::channel(REQUESTS_MAX);
        tasks.spawn(works.run(inbox, stopped));
        Ok(Self { endpoints, control: Control { requests }, stop, tasks })
    }

    /// Where the devices listen, in the order of the configuration.
    #[must_use]
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// Where one device listens.
    #[must_use]
    pub fn address(&self, device: &str) -> Option<SocketAddr> {
        self.endpoints.iter().find(|endpoint| endpoint.device == device).map(|e| e.address)
    }

    /// A handle for faults and commands.
    #[must_use]
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// Closes every port and waits until all tasks have ended.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        while self.tasks.join_next().await.is_some() {}
    }
}

fn endpoint(device: &DeviceConfig, address: SocketAddr) -> Endpoint {
    let (unit, units) = match device.kind {
        Kind::Tank | Kind::Gas | Kind::Dam => (device.unit, 1),
        Kind::Wide => (1, device.units),
    };
    Endpoint { device: device.name.clone(), address, unit, units }
}

/// Moves the plant: faults of devices, commands to the process.
#[derive(Clone, Debug)]
pub struct Control {
    requests: mpsc::Sender<Request>,
}

#[derive(Debug)]
enum Request {
    Fault { device: String, fault: Fault, done: oneshot::Sender<Result<i64, PlantError>> },
    Command { command: Command, done: oneshot::Sender<i64> },
    Read { signal: Signal, done: oneshot::Sender<Option<f64>> },
}

impl Control {
    /// Lays a fault on a device, or takes it away ([`Fault::None`]). Returns the wall time (ms)
    /// from which it holds.
    ///
    /// # Errors
    /// No such device, or the plant has stopped.
    pub async fn fault(&self, device: &str, fault: Fault) -> Result<i64, PlantError> {
        let (done, answer) = oneshot::channel();
        self.ask(Request::Fault { device: device.to_owned(), fault, done }).await?;
        answer.await.map_err(|_| PlantError::Stopped)?
    }

    /// Does something to the process. Returns the wall time (ms) from which a read sees it.
    ///
    /// # Errors
    /// The plant has stopped.
    pub async fn command(&self, command: Command) -> Result<i64, PlantError> {
        let (done, answer) = oneshot::channel();
        self.ask(Request::Command { command, done }).await?;
        answer.await.map_err(|_| PlantError::Stopped)
    }

    /// [`Command::Set`]: the reading is this, without noise, until released.
    ///
    /// # Errors
    /// The plant has stopped.
    pub async fn set(&self, signal: Signal, value: f64) -> Result<i64, PlantError> {
        self.command(Command::Set { signal, value }).await
    }

    /// The true reading at this moment; `None` when the instrument reports its own fault.
    ///
    /// # Errors
    /// The plant has stopped.
    pub async fn reading(&self, signal: Signal) -> Result<Option<f64>, PlantError> {
        let (done, answer) = oneshot::channel();
        self.ask(Request::Read { signal, done }).await?;
        answer.await.map_err(|_| PlantError::Stopped)
    }

    async fn ask(&self, request: Request) -> Result<(), PlantError> {
        self.requests.send(request).await.map_err(|_| PlantError::Stopped)
    }
}

/// One device as the loop sees it.
struct Line {
    config: DeviceConfig,
    cells: Vec<Cell>,
    count: Option<u64>,
    image: watch::Sender<Arc<Image>>,
    fault: watch::Sender<Fault>,
}

impl Line {
    fn new(
        config: &DeviceConfig,
        image: watch::Sender<Arc<Image>>,
        fault: watch::Sender<Fault>,
    ) -> Self {
        let cells = layout(config.kind);
        Self { config: config.clone(), cells, count: None, image, fault }
    }
}

/// All that the loop owns.
struct Works {
    clock: Clock,
    speed: f64,
    tick: Duration,
    process: Process,
    /// Its own stream: a noise fault must not change the day of the process.
    noise: Noise,
    lines: Vec<Line>,
    /// The last value told for each (line, signal).
    told: BTreeMap<(usize, Signal), Option<f64>>,
    sink: TruthSink,
}

impl Works {
    fn new(config: &PlantConfig, lines: Vec<Line>, sink: TruthSink) -> Self {
        Self {
            clock: Clock::start(),
            speed: config.speed,
            tick: Duration::from_millis(config.tick_ms),
            process: Process::new(config.seed),
            noise: Noise::new(!config.seed),
            lines,
            told: BTreeMap::new(),
            sink,
        }
    }

    async fn run(mut self, mut inbox: mpsc::Receiver<Request>, mut stop: watch::Receiver<bool>) {
        let mut ticks = tokio::time::interval(self.tick);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut controls = true;
        loop {
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return,
                _ = ticks.tick() => self.tick(),
                request = inbox.recv(), if controls => match request {
                    Some(request) => self.serve(request),
                    // Every control is gone; the plant itself goes on.
                    None => controls = false,
                },
            }
        }
    }

    fn serve(&mut self, request: Request) {
        // One who no longer waits for the answer has no claim to it: the sends may fail.
        match request {
            Request::Fault { device, fault, done } => {
                let result = self.set_fault(&device, fault);
                done.send(result).ok();
            }
            Request::Command { command, done } => {
                self.process.command(command);
                self.publish();
                done.send(Clock::wall_ms()).ok();
            }
            Request::Read { signal, done } => {
                done.send(self.process.reading(signal)).ok();
            }
        }
    }

    fn set_fault(&mut self, device: &str, fault: Fault) -> Result<i64, PlantError> {
        let line = self
            .lines
            .iter_mut()
            .find(|line| line.config.name == device)
            .ok_or_else(|| PlantError::NoSuchDevice(device.to_owned()))?;
        info!(device, %fault, "fault set");
        line.fault.send_replace(fault);
        self.publish();
        Ok(Clock::wall_ms())
    }

    /// Lets time pass and shows what has become of it.
    fn tick(&mut self) {
        let elapsed = self.clock.elapsed_ms();
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            reason = "a run is far shorter than 2^53 ms, and a cast saturates"
        )]
        let process_ms = (elapsed as f64 * self.speed) as i64;
        self.process.advance(process_ms);
        self.publish();
    }

    fn publish(&mut self) {
        let elapsed = self.clock.elapsed_ms();
        for (index, line) in self.lines.iter_mut().enumerate() {
            let (process, noise) = (&self.process, &mut self.noise);
            if line.config.kind == Kind::Wide {
                let every = i64::try_from(line.config.count_ms).unwrap_or(i64::MAX);
                let count = (elapsed / every).unsigned_abs();
                if line.count == Some(count) {
                    continue;
                }
                line.count = Some(count);
                let image = Image::counting(line.config.units, line.config.registers, count);
                show(line, image);
                #[expect(clippy::cast_precision_loss, reason = "seconds are far below 2^53")]
                let value = Some((count % 65_536) as f64);
                (self.sink)(&row(line, "holding", 0, "count", value));
                continue;
            }
            let shaken = *line.fault.borrow() == Fault::Noise;
            let shown = |signal: Signal, value: f64| {
                let reach = if shaken { NOISE_PART * signal.span() } else { 0.0 };
                value + noise.between(-reach, reach)
            };
            let unit = line.config.unit;
            let image = Image::of_process(unit, line.config.holes, &line.cells, process, shown);
            show(line, image);
            for cell in &line.cells {
                let (_, value) = cell.encode(process.reading(cell.signal));
                if self.told.insert((index, cell.signal), value) != Some(value) {
                    let name = cell.signal.to_string();
                    (self.sink)(&row(line, cell.table.name(), cell.address, &name, value));
                }
            }
        }
    }
}

/// Publishes an image, unless the device is frozen and goes on showing an older one.
fn show(line: &Line, image: Image) {
    if *line.fault.borrow() != Fault::Frozen {
        line.image.send_replace(Arc::new(image));
    }
}

fn row(line: &Line, table: &str, address: u16, signal: &str, value: Option<f64>) -> TruthRow {
    TruthRow {
        t_ms: Clock::wall_ms(),
        device: line.config.name.clone(),
        unit: if line.config.kind == Kind::Wide { 1 } else { line.config.unit },
        table: table.to_owned(),
        address,
        signal: signal.to_owned(),
        value,
    }
}
