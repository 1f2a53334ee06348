//! A gateway, a broker that loses, doubles and reorders, and a centre, in one process and one
//! seed. Both ends are killed at any moment and keep what they had committed; a centre that lost
//! its disk is put back from an older copy, and is sent again what came since. A gateway's disk is
//! put back as well: it uses numbers again that the centre has, and both records must arrive.
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
    /// The gateway takes all that it has for published, also what it made since it was opened.
    TakeAllForPublished,
    /// The gateway publishes before the centre has said what it has.
    PublishUnasked,
}

/// Which of the records that bear one number: a copy that was put back makes others.
type History = u32;

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
    Batch { epoch: Epoch, from: Offset, records: Vec<History> },
    Ack(Durable),
}

#[derive(Clone)]
struct Spool {
    epoch: Epoch,
    records: Vec<History>,
    freed: Offset,
}

struct Gateway {
    spool: Spool,
    copy: Spool,
    history: History,
    uplink: Uplink,
    /// An old copy was put back and the centre has not spoken since. What must not happen
    /// then is a further restart, or a copy of this: it would hide what is new.
    returned: bool,
    /// Until then there is no connection.
    away: TimeMs,
    /// Acknowledgements in a row that are behind what was acknowledged.
    behind: u32,
    joined: RangeSet,
}

#[derive(Clone, Default)]
struct Disk {
    ledger: BTreeMap<Epoch, Vec<(Offset, Offset)>>,
    effects: BTreeMap<Epoch, Vec<(u32, History)>>,
}

#[derive(Default)]
struct Centre {
    ledger: Ledger,
    pending: VecDeque<(Epoch, Offset, Vec<History>)>,
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
    epochs: u64,
    lost_lives: Vec<Epoch>,
    centre: Centre,
    wire: Vec<Message>,
    now: TimeMs,
    rough: bool,
    checked: Offset,
    /// A new epoch that nothing called for.
    needless: bool,
}

impl Spool {
    fn made(&self) -> Offset {
        self.records.len() as Offset
    }

    fn begun(epoch: Epoch) -> Self {
        Self { epoch, records: Vec::new(), freed: 0 }
    }
}

impl Gateway {
    fn over(spool: Spool) -> Self {
        let uplink = Uplink::new(spool.epoch, spool.freed, spool.made());
        let copy = spool.clone();
        let (behind, joined, away) = (0, RangeSet::default(), TimeMs(0));
        Self { spool, copy, history: 0, uplink, returned: false, away, behind, joined }
    }

    /// The program begins again over what is on its disk.
    fn open(&mut self) {
        self.uplink = Uplink::new(self.spool.epoch, self.spool.freed, self.spool.made());
        (self.behind, self.joined) = (0, RangeSet::default());
    }

    fn connect(&mut self, planted: Planted) {
        if planted == Planted::TakeAllForPublished {
            self.open();
        }
        self.uplink.connected();
        if planted == Planted::PublishUnasked {
            let (epoch, next) = (self.spool.epoch, self.spool.freed);
            self.uplink.acknowledged(&Durable { epoch, next, islands: Vec::new() });
        }
    }
}

