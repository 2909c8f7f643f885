//! The keyspaces on disk.

mod letters;

use std::{ops::Bound, path::Path};

use fjall::{
    CompressionType, Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions, PersistMode,
    config::CompressionPolicy,
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    profile::{Known, ProfileId},
    store::{StoreError, row::Row},
};

/// The layout of what is stored; a store of another format is refused.
const FORMAT: u32 = 2;

/// Values from this size on lie in blob files, so that rewriting profiles does not rewrite the
/// tree. The library's own default would keep almost every profile in the tree.
const SEPARATION_THRESHOLD: u32 = 128;

/// Rewritten profiles leave journals behind until they are flushed.
const JOURNAL_BYTES: u64 = 64 * 1024 * 1024;

const BLOCK_CACHE_BYTES: u64 = 64 * 1024 * 1024;

/// The database of one store. Clones share it.
#[derive(Clone)]
pub(super) struct Disk {
    database: Database,
    rows: Keyspace,
    profiles: Keyspace,
    dead: Keyspace,
    /// The ids of dead letters in the order of their times.
    dead_order: Keyspace,
    invalid: Keyspace,
    /// The ids that senders gave lately.
    recent: Keyspace,
    meta: Keyspace,
}

/// What is written together.
pub(super) struct Batch<'a> {
    disk: &'a Disk,
    batch: fjall::OwnedWriteBatch,
}

/// How far a commit goes before it returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Durability {
    /// The operating system has it: it survives the end of the process.
    Os,
    /// The disk has it: it survives a power cut.
    Disk,
}

impl Disk {
    /// Opens a store that is there.
    pub(super) fn open_existing(path: &Path) -> Result<Self, StoreError> {
        if !path.is_dir() {
            return Err(StoreError::Missing { path: path.display().to_string() });
        }
        Self::open(path)
    }

    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let shown = path.display().to_string();
        let unopened = |reason| StoreError::Open { path: shown.clone(), reason };
        let failed = |error: fjall::Error| match error {
            fjall::Error::Locked => StoreError::Locked { path: shown.clone() },
            fjall::Error::Io(error) => unopened(error.to_string()),
            error => unopened(format!(
                "it cannot be read ({error:?}); if it is damaged, restore it or move it away: a \
                 new store exports every profile with its next update"
            )),
        };
        std::fs::create_dir_all(path).map_err(|error| {
            unopened(if path.exists() {
                "it is not a directory; move it away or choose another data_dir".to_owned()
            } else {
                format!(
                    "{error}; let the user that runs profile-http write there, or choose another \
                     data_dir"
                )
            })
        })?;
        let database = Database::builder(path)
            .cache_size(BLOCK_CACHE_BYTES)
            .max_journaling_size(JOURNAL_BYTES)
            // Journals are short-lived: compressing them costs more than writing them.
            .journal_compression(CompressionType::None)
            .worker_threads(1)
            .open()
            .map_err(failed)?;
        let keyspace = |name| database.keyspace(name, KeyspaceCreateOptions::default);
        // Rows and ids are hashes and counters, which do not compress.
        let plain = || {
            KeyspaceCreateOptions::default()
                .data_block_compression_policy(CompressionPolicy::all(CompressionType::None))
        };
        let separated = || {
            KeyspaceCreateOptions::default().with_kv_separation(Some(
                KvSeparationOptions::default().separation_threshold(SEPARATION_THRESHOLD),
            ))
        };
        let disk = Self {
            rows: database.keyspace("rows", plain).map_err(failed)?,
            profiles: database.keyspace("profiles", separated).map_err(failed)?,
            dead: database.keyspace("dead", separated).map_err(failed)?,
            dead_order: keyspace("dead_order").map_err(failed)?,
            invalid: database.keyspace("invalid", separated).map_err(failed)?,
            recent: database.keyspace("recent", plain).map_err(failed)?,
            meta: keyspace("meta").map_err(failed)?,
            database,
        };
        disk.check_format(&shown)?;
        Ok(disk)
    }

    fn check_format(&self, path: &str) -> Result<(), StoreError> {
        match self.meta::<u32>("format")? {
            Some(FORMAT) => Ok(()),
            Some(other) => Err(StoreError::Open {
                path: path.to_owned(),
                reason: format!(
                    "another version of profile-http wrote it (format {other}; this one reads \
                     format {FORMAT}); run that version, or move the store away: a new one exports \
                     every profile with its next update"
                ),
            }),
            None => {
                let mut batch = self.batch();
                batch.meta("format", &FORMAT)?;
                batch.commit(Durability::Disk)
            }
        }
    }

    pub(super) fn batch(&self) -> Batch<'_> {
        Batch { disk: self, batch: self.database.batch() }
    }

    pub(super) fn row(&self, id: &ProfileId) -> Result<Option<Row>, StoreError> {
        self.rows.get(id.0).map_err(failed)?.map(|bytes| Row::decode(&bytes)).transpose()
    }

    pub(super) fn known(&self, id: &ProfileId) -> Result<Option<Known>, StoreError> {
        let bytes = self.profiles.get(id.0).map_err(failed)?;
        bytes
            .map(|bytes| Known::decode(&bytes))
            .transpose()
            .map_err(|error| StoreError::Damaged(format!("profile {id}: {error}")))
    }

    pub(super) fn meta<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, StoreError> {
        self.meta.get(name).map_err(failed)?.map(|bytes| decode(&bytes)).transpose()
    }

    /// All pages of ids, in no order that matters.
    pub(super) fn recent(&self) -> impl Iterator<Item = Result<fjall::Slice, StoreError>> {
        self.recent.iter().map(|entry| entry.value().map_err(failed))
    }

    /// At most `max` rows after `after` in the order of their ids.
    pub(super) fn rows_after(
        &self,
        after: Option<ProfileId>,
        max: usize,
    ) -> Result<Vec<(ProfileId, Row)>, StoreError> {
        let start = after.map_or(Bound::Unbounded, |id| Bound::Excluded(id.0));
        let mut rows = Vec::with_capacity(max);
        for entry in self.rows.range((start, Bound::Unbounded)).take(max) {
            let (key, value) = entry.into_inner().map_err(failed)?;
            let id = <[u8; 16]>::try_from(&*key)
                .map_err(|_| StoreError::Damaged("a row's key is not 16 bytes".to_owned()))?;
            rows.push((ProfileId(id), Row::decode(&value)?));
        }
        Ok(rows)
    }
}

