//! How much of the line dead devices may take, and when a probe may delay somebody.
//!
//! - Together a twentieth of the time: a probe is paid from credit that grows by 5 % of the time
//!   that passes. A long probe may overdraw it; nobody is probed until that is earned again.
//! - A probe that delays no block by more than a fifth of its interval is paid for, no more. One
//!   that does (it *hurts*), and a device that dies, is followed by 128 intervals without another: of a hundred scans of one
//!   block fewer than one is late by more than a fifth. On a line whose intervals are longer than
//!   4.6 s the pause ends after ten minutes all the same, and the share is up to one scan in that
//!   time.

use super::Lane;
use crate::rtu::Timing;
use crate::schedule::Health;

/// A dead device's part of the line's time: one in so many.
pub(super) const DEAD_SHARE: u64 = 20;
/// A delay of less than one in so many of an interval hurts nobody.
const HURT_SHARE: u64 = 5;
/// Intervals of a block between two probes that hurt it: more than a hundred, so that the 99 %
/// quantile does not see them.
const HURT_EVERY: u64 = 128;
/// The longest pause between them: a slow device that was switched on is not left alone for hours.
const HURT_PAUSE_MAX_MS: u64 = 600_000;

/// The account of one line.
#[derive(Clone, Debug)]
pub(super) struct Ration {
    /// Line time that probes may still take; below zero after a long one.
    credit_us: i64,
    credited_at: u64,
    /// Of the blocks of living devices, shortest first, µs.
    intervals: Vec<u64>,
    /// No probe that hurts before this.
    spared_until: u64,
}

impl Ration {
    pub(super) fn new(now: u64) -> Self {
        Self { credit_us: 0, credited_at: now, intervals: Vec::new(), spared_until: now }
    }

    /// Time has passed. Never more than `most_us` is kept.
    pub(super) fn earn(&mut self, now: u64, most_us: u64) {
        let passed_us = now.saturating_sub(self.credited_at) * 1_000;
        let earned = signed(passed_us / DEAD_SHARE);
        self.credit_us = (self.credit_us + earned).min(signed(most_us));
        self.credited_at = now;
    }

    /// From when on so much is paid for.
    pub(super) fn paid_at(&self, cost_us: u64, now: u64) -> u64 {
        let missing_us = u64::try_from(signed(cost_us) - self.credit_us).unwrap_or(0);
        now + (missing_us * DEAD_SHARE).div_ceil(1_000)
    }

    /// From when on a probe may delay others by so much.
    pub(super) fn spared_at(&self, cost_us: u64, now: u64) -> u64 {
        match self.hurt(cost_us) {
            Some(_) => self.spared_until.max(now),
            None => now,
        }
    }

    /// A probe took `busy_us`; it delayed others or went into a gap.
    pub(super) fn spend(&mut self, busy_us: u64, delayed: bool, now: u64) {
        self.credit_us -= signed(busy_us);
        if delayed {
            self.delayed(busy_us, now);
        }
    }

    /// The living waited so long for a probe, or for a device that died.
    pub(super) fn delayed(&mut self, busy_us: u64, now: u64) {
        if let Some(interval_us) = self.hurt(busy_us) {
            let pause = (interval_us * HURT_EVERY / 1_000).min(HURT_PAUSE_MAX_MS);
            self.spared_until = now + pause;
        }
    }

    /// The longest interval that so much delay hurts.
    fn hurt(&self, delay_us: u64) -> Option<u64> {
        let hurt = self.intervals.partition_point(|interval| *interval < delay_us * HURT_SHARE);
        self.intervals.get(hurt.checked_sub(1)?).copied()
    }

    /// Reckons the intervals of the living anew: their periods, or the time of one round where the
    /// line is asked for more than it can carry.
    pub(super) fn reckon(&mut self, lanes: &[Lane], timing: &Timing) {
        let (mut round_us, mut load_ppm) = (0_u64, 0_u64);
        self.intervals.clear();
        for lane in lanes.iter().filter(|lane| is_alive(lane)) {
            for (request, period_ms) in lane.scanner.requests() {
                let cost_us = timing.exchange_us(request)
                    + lane.scanner.device().pause_us()
                    + lane.patience.turnaround_us();
                let period_us = u64::from(period_ms.max(1)) * 1_000;
                round_us += cost_us;
                load_ppm += cost_us * 1_000_000 / period_us;
                self.intervals.push(period_us);
            }
        }
        if load_ppm > 1_000_000 {
            for interval in &mut self.intervals {
                *interval = (*interval).max(round_us);
            }
        }
        self.intervals.sort_unstable();
    }
}

pub(super) fn is_alive(lane: &Lane) -> bool {
    match lane.scanner.health() {
        Health::Healthy | Health::Suspect(_) => true,
        Health::Dead { .. } => false,
    }
}

fn signed(us: u64) -> i64 {
    i64::try_from(us).unwrap_or(i64::MAX / 4)
}
