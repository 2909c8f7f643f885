use std::io;

use clap::ValueEnum;
use profile_http::config::Env;
use tracing_subscriber::EnvFilter;

use super::{Failure, failure::colour_on_stderr};

/// The variable that says which log lines are written.
const VARIABLE: &str = "PROFILE_HTTP_LOG";

/// How log lines are written.
#[derive(Clone, Copy, Default, ValueEnum)]
pub(super) enum LogFormat {
    /// For people
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

/// Starts the log on standard error.
pub(super) fn start(format: LogFormat, env: &Env) -> Result<(), Failure> {
    let wanted = env.get(VARIABLE).filter(|wanted| !wanted.trim().is_empty()).unwrap_or("info");
    let filter = EnvFilter::try_new(wanted).map_err(|error| {
        Failure::Other(format!("cannot read {VARIABLE}: {error}; write a level such as `debug`"))
    })?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let started = match format {
        LogFormat::Text => log.with_ansi(colour_on_stderr()).with_target(false).try_init(),
        LogFormat::Json => log.json().flatten_event(true).with_target(false).try_init(),
    };
    started.map_err(|error| Failure::other("cannot start the log", &*error))
}
