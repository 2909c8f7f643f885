//! Hash maps keyed by profile ids, which are hashes already.

use std::hash::{BuildHasherDefault, Hasher};

/// Builds the hasher of maps keyed by [`ProfileId`](crate::profile::ProfileId).
pub(super) type IdHasher = BuildHasherDefault<FirstBytes>;

/// Takes the first eight bytes of what is written as its hash.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FirstBytes(u64);

impl Hasher for FirstBytes {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    // The length prefix of an array is the same for all.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}
