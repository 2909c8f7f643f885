//! The one place that compares, keeps and queues: everything that is written goes through here,
//! in order of arrival.
//!
//! What one group of calls changes is collected and committed together. Until then it can be read
//! back within the group, but nothing of it is claimed.

mod deliver;
mod forget;
mod letters;
mod merge;
mod reconcile;
mod resend;
mod scan;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use self::{forget::Dismissed, letters::Letters, reconcile::Reconcile};
use super::{
    disk::{Batch, Disk, Durability},
    fresh::Fresh,
    mapped::{self, MappingRecord},
    recent::Recent,
    tally::{Shared, Tally},
};
use crate::{
    clock::{Clock, Micros},
    profile::{Known, Mapping, ProfileId, UpdateMode},
    store::{
        Applied, Counts, DeadLetter, InvalidRecord, LetterBounds, SentPart, StoreError, Update,
        Verdict,
        ids::IdHasher,
        judge::{judge, judge_held},
        queue::Queue,
        row::Row,
    },
    telemetry::Component,
};

/// The longest delay of a profile, also if the clock was set back meanwhile.
const LONGEST_DELAY: Duration = Duration::from_mins(5);

/// Rows for which a group's tables are kept: emptying a table takes time by its size.
const REUSED: usize = 4096;

pub(super) type RowCache =
    quick_cache::sync::Cache<ProfileId, Row, quick_cache::UnitWeighter, IdHasher>;

pub(super) struct Engine {
    disk: Disk,
    mapping: Arc<Mapping>,
    record: MappingRecord,
    cache: Arc<RowCache>,
    group: Group,
    fresh: Fresh,
    queue: Queue,
    /// Rows that are due but found no room in the queue.
    overflowed: bool,
    scan: Option<Scan>,
    reconcile: Reconcile,
    tally: Tally,
    shared: Shared,
    clock: Clock,
    metrics: Arc<Component>,
    last_version: u64,
    /// Whatever was due under a version up to this one when the store was opened after a crash
    /// may have been in flight.
    offered_to: u64,
    invalid_number: u64,
    letters: Letters,
    recent: Recent,
    dismissed: Dismissed,
}

/// What a group of calls changed.
#[derive(Default)]
struct Group {
    rows: HashMap<ProfileId, Row, IdHasher>,
    known: HashMap<ProfileId, Known, IdHasher>,
    dead: HashMap<ProfileId, Option<Arc<DeadLetter>>, IdHasher>,
    invalid: Vec<InvalidRecord>,
    /// Invalid records that go, by time and number.
    gone: HashSet<(Micros, u64)>,
    /// Rows that did not exist before.
    added: u64,
    /// Whether a source waits for this to be on disk.
    applied: bool,
}

struct Scan {
    after: Option<ProfileId>,
}

impl Engine {
    pub(super) fn open(
        disk: Disk,
        mapping: Arc<Mapping>,
        cache: Arc<RowCache>,
        bounds: LetterBounds,
        clock: Clock,
        metrics: Arc<Component>,
        shared: Shared,
    ) -> Result<Self, StoreError> {
        let now = clock.now();
        let record = mapped::record(&disk, &mapping, now)?;
        let last_version = disk.meta::<u64>("last_version")?.unwrap_or(0).max(now);
        let stopped_cleanly = disk.meta::<bool>("stopped_cleanly")?.unwrap_or(true);
        let offered_to = disk.meta::<u64>("offered_to")?.unwrap_or(0);
        let mut batch = disk.batch();
        batch.meta("stopped_cleanly", &false)?;
        batch.commit(Durability::Disk)?;
        let letters = Letters::count(&disk, bounds)?;
        let recent = Recent::load(&disk)?;
        let dismissed = Dismissed::read(&disk)?;
        let mut engine = Self {
            offered_to: if stopped_cleanly { offered_to } else { last_version },
            disk,
            reconcile: Reconcile::default(),
            tally: Tally::new(record.generation),
            mapping,
            record,
            cache,
            group: Group::default(),
            fresh: Fresh::default(),
            queue: Queue::default(),
            overflowed: false,
            scan: Some(Scan { after: None }),
            shared,
            clock,
            metrics,
            last_version,
            invalid_number: now,
            letters,
            recent,
            dismissed,
        };
        engine.publish();
        engine.announce_mapping();
        Ok(engine)
    }

