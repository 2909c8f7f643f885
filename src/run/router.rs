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
        let doors = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        let acks = try_join_all(doors.iter().map(|door| door.take(&batch))).await?;
        let received = batch.records.len() as u64;
        let mut sum = acks.into_iter().fold(Ack::default(), |mut sum, ack| {
            sum += ack;
            sum
        });
        sum.received = received;
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

    async fn take(&self, batch: &Batch) -> Result<Ack, Unavailable> {
        match &*self.0.read().await {
            Some(sink) => sink.take(batch).await,
            // It was removed after it had been decided who takes the batch.
            None => Ok(Ack::default()),
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
