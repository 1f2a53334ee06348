//! The printed worst case holds for every device that is as its sheet says, whatever one other does.

use super::*;
use fengsui_telemetry::Reading;
use proptest::prelude::*;

/// What the one does for a while.
#[derive(Clone, Copy, Debug)]
enum Mood {
    AsPlanned,
    /// Refuses to read more registers at once.
    Refuses(u16),
    /// Does not answer when asked for more.
    Silent(u16),
    Busy,
    /// Its registers are others at every read, so that what belongs together is read again.
    Restless,
}

fn mood() -> impl Strategy<Value = Mood> {
    prop_oneof![
        Just(Mood::AsPlanned),
        (1..12_u16).prop_map(Mood::Refuses),
        (0..12_u16).prop_map(Mood::Silent),
        Just(Mood::Busy),
        Just(Mood::Restless),
    ]
}

#[derive(Clone, Debug)]
struct Case {
    baud: u32,
    timeout_ms: u32,
    /// Registers, period and turnaround, in percent of the patience, of each other device.
    others: Vec<(u16, u32, u64)>,
    /// When the scans of each begin.
    phases: Vec<u64>,
    /// Registers of the one, how many of them stand together, and the period of each.
    registers: (u16, u16, Vec<u32>),
    divisors: bool,
    /// Which of them carry no alarm: every so manieth.
    bulk: usize,
    pause_ms: u32,
    /// For so many milliseconds each.
    moods: Vec<(Mood, u64)>,
    /// Its turnaround, in percent of its patience.
    slow: u64,
}

fn case() -> impl Strategy<Value = Case> {
    let period = || prop_oneof![Just(500_u32), Just(1_000), Just(2_000), Just(5_000)];
    let other = (1..20_u16, period(), 1..95_u64);
    let registers = (1..60_u16, 1..20_u16, proptest::collection::vec(period(), 1..3));
    let moods = proptest::collection::vec((mood(), 1_000..30_000_u64), 4..10);
    let line = (prop_oneof![Just(9_600_u32), Just(115_200)], 100..1_000_u32, 0..100_u32);
    let line = (line, proptest::collection::vec(0..1_000_u64, 1..4));
    let others = proptest::collection::vec(other, 1..4);
    (line, others, registers, any::<bool>(), moods, 1..98_u64, 1..9_usize).prop_map(
        |(
            ((baud, timeout_ms, pause_ms), phases),
            others,
            registers,
            divisors,
            moods,
            slow,
            bulk,
        )| Case {
            baud,
            timeout_ms,
            others,
            phases,
            registers,
            divisors,
            bulk,
            pause_ms,
            moods,
            slow,
        },
    )
}

impl Case {
    /// The one is the last device.
    fn site(&self) -> Site {
        let mut text = format!(
            "[site]\nenterprise='示例'\ngateway='GW-01'\npoints='p'\nlimits='l'\n[[installation]]\n\
             name='a'\nkind='k'\n[[bus]]\nname='A'\nkind='modbus-rtu'\npath='/dev/x'\nbaud={}\n\
             parity='even'\n",
            self.baud
        );
        let mut sheet = String::from(
            "h\ntag,name,installation,signal,unit,low,high,device,function,address,type,period_ms,\
             rules\n",
        );
        let one = self.others.len();
        for device in 0..=one {
            text += &format!(
                "[[device]]\nname='d{device}'\nkind='modbus-rtu'\nbus='A'\nunit={}\n\
                 timeout_ms={}\npause_ms={}\n",
                device + 1,
                self.timeout_ms,
                self.pause_ms,
            );
        }
        let mut row = |device: usize, address: u16, period_ms: u32, rules: &str| {
            sheet += &format!(
                "P{device}-{address},n,a,s,u,0,9,d{device},holding,{address},u16,{period_ms},\
                 {rules}\n"
            );
        };
        for (device, (words, period_ms, _)) in self.others.iter().enumerate() {
            (0..*words).for_each(|address| row(device, address, *period_ms, ""));
        }
        let (count, together, periods) = &self.registers;
        for (at, period) in (0..*count).zip(periods.iter().cycle()) {
            let divided = self.divisors && at % 8 == 7;
            let rules =
                if divided { format!("divisor=holding:{}", 20_000 + at) } else { "".into() };
            row(one, at / together * 200 + at % together, *period, &rules);
        }
        Site::load("s", &text, &mut |_| Ok(sheet.clone())).unwrap()
    }

