//! End-to-end experiments: the real programs, a real broker, devices that nobody here made.
//!
//! - Every child is started and ended by its handle; every wait has something to see and a limit.
//! - A scene is a folder of its own with free ports, so that two runs do not meet.
//! - Nothing of the product's code decides what is right: that is the peers' task, or the test's.

pub mod broker;
pub mod centre;
pub mod chance;
pub mod clock;
pub mod gateway;
pub mod http;
pub mod peers;
pub mod program;
pub mod recorded;
pub mod replay_line;
pub mod scene;
pub mod stranger;
pub mod stream;
pub mod wait;

/// The TLS provider of this process: clients ask for it even where nothing is encrypted.
pub fn tls() {
    // A second call finds the first one's.
    rustls::crypto::ring::default_provider().install_default().ok();
}
