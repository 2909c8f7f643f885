//! Patches, merged by the writer: what each is merged into is what all before it have left.
//!
//! The caller has read them before, so that none is refused here.

use super::Engine;
use crate::{
    clock::Micros,
    profile::{Kept, Known, ProfileId},
    store::{StoreError, Update, row::Row},
};

/// A profile and what a patch makes of it.
pub(super) struct Patched {
    /// What was known, of which the history of memberships goes on.
    previous: Option<Known>,
    kept: Kept,
    exits_by_absence: u32,
    /// Whether it is still not known if the profile consents.
    pub(super) consent_unknown: bool,
}

impl Engine {
    /// Makes the update one of the whole profile. `before` is the row, where there is one.
    pub(super) fn merge(
        &self,
        update: &mut Update,
        before: Option<&Row>,
    ) -> Result<Patched, StoreError> {
        let id = update.id;
        let previous = if before.is_some() { self.known(&id)? } else { None };
        // Whoever was forgotten and comes back is a new profile, but for the exits that are due.
        let base = previous.as_ref().filter(|_| before.is_some_and(|row| !row.leaving));
        let damaged = |error| StoreError::Damaged(format!("profile {id}: {error}"));
        let merged = self.mapping.merge(base, &update.record, update.received);
        let merged = merged.map_err(damaged)?;
        let projected = self.mapping.project_merged(self.record.seed, &merged).map_err(damaged)?;
        update.prints = projected.prints;
        update.followed = projected.followed;
        if projected.consent_missing {
            self.metrics.consent_missing.inc();
        }
        let consent_unknown = projected.consent_unknown;
        let kept = projected.keep();
        let exits_by_absence = merged.exits_by_absence;
        Ok(Patched { previous, kept, exits_by_absence, consent_unknown })
    }

    pub(super) fn keep_patched(&mut self, id: ProfileId, patched: Patched, now: Micros) {
        let Patched { previous, kept, exits_by_absence, .. } = patched;
        self.metrics.exits_by_absence.inc_by(exits_by_absence.into());
        let advanced = self.mapping.advance(previous.as_ref(), kept, now);
        self.group.known.insert(id, advanced.known);
    }
}
