//! Memory stays bounded.
