//! Which hosts are the same, however they are spelt: by their names, and by their addresses as they
//! resolve when the files are read.
//!
//! - Whoever starts without a name server must sound its alarms all the same: all names together
//!   have [`LOOKUP_MAX`], and one that is not found by then is compared as text.
//! - All addresses of this machine count as one.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, ToSocketAddrs};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// Time for all names of a site together.
const LOOKUP_MAX: Duration = Duration::from_secs(3);
/// Names that are looked up at a time.
const LOOKERS: usize = 16;

/// What a name stands for.
type Resolve = fn(&str) -> BTreeSet<IpAddr>;

/// Hosts and their addresses.
#[derive(Debug)]
pub(super) struct Places(BTreeMap<String, BTreeSet<IpAddr>>);

#[derive(Debug, Default)]
struct Search {
    /// Nobody has looked yet.
    open: Vec<String>,
    /// Looked up at this moment.
    busy: usize,
    found: BTreeMap<String, BTreeSet<IpAddr>>,
}

impl Places {
    /// Looks these hosts up.
    pub(super) fn of<'a>(hosts: impl Iterator<Item = &'a str>) -> Self {
        Self::find(hosts, resolve, LOOKUP_MAX)
    }

    fn find<'a>(hosts: impl Iterator<Item = &'a str>, resolve: Resolve, most: Duration) -> Self {
        let hosts: BTreeSet<&str> = hosts.collect();
        let mut search = Search::default();
        for host in hosts {
            // An address is its own, and keeps nobody waiting.
            match host.parse::<IpAddr>() {
                Ok(address) => {
                    search.found.insert(host.to_owned(), BTreeSet::from([plain(address)]));
                }
                Err(_) => search.open.push(host.to_owned()),
            }
        }
        let lookers = search.open.len().min(LOOKERS);
        let search = Arc::new((Mutex::new(search), Condvar::new()));
        for _ in 0..lookers {
            let search = Arc::clone(&search);
            // One fewer looks, if it cannot be had.
            drop(thread::Builder::new().spawn(move || look(&search, resolve)));
        }
        let (state, told) = &*search;
        let state = state.lock().unwrap_or_else(PoisonError::into_inner);
        let looking = |search: &mut Search| search.busy > 0 || !search.open.is_empty();
        let ended = told.wait_timeout_while(state, most, looking);
        let mut state = ended.unwrap_or_else(PoisonError::into_inner).0;
        // Who still looks is nobody's any more.
        state.open.clear();
        Self(std::mem::take(&mut state.found))
    }

    /// The same host.
    pub(super) fn same(&self, one: &str, other: &str) -> bool {
        let named = |host: &str| host.trim().trim_end_matches('.').to_ascii_lowercase();
        let meet = |one: &BTreeSet<IpAddr>, other| !one.is_disjoint(other);
        named(one) == named(other)
            || self.0.get(one).zip(self.0.get(other)).is_some_and(|(one, other)| meet(one, other))
    }
}

fn look((search, told): &(Mutex<Search>, Condvar), resolve: Resolve) {
    let mut state = search.lock().unwrap_or_else(PoisonError::into_inner);
    while let Some(host) = state.open.pop() {
        state.busy += 1;
        drop(state);
        let addresses = resolve(&host);
        state = search.lock().unwrap_or_else(PoisonError::into_inner);
        state.busy -= 1;
        state.found.insert(host, addresses);
    }
    told.notify_all();
}

fn resolve(host: &str) -> BTreeSet<IpAddr> {
    let found = (host, 0).to_socket_addrs().map(Iterator::collect::<Vec<_>>);
    found.unwrap_or_default().into_iter().map(|found| plain(found.ip())).collect()
}

/// One spelling: a mapped IPv4 address is an IPv4 address; loopback, and the unspecified address
/// that connects to it, are one.
fn plain(address: IpAddr) -> IpAddr {
    let address = address.to_canonical();
    let own = address.is_loopback() || address.is_unspecified();
    if own { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { address }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_server_that_is_silent_holds_nobody_up_and_hides_no_address() {
        /// Names that are known, and some that keep the looker for ever.
        fn partly(host: &str) -> BTreeSet<IpAddr> {
            while host.starts_with("hangs") {
                thread::park();
            }
            BTreeSet::from([IpAddr::V4(Ipv4Addr::new(192, 0, 2, 9))])
        }
        let hung: Vec<String> = (0..LOOKERS / 2).map(|one| format!("hangs-{one}")).collect();
        let known = ["192.0.2.9", "::ffff:192.0.2.9", "relay", "RELAY-2", "192.0.2.8"];
        let hosts = hung.iter().map(String::as_str).chain(known);
        let places = Places::find(hosts, partly, Duration::from_secs(2));
        assert!(places.same("192.0.2.9", "::ffff:192.0.2.9"));
        assert!(places.same("relay", "192.0.2.9") && places.same("relay", "RELAY-2"));
        assert!(!places.same("192.0.2.8", "192.0.2.9"));
        assert!(places.same("hangs-1", "HANGS-1.") && !places.same("hangs-1", "192.0.2.9"));
    }

    #[test]
    fn all_names_are_looked_up_however_many_there_are() {
        fn quick(host: &str) -> BTreeSet<IpAddr> {
            let last = host.rsplit('-').next().and_then(|last| last.parse().ok()).unwrap_or(0);
            BTreeSet::from([IpAddr::V4(Ipv4Addr::new(192, 0, 2, last))])
        }
        let hosts: Vec<String> = (0..10 * LOOKERS).map(|one| format!("s-{one}")).collect();
        let all = hosts.iter().map(String::as_str).chain(["192.0.2.155"]);
        let places = Places::find(all, quick, Duration::from_secs(600));
        assert!(places.same("s-155", "192.0.2.155") && !places.same("s-154", "192.0.2.155"));
        assert_eq!(places.0.len(), 10 * LOOKERS + 1);
    }
}
