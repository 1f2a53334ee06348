//! `[[shutoff]]`: emergency shut-off valves that are watched. Each makes three points of its own,
//! which limits can watch like any other: `ESV-101.state`, `ESV-101.travel_s`, `ESV-101.fault`.

use std::ops::Range;

use fengsui_telemetry::{Point, Tag};
use toml::de::{DeTable, DeValue};

use super::nearest::unknown_tag;
use super::section::{Section, Text};
use super::system::System;
use super::{Kind, Problem, SiteFault};
use crate::shutoff::ShutoffSettings;

/// A valve and the points that it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Valve {
    /// How it is watched.
    pub settings: ShutoffSettings,
    /// Index of the point that demands closing.
    pub demand: u32,
    /// The demand stands while that point is 0: a line that is released to close.
    pub demand_on_zero: bool,
    /// Index of the open limit switch.
    pub open: u32,
    /// Index of the closed limit switch.
    pub closed: u32,
    /// Index of its `.state`; `.travel_s` and `.fault` follow.
    pub first: u32,
}

const DAY_MS: i64 = 86_400_000;
/// Slower than this nobody calls it a shut-off.
const TRAVEL_S_MAX: i64 = 600;
/// What its own points are called, their units, and the ends of their ranges where these are fixed.
const OWN: [(&str, &str, &str, Option<f64>); 3] = [
    ("state", "状态", "", Some(3.0)),
    ("travel_s", "行程时间", "s", None),
    ("fault", "故障", "", Some(5.0)),
];
/// Its points are as often said as its signals are read, and a second is often enough.
const PERIOD_MS_MIN: u32 = 1_000;

pub(super) fn parse(
    file: &str,
    text: &str,
    system: &System,
    points: &mut Vec<Point>,
    faults: &mut Vec<SiteFault>,
) -> Vec<Valve> {
    let mut at = Text::new(file, text, faults);
    // What is not well formed has been said already.
    let (document, _) = DeTable::parse_recoverable(at.text);
    let tables = at.tables(document.get_ref(), "shutoff");
    let tag = |table: &DeTable<'_>| Some(table.get("tag")?.get_ref().as_str()?.to_owned());
    let known = Known {
        sheet: points.len(),
        valves: tables.iter().filter_map(|(_, table)| tag(table)).collect(),
    };
    tables
        .into_iter()
        .filter_map(|(span, table)| valve(&mut at, &span, table, (system, &known), points))
        .collect()
}

/// What a valve may name, and what it may not.
struct Known {
    /// Points of the sheet; behind them stand those of valves.
    sheet: usize,
    /// The valves of the file.
    valves: Vec<String>,
}

impl Known {
    /// A point that a valve makes: another valve would never see it.
    fn is_of_valve(&self, tag: &str) -> bool {
        let own = |(valve, end): (&str, &str)| {
            OWN.iter().any(|(known, ..)| *known == end) && self.valves.iter().any(|v| v == valve)
        };
        tag.rsplit_once('.').is_some_and(own)
    }
}

