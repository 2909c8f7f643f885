use std::{
    error::Error,
    fmt::Display,
    io::{self, IsTerminal},
    process::ExitCode,
};

use profile_http::config::ConfigErrors;

/// The exit code for a configuration that cannot be used (`EX_CONFIG` of sysexits.h).
const EXIT_CONFIG: u8 = 78;

/// Why a command failed.
pub(crate) enum Failure {
    /// The configuration cannot be used.
    Config(ConfigErrors),
    /// Anything else, in one line that says what to do.
    Other(String),
}

impl Failure {
    /// A failure whose message says it all.
    pub(crate) fn of(error: impl Display) -> Self {
        Self::Other(error.to_string())
    }

    /// A failure with its causes in one line.
    pub(crate) fn other(what: &str, error: &dyn Error) -> Self {
        let mut message = format!("{what}: {error}");
        let mut cause = error.source();
        while let Some(error) = cause {
            message = format!("{message}: {error}");
            cause = error.source();
        }
        Self::Other(message)
    }

    /// Prints the failure to standard error and says with which code to exit.
    pub(crate) fn report(&self) -> ExitCode {
        match self {
            Self::Config(errors) => {
                for (i, problem) in errors.problems().iter().enumerate() {
                    if i > 0 {
                        eprintln!();
                    }
                    print("error", problem);
                }
                ExitCode::from(EXIT_CONFIG)
            }
            Self::Other(message) => {
                print("error", message);
                ExitCode::FAILURE
            }
        }
    }
}

impl From<ConfigErrors> for Failure {
    fn from(errors: ConfigErrors) -> Self {
        Self::Config(errors)
    }
}

/// Prints something that a person should know of.
pub(super) fn print(kind: &str, message: &dyn Display) {
    let colour = if kind == "error" { "31" } else { "33" };
    if colour_on_stderr() {
        eprintln!("\x1b[1;{colour}m{kind}\x1b[0m: {message}");
    } else {
        eprintln!("{kind}: {message}");
    }
}

/// Whether standard error is a terminal on which colour is welcome (see no-color.org).
pub(super) fn colour_on_stderr() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
