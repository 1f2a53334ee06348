//! A device that changes between any two requests, and readings that must not mix its states.

use std::collections::BTreeMap;

use fengsui_telemetry::{Doubt, Fault, Reading};
use proptest::prelude::*;

use crate::condition::tests::SITE;
use crate::line::worst_cases;
use crate::pdu::{Payload, ReadRequest};
use crate::schedule::{Outcome, Scanner, Step};
use crate::site::Site;

/// The true value is always 20: 200 stands in the register under one divisor, 2,000 under the other.
const POINTS: &str = "h\n\
tag,name,installation,signal,unit,low,high,device,function,address,type,order,period_ms,rules
A,n,a,s,u,0,9999,d,holding,0,u16,,1000,divisor=holding:100
B,n,a,s,u,0,9999,d,holding,10,u32,ABCD,1000,\"order_by=holding:110;orders=0:ABCD,1:CDAB\"
C,n,a,s,u,0,9999,d,holding,20,u16,,3000,\"status=holding:120;bad=1;doubt=2\"
D,n,a,s,u,0,9999,d,holding,101,u16,,1000,divisor=holding:1
";
/// The device whole, each register alone, and all in one request.
const LAYOUTS: [&str; 3] = ["", "read_singly = true\n", "gap_registers = 100\n"];
/// A state lasts for so many requests at least: one that passes between two reads of the same
/// register is seen by nobody.
const LASTS: u32 = 60;

fn scanner(device: &str) -> Scanner {
    let site = Site::load("s", &format!("{SITE}{device}"), &mut |_| Ok(POINTS.to_owned()));
    let site = site.unwrap_or_else(|faults| panic!("{faults:#?}"));
    Scanner::new(site.devices[0].clone(), site.mappings_of(0), 0)
}

/// Its registers at one moment.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    fine: bool,
    swapped: bool,
    status: u16,
}

impl State {
    fn word(self, address: u16) -> u16 {
        match (address, self.fine) {
            (0 | 101, false) => 200,
            (0 | 101, true) => 2_000,
            (1 | 100, false) => 10,
            (1 | 100, true) => 100,
            (10 | 11, _) if (address == 11) != self.swapped => 20,
            (110, _) => u16::from(self.swapped),
            // A sensor in fault says nothing that is true.
            (20, _) if self.status == 1 => 7_777,
            (20, _) => 20,
            (120, _) => self.status,
            _ => 0,
        }
    }

    fn reply(self, ask: ReadRequest) -> Outcome {
        let words = (ask.first..ask.first + ask.count).map(|at| self.word(at)).collect();
        Outcome::Data(Payload::Words(words))
    }
}

type Said = BTreeMap<u32, Vec<(u64, Reading)>>;

/// Runs it; `changes` says what happens at each request, and whether its reply is lost.
fn run(
    device: &str,
    seconds: u64,
    mut changes: impl FnMut(&mut State, ReadRequest) -> bool,
) -> Said {
    let lost = |lost: bool| lost.then_some(Outcome::BadFrame);
    run_with(device, seconds, &[], |state, ask, _| lost(changes(state, ask)))
}

/// The same with alarms on these points, and where other things happen than answers.
fn run_with(
    device: &str,
    seconds: u64,
    alarms: &[u32],
    mut changes: impl FnMut(&mut State, ReadRequest, u64) -> Option<Outcome>,
) -> Said {
    let alarms = alarms.iter().copied().collect();
    let (mut scanner, mut state) = (scanner(device).with_alarms(&alarms), State::default());
    let (mut now, mut said) = (0, Said::new());
    while now < seconds * 1_000 {
        match scanner.next(now) {
            Step::Sleep(until) => {
                assert!(until > now, "would spin at {now}");
                now = until;
            }
            Step::Read(ask) => {
                let trouble = changes(&mut state, ask, now);
                now += 5;
                let outcome = trouble.unwrap_or_else(|| state.reply(ask));
                for (point, reading) in scanner.answer(outcome, now).readings {
                    said.entry(point).or_default().push((now, reading));
                }
            }
        }
    }
    said
}

fn goods(said: &Said, point: u32) -> usize {
    said[&point].iter().filter(|(_, reading)| *reading == Reading::Good(20.0)).count()
}

#[test]
fn a_device_at_rest_says_everything_once_a_scan_for_at_most_one_more_read() {
    for (device, blocks) in LAYOUTS.into_iter().zip([6, 8, 1]) {
        let mut asked = 0;
        let said = run(device, 30, |_, _| {
            asked += 1;
            false
        });
        for (point, count) in [(0, 30), (1, 30), (2, 10), (3, 30)] {
            assert_eq!(
                (goods(&said, point), said[&point].len()),
                (count, count),
                "{device}{point}"
            );
        }
        assert!(asked <= 30 * (blocks + 1) + blocks, "{device}: {asked}");
    }
}

#[test]
fn a_change_costs_one_more_read_and_no_reading() {
    let mut asked = 0_u64;
    let said = run("", 100, |state, _| {
        asked += 1;
        state.fine = (asked / 97) % 2 == 1;
        false
    });
    for point in [0, 3] {
        assert!(goods(&said, point) >= 100, "{point}: {said:?}");
    }
}