fn valve(
    at: &mut Text<'_>,
    span: &Range<usize>,
    table: &DeTable<'_>,
    (system, known): (&System, &Known),
    points: &mut Vec<Point>,
) -> Option<Valve> {
    let row = at.row(span);
    let mut section = Section::new("shutoff", row, table);
    let tag = section.text(at, "tag");
    let tag_row = section.value_row;
    let name = section.text(at, "name");
    let place = section.text(at, "installation");
    let place_row = section.value_row;
    let demand = input(at, &mut section, "demand", known, points);
    let open = input(at, &mut section, "open", known, points);
    let closed = input(at, &mut section, "closed", known, points);
    let active = section.whole(at, "demand_active", (0, 1), Some(1));
    let travel_s = section.whole(at, "travel_s", (1, TRAVEL_S_MAX), None);
    let settle_s = section.whole(at, "settle_s", (0, TRAVEL_S_MAX), Some(2));
    let proof_days = section.whole(at, "proof_days", (0, 36_500), Some(0));
    let proved_at = date(at, &mut section);
    section.finish(at);
    let installation = place.and_then(|place| {
        let found = system.installations.iter().position(|one| one.name == place);
        if found.is_none() {
            let known: Vec<&str> = system.installations.iter().map(|i| i.name.as_str()).collect();
            let problem = Problem::Undefined(known.join(", "));
            at.fault(place_row, "shutoff.installation", Some(place), problem);
        }
        u32::try_from(found?).ok()
    });
    let settings = ShutoffSettings {
        travel_ms: travel_s? * 1_000,
        settle_ms: settle_s? * 1_000,
        proof_ms: Some(proof_days? * DAY_MS).filter(|ms| *ms > 0),
        proved_at,
    };
    let (demand, open, closed) = (demand?, open?, closed?);
    let roles = [("demand", demand), ("open", open), ("closed", closed)];
    for (place, (role, point)) in roles.iter().enumerate() {
        if let Some((first, _)) = roles.iter().take(place).find(|(_, early)| early == point) {
            let problem = Problem::Said(
                format!("与 {first} 是同一个测点；命令、开到位、关到位各须一个测点"),
                format!(
                    "is the point of {first} as well; each of the three needs a point of its own"
                ),
            );
            at.fault(row, &format!("shutoff.{role}"), None, problem);
            return None;
        }
    }
    let period_ms = period(points, [demand, open, closed]);
    let own = Own { tag: tag?, name: name?, installation: installation?, row: tag_row, period_ms };
    let first = own.points(at, &settings, points)?;
    let demand_on_zero = active? == 0;
    Some(Valve { settings, demand, demand_on_zero, open, closed, first })
}

/// A point of the sheet, by its tag.
fn input(
    at: &mut Text<'_>,
    section: &mut Section<'_, '_>,
    key: &'static str,
    known: &Known,
    points: &[Point],
) -> Option<u32> {
    let tag = section.text(at, key)?;
    let sheet = || points.iter().take(known.sheet).map(|point| point.tag.as_str());
    let found = sheet().position(|point| point == tag);
    if found.is_none() {
        let problem = match known.is_of_valve(&tag) {
            true => Problem::Said(
                "是切断阀自己的点，由网关算出，不从仪表读取；请填写点表中的位号".to_owned(),
                "is a point that a valve makes, and nothing that is read; write a tag of the point \
                 sheet"
                    .to_owned(),
            ),
            false => unknown_tag(&tag, sheet()),
        };
        at.fault(section.value_row, &format!("shutoff.{key}"), Some(tag), problem);
    }
    u32::try_from(found?).ok()
}

/// How often its points say something: as often as the signal that is read most rarely, for which
/// they may have to wait. Their STALE follows from it.
fn period(points: &[Point], signals: [u32; 3]) -> u32 {
    let of = |index: u32| Some(points.get(usize::try_from(index).ok()?)?.period_ms);
    signals.into_iter().filter_map(of).fold(PERIOD_MS_MIN, u32::max)
}

/// The last proof test: a TOML date, `proved = 2026-03-01`. Midnight UTC: a day is exact enough.
fn date(at: &mut Text<'_>, section: &mut Section<'_, '_>) -> Option<i64> {
    let value = section.get("proved")?;
    let row = at.row(&value.span());
    let found = match value.get_ref() {
        DeValue::Datetime(time) => time.date,
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Array(_)
        | DeValue::Table(_) => None,
    };
    let Some(found) = found else {
        let shown = at.text.get(value.span()).map(str::to_owned);
        at.fault(row, "shutoff.proved", shown, Problem::NotA(Kind::Date));
        return None;
    };
    Some(days(found.year.into(), found.month.into(), found.day.into()) * DAY_MS)
}

/// Days from 1970-01-01 to a day of the Gregorian calendar (Hinnant, "chrono-Compatible Low-Level
/// Date Algorithms", days_from_civil).
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

struct Own {
    tag: String,
    name: String,
    installation: u32,
    row: usize,
    period_ms: u32,
}

