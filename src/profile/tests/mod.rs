//! What the module promises, over records as they come.

mod added;
mod consent;
mod exporting;
mod fields;
mod keeping;
mod leaving;
mod mapping;
mod patching;
mod properties;
mod reading;
mod triggers;

use serde_json::Value;

use super::*;

pub(super) const SEED: u64 = 0x5eed;
pub(super) const NOW: u64 = 1_700_000_000_000_000;

/// A mapping with the key `identityMap.crmid`, these attributes and these segments.
pub(super) fn spec(attributes: &[&str], segments: &[&str]) -> MappingSpec {
    MappingSpec {
        key: paths(&["identityMap.crmid"]),
        at: None,
        version: None,
        strip_prefix: None,
        attributes: Attributes::Listed(paths(attributes)),
        segments: segments.iter().map(|id| segment(id)).collect(),
        identities: None,
        unmapped_segments: false,
        segment_names: false,
        segment_timestamps: false,
        legacy_status: false,
        consent: Vec::new(),
        removed: Removed::Omit,
        when: When::Changed,
        retain: Retain::Mapped,
    }
}

pub(super) fn segment(id: &str) -> SegmentSpec {
    SegmentSpec { id: id.into(), name: None, namespace: None }
}

pub(super) fn paths(texts: &[&str]) -> Vec<Path> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

pub(super) fn compile(spec: MappingSpec) -> Mapping {
    Mapping::compile(spec).unwrap()
}

/// The record, with an identity under which it is kept unless it has its own.
pub(super) fn keyed(body: &str) -> String {
    if body.contains("identityMap") {
        return body.to_owned();
    }
    let inside = body.trim().strip_prefix('{').unwrap();
    let comma = if inside.trim() == "}" { "" } else { "," };
    format!(r#"{{"identityMap":{{"crmid":[{{"id":"c1"}}]}}{comma}{inside}"#)
}

pub(super) fn prints(mapping: &Mapping, body: &str) -> Fingerprints {
    mapping.project(SEED, keyed(body).as_bytes()).unwrap().prints
}

pub(super) fn reason(mapping: &Mapping, record: &str) -> String {
    mapping.project(SEED, record.as_bytes()).unwrap_err().reason
}

/// What is known after these records, a second apart.
pub(super) fn known_after(mapping: &Mapping, bodies: &[&str]) -> Known {
    let mut known = None;
    for (body, second) in bodies.iter().zip(0..) {
        let record = keyed(body);
        let kept = mapping.project(SEED, record.as_bytes()).unwrap().keep();
        known = Some(mapping.advance(known.as_ref(), kept, NOW + second * 1_000_000).known);
    }
    known.unwrap()
}

pub(super) fn export_text(mapping: &Mapping, known: &Known, confirmed: u64) -> String {
    let mapped_at = MappedAt::of(mapping.spec(), None, 0);
    let mut out = Vec::new();
    mapping.export(known, confirmed, &mapped_at, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// What is exported after these records to an endpoint that has confirmed nothing.
pub(super) fn exported(mapping: &Mapping, bodies: &[&str]) -> Value {
    serde_json::from_str(&export_text(mapping, &known_after(mapping, bodies), 0)).unwrap()
}
