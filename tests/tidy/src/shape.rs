//! The shape of a Rust file: header, length, no shortcuts.

use crate::Breach;
use crate::source::{Line, Source};

/// Lines without tests that a file should keep to.
pub const LINES_GOOD: usize = 500;
/// Lines without tests that it must keep to.
pub const LINES_MAX: usize = 600;

/// A file opens with `//!`.
#[must_use]
pub fn files_open_with_a_header(source: &Source) -> Vec<Breach> {
    let mend = "say what the file is, its invariants, what it leaves out";
    match source.lines.iter().find(|line| !line.text.trim().is_empty()) {
        Some(line) if line.text.starts_with("//!") => Vec::new(),
        Some(line) => vec![source.breach(line, "does not open with //!", mend)],
        None => Vec::new(),
    }
}

/// A file has at most `most` lines that are no test.
#[must_use]
pub fn files_are_short(source: &Source, most: usize) -> Vec<Breach> {
    let count = source.product().count();
    match source.lines.last() {
        Some(last) if most < count => {
            let what = format!("{count} lines without tests, at most {most} are good");
            vec![source.breach(last, what, "the file is two things: give each its own")]
        }
        Some(_) | None => Vec::new(),
    }
}

/// No test is switched off.
#[must_use]
pub fn no_test_is_ignored(source: &Source) -> Vec<Breach> {
    find(
        source,
        |line| line.code.contains("#[ignore"),
        "a test is switched off",
        "mend it or drop it",
    )
}

/// Nothing is left for later in the code.
#[must_use]
pub fn nothing_is_left_for_later(source: &Source) -> Vec<Breach> {
    find(
        source,
        |line| ["todo!(", "unimplemented!("].iter().any(|word| line.code.contains(word)),
        "is left for later",
        "do it now, or leave the whole thing out and say so",
    )
}

/// Tests advance a clock or wait for an event; they never sleep.
#[must_use]
pub fn tests_never_sleep(source: &Source) -> Vec<Breach> {
    const CALLS: &[&str] = &["sleep", "sleep_until", "sleep_ms"];
    find(
        source,
        |line| line.test && CALLS.iter().any(|name| calls(&line.code, name)),
        "a test sleeps",
        "advance the clock, or wait for the event with a time limit",
    )
}

fn calls(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let before = code.get(..at).and_then(|text| text.chars().next_back());
        let after = code.get(at + name.len()..).and_then(|text| text.chars().next());
        after == Some('(') && !before.is_some_and(|char| char.is_alphanumeric() || char == '_')
    })
}

/// Every queue has a capacity.
#[must_use]
pub fn queues_are_bounded(source: &Source) -> Vec<Breach> {
    find(
        source,
        |line| {
            line.code.to_ascii_lowercase().contains("unbounded")
                || opens_endless_channel(&line.code)
        },
        "a queue without a capacity",
        "use a bounded channel and name its capacity in a const with the reason",
    )
}

/// `channel()` with nothing between the brackets: `std::sync::mpsc`. A oneshot holds one.
fn opens_endless_channel(code: &str) -> bool {
    code.match_indices("channel").any(|(at, word)| {
        let (before, after) = (code.get(..at), code.get(at + word.len()..));
        let (Some(before), Some(after)) = (before, after) else { return false };
        let call = match after.strip_prefix("::<") {
            Some(generic) => generic.rsplit_once('>').map_or("", |(_, call)| call),
            None => after,
        };
        let other = before.ends_with("oneshot::")
            || before.ends_with("fn ")
            || before.ends_with('.')
            || before.chars().next_back().is_some_and(|last| last.is_alphanumeric() || last == '_');
        call.starts_with("()") && !other
    })
}

/// No `unwrap` outside tests.
#[must_use]
pub fn nothing_is_unwrapped(source: &Source) -> Vec<Breach> {
    find(
        source,
        |line| !line.test && line.code.contains(".unwrap()"),
        "unwrap outside a test",
        "return the error, or expect(\"why it cannot fail\")",
    )
}

fn find(
    source: &Source,
    bad: impl Fn(&Line) -> bool,
    what: &str,
    mend: &'static str,
) -> Vec<Breach> {
    source
        .lines
        .iter()
        .filter(|line| bad(line))
        .map(|line| source.breach(line, what, mend))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rule: impl Fn(&Source) -> Vec<Breach>, text: &str, lines: &[usize]) {
        let source = Source::parse("gateway/agent/src/x.rs", "fengsui-gateway", "src/x.rs", text);
        let found: Vec<usize> = rule(&source).iter().map(|breach| breach.line).collect();
        assert_eq!(found, lines, "in {text}");
    }

    #[test]
    fn a_missing_header_is_found() {
        check(files_open_with_a_header, "\nuse x;", &[2]);
        check(files_open_with_a_header, "// not a header\n", &[1]);
        check(files_open_with_a_header, "//! A header.\nuse x;", &[]);
    }

    #[test]
    fn a_long_file_is_found_and_its_tests_do_not_count() {
        let product = "let a = 1;\n".repeat(11);
        check(|source| files_are_short(source, 10), &product, &[11]);
        let tests = format!("#[cfg(test)]\nmod tests {{\n{product}}}\n");
        check(|source| files_are_short(source, 10), &tests, &[]);
    }

    #[test]
    fn a_test_that_is_switched_off_is_found() {
        check(no_test_is_ignored, "#[test]\n#[ignore = \"slow\"]\nfn a() {}", &[2]);
        check(no_test_is_ignored, "// #[ignore]\nlet a = \"#[ignore]\";", &[]);
    }

    #[test]
    fn work_left_for_later_is_found() {
        check(
            nothing_is_left_for_later,
            "fn a() { todo!() }\nfn b() { unimplemented!(\"x\") }",
            &[1, 2],
        );
    }

    #[test]
    fn a_test_that_sleeps_is_found() {
        let sleeping = "#[cfg(test)]\nmod tests {\n  fn a() { std::thread::sleep(d); }\n  async fn b() { sleep(d).await }\n}";
        check(tests_never_sleep, sleeping, &[3, 4]);
        check(tests_never_sleep, "fn a() { std::thread::sleep(d); }", &[]);
        check(tests_never_sleep, "#[cfg(test)]\nfn nobody_may_sleep() {}", &[]);
    }

    #[test]
    fn an_endless_queue_is_found() {
        check(queues_are_bounded, "let (a, b) = mpsc::unbounded_channel();", &[1]);
        check(queues_are_bounded, "fn a(s: UnboundedSender<u8>)", &[1]);
        check(queues_are_bounded, "let (a, b) = mpsc::channel();", &[1]);
        check(queues_are_bounded, "let (a, b) = channel::<Vec<u8>>();", &[1]);
        check(queues_are_bounded, "let (a, b) = crossbeam::channel::unbounded();", &[1]);
        for good in
            ["oneshot::channel()", "mpsc::channel(MAX)", "mpsc::channel::<u8>(MAX)", "x.channel()"]
        {
            check(queues_are_bounded, good, &[]);
        }
    }

    #[test]
    fn an_unwrap_outside_tests_is_found() {
        let text = "fn a() { b().unwrap() }\n#[cfg(test)]\nmod tests { fn a() { b().unwrap() } }";
        check(nothing_is_unwrapped, text, &[1]);
        check(nothing_is_unwrapped, "b().unwrap_or_default()", &[]);
    }
}
