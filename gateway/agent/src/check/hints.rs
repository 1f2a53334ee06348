//! What a site may hold and its technician should look at once more: no faults, the site runs.
//!
//! Points of one kind are told together: a plant has hundreds of gas detectors.

use fengsui_alerting::limits::{LimitKind, LimitSet, PointLimit};
use fengsui_scan::{
    Device, Encoding, Function, LATE_S, Mapping, Problem, Raw, Rules, Site, SiteFault, Valve,
};
use fengsui_telemetry::Point;

use super::budget;

/// Tags that a hint names; how many there are it says in any case.
pub(super) const TAGS_SHOWN: usize = 5;

/// Every hint, in the order of the files.
pub(super) fn hints(site: &Site, limits: &LimitSet) -> Vec<SiteFault> {
    let mut hints = unverified(site);
    hints.extend(references(site));
    hints.extend(over_range(site, limits));
    hints.extend(out_of_reach(site, limits));
    hints.extend(late_demands(site));
    hints.extend(late_clocks(site, limits));
    hints.extend(budget::hints(site));
    hints
}

/// Outputs at an address that is read as well, in the gateway's own file.
pub(super) fn crowded(
    file: &str,
    found: Vec<(String, Problem)>,
) -> impl Iterator<Item = SiteFault> {
    found.into_iter().map(move |(outputs, problem)| {
        let (column, value) = (Some("output.host".to_owned()), Some(outputs));
        SiteFault { column, value, ..SiteFault::of_file(file, problem) }
    })
}

/// Devices whose profile holds something that nobody has checked on an instrument.
fn unverified(site: &Site) -> Vec<SiteFault> {
    let used = site.profiles.iter().flatten().filter(|used| !used.profile.verified);
    let hint = |used: &fengsui_scan::UsedProfile| {
        let model = &used.profile.model;
        let problem = Problem::Said(
            format!(
                "{model} 的型号库标为未核实（verified = false）；用于报警前请用 fengsui-gateway read 与仪表显示核对"
            ),
            format!(
                "the profile of {model} is marked unverified (verified = false); before alarms \
                 rely on it compare `fengsui-gateway read` with the instrument's display"
            ),
        );
        let (column, value) = ("device.profile".to_owned(), used.profile.name.clone());
        let (row, column, value) = (Some(used.row), Some(column), Some(value));
        SiteFault { row, column, value, ..SiteFault::of_file(&site.file, problem) }
    };
    used.map(hint).collect()
}

/// Addresses that look like the five digits of a manual, 40001 for the first holding register: all
/// of a device, or some beside others that would lie in the same table. A profile's own addresses
/// are what they are.
fn references(site: &Site) -> Vec<SiteFault> {
    let mut hints = Vec::new();
    for (device, _) in site.profiles.iter().enumerate().filter(|(_, used)| used.is_none()) {
        for (function, first) in
            [(Function::Discrete, 10_001), (Function::Input, 30_001), (Function::Holding, 40_001)]
        {
            let (last, word) = (first + 9_998, function.word());
            let of_table = |m: &&Mapping| m.device == device && m.function == function;
            let mappings: Vec<&Mapping> = site.mappings.iter().filter(of_table).collect();
            let looks = |m: &&&Mapping| (first..=last).contains(&m.address);
            let (alike, others): (Vec<&Mapping>, Vec<&Mapping>) =
                mappings.iter().partition(|m| looks(m));
            let small = |m: &&Mapping| m.address <= last - first;
            let Some(one) = alike.first().filter(|_| others.iter().all(small)) else {
                continue;
            };
            let (count, address, wire) = (alike.len(), one.address, one.address - first);
            let (all_zh, all) = match others.len() {
                0 => ("都", format!("all {count}")),
                _ => ("（其余都很小）", format!("{count} of the")),
            };
            let problem = Problem::Said(
                format!(
                    "该设备的 {count} 个 {word} 地址{all_zh}在 {first} 到 {last} 之间，像 5 位参考编号；若是，请各减 \
                     {first}（{address} 写 {wire}）"
                ),
                format!(
                    "{all} {word} addresses of this device lie in {first} to {last} and look \
                     like five-digit reference numbers; if they are, subtract {first} from each \
                     ({address} becomes {wire})"
                ),
            );
            hints.push(at_row(site, one, "address", address.to_string(), problem));
        }
    }
    hints
}

fn at_row(site: &Site, m: &Mapping, column: &str, value: String, problem: Problem) -> SiteFault {
    let (column, value) = (Some(column.to_owned()), Some(value));
    SiteFault { row: Some(m.row), column, value, ..SiteFault::of_file(&site.points_file, problem) }
}

