//! One task per line, or per TCP address of several devices: it alone owns the port or connection
//! and serves all its devices in turn. Whose turn it is, is decided by [`Line`].

use std::sync::Arc;
use std::time::Duration;

use fengsui_scan::{
    Arrears, BusKind, BusSpec, COMMAND_PATIENCE_US, Command, Device, Heard, Line, Mapping, Outcome,
    Scanner, Tally, Timing, Turn,
};
use fengsui_telemetry::{Fault, TimeMs};
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;
use tracing::{debug, info, warn};

use super::behind::{Behind, Lately};
use super::orders::{Orders, Said, Ways};
use super::source::Source;
use super::wire::{Exchange, Pace, Wire};
use super::{First, Kept, Memories, SLEEP_MAX_MS, Scanned, after, keep, say};
use crate::clock::Clock;

/// How often a line says in the log how it does.
const REPORT_MS: u64 = 600_000;

/// What several devices share.
#[derive(Clone, Debug)]
pub(crate) enum Shared {
    /// A line of the site.
    Bus(BusSpec),
    /// One address of Modbus TCP: a converter with several units behind it.
    Endpoint { host: String, port: u16 },
}

impl Shared {
    fn name(&self) -> String {
        match self {
            Self::Bus(spec) => spec.name.clone(),
            Self::Endpoint { host, port } => format!("{host}:{port}"),
        }
    }

    fn timing(&self) -> Timing {
        match self {
            Self::Bus(spec) => Timing::new(&spec.settings),
            Self::Endpoint { .. } => Timing::of_network(),
        }
    }

    /// What a slave may still send concerns a line only: another connection has none of it.
    pub(crate) fn line(&self) -> Option<&BusKind> {
        match self {
            Self::Bus(spec) => Some(&spec.kind),
            Self::Endpoint { .. } => None,
        }
    }
}

/// A device on a line.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    /// Index of the device in the site.
    pub(crate) index: usize,
    pub(crate) device: Device,
    pub(crate) mappings: Arc<[Mapping]>,
}

/// A line and its devices.
#[derive(Clone, Debug)]
pub(crate) struct SharedBus {
    pub(crate) on: Shared,
    pub(crate) members: Vec<Member>,
    pub(crate) first: First,
    pub(crate) clock: Clock,
    /// By which orders come; none where no output hangs on it.
    pub(crate) ways: Option<Ways>,
}

impl SharedBus {
    /// Reads until told to stop, whatever happens to the reader. What is remembered is for the
    /// first that reads: after a failure nothing is.
    pub(crate) async fn run(
        self,
        scans: mpsc::Sender<Scanned>,
        mut stop: watch::Receiver<bool>,
        mut remembered: Memories,
    ) -> Memories {
        let (bus, out, end) = (self.clone(), scans.clone(), stop.clone());
        let reader =
            move || bus.clone().read(out.clone(), end.clone(), std::mem::take(&mut remembered));
        let failed = || self.members.iter().map(|member| self.failed(member)).collect();
        let kept = Kept { name: &self.on.name(), clock: self.clock, failed: &failed };
        keep(&kept, reader, scans, &mut stop).await
    }

    fn failed(&self, member: &Member) -> Scanned {
        let scanner = Scanner::new(member.device.clone(), Arc::clone(&member.mappings), 0);
        Scanned {
            device: member.index,
            te: self.clock.wall(),
            readings: scanner.all_bad(Fault::ReaderFailed),
            answered: None,
            fault: Some(Fault::ReaderFailed),
            arrears: Arrears::default(),
            clock_off_ms: None,
        }
    }

    async fn read(
        self,
        scans: mpsc::Sender<Scanned>,
        stop: watch::Receiver<bool>,
        mut remembered: Memories,
    ) -> Memories {
        let before = remembered.lines.pop().map(|(_, master)| master);
        let patience = self.members.iter().map(|member| member.device.timeout_ms).max();
        let patience = Duration::from_millis(patience.unwrap_or_default().into());
        let orders = self.ways.as_ref().map(|_| Duration::from_micros(COMMAND_PATIENCE_US));
        let patience = patience.max(orders.unwrap_or_default());
        let (wire, strange) = match &self.on {
            Shared::Bus(spec) => {
                let strange = before.is_none();
                (Wire::on(spec, self.clock).recalling(before, patience), strange)
            }
            Shared::Endpoint { host, port } => (Wire::tcp(host, *port, self.clock), false),
        };
        self.serve((wire, strange), scans, stop, remembered).await
    }

