//! Readings of one scan group, packed: a few bytes a reading.
//!
//! Numbers are decimal first: most instruments give few digits, so a number travels as mantissa
//! and decimal places where that is bit-exact, else as the eight bytes that it is.

use super::{SCAN_READINGS_MAX, WireFault, field, limit, proto};
use crate::{ClockQuality, POINTS_MAX, Reading, Scan};

const FORM_EXACT: u32 = 16;
const FORM_NONE: u32 = 17;
const PLACES_MAX: u32 = 9;
const POWERS: [f64; 10] = [1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];
/// Above this a mantissa is no shorter than the eight bytes.
const MANTISSA_MAX: f64 = 9_007_199_254_740_992.0;

enum Packed {
    Decimal(u32, i64),
    Exact(f64),
}

#[expect(clippy::cast_possible_truncation, reason = "bounded by MANTISSA_MAX, checked bit-exact")]
fn pack(value: f64) -> Packed {
    for (places, power) in (0..=PLACES_MAX).zip(POWERS) {
        let mantissa = (value * power).round();
        if mantissa.abs() >= MANTISSA_MAX {
            break;
        }
        let whole = mantissa as i64;
        if unpack(places, whole).is_some_and(|back| back.to_bits() == value.to_bits()) {
            return Packed::Decimal(places, whole);
        }
    }
    Packed::Exact(value)
}

#[expect(clippy::cast_precision_loss, reason = "a mantissa beyond 2^53 is refused first")]
fn unpack(places: u32, mantissa: i64) -> Option<f64> {
    let power = POWERS.get(usize::try_from(places).ok()?)?;
    let value = mantissa as f64;
    (value.abs() < MANTISSA_MAX).then_some(value / power)
}

pub(super) fn encode(scan: &Scan) -> proto::Scan {
    let mut out = proto::Scan {
        first_index: scan.readings.first().map_or(0, |(index, _)| *index),
        count: u32::try_from(scan.readings.len()).unwrap_or(u32::MAX),
        clock_quality: clock_code(scan.clock),
        ..Default::default()
    };
    let mut expected = out.first_index;
    let mut steps = Vec::with_capacity(scan.readings.len());
    for (index, reading) in &scan.readings {
        steps.push(i64::from(*index) - i64::from(expected));
        expected = index.saturating_add(1);
        out.quality.push(u32::from(reading.code()));
        out.form.push(match reading.value().map(pack) {
            None => FORM_NONE,
            Some(Packed::Decimal(places, mantissa)) => {
                out.mantissa.push(mantissa);
                places
            }
            Some(Packed::Exact(value)) => {
                out.exact.push(value);
                FORM_EXACT
            }
        });
    }
    if steps.iter().any(|step| *step != 0) {
        out.index_step = steps.into_iter().map(|step| i32::try_from(step).unwrap_or(0)).collect();
    }
    if out.quality.iter().all(|code| *code == 0) {
        out.quality.clear();
    }
    if out.form.windows(2).all(|pair| pair.first() == pair.last()) {
        out.form.truncate(1);
    }
    out
}

pub(super) fn decode(scan: &proto::Scan) -> Result<Scan, WireFault> {
    let count = usize::try_from(scan.count).unwrap_or(usize::MAX);
    limit("readings of a scan", count, SCAN_READINGS_MAX)?;
    let fits = |len: usize| len == count || len == 0;
    if !fits(scan.index_step.len()) {
        return Err(field("scan", "index_step", "needs one entry a reading, or none"));
    }
    if !fits(scan.quality.len()) {
        return Err(field("scan", "quality", "needs one entry a reading, or none"));
    }
    if scan.form.len() != count && scan.form.len() != 1 && count != 0 {
        return Err(field("scan", "form", "needs one entry a reading, or one for all"));
    }
    let mut mantissas = scan.mantissa.iter();
    let mut exacts = scan.exact.iter();
    let mut readings = Vec::with_capacity(count);
    let mut index = i64::from(scan.first_index);
    for i in 0..count {
        index += i64::from(scan.index_step.get(i).copied().unwrap_or(0));
        let point =
            u32::try_from(index).ok().filter(|p| usize::try_from(*p).is_ok_and(|p| p < POINTS_MAX));
        let point =
            point.ok_or_else(|| field("scan", "index_step", format!("leads to point {index}")))?;
        index += 1;
        let form = scan.form.get(i).or(scan.form.first()).copied().unwrap_or(FORM_NONE);
        let value = match form {
            // Each reading has at least one byte somewhere: a short scan cannot become a long list.
            FORM_NONE if scan.quality.is_empty() => {
                return Err(field("scan", "quality", "is empty, and a reading has no number"));
            }
            FORM_NONE => None,
            FORM_EXACT => {
                Some(*exacts.next().ok_or_else(|| field("scan", "exact", "ends too early"))?)
            }
            places => {
                let mantissa =
                    mantissas.next().ok_or_else(|| field("scan", "mantissa", "ends too early"))?;
                let value = unpack(places, *mantissa);
                Some(
                    value
                        .ok_or_else(|| field("scan", "form", format!("{places} is not a form")))?,
                )
            }
        };
        let code = u8::try_from(scan.quality.get(i).copied().unwrap_or(0)).unwrap_or(u8::MAX);
        readings.push((point, Reading::from_code(code, value)));
    }
    if mantissas.next().is_some() || exacts.next().is_some() {
        return Err(field("scan", "form", "leaves numbers over"));
    }
    Ok(Scan { readings, clock: clock_from(scan.clock_quality)? })
}

