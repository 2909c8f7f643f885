use std::{collections::HashMap, sync::Arc};

use prometheus_client::metrics::counter::Counter;
use tokio::{
    sync::watch,
    task::{JoinError, JoinSet},
    time::{Duration, Instant, sleep_until, timeout_at},
};
use tower::ServiceExt;

use super::{
    export::{Exporter, Finished},
    letter,
    outcome::{Decided, Outcomes, describe},
    probes::Probes,
    target::ExportError,
};
use crate::{
    clock::{Clock, Micros},
    delivery::{Admission, Class, Classes, Gate, Probe, Reason, Stack, Trail},
    store::{Claim, Outcome, Settled, Store, StoreError},
    telemetry::Component,
};

/// What was claimed takes its slots within this time. Until then they look free.
const TAKING_SLOTS: Duration = Duration::from_millis(5);

/// Deliveries that pause while others go, at most.
const PAUSING: usize = 1024;

/// How long answers are gathered to be settled together while there is no room for more.
const GATHERING: Duration = Duration::from_millis(1);

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
    /// Renders them.
    pub exporter: Exporter,
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
            dispatcher: self,
            deliveries: JoinSet::new(),
            settling: JoinSet::new(),
            outcomes: Outcomes::default(),
            probes: Probes::default(),
            exports: HashMap::new(),
            paced_until: Instant::now(),
            due_after_none: 0,
            is_full: false,
        };
        work.run(phase).await
    }
}

struct Work<S> {
    dispatcher: Dispatcher<S>,
    deliveries: JoinSet<Finished>,
    settling: JoinSet<Result<(), StoreError>>,
    outcomes: Outcomes,
    probes: Probes,
    exports: HashMap<(&'static str, &'static str), Counter>,
    /// Until when what was claimed last may not have taken its slots of the rate limit.
    paced_until: Instant,
    /// What the store had counted under this name when something was last claimed.
    due_after_none: u64,
    /// Whether as much is under way as may be.
    is_full: bool,
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
            let now = *phase.borrow_and_update();
            if now == Phase::Stop {
                break;
            }
            let wait = self.fill().await?;
            if now == Phase::Drain && self.is_drained() {
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
        at_rest && counts.complete && counts.due == 0
    }

    /// Claims and sends as much as may be under way, and says what to wait for.
    async fn fill(&mut self) -> Result<Wait, StoreError> {
        loop {
            match self.dispatcher.gate.ask() {
                Admission::Closed { until } => {
                    if self.is_due_after_none() {
                        self.dispatcher.gate.profile_due_after_empty();
                        continue;
                    }
                    return Ok(Wait::Gate(until));
                }
                Admission::Probe(probe) => return self.probe(probe).await,
                Admission::Open => {}
            }
            // Who pauses between two attempts holds no permit.
            let pausing = self.dispatcher.stack.pauses.count().min(PAUSING);
            let limit = self.dispatcher.stack.limit.current() + pausing;
            let room = limit.saturating_sub(self.deliveries.len());
            if room == 0 {
                return Ok(Wait::Answers);
            }
            let now = Instant::now();
            if now < self.paced_until {
                return Ok(Wait::Slot(self.paced_until));
            }
            let slots = match self.dispatcher.stack.rate.available() {
                Ok(slots) => slots.min(room),
                Err(wait) => return Ok(Wait::Slot(now + wait)),
            };
            let claims = self.dispatcher.store.claim(slots).await?;
            self.is_due_after_none();
            let found = claims.ready.len();
            for claim in claims.ready {
                self.send(&claim, Trail::default());
            }
            let taking = u32::try_from(found).unwrap_or(u32::MAX);
            let interval = self.dispatcher.stack.rate.interval();
            self.paced_until = now + interval.saturating_mul(taking).min(TAKING_SLOTS);
            if found < slots {
                return Ok(Wait::Due(claims.next_in));
            }
        }
    }

    /// Whether a profile has become due after none was, since this was last asked.
    fn is_due_after_none(&mut self) -> bool {
        let count = self.dispatcher.store.counts().due_after_none;
        std::mem::replace(&mut self.due_after_none, count) != count
    }

    async fn probe(&mut self, probe: Probe) -> Result<Wait, StoreError> {
        let (claim, next_in) = self.probes.claim(&self.dispatcher.store, probe.closure()).await?;
        self.is_due_after_none();
        let Some(claim) = claim else {
            // The permission is dropped, and asked for again when there is something to probe with.
            return Ok(Wait::Due(next_in));
        };
        self.send(&claim, Trail::of_probe(probe));
        Ok(Wait::Gate(None))
    }

