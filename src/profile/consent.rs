//! Consent: whether what a profile says allows that it is exported, and what is noted once it no
//! longer does.
//!
//! What is kept of a profile holds the values at the paths of `export.consent`, whether they are
//! mapped or not. A path that was added to the mapping later, and whose value was not kept, is not
//! the same as one without a value: it is *unknown* until the profile's next record.

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    Invalid, Known, Mapping, Path,
    json::{self, write_string},
    mapping::KeyPlace,
    project::write_identities,
    reading::Reading,
    tree::{Absent, close},
};
use crate::clock::Micros;

/// Whether a profile is exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Followed {
    /// It consents and is a member of a mapped segment, or no segments are mapped.
    Yes,
    /// It does not consent, or is a member of no mapped segment.
    No,
    /// Whether it consents was not kept: nothing is exported of it until its next record.
    Unknown,
}

/// Whether a profile consents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consent {
    /// Every value that is asked for says so, or none is asked for.
    Given,
    /// A value is missing or says otherwise.
    Refused,
    /// A value was not kept, and no other one says otherwise.
    Unknown,
}

/// The paths of which a kept document says what the record said: no value there was none in the
/// record either.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Covered {
    /// These, as they are shown.
    Paths(Vec<String>),
    /// All: the document is the whole record.
    All,
}

/// What is noted of a profile when it withdraws its consent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawn {
    /// When it did.
    pub at: Micros,
    /// What told then who it is, a document without anything else: its identities, and its key
    /// where that is a mapped attribute. Exports and templates read this one, so that nothing else
    /// can leave.
    pub document: Bytes,
}

/// What a record says at a path of `export.consent`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsentValue {
    /// The path.
    pub path: String,
    /// The JSON text of the value there, if there is one.
    pub value: Option<String>,
    /// Whether the value stands for consent.
    pub given: bool,
}

/// Where consent is read.
#[derive(Debug)]
pub(super) struct ConsentSource {
    /// The path as it is shown and stored.
    pub(super) path: String,
    pub(super) slot: usize,
}

/// What stands at a path.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer<'r> {
    /// It was not kept.
    Unknown,
    Missing,
    Text(Cow<'r, str>),
    /// Something else, which is not kept for its own sake.
    Other,
}

impl Default for Covered {
    fn default() -> Self {
        Self::Paths(Vec::new())
    }
}

impl Covered {
    fn contains(&self, path: &str) -> bool {
        match self {
            Self::Paths(paths) => paths.iter().any(|covered| covered == path),
            Self::All => true,
        }
    }
}

impl Consent {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Given => "given",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
        }
    }

    /// Whether a profile is followed that is, or is not, a member of a mapped segment.
    pub(super) fn followed(self, is_member: bool) -> Followed {
        match self {
            Self::Unknown => Followed::Unknown,
            Self::Given if is_member => Followed::Yes,
            Self::Given | Self::Refused => Followed::No,
        }
    }
}

impl ConsentSource {
    pub(super) fn answer<'r>(&self, reading: &Reading<'r>, covered: &Covered) -> Answer<'r> {
        match reading.slots[self.slot] {
            None if covered.contains(&self.path) => Answer::Missing,
            None => Answer::Unknown,
            Some("null") => Answer::Missing,
            Some(raw) if is_kept(raw) => json::text(raw).map_or(Answer::Other, Answer::Text),
            Some(_) => Answer::Other,
        }
    }
}

impl Answer<'_> {
    /// `y` is *yes* and `VI` *vital interest* in XDM. Its other reasons for processing without a
    /// yes (legitimate interest, contract, …) are not the person's.
    fn is_given(&self) -> bool {
        matches!(self, Self::Text(text) if text == "y" || text == "VI")
    }
}

/// Whether a value at a path of consent is kept: only text can say yes.
pub(super) fn is_kept(raw: &str) -> bool {
    raw.starts_with('"')
}

