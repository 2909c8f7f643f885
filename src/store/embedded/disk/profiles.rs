//! One profile on disk, who is suppressed, and what names a person.

use super::{Batch, Disk, Space, failed};
use crate::{
    profile::ProfileId,
    store::{
        DeadLetter, Letter, LetterId, LetterPlace, ProfileState, StoreError,
        embedded::naming::Needles,
    },
};

/// Letters that are read in one step.
const STEP: usize = 256;

/// Letters that name a person.
#[derive(Debug, Default)]
pub(in crate::store::embedded) struct Naming {
    /// Invalid records.
    pub(in crate::store::embedded) invalid: Vec<LetterId>,
    /// Those whose dead letter quotes the person.
    pub(in crate::store::embedded) quoted: Vec<ProfileId>,
    /// The last places that were looked at: of a dead letter, and of an invalid record.
    pub(in crate::store::embedded) after: [Option<LetterPlace>; 2],
}

impl Disk {
    /// All that is committed of a profile.
    pub(in crate::store::embedded) fn state(
        &self,
        id: &ProfileId,
    ) -> Result<Option<ProfileState>, StoreError> {
        let Some(row) = self.row(id)? else { return Ok(None) };
        let Some(known) = self.known(id)? else { return Ok(None) };
        let dead_letter = if row.dead { self.dead_letter(id)? } else { None };
        Ok(Some(ProfileState {
            id: *id,
            known,
            followed: row.followed,
            due: row.due,
            in_flight: false,
            offered: row.offered,
            leaving: row.leaving,
            triggers: row.triggers,
            version: row.version,
            confirmed: row.confirmed,
            source_version: row.source_version,
            failures: row.failures,
            not_before: row.not_before,
            due_since: row.due_since,
            dead_letter,
        }))
    }

    /// The letters behind these places that name a person. Looks at every one of them.
    pub(in crate::store::embedded) fn naming(
        &self,
        needles: &Needles,
        after: [Option<LetterPlace>; 2],
    ) -> Result<Naming, StoreError> {
        let mut naming = Naming { after, ..Naming::default() };
        loop {
            let [dead, invalid] = &mut naming.after;
            let places = [self.dead_after(*dead, STEP)?, self.invalid_after(*invalid, STEP)?];
            *dead = places[0].last().copied().or(*dead);
            *invalid = places[1].last().copied().or(*invalid);
            if places.iter().all(Vec::is_empty) {
                return Ok(naming);
            }
            for place in places.iter().flatten() {
                match self.letter(place.id)? {
                    Some(Letter::Invalid { id, record }) if needles.are_in_record(&record) => {
                        naming.invalid.push(id);
                    }
                    Some(Letter::Dead { id, letter, .. }) if needles.are_in_letter(&letter) => {
                        naming.quoted.push(id);
                    }
                    _ => {}
                }
            }
        }
    }

    /// Whose records are ignored.
    pub(in crate::store::embedded) fn suppressed(&self) -> Result<Vec<ProfileId>, StoreError> {
        let spaces = self.in_use()?;
        let ids = spaces.of(Space::Suppressed).iter().map(|entry| {
            let key = entry.key().map_err(failed)?;
            let id = <[u8; 16]>::try_from(&*key)
                .map_err(|_| StoreError::Damaged("a suppressed id is not 16 bytes".to_owned()))?;
            Ok(ProfileId(id))
        });
        ids.collect()
    }

    pub(in crate::store::embedded) fn is_suppressed(
        &self,
        id: &ProfileId,
    ) -> Result<bool, StoreError> {
        Ok(self.in_use()?.get(Space::Suppressed, &id.0)?.is_some())
    }
}

impl Batch<'_> {
    /// Removes a profile with all that lies under its id.
    pub(in crate::store::embedded) fn forget(
        &mut self,
        id: &ProfileId,
        letter: Option<&DeadLetter>,
    ) -> Result<(), StoreError> {
        self.remove(Space::Rows, &id.0);
        self.remove(Space::Profiles, &id.0);
        self.dead_letter(id, letter, None)
    }

    pub(in crate::store::embedded) fn suppress(&mut self, id: &ProfileId, suppressed: bool) {
        if suppressed {
            self.insert(Space::Suppressed, &id.0, &[]);
        } else {
            self.remove(Space::Suppressed, &id.0);
        }
    }
}
