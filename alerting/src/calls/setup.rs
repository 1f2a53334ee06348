//! Who can be called, by what, and by which rules.
//!
//! - Checked where it is read; here every name is taken as good, and a name that nobody knows
//!   calls nobody, which the audit finds.

use std::collections::{BTreeMap, BTreeSet};

use fengsui_telemetry::TimeMs;

/// A place in the ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Slot {
    /// 值班员: whoever is on duty now.
    Duty,
    /// 带班领导.
    Lead,
    /// 操作负责人.
    Operational,
    /// 技术负责人.
    Technical,
    /// 主要负责人.
    Principal,
    /// 镇街.
    Township,
}

impl Slot {
    /// Every slot, in the usual order.
    pub const ALL: [Self; 6] = [
        Self::Duty,
        Self::Lead,
        Self::Operational,
        Self::Technical,
        Self::Principal,
        Self::Township,
    ];

    /// The key of the dictionary.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Duty => "duty",
            Self::Lead => "lead",
            Self::Operational => "ops",
            Self::Technical => "tech",
            Self::Principal => "principal",
            Self::Township => "town",
        }
    }

    /// In Chinese.
    #[must_use]
    pub fn zh(self) -> &'static str {
        match self {
            Self::Duty => "值班员",
            Self::Lead => "带班领导",
            Self::Operational => "操作负责人",
            Self::Technical => "技术负责人",
            Self::Principal => "主要负责人",
            Self::Township => "镇街",
        }
    }

    /// The slot of a word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|slot| slot.word() == word)
    }
}

/// One person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Person {
    /// As people read it.
    pub name: String,
    /// For voice and SMS.
    pub phone: Option<String>,
    /// For mail.
    pub email: Option<String>,
}

/// What a channel must know of a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// A group robot, a webhook.
    Nothing,
    /// A telephone number.
    Phone,
    /// A mail address.
    Email,
}

/// How many calls of one person over one channel an hour takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// In sixty minutes.
    pub per_hour: usize,
    /// Of these, kept for P1.
    pub for_p1: usize,
}

/// One channel, as the ladder sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channel {
    /// What it must know.
    pub needs: Needs,
    /// Its limit.
    pub budget: Budget,
}

/// Who is on duty when; equal ends mean always.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Who.
    pub person: String,
    /// Minute of the local day, inclusive.
    pub from: u32,
    /// Minute of the local day, exclusive; before `from`: over midnight.
    pub to: u32,
}

impl Turn {
    fn covers(&self, minute: u32) -> bool {
        match self.from.cmp(&self.to) {
            std::cmp::Ordering::Equal => true,
            std::cmp::Ordering::Less => self.from <= minute && minute < self.to,
            std::cmp::Ordering::Greater => minute >= self.from || minute < self.to,
        }
    }
}

/// The responsible persons of one installation, without the duty roster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roster {
    /// Persons by slot, in order.
    pub slots: BTreeMap<Slot, Vec<String>>,
}

/// The state at which an escalation stops (Q14).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopAt {
    /// Somebody answered.
    Answered,
    /// Somebody read the digits back.
    Confirmed,
}

/// From when the reply is counted (Q14).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyFrom {
    /// The first answer.
    Answered,
    /// The read-back.
    Confirmed,
}

/// How alarms of one priority are handed to people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The ladder, from the bottom.
    pub ladder: Vec<Slot>,
    /// Channels used at once.
    pub message: Vec<String>,
    /// Channels that ring.
    pub voice: Vec<String>,
    /// Unread for this long: a call.
    pub unread_ms: i64,
    /// Not answered for this long: the next person.
    pub unanswered_ms: i64,
    /// The first reply is due after this; none: no reply is asked for.
    pub reply_ms: Option<i64>,
    /// From when.
    pub reply_from: ReplyFrom,
    /// What stops the escalation.
    pub stop_at: StopAt,
    /// The acknowledgement of the alarm stops it as well.
    pub ack_stops: bool,
    /// So does the end of the condition.
    pub end_stops: bool,
    /// Between the end of the ladder and its top.
    pub rest_ms: i64,
    /// Calls of one person whose digits were wrong, before the next one.
    pub repeats: u32,
}

