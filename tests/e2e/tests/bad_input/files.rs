//! Files with many faults: every fault is named at once, with file, row and column.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context, ensure};
use fengsui_e2e::program::{binary, root};
use fengsui_e2e::scene::{Scene, act};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);

const HEADINGS: &str = "位号,名称,装置,设备,信号,单位,量程下限,量程上限,仪表通信,功能,地址,类型,字序,系数,偏移,周期毫秒,无效值\ntag,name,installation,equipment,signal,unit,low,high,device,function,address,type,order,scale,offset,period_ms,sentinels\n";

/// Rows of a point sheet, and the column in which each is wrong.
const POINTS: &[(&str, Option<&str>)] = &[
    ("CH4.E,东侧甲烷,监测场,E,gas_combustible,ppm,0,1000,gas,holding,10,f32,ABCD,1,0,20,", None),
    (
        "CH4.E,又一次,监测场,E,gas_combustible,ppm,0,1000,gas,holding,30,f32,ABCD,1,0,20,",
        Some("tag"),
    ),
    (
        "CH4.NE,重叠,监测场,NE,gas_combustible,ppm,0,1000,gas,holding,11,f32,ABCD,1,0,20,",
        Some("address"),
    ),
    (
        "CH4.NW,类型,监测场,NW,gas_combustible,ppm,0,1000,gas,holding,40,f16,ABCD,1,0,20,",
        Some("type"),
    ),
    ("CH4.S,量程,监测场,S,gas_combustible,ppm,1000,0,gas,holding,42,f32,ABCD,1,0,20,", Some("low")),
    (
        "CH4.SE,设备,监测场,SE,gas_combustible,ppm,0,1000,nobody,holding,44,f32,ABCD,1,0,20,",
        Some("device"),
    ),
    (
        "CH4.SW,周期,监测场,SW,gas_combustible,ppm,0,1000,gas,holding,46,f32,ABCD,1,0,1,",
        Some("period_ms"),
    ),
    (
        "CH4.W,地址,监测场,W,gas_combustible,ppm,0,1000,gas,holding,70000,f32,ABCD,1,0,20,",
        Some("address"),
    ),
    ("CH4 X,位号,监测场,X,gas_combustible,ppm,0,1000,gas,holding,50,f32,ABCD,1,0,20,", Some("tag")),
    (
        "CH4.Y,系数,监测场,Y,gas_combustible,ppm,0,1000,gas,holding,52,f32,ABCD,0,0,20,",
        Some("scale"),
    ),
    ("CH4.Z,再重叠,监测场,Z,gas_combustible,ppm,0,1000,gas,holding,53,f32,ABCD,1,0,20,", None),
    (
        "CH4.Q,三重,监测场,Q,gas_combustible,ppm,0,1000,gas,holding,54,u16,ABCD,1,0,20,",
        Some("address"),
    ),
];

/// Rows of a file of limits, and the column in which each is wrong.
const LIMITS: &[(&str, Option<&str>)] = &[
    ("CH4.E,H,5,0,0,0,P2,false,实验用,示例", None),
    ("CH4.E,HHH,5,0,0,0,P2,false,实验用,示例", Some("kind")),
    ("CH4.E,HH,many,0,0,0,P1,false,实验用,示例", Some("limit")),
    ("CH4.E,L,1,-1,0,0,P2,false,实验用,示例", Some("deadband")),
    ("CH4.E,LL,0.5,0,0,0,P9,false,实验用,示例", Some("priority")),
    ("CH4.E,H,6,0,0,0,P2,false,实验用,示例", Some("kind")),
    ("CH4.E,OFFLINE,60,,,,P2,false,实验用,示例", Some("tag")),
];

const SITE: &str = "[site]\nenterprise = \"示例\"\ngateway = \"GW-BAD\"\npoints = \"points.csv\"\nlimits = \"limits.csv\"\n\n[[installation]]\nname = \"监测场\"\nkind = \"gas_area\"\nhazard_class = 4\n\n[[device]]\nname = \"gas\"\nkind = \"modbus-tcp\"\nhost = \"127.0.0.1\"\nport = 15020\nunit = 1\n";

fn sheet(head: &str, rows: &[(&str, Option<&str>)]) -> String {
    rows.iter().fold(head.to_owned(), |text, (row, _)| text + row + "\n")
}

fn lay_out(scene: &Scene, points: &str, limits: &str) -> anyhow::Result<()> {
    let folder = scene.path();
    std::fs::write(folder.join("site.toml"), SITE)?;
    std::fs::write(folder.join("points.csv"), points)?;
    std::fs::write(folder.join("limits.csv"), limits)?;
    let own = "site = \"site.toml\"\ndata = \"gateway\"\n";
    std::fs::write(folder.join("gateway.toml"), own)?;
    Ok(())
}

