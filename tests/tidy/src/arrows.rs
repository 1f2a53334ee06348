//! Which package may use which: the arrows of the design, read from the Cargo files.

use toml::{Table, Value};

use crate::Breach;
use crate::purity::THINKERS;

/// What one package of ours may use of the others. A package that is not here is a breach: a new
/// package comes with its arrows.
const ARROWS: &[(&str, &[&str])] = &[
    ("fengsui-telemetry", &[]),
    ("fengsui-scan", &["fengsui-telemetry"]),
    ("fengsui-alerting", &["fengsui-telemetry"]),
    ("fengsui-gateway", &["fengsui-telemetry", "fengsui-scan", "fengsui-alerting"]),
    ("fengsui-store", &["fengsui-telemetry"]),
    (
        "fengsui",
        // The gateway and the plant are for `fengsui demo` alone.
        &[
            "fengsui-telemetry",
            "fengsui-alerting",
            "fengsui-store",
            "fengsui-gateway",
            "fengsui-plant",
        ],
    ),
    // The plant must not share a mistake with what reads it.
    ("fengsui-plant", &[]),
    ("fengsui-tidy", &[]),
    ("fengsui-fuzz", &["fengsui-alerting", "fengsui-gateway", "fengsui-scan", "fengsui-telemetry"]),
    (
        "fengsui-bench",
        &[
            "fengsui",
            "fengsui-alerting",
            "fengsui-gateway",
            "fengsui-plant",
            "fengsui-store",
            "fengsui-telemetry",
        ],
    ),
    (
        "fengsui-e2e",
        &[
            "fengsui",
            "fengsui-alerting",
            "fengsui-gateway",
            "fengsui-plant",
            "fengsui-scan",
            "fengsui-store",
            "fengsui-telemetry",
        ],
    ),
];

/// What a thinker may use of the world: formats and arithmetic, nothing that acts.
const THINKERS_MAY_USE: &[&str] = &[
    "cel",
    "crc32c",
    "csv",
    "jiff",
    "prost",
    "schemars",
    "serde",
    "serde_json",
    "thiserror",
    "toml",
    "zstd",
];

/// One Cargo file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Path from the root of the workspace.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// When a dependency is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Run,
    Test,
    Build,
}

/// The package's name, if the file can be read and has one.
#[must_use]
pub fn package_of(text: &str) -> Option<String> {
    let manifest: Table = text.parse().ok()?;
    Some(manifest.get("package")?.get("name")?.as_str()?.to_owned())
}

/// Every arrow of a Cargo file points where it may.
#[must_use]
pub fn arrows_point_where_they_may(manifest: &Manifest) -> Vec<Breach> {
    let breach = |line, what, mend| Breach { path: manifest.path.clone(), line, what, mend };
    let Ok(table) = manifest.text.parse::<Table>() else {
        return vec![breach(1, "cannot be read".to_owned(), "write valid TOML")];
    };
    let Some(package) = package_of(&manifest.text) else {
        return vec![breach(1, "has no package name".to_owned(), "write name under [package]")];
    };
    let Some((_, ours)) = ARROWS.iter().find(|(name, _)| *name == package) else {
        let what = format!("package {package} has no arrows");
        return vec![breach(1, what, "name it in tests/tidy/src/arrows.rs with what it may use")];
    };
    let thinks = THINKERS.contains(&package.as_str());
    let mut breaches = Vec::new();
    for (name, when) in dependencies(&table) {
        let line = line_of(&manifest.text, &name);
        let what = format!("{package} uses {name}");
        let is_ours = ARROWS.iter().any(|(package, _)| *package == name);
        let plant_in_tests = when == Use::Test && name == "fengsui-plant" && !thinks;
        if is_ours && !ours.contains(&name.as_str()) && !plant_in_tests {
            breaches.push(breach(line, what, "this arrow is not in the design: pass data instead"));
        } else if thinks
            && !is_ours
            && when == Use::Run
            && !THINKERS_MAY_USE.contains(&name.as_str())
        {
            breaches.push(breach(line, what, "a thinker does not act: move it to a shell"));
        }
    }
    breaches
}

