use std::{
    future::{Future, pending},
    time::Duration,
};

use futures_util::future::{select_all, try_join_all};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{
    Ended, Limits, Router, RunError,
    api::{self, Api, Process},
    router::Door,
    sinks::{Running, start},
};
use crate::{clock::Clock, config::Plan, dispatch::Phase, telemetry::Metrics};

/// The sinks of a plan and their API, without its sources: for a program that has records of its
/// own. [`run`](super::run) is one.
///
/// It must be [closed](Self::close) in the end; dropping it leaves what is in flight to its fate.
pub struct Sinks {
    pub(super) running: Vec<Running>,
    pub(super) api: Option<Api>,
    pub(super) process: Process,
}

impl Sinks {
    /// Opens all stores and listens where the API is, then starts. On an error nothing runs.
    pub async fn start(plan: &Plan, metrics: &Metrics, clock: &Clock) -> Result<Self, RunError> {
        let api_listener = match &plan.api {
            Some(api) => Some((api::bind(api).await?, api)),
            None => None,
        };
        let running = start(plan, metrics, clock)?;
        let process = Process::new(metrics, clock);
        let api = api_listener
            .map(|(listener, api)| api::start(listener, api, &running, &process))
            .transpose()?;
        Ok(Self { running, api, process })
    }

    /// Takes records for all of the sinks.
    pub fn intake(&self) -> Router {
        Router::new(self.running.iter().map(Running::door))
    }

    /// Takes the records of a source for the sinks that name it.
    pub(super) fn intake_of(&self, source: &str) -> Router {
        Router::new(self.doors_of(source))
    }

    /// Where the records of a source go in.
    pub(super) fn doors_of(&self, source: &str) -> impl Iterator<Item = Door> {
        self.running.iter().filter_map(move |sink| sink.takes_from(source))
    }

    /// Waits until a sink cannot go on, which is never while all is well.
    pub async fn broken(&mut self) -> RunError {
        broken(&mut self.running).await
    }

    /// Delivers what is due and ends, earlier if it is told to stop or the time for it is over.
    pub(super) async fn drain(
        &mut self,
        limits: Limits,
        stop: impl Future<Output = ()>,
    ) -> Result<Ended, RunError> {
        let waiting = self.waiting();
        tracing::info!(
            waiting,
            "every source has ended; the run ends when nothing is due (earlier by a signal, or by \
             --drain-limit-secs)"
        );
        self.order(Phase::Drain);
        let deadline = limits.drain.map(|limit| Instant::now() + limit);
        let late = async {
            match deadline {
                Some(deadline) => sleep_until(deadline).await,
                None => pending().await,
            }
        };
        let stopped = tokio::select! {
            ended = self.all_ended() => {
                ended?;
                return Ok(Ended::Drained);
            }
            () = late => false,
            () = stop => {
                tracing::info!("stopping: what is in flight ends");
                true
            }
        };
        let waiting = self.stop_by(Instant::now() + limits.shutdown).await;
        Ok(if stopped { Ended::Stopped { waiting } } else { Ended::DrainLimit { waiting } })
    }

    /// Tells callers of the API that the end has begun.
    pub(super) fn announce_stop(&self) {
        self.process.stopping.cancel();
    }

    /// Lets what is in flight end, for at most `limit`. Gives the number of profiles that still
    /// wait; they stay in the stores.
    pub async fn stop(&mut self, limit: Duration) -> u64 {
        self.announce_stop();
        self.stop_by(Instant::now() + limit).await
    }

    pub(super) async fn stop_by(&mut self, deadline: Instant) -> u64 {
        self.order(Phase::Stop);
        // Why a dispatcher failed is said when its store is closed.
        let _ = timeout_at(deadline, self.all_ended()).await;
        self.waiting()
    }

    /// Gives up what is still in flight, and closes the API and the stores, which may be opened
    /// again then.
    pub async fn close(self) -> Result<(), RunError> {
        if let Some(api) = self.api {
            api.close().await;
        }
        for sink in self.running {
            sink.close().await?;
        }
        Ok(())
    }

    /// Waits until every dispatcher has ended.
    async fn all_ended(&mut self) -> Result<(), RunError> {
        ended(&mut self.running).await
    }

    fn order(&self, phase: Phase) {
        for sink in &self.running {
            sink.order(phase);
        }
    }

    fn waiting(&self) -> u64 {
        self.running.iter().map(Running::waiting).sum()
    }
}

/// Waits until the dispatchers of these sinks have ended.
pub(super) async fn ended(sinks: &mut [Running]) -> Result<(), RunError> {
    try_join_all(sinks.iter_mut().map(Running::ended)).await.map(drop)
}

/// Waits until one of these sinks cannot go on, which is never while all is well.
pub(super) async fn broken(sinks: &mut [Running]) -> RunError {
    if sinks.is_empty() {
        return pending().await;
    }
    select_all(sinks.iter_mut().map(|sink| Box::pin(sink.broken()))).await.0
}