/// Points on which nothing speaks above the range: what lies there is refused, see docs/points.md.
fn over_range(site: &Site, limits: &LimitSet) -> Vec<SiteFault> {
    let (mut gas, mut at_end) = (Vec::new(), Vec::new());
    // Points of valves are not measured; they come last.
    for (point, mapping) in site.catalogue.points.iter().zip(&site.mappings) {
        let rows: Vec<&PointLimit> = limits.of_tag(point.tag.as_str()).collect();
        let high = |row: &&&PointLimit| {
            matches!(row.kind, LimitKind::High | LimitKind::HighHigh) && row.limit.is_finite()
        };
        let Some(urgent) = rows.iter().filter(high).map(|row| row.priority.number()).min() else {
            continue;
        };
        let watched = rows.iter().any(|row| {
            matches!(row.kind, LimitKind::Range | LimitKind::BadQuality)
                && row.priority.number() <= urgent
        });
        let chosen = mapping.rules.as_ref().is_some_and(|rules| rules.margin.is_some());
        if watched || chosen {
            continue;
        }
        if rows.iter().filter(high).any(|row| row.limit >= point.high) {
            at_end.push((point, mapping));
        } else if point.signal.starts_with("gas") {
            gas.push((point, mapping));
        }
    }
    let hint =
        |found: &[(&Point, &Mapping)], zh: &str, en: &str| together(site, found, "high", (zh, en));
    let at_end = hint(
        &at_end,
        "最高限值就是量程上限，再高的读数被拒收，报警几乎不能触发；请放大量程，或加一行 RANGE 限值（优先级相同，不写延时）",
        "the highest limit is the end of the range and what lies beyond is refused, so that it can \
         hardly alarm; widen the range, or add a RANGE limit of the same priority, without delay",
    );
    let gas = hint(
        &gas,
        "气体读数超出量程即被拒收，H、HH 不会触发；请加一行 RANGE 限值（优先级相同，不写延时），或用 margin 放宽",
        "gas beyond the range is refused and raises no H or HH; add a RANGE limit of the same \
         priority, without delay, or widen margin",
    );
    at_end.into_iter().chain(gas).collect()
}

/// Points of one kind, at the row of the first.
fn together(
    site: &Site,
    found: &[(&Point, &Mapping)],
    column: &str,
    (zh, en): (&str, &str),
) -> Option<SiteFault> {
    let (_, first) = found.first()?;
    let count = found.len();
    let shown = found.iter().take(TAGS_SHOWN).map(|(point, _)| point.tag.as_str());
    let mut tags = shown.collect::<Vec<_>>().join(", ");
    if count > TAGS_SHOWN {
        tags += " …";
    }
    let problem = Problem::Said(format!("{count} 个测点：{zh}"), format!("{count} points: {en}"));
    Some(at_row(site, first, column, tags, problem))
}

/// Points with a limit that no content of their registers can reach: its alarm is dead.
fn out_of_reach(site: &Site, limits: &LimitSet) -> Option<SiteFault> {
    let dead = |(point, mapping): &(&Point, &Mapping)| {
        let Some((least, most)) = ends(mapping) else { return false };
        limits.of_tag(point.tag.as_str()).any(|row| match row.kind {
            LimitKind::High | LimitKind::HighHigh => row.limit > most,
            LimitKind::Low | LimitKind::LowLow => row.limit < least,
            LimitKind::Stale
            | LimitKind::RateUp
            | LimitKind::RateDown
            | LimitKind::Deviation
            | LimitKind::Discrete
            | LimitKind::Frozen
            | LimitKind::BadQuality
            | LimitKind::Range
            | LimitKind::Vote
            | LimitKind::TimeToLimit
            | LimitKind::Composite
            | LimitKind::Offline
            | LimitKind::Clock => false,
        })
    };
    let points = site.catalogue.points.iter().zip(&site.mappings);
    let found: Vec<(&Point, &Mapping)> = points.filter(dead).collect();
    let (least, most) = ends(found.first()?.1)?;
    let zh = format!(
        "寄存器（type、bits）按 scale、offset 换算只能得到 {least} 到 {most}（首个测点），够不到限值，报警不会触发；\
         请核对这几列和限值"
    );
    let en = format!(
        "what type and bits can hold makes {least} to {most} by scale and offset (the first point), \
         and a limit lies beyond: its alarm can never come; compare these columns with the limits"
    );
    together(site, &found, "type", (&zh, &en))
}

