//! The sinks of a run: each its store, its stack and its dispatcher.

use std::{path::PathBuf, sync::Arc};

use tokio::{sync::watch, task::JoinHandle};

use super::{
    RunError, gauges,
    router::{Door, Hold},
};
use crate::{
    clock::Clock,
    config::{Plan, SinkPlan},
    console::Watched,
    delivery::{self, ConcurrencyLimit, Gate, Proxy, Stack},
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
    door: Door,
    store: EmbeddedStore,
    gate: Gate,
    limit: ConcurrencyLimit,
    phase: watch::Sender<Phase>,
    /// Absent once it has ended.
    dispatcher: Option<JoinHandle<Result<(), StoreError>>>,
    /// Absent once they are kept no more.
    gauges: Option<JoinHandle<()>>,
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
    let prepare = |sink| {
        let prepared = Prepared::new(plan, sink, metrics, clock)?;
        let store = prepared.open()?;
        Ok((prepared, store))
    };
    let prepared = plan.sinks.iter().map(prepare).collect::<Result<Vec<_>, RunError>>()?;
    Ok(prepared.into_iter().map(|(prepared, store)| prepared.start(store)).collect())
}

/// A sink that can run once it has its store.
pub(super) struct Prepared {
    plan: SinkPlan,
    store_dir: PathBuf,
    gate: Gate,
    stack: Stack,
    clock: Clock,
    metrics: Arc<Component>,
}

impl Prepared {
    /// Sets up its stack.
    pub(super) fn new(
        plan: &Plan,
        sink: &SinkPlan,
        metrics: &Metrics,
        clock: &Clock,
    ) -> Result<Self, RunError> {
        let metrics = metrics.component(&sink.name, "sink", "profile_http");
        let gate = Gate::new(sink.delivery.request.retry_after_max, metrics.clone());
        let stack = delivery::stack(&sink.delivery, &gate, clock, &metrics)
            .map_err(|error| RunError::Stack { sink: sink.name.clone(), error })?;
        let (plan, store_dir) = (sink.clone(), plan.store_dir(sink));
        Ok(Self { plan, store_dir, gate, stack, clock: clock.clone(), metrics })
    }

    pub(super) fn name(&self) -> &str {
        &self.plan.name
    }

    /// Opens its store.
    pub(super) fn open(&self) -> Result<EmbeddedStore, RunError> {
        let Self { plan, store_dir, clock, metrics, .. } = self;
        let mapping = plan.mapping.clone();
        EmbeddedStore::open(store_dir, mapping, plan.state, clock.clone(), metrics.clone())
            .map_err(|error| RunError::Store { sink: plan.name.clone(), error })
    }

    /// Starts it with this store.
    pub(super) fn start(self, store: EmbeddedStore) -> Running {
        let sink = self.sink(&store);
        self.start_behind(Door::to(sink), store)
    }

    /// Starts it in place of `former`, whose store it goes on with. Records wait meanwhile.
    pub(super) async fn succeed(self, mut former: Running) -> Result<Running, RunError> {
        let hold = former.halt().await;
        let of_sink = |error| RunError::Store { sink: self.plan.name.clone(), error };
        let (mapping, clock) = (self.plan.mapping.clone(), self.clock.clone());
        let reopened = former.store.reopen(mapping, self.plan.state, clock, self.metrics.clone());
        let store = reopened.await.map_err(of_sink)?;
        self.gate.take_over(&former.gate);
        self.stack.limit.show();
        let sink = self.sink(&store);
        let running = self.start_behind(former.door, store);
        hold.lead_to(sink);
        Ok(running)
    }

    fn sink(&self, store: &EmbeddedStore) -> Sink {
        Sink::new(self.plan.mapping.clone(), store.clone(), self.metrics.clone())
    }

