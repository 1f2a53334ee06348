//! Lines that misbehave: late, double, cut, foreign, wrong and noisy replies. Every register holds
//! its own address and unit, so a reply taken for another shows in its value.
//!
//! Over a line in memory the line's time is virtual; over a pseudo-terminal pair it is real.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::bus::Memories;
use crate::bus::Scanned;
use crate::bus::shared::{Member, Shared, SharedBus};
use crate::bus::wire::Wire;
use fengsui_scan::{Function, Payload, ReadRequest, RtuFault, Site, crc16};
use fengsui_telemetry::{Fault, Reading};
use tokio::io::{DuplexStream, WriteHalf, duplex, split};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc, watch};
use tokio_serial::SerialStream;

const UNITS: [u8; 3] = [1, 2, 9];
/// First registers of the blocks of one device: two of equal length, one of another.
const BLOCKS: [(u16, u16); 3] = [(100, 4), (300, 4), (500, 7)];
const TIMEOUT_MS: u64 = 60;

fn settings(baud: u32) -> SerialSettings {
    SerialSettings { baud, parity: Parity::None, stop_bits: StopBits::One }
}

fn word(unit: u8, address: u16) -> u16 {
    address ^ (u16::from(unit) << 11)
}

async fn pass(time: Duration) {
    timeout(time, pending::<()>()).await.unwrap_err();
}

/// SplitMix64.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.extend(crc16(&bytes).to_le_bytes());
    bytes
}

fn answer(unit: u8, first: u16, count: u16) -> Vec<u8> {
    let mut bytes = vec![unit, 3, u8::try_from(count * 2).unwrap()];
    let words = (0..count).map(|k| word(unit, first.wrapping_add(k)));
    bytes.extend(words.flat_map(u16::to_be_bytes));
    sealed(bytes)
}

/// What slaves have done to their replies.
#[derive(Default)]
struct Done {
    /// Replies that cannot have been taken.
    spoilt: AtomicU64,
    /// Replies that came twice.
    doubled: AtomicU64,
}

/// What becomes of one reply: (wait before it, ms; its bytes) in order.
fn spoil(
    chance: &mut Chance,
    good: &[u8],
    unit: u8,
    (first, count): (u16, u16),
    done: &Done,
) -> Vec<(u64, Vec<u8>)> {
    let turnaround = 1 + chance.below(8);
    let mut bytes = good.to_vec();
    let kind = chance.below(100);
    if kind >= 14 {
        return vec![(turnaround, bytes)];
    }
    if kind < 2 {
        done.doubled.fetch_add(1, Ordering::SeqCst);
        return vec![(turnaround, bytes.clone()), (chance.below(80), bytes)];
    }
    done.spoilt.fetch_add(1, Ordering::SeqCst);
    match kind {
        2 | 3 => return vec![(TIMEOUT_MS + 60 + chance.below(3 * TIMEOUT_MS), bytes)],
        4 => bytes.clear(),
        5 | 6 => bytes.truncate(1 + usize::try_from(chance.below(good.len() as u64 - 1)).unwrap()),
        7 => bytes = answer(unit ^ 3, first, count),
        8 => bytes = answer(unit, first, count + 1),
        9 => bytes = answer(unit, first, count.max(2) - 1 + u16::from(count == 1) * 2),
        10 => bytes.extend((0..=chance.below(5)).map(low)),
        11 => bytes.insert(0, low(chance.below(256))),
        _ => {
            // One burst of at most 16 bits, which a CRC-16 always finds.
            let at = usize::try_from(chance.below(good.len() as u64)).unwrap();
            bytes[at] ^= 1 + low(chance.below(255));
        }
    }
    vec![(turnaround, bytes)]
}

fn low(number: u64) -> u8 {
    number.to_le_bytes()[0]
}

/// Slaves at the other end. Each does one thing after the other.
async fn slaves<S: AsyncRead + AsyncWrite + Send + 'static>(line: S, seed: u64, done: Arc<Done>) {
    let (mut reader, writer) = split(line);
    let writer = Arc::new(Mutex::new(writer));
    let mut mailboxes = Vec::new();
    for unit in UNITS {
        let (out, inbox) = mpsc::channel(64);
        mailboxes.push(out);
        let chance = Chance(seed ^ u64::from(unit));
        tokio::spawn(slave(unit, inbox, writer.clone(), chance, done.clone()));
    }
    let mut request = [0; 8];
    while reader.read_exact(&mut request).await.is_ok() {
        assert_eq!(crc16(&request), 0, "the master sends whole frames");
        let place = UNITS.iter().position(|unit| *unit == request[0]).unwrap();
        mailboxes[place].send(request).await.unwrap();
    }
}

