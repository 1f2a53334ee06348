//! A reader against devices that behave badly, and readers that fail.

use super::*;
use fengsui_scan::{Function, Outcome, Payload, ReadRequest, Site};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const ASK: ReadRequest = ReadRequest { function: Function::Holding, first: 10, count: 2 };

const PATIENCE: Duration = Duration::from_millis(60);

fn device(port: u16) -> (Device, Vec<Mapping>) {
    let site = format!(
        "[site]\nenterprise='示例'\ngateway='GW-01'\npoints='p'\nlimits='l'\n[[installation]]\n\
         name='a'\nkind='k'\n[[device]]\nname='plc'\nkind='modbus-tcp'\nhost='127.0.0.1'\n\
         port={port}\ntimeout_ms=60\n"
    );
    let points = "h\ntag,name,installation,signal,unit,low,high,device,function,address,type,\
                  period_ms\nA,n,a,s,u,0,9,plc,holding,10,u16,100\n";
    let site = Site::load("site", &site, &mut |_| Ok(points.to_owned())).unwrap();
    (site.devices[0].clone(), site.mappings_of(0))
}

/// Answers the first request of each connection with what `reply` makes of its header; then
/// properly.
async fn bad_device(reply: fn(&[u8]) -> Option<Vec<u8>>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut first = true;
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut ask = [0; 12];
            while stream.read_exact(&mut ask).await.is_ok() {
                let mut good = ask[..4].to_vec();
                good.extend([0, 7, ask[6], ask[7], 4, 0, 10, 0, 11]);
                let bytes = if std::mem::take(&mut first) { reply(&ask) } else { Some(good) };
                match bytes {
                    Some(bytes) => stream.write_all(&bytes).await.unwrap(),
                    None => break,
                }
            }
        }
    });
    port
}

/// What a bad first reply is taken for; the second request must then get the right answer.
async fn check(reply: fn(&[u8]) -> Option<Vec<u8>>, expected: Outcome) {
    let (device, _) = device(bad_device(reply).await);
    let Link::ModbusTcp { host, port } = &device.link else { panic!("not over TCP") };
    let mut link = tcp::Tcp::new(host, *port, Clock::start());
    assert_eq!(link.transact(1, ASK, PATIENCE.into()).await.0, expected);
    let good = Outcome::Data(Payload::Words(vec![10, 11]));
    assert_eq!(link.transact(1, ASK, PATIENCE.into()).await.0, good, "after {expected:?}");
    assert_eq!(link.transact(1, ASK, PATIENCE.into()).await.0, good, "on a kept connection");
}

fn reply(ask: &[u8], tail: &[u8]) -> Vec<u8> {
    let mut bytes = ask[..4].to_vec();
    bytes.extend(u16::try_from(tail.len()).unwrap().to_be_bytes());
    bytes.extend(tail);
    bytes
}

#[tokio::test]
async fn no_bad_reply_becomes_a_value_and_the_next_is_right() {
    check(|ask| Some(reply(ask, &[1, 0x83, 2])), Outcome::Exception(2)).await;
    // Nothing within the deadline.
    check(|_| Some(vec![]), Outcome::Timeout).await;
    check(|ask| Some(ask[..5].to_vec()), Outcome::Timeout).await;
    // The device hangs up.
    check(|_| None, Outcome::Lost).await;
    // Another count of registers than asked for.
    check(|ask| Some(reply(ask, &[1, 3, 2, 0, 9])), Outcome::BadFrame).await;
    check(|ask| Some(reply(ask, &[1, 3, 6, 0, 9, 0, 9, 0, 9])), Outcome::BadFrame).await;
    // Another function, another unit, another transaction.
    check(|ask| Some(reply(ask, &[1, 4, 4, 0, 9, 0, 9])), Outcome::BadFrame).await;
    check(|ask| Some(reply(ask, &[2, 3, 4, 0, 9, 0, 9])), Outcome::BadFrame).await;
    check(
        |ask| {
            let mut bytes = reply(ask, &[1, 3, 4, 0, 9, 0, 9]);
            bytes[0] ^= 0x55;
            Some(bytes)
        },
        Outcome::BadFrame,
    )
    .await;
}

