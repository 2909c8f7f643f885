//! Wires sources to sinks, runs them, and brings them to an end.

mod api;
mod changes;
mod error;
mod gauges;
mod group;
mod reload;
mod router;
mod sinks;
mod sources;

use std::{
    convert::Infallible,
    future::{Future, pending},
    pin::pin,
    time::Duration,
};

use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};

pub use error::RunError;
pub use group::Sinks;
pub use router::Router;

use self::{
    reload::Reloaded,
    sources::{Bound, Source},
};
use crate::{clock::Clock, config::Plan, telemetry::Metrics};

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
///
/// Each plan that comes from `plans` takes the place of the former one, as far as they differ; one
/// that cannot is refused in the log, and the former one goes on. Their files should have been
/// [checked](crate::config::check_files).
pub async fn run(
    plan: Plan,
    limits: Limits,
    metrics: &Metrics,
    stop: impl Future<Output = ()>,
    mut plans: mpsc::Receiver<Plan>,
) -> Result<Ended, RunError> {
    let mut run = Run::start(plan, metrics).await?;
    let mut stop = pin!(stop);
    let interrupted = loop {
        let reloaded = tokio::select! {
            ended = sources::ended(&mut run.sources) => { ended?; break false }
            error = run.sinks.broken() => Err(error),
            () = &mut stop => break true,
            Some(new) = plans.recv() => run.reload(new, limits.shutdown, stop.as_mut()).await,
        };
        match reloaded {
            Ok(Reloaded::Stopped) => break true,
            Ok(Reloaded::Done | Reloaded::Refused) => {}
            Err(error) => {
                run.turn_away().await;
                return Err(error);
            }
        }
    };
    let Run { mut sources, mut sinks, .. } = run;
    let ended = if interrupted {
        tracing::info!("stopping: nothing more is taken, what is in flight ends");
        let deadline = Instant::now() + limits.shutdown;
        sinks.announce_stop();
        sources::stop(&mut sources);
        let _ = timeout_at(deadline, sources::ended(&mut sources)).await;
        drop(sources);
        Ended::Stopped { waiting: sinks.stop_by(deadline).await }
    } else {
        tokio::select! {
            ended = sinks.drain(limits, stop) => ended?,
            never = refuse(plans, metrics) => match never {},
        }
    };
    sinks.close().await?;
    Ok(ended)
}

/// What runs, and by which plan.
struct Run<'m> {
    plan: Plan,
    sources: Vec<Source>,
    sinks: Sinks,
    metrics: &'m Metrics,
    clock: Clock,
}

impl<'m> Run<'m> {
    async fn start(plan: Plan, metrics: &'m Metrics) -> Result<Self, RunError> {
        let clock = Clock::system();
        let mut bound = Vec::with_capacity(plan.sources.len());
        for source in &plan.sources {
            bound.push(Bound::new(source, None, metrics).await?);
        }
        let sinks = Sinks::start(&plan, metrics, &clock).await?;
        let start = |source: Bound| {
            let router = sinks.intake_of(source.name());
            source.start(router, &clock)
        };
        let sources = bound.into_iter().map(start).collect::<Result<_, _>>()?;
        Ok(Self { plan, sources, sinks, metrics, clock })
    }
}

/// Refuses plans while the run comes to its end.
async fn refuse(mut plans: mpsc::Receiver<Plan>, metrics: &Metrics) -> Infallible {
    while plans.recv().await.is_some() {
        metrics.reload_rejected().inc();
        tracing::error!(
            "not reloaded: every source has ended, and the run ends when nothing is due"
        );
    }
    pending().await
}
