//! Exact fractions, so that 0.5 + 0.5 is 1 and 0.9999999 is not.

use std::cmp::Ordering;
use std::fmt;

/// Digits behind the point that an amount may have: a gram in a tonne.
const DIGITS_MAX: usize = 6;
/// Digits before the point: a thousand million tonnes.
const WHOLE_MAX: usize = 10;

/// A fraction, never negative, always in lowest terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ratio {
    over: u128,
    under: u128,
}

impl Ratio {
    /// Nothing.
    pub const ZERO: Self = Self { over: 0, under: 1 };
    /// One.
    pub const ONE: Self = Self { over: 1, under: 1 };

    /// A decimal as people write it: `50`, `0.75`, `1,200.5` is refused.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let digits = |text: &str| text.chars().all(|letter| letter.is_ascii_digit());
        if whole.is_empty() && part.is_empty()
            || !digits(whole)
            || !digits(part)
            || whole.len() > WHOLE_MAX
            || part.len() > DIGITS_MAX
        {
            return None;
        }
        let over: u128 = format!("{whole}{part}").parse().ok()?;
        let under = 10_u128.pow(u32::try_from(part.len()).ok()?);
        Some(Self::lowest(over, under))
    }

    fn lowest(over: u128, under: u128) -> Self {
        let by = common(over, under).max(1);
        Self { over: over / by, under: under / by }
    }

    /// `self + other`; none beyond 128 bits.
    #[must_use]
    pub fn plus(self, other: Self) -> Option<Self> {
        let by = common(self.under, other.under).max(1);
        let left = self.over.checked_mul(other.under / by)?;
        let right = other.over.checked_mul(self.under / by)?;
        Some(Self::lowest(left.checked_add(right)?, self.under.checked_mul(other.under / by)?))
    }

    /// `self * other`; none beyond 128 bits.
    #[must_use]
    pub fn times(self, other: Self) -> Option<Self> {
        let (a, b) = (Self::lowest(self.over, other.under), Self::lowest(other.over, self.under));
        Some(Self::lowest(a.over.checked_mul(b.over)?, a.under.checked_mul(b.under)?))
    }

    /// `self / other`; none for nothing.
    #[must_use]
    pub fn divided_by(self, other: Self) -> Option<Self> {
        if other.over == 0 {
            return None;
        }
        self.times(Self { over: other.under, under: other.over })
    }

    /// The fraction as it is: `29/5`.
    #[must_use]
    pub fn exact(&self) -> String {
        if self.under == 1 {
            self.over.to_string()
        } else {
            format!("{}/{}", self.over, self.under)
        }
    }

    /// The nearest binary number, for JSON.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "for display; decisions use the fraction")]
    pub fn to_f64(self) -> f64 {
        self.over as f64 / self.under as f64
    }
}

impl PartialOrd for Ratio {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ratio {
    /// Whole parts first, then what remains, as in a long division: no product, no overflow.
    fn cmp(&self, other: &Self) -> Ordering {
        let (mut a, mut b) = (*self, *other);
        let mut turned = false;
        loop {
            let (whole, other_whole) = (a.over / a.under, b.over / b.under);
            let (rest, other_rest) = (a.over % a.under, b.over % b.under);
            let order = match whole.cmp(&other_whole) {
                Ordering::Equal => match (rest, other_rest) {
                    (0, 0) => Ordering::Equal,
                    (0, _) => Ordering::Less,
                    (_, 0) => Ordering::Greater,
                    (_, _) => {
                        a = Self { over: a.under, under: rest };
                        b = Self { over: b.under, under: other_rest };
                        turned = !turned;
                        continue;
                    }
                },
                unequal @ (Ordering::Less | Ordering::Greater) => unequal,
            };
            return if turned { order.reverse() } else { order };
        }
    }
}

impl fmt::Display for Ratio {
    /// Up to six digits behind the point, cut and not rounded: nothing below 1 is shown as 1.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = String::new();
        let mut rest = self.over % self.under;
        while rest > 0 && digits.len() < DIGITS_MAX {
            let Some(ten) = rest.checked_mul(10) else { break };
            digits.push(
                char::from_digit(u32::try_from(ten / self.under).unwrap_or(0), 10).unwrap_or('0'),
            );
            rest = ten % self.under;
        }
        write!(f, "{}", self.over / self.under)?;
        if !digits.is_empty() {
            write!(f, ".{digits}")?;
        }
        if rest > 0 { f.write_str("…") } else { Ok(()) }
    }
}

fn common(a: u128, b: u128) -> u128 {
    let (mut a, mut b) = (a, b);
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    fn r(text: &str) -> Ratio {
        Ratio::parse(text).unwrap()
    }

    #[test]
    fn sums_are_exact_and_shown_without_rounding_up() {
        let third = r("1").divided_by(r("3")).unwrap();
        assert_eq!(third.plus(third).unwrap().plus(third), Some(Ratio::ONE));
        assert_eq!(r("0.1").plus(r("0.2")), Some(r("0.3")));
        assert_eq!(r("0.999999").to_string(), "0.999999");
        let almost = r("9999999").divided_by(r("10000000")).unwrap();
        assert_eq!((almost.to_string().as_str(), almost < Ratio::ONE), ("0.999999…", true));
        assert_eq!((r("26.40").to_string(), r("26.4").exact()), ("26.4".into(), "132/5".into()));
    }

    #[test]
    fn fractions_are_ordered_by_value() {
        let of = |a: u128, b: u128| Ratio::lowest(a, b);
        for a in 0..40_u128 {
            for b in 1..12 {
                for c in 0..40_u128 {
                    let (one, other) = (of(a, b), of(c, 7));
                    assert_eq!(one.cmp(&other), (a * 7).cmp(&(c * b)), "{a}/{b} {c}/7");
                }
            }
        }
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for bad in ["", ".", "-1", "1e3", "1,2", "0.0000001", "12345678901", "x", "1.2.3"] {
            assert_eq!(Ratio::parse(bad), None, "{bad}");
        }
        assert_eq!(Ratio::parse(" .5 "), Some(r("0.5")));
        assert_eq!(Ratio::ONE.divided_by(Ratio::ZERO), None);
    }
}
