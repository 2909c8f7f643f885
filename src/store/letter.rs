//! What could not be delivered for good, or not even be read.

use std::{fmt, str::FromStr, time::Duration};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    clock::Micros,
    profile::{ProfileId, ProfileKey},
};

/// Why a version could not be delivered for good. A profile has one at most: a newer version
/// supersedes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// What went wrong.
    pub kind: LetterKind,
    /// The version.
    pub version: u64,
    /// The status of the answer, 0 where there is none.
    pub status: u16,
    /// The answer's request id, where it names one.
    pub request_id: Option<String>,
    /// What happened, in one line.
    pub reason: String,
    /// Those headers of the answer that help to find out why, by name, each cut to a bounded length.
    pub headers: Vec<(String, String)>,
    /// The first 4 KiB of the answer.
    pub answer: Bytes,
    /// Attempts made of this version.
    pub attempts: u32,
    /// Since when the profile had been due.
    pub due_since: Micros,
    /// When it was refused.
    pub at: Micros,
}

/// What kind of dead letter it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LetterKind {
    /// The endpoint does not want it.
    Refused,
    /// No request can be made of it.
    Unrenderable,
}

impl LetterKind {
    /// The name, as the API and the commands show it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Unrenderable => "unrenderable",
        }
    }
}

/// A record that could not be read as a profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvalidRecord {
    /// The name of the source.
    pub source: String,
    /// Where in its batch the record stood.
    pub place: String,
    /// What is wrong with it.
    pub reason: String,
    /// When it arrived.
    pub received: Micros,
    /// Its first 4 KiB.
    pub excerpt: Bytes,
}

/// How many dead letters are kept, and how long. What is over is dropped, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LetterBounds {
    /// Dead letters at most, and as many invalid records.
    pub max: u64,
    /// How long a dead letter is kept. Invalid records are kept for seven days.
    pub max_age: Duration,
}

impl Default for LetterBounds {
    fn default() -> Self {
        Self { max: 100_000, max_age: Duration::from_hours(30 * 24) }
    }
}

/// Names a dead letter or an invalid record, the same for as long as it is kept.
///
/// A dead letter has the id of its profile, 32 hexadecimal digits; an invalid record is named
/// `i-`, its time of arrival, `-` and a number, both hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LetterId {
    /// The dead letter of this profile.
    Profile(ProfileId),
    /// An invalid record.
    Invalid {
        /// When it arrived.
        received: Micros,
        /// Tells it from others that arrived then.
        number: u64,
    },
}

impl fmt::Display for LetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Profile(id) => id.fmt(f),
            Self::Invalid { received, number } => write!(f, "i-{received:x}-{number:x}"),
        }
    }
}

/// A text that names no dead letter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no id of a dead letter; `profile-http dead-letters list` shows them")]
pub struct NoLetterId(pub String);

impl FromStr for LetterId {
    type Err = NoLetterId;

    fn from_str(text: &str) -> Result<Self, NoLetterId> {
        let hex = |digits: &str, most: usize| {
            let good = (1..=most).contains(&digits.len())
                && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
            good.then(|| u128::from_str_radix(digits, 16).ok()).flatten()
        };
        let invalid = |text: &str| {
            let (received, number) = text.split_once('-')?;
            let part = |digits| u64::try_from(hex(digits, 16)?).ok();
            Some(Self::Invalid { received: part(received)?, number: part(number)? })
        };
        let id = match text.strip_prefix("i-") {
            Some(rest) => invalid(rest),
            None if text.len() == 32 => {
                hex(text, 32).map(|id| Self::Profile(ProfileId(id.to_be_bytes())))
            }
            None => None,
        };
        id.ok_or_else(|| NoLetterId(text.to_owned()))
    }
}

/// A dead letter or an invalid record, with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Letter {
    /// A version of a profile that could not be delivered.
    Dead {
        /// The profile.
        id: ProfileId,
        /// Its key, where the profile is still known.
        key: Option<ProfileKey>,
        /// What happened.
        letter: DeadLetter,
    },
    /// A record that could not be read.
    Invalid {
        /// Its name.
        id: LetterId,
        /// The record.
        record: InvalidRecord,
    },
}

impl Letter {
    /// Its name.
    pub fn id(&self) -> LetterId {
        match self {
            Self::Dead { id, .. } => LetterId::Profile(*id),
            Self::Invalid { id, .. } => *id,
        }
    }

    /// When it was refused, or arrived.
    pub fn at(&self) -> Micros {
        match self {
            Self::Dead { letter, .. } => letter.at,
            Self::Invalid { record, .. } => record.received,
        }
    }
}

/// A place in the order of letters, which is that of their times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LetterPlace {
    /// The time.
    pub at: Micros,
    /// Which of that time.
    pub id: LetterId,
}

impl fmt::Display for LetterPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.at, self.id)
    }
}

impl FromStr for LetterPlace {
    type Err = NoLetterId;

    fn from_str(text: &str) -> Result<Self, NoLetterId> {
        let place = text
            .split_once('_')
            .and_then(|(at, id)| Some(Self { at: at.parse().ok()?, id: id.parse().ok()? }));
        place.ok_or_else(|| NoLetterId(text.to_owned()))
    }
}

/// What became of dead letters that were to be sent again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replayed {
    /// Profiles that are due again, under a new version.
    pub replayed: u64,
    /// Profiles that are not followed any more, of which nothing is sent.
    pub not_followed: u64,
    /// Profiles that have no dead letter.
    pub missing: u64,
}

impl std::ops::AddAssign for Replayed {
    fn add_assign(&mut self, other: Self) {
        self.replayed += other.replayed;
        self.not_followed += other.not_followed;
        self.missing += other.missing;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_places_read_back_as_they_are_shown() {
        let ids = [
            LetterId::Profile(ProfileId([0x0a; 16])),
            LetterId::Profile(ProfileId([0; 16])),
            LetterId::Invalid { received: 1_700_000_000_000_000, number: u64::MAX },
        ];
        for id in ids {
            assert_eq!(id.to_string().parse(), Ok(id));
            let place = LetterPlace { at: 5, id };
            assert_eq!(place.to_string().parse(), Ok(place));
        }
    }

    #[test]
    fn what_is_no_id_is_told_so() {
        let hex = "0".repeat(31);
        for text in ["", "i-", "i-1", "i-1-", "i--1", "i-1-11111111111111111", "+f", &hex, "x_y"] {
            assert!(text.parse::<LetterId>().is_err(), "{text}");
            assert!(text.parse::<LetterPlace>().is_err(), "{text}");
        }
        let signed = format!("+{hex}");
        assert!(signed.parse::<LetterId>().unwrap_err().to_string().contains("list"));
    }
}
