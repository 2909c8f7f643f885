use std::sync::{Arc, PoisonError, RwLock};

use futures_util::future::try_join_all;

use crate::{
    record::{Ack, Batch, Intake, Unavailable},
    sink::Sink,
};

/// Hands records to the sinks that take them. Which sinks these are may change while records come;
/// clones share that.
#[derive(Clone)]
pub struct Router(Arc<RwLock<Arc<[Door]>>>);

impl Router {
    pub(super) fn new(doors: impl Iterator<Item = Door>) -> Self {
        Self(Arc::new(RwLock::new(doors.collect())))
    }

    /// Hands records to these sinks from now on.
    pub(super) fn lead_to(&self, doors: impl Iterator<Item = Door>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = doors.collect();
    }
}

impl Intake for Router {
    async fn take(&self, batch: Batch) -> Result<Ack, Unavailable> {
        let mut sum = Ack::default();
        let mut offered: Vec<Door> = Vec::new();
        loop {
            let doors = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
            let new: Vec<_> =
                doors.iter().filter(|door| !offered.iter().any(|other| door.is(other))).collect();
            let acks = try_join_all(new.iter().map(|door| door.take(&batch))).await?;
            let was_removed = acks.iter().any(Option::is_none);
            acks.into_iter().flatten().for_each(|ack| sum += ack);
            if !was_removed {
                break;
            }
            // Another one may have come in the place of a sink that was removed just now.
            offered.extend(new.into_iter().cloned());
        }
        sum.received = batch.records.len() as u64;
        Ok(sum)
    }
}

/// Where the records of a sink go in. While what is behind it is changed, they wait.
#[derive(Clone)]
pub(super) struct Door(Arc<tokio::sync::RwLock<Option<Sink>>>);

impl Door {
    pub(super) fn to(sink: Sink) -> Self {
        Self(Arc::new(tokio::sync::RwLock::new(Some(sink))))
    }

    /// Lets what is under way be taken, and holds everything else back as long as the hold lasts.
    pub(super) async fn hold(&self) -> Hold {
        Hold(self.0.clone().write_owned().await)
    }

    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Nothing if the sink was removed after it had been decided who takes the batch.
    async fn take(&self, batch: &Batch) -> Result<Option<Ack>, Unavailable> {
        match &*self.0.read().await {
            Some(sink) => sink.take(batch).await.map(Some),
            None => Ok(None),
        }
    }
}

/// What is held back at a door. Dropping it without another word lets it go on as before.
pub(super) struct Hold(tokio::sync::OwnedRwLockWriteGuard<Option<Sink>>);

impl Hold {
    /// Goes on with this sink.
    pub(super) fn lead_to(mut self, sink: Sink) {
        *self.0 = Some(sink);
    }

    /// There is no sink any more.
    pub(super) fn close(mut self) {
        *self.0 = None;
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::{
        clock::Clock,
        config::{self, Env},
        record::{Place, Record},
        store::{Store, embedded::EmbeddedStore},
        telemetry::Component,
    };

    fn sink(dir: &TempDir, name: &str) -> (Sink, EmbeddedStore) {
        let file = dir.path().join("run.yaml");
        let text = "data_dir: /d\nsources: { in: { type: stdin } }\nsinks: { s: { type: \
                    profile_http, inputs: in, http_endpoint: 'https://a.example/', profile: { key: \
                    id }, export: { attributes: [a] } } }\n";
        std::fs::write(&file, text).unwrap();
        let plan = config::load(&[file], &Env::default()).unwrap().sinks.remove(0);
        let metrics = Component::detached();
        let store = EmbeddedStore::open(
            &dir.path().join(name),
            plan.mapping.clone(),
            plan.state,
            Clock::anchored(1),
            metrics.clone(),
        );
        let store = store.unwrap();
        (Sink::new(plan.mapping, store.clone(), metrics), store)
    }

    #[tokio::test]
    async fn a_batch_that_meets_a_sink_which_is_exchanged_for_another_goes_to_that() {
        let dir = tempfile::tempdir().unwrap();
        let [(stays, kept), (goes, gone), (comes, new)] =
            ["stays", "goes", "comes"].map(|name| sink(&dir, name));
        let [stays, goes, comes] = [stays, goes, comes].map(Door::to);
        let router = Router::new([stays.clone(), goes.clone()].into_iter());
        let hold = goes.hold().await;
        let json = br#"{"id":1,"a":2}"#[..].into();
        let batch = Batch {
            source: "in".into(),
            received: 1,
            records: vec![Record { json, place: Place::Whole }],
            parts: Vec::new(),
        };
        let mut taken = Box::pin(router.take(batch));
        assert!(futures_util::poll!(&mut taken).is_pending(), "it is held back");
        router.lead_to([stays, comes].into_iter());
        hold.close();
        let ack = taken.await.unwrap();
        assert_eq!((ack.received, ack.changed), (1, 2));
        assert_eq!([kept, gone, new].map(|store| store.counts().known), [1, 0, 1]);
    }
}
