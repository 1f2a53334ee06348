//! Seeded shifts of alarms, receipts, answers and kills: a restart at any point goes on as if
//! nothing had been, and nothing short of the stopping state ends an escalation.

use super::*;

/// Numbers from a seed (xorshift64*).
pub(super) struct Chance(pub(super) u64);

impl Chance {
    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % n
    }
}

fn small_budgets() -> Setup {
    let mut with = setup();
    with.channels.insert("sms".into(), channel(Needs::Phone, 12));
    with.channels.insert("voice".into(), channel(Needs::Phone, 8));
    with.policies.get_mut(&2).unwrap().end_stops = true;
    with
}

fn something(host: &mut Host, chance: &mut Chance) {
    let n = chance.below(12);
    let alarm = format!("GW-01/P-{n}/HH");
    let priority = if n < 6 { 1 } else { 2 };
    let number = 1 + chance.below(2);
    match chance.below(10) {
        0 | 1 => host.tell(Event::Opened(occurrence(&alarm, number, priority), Novelty::Live)),
        2 => host.tell(Event::Opened(occurrence(&alarm, number, priority), Novelty::Late)),
        3 => {
            let through = chance.below(2) == 0;
            host.tell(Event::Acknowledged { alarm, occurrence: number, through });
        }
        4 => host.tell(Event::Ended { alarm, occurrence: number }),
        5 => host.tell(Event::Quieted { alarm }),
        6 | 7 => answer(host, chance, &alarm, number),
        8 => host.accept_all(),
        _ => {
            for (_, hand) in std::mem::take(&mut host.hands) {
                let Hand { alarm, occurrence, attempt, channel, again } = hand;
                let entry = if chance.below(2) == 0 {
                    let result = SendResult::Failed { why: "500".into() };
                    Entry::Result { alarm, occurrence, attempt, channel, again, result }
                } else {
                    let state = Receipt::Read;
                    Entry::Receipt { alarm, occurrence, attempt, channel, state }
                };
                host.ledger(entry);
            }
        }
    }
}

fn answer(host: &mut Host, chance: &mut Chance, alarm: &str, occurrence: u64) {
    let outcome = [Outcome::Answered, Outcome::NoAnswer, Outcome::Busy, Outcome::Answered]
        [usize::try_from(chance.below(4)).unwrap()];
    let right = host.machine.ladder(alarm, occurrence).and_then(|l| l.attempts.back());
    let digits = match (chance.below(2), right) {
        (0, Some(attempt)) => attempt.intent.digits.clone(),
        _ => "no".to_owned(),
    };
    let request = AnswerRequest {
        alarm: alarm.to_owned(),
        occurrence,
        outcome: Some(outcome),
        digits,
        request: format!("r{}", host.journal.len()),
        ..AnswerRequest::default()
    };
    if let Ok(entry) = host.machine.answer(request) {
        host.ledger(entry);
    }
}

#[test]
fn a_restart_at_any_point_goes_on_as_if_nothing_had_been() {
    for seed in 1..=200_u64 {
        let mut chance = Chance(seed);
        let mut host = Host::new(small_budgets());
        for _ in 0..40 {
            something(&mut host, &mut chance);
            let on = i64::try_from(chance.below(150)).unwrap() * 1_000;
            host.until(TimeMs(host.now.0 + on));
            if chance.below(4) > 0 {
                continue;
            }
            let mut restarted = host.restarted();
            let later = TimeMs(host.now.0 + 1_800_000);
            let mut stayed = host.restarted();
            // One is woken on time; the other stood still for a while before it was.
            stayed.machine = host.machine.clone();
            stayed.until(later);
            restarted.until(later);
            for (one, other) in stayed.journal.iter().zip(&restarted.journal) {
                assert_eq!(one, other, "seed {seed}: other steps after a restart");
            }
            assert_eq!(stayed.journal.len(), restarted.journal.len(), "seed {seed}");
        }
    }
}

#[test]
fn every_open_alarm_has_a_next_step_whatever_happens() {
    for seed in 1..=200_u64 {
        let mut chance = Chance(seed);
        let mut host = Host::new(small_budgets());
        for _ in 0..60 {
            something(&mut host, &mut chance);
            let on = i64::try_from(chance.below(200)).unwrap() * 1_000;
            host.until(TimeMs(host.now.0 + on));
            let waits = |m: &&Matter| !m.quiet && !m.acknowledged;
            let open: Vec<Open> = host
                .machine
                .matters()
                .filter(waits)
                .map(|m| Open {
                    alarm: m.facts.alarm.clone(),
                    occurrence: m.facts.occurrence,
                    priority: m.facts.priority,
                })
                .collect();
            let found = audit(&host.machine, &open, host.now);
            assert_eq!(found, [], "seed {seed}");
        }
    }
}
