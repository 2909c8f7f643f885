//! Profiles: their identity, the mapping of a sink, the projection of a record by it, and the
//! profile JSON that is exported.

mod known;
mod spec;
mod types;

pub use known::{Advanced, Kept, Known, Membership, Reported, Status};
pub use spec::{Attributes, MappingSpec, Path, Removed, Retain, SegmentSpec, When};
pub use types::{Fingerprints, ProfileId, ProfileKey, SourceVersion};
