use std::sync::Arc;

use tokio::time::{Duration, Instant};
use tower::ServiceExt;

use super::{Phase, Wait, Work};
use crate::{
    delivery::{Admission, Probe, Trail},
    dispatch::{
        batch::{Groups, Item, Parcel},
        export::Finished,
        letter,
        target::ExportError,
    },
    store::{Claim, Claims, Outcome, Settled, Store, StoreError},
};

/// What was claimed takes its slots within this time. Until then they look free.
const TAKING_SLOTS: Duration = Duration::from_millis(5);

/// Deliveries that pause while others go, at most.
const PAUSING: usize = 1024;

impl<S: Store> Work<S> {
    /// Claims and sends as much as may be under way, and says what to wait for.
    pub(super) async fn fill(&mut self) -> Result<Wait, StoreError> {
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
            let lot = self.lot(now);
            if let Some(end) = self.linger.filter(|_| lot > 1)
                && self.dispatcher.store.counts().ready < lot as u64
            {
                return Ok(Wait::Due(Some(end - now)));
            }
            let wanted = slots.saturating_mul(self.sizes.profiles());
            let Claims { ready, left, next_in } =
                self.dispatcher.store.claim_lots(wanted, lot).await?;
            self.is_due_after_none();
            let found = ready.len();
            let requests = self.send_all(&ready, slots);
            let taking = u32::try_from(requests).unwrap_or(u32::MAX);
            let interval = self.dispatcher.stack.rate.interval();
            self.paced_until = now + interval.saturating_mul(taking).min(TAKING_SLOTS);
            let linger = self.dispatcher.batch.linger;
            self.linger = (0 < left && left < lot).then(|| now + linger);
            if found < wanted {
                let waits = [self.linger.map(|_| linger), next_in];
                return Ok(Wait::Due(waits.into_iter().flatten().min()));
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
        self.send_one(&claim, Trail::of_probe(probe));
        Ok(Wait::Gate(None))
    }

    /// How many profiles must be ready to be claimed: as many as fill a request, for which the
    /// first of them wait a while, in the store, where newer updates can still replace them.
    fn lot(&self, now: Instant) -> usize {
        let is_over = self.linger.is_some_and(|end| end <= now);
        if is_over || self.phase == Phase::Drain { 1 } else { self.sizes.profiles() }
    }

    /// Sends what was claimed for so many requests, and says how many it took.
    fn send_all(&mut self, claims: &[Claim], slots: usize) -> usize {
        let Some(framing) = self.dispatcher.exporter.framing().cloned() else {
            for claim in claims {
                self.send_one(claim, Trail::default());
            }
            return claims.len();
        };
        let mut groups = Groups::new(&framing, &self.sizes);
        let mut alone = 0;
        for claim in claims {
            if self.outcomes.goes_alone(claim) {
                alone += 1;
                self.send_one(claim, Trail::default());
            } else if let Some(item) = self.render(claim) {
                groups.add(item);
            }
        }
        let parcels = groups.parcels();
        let requests = parcels.len();
        self.sizes.filled(claims.len() - alone, requests, slots.saturating_sub(alone).max(1));
        for parcel in parcels {
            self.send(parcel, Trail::default());
        }
        alone + requests
    }

    fn send_one(&mut self, claim: &Claim, trail: Trail) {
        if let Some(item) = self.render(claim) {
            self.send(Parcel::new(vec![item]), trail);
        }
    }

    pub(super) fn send(&mut self, parcel: Parcel, trail: Trail) {
        let exports = parcel.items.iter().map(|item| &item.export);
        let request = self.dispatcher.exporter.request(exports, &trail);
        let bytes = request.body().len();
        let service = self.dispatcher.stack.service.clone();
        // Boxed: a future of this size costs more to move into its task than to allocate.
        let delivery = Box::pin(async move {
            let result = service.oneshot(request).await;
            Finished { parcel, bytes, trail, result }
        });
        self.deliveries.spawn(delivery);
    }

    /// Renders a claim, or makes a dead letter of it.
    fn render(&mut self, claim: &Claim) -> Option<Item> {
        let exporter = &self.dispatcher.exporter;
        match exporter.export(&claim.known, claim.version, claim.confirmed) {
            Ok(export) => Some(Item::new(claim, export)),
            Err(error) => {
                self.bury(claim, &error);
                None
            }
        }
    }

    /// Makes a dead letter of what cannot be rendered.
    fn bury(&mut self, claim: &Claim, error: &ExportError) {
        let metrics = &self.dispatcher.metrics;
        metrics.errors(error.kind(), "processing").inc();
        let (sink, profile, reason) = (metrics.name(), claim.id, error.to_string());
        if claim.known.withdrawn.is_some() {
            tracing::warn!(sink, %profile, reason, "the endpoint cannot be told of withdrawn consent");
        } else {
            tracing::warn!(
                sink,
                %profile,
                reason,
                "a profile cannot be exported; a dead letter until something relevant changes"
            );
        }
        let letter = letter::unrenderable(claim, error.to_string(), self.dispatcher.clock.now());
        let outcome = Outcome::Refused(Arc::new(letter));
        let settled = Settled { id: claim.id, version: claim.version, outcome, unknown: false };
        let store = self.dispatcher.store.clone();
        self.settling.spawn(async move { store.settle(vec![settled]).await });
    }
}
