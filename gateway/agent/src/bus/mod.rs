//! One task per device, or per line or TCP address that several devices share: it alone owns the
//! connection, and nobody cancels it mid-request.
//!
//! - What to ask and what an answer means is decided by [`Scanner`]; here are only the socket, the
//!   clock and the waiting.
//! - A reader that panics makes its points `Bad(ReaderFailed)` and begins anew after a pause.

mod behind;
mod guard;
pub(crate) mod mbap;
pub(crate) mod orders;
mod serial;
pub(crate) mod shared;
pub(crate) mod source;
mod tcp;
pub(crate) mod wire;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use fengsui_scan::{
    Arrears, BusKind, Device, Health, Link, Mapping, Master, PointSet, Remembered, Scanner, Step,
};
use fengsui_telemetry::{Fault, Reading, TimeMs};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tracing::{error, info, warn};

use crate::clock::Clock;
use behind::{Behind, Lately};
use shared::Member;
use source::Source;
use wire::Pace;

/// Scans on their way to the alarm loop: a second of a thousand scan groups. When full the reader
/// waits, and scans later.
pub(crate) const SCANS_MAX: usize = 1_024;
/// First pause after a reader failed; doubles to [`RESTART_MAX_MS`].
const RESTART_MS: u64 = 1_000;
const RESTART_MAX_MS: u64 = 30_000;
/// Answers this close together are told apart by a millisecond each.
const SAME_MS: i64 = 1_000;
/// Longest sleep, so that a reader without work still notices its end.
const SLEEP_MAX_MS: u64 = 60_000;

/// What one request said.
#[derive(Clone, Debug)]
pub(crate) struct Scanned {
    /// Index of the device in the site.
    pub(crate) device: usize,
    /// Source time of the readings.
    pub(crate) te: TimeMs,
    /// (index of the point, what it said). May be empty: then only the health is news.
    pub(crate) readings: Vec<(u32, Reading)>,
    /// When the device last answered; none where it did not this time.
    pub(crate) answered: Option<TimeMs>,
    /// Its present fault.
    pub(crate) fault: Option<Fault>,
    /// What it is behind with.
    pub(crate) arrears: Arrears,
    /// How far ahead its own clock is where it is too wrong to be believed, ms.
    pub(crate) clock_off_ms: Option<i64>,
}

/// Points that are read before others; other limits make them others while readers run.
pub(crate) type First = watch::Receiver<Arc<PointSet>>;

/// What readers that end give back, for the next configuration.
#[derive(Debug, Default)]
pub(crate) struct Memories {
    /// What points said so far, each with the line of its device, if it hangs on one.
    points: Vec<(Option<BusKind>, Remembered)>,
    /// What is known of a line.
    lines: Vec<(BusKind, Master)>,
}

impl Memories {
    /// Takes out what is remembered of a device.
    pub(crate) fn recall(&mut self, line: Option<&BusKind>, device: &Device) -> Option<Remembered> {
        let is =
            |(on, one): &(Option<BusKind>, Remembered)| on.as_ref() == line && one.is_of(device);
        let found = self.points.iter().position(is)?;
        Some(self.points.swap_remove(found).1)
    }

    /// Takes out what is remembered of a line and of these devices on it.
    pub(crate) fn of_line(&mut self, line: Option<&BusKind>, devices: &[Member]) -> Self {
        let on_it = |(on, one): &mut (Option<BusKind>, Remembered)| {
            on.as_ref() == line && devices.iter().any(|member| one.is_of(&member.device))
        };
        Self {
            points: self.points.extract_if(.., on_it).collect(),
            lines: self.lines.extract_if(.., |(on, _)| Some(&*on) == line).collect(),
        }
    }

    pub(crate) fn add(&mut self, more: Self) {
        self.points.extend(more.points);
        self.lines.extend(more.lines);
    }
}

/// One device and its points.
#[derive(Clone, Debug)]
pub(crate) struct Bus {
    pub(crate) index: usize,
    pub(crate) device: Device,
    /// Shared by every start of the reader.
    pub(crate) mappings: Arc<[Mapping]>,
    pub(crate) first: First,
    pub(crate) clock: Clock,
}

impl Bus {
    /// Reads until told to stop, whatever happens to the reader. What is remembered is for the
    /// first that reads: after a failure nothing is.
    pub(crate) async fn run(
        self,
        scans: mpsc::Sender<Scanned>,
        mut stop: watch::Receiver<bool>,
        mut remembered: Option<Remembered>,
    ) -> Memories {
        let (bus, out, end) = (self.clone(), scans.clone(), stop.clone());
        let reader = move || bus.clone().read(out.clone(), end.clone(), remembered.take());
        let failed = || {
            let scanner = Scanner::new(self.device.clone(), Arc::clone(&self.mappings), 0);
            vec![Scanned {
                device: self.index,
                te: self.clock.wall(),
                readings: scanner.all_bad(Fault::ReaderFailed),
                answered: None,
                fault: Some(Fault::ReaderFailed),
                arrears: Arrears::default(),
                clock_off_ms: None,
            }]
        };
        let kept = Kept { name: &self.device.name, clock: self.clock, failed: &failed };
        keep(&kept, reader, scans, &mut stop).await
    }

