//! Which recomputed occurrence is which known one (R8c, R8d, Q5).
//!
//! - Same beginning: the same. Else overlapping: the same.
//! - The open occurrence keeps its number: it is looked at first, by its beginning (V24), then
//!   as the one that is open now.
//! - What finds no partner is new, or refuted.

use crate::condition::Found;
use crate::story::Happening;

/// The outcome, by place in the two lists.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Pairing {
    /// For each found one the known one.
    pub(crate) known_of: Vec<Option<usize>>,
    /// Known ones without a partner, and the found one that swallowed each.
    pub(crate) refuted: Vec<(usize, Option<usize>)>,
}

/// Pairs found occurrences (in order of beginning) with known, confirmed ones of the same window.
pub(crate) fn pair(known: &[Happening], found: &[Found]) -> Pairing {
    let mut known_of: Vec<Option<usize>> = vec![None; found.len()];
    let mut taken = vec![false; known.len()];
    let mut take = |at: usize, place: usize, known_of: &mut Vec<Option<usize>>| {
        if let (Some(slot), Some(mark)) = (known_of.get_mut(at), taken.get_mut(place))
            && slot.is_none()
            && !*mark
        {
            *slot = Some(place);
            *mark = true;
        }
    };
    if let Some(place) = known.iter().position(|k| k.is_open()) {
        let same_on = found.iter().position(|f| known.get(place).is_some_and(|k| k.on == f.on));
        let open_now = || found.iter().position(|f| f.off.is_none());
        if let Some(at) = same_on.or_else(open_now) {
            take(at, place, &mut known_of);
        }
    }
    for (at, f) in found.iter().enumerate() {
        if let Some(place) = known.iter().position(|k| k.on == f.on) {
            take(at, place, &mut known_of);
        }
    }
    for (at, f) in found.iter().enumerate() {
        for (place, k) in known.iter().enumerate() {
            if overlap((k.on, k.off), (f.on, f.off)) {
                take(at, place, &mut known_of);
            }
        }
    }
    let mut refuted: Vec<(usize, Option<usize>)> = Vec::new();
    for (place, k) in known.iter().enumerate() {
        if !known_of.contains(&Some(place)) {
            let into = found.iter().position(|f| overlap((k.on, k.off), (f.on, f.off)));
            refuted.push((place, into));
        }
    }
    refuted.sort_by_key(|(place, _)| known.get(*place).map(|k| k.number));
    Pairing { known_of, refuted }
}

fn overlap(a: (i64, Option<i64>), b: (i64, Option<i64>)) -> bool {
    a.0 < b.1.unwrap_or(i64::MAX) && b.0 < a.1.unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(number: u64, on: i64, off: Option<i64>) -> Happening {
        Happening {
            number,
            on,
            off,
            late: false,
            refuted: false,
            wants_answer: false,
            known: on,
            value: None,
        }
    }

    fn found(on: i64, off: Option<i64>) -> Found {
        Found { on, off, value_on: None, value_off: None }
    }

    #[test]
    fn an_open_one_cut_in_two_keeps_its_number_for_the_first_part() {
        let pairing = pair(&[known(1, 10, None)], &[found(10, Some(500)), found(3000, None)]);
        assert_eq!(pairing.known_of, [Some(0), None]);
    }

    #[test]
    fn an_open_one_whose_beginning_moved_keeps_its_number_for_what_is_open() {
        let pairing = pair(&[known(1, 10, None)], &[found(8, Some(11)), found(12, None)]);
        assert_eq!(pairing.known_of, [None, Some(0)]);
    }

    #[test]
    fn a_closed_one_swallowed_by_the_open_one_is_refuted() {
        let pairing = pair(&[known(1, 10, Some(20)), known(2, 30, None)], &[found(10, None)]);
        assert_eq!(pairing.known_of, [Some(1)]);
        assert_eq!(pairing.refuted, [(0, Some(0))]);
    }

    #[test]
    fn two_closed_ones_that_were_one_keep_the_number_of_the_first() {
        let pairing =
            pair(&[known(1, 10, Some(20)), known(2, 30, Some(40))], &[found(10, Some(40))]);
        assert_eq!(pairing.known_of, [Some(0)]);
        assert_eq!(pairing.refuted, [(1, Some(0))]);
    }
}
