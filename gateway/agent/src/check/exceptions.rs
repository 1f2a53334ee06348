//! Points that are reported by exception: how many, and those for which the rule rests.

use fengsui_alerting::Plan;
use fengsui_scan::{Problem, Reporter, Site, SiteFault};

use super::hints::TAGS_SHOWN;
use crate::alarm::every_sample;

/// How many points have the rule, and a hint where it rests for some of them. The plan numbers
/// points as the catalogue does.
///
/// `hears`: the gateway knows of all limits by which its points are judged.
pub(super) fn of(site: &Site, plan: &Plan, hears: bool) -> (usize, Option<SiteFault>) {
    let reporter = Reporter::new(&site.mappings);
    let quiet: std::collections::BTreeMap<u32, u32> = reporter.points().collect();
    let alarms = plan.alarms.iter().map(|spec| (spec.subject, &spec.condition));
    let judged = every_sample(alarms, |point| quiet.get(&point).copied());
    let of_valves = |point: &u32| {
        site.valves.iter().any(|valve| [valve.demand, valve.open, valve.closed].contains(point))
    };
    let resting: Vec<u32> =
        quiet.keys().copied().filter(|point| judged.contains(*point) || of_valves(point)).collect();
    if !hears && !quiet.is_empty() {
        let points: Vec<u32> = quiet.keys().copied().collect();
        return (quiet.len(), hint(site, &points, &deaf()));
    }
    (quiet.len(), hint(site, &resting, &judged_here()))
}

/// Why the rule rests, in both languages.
type Why = (&'static str, &'static str);

fn deaf() -> Why {
    (
        "网关没有写 [centre] public_key，不知道中心的限值：report_within 不起作用，每个样本都上报；请填写公钥",
        "the gateway names no [centre] public_key and does not know by which limits the centre \
         judges: report_within rests, every sample is reported; write the key",
    )
}

fn judged_here() -> Why {
    (
        "有报警或属于切断阀：report_within 在此不起作用，每个样本都上报",
        "they carry an alarm or belong to a valve: report_within rests here, every sample is \
         reported",
    )
}

fn hint(site: &Site, resting: &[u32], why: &Why) -> Option<SiteFault> {
    let place = |point: &u32| usize::try_from(*point).ok();
    let first = site.mappings.get(place(resting.first()?)?)?;
    let shown = resting.iter().take(TAGS_SHOWN).filter_map(place);
    let tags = shown.filter_map(|place| Some(site.catalogue.points.get(place)?.tag.as_str()));
    let mut tags = tags.collect::<Vec<_>>().join(", ");
    if resting.len() > TAGS_SHOWN {
        tags += " …";
    }
    let count = resting.len();
    let problem =
        Problem::Said(format!("{count} 个测点：{}", why.0), format!("{count} points: {}", why.1));
    let (column, value) = (Some("rules.report_within".to_owned()), Some(tags));
    let row = Some(first.row);
    Some(SiteFault { row, column, value, ..SiteFault::of_file(&site.points_file, problem) })
}

#[cfg(test)]
mod tests {
    use fengsui_alerting::limits::LimitSet;
    use fengsui_alerting::{GatewayRef, PointRef};
    use fengsui_telemetry::Revision;

    use super::*;

    const SITE: &str = "[site]\nenterprise='示例'\ngateway='GW-01'\npoints='points.csv'\nlimits='l'\n\
        [[installation]]\nname='a'\nkind='k'\n\
        [[device]]\nname='plc'\nkind='modbus-tcp'\nhost='127.0.0.1'\n";

    fn of_limits(limits: &str, hears: bool) -> (usize, Option<String>) {
        let row = |(tag, address): (&str, u32)| {
            let rules = if tag == "D" { "" } else { "report_within=1;report_s=60" };
            format!("{tag},n,a,level,%,0,100,plc,holding,{address},u16,1000,{rules}\n")
        };
        let head = "h\ntag,name,installation,signal,unit,low,high,device,function,address,type,\
            period_ms,rules\n";
        let rows: String = [("A", 0), ("B", 1), ("C", 2), ("D", 3)].map(row).concat();
        let sheet = format!("{head}{rows}");
        let site = Site::load("site.toml", SITE, &mut |_| Ok(sheet.clone())).unwrap();
        let set = LimitSet::parse("l", &format!("h\ntag,kind,limit,detail\n{limits}")).unwrap();
        let revision = Revision(1);
        let alarms = set.plan("GW-01", GatewayRef(0), &site.catalogue, &PointRef, revision);
        let (count, hint) = of(&site, &Plan { revision, alarms }, hears);
        (count, hint.map(|hint| hint.to_string()))
    }

    #[test]
    fn nothing_rests_where_no_limit_judges_a_point_with_the_rule() {
        assert_eq!(of_limits("D,H,80,\n", true), (3, None));
    }

    #[test]
    fn points_for_which_the_rule_rests_are_told_with_their_number() {
        let (count, hint) = of_limits("B,H,80,\nD,DEVIATION,5,of=C\n", true);
        let hint = hint.unwrap();
        assert_eq!(count, 3);
        for part in ["points.csv:4 [rules.report_within] \"B, C\"", "2 个测点", "rests here"] {
            assert!(hint.contains(part), "{part}: {hint}");
        }
    }

    #[test]
    fn a_gateway_that_does_not_know_the_limits_of_the_centre_is_told() {
        let (count, hint) = of_limits("D,H,80,\n", false);
        let hint = hint.unwrap();
        assert!(
            count == 3 && hint.contains("\"A, B, C\"") && hint.contains("public_key"),
            "{hint}"
        );
    }
}
