//! Profiles that were written a moment ago and will be claimed in a moment, so that they need not
//! be read back.

use std::collections::HashMap;

use crate::{
    profile::{Known, ProfileId},
    store::ids::IdHasher,
};

/// Bytes of profiles at most.
const CAPACITY: usize = 32 * 1024 * 1024;

/// A bounded part of what is on disk, always its latest state.
#[derive(Default)]
pub(super) struct Fresh {
    known: HashMap<ProfileId, Known, IdHasher>,
    bytes: usize,
}

impl Fresh {
    pub(super) fn get(&self, id: &ProfileId) -> Option<&Known> {
        self.known.get(id)
    }

    pub(super) fn take(&mut self, id: &ProfileId) -> Option<Known> {
        let known = self.known.remove(id)?;
        self.bytes -= size(&known);
        Some(known)
    }

    /// Takes in the latest state of a profile, if there is room.
    pub(super) fn insert(&mut self, id: ProfileId, known: Known) {
        self.take(&id);
        let size = size(&known);
        if self.bytes + size <= CAPACITY {
            self.bytes += size;
            self.known.insert(id, known);
        }
    }
}

fn size(known: &Known) -> usize {
    let memberships = known.memberships.len() * 128;
    size_of::<Known>() + known.document.len() + known.key.text.len() + memberships
}
