//! What is known of one alarm beyond its condition: phase, overlays, occurrences, answers.
//!
//! - Made when something first happens; most alarms never need one.
//! - Bounded: occurrences and stretches of running delays are kept for the late horizon and up to
//!   a number; what is forgotten moves `known_from`, and late data before it are history only.

use fengsui_telemetry::TimeMs;

use crate::condition::{NEVER, Rule};
use crate::engine::Edge;
use crate::lifecycle::{Others, Phase};
use crate::model::{Letter, Occurrence};
use crate::mutant::{Mutant, planted};
use crate::overlay::Overlays;

/// Occurrences kept per alarm: a week of one every two and a half minutes.
pub(crate) const OCCURRENCES_MAX: usize = 4_096;
/// Below this many nothing is forgotten for its age alone.
const OCCURRENCES_FEW: usize = 64;
/// Stretches of running delays kept per alarm. Beyond it the two nearest become one, which costs
/// a longer recomputation and nothing else.
pub(crate) const RAN_MAX: usize = 32;
/// Older rules kept per alarm, for late data.
pub(crate) const EARLIER_MAX: usize = 8;

/// One occurrence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Happening {
    pub(crate) number: u64,
    pub(crate) on: i64,
    pub(crate) off: Option<i64>,
    pub(crate) late: bool,
    pub(crate) refuted: bool,
    pub(crate) wants_answer: bool,
    /// When the host knew of its newest edge.
    pub(crate) known: i64,
    /// The value at that edge.
    pub(crate) value: Option<f64>,
}

impl Happening {
    pub(crate) fn public(self) -> Occurrence {
        Occurrence {
            number: self.number,
            on: TimeMs(self.on),
            off: self.off.map(TimeMs),
            late: self.late,
            refuted: self.refuted,
        }
    }

    pub(crate) fn is_open(self) -> bool {
        self.off.is_none() && !self.refuted
    }
}

/// The story of one alarm.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Story {
    pub(crate) phase: Phase,
    pub(crate) overlays: Overlays,
    /// In order of number.
    pub(crate) happenings: Vec<Happening>,
    pub(crate) next_number: u64,
    /// Stretches in which a delay ran, oldest first, no overlaps.
    pub(crate) ran: Vec<(i64, i64)>,
    /// Before this nothing can be recomputed.
    pub(crate) known_from: i64,
    /// Occurrences up to this number happened before the clock was set back and say nothing about
    /// the times that come again; the second number, open at that moment, does.
    pub(crate) outdated: (u64, u64),
    /// When the host knew of the newest change of letter.
    pub(crate) since: TimeMs,
    /// Value at the newest change of the condition.
    pub(crate) value: Option<f64>,
    pub(crate) answered_by: Option<String>,
    /// The newest announcement.
    pub(crate) announced: TimeMs,
    /// When it is announced again, or [`NEVER`].
    pub(crate) realarm: i64,
    /// Announced in the journal, kept quiet because another alarm speaks for it.
    pub(crate) owed: bool,
    /// (exclusive end, rule) of what judged before, oldest first.
    pub(crate) earlier: Vec<(i64, Rule)>,
}

impl Default for Story {
    fn default() -> Self {
        Self {
            phase: Phase::Normal,
            overlays: Overlays::default(),
            happenings: Vec::new(),
            next_number: 1,
            ran: Vec::new(),
            known_from: i64::MIN,
            outdated: (0, 0),
            since: TimeMs(0),
            value: None,
            answered_by: None,
            announced: TimeMs(0),
            realarm: NEVER,
            owed: false,
            earlier: Vec::new(),
        }
    }
}

impl Story {
    pub(crate) fn letter(&self) -> Letter {
        self.overlays.letter().unwrap_or_else(|| self.phase.letter())
    }

    /// The open occurrence.
    pub(crate) fn open(&mut self) -> Option<&mut Happening> {
        self.happenings.iter_mut().rev().find(|h| h.is_open())
    }

    /// The number that an acknowledgement must name: the open occurrence, else the newest.
    pub(crate) fn current(&self) -> u64 {
        let open = self.happenings.iter().rev().find(|h| h.is_open());
        open.map_or(self.next_number - 1, |h| h.number)
    }

    pub(crate) fn numbered(&mut self, number: u64) -> Option<&mut Happening> {
        let place = self.happenings.partition_point(|h| h.number < number);
        self.happenings.get_mut(place).filter(|h| h.number == number)
    }

    /// Writes down a new occurrence and returns its number. `horizon`: what ended before may be
    /// forgotten.
    pub(crate) fn begin(&mut self, edge: Edge, now: TimeMs, horizon: i64) -> u64 {
        self.forget(horizon);
        let (on, late) = (edge.te, edge.flags.late);
        let number = self.next_number;
        self.next_number += 1;
        self.happenings.push(Happening {
            number,
            on,
            off: None,
            late,
            refuted: false,
            wants_answer: false,
            known: now.0,
            value: edge.value,
        });
        number
    }