    fn send(&mut self, claim: &Claim, trail: Trail) {
        let exporter = &self.dispatcher.exporter;
        let export = match exporter.export(&claim.known, claim.version, claim.confirmed) {
            Ok(export) => export,
            Err(error) => return self.bury(claim, &error),
        };
        let request = exporter.request(&export, &trail);
        let finish = Finished::new(claim, &export, trail);
        let service = self.dispatcher.stack.service.clone();
        // Boxed: a future of this size costs more to move into its task than to allocate.
        let delivery = Box::pin(async move { finish(service.oneshot(request).await) });
        self.deliveries.spawn(delivery);
    }

    /// Makes a dead letter of what cannot be rendered.
    fn bury(&mut self, claim: &Claim, error: &ExportError) {
        let metrics = &self.dispatcher.metrics;
        metrics.errors(error.kind(), "processing").inc();
        tracing::warn!(
            sink = metrics.name(),
            profile = %claim.id,
            reason = error.to_string(),
            "a profile cannot be exported; a dead letter until something relevant changes"
        );
        let letter = letter::unrenderable(claim, error.to_string(), self.dispatcher.clock.now());
        let outcome = Outcome::Refused(Arc::new(letter));
        let settled = Settled { id: claim.id, version: claim.version, outcome, unknown: false };
        let store = self.dispatcher.store.clone();
        self.settling.spawn(async move { store.settle(vec![settled]).await });
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

    /// Settles what came back, and whatever else came back meanwhile.
    async fn settle(&mut self, first: Finished) -> Result<(), StoreError> {
        let mut came_back = vec![first];
        if self.is_full {
            self.gather(&mut came_back).await;
        }
        while let Some(finished) = self.deliveries.try_join_next() {
            came_back.push(unpanicked(finished));
        }
        let now = self.dispatcher.clock.now();
        let mut outcomes = Vec::with_capacity(came_back.len());
        let mut revive = Vec::new();
        for finished in came_back {
            let class = self.dispatcher.classes.of(&finished.result);
            let decided = self.outcomes.decide(&finished, class, now);
            self.report(&finished, class, &decided, now);
            outcomes.push(Settled {
                id: finished.id,
                version: finished.version,
                outcome: decided.outcome,
                unknown: finished.trail.unknown(),
            });
            revive.extend(decided.revive);
        }
        let store = self.dispatcher.store.clone();
        self.settling.spawn(async move { store.settle(outcomes).await });
        if !revive.is_empty() {
            self.settled().await?;
            self.dispatcher.store.revive(revive).await?;
            let message = "the last 20 answers all refused their profile; compare what is sent \
                           (profile-http explain) with what the endpoint expects";
            self.dispatcher.gate.close(Reason::RefusesEverything, message);
        }
        Ok(())
    }

    /// Waits for a quarter of what may be under way, or a moment. While there is more to deliver
    /// than slots, calling the store for each answer would cost more than the answers do.
    async fn gather(&mut self, came_back: &mut Vec<Finished>) {
        let enough = self.dispatcher.stack.limit.current().div_ceil(4);
        let end = Instant::now() + GATHERING;
        while came_back.len() < enough {
            match timeout_at(end, self.deliveries.join_next()).await {
                Ok(Some(finished)) => came_back.push(unpanicked(finished)),
                Ok(None) | Err(_) => break,
            }
        }
    }

    /// Waits until everything handed to the store so far is settled.
    async fn settled(&mut self) -> Result<(), StoreError> {
        while let Some(settled) = self.settling.join_next().await {
            unpanicked(settled)?;
        }
        Ok(())
    }

    fn report(
        &mut self,
        finished: &Finished,
        class: Option<Class>,
        decided: &Decided,
        now: Micros,
    ) {
        let metrics = &self.dispatcher.metrics;
        let (trigger, outcome) = (finished.trigger, decided.label);
        self.exports
            .entry((trigger, outcome))
            .or_insert_with(|| metrics.exports(trigger, outcome))
            .inc();
        match (&decided.outcome, class) {
            (Outcome::Delivered, _) => {
                metrics.sent_events.inc();
                metrics.sent_bytes.inc_by(finished.body_bytes as u64);
                metrics.lag.observe(
                    Duration::from_micros(now.saturating_sub(finished.due_since)).as_secs_f64(),
                );
                tracing::debug!(profile = %finished.id, version = finished.version, "delivered");
            }
            (Outcome::Refused(letter), _) => {
                tracing::warn!(
                    sink = metrics.name(),
                    profile = %finished.id,
                    version = finished.version,
                    status = letter.status,
                    request_id = letter.request_id,
                    reason = letter.reason,
                    "the endpoint refuses a profile; a dead letter until something relevant changes"
                );
            }
            (_, None) => {}
            _ => {
                tracing::debug!(
                    profile = %finished.id,
                    version = finished.version,
                    reason = describe(&finished.result),
                    "not delivered"
                );
            }
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
