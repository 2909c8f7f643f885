//! Profiles: their identity, the mapping of a sink, the projection of a record by it, and the
//! profile JSON that is exported.
//!
//! A [`MappingSpec`] is compiled once into a [`Mapping`]. [`Mapping::project`] reads a record in
//! one pass and yields its key and [`Fingerprints`], from which the store tells what changed
//! without looking at values. Only when something is to be written does [`Projected::keep`] copy
//! what is kept of the record, [`Mapping::advance`] make a [`Known`] profile of it, and
//! [`Mapping::export`] write what is sent. Where records are patches, [`Mapping::merge`] first makes
//! whole ones of them.

mod added; // what an export holds that it did not under an earlier mapping
mod canonical; // values by meaning: the form that is hashed
mod compile; // what was configured, checked and made ready
mod consent; // whether a profile may be exported
mod coverage; // what a mapping covers, and since when
mod cursor; // the tokens of a text
mod error; // what can be wrong with mappings, records and stored profiles
mod export; // the profile JSON that is sent
mod fields; // single values, as text
mod groups; // namespaces with what they hold
mod json; // JSON text: strings, escapes, compaction
mod known; // what is known of a profile
mod leave; // what is left of a profile that is forgotten, and what names it
mod ledger; // how a record changes what is known
mod mapping; // a compiled mapping
mod merge; // partial records, merged into what is known
mod number; // JSON numbers as exact decimals
mod path; // paths into a record
mod prints; // fingerprints of what was read
mod project; // a record, projected
mod reading; // the one pass over a record
mod spec; // what is mapped, as configured
mod time; // timestamps, read leniently and written strictly
mod tree; // the paths of a mapping as a tree
mod types; // small types that everyone uses

#[cfg(test)]
mod tests;

pub use added::{Added, Holds, Judged};
pub use consent::{Consent, ConsentValue, Covered, Followed, Withdrawn};
pub use coverage::Coverage;
pub use error::{DecodeError, FieldError, Invalid, MappingError, PathError};
pub use export::{MappedAt, SegmentMapped};
pub use fields::Fields;
pub use known::{Advanced, Kept, Known, Membership, Reported, Status};
pub use mapping::Mapping;
pub use merge::Merged;
pub use path::Path;
pub use prints::profile_id;
pub use project::Projected;
pub use spec::{Attributes, MappingSpec, Removed, Retain, SegmentSpec, When};
pub use types::{Fingerprints, ProfileId, ProfileKey, SourceVersion, UpdateMode};
