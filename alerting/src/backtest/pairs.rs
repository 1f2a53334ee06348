//! Two lists of occurrences side by side: what overlaps stands in one line.

use fengsui_telemetry::TimeMs;

use crate::backtest::Span;

/// One line: occurrences of the setting in force and of the one under review that belong
/// together. At least one of the two is there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    /// Of the first list.
    pub one: Option<Span>,
    /// Of the second list.
    pub other: Option<Span>,
}

/// Pairs two lists, each in order. An occurrence that overlaps several of the other list stands
/// beside the first of them; the rest stand alone below it.
#[must_use]
pub fn pair(one: &[Span], other: &[Span]) -> Vec<Pair> {
    let (mut left, mut right) = (one.iter().copied().peekable(), other.iter().copied().peekable());
    let mut pairs = Vec::with_capacity(one.len().max(other.len()));
    loop {
        let pair = match (left.peek().copied(), right.peek().copied()) {
            (None, None) => return pairs,
            (Some(a), Some(b)) if overlap(a, b) => Pair { one: left.next(), other: right.next() },
            (Some(a), Some(b)) if a.on > b.on => Pair { one: None, other: right.next() },
            (Some(_), _) => Pair { one: left.next(), other: None },
            (None, Some(_)) => Pair { one: None, other: right.next() },
        };
        pairs.push(pair);
    }
}

fn overlap(a: Span, b: Span) -> bool {
    let end = |span: Span| span.off.unwrap_or(TimeMs::MAX);
    a.on == b.on || (a.on < end(b) && b.on < end(a))
}
