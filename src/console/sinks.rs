use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{ApiError, Console, Watched, rates::VERDICTS, shown_time};
use crate::{
    clock::Micros,
    store::{Counts, Store},
};

/// How a sink stands. Totals are those since the process started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SinkStatus {
    /// Its key in the configuration.
    pub sink: String,
    /// What people call it.
    pub name: String,
    /// Where its profiles go.
    pub endpoint: String,
    /// Where its store lies.
    pub store: String,
    /// Since when the process runs.
    pub since: String,
    /// Whether the endpoint takes anything.
    pub gate: GateView,
    /// Profiles by state.
    pub profiles: ProfileCounts,
    /// Known profiles that are yet to be judged by the mapping, which changed.
    #[serde(default)]
    pub reconcile_remaining: u64,
    /// Invalid records that are kept.
    pub invalid_records: u64,
    /// Since when the oldest due profile is due.
    pub oldest_due: Option<String>,
    /// How long that is, in seconds.
    pub oldest_due_secs: Option<u64>,
    /// Updates that were taken.
    pub updates: UpdateCounts,
    /// Updates taken in a second, over the last ten.
    pub updates_per_second: f64,
    /// Versions that were delivered.
    pub delivered: u64,
    /// Bytes of their bodies.
    pub delivered_bytes: u64,
    /// Versions delivered in a second, over the last ten.
    pub delivered_per_second: f64,
    /// What went wrong last.
    pub last_error: Option<ProblemView>,
}

/// The state of a gate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GateView {
    /// `open`, `closed` or `probing`.
    pub state: String,
    /// Why it is not open.
    pub reason: Option<String>,
    /// What an operator should know and do about that.
    pub message: Option<String>,
    /// When the next probe goes.
    pub until: Option<String>,
    /// How long that is, in seconds.
    pub until_secs: Option<f64>,
}

/// Profiles by state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileCounts {
    /// Those that are known.
    pub known: u64,
    /// Those that are followed.
    pub followed: u64,
    /// Those that wait for delivery or are in flight.
    pub due: u64,
    /// Those in flight.
    pub in_flight: u64,
    /// Those with a dead letter.
    pub dead: u64,
    /// Whether all are counted yet; a store counts them after it was opened.
    pub complete: bool,
}

/// Updates by verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateCounts {
    /// Those that made a profile due.
    pub changed: u64,
    /// Those that changed nothing relevant.
    pub unchanged: u64,
    /// Those of profiles that are not followed.
    pub not_followed: u64,
    /// Those older than what was known.
    pub stale: u64,
    /// Those that could not be read.
    pub invalid: u64,
}

/// Something that went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProblemView {
    /// When.
    pub at: String,
    /// How long ago, in seconds.
    pub secs_ago: u64,
    /// What.
    pub message: String,
}

/// Every sink, in the order of the configuration.
pub(super) async fn list(State(console): State<Arc<Console>>) -> Json<Vec<SinkStatus>> {
    let sinks = console.sinks.iter().enumerate();
    Json(sinks.map(|(place, sink)| status(&console, place, sink)).collect())
}

/// One sink.
pub(super) async fn show(
    State(console): State<Arc<Console>>,
    Path(name): Path<String>,
) -> Result<Json<SinkStatus>, ApiError> {
    let (place, sink) = console.sink(&name)?;
    Ok(Json(status(&console, place, sink)))
}

/// Closes the gate of a sink until it is resumed.
pub(super) async fn pause(
    State(console): State<Arc<Console>>,
    Path(name): Path<String>,
) -> Result<Json<SinkStatus>, ApiError> {
    let (place, sink) = console.sink(&name)?;
    sink.gate.pause();
    Ok(Json(status(&console, place, sink)))
}

/// Ends a pause.
pub(super) async fn resume(
    State(console): State<Arc<Console>>,
    Path(name): Path<String>,
) -> Result<Json<SinkStatus>, ApiError> {
    let (place, sink) = console.sink(&name)?;
    sink.gate.resume();
    Ok(Json(status(&console, place, sink)))
}

fn status(console: &Console, place: usize, sink: &Watched) -> SinkStatus {
    let now = console.clock.now();
    let counts = sink.store.counts();
    let Counts {
        known, followed, due, in_flight, dead, invalid_records, oldest_due, complete, ..
    } = counts;
    let secs_since = |at: Micros| now.saturating_sub(at) / 1_000_000;
    let oldest_due = Some(oldest_due).filter(|at| *at > 0 && due > 0);
    let [changed, unchanged, not_followed, stale, invalid] =
        VERDICTS.map(|verdict| sink.metrics.updates(verdict).get());
    let rates = console.rates.of(place);
    SinkStatus {
        sink: sink.name.clone(),
        name: sink.title.clone(),
        endpoint: sink.endpoint.clone(),
        store: sink.store_dir.display().to_string(),
        since: shown_time(console.started),
        gate: gate(sink, now),
        profiles: ProfileCounts { known, followed, due, in_flight, dead, complete },
        reconcile_remaining: counts.unreconciled,
        invalid_records,
        oldest_due: oldest_due.map(shown_time),
        oldest_due_secs: oldest_due.map(secs_since),
        updates: UpdateCounts { changed, unchanged, not_followed, stale, invalid },
        updates_per_second: rates.updates,
        delivered: sink.metrics.sent_events.get(),
        delivered_bytes: sink.metrics.sent_bytes.get(),
        delivered_per_second: rates.delivered,
        last_error: sink.metrics.last_error().map(|error| ProblemView {
            at: shown_time(error.at),
            secs_ago: secs_since(error.at),
            message: error.message,
        }),
    }
}

fn gate(sink: &Watched, now: Micros) -> GateView {
    let status = sink.gate.status();
    let left = status.until.map(|until| until.saturating_duration_since(Instant::now()));
    GateView {
        state: status.state.name().to_owned(),
        reason: status.reason.map(|reason| reason.name().to_owned()),
        message: status.message,
        until: left.map(|left| {
            shown_time(now.saturating_add(u64::try_from(left.as_micros()).unwrap_or(u64::MAX)))
        }),
        until_secs: left.map(|left| left.as_secs_f64()),
    }
}
