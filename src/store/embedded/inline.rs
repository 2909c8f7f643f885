//! The embedded store without its thread, for tests on paused time.

use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use super::{Disk, Durability, Engine, Letters, MappingRecord, Shared, row_cache};
use crate::{
    clock::Clock,
    profile::{MappedAt, Mapping, ProfileId},
    store::{
        Applied, Claims, Counts, DeadLetter, Dismissal, Forgotten, InvalidRecord, Letter,
        LetterBounds, SentPart, Settled, Store, StoreError, Update,
    },
    telemetry::Component,
};

/// A store whose calls are done where they are made.
#[derive(Clone)]
pub(crate) struct InlineStore {
    engine: Arc<Mutex<Engine>>,
    due: Arc<Notify>,
    counts: Shared,
    disk: Disk,
    record: Arc<MappingRecord>,
}

impl InlineStore {
    pub(crate) fn open(path: &std::path::Path, mapping: Arc<Mapping>, clock: Clock) -> Self {
        Self::open_bounded(path, mapping, LetterBounds::default(), clock)
    }

    pub(crate) fn open_bounded(
        path: &std::path::Path,
        mapping: Arc<Mapping>,
        bounds: LetterBounds,
        clock: Clock,
    ) -> Self {
        let store = Self::open_unreconciled(path, mapping, bounds, clock);
        store.reconcile();
        store
    }

    /// The same, of which no step was taken yet to judge rows of an older mapping.
    pub(super) fn open_unreconciled(
        path: &std::path::Path,
        mapping: Arc<Mapping>,
        bounds: LetterBounds,
        clock: Clock,
    ) -> Self {
        let counts = Shared::default();
        let cache = Arc::new(row_cache(1 << 20));
        let disk = Disk::open(path).unwrap();
        let metrics = Component::detached();
        let shared = counts.clone();
        let mut engine =
            Engine::open(disk.clone(), mapping, cache, bounds, clock, metrics, shared).unwrap();
        while engine.is_scanning() {
            engine.scan_step().unwrap();
        }
        let record = Arc::new(engine.record().clone());
        let (engine, due) = (Arc::new(Mutex::new(engine)), Arc::new(Notify::new()));
        // What the scan found; the permit waits for whoever waits first.
        due.notify_one();
        Self { engine, due, counts, disk, record }
    }

    /// Takes one step of the work that a changed mapping makes.
    pub(super) fn reconcile_step(&self) {
        self.with(Engine::reconcile_step).unwrap();
    }

    fn reconcile(&self) {
        while self.with(|engine| engine.reconciles_in()).is_some() {
            self.reconcile_step();
        }
    }

    /// Gives the queue room for so many entries.
    pub(crate) fn limit_queue(&self, entries: usize) {
        self.with(|engine| engine.limit_queue(entries));
    }

    pub(crate) fn store_id(&self) -> u128 {
        self.record.store_id
    }

    pub(crate) fn seed(&self) -> u64 {
        self.record.seed
    }

    pub(crate) fn mapped_at(&self) -> &MappedAt {
        &self.record.mapped_at
    }

    pub(crate) fn dead_letter(&self, id: &ProfileId) -> Option<DeadLetter> {
        self.disk.dead_letter(id).unwrap()
    }

    /// The letters, latest first.
    pub(crate) fn letters(&self) -> Vec<Letter> {
        Letters(self.disk.clone()).page(None, 1000).unwrap().letters
    }

    pub(super) fn disk(&self) -> Disk {
        self.disk.clone()
    }

    /// Letters that were dropped for a reason.
    pub(crate) fn discarded(&self, reason: &str) -> u64 {
        self.with(|engine| engine.metrics().discarded(false, reason).get())
    }

    /// Forgets a profile, but not the letters that name it.
    pub(crate) fn forget(&self, id: ProfileId, how: Dismissal) -> Forgotten {
        self.with(|engine| engine.forget(id, how)).unwrap()
    }

    /// What the writer does now and then.
    pub(crate) fn housekeep(&self) {
        while self.with(Engine::housekeep).unwrap() {}
    }

    pub(super) fn with<T>(&self, call: impl FnOnce(&mut Engine) -> T) -> T {
        let mut engine = self.engine.lock().unwrap();
        let result = call(&mut engine);
        engine.commit(Durability::Os).unwrap();
        while engine.is_scanning() {
            engine.scan_step().unwrap();
        }
        if engine.has_ready() {
            self.due.notify_one();
        }
        result
    }
}

impl Store for InlineStore {
    async fn apply_once(
        &self,
        updates: Vec<Update>,
        invalid: Vec<InvalidRecord>,
        parts: Vec<SentPart>,
    ) -> Result<Applied, StoreError> {
        self.with(|engine| engine.apply(updates, invalid, parts))
    }

    async fn claim_lots(&self, max: usize, lot: usize) -> Result<Claims, StoreError> {
        self.with(|engine| engine.claim(max, lot))
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
