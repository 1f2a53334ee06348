//! Tests of the whole engine: stories, and seeded runs against an oracle of its own.

mod bounds;
mod commands;
mod limits_change;
mod mutants;
mod oracle;
mod random;
mod random_derived;
mod replanned;
mod stories;
mod stories_derived;
mod stories_late;
mod stories_silence;
mod stories_unjudged;
mod story;
mod told;

use fengsui_telemetry::Revision;

use crate::model::{
    AlarmSpec, Condition, GatewayRef, Level, Lifecycle, Plan, PointRef, Priority, Subject,
    TimeRules,
};

/// Numbers that look random and come again with the same seed (SplitMix64).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0..below.
    pub(crate) fn below(&mut self, below: i64) -> i64 {
        (self.roll() % below.unsigned_abs()).cast_signed()
    }

    /// True so many times in a hundred.
    pub(crate) fn percent(&mut self, percent: i64) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn pick<T: Clone>(&mut self, all: &[T]) -> T {
        let place = self.below(i64::try_from(all.len()).unwrap());
        all[usize::try_from(place).unwrap()].clone()
    }

    pub(crate) fn shuffle<T>(&mut self, all: &mut [T]) {
        for last in (1..all.len()).rev() {
            let other = self.below(i64::try_from(last).unwrap() + 1);
            all.swap(last, usize::try_from(other).unwrap());
        }
    }
}

/// Seeds of a run: so many, or as many as `FENGSUI_RUNS` says, from 1 or from `FENGSUI_SEED` on.
pub(crate) fn runs(usually: u64) -> std::ops::Range<u64> {
    let asked = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let first = asked("FENGSUI_SEED").unwrap_or(1);
    first..first + asked("FENGSUI_RUNS").unwrap_or(usually)
}

/// A high alarm without delays on point 0 of gateway 0; tests change what they are about.
pub(crate) fn high(key: &str, limit: f64) -> AlarmSpec {
    AlarmSpec {
        key: key.to_owned(),
        subject: Subject::Point(PointRef(0)),
        gateway: GatewayRef(0),
        condition: Condition::High { limit, deadband: 0.0, level: Level::First },
        on_delay_ms: 0,
        off_delay_ms: 0,
        priority: Priority::P2,
        lifecycle: Lifecycle::default(),
        times: TimeRules::default(),
        revision: Revision(1),
        statutory: false,
        suppressed_by: None,
    }
}

pub(crate) fn plan(alarms: Vec<AlarmSpec>) -> Plan {
    Plan { revision: Revision(1), alarms }
}
