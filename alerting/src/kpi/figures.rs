//! The figures themselves.

use std::collections::BTreeMap;

use fengsui_telemetry::TimeMs;

use crate::flood::{Flood, FloodChange, Told};
use crate::kpi::{
    Annunciation, DAY_MS, Disposal, ENOUGH_DAYS, Facts, Frequent, Moments, Rules, chattering,
    covered, fleeting, seen, stale, top,
};
use crate::model::Priority;
use crate::tuning::{count, seconds};

/// Period of the figures per ten minutes.
const PERIOD_MS: i64 = 600_000;
const HOUR_MS: i64 = 3_600_000;
/// More than this many in a period: too many for a person (S2/H).
const PERIOD_MAX: usize = 10;
/// How many the list of the most frequent alarms has.
const TOP: usize = 10;

/// Figures of what was announced.
#[derive(Clone, Debug, PartialEq)]
pub struct Load {
    /// `N`
    pub announced: usize,
    /// `N / days`
    pub per_day: Option<f64>,
    /// `N / hours`
    pub per_hour: Option<f64>,
    /// `N / ten-minute periods`
    pub per_ten_minutes: Option<f64>,
    /// Share of the ten-minute periods in which somebody watched with more than ten.
    pub busy_periods: Option<f64>,
    /// The most in one ten-minute period.
    pub most_in_period: usize,
    /// Share of the watched time in flood.
    pub flood_share: Option<f64>,
    /// Number of floods.
    pub floods: usize,
    /// The ten most frequent alarms.
    pub top: Vec<Frequent>,
    /// Their share of `N`.
    pub top_share: Option<f64>,
    /// Share of `N` by priority, P1 first.
    pub by_priority: [Option<f64>; 4],
}

/// Figures of how people answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Answering {
    /// Seconds from announcement to acknowledgement, middle one of those acknowledged.
    pub to_acknowledge_median_s: Option<f64>,
    /// The same, 95 % are faster.
    pub to_acknowledge_p95_s: Option<f64>,
    /// Announced and never acknowledged up to the end of the range.
    pub not_acknowledged: usize,
    /// Seconds from announcement to a called person's answer, middle one.
    pub to_answer_median_s: Option<f64>,
    /// The same, 95 % are faster.
    pub to_answer_p95_s: Option<f64>,
    /// Done by their date, of those due in the range.
    pub done_in_time: Option<f64>,
    /// Done, of those opened in the range.
    pub disposal_rate: Option<f64>,
}

/// All figures of one range.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    /// From, inclusive.
    pub from: TimeMs,
    /// To, exclusive.
    pub to: TimeMs,
    /// How much of it somebody watched, ms: `T`.
    pub known_ms: i64,
    /// Thirty watched days or more; otherwise every figure is shown with "not enough data".
    pub enough: bool,
    /// What was announced.
    pub load: Load,
    /// How people answered.
    pub answering: Answering,
    /// Alarms that chatter, most frequent first.
    pub chattering: Vec<u32>,
    /// Fleeting alarms with their number; none where the plant has given no time.
    pub fleeting: Option<Vec<Frequent>>,
    /// The most stale alarms on one day of the range.
    pub stale_most: usize,
    /// Late excursions that happened in the range.
    pub late: usize,
    /// How late the middle one was known, s.
    pub late_median_s: Option<f64>,
    /// Alarm-seconds shelved.
    pub shelved_s: f64,
    /// Point-seconds blind; none where no point is required, or none of them was watched.
    pub blind_s: Option<f64>,
    /// Share of the known gateway time that was online; none where nothing is known.
    pub online_rate: Option<f64>,
    /// Share of gateway time of which nothing is known.
    pub online_unknown: Option<f64>,
    /// Suppressions without authority.
    pub unauthorised_suppressions: u64,
    /// Changes without authority.
    pub unauthorised_changes: u64,
}