impl Batch<'_> {
    pub(super) fn row(&mut self, id: &ProfileId, row: &Row) {
        self.batch.insert(&self.disk.rows, id.0, row.encode());
    }

    pub(super) fn known(&mut self, id: &ProfileId, known: &Known) {
        self.batch.insert(&self.disk.profiles, id.0, known.encode());
    }

    /// Writes a page of ids over whatever was in its place.
    pub(super) fn recent(&mut self, place: u32, page: Vec<u8>) {
        self.batch.insert(&self.disk.recent, place.to_be_bytes(), page);
    }

    pub(super) fn meta<T: Serialize>(&mut self, name: &str, value: &T) -> Result<(), StoreError> {
        self.batch.insert(&self.disk.meta, name, encode(value)?);
        Ok(())
    }

    pub(super) fn commit(self, durability: Durability) -> Result<(), StoreError> {
        let mode = match durability {
            Durability::Os => PersistMode::Buffer,
            Durability::Disk => PersistMode::SyncData,
        };
        self.batch.durability(Some(mode)).commit().map_err(failed)
    }
}

fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, StoreError> {
    postcard::to_stdvec(value).map_err(|error| StoreError::Failed(error.to_string()))
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StoreError> {
    postcard::from_bytes(bytes).map_err(|error| StoreError::Damaged(error.to_string()))
}

fn failed(error: fjall::Error) -> StoreError {
    match error {
        fjall::Error::Io(error) => StoreError::Failed(error.to_string()),
        fjall::Error::Poisoned => StoreError::Failed("an earlier write failed".to_owned()),
        error => StoreError::Failed(format!("{error:?}")),
    }
}
