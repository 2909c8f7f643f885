//! The API of a run, from the start of its sinks to their end.

use std::time::Duration;

use tokio::{sync::watch, time::timeout};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::{RunError, sinks::Running};
use crate::{
    clock::{Clock, Micros},
    config::ApiPlan,
    console::{self, Answers, Console},
    listen::{self, Listener},
    telemetry::Metrics,
};

/// How long calls that are under way at the end may take.
const CLOSING: Duration = Duration::from_secs(2);

/// An API that answers. Dropping it ends it at once.
pub(super) struct Api {
    plan: ApiPlan,
    process: Process,
    answers: watch::Sender<Answers>,
    stop: CancellationToken,
    answering: AbortOnDropHandle<()>,
}

/// What an API says of the process besides its sinks.
#[derive(Clone)]
pub(super) struct Process {
    metrics: Metrics,
    clock: Clock,
    started: Micros,
    /// Told when the run begins to end.
    pub(super) stopping: CancellationToken,
}

/// Listens where the plan says. Nothing is answered before [`start`].
pub(super) async fn bind(plan: &ApiPlan) -> Result<Listener, RunError> {
    listen::bind(plan.address).await.map_err(RunError::Api)
}

/// Answers calls about these sinks. It goes on while the run ends.
pub(super) fn start(
    listener: Listener,
    plan: &ApiPlan,
    sinks: &[Running],
    process: &Process,
) -> Result<Api, RunError> {
    let address = listener.local_addr().map_err(RunError::Address)?;
    tracing::info!(%address, "the API listens");
    let (answers, current) = watch::channel(process.answers(plan, sinks));
    let stop = CancellationToken::new();
    let answering = tokio::spawn(console::serve(listener, current, stop.clone()));
    let answering = AbortOnDropHandle::new(answering);
    Ok(Api { plan: plan.clone(), process: process.clone(), answers, stop, answering })
}

impl Process {
    /// A process that starts now.
    pub(super) fn new(metrics: &Metrics, clock: &Clock) -> Self {
        Self {
            metrics: metrics.clone(),
            clock: clock.clone(),
            started: clock.now(),
            stopping: CancellationToken::new(),
        }
    }

    fn answers(&self, plan: &ApiPlan, sinks: &[Running]) -> Answers {
        let Self { metrics, clock, started, stopping } = self.clone();
        let sinks = sinks.iter().map(Running::watched).collect();
        Answers::of(Console::new(sinks, metrics, clock, started, plan.token.clone(), stopping))
    }
}

impl Api {
    /// Whether it listens where the plan says.
    pub(super) fn listens_at(&self, plan: &ApiPlan) -> bool {
        self.plan.address == plan.address
    }

    /// Answers calls about these sinks from now on, to those whom the plan allows to call.
    pub(super) fn show(&mut self, plan: &ApiPlan, sinks: &[Running]) {
        self.plan = plan.clone();
        self.answers.send_replace(self.process.answers(plan, sinks));
    }

    /// Lets calls that are under way end, and takes no more.
    pub(super) async fn close(self) {
        self.stop.cancel();
        let Self { mut answering, .. } = self;
        if timeout(CLOSING, &mut answering).await.is_err() {
            answering.abort();
            let _ = answering.await;
        }
    }
}