    fn says(&self, mood: Mood, request: ReadRequest, now_us: u64) -> Outcome {
        let words = |word: u16| Outcome::Data(Payload::Words(vec![word; request.count.into()]));
        match mood {
            Mood::Refuses(most) if request.count > most => Outcome::Exception(2),
            Mood::Silent(most) if request.count > most => Outcome::Timeout,
            Mood::AsPlanned | Mood::Refuses(_) | Mood::Silent(_) => words(1),
            Mood::Busy => Outcome::Exception(6),
            Mood::Restless => words(u16::try_from(now_us / 1_000 % 9).unwrap() + 1),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn one_device_that_is_not_as_its_sheet_says_breaks_the_bound_of_no_other(case in case()) {
        let site = case.site();
        let one = case.others.len();
        let alarmed = |device: &usize| {
            let step = if *device == one { case.bulk } else { usize::MAX };
            site.mappings_of(*device).into_iter().enumerate().filter(move |(at, _)| at % step != step - 1)
        };
        let alarms: PointSet = (0..=one).flat_map(|d| alarmed(&d).map(|(_, m)| m.point).collect::<Vec<_>>()).collect();
        let timing = Timing::new(&site.buses[0].settings);
        let phase = |index: usize| case.phases.get(index).copied().unwrap_or(0);
        let scanner = |index: usize| {
            Scanner::new(site.devices[index].clone(), site.mappings_of(index), phase(index))
                .with_alarms(&alarms)
        };
        let mut line = Line::new(timing, (0..=one).map(scanner).collect(), 0);
        let bounds: Vec<u64> = worst_cases(&site, &alarms, &|_| 0).iter().map(|w| w.read_ms).collect();
        // When the registers of the last good answer were read.
        let mut seen = vec![0_u64; bounds.len()];
        let (mut now_us, mut moods) = (0_u64, case.moods.iter());
        // When the one was last asked, or could not be.
        let (mut asked, longest) = (0, bounds.iter().max().unwrap());
        let (mut mood, mut until) = (Mood::AsPlanned, 20_000);
        loop {
            let now = now_us / 1_000;
            if now >= until {
                let Some((next, ms)) = moods.next() else { break };
                (mood, until) = (*next, now + ms);
            }
            let (device, request, patience_us) = match line.next(now) {
                Turn::Sleep(at) => {
                    now_us = now_us.max(at.min(until) * 1_000);
                    continue;
                }
                Turn::Ask { device, request, patience_us, .. } => (device, request, patience_us),
                Turn::Obey(_) => unreachable!(),
            };
            if device == one || !matches!(line.health(one), Some(Health::Healthy)) {
                let starved = case.bulk > 1 && now - asked > 2 * longest;
                prop_assert!(!starved, "not asked for {} ms", now - asked);
                asked = now;
            }
            let slow = match (case.others.get(device), mood) {
                (Some((_, _, slow)), _) => *slow,
                (None, Mood::AsPlanned) => 2,
                (None, _) => case.slow,
            };
            let turnaround_us = u64::from(case.timeout_ms) * 10 * slow;
            let mut outcome = match case.others.get(device) {
                Some(_) => case.says(Mood::AsPlanned, request, now_us),
                None => case.says(mood, request, now_us),
            };
            if turnaround_us > patience_us {
                outcome = Outcome::Timeout;
            }
            let pause_us = u64::from(case.pause_ms) * 1_000;
            let busy_us = pause_us + match outcome {
                Outcome::Timeout => timing.request_us() + 2 * patience_us + timing.reply_us(request),
                Outcome::Data(_) | Outcome::Exception(_) | Outcome::BadFrame | Outcome::Lost
                | Outcome::Unreachable => timing.exchange_us(request) + turnaround_us,
            };
            let began = now_us + pause_us;
            now_us += busy_us;
            let turnaround_us = (outcome != Outcome::Timeout).then_some(turnaround_us);
            let heard = Heard { outcome, fault: None, turnaround_us, busy_us, orphans: 0 };
            let said = line.answer(heard, now_us / 1_000);
            for (point, reading) in said.readings {
                let place = usize::try_from(point).unwrap();
                if device == one || !matches!(reading, Reading::Good(_)) {
                    continue;
                }
                let took = now_us / 1_000 - seen[place] / 1_000;
                prop_assert!(
                    took <= bounds[place] + 1,
                    "{point} of {device}: {took} of {} ms at {now}, {mood:?}", bounds[place]
                );
                seen[place] = began;
            }
        }
        for (place, seen) in seen.iter().enumerate() {
            let of_others = site.mappings_of(one).iter().all(|m| m.point as usize != place);
            let took = (now_us - seen) / 1_000;
            prop_assert!(!of_others || took <= bounds[place] + 1, "{place}: {took}");
        }
    }
}
