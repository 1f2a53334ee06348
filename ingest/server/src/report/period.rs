//! Days, months and shifts by the clock on the centre's wall.

use fengsui_telemetry::TimeMs;
use jiff::civil::{Date, DateTime};
use jiff::{Span, ToSpan};

use super::Settings;
use crate::stamp::Stamp;

/// Longest range of one report: a year and a bit.
const SPAN_MAX_MS: i64 = 400 * 86_400_000;

/// What kind of period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 日报
    Day,
    /// 月报
    Month,
    /// 班报
    Shift,
    /// Any range.
    Range,
}

impl Kind {
    /// One word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Month => "month",
            Self::Shift => "shift",
            Self::Range => "range",
        }
    }

    /// The kind of a word; a range has none.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Day, Self::Month, Self::Shift].into_iter().find(|kind| kind.word() == word)
    }

    /// In Chinese.
    #[must_use]
    pub fn zh(self) -> &'static str {
        match self {
            Self::Day => "日报",
            Self::Month => "月报",
            Self::Shift => "班报",
            Self::Range => "报告",
        }
    }
}

/// `[from, to)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Period {
    /// Kind.
    pub kind: Kind,
    /// `2026-11-21`, `2026-11`, `2026-11-21 08:00`.
    pub name: String,
    /// From.
    pub from: TimeMs,
    /// To; for one that is not over, now.
    pub to: TimeMs,
    /// It is over.
    pub complete: bool,
}

/// Why there is no such period: in words, with the mend.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoPeriod(pub String);

impl Period {
    /// A day, month or shift. Without a date the newest that is over.
    ///
    /// # Errors
    /// The date is none, or lies ahead.
    pub fn of(
        kind: Kind,
        date: Option<&str>,
        settings: &Settings,
        stamp: &Stamp,
        now: TimeMs,
    ) -> Result<Self, NoPeriod> {
        let today = stamp.date(now);
        let yesterday = || before(today, 1.day());
        match kind {
            Kind::Day | Kind::Range => {
                let date = date.map_or_else(|| Ok(yesterday()), read_date)?;
                Self::days(Kind::Day, date, date, 1.day(), date.to_string(), (stamp, now))
            }
            Kind::Month => {
                let date = match date {
                    Some(text) => read_month(text)?,
                    None => before(today, 1.month()),
                };
                let first = date.first_of_month();
                let name = first.strftime("%Y-%m").to_string();
                Self::days(Kind::Month, first, first, 1.month(), name, (stamp, now))
            }
            Kind::Shift => Self::shift(date, settings, stamp, now),
        }
    }

    /// Any range.
    ///
    /// # Errors
    /// It is empty, too long, or lies ahead.
    pub fn range(from: TimeMs, to: TimeMs, stamp: &Stamp, now: TimeMs) -> Result<Self, NoPeriod> {
        if from >= to {
            return Err(NoPeriod("from 必须早于 to / from must be before to".to_owned()));
        }
        let name = format!("{} — {}", stamp.people(from), stamp.people(to));
        Self::cut(Kind::Range, name, from, to, now)
    }

    fn days(
        kind: Kind,
        date: Date,
        first: Date,
        long: Span,
        name: String,
        (stamp, now): (&Stamp, TimeMs),
    ) -> Result<Self, NoPeriod> {
        let end = first.checked_add(long).ok();
        let from = stamp.at(first.to_datetime(jiff::civil::Time::midnight()));
        let to = end.and_then(|end| stamp.at(end.to_datetime(jiff::civil::Time::midnight())));
        match from.zip(to) {
            Some((from, to)) => Self::cut(kind, name, from, to, now),
            None => Err(no_date(&date.to_string())),
        }
    }

    fn shift(
        date: Option<&str>,
        settings: &Settings,
        stamp: &Stamp,
        now: TimeMs,
    ) -> Result<Self, NoPeriod> {
        // A date alone means its first shift; a date and a time the shift that runs then.
        let (wanted, exact) = match date {
            Some(text) => match text.split_once([' ', 'T']) {
                Some((day, time)) => {
                    let time = jiff::civil::Time::strptime("%H:%M", time.trim())
                        .map_err(|_| no_date(text))?;
                    (stamp.at(read_date(day)?.to_datetime(time)), true)
                }
                None => {
                    let first = settings.shifts.first().copied().unwrap_or_default();
                    (stamp.at(read_date(text)?.to_datetime(first)), true)
                }
            },
            None => (Some(now), false),
        };
        let wanted = wanted.ok_or_else(|| no_date(date.unwrap_or_default()))?;
        let around = stamp.date(wanted);
        let days = [before(around, 2.days()), before(around, 1.day()), around];
        let next = around.checked_add(1.day()).unwrap_or(around);
        let begins: Vec<(DateTime, TimeMs)> = days
            .into_iter()
            .chain([next])
            .flat_map(|day| settings.shifts.iter().map(move |time| day.to_datetime(*time)))
            .filter_map(|begin| Some((begin, stamp.at(begin)?)))
            .collect();
        let fits = |from: TimeMs, to: TimeMs| {
            if exact { from <= wanted && wanted < to } else { to <= wanted }
        };
        let mut shifts = begins.iter().zip(begins.iter().skip(1));
        let found = shifts.rfind(|(begin, end)| fits(begin.1, end.1));
        let (begin, end) = found.ok_or_else(|| no_date(date.unwrap_or_default()))?;
        let name = begin.0.strftime("%Y-%m-%d %H:%M").to_string();
        Self::cut(Kind::Shift, name, begin.1, end.1, now)
    }

