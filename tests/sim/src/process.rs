//! What happens in the plant, without a wire: tanks, gas heads, a dam.
//!
//! - Pure and seeded. Time moves in steps of [`STEP_MS`] of process time, so the same seed gives
//!   the same readings whether time is advanced once or a thousand times.
//! - Left alone, no reading reaches a limit of the demo site; alarms come from [`Command`]s.
//! - A reading is what the instrument shows, noise and resolution included.
//!
//! Left out: physics. Levels move in straight lines; a plume is a ramp, a plateau and a decay.

mod dam;
mod gas;
mod tank;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use thiserror::Error;

use crate::noise::Noise;
use dam::Dam;
use gas::GasHead;
use tank::TankLevel;

/// One step of the process, ms.
pub const STEP_MS: i64 = 100;
/// A step in seconds, for the rates.
const STEP_S: f64 = 0.1;
/// Process time that one call catches up with, a day: a machine that slept longer goes on from
/// there instead of computing for minutes.
const CATCH_UP_MAX_MS: i64 = 86_400_000;

/// Tank 1 to 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "u8")]
pub struct Tank(u8);

/// Gas head 1 to 4 (combustible, %LEL) and 5 (hydrogen sulphide, ppm).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "u8")]
pub struct Head(u8);

/// A number or a name that the plant does not have.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the plant has no {0}; it has tanks 1 to 4 and gas heads 1 to 5 (5 = H2S)")]
pub struct NotThere(String);

impl TryFrom<u8> for Tank {
    type Error = NotThere;

    fn try_from(number: u8) -> Result<Self, NotThere> {
        if (1..=4).contains(&number) {
            Ok(Self(number))
        } else {
            Err(NotThere(format!("tank {number}")))
        }
    }
}

impl TryFrom<u8> for Head {
    type Error = NotThere;

    fn try_from(number: u8) -> Result<Self, NotThere> {
        if (1..=5).contains(&number) {
            Ok(Self(number))
        } else {
            Err(NotThere(format!("gas head {number}")))
        }
    }
}

impl Tank {
    fn index(self) -> usize {
        usize::from(self.0 - 1)
    }
}

impl Head {
    fn index(self) -> usize {
        usize::from(self.0 - 1)
    }
}

/// One thing that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Signal {
    /// %, `tank1.level`
    Level(Tank),
    /// ℃, `tank1.temperature`
    Temperature(Tank),
    /// 0 or 1, `tank1.inlet_pump`
    InletPump(Tank),
    /// 0 or 1, `tank1.outlet_pump`
    OutletPump(Tank),
    /// 0 or 1, an independent level switch at 95 %, `tank1.overfill`
    Overfill(Tank),
    /// %LEL or ppm, `gas1` … `gas4`, `h2s`
    Gas(Head),
    /// m, `piezometer`
    Piezometer,
    /// mm/h, `rain`
    Rain,
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Level(tank) => write!(f, "tank{}.level", tank.0),
            Self::Temperature(tank) => write!(f, "tank{}.temperature", tank.0),
            Self::InletPump(tank) => write!(f, "tank{}.inlet_pump", tank.0),
            Self::OutletPump(tank) => write!(f, "tank{}.outlet_pump", tank.0),
            Self::Overfill(tank) => write!(f, "tank{}.overfill", tank.0),
            Self::Gas(Head(5)) => f.write_str("h2s"),
            Self::Gas(head) => write!(f, "gas{}", head.0),
            Self::Piezometer => f.write_str("piezometer"),
            Self::Rain => f.write_str("rain"),
        }
    }
}

impl FromStr for Signal {
    type Err = NotThere;

    fn from_str(text: &str) -> Result<Self, NotThere> {
        let not_there = || NotThere(format!("signal {text:?}"));
        Self::all().find(|signal| signal.to_string() == text).ok_or_else(not_there)
    }
}

impl<'de> Deserialize<'de> for Signal {
    fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        String::deserialize(input)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Signal {
    /// Every signal of the plant.
    pub fn all() -> impl Iterator<Item = Self> {
        let of_tanks: [fn(Tank) -> Self; 5] =
            [Self::Level, Self::Temperature, Self::InletPump, Self::OutletPump, Self::Overfill];
        (1..=4)
            .flat_map(move |number| of_tanks.map(|of_tank| of_tank(Tank(number))))
            .chain((1..=5).map(|number| Self::Gas(Head(number))))
            .chain([Self::Piezometer, Self::Rain])
    }

    /// The width of the instrument's range, which scales what disturbs it.
    pub(crate) fn span(self) -> f64 {
        match self {
            Self::Level(_) | Self::Gas(_) => 100.0,
            Self::Temperature(_) => 200.0,
            Self::InletPump(_) | Self::OutletPump(_) | Self::Overfill(_) => 0.0,
            Self::Piezometer => 60.0,
            Self::Rain => 200.0,
        }
    }
}

/// What somebody does to the plant. Seconds are process seconds: under `speed = 60` a spike of
/// 60 s is over in one.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Pump until the level is reached, hold it, then go back to ordinary work.
    Fill {
        /// Which tank.
        tank: Tank,
        /// The level, %.
        to: f64,
        /// How fast, % per second.
        #[serde(default = "quickly")]
        per_s: f64,
        /// How long the level is held.
        #[serde(default = "a_minute")]
        hold_s: f64,
    },
    /// A plume at one head: up within a second, held, then decaying.
    Spike {
        /// Which head.
        head: Head,
        /// %LEL, or ppm for head 5.
        to: f64,
        /// How long it is held.
        for_s: f64,
    },
    /// Rain of one strength.
    Rain {
        /// mm/h.
        mm_h: f64,
        /// How long.
        for_s: f64,
    },
    /// The reading is this, without noise, until released.
    Set {
        /// Which reading.
        signal: Signal,
        /// In its own unit.
        value: f64,
    },
    /// The instrument's own fault signal until released: 65535 on the gas controller, 32767 for
    /// temperatures, NaN in floats, 0 in bits.
    Break {
        /// Which reading.
        signal: Signal,
    },
    /// Ends [`Command::Set`] and [`Command::Break`].
    Release {
        /// Which reading.
        signal: Signal,
    },
}

