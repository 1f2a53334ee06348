//! The only place where the gateway reads a clock.
//!
//! - Wall time is a stamp, with how far it can be trusted. Waiting is done on monotonic time.
//! - A board whose clock was never set takes the centre's word for the time until its own time
//!   server answers. Two words must agree, and a later pair is followed: after a power cut the
//!   centre may know the time no sooner than the board.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use fengsui_telemetry::{ClockQuality, TimeMs};

/// A wall clock before 2025-01-01 was never set: this program is younger.
const PROGRAM_BORN: TimeMs = TimeMs(1_735_689_600_000);
/// Nor is it 2100: a centre that says so has no time.
const CENTURY_ENDS: TimeMs = TimeMs(4_102_444_800_000);
/// Two words of the centre agree that differ from the time between them by less than this: what a
/// broker delays one more than the other.
const AGREE_MS: i64 = 1_000;
/// And that are so far apart: one that is delivered twice is no second word. The centre speaks
/// every two seconds.
const APART_MS: u64 = 1_500;
/// A clock that goes by the centre's word is not moved for less.
const FOLLOW_MS: i64 = 2_000;
/// A mark that is further ahead was made before the clock was set back, and proves nothing.
const MARK_AHEAD_MS: i64 = 10_000;
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
    /// The centre's last word, and when it came, monotonic ms. Only the uplink's task takes it.
    word: Mutex<Option<(TimeMs, u64)>>,
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
                word: Mutex::new(None),
                battery: AtomicBool::new(true),
            })),
        }
    }

    /// The board has no battery for its clock: what it shows after a start is worth nothing.
    pub(crate) fn without_battery(&self) {
        self.trust.battery.store(false, Ordering::Relaxed);
    }

    /// The centre's time, heard just now. It counts where there is none of our own, and where the
    /// word before said the same.
    pub(crate) fn told(&self, centre: TimeMs) {
        self.told_at(centre, self.mono_ms());
    }

    pub(crate) fn told_at(&self, centre: TimeMs, now: u64) {
        if !(PROGRAM_BORN..CENTURY_ENDS).contains(&centre) {
            return;
        }
        let mut word = self.trust.word.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((before, then)) = *word else {
            *word = Some((centre, now));
            return;
        };
        let apart = now.saturating_sub(then);
        if apart < APART_MS {
            return;
        }
        *word = Some((centre, now));
        let passed = i64::try_from(apart).unwrap_or(i64::MAX);
        if (centre.since(before) - passed).abs() <= AGREE_MS {
            self.believe(centre);
        }
    }

    fn believe(&self, centre: TimeMs) {
        let told = self.trust.told.load(Ordering::Relaxed) && synchronised_for().is_none();
        let off = centre.since(self.wall()).abs() > FOLLOW_MS;
        if self.quality() == ClockQuality::Unset || (told && off) {
            self.trust.offset_ms.store(centre.since(machine()), Ordering::Relaxed);
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
    age_of_mark(machine(), of(touched))
}

fn age_of_mark(now: TimeMs, touched: TimeMs) -> Option<i64> {
    let age = now.since(touched);
    (age >= -MARK_AHEAD_MS).then_some(age.max(0))
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

#[cfg(test)]
mod tests {
    use super::*;

    const TRUTH: TimeMs = TimeMs(1_800_000_000_000);

    fn unset() -> Clock {
        let clock = Clock::start();
        clock.without_battery();
        clock
    }

    #[test]
    fn one_word_of_the_centre_is_no_time_and_one_that_comes_twice_is_one() {
        let clock = unset();
        for now in [10, 20, 1_000, 1_900, 3_900] {
            clock.told_at(TRUTH, now);
            assert_eq!(clock.quality(), ClockQuality::Unset, "{now}");
        }
        clock.told_at(TRUTH + 2_050, 5_900);
        assert_eq!(clock.quality(), ClockQuality::Holdover);
        assert!(clock.wall().since(TRUTH + 2_050).abs() < 1_000);
    }

    #[test]
    fn a_centre_that_learns_the_time_later_is_followed() {
        let (clock, wrong) = (unset(), TRUTH + -200 * 86_400_000);
        clock.told_at(wrong, 0);
        clock.told_at(wrong + 2_000, 2_000);
        assert!(clock.wall().since(wrong).abs() < 4_000);
        clock.told_at(TRUTH, 4_000);
        assert!(clock.wall().since(wrong).abs() < 4_000, "one word moves nothing");
        clock.told_at(TRUTH + 2_000, 6_000);
        assert!(clock.wall().since(TRUTH).abs() < 4_000);
    }

    #[test]
    fn a_time_that_cannot_be_is_no_word() {
        let clock = unset();
        for centre in [TimeMs(0), TimeMs(i64::MAX - 10_000), TimeMs(i64::MIN), CENTURY_ENDS] {
            clock.told_at(centre, 0);
            clock.told_at(centre + 2_000, 2_000);
            assert_eq!(clock.quality(), ClockQuality::Unset, "{centre}");
        }
    }

    #[test]
    fn a_mark_of_a_time_to_come_proves_nothing() {
        assert_eq!(age_of_mark(TRUTH, TRUTH + -60_000), Some(60_000));
        assert_eq!(age_of_mark(TRUTH, TRUTH + MARK_AHEAD_MS), Some(0));
        assert_eq!(age_of_mark(TRUTH, TRUTH + 300 * 86_400_000), None);
    }
}
