//! The API of a run, from the start of its sinks to their end.

use std::time::Duration;

use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::{RunError, sinks::Running};
use crate::{
    clock::Clock,
    config::ApiPlan,
    console::{self, Console},
    listen::{self, Listener},
    telemetry::Metrics,
};

/// How long calls that are under way at the end may take.
const CLOSING: Duration = Duration::from_secs(2);

/// An API that answers. Dropping it ends it at once.
pub(super) struct Api {
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
    let sinks = sinks.iter().map(Running::watched).collect();
    let (token, stopping) = (plan.token.clone(), stopping.clone());
    let console = Console::new(sinks, metrics.clone(), clock.clone(), token, stopping);
    let stop = CancellationToken::new();
    let answering = tokio::spawn(console::serve(listener, console, stop.clone()));
    Ok(Api { stop, answering: AbortOnDropHandle::new(answering) })
}

impl Api {
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
