//! A siren's relay on the line of two gas controllers: one owner, reads and orders in turn.

use super::*;
use crate::bus::Memories;
use crate::bus::Scanned;
use crate::bus::shared::{Member, Shared, SharedBus};
use fengsui_scan::{Site, crc16};
use fengsui_telemetry::Reading;
use std::sync::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

const RELAY: u8 = 9;
const SIREN: &str = "[[output]]\nname='siren'\nkind='coil'\nbus='A'\nunit=9\ncoil=2\n\
                     follows='siren'\nreadback_ms=20\n";

fn word(unit: u8, address: u16) -> u16 {
    address ^ (u16::from(unit) << 11)
}

/// What hangs on the line.
#[derive(Debug, Default)]
struct Cable {
    on: bool,
    /// Without power: it says nothing and forgets its order.
    off_power: bool,
    /// The relay's next answer is damaged.
    noise: bool,
    /// Orders, as they were done.
    done: Vec<bool>,
    /// Good readings by unit.
    good: [u64; 2],
    bad: u64,
}

fn reply(cable: &mut Cable, [unit, function, a, b, c, d, ..]: [u8; 8]) -> Option<Vec<u8>> {
    let (first, count) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    let mut bytes = match (unit, function) {
        (RELAY, _) if cable.off_power => return None,
        (RELAY, 5) => {
            assert_eq!((first, d), (2, 0));
            cable.on = c == 0xff;
            cable.done.push(cable.on);
            vec![unit, function, a, b, c, d]
        }
        (RELAY, 1) => {
            let bytes = u8::try_from(count.div_ceil(8)).unwrap();
            let mut all = vec![0; bytes.into()];
            all[0] = u8::from(cable.on);
            assert_eq!(first, 2);
            [vec![unit, function, bytes], all].concat()
        }
        (1 | 2, 3) => {
            let words = (first..first + count).flat_map(|k| word(unit, k).to_be_bytes());
            [vec![unit, function, u8::try_from(count * 2).unwrap()], words.collect()].concat()
        }
        other => panic!("{other:?}"),
    };
    bytes.extend(crc16(&bytes).to_le_bytes());
    if unit == RELAY && std::mem::take(&mut cable.noise) {
        bytes[3] ^= 4;
    }
    Some(bytes)
}

/// A converter: whoever connects speaks RTU to what hangs on the line.
async fn convert(listener: TcpListener, cable: Arc<Mutex<Cable>>) {
    let serve = |mut stream: TcpStream, cable: Arc<Mutex<Cable>>| async move {
        let mut frame = [0; 8];
        while stream.read_exact(&mut frame).await.is_ok() {
            assert_eq!(crc16(&frame), 0);
            let said = reply(&mut cable.lock().unwrap(), frame);
            if let Some(said) = said
                && stream.write_all(&said).await.is_err()
            {
                return;
            }
        }
    };
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(stream, cable.clone()));
    }
}

struct Reader {
    bus: SharedBus,
    cable: Arc<Mutex<Cable>>,
}

impl Reader {
    /// The line with its sensors, or with the relay alone.
    fn new(port: u16, sensors: &[u8], ways: &Ways, cable: Arc<Mutex<Cable>>) -> Self {
        let mut text = format!(
            "[site]\nenterprise='示例'\ngateway='GW-01'\npoints='p'\nlimits='l'\n\
             [[installation]]\nname='a'\nkind='k'\n[[bus]]\nname='A'\nkind='modbus-rtu-tcp'\n\
             host='127.0.0.1'\nport={port}\nbaud=115200\nparity='none'\n"
        );
        let mut sheet = String::from(
            "h\ntag,name,installation,signal,unit,low,high,device,function,address,type,period_ms\n",
        );
        for unit in [1, 2] {
            text += &format!(
                "[[device]]\nname='s{unit}'\nkind='modbus-rtu'\nbus='A'\nunit={unit}\n\
                 timeout_ms=100\n"
            );
            sheet += &format!("P-{unit},n,a,s,u,0,65535,s{unit},holding,10,u16,20\n");
        }
        let site = Site::load("s", &text, &mut |_| Ok(sheet.clone())).unwrap();
        let member = |unit: &u8| {
            let index = usize::from(*unit) - 1;
            let device = site.devices[index].clone();
            Member { index, device, mappings: site.mappings_of(index).into() }
        };
        let bus = SharedBus {
            on: Shared::Bus(site.buses[0].clone()),
            members: sensors.iter().map(member).collect(),
            first: watch::channel(Arc::default()).1,
            clock: Clock::start(),
            ways: Some(ways.clone()),
        };
        Self { bus, cable }
    }

