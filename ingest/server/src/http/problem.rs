//! Errors of the API: RFC 9457, with place and mend, in the reader's language.

use axum::extract::OriginalUri;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::guard::Told;
use crate::accounts::Role;

/// As much as is read of what a router says by itself.
const OWN_WORDS_MAX: usize = 4_096;

/// What went wrong with a request.
#[derive(Clone, Debug, Serialize)]
pub struct Problem {
    r#type: String,
    title: String,
    status: u16,
    code: &'static str,
    detail: String,
    #[serde(rename = "where")]
    place: String,
    fix: String,
}

/// Which language the reader asked for first: Chinese, unless English is.
#[must_use]
pub(super) fn wants_english(headers: &HeaderMap) -> bool {
    headers
        .get(header::ACCEPT_LANGUAGE)
        .and_then(|v| v.to_str().ok())
        .is_some_and(|v| v.trim_start().to_ascii_lowercase().starts_with("en"))
}

impl Problem {
    /// A problem in both languages; the title carries both.
    pub fn new(
        status: StatusCode,
        code: &'static str,
        title: &str,
        place: impl Into<String>,
        detail: impl Into<String>,
        fix: &str,
    ) -> Self {
        Self {
            r#type: format!("/help/problems/{}", code.replace('_', "-")),
            title: title.to_owned(),
            status: status.as_u16(),
            code,
            detail: detail.into(),
            place: place.into(),
            fix: fix.to_owned(),
        }
    }

    pub(super) fn no_point(point: &str, english: bool) -> Self {
        let (title, fix) = if english {
            ("no such point", "GET /api/v1/points lists them")
        } else {
            ("没有这个点位", "用 GET /api/v1/points 查看全部点位")
        };
        Self::new(StatusCode::NOT_FOUND, "no_such_point", title, "point", point, fix)
    }

    pub(super) fn bad_field(field: &str, value: &str, english: bool, fix: &str) -> Self {
        let title = if english { "a field cannot be used" } else { "字段无法使用" };
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_field", title, field, value, fix)
    }

    pub(super) fn bad_query(fault: &QueryRejection, english: bool) -> Self {
        let fix =
            "from=2026-11-21T22:14:05%2B08:00&to=1795270445120&buckets=600, after=1&limit=100";
        Self::bad_field("query", &fault.body_text(), english, fix)
    }

    /// A body that cannot be read; one that is too large is never read to its end.
    pub(super) fn bad_body(fault: &JsonRejection, max: usize, english: bool, fix: &str) -> Self {
        if fault.status() != StatusCode::PAYLOAD_TOO_LARGE {
            return Self::bad_field("body", &fault.body_text(), english, fix);
        }
        let kib = max / 1_024;
        let (title, detail, fix) = if english {
            ("the body is too large", format!("more than {kib} KiB"), "send it in parts")
        } else {
            ("请求体过大", format!("超过 {kib} KiB"), "分成几次发送")
        };
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", title, "body", detail, fix)
    }

    pub(super) fn unavailable(what: &str) -> Self {
        let title = "暂时无法应答 / cannot answer now";
        let fix = "稍后重试 / try again";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", title, "server", what, fix)
    }

    pub(super) fn no_demo() -> Self {
        let title = "不是演示环境 / not a demo";
        let fix = "fengsui demo";
        Self::new(StatusCode::NOT_FOUND, "not_a_demo", title, "path", "", fix)
    }

    pub(super) fn foreign_host(host: &str) -> Self {
        let title = "主机名不符 / foreign host name";
        let fix = "用地址或 localhost 打开，或把此名称写入 centre.toml 的 [http] origins / open by address or localhost, or write this name into [http] origins of centre.toml";
        Self::new(StatusCode::MISDIRECTED_REQUEST, "foreign_host", title, "Host", host, fix)
    }

    pub(super) fn foreign_origin() -> Self {
        let title = "来源不符 / foreign origin";
        let fix = "从本服务器的页面操作；经代理时把代理的地址写入 centre.toml 的 [http] origins / act from a page of this server; behind a proxy write its address into [http] origins of centre.toml";
        Self::new(StatusCode::FORBIDDEN, "foreign_origin", title, "Origin", "", fix)
    }

