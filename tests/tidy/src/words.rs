//! What must stand in no text file at all: marks of unfinished work, paths of one machine, hosts
//! of registries, names that say nothing.
//!
//! The words looked for are put together from pieces, so that this file does not find itself.

use crate::Breach;

/// A text file of any kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextFile {
    /// Path from the root of the workspace.
    pub path: String,
    /// Its text.
    pub text: String,
}

impl TextFile {
    fn breaches(&self, bad: impl Fn(&str) -> Option<String>, mend: &'static str) -> Vec<Breach> {
        let breach = |(line, what)| Breach { path: self.path.clone(), line, what, mend };
        (1..)
            .zip(self.text.lines())
            .filter_map(|(n, line)| Some((n, bad(line)?)))
            .map(breach)
            .collect()
    }

    fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }
}

/// No mark of unfinished work, in code or comment.
#[must_use]
pub fn nothing_is_marked_unfinished(file: &TextFile) -> Vec<Breach> {
    const MARKS: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
    let found = |line: &str| {
        let mark = words(line).find(|word| MARKS.contains(word))?;
        Some(format!("says {mark}"))
    };
    file.breaches(found, "do it, or write what is missing as a sentence")
}

/// No path of the machine that somebody wrote it on.
#[must_use]
pub fn no_path_of_one_machine(file: &TextFile) -> Vec<Breach> {
    const ROOTS: &[&str] = &[
        concat!("/wo", "rk/"),
        concat!("/ro", "ot/"),
        concat!("/ho", "me/"),
        concat!("/fa", "rm/"),
        concat!("/Us", "ers/"),
        concat!("C:\\Us", "ers"),
        concat!("../sha", "red"),
    ];
    let found = |line: &str| {
        let root = ROOTS.iter().find(|root| starts_a_path(line, root))?;
        Some(format!("names a path of one machine ({root}…)"))
    };
    file.breaches(found, "write it relative to the project, or take it from the configuration")
}

/// `https://example.org/home/x` and `src/home/x` name no root.
fn starts_a_path(line: &str, root: &str) -> bool {
    let inside =
        |before: char| before.is_alphanumeric() || matches!(before, '.' | '-' | '_' | '/' | '}');
    line.match_indices(root).any(|(at, _)| {
        root.starts_with('.')
            || !line.get(..at).and_then(|text| text.chars().next_back()).is_some_and(inside)
    })
}

/// Lock and configuration files name no download host and no other registry.
#[must_use]
pub fn no_host_of_a_registry(file: &TextFile) -> Vec<Breach> {
    const CONFIG: &[&str] = &[".toml", ".cfg", ".conf", ".npmrc", "Makefile", ".sh", ".yml"];
    const KEYS: &[&str] = &[
        concat!("replace", "-with"),
        concat!("index", "-url"),
        concat!("--regi", "stry"),
        concat!("regi", "stry ="),
        concat!("regi", "stry=http"),
    ];
    let lock = file.name() == "package-lock.json";
    let config = CONFIG.iter().any(|ending| file.path.ends_with(ending));
    let found = |line: &str| {
        let host = lock && line.contains("\"resolved\": \"http");
        let key = config && KEYS.iter().any(|key| line.contains(key));
        (host || key).then(|| "names a download host or a registry".to_owned())
    };
    file.breaches(found, "leave the host to the machine that installs")
}

/// Sums ([`sum`]) of words that name a writer's private tools, so that they are named here neither.
pub const PRIVATE: &[u64] = &[
    0xa113_d274_5d70_6ce3,
    0x2391_9480_3edf_98f7,
    0x2524_b426_1996_11b3,
    0x8a1b_8f4a_0a91_3503,
    0x7f7a_7547_86a6_64b8,
    0x04dc_2554_6038_2976,
];

/// No word with one of these sums.
#[must_use]
pub fn no_word_for_a_private_tool(file: &TextFile, sums: &[u64]) -> Vec<Breach> {
    let found = |line: &str| {
        let word = words(line).find(|word| sums.contains(&sum(&word.to_ascii_lowercase())))?;
        Some(format!("says {word:?}, a tool of its writer"))
    };
    file.breaches(found, "say what the project does, not what it was made with")
}

