//! The embedded store: an LSM tree on disk (fjall), rows in a bounded cache before it, the queue
//! in memory, and one thread that alone compares and writes.

mod disk;
mod engine;
mod erase;
mod fresh;
#[cfg(test)]
pub(crate) mod inline;
mod kept;
mod letters;
mod mapped;
mod naming;
mod profiles;
mod recent;
mod tally;
#[cfg(test)]
mod tests;
mod writer;

use std::{path::Path, sync::Arc, sync::mpsc, thread};

use tokio::{
    sync::{Notify, oneshot, watch},
    task::spawn_blocking,
};

use self::{
    disk::{Disk, Durability},
    engine::{Engine, RowCache},
    mapped::MappingRecord,
    tally::Shared,
    writer::{Call, Ending, Reply, Writer},
};
pub use self::{
    letters::{Letters, Page},
    profiles::Profiles,
};
use super::{
    Applied, Claims, Counts, InvalidRecord, LetterBounds, SentPart, Settled, Store, StoreError,
    Update, ids::IdHasher, row::Row,
};
use crate::{
    clock::Clock,
    profile::{MappedAt, Mapping, ProfileId},
    telemetry::Component,
};

/// When an update counts as safe (`state.sync`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyncMode {
    /// Once the disk has it: it survives a power cut.
    #[default]
    Commit,
    /// Once the operating system has it: it survives the end of the process.
    Os,
}

/// How an embedded store is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmbeddedSettings {
    /// When an update counts as safe.
    pub sync: SyncMode,
    /// Memory for rows; a row takes about 200 bytes.
    pub cache_bytes: u64,
    /// How many dead letters are kept, and how long.
    pub dead_letters: LetterBounds,
}

impl Default for EmbeddedSettings {
    fn default() -> Self {
        Self {
            sync: SyncMode::default(),
            cache_bytes: 256 * 1024 * 1024,
            dead_letters: LetterBounds::default(),
        }
    }
}

/// Memory that the cache takes for one row: the entry, its key, and its share of the tables.
const CACHED_ROW_BYTES: usize = size_of::<Row>() + size_of::<ProfileId>() + 32;

/// A handle on an embedded store. Clones share it.
#[derive(Clone)]
pub struct EmbeddedStore {
    calls: mpsc::Sender<Call>,
    due: Arc<Notify>,
    failed: watch::Receiver<Option<StoreError>>,
    disk: Disk,
    cache: Arc<RowCache>,
    counts: Shared,
    record: Arc<MappingRecord>,
    mapping: Arc<Mapping>,
    /// Held while the files are rewritten.
    erasing: Arc<tokio::sync::Mutex<()>>,
}

impl EmbeddedStore {
    /// Opens the store in the directory `path`, which is made if it is not there, and starts its
    /// writer.
    ///
    /// Fails if another process has it open, if it cannot be read or written, or if another
    /// version of this program wrote it in a format that this one does not read.
    pub fn open(
        path: &Path,
        mapping: Arc<Mapping>,
        settings: EmbeddedSettings,
        clock: Clock,
        metrics: Arc<Component>,
    ) -> Result<Self, StoreError> {
        Self::on(Disk::open(path)?, mapping, settings, clock, metrics)
    }

    /// Stops the writer once it has done what was asked before, and goes on with the same store
    /// under another mapping and other settings. The former handles are of no use any more.
    ///
    /// What was in flight is due again, so claim nothing and settle what was claimed before. The
    /// files are not rewritten as when it [stops](Self::stop): callers may wait for it to go on.
    pub async fn reopen(
        &self,
        mapping: Arc<Mapping>,
        settings: EmbeddedSettings,
        clock: Clock,
        metrics: Arc<Component>,
    ) -> Result<Self, StoreError> {
        self.end(Ending::HandOver).await?;
        // The disk stays open and locked meanwhile.
        let disk = self.disk.clone();
        let open = move || Self::on(disk, mapping, settings, clock, metrics);
        let opened = spawn_blocking(open).await;
        opened.map_err(|error| StoreError::Failed(error.to_string()))?
    }

