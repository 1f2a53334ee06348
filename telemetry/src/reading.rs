//! What an instrument said, with its quality.
//!
//! - No number where there is none to trust: a timeout, an exception, NaN or a sentinel is
//!   [`Reading::Bad`] with its reason, never a zero.
//! - `code` is what wires and files carry: 0 good, 1..=99 doubt, 100..=199 fault. A code, once
//!   given, is never given to something else.

/// One reading of one point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reading {
    /// A number to trust. Always finite.
    Good(f64),
    /// A number with a doubt. Always finite. Alarms treat it as good and flag it.
    Uncertain(f64, Doubt),
    /// No number, and why.
    Bad(Fault),
}

impl Reading {
    /// The number, if there is one.
    #[inline]
    #[must_use]
    pub fn value(self) -> Option<f64> {
        match self {
            Self::Good(value) | Self::Uncertain(value, _) => Some(value),
            Self::Bad(_) => None,
        }
    }

    /// True where there is no number.
    #[inline]
    #[must_use]
    pub fn is_bad(self) -> bool {
        matches!(self, Self::Bad(_))
    }

    /// 0 good, 1..=99 doubt, 100..=199 fault.
    #[inline]
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Good(_) => 0,
            Self::Uncertain(_, doubt) => doubt.code(),
            Self::Bad(fault) => fault.code(),
        }
    }

    /// The reading of a code and, where the code wants one, a number. A number that is not
    /// finite, a missing number or an unknown code gives `Bad`.
    #[must_use]
    pub fn from_code(code: u8, value: Option<f64>) -> Self {
        if let Some(fault) = Fault::from_code(code) {
            return Self::Bad(fault);
        }
        match value {
            Some(value) if value.is_finite() => match Doubt::from_code(code) {
                Some(doubt) => Self::Uncertain(value, doubt),
                None if code == 0 => Self::Good(value),
                None => Self::Bad(Fault::UnknownQuality),
            },
            Some(_) => Self::Bad(Fault::NotANumber),
            None => Self::Bad(Fault::UnknownQuality),
        }
    }

    /// One word for people and files: `good`, or the word of the doubt or fault.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Good(_) => "good",
            Self::Uncertain(_, doubt) => doubt.word(),
            Self::Bad(fault) => fault.word(),
        }
    }
}

macro_rules! coded {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $code:literal, $word:literal;)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$vmeta])* $variant,)+ }

        impl $name {
            /// The number that wires and files carry.
            #[must_use]
            pub fn code(self) -> u8 {
                match self { $(Self::$variant => $code,)+ }
            }
            /// The variant of a code.
            #[must_use]
            pub fn from_code(code: u8) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)+ _ => None }
            }
            /// One word, the same in console, API and files.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
            /// Every variant.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];
        }
    };
}

coded! {
    /// Why a number is doubted.
    Doubt {
        /// The stamp was estimated: the source had no trusted clock.
        EstimatedTime = 1, "estimated_time";
        /// Just outside the instrument's range, still plausible.
        NearRange = 2, "near_range";
        /// Has not moved for longer than the signal ever rests.
        Frozen = 3, "frozen";
        /// Moved faster than the process can.
        TooFast = 4, "too_fast";
        /// The source itself said so (Sparkplug or JSON quality).
        SourceUncertain = 5, "source_uncertain";
        /// At the end of its signal (NAMUR NE 43): the true value may lie further out.
        Saturated = 6, "saturated";
        /// A count that began anew: what was counted before it cannot be told.
        CountRestarted = 7, "count_restarted";
    }
}

coded! {
    /// Why there is no number.
    Fault {
        /// The device did not answer in time.
        Timeout = 100, "timeout";
        /// The device refused: Modbus exception 1, illegal function.
        IllegalFunction = 101, "illegal_function";
        /// The device refused: Modbus exception 2, illegal data address.
        IllegalAddress = 102, "illegal_address";
        /// The device refused: Modbus exception 3, illegal data value.
        IllegalValue = 103, "illegal_value";
        /// The device refused: Modbus exception 4, server device failure.
        DeviceFailure = 104, "device_failure";
        /// The device refused: Modbus exceptions 5 and 6, busy.
        DeviceBusy = 105, "device_busy";
        /// A gateway on the way refused: Modbus exceptions 10 and 11.
        PathUnavailable = 106, "path_unavailable";
        /// The device refused with another exception.
        DeviceException = 107, "device_exception";
        /// The bytes were wrong: length, unit, function, checksum or transaction.
        BadFrame = 110, "bad_frame";
        /// No connection to the device.
        NotConnected = 111, "not_connected";
        /// NaN or infinity.
        NotANumber = 120, "not_a_number";
        /// A value that the instrument uses to say that it has none.
        Sentinel = 121, "sentinel";
        /// Outside what the instrument can measure.
        OutOfRange = 122, "out_of_range";
        /// NAMUR NE 43: 3.6 mA or less, or 21 mA or more.
        WireBreak = 123, "wire_break";
        /// A digit pattern that is no number (BCD).
        Undecodable = 124, "undecodable";
        /// The instrument measures in another unit than the sheet says.
        WrongUnit = 125, "wrong_unit";
        /// The source sent nothing where a value belongs.
        Missing = 130, "missing";
        /// The source called it bad.
        SourceBad = 131, "source_bad";
        /// The task that reads the device failed.
        ReaderFailed = 132, "reader_failed";
        /// The instrument answers and has stopped measuring: its heartbeat stands still.
        NotRefreshed = 133, "not_refreshed";
        /// The instrument warms up.
        WarmUp = 140, "warm_up";
        /// The instrument is being calibrated.
        Calibrating = 141, "calibrating";
        /// The instrument shows a simulated value.
        Simulated = 142, "simulated";
        /// The instrument is being tested with gas.
        BumpTest = 143, "bump_test";
        /// The instrument's own alarms are switched off.
        Inhibited = 144, "inhibited";
        /// A quality that this version does not know.
        UnknownQuality = 199, "unknown_quality";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_comes_back_and_none_is_used_twice() {
        let mut seen = std::collections::BTreeSet::new();
        for doubt in Doubt::ALL {
            assert!(seen.insert(doubt.code()) && (1..=99).contains(&doubt.code()));
            let reading = Reading::Uncertain(1.5, *doubt);
            assert_eq!(Reading::from_code(reading.code(), reading.value()), reading);
        }
        for fault in Fault::ALL {
            assert!(seen.insert(fault.code()) && (100..=199).contains(&fault.code()));
            assert_eq!(Reading::from_code(fault.code(), Some(0.0)), Reading::Bad(*fault));
        }
    }

    #[test]
    fn a_code_without_its_number_is_bad_and_never_zero() {
        assert!(Reading::from_code(0, None).is_bad());
        assert!(Reading::from_code(0, Some(f64::NAN)).is_bad());
        assert!(Reading::from_code(77, Some(1.0)).is_bad());
    }
}
