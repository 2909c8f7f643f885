//! The embedded store without its thread, for tests on paused time.

use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use super::{Disk, Durability, Engine, Shared, row_cache};
use crate::{
    clock::Clock,
    profile::{Mapping, ProfileId},
    store::{Claims, Counts, InvalidRecord, Settled, Store, StoreError, Update, Verdict},
    telemetry::Component,
};

/// A store whose calls are done where they are made.
#[derive(Clone)]
pub(crate) struct InlineStore {
    engine: Arc<Mutex<Engine>>,
    due: Arc<Notify>,
    counts: Shared,
}

impl InlineStore {
    pub(crate) fn open(path: &std::path::Path, mapping: Arc<Mapping>, clock: Clock) -> Self {
        let counts = Shared::default();
        let cache = Arc::new(row_cache(1 << 20));
        let disk = Disk::open(path).unwrap();
        let metrics = Component::detached();
        let mut engine =
            Engine::open(disk, mapping, cache, clock, metrics, counts.clone()).unwrap();
        while engine.is_scanning() {
            engine.scan_step().unwrap();
        }
        Self { engine: Arc::new(Mutex::new(engine)), due: Arc::new(Notify::new()), counts }
    }

    pub(super) fn with<T>(&self, call: impl FnOnce(&mut Engine) -> T) -> T {
        let mut engine = self.engine.lock().unwrap();
        let result = call(&mut engine);
        engine.commit(Durability::Os).unwrap();
        if engine.has_ready() {
            self.due.notify_one();
        }
        result
    }
}

impl Store for InlineStore {
    async fn apply(
        &self,
        updates: Vec<Update>,
        invalid: Vec<InvalidRecord>,
    ) -> Result<Vec<Verdict>, StoreError> {
        self.with(|engine| engine.apply(updates, invalid))
    }

    async fn claim(&self, max: usize) -> Result<Claims, StoreError> {
        self.with(|engine| engine.claim(max))
    }

    async fn settle(&self, outcomes: Vec<Settled>) -> Result<(), StoreError> {
        self.with(|engine| engine.settle(outcomes))
    }

    async fn revive(&self, versions: Vec<(ProfileId, u64)>) -> Result<(), StoreError> {
        self.with(|engine| engine.revive(versions))
    }

    async fn wait_due(&self) {
        self.due.notified().await;
    }

    fn counts(&self) -> Counts {
        self.counts.read()
    }
}
