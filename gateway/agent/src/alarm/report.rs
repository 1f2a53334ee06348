//! Which readings go into the spool: those of points that are reported by exception are thinned.
//!
//! - The engine, the valves and what is shown live get every reading; only the record has fewer.
//! - Whatever an alarm or a valve looks at is in no way thinned, so the centre judges what is
//!   judged here. Other limits change that at once.

use std::collections::BTreeMap;

use fengsui_alerting::{Condition, Subject};
use fengsui_scan::{PointSet, Reporter};
use fengsui_telemetry::{Reading, TimeMs};
use tracing::warn;

use super::AlarmLoop;
use crate::config::Config;

/// The points of which every sample must be kept for alarms: each that one judges or looks at.
/// Silence alone may be judged by thinned samples where it is given longer than they are apart at
/// most: `quiet_ms` of a point says how long that is, and nothing of one without the rule.
pub(crate) fn every_sample<'a>(
    alarms: impl Iterator<Item = (Subject, &'a Condition)>,
    quiet_ms: impl Fn(u32) -> Option<u32>,
) -> PointSet {
    let mut points = PointSet::default();
    for (subject, condition) in alarms {
        let Subject::Point(own) = subject else { continue };
        match condition {
            Condition::Stale { after_ms } => {
                let is_patient = |quiet: u32| *after_ms >= i64::from(quiet);
                if !quiet_ms(own.0).is_none_or(is_patient) {
                    points.insert(own.0);
                }
            }
            Condition::Derived(derived) => {
                points.insert(own.0);
                points.extend(derived.points(own).iter().map(|point| point.0));
            }
            Condition::High { .. }
            | Condition::Low { .. }
            | Condition::GatewayOffline { .. }
            | Condition::Clock { .. }
            | Condition::Unset
            | Condition::Unjudged => points.insert(own.0),
        }
    }
    points
}

/// Which samples are kept by this configuration. A centre whose limits this gateway does not take
/// may judge any point, and must see every sample.
pub(crate) fn reporter_of(config: &Config) -> Reporter {
    let reporter = Reporter::new(&config.site.mappings);
    if hears_of_limits(config) {
        return reporter;
    }
    if reporter.points().next().is_some() {
        warn!(
            "no [centre] public_key is configured: report_within rests, every sample is reported"
        );
    }
    Reporter::default()
}

/// True where nobody judges by limits of which this gateway does not know.
pub(crate) fn hears_of_limits(config: &Config) -> bool {
    config.uplink.is_none() || config.centre_key.is_some()
}

impl AlarmLoop {
    /// Keeps the readings that this one keeps.
    pub(crate) fn reporting(mut self, reporter: Reporter) -> Self {
        self.reporter = reporter;
        self.rest_anew();
        self
    }

    /// By the limits in force now.
    pub(super) fn rest_anew(&mut self) {
        let numbers = &self.numbers;
        let number = |index: u32| numbers.get(usize::try_from(index).ok()?).copied();
        let quiet: BTreeMap<u32, u32> = self
            .reporter
            .points()
            .filter_map(|(index, quiet_ms)| Some((number(index)?, quiet_ms)))
            .collect();
        if quiet.is_empty() {
            return;
        }
        let alarms = self.engine.specs().map(|spec| (spec.subject, spec.condition));
        let judged = every_sample(alarms, |number| quiet.get(&number).copied());
        let valves = self.valves.looked_at();
        self.reporter.rest(|index| {
            valves.contains(index) || number(index).is_none_or(|number| judged.contains(number))
        });
    }

    /// What of these readings is kept.
    pub(super) fn reported(
        &mut self,
        te: TimeMs,
        mut readings: Vec<(u32, Reading)>,
    ) -> Vec<(u32, Reading)> {
        readings.retain(|(point, reading)| self.reporter.keeps(*point, te, *reading));
        readings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_centre_whose_limits_are_not_taken_sees_every_sample() {
        let folder = tempfile::tempdir().unwrap();
        let demo = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/demo");
        for name in ["site.toml", "limits.csv"] {
            std::fs::copy(demo.join(name), folder.path().join(name)).unwrap();
        }
        let sheet = std::fs::read_to_string(demo.join("points.csv")).unwrap();
        let rule = "report_within=0.1;report_s=300";
        let with_rule = |(line, row): (usize, &str)| match line {
            0 => format!("{row},规则\n"),
            1 => format!("{row},rules\n"),
            _ => format!("{row},{rule}\n"),
        };
        let sheet: String = sheet.lines().enumerate().map(with_rule).collect();
        std::fs::write(folder.path().join("points.csv"), sheet).unwrap();
        let path = folder.path().join("gateway.toml");
        let own = "site = \"site.toml\"\ndata = \"data\"\n";
        let uplink = "[uplink]\nhost = \"127.0.0.1\"\nport = 1883\n";
        let key = format!("[centre]\npublic_key = \"{}\"\n", "0".repeat(64));
        for (more, thins) in
            [(String::new(), true), (uplink.into(), false), (uplink.to_owned() + &key, true)]
        {
            std::fs::write(&path, format!("{own}{more}")).unwrap();
            let config = Config::load(&path).unwrap_or_else(|faults| panic!("{faults:?}"));
            assert_eq!(reporter_of(&config).points().next().is_some(), thins, "{more}");
        }
    }
}
