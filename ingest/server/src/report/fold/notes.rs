//! Rows beside the alarms: the ledger of calls, and changes of limits.

use fengsui_alerting::calls::{Entry, Outcome, PACKAGE};
use fengsui_store::JournalRow;
use fengsui_telemetry::TimeMs;
use serde::Deserialize;

use super::Fold;

/// Packages of calls whose members are known; answers to more count as answers alone.
const PACKAGES_MAX: usize = 10_000;

/// What the journal says of a revision of limits.
#[derive(Deserialize)]
struct Limits {
    status: String,
    #[serde(default)]
    base: u64,
    #[serde(default)]
    by: String,
    #[serde(default)]
    author: String,
    approver: Option<String>,
    diff: LimitsDiff,
}

#[derive(Deserialize)]
struct LimitsDiff {
    #[serde(default)]
    rows: Vec<LimitsRow>,
    #[serde(default)]
    second_person: Vec<String>,
}

#[derive(Deserialize)]
struct LimitsRow {
    tag: String,
    direction: String,
}

impl Fold<'_> {
    pub(super) fn call(&mut self, row: &JournalRow) {
        match row.command.as_deref().map(Entry::from_json) {
            Some(Ok(Entry::Intent { .. })) if self.inside(row.ti) => self.counts.calls += 1,
            Some(Ok(Entry::Package { number, members, .. })) => {
                if self.packages.len() < PACKAGES_MAX {
                    self.packages.insert(number, members);
                } else {
                    self.counts.cut = true;
                }
            }
            Some(Ok(Entry::Answer {
                alarm,
                occurrence,
                outcome: Outcome::Answered,
                covers,
                ..
            })) => {
                if self.inside(row.ti) {
                    self.counts.answered += 1;
                }
                if alarm == PACKAGE {
                    for member in self.packages.get(&occurrence).cloned().unwrap_or_default() {
                        self.answer(&member.alarm, member.occurrence, row.ti);
                    }
                } else {
                    for occurrence in covers.into_iter().chain([occurrence]) {
                        self.answer(&alarm, occurrence, row.ti);
                    }
                }
            }
            Some(Ok(
                Entry::Intent { .. }
                | Entry::Answer { .. }
                | Entry::Again { .. }
                | Entry::Result { .. }
                | Entry::Receipt { .. }
                | Entry::Finding { .. },
            )) => {}
            Some(Err(_)) | None => self.counts.unread += 1,
        }
    }

    fn answer(&mut self, alarm: &str, occurrence: u64, at: TimeMs) {
        let place = self.site.keys.get(alarm).or_else(|| self.foreign.get(alarm));
        let Some(track) = place.and_then(|place| self.tracks.get(*place)) else { return };
        let told = track.told.iter().rev().take_while(|(told, _)| *told >= occurrence);
        for (_, place) in told.filter(|(told, _)| *told == occurrence) {
            if let Some(told) = self.facts.annunciations.get_mut(*place) {
                told.answered.get_or_insert(at);
            }
        }
    }

    pub(super) fn limits(&mut self, row: &JournalRow) {
        let text = row.command.as_deref().unwrap_or_default();
        let Ok(limits) = serde_json::from_str::<Limits>(text) else {
            self.counts.unread += 1;
            return;
        };
        // The first file of a gateway changes nothing.
        if limits.status != "in_force" || limits.base == 0 || !self.inside(row.ti) {
            return;
        }
        let needs = !limits.diff.second_person.is_empty();
        let second = limits.approver.as_ref().is_some_and(|approver| *approver != limits.author);
        if (limits.author.is_empty() && limits.by.is_empty()) || (needs && !second) {
            self.facts.unauthorised_changes += 1;
        }
        if self.period.to.since(row.ti) <= fengsui_alerting::kpi::DAY_MS {
            let looser = limits.diff.rows.into_iter().filter(|row| row.direction == "looser");
            self.loosened.extend(looser.map(|row| row.tag));
        }
    }
}
