//! MessagePack, read where it lies and written as JSON without a tree in between.
//!
//! Nothing is believed: a length is compared with what is there before anything is made of it, and
//! only a record's own nesting is followed by recursion, to a limit.
//!
//! | MessagePack | JSON |
//! |---|---|
//! | nil, boolean | the same |
//! | integers | all their digits, up to 64 bits |
//! | float 32, float 64 | the shortest decimal of the same value; `null` for NaN and infinities |
//! | str, bin | text; what is not UTF-8 becomes U+FFFD and is counted |
//! | array, map | the same, in the same order; keys that come twice stay so |
//! | keys that are not text | their JSON as text: `1` becomes `"1"` |
//! | timestamp (extension -1), `EventTime` (extension 0 of 8 bytes) | RFC 3339 text in UTC |
//! | other extensions | `null` |
//!
//! Two things have no JSON: a map or array as a key, and nesting deeper than 256 levels. A
//! record with one of them becomes a text that says so, which is set aside like any other record
//! that is no object.

mod extent;
mod json;
mod reader;

#[cfg(test)]
mod tests;

pub(super) use extent::Extent;
#[cfg(test)]
use json::MAX_DEPTH;
pub(super) use json::{Full, Json};
pub(super) use reader::{Head, Malformed, Reader};
