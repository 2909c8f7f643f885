//! The ids that senders gave lately, by which what comes a second time is told.
//!
//! On disk they are a ring of pages, each written over the oldest: nothing is ever deleted, and
//! what is read at the start is bounded. Ids wait in memory for the next commit that there is
//! anyway. That is exact: as long as nothing else was written, what came under them has changed
//! nothing, and will change nothing when it comes again.

use std::collections::{HashSet, VecDeque};

use super::disk::{Batch, Disk};
use crate::{
    record::SentId,
    store::{StoreError, ids::IdHasher},
};

/// How many ids are remembered at most. Vector, which gives each event one, has no more than 200
/// requests of 1000 events in flight unless it is told to. In memory they take up to 13 MiB.
const CAPACITY: usize = 1 << 18;

/// Ids of one page. A page that is not full yet is written again with each commit, so it is small.
const PAGE: usize = 16;

const ID: usize = size_of::<SentId>();

/// The latest ids, bounded.
pub(super) struct Recent {
    /// In the order in which they came.
    order: VecDeque<SentId>,
    known: HashSet<SentId, IdHasher>,
    /// The number of the id that comes next.
    next: u64,
    /// The number of the first id that is not on disk.
    unwritten: u64,
    capacity: usize,
}

impl Recent {
    /// Those that are on disk.
    pub(super) fn load(disk: &Disk) -> Result<Self, StoreError> {
        Self::load_bounded(disk, CAPACITY)
    }

    /// At most `capacity` of them, a multiple of what a page holds.
    fn load_bounded(disk: &Disk, capacity: usize) -> Result<Self, StoreError> {
        let pages = disk.recent()?;
        let mut pages = pages.iter().map(|page| read(page)).collect::<Result<Vec<_>, _>>()?;
        pages.sort_unstable_by_key(|(first, _)| *first);
        let mut recent = Self {
            order: VecDeque::new(),
            known: HashSet::default(),
            next: 0,
            unwritten: 0,
            capacity,
        };
        for (first, ids) in pages {
            // What another version of this program left behind is not part of the ring.
            if first != recent.next {
                recent.order.clear();
                recent.known.clear();
                recent.next = first;
            }
            for id in ids {
                recent.insert(id);
            }
        }
        recent.unwritten = recent.next;
        Ok(recent)
    }

    pub(super) fn knows(&self, id: &SentId) -> bool {
        self.known.contains(id)
    }

    /// Remembers an id that is not known, in the place of the oldest if there are too many.
    pub(super) fn insert(&mut self, id: SentId) {
        if self.order.len() == self.capacity
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.order.push_back(id);
        self.known.insert(id);
        self.next += 1;
    }

    /// Writes the pages that are not on disk as they are here.
    pub(super) fn write(&mut self, batch: &mut Batch<'_>) {
        if self.unwritten == self.next {
            return;
        }
        let (size, pages) = (PAGE as u64, (self.capacity / PAGE) as u64);
        let end = self.next.div_ceil(size);
        // Of very many, the first would be written over by the last.
        let begin = (self.unwritten / size).max(end.saturating_sub(pages));
        let oldest = self.next - self.order.len() as u64;
        for number in begin..end {
            let first = number * size;
            let last = (first + size).min(self.next);
            let mut page = Vec::with_capacity(size_of::<u64>() + PAGE * ID);
            page.extend_from_slice(&first.to_be_bytes());
            let ids = self.order.range(index(first - oldest)..index(last - oldest));
            ids.for_each(|id| page.extend_from_slice(&id.0));
            let place = u32::try_from(number % pages).expect("there are fewer pages than ids");
            batch.recent(place, &page);
        }
        self.unwritten = self.next;
    }
}

/// The number of a page's first id, and its ids.
fn read(page: &[u8]) -> Result<(u64, Vec<SentId>), StoreError> {
    let damaged = || StoreError::Damaged("a page of recent ids has a wrong length".to_owned());
    let (first, ids) = page.split_first_chunk().ok_or_else(damaged)?;
    let (ids, []) = ids.as_chunks::<ID>() else { return Err(damaged()) };
    Ok((u64::from_be_bytes(*first), ids.iter().copied().map(SentId).collect()))
}

fn index(number: u64) -> usize {
    usize::try_from(number).expect("no more ids are kept than memory has room for")
}

#[cfg(test)]
mod tests {
    use super::{super::disk::Durability, *};

    const FEW: usize = 4 * PAGE;

    fn id(number: u64) -> SentId {
        SentId::of("in", &number.to_le_bytes(), b"")
    }

    fn commit(recent: &mut Recent, disk: &Disk) {
        let mut batch = disk.batch();
        recent.write(&mut batch);
        batch.commit(Durability::Os).unwrap();
    }

    /// The numbers below `end` whose ids are known.
    fn known(recent: &Recent, end: u64) -> Vec<u64> {
        (0..end).filter(|number| recent.knows(&id(*number))).collect()
    }

    #[test]
    fn ids_are_bounded_by_number_and_the_latest_are_there_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::open(dir.path()).unwrap();
        let mut recent = Recent::load_bounded(&disk, FEW).unwrap();
        let mut random = fastrand::Rng::with_seed(1);
        let mut end = 0;
        for _ in 0..200 {
            // Sometimes many more than there is room for.
            for _ in 0..random.u64(0..3 * PAGE as u64) {
                recent.insert(id(end));
                end += 1;
            }
            commit(&mut recent, &disk);
            let again = Recent::load_bounded(&disk, FEW).unwrap();
            assert_eq!((again.next, again.unwritten), (end, end));
            // What was written over with the latest page is forgotten with a restart.
            let latest = (end.saturating_sub((FEW - PAGE) as u64)..end).collect::<Vec<_>>();
            for recent in [&recent, &again] {
                let known = known(recent, end);
                assert!(known.ends_with(&latest), "{known:?} up to {end}");
                assert!(recent.order.len() == known.len() && known.len() <= FEW, "{known:?}");
            }
            assert!(disk.recent().unwrap().len() <= FEW / PAGE);
            if random.bool() {
                recent = again;
            }
        }
    }

    #[test]
    fn what_was_not_committed_is_not_there_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::open(dir.path()).unwrap();
        let mut recent = Recent::load(&disk).unwrap();
        recent.insert(id(0));
        commit(&mut recent, &disk);
        recent.insert(id(1));
        assert!(recent.knows(&id(1)));
        recent.write(&mut disk.batch());
        assert_eq!(known(&Recent::load(&disk).unwrap(), 2), [0]);
    }
}