#[test]
fn what_changes_whenever_it_is_asked_is_no_number_and_that_is_said_every_second() {
    let said = run("", 30, |state, ask| {
        state.fine ^= ask.first == 100;
        false
    });
    assert_eq!((goods(&said, 0), said[&0].len()), (0, 30), "{said:?}");
    assert!(said[&0].iter().all(|(_, reading)| *reading == Reading::Bad(Fault::Undecodable)));
}

/// A value is as good as the read behind it: what could not be read before does not count twice.
#[test]
fn a_register_that_can_be_read_at_every_other_try_gives_every_other_value() {
    for (trouble, least) in [(Outcome::Exception(6), 45), (Outcome::BadFrame, 95)] {
        let mut tries = 0_u32;
        let said = run_with("", 100, &[0], |_, ask, _| {
            tries += u32::from(ask.first == 100);
            (ask.first == 100 && tries.is_multiple_of(2)).then(|| trouble.clone())
        });
        assert!(goods(&said, 0) >= least, "{trouble:?}: {} of {}", goods(&said, 0), said[&0].len());
    }
}

/// What a register said before it was busy for long is no word about a value of now.
#[test]
fn a_register_that_was_busy_for_long_vouches_for_no_value_before_its_return() {
    let said = run_with("", 60, &[0], |state, ask, now| {
        let busy = (10_000..40_000).contains(&now);
        if ask.first == 100 || now < 10_000 {
            // Back in its first range right behind the first value that was read in the other.
            state.fine = busy;
        }
        (busy && ask.first == 100).then_some(Outcome::Exception(6))
    });
    let wrong = |reading: &Reading| reading.value().is_some() && *reading != Reading::Good(20.0);
    assert!(!said[&0].iter().any(|(_, reading)| wrong(reading)), "{:?}", said[&0]);
    assert!(goods(&said, 0) >= 25, "{:?}", said[&0]);
}

#[test]
fn the_worst_case_counts_what_is_read_again_for_an_alarm() {
    let bound = |points: &str| {
        let mut sheet = |_: &str| Ok(points.to_owned());
        let site = Site::load("s", &format!("{SITE}timeout_ms = 100\n"), &mut sheet).unwrap();
        worst_cases(&site, &[0].into_iter().collect(), &|_| 0)[0].read_ms
    };
    // The divisor before and twice behind it, and the value once more.
    let rows: Vec<&str> = POINTS.lines().filter(|row| !row.starts_with("D,")).collect();
    let (alone, plain) = (rows.join("\n"), POINTS.replace(",divisor=holding:100", ","));
    assert_eq!(bound(&alone), bound(&plain) + 4 * 100);
    // D stands beside the divisor and is read as often; what it needs is read again as well.
    assert_eq!(bound(POINTS), bound(&alone) + 3 * 100);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_reading_mixes_two_states(
        events in prop::collection::vec((0..30_u16, 0..20_u16), 50..400),
        device in prop::sample::select(&LAYOUTS[..]),
    ) {
        let (mut at, mut asked, mut changed) = (events.iter().cycle(), 0_u32, [0_u32; 3]);
        let said = run(device, 200, |state, _| {
            let Some((what, lost)) = at.next() else { return false };
            asked += 1;
            let mut may = |which: usize| {
                let may = asked >= changed[which] + LASTS;
                changed[which] = if may { asked } else { changed[which] };
                may
            };
            match what {
                0..=3 if may(0) => state.fine = !state.fine,
                4..=6 if may(1) => state.swapped = !state.swapped,
                7..=9 if may(2) => state.status = *what - 7,
                _ => {}
            }
            *lost == 0
        });
        for (point, readings) in said {
            for (now, reading) in readings {
                let is_true = matches!(
                    reading,
                    Reading::Good(20.0)
                        | Reading::Uncertain(20.0, Doubt::SourceUncertain)
                        | Reading::Bad(_)
                );
                prop_assert!(is_true, "{point} at {now}: {reading:?}");
            }
        }
    }

    /// Whatever happened to single requests for two minutes: half a minute after the last of it
    /// nothing waits any more.
    #[test]
    fn after_any_trouble_every_point_is_said_again_at_every_scan(
        events in prop::collection::vec(0..9_u8, 20..200),
        device in prop::sample::select(&LAYOUTS[..]),
        alarms in prop::collection::vec(0..4_u32, 0..4),
    ) {
        let mut at = events.iter().cycle();
        let said = run_with(device, 200, &alarms, |state, _, now| {
            let what = if now < 120_000 { *at.next().unwrap_or(&0) } else { 0 };
            state.fine ^= what == 1;
            match what {
                2 => Some(Outcome::Timeout),
                3 => Some(Outcome::BadFrame),
                4 => Some(Outcome::Lost),
                5 => Some(Outcome::Unreachable),
                6 => Some(Outcome::Exception(6)),
                _ => None,
            }
        });
        for (point, period) in [(0, 1_000), (1, 1_000), (2, 3_000), (3, 1_000)] {
            let late = |(now, _): &&(u64, Reading)| *now >= 155_000;
            let good = |(_, reading): &&(u64, Reading)| *reading == Reading::Good(20.0);
            let readings = || said.get(&point).into_iter().flatten().filter(late);
            let wanted = usize::try_from(45_000 / period - 1).unwrap();
            prop_assert!(readings().count() >= wanted, "{point}: {}", readings().count());
            prop_assert!(readings().all(|one| good(&one)), "{point}");
        }
    }
}
