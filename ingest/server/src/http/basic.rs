//! The page without script: for old browsers, for a broken bundle, for a phone at three at night.

use std::fmt::Write as _;

use axum::Form;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::{App, ack};
use crate::clock;
use crate::desk::{Look, look};
use crate::view::AlarmRow;

/// Rows on the page; more are counted, not shown.
const ROWS_MAX: usize = 200;

pub(super) async fn page(State(app): State<App>) -> Response {
    match look(&app.desk).await {
        Some(look) => Html(render(&app, look)).into_response(),
        None => super::Problem::unavailable("desk").into_response(),
    }
}

fn render(app: &App, mut look: Look) -> String {
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
            line(put, &row_html(app, row));
        }
        line(put, "</tbody></table>");
        if look.rows.len() > ROWS_MAX {
            line(
                put,
                &format!("<p>另有 {} 条未列出 / more not shown</p>", look.rows.len() - ROWS_MAX),
            );
        }
    }
    line(put, "</body></html>");
    out
}

fn line(out: &mut String, text: &str) {
    writeln!(out, "{text}").expect("writing to a String cannot fail");
}

fn row_html(app: &App, row: &AlarmRow) -> String {
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
    let unrecorded = if row.recorded { "" } else { " 未入账" };
    let button = if row.wants_person() {
        format!(
            "<form method=post><input type=hidden name=alarm value=\"{}\"><input type=hidden name=occurrence value={}><input type=hidden name=request value=\"basic-{}\"><input type=hidden name=secret value=\"{}\"><button>确认 Ack</button></form>",
            escape(&facts.key),
            row.occurrence,
            clock::now(),
            app.form_secret
        )
    } else {
        escape(row.acked_by.as_deref().unwrap_or(""))
    };
    format!(
        "<tr><td class={colour}>{shape}<td>{}{late}{unrecorded}<td>{} {}<td>{}<td>{} {}<td>{} / {} {}<td>{}<td>{}<td>{button}</tr>",
        state_zh(row.state),
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

fn state_zh(state: &str) -> &'static str {
    match state {
        "unack" => "未确认",
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
        _ => "报警",
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[derive(Deserialize)]
pub(super) struct AckForm {
    alarm: String,
    occurrence: u64,
    request: String,
    #[serde(default)]
    secret: String,
}

pub(super) async fn acknowledge(State(app): State<App>, Form(form): Form<AckForm>) -> Response {
    if form.secret.as_str() != app.form_secret.as_ref() {
        let text = format!(
            "{HEAD}<p class=blind>此页已过期，未确认。<a href=/basic>重新打开</a> This page is old; nothing was acknowledged.</p></body></html>"
        );
        return (StatusCode::FORBIDDEN, Html(text)).into_response();
    }
    match ack::one(&app, &form.alarm, form.occurrence, "", &form.request).await {
        Some(_) => Redirect::to("/basic").into_response(),
        None => super::Problem::unavailable("alarm loop").into_response(),
    }
}

const HEAD: &str = r#"<!doctype html><html lang="zh-CN"><head><meta charset="utf-8">
<meta http-equiv="refresh" content="10"><meta name="viewport" content="width=device-width">
<title>烽燧 值班台（简版）</title><style>
body{font:15px/1.5 "Noto Sans CJK SC","Microsoft YaHei",sans-serif;background:#e4e4e0;color:#1c1c1a;margin:12px}
table{border-collapse:collapse;background:#f7f7f5;width:100%}td,th{border:1px solid #aaa;padding:3px 6px;text-align:left}
form{margin:0}.p1{background:#9b0a14;color:#fff}.p2{background:#e07b00}.p3{background:#ffe97a}.p4{background:#0f4aa8;color:#fff}
.blind{border:3px double #6a4c93;padding:6px;background:repeating-linear-gradient(45deg,#e4e4e0 0 8px,#d8d0e4 8px 16px);font-weight:bold}
</style></head><body>"#;