    fn start_behind(self, door: Door, store: EmbeddedStore) -> Running {
        let Self { plan, store_dir, gate, stack, clock, metrics } = self;
        let delivery = plan.delivery;
        let mapped_at = Arc::new(store.mapped_at().clone());
        let exporter = Exporter::new(plan.mapping, mapped_at, store.store_id(), &delivery)
            .batching(&plan.batch, &delivery);
        let endpoint = exporter.endpoint();
        let shown = Shown {
            title: plan.title,
            endpoint: endpoint.without_query(),
            store_dir: canonical(store_dir),
        };
        let name = plan.name;
        let proxies = delivery.request.proxy.as_ref();
        let proxy =
            proxies.and_then(|p| p.proxy_of(delivery.endpoint.origin())).map(Proxy::address);
        let host = endpoint.origin().authority().map_or("", |authority| authority.as_str());
        // The query may hold a secret.
        tracing::info!(sink = name, host, path = endpoint.path(), proxy, "delivering");
        let limit = stack.limit.clone();
        let dispatcher = Dispatcher {
            store: store.clone(),
            exporter,
            batch: plan.batch,
            gate: gate.clone(),
            stack,
            classes: delivery.request.classes,
            clock: clock.clone(),
            metrics: metrics.clone(),
        };
        let (phase, orders) = watch::channel(Phase::Run);
        let dispatcher = Some(tokio::spawn(dispatcher.run(orders)));
        let gauges = gauges::keep(store.clone(), gate.clone(), clock, metrics.clone());
        let gauges = Some(tokio::spawn(gauges));
        let inputs = plan.inputs;
        Running {
            name,
            inputs,
            shown,
            door,
            store,
            gate,
            limit,
            phase,
            dispatcher,
            gauges,
            metrics,
        }
    }
}

impl Running {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Where its records go in.
    pub(super) fn door(&self) -> Door {
        self.door.clone()
    }

    /// The same, if it takes the records of `source`.
    pub(super) fn takes_from(&self, source: &str) -> Option<Door> {
        self.inputs.iter().any(|input| input == source).then(|| self.door.clone())
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

    /// Shows its own gate and limit among the metrics, and not those of a sink that was only
    /// prepared.
    pub(super) fn show(&self) {
        self.gate.show();
        self.limit.show();
    }

    /// Waits until the dispatcher has ended.
    pub(super) async fn ended(&mut self) -> Result<(), RunError> {
        let Some(dispatcher) = &mut self.dispatcher else { return Ok(()) };
        let ended = dispatcher.await;
        self.dispatcher = None;
        let ended = ended.map_err(|error| RunError::Panicked(error.to_string()))?;
        ended.map_err(|error| RunError::Store { sink: self.name.clone(), error })
    }

    /// Waits while the files of its store are rewritten, before the end of which it cannot be opened
    /// again.
    pub(super) async fn rewritten(&self) {
        self.store.rewritten().await;
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

    /// Closes it for good, while others run on. Its store stays on disk.
    pub(super) async fn remove(mut self) -> Result<(), RunError> {
        self.halt().await.close();
        self.gate.retire();
        self.metrics.retire();
        let (sink, store) = (self.name.clone(), self.shown.store_dir.clone());
        self.close().await?;
        let store = store.display().to_string();
        tracing::info!(sink, store, "the sink was removed; its store stays on disk");
        Ok(())
    }

    /// Gives up what is still in flight and closes the store.
    pub(super) async fn close(mut self) -> Result<(), RunError> {
        self.give_up().await;
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

    /// Gives up what is still in flight, and holds back the records that come.
    async fn halt(&mut self) -> Hold {
        self.give_up().await;
        self.door.hold().await
    }

    async fn give_up(&mut self) {
        if let Some(gauges) = self.gauges.take() {
            gauges.abort();
            let _ = gauges.await;
        }
        if let Some(dispatcher) = self.dispatcher.take() {
            dispatcher.abort();
            let _ = dispatcher.await;
        }
    }
}

/// The one name of a directory, by which the commands know that they talk of the same.
fn canonical(path: PathBuf) -> PathBuf {
    std::fs::canonicalize(&path).unwrap_or(path)
}
