//! A straight line through samples, and how far its slope may be trusted.

/// `level` at the time that counts as zero, `slope` per second and its standard error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) level: f64,
    pub(crate) slope: f64,
    /// None with two samples: a line through two points has no error to speak of.
    pub(crate) error: Option<f64>,
    /// Degrees of freedom.
    pub(crate) freedom: usize,
}

/// The least-squares line through (seconds, value), seconds counted from the newest sample.
/// None for fewer than two different times.
pub(crate) fn line(samples: impl Iterator<Item = (f64, f64)> + Clone) -> Option<Line> {
    let mut count = 0_u32;
    let (mut sum_x, mut sum_y) = (0.0, 0.0);
    for (x, y) in samples.clone() {
        count += 1;
        sum_x += x;
        sum_y += y;
    }
    let n = f64::from(count);
    let (mean_x, mean_y) = (sum_x / n, sum_y / n);
    let (mut sxx, mut sxy, mut syy) = (0.0, 0.0, 0.0);
    for (x, y) in samples {
        let (dx, dy) = (x - mean_x, y - mean_y);
        sxx += dx * dx;
        sxy += dx * dy;
        syy += dy * dy;
    }
    if count < 2 || sxx <= 0.0 {
        return None;
    }
    let slope = sxy / sxx;
    let freedom = count as usize - 2;
    let rest = (syy - slope * sxy).max(0.0);
    let error = (freedom > 0).then(|| (rest / (n - 2.0) / sxx).sqrt());
    let level = mean_y - slope * mean_x;
    (slope.is_finite() && level.is_finite()).then_some(Line { level, slope, error, freedom })
}

/// Student's t, 0.95 two-sided. Tabulated to 30 degrees of freedom, beyond that the expansion in
/// 1/v around the normal quantile, which is right to three digits there.
pub(crate) fn student(freedom: usize) -> f64 {
    const TABLE: [f64; 30] = [
        12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
        2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056,
        2.052, 2.048, 2.045, 2.042,
    ];
    const NORMAL: f64 = 1.959_964;
    if let Some(t) = freedom.checked_sub(1).and_then(|at| TABLE.get(at)) {
        return *t;
    }
    let v = f64::from(u32::try_from(freedom).unwrap_or(u32::MAX)).max(1.0);
    NORMAL + (NORMAL.powi(3) + NORMAL) / (4.0 * v)
}
