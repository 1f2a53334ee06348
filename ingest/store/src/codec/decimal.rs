//! Numbers as whole mantissas of a power of ten, where that is exact.
//!
//! - Instruments speak in decimals: 61.25 is 6125 with two places. Only a mantissa that gives
//!   back the very same bits counts; −0.0, subnormals and thirds have none.

/// Most decimal places tried.
pub(super) const PLACES_MAX: u8 = 6;

const POWERS: [f64; 7] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6];
/// Above this a float has no room for a fraction of a half: 2^52.
const MANTISSA_MAX: f64 = 4_503_599_627_370_496.0;

/// The mantissa with so many places, if it gives back the same bits.
#[expect(clippy::cast_possible_truncation, reason = "bounded just above")]
#[inline]
pub(super) fn mantissa(number: f64, places: u8) -> Option<i64> {
    let power = *POWERS.get(usize::from(places))?;
    let scaled = number * power;
    if scaled.is_nan() || scaled.abs() > MANTISSA_MAX {
        return None;
    }
    let rounded = (scaled + 0.5_f64.copysign(scaled)) as i64;
    (restore(rounded, places).to_bits() == number.to_bits()).then_some(rounded)
}

/// The number of a mantissa.
#[expect(clippy::cast_precision_loss, reason = "mantissa() lets none pass that loses a bit")]
#[inline]
pub(super) fn restore(mantissa: i64, places: u8) -> f64 {
    let power = POWERS.get(usize::from(places)).copied().unwrap_or(f64::NAN);
    mantissa as f64 / power
}

/// The fewest places, from `least` on, with which the number is exact.
#[inline]
pub(super) fn places(number: f64, least: u8) -> Option<u8> {
    (least..=PLACES_MAX).find(|places| mantissa(number, *places).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_has_few_places_and_what_has_no_mantissa_says_so() {
        for (number, want) in [
            (0.0, Some(0)),
            (61.2, Some(1)),
            (-0.001, Some(3)),
            (1e-6, Some(6)),
            (1.0 / 3.0, None),
            (-0.0, None),
            (f64::MIN_POSITIVE / 4.0, None),
            (9_007_199_254_740_994.0, None),
            (1e300, None),
        ] {
            assert_eq!(places(number, 0), want, "{number}");
        }
    }
}
