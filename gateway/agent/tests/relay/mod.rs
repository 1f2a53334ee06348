//! A level transmitter and a relay module on one RS-485 line, behind a converter that speaks RTU
//! over TCP.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use fengsui_scan::crc16;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const SENSOR: u8 = 1;
const RELAY: u8 = 9;

#[derive(Default)]
struct Cable {
    level: f32,
    asked: usize,
    /// (coil, state), as ordered.
    orders: Vec<(u16, bool)>,
    coils: BTreeMap<u16, bool>,
}

/// What hangs on the line.
#[derive(Clone)]
pub(crate) struct Line {
    pub(crate) port: u16,
    cable: Arc<Mutex<Cable>>,
}

impl Line {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let line = Self { port, cable: Arc::default() };
        let served = line.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(served.clone().serve(stream));
            }
        });
        line
    }

    async fn serve(self, mut stream: TcpStream) {
        let mut frame = [0; 8];
        while stream.read_exact(&mut frame).await.is_ok() {
            assert_eq!(crc16(&frame), 0, "{frame:02x?}");
            let mut reply = self.reply(frame);
            reply.extend(crc16(&reply).to_le_bytes());
            if stream.write_all(&reply).await.is_err() {
                return;
            }
        }
    }

    fn reply(&self, [unit, function, a, b, c, d, ..]: [u8; 8]) -> Vec<u8> {
        let (first, count) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        let mut cable = self.cable.lock().unwrap();
        match (unit, function) {
            (SENSOR, 3) => {
                cable.asked += 1;
                let data: Vec<u8> = cable.level.to_bits().to_be_bytes().into_iter().collect();
                let bytes = usize::from(count) * 2;
                let data = data.into_iter().chain(std::iter::repeat(0)).take(bytes);
                [vec![unit, function, u8::try_from(bytes).unwrap()], data.collect()].concat()
            }
            (RELAY, 5) => {
                cable.orders.push((first, c == 0xff));
                cable.coils.insert(first, c == 0xff);
                vec![unit, function, a, b, c, d]
            }
            (RELAY, 1) => {
                let mut data = vec![0; usize::from(count.div_ceil(8))];
                for (place, coil) in (first..first + count).enumerate() {
                    let on = cable.coils.get(&coil).copied().unwrap_or(false);
                    data[place / 8] |= u8::from(on) << (place % 8);
                }
                [vec![unit, function, u8::try_from(data.len()).unwrap()], data].concat()
            }
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn set(&self, level: f32) {
        self.cable.lock().unwrap().level = level;
    }

    pub(crate) fn asked(&self) -> usize {
        self.cable.lock().unwrap().asked
    }

    pub(crate) fn coil(&self, coil: u16) -> Option<bool> {
        self.cable.lock().unwrap().coils.get(&coil).copied()
    }

    /// What a coil was told, in order.
    pub(crate) fn told(&self, coil: u16) -> Vec<bool> {
        let cable = self.cable.lock().unwrap();
        cable.orders.iter().filter(|(its, _)| *its == coil).map(|(_, on)| *on).collect()
    }
}
