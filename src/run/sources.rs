//! The sources of a run: what they are bound to, and the tasks that read them.

use std::{net::SocketAddr, sync::Arc};

use futures_util::future::try_join_all;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::{Router, RunError};
use crate::{
    clock::Clock,
    config::{SourceKind, SourcePlan},
    listen::{self, ListenError, Listener},
    source::{Feed, fluent, http_server, opentelemetry, stdin, vector},
    telemetry::{Component, Metrics},
};

/// A source that can be started: its address is bound.
pub(super) struct Bound {
    plan: SourcePlan,
    metrics: Arc<Component>,
    listener: Option<Listener>,
    spare: Option<Listener>,
}

/// A source that is read. Dropping it ends it at once.
pub(super) struct Source {
    pub(super) name: String,
    /// Where it listens, as it was written.
    pub(super) address: Option<SocketAddr>,
    pub(super) router: Router,
    /// Holds the address for a source that takes the place of this one.
    spare: Option<Listener>,
    stop: CancellationToken,
    /// Absent once it has ended.
    task: Option<AbortOnDropHandle<Result<(), RunError>>>,
}

impl Bound {
    /// Binds the address of a source that has one, unless `spare` holds it already.
    pub(super) async fn new(
        plan: &SourcePlan,
        spare: Option<Listener>,
        metrics: &Metrics,
    ) -> Result<Self, RunError> {
        let metrics = metrics.component(&plan.name, "source", plan.kind.name());
        let (at, protocols) = match &plan.kind {
            SourceKind::Stdin { .. } => {
                return Ok(Self { plan: plan.clone(), metrics, listener: None, spare: None });
            }
            SourceKind::HttpServer { listen, .. } => (listen, http_server::PROTOCOLS),
            // The forward protocol has no name there.
            SourceKind::Fluent { listen, .. } => (listen, &[][..]),
            SourceKind::Vector { listen, .. } => (listen, vector::PROTOCOLS),
            SourceKind::OpenTelemetry { listen, .. } => (listen, opentelemetry::PROTOCOLS),
        };
        let of_source = |error: ListenError| RunError::Listen { name: plan.name.clone(), error };
        let listener = match spare {
            Some(spare) => spare,
            None => listen::bind(at.address).await.map_err(of_source)?,
        };
        // Without one, an address can still be changed for another.
        let spare = listener.spare().ok();
        let listener = match at.tls.clone() {
            Some(files) => listener
                .with_tls(files, protocols, metrics.clone())
                .map_err(|error| of_source(error.into()))?,
            None => listener,
        };
        Ok(Self { plan: plan.clone(), metrics, listener: Some(listener), spare })
    }

    pub(super) fn name(&self) -> &str {
        &self.plan.name
    }

    /// Reads it from now on.
    pub(super) fn start(self, router: Router, clock: &Clock) -> Result<Source, RunError> {
        let Self { plan, metrics, listener, spare } = self;
        let name = plan.name.clone();
        if let Some(listener) = &listener {
            let address = listener.local_addr().map_err(RunError::Address)?;
            tracing::info!(source = name, %address, "listening");
        }
        let address = plan.kind.listen().map(|listen| listen.address);
        let intake = router.clone();
        let feed = Feed { name: name.as_str().into(), intake, clock: clock.clone(), metrics };
        let stop = CancellationToken::new();
        let task = tokio::spawn(serve(plan.kind, listener, feed, stop.clone()));
        let task = Some(AbortOnDropHandle::new(task));
        Ok(Source { name, address, router, spare, stop, task })
    }
}

impl Source {
    /// Has it take nothing more, and answer what it has taken.
    pub(super) fn stop(&mut self) {
        self.spare = None;
        self.stop.cancel();
    }

    /// The same, but its address is held for the source that takes its place.
    pub(super) fn stop_for_another(&mut self) {
        self.stop.cancel();
    }

    /// What holds its address.
    pub(super) fn spare(&self) -> Option<Listener> {
        self.spare.as_ref()?.spare().ok()
    }

    /// Waits until it has ended.
    pub(super) async fn ended(&mut self) -> Result<(), RunError> {
        let Some(task) = &mut self.task else { return Ok(()) };
        let ended = task.await;
        self.task = None;
        ended.map_err(|error| RunError::Panicked(error.to_string()))?
    }
}

/// Has all of them take nothing more.
pub(super) fn stop(sources: &mut [Source]) {
    sources.iter_mut().for_each(Source::stop);
}

/// Waits until all of them have ended, or one has failed.
pub(super) async fn ended(sources: &mut [Source]) -> Result<(), RunError> {
    try_join_all(sources.iter_mut().map(Source::ended)).await.map(drop)
}

async fn serve(
    kind: SourceKind,
    listener: Option<Listener>,
    feed: Feed<Router>,
    stop: CancellationToken,
) -> Result<(), RunError> {
    match (kind, listener) {
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
