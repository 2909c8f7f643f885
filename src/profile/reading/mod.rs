//! The one pass over a record: walks the tree of paths, keeps the text of what is wanted, reads
//! identities and memberships, and skips the rest.
//!
//! `null` counts as absent in the parts that have a meaning of their own, keys that nobody knows
//! are skipped, and of duplicate keys the last counts, together with all that is below it.

mod parts;
mod walk;

use std::borrow::Cow;

use serde::de::DeserializeSeed;
use serde_json::error::Category;

use self::{
    parts::{Part, Place},
    walk::Walk,
};
use super::{
    Invalid, Path, Status,
    groups::{Groups, sort_and_keep_last},
    tree::Node,
};

pub(super) const IDENTITY_MAP: &str = "identityMap";
pub(super) const SEGMENT_MEMBERSHIP: &str = "segmentMembership";
/// No attribute either, unless it is mapped by its path.
pub(super) const CONSENTS: &str = "consents";

/// What was read of a profile.
#[derive(Debug, Default)]
pub(super) struct Reading<'a> {
    /// The text of the value at each slot of the tree.
    pub(super) slots: Vec<Option<&'a str>>,
    /// Every attribute with the text of its value, by name, where all are mapped.
    pub(super) all: Vec<(Cow<'a, str>, &'a str)>,
    pub(super) identities: Groups<'a, Identity<'a>>,
    memberships: Groups<'a, Member<'a>>,
}

#[derive(Debug)]
pub(super) struct Identity<'a> {
    pub(super) id: Cow<'a, str>,
    pub(super) primary: bool,
}

#[derive(Debug)]
pub(super) struct Member<'a> {
    id: Cow<'a, str>,
    /// `None` for `null`, which hides an earlier entry of the same id but is none itself.
    state: Option<MemberState>,
}

#[derive(Clone, Copy, Debug)]
struct MemberState {
    status: Status,
    at: Option<i64>,
}

/// A membership, wherever it was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct MemberRef<'a> {
    pub(super) namespace: &'a str,
    pub(super) id: &'a str,
    pub(super) status: Status,
    /// `lastQualificationTime` in microseconds since the epoch.
    pub(super) at: Option<i64>,
}

impl<'a> Reading<'a> {
    /// The id that stands for a namespace: the one that is primary, else the first in byte order,
    /// so that the order in which they were written never matters. An empty one is none.
    pub(super) fn chosen_identity(&self, namespace: &str) -> Option<Cow<'a, str>> {
        let identities = self.identities.get(namespace);
        let usable = || identities.iter().filter(|identity| !identity.id.is_empty());
        let chosen = usable().find(|i| i.primary).or_else(|| usable().next());
        chosen.map(|identity| identity.id.clone())
    }

    /// The memberships in byte order of namespace and id.
    pub(super) fn memberships(&self) -> impl Iterator<Item = MemberRef<'_>> {
        self.memberships.iter().filter_map(|(namespace, Member { id, state })| {
            let MemberState { status, at } = (*state)?;
            Some(MemberRef { namespace, id, status, at })
        })
    }
}

/// How to read.
#[derive(Clone, Copy)]
pub(super) struct Plan<'m> {
    pub(super) tree: &'m Node,
    /// Whether every attribute is wanted.
    pub(super) all: bool,
    /// Removed from every key.
    pub(super) prefix: Option<&'m str>,
}

/// Reads a profile: the text of one JSON object.
pub(super) fn read<'a>(plan: Plan<'_>, profile: &'a str) -> Result<Reading<'a>, Invalid> {
    let mut reader = Reader::new(plan);
    let mut json = serde_json::Deserializer::from_str(profile);
    let part = Part { reader: &mut reader, place: Place::Profile };
    match part.deserialize(&mut json).and_then(|()| json.end()) {
        Ok(()) => Ok(reader.finish()),
        Err(error) => Err(reader.explain(&error)),
    }
}

/// The text of the object that the plan's tree leads to, its first slot.
pub(super) fn locate<'a>(plan: Plan<'_>, path: &Path, record: &'a str) -> Result<&'a str, Invalid> {
    let mut reader = Reader::new(plan);
    let mut json = serde_json::Deserializer::from_str(record);
    let walk = Walk { reader: &mut reader, node: plan.tree };
    if let Err(error) = walk.deserialize(&mut json).and_then(|()| json.end()) {
        return Err(reader.explain(&error));
    }
    match reader.reading.slots[0] {
        Some(profile) if profile.starts_with('{') => Ok(profile),
        Some(_) => Err(Invalid::new(format!("the profile at {path} is not an object"))),
        None => Err(Invalid::new(format!("there is no profile at {path}"))),
    }
}

struct Reader<'m, 'a> {
    plan: Plan<'m>,
    reading: Reading<'a>,
    /// The keys to the value of the wrong shape, the innermost first.
    fault: Vec<String>,
    /// What that value should have been.
    expected: Option<&'static str>,
    /// The membership that was read last, if it was one.
    state: Option<MemberState>,
}

impl<'m, 'a> Reader<'m, 'a> {
    fn new(plan: Plan<'m>) -> Self {
        let slots = vec![None; plan.tree.span.len()];
        let reading = Reading { slots, ..Reading::default() };
        Self { plan, reading, fault: Vec::new(), expected: None, state: None }
    }

    fn finish(mut self) -> Reading<'a> {
        let reading = &mut self.reading;
        reading.identities.finish();
        reading.memberships.finish();
        sort_and_keep_last(&mut reading.all, 0, |a, b| a.0.cmp(&b.0), |_, _| ());
        self.reading
    }

    /// Notes what a value should have been; of nested values the innermost is noted.
    fn note(&mut self, expected: &'static str) {
        self.expected.get_or_insert(expected);
    }

    /// Notes that the value of this key is not what it should be.
    fn blame(&mut self, key: &str, expected: &'static str) {
        self.fault.push(key.to_owned());
        self.note(expected);
    }

    /// Says what is wrong. Only the shape's own words are used: those of `serde` quote the value,
    /// which may be personal.
    fn explain(mut self, error: &serde_json::Error) -> Invalid {
        match (error.classify(), self.expected) {
            (Category::Data, Some(expected)) if self.fault.is_empty() => {
                Invalid::new(format!("the record is not {expected}"))
            }
            (Category::Data, Some(expected)) => {
                self.fault.reverse();
                Invalid::new(format!("{} is not {expected}", Path(self.fault)))
            }
            (Category::Eof, _) => Invalid::new(format!("the record is cut off: {error}")),
            _ => Invalid::new(format!("the record is not JSON: {error}")),
        }
    }
}
