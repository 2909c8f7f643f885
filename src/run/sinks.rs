//! The sinks of a run: each its store, its stack and its dispatcher.

use std::{path::PathBuf, sync::Arc};

use tokio::{sync::watch, task::JoinHandle};

use super::{RunError, gauges};
use crate::{
    clock::Clock,
    config::{Plan, SinkPlan},
    console::Watched,
    delivery::{self, Gate, Proxy},
    dispatch::{Dispatcher, Exporter, Phase},
    sink::Sink,
    store::{Store, StoreError, embedded::EmbeddedStore},
    telemetry::{Component, Metrics},
};

/// A sink that runs.
pub(super) struct Running {
    name: String,
    inputs: Vec<String>,
    shown: Shown,
    sink: Sink,
    store: EmbeddedStore,
    gate: Gate,
    phase: watch::Sender<Phase>,
    /// Absent once it has ended.
    dispatcher: Option<JoinHandle<Result<(), StoreError>>>,
    gauges: JoinHandle<()>,
    metrics: Arc<Component>,
}

/// What the API shows of a sink that does not change.
struct Shown {
    title: String,
    endpoint: String,
    store_dir: PathBuf,
}

/// Opens all stores and sets up all stacks, then starts the dispatchers.
pub(super) fn start(
    plan: &Plan,
    metrics: &Metrics,
    clock: &Clock,
) -> Result<Vec<Running>, RunError> {
    let prepare = |sink| Prepared::new(plan, sink, metrics, clock);
    let prepared = plan.sinks.iter().map(prepare).collect::<Result<Vec<_>, _>>()?;
    Ok(prepared.into_iter().map(Prepared::start).collect())
}

/// A sink that can run.
struct Prepared {
    name: String,
    inputs: Vec<String>,
    shown: Shown,
    sink: Sink,
    store: EmbeddedStore,
    dispatcher: Dispatcher<EmbeddedStore>,
    metrics: Arc<Component>,
    /// The proxy on the way to the endpoint, for the log.
    proxy: Option<String>,
}

impl Prepared {
    fn new(
        plan: &Plan,
        sink: &SinkPlan,
        metrics: &Metrics,
        clock: &Clock,
    ) -> Result<Self, RunError> {
        let name = sink.name.clone();
        let metrics = metrics.component(&name, "sink", "profile_http");
        let mapping = sink.mapping.clone();
        let gate = Gate::new(sink.delivery.request.retry_after_max, metrics.clone());
        let stack = delivery::stack(&sink.delivery, &gate, clock, &metrics)
            .map_err(|error| RunError::Stack { sink: name.clone(), error })?;
        let store = EmbeddedStore::open(
            &plan.store_dir(sink),
            mapping.clone(),
            sink.state,
            clock.clone(),
            metrics.clone(),
        )
        .map_err(|error| RunError::Store { sink: name.clone(), error })?;
        let mapped_at = Arc::new(store.mapped_at().clone());
        let store_id = store.store_id();
        let exporter = Exporter::new(mapping.clone(), mapped_at, store_id, &sink.delivery)
            .batching(&sink.batch, &sink.delivery);
        let dispatcher = Dispatcher {
            store: store.clone(),
            exporter,
            batch: sink.batch.clone(),
            gate,
            stack,
            classes: sink.delivery.request.classes.clone(),
            clock: clock.clone(),
            metrics: metrics.clone(),
        };
        let inputs = sink.inputs.clone();
        let proxies = sink.delivery.request.proxy.as_ref();
        let proxy =
            proxies.and_then(|p| p.proxy_of(sink.delivery.endpoint.origin())).map(Proxy::address);
        let shown = Shown {
            title: sink.title.clone(),
            endpoint: dispatcher.exporter.endpoint().without_query(),
            store_dir: canonical(plan.store_dir(sink)),
        };
        let sink = Sink::new(mapping, store.clone(), metrics.clone());
        Ok(Self { name, inputs, shown, sink, store, dispatcher, metrics, proxy })
    }

    fn start(self) -> Running {
        let Self { name, inputs, shown, sink, store, dispatcher, metrics, proxy } = self;
        let (gate, clock) = (dispatcher.gate.clone(), dispatcher.clock.clone());
        let endpoint = dispatcher.exporter.endpoint();
        let host = endpoint.origin().authority().map_or("", |authority| authority.as_str());
        // The query may hold a secret.
        tracing::info!(sink = name, host, path = endpoint.path(), proxy, "delivering");
        let (phase, orders) = watch::channel(Phase::Run);
        let dispatcher = Some(tokio::spawn(dispatcher.run(orders)));
        let gauges =
            tokio::spawn(gauges::keep(store.clone(), gate.clone(), clock, metrics.clone()));
        Running { name, inputs, shown, sink, store, gate, phase, dispatcher, gauges, metrics }
    }
}

impl Running {
    /// The sink, to be fed.
    pub(super) fn sink(&self) -> Sink {
        self.sink.clone()
    }

    /// The sink, if it takes the records of `source`.
    pub(super) fn takes_from(&self, source: &str) -> Option<Sink> {
        self.inputs.iter().any(|input| input == source).then(|| self.sink.clone())
    }

    /// The sink, for the API.
    pub(super) fn watched(&self) -> Watched {
        let Shown { title, endpoint, store_dir } = &self.shown;
        Watched {
            name: self.name.clone(),
            title: title.clone(),
            endpoint: endpoint.clone(),
            store_dir: store_dir.clone(),
            store: self.store.clone(),
            gate: self.gate.clone(),
            metrics: self.metrics.clone(),
        }
    }

    /// Tells the dispatcher what to do.
    pub(super) fn order(&self, phase: Phase) {
        self.phase.send_replace(phase);
    }

    /// Waits until the dispatcher has ended.
    pub(super) async fn ended(&mut self) -> Result<(), RunError> {
        let Some(dispatcher) = &mut self.dispatcher else { return Ok(()) };
        let ended = dispatcher.await;
        self.dispatcher = None;
        let ended = ended.map_err(|error| RunError::Panicked(error.to_string()))?;
        ended.map_err(|error| RunError::Store { sink: self.name.clone(), error })
    }

    /// Waits until the sink cannot go on, which is never while all is well.
    pub(super) async fn broken(&mut self) -> RunError {
        let store = self.store.clone();
        let name = self.name.clone();
        tokio::select! {
            error = store.failed() => RunError::Store { sink: name, error },
            ended = self.ended() => match ended {
                Err(error) => error,
                Ok(()) => std::future::pending().await,
            },
        }
    }

    /// Profiles that wait for delivery.
    pub(super) fn waiting(&self) -> u64 {
        self.store.counts().due
    }

    /// Gives up what is still in flight and closes the store.
    pub(super) async fn close(self) -> Result<(), RunError> {
        self.gauges.abort();
        if let Some(dispatcher) = self.dispatcher {
            dispatcher.abort();
            let _ = dispatcher.await;
        }
        let counts = self.store.counts();
        tracing::info!(
            sink = self.name,
            delivered = self.metrics.sent_events.get(),
            invalid = self.metrics.updates("invalid").get(),
            waiting = counts.due,
            dead_letters = counts.dead,
            "ended"
        );
        self.store.stop().await.map_err(|error| RunError::Store { sink: self.name, error })
    }
}

/// The one name of a directory, by which the commands know that they talk of the same.
fn canonical(path: PathBuf) -> PathBuf {
    std::fs::canonicalize(&path).unwrap_or(path)
}
