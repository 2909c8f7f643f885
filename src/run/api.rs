//! The API of a run, from the start of its sinks to their end.

use std::time::Duration;

use tokio::{sync::watch, time::timeout};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::{RunError, sinks::Running};
use crate::{
    clock::Clock,
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
    metrics: Metrics,
    clock: Clock,
    /// Told when the run begins to end.
    stopping: CancellationToken,
    answers: watch::Sender<Answers>,
    stop: CancellationToken,
    answering: AbortOnDropHandle<()>,
}

/// Listens where the plan says. Nothing is answered before [`start`].
pub(super) async fn bind(plan: &ApiPlan) -> Result<Listener, RunError> {
    listen::bind(plan.address).await.map_err(RunError::Api)
}

/// Answers calls about these sinks. It goes on while the run ends; `stopping` tells it that.
pub(super) fn start(
    listener: Listener,
    plan: &ApiPlan,
    sinks: &[Running],
    metrics: &Metrics,
    clock: &Clock,
    stopping: &CancellationToken,
) -> Result<Api, RunError> {
    let address = listener.local_addr().map_err(RunError::Address)?;
    tracing::info!(%address, "the API listens");
    let (metrics, clock, stopping) = (metrics.clone(), clock.clone(), stopping.clone());
    let console = console(plan, sinks, &metrics, &clock, &stopping);
    let (answers, current) = watch::channel(Answers::of(console));
    let stop = CancellationToken::new();
    let answering = tokio::spawn(console::serve(listener, current, stop.clone()));
    let answering = AbortOnDropHandle::new(answering);
    Ok(Api { plan: plan.clone(), metrics, clock, stopping, answers, stop, answering })
}

impl Api {
    /// Whether it listens where the plan says.
    pub(super) fn listens_at(&self, plan: &ApiPlan) -> bool {
        self.plan.address == plan.address
    }

    /// Answers calls about these sinks from now on, to those whom the plan allows to call.
    pub(super) fn show(&mut self, plan: &ApiPlan, sinks: &[Running]) {
        self.plan = plan.clone();
        let console = console(plan, sinks, &self.metrics, &self.clock, &self.stopping);
        self.answers.send_modify(|answers| *answers = answers.followed_by(console));
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

fn console(
    plan: &ApiPlan,
    sinks: &[Running],
    metrics: &Metrics,
    clock: &Clock,
    stopping: &CancellationToken,
) -> Console {
    let sinks = sinks.iter().map(Running::watched).collect();
    Console::new(sinks, metrics.clone(), clock.clone(), plan.token.clone(), stopping.clone())
}
