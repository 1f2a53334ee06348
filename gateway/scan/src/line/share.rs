//! How much of the line the alarm reads of one device may take before those of the others.
//!
//! - In each period as much as [`super::worst`] reckons for its blocks of that period: every block
//!   once with the whole patience, and what is read again for its sake.
//! - A device that needs more, since it refuses its blocks and is read register by register, or
//!   answers small reads alone, borrows from the periods to come: its reads are as urgent as if they
//!   were due then. So the bound holds for the others whatever it does.
//! - A device that answers as its sheet says takes a part of its patience, and never notices.

use crate::plan::Block;
use crate::rtu::Timing;
use crate::schedule::{Class, Scanner};

/// The accounts of one device, one for each period that its alarm blocks have.
#[derive(Clone, Debug, Default)]
pub(super) struct Share {
    accounts: Vec<Account>,
    /// Nothing is lent for longer: behind whoever waits now a device need not fall further.
    most_ms: u64,
}

/// What a device asks of its share.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Claim {
    /// Of the block.
    pub(super) period_ms: u32,
    /// By when it is to be done after its plan.
    pub(super) own: u64,
    /// How long it may take.
    pub(super) cost_us: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) period_ms: u32,
    /// Earned in each period; as much is kept.
    pub(super) quota_us: u64,
    /// What is left; below zero after a read that took longer than it may.
    credit_us: i64,
    /// When the period ends that it is left of; none where the next read begins one.
    until: Option<u64>,
    /// When the last read began.
    begun: u64,
}

impl Share {
    /// By the plan of a device of which nothing was learnt yet.
    pub(super) fn of(scanner: &Scanner, timing: &Timing) -> Self {
        let mut share = Self::default();
        for (place, (block, class)) in scanner.blocks().enumerate() {
            if class != Class::Alarm {
                continue;
            }
            let needs = scanner.needs_of(place);
            let times = if needs.is_empty() { 1 } else { 2 };
            share.grant(block, times * cost_us(scanner, block, timing));
            for needed in needs {
                share.grant(needed, 2 * cost_us(scanner, needed, timing));
            }
        }
        share
    }

    fn grant(&mut self, block: &Block, us: u64) {
        let known = self.accounts.iter().position(|one| one.period_ms == block.period_ms);
        let account = match known.and_then(|place| self.accounts.get_mut(place)) {
            Some(account) => account,
            None => {
                let period_ms = block.period_ms;
                let (quota_us, credit_us, until, begun) = (0, 0, None, 0);
                self.accounts.push(Account { period_ms, quota_us, credit_us, until, begun });
                let Some(account) = self.accounts.last_mut() else { return };
                account
            }
        };
        account.quota_us += us;
        account.credit_us += signed(us);
    }

    /// The longest period of an alarm block.
    pub(super) fn longest_ms(&self) -> u64 {
        self.accounts.iter().map(|one| u64::from(one.period_ms)).max().unwrap_or(0)
    }

    /// The same of all devices of the line: nobody's deadline is farther.
    pub(super) fn lend_for(&mut self, most_ms: u64) {
        self.most_ms = most_ms;
    }

    pub(super) fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    /// The account of the blocks of this period; of a read that no alarm block is the cause of, any.
    fn account_mut(&mut self, period_ms: u32) -> Option<&mut Account> {
        let known = self.accounts.iter().position(|one| one.period_ms == period_ms);
        self.accounts.get_mut(known.unwrap_or(0))
    }

    /// By when an alarm read that is offered is to be done. What is lent for it stays lent: its
    /// deadline comes nearer while it waits.
    pub(super) fn deadline(&mut self, claim: Claim, now: u64) -> u64 {
        let most_ms = self.most_ms;
        let Some(account) = self.account_mut(claim.period_ms) else { return claim.own };
        let (credit_us, until) = account.lent(claim, most_ms, now);
        (account.credit_us, account.until) = (credit_us, Some(until));
        until.max(claim.own)
    }

    /// It is begun.
    pub(super) fn begin(&mut self, claim: Claim, now: u64) {
        if let Some(account) = self.account_mut(claim.period_ms) {
            account.begun = now;
        }
    }

    /// An alarm read took so long.
    pub(super) fn spend(&mut self, period_ms: u32, busy_us: u64) {
        if let Some(account) = self.account_mut(period_ms) {
            account.credit_us -= signed(busy_us);
        }
    }

    /// The device came back: its scans begin anew, what it owes it owes.
    pub(super) fn begin_anew(&mut self) {
        for account in &mut self.accounts {
            account.until = None;
        }
    }

    /// The same accounts under another plan.
    pub(super) fn succeeding(mut self, before: &Self) -> Self {
        for account in &mut self.accounts {
            let same = before.accounts.iter().find(|one| one.period_ms == account.period_ms);
            if let Some(same) = same {
                account.credit_us = same.credit_us.min(account.credit_us);
                (account.until, account.begun) = (same.until, same.begun);
            }
        }
        self
    }
}

impl Account {
    /// What is left and until when, where this read is to be paid.
    fn lent(&self, claim: Claim, most_ms: u64, now: u64) -> (i64, u64) {
        let Claim { own, cost_us, .. } = claim;
        let (period, quota) = (u64::from(self.period_ms.max(1)), signed(self.quota_us).max(1));
        let earned = |periods: u64| {
            let earned = signed(periods).saturating_mul(quota);
            self.credit_us.saturating_add(earned).min(quota)
        };
        let (credit, until) = match self.until {
            None => (self.credit_us, own),
            // It became due after all that was read so far: a period begins.
            Some(until) if own > until && own >= self.begun + period => {
                (earned((own - until).div_ceil(period)), own)
            }
            Some(until) => (self.credit_us, until),
        };
        let missing = signed(cost_us).min(quota) - credit;
        if missing <= 0 {
            return (credit, until);
        }
        let periods = missing.unsigned_abs().div_ceil(quota.unsigned_abs());
        let credit = credit.saturating_add(signed(periods).saturating_mul(quota)).min(quota);
        let until = until.max(now).saturating_add(periods.saturating_mul(period));
        (credit, until.min(now + most_ms + period))
    }
}

/// What a block costs at worst.
pub(super) fn cost_us(scanner: &Scanner, block: &Block, timing: &Timing) -> u64 {
    let device = scanner.device();
    device.pause_us() + timing.exchange_us(block.request) + u64::from(device.timeout_ms) * 1_000
}

fn signed(us: u64) -> i64 {
    i64::try_from(us).unwrap_or(i64::MAX / 4)
}
