//! Site files and point sheets with every fault that a hand can make.

use super::*;

mod large;

const SITE: &str = r#"
[site]
enterprise = "示例石化有限公司"
gateway = "GW-01"
points = "points.csv"
limits = "limits.csv"
[[installation]]
name = "罐区"
kind = "tank_farm"
hazard_class = 3
[[device]]
name = "plc"
kind = "modbus-tcp"
host = "127.0.0.1"
port = 1502
"#;

const HEAD: &str = "\u{feff}位号,名称,装置,设备,信号,单位,下限,上限,设备,功能,地址,类型,字序,系数,偏移,周期,无效值\n\
tag,name,installation,equipment,signal,unit,low,high,device,function,address,type,order,scale,offset,period_ms,sentinels\n";

const GOOD: &str = "TK-101.LT,液位,罐区,TK-101,level,%,0,100,plc,holding,0,f32,ABCD,1,0,500,";

fn load(site: &str, rows: &[&str]) -> Result<Site, Vec<String>> {
    let sheet = format!("{HEAD}{}\n", rows.join("\n"));
    Site::load("site.toml", site, &mut |name| match name {
        "points.csv" => Ok(sheet.clone()),
        other => Err(format!("no file {other}")),
    })
    .map_err(|faults| faults.iter().map(ToString::to_string).collect())
}

/// Each wanted text must stand in exactly one of the faults, and no fault may be left over.
fn check(site: &str, rows: &[&str], wanted: &[&[&str]]) {
    let faults = load(site, rows).expect_err("should be refused");
    assert_eq!(faults.len(), wanted.len(), "{faults:#?}");
    for parts in wanted {
        let hits = faults.iter().filter(|f| parts.iter().all(|part| f.contains(part))).count();
        assert_eq!(hits, 1, "{parts:?} in {faults:#?}");
    }
}

#[test]
fn a_good_site_loads_whole() {
    let rows = [
        GOOD,
        "TK-101.TT,温度,罐区,TK-101,temperature,℃,-50,150,plc,holding,2,i16,,0.1,,1000,32767;-32768",
        "XV-1.ZSO,阀位,罐区,XV-1,valve,,0,1,plc,discrete,7,bool,,,,1000,",
    ];
    let mut site = load(SITE, &rows).unwrap();
    assert_eq!(site.gateway.as_str(), "GW-01");
    assert_eq!(site.catalogue.points.len(), 3);
    assert_eq!(*site.mappings[1].sentinels, [Raw::Whole(32_767), Raw::Whole(-32_768)]);
    assert_eq!(site.mappings[2].point, 2);
    assert_eq!(site.limits_file, "limits.csv");
    assert!(site.set_endpoint("plc", "127.0.0.1", 9));
    assert!(!site.set_endpoint("other", "127.0.0.1", 9));
    assert_eq!(site.devices[0].link, Link::ModbusTcp { host: "127.0.0.1".into(), port: 9 });
}

/// Two stray quotes in the same column look like one cell of a row with the right number of cells.
#[test]
fn a_quote_that_swallows_rows_is_named_and_loses_no_point_silently() {
    let row = |tag: &str, name: &str, address: u32| {
        GOOD.replace("TK-101.LT", tag)
            .replace("液位", name)
            .replace("g,0,f32", &format!("g,{address},f32"))
    };
    let (a, b, c) = (row("A", "\"液位", 0), row("B", "液位", 4), row("C", "\"液位", 8));
    check(SITE, &[&a, &b, &c], &[&["points.csv", "3", "吞掉了后面 2 行"]]);
    check(SITE, &[&a, &row("C", "\"液位", 8)], &[&["吞掉了后面 1 行"]]);
    // A name in two lines is a name.
    assert!(load(SITE, &[&row("A", "\"液位\n（雷达）\"", 0), &b]).is_ok());
}