    pub(super) fn record(&self) -> &MappingRecord {
        &self.record
    }

    /// Judges updates in their order. Their verdicts hold once the group is committed.
    pub(super) fn apply(
        &mut self,
        updates: Vec<Update>,
        invalid: Vec<InvalidRecord>,
        parts: Vec<SentPart>,
    ) -> Result<Applied, StoreError> {
        self.group.applied = true;
        self.reconcile.note_update();
        let mut applied = Applied { verdicts: Vec::with_capacity(updates.len()), invalid: 0 };
        let (mut updates, mut invalid) = (updates.into_iter(), invalid.into_iter());
        let rest = SentPart { id: None, updates: usize::MAX, invalid: usize::MAX };
        for part in parts.into_iter().chain([rest]) {
            let (updates, invalid) =
                (updates.by_ref().take(part.updates), invalid.by_ref().take(part.invalid));
            // What was mapped otherwise means something else now, so that it may come again.
            let id = part.id.map(|id| id.within(self.record.generation));
            if id.is_some_and(|id| self.recent.knows(&id)) {
                applied.verdicts.extend(updates.map(|_| Verdict::Unchanged));
                invalid.for_each(drop);
                continue;
            }
            let (first, kept) = (applied.verdicts.len(), self.group.invalid.len());
            for update in updates {
                applied.verdicts.push(self.apply_one(update)?);
            }
            self.group.invalid.extend(invalid);
            applied.invalid += self.group.invalid.len() - kept;
            // A record that is found to be invalid only here is set aside by a call of its own,
            // and with that the part is complete.
            if let Some(id) = id
                && !applied.verdicts[first..].contains(&Verdict::Invalid)
            {
                self.recent.insert(id);
            }
        }
        Ok(applied)
    }

    fn apply_one(&mut self, mut update: Update) -> Result<Verdict, StoreError> {
        if self.dismissed.suppresses(&update.id) {
            return Ok(Verdict::Suppressed);
        }
        let id = update.id;
        let before = self.row(&id)?;
        let mut row = match before {
            None => Row { generation: self.record.generation, ..Row::default() },
            Some(row) if self.says_nothing_new(&row, &update) => {
                let followed = update.followed;
                return Ok(if followed { Verdict::Unchanged } else { Verdict::NotFollowed });
            }
            Some(row) => self.current(&id, row)?,
        };
        let uncertain = before.is_some_and(|row| self.is_uncertain(&row));
        let patched = match self.mapping.update_mode() {
            UpdateMode::Snapshot => None,
            UpdateMode::Patch => Some(self.merge(&mut update, before.as_ref())?),
        };
        let (offered, former) = (self.offered(&id, &row), row.version);
        let (when, last_version, clock) =
            (self.mapping.spec().when, &mut self.last_version, &self.clock);
        let mint = || next_version(last_version, clock);
        let judgement = if patched.as_ref().is_some_and(|patched| patched.consent_unknown) {
            judge_held(&mut row, &update, mint)
        } else {
            judge(&mut row, &update, when, offered, mint)
        };
        if matches!(judgement.verdict, Verdict::Stale | Verdict::Invalid) {
            // A row of an older mapping was brought up to date.
            self.write(id, before.as_ref(), row);
            return Ok(judgement.verdict);
        }
        // Whoever comes back is not forgotten when the last export has been answered.
        row.leaving = false;
        let is_new_version = row.version != former;
        // The version that a crash left uncertain is not to be seen any more.
        row.offered |= uncertain && is_new_version;
        if judgement.keep || before.is_none() {
            // A membership that changes now is new to an endpoint that confirmed an older version.
            let now = if is_new_version { row.version } else { update.received };
            let exists = before.is_some();
            match patched {
                None => self.keep(&mut update, exists, now)?,
                Some(patched) => self.keep_patched(id, patched, now),
            }
        }
        self.write(id, before.as_ref(), row);
        Ok(judgement.verdict)
    }

