use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed, xxh3_128_with_seed};

/// What tells that something comes a second time: a hash of the source's name, of the id that its
/// sender repeats, and of what came under it.
///
/// The content is part of it since not every sender's ids are unique: what differs is never taken
/// for a repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SentId(pub [u8; 16]);

impl SentId {
    /// Of what came at `source` under the sender's `id`.
    pub fn of(source: &str, id: &[u8], content: &[u8]) -> Self {
        let seed = xxh3_64_with_seed(id, xxh3_64(source.as_bytes()));
        Self(xxh3_128_with_seed(content, seed).to_le_bytes())
    }

    /// The same in another `scope`, in which it is unlike all that were in others.
    pub fn within(self, scope: u32) -> Self {
        let id = u128::from_le_bytes(self.0);
        let seed = u64::from(scope);
        Self((id ^ xxh3_128_with_seed(&[], seed)).to_le_bytes())
    }

    /// That of the piece with this number; the first has the id of the whole.
    pub fn piece(self, number: usize) -> Self {
        if number == 0 { self } else { Self::of("", &self.0, &number.to_le_bytes()) }
    }
}

/// Records of a batch, one after the other, that their sender repeats together or not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Absent where the sender gives no id, so that a repeat cannot be told.
    pub id: Option<SentId>,
    /// How many records they are.
    pub records: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_in_source_id_or_content_is_no_repeat() {
        let id = SentId::of("in", b"1", b"{}");
        assert_eq!(SentId::of("in", b"1", b"{}"), id);
        for other in [
            SentId::of("in2", b"1", b"{}"),
            SentId::of("in", b"2", b"{}"),
            SentId::of("in", b"1", b"{ }"),
            SentId::of("in1", b"", b"{}"),
            id.within(1),
        ] {
            assert_ne!(other, id);
        }
        assert_ne!(id.within(1), id.within(2));
        assert_eq!(id.piece(0), id);
        assert!(id.piece(1) != id && id.piece(1) != id.piece(2));
    }
}
