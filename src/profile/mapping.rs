use super::{
    Attributes, MappingSpec, Path, Retain, UpdateMode, compile::namespace, consent::ConsentSource,
    tree::Node,
};

/// A compiled mapping: reads records, compares them by meaning and writes exports.
///
/// Made once from a [`MappingSpec`] by [`Mapping::compile`] and shared; it has no state.
#[derive(Debug)]
pub struct Mapping {
    pub(super) spec: MappingSpec,
    pub(super) update_mode: UpdateMode,
    /// The paths to read: attributes, consents, keys and version.
    pub(super) tree: Node,
    /// The way to the profile, with one slot at its end.
    pub(super) at: Option<Node>,
    /// In the order in which they are tried.
    pub(super) keys: Vec<KeySource>,
    /// The slot of the source version.
    pub(super) version: Option<usize>,
    /// In byte order of their paths, so that their order in the configuration is no change.
    pub(super) attributes: Vec<Attribute>,
    /// Where consent is read, in byte order of the paths too.
    pub(super) consents: Vec<ConsentSource>,
    /// The places of segments in the specification, in byte order of their ids.
    pub(super) segments: Vec<usize>,
}

/// Where a key is read.
#[derive(Debug)]
pub(super) struct KeySource {
    /// The path as it is shown and stored.
    pub(super) path: String,
    pub(super) place: KeyPlace,
}

#[derive(Debug)]
pub(super) enum KeyPlace {
    Namespace(String),
    Slot(usize),
}

/// A mapped attribute.
#[derive(Debug)]
pub(super) struct Attribute {
    /// The path as it is shown.
    pub(super) path: String,
    /// The path as it is hashed.
    pub(super) canonical: Vec<u8>,
    pub(super) slot: usize,
}

impl Mapping {
    /// What it was compiled from.
    pub fn spec(&self) -> &MappingSpec {
        &self.spec
    }

    /// The same mapping for records of this mode. The mode says what records mean, not what is
    /// mapped, so it is no part of the specification: a store need not judge its profiles anew when
    /// it changes.
    #[must_use]
    pub fn for_mode(self, update_mode: UpdateMode) -> Self {
        Self { update_mode, ..self }
    }

    /// What its records mean.
    pub fn update_mode(&self) -> UpdateMode {
        self.update_mode
    }

    /// The place of a mapped segment in [`MappingSpec::segments`]; `None` for one that is not
    /// mapped. Where one entry names the namespace, it is the only one that can match.
    pub fn segment(&self, namespace: &str, id: &str) -> Option<usize> {
        let specs = &self.spec.segments;
        let first = self.segments.partition_point(|&i| specs[i].id.as_str() < id);
        self.segments[first..]
            .iter()
            .copied()
            .take_while(|&i| specs[i].id == id)
            .find(|&i| specs[i].namespace.as_deref().is_none_or(|name| name == namespace))
    }

    /// Whether what stands at this path tells who a profile is: an identity, or its key. Only that
    /// is sent of a profile that has withdrawn its consent.
    pub fn identifies(&self, path: &Path) -> bool {
        namespace(path).is_some() || self.spec.key.contains(path)
    }

    pub(super) fn maps_all(&self) -> bool {
        self.spec.attributes == Attributes::All
    }

    /// Whether identities of this namespace are exported.
    pub(super) fn exports(&self, namespace: &str) -> bool {
        let listed = self.spec.identities.as_ref();
        listed.is_none_or(|names| names.iter().any(|name| name == namespace))
    }

    /// Whether the time of this membership is kept.
    pub(super) fn keeps_time(&self, mapped: bool) -> bool {
        mapped || self.spec.unmapped_segments || self.spec.retain == Retain::Profile
    }
}
