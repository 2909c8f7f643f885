//! The output plugin of Fluent Bit, in a host that uses it as Fluent Bit does, and in the real one.
//!
//! `PROFILE_HTTP_PLUGIN` names the plugin, which `cargo test` alone does not build; `tests/run`
//! does. `FLUENT_BIT_BIN` names a Fluent Bit.

#![expect(clippy::unwrap_used, reason = "a test ends where something does not hold")]

mod fluent_bit;
mod host;

use std::{env, path::PathBuf};

/// What a variable names; without it the test is skipped, and says so.
fn given(variable: &str, what: &str) -> Option<PathBuf> {
    let path = env::var_os(variable).map(PathBuf::from);
    if path.is_none() {
        eprintln!("skipped: {variable} does not name {what}");
    }
    path
}

/// The plugin.
fn plugin() -> Option<PathBuf> {
    let plugin = given("PROFILE_HTTP_PLUGIN", "libprofile_http.so");
    let required = env::var("PROFILE_HTTP_PEERS").is_ok_and(|value| value == "required");
    assert!(plugin.is_some() || !required, "PROFILE_HTTP_PLUGIN is not set");
    plugin
}
