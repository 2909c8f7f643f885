//! What a patch costs beside a snapshot: taken into a store that knows a hundred thousand profiles,
//! by one caller and the store's one writer. Patches are merged by the writer, so its share says
//! how many a sink can take at most.
//!
//! `PATCHES_PROFILES` says how many profiles there are.

use std::{fs, sync::Arc, time::Duration};

use bytes::Bytes;
use profile_http::{
    clock::Clock,
    profile::{
        Attributes, Mapping, MappingSpec, Path, Removed, Retain, SegmentSpec, UpdateMode, When,
    },
    store::{
        Store, Update,
        embedded::{EmbeddedSettings, EmbeddedStore, SyncMode},
    },
    telemetry::Component,
};

/// Updates that are taken together.
const BATCH: u32 = 500;

/// Hertz of the times in `/proc`.
const TICKS: u64 = 100;

fn main() {
    // `cargo bench` passes flags for harnesses that know them; `cargo test` runs benches too.
    if std::env::args().any(|arg| arg == "--test") {
        return;
    }
    let profiles = std::env::var("PATCHES_PROFILES").ok().and_then(|text| text.parse().ok());
    let profiles = profiles.unwrap_or(100_000);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        for mode in [UpdateMode::Snapshot, UpdateMode::Patch] {
            run(mode, profiles).await;
        }
    });
}

async fn run(mode: UpdateMode, profiles: u32) {
    let mapping = Arc::new(mapping(mode));
    let dir = tempfile::tempdir().expect("a directory");
    let settings = EmbeddedSettings { sync: SyncMode::Os, ..EmbeddedSettings::default() };
    let (clock, metrics) = (Clock::system(), Component::detached());
    let store = EmbeddedStore::open(dir.path(), mapping.clone(), settings, clock, metrics);
    let store = store.expect("a store");
    let tiers = ["gold", "silver", "silver"];
    for (what, tier) in ["new", "changed", "unchanged"].into_iter().zip(tiers) {
        let before = Times::now();
        for first in (0..profiles).step_by(BATCH as usize) {
            let batch = first..profiles.min(first + BATCH);
            // In another order than they are stored in.
            let place = |i: u32| u64::from(i) * 0x9e37_79b1 % u64::from(profiles);
            let records = batch.map(|i| match (mode, what) {
                (UpdateMode::Patch, "changed" | "unchanged") => patch(place(i), tier),
                _ => snapshot(place(i), tier),
            });
            let updates = records.map(|record| update(&mapping, &store, record)).collect();
            store.apply(updates, Vec::new()).await.expect("a store that takes updates");
        }
        let Times { process, writer } = Times::now().since(before);
        let micros = |time: Duration| time.as_secs_f64() * 1e6 / f64::from(profiles);
        println!(
            "{mode:?}, {what:9}: {:5.1} µs CPU each, {:5.1} of them the writer's",
            micros(process),
            micros(writer)
        );
    }
    store.stop().await.expect("a store that stops");
}

/// Projects a record as a sink does.
fn update(mapping: &Mapping, store: &EmbeddedStore, record: String) -> Update {
    let record = Bytes::from(record);
    let projected = mapping.project(store.seed(), &record).expect("a profile");
    let keeps = match mapping.update_mode() {
        UpdateMode::Snapshot => !store.keeps(&projected.id, projected.prints.kept),
        UpdateMode::Patch => false,
    };
    Update {
        id: projected.id,
        prints: projected.prints,
        followed: projected.followed,
        source_version: projected.source_version,
        received: 0,
        kept: keeps.then(|| projected.keep()),
        record: record.clone(),
    }
}

fn mapping(mode: UpdateMode) -> Mapping {
    let path = |text: &str| text.parse::<Path>().expect("a path");
    let attributes = ["person.name", "person.birthDate", "personalEmail.address", "loyalty.tier"];
    let segment = |id: &str| SegmentSpec { id: id.to_owned(), name: None, namespace: None };
    let spec = MappingSpec {
        key: vec![path("identityMap.crmid")],
        at: None,
        version: None,
        strip_prefix: None,
        attributes: Attributes::Listed(attributes.map(path).into()),
        segments: ["s-0", "s-1", "s-2"].map(segment).into(),
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
    Mapping::compile(spec).expect("a mapping").for_mode(mode)
}

/// A record of about 900 bytes.
fn snapshot(profile: u64, tier: &str) -> String {
    let segments: Vec<_> = (0..6)
        .map(|i| {
            format!(
                r#""s-{i}":{{"lastQualificationTime":"2024-01-02T03:04:05Z","status":"realized"}}"#
            )
        })
        .collect();
    format!(
        r#"{{"_id":"r-{profile}","person":{{"name":{{"firstName":"Ada","lastName":"Example"}},"birthDate":"1990-01-31"}},"personalEmail":{{"address":"ada{profile}@example.org"}},"loyalty":{{"tier":"{tier}","points":1250}},"homeAddress":{{"city":"Oslo","postalCode":"0150"}},"lastSeen":"2024-05-06T07:08:09Z","visits":81,"locale":"nb-NO","device":"phone","vip":0,"segmentMembership":{{"ups":{{{}}}}},"identityMap":{{"crmid":[{{"id":"crm-{profile}","primary":true}}],"email_lc_sha256":[{{"id":"0b2e5f5e2c6d3b1f"}}]}}}}"#,
        segments.join(",")
    )
}

/// Says one attribute and one membership of a profile.
fn patch(profile: u64, tier: &str) -> String {
    format!(
        r#"{{"loyalty":{{"tier":"{tier}"}},"segmentMembership":{{"ups":{{"s-1":{{"lastQualificationTime":"2024-01-02T03:04:05Z","status":"realized"}}}}}},"identityMap":{{"crmid":[{{"id":"crm-{profile}"}}]}}}}"#
    )
}

/// CPU time.
#[derive(Clone, Copy)]
struct Times {
    process: Duration,
    writer: Duration,
}

impl Times {
    fn now() -> Self {
        let tasks = fs::read_dir("/proc/self/task").expect("a directory of threads");
        let stats =
            tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("stat")).ok());
        let writer = stats.filter(|stat| stat.contains("(store)")).map(|stat| spent(&stat)).sum();
        let process = fs::read_to_string("/proc/self/stat").expect("a process");
        Self { process: spent(&process), writer }
    }

    fn since(self, before: Self) -> Self {
        let spent = |now: Duration, before: Duration| now.saturating_sub(before);
        Self {
            process: spent(self.process, before.process),
            writer: spent(self.writer, before.writer),
        }
    }
}

/// User and system time of a line of `stat`.
fn spent(stat: &str) -> Duration {
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 1000 / TICKS)
}
