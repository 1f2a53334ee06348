//! What the plant decides about its reports: `[report]` of the centre's configuration.

use jiff::civil::Time;
use serde::Deserialize;

/// Shifts of a day at most.
const SHIFTS_MAX: usize = 8;

/// Settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// When shifts begin, in order; each lasts until the next.
    pub shifts: Vec<Time>,
    /// An alarm that returns by itself within this is fleeting; there is no published number, so
    /// none until the plant gives one.
    pub fleeting_ms: Option<i64>,
}

impl Default for Settings {
    /// Two shifts: our proposal (I), to be set by the plant.
    fn default() -> Self {
        Self {
            shifts: vec![Time::constant(8, 0, 0, 0), Time::constant(20, 0, 0, 0)],
            fleeting_ms: None,
        }
    }
}

/// As written.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct Text {
    shifts: Option<Vec<String>>,
    fleeting_s: Option<u32>,
}

impl Text {
    /// As [`Self::settle`]; a fault is told, and the default stands in its place.
    pub fn settle_or(self, fault: impl FnOnce(String)) -> Settings {
        self.settle().unwrap_or_else(|why| {
            fault(why);
            Settings::default()
        })
    }

    /// Checks it.
    ///
    /// # Errors
    /// What is wrong, with the mend.
    pub fn settle(self) -> Result<Settings, String> {
        let mut settings = Settings::default();
        if let Some(shifts) = self.shifts {
            let read = |text: &String| {
                Time::strptime("%H:%M", text)
                    .map_err(|_| format!("shifts: {text:?} 不是时刻 / is no time; write \"08:00\""))
            };
            settings.shifts = shifts.iter().map(read).collect::<Result<_, _>>()?;
            let rising = settings.shifts.is_sorted_by(|a, b| a < b);
            if !rising || settings.shifts.is_empty() || settings.shifts.len() > SHIFTS_MAX {
                return Err(format!(
                    "shifts: 须为 1 至 {SHIFTS_MAX} 个递增的时刻 / 1 to {SHIFTS_MAX} rising times; write [\"08:00\", \"20:00\"]"
                ));
            }
        }
        settings.fleeting_ms = self.fleeting_s.map(|s| i64::from(s) * 1_000);
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shifts_are_times_that_rise() {
        let settle = |text: &str| toml::from_str::<Text>(text).unwrap().settle();
        assert_eq!(settle(""), Ok(Settings::default()));
        let three = settle("shifts = [\"00:00\", \"08:00\", \"16:30\"]\nfleeting_s = 5").unwrap();
        assert_eq!((three.shifts.len(), three.fleeting_ms), (3, Some(5_000)));
        for bad in ["shifts = []", "shifts = [\"8 Uhr\"]", "shifts = [\"20:00\", \"08:00\"]"] {
            assert!(settle(bad).unwrap_err().starts_with("shifts: "), "{bad}");
        }
    }
}
