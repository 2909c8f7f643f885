//! Patches: partial records that are merged into what is known of a profile.
//!
//! What is known is written as the record that would have made it known, and the patch is merged
//! into that record, so that from there on it is a record like any other.

mod document; // JSON Merge Patch over text
mod identities; // the union of identities
mod memberships; // memberships, segment by segment

use self::{
    document::{ALL, Document, Entries},
    memberships::Ledger,
};
use super::{
    Covered, Invalid, Known, Mapping, json,
    reading::{IDENTITY_MAP, SEGMENT_MEMBERSHIP},
};
use crate::clock::Micros;

/// A patch together with what it was merged into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merged {
    /// The whole profile as one record, without what surrounded it and without the prefix. It has
    /// everything that is kept, and of the patch everything else too.
    pub record: Vec<u8>,
    /// What the record knows of consent.
    pub(super) covered: Covered,
    /// Memberships of mapped segments that ended because the patch removes them.
    pub exits_by_absence: u32,
}

impl Mapping {
    /// Merges a patch into what is known of its profile; into nothing when it is not known, which
    /// leaves the patch without its nulls. `now` is the time at which memberships end that the
    /// patch removes. [`Mapping::project_merged`] reads the result.
    ///
    /// # Errors
    ///
    /// What is kept of the profile is not text: the store is damaged. A patch that
    /// [`Mapping::project`] takes can be merged into everything that was kept.
    pub fn merge(
        &self,
        known: Option<&Known>,
        patch: &[u8],
        now: Micros,
    ) -> Result<Merged, Invalid> {
        let profile = self.profile_of(patch)?;
        let mut stripped = Vec::new();
        let profile = match self.spec.strip_prefix.as_deref() {
            None => profile,
            prefix => {
                json::compact(profile, prefix, &mut stripped);
                str::from_utf8(&stripped).map_err(|_| Invalid::new("the record is not UTF-8"))?
            }
        };
        let patch = Document::parse(profile);
        let covered = known.map_or(Covered::All, |known| {
            self.covered_with(&known.covered, |path| patch.settles(&path.0))
        });
        let mut patch = patch.entries().unwrap_or_default();
        let segments = patch.take(SEGMENT_MEMBERSHIP);
        let identities = patch.take(IDENTITY_MAP);

        let document = known.map_or(Ok("{}"), Known::document)?;
        let mut former = Document::parse(document).entries().unwrap_or_default();
        let known_segments = former.take(SEGMENT_MEMBERSHIP);
        let known_identities = former.take(IDENTITY_MAP);
        let ledger =
            known.map(|known| Ledger::new(self, known, segments.as_ref(), now)).unwrap_or_default();

        let merged = Document::merged(Some(Document::Object(former)), Document::Object(patch), ALL);
        let mut merged: Entries<'_> = merged.entries().unwrap_or_default();
        let identities = match identities {
            None => known_identities,
            Some(identities) => identities::united(known_identities, identities),
        };
        if let Some(segments) = ledger.merged(known_segments, segments) {
            merged.put("\"segmentMembership\"", segments);
        }
        if let Some(identities) = identities {
            merged.put("\"identityMap\"", identities);
        }
        let mut record = Vec::with_capacity(document.len() + profile.len());
        Document::Object(merged).write(&mut record);
        Ok(Merged { record, covered, exits_by_absence: ledger.exits_by_absence })
    }
}
