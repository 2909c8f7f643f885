use std::sync::{Arc, LazyLock};

use bytes::Bytes;

use super::is_json;
use crate::{
    config::{self, Env},
    profile::{
        Covered, Followed, Known, MappedAt, Mapping, Membership, ProfileKey, Projected, Status,
        Withdrawn, profile_id,
    },
    sample::Samples,
    store::{DeadLetter, InvalidRecord, LetterKind, is_row},
};

const SEED: u64 = 0x5eed;
const NOW: u64 = 1_700_000_000_000_000;

/// Sinks that between them use every way of reading and writing.
const SINKS: &str = r#"
data_dir: unused
sources: { in: { type: stdin } }
sinks:
  listed:
    type: profile_http
    inputs: [in]
    http_endpoint: http://localhost/
    profile: { key: identityMap.crmid }
    export:
      attributes: [person.name, personalEmail.address, loyalty.tier, a, b.c]
      segments: [a, { id: b, name: B, namespace: ups }, 2f1c9a54-7d0e-4b8e-9a63-51c0de000001]
  all:
    type: profile_http
    inputs: [in]
    http_endpoint: http://localhost/
    profile: { key: [identityMap.crmid, a] }
    export: { attributes: "*", segments: [a], segment_timestamps: true, legacy_status: true }
  whole:
    type: profile_http
    inputs: [in]
    http_endpoint: http://localhost/
    profile: { key: identityMap.crmid, strip_prefix: "xdm:" }
    export: { attributes: "*", unmapped_segments: true }
    state: { retain: profile }
  prefixed:
    type: profile_http
    inputs: [in]
    http_endpoint: http://localhost/
    profile: { key: identityMap.crmid, strip_prefix: "xdm:", version: a }
    export: { attributes: [b.c, person], segments: [{ id: a, name: A }], segment_names: true }
  inside:
    type: profile_http
    inputs: [in]
    http_endpoint: http://localhost/
    profile: { key: [identityMap.a, b.c, b], at: data.profile, version: b.version }
    export: { attributes: [a, b], identities: [a], removed: "null", when: always }
"#;

static MAPPINGS: LazyLock<Vec<(Arc<Mapping>, MappedAt)>> = LazyLock::new(|| {
    let dir = tempfile::tempdir().expect("a directory can be made");
    let file = dir.path().join("sinks.yaml");
    std::fs::write(&file, SINKS).expect("the directory is writable");
    let plan = config::load(&[file], &Env::default()).expect("the sinks above are right");
    let mappings = plan.sinks.into_iter().map(|sink| {
        let mapped_at = MappedAt::of(sink.mapping.spec(), None, NOW / 2);
        (sink.mapping, mapped_at)
    });
    mappings.collect()
});

/// What is kept of a record says the same as the record, what is exported is JSON, and saying
/// something twice changes nothing.
pub(super) fn projection(record: &[u8]) {
    for (mapping, mapped_at) in MAPPINGS.iter() {
        let Ok(projected) = mapping.project(SEED, record) else { continue };
        let Projected { id, prints, followed, .. } = projected;
        let judged = if followed { Followed::Yes } else { Followed::No };
        let kept = projected.keep();
        assert_eq!(profile_id(SEED, &kept.key), id);
        assert!(is_json(&kept.document), "{:?}", kept.document);
        let known = mapping.advance(None, kept.clone(), NOW).known;
        assert_eq!(mapping.fingerprints_of(SEED, &known), Ok((prints, judged)));
        assert_eq!(Known::decode(&known.encode()).ok().as_ref(), Some(&known));
        let again = mapping.advance(Some(&known), kept, NOW + 1);
        assert_eq!((again.exits_by_absence, &again.known), (0, &known));
        export(mapping, mapped_at, &known);
    }
}

fn export(mapping: &Mapping, mapped_at: &MappedAt, known: &Known) {
    let mut out = Vec::new();
    if mapping.export(known, NOW, mapped_at, &mut out).is_ok() {
        assert!(is_json(&out) && !out.contains(&b'\n'), "{}", String::from_utf8_lossy(&out));
    }
}

