//! A tailings dam: rain fills the ground, and the piezometer answers hours later.

use super::{STEP_S, rounded};
use crate::noise::Noise;

/// Mean dry and wet spells, s.
const DRY_S: f64 = 21_600.0;
const WET_S: f64 = 3_600.0;
/// The ground gives its water away in this time, the pore pressure follows it in that.
const GROUND_S: f64 = 7_200.0;
const PORE_S: f64 = 3_600.0;
/// Metres of head without rain, and for each millimetre held in the ground.
const HEAD_DRY_M: f64 = 36.0;
const HEAD_PER_MM: f64 = 0.15;
const HEAD_MAX_M: f64 = 60.0;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Dam {
    rain_mm_h: f64,
    rain_shown: f64,
    left_s: f64,
    ground_mm: f64,
    head_m: f64,
    head_shown: f64,
}

impl Dam {
    pub(super) fn new() -> Self {
        Self {
            rain_mm_h: 0.0,
            rain_shown: 0.0,
            left_s: 600.0,
            ground_mm: 0.0,
            head_m: HEAD_DRY_M,
            head_shown: HEAD_DRY_M,
        }
    }

    pub(super) fn order_rain(&mut self, mm_h: f64, for_s: f64) {
        self.rain_mm_h = mm_h.clamp(0.0, 200.0);
        self.left_s = for_s;
    }

    pub(super) fn piezometer(&self) -> f64 {
        self.head_shown
    }

    pub(super) fn rain(&self) -> f64 {
        self.rain_shown
    }

    pub(super) fn step(&mut self, noise: &mut Noise) {
        self.left_s -= STEP_S;
        if self.left_s <= 0.0 {
            if 0.0 < self.rain_mm_h {
                self.rain_mm_h = 0.0;
                self.left_s = DRY_S * noise.between(0.3, 1.7);
            } else {
                self.rain_mm_h = noise.between(2.0, 15.0);
                self.left_s = WET_S * noise.between(0.3, 1.7);
            }
        }
        let gust = if 0.0 < self.rain_mm_h { noise.bell(0.03 * self.rain_mm_h) } else { 0.0 };
        self.rain_shown = rounded((self.rain_mm_h + gust).max(0.0), 10.0);

        self.ground_mm += self.rain_mm_h / 3_600.0 * STEP_S - self.ground_mm * STEP_S / GROUND_S;
        let settled = HEAD_DRY_M + HEAD_PER_MM * self.ground_mm;
        self.head_m = (self.head_m + (settled - self.head_m) * STEP_S / PORE_S).min(HEAD_MAX_M);
        self.head_shown = rounded(self.head_m + noise.bell(0.003), 1_000.0);
    }
}
