//! The clock of a device that dates its own readings: who is off is named once.

use std::mem::discriminant;
use std::time::Duration;

use fengsui_scan::{Answer, Dated, SourceClock};
use fengsui_telemetry::{ClockQuality, TimeMs};
use tracing::{info, warn};

/// So many readings one after the other are behind before the device is named: one that measures
/// rarely is now and then.
const BEHIND_IN_A_ROW: u32 = 10;

/// What is known of one device's clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source {
    /// How far off it is; nothing where it is right.
    off: Option<SourceClock>,
    /// Readings that were behind, one after the other.
    behind: u32,
    /// What its readings bore last.
    last: TimeMs,
}

impl Default for Source {
    fn default() -> Self {
        Self { off: None, behind: 0, last: TimeMs::MIN }
    }
}

impl Source {
    /// Which time an answer of it bears.
    pub(super) fn date(&mut self, answer: Answer, arrival: TimeMs, clock: ClockQuality) -> Dated {
        let dated = answer.dated(arrival, clock, self.last);
        if !dated.readings.is_empty() {
            self.last = dated.te;
        }
        dated
    }

    /// Takes what an answer said; how far ahead the clock is now where it is off, ms.
    pub(super) fn take(&mut self, device: &str, said: SourceClock) -> Option<i64> {
        self.behind = match said {
            SourceClock::Unsaid => self.behind,
            SourceClock::Behind(_) => self.behind.saturating_add(1),
            SourceClock::Right | SourceClock::Off(_) => 0,
        };
        let now = match said {
            SourceClock::Unsaid => self.off,
            SourceClock::Off(_) => Some(said),
            SourceClock::Behind(_) => Some(said).filter(|_| self.behind >= BEHIND_IN_A_ROW),
            SourceClock::Right => None,
        };
        let told = now.and_then(off);
        if self.off.as_ref().map(discriminant) != now.as_ref().map(discriminant) {
            match &told {
                Some((_, told)) => warn!(device, "{told}"),
                None => info!(device, "device clock is right again"),
            }
        }
        self.off = now;
        told.map(|(off_ms, _)| off_ms)
    }
}

/// How far ahead a clock is that is off, ms, and what to do about it.
pub(crate) fn off(said: SourceClock) -> Option<(i64, String)> {
    match said {
        SourceClock::Unsaid | SourceClock::Right => None,
        SourceClock::Behind(off_ms) => Some((off_ms, behind(off_ms))),
        SourceClock::Off(off_ms) => Some((off_ms, not_believed(off_ms))),
    }
}

/// A clock that is believed, and behind.
fn behind(off_ms: i64) -> String {
    let seconds = Duration::from_millis(off_ms.unsigned_abs()).as_secs_f64();
    format!(
        "设备时间慢 {seconds:.1} s：读数按它记录，STALE 从它算起，可能因此常报；校准设备时钟 | device time \
         is {seconds:.1} s behind: readings bear it and STALE counts from it, and may stand because \
         of it; set the clock of the device"
    )
}

/// A clock that is not believed, with the mend.
fn not_believed(off_ms: i64) -> String {
    let hours = Duration::from_millis(off_ms.unsigned_abs()).as_secs_f64() / 3_600.0;
    let (zh, en) = if off_ms > 0 { ("快", "ahead") } else { ("慢", "behind") };
    format!(
        "设备时钟{zh} {hours:.1} h，不采用其时间，按到达时间记录（时间为估计）：校准设备时钟，time_register 应为 UTC \
         而不是本地时间 | device clock is {hours:.1} h {en}: its readings are dated by their \
         arrival; set it, time_register must hold UTC, not local time"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_clock_is_kept_until_it_is_right() {
        let mut source = Source::default();
        assert_eq!(source.take("d", SourceClock::Unsaid), None);
        assert_eq!(source.take("d", SourceClock::Off(28_800_000)), Some(28_800_000));
        assert_eq!(source.take("d", SourceClock::Unsaid), Some(28_800_000));
        assert_eq!(source.take("d", SourceClock::Right), None);
    }

    #[test]
    fn a_clock_is_behind_when_no_reading_is_in_time() {
        let mut source = Source::default();
        let (behind, right) = (SourceClock::Behind(-7_000), SourceClock::Right);
        for said in [behind; 9].into_iter().chain([right]).chain([behind; 9]) {
            assert_eq!(source.take("d", said), None);
        }
        assert_eq!(source.take("d", SourceClock::Unsaid), None);
        assert_eq!(source.take("d", behind), Some(-7_000));
        assert_eq!(source.take("d", SourceClock::Unsaid), Some(-7_000));
        assert_eq!(source.take("d", SourceClock::Off(-90_000)), Some(-90_000));
        assert_eq!(source.take("d", behind), None);
    }

    #[test]
    fn a_clock_that_is_off_is_named_with_its_unit() {
        let told = |said| off(said).unwrap().1;
        let ahead = told(SourceClock::Off(28_800_000));
        assert!(ahead.contains("快 8.0 h") && ahead.contains("8.0 h ahead"), "{ahead}");
        assert!(told(SourceClock::Off(-86_400_000)).contains("24.0 h behind"));
        let behind = told(SourceClock::Behind(-7_040));
        assert!(behind.contains("慢 7.0 s") && behind.contains("7.0 s behind"), "{behind}");
        assert_eq!((off(SourceClock::Right), off(SourceClock::Unsaid)), (None, None));
    }
}