fn check(scene: &Scene, file: &str) -> anyhow::Result<(Output, Vec<Value>)> {
    let path = scene.path().join(file);
    let done =
        Command::new(binary("fengsui-gateway")?).arg("check").arg(&path).arg("--json").output()?;
    let report: Value = serde_json::from_slice(&done.stdout).context("check --json")?;
    let faults = report.pointer("/0/faults").and_then(Value::as_array).context("faults")?;
    Ok((done, faults.clone()))
}

/// Every wrong row is named in its file with its column, and no right one is.
fn each_is_named(
    faults: &[Value],
    file: &str,
    rows: &[(&str, Option<&str>)],
) -> anyhow::Result<()> {
    let of_file = |fault: &&Value| {
        let name = fault.get("file").and_then(Value::as_str).unwrap_or_default();
        Path::new(name).file_name().is_some_and(|name| name == file)
    };
    for (row, (text, column)) in (3_u64..).zip(rows) {
        let at_row = |fault: &&Value| fault.get("row").and_then(Value::as_u64) == Some(row);
        let found: Vec<&str> = faults
            .iter()
            .filter(of_file)
            .filter(at_row)
            .map(|fault| fault.get("column").and_then(Value::as_str).unwrap_or("?"))
            .collect();
        match column {
            Some(column) => ensure!(
                found.iter().any(|found| found.contains(column)),
                "{file} row {row} ({text}): wrong in {column}, named {found:?}; all: {faults:#?}"
            ),
            None => ensure!(found.is_empty(), "{file} row {row} ({text}) is right: {found:?}"),
        }
    }
    for fault in faults {
        let message = fault.get("message").and_then(Value::as_str).unwrap_or_default();
        ensure!(message.chars().count() > 10, "a fault says what is wrong and the mend: {fault}");
    }
    Ok(())
}

#[test]
fn every_fault_of_a_site_is_named_at_once() {
    act("bad-site", LIMIT, async |scene| {
        let limits = "位号,类型,限值\ntag,kind,limit,deadband,on_delay_s,off_delay_s,priority,latch,source,confidence\n";
        lay_out(scene, &sheet(HEADINGS, POINTS), &sheet(limits, LIMITS))?;
        for file in ["site.toml", "gateway.toml"] {
            let (done, faults) = check(scene, file)?;
            ensure!(done.status.code() == Some(1), "check {file} ends with {}", done.status);
            each_is_named(&faults, "points.csv", POINTS)?;
            each_is_named(&faults, "limits.csv", LIMITS)?;
        }
        let config = scene.path().join("gateway.toml");
        let ran = Command::new(binary("fengsui-gateway")?)
            .args(["run", "--config"])
            .arg(config)
            .output()?;
        ensure!(ran.status.code() == Some(4), "run refuses the same files: {}", ran.status);
        ensure!(!scene.path().join("gateway").exists(), "and touches nothing");
        Ok(())
    });
}

#[test]
fn other_broken_files_are_refused_with_their_place() {
    act("bad-files", LIMIT, async |scene| {
        let good = root().join("tests/peers/site");
        for name in ["site.toml", "points.csv", "limits.csv"] {
            std::fs::copy(good.join(name), scene.path().join(name))?;
        }
        let cases: [(&str, &[u8], &str); 4] = [
            ("gateway.toml", b"site = \"site.toml\"\ndata = \"d\"\nspeed = 9\n", "speed"),
            ("gateway.toml", b"site = \"nowhere.toml\"\ndata = \"d\"\n", "nowhere.toml"),
            (
                "gateway.toml",
                b"site = \"site.toml\"\ndata = \"d\"\n[spool]\nmax_mb = 1\n",
                "max_mb",
            ),
            ("points.csv", b"tag\n\xff\xfe\x00\n", "UTF-8"),
        ];
        for (name, text, said) in cases {
            std::fs::write(scene.path().join(name), text)?;
            let (done, faults) = check(scene, "gateway.toml")?;
            ensure!(done.status.code() == Some(1), "{said}: {}", done.status);
            let all = serde_json::to_string(&faults)?;
            ensure!(all.contains(said), "{said} is not named: {all}");
            if name == "gateway.toml" {
                std::fs::write(scene.path().join(name), b"site = \"site.toml\"\ndata = \"d\"\n")?;
            }
        }
        let centre = scene.path().join("centre.toml");
        std::fs::write(
            &centre,
            "data = \"c\"\nzone = \"Mars\"\n[http]\nlisten = \"x\"\n[mqtt]\nbroker = \"y\"\n[[gateway]]\nid = \"a b\"\nlimits = \"limits.csv\"\n",
        )?;
        let done =
            Command::new(binary("fengsui")?).arg("check").arg(&centre).arg("--json").output()?;
        ensure!(done.status.code() == Some(1), "check centre.toml: {}", done.status);
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        for key in ["zone", "http.listen", "mqtt", "gateway: id"] {
            ensure!(said.contains(key), "{key} is not named: {said}");
        }
        Ok(())
    });
}
