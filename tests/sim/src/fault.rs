//! What can go wrong with a device, and how people write it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use thiserror::Error;

/// Exception 4, "server device failure": what a broken instrument answers when nothing was said.
const EXCEPTION_USUAL: u8 = 4;
/// A late reply without a number is later than the usual time limit of 500 ms.
const LATE_USUAL: Duration = Duration::from_millis(800);
/// Later than this is "dead"; more would hold a connection for nothing.
const LATE_MAX: Duration = Duration::from_secs(60);

/// What a device does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// Takes connections and requests, never answers.
    Dead,
    /// Nobody listens on the port; open connections are closed.
    Refused,
    /// Answers every request with this exception code.
    Exception(u8),
    /// Registers keep the values they had when the fault began.
    Frozen,
    /// The instrument's readings are shaken by up to ±20 % of their range, anew at every tick.
    Noise,
    /// The right reply, this much later.
    Late(Duration),
    /// The last byte of every reply is missing.
    Truncated,
    /// Replies carry another transaction number than the request.
    WrongTransaction,
    /// Replies carry another unit number than the request.
    WrongUnit,
}

/// A fault that nobody knows.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "fault {0:?} is not known; write none, dead, refused, exception[:CODE], frozen, noise, \
     late[:MS] (at most 60000), truncated, wrong_transaction or wrong_unit"
)]
pub struct UnknownFault(String);

impl FromStr for Fault {
    type Err = UnknownFault;

    fn from_str(text: &str) -> Result<Self, UnknownFault> {
        let unknown = || UnknownFault(text.to_owned());
        let (word, number) = match text.split_once(':') {
            Some((word, number)) => (word, Some(number)),
            None => (text, None),
        };
        match (word, number) {
            ("none", None) => Ok(Self::None),
            ("dead", None) => Ok(Self::Dead),
            ("refused", None) => Ok(Self::Refused),
            ("exception", None) => Ok(Self::Exception(EXCEPTION_USUAL)),
            ("exception", Some(code)) => match code.parse() {
                Ok(code) if code != 0 => Ok(Self::Exception(code)),
                Ok(_) | Err(_) => Err(unknown()),
            },
            ("frozen", None) => Ok(Self::Frozen),
            ("noise", None) => Ok(Self::Noise),
            ("late", None) => Ok(Self::Late(LATE_USUAL)),
            ("late", Some(ms)) => match ms.parse().map(Duration::from_millis) {
                Ok(by) if by <= LATE_MAX => Ok(Self::Late(by)),
                Ok(_) | Err(_) => Err(unknown()),
            },
            ("truncated", None) => Ok(Self::Truncated),
            ("wrong_transaction", None) => Ok(Self::WrongTransaction),
            ("wrong_unit", None) => Ok(Self::WrongUnit),
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Dead => f.write_str("dead"),
            Self::Refused => f.write_str("refused"),
            Self::Exception(code) => write!(f, "exception:{code}"),
            Self::Frozen => f.write_str("frozen"),
            Self::Noise => f.write_str("noise"),
            Self::Late(by) => write!(f, "late:{}", by.as_millis()),
            Self::Truncated => f.write_str("truncated"),
            Self::WrongTransaction => f.write_str("wrong_transaction"),
            Self::WrongUnit => f.write_str("wrong_unit"),
        }
    }
}

impl<'de> Deserialize<'de> for Fault {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        String::deserialize(input)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_reads_back_as_it_is_written() {
        for fault in [
            Fault::None,
            Fault::Dead,
            Fault::Refused,
            Fault::Exception(2),
            Fault::Frozen,
            Fault::Noise,
            Fault::Late(Duration::from_millis(250)),
            Fault::Truncated,
            Fault::WrongTransaction,
            Fault::WrongUnit,
        ] {
            assert_eq!(fault.to_string().parse(), Ok(fault));
        }
    }

    #[test]
    fn nonsense_is_refused_with_the_words_that_are_known() {
        for text in ["", "ded", "exception:0", "exception:x", "late:-1", "late:99999999", "dead:1"]
        {
            let refusal = text.parse::<Fault>().expect_err(text);
            assert!(refusal.to_string().contains("wrong_transaction"), "{refusal}");
        }
    }
}
