//! The commands, one file each.

mod failure;
mod logging;
mod validate;

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand};
pub(crate) use failure::Failure;
use logging::LogFormat;
use profile_http::config::{self, ConfigErrors, Env, Plan};

/// Streams customer profiles to a third-party HTTP endpoint as profile JSON.
#[derive(Parser)]
#[command(version, arg_required_else_help = true, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,

    /// How log lines are written to standard error; `PROFILE_HTTP_LOG` says which, for example
    /// `debug` or `profile_http::delivery=debug`
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    log_format: LogFormat,
}

#[derive(Subcommand)]
enum Command {
    Validate(validate::Args),
}

impl Cli {
    /// Runs the command and prints, once, why it failed.
    pub(crate) async fn run(self) -> ExitCode {
        match self.call().await {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => failure.report(),
        }
    }

    #[expect(clippy::unused_async, reason = "commands that talk to others wait")]
    async fn call(self) -> Result<(), Failure> {
        let env = Env::of_process();
        logging::start(self.log_format, &env)?;
        match self.command {
            Command::Validate(args) => validate::run(args, &env),
        }
    }
}

/// Which configuration a command works with.
#[derive(Args)]
pub(crate) struct ConfigArgs {
    /// Configuration file (.yaml, .toml or .json); several are joined. Without it:
    /// `PROFILE_HTTP_CONFIG`, ./profile-http.yaml, /etc/profile-http/profile-http.yaml
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    files: Vec<PathBuf>,
}

impl ConfigArgs {
    /// The plan of the configuration.
    pub(crate) fn load(&self, env: &Env) -> Result<Plan, ConfigErrors> {
        config::load(&config::select(&self.files, env)?, env)
    }
}

/// Prints the warnings of a plan to standard error.
pub(crate) fn warn(plan: &Plan) {
    for warning in &plan.warnings {
        failure::print("warning", warning);
    }
}

/// Prints a result to standard output. A reader that has gone away is no failure.
pub(crate) fn print(result: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(result.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::other("cannot write to standard output", &error))
        }
        _ => Ok(()),
    }
}
