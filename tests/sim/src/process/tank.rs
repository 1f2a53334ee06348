//! One tank: pumps fill it and empty it between a low and a high mark.

use super::{STEP_MS, STEP_S, rounded};
use crate::noise::Noise;

/// % per second in ordinary work: half an hour from mark to mark.
const INLET_RATE: f64 = 0.03;
const OUTLET_RATE: f64 = 0.02;
const DAY_MS: f64 = 86_400_000.0;

/// What the pumps do.
#[derive(Clone, Debug, PartialEq)]
enum Duty {
    Idle { left_s: f64 },
    Filling { to: f64 },
    Emptying { to: f64 },
    Ordered { to: f64, per_s: f64, hold_s: f64 },
    Held { left_s: f64 },
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct TankLevel {
    duty: Duty,
    level: f64,
    level_shown: f64,
    drift: f64,
    warmth: f64,
    temperature_shown: f64,
}

impl TankLevel {
    pub(super) fn new(noise: &mut Noise) -> Self {
        let level = noise.between(45.0, 65.0);
        let warmth = noise.between(22.0, 27.0);
        Self {
            duty: Duty::Idle { left_s: noise.between(5.0, 120.0) },
            level,
            level_shown: rounded(level, 100.0),
            drift: 0.0,
            warmth,
            temperature_shown: rounded(warmth, 10.0),
        }
    }

    pub(super) fn order(&mut self, to: f64, per_s: f64, hold_s: f64) {
        self.duty = Duty::Ordered { to: to.clamp(0.0, 100.0), per_s: per_s.abs(), hold_s };
    }

    pub(super) fn shown_level(&self) -> f64 {
        self.level_shown
    }

    pub(super) fn shown_temperature(&self) -> f64 {
        self.temperature_shown
    }

    pub(super) fn inlet_pump(&self) -> f64 {
        f64::from(match self.duty {
            Duty::Filling { .. } => true,
            Duty::Ordered { to, .. } => self.level < to,
            Duty::Idle { .. } | Duty::Emptying { .. } | Duty::Held { .. } => false,
        })
    }

    pub(super) fn outlet_pump(&self) -> f64 {
        f64::from(match self.duty {
            Duty::Emptying { .. } => true,
            Duty::Ordered { to, .. } => to < self.level,
            Duty::Idle { .. } | Duty::Filling { .. } | Duty::Held { .. } => false,
        })
    }

    pub(super) fn step(&mut self, now_ms: i64, noise: &mut Noise) {
        self.duty = self.next_duty(noise);
        self.level_shown = rounded((self.level + noise.bell(0.02)).clamp(0.0, 100.0), 100.0);

        self.drift += noise.bell(0.01) - self.drift * STEP_S / 600.0;
        // Exact below 2^53 ms, a quarter of a million years.
        #[expect(clippy::cast_precision_loss, reason = "process time is far below 2^53 ms")]
        let turn = (now_ms.rem_euclid(STEP_MS * 864_000) as f64) / DAY_MS;
        let sun = (turn * std::f64::consts::TAU).sin();
        self.temperature_shown = rounded(self.warmth + 4.0 * sun + self.drift, 10.0);
    }

    /// The only place where the level moves.
    fn next_duty(&mut self, noise: &mut Noise) -> Duty {
        match self.duty {
            Duty::Idle { left_s } if 0.0 < left_s => Duty::Idle { left_s: left_s - STEP_S },
            Duty::Idle { .. } if self.level < 50.0 => {
                Duty::Filling { to: noise.between(55.0, 75.0) }
            }
            Duty::Idle { .. } => Duty::Emptying { to: noise.between(25.0, 45.0) },
            Duty::Filling { to } if self.level < to => {
                self.level += INLET_RATE * STEP_S;
                Duty::Filling { to }
            }
            Duty::Emptying { to } if to < self.level => {
                self.level -= OUTLET_RATE * STEP_S;
                Duty::Emptying { to }
            }
            Duty::Filling { .. } | Duty::Emptying { .. } => {
                Duty::Idle { left_s: noise.between(60.0, 600.0) }
            }
            Duty::Ordered { to, per_s, hold_s } => {
                let stroke = per_s * STEP_S;
                if (to - self.level).abs() <= stroke {
                    self.level = to;
                    return Duty::Held { left_s: hold_s };
                }
                self.level += stroke.copysign(to - self.level);
                Duty::Ordered { to, per_s, hold_s }
            }
            Duty::Held { left_s } if 0.0 < left_s => Duty::Held { left_s: left_s - STEP_S },
            // Back to where ordinary work goes on, quickly enough for someone who watches.
            Duty::Held { .. } if !(20.0..=78.0).contains(&self.level) => {
                Duty::Ordered { to: 60.0, per_s: 1.0, hold_s: 0.0 }
            }
            Duty::Held { .. } => Duty::Idle { left_s: 60.0 },
        }
    }
}
