//! What an output should do, decided without touching one: which alarms it follows, when a
//! read-back contradicts, when a button was pressed.

use super::siren::SirenState;

/// What an output follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Follows {
    /// Alarms that nobody has acknowledged.
    Siren(Filter),
    /// Alarms that stand, acknowledged or not.
    Beacon(Filter),
    /// Supervision is lost: a device, another output or the centre is silent.
    Trouble,
    /// Turns of the alarm loop: changes state while the loop turns, and rests when it stands.
    Watchdog,
}

/// Which alarms count. Empty lists: all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    /// 1 to 4.
    pub(crate) priorities: Vec<u8>,
    pub(crate) tags: Vec<String>,
}

impl Filter {
    fn takes(&self, key: &str, priority: u8) -> bool {
        (self.priorities.is_empty() || self.priorities.contains(&priority))
            && (self.tags.is_empty() || self.tags.iter().any(|tag| tag_of(key) == Some(tag)))
    }
}

/// `GW-01/TK-101.LT/HH` is about `TK-101.LT`.
fn tag_of(key: &str) -> Option<&str> {
    Some(key.split_once('/')?.1.rsplit_once('/')?.0)
}

/// What an output looks at besides the alarms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Supervision is lost somewhere.
    pub(crate) trouble: bool,
    /// The test button was pressed a moment ago.
    pub(crate) test: bool,
}

impl Follows {
    /// Whether it calls for attention to an alarm of this key and priority.
    pub(crate) fn calls_for(&self, key: &str, priority: u8) -> bool {
        match self {
            Self::Siren(filter) | Self::Beacon(filter) => filter.takes(key, priority),
            Self::Trouble | Self::Watchdog => false,
        }
    }

    /// Whether the output is to call for attention. A watchdog never does.
    pub(crate) fn wants(&self, alarms: &SirenState, seen: Seen) -> bool {
        match self {
            Self::Siren(_) => {
                let heard = |lit: &super::siren::Lit| lit.sounding;
                seen.test
                    || alarms.lit.iter().any(|l| heard(l) && self.calls_for(&l.key, l.priority))
            }
            Self::Beacon(_) => {
                seen.test || alarms.lit.iter().any(|l| self.calls_for(&l.key, l.priority))
            }
            Self::Trouble => seen.trouble || seen.test,
            Self::Watchdog => false,
        }
    }
}

/// Tells a contradiction from the time that a relay needs to move.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadBack {
    patience_ms: u64,
    since: Option<u64>,
}

impl ReadBack {
    pub(crate) fn new(patience_ms: u64) -> Self {
        Self { patience_ms, since: None }
    }

    /// True once `read` has contradicted `driven` for longer than the relay may take.
    pub(crate) fn contradicts(&mut self, driven: bool, read: bool, now: u64) -> bool {
        if driven == read {
            self.since = None;
            return false;
        }
        now.saturating_sub(*self.since.get_or_insert(now)) >= self.patience_ms
    }
}

/// Tells a press from a bouncing contact. What is down at the start was not pressed: a button that
/// sticks acknowledges nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Debounce {
    quiet_ms: u64,
    held: Option<bool>,
    seen: bool,
    since: u64,
}

impl Debounce {
    pub(crate) fn new(quiet_ms: u64) -> Self {
        Self { quiet_ms, held: None, seen: false, since: 0 }
    }

    /// One look at the contact. True: it was pressed.
    pub(crate) fn look(&mut self, down: bool, now: u64) -> bool {
        if down != self.seen {
            (self.seen, self.since) = (down, now);
        }
        if self.held == Some(down) || now.saturating_sub(self.since) < self.quiet_ms {
            return false;
        }
        self.held.replace(down) == Some(false) && down
    }
}

#[cfg(test)]
mod tests {
    use super::super::siren::Lit;
    use super::*;

    fn alarms(lit: &[(&str, u8, bool)]) -> SirenState {
        let lit = lit.iter().map(|(key, priority, sounding)| Lit {
            key: (*key).to_owned(),
            priority: *priority,
            sounding: *sounding,
        });
        SirenState { lit: lit.collect(), ..SirenState::default() }
    }

    #[test]
    fn a_siren_ends_with_the_acknowledgement_and_a_beacon_with_the_alarm() {
        let (siren, beacon) =
            (Follows::Siren(Filter::default()), Follows::Beacon(Filter::default()));
        let wants = |alarms: &SirenState| {
            (siren.wants(alarms, Seen::default()), beacon.wants(alarms, Seen::default()))
        };
        assert_eq!(wants(&alarms(&[])), (false, false));
        assert_eq!(wants(&alarms(&[("GW/A/HH", 1, true)])), (true, true));
        assert_eq!(wants(&alarms(&[("GW/A/HH", 1, false)])), (false, true));
    }

    #[test]
    fn a_relay_closes_for_its_own_priorities_and_tags_alone() {
        let relay =
            Follows::Beacon(Filter { priorities: vec![1, 2], tags: vec!["TK-101.LT".into()] });
        let wants = |key, priority| relay.wants(&alarms(&[(key, priority, true)]), Seen::default());
        assert!(wants("GW/TK-101.LT/HH", 1) && wants("GW/TK-101.LT/H", 2));
        assert!(!wants("GW/TK-101.LT/L", 3), "its priority is not chosen");
        assert!(!wants("GW/TK-101.LTX/HH", 1), "another tag");
        assert!(!wants("GW/TK-101/HH", 1), "another tag");
    }

    #[test]
    fn a_test_lights_everything_but_the_watchdog() {
        let seen = Seen { test: true, trouble: false };
        for follows in [
            Follows::Siren(Filter::default()),
            Follows::Beacon(Filter::default()),
            Follows::Trouble,
        ] {
            assert!(follows.wants(&alarms(&[]), seen), "{follows:?}");
        }
        assert!(!Follows::Watchdog.wants(&alarms(&[]), seen));
        assert!(Follows::Trouble.wants(&alarms(&[]), Seen { trouble: true, test: false }));
    }

    #[test]
    fn a_relay_may_take_its_time_but_not_for_ever() {
        let mut read_back = ReadBack::new(500);
        assert!(!read_back.contradicts(true, false, 1_000));
        assert!(!read_back.contradicts(true, false, 1_499));
        assert!(read_back.contradicts(true, false, 1_500));
        assert!(!read_back.contradicts(true, true, 1_600));
        assert!(!read_back.contradicts(true, false, 1_700), "counted anew");
    }

    #[test]
    fn a_bouncing_contact_is_one_press_and_a_stuck_one_none() {
        let presses = |looks: &[(u64, bool)]| {
            let mut debounce = Debounce::new(50);
            looks.iter().filter(|(at, down)| debounce.look(*down, *at)).count()
        };
        let bouncing =
            [(0, false), (60, false), (100, true), (110, false), (120, true), (170, true)];
        assert_eq!(presses(&bouncing), 1);
        assert_eq!(presses(&[(0, false), (60, false), (100, true), (110, false), (200, false)]), 0);
        assert_eq!(presses(&[(0, true), (60, true), (9_000, true)]), 0, "down since the start");
        assert_eq!(
            presses(&[(0, true), (60, true), (100, false), (160, false), (200, true), (260, true)]),
            1
        );
    }
}
