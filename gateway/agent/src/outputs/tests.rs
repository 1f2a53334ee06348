//! Outputs as files, and lines that are not there.

use super::*;
use crate::spool::SpoolHandle;
use fengsui_telemetry::wire::Storage;
use siren::Lit;
use tempfile::TempDir;

struct Bench {
    folder: TempDir,
    alarms: watch::Sender<SirenState>,
    turns: watch::Sender<LoopState>,
    alone: watch::Sender<bool>,
    disk: watch::Sender<SpoolState>,
    healths: watch::Receiver<Vec<DeviceHealth>>,
    tasks: JoinSet<()>,
    pressed: mpsc::Receiver<()>,
}

fn bench(text: &str) -> Bench {
    bench_by(text, Ways::default())
}

fn bench_by(text: &str, ways: Ways) -> Bench {
    let plan = config::tests::plan_of(text).unwrap();
    let folder = TempDir::new().unwrap();
    let (alarms, seen) = watch::channel(SirenState::default());
    let (turns, turned) = watch::channel(LoopState::default());
    let (alone, is_alone) = watch::channel(false);
    let (healths, health) = watch::channel(Vec::new());
    let (press, pressed) = mpsc::channel(1);
    let (disk, spool) = watch::channel(SpoolHandle::double(1).0.state().borrow().clone());
    let senses = Senses { alarms: seen, turns: turned, alone: is_alone, spool, ways };
    let tasks = start(&plan, folder.path(), Clock::start(), &senses, &press, healths);
    Bench { folder, alarms, turns, alone, disk, healths: health, tasks, pressed }
}

impl Bench {
    fn lit(&self, sounding: bool) {
        let lit = Lit { key: "GW-01/TK-101.LT/HH".into(), priority: 1, sounding };
        self.alarms.send_modify(|state| state.lit = vec![lit]);
    }

    fn level(&self, name: &str) -> String {
        let file = self.folder.path().join("outputs").join(name);
        std::fs::read_to_string(file).unwrap_or_default().trim().to_owned()
    }

    fn fault(&self, name: &str) -> String {
        let healths = self.healths.borrow();
        healths.iter().find(|h| h.name == name).map(|h| h.fault.clone()).unwrap_or_default()
    }
}

/// Waits for a condition with a deadline.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let mut look = interval(Duration::from_millis(5));
    let waiting = async {
        while !holds() {
            look.tick().await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(10), waiting).await.is_ok(), "{what}");
}

const CABINET: &str = r#"
[[output]]
name = "siren"
kind = "sim"
follows = "siren"
readback_ms = 20
[[output]]
name = "beacon"
kind = "sim"
follows = "beacon"
[[output]]
name = "trouble"
kind = "sim"
follows = "trouble"
[[output]]
name = "dog"
kind = "sim"
follows = "watchdog"
period_ms = 100
[[output]]
name = "horn"
kind = "gpio"
chip = "/dev/gpiochip-that-is-not-there"
line = 4
follows = "siren"
[[button]]
name = "ack"
chip = "/dev/gpiochip-that-is-not-there"
line = 5
does = "acknowledge"
"#;

#[tokio::test]
async fn a_missing_chip_is_a_fault_and_the_others_work() {
    let mut bench = bench(CABINET);
    until("the missing line", || bench.fault("output/horn") == "output_missing").await;
    until("the missing button", || bench.fault("button/ack") == "output_missing").await;
    bench.turns.send_modify(|state| state.outputs.clone_from(&bench.healths.borrow()));
    until("trouble is told by release", || bench.level("trouble") == "0").await;
    bench.lit(true);
    until("siren", || bench.level("siren") == "1" && bench.level("beacon") == "1").await;
    bench.lit(false);
    until("acknowledged", || bench.level("siren") == "0").await;
    assert_eq!(bench.level("beacon"), "1", "it still stands");
    assert!(bench.pressed.try_recv().is_err(), "a button that is not there was not pressed");
}

#[tokio::test]
async fn a_contradicting_read_back_is_a_fault_until_it_agrees() {
    let bench = bench(CABINET);
    until("begun", || bench.level("siren") == "0").await;
    let back = bench.folder.path().join("outputs").join("siren.readback");
    std::fs::write(&back, "1").unwrap();
    until("contradiction", || bench.fault("output/siren") == "output_contradicted").await;
    std::fs::write(&back, "0").unwrap();
    until("agreement", || bench.fault("output/siren").is_empty()).await;
}

