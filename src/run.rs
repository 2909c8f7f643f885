//! Wires sources to sinks, runs them, and brings them to an end.

mod api;
mod error;
mod gauges;
mod group;
mod sinks;

use std::{future::Future, pin::pin, sync::Arc, time::Duration};

use futures_util::future::try_join_all;
use tokio::{
    task::JoinSet,
    time::{Instant, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;

pub use error::RunError;
pub use group::Sinks;

use crate::{
    clock::Clock,
    config::{Plan, SourceKind, SourcePlan},
    listen::{self, ListenError, Listener},
    record::{Ack, Batch, Intake, Unavailable},
    sink::Sink,
    source::{Feed, fluent, http_server, opentelemetry, stdin, vector},
    telemetry::{Component, Metrics},
};

/// How long sources may take to answer their senders when a sink cannot go on.
const ANSWERING: Duration = Duration::from_secs(1);

/// How a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long what is in flight may take once the run was told to stop.
    pub shutdown: Duration,
    /// How long what is due may take once every source has ended; without limit when absent.
    pub drain: Option<Duration>,
}

/// Why a run ended, if nothing failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was told to.
    Stopped {
        /// Profiles that still wait; they stay in the store.
        waiting: u64,
    },
    /// Every source has ended and nothing is due.
    Drained,
    /// Every source has ended, but the time for what was due was over.
    DrainLimit {
        /// Profiles that still wait; they stay in the store.
        waiting: u64,
    },
}

/// Runs the plan until `stop` resolves, or every source has ended and nothing is due.
///
/// Nothing is started before all of it can be: stores are opened and addresses bound first. What
/// happens is counted in `metrics`, which may be read meanwhile.
pub async fn run(
    mut plan: Plan,
    limits: Limits,
    metrics: &Metrics,
    stop: impl Future<Output = ()>,
) -> Result<Ended, RunError> {
    let clock = Clock::system();
    let mut bound = Vec::with_capacity(plan.sources.len());
    for source in std::mem::take(&mut plan.sources) {
        let metrics = metrics.component(&source.name, "source", source.kind.name());
        let listener = listen(&source, &metrics).await?;
        bound.push((source, metrics, listener));
    }
    let mut sinks = Sinks::start(&plan, metrics, &clock).await?;

    let stopping = CancellationToken::new();
    let mut sources = JoinSet::new();
    for (source, metrics, listener) in bound {
        let intake = sinks.intake_of(&source.name);
        let name = source.name.as_str().into();
        if let Some(listener) = &listener {
            let address = listener.local_addr().map_err(RunError::Address)?;
            tracing::info!(source = source.name, %address, "listening");
        }
        let feed = Feed { name, intake, clock: clock.clone(), metrics };
        sources.spawn(serve(source, listener, feed, stopping.clone()));
    }

    let mut stop = pin!(stop);
    let interrupted = tokio::select! {
        ended = all(&mut sources) => { ended?; false }
        error = sinks.broken() => {
            // Senders that wait are told to keep what they sent, instead of being cut off.
            stopping.cancel();
            let _ = timeout(ANSWERING, all(&mut sources)).await;
            return Err(error);
        }
        () = &mut stop => true,
    };
    let ended = if interrupted {
        tracing::info!("stopping: nothing more is taken, what is in flight ends");
        let deadline = Instant::now() + limits.shutdown;
        sinks.announce_stop();
        stopping.cancel();
        let _ = timeout_at(deadline, all(&mut sources)).await;
        Ended::Stopped { waiting: sinks.stop_by(deadline).await }
    } else {
        sinks.drain(limits, stop).await?
    };
    sinks.close().await?;
    Ok(ended)
}

/// Binds the address of a source that has one.
async fn listen(
    source: &SourcePlan,
    metrics: &Arc<Component>,
) -> Result<Option<Listener>, RunError> {
    let (at, protocols) = match &source.kind {
        SourceKind::Stdin { .. } => return Ok(None),
        SourceKind::HttpServer { listen, .. } => (listen, http_server::PROTOCOLS),
        // The forward protocol has no name there.
        SourceKind::Fluent { listen, .. } => (listen, &[][..]),
        SourceKind::Vector { listen, .. } => (listen, vector::PROTOCOLS),
        SourceKind::OpenTelemetry { listen, .. } => (listen, opentelemetry::PROTOCOLS),
    };
    let listener = async {
        let listener = listen::bind(at.address).await?;
        Ok(match at.tls.clone() {
            Some(files) => listener.with_tls(files, protocols, metrics.clone())?,
            None => listener,
        })
    };
    listener
        .await
        .map(Some)
        .map_err(|error: ListenError| RunError::Listen { name: source.name.clone(), error })
}

async fn serve(
    source: SourcePlan,
    listener: Option<Listener>,
    feed: Feed<Router>,
    stop: CancellationToken,
) -> Result<(), RunError> {
    match (source.kind, listener) {
        (SourceKind::Stdin { max_line_bytes }, _) => stdin::run(feed, max_line_bytes, stop).await?,
        (SourceKind::HttpServer { settings, .. }, Some(listener)) => {
            http_server::serve(listener, feed, settings, stop).await;
        }
        (SourceKind::Fluent { settings, .. }, Some(listener)) => {
            fluent::serve(listener, feed, settings, stop).await;
        }
        (SourceKind::Vector { max_message_bytes, .. }, Some(listener)) => {
            vector::serve(listener, feed, max_message_bytes, stop).await;
        }
        (SourceKind::OpenTelemetry { profile_from, max_body_bytes, .. }, Some(listener)) => {
            opentelemetry::serve(listener, feed, profile_from, max_body_bytes, stop).await;
        }
        // Each of these has been bound.
        (_, None) => {}
    }
    Ok(())
}

/// Waits until all tasks have ended, or one has failed.
async fn all(tasks: &mut JoinSet<Result<(), RunError>>) -> Result<(), RunError> {
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(|error| RunError::Panicked(error.to_string()))??;
    }
    Ok(())
}

/// Hands records to the sinks that take them.
#[derive(Clone)]
pub struct Router(Arc<[Sink]>);

impl Router {
    fn new(sinks: impl Iterator<Item = Sink>) -> Self {
        Self(sinks.collect())
    }
}

impl Intake for Router {
    async fn take(&self, batch: Batch) -> Result<Ack, Unavailable> {
        let acks = try_join_all(self.0.iter().map(|sink| sink.take(&batch))).await?;
        let received = batch.records.len() as u64;
        let mut sum = acks.into_iter().fold(Ack::default(), |mut sum, ack| {
            sum += ack;
            sum
        });
        sum.received = received;
        Ok(sum)
    }
}