/// The least and the most that a register of whole numbers can say; none where more than scale and
/// offset make the value of it.
fn ends(mapping: &Mapping) -> Option<(f64, f64)> {
    let bits = mapping.rules.as_ref().and_then(|rules| rules.bits);
    let made = |rules: &Rules| {
        rules.divisor.is_some()
            || rules.counter.is_some()
            || rules.current_loop.is_some()
            || !rules.curves.is_empty()
    };
    if mapping.rules.as_ref().is_some_and(|rules| made(rules)) {
        return None;
    }
    let (least, most) = match (bits, mapping.encoding) {
        (Some(bits), _) => (0, bits.of(-1)),
        (None, Encoding::Bool) => (0, 1),
        (None, Encoding::U8High | Encoding::U8Low) => (0, 0xff),
        (None, Encoding::I8High | Encoding::I8Low) => (-0x80, 0x7f),
        (None, Encoding::U16) => (0, 0xffff),
        (None, Encoding::I16) => (-0x8000, 0x7fff),
        (None, Encoding::U32) => (0, 0xffff_ffff),
        (None, Encoding::I32) => (-0x8000_0000, 0x7fff_ffff),
        (
            None,
            Encoding::U64
            | Encoding::I64
            | Encoding::F32
            | Encoding::F64
            | Encoding::U48
            | Encoding::I48
            | Encoding::Bcd16
            | Encoding::Bcd32
            | Encoding::Bcd64,
        ) => return None,
    };
    let scaled = |whole| mapping.scaling.apply(Raw::Whole(whole));
    let (one, other) = (scaled(least), scaled(most));
    Some((one.min(other), one.max(other)))
}

/// Valves whose demand is read more rarely than their open switch: a trip waits for it.
fn late_demands(site: &Site) -> Vec<SiteFault> {
    let at = |index: u32| {
        let place = usize::try_from(index).ok()?;
        Some((site.catalogue.points.get(place)?, site.mappings.get(place)?))
    };
    let hint = |valve: &Valve| {
        let ((demand, mapping), (open, _)) = (at(valve.demand)?, at(valve.open)?);
        let (rare, often) = (demand.period_ms, open.period_ms);
        let (tag, open) = (&demand.tag, &open.tag);
        let problem = Problem::Said(
            format!(
                "{tag} 是切断阀的关阀命令，每 {rare} ms 才读一次，而 {open} 每 {often} ms 读一次；阀离开开位后，\
                 故障点在读到命令之前为坏值，误动作晚报；请写成相同周期"
            ),
            format!(
                "{tag} is the demand of a shut-off valve and is read every {rare} ms only, {open} \
                 every {often} ms; from when the valve leaves its open switch its fault is bad \
                 until the demand is read, and a spurious trip is told late; give both one period"
            ),
        );
        (rare > often).then(|| at_row(site, mapping, "period_ms", rare.to_string(), problem))
    };
    site.valves.iter().filter_map(hint).collect()
}