/// Every package takes the lints of the workspace.
#[must_use]
pub fn lints_are_the_workspaces(manifest: &Manifest) -> Vec<Breach> {
    let lints = manifest
        .text
        .parse::<Table>()
        .ok()
        .and_then(|table| table.get("lints")?.get("workspace")?.as_bool());
    if lints == Some(true) {
        return Vec::new();
    }
    vec![Breach {
        path: manifest.path.clone(),
        line: 1,
        what: "does not take the lints of the workspace".to_owned(),
        mend: "write [lints] workspace = true",
    }]
}

fn dependencies(manifest: &Table) -> Vec<(String, Use)> {
    let mut found = Vec::new();
    let targets = manifest.get("target").and_then(Value::as_table);
    let of_targets = targets.into_iter().flat_map(Table::values).filter_map(Value::as_table);
    for table in std::iter::once(manifest).chain(of_targets) {
        for (key, when) in [
            ("dependencies", Use::Run),
            ("dev-dependencies", Use::Test),
            ("build-dependencies", Use::Build),
        ] {
            let entries = table.get(key).and_then(Value::as_table).into_iter().flatten();
            found.extend(entries.map(|(name, value)| {
                // `alias = { package = "name" }` is the package, not the alias.
                let renamed = value.get("package").and_then(Value::as_str);
                (renamed.unwrap_or(name).to_owned(), when)
            }));
        }
    }
    found
}

fn line_of(text: &str, name: &str) -> usize {
    let names = |line: &str| {
        let quoted = format!("\"{name}\"");
        let key = line.trim_start().strip_prefix(name);
        key.is_some_and(|rest| rest.starts_with([' ', '.', '='])) || line.contains(&quoted)
    };
    1 + text.lines().position(names).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(package: &str, dependencies: &str, lines: &[usize]) {
        let text = format!("[package]\nname = \"{package}\"\n{dependencies}");
        let manifest = Manifest { path: "x/Cargo.toml".to_owned(), text };
        let found: Vec<usize> =
            arrows_point_where_they_may(&manifest).iter().map(|breach| breach.line).collect();
        assert_eq!(found, lines, "{package}: {dependencies}");
    }

    #[test]
    fn a_thinker_that_acts_is_found() {
        check(
            "fengsui-telemetry",
            "[dependencies]\nserde.workspace = true\ntokio.workspace = true",
            &[5],
        );
        check("fengsui-scan", "[dependencies]\nrumqttc = \"0.25\"\nrusqlite = \"1\"", &[4, 5]);
        check("fengsui-alerting", "[target.'cfg(unix)'.dependencies]\ntracing = \"0.1\"", &[4]);
        check(
            "fengsui-scan",
            "[dependencies]\nquiet = { package = \"axum\", version = \"0\" }",
            &[4],
        );
        check("fengsui-scan", "[dev-dependencies]\nproptest = \"1\"", &[]);
    }

    #[test]
    fn an_arrow_outside_the_design_is_found() {
        check("fengsui-scan", "[dependencies]\nfengsui-alerting.workspace = true", &[4]);
        check("fengsui-gateway", "[dependencies]\nfengsui.workspace = true", &[4]);
        check("fengsui-gateway", "[dev-dependencies]\nfengsui-store.workspace = true", &[4]);
        check("fengsui-store", "[dependencies]\nfengsui-gateway.workspace = true", &[4]);
        check("fengsui-plant", "[dependencies]\nfengsui-telemetry.workspace = true", &[4]);
        check("fengsui", "[dependencies]\nfengsui-scan.workspace = true", &[4]);
        check("fengsui", "[dependencies]\nfengsui-gateway.workspace = true", &[]);
        check("fengsui-gateway", "[dev-dependencies]\nfengsui-plant.workspace = true", &[]);
        check("fengsui-scan", "[dev-dependencies]\nfengsui-plant.workspace = true", &[4]);
    }

    #[test]
    fn a_new_package_must_come_with_its_arrows() {
        check("fengsui-billing", "", &[1]);
    }

    #[test]
    fn own_lints_are_found() {
        let check = |text: &str| {
            let path = "x/Cargo.toml".to_owned();
            lints_are_the_workspaces(&Manifest { path, text: text.to_owned() }).len()
        };
        assert_eq!(check("[package]\nname = \"x\""), 1);
        assert_eq!(check("[package]\nname = \"x\"\n[lints]\nworkspace = true"), 0);
    }
}
