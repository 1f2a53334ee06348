//! The door, through a real centre on a real port: roles and commands, sessions that end, guesses
//! that get nobody in, and the notes that all of it leaves.

#![expect(clippy::unwrap_used, reason = "a test that cannot begin has failed")]

mod door;

use door::{Door, PASSWORD};
use serde_json::{Value, json};

/// Every command of the API with the least role for it, its body, and what who may gets.
const COMMANDS: [(&str, &str, &str, &str); 17] = [
    ("GET", "/api/v1/desk", "viewer", ""),
    ("GET", "/api/v1/points", "viewer", ""),
    ("GET", "/api/v1/journal", "viewer", ""),
    ("GET", "/api/v1/me", "viewer", ""),
    ("POST", "/api/v1/me/password", "viewer", "{}"),
    (
        "POST",
        "/api/v1/alarms/ack",
        "operator",
        r#"{"acks":[{"alarm":"x","occurrence":1}],"request":"r"}"#,
    ),
    ("POST", "/api/v1/demo/cable", "operator", r#"{"pulled":true}"#),
    ("POST", "/api/v1/demo/fault", "operator", "{}"),
    ("GET", "/api/v1/audit", "engineer", ""),
    ("POST", "/api/v1/limits/none", "engineer", "{}"),
    ("POST", "/api/v1/rosters/none", "engineer", "{}"),
    ("GET", "/api/v1/users", "admin", ""),
    ("POST", "/api/v1/users", "admin", "{}"),
    ("POST", "/api/v1/users/nobody/enable", "admin", "{}"),
    ("GET", "/api/v1/report/day", "viewer", ""),
    ("GET", "/api/v1/online", "viewer", ""),
    ("GET", "/api/v1/blind", "viewer", ""),
];
const ROLES: [&str; 4] = ["viewer", "operator", "engineer", "admin"];

fn rank(role: &str) -> usize {
    ROLES.iter().position(|one| *one == role).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_role_may_what_it_may_and_nothing_else() {
    let door = Door::open().await;
    for role in ROLES {
        let cookie = door.enter(role).await;
        for (method, path, least, body) in COMMANDS {
            let answer = door.ask(method, path, &[("cookie", &cookie)], body).await;
            let may = rank(role) >= rank(least);
            let what = format!("{role} {method} {path}: {} {}", answer.status, answer.body);
            assert_ne!(answer.status, 401, "{what}");
            assert_eq!(answer.code() == "role_needed", !may, "{what}");
            assert_eq!(answer.status == 403, !may, "{what}");
        }
        for (method, path) in [("POST", "/api/v1/wipe"), ("DELETE", "/api/v1/desk"), ("PUT", "/")] {
            let answer = door.ask(method, path, &[("cookie", &cookie)], "{}").await;
            assert_eq!(answer.code(), "nobody_may", "{role} {method} {path}");
        }
    }
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_person_only_the_pages_are_open() {
    let door = Door::open().await;
    for (method, path, _, body) in COMMANDS {
        let answer = door.ask(method, path, &[], body).await;
        assert_eq!((answer.status, answer.code()), (401, "log_in_needed"), "{method} {path}");
        assert!(answer.header("content-type").starts_with("application/problem+json"));
    }
    let stream = door.ask("GET", "/api/v1/stream", &[], "").await;
    assert_eq!((stream.status, stream.code()), (401, "log_in_needed"));
    let basic = door.ask("GET", "/basic", &[], "").await;
    assert!(basic.status == 200 && basic.body.contains("current-password"), "{}", basic.body);
    assert!(!basic.body.contains("GW-01"), "the list is shown to a stranger");
    let ack = "alarm=x&occurrence=1&request=r&secret=";
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let answer = door.ask("POST", "/basic", &form, ack).await;
    assert_eq!((answer.status, answer.header("location")), (303, "/basic"));
    for (path, status) in [("/healthz", 200), ("/metrics", 200), ("/desk", 200)] {
        let answer = door.ask("GET", path, &[], "").await;
        assert!(answer.status == status || answer.status == 307, "{path} {}", answer.status);
    }
    let proxied = [("x-forwarded-for", "203.0.113.9")];
    assert_eq!(door.ask("GET", "/metrics", &proxied, "").await.status, 401, "not from outside");
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_in_gives_a_cookie_that_dies_with_the_log_out() {
    let door = Door::open().await;
    let answer = door.log_in("operator", PASSWORD, &[]).await;
    let cookie = answer.header("set-cookie").to_owned();
    for word in ["fengsui=", "HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(word), "{word} is not in {cookie}");
    }
    assert!(!cookie.contains("Secure"), "a plain page would not send it back");
    let text = cookie.split(';').next().unwrap();
    assert_eq!(door.me(text).await["display"], "operator");
    let mut stream = door.stream(text).await;
    assert!(stream.hears("event: hello").await);

    let marked = [("cookie", text)];
    assert_eq!(door.ask("POST", "/api/v1/logout", &marked, "{}").await.status, 200);
    assert!(stream.ends().await, "the stream goes on after the log-out");
    let stolen = door.ask("GET", "/api/v1/desk", &marked, "").await;
    assert_eq!((stolen.status, stolen.code()), (401, "log_in_needed"), "a stolen cookie lives");
    let again = door.log_in("operator", PASSWORD, &[]).await;
    assert_ne!(again.header("set-cookie").split(';').next().unwrap(), text);

    let https = [("x-forwarded-proto", "https"), ("x-forwarded-for", "198.51.100.4")];
    let answer = door.log_in("operator", PASSWORD, &https).await;
    let cookie = answer.header("set-cookie");
    assert!(cookie.starts_with("__Host-fengsui=") && cookie.contains("; Secure"), "{cookie}");
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_proxy_with_a_name_people_log_in_and_acknowledge() {
    let origins = "origins = [\"https://centre.example.cn\"]";
    let door = Door::open_by("位号,类型,限值\ntag,kind,limit\nTK-101.LT,H,80\n", origins).await;
    let origin = ("origin", "https://centre.example.cn");
    // With the Host as it was, with the port, and rewritten: no word of the scheme in any of them.
    for host in ["centre.example.cn", "centre.example.cn:443", "127.0.0.1:8080"] {
        let by = [("host", host), origin];
        let answer = door.log_in("operator", PASSWORD, &by).await;
        assert_eq!(answer.status, 200, "{host}: {}", answer.body);
        let cookie = answer.header("set-cookie");
        assert!(cookie.starts_with("__Host-fengsui=") && cookie.contains("; Secure"), "{cookie}");
        let cookie = ("cookie", cookie.split(';').next().unwrap());
        let desk = door.ask("GET", "/api/v1/desk", &[("host", host), cookie], "").await;
        assert_eq!(desk.status, 200, "{host}: {}", desk.body);
        let by = [("host", host), origin, cookie];
        let ack = door.ask("POST", "/api/v1/alarms/ack", &by, COMMANDS[5].3).await;
        assert_eq!(ack.status, 200, "{host}");
    }
    let metrics = door.ask("GET", "/metrics", &[("host", "centre.example.cn")], "").await;
    assert_eq!(metrics.status, 401, "a proxy that does not say so is not the machine itself");
    let foreign = [
        ("rebound.example.cn", "http://rebound.example.cn", "foreign_host"),
        ("rebound.example.cn", "https://centre.example.cn", "foreign_host"),
        ("a.centre.example.cn", "https://centre.example.cn", "foreign_host"),
        ("centre.example.cn", "http://centre.example.cn", "foreign_origin"),
        ("centre.example.cn", "https://rebound.example.cn", "foreign_origin"),
        ("127.0.0.1:8080", "https://centre.example.cn:8443", "foreign_origin"),
    ];
    for (host, origin, code) in foreign {
        let answer = door.log_in("operator", PASSWORD, &[("host", host), ("origin", origin)]).await;
        assert_eq!(answer.code(), code, "{host} {origin}");
        assert!(answer.header("set-cookie").is_empty(), "{host} {origin}");
    }
    // By its address it is still the plain server of before.
    assert!(door.enter("operator").await.starts_with("fengsui="));
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_large_is_told_its_limit() {
    let door = Door::open().await;
    let operator = door.enter("operator").await;
    let cookie = [("cookie", operator.as_str())];
    let comment = "x".repeat(300 * 1_024);
    let body = json!({ "acks": [], "comment": comment, "request": "r" }).to_string();
    let answer = door.ask("POST", "/api/v1/alarms/ack", &cookie, &body).await;
    assert_eq!((answer.status, answer.code()), (413, "too_large"), "{}", answer.body);
    assert!(answer.header("content-type").starts_with("application/problem+json"));
    assert!(
        answer.body.contains("超过 256 KiB") && answer.body.contains("分成几次"),
        "{}",
        answer.body
    );
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_a_disabled_user_and_a_lower_role_hold_at_once() {
    let door = Door::open().await;
    let admin = door.enter("admin").await;
    let admin = [("cookie", admin.as_str())];
    let (one, other) = (door.enter("operator").await, door.enter("viewer").await);
    let path = "/api/v1/users/operator/password";
    let answer = door.ask("POST", path, &admin, r#"{"password":"dam crest at noon"}"#).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(door.ask("GET", "/api/v1/me", &[("cookie", &one)], "").await.status, 401);
    assert_eq!(door.log_in("operator", PASSWORD, &[]).await.status, 401);
    assert_eq!(door.log_in("operator", "dam crest at noon", &[]).await.status, 200);

    door.ask("POST", "/api/v1/users/viewer/disable", &admin, "").await;
    assert_eq!(door.ask("GET", "/api/v1/me", &[("cookie", &other)], "").await.status, 401);
    assert_eq!(door.log_in("viewer", PASSWORD, &[]).await.code(), "wrong_password");

    let engineer = door.enter("engineer").await;
    door.ask("POST", "/api/v1/users/engineer/role", &admin, r#"{"role":"viewer"}"#).await;
    assert_eq!(door.me(&engineer).await["role"], "viewer");
    let last = door.ask("POST", "/api/v1/users/admin/disable", &admin, "").await;
    assert_eq!((last.status, last.code()), (409, "last_admin"));
    let weak = door.ask("POST", path, &admin, r#"{"password":"short"}"#).await;
    assert!(weak.status == 422 && !weak.body.contains("short\""), "{}", weak.body);
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_in_and_the_operator_still_works() {
    let door = Door::open().await;
    let operator = door.enter("operator").await;
    let far = [("x-forwarded-for", "203.0.113.9")];
    let mut answers = std::collections::BTreeMap::<u16, u32>::new();
    for n in 0..1_000 {
        let answer = door.log_in("operator", &format!("guess number {n}"), &far).await;
        assert!(answer.header("set-cookie").is_empty());
        *answers.entry(answer.status).or_default() += 1;
    }
    assert_eq!(answers.keys().copied().collect::<Vec<_>>(), [401, 429], "{answers:?}");
    assert!(answers[&401] < 10, "evaluated: {answers:?}");
    // The right password does not help whoever guessed, until the pause is over.
    assert_eq!(door.log_in("operator", PASSWORD, &far).await.status, 429);
    // The operator: at the machine, from another network, and with the session of before.
    assert_eq!(door.log_in("operator", PASSWORD, &[]).await.status, 200);
    let home = [("x-forwarded-for", "198.51.100.4")];
    assert_eq!(door.log_in("operator", PASSWORD, &home).await.status, 200);
    assert_eq!(door.me(&operator).await["name"], "operator");
    // Guesses at the machine itself are all evaluated, and none of them hinders the next.
    for n in 0..20 {
        assert_eq!(door.log_in("operator", &format!("guess number {n}"), &[]).await.status, 401);
    }
    assert_eq!(door.log_in("operator", PASSWORD, &[]).await.status, 200);

    let token = format!("Bearer fengsui_{}", "0".repeat(64));
    let guessed = door.ask("GET", "/api/v1/desk", &[("authorization", &token)], "").await;
    assert_eq!(guessed.status, 401);
    let foreign = [("cookie", operator.as_str()), ("origin", "http://elsewhere.example")];
    let ack = COMMANDS[5].3;
    let answer = door.ask("POST", "/api/v1/alarms/ack", &foreign, ack).await;
    assert_eq!((answer.status, answer.code()), (403, "foreign_origin"));
    let answer = door.ask("POST", "/api/v1/login", &foreign[1..], "{}").await;
    assert_eq!(answer.code(), "foreign_origin", "a foreign page may not log a browser in either");
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_for_programs_and_the_journal_tells_who_did_what() {
    let door = Door::open().await;
    let token = door.token("operator");
    let bearer = [("authorization", token.as_str())];
    let desk = door.ask("GET", "/api/v1/desk", &bearer, "").await;
    let desk: Value = serde_json::from_str(&desk.body).unwrap();
    assert_eq!(desk["user"]["name"], "operator");
    assert_eq!(desk["user"]["role"], "operator");
    door.ask("POST", "/api/v1/alarms/ack", &bearer, COMMANDS[5].3).await;
    door.ask("POST", "/api/v1/users", &bearer, "{}").await;
    for n in 0..30 {
        door.log_in("admin", &format!("guess number {n}"), &[]).await;
    }
    let admin = door.enter("admin").await;
    let admin = [("cookie", admin.as_str())];
    let new = json!({ "name": "wang", "display": "王敏", "role": "viewer" }).to_string();
    let made = door.ask("POST", "/api/v1/users", &admin, &new).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let made: Value = serde_json::from_str(&made.body).unwrap();
    assert_eq!(door.log_in("wang", made["password"].as_str().unwrap(), &[]).await.status, 200);

    let in_by_wang = |row: &Value| row["verb"] == "log_in" && row["login"] == "wang";
    let rows = door.audit(&admin, in_by_wang).await;
    let told = |verb: &str, object: &str, outcome: &str| {
        let fits = |row: &&Value| {
            row["verb"] == verb
                && row["object"].as_str().unwrap().contains(object)
                && row["outcome"] == outcome
        };
        rows.iter().filter(fits).count()
    };
    assert_eq!(told("command", "/alarms/ack", "refused"), 1, "{rows:#?}");
    assert_eq!(told("refused", "POST /api/v1/users", "role_needed"), 1);
    assert_eq!(told("user_add", "wang", "ok"), 1);
    assert_eq!(told("user_add", "operator", "ok"), 1, "what was done before the start as well");
    assert!((1..=5).contains(&told("log_in", "", "wrong")), "thirty guesses are folded");
    let ack = rows.iter().find(|row| row["object"] == "POST /api/v1/alarms/ack").unwrap();
    assert_eq!(ack["by"], "operator");
    assert_eq!(ack["detail"], "x#1 unknown: 没有这个报警 / no such alarm");
    assert!(!rows.iter().any(|row| row.to_string().contains("guess number")), "a password is told");
    assert!(door.journal_is_whole(), "the notes are part of the chain");
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_refused_is_a_problem_and_stands_in_the_audit_with_its_reason() {
    let door = Door::open().await;
    let admin = door.enter("admin").await;
    let admin = [("cookie", admin.as_str())];
    let plain = [admin[0], ("content-type", "text/plain")];
    let big = format!("{{\"comment\":\"{}\"}}", "x".repeat(300 * 1_024));
    for (method, path, headers, body, status, code) in [
        ("POST", "/api/v1/limits", &admin[..], "{}", 405, "method_not_allowed"),
        ("DELETE", "/api/v1/users", &admin[..], "", 405, "method_not_allowed"),
        ("GET", "/api/v1/limits/revisions/two", &admin[..], "", 400, "bad_path"),
        ("GET", "/api/v1/calls/x/y", &admin[..], "", 400, "bad_path"),
        ("GET", "/api/v1/journal?limit=many", &admin[..], "", 422, "bad_field"),
        ("GET", "/api/v1/audit?before=-1", &admin[..], "", 422, "bad_field"),
        ("GET", "/api/v1/calls?open=yes", &admin[..], "", 422, "bad_field"),
        ("POST", "/api/v1/alarms/ack", &admin[..], "{", 422, "bad_field"),
        ("POST", "/api/v1/alarms/shelve", &plain[..], "{}", 422, "bad_field"),
        ("POST", "/api/v1/alarms/reset", &admin[..], "[1]", 422, "bad_field"),
        ("POST", "/api/v1/calls/answer", &admin[..], "null", 422, "bad_field"),
        ("POST", "/api/v1/closure", &admin[..], "{}", 422, "bad_field"),
        ("POST", "/api/v1/limits/propose", &admin[..], "{}", 422, "bad_field"),
        ("POST", "/api/v1/users", &admin[..], "{}", 422, "bad_field"),
        ("POST", "/api/v1/me/password", &admin[..], "{}", 422, "bad_field"),
        ("POST", "/api/v1/alarms/ack", &admin[..], big.as_str(), 413, "too_large"),
        ("GET", "/api/v1/nothing", &admin[..], "", 404, "no_such_path"),
        ("POST", "/api/v1/roster/reload", &admin[..], "", 409, "no_roster"),
    ] {
        let answer = door.ask(method, path, headers, body).await;
        let told = format!("{method} {path}: {} {}", answer.status, answer.body);
        assert_eq!((answer.status, answer.code()), (status, code), "{told}");
        assert_eq!(answer.header("content-type"), "application/problem+json", "{told}");
        if status == 405 {
            assert!(answer.header("allow").contains("GET"), "{told}");
        }
    }
    let shelve =
        json!({ "alarm": "GW-01//OFFLINE", "minutes": 30, "reason": "检修", "request": "s1" });
    let answer = door.ask("POST", "/api/v1/alarms/shelve", &admin, &shelve.to_string()).await;
    assert!(answer.body.contains("\"refused\""), "{}", answer.body);
    let said = |row: &Value| row["detail"].as_str().unwrap_or_default().to_owned();
    let is_shelf = |row: &Value| said(row).contains("GW-01//OFFLINE");
    let rows = door.audit(&admin, is_shelf).await;
    let of = |path: &str| rows.iter().find(|row| row["object"].as_str() == Some(path)).unwrap();
    let shelved = rows.iter().find(|row| is_shelf(row)).unwrap();
    assert_eq!(shelved["outcome"], "refused", "{shelved}");
    assert!(said(shelved).contains(" / "), "with the reason: {shelved}");
    let roster = of("POST /api/v1/roster/reload");
    assert_eq!(roster["outcome"], "refused");
    assert!(roster["detail"].as_str().unwrap().starts_with("no_roster"), "{roster}");
    let failed = |row: &&Value| row["verb"] == "command" && row["outcome"] == "ok";
    assert_eq!(rows.iter().filter(failed).count(), 0, "nothing was done: {rows:#?}");
    door.close().await;
}
