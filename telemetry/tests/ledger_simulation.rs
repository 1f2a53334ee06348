//! A gateway, a broker that loses, doubles and reorders, and a centre, in one process and one
//! seed. Both ends are killed at any moment and keep what they had committed; a centre that lost
//! its disk is put back from an older copy, and is sent again what came since.
//!
//! The oracle is the operator's rule and calls neither machine: every record that the gateway
//! committed has its effect at the centre once, nothing is freed before that, and when the faults
//! end everything arrives.

#![expect(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    reason = "a simulation of some thousand records on a machine of 64 bits"
)]

use std::collections::{BTreeMap, VecDeque};

use fengsui_telemetry::ledger::{Durable, Ledger, RangeSet};
use fengsui_telemetry::uplink::{Acked, Offer, Uplink};
use fengsui_telemetry::{Epoch, Offset, TimeMs};

/// Seeds in an ordinary run; `FENGSUI_RUNS` sets another number (100,000 in `make soak`).
const RUNS: u64 = 20_000;
/// Steps with faults, then steps without in which everything must arrive.
const ROUGH_STEPS: u64 = 120;
const CALM_STEPS: u64 = 400;
const STEP_MS: i64 = 1_000;

/// A bug on purpose: what skipping one check would do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Planted {
    Nothing,
    /// The gateway does not check the epoch of an acknowledgement.
    SkipEpochCheck,
    /// The centre acknowledges what it has taken and not yet committed.
    AckBeforeCommit,
    /// The centre forgets to forget what a failed commit held.
    KeepFailedCommit,
    /// The gateway frees at the broker's PUBACK.
    FreeAtPuback,
    /// The gateway joins what acknowledgements say, over all of them.
    JoinAcks,
}

struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }
    fn below(&mut self, n: u64) -> u64 {
        (self.roll() >> 16) % n
    }
    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

#[derive(Clone, Debug)]
enum Message {
    Batch { epoch: Epoch, from: Offset, to: Offset },
    Ack(Durable),
}

struct Gateway {
    epoch: Epoch,
    made: Offset,
    freed: Offset,
    uplink: Uplink,
    /// Acknowledgements in a row that are behind what was acknowledged.
    behind: u32,
    joined: RangeSet,
}

#[derive(Clone, Default)]
struct Disk {
    ledger: BTreeMap<Epoch, Vec<(Offset, Offset)>>,
    effects: BTreeMap<Epoch, Vec<u32>>,
}

#[derive(Default)]
struct Centre {
    ledger: Ledger,
    pending: VecDeque<(Epoch, Offset, Offset)>,
    disk: Disk,
    copy: Disk,
}

impl Centre {
    /// What was pending is gone, the disk is not.
    fn restart(&mut self) {
        self.pending.clear();
        self.ledger = Ledger::new();
        for (epoch, runs) in &self.disk.ledger {
            for (lo, hi) in runs {
                self.ledger.restore(*epoch, *lo, *hi);
            }
        }
    }
}

struct World {
    dice: Dice,
    planted: Planted,
    gateway: Gateway,
    lost_lives: Vec<(Epoch, Offset)>,
    centre: Centre,
    wire: Vec<Message>,
    now: TimeMs,
    rough: bool,
    checked: Offset,
}

fn gateway(epoch: Epoch, freed: Offset, made: Offset) -> Gateway {
    let mut uplink = Uplink::new(epoch, freed, made);
    uplink.connected();
    Gateway { epoch, made, freed, uplink, behind: 0, joined: RangeSet::default() }
}

