//! What a store remembers of the mapping it is used with.

use serde::{Deserialize, Serialize};

use super::disk::{Disk, Durability};
use crate::{
    clock::Micros,
    profile::{Attributes, MappedAt, Mapping, MappingSpec, SegmentSpec},
    store::StoreError,
};

/// The identity of a store and the mapping under which its rows are judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MappingRecord {
    /// A random number that is part of each idempotency key.
    pub(super) store_id: u128,
    /// The random seed of all fingerprints.
    pub(super) seed: u64,
    /// Counts the mappings this store has seen.
    pub(super) generation: u32,
    /// The last generation that mapped something that was not mapped before.
    pub(super) added: u32,
    /// When each segment was mapped.
    pub(super) mapped_at: MappedAt,
}

/// The stored form, in JSON so that options can be added.
#[derive(Serialize, Deserialize)]
struct Stored {
    generation: u32,
    added: u32,
    spec: MappingSpec,
    mapped_at: MappedAt,
}

/// Reads the record of a store and brings it up to date with `mapping`.
pub(super) fn record(
    disk: &Disk,
    mapping: &Mapping,
    now: Micros,
) -> Result<MappingRecord, StoreError> {
    let (store_id, seed) = identity(disk)?;
    let spec = mapping.spec();
    let stored = match former(disk)? {
        Some(former) if former.spec == *spec => former,
        former => {
            let generation = former.as_ref().map_or(0, |former| former.generation) + 1;
            let added = match &former {
                Some(former) if !adds(&former.spec, spec) => former.added,
                _ => generation,
            };
            let former = former.as_ref().map(|former| (&former.spec, &former.mapped_at));
            let mapped_at = MappedAt::of(spec, former, now);
            let stored = Stored { generation, added, spec: spec.clone(), mapped_at };
            write(disk, &stored)?;
            stored
        }
    };
    let Stored { generation, added, mapped_at, .. } = stored;
    Ok(MappingRecord { store_id, seed, generation, added, mapped_at })
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

/// Whether a mapping exports something that the former one did not.
fn adds(former: &MappingSpec, new: &MappingSpec) -> bool {
    let attributes = match (&former.attributes, &new.attributes) {
        (Attributes::All, _) => false,
        (Attributes::Listed(_), Attributes::All) => true,
        (Attributes::Listed(former), Attributes::Listed(new)) => {
            new.iter().any(|path| !former.contains(path))
        }
    };
    let is_new = |segment: &SegmentSpec| {
        let same =
            |known: &SegmentSpec| known.id == segment.id && known.namespace == segment.namespace;
        !former.segments.iter().any(same)
    };
    let identities = match (&former.identities, &new.identities) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(former), Some(new)) => new.iter().any(|namespace| !former.contains(namespace)),
    };
    attributes || identities || new.segments.iter().any(is_new)
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
