//! The only place where the gateway reads a clock.
//!
//! - Wall time is a stamp, with how far it can be trusted. Waiting is done on monotonic time.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use fengsui_telemetry::{ClockQuality, TimeMs};

/// A wall clock before 2025-01-01 was never set: this program is younger.
const PROGRAM_BORN: TimeMs = TimeMs(1_735_689_600_000);
/// Where systemd-timesyncd says that it has synchronised.
const SYNCHRONISED: &str = "/run/systemd/timesync/synchronized";

/// Wall time, monotonic time, and which run of the machine this is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
    line: tokio::time::Instant,
    uptime_ms: i64,
    boot: u64,
}

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "this is clock.rs")]
    pub(crate) fn start() -> Self {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let head: String = boot.chars().filter(char::is_ascii_hexdigit).take(16).collect();
        let uptime = fs::read_to_string("/proc/uptime").unwrap_or_default();
        let uptime_ms = uptime.split('.').next().and_then(|s| s.parse::<i64>().ok()).unwrap_or(0);
        Self {
            start: Instant::now(),
            line: tokio::time::Instant::now(),
            uptime_ms: uptime_ms.saturating_mul(1_000),
            boot: u64::from_str_radix(&head, 16).unwrap_or(0),
        }
    }

    /// Milliseconds since this program started. Never steps.
    pub(crate) fn mono_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Microseconds of the clock by which the runtime's timers go, for the times of a line.
    pub(crate) fn line_us(&self) -> u64 {
        u64::try_from(self.line.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// For waiting on a line until [`Clock::line_us`] says this.
    pub(crate) fn line_instant(&self, us: u64) -> tokio::time::Instant {
        self.line + Duration::from_micros(us)
    }

    /// For sleeping: the monotonic instant so many milliseconds from now.
    pub(crate) fn instant_after(&self, ms: u64) -> tokio::time::Instant {
        tokio::time::Instant::now() + Duration::from_millis(ms)
    }

    /// Milliseconds since the machine started.
    pub(crate) fn since_boot_ms(&self) -> i64 {
        self.uptime_ms.saturating_add_unsigned(self.mono_ms())
    }

    /// The wall clock.
    #[expect(clippy::disallowed_methods, reason = "this is clock.rs")]
    pub(crate) fn wall(&self) -> TimeMs {
        let now = SystemTime::now();
        let ms = match now.duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
        };
        TimeMs(ms)
    }

    /// Names this run of the machine.
    pub(crate) fn boot(&self) -> u64 {
        self.boot
    }

    /// How far the wall clock can be trusted.
    pub(crate) fn quality(&self) -> ClockQuality {
        if self.wall() < PROGRAM_BORN {
            ClockQuality::Unset
        } else if Path::new(SYNCHRONISED).exists() {
            ClockQuality::Synchronised
        } else {
            ClockQuality::Rtc
        }
    }
}

/// One word for people.
pub(crate) fn word(quality: ClockQuality) -> &'static str {
    match quality {
        ClockQuality::Unset => "unset",
        ClockQuality::Rtc => "rtc",
        ClockQuality::Synchronised => "synchronised",
        ClockQuality::Holdover => "holdover",
    }
}
