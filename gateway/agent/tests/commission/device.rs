//! A Modbus TCP device of a few units, byte by byte: silent units, exceptions, names.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// One unit. Addresses that it does not have are refused with exception 2.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unit {
    pub(crate) holding: BTreeMap<u16, u16>,
    pub(crate) input: BTreeMap<u16, u16>,
    /// It answers this address and count alone and is silent at anything else.
    pub(crate) only: Option<(u16, u16)>,
    /// Vendor and product, where it knows function 43.
    pub(crate) name: Option<(&'static str, &'static str)>,
}

#[derive(Clone)]
pub(crate) struct Device {
    pub(crate) port: u16,
    units: Arc<Mutex<BTreeMap<u8, Unit>>>,
    asked: Arc<AtomicUsize>,
}

impl Device {
    pub(crate) async fn start(units: impl IntoIterator<Item = (u8, Unit)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let device = Self {
            port: listener.local_addr().unwrap().port(),
            units: Arc::new(Mutex::new(units.into_iter().collect())),
            asked: Arc::default(),
        };
        let serving = device.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(stream));
            }
        });
        device
    }

    /// The same, speaking RTU frames: a converter in front of an RS-485 line.
    pub(crate) async fn start_rtu(units: impl IntoIterator<Item = (u8, Unit)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let device = Self {
            port: listener.local_addr().unwrap().port(),
            units: Arc::new(Mutex::new(units.into_iter().collect())),
            asked: Arc::default(),
        };
        let serving = device.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut frame = [0; 8];
                while stream.read_exact(&mut frame).await.is_ok() {
                    serving.asked.fetch_add(1, Ordering::SeqCst);
                    assert_eq!(crc(&frame[..6]), frame[6..], "{frame:?}");
                    let unit = serving.units.lock().unwrap().get(&frame[0]).cloned();
                    let at = [2, 4].map(|k| u16::from_be_bytes([frame[k], frame[k + 1]]));
                    let unit = unit
                        .filter(|unit| unit.only.is_none_or(|only| at == <[u16; 2]>::from(only)));
                    let Some(unit) = unit else { continue };
                    let mut reply = vec![frame[0]];
                    reply.extend(answer(&unit, &frame[1..6]));
                    reply.extend(crc(&reply));
                    stream.write_all(&reply).await.unwrap();
                }
            }
        });
        device
    }

    pub(crate) fn set(&self, unit: u8, address: u16, words: &[u16]) {
        let mut units = self.units.lock().unwrap();
        let holding = &mut units.get_mut(&unit).unwrap().holding;
        holding.extend((address..).zip(words.iter().copied()));
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    async fn serve(self, mut stream: TcpStream) {
        loop {
            let mut head = [0; 7];
            if stream.read_exact(&mut head).await.is_err() {
                return;
            }
            let length = usize::from(u16::from_be_bytes([head[4], head[5]]));
            let mut pdu = vec![0; length - 1];
            if stream.read_exact(&mut pdu).await.is_err() {
                return;
            }
            self.asked.fetch_add(1, Ordering::SeqCst);
            let unit = self.units.lock().unwrap().get(&head[6]).cloned();
            let at: Vec<u8> = pdu.iter().skip(1).take(4).copied().collect();
            let only = |(first, count): (u16, u16)| {
                at == [first.to_be_bytes(), count.to_be_bytes()].concat()
            };
            let unit = unit.filter(|unit| unit.only.is_none_or(only));
            let Some(unit) = unit else { continue };
            let reply = answer(&unit, &pdu);
            let length = u16::try_from(reply.len() + 1).unwrap().to_be_bytes();
            let message = [&head[..4], &length, &head[6..], &reply].concat();
            if stream.write_all(&message).await.is_err() {
                return;
            }
        }
    }
}

fn answer(unit: &Unit, pdu: &[u8]) -> Vec<u8> {
    let table = match pdu[0] {
        3 => &unit.holding,
        4 => &unit.input,
        43 if unit.name.is_some() => return name(unit.name.unwrap()),
        function => return vec![function | 0x80, 1],
    };
    let first = u16::from_be_bytes([pdu[1], pdu[2]]);
    let count = u16::from_be_bytes([pdu[3], pdu[4]]);
    let words: Option<Vec<u16>> = (first..first + count).map(|a| table.get(&a).copied()).collect();
    match words {
        Some(words) => {
            let mut reply = vec![pdu[0], u8::try_from(words.len() * 2).unwrap()];
            reply.extend(words.iter().flat_map(|word| word.to_be_bytes()));
            reply
        }
        None => vec![pdu[0] | 0x80, 2],
    }
}

fn name((vendor, product): (&str, &str)) -> Vec<u8> {
    let mut reply = vec![43, 14, 1, 1, 0, 0, 2];
    for (number, text) in [(0, vendor), (1, product)] {
        reply.extend([number, u8::try_from(text.len()).unwrap()]);
        reply.extend(text.as_bytes());
    }
    reply
}

/// Modbus over serial line 1.02, 6.2.2.
pub(crate) fn crc(bytes: &[u8]) -> [u8; 2] {
    let mut crc = 0xffff_u16;
    for byte in bytes {
        crc ^= u16::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xa001 } else { crc >> 1 };
        }
    }
    crc.to_le_bytes()
}
