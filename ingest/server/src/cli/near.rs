//! What somebody may have meant: names near to one that is not known.

/// Names told at most.
const TOLD_MAX: usize = 5;

/// The names nearest to a text: those that contain it or are contained in it, then those that
/// differ by the fewest letters, as long as less than two thirds of the letters differ.
pub(crate) fn near<'a>(text: &str, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let wanted: Vec<char> = text.to_lowercase().chars().collect();
    let mut scored: Vec<(usize, &str)> = names
        .filter_map(|name| {
            let lower = name.to_lowercase();
            let inside =
                lower.contains(&text.to_lowercase()) || text.to_lowercase().contains(&lower);
            let letters: Vec<char> = lower.chars().collect();
            let distance = distance(&wanted, &letters);
            let close = distance * 3 < wanted.len().max(letters.len()) * 2;
            let score = if inside { 0 } else { distance };
            (!name.is_empty() && (inside || close)).then_some((score, name))
        })
        .collect();
    scored.sort_unstable();
    scored.dedup();
    scored.into_iter().map(|(_, name)| name).take(TOLD_MAX).collect()
}

/// Letters to change, add or take away.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut next = vec![i + 1];
        for ((y, above), across) in b.iter().zip(row.iter().skip(1)).zip(&row) {
            let beside = next.last().copied().unwrap_or(0);
            next.push((above + 1).min(beside + 1).min(across + usize::from(x != y)));
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant_comes_first() {
        let tags = ["TK-101.LT", "TK-102.LT", "GD-201.AT"];
        assert_eq!(near("tk-101.lt", tags.into_iter())[0], "TK-101.LT");
        assert_eq!(near("TK-11.LT", tags.into_iter())[0], "TK-101.LT");
        assert_eq!(near("环氧乙稀", ["氯", "环氧乙烷", "甲醇"].into_iter()), ["环氧乙烷"]);
        assert!(near("完全不同", tags.into_iter()).is_empty());
    }
}