    /// Serves the line until told to stop. No value may be wrong.
    fn start(&self, before: Memories) -> (watch::Sender<bool>, JoinHandle<Memories>) {
        let (end, stop) = watch::channel(false);
        let (scans, mut inbox) = mpsc::channel::<Scanned>(8);
        let cable = self.cable.clone();
        tokio::spawn(async move {
            while let Some(scanned) = inbox.recv().await {
                for (point, reading) in scanned.readings {
                    let place = usize::try_from(point).unwrap();
                    let mut cable = cable.lock().unwrap();
                    match reading {
                        Reading::Good(value) => {
                            let want = f64::from(word(low(point) + 1, 10));
                            assert!((value - want).abs() < 0.5, "{point}: {value}, not {want}");
                            cable.good[place] += 1;
                        }
                        Reading::Bad(_) | Reading::Uncertain(..) => cable.bad += 1,
                    }
                }
            }
        });
        (end, tokio::spawn(self.bus.clone().run(scans, stop, before)))
    }
}

fn low(number: u32) -> u8 {
    number.to_le_bytes()[0]
}

async fn line() -> (u16, Arc<Mutex<Cable>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let cable = Arc::new(Mutex::new(Cable::default()));
    tokio::spawn(convert(listener, cable.clone()));
    (port, cable)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_horn_on_the_line_of_its_sensors_sounds_while_they_are_read() {
    let (port, cable) = line().await;
    let ways = Ways::default();
    let reader = Reader::new(port, &[1, 2], &ways, cable.clone());
    let (_go_on, _task) = reader.start(Memories::default());
    let bench = bench_by(SIREN, ways);
    let see = |look: &dyn Fn(&Cable) -> bool| look(&cable.lock().unwrap());
    until("at rest", || see(&|cable| cable.done == [false] && cable.good[1] > 20)).await;
    let began = tokio::time::Instant::now();
    cable.lock().unwrap().noise = true;
    bench.lit(true);
    until("it sounds", || see(&|cable| cable.on)).await;
    until("once more", || see(&|cable| cable.done == [false, true, true])).await;
    assert!(began.elapsed() < Duration::from_millis(1_500), "{:?}", began.elapsed());
    let before = cable.lock().unwrap().good;
    until("reads go on", || see(&|cable| (0..2).all(|k| cable.good[k] > before[k] + 20))).await;
    assert_eq!((bench.fault("output/siren"), cable.lock().unwrap().bad), (String::new(), 0));
    // The module loses its power, and its order.
    cable.lock().unwrap().off_power = true;
    until("a fault", || bench.fault("output/siren") == "output_refused").await;
    let before = cable.lock().unwrap().good;
    until("reads go on", || see(&|cable| (0..2).all(|k| cable.good[k] > before[k] + 20))).await;
    assert_eq!(cable.lock().unwrap().bad, 0);
    let orders = {
        let mut cable = cable.lock().unwrap();
        (cable.off_power, cable.on) = (false, false);
        cable.done.len()
    };
    until("it sounds again", || see(&|cable| cable.on)).await;
    until("no fault", || bench.fault("output/siren").is_empty()).await;
    assert!(cable.lock().unwrap().done[orders..].iter().all(|on| *on));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_neither_silences_a_horn_nor_loses_an_order_that_is_given_meanwhile() {
    let (port, cable) = line().await;
    let ways = Ways::default();
    let bench = bench_by(SIREN, ways.clone());
    bench.lit(true);
    // Before anybody serves the line: the first owner finds the order waiting. Nothing is read here.
    let (end, task) = Reader::new(port, &[], &ways, cable.clone()).start(Memories::default());
    let see = |look: &dyn Fn(&Cable) -> bool| look(&cable.lock().unwrap());
    until("it sounds", || see(&|cable| cable.on)).await;
    until("no fault", || bench.fault("output/siren").is_empty()).await;
    let told = tokio::time::Instant::now();
    end.send_replace(true);
    let left = task.await.unwrap();
    assert!(told.elapsed() < Duration::from_millis(1_500), "{:?}", told.elapsed());
    let reader = Reader::new(port, &[1, 2], &ways, cable.clone());
    let (end, task) = reader.start(left);
    until("reads", || see(&|cable| cable.good[0] > 20)).await;
    // The output may have begun at rest, before it was lit.
    let told = cable.lock().unwrap().done.clone();
    let mut since = told.iter().skip_while(|on| !**on);
    assert!(since.all(|on| *on), "told to be silent: {told:?}");
    end.send_replace(true);
    let left = task.await.unwrap();
    bench.lit(false);
    // Held up until somebody serves the line again.
    let waiting = ways.to("A", Duration::from_millis(300));
    assert!(waiting.is_none() && cable.lock().unwrap().on);
    let (_go_on, _task) = reader.start(left);
    until("silence", || see(&|cable| !cable.on)).await;
    assert_eq!(bench.fault("output/siren"), "");
}

#[tokio::test]
async fn a_line_that_nobody_serves_is_a_fault_and_holds_up_nobody() {
    let bench = bench_by(
        &format!("{SIREN}{CABINET}").replacen("\"siren\"", "\"bell\"", 1),
        Ways::default(),
    );
    bench.lit(true);
    until("the other siren", || bench.level("bell") == "1").await;
    until("the fault", || bench.fault("output/siren") == "output_missing").await;
}