pub(super) fn clock_code(quality: ClockQuality) -> u32 {
    match quality {
        ClockQuality::Synchronised => 0,
        ClockQuality::Rtc => 1,
        ClockQuality::Holdover => 2,
        ClockQuality::Unset => 3,
    }
}

pub(super) fn clock_from(code: u32) -> Result<ClockQuality, WireFault> {
    match code {
        0 => Ok(ClockQuality::Synchronised),
        1 => Ok(ClockQuality::Rtc),
        2 => Ok(ClockQuality::Holdover),
        3 => Ok(ClockQuality::Unset),
        other => Err(field("record", "clock_quality", format!("{other} is unknown"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Doubt, Fault};
    use proptest::prelude::*;

    fn reading() -> impl Strategy<Value = Reading> {
        let finite = prop_oneof![
            any::<f64>().prop_filter("finite", |v| v.is_finite()),
            (-100_000i32..100_000).prop_map(|m| f64::from(m) / 1000.0),
            Just(-0.0),
            Just(f64::MIN_POSITIVE / 2.0),
            Just(9_007_199_254_740_993.0),
        ];
        prop_oneof![
            4 => finite.clone().prop_map(Reading::Good),
            1 => finite.prop_map(|v| Reading::Uncertain(v, Doubt::NearRange)),
            1 => Just(Reading::Bad(Fault::Timeout)),
        ]
    }

    proptest! {
        #[test]
        fn what_went_in_comes_out_to_the_bit(list in prop::collection::vec((0u32..100_000, reading()), 0..60)) {
            let scan = Scan { readings: list, clock: ClockQuality::Holdover };
            let back = decode(&encode(&scan)).unwrap();
            prop_assert_eq!(back.readings.len(), scan.readings.len());
            for ((i, a), (j, b)) in scan.readings.iter().zip(&back.readings) {
                prop_assert_eq!(i, j);
                prop_assert_eq!(a.code(), b.code());
                prop_assert_eq!(a.value().map(f64::to_bits), b.value().map(f64::to_bits));
            }
        }
    }

    #[test]
    fn a_bad_reading_takes_no_number_and_gives_none() {
        let scan = Scan { readings: vec![(3, Reading::Bad(Fault::Sentinel))], ..Scan::default() };
        let wire = encode(&scan);
        assert!(wire.mantissa.is_empty() && wire.exact.is_empty());
        assert_eq!(decode(&wire).unwrap(), scan);
    }

    #[test]
    fn short_and_long_columns_are_refused() {
        let good = encode(&Scan {
            readings: vec![(0, Reading::Good(1.5)), (1, Reading::Good(2.25))],
            ..Scan::default()
        });
        let faults: [fn(&mut proto::Scan); 7] = [
            |s| s.mantissa.truncate(1),
            |s| s.mantissa.push(1),
            |s| s.form = vec![12, 12],
            |s| s.quality = vec![0],
            |s| s.count = u32::MAX,
            |s| s.index_step = vec![-5, 0],
            |s| *s = proto::Scan { form: vec![FORM_NONE], count: 2, ..Default::default() },
        ];
        for break_it in faults {
            let mut bad = good.clone();
            break_it(&mut bad);
            assert!(decode(&bad).is_err(), "{bad:?}");
        }
    }
}
