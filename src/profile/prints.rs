//! Fingerprints: what a record says in canonical form, hashed.
//!
//! Everything is put in byte order before it is hashed, and every text is preceded by its length.
//! The format's version stands in front, so that a change of the form shows as a change of every
//! fingerprint and never as a wrong match.

use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::{
    Fingerprints, Invalid, Known, Mapping, ProfileId, ProfileKey, Retain, Status,
    canonical::{Canonical, MAX_DEPTH},
    reading::{MemberRef, Reading},
};

/// The version of the canonical form.
const FORMAT: u8 = 1;

/// What a fingerprint is of.
#[derive(Clone, Copy)]
enum Subject {
    Key = 1,
    Attributes,
    Identities,
    Memberships,
    Kept,
}

/// The id under which a profile is stored.
pub fn profile_id(seed: u64, key: &ProfileKey) -> ProfileId {
    id_of(seed, &key.path, &key.text)
}

pub(super) fn id_of(seed: u64, path: &str, text: &str) -> ProfileId {
    let mut form = Form::new(Subject::Key, path.len() + text.len() + 32);
    form.text(path);
    form.text(text);
    ProfileId(form.hash(seed).to_be_bytes())
}

/// A path as it is hashed.
pub(super) fn canonical_path<'k>(keys: impl Iterator<Item = &'k str>) -> Vec<u8> {
    let mut form = Form { bytes: Vec::new() };
    keys.for_each(|key| form.text(key));
    form.bytes
}

impl Mapping {
    /// The fingerprints of a known profile under this mapping, and whether it is followed: a
    /// profile that was kept under another mapping is judged anew.
    pub fn fingerprints_of(
        &self,
        seed: u64,
        known: &Known,
    ) -> Result<(Fingerprints, bool), Invalid> {
        let document = known.document()?;
        let reading = self.read_document(document)?;
        let memberships = known.memberships.iter().map(|known| MemberRef {
            namespace: &known.namespace,
            id: &known.id,
            status: known.status,
            at: known.at,
        });
        self.fingerprints(seed, None, document, &reading, memberships)
    }

    /// The fingerprints of what was read, and whether the profile is followed. `profile` is the
    /// text that was read, `prefix` what is to be removed from its keys.
    pub(super) fn fingerprints<'r>(
        &self,
        seed: u64,
        prefix: Option<&str>,
        profile: &str,
        reading: &Reading<'_>,
        memberships: impl Iterator<Item = MemberRef<'r>>,
    ) -> Result<(Fingerprints, bool), Invalid> {
        let mut canonical = Canonical::new(seed, prefix);
        let attributes = self.attributes_print(seed, &mut canonical, reading)?;
        let mut kept = Form::new(Subject::Kept, 512);
        kept.bytes.extend_from_slice(&attributes.to_le_bytes());

        let mut exported = Form::new(Subject::Identities, 256);
        for (namespace, identity) in reading.identities.iter() {
            kept.text(namespace);
            kept.text(&identity.id);
            kept.bytes.push(u8::from(identity.primary));
            if self.exports(namespace) {
                exported.text(namespace);
                exported.text(&identity.id);
            }
        }
        // Keeps identities and memberships apart: no namespace is that long.
        kept.length(usize::MAX);

        let mut members = Form::new(Subject::Memberships, 256);
        let mut is_member = false;
        for MemberRef { namespace, id, status, at } in memberships {
            let mapped = self.segment(namespace, id).is_some();
            if mapped && status.is_member() {
                is_member = true;
                members.text(namespace);
                members.text(id);
            }
            kept.text(namespace);
            kept.text(id);
            kept.bytes.push(match status {
                Status::Realized => 1,
                Status::Existing => 2,
                Status::Exited => 3,
            });
            kept.time(at.filter(|_| self.keeps_time(mapped)));
        }

        let kept = match self.spec.retain {
            Retain::Mapped => kept.hash(seed),
            Retain::Profile => {
                let whole = canonical.value(profile).map_err(|_| too_deep("the record"))?;
                let mut kept = Form::new(Subject::Kept, 16);
                kept.bytes.extend_from_slice(&whole.to_le_bytes());
                kept.hash(seed)
            }
        };
        let prints = Fingerprints {
            attributes,
            identities: exported.hash(seed),
            memberships: members.hash(seed),
            kept,
        };
        Ok((prints, is_member || self.spec.segments.is_empty()))
    }

    fn attributes_print(
        &self,
        seed: u64,
        canonical: &mut Canonical<'_>,
        reading: &Reading<'_>,
    ) -> Result<u128, Invalid> {
        let mut form = Form::new(Subject::Attributes, 512);
        for (name, raw) in &reading.all {
            let value = canonical.value(raw).map_err(|_| too_deep(name))?;
            form.text(name);
            form.bytes.extend_from_slice(&value.to_le_bytes());
        }
        for attribute in &self.attributes {
            if let Some(raw) = reading.slots[attribute.slot] {
                let value = canonical.value(raw).map_err(|_| too_deep(&attribute.path))?;
                form.bytes.extend_from_slice(&attribute.canonical);
                form.bytes.extend_from_slice(&value.to_le_bytes());
            }
        }
        Ok(form.hash(seed))
    }
}

fn too_deep(what: &str) -> Invalid {
    Invalid::new(format!("{what} is nested more than {MAX_DEPTH} levels deep"))
}

/// Bytes in canonical form, to be hashed.
struct Form {
    bytes: Vec<u8>,
}

impl Form {
    fn new(subject: Subject, capacity: usize) -> Self {
        let mut bytes = Vec::with_capacity(capacity);
        bytes.extend_from_slice(&[FORMAT, subject as u8]);
        Self { bytes }
    }

    fn length(&mut self, length: usize) {
        self.bytes.extend_from_slice(&(length as u64).to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.length(text.len());
        self.bytes.extend_from_slice(text.as_bytes());
    }

    fn time(&mut self, at: Option<i64>) {
        self.bytes.push(u8::from(at.is_some()));
        self.bytes.extend_from_slice(&at.unwrap_or_default().to_le_bytes());
    }

    fn hash(&self, seed: u64) -> u128 {
        xxh3_128_with_seed(&self.bytes, seed)
    }
}