    fn forget(&mut self, horizon: i64) {
        // Looked at every so often: a sweep over thousands for each new one would be waste.
        if self.happenings.is_empty() || !self.happenings.len().is_multiple_of(OCCURRENCES_FEW) {
            return;
        }
        let too_many = self.happenings.len() >= OCCURRENCES_MAX;
        let mut spare = usize::from(too_many) * OCCURRENCES_MAX / 4;
        let mut known_from = self.known_from;
        self.happenings.retain(|h| {
            let Some(off) = h.off else { return true };
            let old = off < horizon;
            if !h.wants_answer && (old || spare > 0) {
                spare = spare.saturating_sub(1);
                known_from = known_from.max(off.saturating_add(1));
                return false;
            }
            true
        });
        // An alarm that nobody answers for thousands of occurrences: the oldest go all the same.
        if self.happenings.len() >= OCCURRENCES_MAX {
            let gone: Vec<_> = self.happenings.drain(..OCCURRENCES_MAX / 4).collect();
            for happening in gone {
                match happening.off {
                    Some(off) => known_from = known_from.max(off.saturating_add(1)),
                    None => self.happenings.insert(0, happening),
                }
            }
        }
        self.known_from = known_from;
    }

    /// Whether occurrences wait for an answer.
    pub(crate) fn others(&self) -> Others {
        if self.happenings.iter().any(|h| h.wants_answer) {
            Others::Waiting
        } else {
            Others::Answered
        }
    }

    /// Whether occurrences found in late data wait for an answer (Q6).
    pub(crate) fn late_waiting(&self) -> Others {
        if self.happenings.iter().any(|h| h.wants_answer && h.late) {
            Others::Waiting
        } else {
            Others::Answered
        }
    }

    /// An answer to everything up to a number.
    pub(crate) fn answer_through(&mut self, number: u64) {
        for happening in &mut self.happenings {
            if happening.number <= number {
                happening.wants_answer = false;
            }
        }
    }

    /// Notes a stretch in which a delay ran.
    pub(crate) fn note_ran(&mut self, stretch: (i64, i64), horizon: i64) {
        let place = self.ran.partition_point(|(since, _)| *since < stretch.0);
        self.ran.insert(place, stretch);
        if self.ran.len() > RAN_MAX {
            self.ran.retain(|(_, until)| *until >= horizon);
        }
        if self.ran.len() > RAN_MAX {
            self.join_nearest();
        }
    }

    fn join_nearest(&mut self) {
        let gap = |pair: &[(i64, i64)]| match pair {
            [earlier, later] => later.0.saturating_sub(earlier.1),
            _ => i64::MAX,
        };
        let nearest = self.ran.windows(2).enumerate().min_by_key(|(_, pair)| gap(pair));
        if let Some((place, _)) = nearest {
            let later = self.ran.remove(place + 1);
            if let Some(earlier) = self.ran.get_mut(place) {
                earlier.1 = earlier.1.max(later.1);
            }
        }
    }

    /// Where a recomputation must start so that the state there is known, when samples from
    /// `from` on have changed: just before, or at the beginning of a delay that was running.
    pub(crate) fn start_before(&self, from: i64) -> i64 {
        let just_before = from.saturating_sub(1);
        let within = |(since, until): &(i64, i64)| *since <= just_before && just_before < *until;
        let anywhere = planted(Mutant::RecomputesFromAnywhere);
        self.ran.iter().find(|s| within(s) && !anywhere).map_or(just_before, |(since, _)| *since)
    }

    /// Occurrences that a recomputation has to agree with.
    pub(crate) fn confirmed(&self) -> impl DoubleEndedIterator<Item = &Happening> {
        let (through, but) = self.outdated;
        self.happenings
            .iter()
            .filter(move |h| !h.refuted && (h.number > through || h.number == but))
    }

    /// The confirmed occurrence that was open at a time.
    pub(crate) fn open_at(&self, time: i64) -> Option<Happening> {
        let holds =
            |h: &&Happening| !h.refuted && h.on <= time && h.off.is_none_or(|off| off > time);
        self.confirmed().rev().find(holds).copied()
    }

    /// The rules over time, with the one of today last.
    pub(crate) fn rules(&self, today: Rule) -> Vec<(i64, Rule)> {
        let mut rules = Vec::with_capacity(self.earlier.len() + 1);
        let mut from = i64::MIN;
        for (until, rule) in &self.earlier {
            rules.push((from, *rule));
            from = *until;
        }
        rules.push((from, today));
        rules
    }
}
