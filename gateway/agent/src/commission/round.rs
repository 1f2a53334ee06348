//! Reading what a site file names, by the plan and the decoder of the running gateway.
//!
//! - Devices on one line are asked in turns over one connection: a serial gateway has no second
//!   one to give.
//! - The registers that a reading came from are kept beside it: raw words settle every dispute with
//!   a manual.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fengsui_scan::{
    Device, Function, Health, Link, Mapping, OWED_US, Outcome, Payload, ReadRequest, Scanner, Site,
    SourceClock, Step,
};
use fengsui_telemetry::{Fault, Reading, TimeMs};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::line::Line;
use super::words;
use crate::bus::wire::Pace;
use crate::clock::Clock;

/// Answers on their way to the screen. When full, the reader waits.
pub(super) const HEARD_MAX: usize = 256;
/// A request that failed so often is not asked again in a single round.
const TRIES: usize = 2;
/// After this a slave of a line owes nothing that it was asked before; and a little.
const OWED_MS: u64 = OWED_US / 1_000 + 100;
/// Longest sleep of a reader without work.
const SLEEP_MAX_MS: u64 = 1_000;

/// What one request brought.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    /// Index of the device in the site.
    pub(super) device: usize,
    pub(super) rtt: Duration,
    /// Something came from the device, be it an exception.
    pub(super) answered: bool,
    /// How this request failed.
    pub(super) failed: Option<Fault>,
    /// Why the line to it does not open, or cannot be asked over, with the mend.
    pub(super) refusal: Option<String>,
    /// How the device does now.
    pub(super) fault: Option<Fault>,
    /// What this request said of the device's own clock.
    pub(super) source: SourceClock,
    pub(super) points: Vec<Seen>,
}

/// One point as it was just seen.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// Index of the point in the catalogue.
    pub(super) point: u32,
    /// Its registers; empty where none came.
    pub(super) raw: Vec<u16>,
    pub(super) reading: Reading,
}

/// One line and the devices on it.
pub(super) struct Round {
    line: Line,
    asked: Vec<Asked>,
}

struct Asked {
    index: usize,
    device: Device,
    mappings: BTreeMap<u32, Mapping>,
    /// The registers of each point, as they came last: a reading may wait for another reply.
    raw: BTreeMap<u32, Vec<u16>>,
    scanner: Scanner,
}

/// The lines of a site, with the wanted points only; all of them where none is named.
pub(super) fn rounds(site: &Site, wanted: &BTreeSet<u32>, clock: Clock) -> Vec<Round> {
    let mut lines: Vec<(String, Round)> = Vec::new();
    for (index, device) in site.devices.iter().enumerate() {
        let mut mappings = site.mappings_of(index);
        mappings.retain(|m| wanted.is_empty() || wanted.contains(&m.point));
        if mappings.is_empty() {
            continue;
        }
        let name = line_name(site, device);
        let scanner = Scanner::new(device.clone(), mappings.clone(), 0);
        let mappings = mappings.into_iter().map(|m| (m.point, m)).collect();
        let (device, raw) = (device.clone(), BTreeMap::new());
        let asked = Asked { index, device, mappings, raw, scanner };
        match lines.iter_mut().find(|(known, _)| *known == name) {
            Some((_, round)) => round.asked.push(asked),
            None => {
                let line = Line::of(site, &asked.device, clock);
                lines.push((name, Round { line, asked: vec![asked] }));
            }
        }
    }
    lines.into_iter().map(|(_, round)| round).collect()
}

/// The line of a device, for people; devices with the same name share it.
pub(super) fn line_name(site: &Site, device: &Device) -> String {
    match &device.link {
        Link::ModbusTcp { host, port } => format!("tcp {host}:{port}"),
        Link::Rtu { bus } => {
            site.buses.get(*bus).map_or_else(String::new, |bus| format!("bus {}", bus.name))
        }
    }
}

impl Round {
    /// Reads every point once. A slave that is silent at the question of another length, which each
    /// is asked first on a line, is asked again as soon as nothing can be owed any more: some answer
    /// no length but their own.
    pub(super) async fn once(mut self, clock: Clock) -> Vec<Heard> {
        let mut all = Vec::new();
        let mut silent = Vec::new();
        for asked in &mut self.asked {
            let began = clock.mono_ms();
            let heard = asked.once(&mut self.line, &clock).await;
            if self.line.is_rtu() && heard.iter().all(|one| one.failed == Some(Fault::Timeout)) {
                silent.push((asked, began));
            }
            all.extend(heard);
        }
        for (asked, began) in silent {
            let free_at = began + OWED_MS;
            sleep(Duration::from_millis(free_at.saturating_sub(clock.mono_ms()))).await;
            asked.anew();
            all.extend(asked.once(&mut self.line, &clock).await);
        }
        all
    }