/// FNV-1a, 64 bits.
#[must_use]
pub fn sum(word: &str) -> u64 {
    word.bytes().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|char: char| !char.is_ascii_alphanumeric()).filter(|word| !word.is_empty())
}

/// Lines that a page or module of the console must keep to.
const PAGE_LINES_MAX: usize = 600;

/// Pages and modules of the console are as short as files elsewhere.
#[must_use]
pub fn pages_are_short(file: &TextFile) -> Vec<Breach> {
    let count = file.text.lines().count();
    let page = [".ts", ".svelte"].iter().any(|ending| file.path.ends_with(ending));
    if !page || count <= PAGE_LINES_MAX {
        return Vec::new();
    }
    vec![Breach {
        path: file.path.clone(),
        line: count,
        what: format!("{count} lines, at most {PAGE_LINES_MAX} are good"),
        mend: "the file is two things: give each its own",
    }]
}

/// Names that say nothing, for files and folders of source.
#[must_use]
pub fn names_say_something(path: &str) -> Vec<Breach> {
    const EMPTY: &[&str] = &[
        "util", "utils", "helper", "helpers", "common", "misc", "manager", "managers", "handler",
        "handlers",
    ];
    let empty = path.split('/').find_map(|part| {
        let stem = part.split('.').next().unwrap_or_default().to_ascii_lowercase();
        EMPTY.contains(&stem.as_str()).then_some(stem)
    });
    empty
        .map(|name| Breach {
            path: path.to_owned(),
            line: 1,
            what: format!("the name {name:?} says nothing"),
            mend: "name it in the control room's words; without one, it is two things",
        })
        .into_iter()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rule: impl Fn(&TextFile) -> Vec<Breach>, path: &str, text: &str, lines: &[usize]) {
        let file = TextFile { path: path.to_owned(), text: text.to_owned() };
        let found: Vec<usize> = rule(&file).iter().map(|breach| breach.line).collect();
        assert_eq!(found, lines, "in {text}");
    }

    #[test]
    fn a_mark_of_unfinished_work_is_found() {
        let text = concat!("a\n// TO", "DO: later\n# FIX", "ME\nTO", "DOS is no mark");
        check(nothing_is_marked_unfinished, "x.py", text, &[2, 3]);
    }

    #[test]
    fn a_path_of_one_machine_is_found() {
        let text = concat!("a = \"/ho", "me/ann/x\"\n/ro", "ot/x\nsee ../sha", "red/x");
        check(no_path_of_one_machine, "x.toml", text, &[1, 2, 3]);
        check(no_path_of_one_machine, "x.md", concat!("https://example.org/ho", "me/x"), &[]);
    }

    #[test]
    fn a_registry_is_found() {
        let lock = "{\n\"resolved\": \"https://example.org/a.tgz\"\n}";
        check(no_host_of_a_registry, "console/package-lock.json", lock, &[2]);
        check(no_host_of_a_registry, "pip.conf", concat!("index", "-url = x"), &[1]);
        check(no_host_of_a_registry, "README.md", concat!("index", "-url = x"), &[]);
    }

    #[test]
    fn a_private_word_is_found_by_its_sum() {
        // From the reference of FNV.
        assert_eq!(sum("a"), 0xaf63_dc4c_8601_ec8c);
        let rule = |file: &TextFile| no_word_for_a_private_tool(file, &[sum("screwdriver")]);
        check(rule, "x.md", "a\nmade with Screwdriver.", &[2]);
        check(rule, "x.md", "screwdrivers and gateways", &[]);
    }

    #[test]
    fn a_long_page_is_found() {
        check(pages_are_short, "console/src/Desk.svelte", &"<p>\n".repeat(601), &[601]);
        check(pages_are_short, "console/src/Desk.svelte", &"<p>\n".repeat(600), &[]);
        check(pages_are_short, "docs/wire.md", &"line\n".repeat(601), &[]);
    }

    #[test]
    fn a_name_that_says_nothing_is_found() {
        assert_eq!(names_say_something("gateway/agent/src/utils.rs").len(), 1);
        assert_eq!(names_say_something("console/src/common/x.ts").len(), 1);
        assert!(names_say_something("gateway/agent/src/commissioning.rs").is_empty());
    }
}
