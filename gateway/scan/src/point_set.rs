//! A set of points, by their index in the catalogue: a bit for each.

/// Which points.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PointSet(Vec<u64>);

fn place(point: u32) -> (usize, u64) {
    (usize::try_from(point / 64).unwrap_or(usize::MAX), 1 << (point % 64))
}

impl PointSet {
    /// Adds one.
    pub fn insert(&mut self, point: u32) {
        let (word, bit) = place(point);
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        if let Some(word) = self.0.get_mut(word) {
            *word |= bit;
        }
    }

    /// True for one that was added.
    #[must_use]
    pub fn contains(&self, point: u32) -> bool {
        let (word, bit) = place(point);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }
}

impl Extend<u32> for PointSet {
    fn extend<T: IntoIterator<Item = u32>>(&mut self, points: T) {
        points.into_iter().for_each(|point| self.insert(point));
    }
}

impl FromIterator<u32> for PointSet {
    fn from_iter<T: IntoIterator<Item = u32>>(points: T) -> Self {
        let mut set = Self::default();
        set.extend(points);
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_what_was_added_and_nothing_else() {
        let set: PointSet = [0, 63, 64, 29_999].into_iter().collect();
        let held: Vec<u32> = (0..40_000).filter(|point| set.contains(*point)).collect();
        assert_eq!(held, [0, 63, 64, 29_999]);
    }
}
