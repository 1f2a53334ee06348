//! `fengsui replay --vectors`: alarm scenarios through the engine that runs live.

use std::path::Path;

use fengsui_alerting::vectors;
use tracing::error;

use super::{Exit, say};

pub(super) fn run(path: &Path, json: bool) -> Exit {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(fault) => {
            error!("{}: {fault}; give --vectors FILE.jsonl", path.display());
            return Exit::Usage;
        }
    };
    let report = vectors::run(&text);
    if report.passed + report.failed == 0 {
        error!(
            "{}: 没有场景，应为每行一个 JSON / no scenario; one JSON object a line",
            path.display()
        );
        return Exit::Problems;
    }
    if json {
        let body = serde_json::json!({
            "passed": report.passed, "failed": report.failed, "mismatches": report.lines,
        });
        say(&body.to_string());
    } else {
        report.lines.iter().for_each(|line| say(line));
        say(&format!("{} passed, {} failed", report.passed, report.failed));
    }
    if report.failed == 0 { Exit::Fine } else { Exit::Problems }
}
