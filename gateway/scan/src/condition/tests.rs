//! Stories of instruments that say more than a number, told through a sheet and a scanner.

use std::collections::BTreeMap;

use crate::pdu::{Payload, ReadRequest};
use crate::register::Function;
use crate::schedule::{Outcome, Scanner, Step};
use crate::site::Site;

/// A site of one device, to which more may be said.
pub(crate) const SITE: &str = r#"
[site]
enterprise = "示例"
gateway = "GW-01"
points = "p"
limits = "l"
[[installation]]
name = "a"
kind = "k"
[[device]]
name = "d"
kind = "modbus-tcp"
host = "h"
"#;
const HEAD: &str = "h\ntag,name,installation,signal,unit,low,high,device,function,address,type,\
                    order,scale,offset,period_ms,sentinels,rules\n";
/// A strapping table of a lying cylinder, roughly.
const TABLE: &str = "液位,容积\nlevel,volume\n0,0\n1000,10\n2000,40\n3000,50\n";

/// A device in memory and a clock that is moved by hand.
struct Plant {
    scanner: Scanner,
    words: BTreeMap<(Function, u16), u16>,
    refused: Vec<(Function, u16)>,
    silent: bool,
    /// Replies that are damaged on their way.
    damaged: u32,
    now: u64,
    asked: Vec<ReadRequest>,
}

/// `address,type,order,scale,offset,period,sentinels,rules` of some points, of range 0 to 100.
fn plant(device: &str, rows: &[&str]) -> Plant {
    let rows: Vec<_> = rows
        .iter()
        .enumerate()
        .map(|(i, row)| {
            let function = if row.starts_with('@') { "" } else { "holding" };
            format!("P{i},n,a,s,u,0,100,d,{function},{row}")
        })
        .collect();
    let sheet = format!("{HEAD}{}\n", rows.join("\n"));
    let site = Site::load("s", &format!("{SITE}{device}"), &mut |name| match name {
        "p" => Ok(sheet.clone()),
        "tank.csv" => Ok(TABLE.to_owned()),
        other => Err(format!("no file {other}")),
    });
    let site = site.unwrap_or_else(|faults| panic!("{faults:#?}"));
    let scanner = Scanner::new(site.devices[0].clone(), site.mappings_of(0), 0);
    let (words, refused, asked) = (BTreeMap::new(), vec![], vec![]);
    Plant { scanner, words, refused, silent: false, damaged: 0, now: 0, asked }
}

/// The same plant under other files, which know what was said under these.
fn reloaded(before: Plant, rows: &[&str]) -> Plant {
    let Plant { words, now, scanner, .. } = before;
    let next = plant("timeout_ms = 700\n", rows);
    let (due, memory) = (next.scanner.requests().len(), scanner.into_memory());
    assert!(due > 0 && memory.is_some());
    Plant { words, now, scanner: next.scanner.recalling(memory), ..next }
}

impl Plant {
    fn set(&mut self, address: u16, words: &[u16]) -> &mut Self {
        for (at, word) in (address..).zip(words) {
            self.words.insert((Function::Holding, at), *word);
            self.words.insert((Function::Input, at), *word);
        }
        self
    }

    fn reply(&mut self, ask: ReadRequest) -> Outcome {
        let mut range = ask.first..ask.first + ask.count;
        if self.damaged > 0 {
            self.damaged -= 1;
            return Outcome::BadFrame;
        }
        if self.silent {
            return Outcome::Timeout;
        }
        if range.clone().any(|at| self.refused.contains(&(ask.function, at))) {
            return Outcome::Exception(2);
        }
        let word = |at| self.words.get(&(ask.function, at)).copied().unwrap_or(0);
        if ask.function.is_bits() {
            return Outcome::Data(Payload::Bits(range.map(|at| word(at) != 0).collect()));
        }
        Outcome::Data(Payload::Words(range.by_ref().map(word).collect()))
    }

