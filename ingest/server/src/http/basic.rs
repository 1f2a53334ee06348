//! The page without script: for old browsers, for a broken bundle, for a phone at three at night.

use std::fmt::Write as _;

use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::{Extension, Form};
use serde::Deserialize;

use super::{App, ack, login};
use crate::accounts::{Credential, Identity, Peer, Refusal, Role, secret};
use crate::clock;
use crate::desk::{Look, look};
use crate::view::AlarmRow;

/// What the log-in form is for.
const LOG_IN: &str = "log in";
/// Rows on the page; more are counted, not shown.
const ROWS_MAX: usize = 200;

pub(super) async fn page(
    State(app): State<App>,
    who: Option<Extension<Identity>>,
    credential: Option<Extension<Credential>>,
) -> Response {
    let Some(Extension(who)) = who else { return log_in_page(&app, StatusCode::OK, "") };
    let reader = Reader { proof: proof_of(&app, credential.map(|Extension(c)| c)), who };
    match look(&app.desk).await {
        Some(look) => Html(render(&app, look, &reader)).into_response(),
        None => super::Problem::unavailable("desk").into_response(),
    }
}

/// Who looks at the page, and what their forms carry.
struct Reader {
    who: Identity,
    proof: String,
}

/// What the forms of one session carry; those of another session do not fit.
fn proof_of(app: &App, credential: Option<Credential>) -> String {
    secret::proof(&app.form_secret, &purpose(credential))
}

fn purpose(credential: Option<Credential>) -> String {
    match credential {
        Some(Credential::Session(hash) | Credential::Token(hash)) => {
            format!("desk {}", secret::hex(&hash))
        }
        None => "desk".to_owned(),
    }
}

fn render(app: &App, mut look: Look, reader: &Reader) -> String {
    look.rows.sort_by_key(|row| {
        (!row.wants_person(), row.facts.0.priority, std::cmp::Reverse(row.known))
    });
    let mut out = String::from(HEAD);
    let now = app.stamp.people(clock::now());
    let proof = look.proof;
    let put = &mut out;
    line(put, &format!("<h1>烽燧 值班台（简版） <small>{now}</small></h1>"));
    let blind: Vec<String> = look
        .gateways
        .iter()
        .filter(|gateway| !gateway.is_online())
        .map(|gateway| format!("{}（{} 点）", escape(&gateway.gateway), gateway.points))
        .collect();
    if !blind.is_empty() {
        line(
            put,
            &format!(
                "<p class=blind>看不见 BLIND：{}。下表不完整，不能视为安全。</p>",
                blind.join("、")
            ),
        );
    }
    let age =
        proof.data_age_ms.map_or("无".to_owned(), |ms| format!("{:.1} 秒", ms as f64 / 1000.0));
    line(
        put,
        &format!(
            "<p>链路 {}/{} 网关在线 · 点位 {}/{} 有数 · 数据龄 {age} · 本页每 10 秒刷新，刷新停止即为断线</p>",
            proof.gateways_online, proof.gateways, proof.reporting, proof.points
        ),
    );
    not_judged(app, put);
    if look.rows.is_empty() {
        let text = if blind.is_empty() && proof.points > 0 && proof.blind == 0 {
            "<p>当前无报警。No alarms; every point reports.</p>"
        } else {
            "<p class=blind>没有收到报警，但并非所有点位都看得见。No alarm was heard, but not every point is seen.</p>"
        };
        line(put, text);
    } else {
        line(
            put,
            "<table><thead><tr><th>级<th>状态<th>单位/部位<th>位号<th>内容<th>值/限值<th>发生<th>知悉<th></tr></thead><tbody>",
        );
        for row in look.rows.iter().take(ROWS_MAX) {
            line(put, &row_html(app, row, reader));
        }
        line(put, "</tbody></table>");
        if look.rows.len() > ROWS_MAX {
            line(
                put,
                &format!("<p>另有 {} 条未列出 / more not shown</p>", look.rows.len() - ROWS_MAX),
            );
        }
    }
    line(
        put,
        &format!(
            "<form method=post action=/basic/logout class=who>{}（{}） <input type=hidden name=secret value=\"{}\"><button>退出 Log out</button></form>",
            escape(&reader.who.display),
            reader.who.role.people(),
            reader.proof
        ),
    );
    line(put, "</body></html>");
    out
}

/// Limits that nobody judges as they are meant: no quiet may be believed there.
fn not_judged(app: &App, out: &mut String) {
    let lines = super::misfits::lines(&app.registry.borrow());
    if lines.is_empty() {
        return;
    }
    line(
        out,
        "<div class=blind>以下限值未按原意判断，其测点视为看不见；请改正后用 fengsui limits import 提交。 These limits are not judged as they are meant: mend and import them.<ul>",
    );
    for text in lines {
        line(out, &format!("<li>{}", escape(&text)));
    }
    line(out, "</ul></div>");
}

