//! From the colours of points to the colour of a monitored item, and from items to a pond.
//!
//! - The counts are data of a rule pack (GB 39496-2020, 5.5.4): nothing here holds a number.
//! - What the pack does not have is [`Pond::NotConfigured`], never a colour: a pond without its
//!   second step is not green.

use std::collections::BTreeMap;

/// A colour of monitoring, the mildest first. Not a public warning, not an alarm priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Colour {
    /// 蓝
    Blue,
    /// 黄
    Yellow,
    /// 橙
    Orange,
    /// 红
    Red,
}

impl Colour {
    /// Every colour, the mildest first.
    pub const ALL: [Self; 4] = [Self::Blue, Self::Yellow, Self::Orange, Self::Red];

    /// One word, the same in files and API.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Blue => "blue",
            Self::Yellow => "yellow",
            Self::Orange => "orange",
            Self::Red => "red",
        }
    }

    /// As people say it.
    #[must_use]
    pub fn zh(self) -> &'static str {
        match self {
            Self::Blue => "蓝",
            Self::Yellow => "黄",
            Self::Orange => "橙",
            Self::Red => "红",
        }
    }

    /// The colour of a word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|colour| colour.word() == word)
    }
}

/// So many of one colour make, or count as one of, another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// So many or more.
    pub count: u32,
    /// Of this colour.
    pub of: Colour,
    /// Make this one.
    pub makes: Colour,
}

/// The steps of a rule pack.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Aggregation {
    /// Points of one item to the colour of the item.
    pub item: Vec<Step>,
    /// Items to the pond: so many items of one colour count as *one* item of another. Empty: not
    /// configured.
    pub pond: Vec<Step>,
}

/// The colour of a pond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pond {
    /// The rule pack does not say how items make a pond: 依据未取得，请按现行文件填写.
    NotConfigured,
    /// No item has a colour.
    Normal,
    /// This colour.
    Coloured(Colour),
}

impl Aggregation {
    /// The colour of an item from the colours of its points; none where no point has one. The
    /// highest colour of a point dominates; a step only ever raises.
    #[must_use]
    pub fn item(&self, points: &[Colour]) -> Option<Colour> {
        let own = points.iter().copied().max()?;
        let counts = count(points);
        let made = self.item.iter().filter(|step| {
            counts.get(&step.of).is_some_and(|count| *count >= step.count && step.count > 0)
        });
        Some(made.map(|step| step.makes).fold(own, Colour::max))
    }

    /// The colour of a pond from the colours of its items.
    #[must_use]
    pub fn pond(&self, items: &[Colour]) -> Pond {
        if self.pond.is_empty() {
            return Pond::NotConfigured;
        }
        let mut counts = count(items);
        // From the mildest colour up, so that what milder items make counts on.
        for colour in Colour::ALL {
            for step in self.pond.iter().filter(|s| s.of == colour && s.count > 0) {
                let made = counts.get(&colour).copied().unwrap_or(0) / step.count;
                if made > 0 && step.makes > colour {
                    *counts.entry(step.makes).or_default() += made;
                }
            }
        }
        counts.last_key_value().map_or(Pond::Normal, |(colour, _)| Pond::Coloured(*colour))
    }
}

fn count(colours: &[Colour]) -> BTreeMap<Colour, u32> {
    let mut counts = BTreeMap::new();
    colours.iter().for_each(|colour| *counts.entry(*colour).or_default() += 1);
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Some of each colour.
    fn some(counts: [usize; 4]) -> Vec<Colour> {
        let each = Colour::ALL.into_iter().zip(counts);
        each.flat_map(|(colour, n)| std::iter::repeat_n(colour, n)).collect()
    }

    #[test]
    fn w10_points_to_item_by_the_steps_of_the_delivered_pack() {
        let text = include_str!("../../../configs/rules/tailings.toml");
        let pack = crate::packs::Pack::parse("tailings.toml", text).unwrap();
        let steps = pack.aggregation();
        for (points, colour) in [
            ([3, 0, 0, 0], Colour::Blue),
            ([4, 0, 0, 0], Colour::Yellow),
            ([0, 2, 0, 0], Colour::Yellow),
            ([0, 3, 0, 0], Colour::Orange),
            ([3, 1, 0, 0], Colour::Yellow),
            ([0, 2, 1, 0], Colour::Orange),
            ([0, 0, 1, 0], Colour::Orange),
            ([0, 0, 2, 0], Colour::Red),
            ([0, 0, 0, 1], Colour::Red),
        ] {
            assert_eq!(steps.item(&some(points)), Some(colour), "{points:?}");
        }
        assert_eq!(steps.item(&[]), None);
    }

    #[test]
    fn w10_the_second_step_is_delivered_empty_and_says_so() {
        let text = include_str!("../../../configs/rules/tailings.toml");
        let steps = crate::packs::Pack::parse("tailings.toml", text).unwrap().aggregation();
        assert_eq!(steps.pond(&some([0, 0, 0, 3])), Pond::NotConfigured);
        assert_eq!(steps.pond(&[]), Pond::NotConfigured, "no colour is not the same as normal");
    }

    #[test]
    fn a_configured_second_step_counts_what_milder_items_make() {
        let step = |count, of, makes| Step { count, of, makes };
        let pond =
            vec![step(4, Colour::Blue, Colour::Yellow), step(2, Colour::Yellow, Colour::Orange)];
        let steps = Aggregation { item: Vec::new(), pond };
        assert_eq!(steps.pond(&[]), Pond::Normal);
        assert_eq!(steps.pond(&some([3, 0, 0, 0])), Pond::Coloured(Colour::Blue));
        assert_eq!(steps.pond(&some([4, 1, 0, 0])), Pond::Coloured(Colour::Orange));
        assert_eq!(steps.pond(&some([0, 0, 0, 1])), Pond::Coloured(Colour::Red));
    }
}
