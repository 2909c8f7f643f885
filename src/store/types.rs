use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::DeadLetter;
use crate::{
    clock::Micros,
    profile::{Fingerprints, Kept, Known, ProfileId, SourceVersion},
    record::SentId,
};

/// One record of a profile, projected, to be compared with what is known of that profile.
///
/// Where records are patches, `prints`, `followed` and `kept` do not matter: the store merges
/// `record` into what is known and finds them out itself.
#[derive(Clone, Debug)]
pub struct Update {
    /// The profile.
    pub id: ProfileId,
    /// Fingerprints of the record.
    pub prints: Fingerprints,
    /// Whether the record says that the profile is to be exported.
    pub followed: bool,
    /// The sender's version of the profile.
    pub source_version: Option<SourceVersion>,
    /// When the record arrived.
    pub received: Micros,
    /// The record, from which what is kept can be read when `kept` is absent.
    pub record: Bytes,
    /// What is to be kept; absent where the caller expects it to be known already.
    pub kept: Option<Kept>,
}

/// Why a profile became due, as a set.
#[derive(Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Triggers(pub u8);

impl Triggers {
    /// It became followed.
    pub const FOLLOWED: Self = Self(1);
    /// A mapped membership changed.
    pub const MEMBERSHIP: Self = Self(1 << 1);
    /// The exported identities changed.
    pub const IDENTITY: Self = Self(1 << 2);
    /// A mapped attribute changed.
    pub const ATTRIBUTE: Self = Self(1 << 3);
    /// It is no longer followed; this is its last export.
    pub const UNFOLLOWED: Self = Self(1 << 4);
    /// `export.when: always`.
    pub const ALWAYS: Self = Self(1 << 5);
    /// An operator wants its dead letter to be tried again.
    pub const REPLAY: Self = Self(1 << 6);
    /// An operator wants it to be sent again.
    pub const RESEND: Self = Self(1 << 7);

    const NAMES: [(Self, &'static str); 8] = [
        (Self::FOLLOWED, "followed"),
        (Self::MEMBERSHIP, "membership"),
        (Self::IDENTITY, "identity"),
        (Self::ATTRIBUTE, "attribute"),
        (Self::UNFOLLOWED, "unfollowed"),
        (Self::ALWAYS, "always"),
        (Self::REPLAY, "replay"),
        (Self::RESEND, "resend"),
    ];

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether all of `other` are among these.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Takes out all of `other`.
    pub fn remove(&mut self, other: Self) {
        self.0 &= !other.0;
    }

    /// The names of those that are set.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.into_iter().filter(move |(t, _)| self.contains(*t)).map(|(_, name)| name)
    }
}

impl std::ops::BitOr for Triggers {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl std::ops::BitOrAssign for Triggers {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl fmt::Debug for Triggers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

/// What an update was found to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Something relevant changed: the profile is due.
    Changed(Triggers),
    /// Nothing relevant changed.
    Unchanged,
    /// The profile is remembered, but not exported.
    NotFollowed,
    /// The source version is lower than the known one.
    Stale,
    /// The source version is of another kind than the known one.
    Invalid,
    /// The profile was forgotten with the wish that its records be ignored.
    Suppressed,
}

/// Updates and invalid records that came under one id, and come again under it or not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentPart {
    /// Absent where the sender gives no id.
    pub id: Option<SentId>,
    /// How many updates they are.
    pub updates: usize,
    /// How many invalid records they are.
    pub invalid: usize,
}

/// What became of what was applied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// In the order of the updates. One that came before is unchanged.
    pub verdicts: Vec<Verdict>,
    /// Invalid records that are kept now and were not before.
    pub invalid: usize,
}

/// A due profile, in flight until it is settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The profile.
    pub id: ProfileId,
    /// The version to deliver.
    pub version: u64,
    /// The version that the endpoint confirmed last, 0 when none.
    pub confirmed: u64,
    /// Why it is due.
    pub triggers: Triggers,
    /// Deliveries of this version that have failed.
    pub failures: u32,
    /// Since when it is due.
    pub due_since: Micros,
    /// What is known of it, as of this version.
    pub known: Known,
}

/// An answer to a claim.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// What can be delivered now.
    pub ready: Vec<Claim>,
    /// How many more are ready.
    pub left: usize,
    /// How long until the next profile that waits for its time, if one does.
    pub next_in: Option<Duration>,
}

/// What became of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The profile.
    pub id: ProfileId,
    /// The version that was claimed.
    pub version: u64,
    /// What became of it.
    pub outcome: Outcome,
    /// Whether the endpoint may have taken an attempt whose answer never came.
    pub unknown: bool,
}

/// What became of a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The endpoint took it.
    Delivered,
    /// It failed for now; the profile waits, longer with each failure.
    Later,
    /// The endpoint refuses it.
    Refused(Arc<DeadLetter>),
    /// No further attempt was made: due again at once, nothing counted.
    Released,
}

/// How many profiles are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Profiles that are known.
    pub known: u64,
    /// Those that are followed.
    pub followed: u64,
    /// Those that wait for delivery or are in flight.
    pub due: u64,
    /// Those that could be claimed when something was last written or claimed; about as many where
    /// some are withdrawn.
    pub ready: u64,
    /// Those in flight.
    pub in_flight: u64,
    /// Those with a dead letter.
    pub dead: u64,
    /// Those that are yet to be judged by the present mapping, since it changed.
    pub unreconciled: u64,
    /// Invalid records that are kept.
    pub invalid_records: u64,
    /// How often a profile became due while no other was.
    pub due_after_none: u64,
    /// Since when the oldest due profile is due, 0 when none is. Some seconds old.
    pub oldest_due: Micros,
    /// Whether all profiles are counted yet; a store counts them after it was opened.
    pub complete: bool,
}

/// Why the store cannot do what was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has the store open.
    #[error(
        "the store at {path} is in use by another process; stop that process or choose another data_dir"
    )]
    Locked {
        /// Where the store lies.
        path: String,
    },
    /// There is no store yet.
    #[error("there is no store at {path}: the sink has not run yet, or ran with another data_dir")]
    Missing {
        /// Where it would lie.
        path: String,
    },
    /// The store could not be opened.
    #[error("cannot open the store at {path}: {reason}")]
    Open {
        /// Where the store lies.
        path: String,
        /// What the system said.
        reason: String,
    },
    /// Reading or writing failed.
    #[error("the store failed: {0}")]
    Failed(String),
    /// What is stored cannot be read.
    #[error("the store is damaged: {0}")]
    Damaged(String),
    /// The store was stopped.
    #[error("the store has stopped")]
    Stopped,
}
