//! Rewriting the files of a store, so that nothing of what was removed is left in them.
//!
//! The library removes lazily: what was overwritten or removed stays in journals, tables and blob
//! files until they happen to be rewritten, and no call makes it rewrite all of them. So what is
//! alive is copied into a new database beside the store, and the directories are exchanged. The
//! copy never held what was removed, so nothing of it can be found there, however it is compressed.
//!
//! Copying goes on beside the writer. What is written meanwhile is tracked and copied again, the
//! last of it by the writer itself, which then exchanges the directories. A crash leaves either the
//! former files or the new ones:
//!
//! | the store's directory | `.erasing` | `.erased` | what it means |
//! |---|---|---|---|
//! | former files | incomplete copy | | the copy is removed |
//! | | complete copy | former files | the copy takes the place of the store |
//! | new files | | former files | the former files are removed |

use std::{
    collections::HashSet,
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use fjall::PersistMode;

use super::disk::{Disk, Space, Spaces, encode, failed};
use crate::store::StoreError;

/// In `meta`: whether something that was removed may still lie in the files.
pub(super) const UNERASED: &str = "unerased";

/// A key that was written, with its keyspace.
pub(super) type Touched = (Space, Box<[u8]>);

/// What was written since a copy was begun.
#[derive(Default)]
pub(super) struct Tracked {
    on: AtomicBool,
    touched: Mutex<HashSet<Touched>>,
}

/// A copy of a store in a directory beside it.
pub(super) struct Copy {
    path: PathBuf,
    spaces: Spaces,
}

impl Tracked {
    pub(super) fn is_on(&self) -> bool {
        self.on.load(Ordering::Acquire)
    }

    pub(super) fn add(&self, touched: Option<Vec<Touched>>) {
        if let Some(touched) = touched {
            self.lock().extend(touched);
        }
    }

    fn begin(&self) {
        self.lock().clear();
        self.on.store(true, Ordering::Release);
    }

    fn end(&self) {
        self.on.store(false, Ordering::Release);
        self.lock().clear();
    }

    fn take(&self) -> HashSet<Touched> {
        std::mem::take(&mut self.lock())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashSet<Touched>> {
        self.touched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk {
    /// Tracks what is written from now on. Called by the writer.
    pub(super) fn track(&self) {
        self.tracked.begin();
    }

    pub(super) fn untrack(&self) {
        self.tracked.end();
    }

    /// Copies all that is there into a new database. What is written meanwhile may be missing.
    pub(super) fn copy(&self) -> Result<Copy, StoreError> {
        let path = beside(&self.path, "erasing");
        remove_dir(&path).map_err(|error| unwritten(&path, &error))?;
        let copy = Copy { spaces: Spaces::open(&path)?, path };
        let from = self.in_use()?.clone();
        for space in Space::ALL {
            let mut entries = from.of(space).iter().peekable();
            // An ingestion of nothing would leave empty files.
            if entries.peek().is_none() {
                continue;
            }
            let mut ingestion = copy.spaces.of(space).start_ingestion().map_err(failed)?;
            for entry in entries {
                let (key, value) = entry.into_inner().map_err(failed)?;
                ingestion.write(key, value).map_err(failed)?;
            }
            ingestion.finish().map_err(failed)?;
        }
        Ok(copy)
    }

    /// Copies again what was written since it was copied; says how much that was.
    pub(super) fn catch_up(&self, copy: &Copy) -> Result<usize, StoreError> {
        let touched = self.tracked.take();
        let from = self.in_use()?;
        let mut batch = copy.spaces.database.batch();
        for (space, key) in &touched {
            let to = copy.spaces.of(*space);
            match from.get(*space, key)? {
                Some(value) => batch.insert(to, &**key, value),
                None => batch.remove(to, &**key),
            }
        }
        batch.commit().map_err(failed)?;
        Ok(touched.len())
    }

    /// Puts a copy that holds everything in the place of the store. Called by the writer.
    ///
    /// After an error the former files are in use as before, unless [`Disk::in_use`] fails too.
    pub(super) fn exchange(&self, copy: Copy) -> Result<(), StoreError> {
        let Copy { path: new, spaces } = copy;
        spaces.database.persist(PersistMode::SyncAll).map_err(failed)?;
        drop(spaces);
        let erased = beside(&self.path, "erased");
        let mut in_use = self.spaces.write().unwrap_or_else(PoisonError::into_inner);
        // Its threads end with it, so that nothing writes where the new files will lie.
        *in_use = None;
        let exchanged = fs::rename(&self.path, &erased).and_then(|()| {
            fs::rename(&new, &self.path).or_else(|error| {
                fs::rename(&erased, &self.path)?;
                Err(error)
            })
        });
        *in_use = Some(Spaces::open(&self.path)?);
        drop(in_use);
        exchanged.map_err(|error| unwritten(&self.path, &error))?;
        sync_parent(&self.path);
        remove_dir(&erased).map_err(|error| {
            StoreError::Failed(format!(
                "the former files are still at {} ({error}); remove them",
                erased.display()
            ))
        })
    }

    /// Whether something that was removed may still lie in the files.
    pub(super) fn is_unerased(&self) -> Result<bool, StoreError> {
        Ok(self.meta::<bool>(UNERASED)?.unwrap_or(false))
    }
}

impl Copy {
    /// Notes in the copy that it holds nothing of what was removed.
    pub(super) fn mark_erased(&self) -> Result<(), StoreError> {
        let meta = self.spaces.of(Space::Meta);
        meta.insert(UNERASED, encode(&false)?).map_err(failed)
    }
}

/// Completes an exchange that a crash interrupted between its two steps.
pub(super) fn complete_exchange(path: &Path) -> Result<(), StoreError> {
    let (erasing, erased) = (beside(path, "erasing"), beside(path, "erased"));
    if path.exists() || !erased.exists() {
        return Ok(());
    }
    let found = if erasing.exists() { erasing } else { erased };
    fs::rename(&found, path).map_err(|error| unwritten(path, &error))
}

/// Removes what an interrupted rewriting left behind. Only while the store is open, so that no
/// other process is rewriting it.
pub(super) fn remove_leftovers(path: &Path) {
    for suffix in ["erasing", "erased"] {
        let leftover = beside(path, suffix);
        if let Err(error) = remove_dir(&leftover) {
            let path = leftover.display();
            tracing::error!(%path, %error, "files that may hold erased profiles cannot be removed");
        }
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path.file_name().unwrap_or_default());
    name.push(".");
    name.push(suffix);
    path.with_file_name(name)
}

fn remove_dir(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Makes renamed directories durable, as far as the system lets us.
fn sync_parent(path: &Path) {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let synced = fs::File::open(parent.unwrap_or(Path::new("."))).and_then(|dir| dir.sync_all());
    if let Err(error) = synced {
        tracing::warn!(%error, "the directory of the store cannot be synced");
    }
}

fn unwritten(path: &Path, error: &io::Error) -> StoreError {
    StoreError::Failed(format!("cannot rewrite the files at {}: {error}", path.display()))
}