fn quickly() -> f64 {
    5.0
}

fn a_minute() -> f64 {
    60.0
}

/// What a hand laid on a reading does to it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Hand {
    Set(f64),
    Broken,
}

/// The plant at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Process {
    now_ms: i64,
    noise: Noise,
    tanks: [TankLevel; 4],
    heads: [GasHead; 5],
    dam: Dam,
    hands: BTreeMap<Signal, Hand>,
}

impl Process {
    /// The plant at its time 0.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut noise = Noise::new(seed);
        Self {
            now_ms: 0,
            tanks: std::array::from_fn(|_| TankLevel::new(&mut noise)),
            heads: std::array::from_fn(|index| GasHead::new(index == 4, &mut noise)),
            dam: Dam::new(),
            hands: BTreeMap::new(),
            noise,
        }
    }

    /// Process time, ms.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.now_ms
    }

    /// Goes on to `now_ms`, in whole steps; time never goes back.
    pub fn advance(&mut self, now_ms: i64) {
        let behind = now_ms.saturating_sub(self.now_ms);
        if CATCH_UP_MAX_MS < behind {
            self.now_ms += (behind - CATCH_UP_MAX_MS) / STEP_MS * STEP_MS;
        }
        while STEP_MS <= now_ms.saturating_sub(self.now_ms) {
            self.now_ms += STEP_MS;
            self.step();
        }
    }

    /// Does what is asked, at once; its course then follows the steps.
    pub fn command(&mut self, command: Command) {
        match command {
            Command::Fill { tank, to, per_s, hold_s } => {
                if let Some(level) = self.tanks.get_mut(tank.index()) {
                    level.order(to, per_s, hold_s);
                }
            }
            Command::Spike { head, to, for_s } => {
                if let Some(gas) = self.heads.get_mut(head.index()) {
                    gas.spike(to, for_s);
                }
            }
            Command::Rain { mm_h, for_s } => self.dam.order_rain(mm_h, for_s),
            Command::Set { signal, value } => {
                self.hands.insert(signal, Hand::Set(value));
            }
            Command::Break { signal } => {
                self.hands.insert(signal, Hand::Broken);
            }
            Command::Release { signal } => {
                self.hands.remove(&signal);
            }
        }
    }

    /// What the instrument shows; `None` when it reports its own fault.
    #[must_use]
    pub fn reading(&self, signal: Signal) -> Option<f64> {
        match self.hands.get(&signal) {
            Some(Hand::Set(value)) => Some(*value),
            Some(Hand::Broken) => None,
            None => self.measured(signal),
        }
    }

    fn measured(&self, signal: Signal) -> Option<f64> {
        let of_tank =
            |tank: Tank, get: fn(&TankLevel) -> f64| self.tanks.get(tank.index()).map(get);
        match signal {
            Signal::Level(tank) => of_tank(tank, TankLevel::shown_level),
            Signal::Temperature(tank) => of_tank(tank, TankLevel::shown_temperature),
            Signal::InletPump(tank) => of_tank(tank, TankLevel::inlet_pump),
            Signal::OutletPump(tank) => of_tank(tank, TankLevel::outlet_pump),
            // The switch follows what the level shows, a hand on it included, so that a forced
            // level and its switch tell one story.
            Signal::Overfill(tank) => {
                self.reading(Signal::Level(tank)).map(|level| f64::from(95.0 <= level))
            }
            Signal::Gas(head) => self.heads.get(head.index()).map(GasHead::shown),
            Signal::Piezometer => Some(self.dam.piezometer()),
            Signal::Rain => Some(self.dam.rain()),
        }
    }

    fn step(&mut self) {
        for tank in &mut self.tanks {
            tank.step(self.now_ms, &mut self.noise);
        }
        for head in &mut self.heads {
            head.step(&mut self.noise);
        }
        self.dam.step(&mut self.noise);
    }
}

/// To the instrument's resolution: `rounded(61.234, 100.0)` is 61.23.
fn rounded(value: f64, per_unit: f64) -> f64 {
    (value * per_unit).round() / per_unit
}

#[cfg(test)]
mod tests;