    fn on(
        disk: Disk,
        mapping: Arc<Mapping>,
        settings: EmbeddedSettings,
        clock: Clock,
        metrics: Arc<Component>,
    ) -> Result<Self, StoreError> {
        let cache = Arc::new(row_cache(settings.cache_bytes));
        let counts = Shared::default();
        let bounds = settings.dead_letters;
        let shared = counts.clone();
        let engine = Engine::open(
            disk.clone(),
            mapping.clone(),
            cache.clone(),
            bounds,
            clock,
            metrics,
            shared,
        )?;
        let record = Arc::new(engine.record().clone());
        let (calls, receiver) = mpsc::channel();
        let due = Arc::new(Notify::new());
        let (failed_sender, failed) = watch::channel(None);
        let durability = match settings.sync {
            SyncMode::Commit => Durability::Disk,
            SyncMode::Os => Durability::Os,
        };
        let writer =
            Writer { engine, calls: receiver, durability, due: due.clone(), failed: failed_sender };
        thread::Builder::new()
            .name("store".to_owned())
            .spawn(|| writer.run())
            .map_err(|error| StoreError::Failed(format!("cannot start its thread: {error}")))?;
        let erasing = Arc::default();
        Ok(Self { calls, due, failed, disk, cache, counts, record, mapping, erasing })
    }

    /// The random number of this store that goes into idempotency keys.
    pub fn store_id(&self) -> u128 {
        self.record.store_id
    }

    /// The seed of all fingerprints and ids in this store.
    pub fn seed(&self) -> u64 {
        self.record.seed
    }

    /// The mapping that it is used with.
    pub fn mapping(&self) -> &Arc<Mapping> {
        &self.mapping
    }

    /// When each mapped segment was mapped.
    pub fn mapped_at(&self) -> &MappedAt {
        &self.record.mapped_at
    }

    /// Whether exactly this is known to be kept of a profile, by whatever mapping it was judged.
    /// May say no where it is.
    pub fn keeps(&self, id: &ProfileId, kept: u128) -> bool {
        self.cache.get(id).is_some_and(|row| row.prints.kept == kept)
    }

    /// Waits until the store fails for good.
    pub async fn failed(&self) -> StoreError {
        let mut failed = self.failed.clone();
        match failed.wait_for(Option::is_some).await {
            Ok(error) => error.clone().unwrap_or(StoreError::Stopped),
            Err(_) => std::future::pending().await,
        }
    }

    /// Stops the writer once it has done what was asked before, and makes everything durable. If
    /// profiles were forgotten, the files are rewritten, so that nothing of them is left.
    pub async fn stop(&self) -> Result<(), StoreError> {
        self.end(Ending::Close).await
    }

    async fn end(&self, ending: Ending) -> Result<(), StoreError> {
        let _alone = self.erasing.lock().await;
        self.call(|reply| Call::Stop(ending, reply)).await
    }

    /// Why the store can go on no longer, if that is so.
    pub fn failure(&self) -> Option<StoreError> {
        self.failed.borrow().clone()
    }

    async fn call<T>(&self, call: impl FnOnce(Reply<T>) -> Call) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.calls.send(call(reply)).map_err(|_| StoreError::Stopped)?;
        answer.await.map_err(|_| StoreError::Stopped)?
    }
}

impl Store for EmbeddedStore {
    async fn apply_once(
        &self,
        updates: Vec<Update>,
        invalid: Vec<InvalidRecord>,
        parts: Vec<SentPart>,
    ) -> Result<Applied, StoreError> {
        self.call(|reply| Call::Apply(updates, invalid, parts, reply)).await
    }

    async fn claim_lots(&self, max: usize, lot: usize) -> Result<Claims, StoreError> {
        self.call(|reply| Call::Claim(max, lot, reply)).await
    }

    async fn settle(&self, outcomes: Vec<Settled>) -> Result<(), StoreError> {
        self.call(|reply| Call::Settle(outcomes, reply)).await
    }

    async fn revive(&self, versions: Vec<(ProfileId, u64)>) -> Result<(), StoreError> {
        self.call(|reply| Call::Revive(versions, reply)).await
    }

    async fn wait_due(&self) {
        self.due.notified().await;
    }

    fn counts(&self) -> Counts {
        self.counts.read()
    }
}

fn row_cache(bytes: u64) -> RowCache {
    let rows = usize::try_from(bytes).unwrap_or(usize::MAX) / CACHED_ROW_BYTES;
    let rows = rows.max(1024);
    RowCache::with(
        rows,
        rows as u64,
        quick_cache::UnitWeighter,
        IdHasher::default(),
        quick_cache::sync::DefaultLifecycle::default(),
    )
}
