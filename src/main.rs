//! The command line: arguments become a call, and its result an exit code.

mod cli;

use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;

// Records are allocated on one thread and freed on another, which the system's allocator does
// badly: with it a profile that is delivered out of a backlog takes a tenth to a third more CPU.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    match cli::Cli::try_parse() {
        Ok(cli) => cli.run().await,
        Err(error) => {
            // Help and version come this way too. Nothing can be done if they cannot be printed.
            let _ = error.print();
            ExitCode::from(u8::from(error.use_stderr()))
        }
    }
}
