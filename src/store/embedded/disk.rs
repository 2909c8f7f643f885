//! The keyspaces on disk.

mod letters; // dead letters and invalid records
mod profiles; // one profile, and those who are suppressed
mod spaces; // the keyspaces

use std::{
    ops::{Bound, Deref},
    path::Path,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
};

use fjall::PersistMode;
use serde::{Serialize, de::DeserializeOwned};

pub(super) use self::{
    profiles::Naming,
    spaces::{Space, Spaces},
};
use super::erase::{self, Touched, Tracked};
use crate::{
    profile::{Known, ProfileId},
    store::{StoreError, row::Row},
};

/// The layout of what is stored; a store of another format is refused.
const FORMAT: u32 = 2;

/// The database of one store. Clones share it.
///
/// Its files can be exchanged for rewritten ones while it is in use (`erase.rs`), so nothing of the
/// database outlives the call that uses it.
#[derive(Clone)]
pub(super) struct Disk {
    pub(super) path: Arc<Path>,
    /// Absent once an exchange of the files went wrong for good.
    pub(super) spaces: Arc<RwLock<Option<Spaces>>>,
    pub(super) tracked: Arc<Tracked>,
}

/// What is written together.
pub(super) struct Batch<'a> {
    spaces: RwLockReadGuard<'a, Option<Spaces>>,
    writes: Option<fjall::OwnedWriteBatch>,
    tracked: &'a Tracked,
    /// What is written, where that is tracked.
    touched: Option<Vec<Touched>>,
}

/// The keyspaces while a call uses them.
pub(super) struct InUse<'a>(RwLockReadGuard<'a, Option<Spaces>>);

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
        erase::complete_exchange(path)?;
        if !path.is_dir() {
            return Err(StoreError::Missing { path: path.display().to_string() });
        }
        Self::open(path)
    }

    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        erase::complete_exchange(path)?;
        let spaces = Spaces::open(path)?;
        erase::remove_leftovers(path);
        let disk = Self {
            path: path.into(),
            spaces: Arc::new(RwLock::new(Some(spaces))),
            tracked: Arc::default(),
        };
        disk.check_format(&path.display().to_string())?;
        Ok(disk)
    }

    pub(super) fn in_use(&self) -> Result<InUse<'_>, StoreError> {
        let spaces = self.spaces.read().unwrap_or_else(PoisonError::into_inner);
        if spaces.is_some() { Ok(InUse(spaces)) } else { Err(gone()) }
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
        let spaces = self.spaces.read().unwrap_or_else(PoisonError::into_inner);
        let writes = spaces.as_ref().map(|spaces| spaces.database.batch());
        let touched = self.tracked.is_on().then(Vec::new);
        Batch { spaces, writes, tracked: &self.tracked, touched }
    }

    pub(super) fn row(&self, id: &ProfileId) -> Result<Option<Row>, StoreError> {
        self.in_use()?.get(Space::Rows, &id.0)?.map(|bytes| Row::decode(&bytes)).transpose()
    }

    pub(super) fn known(&self, id: &ProfileId) -> Result<Option<Known>, StoreError> {
        let bytes = self.in_use()?.get(Space::Profiles, &id.0)?;
        bytes
            .map(|bytes| Known::decode(&bytes))
            .transpose()
            .map_err(|error| StoreError::Damaged(format!("profile {id}: {error}")))
    }

    pub(super) fn meta<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, StoreError> {
        self.in_use()?.get(Space::Meta, name.as_bytes())?.map(|bytes| decode(&bytes)).transpose()
    }

    /// All pages of ids, in no order that matters.
    pub(super) fn recent(&self) -> Result<Vec<fjall::Slice>, StoreError> {
        let spaces = self.in_use()?;
        let pages = spaces.of(Space::Recent).iter();
        pages.map(|entry| entry.value().map_err(failed)).collect()
    }

    /// At most `max` rows after `after` in the order of their ids.
    pub(super) fn rows_after(
        &self,
        after: Option<ProfileId>,
        max: usize,
    ) -> Result<Vec<(ProfileId, Row)>, StoreError> {
        let start = after.map_or(Bound::Unbounded, |id| Bound::Excluded(id.0));
        let mut rows = Vec::with_capacity(max);
        let spaces = self.in_use()?;
        for entry in spaces.of(Space::Rows).range((start, Bound::Unbounded)).take(max) {
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
        self.insert(Space::Rows, &id.0, &row.encode());
    }

    pub(super) fn known(&mut self, id: &ProfileId, known: &Known) {
        self.insert(Space::Profiles, &id.0, &known.encode());
    }

    /// Writes a page of ids over whatever was in its place.
    pub(super) fn recent(&mut self, place: u32, page: &[u8]) {
        self.insert(Space::Recent, &place.to_be_bytes(), page);
    }

    pub(super) fn meta<T: Serialize>(&mut self, name: &str, value: &T) -> Result<(), StoreError> {
        self.insert(Space::Meta, name.as_bytes(), &encode(value)?);
        Ok(())
    }

    pub(super) fn insert(&mut self, space: Space, key: &[u8], value: &[u8]) {
        if let (Some(spaces), Some(writes)) = (&*self.spaces, &mut self.writes) {
            writes.insert(spaces.of(space), key, value);
        }
        self.touch(space, key);
    }

    pub(super) fn remove(&mut self, space: Space, key: &[u8]) {
        if let (Some(spaces), Some(writes)) = (&*self.spaces, &mut self.writes) {
            writes.remove(spaces.of(space), key);
        }
        self.touch(space, key);
    }

    fn touch(&mut self, space: Space, key: &[u8]) {
        if let Some(touched) = &mut self.touched {
            touched.push((space, key.into()));
        }
    }

    pub(super) fn commit(self, durability: Durability) -> Result<(), StoreError> {
        let mode = match durability {
            Durability::Os => PersistMode::Buffer,
            Durability::Disk => PersistMode::SyncData,
        };
        self.writes.ok_or_else(gone)?.durability(Some(mode)).commit().map_err(failed)?;
        // Only now, so that whoever reads what was touched finds what was written.
        self.tracked.add(self.touched);
        Ok(())
    }
}

impl Deref for InUse<'_> {
    type Target = Spaces;

    fn deref(&self) -> &Spaces {
        self.0.as_ref().expect("they were there when the lock was taken, and it is still held")
    }
}

pub(super) fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, StoreError> {
    postcard::to_stdvec(value).map_err(|error| StoreError::Failed(error.to_string()))
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StoreError> {
    postcard::from_bytes(bytes).map_err(|error| StoreError::Damaged(error.to_string()))
}

fn gone() -> StoreError {
    StoreError::Failed("its rewritten files could not be opened".to_owned())
}

pub(super) fn failed(error: fjall::Error) -> StoreError {
    match error {
        fjall::Error::Io(error) => StoreError::Failed(error.to_string()),
        fjall::Error::Poisoned => StoreError::Failed("an earlier write failed".to_owned()),
        error => StoreError::Failed(format!("{error:?}")),
    }
}
