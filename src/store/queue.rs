//! The queue of one store: which profiles are ready, which wait for a time, which are in flight.
//!
//! It lives in memory only. Whether a profile is due is said by its row, so an entry is a hint
//! that is checked against the row when it is taken out.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, VecDeque},
    time::Duration,
};

use tokio::time::Instant;

use super::ids::IdHasher;
use crate::{clock::Micros, profile::ProfileId};

/// Entries at most; beyond, the rows are scanned again once the queue has been worked off.
const CAPACITY: usize = 1_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Ready,
    Waiting,
    InFlight,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    place: Place,
    due_since: Micros,
}

#[derive(Debug)]
pub(super) struct Queue {
    capacity: usize,
    entries: HashMap<ProfileId, Entry, IdHasher>,
    ready: VecDeque<ProfileId>,
    waiting: BinaryHeap<Reverse<(Instant, ProfileId)>>,
    in_flight: usize,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            capacity: CAPACITY,
            entries: HashMap::default(),
            ready: VecDeque::default(),
            waiting: BinaryHeap::default(),
            in_flight: 0,
        }
    }
}

impl Queue {
    #[cfg(test)]
    pub(super) fn limit(&mut self, entries: usize) {
        self.capacity = entries;
    }

    /// Whether nothing is ready and there is room for so much that a scan is worth its while.
    pub(super) fn is_worked_off(&self) -> bool {
        self.ready.is_empty() && self.entries.len() <= self.capacity / 8 * 7
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    pub(super) fn is_in_flight(&self, id: &ProfileId) -> bool {
        self.entries.get(id).is_some_and(|entry| entry.place == Place::InFlight)
    }

    /// Puts a profile at the end, or among those that wait if `delay` is not zero. Leaves it where
    /// it is if it is there already. Returns false when the queue is full.
    pub(super) fn push(&mut self, id: ProfileId, due_since: Micros, delay: Duration) -> bool {
        if self.entries.contains_key(&id) {
            return true;
        }
        if self.entries.len() >= self.capacity {
            return false;
        }
        if delay.is_zero() {
            self.entries.insert(id, Entry { place: Place::Ready, due_since });
            self.ready.push_back(id);
        } else {
            self.entries.insert(id, Entry { place: Place::Waiting, due_since });
            self.waiting.push(Reverse((Instant::now() + delay, id)));
        }
        true
    }

    /// Takes out the next profile that is ready. It is no longer in the queue.
    pub(super) fn pop(&mut self) -> Option<ProfileId> {
        if self.ready.is_empty() {
            self.ripen();
        }
        let id = self.ready.pop_front()?;
        self.entries.remove(&id);
        Some(id)
    }

    /// How many are ready; some of them may turn out not to be due any more.
    pub(super) fn ready(&mut self) -> usize {
        self.ripen();
        self.ready.len()
    }

    /// Notes that a profile that was taken out is in flight.
    pub(super) fn begin(&mut self, id: ProfileId, due_since: Micros) {
        self.entries.insert(id, Entry { place: Place::InFlight, due_since });
        self.in_flight += 1;
    }

    /// Ends the flight of a profile. Returns false if it was not in flight.
    pub(super) fn end(&mut self, id: &ProfileId) -> bool {
        if !self.is_in_flight(id) {
            return false;
        }
        self.entries.remove(id);
        self.in_flight -= 1;
        true
    }

    /// Takes out a profile that is not in flight, wherever it is. Looks at every entry.
    pub(super) fn remove(&mut self, id: &ProfileId) {
        match self.entries.get(id).map(|entry| entry.place) {
            None | Some(Place::InFlight) => return,
            Some(Place::Ready) => self.ready.retain(|ready| ready != id),
            Some(Place::Waiting) => self.waiting.retain(|Reverse((_, waiting))| waiting != id),
        }
        self.entries.remove(id);
    }

    /// How long until the first profile that waits.
    pub(super) fn next_in(&self) -> Option<Duration> {
        self.waiting.peek().map(|Reverse((at, _))| at.saturating_duration_since(Instant::now()))
    }

    /// Since when the oldest entry is due. Looks at every entry.
    pub(super) fn oldest_due(&self) -> Option<Micros> {
        self.entries.values().map(|entry| entry.due_since).min()
    }

    fn ripen(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let now = Instant::now();
        while self.waiting.peek().is_some_and(|Reverse((at, _))| *at <= now) {
            if let Some(Reverse((_, id))) = self.waiting.pop() {
                if let Some(entry) = self.entries.get_mut(&id) {
                    entry.place = Place::Ready;
                }
                self.ready.push_back(id);
            }
        }
    }
}
