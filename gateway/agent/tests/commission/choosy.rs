//! Slaves on a line that answer their own block alone and are silent at anything else, also at the
//! question of another length that each slave is asked first.

use std::path::Path;

use tempfile::TempDir;

use super::device::{Device, Unit};
use super::{LEVEL, address, run, words};

/// Three words at 100, together or not at all.
async fn choosy() -> Device {
    let only = Unit { only: Some((100, 3)), ..words(100, &[0, 234, 0]) };
    Device::start_rtu([(3, only)]).await
}

fn site(folder: &Path, device: &Device) -> String {
    let site = format!(
        "[site]\nenterprise='示例'\ngateway='GW-01'\npoints='points.csv'\nlimits='limits.csv'\n\
         [[installation]]\nname='a'\nkind='k'\n[[bus]]\nname='A'\nkind='modbus-rtu-tcp'\n\
         host='127.0.0.1'\nport={}\nbaud=9600\nparity='none'\n\
         [[device]]\nname='gas'\nkind='modbus-rtu'\nbus='A'\nunit=3\ntimeout_ms=60\n\
         [[device]]\nname='gone'\nkind='modbus-rtu'\nbus='A'\nunit=4\ntimeout_ms=60\n",
        device.port
    );
    let row = |tag: &str, device: &str, address: u16| {
        format!("{tag},n,a,level,%,0,1000,{device},holding,{address},u16,1000\n")
    };
    let points = format!(
        "h\ntag,name,installation,signal,unit,low,high,device,function,address,type,period_ms\n\
         {}{}{}{}",
        row("A", "gas", 100),
        row("B", "gas", 101),
        row("C", "gas", 102),
        row("D", "gone", 0),
    );
    let limits = "h\ntag,kind,limit\nA,H,85\n";
    for (name, text) in
        [("site.toml", site.as_str()), ("points.csv", &points), ("limits.csv", limits)]
    {
        std::fs::write(folder.join(name), text).unwrap();
    }
    folder.join("site.toml").display().to_string()
}

#[tokio::test]
async fn read_asks_a_slave_again_that_answers_no_other_length() {
    let (device, folder) = (choosy().await, TempDir::new().unwrap());
    let got = run(&["read", "--config", &site(folder.path(), &device), "--json"]).await;
    let json = got.json();
    let all = json["points"].as_array().unwrap();
    let of = |tag: &str| all.iter().find(|point| point["tag"] == tag).unwrap();
    assert_eq!(of("B")["value"], 234.0, "{}{}", got.out, got.err);
    assert_eq!(of("D")["quality"], "bad", "{}", got.out);
    assert_eq!(got.code, 1);
}

#[tokio::test]
async fn read_says_what_to_try_where_a_device_answers_some_questions_only() {
    let hint = "pause_ms = 100";
    let only = Unit { only: Some((0, 2)), ..words(0, &LEVEL) };
    let (some, folder) = (Device::start([(1, only)]).await, TempDir::new().unwrap());
    let at = super::site(folder.path(), [some.port, some.port], "");
    let of = |tag: &'static str| ["read", "--config", at.as_str(), tag].map(str::to_owned);
    let said =
        async |args: &[String]| run(&args.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let both = said(&[&of("TK-101.LT")[..], &["TK-101.TT".to_owned()]].concat()).await;
    assert!(both.out.contains(hint), "{}{}", both.out, both.err);
    // Nothing to try where all is well, or where nobody is there.
    for one in ["TK-101.LT", "TK-101.TT"] {
        let one = said(&of(one)).await;
        assert!(!one.out.contains(hint), "{}", one.out);
    }
}

#[tokio::test]
async fn a_scan_with_the_question_of_the_manual_finds_a_slave_that_answers_no_other() {
    let device = choosy().await;
    let at = address(&device);
    let scan = ["scan", "--rtu-tcp", &at, "--units", "2-4", "--timeout-ms", "60"];
    let blind = run(&scan).await;
    assert_eq!(blind.code, 1, "{}", blind.out);
    assert!(blind.out.contains("--ask") && blind.out.contains("0 of 3 units"), "{}", blind.out);
    let ask = ["--ask", "holding:100:3"];
    let text = run(&[&scan[..], &ask].concat()).await;
    assert_eq!(text.code, 0, "{}{}", text.out, text.err);
    assert!(text.out.contains("holding 100 ×3") && text.out.contains("1 of 3"), "{}", text.out);
    let json = run(&[&scan[..], &ask, &["--json"]].concat()).await.json();
    assert_eq!((&json["units"][0]["unit"], &json["asked"]), (&3.into(), &3.into()));
    assert_eq!(json["ask"], "holding:100:3");
    assert_eq!(json["units"][0]["holding"]["word"], "0x0000");
    for wrong in ["holding:100", "holding:100:0", "holding:0:126", "valve:0:1", "input:65535:2"] {
        let wrong = run(&[&scan[..], &["--ask", wrong]].concat()).await;
        assert_eq!((wrong.code, wrong.out.as_str()), (2, ""));
        assert!(wrong.err.contains("holding:100:2"), "{}", wrong.err);
    }
}
