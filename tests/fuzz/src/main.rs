//! `fengsui-fuzz`: throws damaged input at every parser for so many seconds each.
//!
//! An input that is not borne is written to `target/fuzz/<parser>.bin`, and the run ends with 1.

use std::fs;
use std::io::{Write, stdout};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use fengsui_fuzz::{TARGETS, Until, run};

/// Throws damaged input at every parser. Example: `fengsui-fuzz --seconds 60 --only sheet`
#[derive(Parser)]
struct Args {
    /// Seconds for each parser.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// The same seed gives the same inputs.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// One parser only.
    #[arg(long)]
    only: Option<String>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let chosen = |name: &str| args.only.as_ref().is_none_or(|only| only == name);
    let mut out = stdout().lock();
    let mut code = ExitCode::SUCCESS;
    let mut ran = 0;
    for target in TARGETS.iter().filter(|target| chosen(target.name)) {
        ran += 1;
        let line = match run(target, args.seed, Until::Time(Duration::from_secs(args.seconds))) {
            Ok(found) => {
                format!(
                    "{:8} {:>9} inputs, {:>5} answers",
                    target.name, found.inputs, found.answers
                )
            }
            Err(found) => {
                code = ExitCode::FAILURE;
                let file = Path::new("target/fuzz").join(format!("{}.bin", target.name));
                let kept =
                    fs::create_dir_all("target/fuzz").and_then(|()| fs::write(&file, &found.input));
                let kept = kept.map_or_else(|e| e.to_string(), |()| file.display().to_string());
                format!("{:8} FAILED, seed {}: {} ({kept})", target.name, args.seed, found.what)
            }
        };
        if writeln!(out, "{line}").is_err() {
            return ExitCode::FAILURE;
        }
    }
    if ran == 0 { ExitCode::from(2) } else { code }
}
