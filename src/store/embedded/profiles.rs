//! Single profiles, for whoever looks after them.

use std::path::Path;

use tokio::task::spawn_blocking;

use super::{
    Disk, EmbeddedStore, disk::Naming, engine::Engine, mapped, naming::Needles, writer::Call,
};
use crate::{
    clock::Micros,
    profile::{MappedAt, Mapping, ProfileId, ProfileKey, profile_id},
    store::{Dismissal, Forgotten, ProfileState, Resent, StoreError},
};

/// Profiles of one call to the writer, so that it has time for others between.
const STEP: usize = 256;

/// How often the files are rewritten at most because somebody was forgotten meanwhile.
const ERASURES: usize = 3;

/// Reads the profiles of a store that nothing else uses. Its calls block.
pub struct Profiles(Disk);

impl Profiles {
    /// Those of the store in the directory `path`.
    ///
    /// Fails if there is no store, or if another process has it open.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Disk::open_existing(path).map(Self)
    }

    /// The first of these that is known.
    pub fn find(&self, keys: &[ProfileKey]) -> Result<Option<ProfileState>, StoreError> {
        let seed = mapped::seed(&self.0)?;
        for key in keys {
            if let Some(state) = self.0.state(&profile_id(seed, key))? {
                return Ok(Some(state));
            }
        }
        Ok(None)
    }

    /// The first of these whose records are ignored.
    pub fn suppressed(&self, keys: &[ProfileKey]) -> Result<Option<ProfileId>, StoreError> {
        suppressed(&self.0, mapped::seed(&self.0)?, keys)
    }

    /// When the segments of a mapping were mapped, were the store used with it `now`.
    pub fn mapped_at(&self, mapping: &Mapping, now: Micros) -> Result<MappedAt, StoreError> {
        mapped::mapped_at(&self.0, mapping, now)
    }
}

impl EmbeddedStore {
    /// The first of these profiles that is known.
    pub async fn find(&self, keys: &[ProfileKey]) -> Result<Option<ProfileState>, StoreError> {
        for key in keys {
            let id = profile_id(self.seed(), key);
            let found = self.chore(move |engine| engine.state(&id)).await?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// The first of these profiles whose records are ignored.
    pub fn suppressed(&self, keys: &[ProfileKey]) -> Result<Option<ProfileId>, StoreError> {
        suppressed(&self.disk, self.seed(), keys)
    }

    /// Takes back the wish that the records of a profile be ignored. Says whether there was one.
    pub async fn unsuppress(&self, id: ProfileId) -> Result<bool, StoreError> {
        self.chore(move |engine| engine.set_suppressed(&id, false)).await
    }

    /// Makes a profile due as it is now, under a new version.
    pub async fn resend(&self, id: ProfileId) -> Result<Resent, StoreError> {
        self.chore(move |engine| engine.resend(&[id])).await
    }

    /// Makes profiles behind `after`, at least `max` of them if there are so many, due as they are
    /// now, in the order of their ids. Says where to go on, if there are more.
    ///
    /// It goes in small steps, between which updates and deliveries have their turn.
    pub async fn resend_after(
        &self,
        mut after: Option<ProfileId>,
        max: u64,
    ) -> Result<(Resent, Option<ProfileId>), StoreError> {
        let mut sum = Resent::default();
        while sum.resent + sum.not_followed < max {
            let rows = self.disk.rows_after(after, STEP)?;
            let Some((last, _)) = rows.last() else { return Ok((sum, None)) };
            after = Some(*last);
            let ids: Vec<_> = rows.iter().map(|(id, _)| *id).collect();
            sum += self.chore(move |engine| engine.resend(&ids)).await?;
        }
        Ok((sum, after))
    }

    /// Forgets the first of these profiles that is known; where none is, the first of them. With it
    /// go its dead letter and the invalid records that name it. Durable when it returns.
    ///
    /// Its bytes stay in the store's files until [`EmbeddedStore::erase`] or the next clean stop.
    pub async fn forget(
        &self,
        keys: &[ProfileKey],
        how: Dismissal,
    ) -> Result<(ProfileId, Forgotten), StoreError> {
        let state = self.find(keys).await?;
        let id = match (&state, keys) {
            (Some(state), _) => state.id,
            (None, [key, ..]) => profile_id(self.seed(), key),
            (None, []) => return Err(StoreError::Failed("no profile is named".to_owned())),
        };
        let mut names: Vec<_> = keys.iter().map(|key| key.text.clone()).collect();
        if let Some(ProfileState { known, .. }) = state {
            // What cannot be read must not keep the profile from being forgotten.
            names.extend(self.mapping.identifiers(&known).unwrap_or_default());
            names.push(known.key.text);
        }
        let mut forgotten = self.chore(move |engine| engine.forget(id, how)).await?;
        // The second time those that arrived while the others were looked through.
        let mut after = [None, None];
        for _ in 0..2 {
            let (disk, needles) = (self.disk.clone(), Needles::new(names.clone()));
            let naming = spawn_blocking(move || disk.naming(&needles, after)).await;
            let Naming { invalid, quoted, after: last } =
                naming.map_err(|error| ended(&error))??;
            after = last;
            let forget = move |engine: &mut Engine| engine.forget_letters(invalid, &quoted);
            let (records, answers) = self.chore(forget).await?;
            forgotten.invalid_records += records;
            forgotten.answers += answers;
        }
        Ok((id, forgotten))
    }

    /// Rewrites the store's files if something of those who are forgotten may be left in them. Says
    /// whether nothing is.
    ///
    /// Updates and deliveries go on meanwhile, but for a moment at the end. Needs as much room on
    /// the disk as the store takes.
    pub async fn erase(&self) -> Result<bool, StoreError> {
        let store = self.clone();
        // On its own, so that it comes to its end if whoever asked goes away.
        let erasing = tokio::spawn(async move { store.erase_here().await });
        erasing.await.map_err(|error| ended(&error))?
    }

    /// Waits while the files are being rewritten.
    pub async fn rewritten(&self) {
        drop(self.erasing.lock().await);
    }

    async fn erase_here(&self) -> Result<bool, StoreError> {
        let _alone = self.erasing.lock().await;
        for _ in 0..ERASURES {
            if !self.chore(|engine| Ok(engine.is_unerased())).await? {
                return Ok(true);
            }
            let begun = self.chore(Engine::begin_erasing).await?;
            let disk = self.disk.clone();
            let copying = spawn_blocking(move || {
                let copy = disk.copy()?;
                // Until little is left to the writer.
                while disk.catch_up(&copy)? > STEP {}
                Ok(copy)
            });
            let copied = copying.await.map_err(|error| ended(&error)).and_then(|copied| copied);
            let copy = copied.inspect_err(|_| self.disk.untrack())?;
            if self.chore(move |engine| engine.end_erasing(copy, begun)).await?? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(super) async fn chore<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Engine) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.call(|reply| Call::chore(work, reply)).await
    }
}

/// A task that did not come to its end.
fn ended(error: &tokio::task::JoinError) -> StoreError {
    StoreError::Failed(error.to_string())
}

fn suppressed(
    disk: &Disk,
    seed: u64,
    keys: &[ProfileKey],
) -> Result<Option<ProfileId>, StoreError> {
    for id in keys.iter().map(|key| profile_id(seed, key)) {
        if disk.is_suppressed(&id)? {
            return Ok(Some(id));
        }
    }
    Ok(None)
}
