//! What is known of one profile, for whoever looks after it, and what can be done with it by hand.

use serde::{Deserialize, Serialize};

use super::{DeadLetter, Triggers};
use crate::{
    clock::Micros,
    profile::{Known, ProfileId, SourceVersion},
};

/// All that a store knows of a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileState {
    /// The profile.
    pub id: ProfileId,
    /// What is kept of it.
    pub known: Known,
    /// Whether changes are exported.
    pub followed: bool,
    /// Whether `version` still has to be delivered.
    pub due: bool,
    /// Whether it is in flight now.
    pub in_flight: bool,
    /// Whether the endpoint has, or may have, seen any version.
    pub offered: bool,
    /// Whether it is forgotten once its last export has been answered.
    pub leaving: bool,
    /// Why it is due.
    pub triggers: Triggers,
    /// The version minted last, 0 when none was.
    pub version: u64,
    /// The version confirmed last, 0 when none was.
    pub confirmed: u64,
    /// The sender's version of what is known.
    pub source_version: Option<SourceVersion>,
    /// Deliveries that failed since the last one that succeeded.
    pub failures: u32,
    /// Wall-clock time before which it is not delivered, 0 where there is none.
    pub not_before: Micros,
    /// Since when it is due.
    pub due_since: Micros,
    /// Why its last version could not be delivered for good.
    pub dead_letter: Option<DeadLetter>,
}

/// How a profile is to be forgotten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dismissal {
    /// Whether the endpoint is told first that the profile left its segments, if it may have heard
    /// of the profile at all.
    pub exit: bool,
    /// Whether later records of the profile are ignored.
    pub suppress: bool,
}

/// What was forgotten of a profile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forgotten {
    /// Whether the profile was known.
    pub known: bool,
    /// Whether its last export waits for delivery; it is forgotten once that was answered.
    pub leaving: bool,
    /// Whether a delivery of it is under way, of which the outcome will be dropped.
    pub in_flight: bool,
    /// Whether it had a dead letter.
    pub dead_letter: bool,
    /// Invalid records that named it and are gone.
    pub invalid_records: u64,
    /// Dead letters of others whose answer quoted it and was dropped.
    pub answers: u64,
    /// Whether its later records are ignored.
    pub suppressed: bool,
    /// Whether the store's files were rewritten since, so that nothing of it is left in them.
    pub erased: bool,
}

impl Forgotten {
    /// Whether there was nothing to forget, and nothing else was asked for.
    pub fn is_nothing(&self) -> bool {
        let Self { known, invalid_records, answers, suppressed, .. } = *self;
        !known && invalid_records == 0 && answers == 0 && !suppressed
    }
}

/// What became of profiles that were to be sent again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resent {
    /// Profiles that are due, under a new version.
    pub resent: u64,
    /// Profiles that are not followed, of which nothing is sent.
    pub not_followed: u64,
}

impl std::ops::AddAssign for Resent {
    fn add_assign(&mut self, other: Self) {
        self.resent += other.resent;
        self.not_followed += other.not_followed;
    }
}
