use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use profile_http::profile::{Attributes, Known, Mapping, MappingSpec, Path, Reported, UpdateMode};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::explanation::{Changes, Identity, Segment};

/// The last record of a profile that counts, and what was made of it.
pub(super) struct Former {
    /// Where it stood.
    pub(super) place: String,
    /// The record; where records are patches, what it was merged into.
    pub(super) record: Bytes,
    pub(super) known: Known,
    pub(super) memberships: Vec<Reported>,
    /// The body that was sent last.
    pub(super) body: Option<Bytes>,
}

/// Names the memberships, of mapped segments, that begin or end with the record, which itself
/// names `named`.
pub(super) fn of_memberships(
    mapping: &Mapping,
    former: &Former,
    now: &[Reported],
    named: &[Reported],
) -> Changes {
    let member = |memberships: &[Reported], wanted: &Reported| {
        memberships.iter().any(|m| is_same(m, wanted) && m.status.is_member())
    };
    let mapped = |reported: &&Reported| {
        reported.status.is_member() && mapping.segment(&reported.namespace, &reported.id).is_some()
    };
    let joined = now.iter().filter(mapped).filter(|m| !member(&former.memberships, m));
    let left = former.memberships.iter().filter(mapped).filter(|m| !member(now, m));
    let absent = left.clone().filter(|m| !named.iter().any(|n| is_same(n, m)));
    let exited =
        |reported: &Reported| Segment { status: "exited", ..Segment::new(mapping, reported) };
    Changes {
        joined: joined.map(|reported| Segment::new(mapping, reported)).collect(),
        exits_by_absence: absent.map(exited).collect(),
        left: left.map(exited).collect(),
        ..Changes::default()
    }
}

/// The mapped attributes whose values differ. Each is compared by a mapping of its own, so that
/// *differs* means here what it means to the sink.
pub(super) fn of_attributes(
    mapping: &Mapping,
    former: &Former,
    now: &[u8],
    body: &[u8],
) -> Vec<String> {
    let mut spec = mapping.spec().clone();
    if mapping.update_mode() == UpdateMode::Patch {
        // What was merged is a profile by itself, without the prefix and without the version.
        (spec.at, spec.strip_prefix, spec.version) = (None, None, None);
    }
    let paths: Vec<Path> = match &spec.attributes {
        Attributes::Listed(paths) => paths.clone(),
        Attributes::All => {
            let bodies = [former.body.as_deref().unwrap_or_default(), body];
            let names: BTreeSet<_> = bodies.into_iter().flat_map(names).collect();
            names.into_iter().map(|name| Path(vec![name])).collect()
        }
    };
    let differs = |path: &&Path| {
        let attributes = Attributes::Listed(vec![(*path).clone()]);
        // What cannot be mapped alone is no attribute.
        let Ok(alone) = Mapping::compile(MappingSpec { attributes, ..spec.clone() }) else {
            return false;
        };
        let print = |record| alone.project(0, record).ok().map(|p| p.prints.attributes);
        print(&former.record) != print(now)
    };
    paths.iter().filter(differs).map(ToString::to_string).collect()
}

/// The identities that were added and removed, as bodies that were sent show them.
pub(super) fn of_identities(former: &Former, body: &[u8]) -> (Vec<Identity>, Vec<Identity>) {
    let known = identities(former.body.as_deref().unwrap_or_default());
    let new = identities(body);
    let only_in = |these: &BTreeSet<Identity>, those| these.difference(those).cloned().collect();
    (only_in(&new, &known), only_in(&known, &new))
}

fn is_same(a: &Reported, b: &Reported) -> bool {
    (&a.namespace, &a.id) == (&b.namespace, &b.id)
}

fn names(body: &[u8]) -> impl Iterator<Item = String> {
    serde_json::from_slice::<BTreeMap<String, &RawValue>>(body).unwrap_or_default().into_keys()
}

fn identities(body: &[u8]) -> BTreeSet<Identity> {
    #[derive(Default, Deserialize)]
    struct Body {
        #[serde(rename = "identityMap", default)]
        identities: BTreeMap<String, Vec<Entry>>,
    }
    #[derive(Deserialize)]
    struct Entry {
        id: String,
    }
    let body: Body = serde_json::from_slice(body).unwrap_or_default();
    body.identities
        .into_iter()
        .flat_map(|(namespace, entries)| {
            entries
                .into_iter()
                .map(move |Entry { id }| Identity { namespace: namespace.clone(), id })
        })
        .collect()
}