#[test]
fn every_fault_of_a_sheet_is_named_with_its_row_and_column() {
    check(
        SITE,
        &[
            "bad tag,液位,罐区,TK,level,%,0,100,plc,holding,0,f32,ABCD,1,0,500,",
            "A1,液位,别处,TK,level,%,0,100,plc,holding,4,f32,ABCD,1,0,500,",
            "A2,液位,罐区,TK,level,%,100,0,nowhere,holding,6,f32,ABCD,1,0,500,",
            "A3,液位,罐区,TK,level,%,0,100,plc,register,8,f16,ACBD,0,0,0,",
            "A4,液位,罐区,TK,level,%,0,100,plc,holding,65535,f32,ABCD,x,0,500,",
            "A5,液位,罐区,TK,level,%,0,100,plc,coil,1,u16,ABCD,1,0,500,70000",
            "A6,液位,罐区,TK,level,%,0,100,plc,holding,70000,u16,ABCD,1,inf,500,",
            "A6,,罐区,TK,level,%,0,100,plc,holding,30,u16,ABCD,1,0,500,",
            "A7,液位",
        ],
        &[
            &["points.csv:3", "[tag]", "bad tag"],
            &["points.csv:4", "[installation]", "别处", "罐区"],
            &["points.csv:5", "[low]", "100..0"],
            &["points.csv:5", "[device]", "nowhere", "plc"],
            &["points.csv:6", "[function]", "register", "holding"],
            &["points.csv:6", "[type]", "f16", "f32"],
            &["points.csv:6", "[order]", "ACBD"],
            &["points.csv:6", "[scale]"],
            &["points.csv:6", "[period_ms]", "20 到"],
            &["points.csv:7", "[scale]", "\"x\""],
            &["points.csv:7", "[address]", "65535"],
            &["points.csv:8", "[type]", "bool"],
            &["points.csv:8", "[sentinels]", "70000"],
            &["points.csv:9", "[address]", "70000"],
            &["points.csv:9", "[scale]", "inf"],
            &["points.csv:10", "[tag]", "第 9 行"],
            &["points.csv:10", "[name]"],
            &["points.csv:11", "2 格", "17"],
        ],
    );
}

#[test]
fn overlapping_registers_name_both_rows() {
    check(
        SITE,
        &[
            GOOD,
            "B,液位,罐区,TK,level,%,0,100,plc,holding,1,u16,ABCD,1,0,500,",
            "C,液位,罐区,TK,level,%,0,100,plc,input,1,u16,ABCD,1,0,500,",
            "D,液位,罐区,TK,level,%,0,100,plc,holding,10,u64,ABCD,1,0,500,",
            "E,液位,罐区,TK,level,%,0,100,plc,holding,11,u16,ABCD,1,0,500,",
            "F,液位,罐区,TK,level,%,0,100,plc,holding,13,u16,ABCD,1,0,500,",
        ],
        &[
            &["points.csv:4", "[address]", "第 3 行（TK-101.LT）"],
            &["points.csv:7", "第 6 行（D）"],
            &["points.csv:8", "第 6 行（D）"],
        ],
    );
}

#[test]
fn every_fault_of_a_site_file_is_named_with_its_line() {
    let site = r#"
[site]
enterprise = ""
gateway = "网关"
points = "points.csv"
limit = "limits.csv"
[[installation]]
name = "罐区"
kind = "tank_farm"
hazard_class = 9
[[device]]
name = "plc"
kind = "modbus-udp"
host = 7
port = 70000
unit = "1"
read_singly = 1
speed = 9600
[[device]]
name = "plc"
kind = "modbus-tcp"
host = "h"
[extra]
"#;
    let faults = load(site, &[]).unwrap_err();
    for wanted in [
        "site.toml:3 [site.enterprise]",
        "site.toml:4 [site.gateway]",
        "site.toml:2 [site.limits]",
        "site.toml:6 [site.limit]",
        "site.toml:10 [installation.hazard_class]",
        "site.toml:13 [device.kind] \"modbus-udp\"",
        "site.toml:14 [device.host] \"7\"",
        "site.toml:15 [device.port] \"70000\"",
        "site.toml:16 [device.unit]",
        "site.toml:17 [device.read_singly]",
        "site.toml:18 [device.speed]",
        "site.toml:20 [device.name] \"plc\"：与第 12 行重复",
        "site.toml:23 [extra]",
        "points.csv",
    ] {
        assert_eq!(
            faults.iter().filter(|f| f.starts_with(wanted)).count(),
            1,
            "{wanted}: {faults:#?}"
        );
    }
    assert_eq!(faults.len(), 14, "{faults:#?}");
    assert!(!load("[site\nx=", &[]).unwrap_err().is_empty());
    assert!(!load("", &[]).unwrap_err().is_empty());
}

