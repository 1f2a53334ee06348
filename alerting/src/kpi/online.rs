//! Online time with its reasons: what was heard, what was not, and what nobody can tell.
//!
//! - Every moment of a range has one state. The strongest reason counts: a point behind a silent
//!   gateway is not also stale.
//! - While the centre itself was down nobody knows: such time is *unknown*, neither online nor
//!   offline, whatever else is said of it. `rate = online / (range - unknown)`, none where nothing
//!   is known.

use fengsui_telemetry::TimeMs;

/// Moments, as stretches `[from, to)` in order that neither overlap nor touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moments(Vec<(i64, i64)>);

impl Moments {
    /// All moments of these stretches, in any order; empty ones are nothing.
    pub fn of(stretches: impl IntoIterator<Item = (TimeMs, TimeMs)>) -> Self {
        let mut parts: Vec<(i64, i64)> = stretches
            .into_iter()
            .map(|(from, to)| (from.0, to.0))
            .filter(|(from, to)| from < to)
            .collect();
        parts.sort_unstable();
        let mut merged: Vec<(i64, i64)> = Vec::with_capacity(parts.len());
        for (from, to) in parts {
            match merged.last_mut() {
                Some(last) if from <= last.1 => last.1 = last.1.max(to),
                Some(_) | None => merged.push((from, to)),
            }
        }
        Self(merged)
    }

    /// Those of either.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        Self::of(self.0.iter().chain(&other.0).map(|(from, to)| (TimeMs(*from), TimeMs(*to))))
    }

    /// Those of both.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let (mut mine, mut theirs) = (self.0.iter().peekable(), other.0.iter().peekable());
        let mut both = Vec::new();
        while let (Some(a), Some(b)) = (mine.peek(), theirs.peek()) {
            let (from, to) = (a.0.max(b.0), a.1.min(b.1));
            if from < to {
                both.push((from, to));
            }
            if a.1 < b.1 {
                mine.next();
            } else {
                theirs.next();
            }
        }
        Self(both)
    }

    /// Those that are not of the other.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        let mut rest = Vec::with_capacity(self.0.len());
        let mut theirs = other.0.iter().peekable();
        for (from, to) in &self.0 {
            let mut begin = *from;
            while let Some(cut) = theirs.peek() {
                if cut.0 >= *to {
                    break;
                }
                if cut.1 > begin {
                    if cut.0 > begin {
                        rest.push((begin, cut.0));
                    }
                    begin = cut.1;
                }
                if cut.1 > *to {
                    // It may reach into the next stretch.
                    break;
                }
                theirs.next();
            }
            if begin < *to {
                rest.push((begin, *to));
            }
        }
        Self(rest)
    }

    /// How long they are together, ms.
    #[must_use]
    pub fn length_ms(&self) -> i64 {
        self.0.iter().map(|(from, to)| to - from).sum()
    }

    /// True where the moment is one of them.
    #[must_use]
    pub fn contain(&self, at: TimeMs) -> bool {
        let after = self.0.partition_point(|(from, _)| *from <= at.0);
        after.checked_sub(1).and_then(|place| self.0.get(place)).is_some_and(|s| at.0 < s.1)
    }

    /// The stretches, in order.
    pub fn stretches(&self) -> impl Iterator<Item = (TimeMs, TimeMs)> {
        self.0.iter().map(|(from, to)| (TimeMs(*from), TimeMs(*to)))
    }
}

/// What is said of one point or gateway.
#[derive(Clone, Copy, Debug)]
pub struct Said<'a> {
    /// The centre watched.
    pub watched: &'a Moments,
    /// Its gateway was silent.
    pub gateway_offline: &'a Moments,
    /// No fresh value came.
    pub stale: &'a Moments,
    /// Values came and could not be believed.
    pub bad: &'a Moments,
}

/// Time by state, ms. Their sum is the range, or a multiple of it where several are added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Online {
    /// Heard, and to be believed.
    pub online: i64,
    /// Behind a silent gateway.
    pub gateway_offline: i64,
    /// Without a fresh value.
    pub stale: i64,
    /// With values that cannot be believed.
    pub bad: i64,
    /// Nobody watched.
    pub unknown: i64,
}

