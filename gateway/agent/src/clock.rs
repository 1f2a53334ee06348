//! The only place where the gateway reads a clock.
//!
//! - Wall time is a stamp, with how far it can be trusted. Waiting is done on monotonic time.
//! - A board whose clock was never set takes the centre's word for the time until its own time
//!   server answers.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use fengsui_telemetry::{ClockQuality, TimeMs};

/// A wall clock before 2025-01-01 was never set: this program is younger.
const PROGRAM_BORN: TimeMs = TimeMs(1_735_689_600_000);
/// Where systemd-timesyncd says that it has synchronised.
const SYNCHRONISED: &str = "/run/systemd/timesync/synchronized";

/// systemd-timesyncd asks at least every 34 minutes (its PollIntervalMaxSec). Silent for two hours,
/// the clock runs on its own.
const HOLDOVER_MS: i64 = 7_200_000;

/// What all copies of a clock share: a word on each, so that no reader waits.
#[derive(Debug)]
struct Trust {
    /// Added to the machine's clock: what the centre has told.
    offset_ms: AtomicI64,
    told: AtomicBool,
    /// The board keeps the time while it is without power.
    battery: AtomicBool,
}

/// Wall time, monotonic time, and which run of the machine this is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
    line: tokio::time::Instant,
    uptime_ms: i64,
    boot: u64,
    /// One for each start of a gateway, and kept for good: a program starts few.
    trust: &'static Trust,
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
            trust: Box::leak(Box::new(Trust {
                offset_ms: AtomicI64::new(0),
                told: AtomicBool::new(false),
                battery: AtomicBool::new(true),
            })),
        }
    }

    /// The board has no battery for its clock: what it shows after a start is worth nothing.
    pub(crate) fn without_battery(&self) {
        self.trust.battery.store(false, Ordering::Relaxed);
    }

    /// The centre's time, heard just now. It counts where there is none of our own.
    pub(crate) fn told(&self, centre: TimeMs) {
        if self.quality() == ClockQuality::Unset && PROGRAM_BORN < centre {
            let offset = centre.since(machine());
            self.trust.offset_ms.store(offset, Ordering::Relaxed);
            self.trust.told.store(true, Ordering::Relaxed);
        }
    }

    /// Forgets the centre's word once the machine has a time of its own.
    pub(crate) fn settle(&self) {
        if self.trust.told.load(Ordering::Relaxed) && synchronised_for().is_some() {
            self.trust.told.store(false, Ordering::Relaxed);
            self.trust.offset_ms.store(0, Ordering::Relaxed);
        }
    }

    /// Sets the clock: for tests.
    #[cfg(test)]
    pub(crate) fn step(&self, ms: i64) {
        self.trust.offset_ms.fetch_add(ms, Ordering::Relaxed);
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
    pub(crate) fn wall(&self) -> TimeMs {
        machine() + self.trust.offset_ms.load(Ordering::Relaxed)
    }

    /// Names this run of the machine.
    pub(crate) fn boot(&self) -> u64 {
        self.boot
    }

    /// How far the wall clock can be trusted.
    pub(crate) fn quality(&self) -> ClockQuality {
        let own = machine();
        match synchronised_for() {
            Some(ms) if ms <= HOLDOVER_MS => ClockQuality::Synchronised,
            Some(_) => ClockQuality::Holdover,
            None if self.trust.told.load(Ordering::Relaxed) => ClockQuality::Holdover,
            None if own < PROGRAM_BORN || !self.trust.battery.load(Ordering::Relaxed) => {
                ClockQuality::Unset
            }
            None => ClockQuality::Rtc,
        }
    }
}

/// The machine's own wall clock.
#[expect(clippy::disallowed_methods, reason = "this is clock.rs")]
fn machine() -> TimeMs {
    of(SystemTime::now())
}

fn of(time: SystemTime) -> TimeMs {
    TimeMs(match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
    })
}

/// Ms since a time server was heard in this run of the machine; none: never. The file is touched
/// at each synchronisation, and /run is empty after a start.
fn synchronised_for() -> Option<i64> {
    let touched = fs::metadata(SYNCHRONISED).and_then(|file| file.modified()).ok()?;
    Some(machine().since(of(touched)).max(0))
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
