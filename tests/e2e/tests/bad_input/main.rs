//! Whatever comes in from outside (files, messages, requests) is refused by name, counted and kept
//! where it can be looked at; those who send what they should do not notice.

mod browsers;
mod files;
mod messages;