impl Online {
    /// Of one point or gateway in `from..to`.
    #[must_use]
    pub fn of(said: &Said<'_>, from: TimeMs, to: TimeMs) -> Self {
        let range = Moments::of([(from, to)]);
        let known = range.and(said.watched);
        let mut left = known.clone();
        let mut take = |reason: &Moments| {
            let taken = left.and(reason).length_ms();
            left = left.without(reason);
            taken
        };
        let gateway_offline = take(said.gateway_offline);
        let stale = take(said.stale);
        let bad = take(said.bad);
        Self {
            online: left.length_ms(),
            gateway_offline,
            stale,
            bad,
            unknown: range.length_ms() - known.length_ms(),
        }
    }

    /// One more of the same installation, gateway or enterprise.
    pub fn add(&mut self, other: &Self) {
        self.online += other.online;
        self.gateway_offline += other.gateway_offline;
        self.stale += other.stale;
        self.bad += other.bad;
        self.unknown += other.unknown;
    }

    /// Time of which something is known, ms.
    #[must_use]
    pub fn known(&self) -> i64 {
        self.online + self.gateway_offline + self.stale + self.bad
    }

    /// Share of the known time that was online; none where nothing is known.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of years of many points")]
    pub fn rate(&self) -> Option<f64> {
        (self.known() > 0).then(|| self.online as f64 / self.known() as f64)
    }

    /// Share of all time that nothing is known of; none where there is no time.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of years of many points")]
    pub fn unknown_share(&self) -> Option<f64> {
        let all = self.known() + self.unknown;
        (all > 0).then(|| self.unknown as f64 / all as f64)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn moments(parts: &[(i64, i64)]) -> Moments {
        Moments::of(parts.iter().map(|(from, to)| (TimeMs(*from), TimeMs(*to))))
    }

    #[test]
    fn every_moment_has_one_state_and_an_unwatched_one_is_unknown() {
        let said = Said {
            watched: &moments(&[(0, 60), (80, 100)]),
            gateway_offline: &moments(&[(50, 90)]),
            stale: &moments(&[(40, 95)]),
            bad: &moments(&[(0, 10)]),
        };
        let online = Online::of(&said, TimeMs(0), TimeMs(100));
        let wanted = Online { online: 35, gateway_offline: 20, stale: 15, bad: 10, unknown: 20 };
        assert_eq!(online, wanted);
        assert_eq!(online.rate(), Some(35.0 / 80.0));
        assert_eq!(online.unknown_share(), Some(0.2));
    }

    #[test]
    fn what_nobody_watched_has_no_rate() {
        let nothing = Moments::default();
        let said =
            Said { watched: &nothing, gateway_offline: &nothing, stale: &nothing, bad: &nothing };
        let online = Online::of(&said, TimeMs(0), TimeMs(100));
        assert_eq!((online.rate(), online.unknown), (None, 100));
    }

    type Parts = Vec<(i64, i64)>;

    fn parts() -> impl Strategy<Value = Parts> {
        prop::collection::vec(
            (0_i64..60, 0_i64..20).prop_map(|(from, long)| (from, from + long)),
            0..8,
        )
    }

    proptest! {
        /// Moment by moment, without any of the code above.
        #[test]
        fn sets_agree_with_counting_moments(a in parts(), b in parts(), c in parts(), d in parts()) {
            let has = |parts: &Parts, t: i64| parts.iter().any(|(from, to)| *from <= t && t < *to);
            let (ma, mb) = (moments(&a), moments(&b));
            for t in 0..90 {
                prop_assert_eq!(ma.contain(TimeMs(t)), has(&a, t));
                prop_assert_eq!(ma.or(&mb).contain(TimeMs(t)), has(&a, t) || has(&b, t));
                prop_assert_eq!(ma.and(&mb).contain(TimeMs(t)), has(&a, t) && has(&b, t));
                prop_assert_eq!(ma.without(&mb).contain(TimeMs(t)), has(&a, t) && !has(&b, t));
            }
            let (mc, md) = (moments(&c), moments(&d));
            let said = Said { watched: &ma, gateway_offline: &mb, stale: &mc, bad: &md };
            let mut wanted = Online::default();
            for t in 10..70 {
                let state = match (has(&a, t), has(&b, t), has(&c, t), has(&d, t)) {
                    (false, ..) => &mut wanted.unknown,
                    (true, true, ..) => &mut wanted.gateway_offline,
                    (true, false, true, _) => &mut wanted.stale,
                    (true, false, false, true) => &mut wanted.bad,
                    (true, false, false, false) => &mut wanted.online,
                };
                *state += 1;
            }
            prop_assert_eq!(Online::of(&said, TimeMs(10), TimeMs(70)), wanted);
        }
    }
}