impl Own {
    /// Adds the three points; the index of the first.
    fn points(
        &self,
        at: &mut Text<'_>,
        settings: &ShutoffSettings,
        points: &mut Vec<Point>,
    ) -> Option<u32> {
        let first = u32::try_from(points.len()).ok()?;
        #[expect(clippy::cast_precision_loss, reason = "minutes at most")]
        let travel = settings.travel_ms as f64 / 100.0;
        for (end, name, unit, high) in OWN {
            let high = high.unwrap_or(travel);
            let text = format!("{}.{end}", self.tag);
            let tag = match Tag::parse(&text) {
                Ok(tag) => tag,
                Err(fault) => {
                    let problem = Problem::BadName(fault.to_string());
                    at.fault(self.row, "shutoff.tag", Some(text), problem);
                    return None;
                }
            };
            if points.iter().any(|point| point.tag == tag) {
                let problem = Problem::Said(
                    "该位号已有；请改其中一个".to_owned(),
                    "is the tag of another point; rename one of them".to_owned(),
                );
                at.fault(self.row, "shutoff.tag", Some(text), problem);
                return None;
            }
            points.push(Point {
                tag,
                name: format!("{}{name}", self.name),
                unit: unit.to_owned(),
                low: 0.0,
                high,
                installation: self.installation,
                equipment: self.tag.clone(),
                period_ms: self.period_ms,
                silence_ms: 0,
                signal: format!("shutoff_{end}"),
            });
        }
        Some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Site;
    use super::*;

    const POINTS: &str = "位号\ntag,name,installation,signal,unit,low,high,device,function,address,type,period_ms\n\
        ESV-101.CMD,命令,a,demand,,0,1,plc,discrete,0,bool,200\n\
        ESV-101.ZSO,开到位,a,limit,,0,1,plc,discrete,1,bool,200\n\
        ESV-101.ZSC,关到位,a,limit,,0,1,plc,discrete,2,bool,200\n";
    const HEAD: &str = "[site]\nenterprise = \"示例\"\ngateway = \"GW-01\"\npoints = \"p\"\nlimits = \"l\"\n\
        [[installation]]\nname = \"a\"\nkind = \"tank_farm\"\n\
        [[device]]\nname = \"plc\"\nkind = \"modbus-tcp\"\nhost = \"127.0.0.1\"\n";

    fn load(valve: &str) -> Result<Site, Vec<SiteFault>> {
        let heading = POINTS.replacen("位号\n", "位号,,,,,,,,,,,\n", 1);
        Site::load("site.toml", &format!("{HEAD}{valve}"), &mut |_| Ok(heading.clone()))
    }

    #[test]
    fn a_valve_makes_three_points_behind_those_of_the_sheet() {
        let site = load(
            "[[shutoff]]\ntag = \"ESV-101\"\nname = \"切断阀\"\ninstallation = \"a\"\n\
             demand = \"ESV-101.CMD\"\ndemand_active = 0\nopen = \"ESV-101.ZSO\"\n\
             closed = \"ESV-101.ZSC\"\ntravel_s = 10\nproof_days = 365\nproved = 2026-03-01\n",
        )
        .unwrap();
        let tags: Vec<&str> = site.catalogue.points.iter().map(|p| p.tag.as_str()).collect();
        assert_eq!(tags[3..], ["ESV-101.state", "ESV-101.travel_s", "ESV-101.fault"]);
        let valve = &site.valves[0];
        assert_eq!((valve.demand, valve.open, valve.closed, valve.first), (0, 1, 2, 3));
        assert!(valve.demand_on_zero);
        assert_eq!(valve.settings.proved_at, Some(1_772_323_200_000));
        assert_eq!(site.mappings.len(), 3, "nothing is read for them");
        assert!(site.catalogue.points[3..].iter().all(|point| point.period_ms == 1_000));
    }

    #[test]
    fn every_fault_of_a_valve_names_its_key() {
        let faults = load(
            "[[shutoff]]\ntag = \"ESV 101\"\nname = \"x\"\ninstallation = \"b\"\ndemand = \"no\"\n\
             open = \"ESV-101.ZSO\"\nclosed = 3\ntravel_s = 0\nproved = \"soon\"\nextra = 1\n",
        )
        .unwrap_err();
        let columns: Vec<&str> =
            faults.iter().filter_map(|fault| fault.column.as_deref()).collect();
        for key in ["installation", "demand", "closed", "travel_s", "proved", "extra"] {
            let column = format!("shutoff.{key}");
            assert!(columns.contains(&column.as_str()), "{key}: {columns:?}");
        }
    }

    #[test]
    fn a_tag_that_no_sheet_has_is_told_with_the_sheet_and_what_may_be_meant() {
        let valve = |tag: &str, open: &str| {
            format!(
                "[[shutoff]]\ntag = \"{tag}\"\nname = \"x\"\ninstallation = \"a\"\n\
                 demand = \"ESV-101.CMD\"\nopen = \"{open}\"\nclosed = \"ESV-101.ZSC\"\n\
                 travel_s = 10\n"
            )
        };
        let faults = load(&valve("ESV-101", "ESV-101.ZS0")).unwrap_err();
        let [fault] = &faults[..] else { panic!("{faults:?}") };
        let told = fault.to_string();
        let wanted = "[shutoff.open] \"ESV-101.ZS0\"：点表中没有该位号；请改正，或在点表中添加；\
            相近的位号：ESV-101.ZSO, ESV-101.ZSC, ESV-101.CMD  |  is not in the point sheet; mend \
            the tag or add the point; nearest: ESV-101.ZSO, ESV-101.ZSC, ESV-101.CMD";
        assert!(told.contains(wanted), "{told}");
        let two = valve("ESV-101", "ESV-101.ZSO").repeat(2);
        let told: Vec<String> = load(&two).unwrap_err().iter().map(ToString::to_string).collect();
        assert!(told.iter().any(|one| one.contains("is the tag of another point")), "{told:?}");
    }

    #[test]
    fn one_point_is_not_two_signals_of_a_valve() {
        let valve = |demand: &str, open: &str| {
            let head = "[[shutoff]]\ntag = \"ESV-101\"\nname = \"x\"\ninstallation = \"a\"\n";
            format!(
                "{head}demand = \"{demand}\"\nopen = \"{open}\"\nclosed = \"ESV-101.ZSC\"\ntravel_s = 10\n"
            )
        };
        for (demand, open, told) in [
            ("ESV-101.ZSO", "ESV-101.ZSO", "[shutoff.open]：与 demand 是同一个测点"),
            ("ESV-101.CMD", "ESV-101.ZSC", "[shutoff.closed]：与 open 是同一个测点"),
        ] {
            let faults = load(&valve(demand, open)).unwrap_err();
            let [fault] = &faults[..] else { panic!("{faults:?}") };
            assert!(fault.to_string().contains(told), "{fault}");
        }
    }

    #[test]
    fn a_valve_that_watches_the_points_of_a_valve_is_refused_in_any_order() {
        let valve = |tag: &str, demand: &str| {
            format!(
                "[[shutoff]]\ntag = \"{tag}\"\nname = \"x\"\ninstallation = \"a\"\n\
                 demand = \"{demand}\"\nopen = \"ESV-101.ZSO\"\nclosed = \"ESV-101.ZSC\"\n\
                 travel_s = 10\n"
            )
        };
        let (own, other) = (valve("ESV-1", "ESV-101.CMD"), valve("ESV-2", "ESV-1.fault"));
        for both in [format!("{own}{other}"), format!("{other}{own}")] {
            let faults = load(&both).unwrap_err();
            let [fault] = &faults[..] else { panic!("{faults:?}") };
            let told = fault.to_string();
            let wanted = "[shutoff.demand] \"ESV-1.fault\"：是切断阀自己的点";
            assert!(told.contains(wanted) && told.contains("a point that a valve makes"), "{told}");
        }
    }

    #[test]
    fn its_points_are_not_awaited_before_the_slowest_signal_can_be_read() {
        let rare = POINTS.replacen("0,bool,200", "0,bool,10000", 1);
        let heading = rare.replacen("位号\n", "位号,,,,,,,,,,,\n", 1);
        let valve = "[[shutoff]]\ntag = \"ESV-101\"\nname = \"x\"\ninstallation = \"a\"\n\
            demand = \"ESV-101.CMD\"\nopen = \"ESV-101.ZSO\"\nclosed = \"ESV-101.ZSC\"\n\
            travel_s = 10\n";
        let site =
            Site::load("s", &format!("{HEAD}{valve}"), &mut |_| Ok(heading.clone())).unwrap();
        let periods: Vec<u32> = site.catalogue.points.iter().map(|p| p.period_ms).collect();
        assert_eq!(periods, [10_000, 200, 200, 10_000, 10_000, 10_000]);
    }
}
