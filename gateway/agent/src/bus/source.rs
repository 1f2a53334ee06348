//! The clock of a device that dates its own readings: who is not believed is named once.

use std::time::Duration;

use fengsui_scan::{Answer, Dated, SourceClock};
use fengsui_telemetry::{ClockQuality, TimeMs};
use tracing::{info, warn};

/// What is known of one device's clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source {
    off_ms: Option<i64>,
    /// What its readings bore last.
    last: TimeMs,
}

impl Default for Source {
    fn default() -> Self {
        Self { off_ms: None, last: TimeMs::MIN }
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

    /// Takes what an answer said; how far ahead the clock is now where it is not believed, ms.
    pub(super) fn take(&mut self, device: &str, said: SourceClock) -> Option<i64> {
        match (self.off_ms, said) {
            (_, SourceClock::Unsaid) => {}
            (None, SourceClock::Off(off_ms)) => {
                warn!(device, "{}", off(off_ms));
                self.off_ms = Some(off_ms);
            }
            (Some(_), SourceClock::Off(off_ms)) => self.off_ms = Some(off_ms),
            (Some(_), SourceClock::Right) => {
                info!(device, "device clock is right again");
                self.off_ms = None;
            }
            (None, SourceClock::Right) => {}
        }
        self.off_ms
    }
}

/// A clock that is not believed, with the mend.
pub(crate) fn off(off_ms: i64) -> String {
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
    fn a_wrong_clock_is_named_in_hours() {
        let ahead = off(28_800_000);
        assert!(ahead.contains("快 8.0 h") && ahead.contains("8.0 h ahead"), "{ahead}");
        assert!(off(-86_400_000).contains("24.0 h behind"));
    }
}