pub(super) fn projection_seeds() -> Vec<Vec<u8>> {
    let written = [
        r#"{"a":1.50e3,"b":{"c":[null,true,"\u00e9\\\""],"version":7},"identityMap":{"crmid":[{"id":"c1"}]}}"#,
        r#"{ "a": "2024-05-06T07:08:09+0000", "identityMap": { "crmid": [ { "id": 7, "primary": true }, {"id":"x"} ] } }"#,
        r#"{"xdm:b":{"xdm:c":"\ud83d\ude00"},"xdm:identityMap":{"crmid":[{"xdm:id":"c"}]},"a":123}"#,
        r#"{"data":{"profile":{"a":{},"b":{"version":"2024-01-01T00:00:00Z","c":"k"}}}}"#,
        r#"{"identityMap":{"crmid":[{"id":"c"}]},"segmentMembership":{"ups":{"a":{"status":"existing","lastQualificationTime":"2024-01-01T00:00:00.123Z"},"b":{"status":"exited"},"c":null}},"consents":{}}"#,
    ];
    let sampled = Samples::new(1, 3).take(3).map(|sample| sample.json);
    sampled.chain(written.map(|text| text.as_bytes().to_vec())).collect()
}

/// Whatever is read from a store reads back as it is written, and what is known is judged and
/// exported without harm even where its document is no profile.
pub(super) fn stored(bytes: &[u8]) {
    let Some((&kind, bytes)) = bytes.split_first() else { return };
    match kind {
        b'k' => {
            let Ok(known) = Known::decode(bytes) else { return };
            assert_eq!(Known::decode(&known.encode()).ok().as_ref(), Some(&known));
            for (mapping, mapped_at) in MAPPINGS.iter() {
                let _ = mapping.fingerprints_of(SEED, &known);
                export(mapping, mapped_at, &known);
            }
        }
        b'r' => _ = is_row(bytes),
        b'd' => {
            let Ok(letter) = postcard::from_bytes::<DeadLetter>(bytes) else { return };
            assert_eq!(reread(&letter), letter);
        }
        b'i' => {
            let Ok(record) = postcard::from_bytes::<InvalidRecord>(bytes) else { return };
            assert_eq!(reread(&record), record);
        }
        _ => {}
    }
}

fn reread<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T) -> T {
    let bytes = postcard::to_stdvec(value).expect("writing into memory cannot fail");
    postcard::from_bytes(&bytes).expect("what was written can be read")
}

pub(super) fn stored_seeds() -> Vec<Vec<u8>> {
    let membership = Membership {
        namespace: "ups".into(),
        id: "a".into(),
        status: Status::Realized,
        at: Some(1),
        created: NOW,
        updated: NOW,
    };
    let known = Known {
        key: ProfileKey { path: "identityMap.crmid".into(), text: "c1".into() },
        document: Bytes::from_static(br#"{"a":1,"identityMap":{"crmid":[{"id":"c1"}]}}"#),
        memberships: vec![membership],
        covered: Covered::All,
        withdrawn: Some(Withdrawn { at: NOW, document: Bytes::from_static(b"{}") }),
    };
    let letter = DeadLetter {
        kind: LetterKind::Refused,
        version: NOW,
        status: 400,
        request_id: Some("r1".into()),
        reason: "400 Bad Request".into(),
        headers: vec![("content-type".into(), "text/plain".into())],
        answer: Bytes::from_static(b"no"),
        attempts: 1,
        due_since: NOW,
        at: NOW,
    };
    let record = InvalidRecord {
        source: "in".into(),
        place: "line 1".into(),
        reason: "the record is not JSON".into(),
        received: NOW,
        excerpt: Bytes::from_static(b"{"),
    };
    let encoded = "writing into memory cannot fail";
    [
        (b'k', known.encode()),
        (b'r', vec![0; 123]),
        (b'd', postcard::to_stdvec(&letter).expect(encoded)),
        (b'i', postcard::to_stdvec(&record).expect(encoded)),
    ]
    .map(|(kind, bytes)| [&[kind], &bytes[..]].concat())
    .into()
}
