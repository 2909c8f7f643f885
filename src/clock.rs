//! Wall-clock time in microseconds since the epoch.
//!
//! Everything that waits uses tokio's `Instant`. Wall-clock time is needed where a moment is
//! written down: versions, not-before times, qualification times.

use std::time::{SystemTime, UNIX_EPOCH};

/// Microseconds since the Unix epoch.
pub type Micros = u64;

/// A source of wall-clock time.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    /// A fixed start from which tokio's clock counts on; the system's clock when absent.
    anchor: Option<(Micros, tokio::time::Instant)>,
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self::default()
    }

    /// A clock that starts at `now` and advances with tokio's clock, so that it stands still while
    /// tokio's time is paused.
    pub fn anchored(now: Micros) -> Self {
        Self { anchor: Some((now, tokio::time::Instant::now())) }
    }

    /// The current time. A system clock set before 1970 reads as 0.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the system's clock")]
    pub fn now(&self) -> Micros {
        match self.anchor {
            Some((start, since)) => start + micros(since.elapsed()),
            None => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, micros),
        }
    }
}

fn micros(duration: std::time::Duration) -> Micros {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
