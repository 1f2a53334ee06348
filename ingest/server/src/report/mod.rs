//! Reports: what the journal tells of a day, a month, a shift or any range.
//!
//! - Reads the journal over connections of its own, page by page, beside whoever writes it.
//! - What the journal cannot tell is none, never 0 or 100 %: time in which the centre did not run
//!   is unknown, and a period in which nobody watched has no figures at all.
//! - Formulas and what feeds them: docs/alarm-kpis.md. This module fills them and decides nothing.

mod cases;
mod fold;
mod heard;
mod json;
pub mod life;
pub mod period;
mod seeing;
pub mod settings;
mod sheets;
mod site;
#[cfg(test)]
mod tests;
pub mod write;

use fengsui_alerting::flood::FloodRules;
use fengsui_alerting::kpi::{DAY_MS, Figures, Rules, daily, figures};
use fengsui_store::{JournalReader, StoreError};
use fengsui_telemetry::TimeMs;

use crate::stamp::Stamp;
use fold::Fold;
use seeing::Seeing;

pub use fold::Counts;
pub use json::{blind_json, online_json, report_json};
pub use period::{Kind, NoPeriod, Period};
pub use seeing::{Doubted, Line, Now, Of, Suspicious};
pub use settings::Settings;
pub use sheets::{Cell, Sheet, sheets};
pub use site::Site;

/// Rows of one page: a megabyte or two.
const PAGE: usize = 2_000;
/// Rows before a period that are read as well: a clock that was set back has mixed their order.
const MARGIN_MS: i64 = 3_600_000;
/// Rows after a period in which its late data may have come: the late horizon and a day.
const AFTERWARDS_MS: i64 = 8 * DAY_MS;
/// A year, for what has never been in alarm.
const YEAR_MS: i64 = 365 * DAY_MS;

/// What a report is made from.
pub struct Ask<'a> {
    /// The journal.
    pub journal: &'a JournalReader,
    /// What is watched.
    pub site: &'a Site,
    /// Of when.
    pub period: Period,
    /// When the centre is last known to live: now, if it asks itself.
    pub as_of: TimeMs,
    /// Zone.
    pub stamp: &'a Stamp,
    /// What the plant decides.
    pub settings: &'a Settings,
    /// The window of floods, where it is not the usual.
    pub flood_window_ms: Option<i64>,
    /// Told how many rows are read, of how many. False ends the work.
    pub progress: &'a dyn Fn(u64, u64) -> bool,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportFault {
    /// Whoever asked has gone.
    #[error("已取消 (nobody waits for it any longer)")]
    Stopped,
    /// The journal.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An alarm as lists name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Key.
    pub key: String,
    /// What it is, and where; empty where it is no longer configured.
    pub name: String,
    /// How often.
    pub count: usize,
}

/// A report.
#[derive(Clone, Debug)]
pub struct Report {
    /// Of when.
    pub period: Period,
    /// Somebody watched at some time of it.
    pub has_data: bool,
    /// The figures.
    pub figures: Figures,
    /// Of each day, for a month.
    pub days: Vec<Figures>,
    /// Counts.
    pub counts: Counts,
    /// Announcements by hour of the day; none for hours that nobody watched.
    pub by_hour: [Option<u64>; 24],
    /// The most frequent alarms.
    pub top: Vec<Named>,
    /// Alarms that chatter.
    pub chattering: Vec<Named>,
    /// Fleeting alarms; none where the plant has given no time.
    pub fleeting: Option<Vec<Named>>,
    /// Alarms announced for longer than a day at the end.
    pub stale: Vec<Named>,
    /// Owed and overdue at the end.
    pub overdue: usize,
    /// Opened and not done at the end.
    pub owed: usize,
    /// Online time.
    pub online: Vec<Line>,
    /// What is suspiciously green.
    pub suspicious: Suspicious,
}