    /// Merges what is to be kept of a record into what is known.
    fn keep(&mut self, update: &mut Update, exists: bool, now: Micros) -> Result<(), StoreError> {
        let kept = match update.kept.take() {
            Some(kept) => kept,
            None => self
                .mapping
                .project(self.record.seed, &update.record)
                .map_err(|invalid| StoreError::Failed(invalid.to_string()))?
                .keep(),
        };
        let previous = if exists { self.known(&update.id)? } else { None };
        let advanced = self.mapping.advance(previous.as_ref(), kept, now);
        if advanced.exits_by_absence > 0 {
            self.metrics.exits_by_absence.inc_by(advanced.exits_by_absence.into());
        }
        self.group.known.insert(update.id, advanced.known);
        Ok(())
    }

    /// Commits what the group changed and queues what became due. After an error nothing may be
    /// judged any more: what the cache holds is not what is stored.
    pub(super) fn commit(&mut self, applied: Durability) -> Result<(), StoreError> {
        let mut group = std::mem::take(&mut self.group);
        self.store(&group, applied)?;
        for (id, known) in group.known.drain() {
            // Only what is due will be claimed, and what is not claimed would stay for ever.
            if group.rows.get(&id).is_some_and(Row::is_deliverable) {
                self.fresh.insert(id, known);
            } else {
                self.fresh.take(&id);
            }
        }
        let now = self.clock.now();
        for (id, row) in group.rows.drain() {
            self.cache.insert(id, row);
            if row.is_deliverable() {
                self.enqueue(id, &row, now);
            }
        }
        // The tables of an ordinary group serve the next one too.
        if group.rows.capacity() <= REUSED {
            let Group { rows, known, .. } = group;
            self.group = Group { rows, known, ..Group::default() };
        }
        self.publish();
        Ok(())
    }

    fn store(&mut self, group: &Group, applied: Durability) -> Result<(), StoreError> {
        if group.rows.is_empty() && group.invalid.is_empty() && group.gone.is_empty() {
            return Ok(());
        }
        #[expect(clippy::disallowed_methods, reason = "measures the disk, which nothing pauses")]
        let started = std::time::Instant::now();
        let mut batch: Batch<'_> = self.disk.batch();
        for (id, row) in &group.rows {
            batch.row(id, row);
        }
        for (id, known) in &group.known {
            batch.known(id, known);
        }
        for (id, letter) in &group.dead {
            let former = self.disk.dead_letter(id)?;
            batch.dead_letter(id, former.as_ref(), letter.as_deref())?;
            self.letters.dead.replace(former.is_some(), letter.is_some());
        }
        for record in &group.invalid {
            self.invalid_number += 1;
            batch.invalid_record(self.invalid_number, record)?;
            self.letters.invalid.replace(false, true);
        }
        for (received, number) in &group.gone {
            batch.remove_invalid(*received, *number);
            self.letters.invalid.replace(true, false);
        }
        self.recent.write(&mut batch);
        batch.meta("last_version", &self.last_version)?;
        batch.commit(if group.applied { applied } else { Durability::Os })?;
        self.metrics.commit.observe(started.elapsed().as_secs_f64());
        Ok(())
    }

    fn publish(&mut self) {
        let counts = self.tally.counts();
        let oldest_due = match (counts.due, self.shared.read().oldest_due) {
            (0, _) => 0,
            // The first of them has become due just now.
            (_, 0) => self.clock.now(),
            (_, oldest) => oldest,
        };
        let in_flight = self.queue.in_flight() as u64;
        let (dead, invalid_records) = (self.letters.dead.count(), self.letters.invalid.count());
        let ready = self.queue.ready() as u64;
        self.shared.write(Counts { ready, in_flight, dead, invalid_records, oldest_due, ..counts });
    }

    /// What is not worth doing with each commit: the age of the oldest due profile, and dropping
    /// letters that are too many or too old. Says whether there are more of them.
    pub(super) fn housekeep(&mut self) -> Result<bool, StoreError> {
        let oldest_due = self.queue.oldest_due().unwrap_or(0);
        self.shared.write(Counts { oldest_due, ..self.shared.read() });
        self.trim_letters()
    }

