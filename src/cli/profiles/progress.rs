use std::{
    io::{self, IsTerminal, Write},
    time::Duration,
};

use profile_http::store::Resent;
use tokio::time::Instant;

use crate::cli::table::count;

/// How often a line is written where it cannot be overwritten.
const EVERY: Duration = Duration::from_secs(5);

/// Shows on standard error how far it is: on a terminal a line that is kept up to date.
pub(super) struct Progress {
    terminal: bool,
    written: Instant,
}

impl Default for Progress {
    fn default() -> Self {
        Self { terminal: io::stderr().is_terminal(), written: Instant::now() }
    }
}

impl Progress {
    pub(super) fn show(&mut self, so_far: Resent) {
        if !self.terminal && self.written.elapsed() < EVERY {
            return;
        }
        self.written = Instant::now();
        let due = count(so_far.resent, "profile is due", "profiles are due");
        let line = format!("{due} so far, {} not followed", so_far.not_followed);
        if self.terminal {
            eprint!("\r\x1b[2K{line}");
            // Nothing can be done about a terminal that has gone away.
            let _ = io::stderr().flush();
        } else {
            eprintln!("{line}");
        }
    }

    /// Clears the line, if it is one that was kept up to date.
    pub(super) fn end(&self) {
        if self.terminal {
            eprint!("\r\x1b[2K");
        }
    }
}
