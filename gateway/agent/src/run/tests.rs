//! The end of readers that do not end.

use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};

use fengsui_scan::{PointSet, crc16};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::*;

/// What a dropped reader gives back: its port.
struct Port(Arc<AtomicBool>);

impl Drop for Port {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A line of one device with one block of two registers, behind a converter.
fn line(name: &str, port: u16) -> SharedBus {
    let text = format!(
        "[site]\nenterprise='示例'\ngateway='GW-01'\npoints='p'\nlimits='l'\n[[installation]]\n\
         name='a'\nkind='k'\n[[bus]]\nname='{name}'\nkind='modbus-rtu-tcp'\nhost='127.0.0.1'\n\
         port={port}\nbaud=115200\n[[device]]\nname='d'\nkind='modbus-rtu'\nbus='{name}'\nunit=1\n\
         timeout_ms=100\n"
    );
    let sheet = "h\ntag,name,installation,signal,unit,low,high,device,function,address,type,\
                 period_ms\nP,n,a,s,u,0,9,d,holding,7,u32,50\n";
    let site = Site::load("s", &text, &mut |_| Ok(sheet.to_owned())).unwrap();
    let first = watch::channel(Arc::new(PointSet::default())).1;
    let member = Member {
        index: 0,
        device: site.devices.first().unwrap().clone(),
        mappings: site.mappings_of(0).into(),
    };
    let on = Shared::Bus(site.buses.first().unwrap().clone());
    SharedBus { on, members: vec![member], first, clock: Clock::start(), ways: None }
}

/// Registers that each of its requests asked for, and what it remembers when it is told to end.
async fn asked(
    listener: &TcpListener,
    bus: SharedBus,
    before: Memories,
    questions: usize,
) -> (Vec<u8>, Memories) {
    let (scans, mut inbox) = mpsc::channel(64);
    let (end, stop) = watch::channel(false);
    let reader = tokio::spawn(bus.run(scans, stop, before));
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut counts = Vec::new();
    while counts.len() < questions {
        let mut ask = [0; 8];
        stream.read_exact(&mut ask).await.unwrap();
        let [unit, function, .., count, _, _] = ask;
        counts.push(count);
        let mut reply = vec![unit, function, count * 2];
        reply.extend(std::iter::repeat_n(1, usize::from(count) * 2));
        reply.extend(crc16(&reply).to_le_bytes());
        stream.write_all(&reply).await.unwrap();
    }
    end.send_replace(true);
    while inbox.recv().await.is_some() {}
    (counts, reader.await.unwrap())
}

#[tokio::test]
async fn a_reader_that_does_not_end_is_given_up_and_its_line_is_not_trusted() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let bus = || line("A", port);
    // Nobody knows what was asked before: another length first.
    let (counts, known) = asked(&listener, bus(), Memories::default(), 3).await;
    assert_eq!(counts, [1, 2, 2]);

    let released = Arc::new(AtomicBool::new(false));
    let port = Port(released.clone());
    let mut readers = JoinSet::new();
    readers.spawn(async move { known });
    readers.spawn(async move {
        let _held = port;
        pending().await
    });
    let mut remembered = Memories::default();
    let most = Duration::from_millis(300);
    let began = Instant::now();
    hand_over(readers, most, &mut remembered).await;
    let took = began.elapsed();
    assert!(most <= took && took < most * 5, "{took:?}");
    assert!(released.load(Ordering::SeqCst), "its port is free for the next reader");

    // The line whose reader ended goes on as it was; of another nothing is known.
    let mut of = |bus: SharedBus| remembered.of_line(bus.on.line(), &bus.members);
    let (of_stuck, of_known) = (of(line("B", 1)), of(bus()));
    assert_eq!(asked(&listener, bus(), of_known, 2).await.0, [2, 2]);
    assert_eq!(asked(&listener, bus(), of_stuck, 2).await.0, [1, 2]);
}

/// A reader that ends at once is not waited for any longer.
#[tokio::test(start_paused = true)]
async fn readers_that_end_are_waited_for_no_longer_than_they_take() {
    let mut readers = JoinSet::new();
    readers.spawn(async { Memories::default() });
    let began = Instant::now();
    hand_over(readers, Duration::from_secs(60), &mut Memories::default()).await;
    assert!(began.elapsed() < Duration::from_secs(1));
}
