//! One gas head: a wandering baseline with now and then a small whiff.

use super::{STEP_S, rounded};
use crate::noise::Noise;

/// Mean time between two whiffs, s.
const WHIFF_EVERY_S: f64 = 1_800.0;
/// A plume is up within a second and falls to a third in three.
const RISE_S: f64 = 1.0;
const DECAY_S: f64 = 3.0;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct GasHead {
    /// Hydrogen sulphide: everything is smaller.
    scale: f64,
    baseline: f64,
    plume: f64,
    peak: f64,
    left_s: f64,
    shown: f64,
}

impl GasHead {
    pub(super) fn new(toxic: bool, noise: &mut Noise) -> Self {
        let scale = if toxic { 0.3 } else { 1.0 };
        let baseline = noise.between(0.2, 1.5) * scale;
        Self { scale, baseline, plume: 0.0, peak: 0.0, left_s: 0.0, shown: rounded(baseline, 10.0) }
    }

    pub(super) fn spike(&mut self, to: f64, for_s: f64) {
        self.peak = to.clamp(0.0, 6_553.4);
        self.left_s = for_s + RISE_S;
    }

    pub(super) fn shown(&self) -> f64 {
        self.shown
    }

    pub(super) fn step(&mut self, noise: &mut Noise) {
        let pull = (self.scale - self.baseline) * STEP_S / 300.0;
        self.baseline = (self.baseline + pull + noise.bell(0.01) * self.scale).max(0.0);
        let whiff = noise.chance(STEP_S / WHIFF_EVERY_S);
        let (peak, for_s) = (noise.between(5.0, 14.0), noise.between(5.0, 20.0));
        if whiff && self.left_s <= 0.0 {
            self.spike(peak * self.scale, for_s);
        }
        if 0.0 < self.left_s {
            self.left_s -= STEP_S;
            self.plume = (self.plume + self.peak * STEP_S / RISE_S).min(self.peak);
        } else {
            self.plume *= 1.0 - STEP_S / DECAY_S;
        }
        self.shown = rounded(self.baseline.max(self.plume), 10.0);
    }
}
