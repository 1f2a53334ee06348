//! The line to a device that a person names on the command line, or that the site file names.

use std::time::Duration;

use clap::Args;
use fengsui_scan::{Link, Outcome, ReadRequest, Reply, parse_reply, request_pdu};

use super::mbap::{Mbap, Trouble};
use crate::clock::Clock;

/// Which line.
#[derive(Args, Clone, Debug)]
#[group(required = true, multiple = false)]
pub struct LineArgs {
    /// Modbus TCP 设备 | Modbus TCP device
    #[arg(long, value_name = "HOST:PORT", value_parser = endpoint)]
    pub tcp: Option<(String, u16)>,
}

/// Reads `host`, `host:port` or `[v6]:port`; the port is 502 where none is given.
fn endpoint(text: &str) -> Result<(String, u16), String> {
    let bad = || {
        format!(
            "{text:?} 应写成 主机:端口，例如 192.168.1.20:502 | write HOST:PORT, like 192.168.1.20:502"
        )
    };
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, port),
        Some(_) | None => (text, "502"),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(bad)?;
    if host.is_empty() { Err(bad()) } else { Ok((host.to_owned(), port)) }
}

/// What one request brought.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    pub(super) outcome: Outcome,
    pub(super) rtt: Duration,
}

/// One line, owned by whoever asks over it.
pub(super) enum Line {
    /// Modbus TCP.
    Tcp(Mbap),
}

impl LineArgs {
    pub(super) fn open(&self) -> Line {
        let (host, port) = self.tcp.as_ref().map_or(("", 0), |(host, port)| (host, *port));
        Line::Tcp(Mbap::new(host, port))
    }

    /// For people.
    pub(super) fn name(&self) -> String {
        self.tcp.as_ref().map_or_else(String::new, |(host, port)| format!("tcp {host}:{port}"))
    }
}

impl Line {
    /// The line of a device in a site file.
    pub(super) fn of(link: &Link) -> Self {
        match link {
            Link::ModbusTcp { host, port } => Self::Tcp(Mbap::new(host, *port)),
        }
    }

    /// Opens the line, where that can be known before the first request.
    ///
    /// # Errors
    /// What the system said.
    pub(super) async fn open(&mut self) -> Result<(), String> {
        match self {
            Self::Tcp(mbap) => mbap.connect().await.map_err(|trouble| said(&trouble)),
        }
    }

    /// Reads once.
    pub(super) async fn ask(
        &mut self,
        clock: &Clock,
        unit: u8,
        request: ReadRequest,
        patience: Duration,
    ) -> Heard {
        let began = clock.running();
        let outcome = match self {
            Self::Tcp(mbap) => {
                let answer = mbap.exchange(unit, &request_pdu(request), patience).await;
                outcome_of(request, answer)
            }
        };
        Heard { outcome, rtt: clock.running().saturating_sub(began) }
    }
}

fn said(trouble: &Trouble) -> String {
    match trouble {
        Trouble::Unreachable(why) | Trouble::Lost(why) | Trouble::Foreign(why) => why.clone(),
        Trouble::Timeout => "no answer".to_owned(),
    }
}

fn outcome_of(request: ReadRequest, answer: Result<Vec<u8>, Trouble>) -> Outcome {
    match answer {
        Ok(pdu) => match parse_reply(request, &pdu) {
            Ok(Reply::Data(payload)) => Outcome::Data(payload),
            Ok(Reply::Exception(code)) => Outcome::Exception(code),
            Err(_) => Outcome::BadFrame,
        },
        Err(Trouble::Unreachable(_)) => Outcome::Unreachable,
        Err(Trouble::Timeout) => Outcome::Timeout,
        Err(Trouble::Lost(_)) => Outcome::Lost,
        Err(Trouble::Foreign(_)) => Outcome::BadFrame,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_read_as_people_write_it() {
        let at = |host: &str, port| Ok((host.to_owned(), port));
        assert_eq!(endpoint("192.168.1.20:1502"), at("192.168.1.20", 1502));
        assert_eq!(endpoint("gas-controller"), at("gas-controller", 502));
        assert_eq!(endpoint("[fe80::1]:503"), at("fe80::1", 503));
        assert_eq!(endpoint("fe80::1"), at("fe80::1", 502));
        for bad in ["", ":502", "plc:", "plc:0", "plc:70000", "plc:x"] {
            assert!(endpoint(bad).is_err(), "{bad}");
        }
    }
}
