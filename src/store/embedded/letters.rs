//! Dead letters and invalid records, for whoever looks after them.

use std::path::Path;

use super::{Disk, EmbeddedStore, writer::Call};
use crate::{
    profile::ProfileId,
    store::{Counts, Letter, LetterId, LetterPlace, Replayed, Store, StoreError},
};

/// Letters of one call to the writer, so that it has time for others between.
const STEP: usize = 256;

/// Reads the letters of a store. Its calls read from the disk and block meanwhile.
#[derive(Clone)]
pub struct Letters(pub(super) Disk);

/// Some of the letters, latest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The letters.
    pub letters: Vec<Letter>,
    /// Where the next page begins, if there is one.
    pub next: Option<LetterPlace>,
    /// How many dead letters there are in all.
    pub dead_letters: u64,
    /// How many invalid records there are in all.
    pub invalid_records: u64,
}

impl Letters {
    /// Those of the store in the directory `path` while nothing else uses it.
    ///
    /// Fails if there is no store, or if another process has it open.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Disk::open_existing(path).map(Self)
    }

    /// At most `max` letters before `before`, latest first.
    pub fn page(&self, before: Option<LetterPlace>, max: usize) -> Result<Page, StoreError> {
        let (dead_letters, invalid_records) = self.0.count_letters()?;
        let mut places = self.0.letters_before(before, max.saturating_add(1))?;
        let more = places.len() > max;
        places.truncate(max);
        let next = places.last().copied().filter(|_| more);
        let mut letters = Vec::with_capacity(places.len());
        for place in places {
            // Its profile may have moved on a moment ago.
            letters.extend(self.get(place.id)?.filter(|letter| letter.at() == place.at));
        }
        Ok(Page { letters, next, dead_letters, invalid_records })
    }

    /// One letter, if it is there.
    pub fn get(&self, id: LetterId) -> Result<Option<Letter>, StoreError> {
        self.0.letter(id)
    }
}

impl EmbeddedStore {
    /// Reads the letters of this store.
    pub fn letters(&self) -> Letters {
        Letters(self.disk.clone())
    }

    /// Makes profiles that have a dead letter due as they are now, under a new version.
    pub async fn replay(&self, ids: Vec<ProfileId>) -> Result<Replayed, StoreError> {
        self.call(|reply| Call::Replay(ids, reply)).await
    }

    /// Replays every dead letter that there is now. Those that are refused again meanwhile are left
    /// alone.
    pub async fn replay_all(&self) -> Result<Replayed, StoreError> {
        let mut sum = Replayed::default();
        let mut left = self.counts().dead;
        let mut after = None;
        while left > 0 {
            let places = self.disk.dead_after(after, STEP)?;
            let Some(last) = places.last() else { break };
            after = Some(*last);
            left = left.saturating_sub(places.len() as u64);
            let ids = places.iter().filter_map(|place| match place.id {
                LetterId::Profile(id) => Some(id),
                LetterId::Invalid { .. } => None,
            });
            sum += self.replay(ids.collect()).await?;
        }
        Ok(sum)
    }

    /// Drops letters; says how many there were. Profiles stay known, and are exported when
    /// something relevant changes.
    pub async fn discard(&self, ids: Vec<LetterId>) -> Result<u64, StoreError> {
        self.call(|reply| Call::Discard(ids, reply)).await
    }

    /// Drops every letter that there is now, invalid records too; says how many.
    pub async fn discard_all(&self) -> Result<u64, StoreError> {
        let Counts { dead, invalid_records: invalid, .. } = self.counts();
        let mut sum = 0;
        for (mut left, of_dead) in [(dead, true), (invalid, false)] {
            let mut after = None;
            while left > 0 {
                let places = if of_dead {
                    self.disk.dead_after(after, STEP)?
                } else {
                    self.disk.invalid_after(after, STEP)?
                };
                let Some(last) = places.last() else { break };
                after = Some(*last);
                left = left.saturating_sub(places.len() as u64);
                sum += self.discard(places.iter().map(|place| place.id).collect()).await?;
            }
        }
        Ok(sum)
    }
}