impl Default for Policy {
    /// The values of the vector W15; 180 s and 900 s follow a district guideline, the others are
    /// ours.
    fn default() -> Self {
        Self {
            ladder: Slot::ALL.to_vec(),
            message: Vec::new(),
            voice: Vec::new(),
            unread_ms: 180_000,
            unanswered_ms: 120_000,
            reply_ms: Some(900_000),
            reply_from: ReplyFrom::Confirmed,
            stop_at: StopAt::Confirmed,
            ack_stops: true,
            end_stops: false,
            rest_ms: 120_000,
            repeats: 3,
        }
    }
}

/// Everything that the ladder is configured with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// By id.
    pub persons: BTreeMap<String, Person>,
    /// The duty roster.
    pub duty: Vec<Turn>,
    /// By installation; `*` for slots and installations that are not named.
    pub rosters: BTreeMap<String, Roster>,
    /// By priority; one without a policy is not called.
    pub policies: BTreeMap<u8, Policy>,
    /// By name.
    pub channels: BTreeMap<String, Channel>,
    /// Late occurrences of one back-fill are gathered for this long.
    pub package_ms: i64,
    /// Between two packages to one person that a budget made.
    pub digest_ms: i64,
    /// Digits of a read-back.
    pub digits: u32,
    /// The local day, minutes east of UTC.
    pub zone_min: i32,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            persons: BTreeMap::new(),
            duty: Vec::new(),
            rosters: BTreeMap::new(),
            policies: BTreeMap::new(),
            channels: BTreeMap::new(),
            package_ms: 5_000,
            digest_ms: 300_000,
            digits: 4,
            zone_min: 480,
        }
    }
}

/// The roster of installations that have none.
pub(super) const ANY: &str = "*";

impl Setup {
    /// The persons of a ladder, from the bottom, each once.
    #[must_use]
    pub fn chain(
        &self,
        policy: &Policy,
        installations: &BTreeSet<String>,
        now: TimeMs,
    ) -> Vec<(Slot, String)> {
        let mut chain: Vec<(Slot, String)> = Vec::new();
        for slot in &policy.ladder {
            for person in self.of_slot(*slot, installations, now) {
                let again = chain.iter().any(|(_, known)| *known == person);
                if !again && self.persons.contains_key(&person) {
                    chain.push((*slot, person));
                }
            }
        }
        chain
    }

    fn of_slot(&self, slot: Slot, installations: &BTreeSet<String>, now: TimeMs) -> Vec<String> {
        if slot == Slot::Duty {
            let minute = self.minute(now);
            let on = self.duty.iter().filter(|turn| turn.covers(minute));
            return on.map(|turn| turn.person.clone()).collect();
        }
        let named = |installation: &str| self.rosters.get(installation)?.slots.get(&slot);
        let mut persons = Vec::new();
        for installation in installations {
            let found = named(installation).or_else(|| named(ANY));
            persons.extend(found.into_iter().flatten().cloned());
        }
        persons
    }

    pub(super) fn minute(&self, now: TimeMs) -> u32 {
        let local = now.0.div_euclid(60_000).saturating_add(i64::from(self.zone_min));
        u32::try_from(local.rem_euclid(1_440)).unwrap_or(0)
    }

    /// The channels of a list that can reach a person.
    #[must_use]
    pub fn reach(&self, person: &str, channels: &[String]) -> Vec<String> {
        let Some(person) = self.persons.get(person) else { return Vec::new() };
        let can = |name: &&String| match self.channels.get(*name).map(|channel| channel.needs) {
            Some(Needs::Nothing) => true,
            Some(Needs::Phone) => person.phone.is_some(),
            Some(Needs::Email) => person.email.is_some(),
            None => false,
        };
        channels.iter().filter(can).cloned().collect()
    }
}
