use std::sync::Arc;

use super::{Findings, Located, Read, Section, governance::Labelled};
use crate::{
    config::{
        problem::Problem,
        written::{Entry, Node, Value},
    },
    profile::{
        Attributes, Mapping, MappingError, MappingSpec, Path, Removed, Retain, SegmentSpec,
        UpdateMode, When,
    },
};

/// Reads `profile` and `export`, and compiles what they map. The attributes go to `labelled` with
/// their labels; nothing stands for every attribute.
pub(super) fn read(
    sink: &mut Section<'_>,
    retain: Retain,
    labelled: &mut Option<Vec<Labelled>>,
) -> Option<Arc<Mapping>> {
    let findings = sink.findings();
    let errors = findings.errors();
    let profile = sink.required_section("profile", "{ key: identityMap.crmid }");
    let export = sink.required_section("export", "{ attributes: [person.name] }");
    let profile_place = profile.as_ref().map(|section| section.place().clone());
    let export_place = export.as_ref().map(|section| section.place().clone());
    let (profile, export) =
        (profile.map(read_profile), export.map(|section| read_export(section, labelled)));
    let (profile, export) = (profile?, export?);
    if findings.errors() > errors {
        // What could not be read is not in the mapping, and would be missed there again.
        return None;
    }
    let update_mode = profile.update_mode;
    let spec = MappingSpec {
        key: profile.key,
        at: profile.at,
        version: profile.version,
        strip_prefix: profile.strip_prefix,
        retain,
        ..export
    };
    match Mapping::compile(spec) {
        Ok(mapping) => Some(Arc::new(mapping.for_mode(update_mode))),
        Err(error) => {
            let in_profile = matches!(
                error,
                MappingError::NoKey
                    | MappingError::KeyPath(_)
                    | MappingError::KeyTwice(_)
                    | MappingError::VersionPath(_)
            );
            let place = if in_profile { profile_place } else { export_place };
            findings.error(Problem::with_remedy(&place?, &error));
            None
        }
    }
}

struct Profile {
    key: Vec<Path>,
    at: Option<Path>,
    version: Option<Path>,
    strip_prefix: Option<String>,
    update_mode: UpdateMode,
}

fn read_profile(mut section: Section<'_>) -> Profile {
    let key = section.required::<Vec<Path>>("key", "identityMap.crmid");
    if let Some(key) = key.as_ref().filter(|key| key.value.len() > 1) {
        section.findings().warn(
            Problem::at(
                &key.place,
                "a person whose first key comes later becomes a second profile",
            )
            .help(
                "name one key that every record has; the former profile is neither exited nor \
                     erased",
            ),
        );
    }
    let modes = [("snapshot", UpdateMode::Snapshot), ("patch", UpdateMode::Patch)];
    let update_mode = section.choice("update", &modes).unwrap_or_default();
    let profile = Profile {
        key: key.map(|key| key.value).unwrap_or_default(),
        at: section.get("at"),
        version: section.get("version"),
        strip_prefix: section.get("strip_prefix"),
        update_mode,
    };
    section.finish();
    profile
}

/// Reads `export` into a mapping whose `profile` part is left empty.
fn read_export(mut section: Section<'_>, labelled: &mut Option<Vec<Labelled>>) -> MappingSpec {
    let flag = |section: &mut Section<'_>, key| section.get::<bool>(key).unwrap_or(false);
    let attributes = section.take("attributes");
    *labelled = attributes
        .map_or_else(|| Some(Vec::new()), |entry| read_attributes(entry, section.findings()));
    let paths = labelled.as_ref().map(|attributes| attributes.iter().map(|a| a.path.clone()));
    let spec = MappingSpec {
        key: Vec::new(),
        at: None,
        version: None,
        strip_prefix: None,
        attributes: paths.map_or(Attributes::All, |paths| Attributes::Listed(paths.collect())),
        segments: section.get("segments").unwrap_or_default(),
        identities: section.get("identities"),
        unmapped_segments: flag(&mut section, "unmapped_segments"),
        segment_names: flag(&mut section, "segment_names"),
        segment_timestamps: flag(&mut section, "segment_timestamps"),
        legacy_status: flag(&mut section, "legacy_status"),
        consent: consent(&mut section),
        removed: removed(&mut section),
        when: section
            .choice("when", &[("changed", When::Changed), ("always", When::Always)])
            .unwrap_or_default(),
        retain: Retain::default(),
    };
    section.finish();
    spec
}

/// Reads `attributes`: a list of paths or `{ path, labels }`, or `"*"`, which is `None`.
fn read_attributes(entry: Entry, findings: &Findings) -> Option<Vec<Labelled>> {
    let place = entry.value.place.clone();
    let is_star = |node: &Node| matches!(&node.value, Value::Text(text) if text.text == "*");
    match &entry.value.value {
        Value::List(items) if items.iter().any(is_star) => {
            if items.len() == 1 {
                return None;
            }
            findings.error(
                Problem::at(&place, "`*` stands for every attribute, so the others say nothing")
                    .help("write `attributes: \"*\"`, or remove the `*`"),
            );
            return Some(Vec::new());
        }
        Value::Text(_) if is_star(&entry.value) => return None,
        _ => {}
    }
    Some(Vec::read("attributes", entry.value, findings).unwrap_or_default())
}

/// Reads `consent`: a path or several.
fn consent(section: &mut Section<'_>) -> Vec<Path> {
    let Some(paths) = section.get::<Located<Vec<Path>>>("consent") else { return Vec::new() };
    if paths.value.is_empty() {
        section.findings().error(
            Problem::at(&paths.place, "`consent` names no path, so that nothing is asked for")
                .help("name where consent is, such as consents.marketing.email.val, or remove it"),
        );
    }
    paths.value
}

/// Reads `removed`, whose `null` may be written with or without quotes.
fn removed(section: &mut Section<'_>) -> Removed {
    if section.peek("removed").is_some_and(|entry| matches!(entry.value.value, Value::Null)) {
        section.discard("removed");
        return Removed::Null;
    }
    section
        .choice("removed", &[("omit", Removed::Omit), ("null", Removed::Null)])
        .unwrap_or_default()
}

impl Read for Labelled {
    fn read(name: &str, node: Node, findings: &Findings) -> Option<Self> {
        if !matches!(node.value, Value::Map(_)) {
            let path = Path::read(name, node, findings)?;
            return Some(Self { path, labels: Vec::new() });
        }
        let place = node.place.clone();
        let mut section = Section::new("an attribute", &place, node, findings)?;
        let path = section.required::<Path>("path", "person.name");
        let labels = section.get("labels").unwrap_or_default();
        section.finish();
        Some(Self { path: path?.value, labels })
    }
}

impl Read for SegmentSpec {
    fn read(name: &str, node: Node, findings: &Findings) -> Option<Self> {
        if !matches!(node.value, Value::Map(_)) {
            let id = String::read(name, node, findings)?;
            return Some(Self { id, name: None, namespace: None });
        }
        let place = node.place.clone();
        let mut section = Section::new("a segment", &place, node, findings)?;
        let id = section.required::<String>("id", "59bd2fcd-3c48-4b18-bf56-4f5c5e6967ae");
        let name = section.get("name");
        let namespace = section.get("namespace");
        section.finish();
        let Located { value: id, .. } = id?;
        Some(Self { id, name, namespace })
    }
}
