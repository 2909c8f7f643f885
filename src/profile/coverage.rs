//! What a mapping covers of profiles, and since when.

use serde::{Deserialize, Serialize};

use super::{Attributes, MappingSpec, Path, SegmentSpec, reading::CONSENTS};

/// The first keys of the paths of a coverage: what kind of thing the rest of the path names.
pub(super) const ATTRIBUTE: &str = "attribute";
pub(super) const SEGMENT: &str = "segment";
pub(super) const IDENTITY: &str = "identity";
/// Attributes that are not among all attributes but are mapped by their paths.
const CONSENT_ATTRIBUTE: &str = "consent attribute";

/// What a mapping covers, each part with the generation since which it is covered *without
/// interruption*: what was mapped, unmapped and mapped again is as new.
///
/// A part is a path, and covers what lies inside it. Where a part was widened, what it covered
/// before stands beside it with its own generation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage(Vec<(Path, u32)>);

impl Coverage {
    /// What `spec` covers from `generation` on.
    pub fn new(spec: &MappingSpec, generation: u32) -> Self {
        Self::default().changed_to(spec, generation)
    }

    /// What `spec` covers when it comes after the mapping of this coverage, in `generation`.
    pub fn changed_to(&self, spec: &MappingSpec, generation: u32) -> Self {
        let mut parts = Vec::new();
        for path in paths(spec) {
            let since = self.since(&path).unwrap_or(generation);
            let older = |(inner, of_inner): &&(Path, u32)| {
                lies_in(inner, &path) && *inner != path && *of_inner < since
            };
            parts.extend(self.0.iter().filter(older).cloned());
            parts.push((path, since));
        }
        Self(parts)
    }

    /// Since when all of a part is covered.
    fn since(&self, path: &Path) -> Option<u32> {
        self.0.iter().filter(|(outer, _)| lies_in(path, outer)).map(|(_, since)| *since).min()
    }

    /// The last generation that added something.
    pub fn last_added(&self) -> u32 {
        self.0.iter().map(|(_, since)| *since).max().unwrap_or(0)
    }

    /// Whether attributes or identities were added after `generation`.
    pub(super) fn added_besides_segments(&self, generation: u32) -> bool {
        self.0.iter().any(|(path, since)| *since > generation && path.0[0] != SEGMENT)
    }

    /// The attributes that `generation` added, as they are configured.
    pub fn attributes_added_in(&self, generation: u32) -> Vec<String> {
        let added = self.0.iter().filter(|(_, since)| *since == generation);
        let shown = added.filter_map(|(path, _)| match path.0.split_first()? {
            (kind, []) if kind == ATTRIBUTE => Some("*".to_owned()),
            (kind, keys) if kind == ATTRIBUTE || kind == CONSENT_ATTRIBUTE => {
                Some(Path(keys.to_vec()).to_string())
            }
            _ => None,
        });
        shown.collect()
    }

    /// Whether all is covered that `former` covers. Identities do not count: those of all
    /// namespaces are kept.
    pub fn keeps_all_of(&self, former: &Self) -> bool {
        let kept = |path: &Path| path.0[0] == IDENTITY || self.since(path).is_some();
        former.0.iter().all(|(path, _)| kept(path))
    }

    /// The segments of `former` that are no longer covered.
    pub fn segments_gone(&self, former: &MappingSpec) -> impl Iterator<Item = Path> {
        former.segments.iter().map(segment).filter(|path| self.since(path).is_none())
    }

    /// What was covered already in `generation` of what lies in `path`, each as the path from
    /// there: an empty one stands for all of it.
    pub(super) fn inside(&self, path: &Path, generation: u32) -> Vec<Vec<String>> {
        let rest = |part: &Path| {
            if lies_in(path, part) {
                return Some(Vec::new());
            }
            lies_in(part, path).then(|| part.0[path.0.len()..].to_vec())
        };
        let parts = self.0.iter().filter(|(_, since)| *since <= generation);
        parts.filter_map(|(part, _)| rest(part)).collect()
    }
}

/// The part that a mapped attribute is.
pub(super) fn attribute(path: &Path) -> Path {
    let is_consent = path.0.first().is_some_and(|key| key == CONSENTS);
    part(if is_consent { CONSENT_ATTRIBUTE } else { ATTRIBUTE }, path.0.iter().cloned())
}

/// The part that a mapped segment is: its id in all namespaces, or in one.
pub(super) fn segment(spec: &SegmentSpec) -> Path {
    part(SEGMENT, [&spec.id].into_iter().chain(&spec.namespace).cloned())
}

