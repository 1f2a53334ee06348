//! Times as files and people write them.

use fengsui_telemetry::TimeMs;
use jiff::Timestamp;
use jiff::civil;
use jiff::tz::TimeZone;

use super::Refusal;

/// The zone where nobody names one.
const DEFAULT: &str = "Asia/Shanghai";

/// How times without a zone are read, and how times are given.
#[derive(Clone, Debug)]
pub(super) struct Zone {
    zone: TimeZone,
    named: bool,
}

impl Zone {
    pub(super) fn of(name: Option<&str>) -> Result<Self, Refusal> {
        let zone = TimeZone::get(name.unwrap_or(DEFAULT))
            .map_err(|fault| Refusal::usage(format!("--zone: {fault}; 例如 Asia/Shanghai, UTC")))?;
        Ok(Self { zone, named: name.is_some() })
    }

    /// The same for answers in UTC, unless a zone was asked for: a file in UTC is answered in UTC.
    pub(super) fn or_utc(self) -> Self {
        if self.named { self } else { Self { zone: TimeZone::UTC, ..self } }
    }

    /// RFC 3339, a date and time without zone, or a date alone.
    pub(super) fn read(&self, text: &str) -> Option<TimeMs> {
        let text = text.trim();
        let stamp = match text.parse::<Timestamp>() {
            Ok(stamp) => stamp,
            Err(_) => civil_time(text)?.to_zoned(self.zone.clone()).ok()?.timestamp(),
        };
        Some(TimeMs(stamp.as_millisecond()))
    }

    /// RFC 3339.
    pub(super) fn rfc3339(&self, at: TimeMs) -> String {
        let Ok(stamp) = Timestamp::from_millisecond(at.0) else { return at.to_string() };
        if self.zone == TimeZone::UTC {
            return stamp.to_string();
        }
        let zoned = stamp.to_zoned(self.zone.clone());
        let pattern =
            if at.0 % 1_000 == 0 { "%Y-%m-%dT%H:%M:%S%:z" } else { "%Y-%m-%dT%H:%M:%S%.3f%:z" };
        zoned.strftime(pattern).to_string()
    }

    /// `05-11 03:14:00`, for tables.
    pub(super) fn people(&self, at: TimeMs) -> String {
        match Timestamp::from_millisecond(at.0) {
            Ok(stamp) => {
                stamp.to_zoned(self.zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
            }
            Err(_) => at.to_string(),
        }
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        self.zone.iana_name().unwrap_or("UTC")
    }
}

fn civil_time(text: &str) -> Option<civil::DateTime> {
    if let Ok(time) = text.parse::<civil::DateTime>() {
        return Some(time);
    }
    ["%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M", "%Y-%m-%d %H:%M"]
        .iter()
        .find_map(|pattern| civil::DateTime::strptime(pattern, text).ok())
}
