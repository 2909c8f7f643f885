//! Fingerprints: what a record says in canonical form, hashed.
//!
//! Everything is put in byte order before it is hashed, and every text is preceded by its length.
//! The format's version stands in front, so that a change of the form shows as a change of every
//! fingerprint and never as a wrong match.

use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::{
    Covered, Fingerprints, Followed, Invalid, Known, Mapping, ProfileId, ProfileKey, Retain,
    Status,
    canonical::{Canonical, MAX_DEPTH},
    consent::Answer,
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
    let mut form = Form::new(path.len() + text.len() + 32);
    form.begin(Subject::Key);
    form.text(path);
    form.text(text);
    ProfileId(form.hash(seed).to_be_bytes())
}

/// A path as it is hashed.
pub(super) fn canonical_path<'k>(keys: impl Iterator<Item = &'k str>) -> Vec<u8> {
    let mut form = Form::new(32);
    keys.for_each(|key| form.text(key));
    form.bytes
}

impl Mapping {
    /// The fingerprints of a known profile under this mapping, and whether it is followed: a
    /// profile that was kept under another mapping is judged anew.
    ///
    /// Whether it is followed is unknown where the mapping asks for consent that was not kept.
    pub fn fingerprints_of(
        &self,
        seed: u64,
        known: &Known,
    ) -> Result<(Fingerprints, Followed), Invalid> {
        let document = known.document()?;
        let reading = self.read_document(document)?;
        let memberships = known.memberships.iter().map(|known| MemberRef {
            namespace: &known.namespace,
            id: &known.id,
            status: known.status,
            at: known.at,
        });
        let covered = &known.covered;
        let (prints, is_member) =
            self.fingerprints(seed, None, document, &reading, covered, memberships)?;
        Ok((prints, self.consent(&reading, covered).followed(is_member)))
    }

    /// The fingerprints of what was read, and whether the profile would be followed if it
    /// consents. `profile` is the text that was read, `prefix` what is to be removed from its keys,
    /// `covered` what it knows of consent.
    pub(super) fn fingerprints<'r>(
        &self,
        seed: u64,
        prefix: Option<&str>,
        profile: &str,
        reading: &Reading<'_>,
        covered: &Covered,
        memberships: impl Iterator<Item = MemberRef<'r>>,
    ) -> Result<(Fingerprints, bool), Invalid> {
        let mut canonical = Canonical::new(seed, prefix);
        let mut form = Form::new(512);
        let attributes = self.attributes_print(seed, &mut canonical, &mut form, reading)?;
        let mut kept = Form::new(1024);
        kept.begin(Subject::Kept);
        kept.hash_of(attributes);

        form.begin(Subject::Identities);
        for (namespace, identity) in reading.identities.iter() {
            kept.text(namespace);
            kept.text(&identity.id);
            kept.byte(identity.primary.into());
            if self.exports(namespace) {
                form.text(namespace);
                form.text(&identity.id);
            }
        }
        let identities = form.hash(seed);
        // Keeps identities and memberships apart: no namespace is that long.
        kept.length(usize::MAX);

        form.begin(Subject::Memberships);
        let mut is_member = false;
        for MemberRef { namespace, id, status, at } in memberships {
            let mapped = self.segment(namespace, id).is_some();
            if mapped && status.is_member() {
                is_member = true;
                form.text(namespace);
                form.text(id);
            }
            kept.text(namespace);
            kept.text(id);
            kept.byte(match status {
                Status::Realized => 1,
                Status::Existing => 2,
                Status::Exited => 3,
            });
            kept.time(at.filter(|_| self.keeps_time(mapped)));
        }
        let memberships = form.hash(seed);

        for source in &self.consents {
            kept.text(&source.path);
            match source.answer(reading, covered) {
                // Another one than that of any record, so that the next record is kept.
                Answer::Unknown => kept.byte(0),
                Answer::Missing | Answer::Other => kept.byte(1),
                Answer::Text(text) => {
                    kept.byte(2);
                    kept.text(&text);
                }
            }
        }

        if self.spec.retain == Retain::Profile {
            let whole = canonical.value(profile).map_err(|_| too_deep("the record"))?;
            kept.begin(Subject::Kept);
            kept.hash_of(whole);
        }
        let prints = Fingerprints { attributes, identities, memberships, kept: kept.hash(seed) };
        Ok((prints, is_member || self.spec.segments.is_empty()))
    }

    fn attributes_print(
        &self,
        seed: u64,
        canonical: &mut Canonical<'_>,
        form: &mut Form,
        reading: &Reading<'_>,
    ) -> Result<u128, Invalid> {
        form.begin(Subject::Attributes);
        for (name, raw) in &reading.all {
            form.text(name);
            form.hash_of(canonical.value(raw).map_err(|_| too_deep(name))?);
        }
        for attribute in &self.attributes {
            if let Some(raw) = reading.slots[attribute.slot] {
                form.bytes.extend_from_slice(&attribute.canonical);
                form.hash_of(canonical.value(raw).map_err(|_| too_deep(&attribute.path))?);
            }
        }
        Ok(form.hash(seed))
    }
}

fn too_deep(what: &str) -> Invalid {
    Invalid::new(format!("{what} is nested more than {MAX_DEPTH} levels deep"))
}

/// Bytes in canonical form, to be hashed. Used for one subject after the other.
struct Form {
    bytes: Vec<u8>,
}

impl Form {
    fn new(capacity: usize) -> Self {
        Self { bytes: Vec::with_capacity(capacity) }
    }

    fn begin(&mut self, subject: Subject) {
        self.bytes.clear();
        self.bytes.extend_from_slice(&[FORMAT, subject as u8]);
    }

    fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    fn length(&mut self, length: usize) {
        self.bytes.extend_from_slice(&(length as u64).to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.length(text.len());
        self.bytes.extend_from_slice(text.as_bytes());
    }

    fn time(&mut self, at: Option<i64>) {
        self.byte(at.is_some().into());
        self.bytes.extend_from_slice(&at.unwrap_or_default().to_le_bytes());
    }

    fn hash_of(&mut self, hash: u128) {
        self.bytes.extend_from_slice(&hash.to_le_bytes());
    }

    fn hash(&self, seed: u64) -> u128 {
        xxh3_128_with_seed(&self.bytes, seed)
    }
}
