//! How many files and connections the system lets this process hold, and who may have how many.
//! Where a process has none left it can accept nobody, the operator at the machine included:
//! connections are therefore counted out below what there is.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

/// Databases with their logs and readers, segments that are being read, calls that go out.
const FILES: usize = 256;
/// Connections of browsers and programs at once: two hundred desks with the six that a browser
/// opens, and as many again.
const HTTP_MAX: usize = 2_400;
/// Gateways and tools at the broker at once. Beyond it a connection is refused; the gateway tries
/// again.
const CLIENTS_MAX: usize = 4_000;
/// Below this the shares are less than what they could be.
const ENOUGH: usize = FILES + 3 * CLIENTS_MAX;

/// Who may hold how many connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// At the web server.
    pub http: usize,
    /// At the embedded broker.
    pub clients: usize,
}

impl Room {
    /// Raises the limit as far as this user may, and shares out what was got.
    #[must_use]
    pub fn make() -> Self {
        let before = getrlimit(Resource::Nofile);
        let raised = Rlimit { current: before.maximum, maximum: before.maximum };
        // Refused: what is there is shared out.
        setrlimit(Resource::Nofile, raised).ok();
        let most = getrlimit(Resource::Nofile).current;
        let most = most.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
        let room = Self::of(most);
        if most < ENOUGH {
            warn!(
                descriptors = most,
                http = room.http,
                broker = room.clients,
                "文件描述符上限偏低，可同时连接数随之减少；请设 LimitNOFILE=65536（systemd）或 ulimit -n 65536  |  the limit of open files is low, and the connections at once with it; set LimitNOFILE=65536 (systemd) or ulimit -n 65536"
            );
        }
        room
    }

    /// A third for each, and one for who has connected to the broker and not said yet who it is:
    /// the broker counts those not.
    fn of(descriptors: usize) -> Self {
        let share = descriptors.saturating_sub(FILES).max(descriptors / 2) / 3;
        Self { http: share.clamp(1, HTTP_MAX), clients: share.clamp(1, CLIENTS_MAX) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_stay_below_what_there_is() {
        assert_eq!(Room::of(usize::MAX), Room { http: HTTP_MAX, clients: CLIENTS_MAX });
        assert_eq!(Room::of(1_024), Room { http: 256, clients: 256 });
        for descriptors in [64, 256, 257, 300, 1_024, 4_096, 20_000] {
            let Room { http, clients } = Room::of(descriptors);
            assert!(http + clients < descriptors, "{descriptors}: {http} {clients}");
            assert!(http >= 10, "{descriptors}: {http}");
        }
    }

    #[test]
    fn the_soft_limit_is_raised() {
        let room = Room::make();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
        assert!(room.http > 1);
    }
}
