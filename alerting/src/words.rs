//! The words for kinds, letters, causes and flags, the same in journal, API and files.
//!
//! - A word, once given, is never given to something else.

use crate::model::{Cause, Condition, Flags, Letter, Level};

impl Condition {
    /// `hh`, `h`, `l`, `ll`, `stale`, `gateway_offline`, `clock`, `unset`, or the word of what is
    /// derived.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::High { level: Level::Second, .. } => "hh",
            Self::High { level: Level::First, .. } => "h",
            Self::Low { level: Level::First, .. } => "l",
            Self::Low { level: Level::Second, .. } => "ll",
            Self::Stale { .. } => "stale",
            Self::GatewayOffline { .. } => "gateway_offline",
            Self::Clock { .. } => "clock",
            Self::Unset => "unset",
            Self::Unjudged => "unjudged",
            Self::Derived(derived) => derived.word(),
        }
    }

    /// The limit in the point's unit, where the condition has one; for what is derived in the unit
    /// of that.
    #[must_use]
    pub fn limit(&self) -> Option<f64> {
        match self {
            Self::High { limit, .. } | Self::Low { limit, .. } => Some(*limit),
            Self::Derived(derived) => derived.limit(),
            Self::Stale { .. }
            | Self::GatewayOffline { .. }
            | Self::Clock { .. }
            | Self::Unset
            | Self::Unjudged => None,
        }
    }
}

impl Letter {
    /// Every letter.
    pub const ALL: [Self; 9] =
        [Self::A, Self::B, Self::C, Self::D, Self::E, Self::F, Self::G, Self::H, Self::I];

    /// `A`..`I`.
    #[must_use]
    pub fn as_char(self) -> char {
        match self {
            Self::A => 'A',
            Self::B => 'B',
            Self::C => 'C',
            Self::D => 'D',
            Self::E => 'E',
            Self::F => 'F',
            Self::G => 'G',
            Self::H => 'H',
            Self::I => 'I',
        }
    }

    /// The letter of a character.
    #[must_use]
    pub fn from_char(letter: char) -> Option<Self> {
        Self::ALL.into_iter().find(|l| l.as_char() == letter)
    }

    /// The key that the console knows: `unack`, `rtn_unack`, `shelved` …; `normal` for A.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::A => "normal",
            Self::B => "unack",
            Self::C => "acked",
            Self::D => "rtn_unack",
            Self::E => "latched_unack",
            Self::F => "latched_acked",
            Self::G => "shelved",
            Self::H => "suppressed",
            Self::I => "oos",
        }
    }
}

impl Cause {
    /// Every cause.
    pub const ALL: [Self; 20] = [
        Self::On,
        Self::Off,
        Self::Acknowledged,
        Self::StaleAcknowledgement,
        Self::Reset,
        Self::Refused,
        Self::Shelved,
        Self::Unshelved,
        Self::Suppressed,
        Self::Unsuppressed,
        Self::OutOfService,
        Self::InService,
        Self::ReAlarm,
        Self::Duplicate,
        Self::FutureStamp,
        Self::Revised,
        Self::Refuted,
        Self::History,
        Self::NoLongerJudged,
        Self::JudgedAgain,
    ];

    /// One word for journal and API.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
            Self::Acknowledged => "acknowledged",
            Self::StaleAcknowledgement => "stale_acknowledgement",
            Self::Reset => "reset",
            Self::Refused => "refused",
            Self::Shelved => "shelved",
            Self::Unshelved => "unshelved",
            Self::Suppressed => "suppressed",
            Self::Unsuppressed => "unsuppressed",
            Self::OutOfService => "out_of_service",
            Self::InService => "in_service",
            Self::ReAlarm => "re_alarm",
            Self::Duplicate => "duplicate",
            Self::FutureStamp => "future_stamp",
            Self::Revised => "revised",
            Self::Refuted => "refuted",
            Self::History => "history",
            Self::NoLongerJudged => "no_longer_judged",
            Self::JudgedAgain => "judged_again",
        }
    }

    /// The cause of a word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.word() == word)
    }
}

impl Flags {
    /// The words, separated by one blank: `recovered hold`.
    #[must_use]
    pub fn words(self) -> String {
        let mut words = Vec::new();
        for (set, word) in [
            (self.recovered, "recovered"),
            (self.hold, "hold"),
            (self.late, "late"),
            (self.rev, "rev"),
            (self.est_time, "est-time"),
            (self.history, "history"),
        ] {
            if set {
                words.push(word);
            }
        }
        words.join(" ")
    }

    /// The flags of words separated by blanks; none when a word is unknown.
    #[must_use]
    pub fn from_words(words: &str) -> Option<Self> {
        let mut flags = Self::default();
        for word in words.split_whitespace() {
            match word {
                "recovered" => flags.recovered = true,
                "hold" => flags.hold = true,
                "late" => flags.late = true,
                "rev" => flags.rev = true,
                "est-time" => flags.est_time = true,
                "history" => flags.history = true,
                _ => return None,
            }
        }
        Some(flags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_comes_back_and_none_is_used_twice() {
        let mut words = std::collections::BTreeSet::new();
        for cause in Cause::ALL {
            assert!(words.insert(cause.word()));
            assert_eq!(Cause::from_word(cause.word()), Some(cause));
        }
        for letter in Letter::ALL {
            assert_eq!(Letter::from_char(letter.as_char()), Some(letter));
        }
        let flags = Flags { hold: true, recovered: true, ..Flags::default() };
        assert_eq!(flags.words(), "recovered hold");
        assert_eq!(Flags::from_words("hold recovered"), Some(flags));
        assert_eq!(Flags::from_words("hold?"), None);
    }
}
