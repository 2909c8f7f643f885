use serde::{Deserialize, Serialize};

use super::Path;

/// Which attributes are exported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Attributes {
    /// Every attribute: all that the profile holds at its top, but for `identityMap`,
    /// `segmentMembership` and `consents`, which have a meaning of their own.
    All,
    /// The values at these paths, in this order; a path may name a whole object or array.
    Listed(Vec<Path>),
}

/// A mapped segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentSpec {
    /// The segment's id, an opaque string.
    pub id: String,
    /// The name that `export.segment_names` adds.
    pub name: Option<String>,
    /// The segment namespace; any namespace that holds the id when absent.
    pub namespace: Option<String>,
}

/// How a mapped attribute that is absent is exported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Removed {
    /// Left out.
    #[default]
    Omit,
    /// As `null`.
    Null,
}

/// When an update makes a followed profile due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// When something relevant changed.
    #[default]
    Changed,
    /// With every update that is not stale.
    Always,
}

/// What is kept of each profile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Retain {
    /// Mapped attributes, memberships and identities.
    #[default]
    Mapped,
    /// The whole record.
    Profile,
}

/// What a sink maps, as configured; [`Mapping`](super::Mapping) is its compiled form.
///
/// All paths but `at` start at the profile, so behind `at`, and are written without the prefix
/// that `strip_prefix` removes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MappingSpec {
    /// Where the unique identifier is read, in the order in which the paths are tried.
    pub key: Vec<Path>,
    /// The object in the record that is the profile; the whole record when absent.
    pub at: Option<Path>,
    /// Where the source version is read.
    pub version: Option<Path>,
    /// A prefix removed from every key while reading, such as `xdm:`.
    pub strip_prefix: Option<String>,
    /// The mapped attributes.
    pub attributes: Attributes,
    /// The mapped segments; with none, every profile that consents is followed.
    pub segments: Vec<SegmentSpec>,
    /// The exported identity namespaces; all of them when absent.
    pub identities: Option<Vec<String>>,
    /// Whether memberships of unmapped segments are exported too.
    pub unmapped_segments: bool,
    /// Whether mapped segments carry their name.
    pub segment_names: bool,
    /// Whether mapped segments carry their four timestamps.
    pub segment_timestamps: bool,
    /// Whether `existing` is written for memberships that are not new.
    pub legacy_status: bool,
    /// Where consent is read; a profile is followed only while it consents at each of them.
    #[serde(default)]
    pub consent: Vec<Path>,
    /// How absent mapped attributes are exported.
    pub removed: Removed,
    /// When an update makes a profile due.
    pub when: When,
    /// What is kept of each profile.
    pub retain: Retain,
}
