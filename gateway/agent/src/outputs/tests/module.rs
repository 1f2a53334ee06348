//! Outputs on one relay module over Modbus TCP.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use super::*;

#[derive(Default)]
struct Had {
    /// Coils that are on.
    coils: BTreeSet<u8>,
    connections: usize,
}

/// A module that serves one connection and leaves the next ones waiting until it ends.
fn module() -> (u16, Arc<Mutex<Had>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Arc::<Mutex<Had>>::default();
    let state = Arc::clone(&seen);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            state.lock().unwrap().connections += 1;
            let mut request = [0; 12];
            while stream.read_exact(&mut request).is_ok() {
                let (coil, mut reply) = (request[9], request.to_vec());
                let coils = &mut state.lock().unwrap().coils;
                match (request[7], request[10]) {
                    (5, 0xff) => drop(coils.insert(coil)),
                    (5, _) => drop(coils.remove(&coil)),
                    _ => {
                        reply.truncate(8);
                        reply[5] = 4;
                        reply.extend([1, u8::from(coils.contains(&coil))]);
                    }
                }
                if stream.write_all(&reply).is_err() {
                    break;
                }
            }
        }
    });
    (port, seen)
}

#[tokio::test]
async fn outputs_on_one_module_share_the_one_connection_that_it_allows() {
    let (port, seen) = module();
    let output = |(name, coil)| {
        format!(
            "[[output]]\nname='{name}'\nkind='coil'\nhost='127.0.0.1'\nport={port}\n\
             coil={coil}\nfollows='siren'\n"
        )
    };
    let outputs = [("horn", 0), ("lamp", 1), ("door", 2)];
    let bench = bench(&outputs.map(output).concat());
    let coils = || seen.lock().unwrap().coils.len();
    bench.lit(true);
    until("all three", || coils() == 3).await;
    bench.lit(false);
    until("none", || coils() == 0).await;
    let faults: Vec<String> =
        outputs.map(|(name, ..)| bench.fault(&format!("output/{name}"))).into();
    assert_eq!((faults, seen.lock().unwrap().connections), (vec![String::new(); 3], 1));
}