/// Devices that may date what was just read so long ago that an alarm of theirs comes late.
fn late_clocks(site: &Site, limits: &LimitSet) -> Vec<SiteFault> {
    let hint = |(index, device): (usize, &Device)| {
        let late_s = device.time_late_s;
        let dated = device.time_register.is_some() && late_s > LATE_S;
        let of_device = site.catalogue.points.iter().zip(&site.mappings);
        let mut tags = of_device.filter(|(_, m)| m.device == index).map(|(point, _)| &point.tag);
        let (tag, name) =
            (tags.find(|tag| limits.of_tag(tag.as_str()).next().is_some())?, &device.name);
        let problem = Problem::Said(
            format!(
                "{name} 的时间落后不超过 {late_s} 秒都可信：它的时钟拨回时，{tag} 等测点的报警可能晚到同样久，不在下面的                 最长时间之内；不是补报旧数据的记录仪，就请删去 time_late_s"
            ),
            format!(
                "{name} is believed up to {late_s} s behind: where its clock is set back, alarms of \
                 {tag} and others may come as late, which the printed worst case leaves out; delete \
                 time_late_s unless it is a logger that tells late"
            ),
        );
        let (column, value) = (Some("device.time_late_s".to_owned()), Some(late_s.to_string()));
        dated.then(|| SiteFault { column, value, ..SiteFault::of_file(&site.file, problem) })
    };
    site.devices.iter().enumerate().filter_map(hint).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SITE: &str = "[site]\nenterprise = \"示例\"\ngateway = \"GW-01\"\npoints = \"points.csv\"\nlimits = \"limits.csv\"\n\
        [[installation]]\nname = \"a\"\nkind = \"tank_farm\"\n\
        [[device]]\nname = \"plc\"\nkind = \"modbus-tcp\"\nhost = \"127.0.0.1\"\n\
        [[device]]\nname = \"gas\"\nkind = \"modbus-tcp\"\nhost = \"127.0.0.2\"\nprofile = \"waveshare_ai8\"\n";
    const HEAD: &str = "位号,,,,,,,,,,,,\ntag,name,installation,signal,unit,low,high,device,function,address,type,period_ms,rules\n";

    fn told(rows: &str, limits: &str) -> Vec<String> {
        told_of(SITE, rows, limits)
    }

    fn told_of(site: &str, rows: &str, limits: &str) -> Vec<String> {
        let sheet = format!("{HEAD}{rows}");
        let site = Site::load("site.toml", site, &mut |_| Ok(sheet.clone())).unwrap();
        let limits = format!("tag,kind,limit,priority\n{limits}");
        let limits = LimitSet::parse_for("limits.csv", &limits, &site.catalogue).unwrap();
        hints(&site, &limits).iter().map(ToString::to_string).collect()
    }

    fn check(told: &[String], wanted: &[&[&str]]) {
        assert_eq!(told.len(), wanted.len(), "{told:#?}");
        for (told, parts) in told.iter().zip(wanted) {
            assert!(parts.iter().all(|part| told.contains(part)), "{parts:?}: {told}");
        }
    }

    #[test]
    fn a_device_with_an_unverified_profile_is_named_once_and_its_line_with_it() {
        let told = told("A,n,a,level,%,0,100,plc,holding,0,u16,500,\n", "A,H,80,P2\n");
        check(
            &told,
            &[&["site.toml:13 [device.profile] \"waveshare_ai8\"", "未核实", "unverified"]],
        );
    }

    #[test]
    fn addresses_that_look_like_reference_numbers_are_told_with_the_mend() {
        let row = |tag: &str, address: u32| {
            format!("{tag},n,a,level,%,0,100,plc,holding,{address},u16,500,\n")
        };
        let told_of = |rows: &[String]| told(&rows.concat(), "");
        let wanted = [
            "points.csv:3 [address] \"40011\"",
            "2 个 holding 地址",
            "40011 写 10",
            "40011 becomes 10",
        ];
        let numbers = told_of(&[row("A", 40_011), row("B", 40_012)]);
        check(&numbers, &[&["unverified"], &wanted]);
        let among =
            ["points.csv:4 [address] \"40007\"", "1 个 holding 地址（其余都很小）", "40007 写 6"];
        check(&told_of(&[row("A", 12), row("B", 40_007)]), &[&["unverified"], &among]);
        check(&told_of(&[row("A", 40_011), row("B", 20_000)]), &[&["unverified"]]);
    }

    #[test]
    fn points_on_which_nothing_speaks_above_the_range_are_told() {
        let rows = "A,n,a,gas_toxic,ppm,0,100,plc,holding,0,u16,500,\n\
            B,n,a,gas_combustible,%,0,100,plc,holding,1,u16,500,\n\
            C,n,a,gas_toxic,ppm,0,100,plc,holding,2,u16,500,margin=100\n\
            D,n,a,level,%,0,100,plc,holding,3,u16,500,\n\
            E,n,a,level,%,0,100,plc,holding,4,u16,500,\n";
        let limits =
            "A,HH,50,P1\nA,H,25,P2\nB,H,25,P2\nB,RANGE,,P2\nC,H,25,P2\nD,H,100,P2\nE,H,90,P2\n";
        check(
            &told(rows, limits),
            &[
                &["unverified"],
                &["points.csv:6 [high] \"D\"", "量程上限", "RANGE"],
                &["points.csv:3 [high] \"A\"", "1 个测点：气体", "raises no H or HH"],
            ],
        );
        let weaker = "A,HH,50,P1\nA,RANGE,,P3\n";
        check(&told(rows, weaker), &[&["unverified"], &["[high] \"A\"", "气体"]]);
    }

    #[test]
    fn a_device_that_is_asked_too_often_is_told_with_those_at_the_same_address() {
        let row = |tag: &str, device: &str, ms: u32| {
            format!("{tag},n,a,level,%,0,100,{device},holding,0,u16,{ms},\n")
        };
        let site = |host: &str| {
            format!(
                "{SITE}[[device]]\nname = \"two\"\nkind = \"modbus-tcp\"\nunit = 2\nhost = \"{host}\"\n"
            )
        };
        // 25 questions a second each: 40 ms for an answer, or 20 where two share it.
        let rows = [row("A", "plc", 40), row("B", "two", 39)].concat();
        let wanted = [
            "site.toml [device.name] \"plc, two\"",
            "每秒被问 51 次",
            "不得超过 19.7 ms",
            "an estimate",
        ];
        check(&told_of(&site("127.0.0.1"), &rows, ""), &[&["unverified"], &wanted]);
        check(&told_of(&site("127.0.0.3"), &rows, ""), &[&["unverified"]]);
    }

    #[test]
    fn a_valve_whose_demand_is_read_more_rarely_than_its_switches_is_told() {
        let site = format!(
            "{SITE}[[shutoff]]\ntag = \"ESV\"\nname = \"阀\"\ninstallation = \"a\"\ndemand = \"C\"\n\
             open = \"O\"\nclosed = \"S\"\ntravel_s = 10\n"
        );
        let row = |tag: &str, address: u32, ms: u32| {
            format!("{tag},n,a,limit,,0,1,plc,discrete,{address},bool,{ms},\n")
        };
        let told = |ms| {
            let rows = [row("O", 0, 200), row("S", 1, 200), row("C", 2, ms)].concat();
            told_of(&site, &rows, "")
        };
        let wanted = ["points.csv:5 [period_ms] \"3000\"", "C 是切断阀", "200 ms", "told late"];
        check(&told(3_000), &[&["unverified"], &wanted]);
        check(&told(200), &[&["unverified"]]);
    }

    #[test]
    fn a_device_that_may_be_far_behind_is_told_where_an_alarm_waits_for_it() {
        let site = |late: &str| format!("{SITE}time_register = 10\n{late}");
        let row = "A,n,a,level,%,0,100,gas,input,0,u16,500,\n";
        let wanted =
            ["site.toml [device.time_late_s] \"604800\"", "A 等测点", "set back", "logger"];
        let told = |late: &str, limits: &str| told_of(&site(late), row, limits);
        check(&told("time_late_s = 604800\n", "A,H,80,P2\n"), &[&["unverified"], &wanted]);
        check(&told("time_late_s = 604800\n", ""), &[&["unverified"]]);
        check(&told("", "A,H,80,P2\n"), &[&["unverified"]]);
    }

    #[test]
    fn a_limit_that_no_register_can_reach_is_told() {
        let row = |tag: &str, kind: &str, scale: &str, rules: &str| {
            format!(
                "{tag},n,a,level,%,-1000,1000,plc,holding,{0},{kind},500,{rules},{scale}\n",
                tag.len()
            )
        };
        let told = |row: String, limits: &str| {
            let head = HEAD.replace("rules", "rules,scale").replace("位号,", "位号,,");
            let sheet = format!("{head}{row}");
            let site = Site::load("site.toml", SITE, &mut |_| Ok(sheet.clone())).unwrap();
            let limits = format!("tag,kind,limit,priority\n{limits}");
            let limits = LimitSet::parse_for("limits.csv", &limits, &site.catalogue).unwrap();
            hints(&site, &limits).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        for (kind, scale, rules, limits) in [
            ("u8l", "1", "", "A,H,256,P2\n"),
            ("u16", "1", "bits=0-3", "A,HH,16,P2\n"),
            ("u16", "0.01", "", "A,H,656,P2\n"),
            ("i16", "0.01", "", "A,L,-328,P2\n"),
            ("bool", "1", "", "A,H,2,P2\n"),
            ("u16", "-1", "", "A,H,1,P2\n"),
        ] {
            let told = told(row("A", kind, scale, rules), limits);
            let wanted =
                ["points.csv:3 [type] \"A\"", "1 个测点", "报警不会触发", "can never come"];
            check(&told, &[&["unverified"], &wanted]);
        }
        for (kind, scale, rules, limits) in [
            ("u8l", "1", "", "A,H,255,P2\n"),
            ("u16", "1", "bits=0-3", "A,HH,15,P2\n"),
            ("u16", "0.01", "", "A,H,655,P2\n"),
            ("u16", "0.001", "divisor=9", "A,H,900,P2\n"),
            ("f32", "0.001", "", "A,H,900,P2\n"),
        ] {
            let told = told(row("A", kind, scale, rules), limits);
            check(&told, &[&["unverified"]]);
        }
    }
}
