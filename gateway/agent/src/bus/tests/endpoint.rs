//! Several units behind one TCP address: one connection, one owner, and a silent unit among them.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;

use super::*;
use crate::bus::shared::{Member, Shared, SharedBus};

const UNITS: [u8; 3] = [1, 2, 3];
/// Nothing stands behind this one.
const SILENT: u8 = 2;

fn bus(port: u16) -> SharedBus {
    let mut text = String::from(
        "[site]\nenterprise='示例'\ngateway='GW-01'\npoints='p'\nlimits='l'\n[[installation]]\n\
         name='a'\nkind='k'\n",
    );
    let mut sheet = String::from(
        "h\ntag,name,installation,signal,unit,low,high,device,function,address,type,period_ms\n",
    );
    for unit in UNITS {
        text += &format!(
            "[[device]]\nname='u{unit}'\nkind='modbus-tcp'\nhost='127.0.0.1'\nport={port}\n\
             unit={unit}\ntimeout_ms=100\n"
        );
        sheet += &format!("P-{unit},n,a,s,u,0,65535,u{unit},holding,10,u16,20\n");
    }
    let site = Site::load("s", &text, &mut |_| Ok(sheet.clone())).unwrap();
    assert_eq!(site.endpoints(), [[0, 1, 2]]);
    let member = |index: usize| Member {
        index,
        device: site.devices[index].clone(),
        mappings: site.mappings_of(index).into(),
    };
    SharedBus {
        on: Shared::Endpoint { host: "127.0.0.1".to_owned(), port },
        members: (0..UNITS.len()).map(member).collect(),
        first: watch::channel(Arc::default()).1,
        clock: Clock::start(),
        ways: None,
    }
}

/// What a converter noticed.
#[derive(Debug, Default)]
struct Noticed {
    newest: AtomicU64,
    /// Requests on a connection that was not the newest.
    beside: AtomicU64,
}

/// Answers every unit but one with its number; serves any number of connections.
async fn converter(listener: TcpListener, noticed: Arc<Noticed>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let own = noticed.newest.fetch_add(1, Ordering::SeqCst) + 1;
        let noticed = noticed.clone();
        tokio::spawn(async move {
            let mut ask = [0; 12];
            while stream.read_exact(&mut ask).await.is_ok() {
                if noticed.newest.load(Ordering::SeqCst) != own {
                    noticed.beside.fetch_add(1, Ordering::SeqCst);
                }
                let unit = ask[6];
                if unit != SILENT {
                    let mut reply = ask[..4].to_vec();
                    reply.extend([0, 5, unit, ask[7], 2, 0, unit]);
                    stream.write_all(&reply).await.unwrap();
                }
            }
        });
    }
}

#[tokio::test]
async fn units_behind_one_address_share_a_connection_and_a_silent_one_holds_up_no_other() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let bus = bus(listener.local_addr().unwrap().port());
    let noticed = Arc::new(Noticed::default());
    let other = tokio::spawn(converter(listener, noticed.clone()));
    let (scans, mut inbox) = mpsc::channel(64);
    let (end, stop) = watch::channel(false);
    let reader = tokio::spawn(bus.run(scans, stop, Memories::default()));
    let good: Mutex<BTreeMap<usize, u64>> = Mutex::default();
    let enough = async {
        loop {
            let scanned = inbox.recv().await.unwrap();
            for (point, reading) in &scanned.readings {
                let unit = UNITS[scanned.device];
                assert_eq!(usize::try_from(*point), Ok(scanned.device));
                if unit == SILENT {
                    assert_eq!(*reading, Reading::Bad(Fault::Timeout));
                } else {
                    assert_eq!(*reading, Reading::Good(f64::from(unit)));
                }
                *good.lock().unwrap().entry(scanned.device).or_default() += 1;
            }
            let seen = good.lock().unwrap();
            if seen.get(&0) >= Some(&100) && seen.get(&2) >= Some(&100) && seen.contains_key(&1) {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), enough)
        .await
        .unwrap_or_else(|_| panic!("{good:?}"));
    end.send_replace(true);
    reader.await.unwrap();
    other.abort();
    assert_eq!(noticed.beside.load(Ordering::SeqCst), 0, "two connections at once");
    let made = noticed.newest.load(Ordering::SeqCst);
    assert!((2..20).contains(&made), "{made} connections: a new one after each silence, no more");
}
