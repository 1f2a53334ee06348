//! Scaling in decimals, so that 234 × 0.1 is 23.4 and an alarm limit of 23.4 is reached.
//!
//! - A number as people write it is a whole number and a count of decimal places; scale and offset
//!   come from a sheet, so theirs are short. As long as the result has at most 2⁵³ units and 22
//!   places, whole-number division gives the double nearest to the exact decimal result.
//! - Outside that the plain product and sum are given: off by the rounding of two operations.

/// 2⁵³: every whole number up to here is a double.
const EXACT_MAX: i128 = 1 << 53;
/// 10²² is the last power of ten that is a double.
const PLACES_MAX: u32 = 22;

/// `mantissa` × 10^−`places`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decimal {
    mantissa: i128,
    places: u32,
}

impl Decimal {
    pub(crate) fn whole(mantissa: i128) -> Self {
        Self { mantissa, places: 0 }
    }

    /// The shortest decimal that names this double; none where it needs more than 22 places or is
    /// not finite.
    pub(crate) fn shortest(value: f64) -> Option<Self> {
        if !value.is_finite() {
            return None;
        }
        let text = format!("{value:e}");
        let (digits, exponent) = text.split_once('e')?;
        let exponent: i32 = exponent.parse().ok()?;
        let (head, tail) = digits.split_once('.').unwrap_or((digits, ""));
        let mantissa: i128 = format!("{head}{tail}").parse().ok()?;
        let places = i32::try_from(tail.len()).ok()? - exponent;
        if places >= 0 {
            let places = u32::try_from(places).ok().filter(|p| *p <= PLACES_MAX)?;
            return Some(Self { mantissa, places });
        }
        let grow = 10_i128.checked_pow(places.unsigned_abs())?;
        Some(Self { mantissa: mantissa.checked_mul(grow)?, places: 0 })
    }

    fn times(self, other: Self) -> Option<Self> {
        let mantissa = self.mantissa.checked_mul(other.mantissa)?;
        Some(Self { mantissa, places: self.places + other.places })
    }

    fn at_places(self, places: u32) -> Option<i128> {
        self.mantissa.checked_mul(10_i128.checked_pow(places.checked_sub(self.places)?)?)
    }

    fn plus(self, other: Self) -> Option<Self> {
        let places = self.places.max(other.places);
        let mantissa = self.at_places(places)?.checked_add(other.at_places(places)?)?;
        Some(Self { mantissa, places })
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "both numbers are doubles: checked in the line before"
    )]
    fn to_f64(self) -> Option<f64> {
        let mut it = self;
        while it.places > 0 && it.mantissa % 10 == 0 {
            it = Self { mantissa: it.mantissa / 10, places: it.places - 1 };
        }
        if it.mantissa.abs() > EXACT_MAX || it.places > PLACES_MAX {
            return None;
        }
        Some(it.mantissa as f64 / 10_f64.powi(i32::try_from(it.places).ok()?))
    }
}

/// `raw` × `scale` + `offset`, rounded once; none where the decimals do not fit.
pub(crate) fn scaled(raw: Decimal, scale: Decimal, offset: Decimal) -> Option<f64> {
    raw.times(scale)?.plus(offset)?.to_f64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_register_times_a_tenth_has_no_dust() {
        let tenth = Decimal::shortest(0.1).unwrap();
        let none = Decimal::whole(0);
        for raw in 0..=65_535_i128 {
            let got = scaled(Decimal::whole(raw), tenth, none).unwrap();
            let want: f64 = format!("{}.{}", raw / 10, raw % 10).parse().unwrap();
            assert_eq!(got.to_bits(), want.to_bits(), "{raw}");
        }
    }

    #[test]
    fn what_does_not_fit_is_not_guessed() {
        assert_eq!(Decimal::shortest(f64::NAN), None);
        assert_eq!(Decimal::shortest(f64::INFINITY), None);
        assert_eq!(Decimal::shortest(1e-300), None);
        let big = Decimal::whole((1 << 53) + 1);
        assert_eq!(scaled(big, Decimal::whole(1), Decimal::whole(0)), None);
    }

    proptest! {
        #[test]
        fn the_result_is_the_double_nearest_to_the_written_decimal(
            raw in -100_000_i64..100_000,
            scale in -9_999_i64..9_999, scale_places in 0_u32..4,
            offset in -9_999_i64..9_999, offset_places in 0_u32..4,
        ) {
            let text = |m: i64, places: u32| format!("{m}e-{places}");
            let scale_f: f64 = text(scale, scale_places).parse().unwrap();
            let offset_f: f64 = text(offset, offset_places).parse().unwrap();
            let got = scaled(
                Decimal::whole(raw.into()),
                Decimal::shortest(scale_f).unwrap(),
                Decimal::shortest(offset_f).unwrap(),
            ).unwrap();
            let up = 10_i64.pow(6);
            let exact = raw * scale * up / 10_i64.pow(scale_places)
                + offset * up / 10_i64.pow(offset_places);
            let want: f64 = format!("{exact}e-6").parse().unwrap();
            prop_assert_eq!(got.to_bits(), (want + 0.0).to_bits());
        }
    }
}