    /// Everything that is due within the next second, as `point=value word`.
    fn second(&mut self) -> String {
        let end = self.now + 1_000;
        let mut said = Vec::new();
        while self.now < end {
            match self.scanner.next(self.now) {
                Step::Sleep(until) => self.now = until.min(end),
                Step::Read(ask) => {
                    self.asked.push(ask);
                    let outcome = self.reply(ask);
                    for (point, reading) in self.scanner.answer(outcome, self.now).readings {
                        said.push(match (reading.value(), reading.word()) {
                            (Some(value), "good") => format!("{point}={value}"),
                            (Some(value), word) => format!("{point}={value} {word}"),
                            (None, word) => format!("{point}:{word}"),
                        });
                    }
                    if self.silent {
                        self.now += 500;
                    }
                }
            }
        }
        said.join(", ")
    }

    /// The last of some seconds.
    fn seconds(&mut self, count: usize) -> String {
        (0..count).map(|_| self.second()).last().unwrap_or_default()
    }
}

/// One register, one second.
fn check(row: &str, words: &[u16], wanted: &str) {
    let mut plant = plant("", &[row]);
    assert_eq!(plant.set(0, words).second(), wanted, "{row}");
}

#[test]
fn bits_calibrations_and_curves() {
    check("0,u16,,,,1000,,bit=3", &[0b1000], "0=1");
    check("0,u16,,,,1000,,bits=4-7", &[0x00a0], "0=10");
    check("0,u32,CDAB,,,1000,,bits=16-23", &[0, 0x0042], "0=66");
    check("0,u16,,,,1000,,\"calibration=100:0,1100:50\"", &[600], "0=25");
    check("0,u16,,0.1,,1000,,\"polynomial=1,2,0.5\"", &[40], "0=17");
    check("0,u16,,,,1000,,table=tank.csv", &[1_500], "0=25");
    check("0,u16,,,,1000,,table=tank.csv", &[3_000], "0=50");
    check("0,u16,,,,1000,,table=tank.csv", &[3_100], "0=50 near_range");
    check("0,u16,,,,1000,,table=tank.csv", &[3_200], "0:out_of_range");
    check("0,i16,,,,1000,0x8000,", &[0x8000], "0:sentinel");
    check("0,f32,ABCD,,,1000,NaN,", &[0x7fc0, 0], "0:not_a_number");
    check("0,bcd16,,0.1,,1000,,", &[0x0765], "0=76.5");
    check("0,bcd16,,0.1,,1000,,", &[0x0a65], "0:undecodable");
    check("0,u16,,,,1000,,margin=0", &[101], "0:out_of_range");
    check("0,u16,,,,1000,,margin=20", &[119], "0=119 near_range");
}

#[test]
fn a_state_that_the_register_can_never_say_is_refused() {
    for (rules, wanted) in [
        ("status=3;bad=b16", "0 到 15"),
        ("status=3:u8h;bad=b8", "0 到 7"),
        ("status=3;bad=70000", "65535"),
        ("status=3;bad=b4-5=4", "3"),
        ("status=3", "status"),
        ("order_by=3;orders=70000:CDAB", "65535"),
        ("unit_code=3;unit_is=-1", "65535"),
        ("heartbeat=3;heartbeat_s=5;heartbeat_bit=16", "0 到 15"),
    ] {
        let sheet = format!("{HEAD}P0,n,a,s,u,0,100,d,holding,0,u16,,,,1000,,\"{rules}\"\n");
        let found = Site::load("s", SITE, &mut |_| Ok(sheet.clone()));
        let faults = found.map(drop).unwrap_err();
        let [fault] = faults.as_slice() else { panic!("{rules}: {faults:#?}") };
        assert!(format!("{fault}").contains(wanted), "{rules}: {fault}");
    }
    for rules in ["status=3;bad=b15", "status=3:i16;bad=-1", "status=3:u32;bad=b31,70000"] {
        let sheet = format!("{HEAD}P0,n,a,s,u,0,100,d,holding,0,u16,,,,1000,,\"{rules}\"\n");
        assert!(Site::load("s", SITE, &mut |_| Ok(sheet.clone())).is_ok(), "{rules}");
    }
}

