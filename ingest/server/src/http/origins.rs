//! Names under which browsers come: the origins of a proxy before this server.
//!
//! - An address cannot be re-pointed, a name can: only the names written here are ours.
//! - An origin is matched whole, a Host by its name: a proxy may leave out the port.

use axum::http::{HeaderMap, header};

/// Origins at most: a plant has one name, or a few during a move.
pub const ORIGINS_MAX: usize = 16;
const EXAMPLE: &str = "https://centre.example.cn";

/// The origins of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins(Vec<Origin>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    https: bool,
    /// In small letters; an IPv6 address with its brackets.
    name: String,
    port: u16,
}

impl Origins {
    /// Reads the list.
    ///
    /// # Errors
    /// The first that cannot be used: its place, its text and the mend.
    pub fn parse(texts: &[String]) -> Result<Self, String> {
        if texts.len() > ORIGINS_MAX {
            let count = texts.len();
            return Err(format!(
                "{count} 个，最多 {ORIGINS_MAX} 个；请删去不用的  |  {count} origins, at most {ORIGINS_MAX}; remove those that are not used"
            ));
        }
        let read = |(at, text): (usize, &String)| {
            Origin::parse(text).ok_or_else(|| {
                let at = at + 1;
                format!("第 {at} 项 {text:?} 不是“协议://主机[:端口]”；请写成 {EXAMPLE}，结尾不带 /，中文域名写成 xn-- 形式  |  item {at} {text:?} is not SCHEME://HOST[:PORT]; write {EXAMPLE}, without a path or a / at its end, a Chinese name as xn--")
            })
        };
        texts.iter().enumerate().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// True where a Host names one of them, whatever the port.
    pub(super) fn has_host(&self, host: &str) -> bool {
        let name = host_and_port(host).0;
        self.0.iter().any(|origin| origin.name.eq_ignore_ascii_case(name))
    }

    /// True where this is one of them.
    pub(super) fn has(&self, origin: &str) -> bool {
        Origin::parse(origin).is_some_and(|origin| self.0.contains(&origin))
    }

    /// True where one of them is https.
    pub(super) fn any_https(&self) -> bool {
        self.0.iter().any(|origin| origin.https)
    }

    /// True where a request names one of them.
    pub(super) fn come_by(&self, headers: &HeaderMap) -> bool {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        text(header::HOST).is_some_and(|host| self.has_host(host))
            || text(header::ORIGIN).is_some_and(|origin| self.has(origin))
    }

    /// True where a browser comes by an https origin: it says so, or the Host is only that.
    pub(super) fn come_by_https(&self, headers: &HeaderMap) -> bool {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let said = text(header::ORIGIN).and_then(Origin::parse);
        if let Some(said) = said.filter(|said| self.0.contains(said)) {
            return said.https;
        }
        let (name, port) = host_and_port(text(header::HOST).unwrap_or_default());
        let mut same = self.0.iter().filter(|origin| {
            let port = port.is_none_or(|port| port.parse() == Ok(origin.port));
            port && origin.name.eq_ignore_ascii_case(name)
        });
        same.clone().next().is_some() && same.all(|origin| origin.https)
    }
}

impl Origin {
    fn parse(text: &str) -> Option<Self> {
        let (scheme, host) = text.split_once("://")?;
        let https = scheme.eq_ignore_ascii_case("https");
        if !https && !scheme.eq_ignore_ascii_case("http") {
            return None;
        }
        let (name, port) = host_and_port(host);
        let port = match port {
            None => {
                if https {
                    443
                } else {
                    80
                }
            }
            Some(port) => port.parse().ok().filter(|port| *port > 0)?,
        };
        is_name(name).then(|| Self { https, name: name.to_ascii_lowercase(), port })
    }
}

fn is_name(name: &str) -> bool {
    if let Some(address) = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        return address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let part = |part: &str| {
        let letter = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        (1..=63).contains(&part.len()) && part.bytes().all(letter)
    };
    name.len() <= 253 && name.split('.').all(part)
}

/// Name and port of a Host header.
pub(super) fn host_and_port(host: &str) -> (&str, Option<&str>) {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => (name, Some(port)),
        Some(_) | None => (host, None),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn origins(texts: &[&str]) -> Result<Origins, String> {
        Origins::parse(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn what_is_no_origin_is_named_with_its_place() {
        for wrong in [
            "centre.example.cn",
            "ftp://centre.example.cn",
            "https://",
            "https://*.example.cn",
            "https://centre.example.cn/",
            "https://a@b.cn",
            "https://centre.example.cn:0",
            "https://centre.example.cn:",
            "https://中心.cn",
            "https://a..cn",
            "https://[::g]",
            "null",
        ] {
            let fault = origins(&["https://centre.example.cn", wrong]).unwrap_err();
            assert!(fault.starts_with("第 2 项") && fault.contains(EXAMPLE), "{wrong}: {fault}");
        }
        assert!(origins(&[EXAMPLE; ORIGINS_MAX]).is_ok());
        assert!(origins(&[EXAMPLE; ORIGINS_MAX + 1]).unwrap_err().contains("17"));
    }

    #[test]
    fn a_host_is_known_by_its_whole_name_and_an_origin_by_all_of_it() {
        let ours = origins(&["https://Centre.example.cn", "https://[fd00::1]:8443"]).unwrap();
        for host in ["centre.example.cn", "CENTRE.example.cn:443", "[fd00::1]"] {
            assert!(ours.has_host(host), "{host}");
        }
        for host in ["example.cn", "a.centre.example.cn", "centre.example.cn.evil.cn", ""] {
            assert!(!ours.has_host(host), "{host}");
        }
        assert!(ours.has("https://centre.example.cn") && ours.has("https://centre.example.cn:443"));
        for other in ["http://centre.example.cn", "https://centre.example.cn:8443", "null"] {
            assert!(!ours.has(other), "{other}");
        }
    }

    #[test]
    fn a_plain_name_keeps_its_plain_cookie() {
        let both = origins(&["https://a.cn", "http://a.cn:8080"]).unwrap();
        let by = |host: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static(host));
            both.come_by_https(&headers)
        };
        assert!(by("a.cn:443") && !by("a.cn:8080") && !by("127.0.0.1") && !by(""));
    }
}
