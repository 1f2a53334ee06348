//! What a point's `report_within` and `report_s` need of its range and its period.

use fengsui_telemetry::Point;

use super::{Form, Mapping, Problem, Valve};
use crate::condition::Rules;

/// What does not fit: key, value and mend. A profile knows neither range nor period, so this is
/// found for each row.
pub(super) fn faults(
    rules: Option<&Rules>,
    (span, period_ms): (f64, u32),
) -> Vec<(&'static str, String, Problem)> {
    let Some(report) = rules.and_then(|rules| rules.report) else { return Vec::new() };
    let mut found = Vec::new();
    if report.within >= span {
        let problem = Problem::Said(
            format!("须小于量程跨度 {span}，否则任何变化都不上报"),
            format!("must be less than the span of {span}, or no change is ever reported"),
        );
        found.push(("rules.report_within", report.within.to_string(), problem));
    }
    if report.silence_ms <= period_ms {
        let period_s = f64::from(period_ms) / 1_000.0;
        let problem = Problem::Said(
            format!("须大于采集周期 {period_s} s；请加长，或删去 report_within 和 report_s"),
            format!(
                "must be longer than the period of {period_s} s; lengthen it, or remove \
                 report_within and report_s"
            ),
        );
        let value = f64::from(report.silence_ms) / 1_000.0;
        found.push(("rules.report_s", value.to_string(), problem));
    }
    found
}

/// The longest silence of a point, for the catalogue: 0 where every sample is reported.
pub(super) fn silence_ms(mapping: &Mapping) -> u32 {
    let report = mapping.rules.as_ref().and_then(|rules| rules.report);
    report.map_or(0, |report| report.silence_ms)
}

/// Every sample of a valve's signals is reported, so nobody waits longer for one.
pub(super) fn never_of_valves(valves: &[Valve], points: &mut [Point]) {
    for index in valves.iter().flat_map(|valve| [valve.demand, valve.open, valve.closed]) {
        let place = usize::try_from(index).unwrap_or(usize::MAX);
        if let Some(point) = points.get_mut(place) {
            point.silence_ms = 0;
        }
    }
}

/// True for a form that rows may share: nothing but how it is reported is to be compared, and a
/// gateway may report each of 30,000 points so.
pub(super) fn shareable(form: &Form) -> bool {
    form.rules.as_ref().is_none_or(|rules| rules.only_report())
}

#[cfg(test)]
mod tests {
    use crate::{Report, Site};

    const SITE: &str = "[site]\nenterprise='示例'\ngateway='GW-01'\npoints='p'\nlimits='l'\n\
        [[installation]]\nname='a'\nkind='k'\n\
        [[device]]\nname='plc'\nkind='modbus-tcp'\nhost='127.0.0.1'\n";
    const HEAD: &str = "h\ntag,name,installation,signal,unit,low,high,device,function,address,\
        type,period_ms,rules\n";

    fn load(site: &str, rules: &[&str]) -> Result<Site, Vec<String>> {
        let row = |(i, rules): (usize, &&str)| {
            format!("P{i},n,a,level,%,20,70,plc,holding,{i},u16,1000,{rules}\n")
        };
        let rows: String = rules.iter().enumerate().map(row).collect();
        let sheet = format!("{HEAD}{rows}");
        Site::load("s", site, &mut |_| Ok(sheet.clone()))
            .map_err(|faults| faults.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn the_rule_reaches_mapping_and_catalogue() {
        let site = load(SITE, &["report_within=0.5;report_s=300", "", "frozen_s=60"]).unwrap();
        let report = |place: usize| site.mappings[place].rules.as_ref().and_then(|r| r.report);
        assert_eq!(report(0), Some(Report { within: 0.5, silence_ms: 300_000 }));
        assert_eq!((report(1), report(2)), (None, None));
        let silence: Vec<u32> = site.catalogue.points.iter().map(|p| p.silence_ms).collect();
        assert_eq!(silence, [300_000, 0, 0]);
    }

    #[test]
    fn every_wrong_value_is_told_with_its_mend() {
        for (rules, wanted) in [
            ("report_within=1", ["[rules.report_within]", "report_s", "needs report_s beside it"]),
            ("report_s=60", ["[rules.report_s]", "report_within", "needs report_within beside it"]),
            ("report_within=-1;report_s=60", ["[rules.report_within] \"-1\"", "超出", "0 to"]),
            ("report_within=x;report_s=60", ["[rules.report_within] \"x\"", "数", "number"]),
            ("report_within=50;report_s=60", ["[rules.report_within] \"50\"", "跨度 50", "span"]),
            ("report_within=1;report_s=1", ["[rules.report_s] \"1\"", "采集周期 1 s", "period"]),
            ("report_within=1;report_s=3601", ["[rules.report_s] \"3601\"", "超出", "3600"]),
            (
                "report_within=1;report_s=60;report_s=90",
                ["[rules.report_s] \"90\"", "两次", "twice"],
            ),
        ] {
            let told = load(SITE, &[rules]).unwrap_err();
            assert!(wanted.iter().all(|part| told[0].contains(part)), "{rules}: {told:?}");
        }
        assert!(load(SITE, &["report_within=0;report_s=3600"]).is_ok());
    }

    #[test]
    fn rows_that_are_only_reported_alike_share_their_form() {
        let same = "report_within=0.5;report_s=300";
        let site = load(SITE, &[same, same, "report_within=0.5;report_s=301"]).unwrap();
        let form = |place: usize| &site.mappings[place].form;
        assert!(std::sync::Arc::ptr_eq(form(0), form(1)));
        assert_eq!(form(2).rules.as_ref().unwrap().report.unwrap().silence_ms, 301_000);
    }

    #[test]
    fn nobody_waits_longer_for_the_signals_of_a_valve() {
        let site = format!(
            "{SITE}[[shutoff]]\ntag='E'\nname='切断阀'\ninstallation='a'\ndemand='P0'\nopen='P1'\n\
             closed='P2'\ntravel_s=10\n"
        );
        let site = load(&site, &["report_within=0.5;report_s=300"; 4]).unwrap();
        let silence: Vec<u32> = site.catalogue.points.iter().map(|p| p.silence_ms).collect();
        assert_eq!(silence[..4], [0, 0, 0, 300_000]);
    }
}
