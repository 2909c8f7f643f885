//! What an export of a known profile holds that it did not hold under an earlier mapping.

use std::{borrow::Cow, collections::HashMap};

use serde_json::value::RawValue;

use super::{
    Attributes, Coverage, Fingerprints, Followed, Invalid, Known, Mapping, Membership, Path,
    coverage::{self, ATTRIBUTE, IDENTITY},
    reading::Reading,
};
use crate::clock::Micros;

/// What a mapping covers that it did not cover, or not without interruption, since a generation.
#[derive(Debug)]
pub struct Added {
    /// Whether there are attributes or identities among it.
    besides_segments: bool,
    /// Mapped attributes by their slots.
    attributes: Vec<(usize, Part)>,
    /// All attributes, where all are mapped.
    all: Part,
    /// In the order of the specification.
    segments: Vec<AddedSegment>,
    identities: Part,
}

#[derive(Debug)]
struct AddedSegment {
    part: Part,
    /// When it was unmapped first, if it was mapped once before.
    unmapped: Option<Micros>,
}

/// What was covered of one part before, as paths inside it; an empty path stands for all of it.
#[derive(Debug)]
struct Part(Vec<Vec<String>>);

/// A known profile under a mapping other than that under which it was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judged {
    /// Its fingerprints.
    pub prints: Fingerprints,
    /// Whether it is followed.
    pub followed: Followed,
    /// What its export holds by what was added.
    pub holds: Holds,
}

/// Where an export holds something that was added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holds {
    /// A value of an added attribute.
    pub attribute: bool,
    /// An identity of an added namespace.
    pub identity: bool,
    /// A membership of an added segment.
    pub membership: bool,
}

impl Added {
    /// What `mapping`, of which `coverage` is the coverage, added after `generation`. `unmapped`
    /// says when segments were unmapped that had been mapped before.
    pub fn since(
        generation: u32,
        mapping: &Mapping,
        coverage: &Coverage,
        unmapped: &[(Path, Micros)],
    ) -> Self {
        let spec = mapping.spec();
        let part = |path: &Path| Part(coverage.inside(path, generation));
        let listed = match &spec.attributes {
            Attributes::Listed(paths) => paths.as_slice(),
            Attributes::All => &[],
        };
        let slot = |path| mapping.tree.slot_of(path).expect("every attribute is in the tree");
        let segment = |path: Path| {
            let meets =
                |gone: &Path| coverage::lies_in(&path, gone) || coverage::lies_in(gone, &path);
            let times = unmapped.iter().filter(|(gone, _)| meets(gone)).map(|(_, at)| *at);
            AddedSegment { part: part(&path), unmapped: times.min() }
        };
        Self {
            besides_segments: coverage.added_besides_segments(generation),
            attributes: listed
                .iter()
                .map(|path| (slot(path), part(&coverage::attribute(path))))
                .collect(),
            all: part(&coverage::all(ATTRIBUTE)),
            segments: spec.segments.iter().map(coverage::segment).map(segment).collect(),
            identities: part(&coverage::all(IDENTITY)),
        }
    }
}

impl Mapping {
    /// Judges a profile that was kept under an earlier mapping.
    ///
    /// # Errors
    ///
    /// What is kept of the profile cannot be read: the store is damaged.
    pub fn judge_again(&self, seed: u64, known: &Known, added: &Added) -> Result<Judged, Invalid> {
        let (prints, followed) = self.fingerprints_of(seed, known)?;
        let membership = known.memberships.iter().any(|membership| {
            let place = self.segment(&membership.namespace, &membership.id);
            place.is_some_and(|place| added.segments[place].tells_of(membership))
        });
        let mut holds = Holds { membership, ..Holds::default() };
        if added.besides_segments {
            let reading = self.read_document(known.document()?)?;
            holds.attribute = added.holds_attribute(&reading);
            holds.identity = reading
                .identities
                .iter()
                .any(|(name, _)| self.exports(name) && added.identities.is_new(name));
        }
        Ok(Judged { prints, followed, holds })
    }
}

impl Added {
    fn holds_attribute(&self, reading: &Reading<'_>) -> bool {
        let listed = self.attributes.iter().any(|(slot, part)| {
            let before: Vec<_> = part.0.iter().map(Vec::as_slice).collect();
            reading.slots[*slot].is_some_and(|raw| holds_more(raw, &before))
        });
        listed
            || reading.all.iter().any(|(name, raw)| {
                self.all.within(name).is_none_or(|before| holds_more(raw, &before))
            })
    }
}

impl AddedSegment {
    /// Whether the membership of this segment is news: that the profile is a member, or that it
    /// has left since an export could last say that it was one. Somebody who left a segment before
    /// the endpoint heard of it is none of its business.
    fn tells_of(&self, membership: &Membership) -> bool {
        let left_unseen = || self.unmapped.is_some_and(|unmapped| membership.updated >= unmapped);
        self.part.is_new(&membership.namespace) && (membership.status.is_member() || left_unseen())
    }
}

impl Part {
    /// Whether what stands at `key` was not covered.
    fn is_new(&self, key: &str) -> bool {
        self.within(key).is_none_or(|before| before.iter().all(|path| !path.is_empty()))
    }

    /// What was covered of what stands at `key`; `None` where nothing was.
    fn within(&self, key: &str) -> Option<Vec<&[String]>> {
        let before: Vec<_> = self.0.iter().filter_map(|path| step(path, key)).collect();
        (!before.is_empty()).then_some(before)
    }
}

/// The path from `key` on, if it leads there.
fn step<'p>(path: &'p [String], key: &str) -> Option<&'p [String]> {
    match path.split_first() {
        None => Some(path),
        Some((first, rest)) => (first == key).then_some(rest),
    }
}

/// Whether a value holds something besides what these paths name. An object that holds nothing
/// was not exported by paths inside it.
fn holds_more(raw: &str, before: &[&[String]]) -> bool {
    if before.iter().any(|path| path.is_empty()) {
        return false;
    }
    if before.is_empty() {
        return true;
    }
    match serde_json::from_str::<HashMap<Cow<'_, str>, &RawValue>>(raw) {
        Ok(entries) if !entries.is_empty() => entries.iter().any(|(key, value)| {
            let inside: Vec<_> = before.iter().filter_map(|path| step(path, key)).collect();
            holds_more(value.get(), &inside)
        }),
        _ => true,
    }
}
