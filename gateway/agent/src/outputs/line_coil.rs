//! A coil of a relay module on a line of the site, beside the devices that are read there.
//!
//! - Nothing here touches the port: the line's one owner gives the order in its turn.
//! - A module repeats an order byte for byte, and so does an echo. The coil is read back at once,
//!   and again every few seconds: a line is not there for its outputs alone.

use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use fengsui_scan::{Function, Outcome, Payload, Question, ReadRequest};
use tokio::sync::mpsc::error::TrySendError;

use super::drive::{Drive, DriveFault};
use crate::bus::orders::{Order, Said, Ways};
use crate::clock::Clock;

/// Until an order must have been begun. A line lets two alarm blocks pass before it, each of which
/// may fail, and is without an owner during a reload.
const BEGIN_MS: u64 = 3_000;
/// Then the order itself: a line that must become quiet, time-outs, a reading that parts it from an
/// answer that is owed.
const END_MS: u64 = 1_800;
/// Both, and a little.
const PATIENCE: Duration = Duration::from_secs(5);
/// A coil that is as it should be is read back this often.
const LOOK_MS: u64 = 5_000;
/// One that is not.
const DOUBT_MS: u64 = 1_000;

/// One coil.
pub(super) struct LineCoil {
    ways: Ways,
    line: String,
    unit: u8,
    coil: u16,
    clock: Clock,
    driven: Option<bool>,
    /// The last read-back, and until when it will do.
    seen: Option<(bool, u64)>,
}

impl LineCoil {
    pub(super) fn new(ways: &Ways, line: &str, (unit, coil): (u8, u16), clock: Clock) -> Self {
        let (ways, line) = (ways.clone(), line.to_owned());
        Self { ways, line, unit, coil, clock, driven: None, seen: None }
    }

    /// Asks, by whoever owns the line now or after a reload; once more where noise may have spoilt it.
    fn ask(&self, question: Question) -> Result<Payload, DriveFault> {
        let (line, unit) = (&self.line, self.unit);
        let until = self.clock.mono_ms() + BEGIN_MS;
        let mut spoilt = false;
        loop {
            let left = until.saturating_sub(self.clock.mono_ms());
            if left == 0 {
                let why = format!("bus {line} had no time for it within {BEGIN_MS} ms");
                return Err(DriveFault::Refused(why));
            }
            let Some(way) = self.ways.to(line, Duration::from_millis(left)) else {
                return Err(DriveFault::Missing(format!("nobody serves bus {line}")));
            };
            let (answer, said) = sync_channel(1);
            match way.try_send(Order { unit, question, until, answer }) {
                Ok(()) => {}
                Err(TrySendError::Closed(_)) => continue,
                Err(TrySendError::Full(_)) => {
                    return Err(DriveFault::Refused(format!(
                        "too many orders wait for bus {line}"
                    )));
                }
            }
            let most = until.saturating_sub(self.clock.mono_ms()) + END_MS;
            match said.recv_timeout(Duration::from_millis(most)) {
                Ok(Said { outcome: Outcome::Timeout | Outcome::BadFrame, .. })
                    if !spoilt && self.clock.mono_ms() < until =>
                {
                    spoilt = true;
                }
                Ok(said) => return self.judge(said),
                Err(RecvTimeoutError::Timeout) => return Err(DriveFault::Hangs),
                // It was not begun: too late, or by an owner that went.
                Err(RecvTimeoutError::Disconnected) => {}
            }
        }
    }

    fn judge(&self, Said { outcome, fault }: Said) -> Result<Payload, DriveFault> {
        let at = format!("bus {} unit {}", self.line, self.unit);
        Err(match outcome {
            Outcome::Data(payload) => return Ok(payload),
            Outcome::Exception(code) => {
                DriveFault::Refused(format!("{at} answers with exception {code}"))
            }
            Outcome::Timeout => DriveFault::Refused(format!("{at} does not answer")),
            Outcome::BadFrame => {
                let why = fault.map(|fault| fault.to_string()).unwrap_or_default();
                DriveFault::Refused(format!("{at}: {why}"))
            }
            Outcome::Lost => DriveFault::Refused(format!("{at}: the line broke")),
            Outcome::Unreachable => DriveFault::Missing(format!("{at}: the line does not open")),
        })
    }

    fn bit(&self, question: Question) -> Result<bool, DriveFault> {
        match self.ask(question)? {
            Payload::Bits(bits) if !bits.is_empty() => Ok(bits.first() == Some(&true)),
            other @ (Payload::Bits(_) | Payload::Words(_)) => {
                Err(DriveFault::Refused(format!("foreign reply {other:?}")))
            }
        }
    }
}

impl Drive for LineCoil {
    fn patience(&self) -> Duration {
        PATIENCE
    }

    fn set(&mut self, energised: bool) -> Result<(), DriveFault> {
        (self.driven, self.seen) = (None, None);
        self.bit(Question::SetCoil { coil: self.coil, on: energised })?;
        self.driven = Some(energised);
        Ok(())
    }

    fn read(&mut self) -> Result<Option<bool>, DriveFault> {
        if let Some((on, until)) = self.seen
            && self.clock.mono_ms() < until
        {
            return Ok(Some(on));
        }
        self.seen = None;
        let coil = ReadRequest { function: Function::Coil, first: self.coil, count: 1 };
        let on = self.bit(coil.into())?;
        let pause = if self.driven == Some(on) { LOOK_MS } else { DOUBT_MS };
        self.seen = Some((on, self.clock.mono_ms() + pause));
        Ok(Some(on))
    }
}