#[test]
fn a_time_register_must_fit_in_one_request_with_its_points() {
    let timed = |extra: &str| format!("{SITE}{extra}");
    let near = "B,液位,罐区,TK,level,%,0,100,plc,holding,20,u16,ABCD,1,0,500,";
    let far = "B,液位,罐区,TK,level,%,0,100,plc,holding,124,f32,ABCD,1,0,500,";
    let slow = "B,液位,罐区,TK,level,%,0,100,plc,holding,20,u16,ABCD,1,0,1000,";
    let bits = "B,液位,罐区,TK,level,%,0,1,plc,coil,20,bool,ABCD,1,0,500,";
    assert!(load(&timed("time_register = 40\n"), &[GOOD, near]).is_ok());
    let fault = |extra: &str, rows: &[&str], part: &str| {
        check(&timed(extra), rows, &[&["site.toml:11", "time_register", part]]);
    };
    fault("time_register = 40\n", &[GOOD, far], "126");
    fault("time_register = 40\n", &[GOOD, slow], "第 4 行");
    fault("time_register = 40\n", &[bits], "holding");
    fault("time_register = 1\n", &[GOOD, near], "第 3 行");
    fault("time_register = 40\nread_singly = true\n", &[GOOD], "read_singly");
    // A register that the row itself needs in another table: the row is named once, with its mend.
    let head =
        HEAD.replace("无效值\n", "无效值,规则\n").replace("sentinels\n", "sentinels,rules\n");
    let sheet = format!("{head}{GOOD},status=input:8;bad=1\n");
    let faults = Site::load("s", &timed("time_register = 40\n"), &mut |_| Ok(sheet.clone()));
    let said: Vec<String> = faults.unwrap_err().iter().map(ToString::to_string).collect();
    assert!(said.len() == 1 && said[0].contains("第 3 行 rules 中的寄存器"), "{said:#?}");
}

#[test]
fn what_acts_on_a_terminal_or_turns_a_name_round_is_refused_and_a_line_break_is_a_space() {
    let row = |name: &str, unit: &str| {
        format!("\"B\",\"{name}\",罐区,TK,level,{unit},0,100,plc,holding,20,u16,ABCD,1,0,500,")
    };
    for (name, unit, column) in [
        ("液位\u{1b}]0;x\u{7}", "%", "[name]"),
        ("液位", "\u{1b}[2J%", "[unit]"),
        ("液位", "%\u{9b}2J", "[unit]"),
        ("液\u{202e}位", "%", "[name]"),
    ] {
        let faults = load(SITE, &[GOOD, &row(name, unit)]).unwrap_err();
        let said: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert!(said.len() == 1 && said[0].contains(column), "{said:?}");
        assert!(said[0].contains("U+") && !said[0].contains('\u{1b}'), "{said:?}");
    }
    let site = load(SITE, &[GOOD, &row("泵区\n可燃  气体", "%")]).unwrap();
    assert_eq!(site.catalogue.points[1].name, "泵区 可燃  气体");
    let named = SITE.replace("罐区", "罐\\u001b[2J区");
    assert_ne!(named, SITE);
    let said = load(&named, &[]).unwrap_err();
    let part = "site.toml:8 [installation.name]";
    let found = said.iter().find(|fault| fault.starts_with(part));
    assert!(found.is_some_and(|fault| fault.contains("U+001B")), "{said:?}");
}

#[test]
fn a_faulty_key_of_a_device_hides_no_other() {
    let extra = "time_register = 70000\nprofile = 5\nprofile_base = -1\nresponse_s = 0\nsped = 1\n\
                 pause_ms = 5001\n";
    let faults: Vec<String> = load(&format!("{SITE}{extra}"), &[GOOD])
        .unwrap_err()
        .iter()
        .map(ToString::to_string)
        .collect();
    for key in ["time_register", "profile", "profile_base", "response_s", "sped", "pause_ms"] {
        let column = format!("[device.{key}]");
        assert!(faults.iter().any(|fault| fault.contains(&column)), "{key}: {faults:#?}");
    }
    // What cannot be read together is said as a whole.
    let slow = "B,液位,罐区,TK,level,%,0,100,plc,holding,124,f32,ABCD,1,0,1000,";
    let extra = "time_register = 1\nread_singly = true\n";
    let faults = load(&format!("{SITE}{extra}"), &[GOOD, slow]).unwrap_err();
    let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
    for part in ["read_singly", "第 3 行与第 4 行", "与第 3 行的寄存器重叠", "126"] {
        assert!(faults.iter().any(|fault| fault.contains(part)), "{part}: {faults:#?}");
    }
}

