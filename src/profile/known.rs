use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Covered, DecodeError, Invalid, ProfileKey, Withdrawn};
use crate::clock::Micros;

/// The format of an encoded profile; the first of its bytes.
const FORMAT: u8 = 1;

/// The same with what is noted of its consent behind it.
const FORMAT_WITH_CONSENT: u8 = 2;

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

impl Status {
    /// Reads the word that records use for it.
    pub(super) fn parse(word: &str) -> Option<Self> {
        match word {
            "realized" => Some(Self::Realized),
            "existing" => Some(Self::Existing),
            "exited" => Some(Self::Exited),
            _ => None,
        }
    }

    /// The word that records use for it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Realized => "realized",
            Self::Existing => "existing",
            Self::Exited => "exited",
        }
    }

    /// Whether the profile is a member.
    pub fn is_member(self) -> bool {
        self != Self::Exited
    }
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
    /// The memberships that the record reports, in byte order of namespace and id. Those of
    /// unmapped segments carry a time only where the mapping keeps it.
    pub memberships: Vec<Reported>,
    /// What `document` knows of consent.
    pub covered: Covered,
    /// Where the record does not consent: a document with its identities, all that may still be
    /// sent of it.
    pub refused: Option<Bytes>,
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
    /// What `document` knows of consent.
    #[serde(skip)]
    pub covered: Covered,
    /// Since when it does not consent, if that is known.
    #[serde(skip)]
    pub withdrawn: Option<Withdrawn>,
}

impl Known {
    /// The document as text.
    pub(super) fn document(&self) -> Result<&str, Invalid> {
        as_text(&self.document)
    }

    /// What of the document may be sent, as text.
    pub(super) fn sendable(&self) -> Result<&str, Invalid> {
        as_text(self.withdrawn.as_ref().map_or(&self.document, |withdrawn| &withdrawn.document))
    }

    /// The bytes to store.
    pub fn encode(&self) -> Vec<u8> {
        let noted = (&self.covered, &self.withdrawn);
        let plain = noted == (&Covered::default(), &None);
        let format = if plain { FORMAT } else { FORMAT_WITH_CONSENT };
        let encoded = postcard::to_extend(self, vec![format]);
        let encoded =
            if plain { encoded } else { encoded.and_then(|out| postcard::to_extend(&noted, out)) };
        encoded.expect("writing into memory cannot fail")
    }

    /// Reads what [`Known::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (&format, body) = bytes.split_first().ok_or(DecodeError::Empty)?;
        if ![FORMAT, FORMAT_WITH_CONSENT].contains(&format) {
            return Err(DecodeError::Format(format));
        }
        let (mut known, mut rest): (Self, _) =
            postcard::take_from_bytes(body).map_err(DecodeError::Damaged)?;
        if format == FORMAT_WITH_CONSENT {
            ((known.covered, known.withdrawn), rest) =
                postcard::take_from_bytes(rest).map_err(DecodeError::Damaged)?;
        }
        if rest.is_empty() { Ok(known) } else { Err(DecodeError::Excess(rest.len())) }
    }
}

fn as_text(document: &[u8]) -> Result<&str, Invalid> {
    str::from_utf8(document).map_err(|_| Invalid::new("what is kept of the profile is not UTF-8"))
}

/// What a record made of a known profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advanced {
    /// The profile as it is known now.
    pub known: Known,
    /// Memberships of mapped segments that ended because the snapshot no longer names them.
    pub exits_by_absence: u32,
}