async fn slave<S: AsyncRead + AsyncWrite + Send>(
    unit: u8,
    mut inbox: mpsc::Receiver<[u8; 8]>,
    writer: Arc<Mutex<WriteHalf<S>>>,
    mut chance: Chance,
    done: Arc<Done>,
) {
    while let Some([_, _, a, b, c, d, _, _]) = inbox.recv().await {
        let (first, count) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        let good = answer(unit, first, count);
        for (wait, bytes) in spoil(&mut chance, &good, unit, (first, count), &done) {
            pass(Duration::from_millis(wait)).await;
            if writer.lock().await.write_all(&bytes).await.is_err() {
                return;
            }
        }
    }
}

fn bus(baud: u32) -> SharedBus {
    let mut text = format!(
        "[site]\nenterprise='示例'\ngateway='GW-01'\npoints='p'\nlimits='l'\n[[installation]]\n\
         name='a'\nkind='k'\n[[bus]]\nname='A'\nkind='modbus-rtu'\npath='/dev/x'\nbaud={baud}\n\
         parity='none'\n"
    );
    let mut sheet = String::from(
        "h\ntag,name,installation,signal,unit,low,high,device,function,address,type,period_ms\n",
    );
    for unit in UNITS {
        text += &format!(
            "[[device]]\nname='s{unit}'\nkind='modbus-rtu'\nbus='A'\nunit={unit}\n\
             timeout_ms={TIMEOUT_MS}\n"
        );
        for (first, count) in BLOCKS {
            for address in first..first + count {
                sheet += &format!(
                    "P-{unit}-{address},n,a,s,u,0,65535,s{unit},holding,{address},u16,20\n"
                );
            }
        }
    }
    let site = Site::load("s", &text, &mut |_| Ok(sheet.clone())).unwrap();
    let member = |index: usize| Member {
        index,
        device: site.devices[index].clone(),
        mappings: site.mappings_of(index).into(),
    };
    SharedBus {
        on: Shared::Bus(site.buses[0].clone()),
        members: (0..UNITS.len()).map(member).collect(),
        first: watch::channel(Arc::default()).1,
        clock: Clock::start(),
        ways: None,
    }
}

/// What every point must read, by its place in the catalogue.
fn truth() -> Vec<f64> {
    let mut all = Vec::new();
    for unit in UNITS {
        for (first, count) in BLOCKS {
            all.extend((first..first + count).map(|address| f64::from(word(unit, address))));
        }
    }
    all
}

#[derive(Debug, Default)]
struct Count {
    scans: u64,
    good: u64,
    bad: u64,
}

/// Takes so many scans and looks at every reading.
async fn look(scans: u64, inbox: &mut mpsc::Receiver<Scanned>) -> Count {
    let (truth, mut count) = (truth(), Count::default());
    while count.scans < scans {
        let scanned = inbox.recv().await.unwrap();
        count.scans += 1;
        if scanned.fault.is_some() {
            assert!(!scanned.readings.is_empty(), "a fault says which points it makes bad");
        }
        for (point, reading) in scanned.readings {
            match reading {
                Reading::Good(value) => {
                    let want = truth[usize::try_from(point).unwrap()];
                    assert!((value - want).abs() < 0.5, "point {point}: {value}, not {want}");
                    assert_eq!(scanned.fault, None);
                }
                Reading::Bad(fault) => {
                    assert!(matches!(fault, Fault::Timeout | Fault::BadFrame), "{fault:?}");
                    assert_eq!(scanned.fault, Some(fault));
                }
                Reading::Uncertain(..) => panic!("{reading:?}"),
            }
        }
        count.good += u64::from(scanned.fault.is_none());
        count.bad += u64::from(scanned.fault.is_some());
    }
    count
}

async fn chaos<A, B>((ours, theirs): (A, B), baud: u32, scans: u64, seed: u64) -> Count
where
    A: Duplex + 'static,
    B: AsyncRead + AsyncWrite + Send + 'static,
{
    let done = Arc::new(Done::default());
    let other = tokio::spawn(slaves(theirs, seed, done.clone()));
    let bus = bus(baud);
    let wire = Wire::Rtu(Box::new(RtuLine::given(Box::new(ours), settings(baud), bus.clock)));
    let (out, mut inbox) = mpsc::channel(1);
    let (_go_on, stop) = watch::channel(false);
    let reader = tokio::spawn(bus.serve((wire, false), out, stop, Memories::default()));
    let count = look(scans, &mut inbox).await;
    reader.abort();
    other.abort();
    let spoilt = done.spoilt.load(Ordering::SeqCst);
    // The replies to one or two questions may still be under way.
    assert!(count.bad + 2 >= spoilt, "seed {seed}: {spoilt} spoilt, {count:?}");
    assert!(
        spoilt * 20 > scans && count.good * 2 > scans,
        "seed {seed}: {spoilt} spoilt, {count:?}"
    );
    assert!(done.doubled.load(Ordering::SeqCst) > 0);
    count
}

