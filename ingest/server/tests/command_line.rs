//! `fengsui user` and the first start, through the program itself.

#![expect(clippy::unwrap_used, reason = "a test that cannot begin has failed")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use fengsui::accounts::password;
use fengsui_store::ConfigDb;

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_fengsui"))
}

/// `fengsui user …` over a data folder, with a line on stdin.
fn user(data: &Path, args: &[&str], line: &str) -> Output {
    let mut child = program()
        .arg("user")
        .args(args)
        .arg("--data")
        .arg(data)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that asks for nothing may have gone already.
    child.stdin.take().unwrap().write_all(line.as_bytes()).ok();
    child.wait_with_output().unwrap()
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

#[test]
fn people_are_made_listed_changed_and_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("centre");
    let run = |args: &[&str], line: &str| {
        let output = user(&data, args, line);
        (output.status.code(), told(&output))
    };
    let add = ["add", "wang", "--display", "王敏", "--role", "admin"];
    assert_eq!(run(&add, "tank farm at dawn\n").0, Some(0));
    let stored = ConfigDb::open(&data.join("config.db")).unwrap().user("wang").unwrap().unwrap();
    assert!(password::matches("tank farm at dawn", &stored.hash), "the line is the password");
    assert!(!password::matches("tank farm at dawn\n", &stored.hash));

    for (args, line, code, word) in [
        (&add[..], "tank farm at dawn\n", 4, "wang 已存在"),
        (&["add", "li"][..], "short\n", 1, "至少 10"),
        (&["add", "li"][..], "", 1, "至少 10"),
        (&["add", "a b"][..], "tank farm at dawn\n", 1, "1 至 32"),
        (&["disable", "wang"][..], "", 4, "最后一个"),
        (&["disable", "nobody"][..], "", 4, "没有用户 nobody"),
        (&["role", "wang", "king"][..], "", 2, "king"),
        (&["token", "revoke", "7"][..], "", 4, "没有令牌 7"),
    ] {
        let (got, text) = run(args, line);
        assert_eq!(got, Some(code), "{args:?}: {text}");
        assert!(text.contains(word), "{args:?}: {text}");
    }
    let (code, text) = run(&["password", "wang", "--generate", "--json"], "");
    assert!(code == Some(0) && text.contains("\"password\":\""), "{text}");
    let (_, token) = run(&["token", "add", "wang", "--label", "test"], "");
    assert!(token.trim().starts_with("fengsui_"), "{token}");
    let (_, list) = run(&["list", "--json"], "");
    assert!(list.contains("王敏") && !list.contains("argon2"), "{list}");
    let (_, list) = run(&["token", "list"], "");
    assert!(list.contains("test") && !list.contains("fengsui_"), "{list}");
}

#[test]
fn a_mistyped_folder_is_not_a_centre_without_people() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("centr");
    for args in [
        &["list"][..],
        &["disable", "wang"],
        &["password", "wang", "--generate"],
        &["token", "list"],
        &["token", "add", "wang"],
    ] {
        let output = user(&data, args, "");
        let text = told(&output);
        assert_eq!(output.status.code(), Some(4), "{args:?}: {text}");
        assert!(text.contains("centr") && text.contains("--data"), "{args:?}: {text}");
        assert!(!data.exists(), "{args:?} made a folder");
    }
}

/// The variable is set for the whole shell, also where the centre's file is meant.
#[test]
fn a_token_in_the_environment_does_not_forbid_the_centres_file() {
    for args in [&["limits", "export"][..], &["limits", "history"], &["roster", "check"]] {
        let mut command = program();
        let output = command
            .args(args)
            .args(["--config", "not-there.toml"])
            .env("FENGSUI_TOKEN", "fengsui_0")
            .output()
            .unwrap();
        let text = told(&output);
        assert!(text.contains("not-there.toml") && !text.contains("--url"), "{args:?}: {text}");
        assert_eq!(output.status.code(), Some(1), "{args:?}: {text}");
    }
}

/// Starts a centre and reads what it says until it listens.
fn begin(config: &Path) -> (Child, String) {
    let mut child =
        program().args(["serve", "--config"]).arg(config).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    for line in BufReader::new(child.stderr.as_mut().unwrap()).lines() {
        let line = line.unwrap();
        said += &line;
        said.push('\n');
        if line.contains("console and API listen") {
            break;
        }
    }
    (child, said)
}

#[test]
fn the_first_start_shows_the_admins_password_once() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("centre.toml");
    let toml = "data = \"centre\"\n[http]\nlisten = \"127.0.0.1:0\"\n[mqtt]\nembedded = \"127.0.0.1:0\"\n[[gateway]]\nid = \"GW-01\"\nlimits = \"limits.csv\"\n";
    std::fs::write(&config, toml).unwrap();
    std::fs::write(folder.path().join("limits.csv"), "tag,kind,limit\nTK-101.LT,H,80\n").unwrap();
    let (mut first, said) = begin(&config);
    first.kill().unwrap();
    first.wait().unwrap();
    let line = said.lines().find(|line| line.contains("password")).unwrap_or_default();
    let shown = line.split_whitespace().last().unwrap_or_default();
    let db = ConfigDb::open(&folder.path().join("centre/config.db")).unwrap();
    let admin = db.user("admin").unwrap().unwrap();
    assert!(password::matches(shown, &admin.hash), "{said}");
    drop(db);
    let (mut second, said) = begin(&config);
    second.kill().unwrap();
    second.wait().unwrap();
    assert!(said.contains("listen") && !said.contains("password"), "{said}");
}

#[test]
fn a_damaged_revision_is_exported_with_a_warning_and_not_as_a_success() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("centre.toml");
    let toml = "data = \"centre\"\n[http]\nlisten = \"127.0.0.1:0\"\n[mqtt]\nembedded = \"127.0.0.1:0\"\n[[gateway]]\nid = \"GW-01\"\nlimits = \"limits.csv\"\n";
    std::fs::write(&config, toml).unwrap();
    std::fs::write(folder.path().join("limits.csv"), "tag,kind,limit\nTK-101.LT,H,80\n").unwrap();
    let (mut centre, _) = begin(&config);
    centre.kill().unwrap();
    centre.wait().unwrap();
    let export = |args: &[&str]| {
        let mut export = program();
        export.args(["limits", "export", "--config"]).arg(&config).args(args).output().unwrap()
    };
    let whole = export(&[]);
    assert_eq!(whole.status.code(), Some(0), "{}", told(&whole));
    let raw = rusqlite::Connection::open(folder.path().join("centre/config.db")).unwrap();
    let damage = "DROP TRIGGER limits_revision_stays; UPDATE limits_revision SET csv = replace(csv, '80', '88')";
    raw.execute_batch(damage).unwrap();
    drop(raw);
    let damaged = export(&["--number", "1"]);
    assert_eq!(damaged.status.code(), Some(1), "{}", told(&damaged));
    assert!(String::from_utf8_lossy(&damaged.stdout).contains("88"), "{}", told(&damaged));
    assert!(String::from_utf8_lossy(&damaged.stderr).contains("损坏"), "{}", told(&damaged));
}
