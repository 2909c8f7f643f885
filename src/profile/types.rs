use std::fmt;

use serde::{Deserialize, Serialize};

/// The hash under which a profile is stored: seeded xxh3-128 of its key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ProfileId(pub [u8; 16]);

impl fmt::Debug for ProfileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Display for ProfileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What identifies a profile: the path that its identifier was read from, and the identifier.
/// Two identity namespaces never mix people up, since the path is part of the key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProfileKey {
    /// The configured path, such as `identityMap.crmid`.
    pub path: String,
    /// The identifier as text; an integer and a string of the same digits are the same key.
    pub text: String,
}

impl fmt::Display for ProfileKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.path, self.text)
    }
}

/// Seeded xxh3-128 hashes of the parts of a profile in canonical form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fingerprints {
    /// Path and value of each mapped attribute that is present.
    pub attributes: u128,
    /// The exported `(namespace, id)` pairs of the identity map.
    pub identities: u128,
    /// The mapped segments of which the profile is a member.
    pub memberships: u128,
    /// Everything that is kept of the record.
    pub kept: u128,
}

/// The version that the sender gave to a record (`profile.version`).
///
/// Versions of different kinds do not compare; such a record is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SourceVersion {
    /// A number, in billionths.
    Number(i128),
    /// A timestamp, in nanoseconds since the epoch.
    Time(i128),
}

/// What a record says of a profile that is known (`profile.update`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UpdateMode {
    /// It is the profile now; what it does not name is gone.
    #[default]
    Snapshot,
    /// It is merged into the profile; what it does not name stays, and `null` removes.
    Patch,
}