#[test]
fn a_sheet_without_its_columns_says_which() {
    let faults = Site::load("site.toml", SITE, &mut |_| Ok("位号,备注\ntag,remark\nA,b\n".into()))
        .unwrap_err();
    let text: Vec<_> = faults.iter().map(ToString::to_string).collect();
    assert!(text.iter().any(|f| f.contains("[remark]")), "{text:#?}");
    assert!(text.iter().any(|f| f.contains("[address]")), "{text:#?}");
    assert!(text.iter().all(|f| f.starts_with("points.csv:2")), "{text:#?}");
}

#[test]
fn the_demonstration_site_is_without_fault() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs/demo/");
    let read = |name: &str| std::fs::read_to_string(format!("{folder}{name}"));
    let text = read("site.toml").unwrap();
    let site = Site::load("site.toml", &text, &mut |name| read(name).map_err(|e| e.to_string()));
    assert_eq!(site.unwrap().catalogue.points.len(), 15);
}

#[test]
fn a_sheet_with_semicolons_or_tabs_between_its_cells_is_read() {
    let row =
        "XT-1,温度,罐区,TK-101,temperature,℃,-50,150,plc,holding,2,i16,,0.1,,1000,32767;-32768";
    for separator in [";", "\t"] {
        let cells: Vec<String> = row
            .split(',')
            .map(|cell| if cell.contains(';') { format!("\"{cell}\"") } else { cell.to_owned() })
            .collect();
        let head = HEAD.replace(',', separator);
        let sheet = format!("{head}{}\n", cells.join(separator));
        let site = Site::load("site.toml", SITE, &mut |_| Ok(sheet.clone())).unwrap();
        assert_eq!(*site.mappings[0].sentinels, [Raw::Whole(32_767), Raw::Whole(-32_768)]);
        assert_eq!(site.catalogue.points[0].low.to_bits(), (-50_f64).to_bits());
    }
}

#[test]
fn an_error_cell_is_called_one_and_nothing_else_of_its_row_is_judged() {
    check(
        SITE,
        &[
            "A,液位,罐区,TK,level,%,#REF!,100,plc,holding,0,f32,ABCD,1,#DIV/0!,500,",
            "#N/A,液位,别处,TK,level,%,0,100,plc,holding,2,f32,ABCD,1,0,500,",
        ],
        &[
            &[
                "points.csv:3 [low] \"#REF!\"：错误单元格 #REF!",
                "error cell #REF!; mend the formula",
            ],
            &["points.csv:3 [offset] \"#DIV/0!\"", "error cell #DIV/0!"],
            &["points.csv:4 [tag] \"#N/A\"", "error cell #N/A"],
        ],
    );
}

#[test]
fn a_six_digit_reference_number_is_answered_with_the_address_on_the_wire() {
    let row = |address: &str| {
        format!("A,液位,罐区,TK,level,%,0,100,plc,holding,{address},u16,ABCD,1,0,500,")
    };
    check(SITE, &[&row("400012")], &[&["[address] \"400012\"", "请写 11，功能写 holding"]]);
    check(SITE, &[&row("300001")], &[&["write 0, function input"]]);
    check(SITE, &[&row("200001")], &[&["65535"]]);
    check(SITE, &[&row("400000")], &[&["65535"]]);
}

/// Thirty faults, thirty messages, each with its place and its mend; `docs/points.md` shows them.
#[test]
fn a_sheet_with_thirty_faults_is_answered_with_thirty_messages() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/broken-sheet/");
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/points.md");
    let read = |name: &str| std::fs::read_to_string(format!("{folder}{name}"));
    let text = read("site.toml").unwrap();
    let faults =
        Site::load("site.toml", &text, &mut |name| read(name).map_err(|e| format!("{name}: {e}")))
            .unwrap_err();
    let places: Vec<_> = faults
        .iter()
        .map(|f| {
            let column = f.column.as_deref().unwrap_or("-");
            format!("{} {column} {}", f.row.unwrap_or(0), f.value.as_deref().unwrap_or("-"))
        })
        .collect();
    let wanted = [
        "3 tag LT 1",
        "4 tag -",
        "6 name -",
        "7 installation 2#罐区",
        "8 signal -",
        "9 low 零",
        "10 low 100..0",
        "11 tag LT-9",
        "11 device dcs",
        "12 function hold",
        "13 address 40001x",
        "14 address 400001",
        "15 type float",
        "16 order ABDC",
        "17 scale 0 / 0",
        "18 offset 0，5",
        "19 period_ms 5",
        "20 sentinels 70000",
        "21 - -",
        "22 type u16",
        "23 address 65534",
        "25 address 330",
        "26 rules.speed 3",
        "27 rules.bit 16",
        "28 rules.counter -",
        "29 rules.bad b0",
        "30 rules.table tank.csv",
        "31 order ",
        "32 address @gross_volume",
        "33 period_ms 1000",
    ];
    assert_eq!(places, wanted);
    let page = std::fs::read_to_string(page).unwrap();
    for fault in &faults {
        assert!(page.contains(&fault.to_string()), "docs/points.md lacks: {fault}");
    }
}

