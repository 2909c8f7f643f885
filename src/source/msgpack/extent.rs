use super::{Head, Malformed, Reader};

/// Finds where a value ends, in bytes that are still coming. It goes on where it was, follows no
/// nesting, and is as small however large the value.
#[derive(Clone, Copy, Debug)]
pub(in crate::source) struct Extent {
    /// Up to where the value was followed; beyond what is there while bytes of a text are awaited.
    at: usize,
    /// Values that begin at or after `at`.
    pending: u64,
}

impl Default for Extent {
    fn default() -> Self {
        Self { at: 0, pending: 1 }
    }
}

impl Extent {
    /// The length of the value that `bytes` begin with, `None` while its end has not come. `bytes`
    /// must begin with those of the last call.
    pub(in crate::source) fn find(&mut self, bytes: &[u8]) -> Result<Option<usize>, Malformed> {
        while self.pending > 0 {
            let Some(rest) = bytes.get(self.at..) else { return Ok(None) };
            let mut reader = Reader::new(rest);
            let head = match reader.head() {
                Ok(head) => head,
                Err(Malformed::Truncated) => return Ok(None),
                Err(malformed) => return Err(malformed),
            };
            self.at += rest.len() - reader.remaining();
            self.pending -= 1;
            match head {
                Head::Str(length) | Head::Bin(length) | Head::Ext(_, length) => self.at += length,
                // Each value that was followed took a byte, so there is no overflow.
                Head::Array(values) => self.pending += values as u64,
                Head::Map(pairs) => self.pending += 2 * pairs as u64,
                Head::Nil
                | Head::Bool(_)
                | Head::Unsigned(_)
                | Head::Signed(_)
                | Head::F32(_)
                | Head::F64(_) => {}
            }
        }
        Ok((self.at <= bytes.len()).then_some(self.at))
    }

    /// The length that the value has at least, by what it says of itself so far.
    pub(in crate::source) fn least(&self) -> u64 {
        self.at as u64 + self.pending
    }
}
