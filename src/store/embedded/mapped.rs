//! What a store remembers of the mapping it is used with.

use serde::{Deserialize, Serialize};

use super::disk::{Disk, Durability};
use crate::{
    clock::Micros,
    profile::{Attributes, Coverage, MappedAt, Mapping, MappingSpec, Path, Removed, Retain, When},
    store::StoreError,
};

/// The identity of a store and the mapping under which its rows are judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MappingRecord {
    /// A random number that is part of each idempotency key.
    pub(super) store_id: u128,
    /// The random seed of all fingerprints.
    pub(super) seed: u64,
    /// Counts the mappings this store has seen by which rows are judged differently.
    pub(super) generation: u32,
    /// What is mapped, and since which generation.
    pub(super) coverage: Coverage,
    /// When segments were unmapped first that had been mapped.
    pub(super) unmapped: Vec<(Path, Micros)>,
    /// The last generation that keeps less of a profile than the one before.
    pub(super) narrowed: u32,
    /// When each segment was mapped.
    pub(super) mapped_at: MappedAt,
    /// Attributes that are mapped from now on and were not kept of the profiles that are known.
    pub(super) not_kept: Vec<String>,
}

/// The stored form, in JSON so that options can be added.
#[derive(Serialize, Deserialize)]
struct Stored {
    generation: u32,
    /// The last generation that mapped something that was not mapped before.
    added: u32,
    spec: MappingSpec,
    mapped_at: MappedAt,
    /// Absent in a store that an older version of this program wrote.
    #[serde(default)]
    coverage: Option<Coverage>,
    #[serde(default)]
    unmapped: Vec<(Path, Micros)>,
    #[serde(default)]
    narrowed: u32,
}

/// Reads the record of a store and brings it up to date with `mapping`.
pub(super) fn record(
    disk: &Disk,
    mapping: &Mapping,
    now: Micros,
) -> Result<MappingRecord, StoreError> {
    let (store_id, seed) = identity(disk)?;
    let spec = mapping.spec();
    let mut not_kept = Vec::new();
    let stored = match former(disk)? {
        None => {
            let first = Stored::first(spec, now);
            write(disk, &first)?;
            first
        }
        Some(former) if former.spec == *spec => former,
        Some(former) => {
            let was_mapped_only = former.spec.retain == Retain::Mapped;
            let changed = former.changed_to(spec, now);
            if was_mapped_only {
                not_kept = changed.coverage().attributes_added_in(changed.generation);
            }
            write(disk, &changed)?;
            changed
        }
    };
    Ok(MappingRecord {
        store_id,
        seed,
        generation: stored.generation,
        coverage: stored.coverage(),
        unmapped: stored.unmapped,
        narrowed: stored.narrowed,
        mapped_at: stored.mapped_at,
        not_kept,
    })
}

/// The seed of a store that is there.
pub(super) fn seed(disk: &Disk) -> Result<u64, StoreError> {
    Ok(identity(disk)?.1)
}

/// When the segments of `mapping` were mapped, were the store used with it `now`.
pub(super) fn mapped_at(
    disk: &Disk,
    mapping: &Mapping,
    now: Micros,
) -> Result<MappedAt, StoreError> {
    let former = former(disk)?;
    let former = former.as_ref().map(|former| (&former.spec, &former.mapped_at));
    Ok(MappedAt::of(mapping.spec(), former, now))
}

fn former(disk: &Disk) -> Result<Option<Stored>, StoreError> {
    disk.meta::<String>("mapping")?
        .map(|text| serde_json::from_str::<Stored>(&text))
        .transpose()
        .map_err(|error| StoreError::Damaged(format!("the stored mapping: {error}")))
}

impl Stored {
    fn first(spec: &MappingSpec, now: Micros) -> Self {
        Self {
            generation: 1,
            added: 1,
            spec: spec.clone(),
            mapped_at: MappedAt::of(spec, None, now),
            coverage: Some(Coverage::new(spec, 1)),
            unmapped: Vec::new(),
            narrowed: 0,
        }
    }

    fn coverage(&self) -> Coverage {
        let known = self.coverage.clone();
        known.unwrap_or_else(|| Coverage::new(&self.spec, self.added))
    }

    fn changed_to(self, spec: &MappingSpec, now: Micros) -> Self {
        let mapped_at = MappedAt::of(spec, Some((&self.spec, &self.mapped_at)), now);
        if what_judges(&self.spec) == what_judges(spec) {
            return Self { spec: spec.clone(), mapped_at, ..self };
        }
        let generation = self.generation + 1;
        let former = self.coverage();
        let coverage = former.changed_to(spec, generation);
        let narrowed = match (self.spec.retain, spec.retain) {
            // What is kept whole can be less by nothing.
            (_, Retain::Profile) => false,
            (Retain::Profile, Retain::Mapped) => true,
            (Retain::Mapped, Retain::Mapped) => {
                !coverage.keeps_all_of(&former)
                    || (self.spec.unmapped_segments && !spec.unmapped_segments)
            }
        };
        let mut unmapped = self.unmapped;
        for path in coverage.segments_gone(&self.spec) {
            if unmapped.iter().all(|(gone, _)| *gone != path) {
                unmapped.push((path, now));
            }
        }
        Self {
            generation,
            added: coverage.last_added(),
            spec: spec.clone(),
            mapped_at,
            coverage: Some(coverage),
            unmapped,
            narrowed: if narrowed { generation } else { self.narrowed },
        }
    }
}

/// A specification without what rows are not judged by: what is read of records only, and how
/// exports are written.
fn what_judges(spec: &MappingSpec) -> MappingSpec {
    let mut spec = MappingSpec {
        key: Vec::new(),
        at: None,
        version: None,
        strip_prefix: None,
        segment_names: false,
        segment_timestamps: false,
        legacy_status: false,
        removed: Removed::default(),
        when: When::default(),
        ..spec.clone()
    };
    spec.segments.iter_mut().for_each(|segment| segment.name = None);
    spec.segments.sort_unstable_by(|a, b| (&a.id, &a.namespace).cmp(&(&b.id, &b.namespace)));
    if let Attributes::Listed(paths) = &mut spec.attributes {
        paths.sort_unstable();
    }
    spec.consent.sort_unstable();
    if let Some(names) = &mut spec.identities {
        names.sort_unstable();
    }
    spec
}

fn write(disk: &Disk, stored: &Stored) -> Result<(), StoreError> {
    let text =
        serde_json::to_string(stored).map_err(|error| StoreError::Failed(error.to_string()))?;
    let mut batch = disk.batch();
    batch.meta("mapping", &text)?;
    batch.commit(Durability::Disk)
}

fn identity(disk: &Disk) -> Result<(u128, u64), StoreError> {
    if let Some(identity) = disk.meta::<(u128, u64)>("identity")? {
        return Ok(identity);
    }
    let identity = (u128::from_le_bytes(random()?), u64::from_le_bytes(random()?));
    let mut batch = disk.batch();
    batch.meta("identity", &identity)?;
    batch.commit(Durability::Disk)?;
    Ok(identity)
}

fn random<const N: usize>() -> Result<[u8; N], StoreError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| StoreError::Failed(error.to_string()))?;
    Ok(bytes)
}
