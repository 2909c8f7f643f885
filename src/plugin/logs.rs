//! Log lines, which Fluent Bit prints.
//!
//! Its logger only works on its own threads, and stderr may not be ours. So lines wait here until
//! Fluent Bit calls the plugin for whatever reason.

use std::{
    collections::VecDeque,
    ffi::CString,
    io, panic,
    sync::{Mutex, Once, PoisonError},
};

use tracing::{Level, Metadata};
use tracing_subscriber::{
    Layer,
    fmt::{self, MakeWriter},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use crate::telemetry::logs::filter;

/// How many lines wait at most. When there are more, the oldest give way.
const WAITING: usize = 512;

/// The longest line, well below where Fluent Bit would cut it.
const LINE_BYTES: usize = 2048;

/// A line with its level, as Fluent Bit counts them.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) level: i32,
    pub(super) text: CString,
}

const ERROR: i32 = 1;
const WARNING: i32 = 2;

static LINES: Mutex<Lines> = Mutex::new(Lines { waiting: VecDeque::new(), dropped: 0 });

struct Lines {
    waiting: VecDeque<Line>,
    dropped: u64,
}

/// Lets everything that is logged, and panics, wait here from now on. May be called again.
pub(super) fn init() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // This library has a standard library of its own, so the hook is not anybody else's.
        panic::set_hook(Box::new(|panic| add(ERROR, &panic.to_string())));
        let written = std::env::var("PROFILE_HTTP_LOG").ok();
        let filter = filter(written.as_deref()).or_else(|error| {
            add(ERROR, &error.to_string());
            filter(None)
        });
        let lines = fmt::layer()
            .with_writer(Waiting)
            .with_ansi(false)
            .with_target(false)
            .with_level(false)
            .without_time();
        if let Ok(filter) = filter
            && let Err(error) =
                tracing_subscriber::registry().with(lines.with_filter(filter)).try_init()
        {
            add(ERROR, &format!("cannot log: {error}"));
        }
    });
}

/// Adds an error, of one line or several.
pub(super) fn error(text: &str) {
    add(ERROR, text);
}

/// Adds a warning, of one line or several.
pub(super) fn warning(text: &str) {
    add(WARNING, text);
}

/// Takes the line that has waited longest. Uses little stack.
pub(super) fn take() -> Option<Line> {
    let mut lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    lines.waiting.pop_front()
}

fn add(level: i32, text: &str) {
    let mut lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        if lines.waiting.len() >= WAITING {
            lines.waiting.pop_front();
            lines.dropped += 1;
        } else if lines.dropped > 0 && lines.waiting.len() < WAITING / 2 {
            let dropped = std::mem::take(&mut lines.dropped);
            lines.push(WARNING, &format!("{dropped} log lines were dropped: nobody printed them"));
        }
        lines.push(level, line);
    }
}

impl Lines {
    fn push(&mut self, level: i32, line: &str) {
        let line = &line[..line.floor_char_boundary(LINE_BYTES)];
        let text = format!("[profile_http] {}", line.replace('\0', "\u{fffd}"));
        if let Ok(text) = CString::new(text) {
            self.waiting.push_back(Line { level, text });
        }
    }
}

/// Makes a writer of each event.
struct Waiting;

/// The text of one event, which waits once it is whole.
struct Text {
    level: i32,
    bytes: Vec<u8>,
}

impl MakeWriter<'_> for Waiting {
    type Writer = Text;

    fn make_writer(&self) -> Text {
        Text { level: ERROR, bytes: Vec::new() }
    }

    fn make_writer_for(&self, event: &Metadata<'_>) -> Text {
        let level = match *event.level() {
            Level::ERROR => ERROR,
            Level::WARN => WARNING,
            Level::INFO => 3,
            Level::DEBUG => 4,
            Level::TRACE => 5,
        };
        Text { level, bytes: Vec::new() }
    }
}

impl io::Write for Text {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        add(self.level, &String::from_utf8_lossy(&self.bytes));
    }
}
