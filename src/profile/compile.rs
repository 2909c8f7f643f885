use super::{
    Attributes, Mapping, MappingError, MappingSpec, Path, UpdateMode,
    consent::ConsentSource,
    mapping::{Attribute, KeyPlace, KeySource},
    prints,
    reading::{CONSENTS, IDENTITY_MAP, SEGMENT_MEMBERSHIP},
    tree::Node,
};

impl Mapping {
    /// Checks a mapping and makes it ready. Everything that could never work is an error here,
    /// not a surprise with the first record. Records are taken for snapshots until
    /// [`Mapping::for_mode`] says otherwise.
    pub fn compile(mut spec: MappingSpec) -> Result<Self, MappingError> {
        spec.strip_prefix = spec.strip_prefix.filter(|prefix| !prefix.is_empty());
        let listed = match &spec.attributes {
            Attributes::Listed(paths) => paths.as_slice(),
            Attributes::All => &[],
        };
        if listed.is_empty() && spec.attributes != Attributes::All && spec.segments.is_empty() {
            return Err(MappingError::Nothing);
        }
        check_paths(&spec, listed)?;
        check_attributes(listed)?;
        check_keys(&spec.key)?;
        if let Some(path) = spec.version.as_ref().filter(|path| has_own_meaning(path)) {
            return Err(MappingError::VersionPath(path.clone()));
        }
        check_consents(&spec.consent)?;
        let segments = segments_by_id(&spec)?;

        let key_paths = spec.key.iter().filter(|path| namespace(path).is_none());
        // Where all attributes are kept, so are consents, but for those that are no attributes.
        let (apart, among): (Vec<&Path>, Vec<&Path>) = spec.consent.iter().partition(|path| {
            spec.attributes != Attributes::All || path.0.first().is_some_and(|key| key == CONSENTS)
        });
        let others = key_paths.chain(&spec.version).chain(among);
        let tree = Node::keeping(listed, apart, others);
        let slot = |path: &Path| tree.slot_of(path).expect("every path was put into the tree");
        let keys = spec.key.iter().map(|path| KeySource {
            path: path.to_string(),
            place: match namespace(path) {
                Some(name) => KeyPlace::Namespace(name.to_owned()),
                None => KeyPlace::Slot(slot(path)),
            },
        });
        let mut sorted: Vec<&Path> = listed.iter().collect();
        sorted.sort_unstable();
        let attributes = sorted.into_iter().map(|path| Attribute {
            path: path.to_string(),
            canonical: prints::canonical_path(path.0.iter().map(String::as_str)),
            slot: slot(path),
        });
        let mut consents: Vec<&Path> = spec.consent.iter().collect();
        consents.sort_unstable();
        let consents = consents
            .into_iter()
            .map(|path| ConsentSource { path: path.to_string(), slot: slot(path) });
        Ok(Self {
            consents: consents.collect(),
            keys: keys.collect(),
            version: spec.version.as_ref().map(slot),
            attributes: attributes.collect(),
            at: spec.at.as_ref().map(|path| Node::new([], [path])),
            segments,
            tree,
            spec,
            update_mode: UpdateMode::default(),
        })
    }
}

/// The namespace that a path into the identity map names.
pub(super) fn namespace(path: &Path) -> Option<&str> {
    match path.0.as_slice() {
        [map, namespace] if map == IDENTITY_MAP => Some(namespace),
        _ => None,
    }
}

/// Whether the path is, or lies in, a part that is read by rules of its own.
pub(super) fn has_own_meaning(path: &Path) -> bool {
    path.0.first().is_some_and(|key| key == IDENTITY_MAP || key == SEGMENT_MEMBERSHIP)
}

fn check_paths(spec: &MappingSpec, listed: &[Path]) -> Result<(), MappingError> {
    let named = [
        ("profile.key", spec.key.as_slice()),
        ("profile.at", spec.at.as_slice()),
        ("profile.version", spec.version.as_slice()),
        ("export.attributes", listed),
        ("export.consent", spec.consent.as_slice()),
    ];
    for (option, paths) in named {
        for path in paths {
            if path.0.is_empty() {
                return Err(MappingError::EmptyPath(option));
            }
            if let Some(prefix) = &spec.strip_prefix
                && path.0.iter().any(|key| key.starts_with(prefix.as_str()))
            {
                let (path, prefix) = (path.clone(), prefix.clone());
                return Err(MappingError::Prefixed { path, prefix });
            }
        }
    }
    Ok(())
}

fn check_attributes(listed: &[Path]) -> Result<(), MappingError> {
    if let Some(path) = listed.iter().find(|path| has_own_meaning(path)) {
        return Err(MappingError::NotAnAttribute(path.clone()));
    }
    let mut sorted: Vec<&Path> = listed.iter().collect();
    sorted.sort_unstable();
    // In byte order a path is followed directly by those that lie inside it.
    for pair in sorted.windows(2) {
        if pair[0] == pair[1] {
            return Err(MappingError::AttributeTwice(pair[0].clone()));
        }
        if pair[1].0.starts_with(&pair[0].0) {
            let (outer, inner) = (pair[0].clone(), pair[1].clone());
            return Err(MappingError::AttributeInside { inner, outer });
        }
    }
    Ok(())
}

fn check_consents(consents: &[Path]) -> Result<(), MappingError> {
    for (i, path) in consents.iter().enumerate() {
        if has_own_meaning(path) {
            return Err(MappingError::ConsentPath(path.clone()));
        }
        if consents[..i].contains(path) {
            return Err(MappingError::ConsentTwice(path.clone()));
        }
    }
    Ok(())
}

fn check_keys(keys: &[Path]) -> Result<(), MappingError> {
    if keys.is_empty() {
        return Err(MappingError::NoKey);
    }
    for (i, path) in keys.iter().enumerate() {
        if has_own_meaning(path) && namespace(path).is_none() {
            return Err(MappingError::KeyPath(path.clone()));
        }
        if keys[..i].contains(path) {
            return Err(MappingError::KeyTwice(path.clone()));
        }
    }
    Ok(())
}

/// The places of the segments in byte order of id and namespace, no namespace first.
fn segments_by_id(spec: &MappingSpec) -> Result<Vec<usize>, MappingError> {
    let specs = &spec.segments;
    let mut sorted: Vec<usize> = (0..specs.len()).collect();
    sorted.sort_by_key(|&i| (&specs[i].id, &specs[i].namespace));
    if sorted.first().is_some_and(|&i| specs[i].id.is_empty()) {
        return Err(MappingError::EmptySegment);
    }
    for pair in sorted.windows(2) {
        let (a, b) = (&specs[pair[0]], &specs[pair[1]]);
        if a.id == b.id && (a.namespace.is_none() || a.namespace == b.namespace) {
            return Err(MappingError::SegmentTwice(a.id.clone()));
        }
    }
    Ok(sorted)
}
