use std::borrow::Cow;

use bytes::Bytes;

use super::{
    Consent, ConsentValue, Covered, Fingerprints, Followed, Invalid, Kept, Mapping, Merged,
    ProfileId, ProfileKey, Reported, Retain, SourceVersion, UpdateMode,
    export::{write_identity, write_namespaces},
    json,
    mapping::{KeyPlace, KeySource},
    number, prints,
    reading::{self, IDENTITY_MAP, Plan, Reading},
    time,
    tree::close,
};

/// A record as a mapping sees it. Borrows the record; nothing was copied.
#[derive(Debug)]
pub struct Projected<'a> {
    /// The profile.
    pub id: ProfileId,
    /// What is compared with what is known.
    pub prints: Fingerprints,
    /// Whether the profile consents, and is a member of a mapped segment if segments are mapped.
    pub followed: bool,
    /// Whether it is not known if the profile consents: what a patch was merged into was kept when
    /// that was not asked for, and the patch does not say it either.
    pub consent_unknown: bool,
    /// Whether `export.consent` names a path at which the record has no value.
    pub consent_missing: bool,
    /// The sender's version.
    pub source_version: Option<SourceVersion>,
    /// Whether `profile.version` is configured and the record has none.
    pub version_missing: bool,
    consent: Consent,
    /// What the text that was read knows of consent.
    covered: &'a Covered,
    mapping: &'a Mapping,
    prefix: Option<&'a str>,
    key: (&'a KeySource, Cow<'a, str>),
    profile: &'a str,
    reading: Reading<'a>,
}

impl Mapping {
    /// Reads a record in one pass. `seed` is that of the store, so that fingerprints can be
    /// compared with those it holds.
    ///
    /// # Errors
    ///
    /// The record is not JSON, is not an object, has no key, or holds something of the wrong shape
    /// in a part with a meaning of its own.
    ///
    /// Of a patch it says whose it is and which version it has; the rest is known once it is merged.
    pub fn project<'a>(&'a self, seed: u64, record: &'a [u8]) -> Result<Projected<'a>, Invalid> {
        let profile = self.profile_of(record)?;
        let prefix = self.spec.strip_prefix.as_deref();
        let projected = self.project_profile(seed, prefix, profile, &Covered::All)?;
        let source_version = self.source_version(&projected.reading)?;
        let version_missing = self.version.is_some() && source_version.is_none();
        Ok(Projected { source_version, version_missing, ..projected })
    }