    /// Reads for ever, each point at its own period, until nobody listens.
    pub(super) async fn follow(mut self, clock: Clock, out: mpsc::Sender<Heard>) {
        loop {
            let mut soonest = clock.mono_ms() + SLEEP_MAX_MS;
            let mut idle = true;
            for asked in &mut self.asked {
                // 0 is the time of a single round.
                let now = clock.mono_ms().max(1);
                match asked.scanner.next(now) {
                    Step::Read(request) => {
                        idle = false;
                        let heard = asked.read(&mut self.line, &clock, request, now).await;
                        if out.send(heard).await.is_err() {
                            return;
                        }
                    }
                    Step::Sleep(until) => soonest = soonest.min(until),
                }
            }
            if idle {
                let ms = soonest.saturating_sub(clock.mono_ms());
                tokio::select! {
                    () = out.closed() => return,
                    () = sleep(Duration::from_millis(ms)) => {}
                }
            }
        }
    }
}

impl Asked {
    /// As if nothing had been asked yet.
    fn anew(&mut self) {
        let mappings: Vec<Mapping> = self.mappings.values().cloned().collect();
        self.scanner = Scanner::new(self.device.clone(), mappings, 0);
    }

    async fn once(&mut self, line: &mut Line, clock: &Clock) -> Vec<Heard> {
        let mut all = Vec::new();
        let mut failed: Vec<(ReadRequest, usize)> = Vec::new();
        // Time stands still: what has been read is due later and is not asked again.
        while let Step::Read(request) = self.scanner.next(0) {
            let heard = self.read(line, clock, request, 0).await;
            let gone_wrong = heard.failed.is_some();
            all.push(heard);
            if !gone_wrong {
                continue;
            }
            match failed.iter_mut().find(|(known, _)| *known == request) {
                Some((_, times)) => *times += 1,
                None => failed.push((request, 1)),
            }
            if failed.iter().any(|(_, times)| *times >= TRIES) {
                break;
            }
        }
        all
    }

    async fn read(
        &mut self,
        line: &mut Line,
        clock: &Clock,
        request: ReadRequest,
        now: u64,
    ) -> Heard {
        let heard = line.ask(clock, self.device.unit, request, Pace::of(&self.device)).await;
        let answered = match &heard.outcome {
            Outcome::Data(_) | Outcome::Exception(_) => true,
            Outcome::Timeout | Outcome::BadFrame | Outcome::Lost | Outcome::Unreachable => false,
        };
        let failed = match &heard.outcome {
            Outcome::Data(_) | Outcome::Exception(_) => None,
            Outcome::Timeout => Some(Fault::Timeout),
            Outcome::BadFrame => Some(Fault::BadFrame),
            Outcome::Lost | Outcome::Unreachable => Some(Fault::NotConnected),
        };
        // A single round stands at time 0.
        let now = if now == 0 { 0 } else { clock.mono_ms() };
        for (point, mapping) in &self.mappings {
            if let Some(raw) = raw_of(mapping, request, &heard.outcome) {
                self.raw.insert(*point, raw);
            }
        }
        let answer = self.scanner.answer(heard.outcome.clone(), now);
        let dated = answer.dated(clock.wall(), clock.quality(), TimeMs::MIN);
        let points = dated.readings.into_iter().map(|(point, reading)| Seen {
            point,
            raw: self.raw.get(&point).cloned().unwrap_or_default(),
            reading,
        });
        Heard {
            device: self.index,
            rtt: heard.rtt,
            source: dated.source,
            answered,
            failed,
            refusal: line.refusal().or(heard.is_noise.then_some(words::NOISE)).map(str::to_owned),
            points: points.collect(),
            fault: match self.scanner.health() {
                Health::Healthy => None,
                Health::Suspect(fault) | Health::Dead { fault, .. } => Some(fault),
            },
        }
    }
}

/// The point's own registers after a reply to this request: none where it said nothing of them.
fn raw_of(mapping: &Mapping, request: ReadRequest, outcome: &Outcome) -> Option<Vec<u16>> {
    let words = match mapping.function {
        Function::Holding | Function::Input => mapping.encoding.words(),
        Function::Coil | Function::Discrete => 1,
    };
    let at = mapping.address.checked_sub(request.first)?;
    let end = at.checked_add(words)?;
    if mapping.function != request.function || end > request.count {
        return None;
    }
    let cells = usize::from(at)..usize::from(end);
    Some(match outcome {
        Outcome::Data(Payload::Words(words)) => words.get(cells)?.to_vec(),
        Outcome::Data(Payload::Bits(bits)) => {
            bits.get(cells)?.iter().map(|bit| u16::from(*bit)).collect()
        }
        Outcome::Exception(_)
        | Outcome::Timeout
        | Outcome::BadFrame
        | Outcome::Lost
        | Outcome::Unreachable => Vec::new(),
    })
}
