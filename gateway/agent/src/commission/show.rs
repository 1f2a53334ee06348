//! Tables, hex words and numbers for an 80-column terminal.

use std::time::Duration;

use comfy_table::{ContentArrangement, LineStyle, Table, presets};

/// Width where the terminal does not say: that of a serial console.
const COLUMNS: u16 = 80;
/// A table is no wider than this: further out nobody finds the row again.
const COLUMNS_MAX: u16 = 120;

/// A table without frame; wraps instead of running out of the screen.
pub(super) fn table(headings: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.style_mut().row_separator = LineStyle::none();
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(table.width().unwrap_or(COLUMNS).clamp(COLUMNS / 2, COLUMNS_MAX));
    table.set_header(headings.to_vec());
    table
}

/// `0x41A4 0x0000`.
pub(super) fn hex(words: &[u16]) -> Vec<String> {
    words.iter().map(|word| format!("0x{word:04X}")).collect()
}

/// Milliseconds with one decimal.
pub(super) fn ms(time: Duration) -> f64 {
    (time.as_secs_f64() * 10_000.0).round() / 10.0
}

/// A value as people read it: no more than nine digits.
pub(super) fn number(value: f64) -> String {
    let short = format!("{value}");
    if short.len() <= 10 {
        return short;
    }
    let digits = format!("{value:.4}");
    if digits.len() <= 12 && value.abs() >= 0.001 {
        return digits.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    format!("{value:.5e}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_short() {
        assert_eq!(number(61.2), "61.2");
        assert_eq!(number(-0.001), "-0.001");
        assert_eq!(number(40.123_456_789_012), "40.1235");
        assert_eq!(number(1.0 / 3_000_000.0), "3.33333e-7");
        assert_eq!(number(f64::from(f32::MAX)), "3.40282e38");
    }
}
