//! Devices and converters that need a pause before each question.

use std::sync::Mutex;

use super::*;
use crate::bus::mbap::Mbap;
use crate::bus::wire::Pace;

const PAUSE: Duration = Duration::from_millis(40);
const PACE: Pace = Pace { pause: PAUSE, patience: Duration::from_secs(5) };

/// How long each question but the first of a connection came after the answer before.
type Gaps = Arc<Mutex<Vec<Duration>>>;

fn since(clock: Clock, us: u64) -> Duration {
    Duration::from_micros(clock.line_us() - us)
}

/// Answers everything, and hangs up after three answers.
async fn device(listener: TcpListener, gaps: Gaps) {
    let clock = Clock::start();
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut answered: Option<u64> = None;
        for _ in 0..3 {
            let mut ask = [0; 12];
            if stream.read_exact(&mut ask).await.is_err() {
                break;
            }
            gaps.lock().unwrap().extend(answered.map(|at| since(clock, at)));
            let words = ask[11];
            let mut good = ask[..4].to_vec();
            good.extend([0, 3 + 2 * words, ask[6], ask[7], 2 * words]);
            good.extend((7..7 + words).flat_map(|word| [0, word]));
            // Before the answer: what the other side waits begins later.
            answered = Some(clock.line_us());
            stream.write_all(&good).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_device_over_tcp_is_left_alone_before_every_question_and_after_the_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let gaps = Gaps::default();
    let other = tokio::spawn(device(listener, gaps.clone()));
    let clock = Clock::start();
    let mut link = tcp::Tcp::new("127.0.0.1", port, clock);
    let good = Outcome::Data(Payload::Words(vec![7, 8]));
    for turn in 0..9 {
        let began = clock.line_us();
        let (outcome, took) = link.transact(1, ASK, PACE).await;
        assert_eq!(outcome, good, "turn {turn}");
        // A pause is no round trip.
        let rest = since(clock, began) - took;
        assert!(turn % 3 != 0 || rest >= PAUSE, "turn {turn}: {rest:?} after the connection");
    }
    let mut person = Mbap::new("127.0.0.1", port, clock);
    for _ in 0..3 {
        person.rest(PACE).await;
        let reply = person.exchange(1, &[3, 0, 10, 0, 2], PACE.patience).await;
        assert_eq!(reply.unwrap(), [3, 4, 0, 7, 0, 8]);
    }
    other.abort();
    let gaps = gaps.lock().unwrap();
    assert!(gaps.len() == 8 && gaps.iter().all(|gap| *gap >= PAUSE), "{gaps:?}");
}

#[tokio::test]
async fn what_the_site_says_of_the_pause_is_kept_by_the_readers() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (mut device_of_site, mappings) = super::device(listener.local_addr().unwrap().port());
    device_of_site.pause_ms = 40;
    let gaps = Gaps::default();
    let other = tokio::spawn(device(listener, gaps.clone()));
    let bus = Bus {
        index: 0,
        device: device_of_site,
        mappings: mappings.into(),
        first: watch::channel(Arc::default()).1,
        clock: Clock::start(),
    };
    let (scans, mut inbox) = mpsc::channel(64);
    let (end, stop) = watch::channel(false);
    let reader = tokio::spawn(bus.run(scans, stop, None));
    let mut good = 0;
    while good < 6 {
        let said = tokio::time::timeout(PACE.patience, inbox.recv()).await.unwrap().unwrap();
        good += said.readings.iter().filter(|(_, one)| one.value() == Some(7.0)).count();
    }
    end.send_replace(true);
    reader.await.unwrap();
    other.abort();
    let gaps = gaps.lock().unwrap();
    assert!(gaps.len() >= 3 && gaps.iter().all(|gap| *gap >= PAUSE), "{gaps:?}");
}