    /// Serves the devices over this wire, which others may have used just before.
    pub(super) async fn serve(
        self,
        (mut wire, strange): (Wire, bool),
        scans: mpsc::Sender<Scanned>,
        stop: watch::Receiver<bool>,
        mut remembered: Memories,
    ) -> Memories {
        let now = self.clock.mono_ms();
        let scanner = |member: &Member| {
            Scanner::new(member.device.clone(), Arc::clone(&member.mappings), now)
                .with_alarms(&self.first.borrow())
                .recalling(remembered.recall(self.on.line(), &member.device))
        };
        let scanners = self.members.iter().map(scanner).collect();
        let line = Line::new(self.on.timing(), scanners, now);
        let mut line = if strange { line.doubting() } else { line };
        // Of points that are no more.
        drop(remembered);
        self.take_turns(&mut wire, &mut line, scans, stop).await;
        let on = || self.on.line().cloned();
        Memories {
            points: line.into_memories().map(|one| (on(), one)).collect(),
            lines: on().zip(wire.into_master()).into_iter().collect(),
        }
    }

    async fn take_turns(
        &self,
        wire: &mut Wire,
        line: &mut Line,
        scans: mpsc::Sender<Scanned>,
        mut stop: watch::Receiver<bool>,
    ) {
        let (clock, name) = (self.clock, self.on.name());
        let mut last =
            vec![(TimeMs::MIN, Behind::default(), Source::default()); self.members.len()];
        let (mut first, mut lately) = (self.first.clone(), Lately::default());
        let mut report = Report { at: clock.mono_ms(), busy_us: 0 };
        let mut orders = Orders::new(self.ways.as_ref().map(|ways| ways.own(&name)));
        while !*stop.borrow() {
            report.say(&name, line, clock.mono_ms());
            if first.has_changed().unwrap_or(false) {
                line.set_alarms(&first.borrow_and_update());
            }
            orders.take(line, clock.mono_ms());
            let (place, unit, request, patience_us) = match line.next(clock.mono_ms()) {
                Turn::Ask { device, unit, request, patience_us } => {
                    (device, unit, request, patience_us)
                }
                Turn::Obey(command) => {
                    if self.obey(command, wire, line, &mut orders, &mut stop).await.is_none() {
                        return;
                    }
                    continue;
                }
                Turn::Sleep(until) => {
                    let ms = until.saturating_sub(clock.mono_ms()).min(SLEEP_MAX_MS);
                    tokio::select! {
                        biased;
                        _ = stop.wait_for(|stop| *stop) => return,
                        order = orders.come() => {
                            orders.give(order, line, clock.mono_ms());
                            continue;
                        }
                        () = sleep(Duration::from_millis(ms)) => continue,
                    }
                }
            };
            let (Some(member), Some((last, behind, source))) =
                (self.members.get(place), last.get_mut(place))
            else {
                continue;
            };
            let began = clock.line_us();
            let patience = Duration::from_micros(patience_us);
            let pace = Pace { patience, ..Pace::of(&member.device) };
            let exchange = wire.transact_until(&mut stop, unit, request, pace).await;
            let Some(exchange) = exchange else { return };
            lately.count(&exchange.outcome, clock.mono_ms());
            let arrival = after(clock.wall(), *last);
            *last = arrival;
            // Bytes of a device that was given up belong to its turn, not to the next device's.
            wire.settle(&mut stop).await;
            let busy_us = clock.line_us().saturating_sub(began);
            let exchange = (exchange, &mut *source);
            let scanned = take(line, place, member, exchange, arrival, (busy_us, clock));
            behind.say(&member.device.name, scanned.arrears, &lately);
            if scans.send(scanned).await.is_err() {
                return;
            }
            if line.wants_reopening(clock.mono_ms()) {
                warn!(bus = name, "nobody answers: it is opened anew");
                wire.close();
            }
        }
    }

