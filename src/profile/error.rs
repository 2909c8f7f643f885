use thiserror::Error;

use super::Path;

/// Why a text is not a path.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PathError {
    /// There is nothing in it.
    #[error("a path is empty; write the keys to follow, such as person.name")]
    Empty,
    /// Two dots in a row, or a dot at an end.
    #[error(
        "the path {0} holds an empty key; write one dot between keys, and \"\" for a key that is empty"
    )]
    EmptyKey(String),
    /// A quote that is not closed, not at the start of a key, or followed by something else.
    #[error(
        "the path {0} holds a misplaced quote; quote whole keys, as in \"acme.io\".id, and write \\\" for a quote inside"
    )]
    Quote(String),
    /// An array index.
    #[error(
        "the path {0} holds a bracket: a path cannot pick an item of an array; map the whole array, or quote the key if the bracket belongs to it"
    )]
    Index(String),
    /// White space at an end of a key.
    #[error(
        "the path {0} has a space beside a key; remove it, or quote the key if it belongs to it"
    )]
    Space(String),
    /// `~` in a JSON Pointer that is neither `~0` nor `~1`.
    #[error("the JSON Pointer {0} holds a ~ that is neither ~0 (for ~) nor ~1 (for /)")]
    Tilde(String),
}

/// Why a mapping cannot work.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MappingError {
    /// `profile.key` names nothing.
    #[error(
        "profile.key names nothing; name an identity namespace, as in identityMap.crmid, or the path of an attribute"
    )]
    NoKey,
    /// A key lies where no key can be read.
    #[error(
        "{0} cannot be a profile's key; name an identity namespace, as in identityMap.crmid, or the path of an attribute"
    )]
    KeyPath(Path),
    /// A key is listed twice.
    #[error("profile.key lists {0} twice; remove one of them")]
    KeyTwice(Path),
    /// The source version lies in a part with a meaning of its own.
    #[error("{0} cannot be profile.version; name the path of an attribute")]
    VersionPath(Path),
    /// Consent lies where none can be read.
    #[error(
        "{0} cannot be export.consent; name the path of a value such as consents.marketing.email.val"
    )]
    ConsentPath(Path),
    /// A path of consent is listed twice.
    #[error("export.consent lists {0} twice; remove one of them")]
    ConsentTwice(Path),
    /// Neither attributes nor segments are mapped.
    #[error("nothing is mapped; list what to export under export.attributes or export.segments")]
    Nothing,
    /// A path without keys.
    #[error("{0} holds an empty path; write the keys to follow, such as person.name")]
    EmptyPath(&'static str),
    /// An attribute is listed twice.
    #[error("export.attributes lists {0} twice; remove one of them")]
    AttributeTwice(Path),
    /// An attribute lies inside another one.
    #[error(
        "{inner} lies inside {outer}, which is exported whole; remove one of them from export.attributes"
    )]
    AttributeInside {
        /// The path that is part of the other one.
        inner: Path,
        /// The path that covers it.
        outer: Path,
    },
    /// An attribute lies in a part that is exported by other rules.
    #[error(
        "{0} is not an attribute; segmentMembership and identityMap are exported by export.segments and export.identities, so remove it from export.attributes"
    )]
    NotAnAttribute(Path),
    /// A segment has no id.
    #[error("export.segments holds a segment with an empty id; write the segment's id")]
    EmptySegment,
    /// A segment is listed twice.
    #[error(
        "export.segments lists segment {0} twice; remove one of them, or give each a namespace of its own"
    )]
    SegmentTwice(String),
    /// A path is written with the prefix that is removed while reading.
    #[error(
        "{path} begins a key with {prefix}, which profile.strip_prefix removes; write the path without it"
    )]
    Prefixed {
        /// The path as written.
        path: Path,
        /// The prefix.
        prefix: String,
    },
}

/// Why a value cannot be picked out of a profile.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FieldError {
    /// The path is not mapped.
    #[error(
        "{0} is not mapped, and what is not mapped is neither kept nor sent; add it to export.attributes"
    )]
    NotMapped(Path),
    /// Identities of the namespace are not exported.
    #[error("identities of {0} are not exported; add {0} to export.identities")]
    NotExported(String),
    /// What lies there has more to it than one value.
    #[error(
        "{0} is no single value; name an attribute, or an identity namespace as in identityMap.crmid"
    )]
    NoValue(Path),
    /// The path is written with the prefix that is removed while reading.
    #[error(
        "{path} begins a key with {prefix}, which profile.strip_prefix removes; write the path without it"
    )]
    Prefixed {
        /// The path as written.
        path: Path,
        /// The prefix.
        prefix: String,
    },
}

/// Why a record cannot be read as a profile. Says where, never what values stand there.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{reason}")]
pub struct Invalid {
    /// What is wrong, in one line.
    pub reason: String,
}

impl Invalid {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}

/// Why a stored profile cannot be read.
#[derive(Debug, Error)]
pub enum DecodeError {
    /// Nothing is stored.
    #[error("the stored profile is empty")]
    Empty,
    /// It was written by a version of this program that does it differently.
    #[error(
        "the stored profile has format {0}, which this version cannot read; run the version that wrote it"
    )]
    Format(u8),
    /// The bytes are damaged.
    #[error("the stored profile is damaged")]
    Damaged(#[source] postcard::Error),
    /// More bytes follow than the profile has.
    #[error("the stored profile is damaged: {0} bytes too many")]
    Excess(usize),
}