impl World {
    fn new(seed: u64, planted: Planted) -> Self {
        Self {
            dice: Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1),
            planted,
            gateway: gateway(Epoch(1), 0, 0),
            lost_lives: Vec::new(),
            centre: Centre::default(),
            wire: Vec::new(),
            now: TimeMs(0),
            rough: true,
            checked: 0,
        }
    }

    fn send(&mut self, message: Message) {
        if self.rough && self.dice.one_in(4) {
            return;
        }
        if self.rough && self.dice.one_in(6) {
            self.wire.push(message.clone());
        }
        self.wire.push(message);
    }

    fn step(&mut self) -> Result<(), String> {
        self.now = self.now + STEP_MS;
        if self.rough {
            self.accidents();
            let more = self.dice.below(12);
            self.gateway.made += more;
            self.gateway.uplink.committed(self.gateway.made);
        }
        while let Some(offer) = self.gateway.uplink.offer(self.now) {
            let to = offer.from + 1 + self.dice.below(offer.to - offer.from);
            self.gateway.uplink.published(Offer { to, ..offer }, self.now);
            let epoch = self.gateway.epoch;
            if self.planted == Planted::FreeAtPuback {
                self.gateway.freed = self.gateway.freed.max(to);
            }
            self.send(Message::Batch { epoch, from: offer.from, to });
        }
        let due = if self.rough { self.dice.below(self.wire.len() as u64 + 1) } else { u64::MAX };
        for _ in 0..due.min(self.wire.len() as u64) {
            let pick = if self.rough { self.dice.below(self.wire.len() as u64) } else { 0 };
            let message = self.wire.remove(pick as usize);
            self.deliver(message);
        }
        self.centre_commits();
        if !self.rough || self.dice.one_in(3) {
            self.acknowledge();
        }
        self.check()
    }

    fn accidents(&mut self) {
        if self.dice.one_in(25) {
            // The gateway is killed: what was committed stays, what it knew of acknowledgements
            // may be older than what the centre sent.
            let freed = self.gateway.freed;
            self.gateway = gateway(self.gateway.epoch, freed, self.gateway.made);
        }
        if self.dice.one_in(300) {
            // Its spool is lost: a new life, with numbers from 0 again.
            self.lost_lives.push((self.gateway.epoch, self.gateway.freed));
            self.gateway = gateway(Epoch(self.gateway.epoch.0 + 1), 0, 0);
            self.checked = 0;
        }
        if self.dice.one_in(25) {
            self.centre.restart();
        }
        if self.dice.one_in(60) {
            self.centre.copy = self.centre.disk.clone();
        }
        if self.dice.one_in(120) {
            // It is put back from the copy. What it said before was delivered before.
            self.centre.disk = self.centre.copy.clone();
            self.centre.restart();
            self.wire.retain(|message| matches!(message, Message::Batch { .. }));
        }
        if self.dice.one_in(20) {
            self.gateway.uplink.disconnected();
            self.gateway.uplink.connected();
        }
        if self.dice.one_in(30) {
            self.wire.clear();
        }
    }

    fn deliver(&mut self, message: Message) {
        match message {
            Message::Batch { epoch, from, to } => {
                let Ok(fresh) = self.centre.ledger.take(epoch, from, to) else { return };
                for (lo, hi) in fresh {
                    self.centre.pending.push_back((epoch, lo, hi));
                }
            }
            Message::Ack(mut durable) => {
                if self.planted == Planted::SkipEpochCheck {
                    durable.epoch = self.gateway.epoch;
                    durable.next = durable.next.min(self.gateway.made);
                }
                if self.planted == Planted::JoinAcks && durable.epoch == self.gateway.epoch {
                    let joined = &mut self.gateway.joined;
                    joined.insert(0, durable.next);
                    durable.islands.iter().for_each(|(lo, hi)| joined.insert(*lo, *hi));
                    durable.next = joined.first_missing(0);
                }
                self.acknowledged(&durable);
            }
        }
    }

    fn acknowledged(&mut self, durable: &Durable) {
        let gateway = &mut self.gateway;
        match gateway.uplink.acknowledged(durable) {
            Acked::Through(next) => (gateway.freed, gateway.behind) = (next, 0),
            Acked::Nothing => gateway.behind = 0,
            Acked::Behind if gateway.behind > 0 => {
                // Nothing freed was thrown away yet: all of it can be sent again.
                let (epoch, made) = (gateway.epoch, gateway.made);
                self.gateway = self::gateway(epoch, durable.next, made);
            }
            Acked::Behind => gateway.behind += 1,
            Acked::Foreign => {}
        }
    }

    fn centre_commits(&mut self) {
        let mut due = if self.rough { self.dice.below(6) } else { u64::MAX };
        while due > 0 {
            let Some((epoch, lo, hi)) = self.centre.pending.pop_front() else { return };
            due -= 1;
            if self.rough && self.dice.one_in(10) {
                if self.planted != Planted::KeepFailedCommit {
                    self.centre.ledger.forget(epoch, lo, hi);
                }
                continue;
            }
            self.centre.disk.ledger.entry(epoch).or_default().push((lo, hi));
            let effects = self.centre.disk.effects.entry(epoch).or_default();
            effects.resize(effects.len().max(hi as usize), 0);
            effects[lo as usize..hi as usize].iter_mut().for_each(|times| *times += 1);
            self.centre.ledger.commit(epoch, lo, hi);
        }
    }

    fn acknowledge(&mut self) {
        let mut epochs = vec![self.gateway.epoch];
        if let Some((lost, _)) = self.lost_lives.last() {
            epochs.push(*lost);
        }
        for epoch in epochs {
            let mut durable = self.centre.ledger.durable(epoch);
            if self.planted == Planted::AckBeforeCommit {
                for (of, lo, hi) in &self.centre.pending {
                    if *of == epoch && *lo <= durable.next {
                        durable.next = durable.next.max(*hi);
                    }
                }
            }
            self.send(Message::Ack(durable));
        }
    }

    fn effect(&self, epoch: Epoch, offset: Offset) -> u32 {
        self.centre
            .disk
            .effects
            .get(&epoch)
            .and_then(|all| all.get(offset as usize))
            .copied()
            .unwrap_or(0)
    }

    fn check(&mut self) -> Result<(), String> {
        let (epoch, from) = (self.gateway.epoch, self.checked.min(self.gateway.freed));
        self.checked = self.gateway.freed;
        match (from..self.checked).find(|offset| self.effect(epoch, *offset) == 0) {
            Some(offset) => Err(format!("record {offset} was freed and is nowhere")),
            None => Ok(()),
        }
    }

    fn check_end(&self) -> Result<(), String> {
        for (epoch, effects) in &self.centre.disk.effects {
            if let Some(offset) = effects.iter().position(|times| *times > 1) {
                return Err(format!("record {offset} of {epoch:?} had its effect twice"));
            }
        }
        let epoch = self.gateway.epoch;
        if let Some(offset) = (0..self.gateway.made).find(|o| self.effect(epoch, *o) == 0) {
            return Err(format!("record {offset} never arrived"));
        }
        if self.gateway.freed != self.gateway.made {
            return Err(format!("wedged: freed {} of {}", self.gateway.freed, self.gateway.made));
        }
        Ok(())
    }
}

