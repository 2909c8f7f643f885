//! Example instances of XDM as their publisher writes them, exported by the rules.
//!
//! They lie in the folder that `XDM_EXAMPLES` names: the `*.json` of github.com/adobe/xdm, flat.
//! Where it is not set, there is nothing to test. What a rule makes of each is worked out here again
//! from the parsed record, by other means than those of the program.

use std::{collections::BTreeMap, fs, path::PathBuf};

use profile_http::{
    local_endpoint::{LocalEndpoint, Settings},
    profile::{Attributes, Mapping, MappingSpec, Path, Removed, Retain, When},
};
use serde_json::{Map, Value, json};

use crate::support::{Process, Site};

/// What the file names say of what they hold; of several that fit the first counts.
const KINDS: [(&str, Kind); 17] = [
    ("profilestitchidentity", Kind::None),
    ("profile", Kind::Profile),
    ("prospect-profile", Kind::Profile),
    ("consent-preferences", Kind::Profile),
    ("experienceevent-segmentmembership", Kind::Profile),
    ("segmentation", Kind::Profile),
    ("identitymap", Kind::IdentityMap),
    ("identityitem", Kind::Identity),
    ("segmentmembership", Kind::Membership),
    ("person", Kind::Attribute("person")),
    ("emailaddress", Kind::Attribute("personalEmail")),
    ("phonenumber", Kind::Attribute("mobilePhone")),
    // These are parts of events, or name something that is no part of a profile's own.
    ("experienceevent", Kind::None),
    ("identity", Kind::None),
    ("segmentidentity", Kind::None),
    ("package", Kind::None),
    ("SOURCES", Kind::None),
];

#[derive(Clone, Copy)]
enum Kind {
    /// An object of which what stands at its top is a part of a profile.
    Profile,
    IdentityMap,
    Identity,
    Membership,
    Attribute(&'static str),
    /// No part of a profile.
    None,
}

/// The examples as records, by the name of the file, which becomes an identity of each: some are
/// of the same person, and most of nobody.
fn records(folder: PathBuf) -> BTreeMap<String, Value> {
    let mut records = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let kind = KINDS.iter().find(|(start, _)| name.starts_with(start));
        let (_, kind) = kind.unwrap_or_else(|| panic!("what is {name}?"));
        if matches!(kind, Kind::None) {
            continue;
        }
        let json: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        let mut record = match kind {
            Kind::Profile => json,
            Kind::IdentityMap => json!({ "xdm:identityMap": json }),
            Kind::Identity => json!({ "xdm:identityMap": { "ns": [json] } }),
            Kind::Membership => json!({ "xdm:segmentMembership": { "ups": { "one": json } } }),
            Kind::Attribute(path) => json!({ format!("xdm:{path}"): json }),
            Kind::None => continue,
        };
        record["xdm:identityMap"]["file"] = json!([{ "xdm:id": name }]);
        records.insert(name, record);
    }
    records
}

/// The value without the prefix in its keys.
fn stripped(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(stripped).collect(),
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| {
                (key.strip_prefix("xdm:").unwrap_or(key).to_owned(), stripped(value))
            })
            .collect::<Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}

/// What is exported of a record if memberships of the segments that `sent` names are.
fn export(record: &Value, sent: impl Fn(&str) -> bool) -> Value {
    let Value::Object(mut profile) = stripped(record) else { panic!("{record}") };
    profile.remove("consents");
    for ids in profile["identityMap"].as_object_mut().unwrap().values_mut() {
        let ids = ids.as_array_mut().unwrap();
        *ids = ids.iter().map(|identity| json!({ "id": identity["id"] })).collect();
        ids.sort_by_key(ToString::to_string);
    }
    let memberships = profile.remove("segmentMembership").unwrap_or_default();
    let mut kept = Map::new();
    for (namespace, entries) in memberships.as_object().into_iter().flatten() {
        let entries = entries.as_object().unwrap().iter().filter(|(id, _)| sent(id));
        let entries: Map<_, _> =
            entries.map(|(id, entry)| (id.clone(), membership(entry))).collect();
        if !entries.is_empty() {
            kept.insert(namespace.clone(), entries.into());
        }
    }
    if !kept.is_empty() {
        profile.insert("segmentMembership".to_owned(), kept.into());
    }
    profile.into()
}

fn membership(entry: &Value) -> Value {
    let exited = entry["status"] == "exited";
    let mut membership = json!({ "status": if exited { "exited" } else { "realized" } });
    if let Some(at) = entry["lastQualificationTime"].as_str() {
        membership["lastQualificationTime"] = at.replace("+00:00", "Z").into();
    }
    membership
}

fn file(profile: &Value) -> String {
    profile["identityMap"]["file"][0]["id"].as_str().unwrap().to_owned()
}

