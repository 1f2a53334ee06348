//! One way to ask a device over any wire.
//!
//! - Whoever holds a [`Wire`] is its only owner; a question that was begun is never cancelled.
//! - Every question ends: within its patience and the time on the wire, after the same wait for a
//!   line that is to become quiet.

use std::path::Path;
use std::time::Duration;

use fengsui_scan::{
    Asked, BusKind, BusSpec, Device, Direction, Echo, Master, Outcome, Question, ReadRequest,
    RtuFault, SerialSettings,
};
use tokio::sync::watch;
use tokio::time::sleep_until;

use super::serial::{Opener, RtuLine};
use super::tcp::Tcp;
use crate::clock::Clock;

/// What came of one question.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    /// For the scanner.
    pub(crate) outcome: Outcome,
    /// From the first byte of the request to the last of the answer, or to the end of patience.
    pub(crate) rtt: Duration,
    /// What the device took beyond the time on the wire; none without an answer, and over TCP.
    pub(crate) turnaround: Option<Duration>,
    /// Bursts on the line that nobody asked for, since the question before.
    pub(crate) orphans: u32,
    /// Why the outcome is a bad frame, on an RTU line.
    pub(crate) fault: Option<RtuFault>,
}

/// How long a device is left alone before it is asked, and waited for after that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    /// Since the exchange before on the same line or connection, or since that was opened.
    pub(crate) pause: Duration,
    /// Over TCP for everything, on a line beside the time of the frames themselves.
    pub(crate) patience: Duration,
}

impl Pace {
    /// What the site says of a device.
    pub(crate) fn of(device: &Device) -> Self {
        Self {
            pause: Duration::from_millis(device.pause_ms.into()),
            patience: Duration::from_millis(device.timeout_ms.into()),
        }
    }

    /// Waits for the end of the pause.
    pub(super) async fn rest(self, clock: &Clock, since_us: u64) {
        if !self.pause.is_zero() {
            sleep_until(clock.line_instant(since_us) + self.pause).await;
        }
    }
}

impl From<Duration> for Pace {
    /// Nobody needs a pause.
    fn from(patience: Duration) -> Self {
        Self { pause: Duration::ZERO, patience }
    }
}

/// A way to devices.
#[derive(Debug)]
pub(crate) enum Wire {
    /// Modbus TCP: a new connection after anything but a clean answer.
    Tcp(Tcp),
    /// An RTU line, serial or over TCP.
    Rtu(Box<RtuLine>),
}

impl Wire {
    /// Modbus TCP.
    pub(crate) fn tcp(host: &str, port: u16, clock: Clock) -> Self {
        Self::Tcp(Tcp::new(host, port, clock))
    }

    /// A line of a site.
    pub(crate) fn on(spec: &BusSpec, clock: Clock) -> Self {
        match &spec.kind {
            BusKind::Serial { path, echo, direction } => {
                let by_kernel = (*direction == Direction::Kernel).then(|| spec.name.clone());
                let path = Path::new(path).to_owned();
                let opener = Opener::Serial { path, settings: spec.settings, by_kernel };
                Self::Rtu(Box::new(RtuLine::new(opener, spec.settings, *echo, clock)))
            }
            BusKind::RtuTcp { host, port } => Self::rtu_tcp(host, *port, spec.settings, clock),
        }
    }

    /// Knows what the reader before knew ([`RtuLine::recalling`]).
    pub(crate) fn recalling(self, before: Option<Master>, patience: Duration) -> Self {
        match self {
            Self::Rtu(line) => Self::Rtu(Box::new(line.recalling(before, patience))),
            Self::Tcp(..) => self,
        }
    }

    /// Why the line does not open; none while it does, and over Modbus TCP.
    pub(crate) fn refusal(&self) -> Option<&str> {
        match self {
            Self::Rtu(line) => line.refusal(),
            Self::Tcp(..) => None,
        }
    }

    /// What slaves of a line may still send.
    pub(crate) fn into_master(self) -> Option<Master> {
        match self {
            Self::Rtu(line) => Some(line.into_master()),
            Self::Tcp(..) => None,
        }
    }

    /// RTU on a serial port.
    pub(crate) fn serial(path: &Path, settings: SerialSettings, echo: Echo, clock: Clock) -> Self {
        let opener = Opener::Serial { path: path.to_owned(), settings, by_kernel: None };
        Self::Rtu(Box::new(RtuLine::new(opener, settings, echo, clock)))
    }

    /// RTU frames over TCP, to a converter whose serial side is set like this.
    pub(crate) fn rtu_tcp(host: &str, port: u16, settings: SerialSettings, clock: Clock) -> Self {
        let opener = Opener::Tcp { host: host.to_owned(), port };
        Self::Rtu(Box::new(RtuLine::new(opener, settings, Echo::None, clock)))
    }

    /// Asks once, for a person, who ends the program when it takes too long.
    pub(crate) async fn transact(
        &mut self,
        unit: u8,
        request: ReadRequest,
        pace: impl Into<Pace>,
    ) -> Exchange {
        let (_never, mut stop) = watch::channel(false);
        let asked = self.transact_until(&mut stop, unit, request, pace).await;
        asked.expect("nobody told it to stop")
    }

    /// Asks once. None when told to stop before anything was sent.
    pub(crate) async fn transact_until(
        &mut self,
        stop: &mut watch::Receiver<bool>,
        unit: u8,
        question: impl Into<Question>,
        pace: impl Into<Pace>,
    ) -> Option<Exchange> {
        let (request, pace) = (question.into(), pace.into());
        match self {
            Self::Tcp(tcp) => {
                // An output over Modbus TCP has a connection of its own.
                let Question::Read(request) = request else {
                    let (outcome, rtt) = (Outcome::Unreachable, Duration::ZERO);
                    return Some(Exchange {
                        outcome,
                        rtt,
                        turnaround: None,
                        orphans: 0,
                        fault: None,
                    });
                };
                // Its answer cannot be taken for another's: whoever is told to stop holds up nobody.
                let (outcome, rtt) = tokio::select! {
                    biased;
                    _ = stop.wait_for(|stop| *stop) => return None,
                    done = tcp.transact(unit, request, pace) => done,
                };
                Some(Exchange { outcome, rtt, turnaround: None, orphans: 0, fault: None })
            }
            Self::Rtu(line) => {
                let us = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX >> 8);
                let (patience_us, pause_us) = (us(pace.patience), us(pace.pause));
                let asked = Asked { unit, request, patience_us, pause_us };
                let done = line.transact(asked, stop).await?;
                Some(Exchange {
                    outcome: done.outcome,
                    rtt: Duration::from_micros(done.rtt_us),
                    turnaround: done.turnaround_us.map(Duration::from_micros),
                    orphans: done.orphans,
                    fault: done.fault,
                })
            }
        }
    }

    /// Reads and throws away until nobody can answer any more. The next question does it as well;
    /// this is for whoever wants to know what a fault has cost.
    pub(crate) async fn settle(&mut self, stop: &mut watch::Receiver<bool>) {
        match self {
            Self::Tcp(..) => {}
            Self::Rtu(line) => line.settle(stop).await,
        }
    }

    /// Gives the port or connection up; the next question opens it anew.
    pub(crate) fn close(&mut self) {
        match self {
            Self::Tcp(tcp) => tcp.close(),
            Self::Rtu(line) => line.close(),
        }
    }
}

#[cfg(test)]
mod tests;
