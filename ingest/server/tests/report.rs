//! A real centre with a known alarm: what its report says by API and by command line, while it
//! runs and over a restart.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails where it stands")]
#![expect(dead_code, reason = "the door has more than one test needs")]

mod door;

use std::process::{Command, Output};
use std::time::Duration;

use door::Door;
use serde_json::{Value, json};

/// A gateway that nobody hears for a second is missed.
const LIMITS: &str = "tag,kind,limit,priority\nTK-101.LT,H,80,P1\n,OFFLINE,1,P2\n";
const ALARM: &str = "GW-01//OFFLINE";
const PATIENCE: Duration = Duration::from_secs(30);

async fn get(door: &Door, cookie: &str, path: &str) -> Value {
    let answer = door.ask("GET", path, &[("cookie", cookie)], "").await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    serde_json::from_str(&answer.body).unwrap()
}

/// The row of the alarm once it stands on the desk.
async fn alarm(door: &Door, cookie: &str) -> Value {
    let look = async {
        loop {
            let desk = get(door, cookie, "/api/v1/desk").await;
            let rows = desk["alarms"].as_array().unwrap();
            if let Some(row) = rows.iter().find(|row| row["alarm"] == ALARM) {
                return row.clone();
            }
        }
    };
    tokio::time::timeout(PATIENCE, look).await.unwrap()
}

fn report(door: &Door, args: &[&str]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_fengsui"));
    program
        .arg("report")
        .args(args)
        .arg("--config")
        .arg(door.folder.path().join("centre.toml"))
        .output()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_with_a_known_alarm_is_told_alike_by_api_and_command_line() {
    let door = Door::open_with(LIMITS).await;
    let (viewer, operator) = (door.enter("viewer").await, door.enter("operator").await);
    let row = alarm(&door, &viewer).await;
    assert!(row["first_out"].is_null(), "silence is first to nothing");
    let one = json!({ "alarm": ALARM, "occurrence": 1 });
    let acks = json!({ "acks": [one, one], "comment": "已派人", "request": "r1" });
    let answer =
        door.ask("POST", "/api/v1/alarms/ack", &[("cookie", &operator)], &acks.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.body.matches("acknowledged").count(), 1, "named twice, done once");
    let day = &row["known"].as_str().unwrap()[..10];
    let told = get(&door, &viewer, &format!("/api/v1/report/day/{day}")).await;
    assert_eq!(told["data"], true);
    assert_eq!(told["counts"]["announced"], 1, "{told}");
    assert_eq!(told["counts"]["by_priority"], json!([0, 1, 0, 0]));
    assert_eq!(told["figures"]["not_acknowledged"], 0);
    assert!(told["figures"]["to_acknowledge_median_s"].as_f64().unwrap() < 30.0);
    assert_eq!(told["top"][0]["alarm"], ALARM);
    assert_eq!(told["period"]["complete"], false);

    let online = get(&door, &viewer, "/api/v1/online").await;
    let gateway = &online["online"]["gateways"][0];
    assert_eq!((&gateway["name"], &gateway["state"]), (&json!("GW-01"), &json!("never_seen")));
    assert_eq!(gateway["rate"], 0.0, "never heard is never online: {gateway}");
    assert_eq!(gateway["online_ms"], 0, "{gateway}");
    assert_eq!(online["online"]["points"][0]["name"], "TK-101.LT", "the limits name it: {online}");
    assert_eq!(online["gateways_now"][0]["state"], "never_seen");
    let blind = get(&door, &viewer, "/api/v1/blind").await;
    let ranked = &blind["suspicious"]["gateways"][0];
    assert_eq!(ranked["index"], 100.0, "nobody sees what the limits ask for: {blind}");
    assert_eq!(blind["suspicious"]["required_points"], 1);
    assert!(blind["blind_s"].as_f64().unwrap() > 0.0, "{blind}");

    let output = report(&door, &["day", "--date", day, "--json"]);
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    for field in ["announced", "by_priority", "by_installation"] {
        assert_eq!(said["counts"][field], told["counts"][field], "{field}");
    }
    let text = String::from_utf8(report(&door, &["day", "--date", day]).stdout).unwrap();
    assert!(text.contains(ALARM) && text.contains("网关离线"), "{text}");
    let out = door.folder.path().join("day.xlsx");
    let to = out.to_str().unwrap();
    let output = report(&door, &["day", "--date", day, "--format", "xlsx", "--out", to]);
    assert!(output.status.success() && std::fs::read(&out).unwrap().starts_with(b"PK"));
    for shape in ["html", "csv"] {
        let output = report(&door, &["day", "--date", day, "--format", shape]);
        assert!(output.status.success(), "{shape}");
    }
    assert!(door.journal_is_whole(), "a report writes nothing");
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_dates_are_refused_with_the_mend_and_an_empty_day_has_no_figures() {
    let door = Door::open().await;
    let viewer = [("cookie", door.enter("viewer").await)];
    let viewer = [("cookie", viewer[0].1.as_str())];
    for path in [
        "/report/day/2026-02-30",
        "/report/day/9999-01-01",
        "/report/decade",
        "/report?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z",
        "/report?from=yesterday",
        "/report?from=0",
        "/report?form=1795104000000",
        "/report/day?date=2026-01-01",
        "/report/day/1969-12-31",
        "/online?form=x",
        "/online?to=x",
        "/blind?from=1&from=2",
    ] {
        let answer = door.ask("GET", &format!("/api/v1{path}"), &viewer, "").await;
        assert_eq!((answer.status, answer.code()), (422, "bad_field"), "{path}: {}", answer.body);
        assert!(answer.header("content-type").starts_with("application/problem+json"), "{path}");
    }
    let engineer = door.enter("engineer").await;
    let path = "/api/v1/limits/revisions/seven";
    let answer = door.ask("GET", path, &[("cookie", &engineer)], "").await;
    assert_eq!((answer.status, answer.code()), (400, "bad_path"), "{}", answer.body);
    let answer = door.ask("GET", "/api/v1/report/day/2020-01-01", &viewer, "").await;
    let told: Value = serde_json::from_str(&answer.body).unwrap();
    assert!(told["data"] == false && told["figures"].is_null(), "{told}");
    let path = "/api/v1/report?from=2020-01-01T00:00:00Z&to=2020-03-01T00:00:00Z";
    let answer = door.ask("GET", path, &viewer, "").await;
    let told: Value = serde_json::from_str(&answer.body).unwrap();
    assert!(told["data"] == false && told["enough"] == false, "{told}");
    let output = report(&door, &["day", "--date", "2020-01-01"]);
    assert!(String::from_utf8(output.stdout).unwrap().contains("没有数据"));
    for (args, code) in [
        (&["day", "--date", "2026-02-30"][..], 2),
        (&["month", "--date", "9999-01"][..], 2),
        (&["week"][..], 2),
        (&["day", "--out", "/nonexistent/x"][..], 4),
    ] {
        assert_eq!(report(&door, args).status.code(), Some(code), "{args:?}");
    }
    let mut missing = Command::new(env!("CARGO_BIN_EXE_fengsui"));
    let output = missing.args(["report", "day", "--config", "/nonexistent.toml"]).output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    door.close().await;
}
