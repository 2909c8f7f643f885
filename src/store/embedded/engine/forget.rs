//! Forgetting a profile: at once, or after its last export; and what is remembered of that.

use std::collections::HashSet;

use super::{Engine, next_version, reconcile::OUTGROWN};
use crate::{
    profile::{Fingerprints, ProfileId},
    store::{
        Dismissal, Forgotten, LetterId, ProfileState, StoreError, Triggers,
        embedded::{
            disk::{Disk, Durability},
            erase::{Copy, UNERASED},
        },
        ids::IdHasher,
        judge::mark_due,
        row::Row,
    },
};

/// What is remembered of profiles that were forgotten: nothing that would say who they were.
pub(super) struct Dismissed {
    /// Those whose records are ignored.
    suppressed: HashSet<ProfileId, IdHasher>,
    /// Those that were forgotten while a delivery of them was under way, which has not ended.
    in_flight: HashSet<ProfileId, IdHasher>,
    /// Whether something of them may still lie in the store's files.
    unerased: bool,
    /// How many were forgotten since the store was opened.
    count: u64,
}

impl Dismissed {
    pub(super) fn read(disk: &Disk) -> Result<Self, StoreError> {
        Ok(Self {
            suppressed: disk.suppressed()?.into_iter().collect(),
            in_flight: HashSet::default(),
            unerased: disk.is_unerased()?,
            count: 0,
        })
    }

    pub(super) fn suppresses(&self, id: &ProfileId) -> bool {
        !self.suppressed.is_empty() && self.suppressed.contains(id)
    }

    /// Notes that a delivery has ended, and says whether its profile was forgotten meanwhile.
    pub(super) fn has_landed(&mut self, id: &ProfileId) -> bool {
        self.in_flight.remove(id)
    }
}

impl Engine {
    /// All that is known of a profile, as of the last commit.
    pub(in crate::store::embedded) fn state(
        &self,
        id: &ProfileId,
    ) -> Result<Option<ProfileState>, StoreError> {
        let in_flight = self.queue.is_in_flight(id);
        Ok(self.disk.state(id)?.map(|state| ProfileState { in_flight, ..state }))
    }

    /// Forgets a profile with its dead letter. Durable when it returns.
    pub(in crate::store::embedded) fn forget(
        &mut self,
        id: ProfileId,
        how: Dismissal,
    ) -> Result<Forgotten, StoreError> {
        // What follows is not part of a group, in which the profile might change again.
        self.commit(Durability::Disk)?;
        let mut forgotten = Forgotten { suppressed: how.suppress, ..Forgotten::default() };
        if let Some(row) = self.row(&id)? {
            forgotten.known = true;
            forgotten.in_flight = self.queue.is_in_flight(&id);
            forgotten.dead_letter = row.dead;
            forgotten.leaving = how.exit && self.begin_to_leave(id, row)?;
            if !forgotten.leaving {
                self.remove(id, &row, Durability::Disk)?;
            }
        }
        if how.suppress {
            self.set_suppressed(&id, true)?;
        }
        Ok(forgotten)
    }

    /// Drops invalid records that name a person, and answers that quote the person from the dead
    /// letters of others. Durable when it returns; says how many there were.
    pub(in crate::store::embedded) fn forget_letters(
        &mut self,
        invalid: Vec<LetterId>,
        quoted: &[ProfileId],
    ) -> Result<(u64, u64), StoreError> {
        if invalid.is_empty() && quoted.is_empty() {
            return Ok((0, 0));
        }
        self.note_unerased()?;
        let dropped = self.discard(invalid)?;
        self.group.applied = true;
        self.commit(Durability::Disk)?;
        Ok((dropped, self.drop_answers(quoted)?))
    }

    /// Ignores the records of a profile, or no longer does. Says whether that changed anything.
    pub(in crate::store::embedded) fn set_suppressed(
        &mut self,
        id: &ProfileId,
        suppressed: bool,
    ) -> Result<bool, StoreError> {
        let mut batch = self.disk.batch();
        batch.suppress(id, suppressed);
        batch.commit(Durability::Disk)?;
        let all = &mut self.dismissed.suppressed;
        Ok(if suppressed { all.insert(*id) } else { all.remove(id) })
    }

    /// Removes a profile from everywhere. A delivery of it that is under way goes on; its outcome
    /// will be dropped, and nothing newer of the profile is sent before it has ended.
    pub(super) fn remove(
        &mut self,
        id: ProfileId,
        before: &Row,
        durability: Durability,
    ) -> Result<(), StoreError> {
        self.commit(Durability::Disk)?;
        let letter = self.disk.dead_letter(&id)?;
        let mut batch = self.disk.batch();
        batch.forget(&id, letter.as_ref())?;
        batch.meta(UNERASED, &true)?;
        batch.meta("last_version", &self.last_version)?;
        // What comes again now would no longer be what is known already.
        self.recent.write(&mut batch);
        batch.commit(durability)?;
        self.letters.dead.replace(letter.is_some(), false);
        self.cache.remove(&id);
        self.fresh.take(&id);
        self.queue.remove(&id);
        self.tally.remove(&id, before);
        if self.queue.is_in_flight(&id) {
            self.dismissed.in_flight.insert(id);
        }
        self.dismissed.unerased = true;
        self.dismissed.count += 1;
        self.publish();
        Ok(())
    }

