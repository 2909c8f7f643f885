use profile_http::profile::{Attributes, MappingSpec, Path};
use serde_json::{Map, Value, json};

/// The id under which the endpoint sees the sample profile.
pub(super) const ID: &str = "profile-http-check";

/// A record from which a mapping makes a profile with everything in it: a text at the path of each
/// mapped attribute, and a membership in each mapped segment. It consents.
pub(super) fn record(spec: &MappingSpec) -> Value {
    let mut profile = Map::new();
    if let Some(path) = spec.key.first() {
        let id = match path.0.as_slice() {
            [map, _] if map == "identityMap" => json!([{ "id": ID }]),
            _ => ID.into(),
        };
        put(&mut profile, path, id);
    }
    if let Some(path) = &spec.version {
        put(&mut profile, path, 1.into());
    }
    for segment in &spec.segments {
        let namespace = segment.namespace.clone().unwrap_or_else(|| "ups".to_owned());
        let path = ["segmentMembership".to_owned(), namespace, segment.id.clone()];
        put(&mut profile, &Path(path.into()), json!({ "status": "realized" }));
    }
    let listed = match &spec.attributes {
        Attributes::Listed(paths) => paths.as_slice(),
        Attributes::All => &[],
    };
    for path in listed {
        put(&mut profile, path, "sample".into());
    }
    for path in &spec.consent {
        put(&mut profile, path, "y".into());
    }
    match &spec.at {
        Some(at) => {
            let mut record = Map::new();
            put(&mut record, at, profile.into());
            record.into()
        }
        None => profile.into(),
    }
}

/// Puts a value at a path where nothing is yet.
fn put(object: &mut Map<String, Value>, path: &Path, value: Value) {
    let Some((last, parents)) = path.0.split_last() else { return };
    let mut object = object;
    for key in parents {
        let next = object.entry(key).or_insert_with(|| Map::new().into());
        let Value::Object(next) = next else { return };
        object = next;
    }
    object.entry(last).or_insert(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(attributes: &[&str], key: &str, at: Option<&str>) -> MappingSpec {
        let paths = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        MappingSpec {
            key: paths(&[key]),
            at: at.map(|text| text.parse().unwrap()),
            version: Some("meta.version".parse().unwrap()),
            strip_prefix: None,
            attributes: Attributes::Listed(paths(attributes)),
            segments: Vec::new(),
            identities: None,
            unmapped_segments: false,
            segment_names: false,
            segment_timestamps: false,
            legacy_status: false,
            consent: Vec::new(),
            removed: profile_http::profile::Removed::Omit,
            when: profile_http::profile::When::Changed,
            retain: profile_http::profile::Retain::Mapped,
        }
    }

    #[test]
    fn a_sample_holds_what_is_mapped() {
        let record = record(&spec(&["person.name", "tier"], "identityMap.crmid", None));
        assert_eq!(
            record,
            json!({
                "identityMap": { "crmid": [{ "id": ID }] },
                "meta": { "version": 1 },
                "person": { "name": "sample" },
                "tier": "sample",
            })
        );
    }

    #[test]
    fn a_key_inside_a_mapped_object_stays_a_key() {
        let record = record(&spec(&["_acme"], "_acme.customerId", Some("message.profile")));
        assert_eq!(
            record,
            json!({ "message": { "profile": {
                "_acme": { "customerId": ID },
                "meta": { "version": 1 },
            } } })
        );
    }
}
