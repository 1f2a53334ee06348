//! A Rust file as the rules see it.

use crate::Breach;
use crate::lexer::code_of;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// From 1.
    pub number: usize,
    /// As written.
    pub text: String,
    /// Without comments and literals.
    pub code: String,
    /// It belongs to a test.
    pub test: bool,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Path from the root of the workspace.
    pub path: String,
    /// Name of the package it belongs to.
    pub package: String,
    /// Its lines.
    pub lines: Vec<Line>,
}

impl Source {
    /// Reads the text of a file. `inner` is its path within the package.
    #[must_use]
    pub fn parse(path: &str, package: &str, inner: &str, text: &str) -> Self {
        let code = code_of(text);
        let test_file = is_test_file(package, inner);
        let tests = test_lines(&code);
        let lines = text
            .lines()
            .zip(code.lines())
            .zip(1..)
            .map(|((text, code), number)| Line {
                number,
                text: text.to_owned(),
                code: code.to_owned(),
                test: test_file || tests.iter().any(|(from, to)| (*from..=*to).contains(&number)),
            })
            .collect();
        Self { path: path.to_owned(), package: package.to_owned(), lines }
    }

    /// Lines that are no test.
    pub fn product(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| !line.test)
    }

    /// Lines that are.
    pub fn tests(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| line.test)
    }

    /// A breach of this file.
    #[must_use]
    pub fn breach(&self, line: &Line, what: impl Into<String>, mend: &'static str) -> Breach {
        Breach { path: self.path.clone(), line: line.number, what: what.into(), mend }
    }
}

/// The package that is nothing but tests.
const TEST_PACKAGE: &str = "fengsui-e2e";

fn is_test_file(package: &str, inner: &str) -> bool {
    let mut folders: Vec<&str> = inner.split('/').collect();
    let name = folders.pop().unwrap_or_default();
    package == TEST_PACKAGE
        || name == "tests.rs"
        || name.ends_with("_tests.rs")
        || folders.iter().any(|folder| matches!(*folder, "tests" | "benches" | "examples"))
}

/// First and last line of every item under `#[cfg(test)]`.
fn test_lines(code: &str) -> Vec<(usize, usize)> {
    const MARK: &str = "#[cfg(test)]";
    let line_of = |at: usize| 1 + code.bytes().take(at).filter(|byte| *byte == b'\n').count();
    code.match_indices(MARK)
        .map(|(at, mark)| {
            let end = end_of_item(code, at + mark.len());
            (line_of(at), line_of(end))
        })
        .collect()
}

/// Where an item ends: at its `;`, or at the brace that closes its first one.
fn end_of_item(code: &str, from: usize) -> usize {
    let (mut braces, mut brackets) = (0_i32, 0_i32);
    for (at, byte) in code.bytes().enumerate().skip(from) {
        match byte {
            b'(' | b'[' => brackets += 1,
            b')' | b']' => brackets -= 1,
            b'{' => braces += 1,
            b'}' => {
                braces -= 1;
                if braces == 0 {
                    return at;
                }
            }
            b';' if braces == 0 && brackets == 0 => return at,
            _ => {}
        }
    }
    code.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test_line_numbers(inner: &str, text: &str) -> Vec<usize> {
        Source::parse("x/y.rs", "x", inner, text).tests().map(|line| line.number).collect()
    }

    #[test]
    fn items_under_cfg_test_are_tests_to_their_last_brace() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n  fn b() { \"}\"; }\n}\nfn c() {}\n";
        assert_eq!(test_line_numbers("src/y.rs", text), [2, 3, 4, 5]);
        let text = "#[cfg(test)]\nconst A: [u8; 2] = [1; 2];\nfn c() {}\n";
        assert_eq!(test_line_numbers("src/y.rs", text), [1, 2]);
    }

    #[test]
    fn files_in_test_folders_are_tests() {
        for inner in ["tests/y.rs", "src/y/tests.rs", "benches/y.rs", "src/tests/y.rs"] {
            assert_eq!(test_line_numbers(inner, "fn a() {}"), [1], "{inner}");
        }
        assert!(test_line_numbers("src/y.rs", "fn a() {}").is_empty());
        let e2e = Source::parse("tests/e2e/src/lib.rs", TEST_PACKAGE, "src/lib.rs", "fn a() {}");
        assert_eq!(e2e.product().count(), 0);
    }
}