/// Figures of `from..to`. Facts outside the range are left out.
#[must_use]
pub fn figures(facts: &Facts, rules: &Rules, from: TimeMs, to: TimeMs) -> Figures {
    let inside = |at: TimeMs| from <= at && at < to;
    let mut told: Vec<Annunciation> =
        facts.annunciations.iter().filter(|a| inside(a.at)).copied().collect();
    told.sort_by_key(|a| (a.at, a.alarm));
    let mut late: Vec<i64> = facts
        .late
        .iter()
        .filter(|late| inside(late.on))
        .map(|late| late.known.since(late.on))
        .collect();
    let span = to.since(from).max(0);
    let watched = seen(&facts.dark, from, to);
    let known_ms = watched.length_ms();
    let online = covered(&facts.online, from, to);
    let should = seconds(span) * f64::from(facts.gateways);
    let unknown = seconds(covered(&facts.unknown, from, to));
    let known = should - unknown;
    let stale_days = days(rules, from, to)
        .map(|(begin, end)| stale(&facts.annunciations, rules.stale_ms, begin, end).len());
    Figures {
        from,
        to,
        known_ms,
        enough: known_ms >= ENOUGH_DAYS * DAY_MS,
        load: load(&told, rules, &watched, to),
        answering: answering(&told, &facts.disposals, from, to),
        chattering: chattering(&told),
        fleeting: rules.fleeting_ms.map(|within| fleeting(&told, within, rules.repeat_ms)),
        stale_most: stale_days.max().unwrap_or(0),
        late: late.len(),
        late_median_s: quantile(&mut late, 0.5),
        shelved_s: seconds(covered(&facts.shelved, from, to)),
        blind_s: (covered(&facts.judged, from, to) > 0)
            .then(|| seconds(covered(&facts.blind, from, to))),
        online_rate: (known > 0.0).then(|| seconds(online) / known),
        online_unknown: (should > 0.0).then(|| unknown / should),
        unauthorised_suppressions: facts.unauthorised_suppressions,
        unauthorised_changes: facts.unauthorised_changes,
    }
}

/// Figures of each day of `from..to` by the clock on the wall; the first and the last may be
/// parts of a day. Counts of unauthorised acts have no time and stand in the whole range only.
#[must_use]
pub fn daily(facts: &Facts, rules: &Rules, from: TimeMs, to: TimeMs) -> Vec<Figures> {
    let facts = Facts { unauthorised_suppressions: 0, unauthorised_changes: 0, ..facts.clone() };
    days(rules, from, to).map(|(begin, end)| figures(&facts, rules, begin, end)).collect()
}

fn days(rules: &Rules, from: TimeMs, to: TimeMs) -> impl Iterator<Item = (TimeMs, TimeMs)> + use<> {
    let offset = rules.offset_ms;
    let first = (from.0.saturating_add(offset)).div_euclid(DAY_MS);
    (first..)
        .map(move |day| day * DAY_MS - offset)
        .take_while(move |begin| *begin < to.0)
        .map(move |begin| (TimeMs(begin).max(from), TimeMs(begin + DAY_MS).min(to)))
}

fn load(told: &[Annunciation], rules: &Rules, watched: &Moments, to: TimeMs) -> Load {
    let span = watched.length_ms();
    let per =
        |unit_ms: i64| (span > 0).then(|| count(told.len()) * seconds(unit_ms) / seconds(span));
    let mut periods: BTreeMap<i64, usize> = BTreeMap::new();
    for told in told {
        *periods.entry(period(told.at, rules)).or_default() += 1;
    }
    let busy = periods.values().filter(|n| **n > PERIOD_MAX).count();
    // Those of which anything was seen, by their numbers.
    let numbers = |from: TimeMs, to: TimeMs| (period(from, rules), period(to - 1, rules) + 1);
    let whole = Moments::of(
        (watched.stretches().map(|(from, to)| numbers(from, to)))
            .chain(periods.keys().map(|number| (*number, number + 1)))
            .map(|(from, to)| (TimeMs(from), TimeMs(to))),
    )
    .length_ms();
    let (floods, in_flood) = flood_time(told, rules, to);
    let in_flood = in_flood.and(watched).length_ms();
    let top = top(told, TOP);
    let in_top: usize = top.iter().map(|frequent| frequent.count).sum();
    let of_priority = |priority: Priority| {
        (!told.is_empty()).then(|| {
            count(told.iter().filter(|a| a.priority == priority).count()) / count(told.len())
        })
    };
    #[expect(clippy::cast_precision_loss, reason = "ten-minute periods of centuries")]
    let all_periods = whole as f64;
    Load {
        announced: told.len(),
        per_day: per(DAY_MS),
        per_hour: per(HOUR_MS),
        per_ten_minutes: per(PERIOD_MS),
        busy_periods: (span > 0).then(|| count(busy) / all_periods),
        most_in_period: periods.values().copied().max().unwrap_or(0),
        flood_share: (span > 0).then(|| seconds(in_flood) / seconds(span)),
        floods,
        top_share: (!told.is_empty()).then(|| count(in_top) / count(told.len())),
        top,
        by_priority: [Priority::P1, Priority::P2, Priority::P3, Priority::P4].map(of_priority),
    }
}

