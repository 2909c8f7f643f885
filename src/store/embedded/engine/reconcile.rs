//! The known profiles under a mapping that changed: judged again in the background, in small steps
//! that leave updates their pace, and whenever an update or a claim meets one before.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Engine, next_version};
use crate::{
    profile::{Added, Followed, Holds, ProfileId, UpdateMode, When},
    store::{
        StoreError, Triggers, Update,
        embedded::disk::Durability,
        judge::{mark_due, withdraw},
        row::Row,
    },
};

/// How long a step takes, and how many profiles it judges at most, so that a call waits no longer.
const STEP: Duration = Duration::from_millis(2);
const STEP_PROFILES: usize = 256;

/// Rows that are read at once.
const ROWS: usize = 128;

/// While updates come, a step is followed by a rest of so many times its length. Their rate then
/// falls by a tenth at most, also where one processor does all the work.
const REST: u32 = 9;

/// How often it is said how far it is.
const REPORT: Duration = Duration::from_secs(10);

/// How far the known profiles are judged by the present mapping.
#[derive(Default)]
pub(super) struct Reconcile {
    work: Option<Work>,
    /// The first row of an older mapping that was found.
    first: Option<ProfileId>,
    /// Whether an update came since the last step.
    updated: bool,
    /// What the present mapping added, by the generation it is compared with.
    added: Vec<(u32, Arc<Added>)>,
    /// Profiles that became due by it.
    due: u64,
    /// Profiles of which it is not known whether they consent.
    held: u64,
}

struct Work {
    after: Option<ProfileId>,
    profiles: u64,
    began: Instant,
    reported: Instant,
    resting_until: Instant,
}

impl Reconcile {
    /// Notes that updates come, which it is not to hold up.
    pub(super) fn note_update(&mut self) {
        self.updated = true;
    }

    /// Notes a row of an older mapping. Rows come in their order, so those before the first are
    /// done.
    pub(super) fn found(&mut self, id: ProfileId) {
        self.first.get_or_insert(id);
    }
}

impl Engine {
    /// Says what a mapping that changed cannot do for the profiles that are known.
    pub(super) fn announce_mapping(&self) {
        let attributes = &self.record.not_kept;
        if !attributes.is_empty() {
            tracing::info!(
                sink = self.metrics.name(),
                attributes = attributes.join(", "),
                "mapping changed: these attributes were not kept of the profiles that are known, \
                 and arrive with the next update of each; with `state.retain: profile` they would \
                 be known"
            );
        }
    }

    /// Starts once all rows are counted, if some are of an older mapping.
    pub(super) fn begin_reconcile(&mut self) {
        let profiles = self.tally.counts().unreconciled;
        let Some(first) = self.reconcile.first.take().filter(|_| profiles > 0) else { return };
        let before = u128::from_be_bytes(first.0).checked_sub(1);
        let after = before.map(|id| ProfileId(id.to_be_bytes()));
        let sink = self.metrics.name();
        tracing::info!(sink, "mapping changed: reconciling {profiles} profiles");
        let now = now();
        self.reconcile.work =
            Some(Work { after, profiles, began: now, reported: now, resting_until: now });
    }

    /// How long until it goes on; `None` when nothing is left to do.
    pub(in crate::store::embedded) fn reconciles_in(&self) -> Option<Duration> {
        let work = self.reconcile.work.as_ref()?;
        Some(work.resting_until.saturating_duration_since(now()))
    }