    /// Reads what [`Mapping::merge`] made of a patch. It has no source version, since only that of
    /// the patch counts; and its key is that of the patch, whichever may be read from it: of several
    /// identities in a namespace another one may be chosen than of those that the patch names.
    ///
    /// # Errors
    ///
    /// What was merged into cannot have been kept by this program: the store is damaged.
    pub fn project_merged<'a>(
        &'a self,
        seed: u64,
        merged: &'a Merged,
    ) -> Result<Projected<'a>, Invalid> {
        let profile = str::from_utf8(&merged.record)
            .map_err(|_| Invalid::new("what is kept of the profile is not UTF-8"))?;
        self.project_profile(seed, None, profile, &merged.covered)
    }

    /// The text of the profile in a record.
    pub(super) fn profile_of<'a>(&self, record: &'a [u8]) -> Result<&'a str, Invalid> {
        let record = str::from_utf8(record).map_err(|error| {
            Invalid::new(format!("the record is not UTF-8 at byte {}", error.valid_up_to()))
        })?;
        if record.trim_ascii().is_empty() {
            return Err(Invalid::new("the record is empty"));
        }
        let prefix = self.spec.strip_prefix.as_deref();
        match (&self.at, &self.spec.at) {
            (Some(tree), Some(path)) => {
                reading::locate(Plan { tree, all: false, prefix }, path, record)
            }
            _ => Ok(record),
        }
    }

    fn project_profile<'a>(
        &'a self,
        seed: u64,
        prefix: Option<&'a str>,
        profile: &'a str,
        covered: &'a Covered,
    ) -> Result<Projected<'a>, Invalid> {
        let plan = Plan { tree: &self.tree, all: self.maps_all(), prefix };
        let reading = reading::read(plan, profile)?;
        let key = self.key(&reading)?;
        let (prints, is_member) =
            self.fingerprints(seed, prefix, profile, &reading, covered, reading.memberships())?;
        let consent = self.consent(&reading, covered);
        Ok(Projected {
            id: prints::id_of(seed, &key.0.path, &key.1),
            prints,
            followed: consent.followed(is_member) == Followed::Yes,
            consent_unknown: consent == Consent::Unknown,
            consent_missing: self.lacks_consent_value(&reading, covered),
            source_version: None,
            version_missing: false,
            consent,
            covered,
            mapping: self,
            prefix,
            key,
            profile,
            reading,
        })
    }

    /// Reads what was kept: a profile without prefix, however the records are written.
    pub(super) fn read_document<'k>(&self, document: &'k str) -> Result<Reading<'k>, Invalid> {
        let plan = Plan { tree: &self.tree, all: self.maps_all(), prefix: None };
        reading::read(plan, document)
    }

    /// The first key that can be read. An empty text is none: it would make one profile of all
    /// those whose sender left it blank.
    fn key<'a>(&'a self, reading: &Reading<'a>) -> Result<(&'a KeySource, Cow<'a, str>), Invalid> {
        for source in &self.keys {
            let text = match &source.place {
                KeyPlace::Namespace(name) => reading.chosen_identity(name),
                KeyPlace::Slot(slot) => reading.slots[*slot].and_then(json::text),
            };
            if let Some(text) = text.filter(|text| !text.is_empty()) {
                return Ok((source, text));
            }
        }
        Err(self.keyless(reading))
    }

    fn keyless(&self, reading: &Reading<'_>) -> Invalid {
        let mut reason = String::from("no unique identifier: ");
        for (i, KeySource { path, place }) in self.keys.iter().enumerate() {
            let wrong = match place {
                KeyPlace::Namespace(_) => "holds no id",
                KeyPlace::Slot(slot) => match reading.slots[*slot] {
                    None | Some("null") => "is absent",
                    Some("\"\"") => "is empty",
                    Some(_) => "is neither a string nor an integer",
                },
            };
            reason.extend([if i == 0 { "" } else { ", " }, path, " ", wrong]);
        }
        if self.update_mode == UpdateMode::Patch {
            reason.push_str("; a patch has to name the profile that it changes");
        }
        Invalid { reason }
    }

    fn source_version(&self, reading: &Reading<'_>) -> Result<Option<SourceVersion>, Invalid> {
        let Some(raw) = self.version.and_then(|slot| reading.slots[slot]) else {
            return Ok(None);
        };
        let version = match raw.as_bytes() {
            b"null" => return Ok(None),
            [b'"', ..] => json::text(raw)
                .and_then(|text| time::parse(&text))
                .map(|at| SourceVersion::Time(at.as_nanosecond())),
            number @ [b'-' | b'0'..=b'9', ..] => {
                number::billionths(number).map(SourceVersion::Number)
            }
            _ => None,
        };
        version.map(Some).ok_or_else(|| {
            let path = self.spec.version.as_ref().map(ToString::to_string).unwrap_or_default();
            Invalid::new(format!(
                "the version at {path} is neither a number in range nor a timestamp with an offset"
            ))
        })
    }
}

impl Projected<'_> {
    /// The profile's key.
    pub fn key(&self) -> ProfileKey {
        ProfileKey { path: self.key.0.path.clone(), text: self.key.1.clone().into_owned() }
    }

    /// Copies what is kept of the record. White space between tokens goes, so that what is sent
    /// fits on one line; strings and numbers stay as they were written.
    pub fn keep(&self) -> Kept {
        let refused = self.consent == Consent::Refused;
        Kept {
            key: self.key(),
            document: self.document(),
            memberships: self.reported(),
            covered: self.covered(),
            refused: refused.then(|| self.mapping.identifying(&self.reading, &self.key.0.path)),
        }
    }

    /// What the record says at each path of `export.consent`.
    pub fn consent_values(&self) -> Vec<ConsentValue> {
        self.mapping.consent_values(&self.reading)
    }

    fn covered(&self) -> Covered {
        match (self.covered, self.mapping.spec.retain) {
            (Covered::All, Retain::Profile) => Covered::All,
            (covered, _) => self.mapping.covered_by(covered),
        }
    }

    fn document(&self) -> Bytes {
        let prefix = self.prefix;
        let mut out = Vec::with_capacity(512);
        if self.mapping.spec.retain == Retain::Profile {
            json::compact(self.profile, prefix, &mut out);
            return out.into();
        }
        out.push(b'{');
        self.mapping.write_kept(&self.reading, prefix, &mut out);
        write_identities(&self.reading, &mut out);
        close(&mut out, b'}');
        out.into()
    }

    fn reported(&self) -> Vec<Reported> {
        let memberships = self.reading.memberships().map(|member| {
            let mapped = self.mapping.segment(member.namespace, member.id).is_some();
            Reported {
                namespace: member.namespace.to_owned(),
                id: member.id.to_owned(),
                status: member.status,
                at: member.at.filter(|_| self.mapping.keeps_time(mapped)),
            }
        });
        memberships.collect()
    }
}

/// Writes all identities with which of them are primary, so that a key can be chosen again.
pub(super) fn write_identities(reading: &Reading<'_>, out: &mut Vec<u8>) {
    let identities = reading.identities.iter();
    write_namespaces(IDENTITY_MAP, *b"[]", identities, out, |identity, out| {
        write_identity(identity, out);
        if identity.primary {
            out.pop();
            out.extend_from_slice(b",\"primary\":true}");
        }
    });
}