    /// Notes that everything in flight was settled, and makes all of it durable.
    pub(super) fn stop(&mut self) -> Result<(), StoreError> {
        self.commit(Durability::Disk)?;
        let mut batch = self.disk.batch();
        batch.meta("stopped_cleanly", &(self.queue.in_flight() == 0))?;
        // What a crash left uncertain stays so until it is delivered.
        batch.meta("offered_to", &self.offered_to)?;
        self.recent.write(&mut batch);
        batch.meta("last_version", &self.last_version)?;
        batch.commit(Durability::Disk)
    }

    pub(super) fn is_scanning(&self) -> bool {
        self.scan.is_some()
    }

    #[cfg(test)]
    pub(super) fn now(&self) -> Micros {
        self.clock.now()
    }

    #[cfg(test)]
    pub(super) fn metrics(&self) -> &Component {
        &self.metrics
    }

    /// Whether the calls of this group so far left nothing to write.
    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.group.rows.is_empty() && self.group.known.is_empty()
    }

    #[cfg(test)]
    pub(super) fn limit_queue(&mut self, entries: usize) {
        self.queue.limit(entries);
    }

    pub(super) fn has_ready(&mut self) -> bool {
        self.queue.ready() > 0
    }

    /// Whether every row is in the cache, so that what is not there does not exist.
    fn caches_all(&self) -> bool {
        self.tally.is_complete()
            && self.cache.len() as u64 + self.group.added == self.tally.counts().known
    }

    fn room(&self) -> usize {
        usize::try_from(self.cache.capacity()).unwrap_or(usize::MAX)
    }

    /// Whether consent is found to be withdrawn under a mapping that asks for it anew.
    fn note_consent(&mut self, id: &ProfileId, known: &mut Known) -> Result<bool, StoreError> {
        // No less than any time that was noted before.
        let now = self.clock.now().max(self.last_version + 1);
        let noted = self
            .mapping
            .note_consent(known, now)
            .map_err(|error| StoreError::Damaged(format!("profile {id}: {error}")))?;
        if noted {
            self.group.known.insert(*id, known.clone());
        }
        Ok(noted && known.withdrawn.is_some())
    }

    fn offered(&self, id: &ProfileId, row: &Row) -> bool {
        row.offered || self.queue.is_in_flight(id) || self.is_uncertain(row)
    }

    /// Whether it may have been in flight when the process crashed.
    fn is_uncertain(&self, row: &Row) -> bool {
        row.due && row.version <= self.offered_to
    }

    fn row(&self, id: &ProfileId) -> Result<Option<Row>, StoreError> {
        if let Some(row) = self.group.rows.get(id) {
            return Ok(Some(*row));
        }
        if let Some(row) = self.cache.get(id) {
            return Ok(Some(row));
        }
        if self.caches_all() {
            return Ok(None);
        }
        let row = self.disk.row(id)?;
        if let Some(row) = row {
            self.cache.insert(*id, row);
        }
        Ok(row)
    }

    fn known(&self, id: &ProfileId) -> Result<Option<Known>, StoreError> {
        let known = self.group.known.get(id).or_else(|| self.fresh.get(id));
        known.map_or_else(|| self.disk.known(id), |known| Ok(Some(known.clone())))
    }

    fn write(&mut self, id: ProfileId, before: Option<&Row>, row: Row) {
        if before == Some(&row) {
            if row.is_deliverable() {
                let now = self.clock.now();
                self.enqueue(id, &row, now);
            }
            return;
        }
        self.tally.change(&id, before, &row);
        if !row.dead && before.is_some_and(|before| before.dead) {
            self.group.dead.insert(id, None);
        }
        self.group.added += u64::from(before.is_none());
        self.group.rows.insert(id, row);
    }

    fn enqueue(&mut self, id: ProfileId, row: &Row, now: Micros) {
        let wait = Duration::from_micros(row.not_before.saturating_sub(now)).min(LONGEST_DELAY);
        if !self.queue.push(id, row.due_since, wait) {
            self.overflowed = true;
        }
    }
}

/// The larger of the last version + 1 and the microseconds since the epoch, so that versions never
/// go back, also after a store was lost.
fn next_version(last: &mut u64, clock: &Clock) -> u64 {
    *last = clock.now().max(*last + 1);
    *last
}
