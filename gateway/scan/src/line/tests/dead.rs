//! What three dead devices of 32 cost the others, whatever their `timeout_ms`, and how soon a slow
//! one that comes back is found.

use super::*;

#[test]
fn long_timeouts_of_the_dead_delay_the_living_no_more_than_short_ones() {
    let loads = [
        (9_600, 50, 20),
        (9_600, 125, 8_000),
        (19_200, 50, 3_000),
        (115_200, 10, 20),
        (115_200, 50, 20),
        (115_200, 50, 1_000),
    ];
    for (baud, words, period_ms) in loads {
        let seconds = if baud > 19_200 { 200 } else { 1_200 };
        let before = run(&site(baud, words, period_ms), &[], seconds).p99();
        for timeout_ms in [50, 200, 1_000] {
            let what = format!("{baud} baud, {words} words, {period_ms} ms, {timeout_ms} ms");
            let site = patient_site(baud, words, period_ms, timeout_ms);
            let mut some = run(&site, &[3, 11, 27], seconds);
            let after = some.p99();
            assert!(after * 10 <= before * 12, "{what}: {before} -> {after} ms");
            assert!(some.dead_us * 20 <= some.now_us + 20 * 2_100_000, "{what}: {}", some.dead_us);
            // At the latest where every probe hurts: 128 rounds of 0.4 s for each of three.
            let least = usize::try_from(seconds / 160 * 3).unwrap();
            assert!(some.probes >= least, "{what}: {} probes", some.probes);
        }
    }
}

/// A round of ten seconds and a probe of eight: whoever is delayed is delayed by a probe at most,
/// and hardly ever.
#[test]
fn a_probe_that_is_long_against_a_round_comes_once_in_ten_minutes() {
    let site = patient_site(9_600, 125, 20, 4_000);
    let seconds = 3_600;
    let (mut all, mut some) = (run(&site, &[], seconds), run(&site, &[3, 11, 27], seconds));
    let (before, _) = (all.p99(), some.p99());
    let late = some.intervals.iter().filter(|interval| **interval * 10 > before * 12).count();
    // One interval of each of the 29 in ten minutes.
    assert!(late <= 29 * (3_600 / 600 + 1), "{late} of {}", some.intervals.len());
    assert!(*some.intervals.last().unwrap() <= before + 8_600, "{:?}", some.intervals.last());
}

/// When a device that answers after 400 ms, where the others take 5, is switched on after a minute.
fn found_after(site: &Site) -> u64 {
    let timing = Timing::new(&site.buses[0].settings);
    let scanner =
        |index: usize| Scanner::new(site.devices[index].clone(), site.mappings_of(index), 0);
    let mut line = Line::new(timing, (0..SLAVES).map(scanner).collect(), 0);
    let mut now_us = 0;
    loop {
        let (device, request, patience_us) = match line.next(now_us / 1_000) {
            Turn::Sleep(until) => {
                now_us = now_us.max(until * 1_000);
                continue;
            }
            Turn::Ask { device, request, patience_us, .. } => (device, request, patience_us),
            Turn::Obey(_) => unreachable!(),
        };
        let turnaround_us = if device == 7 { 400_000 } else { TURNAROUND_US };
        let answers = (device != 7 || now_us > 60_000_000) && turnaround_us < patience_us;
        let took_us = if answers { turnaround_us } else { 2 * patience_us };
        let busy_us = timing.exchange_us(request) + took_us;
        now_us += busy_us;
        let (outcome, turnaround_us) = match answers {
            true if device == 7 => return now_us / 1_000_000 - 60,
            true => {
                (Outcome::Data(Payload::Words(vec![1; request.count.into()])), Some(turnaround_us))
            }
            false => (Outcome::Timeout, None),
        };
        let heard = Heard { outcome, fault: None, turnaround_us, busy_us, orphans: 0 };
        line.answer(heard, now_us / 1_000);
        assert!(now_us < 3_600_000_000, "never found");
    }
}

#[test]
fn a_slow_device_that_comes_back_is_found_by_a_probe_with_its_whole_timeout() {
    let gaps = found_after(&patient_site(115_200, 50, 3_000, 1_000));
    assert!(gaps <= 150, "in the gaps of a line at rest: {gaps} s");
    let full = found_after(&patient_site(115_200, 50, 20, 1_000));
    assert!(full <= 300, "on a full line: {full} s");
}

/// The power of a whole line fails for ten minutes: no probe delays anybody meanwhile, and the
/// first answer wakes all the others.
#[test]
fn a_line_that_comes_back_whole_is_read_whole_as_soon_as_one_device_answers() {
    let site = patient_site(9_600, 4, 2_000, 1_000);
    let timing = Timing::new(&site.buses[0].settings);
    let scanner =
        |index: usize| Scanner::new(site.devices[index].clone(), site.mappings_of(index), 0);
    let mut line = Line::new(timing, (0..SLAVES).map(scanner).collect(), 0);
    let (mut now_us, mut read) = (0, [None; SLAVES]);
    let off = 60_000_000..660_000_000;
    while read.iter().any(Option::is_none) {
        assert!(now_us < off.end + 600_000_000, "{read:?}");
        let (device, request, patience_us) = match line.next(now_us / 1_000) {
            Turn::Sleep(until) => {
                now_us = now_us.max(until * 1_000);
                continue;
            }
            Turn::Ask { device, request, patience_us, .. } => (device, request, patience_us),
            Turn::Obey(_) => unreachable!(),
        };
        let answers = !off.contains(&now_us);
        let took_us = if answers { TURNAROUND_US } else { 2 * patience_us };
        let busy_us = timing.exchange_us(request) + took_us;
        now_us += busy_us;
        if now_us >= off.end && answers {
            read[device].get_or_insert((now_us - off.end) / 1_000);
        }
        let words = Payload::Words(vec![1; request.count.into()]);
        let outcome = if answers { Outcome::Data(words) } else { Outcome::Timeout };
        let turnaround_us = answers.then_some(TURNAROUND_US);
        let heard = Heard { outcome, fault: None, turnaround_us, busy_us, orphans: 0 };
        line.answer(heard, now_us / 1_000);
    }
    let (first, last) = (read.iter().flatten().min(), read.iter().flatten().max());
    assert!(last.unwrap() - first.unwrap() < 5_000 && *first.unwrap() < 30_000, "{read:?}");
}
