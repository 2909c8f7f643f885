use std::{
    io::{self, IsTerminal, Write},
    time::Duration,
};

use profile_http::{local_endpoint::Report, record::Ack, telemetry::Component};
use tokio::time::Instant;

use super::summary::grouped;

/// How often a line is written where it cannot be overwritten.
const EVERY: Duration = Duration::from_secs(5);

/// Shows on standard error how the demo stands: on a terminal a line that is kept up to date.
pub(super) struct Progress {
    terminal: bool,
    began: Instant,
    written: Instant,
}

impl Progress {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self { terminal: io::stderr().is_terminal(), began: now, written: now }
    }

    pub(super) fn show(&mut self, acknowledged: &Ack, sink: &Component, endpoint: &Report) {
        if !self.terminal && self.written.elapsed() < EVERY {
            return;
        }
        self.written = Instant::now();
        let line = format!(
            "{:>3}s  received {}  unchanged {}  exported {}  delivered {}",
            self.began.elapsed().as_secs(),
            grouped(acknowledged.received),
            grouped(acknowledged.unchanged + acknowledged.not_followed),
            grouped(sink.sent_events.get()),
            grouped(endpoint.taken.saturating_sub(endpoint.duplicates)),
        );
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
