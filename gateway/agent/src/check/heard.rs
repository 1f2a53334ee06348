//! Which outputs call somebody for an alarm: a bound on the time of an alarm that no horn follows
//! promises nothing to whoever stands beside the tank.

use std::collections::BTreeMap;

use fengsui_alerting::{AlarmSpec, Plan, Priority};
use fengsui_scan::{Problem, SiteFault};

use super::hints::TAGS_SHOWN;
use crate::outputs::config::{Output, OutputPlan, Wiring};
use crate::reach::Reach;

/// Outputs that follow this alarm, without simulated ones: nobody hears those.
fn by(outputs: &OutputPlan, key: &str, priority: Priority) -> Vec<String> {
    let is_real = |output: &&Output| match output.wiring {
        Wiring::Gpio { .. }
        | Wiring::Rpi { .. }
        | Wiring::Coil { .. }
        | Wiring::LineCoil { .. } => true,
        Wiring::Sim => false,
    };
    let follow = outputs.outputs.iter().filter(is_real);
    let follow = follow.filter(|output| output.follows.calls_for(key, priority.number()));
    follow.map(|output| output.name.clone()).collect()
}

/// Says of each alarm who calls for attention to it.
pub(super) fn mark(reaches: &mut [Reach], plan: &Plan, outputs: &OutputPlan) {
    let priorities: BTreeMap<&str, Priority> =
        plan.alarms.iter().map(|spec| (spec.key.as_str(), spec.priority)).collect();
    for reach in reaches {
        let priority = priorities.get(reach.alarm.as_str());
        reach.heard_by = priority.map(|priority| by(outputs, &reach.alarm, *priority));
    }
}

/// Urgent alarms that no output follows. That P3 and P4 only wait on a desk is usual.
pub(super) fn hint(file: &str, plan: &Plan, outputs: &OutputPlan) -> Option<SiteFault> {
    let urgent = |priority| match priority {
        Priority::P1 | Priority::P2 => true,
        Priority::P3 | Priority::P4 => false,
    };
    let unheard = |spec: &&AlarmSpec| {
        urgent(spec.priority) && by(outputs, &spec.key, spec.priority).is_empty()
    };
    let unheard: Vec<&str> =
        plan.alarms.iter().filter(unheard).map(|spec| spec.key.as_str()).collect();
    if unheard.is_empty() {
        return None;
    }
    let count = unheard.len();
    let mut shown = unheard.iter().take(TAGS_SHOWN).copied().collect::<Vec<_>>().join(", ");
    if count > TAGS_SHOWN {
        shown += " …";
    }
    let problem = Problem::Said(
        format!(
            "{count} 个 P1、P2 报警没有声光输出跟随（sim 不算），没有网络时现场无人听见；请加 [[output]]，或放宽它的 priorities、tags"
        ),
        format!(
            "{count} alarms of P1 and P2 are followed by no output (sim does not count): without a \
             network nobody on site hears them; add an [[output]], or widen its priorities or tags"
        ),
    );
    let (column, value) = (Some("output".to_owned()), Some(shown));
    Some(SiteFault { column, value, ..SiteFault::of_file(file, problem) })
}

#[cfg(test)]
mod tests {
    use super::super::{Report, check};

    /// A copy of the demo with these outputs.
    fn checked(outputs: &str) -> Report {
        let folder = tempfile::tempdir().unwrap();
        let demo = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/demo");
        for name in ["gateway.toml", "site.toml", "points.csv", "limits.csv"] {
            std::fs::copy(demo.join(name), folder.path().join(name)).unwrap();
        }
        let file = folder.path().join("gateway.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, format!("{text}\n{outputs}")).unwrap();
        let report = check(&file);
        assert_eq!(report.faults.len(), 0, "{}", report.faults_text());
        report
    }

    fn heard_by(report: &Report, alarm: &str) -> Vec<String> {
        let reach = report.reaches.iter().find(|reach| reach.alarm.ends_with(alarm)).unwrap();
        reach.heard_by.clone().unwrap()
    }

    fn output(name: &str, wiring: &str, follows: &str) -> String {
        format!("[[output]]\nname = \"{name}\"\n{wiring}\n{follows}\n")
    }

    #[test]
    fn alarms_that_no_real_output_follows_are_named_once_with_how_many() {
        let coil = "kind = \"coil\"\nhost = \"127.0.0.1\"\nunit = 1\ncoil = 0";
        for outputs in [String::new(), output("horn", "kind = \"sim\"", "follows = \"siren\"")] {
            let report = checked(&outputs);
            let hints = report.hints_text();
            assert!(hints.contains("没有声光输出跟随") && hints.contains(" …"), "{hints}");
            assert!(heard_by(&report, "TK-101.LT/H").is_empty());
        }
        let all = checked(&output("horn", coil, "follows = \"siren\""));
        assert!(!all.hints_text().contains("跟随"), "{}", all.hints_text());
        assert_eq!(heard_by(&all, "TK-101.LT/H"), ["horn"]);
        let one = checked(&output("lamp", coil, "follows = \"relay\"\ntags = [\"TK-101.LT\"]"));
        assert_eq!(heard_by(&one, "TK-101.LT/H"), ["lamp"]);
        let hints = one.hints_text();
        assert!(hints.contains("followed by no output") && !hints.contains("TK-101.LT/H\""));
    }

    #[test]
    fn outputs_at_an_address_that_is_read_as_well_are_named() {
        let coil = "kind = \"coil\"\nhost = \"127.0.0.1\"\nport = 1502\nunit = 1\ncoil = 0";
        let report = checked(&output("horn", coil, "follows = \"siren\""));
        let hints = report.hints_text();
        assert!(hints.contains("[output.host] \"horn\"") && hints.contains("plc-tank"), "{hints}");
    }

    /// What the gateway drives is not said in the site's file.
    #[test]
    fn a_site_alone_promises_nothing_of_outputs() {
        let demo = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/demo");
        let report = check(&demo.join("site.toml"));
        assert!(report.reaches.iter().all(|reach| reach.heard_by.is_none()));
        assert!(!report.hints_text().contains("跟随"));
    }
}
