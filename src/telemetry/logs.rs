//! Log lines on stderr.

use std::{fmt, io, io::IsTerminal};

use tracing_subscriber::{
    EnvFilter, Layer,
    filter::LevelFilter,
    fmt::{MakeWriter, format::Writer, time::FormatTime},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use crate::clock::Clock;

/// What is logged unless the operator says otherwise: what this program has to say, and what the
/// libraries under it complain about.
const DEFAULT_FILTER: &str = "warn,profile_http=info";

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people: time, level, message and fields.
    #[default]
    Text,
    /// A JSON object a line.
    Json,
}

/// Why logging cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter cannot be read.
    #[error(
        "PROFILE_HTTP_LOG={filter:?}: {reason}; write a level such as debug, or \
         warn,profile_http=debug"
    )]
    Filter {
        /// The filter.
        filter: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Logging was set up before.
    #[error("logging is set up already")]
    Again,
}

/// Writes log lines to stderr from now on. `filter` is what `PROFILE_HTTP_LOG` says, if it is set:
/// a level, or levels by module such as `warn,profile_http::delivery=debug`. A level alone is that
/// of this program; the libraries under it only complain.
pub fn init(format: LogFormat, filter: Option<&str>) -> Result<(), LogError> {
    let colour = io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let subscriber = subscriber(format, filter, colour, io::stderr)?;
    subscriber.try_init().map_err(|_| LogError::Again)
}

fn subscriber(
    format: LogFormat,
    filter: Option<&str>,
    colour: bool,
    writer: impl for<'a> MakeWriter<'a> + Send + Sync + 'static,
) -> Result<impl tracing::Subscriber + Send + Sync, LogError> {
    let filter = self::filter(filter)?;
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_timer(Milliseconds);
    let lines = match format {
        LogFormat::Text => lines.with_ansi(colour).with_target(false).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).boxed(),
    };
    Ok(tracing_subscriber::registry().with(filter).with(lines))
}

/// What is logged, by what `PROFILE_HTTP_LOG` says.
pub(crate) fn filter(filter: Option<&str>) -> Result<EnvFilter, LogError> {
    let filter = filter.filter(|filter| !filter.trim().is_empty()).unwrap_or(DEFAULT_FILTER);
    let alone = filter.trim().parse::<LevelFilter>().is_ok();
    let filter = if alone { &format!("warn,profile_http={}", filter.trim()) } else { filter };
    EnvFilter::builder()
        .parse(filter)
        .map_err(|error| LogError::Filter { filter: filter.to_owned(), reason: error.to_string() })
}

/// The time in UTC, to the millisecond.
struct Milliseconds;

impl FormatTime for Milliseconds {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let now = i64::try_from(Clock::system().now()).unwrap_or(i64::MAX);
        match jiff::Timestamp::from_microsecond(now) {
            Ok(now) => write!(writer, "{now:.3}"),
            Err(_) => writer.write_str("-"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, filter: Option<&str>, say: impl FnOnce()) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = subscriber(format, filter, false, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, say);
        String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn a_text_line_is_time_level_message_and_fields() {
        let line = logged(LogFormat::Text, None, || {
            tracing::debug!("not shown");
            tracing::info!(sink = "crm", "the gate is open");
        });
        let (time, rest) = line.split_once(' ').unwrap();
        assert!(time.parse::<jiff::Timestamp>().is_ok() && time.len() == 24, "{line}");
        assert_eq!(rest.trim_start(), "INFO the gate is open sink=\"crm\"\n");
    }

    #[test]
    fn a_level_alone_is_not_that_of_the_libraries() {
        let lines = logged(LogFormat::Text, Some("debug"), || {
            tracing::debug!("ours");
            tracing::debug!(target: "fjall", "theirs");
        });
        assert!(lines.contains("ours") && !lines.contains("theirs"), "{lines}");
    }

    #[test]
    fn a_json_line_is_one_flat_object() {
        let line = logged(LogFormat::Json, Some("debug"), || {
            tracing::debug!(sink = "crm", due = 3, "claimed");
        });
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&value["message"], &value["due"]), (&"claimed".into(), &3.into()));
        assert_eq!((&value["level"], &value["sink"]), (&"DEBUG".into(), &"crm".into()));
    }

    #[test]
    fn a_filter_that_cannot_be_read_says_what_would_be_right() {
        let error = subscriber(LogFormat::Text, Some("x=y=z"), false, io::stderr).err().unwrap();
        let error = error.to_string();
        assert!(error.starts_with("PROFILE_HTTP_LOG=\"x=y=z\": "), "{error}");
        assert!(error.ends_with("write a level such as debug, or warn,profile_http=debug"));
    }
}