/// Limits of NAMUR NE 43 as in its text: 3.8 and 20.5 are valid, 3.6 and 21 are failures.
#[test]
fn a_current_is_valid_saturated_or_a_failure_that_lasts() {
    let row = "0,u16,,0.001,,1000,,loop=4-20";
    check(row, &[4_000], "0=0");
    check(row, &[12_000], "0=50");
    check(row, &[20_000], "0=100");
    check(row, &[3_800], "0=-1.25 near_range");
    check(row, &[3_700], "0=-1.875 saturated");
    check(row, &[20_700], "0=104.375 saturated");
    let mut plant = plant("", &[row]);
    plant.set(0, &[3_600]);
    for second in 0..4 {
        assert_eq!(plant.second(), "0:out_of_range", "second {second}");
    }
    assert_eq!(plant.second(), "0:wire_break");
    plant.set(0, &[12_000]);
    assert_eq!(plant.second(), "0=50");
    plant.set(0, &[21_000]);
    assert_eq!(plant.second(), "0:out_of_range", "the four seconds begin anew");
    assert_eq!(plant.seconds(4), "0:wire_break");
}

#[test]
fn a_current_may_have_limits_and_a_range_of_its_own() {
    let row = "0,u16,,0.001,,1000,,loop=4-20;loop_range=0:3000;loop_fail=3.5-22;loop_fail_s=1;\
               table=tank.csv";
    check(row, &[12_000], "0=25");
    let mut plant = plant("", &[row]);
    plant.set(0, &[3_550]);
    assert_eq!(plant.second(), "0=0 saturated");
    plant.set(0, &[3_400]);
    assert_eq!(plant.second(), "0:out_of_range");
    assert_eq!(plant.second(), "0:wire_break");
}

/// What a curve makes of a saturated current may lie anywhere: far out it is no number.
#[test]
fn a_saturated_current_is_doubted_only_as_far_as_a_current_reaches() {
    let row = "0,u16,,0.001,,1000,,\"loop=4-20;polynomial=0,1,0.01\"";
    check(row, &[12_000], "0=75");
    check(row, &[20_700], "0:out_of_range");
    let row = "0,u16,,0.001,,1000,,\"loop=4-20;polynomial=0,0.98\"";
    check(row, &[20_700], "0=102.2875 saturated");
}

#[test]
fn a_status_far_away_judges_the_value_and_is_read_behind_it() {
    let row = "0,u16,,,,1000,,\"status=input:60;wire_break=1;out_of_range=2,3;doubt=b7\"";
    let mut plant = plant("", &[row]);
    plant.set(0, &[42]);
    assert_eq!(plant.second(), "0=42");
    let order: Vec<_> = plant.asked.iter().map(|ask| (ask.function, ask.first)).collect();
    let (status, value) = ((Function::Input, 60), (Function::Holding, 0));
    assert_eq!(order, [status, value, status], "before as well, once at the start");
    plant.asked.clear();
    assert_eq!(plant.second(), "0=42");
    assert_eq!(plant.asked.len(), 2);
    for (code, wanted) in [
        (1, "0:wire_break"),
        (2, "0:out_of_range"),
        (3, "0:out_of_range"),
        (0x80, "0=42 source_uncertain"),
        // It may have been so when the value was read.
        (0, "0=42 source_uncertain"),
        (0, "0=42"),
    ] {
        plant.set(60, &[code]);
        assert_eq!(plant.second(), wanted, "{code}");
    }
    plant.refused.push((Function::Input, 60));
    assert_eq!(plant.second(), "0:illegal_address", "a status that cannot be read is no good one");
}

/// Honeywell Midas, peers' trap 8: every state but "monitor" is a reason, never a normal value.
#[test]
fn inhibit_states_are_reasons_and_never_normal() {
    let device = "profile = \"honeywell_midas\"\ngap_registers = 8\n";
    let mut plant = plant(device, &["@concentration,,ABCD,,,1000,,"]);
    plant.set(2, &[0x4148, 0]);
    for (state, wanted) in [
        (0, "0:warm_up"),
        (1, "0=12.5"),
        (2, "0:inhibited"),
        (3, "0:inhibited"),
        (4, "0:inhibited"),
        (5, "0:simulated"),
        (6, "0:bump_test"),
        (7, "0:calibrating"),
        (8, "0:calibrating"),
        (0x11, "0=12.5 source_uncertain"),
        (0x21, "0:source_bad"),
        (0x801, "0=12.5"),
    ] {
        plant.set(0, &[state]);
        assert_eq!(plant.second(), wanted, "{state:#x}");
        assert_eq!(plant.asked.pop().unwrap().count, 4, "one request for both");
    }
}