    /// Judges some of the profiles that are left.
    pub(in crate::store::embedded) fn reconcile_step(&mut self) -> Result<(), StoreError> {
        let Some(mut work) = self.reconcile.work.take() else { return Ok(()) };
        let began = now();
        let (mut is_done, mut judged) = (false, 0);
        'step: while !is_done {
            let rows = self.disk.rows_after(work.after, ROWS)?;
            is_done = rows.is_empty();
            for (id, row) in rows {
                work.after = Some(id);
                if row.generation == self.record.generation {
                    continue;
                }
                let current = self.current(&id, row)?;
                self.write(id, Some(&row), current);
                judged += 1;
                if judged == STEP_PROFILES || began.elapsed() >= STEP {
                    break 'step;
                }
            }
            is_done |= self.tally.counts().unreconciled == 0;
            if began.elapsed() >= STEP {
                break;
            }
        }
        self.commit(Durability::Os)?;
        let Work { profiles, .. } = work;
        let sink = self.metrics.name();
        let due = self.reconcile.due;
        if is_done {
            let secs = work.began.elapsed().as_secs();
            tracing::info!(sink, profiles, due, secs, "reconciled");
            let held = std::mem::take(&mut self.reconcile.held);
            if held > 0 {
                tracing::warn!(
                    sink,
                    profiles = held,
                    "nothing is exported of profiles whose consent was not kept, until the next \
                     record of each says whether it is given; with `state.retain: profile` it \
                     would be known"
                );
            }
            return Ok(());
        }
        let ended = now();
        if ended - work.reported >= REPORT {
            work.reported = ended;
            let remaining = self.tally.counts().unreconciled;
            tracing::info!(sink, profiles, remaining, due, "reconciling");
        }
        if std::mem::take(&mut self.reconcile.updated) {
            work.resting_until = ended + (ended - began) * REST;
        }
        self.reconcile.work = Some(work);
        Ok(())
    }

    /// Whether a record is to the present mapping just what the known profile was to the one by
    /// which its row was judged. Fingerprints are of what was read and not of the mapping, so both
    /// mappings read the same of both: no change can fall between, and the row is left to the
    /// background. Such an update costs no more than it always does.
    pub(super) fn says_nothing_new(&self, row: &Row, update: &Update) -> bool {
        let is_no_version = update.source_version.is_none_or(|v| Some(v) == row.source_version);
        row.generation != self.record.generation
            // A patch is compared once it is merged.
            && self.mapping.update_mode() == UpdateMode::Snapshot
            && !(row.held || row.leaving)
            && (row.prints, row.followed) == (update.prints, update.followed)
            && is_no_version
            && self.mapping.spec().when == When::Changed
    }

    /// Brings a row of an older mapping up to the present one, from what is kept of its profile.
    /// What the mapping follows now, and what it exports now besides, becomes due; what it only no
    /// longer maps makes nothing due.
    ///
    /// Consent that the mapping asks for now counts like that of a record where it was kept: who
    /// refuses is no longer followed, and the endpoint is told if it has heard of the profile.
    /// Where it was not kept, the row is held: it stays as it is, and nothing is exported and no
    /// withdrawal sent until the next record.
    pub(super) fn current(&mut self, id: &ProfileId, mut row: Row) -> Result<Row, StoreError> {
        if row.generation == self.record.generation {
            return Ok(row);
        }
        row.offered |= self.is_uncertain(&row);
        // What is not kept any more is not compared, so it is of unknown age until it is dropped.
        let outgrown = row.generation < self.record.narrowed || row.prints.kept == OUTGROWN;
        let added = self.added_since(row.generation);
        row.generation = self.record.generation;
        if row.leaving {
            return Ok(row);
        }
        let Some(mut known) = self.known(id)? else { return Ok(row) };
        let judged = self
            .mapping
            .judge_again(self.record.seed, &known, &added)
            .map_err(|error| StoreError::Damaged(format!("profile {id}: {error}")))?;
        let withdrew = self.note_consent(id, &mut known)?;
        row.held = judged.followed == Followed::Unknown;
        self.reconcile.held += u64::from(row.held);
        let was_followed = row.followed;
        row.followed = if row.held { was_followed } else { judged.followed == Followed::Yes };
        let followed = row.followed;
        row.prints = judged.prints;
        if outgrown {
            row.prints.kept = OUTGROWN;
        }
        // Of a profile that is not followed there is nothing to send again.
        row.dead &= followed;
        let triggers = match (was_followed, followed) {
            (false, true) => Triggers::FOLLOWED,
            (true, true) => triggers(judged.holds),
            (true, false) if withdrew && self.offered(id, &row) => Triggers::UNFOLLOWED,
            (_, false) => Triggers::default(),
        };
        if !triggers.is_empty() {
            self.reconcile.due += u64::from(!row.due);
            let version = next_version(&mut self.last_version, &self.clock);
            mark_due(&mut row, triggers, version, self.clock.now());
        } else if was_followed && !followed && !self.offered(id, &row) {
            withdraw(&mut row);
        }
        Ok(row)
    }

    fn added_since(&mut self, generation: u32) -> Arc<Added> {
        let cached = &mut self.reconcile.added;
        if let Some((_, added)) = cached.iter().find(|(of, _)| *of == generation) {
            return added.clone();
        }
        let (coverage, unmapped) = (&self.record.coverage, &self.record.unmapped);
        let added = Arc::new(Added::since(generation, &self.mapping, coverage, unmapped));
        cached.push((generation, added.clone()));
        added
    }
}

/// The fingerprint of what is kept where that may be more than the mapping keeps, or something else
/// than a record: the next record is written whatever it holds.
pub(super) const OUTGROWN: u128 = 0;

fn triggers(holds: Holds) -> Triggers {
    let mut triggers = Triggers::default();
    for (holds, trigger) in [
        (holds.membership, Triggers::MEMBERSHIP),
        (holds.identity, Triggers::IDENTITY),
        (holds.attribute, Triggers::ATTRIBUTE),
    ] {
        if holds {
            triggers |= trigger;
        }
    }
    triggers
}

#[expect(clippy::disallowed_methods, reason = "measures the writer's thread, off tokio's clock")]
fn now() -> Instant {
    Instant::now()
}