    fn cut(
        kind: Kind,
        name: String,
        from: TimeMs,
        to: TimeMs,
        now: TimeMs,
    ) -> Result<Self, NoPeriod> {
        if from.0 < 0 {
            return Err(NoPeriod(format!(
                "{name}: 早于 1970 年，没有数据 / is before 1970; name a later date"
            )));
        }
        if from >= now {
            return Err(NoPeriod(format!(
                "{name}: 尚未开始，请用以前的日期 / has not begun; name an earlier date"
            )));
        }
        if to.since(from) > SPAN_MAX_MS {
            return Err(NoPeriod(format!(
                "{name}: 超过 400 天，请分段 / is longer than 400 days; ask for parts of it"
            )));
        }
        Ok(Self { kind, name, from, to: to.min(now), complete: to <= now })
    }
}

fn before(date: Date, span: Span) -> Date {
    date.checked_sub(span).unwrap_or(date)
}

fn no_date(text: &str) -> NoPeriod {
    NoPeriod(format!("{text:?}: 不是日期，请写成 2026-11-21 / is no date; write 2026-11-21"))
}

fn read_date(text: &str) -> Result<Date, NoPeriod> {
    Date::strptime("%Y-%m-%d", text.trim()).map_err(|_| no_date(text))
}

fn read_month(text: &str) -> Result<Date, NoPeriod> {
    let whole =
        if text.trim().len() == 7 { format!("{}-01", text.trim()) } else { text.to_owned() };
    read_date(&whole).map_err(|_| no_date(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    fn of(
        kind: Kind,
        date: Option<&str>,
        now: &str,
    ) -> Result<(String, String, i64, bool), NoPeriod> {
        let stamp = Stamp::in_zone("Asia/Shanghai").unwrap();
        let now = Stamp::parse(now).unwrap();
        let period = Period::of(kind, date, &Settings::default(), &stamp, now)?;
        let hours = period.to.since(period.from) / HOUR;
        Ok((period.name, stamp.rfc3339(period.from), hours, period.complete))
    }

    #[test]
    fn days_months_and_shifts_are_those_on_the_wall() {
        let now = "2026-11-21T14:00:00+08:00";
        let is = |kind, date, name: &str, from: &str, hours, complete| {
            let found = of(kind, date, now).unwrap();
            assert_eq!(found, (name.into(), format!("{from}:00.000+08:00"), hours, complete));
        };
        is(Kind::Day, None, "2026-11-20", "2026-11-20T00:00", 24, true);
        is(Kind::Day, Some("2026-11-21"), "2026-11-21", "2026-11-21T00:00", 14, false);
        is(Kind::Month, None, "2026-10", "2026-10-01T00:00", 31 * 24, true);
        is(Kind::Month, Some("2024-02"), "2024-02", "2024-02-01T00:00", 29 * 24, true);
        is(Kind::Month, Some("2026-02-17"), "2026-02", "2026-02-01T00:00", 28 * 24, true);
        is(Kind::Shift, None, "2026-11-20 20:00", "2026-11-20T20:00", 12, true);
        is(Kind::Shift, Some("2026-11-20"), "2026-11-20 08:00", "2026-11-20T08:00", 12, true);
        is(Kind::Shift, Some("2026-11-20 03:00"), "2026-11-19 20:00", "2026-11-19T20:00", 12, true);
    }

    #[test]
    fn what_is_no_date_or_lies_ahead_is_refused_with_the_mend() {
        let now = "2026-11-21T14:00:00+08:00";
        for bad in ["2026-13-01", "2026-02-30", "yesterday", "", "21.11.2026", "2026-11-21; ls"] {
            let told = of(Kind::Day, Some(bad), now).unwrap_err().0;
            assert!(told.contains("write 2026-11-21"), "{told}");
        }
        assert!(of(Kind::Day, Some("2026-11-22"), now).unwrap_err().0.contains("尚未开始"));
        for early in ["1969-12-31", "1970-01-01", "0001-01-01"] {
            let told = of(Kind::Day, Some(early), now).unwrap_err().0;
            assert!(told.contains("before 1970"), "{told}");
        }
        assert!(of(Kind::Month, Some("2026-12"), now).unwrap_err().0.contains("尚未开始"));
        let stamp = Stamp::in_zone("UTC").unwrap();
        let range = |from, to| Period::range(TimeMs(from), TimeMs(to), &stamp, TimeMs(i64::MAX));
        assert!(range(5, 5).is_err() && range(0, SPAN_MAX_MS + 1).is_err());
    }
}