#[test]
fn a_divisor_an_order_and_a_unit_in_other_registers() {
    let mut gas = plant("profile = \"honeywell_e3point\"\n", &["@reading,,,,,1000,,"]);
    gas.set(21, &[209]).set(23, &[10]);
    assert_eq!(gas.second(), "0=20.9");
    gas.set(23, &[0]);
    assert_eq!(gas.second(), "0:undecodable", "nothing is divided by nothing");

    let rules = "unit_code=@pv_unit;unit_is=45";
    let row = format!("@pv_by_3000,,,,,1000,,{rules}");
    let mut level = plant("profile = \"vega_levelsensor\"\n", &[&row]);
    level.set(104, &[45, 0]);
    // 12.5 = 0x41480000.
    for (code, words) in [(0, [0x4148, 0]), (1, [0, 0x4148]), (2, [0, 0x4841]), (3, [0x4841, 0])] {
        level.set(3000, &[code]).set(1302, &words);
        assert_eq!(level.second(), "0=12.5", "order {code}");
    }
    level.set(3000, &[4]);
    assert_eq!(level.second(), "0:undecodable");
    level.set(3000, &[3]).set(104, &[44, 0]);
    assert_eq!(level.second(), "0:wrong_unit");
    level.set(100, &[1, 0]);
    assert_eq!(level.second(), "0:source_bad");
}

#[test]
fn a_count_wraps_and_restarts_and_never_jumps() {
    let row = "0,u16,,0.1,,1000,,counter=65536;counter_per_s=20;margin=1000";
    let mut plant = plant("", &[row]);
    let mut at = |count: u16| plant.set(0, &[count]).second();
    assert_eq!(at(100), "0=10 count_restarted", "the gateway began to count");
    assert_eq!(at(110), "0=11");
    assert_eq!(at(3), "0=11.3 count_restarted", "the device began anew");
    assert_eq!(at(23), "0=13.3");
    assert_eq!(at(60_000), "0=13.3 count_restarted", "nobody counts that fast");
    assert_eq!(at(60_010), "0=14.3");
    assert_eq!(at(40), "0=14.3 count_restarted");
}

#[test]
fn a_reload_that_does_not_touch_a_point_forgets_nothing_of_it() {
    let count = "0,u16,,0.01,-600,1000,,counter=65536;counter_per_s=20";
    let still = "1,u16,,,,1000,,frozen_s=5";
    let wire = "2,u16,,0.001,,1000,,loop=4-20;loop_range=0:100;loop_fail_s=2";
    let mut plant = plant("", &[count, still, wire]);
    plant.set(0, &[65_530, 7, 3_000]).seconds(4);
    assert_eq!(plant.set(0, &[4]).second(), "0=55.4, 1=7, 2:wire_break");
    // A row before them, another period, another patience with the device.
    let count = count.replace(",1000,", ",500,");
    let mut plant = reloaded(plant, &["9,u16,,,,5000,,", &count, still, wire]);
    let said = plant.set(0, &[14]).second();
    assert!(said.contains("1=55.5,") && said.contains("3:wire_break"), "{said}");
    assert_eq!(plant.second().matches("frozen").count(), 1, "at rest since the first");
    // Another scale is another point.
    let scaled = count.replace("-600", "-601");
    let mut plant = reloaded(plant, &[&scaled, still]);
    let said = plant.set(0, &[65_530]).second();
    assert!(said.contains("0=54.3 count_restarted") && said.contains("1=7 frozen"), "{said}");
}

#[test]
fn a_wrap_is_no_restart() {
    let row = "0,u16,,0.01,-600,1000,,counter=0x10000;counter_per_s=20";
    let mut plant = plant("", &[row]);
    plant.set(0, &[65_530]).second();
    assert_eq!(plant.set(0, &[4]).second(), "0=55.4");
    assert_eq!(plant.set(0, &[14]).second(), "0=55.5");
}

