//! Thinkers read no clock, socket, file or environment variable, and shells read the clock in one
//! file only.

use crate::Breach;
use crate::source::{Line, Source};

/// The packages that think.
pub const THINKERS: &[&str] = &["fengsui-telemetry", "fengsui-scan", "fengsui-alerting"];

const CLOCK: &str = "take the time as an argument";
const WORLD: &str = "let the shell do it and hand in the result";
const PRINT: &str = "return it; the shell logs";

/// Words that no thinker may say.
const FORBIDDEN: &[(&str, &str)] = &[
    ("Instant", CLOCK),
    ("SystemTime", CLOCK),
    ("Timestamp::now", CLOCK),
    ("Zoned::now", CLOCK),
    ("std::fs", WORLD),
    ("std::net", WORLD),
    ("std::env", WORLD),
    ("std::process", WORLD),
    ("std::thread", WORLD),
    ("std::io::stdin", WORLD),
    ("std::io::stdout", PRINT),
    ("std::io::stderr", PRINT),
    ("println!", PRINT),
    ("eprintln!", PRINT),
    ("print!", PRINT),
    ("eprint!", PRINT),
];

/// Modules of `std` that must not come in through `use std::{…}` either.
const MODULES: &[&str] = &["fs", "net", "env", "process", "thread"];

/// What a thinker must not touch.
#[must_use]
pub fn thinkers_are_pure(source: &Source) -> Vec<Breach> {
    if !THINKERS.contains(&source.package.as_str()) || source.path.ends_with("/build.rs") {
        return Vec::new();
    }
    let mut breaches = Vec::new();
    for line in source.product() {
        for (word, mend) in FORBIDDEN {
            if has_word(&line.code, word) {
                breaches.push(source.breach(line, format!("a thinker says {word}"), mend));
            }
        }
    }
    breaches.extend(grouped_modules(source));
    breaches
}

/// `use std::{fmt, fs}` and the same over several lines.
fn grouped_modules(source: &Source) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let mut depth = 0_usize;
    for line in source.product() {
        let mut rest = line.code.as_str();
        if depth == 0 {
            let Some((_, group)) = rest.split_once("std::{") else { continue };
            (rest, depth) = (group, 1);
        }
        let mut word = String::new();
        // The blank at the end closes the last word of a line.
        for char in rest.chars().chain([' ']) {
            if char.is_alphanumeric() || char == '_' {
                word.push(char);
                continue;
            }
            if depth == 1 && MODULES.contains(&word.as_str()) {
                breaches.push(source.breach(line, format!("a thinker says std::{word}"), WORLD));
            }
            word.clear();
            match char {
                '{' => depth += 1,
                '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
    }
    breaches
}

/// In a shell only `clock.rs` reads a clock.
#[must_use]
pub fn only_clock_files_read_a_clock(source: &Source) -> Vec<Breach> {
    const READINGS: &[&str] =
        &["Instant::now", "SystemTime::now", "Timestamp::now", "Zoned::now", "Utc::now"];
    if source.path.ends_with("/clock.rs") {
        return Vec::new();
    }
    let reads = |line: &&Line| READINGS.iter().any(|reading| has_word(&line.code, reading));
    source
        .product()
        .filter(reads)
        .map(|line| source.breach(line, "reads a clock", "ask the clock of clock.rs"))
        .collect()
}

/// The word stands alone: `println!` is not found in `eprintln!`.
fn has_word(code: &str, word: &str) -> bool {
    let part_of_word = |char: char| char.is_alphanumeric() || char == '_';
    code.match_indices(word).any(|(at, _)| {
        let before = code.get(..at).and_then(|text| text.chars().next_back());
        let after = code.get(at + word.len()..).and_then(|text| text.chars().next());
        !before.is_some_and(part_of_word) && !after.is_some_and(part_of_word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(package: &str, path: &str, text: &str) -> Vec<usize> {
        let source = Source::parse(path, package, "src/x.rs", text);
        let mut breaches = thinkers_are_pure(&source);
        breaches.extend(only_clock_files_read_a_clock(&source));
        breaches.iter().map(|breach| breach.line).collect()
    }

    #[test]
    fn a_thinker_that_touches_the_world_is_found() {
        for bad in [
            "use std::time::Instant;",
            "let now = SystemTime::UNIX_EPOCH;",
            "let text = std::fs::read(path);",
            "use std::net::IpAddr;",
            "std::env::var(\"X\")",
            "println!(\"x\")",
            "use std::{fmt, fs};",
            "use std::{collections::BTreeMap, net::IpAddr};",
        ] {
            assert_eq!(lines("fengsui-scan", "gateway/scan/src/x.rs", bad), [1], "{bad}");
        }
        let text = "use std::{\n    fmt,\n    thread,\n};";
        assert_eq!(lines("fengsui-alerting", "alerting/src/x.rs", text), [3]);
    }

    #[test]
    fn words_that_only_look_alike_pass() {
        for good in [
            "// std::fs is for shells",
            "let text = \"println!\";",
            "struct InstantaneousFlow;",
            "use std::{collections::{BTreeMap, btree_map}, fmt};",
            "include!(concat!(env!(\"OUT_DIR\"), \"/wire.rs\"));",
            "#[cfg(test)]\nmod tests { use std::fs; }",
        ] {
            let found = lines("fengsui-scan", "gateway/scan/src/x.rs", good);
            assert!(found.is_empty(), "{good}");
        }
        assert!(lines("fengsui-store", "ingest/store/src/x.rs", "use std::fs;").is_empty());
    }

    #[test]
    fn a_clock_is_read_in_its_own_file_only() {
        let text = "let a = Instant::now();\nlet b = Timestamp::now();";
        assert_eq!(lines("fengsui", "ingest/server/src/x.rs", text), [1, 2]);
        assert!(lines("fengsui", "ingest/server/src/clock.rs", text).is_empty());
    }
}