    async fn read(
        self,
        scans: mpsc::Sender<Scanned>,
        stop: watch::Receiver<bool>,
        remembered: Option<Remembered>,
    ) -> Memories {
        let mut scanner =
            Scanner::new(self.device.clone(), Arc::clone(&self.mappings), self.clock.mono_ms())
                .with_alarms(&self.first.borrow())
                .recalling(remembered);
        self.scan(&mut scanner, scans, stop).await;
        let points = scanner.into_memory().map(|one| (None, one)).into_iter().collect();
        Memories { points, lines: Vec::new() }
    }

    async fn scan(
        mut self,
        scanner: &mut Scanner,
        scans: mpsc::Sender<Scanned>,
        mut stop: watch::Receiver<bool>,
    ) {
        let clock = self.clock;
        let mut link = match &self.device.link {
            Link::ModbusTcp { host, port } => wire::Wire::tcp(host, *port, clock),
            Link::Rtu { .. } => unreachable!("devices on a line are read by the line's task"),
        };
        let (unit, pace) = (self.device.unit, Pace::of(&self.device));
        let mut health = scanner.health();
        let (mut last, mut behind) = (TimeMs::MIN, Behind::default());
        let mut lately = Lately::default();
        let mut source = Source::default();
        loop {
            if *stop.borrow() {
                return;
            }
            if self.first.has_changed().unwrap_or(false) {
                scanner.set_alarms(&self.first.borrow_and_update());
            }
            let request = match scanner.next(clock.mono_ms()) {
                Step::Read(request) => request,
                Step::Sleep(until) => {
                    let ms = until.saturating_sub(clock.mono_ms()).min(SLEEP_MAX_MS);
                    tokio::select! {
                        biased;
                        _ = stop.wait_for(|stop| *stop) => return,
                        () = sleep(Duration::from_millis(ms)) => continue,
                    }
                }
            };
            let asked = link.transact_until(&mut stop, unit, request, pace).await;
            let Some(wire::Exchange { outcome, .. }) = asked else { return };
            lately.count(&outcome, clock.mono_ms());
            let arrival = after(clock.wall(), last);
            last = arrival;
            let answer = scanner.answer(outcome, clock.mono_ms());
            if health != scanner.health() {
                say(&self.device.name, health, scanner.health());
                health = scanner.health();
            }
            let fault = scanner.fault();
            let arrears = scanner.arrears(clock.mono_ms());
            behind.say(&self.device.name, arrears, &lately);
            let dated = source.date(answer, arrival, clock.quality());
            let scanned = Scanned {
                device: self.index,
                te: dated.te,
                readings: dated.readings,
                answered: fault.is_none().then_some(arrival),
                fault,
                arrears,
                clock_off_ms: source.take(&self.device.name, dated.source),
            };
            if scans.send(scanned).await.is_err() {
                return;
            }
        }
    }
}

/// A reader that is started again and again.
pub(crate) struct Kept<'a> {
    pub(crate) name: &'a str,
    pub(crate) clock: Clock,
    /// What to say when it failed.
    pub(crate) failed: &'a (dyn Fn() -> Vec<Scanned> + Sync),
}

/// Starts the reader again and again, until one ends by itself; gives back what that one says.
pub(crate) async fn keep<F, T>(
    kept: &Kept<'_>,
    mut reader: impl FnMut() -> F,
    scans: mpsc::Sender<Scanned>,
    stop: &mut watch::Receiver<bool>,
) -> T
where
    F: Future<Output = T> + Send + 'static,
    T: Default + Send + 'static,
{
    let mut pause = RESTART_MS;
    loop {
        let began = kept.clock.mono_ms();
        // Whoever is given up takes its reader, and the reader's port, along.
        let mut running = JoinSet::new();
        running.spawn(reader());
        match running.join_next().await {
            Some(Ok(said)) => return said,
            None => return T::default(),
            Some(Err(fault)) => error!(reader = kept.name, %fault, pause, "reader failed"),
        }
        if kept.clock.mono_ms() - began > RESTART_MAX_MS {
            pause = RESTART_MS;
        }
        for failed in (kept.failed)() {
            if scans.send(failed).await.is_err() {
                return T::default();
            }
        }
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return T::default(),
            () = sleep(Duration::from_millis(pause)) => {}
        }
        pause = (pause * 2).min(RESTART_MAX_MS);
    }
}

/// Two answers of one device never bear the same time: a sample is named by its point and time. A
/// clock that was really set back is followed.
fn after(wall: TimeMs, last: TimeMs) -> TimeMs {
    if (0..=SAME_MS).contains(&last.since(wall)) { last + 1 } else { wall }
}

fn say(device: &str, before: Health, after: Health) {
    match (before, after) {
        (Health::Dead { .. }, Health::Healthy) => {
            info!(device, "device answers");
        }
        (Health::Healthy | Health::Suspect(_), Health::Dead { fault, .. }) => {
            warn!(device, fault = fault.word(), "device does not answer");
        }
        (Health::Healthy, Health::Healthy | Health::Suspect(_))
        | (Health::Suspect(_), Health::Healthy | Health::Suspect(_))
        | (Health::Dead { .. }, Health::Suspect(_) | Health::Dead { .. }) => {}
    }
}

#[cfg(test)]
mod tests;
