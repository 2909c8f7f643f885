//! The command line.

mod cli;

use std::process::ExitCode;

use clap::Parser;

/// Streams customer profiles to a third-party HTTP endpoint as profile JSON.
#[derive(Parser)]
enum Command {
    Endpoint(cli::endpoint::Args),
}

#[tokio::main]
async fn main() -> ExitCode {
    let Command::Endpoint(args) = Command::parse();
    match cli::endpoint::run(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
