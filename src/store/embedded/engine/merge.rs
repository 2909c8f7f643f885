//! Patches, merged by the writer: what each is merged into is what all before it have left.
//!
//! The caller has read them before, so that none is refused here.

use super::Engine;
use crate::{
    clock::Micros,
    profile::{Kept, Known, ProfileId},
    store::{StoreError, Update},
};

/// A profile and what a patch makes of it.
pub(super) struct Patched {
    previous: Option<Known>,
    kept: Kept,
    exits_by_absence: u32,
    /// Whether it is still not known if the profile consents.
    pub(super) consent_unknown: bool,
}

impl Engine {
    /// Makes the update one of the whole profile.
    pub(super) fn merge(&self, update: &mut Update, exists: bool) -> Result<Patched, StoreError> {
        let id = update.id;
        let previous = if exists { self.known(&id)? } else { None };
        let damaged = |error| StoreError::Damaged(format!("profile {id}: {error}"));
        let merged = self.mapping.merge(previous.as_ref(), &update.record, update.received);
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
