//! The line to a device that a person names on the command line, or that the site file names.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use fengsui_scan::{
    Device, Echo, Link, Outcome, PAUSE_MS_MAX, Parity, ReadRequest, Reply, RtuFault,
    SerialSettings, Site, StopBits, parse_reply, request_pdu,
};

use crate::bus::mbap::{CONNECT, Mbap, Trouble};
use crate::bus::wire::{Pace, Wire};
use crate::clock::Clock;

/// Which line.
#[derive(Args, Clone, Debug)]
pub struct LineArgs {
    #[command(flatten)]
    place: Place,
    /// 波特率 | Baud rate
    #[arg(long, default_value_t = 9_600, value_parser = clap::value_parser!(u32).range(300..=1_000_000))]
    pub(super) baud: u32,
    /// 校验 | Parity
    #[arg(long, default_value = "none")]
    parity: ParityWord,
    /// 停止位 | Stop bits
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=2))]
    stop_bits: u8,
    /// 每次询问之前让设备歇多久 (ms) | Pause before every question, for devices that need one
    #[arg(long, value_name = "MS", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=i64::from(PAUSE_MS_MAX)))]
    pause_ms: u32,
}

#[derive(Args, Clone, Debug)]
#[group(required = true, multiple = false)]
struct Place {
    /// Modbus TCP 设备 | Modbus TCP device
    #[arg(long, value_name = "HOST:PORT", value_parser = endpoint)]
    tcp: Option<(String, u16)>,
    /// 串口 (RS-485) | Serial port
    #[arg(long, value_name = "DEV")]
    serial: Option<PathBuf>,
    /// 串口服务器透传 | RTU frames over TCP, to a converter
    #[arg(long, value_name = "HOST:PORT", value_parser = endpoint)]
    rtu_tcp: Option<(String, u16)>,
}

/// Parity as people write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ParityWord {
    /// No parity: what most instruments come with.
    None,
    /// What the standard asks for.
    Even,
    /// Odd.
    Odd,
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
    /// The line was never quiet: nothing was asked.
    pub(super) is_noise: bool,
}

/// One line, owned by whoever asks over it.
pub(super) enum Line {
    /// Modbus TCP.
    Tcp(Mbap),
    /// RTU: serial, or over TCP.
    Wire(Wire),
}

impl LineArgs {
    fn settings(&self) -> SerialSettings {
        let parity = match self.parity {
            ParityWord::None => Parity::None,
            ParityWord::Even => Parity::Even,
            ParityWord::Odd => Parity::Odd,
        };
        let stop_bits = if self.stop_bits == 2 { StopBits::Two } else { StopBits::One };
        SerialSettings { baud: self.baud, parity, stop_bits }
    }

    /// Opens the line, as far as that can be known before the first request. On a line of RTU
    /// frames a program that was ended just before, with a patience up to this, may have asked: its
    /// answer is nobody's.
    ///
    /// # Errors
    /// What the system said.
    pub(super) async fn open(&self, clock: Clock, patience: Duration) -> Result<Line, String> {
        let Place { tcp, serial, rtu_tcp } = &self.place;
        if let Some((host, port)) = tcp {
            let mut mbap = Mbap::new(host, *port, clock);
            mbap.connect(CONNECT).await.map_err(|trouble| said(&trouble))?;
            return Ok(Line::Tcp(mbap));
        }
        let settings = self.settings();
        if let Some(path) = serial {
            openable(path)?;
            let wire = Wire::serial(path, settings, Echo::None, clock);
            return Ok(Line::Wire(wire.recalling(None, patience)));
        }
        let (host, port) = rtu_tcp.clone().unwrap_or_default();
        let wire = Wire::rtu_tcp(&host, port, settings, clock);
        Ok(Line::Wire(wire.recalling(None, patience)))
    }

    /// How its devices are asked.
    pub(super) fn pace(&self, timeout_ms: u64) -> Pace {
        Pace {
            pause: Duration::from_millis(self.pause_ms.into()),
            patience: Duration::from_millis(timeout_ms),
        }
    }

