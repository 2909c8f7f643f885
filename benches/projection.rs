//! What reading a record costs: the way that every record takes, changed or not, and what comes
//! on top when something is to be written or sent.

use std::{fmt::Write, hint::black_box};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use profile_http::profile::{
    Attributes, MappedAt, Mapping, MappingSpec, Path, Removed, Retain, SegmentSpec, When,
};

const SEED: u64 = 0x1234_5678_9abc_def0;
const NOW: u64 = 1_700_000_000_000_000;

fn mapping(attributes: &[&str], segments: usize, retain: Retain) -> Mapping {
    let path = |text: &str| text.parse::<Path>().expect("a path");
    let segment = |i| SegmentSpec { id: segment_id(i), name: None, namespace: None };
    let spec = MappingSpec {
        key: vec![path("identityMap.crmid")],
        at: None,
        version: None,
        strip_prefix: None,
        attributes: Attributes::Listed(attributes.iter().map(|text| path(text)).collect()),
        segments: (0..segments).map(segment).collect(),
        identities: None,
        unmapped_segments: false,
        segment_names: false,
        segment_timestamps: false,
        legacy_status: false,
        consent: Vec::new(),
        removed: Removed::Omit,
        when: When::Changed,
        retain,
    };
    Mapping::compile(spec).expect("a mapping")
}

fn typical(retain: Retain) -> Mapping {
    let attributes = ["person.name", "person.birthDate", "personalEmail.address", "loyalty.tier"];
    mapping(&attributes, 3, retain)
}

fn segment_id(i: usize) -> String {
    format!("{:08x}", i.wrapping_mul(0x9e37_79b9) & 0xffff_ffff)
}

/// A record with so many memberships; with six it is one of about 900 bytes.
fn record(memberships: usize) -> String {
    let mut segments = String::new();
    for i in 0..memberships {
        let comma = if i > 0 { "," } else { "" };
        let status = ["realized", "existing", "exited"][i % 3];
        write!(
            segments,
            r#"{comma}"{}":{{"lastQualificationTime":"2024-01-02T03:04:{:02}Z","status":"{status}"}}"#,
            segment_id(i * 2),
            i % 60,
        )
        .expect("writing into memory");
    }
    format!(
        r#"{{"_id":"r-81923","person":{{"name":{{"firstName":"Ada","lastName":"Example"}},"birthDate":"1990-01-31"}},"personalEmail":{{"address":"ada@example.org"}},"loyalty":{{"tier":"gold","points":1250}},"homeAddress":{{"city":"Oslo","postalCode":"0150"}},"lastSeen":"2024-05-06T07:08:09Z","visits":81,"locale":"nb-NO","device":"phone","vip":0,"segmentMembership":{{"ups":{{{segments}}}}},"identityMap":{{"crmid":[{{"id":"crm-000481923","primary":true}}],"email_lc_sha256":[{{"id":"0b2e5f5e2c6d3b1f"}}]}}}}"#
    )
}

/// A record with one mapped attribute of several levels, about 64 KiB.
fn nested() -> String {
    fn level(depth: usize, out: &mut String) {
        if depth == 0 {
            out.push_str(r#"{"sku":"A-1932","price":12.50,"tags":["a","b\n",null,true]}"#);
            return;
        }
        out.push('{');
        for i in 0..10 {
            let comma = if i > 0 { "," } else { "" };
            write!(out, "{comma}\"key{}\":", (i * 7) % 10).expect("writing into memory");
            level(depth - 1, out);
        }
        out.push('}');
    }
    let mut value = String::new();
    level(3, &mut value);
    format!(r#"{{"identityMap":{{"crmid":[{{"id":"1"}}]}},"basket":{value}}}"#)
}

fn projection(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("projection");
    let mut project = |name: &str, mapping: &Mapping, record: &str| {
        group.throughput(Throughput::Bytes(record.len() as u64));
        group.bench_function(name, |bench| {
            bench.iter(|| mapping.project(SEED, black_box(record.as_bytes())).map(|p| p.prints));
        });
    };
    let typical_record = record(6);
    let mapped = typical(Retain::Mapped);
    project("typical", &mapped, &typical_record);
    project("typical, whole profile retained", &typical(Retain::Profile), &typical_record);
    project("50 segments", &mapping(&["person"], 50, Retain::Mapped), &record(50));
    project("big nested attribute", &mapping(&["basket"], 0, Retain::Mapped), &nested());

    let projected = mapped.project(SEED, typical_record.as_bytes()).expect("a profile");
    group.throughput(Throughput::Elements(1));
    group.bench_function("keep", |bench| bench.iter(|| black_box(&projected).keep()));

    let known = mapped.advance(None, projected.keep(), NOW).known;
    let mapped_at = MappedAt::of(mapped.spec(), None, NOW);
    let mut out = Vec::new();
    group.bench_function("export", |bench| {
        bench.iter(|| {
            out.clear();
            mapped.export(black_box(&known), 0, &mapped_at, &mut out).expect("an export");
            out.len()
        });
    });
    group.finish();
}

criterion_group!(benches, projection);
criterion_main!(benches);
