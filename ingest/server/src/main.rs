//! `fengsui`: the centre's program.

use std::process::ExitCode;

fn main() -> ExitCode {
    fengsui::cli::main()
}
