//! The keyspaces of a store.

use std::path::Path;

use fjall::{
    CompressionType, Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions,
    config::CompressionPolicy,
};

use super::failed;
use crate::store::StoreError;

/// Values from this size on lie in blob files, so that rewriting profiles does not rewrite the
/// tree. The library's own default would keep almost every profile in the tree.
const SEPARATION_THRESHOLD: u32 = 128;

/// Rewritten profiles leave journals behind until they are flushed.
const JOURNAL_BYTES: u64 = 64 * 1024 * 1024;

const BLOCK_CACHE_BYTES: u64 = 64 * 1024 * 1024;

/// A keyspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::store::embedded) enum Space {
    Rows,
    Profiles,
    Dead,
    /// The ids of dead letters in the order of their times.
    DeadOrder,
    Invalid,
    /// The ids that senders gave lately.
    Recent,
    Meta,
    /// The ids of those whose records are ignored.
    Suppressed,
}

impl Space {
    pub(in crate::store::embedded) const ALL: [Self; 8] = [
        Self::Rows,
        Self::Profiles,
        Self::Dead,
        Self::DeadOrder,
        Self::Invalid,
        Self::Recent,
        Self::Meta,
        Self::Suppressed,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::Profiles => "profiles",
            Self::Dead => "dead",
            Self::DeadOrder => "dead_order",
            Self::Invalid => "invalid",
            Self::Recent => "recent",
            Self::Meta => "meta",
            Self::Suppressed => "suppressed",
        }
    }

    fn options(self) -> KeyspaceCreateOptions {
        let options = KeyspaceCreateOptions::default();
        match self {
            // Rows and ids are hashes and counters, which do not compress.
            Self::Rows | Self::Recent => {
                options.data_block_compression_policy(CompressionPolicy::all(CompressionType::None))
            }
            Self::Profiles | Self::Dead | Self::Invalid => options.with_kv_separation(Some(
                KvSeparationOptions::default().separation_threshold(SEPARATION_THRESHOLD),
            )),
            Self::DeadOrder | Self::Meta | Self::Suppressed => options,
        }
    }
}

/// An open database with its keyspaces. Clones share them and keep its files open.
#[derive(Clone)]
pub(in crate::store::embedded) struct Spaces {
    pub(in crate::store::embedded) database: Database,
    /// In the order of [`Space::ALL`].
    keyspaces: Vec<Keyspace>,
}

impl Spaces {
    /// Opens the database in this directory, which is made if it is not there.
    pub(in crate::store::embedded) fn open(path: &Path) -> Result<Self, StoreError> {
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
        let keyspace = |space: Space| database.keyspace(space.name(), || space.options());
        let keyspaces = Space::ALL.map(keyspace).into_iter().collect::<Result<_, _>>();
        Ok(Self { keyspaces: keyspaces.map_err(failed)?, database })
    }

    pub(in crate::store::embedded) fn of(&self, space: Space) -> &Keyspace {
        &self.keyspaces[space as usize]
    }

    pub(in crate::store::embedded) fn get(
        &self,
        space: Space,
        key: &[u8],
    ) -> Result<Option<fjall::Slice>, StoreError> {
        self.of(space).get(key).map_err(failed)
    }
}