fn line(out: &mut String, text: &str) {
    writeln!(out, "{text}").expect("writing to a String cannot fail");
}

fn row_html(app: &App, row: &AlarmRow, reader: &Reader) -> String {
    let facts = row.facts.0.as_ref();
    let (shape, colour) = match facts.priority {
        1 => ("◆1红", "p1"),
        2 => ("▲2橙", "p2"),
        3 => ("■3黄", "p3"),
        _ => ("●4蓝", "p4"),
    };
    let number = |value: Option<f64>| value.map_or("—".to_owned(), |value| value.to_string());
    let time = |at: Option<fengsui_telemetry::TimeMs>| {
        at.map_or("—".to_owned(), |at| app.stamp.people(at))
    };
    let late = if row.late { " 迟到" } else { "" };
    let unjudged = if facts.unjudged { " 不再判断" } else { "" };
    let unrecorded = if row.recorded { "" } else { " 未入账" };
    let button = if row.wants_person() && reader.who.may(Role::Operator) {
        format!(
            "<form method=post><input type=hidden name=alarm value=\"{}\"><input type=hidden name=occurrence value={}><input type=hidden name=request value=\"basic-{}\"><input type=hidden name=secret value=\"{}\">{}<button>确认 Ack</button></form>",
            escape(&facts.key),
            row.occurrence,
            clock::now(),
            reader.proof,
            if facts.priority <= 2 || row.late { PHRASES } else { "" }
        )
    } else {
        escape(row.acked_by.as_deref().unwrap_or(""))
    };
    format!(
        "<tr><td class={colour}>{shape}<td>{}{late}{unjudged}{unrecorded}<td>{} {}<td>{}<td>{} {}<td>{} / {} {}<td>{}<td>{}<td>{button}</tr>",
        state_zh(row),
        escape(&facts.enterprise),
        escape(&facts.equipment),
        escape(if facts.tag.is_empty() { &facts.gateway } else { &facts.tag }),
        escape(&facts.name),
        kind_zh(facts.kind),
        number(row.value),
        number(facts.limit),
        escape(&facts.unit),
        time(row.te_on),
        time(Some(row.known)),
    )
}

fn state_zh(row: &AlarmRow) -> &'static str {
    match row.state {
        "unack" => "未确认",
        "acked" if row.acked_by.is_none() => "无需确认",
        "acked" => "已确认",
        "rtn_unack" => "已恢复未确认",
        "latched_unack" => "锁存未确认",
        "latched_acked" => "锁存已确认",
        "shelved" => "搁置",
        "suppressed" => "设计抑制",
        "oos" => "停用",
        _ => "正常",
    }
}

