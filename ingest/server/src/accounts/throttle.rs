//! Slows guesses down without locking anybody out.
//!
//! - Two counts: tries of one account from one network (a growing pause), and tries of one network
//!   over all accounts (a bucket). None of one account over all networks: whoever may cause that
//!   lock may lock the operator out.
//! - The machine itself is never made to wait.
//! - A try counts before it is evaluated, so that a thousand at once are not all the first.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Tries of one account from one network that go unhindered: a person who mistypes.
const FREE: u32 = 3;
/// The first pause; each try doubles it.
const PAUSE_FIRST: Duration = Duration::from_secs(1);
/// The longest: 1,440 guesses of one account a day.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// Without a try for this long, all is forgotten.
const FORGET: Duration = Duration::from_secs(15 * 60);
/// Tries of one network at once, and the time in which one comes back: 1,200 an hour.
const BURST: f64 = 20.0;
const REFILL: Duration = Duration::from_secs(3);
/// Remembered counts of either kind. When full, the one unused for longest goes.
const KEPT_MAX: usize = 4_096;

/// Where a try comes from: an IPv4 address, or the /64 that one IPv6 subscriber has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network(u64);

impl Network {
    /// Of an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self(u64::from(v4.to_bits())),
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                let prefix = [a, b, c, d].iter().fold(0, |sum, part| sum << 16 | u64::from(*part));
                // Above every IPv4 address: the first bit is set in no prefix that a provider has.
                Self(prefix | 1 << 63)
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Tries {
    count: u32,
    not_before: Instant,
    last: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: f64,
    last: Instant,
}

/// The counts.
#[derive(Debug, Default)]
pub struct Throttle {
    pairs: HashMap<(String, Network), Tries>,
    networks: HashMap<Network, Bucket>,
}

impl Throttle {
    /// Asks for a try and counts it.
    ///
    /// # Errors
    /// How long to wait: the try is not to be evaluated.
    pub fn ask(&mut self, account: &str, network: Network, now: Instant) -> Result<(), Duration> {
        let pair = (account.to_lowercase(), network);
        if let Some(tries) = self.pairs.get(&pair)
            && now < tries.not_before
        {
            return Err(tries.not_before - now);
        }
        make_room(&mut self.networks, &network, |bucket| bucket.last);
        let bucket = self.networks.entry(network).or_insert(Bucket { left: BURST, last: now });
        let back = now.saturating_duration_since(bucket.last).as_secs_f64() / REFILL.as_secs_f64();
        bucket.left = (bucket.left + back).min(BURST);
        bucket.last = now;
        if bucket.left < 1.0 {
            return Err(REFILL.mul_f64(1.0 - bucket.left));
        }
        bucket.left -= 1.0;

        make_room(&mut self.pairs, &pair, |tries| tries.last);
        let tries =
            self.pairs.entry(pair).or_insert(Tries { count: 0, not_before: now, last: now });
        if now.saturating_duration_since(tries.last) > FORGET {
            tries.count = 0;
        }
        tries.count = tries.count.saturating_add(1);
        tries.last = now;
        tries.not_before = now + pause(tries.count);
        Ok(())
    }

    /// The try was right: this account from this network begins anew.
    pub fn right(&mut self, account: &str, network: Network) {
        self.pairs.remove(&(account.to_lowercase(), network));
        if let Some(bucket) = self.networks.get_mut(&network) {
            bucket.left = (bucket.left + 1.0).min(BURST);
        }
    }
}

/// What follows the n-th try.
fn pause(count: u32) -> Duration {
    match count.checked_sub(FREE) {
        None => Duration::ZERO,
        Some(over) => PAUSE_MAX.min(PAUSE_FIRST * 2_u32.saturating_pow(over.min(10))),
    }
}

fn make_room<K: Clone + Eq + Hash, V>(
    map: &mut HashMap<K, V>,
    wanted: &K,
    last: impl Fn(&V) -> Instant,
) {
    if map.len() < KEPT_MAX || map.contains_key(wanted) {
        return;
    }
    let oldest = map.iter().min_by_key(|(_, value)| last(value)).map(|(key, _)| key.clone());
    oldest.and_then(|key| map.remove(&key));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    fn network(text: &str) -> Network {
        Network::of(text.parse().unwrap())
    }

    /// Guesses as fast as it may for `span`; how many were evaluated.
    fn guesses(
        throttle: &mut Throttle,
        accounts: &[&str],
        span: Duration,
        from: Network,
        start: Instant,
    ) -> u32 {
        let mut evaluated = 0;
        for second in 0..span.as_secs() {
            for account in accounts {
                let now = start + Duration::from_secs(second);
                evaluated += u32::from(throttle.ask(account, from, now).is_ok());
            }
        }
        evaluated
    }

    #[test]
    fn guessing_one_account_slows_down_and_another_network_is_free() {
        let (mut throttle, start) = (Throttle::default(), clock::monotonic());
        let (bad, good) = (network("203.0.113.9"), network("198.51.100.4"));
        let hour = Duration::from_secs(3_600);
        let evaluated = guesses(&mut throttle, &["admin"], hour, bad, start);
        assert!((60..80).contains(&evaluated), "{evaluated} guesses in an hour");
        assert_eq!(throttle.ask("admin", good, start + hour), Ok(()), "locked out by a stranger");
        assert!(throttle.ask("ADMIN", bad, start + hour).is_err(), "another case is the same name");
    }

    #[test]
    fn one_network_over_all_accounts_is_a_bucket() {
        let (mut throttle, start) = (Throttle::default(), clock::monotonic());
        let bad = network("2001:db8:1:2::1");
        let names: Vec<String> = (0..50).map(|n| format!("user{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let evaluated = guesses(&mut throttle, &names, Duration::from_secs(3_600), bad, start);
        assert!((1_000..1_300).contains(&evaluated), "{evaluated}");
        assert_eq!(network("2001:db8:1:2:ffff::9"), bad, "one subscriber has many addresses");
        assert_ne!(network("2001:db8:1:3::1"), bad);
        assert_eq!(network("::ffff:203.0.113.9"), network("203.0.113.9"));
    }

    #[test]
    fn a_person_who_mistypes_is_not_hindered_and_a_right_one_begins_anew() {
        let (mut throttle, start) = (Throttle::default(), clock::monotonic());
        let home = network("198.51.100.4");
        for _ in 0..10 {
            for _ in 0..3 {
                assert_eq!(throttle.ask("wang", home, start), Ok(()));
            }
            throttle.right("wang", home);
            throttle.networks.clear();
        }
        for n in 0..4 {
            let asked = throttle.ask("wang", home, start);
            assert_eq!(asked.is_ok(), n < 3, "{n}: {asked:?}");
        }
        assert_eq!(throttle.ask("wang", home, start + FORGET * 2), Ok(()));
    }

    #[test]
    fn a_thousand_at_once_are_not_all_the_first_and_the_tables_are_bounded() {
        let (mut throttle, start) = (Throttle::default(), clock::monotonic());
        let home = network("198.51.100.4");
        let ok = (0..1_000).filter(|_| throttle.ask("admin", home, start).is_ok()).count();
        assert_eq!(ok, 3);
        for n in 0..10_000_u32 {
            let from = Network(u64::from(n) + 1);
            throttle.ask("admin", from, start + Duration::from_millis(u64::from(n))).ok();
        }
        assert!(throttle.pairs.len() <= KEPT_MAX && throttle.networks.len() <= KEPT_MAX);
    }
}