    /// The same line at another baud rate.
    pub(super) fn at(&self, baud: u32) -> Self {
        Self { baud, ..self.clone() }
    }

    /// Modbus TCP, where nothing is damaged on the way.
    pub(super) fn is_tcp(&self) -> bool {
        self.place.tcp.is_some()
    }

    /// Baud rates mean something here.
    pub(super) fn is_serial(&self) -> bool {
        self.place.serial.is_some()
    }

    /// For people.
    pub(super) fn name(&self) -> String {
        let Place { tcp, serial, rtu_tcp } = &self.place;
        let parity = match self.parity {
            ParityWord::None => 'N',
            ParityWord::Even => 'E',
            ParityWord::Odd => 'O',
        };
        match (tcp, serial, rtu_tcp) {
            (Some((host, port)), _, _) => format!("tcp {host}:{port}"),
            (_, Some(path), _) => {
                format!("{} {} 8{parity}{}", path.display(), self.baud, self.stop_bits)
            }
            (_, _, Some((host, port))) => format!("rtu-tcp {host}:{port}"),
            (None, None, None) => String::new(),
        }
    }
}

/// The port is there and may be used; who opens it next says no more than that it failed.
fn openable(path: &Path) -> Result<(), String> {
    match std::fs::OpenOptions::new().read(true).write(true).open(path) {
        Ok(_) => Ok(()),
        Err(fault) if fault.kind() == std::io::ErrorKind::PermissionDenied => {
            Err(format!("{fault}；把用户加入 dialout 组 / add the user to the group dialout"))
        }
        Err(fault) if fault.kind() == std::io::ErrorKind::ResourceBusy => {
            Err(format!("{fault}；串口被其他程序占用 / another program has the port"))
        }
        Err(fault) => Err(fault.to_string()),
    }
}

impl Line {
    /// The line of a device in a site file.
    pub(super) fn of(site: &Site, device: &Device, clock: Clock) -> Self {
        match &device.link {
            Link::ModbusTcp { host, port } => Self::Tcp(Mbap::new(host, *port, clock)),
            Link::Rtu { bus } => {
                let spec = site.buses.get(*bus).expect("a line that the site was checked to have");
                // Whoever asked just before may have given up on an answer that is still to come.
                let patience = Duration::from_millis(device.timeout_ms.into());
                Self::Wire(Wire::on(spec, clock).recalling(None, patience))
            }
        }
    }

    /// Why it does not open, with the mend; none while it does, and where nothing is known.
    pub(super) fn refusal(&self) -> Option<&str> {
        match self {
            Self::Tcp(mbap) => mbap.name_fault(),
            Self::Wire(wire) => wire.refusal(),
        }
    }

    /// RTU frames, whose answers bear no number.
    pub(super) fn is_rtu(&self) -> bool {
        match self {
            Self::Tcp(_) => false,
            Self::Wire(_) => true,
        }
    }

    /// Reads once.
    pub(super) async fn ask(
        &mut self,
        clock: &Clock,
        unit: u8,
        request: ReadRequest,
        pace: Pace,
    ) -> Heard {
        match self {
            Self::Tcp(mbap) => {
                mbap.rest(pace).await;
                let began = clock.line_us();
                let answer = mbap.exchange(unit, &request_pdu(request), pace.patience).await;
                let rtt = Duration::from_micros(clock.line_us().saturating_sub(began));
                let outcome = outcome_of(request, answer);
                if outcome == Outcome::BadFrame {
                    mbap.close();
                }
                Heard { outcome, rtt, is_noise: false }
            }
            Self::Wire(wire) => {
                let done = wire.transact(unit, request, pace).await;
                let is_noise = done.fault == Some(RtuFault::Noise);
                Heard { outcome: done.outcome, rtt: done.rtt, is_noise }
            }
        }
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
