//! `fengsui`: the centre's program.

use std::process::ExitCode;

fn main() -> ExitCode {
    // One provider for every TLS client; a second call would only say that it is there.
    rustls::crypto::ring::default_provider().install_default().ok();
    fengsui::cli::main()
}