/// Reads the journal and makes the report.
///
/// # Errors
/// The journal cannot be read, or nobody waits any longer.
pub fn make(ask: &Ask<'_>) -> Result<Report, ReportFault> {
    let period = &ask.period;
    let watched = life::watched(ask.journal, period.from, ask.as_of)?;
    let mut fold = read(ask)?;
    let seeing = Seeing::of(ask.site, period, &fold.tracks, &watched);
    let mut facts = std::mem::take(&mut fold.facts);
    facts.disposals = cases::disposals(ask.journal, period.to)?;
    seeing.tell(&mut facts);
    let rules = rules(ask);
    let figures = figures(&facts, &rules, period.from, period.to);
    let days = match period.kind {
        Kind::Month => daily(&facts, &rules, period.from, period.to),
        Kind::Day | Kind::Shift | Kind::Range => Vec::new(),
    };
    let named = |alarm: u32, count: usize| {
        let place = usize::try_from(alarm).unwrap_or(usize::MAX);
        let facts = ask.site.alarms.get(place).map(|alarm| &alarm.facts);
        let name = facts.map(|f| format!("{} {}", f.installation, f.name).trim().to_owned());
        Named { key: fold.key(place).to_owned(), name: name.unwrap_or_default(), count }
    };
    let often = |list: &[fengsui_alerting::kpi::Frequent]| {
        list.iter().map(|f| named(f.alarm, f.count)).collect::<Vec<_>>()
    };
    let last = period.to - 1;
    let stale = fengsui_alerting::kpi::stale(&facts.annunciations, rules.stale_ms, last, period.to);
    let owed = facts.disposals.iter().filter(|d| d.done.is_none() && d.opened < period.to);
    let overdue = owed.clone().filter(|d| d.due.is_some_and(|due| due < period.to)).count();
    let counted = |alarm: u32| facts.annunciations.iter().filter(|a| a.alarm == alarm).count();
    let watched = seeing.hours(ask.stamp);
    let mut by_hour = fold.counts.by_hour.map(Some);
    for (count, watched) in by_hour.iter_mut().zip(watched) {
        *count = count.filter(|count| watched || *count > 0);
    }
    Ok(Report {
        by_hour,
        has_data: seeing.anybody_watched() || fold.counts.announced > 0,
        top: often(&figures.load.top),
        chattering: figures.chattering.iter().map(|alarm| named(*alarm, counted(*alarm))).collect(),
        fleeting: figures.fleeting.as_deref().map(often),
        stale: stale.into_iter().map(|alarm| named(alarm, 1)).collect(),
        overdue,
        owed: owed.count(),
        online: seeing.lines(),
        suspicious: seeing.suspicious(&fold.loosened, never(ask)?.as_deref()),
        period: period.clone(),
        counts: fold.counts.clone(),
        figures,
        days,
    })
}

fn rules(ask: &Ask<'_>) -> Rules {
    let usual = FloodRules::default();
    let window_ms = ask.flood_window_ms.unwrap_or(usual.window_ms);
    Rules {
        flood: FloodRules { window_ms, ..usual },
        fleeting_ms: ask.settings.fleeting_ms,
        offset_ms: i64::from(ask.stamp.offset_min(ask.period.from)) * 60_000,
        ..Rules::default()
    }
}

fn read<'a>(ask: &'a Ask<'_>) -> Result<Fold<'a>, ReportFault> {
    let first = ask.journal.before(ask.period.from - MARGIN_MS)?;
    let last = ask.journal.before(ask.period.to + AFTERWARDS_MS)?;
    let all = last.saturating_sub(first);
    let mut fold = Fold::new(ask.site, &ask.period, ask.stamp);
    fold.begin(ask.journal, first, &|| (ask.progress)(0, all))?;
    let mut seq = first;
    loop {
        if !(ask.progress)(seq - first, all) {
            return Err(ReportFault::Stopped);
        }
        let page = ask.journal.page(seq, PAGE)?;
        let within = page.iter().take_while(|stored| stored.seq <= last);
        let mut newest = seq;
        for stored in within {
            fold.take(stored);
            newest = stored.seq;
        }
        if newest == seq || newest >= last {
            break;
        }
        seq = newest;
    }
    fold.finish();
    Ok(fold)
}

/// Whether each point's alarms were all quiet for a year; none where the journal is younger.
fn never(ask: &Ask<'_>) -> Result<Option<Vec<bool>>, ReportFault> {
    let since = ask.period.to - YEAR_MS;
    if ask.journal.began()?.is_none_or(|began| began > since) {
        return Ok(None);
    }
    let mut quiet = vec![true; ask.site.points.len()];
    for alarm in ask.site.alarms.iter().filter(|alarm| alarm.tells == site::Tells::Process) {
        let Some(point) = alarm.point.and_then(|place| quiet.get_mut(place)) else { continue };
        if !(ask.progress)(0, 0) {
            return Err(ReportFault::Stopped);
        }
        let newest = ask.journal.of_alarm(&alarm.facts.key, u64::MAX, 1)?;
        *point &= newest.iter().all(|stored| stored.row.te_on.is_none_or(|on| on < since));
    }
    Ok(Some(quiet))
}
