//! Random histories of random sinks, in the store and in a model that has nothing of its ways:
//! verdicts, what is claimed and why, and what is exported are the same.

mod model;
mod records;
mod state;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use proptest::{prelude::*, test_runner::TestCaseResult};
use serde_json::Value;

use self::{
    model::{Fate, Found, Model, Sent},
    records::{Step, config, record, steps, written},
};
use super::*;
use crate::profile::{Followed, ProfileKey, Removed, UpdateMode, When, profile_id};

/// Namespaces and ids.
type Segments = &'static [(Option<&'static str>, &'static str)];

/// A sink, as far as it matters to what is exported when.
#[derive(Clone, Copy, Debug)]
struct Config {
    mode: UpdateMode,
    /// JSON Pointers; every attribute when absent.
    attributes: Option<&'static [&'static str]>,
    segments: Segments,
    identities: Option<&'static [&'static str]>,
    /// JSON Pointers.
    consent: &'static [&'static str],
    removed: Removed,
    when: When,
    retain: Retain,
    versioned: bool,
    unmapped: bool,
    names: bool,
    timestamps: bool,
    legacy: bool,
    /// Whether every key has a prefix.
    prefixed: bool,
    /// Whether the profile lies inside the record.
    inside: bool,
}

impl Config {
    fn mapping(&self) -> Mapping {
        let path = |text: &str| text.parse().unwrap();
        let segment = |(namespace, id): &(Option<&str>, &str)| SegmentSpec {
            id: (*id).to_owned(),
            name: Some(format!("Segment {id}")),
            namespace: namespace.map(str::to_owned),
        };
        let attributes = self.attributes.map(|paths| paths.iter().copied().map(path).collect());
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let spec = MappingSpec {
            key: vec![path("identityMap.crmid")],
            at: self.inside.then(|| path("data.profile")),
            version: self.versioned.then(|| path("rev")),
            strip_prefix: self.prefixed.then(|| "xdm:".to_owned()),
            attributes: attributes.map_or(Attributes::All, Attributes::Listed),
            segments: self.segments.iter().map(segment).collect(),
            identities: self.identities.map(owned),
            unmapped_segments: self.unmapped,
            segment_names: self.names,
            segment_timestamps: self.timestamps,
            legacy_status: self.legacy,
            consent: self.consent.iter().copied().map(path).collect(),
            removed: self.removed,
            when: self.when,
            retain: self.retain,
        };
        Mapping::compile(spec).unwrap().for_mode(self.mode)
    }
}

/// A sink that exports to nowhere.
struct Rig {
    dir: TempDir,
    clock: Clock,
    mapping: Arc<Mapping>,
    store: Option<InlineStore>,
    held: Vec<Claim>,
    /// Exits by absence that former processes counted.
    counted: u64,
}

impl Rig {
    fn new(config: &Config) -> Self {
        // Nothing here depends on the disk, and in memory it is some hundred times faster.
        let memory = std::path::Path::new("/dev/shm");
        let dir = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() };
        let dir = dir.unwrap();
        let (clock, mapping) = (Clock::anchored(START), Arc::new(config.mapping()));
        let store = Some(InlineStore::open(dir.path(), mapping.clone(), clock.clone()));
        Self { dir, clock, mapping, store, held: Vec::new(), counted: 0 }
    }

    fn store(&self) -> &InlineStore {
        self.store.as_ref().unwrap()
    }

    /// Takes records like a sink does. The caller keeps what is kept of some, as it does of those
    /// that it expects not to be known.
    async fn take(&self, records: &[String]) -> Vec<Found> {
        let (mut updates, mut found) = (Vec::new(), Vec::new());
        for (i, record) in records.iter().enumerate() {
            let Ok(projected) = self.mapping.project(self.store().seed(), record.as_bytes()) else {
                found.push(Some(Found::Unreadable));
                continue;
            };
            found.push(None);
            updates.push(Update {
                id: projected.id,
                prints: projected.prints,
                followed: projected.followed,
                source_version: projected.source_version,
                received: self.clock.now(),
                record: Bytes::copy_from_slice(record.as_bytes()),
                kept: (i % 2 == 0).then(|| projected.keep()),
            });
        }
        let verdicts = self.store().apply(updates, Vec::new()).await.unwrap();
        let mut verdicts = verdicts.into_iter().map(|verdict| match verdict {
            Verdict::Changed(triggers) => Found::Changed(triggers.names().collect()),
            Verdict::Unchanged => Found::Unchanged,
            Verdict::NotFollowed => Found::NotFollowed,
            Verdict::Stale => Found::Stale,
            Verdict::Invalid => Found::Invalid,
            Verdict::Suppressed => unreachable!("nobody was forgotten"),
        });
        found.into_iter().map(|found| found.or_else(|| verdicts.next()).unwrap()).collect()
    }

    async fn claim(&mut self) -> BTreeMap<String, Sent> {
        let claims = self.store().claim(100).await.unwrap().ready;
        let mut sent = BTreeMap::new();
        for claim in &claims {
            let mut export = Vec::new();
            let mapped_at = self.store().mapped_at();
            self.mapping.export(&claim.known, claim.confirmed, mapped_at, &mut export).unwrap();
            let mut export: Value = serde_json::from_slice(&export).unwrap();
            whole_seconds(&mut export);
            let triggers: BTreeSet<_> = claim.triggers.names().collect();
            let claimed = Sent { version: claim.version, triggers, export };
            let former = sent.insert(claim.known.key.text.clone(), claimed);
            assert_eq!(former, None, "one in flight for each profile");
        }
        self.held.extend(claims);
        sent
    }

    async fn settle(&mut self, fate: Fate) -> Vec<(String, u64)> {
        let held = std::mem::take(&mut self.held);
        let (outcome, unknown) = match fate {
            Fate::Delivered => (Outcome::Delivered, false),
            Fate::Released { unknown } => (Outcome::Released, unknown),
        };
        let settled = held.iter().map(|claim| Settled {
            id: claim.id,
            version: claim.version,
            outcome: outcome.clone(),
            unknown,
        });
        self.store().settle(settled.collect()).await.unwrap();
        held.into_iter().map(|claim| (claim.known.key.text, claim.version)).collect()
    }

    fn crash(&mut self) {
        self.counted = self.exits_by_absence();
        self.held.clear();
        drop(self.store.take());
        let (mapping, clock) = (self.mapping.clone(), self.clock.clone());
        self.store = Some(InlineStore::open(self.dir.path(), mapping, clock));
    }

    fn remap(&mut self, config: &Config) {
        self.mapping = Arc::new(config.mapping());
        self.crash();
    }

    /// The keys in the order in which their profiles are judged.
    fn in_order<'k>(&self, keys: impl Iterator<Item = &'k String>) -> Vec<String> {
        let mut keys: Vec<_> = keys.cloned().collect();
        let path = "identityMap.crmid".to_owned();
        keys.sort_by_key(|key| {
            let key = ProfileKey { path: path.clone(), text: key.clone() };
            profile_id(self.store().seed(), &key)
        });
        keys
    }

    fn exits_by_absence(&self) -> u64 {
        self.counted + self.store().with(|engine| engine.metrics().exits_by_absence.get())
    }
}