#[tokio::test]
async fn an_output_that_lost_its_order_is_driven_again() {
    let bench = bench(CABINET);
    bench.lit(true);
    until("siren", || bench.level("siren") == "1").await;
    // The module was without power: released, and it says so.
    let at = |name: &str| bench.folder.path().join("outputs").join(name);
    std::fs::write(at("siren"), "0").unwrap();
    std::fs::write(at("siren.readback"), "0").unwrap();
    until("it sounds again", || bench.level("siren") == "1").await;
    until("a fault", || bench.fault("output/siren") == "output_contradicted").await;
    std::fs::write(at("siren.readback"), "1").unwrap();
    until("agreement", || bench.fault("output/siren").is_empty()).await;
}

#[tokio::test]
async fn a_press_that_lay_there_before_the_start_acknowledges_nothing() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("siren.ack"), "").unwrap();
    let (alarms, seen) = watch::channel(SirenState::default());
    let (press, mut pressed) = mpsc::channel(1);
    let (complaint, said) = watch::channel(String::new());
    let (alone, spool) = (watch::channel(false).1, SpoolHandle::double(1).0.state());
    let at = |name: &str| folder.path().join(name);
    // The state cannot be written either.
    std::fs::create_dir_all(at("siren.json/taken")).unwrap();
    tokio::spawn(siren::run(folder.path().to_owned(), seen, alone, spool, press, complaint));
    until("it is taken away", || !at("siren.ack").exists()).await;
    until("a complaint", || !said.borrow().is_empty()).await;
    let words = said.borrow().clone();
    assert!(words.contains("siren.json 写不了") && words.contains("cannot be written"), "{words}");
    assert!(pressed.try_recv().is_err(), "it was meant for what sounded before");
    std::fs::remove_dir_all(at("siren.json")).unwrap();
    until("it is written", || said.borrow().is_empty()).await;
    std::fs::write(at("siren.ack"), "").unwrap();
    until("a press", || pressed.try_recv().is_ok()).await;
    drop(alarms);
}

#[tokio::test]
async fn the_watchdog_rests_while_the_loop_stands() {
    let bench = bench(CABINET);
    until("begun", || bench.level("beacon") == "0").await;
    assert_eq!(bench.level("dog"), "", "no turn, no change");
    let (mut levels, mut look) = (Vec::new(), interval(Duration::from_millis(10)));
    for turn in 1..=400 {
        bench.turns.send_modify(|state| state.turns = turn);
        let level = bench.level("dog");
        if levels.last() != Some(&level) {
            levels.push(level);
        }
        if levels.len() > 4 {
            break;
        }
        look.tick().await;
    }
    assert!(levels.len() > 4, "it follows the turns: {levels:?}");
    bench.alone.send_replace(true);
    until("others go on", || bench.level("trouble") == "0").await;
    let resting = bench.level("dog");
    bench.alone.send_replace(false);
    until("others go on", || bench.level("trouble") == "1").await;
    assert_eq!(bench.level("dog"), resting);
}

#[tokio::test]
async fn a_silent_centre_a_full_disk_and_the_end_release_the_trouble_relay() {
    let mut bench = bench(CABINET);
    until("begun", || bench.level("trouble") == "1").await;
    bench.alone.send_replace(true);
    until("silent centre", || bench.level("trouble") == "0").await;
    bench.alone.send_replace(false);
    until("the centre is back", || bench.level("trouble") == "1").await;
    bench.disk.send_modify(|spool| spool.storage = Storage::Full);
    bench.turns.send_modify(|state| state.turns += 1);
    until("a full disk", || bench.level("trouble") == "0").await;
    bench.disk.send_modify(|spool| spool.storage = Storage::Thinning);
    bench.turns.send_modify(|state| state.turns += 1);
    until("a disk that takes everything", || bench.level("trouble") == "1").await;
    drop(std::mem::replace(&mut bench.alarms, watch::channel(SirenState::default()).0));
    drop(std::mem::replace(&mut bench.turns, watch::channel(LoopState::default()).0));
    until("the end", || bench.level("trouble") == "0").await;
    let ended = async { while bench.tasks.join_next().await.is_some() {} };
    assert!(tokio::time::timeout(Duration::from_secs(10), ended).await.is_ok());
}

/// Hangs at its first order, for good.
struct Stuck;

impl Drive for Stuck {
    fn set(&mut self, _energised: bool) -> Result<(), DriveFault> {
        loop {
            std::thread::park();
        }
    }

    fn read(&mut self) -> Result<Option<bool>, DriveFault> {
        Ok(None)
    }
}

#[tokio::test(start_paused = true)]
async fn a_line_that_hangs_is_reported_and_not_waited_for() {
    let hand = Hand::new("stuck", Box::new(Stuck)).unwrap();
    assert_eq!(hand.set(true).await, Err(DriveFault::Hangs));
    // One order waits behind the one that hangs; from then on it is refused at once.
    assert_eq!(hand.set(true).await, Err(DriveFault::Hangs));
    assert_eq!(hand.set(true).await, Err(DriveFault::Hangs));
}

mod line;
mod module;
