//! First values for a deadband and for delays, from what the point did in quiet times.
//!
//! - Every suggestion is a number to try in [`crate::backtest`]; none is written anywhere by
//!   itself, and none crosses a ceiling of a rule pack ([`crate::packs`]).

/// Gaps between repeats of one alarm that count as one excursion, ms.
const GAP_MAX_MS: i64 = 60_000;
/// The share of those gaps that an off-delay should bridge.
const GAP_SHARE: f64 = 0.95;
/// Median of the absolute deviation to standard deviation, normal distribution.
const MAD_TO_SIGMA: f64 = 1.4826;
/// Deadband in sigmas of the noise.
const SIGMAS: f64 = 3.0;

/// Standard deviation of the noise over quiet readings in order of time:
/// `1.4826 * median(|dx - median(dx)|) / sqrt(2)` with `dx` the successive differences. A trend
/// or a few spikes do not move it. `None` with fewer than three readings.
#[must_use]
pub fn noise(quiet: &[f64]) -> Option<f64> {
    let steps: Vec<f64> = quiet.iter().zip(quiet.iter().skip(1)).map(|(a, b)| b - a).collect();
    if steps.len() < 2 {
        return None;
    }
    let middle = median(&steps)?;
    let apart: Vec<f64> = steps.iter().map(|step| (step - middle).abs()).collect();
    Some(MAD_TO_SIGMA * median(&apart)? / std::f64::consts::SQRT_2)
}

/// Three sigmas of noise, at least the resolution of the instrument, at most half the distance to
/// the next level where there is one.
#[must_use]
pub fn deadband_for_noise(sigma: f64, resolution: f64, to_next_level: Option<f64>) -> f64 {
    let wanted = (SIGMAS * sigma).max(resolution);
    to_next_level.map_or(wanted, |distance| wanted.min(distance.abs() / 2.0))
}

/// The off-delay that bridges 95 % of the gaps shorter than a minute between repeats of one
/// alarm. `None` where there is no such gap.
#[must_use]
pub fn off_delay_ms_for_gaps(gaps_ms: &[i64]) -> Option<i64> {
    let mut short: Vec<i64> =
        gaps_ms.iter().copied().filter(|gap| (0..GAP_MAX_MS).contains(gap)).collect();
    short.sort_unstable();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and the length"
    )]
    let place = (GAP_SHARE * crate::tuning::count(short.len())).ceil() as usize;
    short.get(place.checked_sub(1)?).copied()
}

/// The longest on-delay that the time budget leaves, ms: time to the consequence less everything
/// that comes after the delay. `None` where nothing is left: then the limit must move, not the
/// delay.
#[must_use]
pub fn on_delay_ms_max(to_consequence_ms: i64, after_the_delay_ms: &[i64]) -> Option<i64> {
    let used = after_the_delay_ms.iter().fold(0_i64, |sum, ms| sum.saturating_add(*ms));
    let left = to_consequence_ms.saturating_sub(used);
    // The budget is a strict one: response must end before the consequence.
    (left > 0).then(|| left - 1)
}

fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let half = sorted.len() / 2;
    let upper = *sorted.get(half)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = *sorted.get(half.checked_sub(1)?)?;
    Some(f64::midpoint(lower, upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cheap pseudo-random walk through the normal distribution: sum of twelve uniforms.
    fn normal(state: &mut u64) -> f64 {
        let mut sum = 0.0;
        for _ in 0..12 {
            *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040);
            sum += f64::from(u32::try_from(*state >> 32).unwrap()) / f64::from(u32::MAX);
        }
        sum - 6.0
    }

    #[test]
    fn noise_is_found_under_a_trend_and_despite_spikes() {
        let mut state = 7;
        let series: Vec<f64> = (0..20_000)
            .map(|place: i32| {
                let spike = if place % 400 == 0 { 80.0 } else { 0.0 };
                50.0 + f64::from(place) * 0.01 + 2.5 * normal(&mut state) + spike
            })
            .collect();
        let sigma = noise(&series).unwrap();
        assert!((2.4..2.6).contains(&sigma), "{sigma}");
        assert_eq!(noise(&[1.0, 2.0]), None);
    }

    #[test]
    fn a_deadband_covers_noise_and_resolution_and_stays_below_half_the_way() {
        assert!((deadband_for_noise(0.5, 0.1, None) - 1.5).abs() < 1e-12);
        assert!((deadband_for_noise(0.01, 0.1, None) - 0.1).abs() < 1e-12);
        assert!((deadband_for_noise(2.0, 0.1, Some(-5.0)) - 2.5).abs() < 1e-12);
    }

    #[test]
    fn delays_come_from_gaps_and_from_the_budget() {
        let gaps: Vec<i64> = (1..=20).map(|s| s * 1_000).chain([61_000, 3_600_000]).collect();
        assert_eq!(off_delay_ms_for_gaps(&gaps), Some(19_000));
        assert_eq!(off_delay_ms_for_gaps(&[70_000]), None);
        assert_eq!(on_delay_ms_max(300_000, &[30_000, 60_000, 120_000]), Some(89_999));
        assert_eq!(on_delay_ms_max(60_000, &[30_000, 60_000]), None);
    }
}