/// Exits by absence have a time of their own, which is compared by the second.
fn whole_seconds(export: &mut Value) {
    let namespaces = export.get_mut("segmentMembership").and_then(Value::as_object_mut);
    let entries = namespaces.into_iter().flatten().filter_map(|(_, ids)| ids.as_object_mut());
    for entry in entries.flatten().map(|(_, entry)| entry) {
        if let Some(Value::String(at)) = entry.get_mut("lastQualificationTime")
            && let Some((whole, _)) = at.split_once('.')
        {
            *at = format!("{whole}Z");
        }
    }
}

async fn live(mut config: Config, steps: Vec<Step>) -> TestCaseResult {
    let mut rig = Rig::new(&config);
    let mut model = Model::new(config);
    for step in steps {
        tokio::time::advance(Duration::from_secs(1)).await;
        let now = rig.clock.now();
        match step {
            Step::Batch(records) => {
                let texts: Vec<_> = records.iter().map(|record| written(record, &config)).collect();
                let expected: Vec<_> =
                    records.iter().map(|record| model.take(record, now)).collect();
                prop_assert_eq!(rig.take(&texts).await, expected, "{:?}", texts);
            }
            Step::Claim => prop_assert_eq!(rig.claim().await, model.claim()),
            Step::Settle(fate) => {
                for (key, version) in rig.settle(fate).await {
                    model.settle(&key, version, fate);
                }
            }
            Step::Crash => {
                rig.crash();
                model.crash(now);
            }
            Step::Remap(segments) => {
                if config.attributes == Some(&[]) && segments.is_empty() {
                    continue; // nothing would be mapped
                }
                config.segments = segments;
                rig.remap(&config);
                model.remap(segments, now, &rig.in_order(model.keys()));
            }
        }
    }
    // What is left to be sent, and then sent again whole.
    for _ in 0..2 {
        for (key, version) in rig.settle(Fate::Delivered).await {
            model.settle(&key, version, Fate::Delivered);
        }
        prop_assert_eq!(rig.claim().await, model.claim());
    }
    prop_assert_eq!(rig.exits_by_absence(), model.exits_by_absence);
    Ok(())
}

proptest! {
    #[test]
    fn a_sink_exports_when_and_what_the_rules_say(config in config(), steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(live(config, steps))?;
    }

    #[test]
    fn a_patch_that_comes_again_changes_nothing(
        config in config(), records in proptest::collection::vec(record(), 1..6)
    ) {
        let mapping = config.mapping().for_mode(UpdateMode::Patch);
        let mut known = None;
        let mut judged = None;
        for (i, record) in records.iter().flat_map(|record| [record, record]).enumerate() {
            let text = written(record, &config);
            if mapping.project(SEED, text.as_bytes()).is_err() {
                continue;
            }
            let now = START + i as u64;
            let merged = mapping.merge(known.as_ref(), text.as_bytes(), now).unwrap();
            let projected = mapping.project_merged(SEED, &merged).unwrap();
            let after = mapping.advance(known.as_ref(), projected.keep(), now).known;
            let followed = if projected.followed { Followed::Yes } else { Followed::No };
            let now_judged = (projected.prints, followed);
            prop_assert_eq!(mapping.fingerprints_of(SEED, &after).unwrap(), now_judged);
            if i % 2 == 1 {
                prop_assert_eq!(Some(&after), known.as_ref());
                prop_assert_eq!(Some(now_judged), judged);
            }
            (known, judged) = (Some(after), Some(now_judged));
        }
    }
}
