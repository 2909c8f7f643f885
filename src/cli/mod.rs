//! The commands, one file each.

mod api;
mod check;
mod dead_letters;
mod demo;
mod endpoint;
mod explain;
mod failure;
mod place;
mod profiles;
mod reload;
mod run;
mod schema;
mod status;
mod table;
mod validate;

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand};
pub(crate) use failure::Failure;
use profile_http::{
    config::{self, ConfigErrors, Env, Plan, Problem, SinkPlan},
    telemetry::logs::{self, LogFormat},
};

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
    Run(run::Args),
    Validate(validate::Args),
    Explain(explain::Args),
    Check(check::Args),
    Status(status::Args),
    DeadLetters(dead_letters::Args),
    Profiles(profiles::Args),
    Schema(schema::Args),
    Endpoint(endpoint::Args),
    Demo(demo::Args),
}

impl Cli {
    /// Runs the command and prints, once, why it failed.
    pub(crate) async fn run(self) -> ExitCode {
        match self.call().await {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => failure.report(),
        }
    }

    async fn call(self) -> Result<(), Failure> {
        let env = Env::of_process();
        // What these have to say, they show themselves.
        let usual = match self.command {
            Command::Demo(_) => Some("warn"),
            Command::Check(_) => Some("error"),
            _ => None,
        };
        let filter = env.get("PROFILE_HTTP_LOG").or(usual);
        logs::init(self.log_format, filter).map_err(Failure::of)?;
        match self.command {
            Command::Run(args) => run::run(args, &env).await,
            Command::Validate(args) => validate::run(args, &env),
            Command::Explain(args) => explain::run(args, &env).await,
            Command::Check(args) => check::run(args, &env).await,
            Command::Status(args) => status::run(args, &env).await,
            Command::DeadLetters(args) => dead_letters::run(args, &env).await,
            Command::Profiles(args) => profiles::run(args, &env).await,
            Command::Schema(args) => schema::run(&args),
            Command::Endpoint(args) => endpoint::run(args).await.map_err(Failure::of),
            Command::Demo(args) => demo::run(args).await,
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
    /// Whether files are named on the command line.
    pub(crate) fn is_named(&self) -> bool {
        !self.files.is_empty()
    }

    /// The files of the configuration.
    pub(crate) fn files(&self, env: &Env) -> Result<Vec<PathBuf>, ConfigErrors> {
        config::select(&self.files, env)
    }

    /// The plan of the configuration.
    pub(crate) fn load(&self, env: &Env) -> Result<Plan, ConfigErrors> {
        config::load(&self.files(env)?, env)
    }
}

/// The sink of this name; the only one where none is named.
pub(crate) fn sink<'a>(plan: &'a Plan, name: Option<&str>) -> Result<&'a SinkPlan, Failure> {
    let names = || plan.sinks.iter().map(|sink| sink.name.as_str());
    let all = || names().collect::<Vec<_>>().join(", ");
    match (name, &plan.sinks[..]) {
        (None, [only]) => Ok(only),
        (None, _) => Err(Failure::Other(format!("name a sink with --sink: {}", all()))),
        (Some(name), sinks) => sinks.iter().find(|sink| sink.name == name).ok_or_else(|| {
            let known = match config::nearest(name, names()) {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None => format!("the sinks are: {}", all()),
            };
            Failure::Other(format!("there is no sink named `{name}`; {known}"))
        }),
    }
}

/// Prints warnings to standard error.
pub(crate) fn warn(warnings: &[Problem]) {
    for warning in warnings {
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
