//! When a gateway was heard: what the journal proves, and what the centre knows at this moment.
//!
//! - The journal says that a gateway is silent when its OFFLINE limit has passed, and then since
//!   the last sign of life. Until it has passed nothing proves that it was heard: the end of a
//!   life of the centre is unknown for that long, unless the centre says how the gateway does now.
//! - A gateway that was never heard is offline from the first second.

use fengsui_alerting::kpi::Moments;
use fengsui_telemetry::TimeMs;

use super::fold::Track;
use super::site::GatewayOf;

/// What is known of one gateway.
#[derive(Clone, Debug, Default)]
pub(super) struct OfGateway {
    /// It was silent.
    pub(super) offline: Moments,
    /// Watched, and the journal or the centre can vouch for it.
    pub(super) watched: Moments,
    /// It was never heard.
    pub(super) never: bool,
}

impl OfGateway {
    /// From the silences that the journal tells, each since its last sign of life, and the lives
    /// of the centre.
    pub(super) fn of(known: &GatewayOf, told: &Moments, after_ms: i64, watched: &Moments) -> Self {
        let last = watched.stretches().last();
        let heard_now = known.now.is_some_and(|now| now.online || now.last.is_some());
        // An alarm of silence that has ended was ended by a sign of life.
        let ended = told.stretches().any(|(_, to)| to < TimeMs::MAX);
        if !known.known && !heard_now && !ended {
            let always = Moments::of([(TimeMs(i64::MIN), TimeMs::MAX)]);
            return Self { offline: always, watched: watched.clone(), never: true };
        }
        let mut offline = told.clone();
        let mut unproved = Vec::new();
        for (from, to) in watched.stretches() {
            match known.now.filter(|_| last == Some((from, to))) {
                Some(now) if now.online => {}
                Some(now) => {
                    let since = now.last.unwrap_or(from).max(from);
                    offline = offline.or(&Moments::of([(since, TimeMs::MAX)]));
                }
                None if told.contain(to - 1) => {}
                None => unproved.push((from.max(to - after_ms), to)),
            }
        }
        let unproved = Moments::of(unproved).without(&offline);
        Self { offline, watched: watched.without(&unproved), never: false }
    }
}

/// Silences of an alarm that says so after a while, each since the last sign of life.
pub(super) fn silences(track: &Track, after_ms: i64) -> Moments {
    let mut told: Vec<(TimeMs, TimeMs)> =
        track.happened.iter().map(|h| (h.on, h.off.unwrap_or(TimeMs::MAX))).collect();
    told.sort_unstable();
    let mut before = TimeMs(i64::MIN);
    for (on, off) in &mut told {
        *on = TimeMs(on.0.saturating_sub(after_ms)).max(before.min(*on));
        before = *off;
    }
    Moments::of(told)
}
