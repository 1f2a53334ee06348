//! Two devices of a plant on real Modbus TCP, and a site that reads them.

#![expect(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test fails where it stands; requests are not our enum"
)]

use std::collections::BTreeMap;
use std::future;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fengsui_gateway::Config;
use tokio::net::TcpListener;
use tokio::time::interval;
use tokio_modbus::server::Service;
use tokio_modbus::server::tcp::{Server, accept_tcp_connection};
use tokio_modbus::{ExceptionCode, Request, Response};

#[derive(Default)]
struct Registers {
    words: Mutex<BTreeMap<u16, u16>>,
    asked: AtomicUsize,
    hangs: AtomicBool,
}

#[derive(Clone)]
struct Answering(Arc<Registers>);

impl Service for Answering {
    type Request = Request<'static>;
    type Response = Response;
    type Exception = ExceptionCode;
    type Future = Pin<Box<dyn Future<Output = Result<Response, ExceptionCode>> + Send>>;

    fn call(&self, request: Self::Request) -> Self::Future {
        self.0.asked.fetch_add(1, Ordering::SeqCst);
        if self.0.hangs.load(Ordering::SeqCst) {
            return Box::pin(future::pending());
        }
        let words = self.0.words.lock().unwrap();
        let read = |first: u16, count: u16| {
            (first..first + count).map(|a| words.get(&a).copied().unwrap_or(0)).collect()
        };
        let answer = match request {
            Request::ReadHoldingRegisters(first, count) => {
                Ok(Response::ReadHoldingRegisters(read(first, count)))
            }
            Request::ReadInputRegisters(first, count) => {
                Ok(Response::ReadInputRegisters(read(first, count)))
            }
            _other => Err(ExceptionCode::IllegalFunction),
        };
        Box::pin(future::ready(answer))
    }
}

/// Looks until there is something to see, for twenty seconds.
pub(crate) async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let mut look = interval(Duration::from_millis(10));
    for _ in 0..2_000 {
        if done() {
            return;
        }
        look.tick().await;
    }
    panic!("waited twenty seconds for: {what}");
}

/// One device whose registers a test sets.
pub(crate) struct Device {
    pub(crate) port: u16,
    registers: Arc<Registers>,
}

impl Device {
    pub(crate) async fn start() -> Self {
        let registers = Arc::new(Registers::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = registers.clone();
        tokio::spawn(async move {
            let server = Server::new(listener);
            let connected = |stream, address| {
                let shared = shared.clone();
                async move {
                    let service = Answering(shared);
                    accept_tcp_connection(stream, address, move |_| Ok(Some(service.clone())))
                }
            };
            // A gateway that is killed resets its connections.
            server.serve(&connected, |_reset| {}).await.unwrap();
        });
        Self { port, registers }
    }

    pub(crate) fn set(&self, address: u16, word: u16) {
        self.registers.words.lock().unwrap().insert(address, word);
    }

    pub(crate) fn set_u32(&self, address: u16, value: u32) {
        let mut words = self.registers.words.lock().unwrap();
        words.insert(address, u16::try_from(value >> 16).unwrap());
        words.insert(address + 1, u16::try_from(value & 0xffff).unwrap());
    }

    pub(crate) fn set_f32(&self, address: u16, value: f32) {
        self.set_u32(address, value.to_bits());
    }

    pub(crate) fn asked(&self) -> usize {
        self.registers.asked.load(Ordering::SeqCst)
    }

    /// From now on requests are taken and never answered.
    pub(crate) fn hang(&self) {
        self.registers.hangs.store(true, Ordering::SeqCst);
    }
}

pub(crate) fn write_site(folder: &Path, plc: u16, gas: u16) {
    let device = |name: &str, port: u16| {
        format!(
            "[[device]]\nname='{name}'\nkind='modbus-tcp'\nhost='127.0.0.1'\nport={port}\n\
             timeout_ms=150\n"
        )
    };
    let site = format!(
        "[site]\nenterprise='示例石化有限公司'\ngateway='GW-01'\npoints='points.csv'\n\
         limits='limits.csv'\n[[installation]]\nname='罐区'\nkind='tank_farm'\nhazard_class=3\n{}{}",
        device("plc", plc),
        device("gas", gas)
    );
    let points = "位号\ntag,name,installation,signal,unit,low,high,device,function,address,type,\
                  scale,period_ms\n\
                  TK-101.LT,液位,罐区,level,%,0,100,plc,holding,0,f32,1,40\n\
                  GD-201.AT,可燃气体,罐区,gas_combustible,%LEL,0,100,gas,input,0,u16,0.1,40\n";
    let limits = "位号\ntag,kind,limit,deadband\nTK-101.LT,H,85,1\n";
    let gateway = "site = \"site.toml\"\ndata = \"data\"\n[spool]\ncommit_ms = 20\nmax_mb = 8\n";
    for (name, text) in [
        ("site.toml", site.as_str()),
        ("points.csv", points),
        ("limits.csv", limits),
        ("gateway.toml", gateway),
    ] {
        std::fs::write(folder.join(name), text).unwrap();
    }
}

pub(crate) fn site(folder: &Path, plc: u16, gas: u16) -> Config {
    write_site(folder, plc, gas);
    Config::load(&folder.join("gateway.toml")).unwrap()
}
