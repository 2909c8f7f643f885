//! Counts of profiles by state, shared with whoever shows them.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use crate::{
    profile::ProfileId,
    store::{Counts, row::Row},
};

/// Counts that one writer keeps and anyone reads.
#[derive(Clone, Debug, Default)]
pub(super) struct Shared(Arc<Cells>);

#[derive(Debug, Default)]
struct Cells {
    known: AtomicU64,
    followed: AtomicU64,
    due: AtomicU64,
    ready: AtomicU64,
    in_flight: AtomicU64,
    dead: AtomicU64,
    unreconciled: AtomicU64,
    invalid_records: AtomicU64,
    due_after_none: AtomicU64,
    oldest_due: AtomicU64,
    complete: AtomicBool,
}

impl Shared {
    pub(super) fn read(&self) -> Counts {
        let load = |cell: &AtomicU64| cell.load(Ordering::Relaxed);
        Counts {
            known: load(&self.0.known),
            followed: load(&self.0.followed),
            due: load(&self.0.due),
            ready: load(&self.0.ready),
            in_flight: load(&self.0.in_flight),
            dead: load(&self.0.dead),
            unreconciled: load(&self.0.unreconciled),
            invalid_records: load(&self.0.invalid_records),
            due_after_none: load(&self.0.due_after_none),
            oldest_due: load(&self.0.oldest_due),
            complete: self.0.complete.load(Ordering::Acquire),
        }
    }

    pub(super) fn write(&self, counts: Counts) {
        let store = |cell: &AtomicU64, value| cell.store(value, Ordering::Relaxed);
        store(&self.0.known, counts.known);
        store(&self.0.followed, counts.followed);
        store(&self.0.due, counts.due);
        store(&self.0.ready, counts.ready);
        store(&self.0.in_flight, counts.in_flight);
        store(&self.0.dead, counts.dead);
        store(&self.0.unreconciled, counts.unreconciled);
        store(&self.0.invalid_records, counts.invalid_records);
        store(&self.0.due_after_none, counts.due_after_none);
        store(&self.0.oldest_due, counts.oldest_due);
        self.0.complete.store(counts.complete, Ordering::Release);
    }
}

/// Counts rows while the first scan goes over them: a row behind the scan is counted when it
/// changes, one ahead of it when the scan gets there.
#[derive(Debug)]
pub(super) struct Tally {
    /// The generation of the mapping; rows of another one are yet to be reconciled.
    generation: u32,
    counts: Counts,
    counted: Counted,
}

/// Which rows are counted.
#[derive(Debug, Default)]
enum Counted {
    #[default]
    None,
    /// Those up to this one.
    To(ProfileId),
    All,
}

impl Tally {
    pub(super) fn new(generation: u32) -> Self {
        Self { generation, counts: Counts::default(), counted: Counted::default() }
    }

    pub(super) fn counts(&self) -> Counts {
        Counts { complete: self.is_complete(), ..self.counts }
    }

    /// Whether all rows are counted.
    pub(super) fn is_complete(&self) -> bool {
        matches!(self.counted, Counted::All)
    }

    /// Counts the rows that a scan came to, in the order of their ids.
    pub(super) fn count(&mut self, rows: &[(ProfileId, Row)]) {
        for (id, row) in rows {
            self.add(row, u64::wrapping_add);
            self.counted = Counted::To(*id);
        }
    }

    /// Notes that there are no more rows to count.
    pub(super) fn complete(&mut self) {
        self.counted = Counted::All;
    }

    /// Notes that a row changed.
    pub(super) fn change(&mut self, id: &ProfileId, before: Option<&Row>, after: &Row) {
        if !self.has_counted(id) {
            return;
        }
        if self.counts.due == 0 && after.is_deliverable() {
            self.counts.due_after_none += 1;
        }
        if let Some(before) = before {
            self.add(before, u64::wrapping_sub);
        }
        self.add(after, u64::wrapping_add);
    }

    /// Notes that a row is gone.
    pub(super) fn remove(&mut self, id: &ProfileId, row: &Row) {
        if self.has_counted(id) {
            self.add(row, u64::wrapping_sub);
        }
    }

    fn has_counted(&self, id: &ProfileId) -> bool {
        match self.counted {
            Counted::None => false,
            Counted::To(last) => *id <= last,
            Counted::All => true,
        }
    }

    fn add(&mut self, row: &Row, step: fn(u64, u64) -> u64) {
        let counts = &mut self.counts;
        counts.known = step(counts.known, 1);
        counts.followed = step(counts.followed, row.followed.into());
        counts.due = step(counts.due, row.is_deliverable().into());
        let behind = row.generation != self.generation;
        counts.unreconciled = step(counts.unreconciled, behind.into());
    }
}