#[test]
fn rows_are_counted_as_an_editor_counts_them() {
    let bad = "bad tag,液位,罐区,TK-101,level,%,0,100,plc,holding,0,f32,ABCD,1,0,500,";
    let named = "A,\"液\r\n位\",罐区,TK-101,level,%,0,100,plc,holding,8,f32,ABCD,1,0,500,";
    for (sheet, row) in [
        (format!("{HEAD}{bad}\n"), 3),
        (format!("{HEAD}{bad}\n").replace('\n', "\r\n"), 3),
        (format!("{HEAD}\n\n{bad}").replace('\n', "\r\n"), 5),
        (format!("{HEAD}{GOOD}\n\n{bad}\n").replace('\n', "\r\n"), 5),
        (format!("{}{named}\r\n{bad}\r\n", HEAD.replace('\n', "\r\n")), 5),
    ] {
        let faults = Site::load("s", SITE, &mut |_| Ok(sheet.clone())).unwrap_err();
        let said = faults[0].to_string();
        assert!(said.starts_with(&format!("points.csv:{row} [tag] \"bad tag\"")), "{said}");
        assert_eq!(faults.len(), 1, "{faults:#?}");
    }
}

#[test]
fn bits_of_one_register_are_points_of_their_own() {
    let head = HEAD.replace("无效值", "无效值,规则").replace("sentinels", "sentinels,rules");
    let row = |tag: &str, address: u16, kind: &str, rules: &str| {
        format!("{tag},状态,罐区,K,s,,0,1,plc,holding,{address},{kind},,,,500,,{rules}")
    };
    let load = |rows: &[String]| {
        let sheet = format!("{head}{}\n", rows.join("\n"));
        let faults = Site::load("s", SITE, &mut |_| Ok(sheet.clone())).err().unwrap_or_default();
        faults.iter().map(|f| f.row.unwrap_or(0)).collect::<Vec<_>>()
    };
    let bit = |tag, rules| row(tag, 5, "u16", rules);
    assert!(
        load(&[bit("A", "bit=0"), bit("B", "bits=1-3"), bit("C", "bit=4"), bit("D", "")])
            .is_empty()
    );
    assert_eq!(load(&[bit("A", "bit=0"), bit("B", "bit=9"), bit("C", "bits=8-9")]), [5]);
    assert_eq!(load(&[bit("A", "bit=0"), bit("B", "bit=1"), bit("C", "bit=0")]), [5]);
    assert_eq!(load(&[bit("A", "bit=3;bits=0-1")]), [3], "one of both");
    assert!(load(&[row("A", 5, "u8h", ""), row("B", 5, "u8l", "")]).is_empty());
    assert_eq!(load(&[row("A", 5, "u8h", ""), row("B", 5, "i8h", "")]), [4]);
    assert_eq!(load(&[row("A", 4, "u32", ""), row("B", 5, "u8l", "")]), [4]);
    assert_eq!(load(&[bit("A", "divisor=5")]), [3], "divided by itself");
    assert!(load(&[bit("A", "divisor=6"), row("B", 7, "u8h", "divisor=7:u8l")]).is_empty());
}