/// Reads of one run; all of them take some minutes.
fn reads(usual: u64) -> u64 {
    if std::env::var_os("FENGSUI_FULL").is_some() { 10_000 } else { usual }
}

#[tokio::test(start_paused = true)]
async fn a_line_gone_mad_gives_no_wrong_value() {
    for (baud, seed) in [(9_600, 1), (115_200, 2)] {
        chaos(duplex(4_096), baud, reads(500), seed).await;
    }
}

#[tokio::test]
async fn a_pseudo_terminal_gone_mad_gives_no_wrong_value_at_9600() {
    let count = chaos(SerialStream::pair().unwrap(), 9_600, reads(300), 3).await;
    eprintln!("pseudo-terminal, 9600 baud: {count:?}");
}

#[tokio::test]
async fn a_pseudo_terminal_gone_mad_gives_no_wrong_value_at_115200() {
    let count = chaos(SerialStream::pair().unwrap(), 115_200, reads(300), 4).await;
    eprintln!("pseudo-terminal, 115200 baud: {count:?}");
}

/// The slave of the published reproduction: the first reply takes 300 ms, the others `turnaround`.
async fn late_slave(mut line: DuplexStream, turnaround: Duration) {
    let (mut wait, mut request) = (Duration::from_millis(300), [0; 8]);
    while line.read_exact(&mut request).await.is_ok() {
        let [unit, _, a, b, c, d, _, _] = request;
        pass(wait).await;
        wait = turnaround;
        let reply = answer(unit, u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        if line.write_all(&reply).await.is_err() {
            return;
        }
    }
}

/// Thirty reads with a patience of 200 ms; how many failed.
async fn thirty(wire: &mut Wire, pause: Duration, unit: u8, want: &dyn Fn(u16) -> u16) -> usize {
    let mut failed = 0;
    for k in 1..=30_u16 {
        let (first, count) = (k * 100, if k % 4 == 0 { 2 } else { 1 });
        let ask = ReadRequest { function: Function::Holding, first, count };
        match wire.transact(unit, ask, Duration::from_millis(200)).await.outcome {
            Outcome::Data(payload) => {
                let words = (first..first + count).map(want).collect();
                assert_eq!(payload, Payload::Words(words), "read {k}");
            }
            Outcome::Timeout | Outcome::BadFrame | Outcome::Lost | Outcome::Unreachable => {
                failed += 1;
            }
            Outcome::Exception(code) => panic!("exception {code}"),
        }
        pass(pause).await;
    }
    failed
}

#[tokio::test(start_paused = true)]
async fn a_late_rtu_reply_is_never_the_answer_to_a_later_request() {
    for pause in [0, 20, 200].map(Duration::from_millis) {
        for turnaround in [0, 5, 20].map(Duration::from_millis) {
            let (ours, theirs) = duplex(4_096);
            let other = tokio::spawn(late_slave(theirs, turnaround));
            let line = RtuLine::given(Box::new(ours), settings(115_200), Clock::start());
            let mut wire = Wire::Rtu(Box::new(line));
            let failed = thirty(&mut wire, pause, 1, &|address| word(1, address)).await;
            assert_eq!(failed, 1, "pause {pause:?}, turnaround {turnaround:?}");
            other.abort();
        }
    }
}

/// The server of the published reproduction over TCP, one connection after the other.
async fn late_server(listener: TcpListener, turnaround: Duration) {
    let mut wait = Duration::from_millis(300);
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut request = [0; 12];
        while stream.read_exact(&mut request).await.is_ok() {
            let [t1, t0, _, _, _, _, unit, function, a, b, c, d] = request;
            let (first, count) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
            pass(std::mem::replace(&mut wait, turnaround)).await;
            let bytes = u8::try_from(count * 2).unwrap();
            let mut reply = vec![t1, t0, 0, 0, 0, bytes + 3, unit, function, bytes];
            reply.extend((first..first + count).flat_map(u16::to_be_bytes));
            if stream.write_all(&reply).await.is_err() {
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_late_tcp_reply_costs_one_read_and_no_wrong_value() {
    for turnaround in [0, 10].map(Duration::from_millis) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let other = tokio::spawn(late_server(listener, turnaround));
        let mut wire = Wire::tcp("127.0.0.1", port, Clock::start());
        let failed = thirty(&mut wire, Duration::from_millis(5), 1, &|address| address).await;
        assert!(failed <= 2, "{failed} failed: the late one, and one while its server was busy");
        other.abort();
    }
}

#[tokio::test]
async fn rtu_over_tcp_survives_a_converter_that_hangs_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let other = tokio::spawn(async move {
        for answers in [2, 0, 9] {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 8];
            for _ in 0..answers {
                stream.read_exact(&mut request).await.unwrap();
                let [unit, _, a, b, c, d, _, _] = request;
                let reply = answer(unit, u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
                stream.write_all(&reply).await.unwrap();
            }
        }
    });
    let mut wire = Wire::rtu_tcp("127.0.0.1", port, settings(115_200), Clock::start());
    let ask = ReadRequest { function: Function::Holding, first: 7, count: 1 };
    let mut said = Vec::new();
    for _ in 0..6 {
        said.push(wire.transact(1, ask, Duration::from_millis(500)).await.outcome);
    }
    let good = Outcome::Data(Payload::Words(vec![word(1, 7)]));
    assert!(said[0] == good && said[4] == good && said[5] == good, "{said:?}");
    assert!(said.contains(&Outcome::Lost), "{said:?}");
    assert!(said.iter().all(|outcome| *outcome == good || *outcome == Outcome::Lost), "{said:?}");
    other.abort();
}

#[tokio::test]
async fn a_port_that_does_not_exist_is_unreachable() {
    let path = std::path::Path::new("/dev/fengsui-no-such-port");
    let mut wire = Wire::serial(path, settings(9_600), Echo::None, Clock::start());
    let ask = ReadRequest { function: Function::Holding, first: 7, count: 1 };
    let said = wire.transact(1, ask, Duration::from_millis(100)).await.outcome;
    assert_eq!(said, Outcome::Unreachable);
}

/// A line on which something sends one byte every 20 ms, for ever, and nobody hears a request.
fn babble() -> (DuplexStream, tokio::task::JoinHandle<()>) {
    let (ours, mut theirs) = duplex(4_096);
    let other = tokio::spawn(async move {
        while theirs.write_all(&[0x55]).await.is_ok() {
            pass(Duration::from_millis(20)).await;
        }
    });
    (ours, other)
}

#[tokio::test(start_paused = true)]
async fn noise_makes_every_device_of_its_line_bad_and_holds_up_nobody_who_wants_to_end() {
    let (ours, other) = babble();
    let bus = bus(9_600);
    let wire = Wire::Rtu(Box::new(RtuLine::given(Box::new(ours), settings(9_600), bus.clock)));
    let (out, mut inbox) = mpsc::channel(64);
    let (end, stop) = watch::channel(false);
    let began = tokio::time::Instant::now();
    let reader = tokio::spawn(bus.serve((wire, false), out, stop, Memories::default()));
    let mut silent: Vec<usize> = (0..truth().len()).collect();
    while !silent.is_empty() {
        let scanned = inbox.recv().await.unwrap();
        assert_eq!(scanned.fault, Some(Fault::BadFrame));
        for (point, reading) in scanned.readings {
            assert_eq!(reading, Reading::Bad(Fault::BadFrame));
            silent.retain(|one| *one != usize::try_from(point).unwrap());
        }
    }
    let took = began.elapsed();
    // Three devices, two questions each, and the silences around them.
    assert!(took < Duration::from_millis(6 * (TIMEOUT_MS + 110)), "{took:?}");
    // Told at any moment of a question, it ends at once and hands over what it knows.
    for pause in [3, 57, 91] {
        pass(Duration::from_millis(pause)).await;
    }
    let told = tokio::time::Instant::now();
    end.send_replace(true);
    while inbox.recv().await.is_some() {}
    reader.await.unwrap();
    assert!(told.elapsed() <= Duration::from_millis(TIMEOUT_MS), "{:?}", told.elapsed());
    other.abort();
}

#[tokio::test(start_paused = true)]
async fn whoever_is_told_to_end_leaves_the_line_before_it_is_quiet() {
    let (ours, other) = babble();
    let line = RtuLine::given(Box::new(ours), settings(9_600), Clock::start());
    let mut wire = Wire::Rtu(Box::new(line));
    let ask = ReadRequest { function: Function::Holding, first: 7, count: 1 };
    let (end, mut stop) = watch::channel(false);
    let patience = Duration::from_secs(60);
    let told = async {
        pass(Duration::from_secs(1)).await;
        end.send_replace(true);
    };
    let began = tokio::time::Instant::now();
    let (asked, ()) = tokio::join!(wire.transact_until(&mut stop, 1, ask, patience), told);
    assert!(asked.is_none(), "{asked:?}");
    wire.settle(&mut stop).await;
    assert!(began.elapsed() < Duration::from_millis(1_100), "{:?}", began.elapsed());
    // The next question is a question again.
    let said = wire.transact(1, ask, Duration::from_millis(100)).await;
    assert_eq!((said.outcome, said.fault), (Outcome::BadFrame, Some(RtuFault::Noise)));
    other.abort();
}