    /// Gives one order; none when told to stop before it was begun.
    async fn obey(
        &self,
        Command { id, unit, question, .. }: Command,
        wire: &mut Wire,
        line: &mut Line,
        orders: &mut Orders,
        stop: &mut watch::Receiver<bool>,
    ) -> Option<()> {
        let (answer, began) = (orders.begun(id), self.clock.line_us());
        let patience = Duration::from_micros(COMMAND_PATIENCE_US);
        // A relay module that is read as well.
        let read = self.members.iter().find(|member| member.device.unit == unit);
        let pace =
            read.map_or(patience.into(), |member| Pace { patience, ..Pace::of(&member.device) });
        let Exchange { outcome, fault, rtt, .. } =
            wire.transact_until(stop, unit, question, pace).await?;
        let answered = matches!(outcome, Outcome::Data(_) | Outcome::Exception(_));
        if !answered {
            debug!(bus = self.on.name(), unit, ?outcome, ?fault, ?rtt, "order without answer");
        }
        if let Some(answer) = answer {
            // Whoever no longer waits has given it up.
            drop(answer.try_send(Said { outcome, fault }));
        }
        wire.settle(stop).await;
        let busy_us = self.clock.line_us().saturating_sub(began);
        line.obeyed(unit, answered, busy_us, self.clock.mono_ms());
        Some(())
    }
}

/// Hands what came of a turn to the line, and says what it means.
fn take(
    line: &mut Line,
    place: usize,
    member: &Member,
    (exchange, source): (Exchange, &mut Source),
    arrival: TimeMs,
    (busy_us, clock): (u64, Clock),
) -> Scanned {
    let before = line.health(place);
    if let Some(fault) = &exchange.fault {
        let rtt_us = exchange.rtt.as_micros();
        debug!(device = member.device.name, %fault, rtt_us, "wrong reply");
    }
    let heard = Heard {
        outcome: exchange.outcome,
        fault: exchange.fault,
        turnaround_us: exchange.turnaround.and_then(|t| u64::try_from(t.as_micros()).ok()),
        busy_us,
        orphans: exchange.orphans,
    };
    let answer = line.answer(heard, clock.mono_ms());
    let health = line.health(place);
    if let (Some(before), Some(health)) = (before, health)
        && before != health
    {
        say(&member.device.name, before, health);
    }
    let fault = line.fault(place);
    let dated = source.date(answer, arrival, clock.quality());
    Scanned {
        device: member.index,
        te: dated.te,
        readings: dated.readings,
        answered: fault.is_none().then_some(arrival),
        fault,
        arrears: line.arrears(place, clock.mono_ms()),
        clock_off_ms: source.take(&member.device.name, dated.source),
    }
}

struct Report {
    at: u64,
    busy_us: u64,
}

impl Report {
    /// Once in a while: how much of the line is used, and what went wrong.
    fn say(&mut self, bus: &str, line: &mut Line, now: u64) {
        let passed = now.saturating_sub(self.at);
        if passed < REPORT_MS {
            return;
        }
        let mut all = Tally::default();
        for (device, tally) in line.tallies() {
            all.busy_us += tally.busy_us;
            let Tally { asked, timeouts, crc_errors, bad_frames, orphans, latest_ms, .. } = tally;
            if timeouts + crc_errors + bad_frames + orphans > 0 {
                info!(
                    bus,
                    device,
                    asked,
                    timeouts,
                    crc_errors,
                    bad_frames,
                    orphans,
                    latest_ms,
                    "device on the line"
                );
            }
        }
        let orders = line.orders();
        all.busy_us += orders.busy_us;
        if orders.unanswered > 0 {
            let (asked, unanswered) = (orders.asked, orders.unanswered);
            info!(bus, asked, unanswered, "orders on the line");
        }
        let used = (all.busy_us - self.busy_us) / passed / 10;
        info!(bus, used_percent = used, "line");
        line.forget_latest();
        (self.at, self.busy_us) = (now, all.busy_us);
    }
}
