//! Lists of bad actors: frequent, chattering, fleeting, stale.

use std::collections::{BTreeMap, BTreeSet};

use fengsui_telemetry::TimeMs;

use crate::kpi::Annunciation;
use crate::tuning::{CHATTER_LIMIT, chatter_index};

/// Three announcements within this: chattering (S2/H).
const CHATTER_WINDOW_MS: i64 = 60_000;
/// So many of them.
const CHATTER_COUNT: usize = 3;

/// An alarm and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frequent {
    /// Which alarm.
    pub alarm: u32,
    /// How often.
    pub count: usize,
}

/// The most frequent alarms, at most `most` of them; of equals the lower number first.
#[must_use]
pub fn top(told: &[Annunciation], most: usize) -> Vec<Frequent> {
    let mut list = tally(told.iter().map(|a| a.alarm));
    list.truncate(most);
    list
}

fn tally(alarms: impl Iterator<Item = u32>) -> Vec<Frequent> {
    let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
    alarms.for_each(|alarm| *counts.entry(alarm).or_default() += 1);
    let mut list: Vec<Frequent> =
        counts.into_iter().map(|(alarm, count)| Frequent { alarm, count }).collect();
    list.sort_by_key(|frequent| (std::cmp::Reverse(frequent.count), frequent.alarm));
    list
}

fn by_alarm(told: &[Annunciation]) -> BTreeMap<u32, Vec<Annunciation>> {
    let mut alarms: BTreeMap<u32, Vec<Annunciation>> = BTreeMap::new();
    told.iter().for_each(|a| alarms.entry(a.alarm).or_default().push(*a));
    alarms.values_mut().for_each(|list| list.sort_by_key(|a| a.at));
    alarms
}

/// Alarms with three announcements within a minute, or a chatter index of 0.05 and more; most
/// frequent first.
#[must_use]
pub fn chattering(told: &[Annunciation]) -> Vec<u32> {
    let alarms = by_alarm(told);
    let chatters = |list: &Vec<Annunciation>| {
        let times: Vec<TimeMs> = list.iter().map(|a| a.at).collect();
        let crowded = times
            .iter()
            .zip(times.iter().skip(CHATTER_COUNT - 1))
            .any(|(first, third)| third.since(*first) <= CHATTER_WINDOW_MS);
        crowded || chatter_index(&times).is_some_and(|index| index >= CHATTER_LIMIT)
    };
    top(told, usize::MAX)
        .into_iter()
        .map(|frequent| frequent.alarm)
        .filter(|alarm| alarms.get(alarm).is_some_and(chatters))
        .collect()
}

/// Alarms that returned by themselves, before anybody acknowledged, within `within_ms`, and did
/// not come again within `repeat_ms` of the return; with how often.
#[must_use]
pub fn fleeting(told: &[Annunciation], within_ms: i64, repeat_ms: i64) -> Vec<Frequent> {
    let mut found = Vec::new();
    for list in by_alarm(told).values() {
        for (place, one) in list.iter().enumerate() {
            let Some(off) = one.off else { continue };
            let by_itself = one.acknowledged.is_none_or(|at| at >= off);
            let again = list.get(place + 1).is_some_and(|next| next.on.since(off) < repeat_ms);
            if by_itself && off.since(one.on) <= within_ms && !again {
                found.push(one.alarm);
            }
        }
    }
    tally(found.into_iter())
}

/// Alarms that at some time of `from..to` had stood for longer than `stale_ms` since they were
/// announced.
#[must_use]
pub fn stale(told: &[Annunciation], stale_ms: i64, from: TimeMs, to: TimeMs) -> BTreeSet<u32> {
    let is_stale = |a: &&Annunciation| {
        let since = a.at + stale_ms;
        since < to && a.off.is_none_or(|off| off > since.max(from))
    };
    told.iter().filter(is_stale).map(|a| a.alarm).collect()
}
