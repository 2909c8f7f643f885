use tokio::time::{Duration, Instant, timeout_at};

use super::{Phase, Work, unpanicked};
use crate::{
    clock::Micros,
    delivery::{Class, Reason, Trail},
    dispatch::{
        batch::{Item, Parcel},
        export::Finished,
        outcome::{Decided, Verdict, describe, is_too_large},
    },
    store::{Outcome, Settled, Store, StoreError},
};

/// How long answers are gathered to be settled together while there is no room for more.
const GATHERING: Duration = Duration::from_millis(1);

impl<S: Store> Work<S> {
    /// Settles what came back, and whatever else came back meanwhile.
    pub(super) async fn settle(&mut self, first: Finished) -> Result<(), StoreError> {
        let mut came_back = vec![first];
        if self.is_full {
            self.gather(&mut came_back).await;
        }
        while let Some(finished) = self.deliveries.try_join_next() {
            came_back.push(unpanicked(finished));
        }
        let now = self.dispatcher.clock.now();
        let mut outcomes = Vec::with_capacity(came_back.len());
        for finished in came_back {
            self.end(finished, now, &mut outcomes);
        }
        if !outcomes.is_empty() {
            let store = self.dispatcher.store.clone();
            self.settling.spawn(async move { store.settle(outcomes).await });
        }
        if let Some(revived) = self.outcomes.take_revived() {
            self.settled().await?;
            self.dispatcher.store.revive(revived).await?;
            let message = "the last 20 answers all refused their profile; compare what is sent \
                           (profile-http explain) with what the endpoint expects";
            self.dispatcher.gate.close(Reason::RefusesEverything, message);
        }
        Ok(())
    }

    /// Ends a request: says what became of its profiles, or sends a part of them.
    fn end(&mut self, finished: Finished, now: Micros, outcomes: &mut Vec<Settled>) {
        let class = self.dispatcher.classes.of(&finished.result);
        let goes_on = self.phase != Phase::Stop;
        if self.outcomes.hear(&finished, class) == Verdict::Halve {
            let by_size = is_too_large(&finished);
            if by_size {
                self.sizes.was_too_large(finished.bytes);
            }
            let profiles = finished.parcel.items.len();
            tracing::debug!(profiles, reason = describe(&finished.result), "a batch is halved");
            let Finished { parcel, trail, .. } = finished;
            let part = parcel.halved(&trail, by_size);
            if goes_on {
                self.send_part(part);
            } else {
                release(part, outcomes);
            }
            return;
        }
        let mut delivered = true;
        for place in 0..finished.parcel.items.len() {
            let decided = self.outcomes.decide(&finished, place, class, now);
            self.report(&finished, place, class, &decided, now);
            delivered &= decided.outcome == Outcome::Delivered;
            let item = &finished.parcel.items[place];
            outcomes.push(item.settled(decided.outcome, &finished.trail));
        }
        if delivered {
            self.sizes.was_delivered();
        }
        // The rest would come back from a closed gate, too, but only after it had waited for a slot.
        match finished.parcel.next(delivered) {
            Some(part) if goes_on && class.is_some() => self.send_part(part),
            Some(part) => release(part, outcomes),
            None => {}
        }
    }

    /// Sends a part of a batch that was refused, or of that part what is known to fit.
    fn send_part(&mut self, mut part: Parcel) {
        if let Some(framing) = self.dispatcher.exporter.framing() {
            let bytes = |part: &Parcel| framing.bytes(part.items.iter().map(|item| &item.export));
            while part.items.len() > 1 && self.sizes.is_too_large(bytes(&part)) {
                part = part.halved_unsent();
            }
        }
        self.send(part, Trail::default());
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
    pub(super) async fn settled(&mut self) -> Result<(), StoreError> {
        while let Some(settled) = self.settling.join_next().await {
            unpanicked(settled)?;
        }
        Ok(())
    }

    fn report(
        &mut self,
        finished: &Finished,
        place: usize,
        class: Option<Class>,
        decided: &Decided,
        now: Micros,
    ) {
        let metrics = &self.dispatcher.metrics;
        let item = &finished.parcel.items[place];
        let (trigger, outcome) = (item.trigger, decided.label);
        self.exports
            .entry((trigger, outcome))
            .or_insert_with(|| metrics.exports(trigger, outcome))
            .inc();
        match (&decided.outcome, class) {
            (Outcome::Delivered, _) => {
                metrics.sent_events.inc();
                metrics.sent_bytes.inc_by(item.export.body.len() as u64);
                metrics.lag.observe(
                    Duration::from_micros(now.saturating_sub(item.due_since)).as_secs_f64(),
                );
                tracing::debug!(profile = %item.id, version = item.version, "delivered");
            }
            (Outcome::Refused(letter), _) => {
                tracing::warn!(
                    sink = metrics.name(),
                    profile = %item.id,
                    version = item.version,
                    status = letter.status,
                    request_id = letter.request_id,
                    reason = letter.reason,
                    "the endpoint refuses a profile; a dead letter until something relevant changes"
                );
            }
            (_, None) => {}
            _ => {
                tracing::debug!(
                    profile = %item.id,
                    version = item.version,
                    reason = describe(&finished.result),
                    "not delivered"
                );
            }
        }
    }
}

/// What was in flight goes back as it was.
fn release(part: Parcel, outcomes: &mut Vec<Settled>) {
    let untouched = Trail::default();
    let settled = |item: Item| item.settled(Outcome::Released, &untouched);
    outcomes.extend(part.into_items().map(settled));
}
