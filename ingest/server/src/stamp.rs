//! Times as people and programs read them: RFC 3339 with the centre's offset.

use fengsui_telemetry::TimeMs;
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

/// Formats times in one zone.
#[derive(Clone, Debug)]
pub struct Stamp(TimeZone);

impl Stamp {
    /// In a named zone such as `Asia/Shanghai`.
    ///
    /// # Errors
    /// The name is not in the time zone database.
    pub fn in_zone(name: &str) -> Result<Self, jiff::Error> {
        Ok(Self(TimeZone::get(name)?))
    }

    /// The zone's name.
    #[must_use]
    pub fn zone(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// `2026-11-21T22:14:05.120+08:00`; a time beyond the year 9999 as its number.
    #[must_use]
    pub fn rfc3339(&self, at: TimeMs) -> String {
        self.format(at, "%Y-%m-%dT%H:%M:%S%.3f%:z")
    }

    /// `2026-11-21 22:14:05`, as the console and the no-script page show it.
    #[must_use]
    pub fn people(&self, at: TimeMs) -> String {
        self.format(at, "%Y-%m-%d %H:%M:%S")
    }

    fn format(&self, at: TimeMs, pattern: &str) -> String {
        match Timestamp::from_millisecond(at.0) {
            Ok(stamp) => stamp.to_zoned(self.0.clone()).strftime(pattern).to_string(),
            Err(_) => at.to_string(),
        }
    }

    /// Minutes east of UTC at a time.
    #[must_use]
    pub fn offset_min(&self, at: TimeMs) -> i32 {
        let stamp = Timestamp::from_millisecond(at.0).unwrap_or_default();
        self.0.to_offset(stamp).seconds() / 60
    }

    /// The date on the wall.
    #[must_use]
    pub fn date(&self, at: TimeMs) -> Date {
        let stamp = Timestamp::from_millisecond(at.0).unwrap_or_default();
        stamp.to_zoned(self.0.clone()).date()
    }

    /// When the wall shows this; none beyond the years of the calendar.
    #[must_use]
    pub fn at(&self, wall: DateTime) -> Option<TimeMs> {
        let zoned = wall.to_zoned(self.0.clone()).ok()?;
        Some(TimeMs(zoned.timestamp().as_millisecond()))
    }

    /// Reads RFC 3339, or milliseconds since 1970.
    #[must_use]
    pub fn parse(text: &str) -> Option<TimeMs> {
        if let Ok(ms) = text.parse::<i64>() {
            return Some(TimeMs(ms));
        }
        text.parse::<Timestamp>().ok().map(|stamp| TimeMs(stamp.as_millisecond()))
    }

    /// The same, and a date or a date and time of this zone, as people type them.
    #[must_use]
    pub fn read(&self, text: &str) -> Option<TimeMs> {
        Self::parse(text).or_else(|| {
            let civil: DateTime = text.trim().parse().ok()?;
            let zoned = civil.to_zoned(self.0.clone()).ok()?;
            Some(TimeMs(zoned.timestamp().as_millisecond()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_carry_their_offset_and_come_back() {
        let stamp = Stamp::in_zone("Asia/Shanghai").unwrap();
        let text = stamp.rfc3339(TimeMs(1_795_270_445_120));
        assert_eq!(text, "2026-11-21T22:14:05.120+08:00");
        assert_eq!(Stamp::parse(&text), Some(TimeMs(1_795_270_445_120)));
        assert_eq!(stamp.rfc3339(TimeMs::MAX), i64::MAX.to_string());
        assert!(Stamp::in_zone("Asia/Nowhere").is_err());
    }
}
