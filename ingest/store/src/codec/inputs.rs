//! What the engine took, in its order: the bytes of the input log.
//!
//! ```text
//! input: kind · its fields; one after the other · CRC-32C over all and the chunk's number
//! ```
//!
//! - A restart that plays these again makes the same rows: nothing has to be guessed.
//! - Samples are in it as in the journal of the series store, three to four bytes each.

use fengsui_telemetry::{Reading, TimeMs};

use super::bytes::{Damage, Front, Place, open, put_bytes, put_number, put_signed, seal};
use super::intake::{put_intake, put_readings, take_intake, take_readings};
use crate::Intake;

const WAKE: u8 = 0;
const HEARD: u8 = 1;
const JUDGED: u8 = 2;
const RESTARTED: u8 = 3;
const COMMAND: u8 = 4;
const HISTORY: u8 = 5;
const CLOCK: u8 = 6;

const SETTLE: u8 = 1;
const CAUGHT_UP: u8 = 2;

/// One input of the engine.
#[derive(Clone, Debug, PartialEq)]
pub enum EngineInput {
    /// A deadline.
    Wake {
        /// The host's clock.
        at: TimeMs,
    },
    /// A sign of life.
    Heard {
        /// Whose.
        gateway: String,
        /// The host's clock.
        at: TimeMs,
    },
    /// What was found out about a gateway's clock.
    Clock {
        /// Whose.
        gateway: String,
        /// The host's clock.
        at: TimeMs,
        /// How far it is ahead, ms.
        skew_ms: i64,
        /// It was set since its machine started.
        synchronised: bool,
    },
    /// Samples, judged at the `ti` of their intake.
    Judged {
        /// The samples.
        intake: Intake,
        /// The back-fill was complete with them.
        settle: bool,
        /// The live lane had caught up.
        caught_up: bool,
    },
    /// Silence was counted anew.
    Restarted {
        /// The host's clock.
        at: TimeMs,
    },
    /// A person did something.
    Command {
        /// The host's clock.
        at: TimeMs,
        /// The alarm's key.
        alarm: String,
        /// The command, JSON.
        command: String,
    },
    /// Stored samples that the engine had asked for.
    History {
        /// The host's clock.
        at: TimeMs,
        /// Which point.
        point: u32,
        /// From where.
        from: TimeMs,
        /// What the store held.
        samples: Vec<(TimeMs, Reading)>,
    },
}

impl EngineInput {
    /// When the host took it.
    #[must_use]
    pub fn at(&self) -> TimeMs {
        match self {
            Self::Wake { at }
            | Self::Heard { at, .. }
            | Self::Clock { at, .. }
            | Self::Restarted { at }
            | Self::Command { at, .. }
            | Self::History { at, .. } => *at,
            Self::Judged { intake, .. } => intake.ti,
        }
    }
}

/// Inputs that wait to be written, encoded as they come.
#[derive(Debug, Default)]
pub struct InputLog {
    bytes: Vec<u8>,
}

impl InputLog {
    /// Bytes that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// True where nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Takes what waits, as the chunk of this number.
    #[must_use]
    pub fn take(&mut self, number: u64) -> Inputs {
        let room = self.bytes.len();
        let bytes = std::mem::replace(&mut self.bytes, Vec::with_capacity(room.min(1 << 16)));
        Inputs { number, data: seal(Place::Inputs(number), bytes).into() }
    }

    /// A deadline.
    pub fn wake(&mut self, at: TimeMs) {
        self.bytes.push(WAKE);
        put_signed(&mut self.bytes, at.0);
    }

    /// A sign of life.
    pub fn heard(&mut self, gateway: &str, at: TimeMs) {
        self.bytes.push(HEARD);
        put_signed(&mut self.bytes, at.0);
        put_bytes(&mut self.bytes, gateway.as_bytes());
    }

    /// What was found out about a gateway's clock.
    pub fn clock(&mut self, gateway: &str, skew_ms: i64, synchronised: bool, at: TimeMs) {
        self.bytes.push(CLOCK);
        put_signed(&mut self.bytes, at.0);
        put_bytes(&mut self.bytes, gateway.as_bytes());
        put_signed(&mut self.bytes, skew_ms);
        self.bytes.push(u8::from(synchronised));
    }

    /// Samples that were judged.
    pub fn judged(&mut self, intake: &Intake, settle: bool, caught_up: bool) {
        self.bytes.push(JUDGED);
        self.bytes.push((u8::from(settle) * SETTLE) | (u8::from(caught_up) * CAUGHT_UP));
        put_intake(&mut self.bytes, intake);
    }

    /// Silence is counted anew.
    pub fn restarted(&mut self, at: TimeMs) {
        self.bytes.push(RESTARTED);
        put_signed(&mut self.bytes, at.0);
    }

    /// A person did something.
    pub fn command(&mut self, alarm: &str, command: &str, at: TimeMs) {
        self.bytes.push(COMMAND);
        put_signed(&mut self.bytes, at.0);
        put_bytes(&mut self.bytes, alarm.as_bytes());
        put_bytes(&mut self.bytes, command.as_bytes());
    }

