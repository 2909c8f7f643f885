use super::{Findings, Located, Read, Section};
use crate::{
    config::{
        problem::Problem,
        written::{Entry, Node, Value},
    },
    profile::{Attributes, MappingSpec, Path, Removed, Retain, SegmentSpec, When},
};

/// Reads `profile` and `export`.
pub(super) fn read(sink: &mut Section<'_>, retain: Retain) -> Option<MappingSpec> {
    let profile = profile(sink);
    let export = export(sink);
    let (profile, export) = (profile?, export?);
    Some(MappingSpec {
        retain,
        key: profile.key,
        at: profile.at,
        version: profile.version,
        strip_prefix: profile.strip_prefix,
        ..export
    })
}

struct Profile {
    key: Vec<Path>,
    at: Option<Path>,
    version: Option<Path>,
    strip_prefix: Option<String>,
}

fn profile(sink: &mut Section<'_>) -> Option<Profile> {
    if !sink.has("profile") {
        let _ = sink.take("profile");
        sink.missing("profile", "{ key: identityMap.crmid }");
        return None;
    }
    let mut section = sink.section("profile")?;
    let key = section.required::<Vec<Path>>("key", "identityMap.crmid");
    if let Some(key) = &key {
        let problem = |message: &str| Problem::at(&key.place, message);
        if key.value.len() > 1 {
            section.findings().warn(
                problem("a person whose first key comes later becomes a second profile").help(
                    "name one key that every record has; the former profile is neither exited nor \
                     erased",
                ),
            );
        }
    }
    section.choice("update", &[("snapshot", ())]);
    let profile = Profile {
        key: key.map(|key| key.value).unwrap_or_default(),
        at: section.get("at"),
        version: section.get("version"),
        strip_prefix: section.get("strip_prefix"),
    };
    section.finish();
    Some(profile)
}

/// Reads `export` into a mapping whose `profile` part is left empty.
fn export(sink: &mut Section<'_>) -> Option<MappingSpec> {
    if !sink.has("export") {
        let _ = sink.take("export");
        sink.missing("export", "{ attributes: [person.name] }");
        return None;
    }
    let mut section = sink.section("export")?;
    let maps = |key| section.has(key);
    let unmapped = !maps("attributes") && !maps("segments");
    let attributes = section.take("attributes").map(|entry| attributes(entry, section.findings()));
    let segments = section.get::<Vec<SegmentSpec>>("segments");
    let nothing = |attributes: &Option<Attributes>| match attributes {
        Some(Attributes::Listed(paths)) => paths.is_empty(),
        Some(Attributes::All) => false,
        None => true,
    };
    let attributes = attributes.unwrap_or(Some(Attributes::Listed(Vec::new())));
    let read_well = attributes.is_some() && segments.as_ref().is_none_or(Vec::is_empty);
    if unmapped || (read_well && nothing(&attributes)) {
        section.findings().error(
            Problem::at(
                section.place(),
                format!("{} maps neither attributes nor segments", section.title()),
            )
            .help("add `attributes: [person.name]`, `segments: [ID]`, or both"),
        );
    }
    let flag = |section: &mut Section<'_>, key| section.get::<bool>(key).unwrap_or(false);
    let spec = MappingSpec {
        key: Vec::new(),
        at: None,
        version: None,
        strip_prefix: None,
        attributes: attributes.unwrap_or(Attributes::Listed(Vec::new())),
        segments: segments.unwrap_or_default(),
        identities: section.get("identities"),
        unmapped_segments: flag(&mut section, "unmapped_segments"),
        segment_names: flag(&mut section, "segment_names"),
        segment_timestamps: flag(&mut section, "segment_timestamps"),
        legacy_status: flag(&mut section, "legacy_status"),
        removed: removed(&mut section),
        when: section
            .choice("when", &[("changed", When::Changed), ("always", When::Always)])
            .unwrap_or_default(),
        retain: Retain::default(),
    };
    section.finish();
    Some(spec)
}

/// Reads `attributes`: `"*"`, or a list of paths or `{ path }`.
fn attributes(entry: Entry, findings: &Findings) -> Option<Attributes> {
    let place = entry.value.place.clone();
    let is_star = |node: &Node| matches!(&node.value, Value::Text(text) if text.text == "*");
    match &entry.value.value {
        Value::List(items) if items.iter().any(is_star) => {
            if items.len() == 1 {
                return Some(Attributes::All);
            }
            findings.error(
                Problem::at(&place, "`*` stands for every attribute, so the others say nothing")
                    .help("write `attributes: \"*\"`, or remove the `*`"),
            );
            return None;
        }
        Value::Text(_) if is_star(&entry.value) => return Some(Attributes::All),
        _ => {}
    }
    let listed = Vec::<Attribute>::read("attributes", entry.value, findings)?;
    Some(Attributes::Listed(listed.into_iter().map(|attribute| attribute.0).collect()))
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

struct Attribute(Path);

impl Read for Attribute {
    fn read(name: &str, node: Node, findings: &Findings) -> Option<Self> {
        if !matches!(node.value, Value::Map(_)) {
            return Path::read(name, node, findings).map(Self);
        }
        let place = node.place.clone();
        let mut section = Section::new("an attribute", &place, node, findings)?;
        let path = section.required::<Path>("path", "person.name");
        section.finish();
        path.map(|path| Self(path.value))
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
