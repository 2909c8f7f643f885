//! The output plugin of Fluent Bit, in a host that uses it as Fluent Bit does. `tests/pipelines` has
//! the real one.
//!
//! `PROFILE_HTTP_PLUGIN` names the plugin, which `cargo test` alone does not build; `tests/run`
//! does.

#![expect(clippy::unwrap_used, reason = "a test ends where something does not hold")]

mod host;

use std::{env, path::PathBuf};

/// The plugin; without it the test is skipped, and says so.
fn plugin() -> Option<PathBuf> {
    let plugin = env::var_os("PROFILE_HTTP_PLUGIN").map(PathBuf::from);
    let required = env::var("PROFILE_HTTP_PEERS").is_ok_and(|value| value == "required");
    assert!(plugin.is_some() || !required, "PROFILE_HTTP_PLUGIN is not set");
    if plugin.is_none() {
        eprintln!("skipped: PROFILE_HTTP_PLUGIN does not name libprofile_http.so");
    }
    plugin
}
