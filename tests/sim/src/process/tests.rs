//! Stories of the plant.

use super::*;

const HOUR_MS: i64 = 3_600_000;

fn readings(process: &Process) -> Vec<Option<f64>> {
    Signal::all().map(|signal| process.reading(signal)).collect()
}

fn tank(number: u8) -> Tank {
    Tank::try_from(number).expect("a tank")
}

fn head(number: u8) -> Head {
    Head::try_from(number).expect("a head")
}

#[test]
fn one_seed_is_one_day_however_it_is_cut() {
    let mut whole = Process::new(42);
    whole.advance(HOUR_MS);
    let mut cut = Process::new(42);
    let mut now = 0;
    for slice in (1..).map(|n| n * 37 % 4_001) {
        now += slice;
        if HOUR_MS <= now {
            break;
        }
        cut.advance(now);
    }
    cut.advance(HOUR_MS);
    assert_eq!(readings(&whole), readings(&cut));

    let mut other = Process::new(43);
    other.advance(HOUR_MS);
    assert_ne!(readings(&whole), readings(&other));
}

#[test]
fn left_alone_no_reading_reaches_a_limit_of_the_demo_site() {
    for seed in 0..5 {
        let mut process = Process::new(seed);
        for now in (0..6 * HOUR_MS).step_by(1_000) {
            process.advance(now);
            for signal in Signal::all() {
                let shown = process.reading(signal).expect("nothing is broken");
                let quiet = match signal {
                    Signal::Level(_) => 10.0 < shown && shown < 85.0,
                    Signal::Temperature(_) => 10.0 < shown && shown < 40.0,
                    Signal::Gas(Head(5)) => shown < 10.0,
                    Signal::Gas(_) => shown < 25.0,
                    Signal::Piezometer => shown < 42.0,
                    Signal::Rain => shown < 30.0,
                    Signal::Overfill(_) => shown == 0.0,
                    Signal::InletPump(_) | Signal::OutletPump(_) => true,
                };
                assert!(quiet, "seed {seed}, {now} ms: {signal} shows {shown}");
            }
        }
    }
}

#[test]
fn a_tank_fills_to_the_level_asked_for_and_comes_back() {
    let mut process = Process::new(1);
    process.command(Command::Fill { tank: tank(2), to: 96.0, per_s: 5.0, hold_s: 30.0 });
    process.advance(15_000);
    let level = process.reading(Signal::Level(tank(2))).expect("a level");
    assert!((95.8..96.2).contains(&level), "{level}");
    assert_eq!(process.reading(Signal::Overfill(tank(2))), Some(1.0));
    process.advance(15_000 + 30_000 + 60_000);
    let level = process.reading(Signal::Level(tank(2))).expect("a level");
    assert!(level < 80.0, "{level}");
}

#[test]
fn a_spike_rises_within_two_seconds_holds_and_decays() {
    let mut process = Process::new(1);
    let gas = Signal::Gas(head(3));
    process.command(Command::Spike { head: head(3), to: 62.0, for_s: 10.0 });
    process.advance(1_500);
    assert_eq!(process.reading(gas), Some(62.0));
    process.advance(10_500);
    assert_eq!(process.reading(gas), Some(62.0));
    process.advance(30_000);
    assert!(process.reading(gas).expect("a number") < 5.0);
}

#[test]
fn the_piezometer_answers_rain_hours_later() {
    let mut process = Process::new(1);
    process.command(Command::Rain { mm_h: 60.0, for_s: 3_600.0 });
    process.advance(1_000);
    assert!(50.0 < process.reading(Signal::Rain).expect("a number"));
    process.advance(HOUR_MS / 6);
    let early = process.reading(Signal::Piezometer).expect("a number");
    process.advance(2 * HOUR_MS);
    let late = process.reading(Signal::Piezometer).expect("a number");
    assert!(early < 36.5 && early + 2.0 < late, "{early} then {late}");
}

#[test]
fn a_hand_on_a_reading_holds_until_it_is_released() {
    let mut process = Process::new(1);
    let gas = Signal::Gas(head(1));
    process.command(Command::Set { signal: gas, value: 25.0 });
    process.advance(5_000);
    assert_eq!(process.reading(gas), Some(25.0));
    process.command(Command::Break { signal: gas });
    assert_eq!(process.reading(gas), None);
    process.command(Command::Release { signal: gas });
    assert!(process.reading(gas).expect("a number") < 20.0);
}

#[test]
fn every_signal_reads_back_as_it_is_written() {
    for signal in Signal::all() {
        assert_eq!(signal.to_string().parse(), Ok(signal));
    }
    assert!("tank5.level".parse::<Signal>().is_err());
}
