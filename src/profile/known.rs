use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::ProfileKey;
use crate::clock::Micros;

/// The status of a membership as it was reported. `Realized` and `Existing` both mean *member*.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// Entered the segment.
    Realized,
    /// Still in the segment.
    Existing,
    /// Left the segment.
    Exited,
}

/// A membership as a record reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reported {
    /// The segment namespace, such as `ups`.
    pub namespace: String,
    /// The segment id.
    pub id: String,
    /// What the record says of it.
    pub status: Status,
    /// `lastQualificationTime` in microseconds since the epoch, where it is known.
    pub at: Option<i64>,
}

/// A membership as it is known, kept over many records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// The segment namespace.
    pub namespace: String,
    /// The segment id.
    pub id: String,
    /// The last status, `Exited` also by absence from a snapshot.
    pub status: Status,
    /// `lastQualificationTime` in microseconds since the epoch, where it is known.
    pub at: Option<i64>,
    /// When the membership was first seen.
    pub created: Micros,
    /// When it was last seen to change between member and not member.
    pub updated: Micros,
}

/// What is kept of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The profile's key.
    pub key: ProfileKey,
    /// The kept part of the record, a JSON object in the record's own shape.
    pub document: Bytes,
    /// The memberships that the record reports, in byte order of namespace and id.
    pub memberships: Vec<Reported>,
}

/// What is known of a profile: its key, the kept part of its last record and its memberships.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// The profile's key.
    pub key: ProfileKey,
    /// The kept part of the last record, a JSON object in the record's own shape.
    pub document: Bytes,
    /// All memberships, in byte order of namespace and id.
    pub memberships: Vec<Membership>,
}

/// What a record made of a known profile.
#[derive(Clone, Debug)]
pub struct Advanced {
    /// The profile as it is known now.
    pub known: Known,
    /// Memberships that ended because the snapshot no longer names them.
    pub exits_by_absence: u32,
}