fn kind_zh(kind: &str) -> &'static str {
    match kind {
        "hh" => "高高",
        "h" => "高",
        "l" => "低",
        "ll" => "低低",
        "stale" => "数据中断",
        "gateway_offline" => "网关离线",
        "unset" => "限值未设或不能判断",
        _ => "报警",
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// What is said of urgent and late alarms: this page loads anew too often for writing.
const PHRASES: &str = "<select name=comment aria-label=\"备注 Comment\"><option value=\"\">备注 Comment…<option>已通知现场<option>正在核实<option>已派人处理<option>仪表故障，已报修</select>";

#[derive(Deserialize)]
pub(super) struct AckForm {
    alarm: String,
    occurrence: u64,
    request: String,
    #[serde(default)]
    comment: String,
    #[serde(default)]
    secret: String,
}

pub(super) async fn acknowledge(
    State(app): State<App>,
    Extension(who): Extension<Identity>,
    credential: Option<Extension<Credential>>,
    form: Result<Form<AckForm>, FormRejection>,
) -> Response {
    let Form(form) = match form {
        Ok(form) => form,
        Err(fault) => return unusable(&fault),
    };
    if !proves(&app, credential, &form.secret) {
        let text = format!(
            "{HEAD}<p class=blind>此页已过期，未确认。<a href=/basic>重新打开</a> This page is old; nothing was acknowledged.</p></body></html>"
        );
        return (StatusCode::FORBIDDEN, Html(text)).into_response();
    }
    let ask = ack::Ask { comment: &form.comment, request: &form.request, by: &who };
    match ack::one(&app, &form.alarm, (form.occurrence, None), ask).await {
        Ok(done) if done.outcome != "acknowledged" => {
            let text = format!(
                "{HEAD}<p class=blind role=alert>{}</p><p><a href=/basic>返回 Back</a></p></body></html>",
                escape(&done.why)
            );
            (StatusCode::CONFLICT, Html(text)).into_response()
        }
        Ok(_) => Redirect::to("/basic").into_response(),
        Err(silence) => silence.problem().into_response(),
    }
}

/// A form that lacks a field, or was sent by something else than this page.
fn unusable(fault: &FormRejection) -> Response {
    let text = format!(
        "{HEAD}<p class=blind role=alert>表单不完整或无法使用，没有执行任何操作；请返回后重试。The form cannot be used; nothing was done. {}</p><p><a href=/basic>返回 Back</a></p></body></html>",
        escape(&fault.body_text())
    );
    (fault.status(), Html(text)).into_response()
}

fn proves(app: &App, credential: Option<Extension<Credential>>, given: &str) -> bool {
    let purpose = purpose(credential.map(|Extension(credential)| credential));
    secret::proves(&app.form_secret, &purpose, given)
}

fn log_in_page(app: &App, status: StatusCode, why: &str) -> Response {
    let proof = secret::proof(&app.form_secret, LOG_IN);
    let head = HEAD.replace("<meta http-equiv=\"refresh\" content=\"10\">", "");
    let why =
        if why.is_empty() { String::new() } else { format!("<p class=blind role=alert>{why}</p>") };
    let text = format!(
        "{head}<h1>烽燧 登录 <small>Log in</small></h1>{why}<form method=post action=/basic/login><p><label>用户名 Name<br><input name=name autocomplete=username required autofocus></label><p><label>密码 Password<br><input name=password type=password autocomplete=current-password required></label><input type=hidden name=secret value=\"{proof}\"><p><button>登录 Log in</button></form></body></html>"
    );
    (status, [(header::CACHE_CONTROL, "no-store")], Html(text)).into_response()
}

#[derive(Deserialize)]
pub(super) struct LogInForm {
    name: String,
    password: String,
    #[serde(default)]
    secret: String,
}

pub(super) async fn log_in(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    form: Result<Form<LogInForm>, FormRejection>,
) -> Response {
    let Form(form) = match form {
        Ok(form) => form,
        Err(fault) => return unusable(&fault),
    };
    if !secret::proves(&app.form_secret, LOG_IN, &form.secret) {
        let why = "此页已过期，请再登录一次。This page is old; log in again.";
        return log_in_page(&app, StatusCode::FORBIDDEN, why);
    }
    match app.accounts.log_in(&form.name, &form.password, peer).await {
        Ok((text, _)) => {
            let mut response = Redirect::to("/basic").into_response();
            login::set_cookie(&app, peer, &text, &mut response);
            response
        }
        Err(refusal) => {
            let (status, why) = match refusal {
                Refusal::Wrong => (
                    StatusCode::UNAUTHORIZED,
                    "用户名或密码不对。Name or password is wrong.".to_owned(),
                ),
                Refusal::Wait(span) => {
                    let seconds = span.as_secs() + 1;
                    let why =
                        format!("尝试过于频繁，{seconds} 秒后再试。Try again in {seconds} s.");
                    (StatusCode::TOO_MANY_REQUESTS, why)
                }
                Refusal::Unavailable(why) => (StatusCode::SERVICE_UNAVAILABLE, escape(&why)),
            };
            log_in_page(&app, status, &why)
        }
    }
}

#[derive(Deserialize)]
pub(super) struct LogOutForm {
    #[serde(default)]
    secret: String,
}

pub(super) async fn log_out(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    who: Option<Extension<Identity>>,
    credential: Option<Extension<Credential>>,
    form: Result<Form<LogOutForm>, FormRejection>,
) -> Response {
    let Form(form) = match form {
        Ok(form) => form,
        Err(fault) => return unusable(&fault),
    };
    let mut response = Redirect::to("/basic").into_response();
    if proves(&app, credential, &form.secret) {
        if let Err(refusal) = login::end(&app, peer, who, credential).await {
            return login::refused(&refusal, false);
        }
        login::clear_cookie(&app, peer, &mut response);
    }
    response
}

const HEAD: &str = r#"<!doctype html><html lang="zh-CN"><head><meta charset="utf-8">
<meta http-equiv="refresh" content="10"><meta name="viewport" content="width=device-width">
<title>烽燧 值班台（简版）</title><style>
body{font:15px/1.5 "Noto Sans CJK SC","Microsoft YaHei",sans-serif;background:#e4e4e0;color:#1c1c1a;margin:12px}
table{border-collapse:collapse;background:#f7f7f5;width:100%}td,th{border:1px solid #aaa;padding:3px 6px;text-align:left}
form{margin:0}.p1{background:#9b0a14;color:#fff}.p2{background:#e07b00}.p3{background:#ffe97a}.p4{background:#0f4aa8;color:#fff}
.blind{border:3px double #6a4c93;padding:6px;background:repeating-linear-gradient(45deg,#e4e4e0 0 8px,#d8d0e4 8px 16px);font-weight:bold}
</style></head><body>"#;
