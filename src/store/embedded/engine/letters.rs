//! Dead letters and invalid records: sent again, dropped by hand, and kept within bounds.

use std::time::Duration;

use super::{Engine, next_version};
use crate::{
    profile::ProfileId,
    store::{
        LetterBounds, LetterId, Replayed, StoreError, Triggers,
        embedded::{
            disk::{Disk, Durability},
            kept::{Kept, Names},
        },
        judge::mark_due,
    },
};

/// How long invalid records are kept.
const INVALID_AGE: Duration = Duration::from_hours(7 * 24);

/// Letters of each kind that one step of housekeeping drops at most; some milliseconds of work, so
/// that calls do not wait for it.
const STEP: usize = 256;

const DEAD: Names =
    Names { plural: "dead letters", full: "dead_letters_full", expired: "dead_letter_expired" };

const INVALID: Names = Names {
    plural: "invalid records",
    full: "invalid_records_full",
    expired: "invalid_record_expired",
};

/// The letters of one store.
pub(super) struct Letters {
    pub(super) dead: Kept,
    pub(super) invalid: Kept,
}

impl Letters {
    pub(super) fn count(disk: &Disk, bounds: LetterBounds) -> Result<Self, StoreError> {
        let (dead, invalid) = disk.count_letters()?;
        Ok(Self {
            dead: Kept::new(DEAD, dead, bounds.max, bounds.max_age),
            invalid: Kept::new(INVALID, invalid, bounds.max, INVALID_AGE),
        })
    }
}

impl Engine {
    /// Makes the profiles of dead letters due as they are now, under a new version.
    pub(in crate::store::embedded) fn replay(
        &mut self,
        ids: Vec<ProfileId>,
    ) -> Result<Replayed, StoreError> {
        let mut replayed = Replayed::default();
        for id in ids {
            let Some(before) = self.row(&id)?.filter(|row| row.dead) else {
                replayed.missing += 1;
                continue;
            };
            let mut row = self.current(&id, before)?;
            if row.dead && !row.held {
                let version = next_version(&mut self.last_version, &self.clock);
                mark_due(&mut row, Triggers::REPLAY, version, self.clock.now());
            }
            // A mapping that changed may have made it due already.
            if row.is_deliverable() {
                replayed.replayed += 1;
            } else {
                replayed.not_followed += 1;
            }
            self.write(id, Some(&before), row);
        }
        Ok(replayed)
    }

    /// Drops letters because an operator wants it; says how many there were. Profiles stay known
    /// and are not due.
    pub(in crate::store::embedded) fn discard(
        &mut self,
        ids: Vec<LetterId>,
    ) -> Result<u64, StoreError> {
        let mut dropped = 0;
        for id in ids {
            dropped += u64::from(self.discard_one(id)?);
        }
        if dropped > 0 {
            self.metrics.discarded(true, "dead_letter_dropped").inc_by(dropped);
        }
        Ok(dropped)
    }

    /// Whether the letter was there.
    fn discard_one(&mut self, id: LetterId) -> Result<bool, StoreError> {
        match id {
            LetterId::Profile(id) => {
                let Some(before) = self.row(&id)?.filter(|row| row.dead) else { return Ok(false) };
                let mut row = before;
                row.dead = false;
                self.write(id, Some(&before), row);
                Ok(true)
            }
            LetterId::Invalid { received, number } => {
                let there = self.disk.has_invalid(received, number)?;
                Ok(there && self.group.gone.insert((received, number)))
            }
        }
    }

    /// Drops some of the letters that are too many or too old, oldest first, and warns before there
    /// are any. Says whether there are more.
    pub(super) fn trim_letters(&mut self) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let dead = self.disk.dead_after(None, STEP)?;
        let invalid = self.disk.invalid_after(None, STEP)?;
        let dead_over = self.letters.dead.over(&dead, now, &self.metrics);
        let invalid_over = self.letters.invalid.over(&invalid, now, &self.metrics);
        for place in dead[..dead_over].iter().chain(&invalid[..invalid_over]) {
            self.discard_one(place.id)?;
        }
        if dead_over + invalid_over > 0 {
            self.commit(Durability::Os)?;
        }
        let more = dead_over == STEP || invalid_over == STEP;
        // What is dropped step by step is said in one line.
        if !more {
            let sink = self.metrics.name();
            self.letters.dead.report(dead.get(dead_over), now, sink);
            self.letters.invalid.report(invalid.get(invalid_over), now, sink);
        }
        Ok(more)
    }
}