    /// Leaves of a profile what its last export says, and makes that due. Says no where the
    /// endpoint has not heard of the profile, or has its exits already.
    fn begin_to_leave(&mut self, id: ProfileId, row: Row) -> Result<bool, StoreError> {
        let before = row;
        let mut row = self.current(&id, row)?;
        if !(row.followed || row.due) || !self.offered(&id, &row) {
            return Ok(false);
        }
        let Some(known) = self.known(&id)? else { return Ok(false) };
        let damaged = |error| StoreError::Damaged(format!("profile {id}: {error}"));
        self.note_unerased()?;
        row.offered |= self.is_uncertain(&row);
        let version = next_version(&mut self.last_version, &self.clock);
        let last = self.mapping.last_export(&known, version).map_err(damaged)?;
        let (prints, _) = self.mapping.fingerprints_of(self.record.seed, &last).map_err(damaged)?;
        mark_due(&mut row, Triggers::UNFOLLOWED, version, self.clock.now());
        // Whoever comes back is a new profile.
        row.source_version = None;
        // Exits say nothing for which consent would be asked.
        row.held = false;
        row.prints = Fingerprints { kept: OUTGROWN, ..prints };
        (row.followed, row.leaving) = (false, true);
        self.group.known.insert(id, last);
        self.group.applied = true;
        self.write(id, Some(&before), row);
        self.commit(Durability::Disk)?;
        Ok(true)
    }

    fn drop_answers(&mut self, quoted: &[ProfileId]) -> Result<u64, StoreError> {
        let mut dropped = 0;
        for id in quoted {
            let Some(mut letter) = self.disk.dead_letter(id)? else { continue };
            letter.answer = bytes::Bytes::new();
            letter.headers.clear();
            letter.reason = format!("{} (its answer quoted a forgotten profile)", letter.status);
            let mut batch = self.disk.batch();
            // It stays where it is in the order of times.
            batch.dead_letter(id, None, Some(&letter))?;
            batch.commit(Durability::Disk)?;
            dropped += 1;
        }
        Ok(dropped)
    }

    /// Notes, before something is removed, that it will still lie in the files.
    fn note_unerased(&mut self) -> Result<(), StoreError> {
        let mut batch = self.disk.batch();
        batch.meta(UNERASED, &true)?;
        batch.commit(Durability::Disk)?;
        self.dismissed.unerased = true;
        self.dismissed.count += 1;
        Ok(())
    }

    pub(in crate::store::embedded) fn is_unerased(&self) -> bool {
        self.dismissed.unerased
    }

    /// Begins to rewrite the files: from now on what is written is tracked. What is returned is
    /// handed to [`Engine::end_erasing`].
    pub(in crate::store::embedded) fn begin_erasing(&mut self) -> Result<u64, StoreError> {
        self.commit(Durability::Disk)?;
        self.disk.track();
        Ok(self.dismissed.count)
    }

    /// Puts the rewritten files in the place of the former ones. Says whether nothing of those who
    /// are forgotten is left in them: somebody may have been forgotten after being copied.
    ///
    /// The outer error is one of the store, which cannot go on; after the inner one it is as it
    /// was.
    pub(in crate::store::embedded) fn end_erasing(
        &mut self,
        copy: Copy,
        begun: u64,
    ) -> Result<Result<bool, StoreError>, StoreError> {
        self.commit(Durability::Disk)?;
        let is_clean = self.dismissed.count == begun;
        let exchanged = self.disk.catch_up(&copy).and_then(|_| {
            if is_clean {
                copy.mark_erased()?;
            }
            self.disk.exchange(copy)
        });
        self.disk.untrack();
        self.disk.in_use()?;
        if exchanged.is_ok() && is_clean {
            self.dismissed.unerased = false;
        }
        Ok(exchanged.map(|()| is_clean))
    }

    /// Rewrites the files if something of those who are forgotten may lie in them. Where that
    /// fails, the next clean stop tries again.
    pub(in crate::store::embedded) fn erase_at_end(&mut self) {
        if !self.dismissed.unerased {
            return;
        }
        let sink = self.metrics.name().to_owned();
        tracing::info!(sink, "rewriting the store's files, so that nothing forgotten is left");
        let erased = self.begin_erasing().and_then(|begun| {
            let copy = self.disk.copy().inspect_err(|_| self.disk.untrack())?;
            self.end_erasing(copy, begun)?
        });
        if let Err(error) = erased {
            tracing::error!(sink, %error, "forgotten profiles are still in the store's files; the \
                            next clean stop rewrites them");
        }
    }
}
