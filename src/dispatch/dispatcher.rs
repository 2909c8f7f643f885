//! The task that delivers: what it holds, what it waits for, and how it ends.

mod filling; // claims what is due and sends it
mod settling; // settles what became of it

use std::{collections::HashMap, sync::Arc};

use prometheus_client::metrics::counter::Counter;
use tokio::{
    sync::watch,
    task::{JoinError, JoinSet},
    time::{Duration, Instant, sleep_until},
};

use super::{
    batch::{BatchSettings, Sizes},
    export::{Exporter, Finished},
    outcome::Outcomes,
    probes::Probes,
};
use crate::{
    clock::Clock,
    delivery::{Classes, Gate, Stack},
    store::{Store, StoreError},
    telemetry::Component,
};

/// What a dispatcher is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Deliver what is due, now and later.
    Run,
    /// Deliver what is due and end.
    Drain,
    /// Claim nothing more, let what is in flight end, and end.
    Stop,
}

/// The dispatcher of one sink.
pub struct Dispatcher<S> {
    /// Where profiles are claimed and settled.
    pub store: S,
    /// Renders them, [batching](Exporter::batching) by the same settings.
    pub exporter: Exporter,
    /// How many profiles share a request.
    pub batch: BatchSettings,
    /// Whether the endpoint can take anything.
    pub gate: Gate,
    /// Carries requests to the endpoint.
    pub stack: Stack,
    /// The classes of its answers.
    pub classes: Classes,
    /// The time of day.
    pub clock: Clock,
    /// What is counted.
    pub metrics: Arc<Component>,
}

impl<S: Store> Dispatcher<S> {
    /// Delivers until `phase` tells it to end, or the store fails.
    pub async fn run(self, phase: watch::Receiver<Phase>) -> Result<(), StoreError> {
        let work = Work {
            sizes: Sizes::new(&self.batch),
            dispatcher: self,
            deliveries: JoinSet::new(),
            settling: JoinSet::new(),
            outcomes: Outcomes::default(),
            probes: Probes::default(),
            exports: HashMap::new(),
            paced_until: Instant::now(),
            due_after_none: 0,
            linger: None,
            is_full: false,
            phase: Phase::Run,
        };
        work.run(phase).await
    }
}

struct Work<S> {
    dispatcher: Dispatcher<S>,
    deliveries: JoinSet<Finished>,
    settling: JoinSet<Result<(), StoreError>>,
    outcomes: Outcomes,
    sizes: Sizes,
    probes: Probes,
    exports: HashMap<(&'static str, &'static str), Counter>,
    /// Until when what was claimed last may not have taken its slots of the rate limit.
    paced_until: Instant,
    /// What the store had counted under this name when something was last claimed.
    due_after_none: u64,
    /// Until when what fills no request waits for more.
    linger: Option<Instant>,
    /// Whether as much is under way as may be.
    is_full: bool,
    phase: Phase,
}

/// What there is to wait for besides the answers that are under way.
enum Wait {
    /// Something becoming due, or the time of a profile that waits.
    Due(Option<Duration>),
    /// The gate's time, its change, or something becoming due after nothing was.
    Gate(Option<Instant>),
    /// The next slot of the rate limit.
    Slot(Instant),
    /// Answers only: as much is under way as may be.
    Answers,
}

impl<S: Store> Work<S> {
    async fn run(mut self, mut phase: watch::Receiver<Phase>) -> Result<(), StoreError> {
        loop {
            self.phase = *phase.borrow_and_update();
            if self.phase == Phase::Stop {
                break;
            }
            let wait = self.fill().await?;
            if self.phase == Phase::Drain && self.is_drained() {
                break;
            }
            self.wait(wait, &mut phase).await?;
        }
        while let Some(finished) = self.deliveries.join_next().await {
            self.settle(unpanicked(finished)).await?;
        }
        self.settled().await
    }

    fn is_drained(&self) -> bool {
        let counts = self.dispatcher.store.counts();
        let at_rest = self.deliveries.is_empty() && self.settling.is_empty();
        at_rest && counts.complete && counts.unreconciled == 0 && counts.due == 0
    }

    async fn wait(
        &mut self,
        wait: Wait,
        phase: &mut watch::Receiver<Phase>,
    ) -> Result<(), StoreError> {
        self.is_full = matches!(wait, Wait::Answers);
        let Dispatcher { store, gate, stack, .. } = &mut self.dispatcher;
        // `None` waits for ever.
        let (due, until) = match wait {
            Wait::Due(next_in) => (true, next_in.map(|wait| Instant::now() + wait)),
            Wait::Gate(until) => (true, until),
            Wait::Slot(until) => (false, Some(until)),
            Wait::Answers => (false, None),
        };
        tokio::select! {
            Some(finished) = self.deliveries.join_next() => {
                self.settle(unpanicked(finished)).await
            }
            Some(settled) = self.settling.join_next() => unpanicked(settled),
            () = store.wait_due(), if due => Ok(()),
            () = gate.changed() => Ok(()),
            () = stack.pauses.began() => Ok(()),
            () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => Ok(()),
            Ok(()) = phase.changed() => Ok(()),
        }
    }
}

/// The result of a task. A panic in one goes on here, so that the process does not run on with a
/// profile in flight for ever.
fn unpanicked<T>(joined: Result<T, JoinError>) -> T {
    match joined {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
