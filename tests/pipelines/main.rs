//! The examples in the pipelines that they are for: Fluent Bit, Fluentd and Vector.
//!
//! `FLUENT_BIT_BIN`, `FLUENTD_BIN` and `VECTOR_BIN` name their programs, `PROFILE_HTTP_PLUGIN` the
//! plugin that `tests/run` builds. A test that misses one of them says so and is skipped. The examples run as
//! they stand but for addresses and folders, since tests run beside each other.

#![expect(clippy::unwrap_used, reason = "a test ends where something does not hold")]

#[expect(dead_code, reason = "other tests use the rest")]
#[path = "../it/support.rs"]
mod support;

mod fluent_bit;
mod fluentd;
mod pipeline;
mod updates;
mod vector;

use std::{
    env,
    io::{self, Write},
    path::PathBuf,
};

/// What a variable names; without it the test is skipped, and says so.
fn given(variable: &str, what: &str) -> Option<PathBuf> {
    let path = env::var_os(variable).map(PathBuf::from);
    if path.is_none() {
        let test = std::thread::current().name().unwrap_or_default().to_owned();
        // Past the capture of the test harness, which would show it only for a test that fails.
        let _ = writeln!(io::stderr(), "{test} is skipped: {variable} names no {what}");
    }
    path
}