fn run(seed: u64, planted: Planted) -> Result<u64, String> {
    let mut world = World::new(seed, planted);
    for _ in 0..ROUGH_STEPS {
        world.step()?;
    }
    world.rough = false;
    for _ in 0..CALM_STEPS {
        world.step()?;
        if world.gateway.freed == world.gateway.made && world.wire.is_empty() {
            break;
        }
    }
    world.check_end()?;
    Ok(world.centre.disk.effects.values().flatten().map(|times| u64::from(*times)).sum())
}

fn runs() -> u64 {
    std::env::var("FENGSUI_RUNS").ok().and_then(|n| n.parse().ok()).unwrap_or(RUNS)
}

#[test]
fn nothing_is_lost_doubled_or_stuck() {
    let mut delivered = 0;
    for seed in 1..=runs() {
        match run(seed, Planted::Nothing) {
            Ok(count) => delivered += count,
            Err(fault) => panic!("seed {seed}: {fault}"),
        }
    }
    println!("{} runs, {delivered} records delivered once", runs());
    assert!(delivered > runs() * 300, "the plant must have been busy");
}

#[test]
fn every_planted_bug_is_caught() {
    for planted in [
        Planted::SkipEpochCheck,
        Planted::AckBeforeCommit,
        Planted::KeepFailedCommit,
        Planted::FreeAtPuback,
        Planted::JoinAcks,
    ] {
        let caught = (1..=2_000).find_map(|seed| run(seed, planted).err().map(|why| (seed, why)));
        let (seed, why) = caught.unwrap_or_else(|| panic!("{planted:?} went unnoticed"));
        println!("{planted:?}: seed {seed}: {why}");
    }
}

#[test]
fn a_seed_gives_the_same_run_twice() {
    for seed in [3, 99, 4_711] {
        assert_eq!(run(seed, Planted::Nothing), run(seed, Planted::Nothing));
    }
}
