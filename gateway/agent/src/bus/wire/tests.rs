//! Replies over TCP that nobody asked for yet: neither the running gateway nor a person who tries
//! things out takes them for an answer.

use super::*;
use crate::bus::mbap::Mbap;
use fengsui_scan::{Function, Payload, Reply, parse_reply, request_pdu};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

const ASK: ReadRequest = ReadRequest { function: Function::Holding, first: 10, count: 1 };
const PATIENCE: Duration = Duration::from_millis(500);
const TRUTH: u16 = 11;
const FORGED: u16 = 999;

fn reply(transaction: u16, value: u16) -> Vec<u8> {
    let ([t1, t0], [v1, v0]) = (transaction.to_be_bytes(), value.to_be_bytes());
    vec![t1, t0, 0, 0, 0, 5, 1, 3, 2, v1, v0]
}

async fn number(stream: &mut TcpStream) -> Option<u16> {
    let mut ask = [0; 12];
    stream.read_exact(&mut ask).await.ok()?;
    Some(u16::from_be_bytes([ask[0], ask[1]]))
}

/// How one connection is treated, and what is told of it.
#[derive(Clone, Copy)]
enum Way {
    /// The answer, and the next one before it is asked for.
    Ahead,
    /// Every reply that there may be, before the first question.
    Greeting,
    Honest,
}

/// Serves one connection after the other in these ways, the last one for ever; says the number of
/// each transaction, and 0 when it has sent what nobody asked for.
async fn device(ways: &'static [Way]) -> (u16, mpsc::Receiver<u16>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (told, heard) = mpsc::channel(64);
    tokio::spawn(async move {
        let ways = ways.iter().chain(std::iter::repeat(ways.last().unwrap()));
        for way in ways {
            let (mut stream, _) = listener.accept().await.unwrap();
            if matches!(way, Way::Greeting) {
                stream.write_all(&reply(1, FORGED)).await.unwrap();
                told.send(0).await.unwrap();
            }
            while let Some(asked) = number(&mut stream).await {
                told.send(asked).await.unwrap();
                stream.write_all(&reply(asked, TRUTH)).await.unwrap();
                if matches!(way, Way::Ahead) {
                    stream.write_all(&reply(asked.wrapping_add(1), FORGED)).await.unwrap();
                    told.send(0).await.unwrap();
                }
            }
        }
    });
    (port, heard)
}

/// Whoever asks over TCP.
enum Asker {
    Gateway(Wire),
    Person(Mbap),
}

impl Asker {
    fn both(port: u16) -> [Self; 2] {
        let host = "127.0.0.1";
        {
            let clock = Clock::start();
            let person = Self::Person(Mbap::new(host, port, clock));
            [Self::Gateway(Wire::tcp(host, port, clock)), person]
        }
    }

    /// The register, or none where the exchange failed.
    async fn ask(&mut self) -> Option<u16> {
        let payload = match self {
            Self::Gateway(wire) => match wire.transact(1, ASK, PATIENCE).await.outcome {
                Outcome::Data(payload) => payload,
                Outcome::Exception(_)
                | Outcome::Timeout
                | Outcome::BadFrame
                | Outcome::Lost
                | Outcome::Unreachable => return None,
            },
            Self::Person(mbap) => {
                let pdu = mbap.exchange(1, &request_pdu(ASK), PATIENCE).await.ok()?;
                match parse_reply(ASK, &pdu).unwrap() {
                    Reply::Data(payload) => payload,
                    Reply::Exception(code) => panic!("exception {code}"),
                }
            }
        };
        match payload {
            Payload::Words(words) => words.first().copied(),
            Payload::Bits(_) => panic!("bits"),
        }
    }
}

#[tokio::test]
async fn a_reply_that_came_before_its_request_is_nobodys_answer() {
    for place in 0..2 {
        let (port, mut told) = device(&[Way::Ahead, Way::Honest]).await;
        let asker = &mut Asker::both(port)[place];
        assert_eq!(asker.ask().await, Some(TRUTH));
        let first = told.recv().await.unwrap();
        assert_eq!(told.recv().await, Some(0), "the forged reply lies in the socket");
        assert_eq!(asker.ask().await, Some(TRUTH), "asked again on a new connection");
        let second = told.recv().await.unwrap();
        assert_ne!(second, first.wrapping_add(1));
    }
}

#[tokio::test]
async fn a_device_that_speaks_before_it_is_asked_is_not_believed() {
    for place in 0..2 {
        let (port, mut told) = device(&[Way::Greeting, Way::Honest]).await;
        let asker = &mut Asker::both(port)[place];
        let said = asker.ask().await;
        assert_ne!(said, Some(FORGED));
        assert_eq!(told.recv().await, Some(0));
        assert_eq!(asker.ask().await, Some(TRUTH));
    }
}

#[tokio::test]
async fn transaction_numbers_begin_anywhere_and_do_not_count_by_one() {
    for place in 0..2 {
        let (port, mut told) = device(&[Way::Honest]).await;
        let mut firsts = Vec::new();
        for _ in 0..4 {
            let asker = &mut Asker::both(port)[place];
            let mut numbers = Vec::new();
            for _ in 0..3 {
                assert_eq!(asker.ask().await, Some(TRUTH));
                numbers.push(told.recv().await.unwrap());
            }
            assert_ne!(numbers[1], numbers[0].wrapping_add(1), "{numbers:?}");
            assert!(numbers[2] != numbers[1] && numbers[2] != numbers[0], "{numbers:?}");
            firsts.push(numbers[0]);
        }
        firsts.dedup();
        assert!(firsts.len() > 1, "{firsts:?}");
    }
}
