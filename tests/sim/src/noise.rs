//! A small seeded source of randomness (`SplitMix64`), so that a run can be repeated from its seed
//! on every machine and with every version of every library.

/// The state of one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Noise(u64);

impl Noise {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        // Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// Uniform in `[0, 1)`.
    pub(crate) fn unit(&mut self) -> f64 {
        let high = u32::try_from(self.next() >> 32).unwrap_or(u32::MAX);
        f64::from(high) / 4_294_967_296.0
    }

    /// Uniform in `[low, high)`.
    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Bell-shaped (sum of four uniforms), mean 0, standard deviation `sigma`.
    pub(crate) fn bell(&mut self, sigma: f64) -> f64 {
        let sum: f64 = (0..4).map(|_| self.unit()).sum();
        (sum - 2.0) * sigma * 3.0_f64.sqrt()
    }

    /// True with the given probability.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }
}

#[cfg(test)]
mod tests {
    use super::Noise;

    #[test]
    fn one_seed_is_one_stream() {
        let draw = |seed| {
            let mut noise = Noise::new(seed);
            (0..100).map(|_| noise.next()).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn the_bell_has_the_spread_it_promises() {
        let mut noise = Noise::new(1);
        let draws: Vec<f64> = (0..20_000).map(|_| noise.bell(2.0)).collect();
        let mean = draws.iter().sum::<f64>() / 20_000.0;
        let spread = (draws.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / 20_000.0).sqrt();
        assert!(mean.abs() < 0.1 && (spread - 2.0).abs() < 0.1, "mean {mean}, spread {spread}");
    }
}
