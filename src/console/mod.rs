//! The admin API of a running process: health, metrics, the state of its sinks, their dead letters
//! and single profiles.
//!
//! It shows personal data, so it listens on a loopback address unless callers have to show a token.
//! `access.rs` says who may do what, `router.rs` what there is.
//!
//! What it says of sinks and letters are types ([`SinkStatus`], [`LetterView`], …) that the commands
//! read back.

mod access; // who may call
mod dead_letters; // letters as they are shown, and what can be done with them
mod error; // refusals
mod health; // whether the process lives, and whether it is ready
mod metrics; // all series
mod profiles; // profiles as they are shown, and what can be done with them
mod rates; // how much goes through in a second
mod router; // what there is
mod sinks; // how sinks stand

use std::{path::PathBuf, sync::Arc};

use tokio_util::sync::CancellationToken;

pub use access::{CHANGE_HEADER, CHANGE_VALUE};
pub use dead_letters::{Dropped, LetterList, LetterView, MAX_PAGE};
pub use error::{Refused, no_profile};
pub use profiles::{
    MembershipView, ProfileView, ResentView, Unsuppressed, say_forgotten, say_resent,
    say_unsuppressed,
};
pub use router::{Answers, serve};
pub use sinks::{GateView, ProblemView, ProfileCounts, SinkStatus, UpdateCounts};

use self::{error::ApiError, rates::Rates};
use crate::{
    clock::{Clock, Micros},
    delivery::{Gate, Secret},
    store::embedded::EmbeddedStore,
    telemetry::{Component, Metrics},
};

/// A running process, as the API sees it.
pub struct Console {
    sinks: Vec<Watched>,
    rates: Rates,
    metrics: Metrics,
    clock: Clock,
    token: Option<Secret>,
    started: Micros,
    /// Told when the process begins to end.
    stopping: CancellationToken,
}

/// A sink, as the API sees it.
pub struct Watched {
    /// Its key in the configuration.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// Where its profiles go, without the query, which may hold a secret.
    pub endpoint: String,
    /// Where its store lies.
    pub store_dir: PathBuf,
    /// Its store.
    pub store: EmbeddedStore,
    /// Its gate.
    pub gate: Gate,
    /// What it counts.
    pub metrics: Arc<Component>,
}

impl Console {
    /// A process that runs since `started` and has these sinks now. Callers have to show `token` if
    /// there is one. From when `stopping` is told on, the process is not ready.
    pub fn new(
        sinks: Vec<Watched>,
        metrics: Metrics,
        clock: Clock,
        started: Micros,
        token: Option<Secret>,
        stopping: CancellationToken,
    ) -> Self {
        let rates = Rates::new(sinks.iter().map(|sink| sink.metrics.clone()).collect());
        Self { sinks, rates, metrics, clock, token, started, stopping }
    }

    /// The sink of this name, with its place among the sinks.
    fn sink(&self, name: &str) -> Result<(usize, &Watched), ApiError> {
        let found = self.sinks.iter().enumerate().find(|(_, sink)| sink.name == name);
        found.ok_or_else(|| ApiError::UnknownSink {
            name: name.to_owned(),
            known: self.sinks.iter().map(|sink| sink.name.clone()).collect(),
        })
    }
}

/// A moment as RFC 3339 in UTC; those beyond the year 9999 are shown as its end.
fn shown_time(at: Micros) -> String {
    let micros = i64::try_from(at).unwrap_or(i64::MAX);
    jiff::Timestamp::from_microsecond(micros).unwrap_or(jiff::Timestamp::MAX).to_string()
}