/// What arrives of the records under these options of `export`, by the file's name.
async fn delivered(records: &BTreeMap<String, Value>, options: &str) -> BTreeMap<String, Value> {
    let (arrivals, mut arrived) = tokio::sync::mpsc::channel(1000);
    let settings = Settings { arrivals: Some(arrivals), ..Settings::default() };
    let endpoint = LocalEndpoint::start(settings).await.unwrap();
    let site = Site::new();
    let sink = format!(
        "    profile: {{ key: identityMap.file, strip_prefix: \"xdm:\" }}\n    \
         export: {{ attributes: \"*\", {options} }}\n"
    );
    let config = site.configure("run.yaml", "{ type: stdin }", &endpoint.url(), &sink);
    let lines: Vec<_> = records.values().map(ToString::to_string).collect();
    let (status, log) = Process::run(&config).fed(&lines.join("\n"));
    assert!(status.success() && log.contains("invalid=0 "), "{log}");
    let mut exports = BTreeMap::new();
    while let Ok(body) = arrived.try_recv() {
        let profile: Value = serde_json::from_slice(&body).unwrap();
        assert!(exports.insert(file(&profile), profile).is_none(), "each is sent once");
    }
    exports
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn every_example_is_accepted_and_gives_the_export_that_the_rules_say() {
    let Some(folder) = std::env::var_os("XDM_EXAMPLES") else {
        eprintln!("skipped: XDM_EXAMPLES names no folder with example instances of XDM");
        return;
    };
    let records = records(folder.into());
    assert!(records.len() > 20, "few of the examples are there: {:?}", records.keys());

    // Every profile is followed.
    let exports = delivered(&records, "unmapped_segments: true").await;
    let expected: BTreeMap<_, _> =
        records.iter().map(|(name, record)| (name.clone(), export(record, |_| true))).collect();
    assert_eq!(exports, expected);

    // Members of these are.
    let mapped = ["04a81716-43d6-4e7a-a49c-f1d8b3129ba9", "abcd@adobe.com", "one"];
    let is_member = |record: &Value| {
        let memberships = stripped(record)["segmentMembership"].take();
        let entries = memberships.as_object().into_iter().flatten();
        let mut entries = entries.flat_map(|(_, entries)| entries.as_object().unwrap());
        entries.any(|(id, entry)| mapped.contains(&id.as_str()) && entry["status"] != "exited")
    };
    let exports = delivered(&records, &format!("segments: {mapped:?}")).await;
    let expected: BTreeMap<_, _> = records
        .iter()
        .filter(|(_, record)| is_member(record))
        .map(|(name, record)| (name.clone(), export(record, |id| mapped.contains(&id))))
        .collect();
    assert!(expected.len() >= 4, "{:?}", expected.keys());
    assert_eq!(exports, expected);

    // Those who consent to mails are.
    let exports = delivered(&records, "consent: consents.marketing.email.val").await;
    let consents = |record: &Value| {
        let value = stripped(record)["consents"]["marketing"]["email"]["val"].take();
        value == "y" || value == "VI"
    };
    let expected: BTreeMap<_, _> = records
        .iter()
        .filter(|(_, record)| consents(record))
        .map(|(name, record)| (name.clone(), export(record, |_| false)))
        .collect();
    assert!(!expected.is_empty());
    assert_eq!(exports, expected);
}

#[test]
fn what_has_identities_of_its_own_is_a_profile_as_it_stands() {
    let Some(folder) = std::env::var_os("XDM_EXAMPLES") else {
        eprintln!("skipped: XDM_EXAMPLES names no folder with example instances of XDM");
        return;
    };
    let mut whole = 0;
    for (name, mut record) in records(folder.into()) {
        let identities = record["xdm:identityMap"].as_object_mut().unwrap();
        identities.remove("file");
        let Some((namespace, ids)) = identities.iter().next() else { continue };
        let ids: Vec<_> =
            ids.as_array().unwrap().iter().map(|id| stripped(id)["id"].take()).collect();
        let mapping = mapping_of(namespace);
        let record = record.to_string();
        let projected = mapping.project(1, record.as_bytes());
        let key = projected.unwrap_or_else(|error| panic!("{name}: {error}")).key();
        assert!(ids.contains(&key.text.into()), "{name}: {ids:?}");
        whole += 1;
    }
    assert!(whole >= 5, "{whole} examples have identities of their own");
}

/// Everything of profiles that are known by this namespace.
fn mapping_of(namespace: &str) -> Mapping {
    let spec = MappingSpec {
        key: vec![Path(vec!["identityMap".to_owned(), namespace.to_owned()])],
        at: None,
        version: None,
        strip_prefix: Some("xdm:".to_owned()),
        attributes: Attributes::All,
        segments: Vec::new(),
        identities: None,
        unmapped_segments: false,
        segment_names: false,
        segment_timestamps: false,
        legacy_status: false,
        consent: Vec::new(),
        removed: Removed::Omit,
        when: When::Changed,
        retain: Retain::Mapped,
    };
    Mapping::compile(spec).unwrap()
}