fn period(at: TimeMs, rules: &Rules) -> i64 {
    at.0.saturating_add(rules.offset_ms).div_euclid(PERIOD_MS)
}

/// Number of floods and time in them; a flood that was running before is not seen.
fn flood_time(told: &[Annunciation], rules: &Rules, to: TimeMs) -> (usize, Moments) {
    let mut flood = Flood::new(rules.flood);
    let (mut lasted, mut floods, mut since) = (Vec::new(), 0, None);
    let mut changes = Vec::new();
    for told in told {
        changes.extend(flood.told(Told::Announced, told.at));
    }
    changes.extend(flood.tick(to));
    for change in changes {
        match change {
            FloodChange::Began { at } => {
                floods += 1;
                since = Some(at);
            }
            FloodChange::Ended { at, .. } => {
                lasted.extend(since.take().map(|since| (since, at.min(to))));
            }
        }
    }
    lasted.extend(since.map(|since| (since, to)));
    (floods, Moments::of(lasted))
}

fn answering(told: &[Annunciation], disposals: &[Disposal], from: TimeMs, to: TimeMs) -> Answering {
    let took = |of: &dyn Fn(&Annunciation) -> Option<TimeMs>| -> Vec<i64> {
        let done = told.iter().filter_map(|a| of(a).map(|at| at.since(a.at)));
        done.filter(|took| *took >= 0).collect()
    };
    let mut acknowledged = took(&|a| a.acknowledged.filter(|at| *at < to));
    let mut answered = took(&|a| a.answered.filter(|at| *at < to));
    let inside = |at: TimeMs| from <= at && at < to;
    let share = |of: &[&Disposal], good: &dyn Fn(&Disposal) -> bool| {
        (!of.is_empty()).then(|| count(of.iter().filter(|d| good(d)).count()) / count(of.len()))
    };
    let due: Vec<&Disposal> = disposals.iter().filter(|d| d.due.is_some_and(inside)).collect();
    let opened: Vec<&Disposal> = disposals.iter().filter(|d| inside(d.opened)).collect();
    let is_open = |a: &&Annunciation| a.acknowledged.is_none_or(|at| at >= to);
    Answering {
        not_acknowledged: told.iter().filter(is_open).count(),
        to_acknowledge_median_s: quantile(&mut acknowledged, 0.5),
        to_acknowledge_p95_s: quantile(&mut acknowledged, 0.95),
        to_answer_median_s: quantile(&mut answered, 0.5),
        to_answer_p95_s: quantile(&mut answered, 0.95),
        done_in_time: share(&due, &|d| d.done.zip(d.due).is_some_and(|(done, due)| done <= due)),
        disposal_rate: share(&opened, &|d| d.done.is_some_and(|done| done < to)),
    }
}

/// The smallest value that at least this share of them do not exceed, in seconds.
fn quantile(values: &mut [i64], share: f64) -> Option<f64> {
    values.sort_unstable();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and the length"
    )]
    let place = (share * count(values.len())).ceil() as usize;
    values.get(place.max(1) - 1).copied().map(seconds)
}