#[test]
fn rest_and_haste_are_doubted() {
    let mut plant = plant("", &["0,u16,,,,1000,,frozen_s=3;frozen_within=1;rate_per_s=10"]);
    plant.set(0, &[50]);
    assert_eq!(plant.seconds(3), "0=50");
    plant.set(0, &[51]);
    assert_eq!(plant.second(), "0=51 frozen", "within the tolerance is rest");
    plant.set(0, &[55]);
    assert_eq!(plant.second(), "0=55");
    plant.set(0, &[66]);
    assert_eq!(plant.second(), "0=66 too_fast");
    assert_eq!(plant.second(), "0=66");
    plant.set(0, &[76]);
    assert_eq!(plant.second(), "0=76");
    plant.silent = true;
    assert_eq!(plant.second(), "0:timeout, 0:timeout");
    plant.silent = false;
    plant.seconds(30);
    assert_eq!(plant.second(), "0=76 frozen");
}

#[test]
fn an_outage_is_not_rest() {
    let mut plant = plant("", &["0,u16,,,,1000,,frozen_s=5"]);
    plant.set(0, &[50]);
    assert_eq!(plant.seconds(4), "0=50");
    plant.silent = true;
    plant.seconds(3);
    plant.silent = false;
    let back = (0..40).map(|_| plant.second()).find(|said| said.contains('=')).unwrap();
    assert_eq!(back, "0=50", "nobody knows what it did meanwhile");
}

#[test]
fn a_reply_that_is_lost_here_and_there_is_no_movement() {
    let mut plant = plant("", &["0,u16,,,,1000,,frozen_s=6"]);
    plant.set(0, &[50]);
    let mut said = Vec::new();
    for second in 1..=12 {
        plant.damaged = u32::from(second % 2 == 0);
        said.push(plant.second());
    }
    assert!(said[3].contains("bad_frame"), "{said:?}");
    assert!(said[..6].iter().all(|one| !one.contains("frozen")), "{said:?}");
    assert!(said[8..11].iter().all(|one| one.contains("frozen")), "{said:?}");
}

#[test]
fn a_heartbeat_that_stops_is_bad() {
    let row = "0,u16,,,,1000,,heartbeat=holding:9;heartbeat_bit=11;heartbeat_s=2";
    let mut plant = plant("", &[row]);
    plant.set(0, &[7]);
    for beat in [0, 0x800, 0, 0x800] {
        assert_eq!(plant.set(9, &[beat]).second(), "0=7");
    }
    assert_eq!(plant.set(9, &[0x801]).seconds(3), "0:not_refreshed", "other bits are no beat");
    assert_eq!(plant.set(9, &[0]).second(), "0=7");
}

#[test]
fn a_device_that_came_back_is_judged_by_a_fresh_status() {
    let mut plant = plant("", &["0,u16,,,,1000,,status=holding:200;bad=1"]);
    plant.set(0, &[5]);
    assert_eq!(plant.second(), "0=5");
    plant.silent = true;
    plant.seconds(2);
    plant.silent = false;
    plant.set(200, &[1]);
    let back =
        (0..40).map(|_| plant.second()).find(|said| !said.is_empty() && !said.contains("timeout"));
    assert_eq!(back.as_deref(), Some("0:source_bad"));
}

#[test]
fn a_device_with_its_own_time_reads_status_and_points_in_one_request() {
    let device = "time_register = 10\n";
    let mut plant = plant(device, &["0,u16,,,,1000,,status=holding:20;bad=1;rate_per_s=1"]);
    plant.set(0, &[5]).set(10, &[1, 0]);
    assert_eq!(plant.second(), "0=5");
    assert_eq!((plant.asked[0].first, plant.asked[0].count), (0, 21));
    plant.set(0, &[25]).set(10, &[1, 60]);
    assert_eq!(plant.second(), "0=25", "twenty in a minute of the device's own time");
    plant.set(20, &[1]).set(10, &[1, 120]);
    assert_eq!(plant.second(), "0:source_bad");
}