/// A converter for one connection refuses the next one until it has noticed the end of the last.
#[tokio::test]
async fn a_connection_that_is_refused_right_behind_the_last_is_asked_for_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut link = tcp::Tcp::new("127.0.0.1", address.port(), Clock::start());
    let patience = Duration::from_secs(5);
    let silent = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut ask = [0; 12];
        stream.read_exact(&mut ask).await.unwrap();
        (stream, listener)
    };
    let ((stream, listener), (outcome, _)) =
        tokio::join!(silent, link.transact(1, ASK, PATIENCE.into()));
    assert_eq!(outcome, Outcome::Timeout);
    drop((stream, listener));
    let answered = {
        let asking = link.transact(1, ASK, patience.into());
        tokio::pin!(asking);
        // Refused, and not given up.
        assert!(tokio::time::timeout(PATIENCE, &mut asking).await.is_err());
        let listener = TcpListener::bind(address).await.unwrap();
        let answering = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut ask = [0; 12];
            stream.read_exact(&mut ask).await.unwrap();
            stream.write_all(&reply(&ask, &[1, 3, 4, 0, 10, 0, 11])).await.unwrap();
            stream
        };
        tokio::join!(answering, asking).1.0
    };
    assert_eq!(answered, Outcome::Data(Payload::Words(vec![10, 11])));
    // Where none was dropped lately there is nothing to wait for.
    let mut fresh = tcp::Tcp::new("127.0.0.1", address.port(), Clock::start());
    let (outcome, took) = fresh.transact(1, ASK, patience.into()).await;
    assert!(outcome == Outcome::Unreachable && took < patience, "{outcome:?} {took:?}");
}

/// The first half of one message and another behind it are no answer; the same answer twice is.
#[tokio::test]
async fn an_answer_that_is_pieced_together_of_two_messages_is_none() {
    fn pieced(ask: &[u8], cut: usize) -> Vec<u8> {
        let mut bytes = reply(ask, &[1, 3, 4, 0, 10, 0, 11]);
        let other = reply(&[0x12, 0x34, 0, 0], &[1, 3, 4, 0, 10, 0, 11]);
        bytes.truncate(bytes.len() - cut);
        bytes.extend(other);
        bytes
    }
    check(|ask| Some(pieced(ask, 1)), Outcome::BadFrame).await;
    check(|ask| Some(pieced(ask, 3)), Outcome::BadFrame).await;
    check(|ask| Some(pieced(ask, 6)), Outcome::BadFrame).await;
    let good = Outcome::Data(Payload::Words(vec![10, 11]));
    check(|ask| Some(reply(ask, &[1, 3, 4, 0, 10, 0, 11]).repeat(2)), good).await;
    let port = bad_device(|ask| Some(pieced(ask, 3))).await;
    let mut person = mbap::Mbap::new("127.0.0.1", port, Clock::start());
    assert!(person.exchange(1, &[3, 0, 10, 0, 2], PATIENCE).await.is_err());
    let next = person.exchange(1, &[3, 0, 10, 0, 2], PATIENCE).await;
    assert_eq!(next.unwrap(), [3, 4, 0, 10, 0, 11]);
}

/// A reload waits for no device that takes long to say nothing.
#[tokio::test]
async fn a_reader_over_tcp_that_waits_for_an_answer_ends_when_it_is_told_to() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (mut device, mappings) = device(listener.local_addr().unwrap().port());
    device.timeout_ms = 60_000;
    let bus = Bus {
        index: 0,
        device,
        mappings: mappings.into(),
        first: watch::channel(Arc::default()).1,
        clock: Clock::start(),
    };
    let (scans, _inbox) = mpsc::channel(8);
    let (end, stop) = watch::channel(false);
    let reader = tokio::spawn(bus.run(scans, stop, None));
    let (mut asked, _) = listener.accept().await.unwrap();
    asked.read_exact(&mut [0; 12]).await.unwrap();
    end.send_replace(true);
    tokio::time::timeout(Duration::from_secs(20), reader).await.expect("it waits").unwrap();
}

#[tokio::test]
async fn a_closed_port_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let mut link = tcp::Tcp::new("127.0.0.1", port, Clock::start());
    assert_eq!(link.transact(1, ASK, PATIENCE.into()).await.0, Outcome::Unreachable);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_fails_makes_its_points_bad_and_begins_again() {
    let (device, mappings) = device(1);
    let scanner = Scanner::new(device, mappings, 0);
    let failed = || {
        vec![Scanned {
            device: 3,
            te: TimeMs(0),
            readings: scanner.all_bad(Fault::ReaderFailed),
            answered: None,
            fault: Some(Fault::ReaderFailed),
            arrears: Arrears::default(),
            clock_off_ms: None,
        }]
    };
    let kept = Kept { name: "plc", clock: Clock::start(), failed: &failed };
    let (scans, mut inbox) = mpsc::channel(8);
    let (_stop, mut stopped) = watch::channel(false);
    let tries = Arc::new(AtomicUsize::new(0));
    let count = tries.clone();
    let reader = move || {
        let count = count.clone();
        async move {
            assert!(count.fetch_add(1, Ordering::SeqCst) >= 2, "a fault in the reader");
        }
    };
    keep(&kept, reader, scans, &mut stopped).await;
    assert_eq!(tries.load(Ordering::SeqCst), 3);
    for _ in 0..2 {
        let said = inbox.recv().await.unwrap();
        assert_eq!(said.readings, [(0, Reading::Bad(Fault::ReaderFailed))]);
        assert_eq!((said.device, said.fault), (3, Some(Fault::ReaderFailed)));
    }
    assert!(inbox.recv().await.is_none());
}

mod endpoint;
mod pause;
