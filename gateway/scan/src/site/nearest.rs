//! The tags of a sheet that are written almost like one that is not in it.

use super::Problem;

/// Tags that are named: more make the line longer and not easier to mend.
const SHOWN: usize = 3;
/// Letters of a tag that are looked at; no tag that is in a sheet is longer.
const LETTERS_MAX: usize = 64;

/// A tag that the point sheet does not have, with those that may be meant.
pub(super) fn unknown_tag<'a>(tag: &str, tags: impl Iterator<Item = &'a str>) -> Problem {
    let near = nearest(tag, tags).join(", ");
    let (zh, en) = if near.is_empty() {
        (String::new(), String::new())
    } else {
        (format!("；相近的位号：{near}"), format!("; nearest: {near}"))
    };
    Problem::Said(
        format!("点表中没有该位号；请改正，或在点表中添加{zh}"),
        format!("is not in the point sheet; mend the tag or add the point{en}"),
    )
}

/// Nearest first. Farther away than half of its letters no tag is meant.
fn nearest<'a>(tag: &str, tags: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let wanted = letters(tag);
    let mut near: Vec<(usize, &str)> = tags
        .map(|known| (edits(&wanted, &letters(known)), known))
        .filter(|(edits, _)| edits * 2 <= wanted.len())
        .collect();
    near.sort_by_key(|(edits, _)| *edits);
    near.into_iter().take(SHOWN).map(|(_, known)| known).collect()
}

fn letters(tag: &str) -> Vec<char> {
    tag.chars().flat_map(char::to_lowercase).take(LETTERS_MAX).collect()
}

/// Letters to add, to leave out or to change until one is the other (Levenshtein's distance).
fn edits(one: &[char], other: &[char]) -> usize {
    let mut above: Vec<usize> = (0..=other.len()).collect();
    for (row, letter) in one.iter().enumerate() {
        let mut left = row + 1;
        let mut line = vec![left];
        for (pair, known) in above.windows(2).zip(other) {
            let [corner, up] = pair else { continue };
            left = (corner + usize::from(letter != known)).min(up + 1).min(left + 1);
            line.push(left);
        }
        above = line;
    }
    above.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_almost_alike_is_named_nearest_first() {
        let tags = ["LT-1", "ESV-101.ZSC", "ESV-101.ZSO", "ESV-102.ZSO", "ESV-101.CMD"];
        let of = |tag| nearest(tag, tags.into_iter());
        assert_eq!(of("esv-101.zs0"), ["ESV-101.ZSC", "ESV-101.ZSO", "ESV-102.ZSO"]);
        assert_eq!(of("ESV101.CMD"), ["ESV-101.CMD", "ESV-101.ZSC", "ESV-101.ZSO"]);
        assert_eq!(of("LT1"), ["LT-1"]);
        assert!(of("PUMP").is_empty());
        assert!(of("").is_empty());
    }

    #[test]
    fn distances_are_those_of_the_textbook() {
        let of = |one, other| edits(&letters(one), &letters(other));
        assert_eq!(of("kitten", "sitting"), 3);
        assert_eq!((of("", "abc"), of("abc", ""), of("abc", "ABC")), (3, 3, 0));
    }
}