    pub(super) fn log_in_needed() -> Self {
        let title = "请先登录 / log in first";
        let fix = "POST /api/v1/login {\"name\":\"…\",\"password\":\"…\"}, or Authorization: Bearer fengsui_…";
        Self::new(StatusCode::UNAUTHORIZED, "log_in_needed", title, "session", "", fix)
    }

    pub(super) fn role_needed(role: Role) -> Self {
        let title = "权限不足 / your role may not do this";
        let detail = format!("需要 {} / needs {}", role.people(), role.word());
        let fix = "请有此权限的人操作 / ask somebody who may";
        Self::new(StatusCode::FORBIDDEN, "role_needed", title, "role", detail, fix)
    }

    pub(super) fn nobody_may(path: &str) -> Self {
        let title = "没有人有此权限 / nobody may do this";
        let fix = "查看接口路径与方法 / check path and method";
        Self::new(StatusCode::FORBIDDEN, "nobody_may", title, "path", path, fix)
    }

    /// For the audit.
    pub(super) fn told(&self) -> Told {
        let gap = if self.detail.is_empty() { "" } else { ": " };
        Told::refused(format!("{} {}{gap}{}", self.code, self.place, self.detail))
    }

    pub(super) fn code(&self) -> &'static str {
        self.code
    }

    pub(super) fn unmarked() -> Self {
        let title = "缺少请求头 / missing header";
        let fix = "加上请求头 X-Fengsui: 1 / add the header X-Fengsui: 1";
        Self::new(StatusCode::FORBIDDEN, "unmarked_request", title, "X-Fengsui", "", fix)
    }
}

/// What router and extractors refuse by themselves, in the words of the others: a word where a
/// number must be, another method, a body that is too large or of another kind, a handler that
/// takes too long. A header such as `Allow` stays.
pub(super) async fn worded(OriginalUri(uri): OriginalUri, response: Response) -> Response {
    let status = response.status();
    let kind = response.headers().get(header::CONTENT_TYPE);
    let json = kind.is_some_and(|kind| kind.as_bytes().windows(4).any(|part| part == b"json"));
    if json || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let allowed = response.headers().get(header::ALLOW).cloned();
    let bytes = axum::body::to_bytes(response.into_body(), OWN_WORDS_MAX).await.unwrap_or_default();
    let said = String::from_utf8_lossy(&bytes).into_owned();
    let detail = if said.is_empty() { uri.path().to_owned() } else { said };
    let (code, title, place, fix) = match status {
        StatusCode::BAD_REQUEST => (
            "bad_path",
            "路径无法使用 / the path cannot be used",
            "path",
            "编号须为整数，路径须为 UTF-8 / a number must be a whole number, a path UTF-8"
                .to_owned(),
        ),
        StatusCode::METHOD_NOT_ALLOWED => {
            let may = allowed.as_ref().and_then(|value| value.to_str().ok()).unwrap_or("GET");
            let title = "此路径不支持该方法 / not by this method";
            ("method_not_allowed", title, "method", format!("可用 / use {may}"))
        }
        StatusCode::PAYLOAD_TOO_LARGE => (
            "too_large",
            "请求体过大 / the body is too large",
            "body",
            "分成几次 / send it in parts".to_owned(),
        ),
        StatusCode::GATEWAY_TIMEOUT => (
            "too_slow",
            "未能及时应答 / no answer in time",
            "server",
            "缩小范围，或稍后重试 / ask for less, or again later".to_owned(),
        ),
        _ => {
            let title = "请求无法使用 / the request cannot be used";
            ("unusable", title, "request", "按说明修改 / mend it".to_owned())
        }
    };
    let mut problem = Problem::new(status, code, title, place, detail, &fix).into_response();
    if let Some(allowed) = allowed {
        problem.headers_mut().insert(header::ALLOW, allowed);
    }
    problem
}

/// For paths that the API does not have.
pub(super) async fn no_such_path(OriginalUri(uri): OriginalUri) -> Problem {
    let title = "没有这个接口 / no such path";
    let fix = "GET /api/v1/desk";
    Problem::new(StatusCode::NOT_FOUND, "no_such_path", title, "path", uri.path(), fix)
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_string(&self).unwrap_or_default();
        let kind = [(header::CONTENT_TYPE, "application/problem+json")];
        let mut response = (status, kind, body).into_response();
        response.extensions_mut().insert(self.told());
        response
    }
}