/// The part of all attributes, or of all identities.
pub(super) fn all(kind: &str) -> Path {
    part(kind, [])
}

pub(super) fn lies_in(inner: &Path, outer: &Path) -> bool {
    inner.0.starts_with(&outer.0)
}

fn paths(spec: &MappingSpec) -> Vec<Path> {
    let mut paths = match &spec.attributes {
        Attributes::All => vec![all(ATTRIBUTE)],
        Attributes::Listed(listed) => listed.iter().map(attribute).collect(),
    };
    paths.extend(spec.segments.iter().map(segment));
    match &spec.identities {
        None => paths.push(all(IDENTITY)),
        Some(names) => paths.extend(names.iter().map(|name| part(IDENTITY, [name.clone()]))),
    }
    paths
}

fn part(kind: &str, keys: impl IntoIterator<Item = String>) -> Path {
    Path([kind.to_owned()].into_iter().chain(keys).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::tests::{paths as parsed, segment as named, spec};

    fn covered(mut specs: Vec<MappingSpec>) -> Coverage {
        let first = Coverage::new(&specs.remove(0), 1);
        (2..)
            .zip(specs)
            .fold(first, |coverage, (generation, spec)| coverage.changed_to(&spec, generation))
    }

    fn all_attributes() -> MappingSpec {
        MappingSpec { attributes: Attributes::All, ..spec(&[], &[]) }
    }

    #[test]
    fn what_is_mapped_again_is_as_new_and_what_stayed_is_not() {
        let coverage = covered(vec![
            spec(&["a"], &["s", "t"]),
            spec(&["a"], &["s"]),
            spec(&["a"], &["s", "t"]),
        ]);
        let since = |id| coverage.since(&segment(&named(id)));
        assert_eq!((since("s"), since("t")), (Some(1), Some(3)));
        assert_eq!(coverage.since(&attribute(&parsed(&["a"])[0])), Some(1));
        assert_eq!(coverage.last_added(), 3);
    }

    #[test]
    fn what_lies_in_a_part_keeps_its_generation_through_widening_and_narrowing() {
        let since = |coverage: &Coverage, path| coverage.since(&attribute(&parsed(&[path])[0]));
        let wide = covered(vec![spec(&["p.name"], &[]), spec(&["p"], &[]), all_attributes()]);
        assert_eq!(since(&wide, "p.name.first"), Some(1));
        assert_eq!((since(&wide, "p.city"), since(&wide, "q")), (Some(2), Some(3)));
        let narrow = wide.changed_to(&spec(&["p.name", "p.city", "q"], &[]), 4);
        assert_eq!(
            ["p.name", "p.city", "q", "r"].map(|path| since(&narrow, path)),
            [Some(1), Some(2), Some(3), None]
        );
    }

    #[test]
    fn consents_are_not_among_all_attributes() {
        let coverage = covered(vec![all_attributes(), spec(&["consents.marketing"], &[])]);
        assert_eq!(coverage.attributes_added_in(2), ["consents.marketing"]);
    }

    #[test]
    fn a_segment_of_one_namespace_lies_in_that_of_all() {
        let of = |namespace: Option<&str>| {
            let namespace = namespace.map(str::to_owned);
            MappingSpec {
                segments: vec![SegmentSpec { namespace, ..named("s") }],
                ..spec(&["a"], &[])
            }
        };
        let narrowed = covered(vec![of(None), of(Some("ups"))]);
        assert_eq!(narrowed.last_added(), 1);
        let widened = covered(vec![of(Some("ups")), of(None)]);
        assert_eq!(widened.inside(&segment(&named("s")), 1), [["ups".to_owned()]]);
        assert_eq!(widened.inside(&segment(&named("s")), 2).len(), 2);
        assert_eq!(narrowed.segments_gone(&of(None)).count(), 1);
        assert_eq!(widened.segments_gone(&of(Some("ups"))).count(), 0);
    }

    #[test]
    fn identities_that_are_no_longer_exported_are_still_kept() {
        let listed = MappingSpec { identities: Some(vec!["ecid".into()]), ..spec(&["a"], &[]) };
        let (former, new) = (Coverage::new(&spec(&["a"], &[]), 1), Coverage::new(&listed, 2));
        assert!(new.keeps_all_of(&former));
        assert!(!Coverage::new(&spec(&["b"], &[]), 2).keeps_all_of(&former));
    }
}