impl World {
    fn new(seed: u64, planted: Planted) -> Self {
        let mut gateway = Gateway::over(Spool::begun(Epoch(1)));
        gateway.connect(planted);
        Self {
            dice: Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1),
            planted,
            gateway,
            epochs: 1,
            lost_lives: Vec::new(),
            centre: Centre::default(),
            wire: Vec::new(),
            now: TimeMs(0),
            rough: true,
            checked: 0,
            needless: false,
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
            let gateway = &mut self.gateway;
            let made = gateway.spool.records.len() + more as usize;
            gateway.spool.records.resize(made, gateway.history);
            gateway.uplink.committed(gateway.spool.made());
        }
        if self.is_away() && (!self.rough || self.now >= self.gateway.away) {
            self.gateway.away = TimeMs(0);
            self.gateway.connect(self.planted);
        }
        while let Some(offer) = self.gateway.uplink.offer(self.now) {
            let to = offer.from + 1 + self.dice.below(offer.to - offer.from);
            self.gateway.uplink.published(Offer { to, ..offer }, self.now);
            let spool = &mut self.gateway.spool;
            if self.planted == Planted::FreeAtPuback {
                spool.freed = spool.freed.max(to);
            }
            let records = spool.records[offer.from as usize..to as usize].to_vec();
            let epoch = spool.epoch;
            self.send(Message::Batch { epoch, from: offer.from, records });
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

    fn is_away(&self) -> bool {
        self.gateway.away > TimeMs(0)
    }

    fn accidents(&mut self) {
        let returned = self.gateway.returned;
        if self.dice.one_in(25) && !returned {
            // The gateway is killed: what was committed stays, what it knew of acknowledgements
            // may be older than what the centre sent.
            self.gateway.open();
            self.gateway.connect(self.planted);
        }
        if self.dice.one_in(300) && !returned {
            // Its spool is lost: a new life, with numbers from 0 again.
            self.new_epoch(Vec::new());
        }
        if self.dice.one_in(50) && !returned {
            self.gateway.copy = self.gateway.spool.clone();
        }
        if self.dice.one_in(150) && !returned {
            self.put_back();
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
        if self.dice.one_in(20) && !self.is_away() {
            self.gateway.uplink.disconnected();
            self.gateway.connect(self.planted);
        }
        if self.dice.one_in(30) {
            self.wire.clear();
        }
    }

    /// The gateway's disk becomes an older copy, which grows without a connection. That takes
    /// longer than anything stays on its way.
    fn put_back(&mut self) {
        self.wire.clear();
        self.centre.restart();
        let away = self.now + STEP_MS * (self.dice.below(30) as i64 + 1);
        let gateway = &mut self.gateway;
        gateway.spool = gateway.copy.clone();
        gateway.history += 1;
        gateway.open();
        (gateway.returned, gateway.away) = (true, away);
        self.checked = gateway.spool.freed;
    }

    fn new_epoch(&mut self, records: Vec<History>) {
        self.epochs += 1;
        self.lost_lives.push(self.gateway.spool.epoch);
        let gateway = &mut self.gateway;
        gateway.spool = Spool { records, ..Spool::begun(Epoch(self.epochs)) };
        gateway.open();
        gateway.connect(self.planted);
        self.checked = 0;
    }

    fn deliver(&mut self, message: Message) {
        match message {
            Message::Batch { epoch, from, records } => {
                let to = from + records.len() as Offset;
                let Ok(fresh) = self.centre.ledger.take(epoch, from, to) else { return };
                for (lo, hi) in fresh {
                    let records = records[(lo - from) as usize..(hi - from) as usize].to_vec();
                    self.centre.pending.push_back((epoch, lo, records));
                }
            }
            Message::Ack(_) if self.is_away() => {}
            Message::Ack(mut durable) => {
                if self.planted == Planted::SkipEpochCheck {
                    durable.epoch = self.gateway.spool.epoch;
                    durable.next = durable.next.min(self.gateway.spool.made());
                }
                if self.planted == Planted::JoinAcks && durable.epoch == self.gateway.spool.epoch {
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
        let own = durable.epoch == gateway.spool.epoch;
        let returned = gateway.returned;
        gateway.returned &= !own;
        match gateway.uplink.acknowledged(durable) {
            Acked::Through(next) => (gateway.spool.freed, gateway.behind) = (next, 0),
            Acked::Nothing => gateway.behind = 0,
            Acked::Behind if gateway.behind > 0 => {
                // Nothing freed was thrown away yet: all of it can be sent again.
                (gateway.spool.freed, gateway.behind) = (durable.next, 0);
                gateway.uplink.lost(durable.next);
                gateway.connect(self.planted);
            }
            Acked::Behind => gateway.behind += 1,
            Acked::Foreign if own => {
                self.needless |= !returned;
                let kept = gateway.spool.records.split_off(gateway.spool.freed as usize);
                self.new_epoch(kept);
            }
            Acked::Foreign => {}
        }
    }

    fn centre_commits(&mut self) {
        let mut due = if self.rough { self.dice.below(6) } else { u64::MAX };
        while due > 0 {
            let Some((epoch, lo, records)) = self.centre.pending.pop_front() else { return };
            let hi = lo + records.len() as Offset;
            due -= 1;
            if self.rough && self.dice.one_in(10) {
                if self.planted != Planted::KeepFailedCommit {
                    self.centre.ledger.forget(epoch, lo, hi);
                }
                continue;
            }
            self.centre.disk.ledger.entry(epoch).or_default().push((lo, hi));
            let effects = self.centre.disk.effects.entry(epoch).or_default();
            effects.resize(effects.len().max(hi as usize), (0, 0));
            for (effect, record) in effects[lo as usize..].iter_mut().zip(records) {
                *effect = (effect.0 + 1, record);
            }
            self.centre.ledger.commit(epoch, lo, hi);
        }
    }

    fn acknowledge(&mut self) {
        let mut epochs = vec![self.gateway.spool.epoch];
        if let Some(lost) = self.lost_lives.last() {
            epochs.push(*lost);
        }
        for epoch in epochs {
            let mut durable = self.centre.ledger.durable(epoch);
            if self.planted == Planted::AckBeforeCommit {
                for (of, lo, records) in &self.centre.pending {
                    if *of == epoch && *lo <= durable.next {
                        durable.next = durable.next.max(lo + records.len() as Offset);
                    }
                }
            }
            self.send(Message::Ack(durable));
        }
    }

    /// The first record of the present spool in a range that had no effect at the centre.
    fn without_effect(&self, from: Offset, to: Offset) -> Option<Offset> {
        let spool = &self.gateway.spool;
        let effects = self.centre.disk.effects.get(&spool.epoch);
        (from..to).find(|at| {
            let effect = effects.and_then(|all| all.get(*at as usize));
            effect
                .is_none_or(|(times, record)| *times == 0 || *record != spool.records[*at as usize])
        })
    }

    fn check(&mut self) -> Result<(), String> {
        let freed = self.gateway.spool.freed;
        let from = std::mem::replace(&mut self.checked, freed).min(freed);
        if self.needless {
            return Err("a new epoch without need".to_owned());
        }
        match self.without_effect(from, freed) {
            Some(offset) => Err(format!("record {offset} was freed and is nowhere")),
            None => Ok(()),
        }
    }

    fn check_end(&self) -> Result<(), String> {
        for (epoch, effects) in &self.centre.disk.effects {
            if let Some(offset) = effects.iter().position(|(times, _)| *times > 1) {
                return Err(format!("record {offset} of {epoch:?} had its effect twice"));
            }
        }
        let (freed, made) = (self.gateway.spool.freed, self.gateway.spool.made());
        if let Some(offset) = self.without_effect(0, made) {
            return Err(format!("record {offset} never arrived"));
        }
        if freed != made {
            return Err(format!("wedged: freed {freed} of {made}"));
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
        let spool = &world.gateway.spool;
        if spool.freed == spool.made() && world.wire.is_empty() {
            break;
        }
    }
    world.check_end()?;
    Ok(world.centre.disk.effects.values().flatten().map(|(times, _)| u64::from(*times)).sum())
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
        Planted::TakeAllForPublished,
        Planted::PublishUnasked,
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