impl Mapping {
    /// Whether a profile consents. `covered` says what `reading`, if it is of a kept document, knows.
    pub(super) fn consent(&self, reading: &Reading<'_>, covered: &Covered) -> Consent {
        let mut consent = Consent::Given;
        for source in &self.consents {
            match source.answer(reading, covered) {
                Answer::Unknown => consent = Consent::Unknown,
                answer if answer.is_given() => {}
                _ => return Consent::Refused,
            }
        }
        consent
    }

    /// Whether a known profile consents; `None` where the mapping does not ask.
    ///
    /// # Errors
    ///
    /// What is kept of the profile cannot be read: the store is damaged.
    pub fn consent_of(&self, known: &Known) -> Result<Option<Consent>, Invalid> {
        if self.consents.is_empty() {
            return Ok(None);
        }
        let reading = self.read_document(known.document()?)?;
        Ok(Some(self.consent(&reading, &known.covered)))
    }

    pub(super) fn lacks_consent_value(&self, reading: &Reading<'_>, covered: &Covered) -> bool {
        self.consents.iter().any(|source| source.answer(reading, covered) == Answer::Missing)
    }

    /// Of what a text knows of consent, that which this mapping asks for.
    pub(super) fn covered_by(&self, covered: &Covered) -> Covered {
        let paths = self.consents.iter().map(|source| &source.path);
        Covered::Paths(paths.filter(|path| covered.contains(path)).cloned().collect())
    }

    /// What is known of consent once something is merged into a profile of which `known` was known.
    /// `says` tells whether what stands at a path is known by that.
    pub(super) fn covered_with(&self, known: &Covered, says: impl Fn(&Path) -> bool) -> Covered {
        if self.consents.iter().all(|source| known.contains(&source.path)) {
            return known.clone();
        }
        let asked = self.spec.consent.iter().map(|path| (path, path.to_string()));
        let covered = asked.filter(|(path, shown)| known.contains(shown) || says(path));
        Covered::Paths(covered.map(|(_, shown)| shown).collect())
    }

    pub(super) fn consent_values(&self, reading: &Reading<'_>) -> Vec<ConsentValue> {
        let value = |source: &ConsentSource| ConsentValue {
            path: source.path.clone(),
            value: reading.slots[source.slot].map(str::to_owned),
            given: source.answer(reading, &Covered::All).is_given(),
        };
        self.consents.iter().map(value).collect()
    }

    /// Brings what is noted of a profile's consent up to date with this mapping, after it was kept
    /// under another one; says whether that changed. What is unknown changes nothing.
    ///
    /// # Errors
    ///
    /// What is kept of the profile cannot be read: the store is damaged.
    pub fn note_consent(&self, known: &mut Known, now: Micros) -> Result<bool, Invalid> {
        if self.consents.is_empty() {
            return Ok(known.withdrawn.take().is_some());
        }
        let reading = self.read_document(known.document()?)?;
        match self.consent(&reading, &known.covered) {
            Consent::Given => Ok(known.withdrawn.take().is_some()),
            Consent::Refused if known.withdrawn.is_none() => {
                let document = self.identifying(&reading, &known.key.path);
                known.withdrawn = Some(Withdrawn { at: now, document });
                Ok(true)
            }
            Consent::Refused | Consent::Unknown => Ok(false),
        }
    }

    /// A document with what tells who a profile with a key at this path is, and nothing else.
    pub(super) fn identifying(&self, reading: &Reading<'_>, key: &str) -> Bytes {
        let mut out = vec![b'{'];
        let source = self.keys.iter().find(|source| source.path == key);
        if let Some(&KeyPlace::Slot(slot)) = source.map(|source| &source.place) {
            let mut slots = vec![None; reading.slots.len()];
            slots[slot] = reading.slots[slot];
            self.tree.write(&slots, Absent::Omitted, None, &mut out);
        }
        // Where all attributes are mapped.
        for (_, raw) in reading.all.iter().filter(|(name, _)| *name == key) {
            write_string(key, &mut out);
            out.push(b':');
            out.extend_from_slice(raw.as_bytes());
            out.push(b',');
        }
        write_identities(reading, &mut out);
        close(&mut out, b'}');
        out.into()
    }
}