    /// Stored samples were given to the engine.
    pub fn history(&mut self, point: u32, from: TimeMs, samples: &[(TimeMs, Reading)], at: TimeMs) {
        self.bytes.push(HISTORY);
        put_signed(&mut self.bytes, at.0);
        put_number(&mut self.bytes, u64::from(point));
        put_signed(&mut self.bytes, from.0);
        put_readings(&mut self.bytes, from, samples.iter().map(|(te, r)| (point, *te, *r)));
    }
}

/// A chunk of inputs. Chunks are numbered without holes; a clone is cheap.
#[derive(Clone, Debug)]
pub struct Inputs {
    pub(crate) number: u64,
    pub(crate) data: std::sync::Arc<[u8]>,
}

impl Inputs {
    /// Its size.
    #[must_use]
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// Never: a chunk has its checksum.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }
}

/// The inputs of a chunk.
pub(crate) fn decode_inputs(number: u64, data: &[u8]) -> Result<Vec<EngineInput>, Damage> {
    let mut front = Front(open(Place::Inputs(number), data)?);
    let mut inputs = Vec::new();
    while !front.0.is_empty() {
        inputs.push(take_input(&mut front)?);
    }
    Ok(inputs)
}

fn take_input(front: &mut Front<'_>) -> Result<EngineInput, Damage> {
    match front.byte()? {
        WAKE => Ok(EngineInput::Wake { at: TimeMs(front.signed()?) }),
        HEARD => {
            let at = TimeMs(front.signed()?);
            Ok(EngineInput::Heard { gateway: front.text()?, at })
        }
        CLOCK => {
            let at = TimeMs(front.signed()?);
            let gateway = front.text()?;
            let skew_ms = front.signed()?;
            Ok(EngineInput::Clock { gateway, at, skew_ms, synchronised: front.byte()? != 0 })
        }
        JUDGED => {
            let marks = front.byte()?;
            let intake = take_intake(front)?;
            let (settle, caught_up) = (marks & SETTLE != 0, marks & CAUGHT_UP != 0);
            Ok(EngineInput::Judged { intake, settle, caught_up })
        }
        RESTARTED => Ok(EngineInput::Restarted { at: TimeMs(front.signed()?) }),
        COMMAND => {
            let at = TimeMs(front.signed()?);
            let alarm = front.text()?;
            Ok(EngineInput::Command { at, alarm, command: front.text()? })
        }
        HISTORY => {
            let at = TimeMs(front.signed()?);
            let point = front.number()?;
            let from = TimeMs(front.signed()?);
            let samples = take_readings(front, from)?;
            let samples = samples.into_iter().map(|(_, te, reading)| (te, reading)).collect();
            let point = u32::try_from(point).map_err(|_| Damage("a point number is too large"))?;
            Ok(EngineInput::History { at, point, from, samples })
        }
        _ => Err(Damage("unknown kind of input")),
    }
}

#[cfg(test)]
mod tests {
    use fengsui_telemetry::{Fault, Lane};

    use super::*;
    use crate::LocalRow;

    #[test]
    fn every_input_comes_back_in_its_order() {
        let at = TimeMs(1_700_000_000_123);
        let reading = [Reading::Good(61.2), Reading::Bad(Fault::Timeout)];
        let intake = Intake {
            gateway: "GW-01".into(),
            epoch: u64::MAX,
            lane: Lane::Backlog,
            ti: at,
            samples: vec![(7, TimeMs(at.0 - 5), reading[0]), (9, TimeMs(at.0 + 5), reading[1])],
            offsets: vec![(3, 9)],
            gaps: Vec::new(),
            locals: vec![LocalRow {
                offset: 8,
                alarm: "GW-01/TK-101.LT/HH".into(),
                occurrence: 3,
                from: 'A',
                to: 'B',
                te: TimeMs(at.0 - 5),
                known: at,
                revision: u64::MAX,
                value: Some(61.2),
                why: "on".into(),
            }],
        };
        let samples = vec![(TimeMs(5), reading[1]), (TimeMs(9), reading[0])];
        let mut log = InputLog::default();
        log.wake(at);
        log.heard("GW-01", at);
        log.judged(&intake, true, false);
        log.restarted(TimeMs(-3));
        log.command("GW-01/TK-101.LT/HH", "{}", at);
        log.history(7, TimeMs(4), &samples, at);
        log.clock("GW-01", i64::MIN, false, at);
        let chunk = log.take(8);
        assert!(log.is_empty());
        assert_eq!(
            decode_inputs(8, &chunk.data).unwrap(),
            [
                EngineInput::Wake { at },
                EngineInput::Heard { gateway: "GW-01".into(), at },
                EngineInput::Judged { intake, settle: true, caught_up: false },
                EngineInput::Restarted { at: TimeMs(-3) },
                EngineInput::Command {
                    at,
                    alarm: "GW-01/TK-101.LT/HH".into(),
                    command: "{}".into()
                },
                EngineInput::History { at, point: 7, from: TimeMs(4), samples },
                EngineInput::Clock {
                    gateway: "GW-01".into(),
                    at,
                    skew_ms: i64::MIN,
                    synchronised: false
                },
            ]
        );
        assert!(decode_inputs(9, &chunk.data).is_err(), "a chunk in the wrong place");
    }
}