#[test]
fn every_fault_of_a_line_is_named_with_its_line() {
    let head = "[site]\nenterprise=\"a\"\ngateway=\"G\"\npoints=\"points.csv\"\nlimits=\"l\"\n\
                [[installation]]\nname=\"a\"\nkind=\"k\"\n";
    let rest = r#"[[bus]]
name = "A"
kind = "modbus-rtu"
path = "/dev/ttyS1"
baud = 9600
parity = "even"
[[bus]]
name = "A"
kind = "modbus-rtu"
path = ""
baud = 96
data_bits = 7
parity = "mark"
stop_bits = 3
rs485 = "rts"
host = "h"
[[bus]]
name = "B"
kind = "rtu"
[[bus]]
name = "C"
kind = "modbus-rtu-tcp"
host = "h"
[[device]]
name = "one"
kind = "modbus-rtu"
bus = "A"
unit = 3
[[device]]
name = "two"
kind = "modbus-rtu"
bus = "A"
unit = 3
[[device]]
name = "three"
kind = "modbus-rtu"
bus = "Z"
unit = 248
response_s = 0
[[device]]
name = "four"
kind = "modbus-rtu"
host = "h"
"#;
    let faults = load(&format!("{head}{rest}"), &[]).unwrap_err();
    for (line, column) in [
        (16, "bus.name"),
        (18, "bus.path"),
        (19, "bus.baud"),
        (20, "bus.data_bits"),
        (21, "bus.parity"),
        (22, "bus.stop_bits"),
        (23, "bus.rs485"),
        (24, "bus.host"),
        (27, "bus.kind"),
        (28, "bus.port"),
        (37, "device.unit"),
        (45, "device.bus"),
        (47, "device.response_s"),
        (48, "device.bus"),
        (51, "device.host"),
    ] {
        let wanted = format!("site.toml:{line} [{column}]");
        let found = faults.iter().filter(|fault| fault.starts_with(&wanted)).count();
        assert_eq!(found, 1, "{wanted}: {faults:#?}");
    }
}

#[test]
fn a_port_is_one_line_and_an_address_speaks_one_protocol() {
    let head = "[site]\nenterprise=\"a\"\ngateway=\"G\"\npoints=\"points.csv\"\nlimits=\"l\"\n\
                [[installation]]\nname=\"a\"\nkind=\"k\"\n";
    let rest = r#"[[bus]]
name = "A"
kind = "modbus-rtu"
path = "/dev/ttyS1"
baud = 9600
parity = "even"
[[bus]]
name = "B"
kind = "modbus-rtu"
path = "/dev/ttyS1"
baud = 9600
parity = "even"
[[bus]]
name = "C"
kind = "modbus-rtu-tcp"
host = "Converter"
port = 4001
[[bus]]
name = "D"
kind = "modbus-rtu-tcp"
host = "converter"
port = 4001
[[bus]]
name = "E"
kind = "modbus-rtu-tcp"
host = "converter"
port = 4002
[[device]]
name = "one"
kind = "modbus-tcp"
host = "converter"
port = 4001
[[device]]
name = "two"
kind = "modbus-tcp"
host = "converter"
port = 502
"#;
    let faults = load(&format!("{head}{rest}"), &[]).unwrap_err();
    let told = |wanted: &str| faults.iter().filter(|fault| fault.contains(wanted)).count();
    assert_eq!(
        told("site.toml:18 [bus] \"/dev/ttyS1\"：第 12 行的总线已用此端口"),
        1,
        "{faults:#?}"
    );
    assert_eq!(told("[bus] \"converter:4001\""), 1, "{faults:#?}");
    assert_eq!(told("[device.host] \"converter:4001\""), 1, "{faults:#?}");
    assert_eq!(faults.iter().filter(|fault| fault.starts_with("site.toml")).count(), 3);
}

#[test]
fn a_faulty_device_is_one_fault_and_not_one_for_each_of_its_points() {
    let sheet = format!("{HEAD}{GOOD}\n");
    let broken = SITE.replace("kind = \"modbus-tcp\"", "kind = \"modbus-udp\"");
    assert_ne!(broken, SITE);
    let faults = Site::load("s", &broken, &mut |_| Ok(sheet.clone())).unwrap_err();
    assert_eq!(faults.len(), 1, "{faults:#?}");
}

#[test]
fn a_strapping_table_is_refused_by_its_line() {
    for (text, row, words) in [
        ("mm,m3,note\n0,0,\n0,5,100,2\n", 3, "两列 two columns 0,5,100,2"),
        ("0,0\n10,x\n", 2, "10,x"),
        ("0,0\n10,5\n10,6\n", 3, "rise"),
        ("0,0\n10,5\n20,4\n", 3, "fall"),
    ] {
        let faults = profiled::table("tank.csv", text).unwrap_err();
        let [fault] = faults.as_slice() else { panic!("{text}: {faults:?}") };
        let said = format!("{fault} {:?}", fault.value);
        assert_eq!(fault.row, Some(row), "{text}: {said}");
        let has = |word: &str| said.contains(word);
        assert!(words.split(' ').all(has), "{text}: {said}");
    }
    assert!(profiled::table("tank.csv", "level,volume\n0,0\n10,5,\n").is_ok());
}
