//! The workspace on disk. What is built, installed or recorded is passed over.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::arrows::{Manifest, package_of};
use crate::source::Source;
use crate::words::TextFile;

/// Folders that hold no source of ours.
const PASSED_OVER: &[&str] =
    &[".git", ".venv", ".peers", "target", "node_modules", "dist", "shots", "__pycache__", "var"];
/// What people read and write here.
const TEXT: &[&str] = &[
    "rs", "toml", "md", "py", "sh", "ts", "js", "mjs", "cjs", "svelte", "css", "html", "json",
    "yml", "yaml", "proto", "csv", "txt", "conf", "cfg", "service", "npmrc", "sql",
];
/// Larger files are data.
const TEXT_MAX: u64 = 2 * 1024 * 1024;
/// Written by a program from the others; their hosts are checked, their words are not.
const LOCKS: &[&str] = &["Cargo.lock", "package-lock.json"];

/// Everything that the rules look at.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    /// Rust files of the members.
    pub sources: Vec<Source>,
    /// Cargo files of the members.
    pub manifests: Vec<Manifest>,
    /// All text files, Rust files included, lock files not.
    pub texts: Vec<TextFile>,
    /// Lock files.
    pub locks: Vec<TextFile>,
}

impl Tree {
    /// Reads the workspace that this package belongs to.
    ///
    /// # Errors
    /// A folder that cannot be read, or a file that nobody may.
    pub fn read() -> std::io::Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
        let mut paths = Vec::new();
        walk(&root, &mut paths)?;
        paths.sort();
        let mut tree = Self::default();
        for path in &paths {
            let text = match std::fs::read_to_string(path) {
                Ok(text) => text,
                // Not UTF-8: data of a foreign make. Not found: an editor was quicker.
                Err(error)
                    if matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::NotFound) =>
                {
                    continue;
                }
                Err(error) => return Err(error),
            };
            let inner = path.strip_prefix(&root).unwrap_or(path);
            let path = inner.to_string_lossy().replace('\\', "/");
            let file = TextFile { path, text };
            let name = file.path.rsplit('/').next().unwrap_or_default();
            if LOCKS.contains(&name) { tree.locks.push(file) } else { tree.texts.push(file) }
        }
        let is_member = |file: &&TextFile| file.path.ends_with("/Cargo.toml");
        tree.manifests = tree
            .texts
            .iter()
            .filter(is_member)
            .map(|file| Manifest { path: file.path.clone(), text: file.text.clone() })
            .collect();
        tree.sources = tree.texts.iter().filter_map(|file| tree.source_of(file)).collect();
        Ok(tree)
    }

    fn source_of(&self, file: &TextFile) -> Option<Source> {
        if !file.path.ends_with(".rs") {
            return None;
        }
        let folder_of =
            |manifest: &Manifest| manifest.path.trim_end_matches("Cargo.toml").to_owned();
        let manifest = self
            .manifests
            .iter()
            .filter(|manifest| file.path.starts_with(&folder_of(manifest)))
            .max_by_key(|manifest| manifest.path.len())?;
        let package = package_of(&manifest.text).unwrap_or_default();
        let inner = file.path.strip_prefix(&folder_of(manifest))?;
        Some(Source::parse(&file.path, &package, inner, &file.text))
    }
}

fn walk(folder: &Path, paths: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = entry.path();
        let kind = entry.file_type()?;
        if kind.is_dir() && !PASSED_OVER.contains(&name.as_str()) {
            walk(&path, paths)?;
        } else if kind.is_file() && is_text(&name) && entry.metadata()?.len() <= TEXT_MAX {
            paths.push(path);
        }
    }
    Ok(())
}

fn is_text(name: &str) -> bool {
    let ending = name.rsplit_once('.').map(|(_, ending)| ending);
    LOCKS.contains(&name)
        || matches!(name, "Makefile" | "run")
        || ending.is_some_and(|ending| TEXT.contains(&ending))
}

#[cfg(test)]
mod tests {
    use super::Tree;

    #[test]
    fn the_tree_holds_this_very_file_and_not_what_was_built() {
        let tree = Tree::read().expect("the workspace can be read");
        let this = tree.sources.iter().find(|source| source.path == "tests/tidy/src/tree.rs");
        assert_eq!(this.map(|source| source.package.as_str()), Some("fengsui-tidy"));
        assert!(tree.manifests.iter().any(|manifest| manifest.path == "telemetry/Cargo.toml"));
        assert!(!tree.texts.iter().any(|file| file.path.starts_with("target/")));
    }
}
