//! The profile JSON that is sent. The order of keys is fixed, so that equal profiles are equal
//! bytes: mapped attributes as configured, `segmentMembership`, `identityMap`, and inside these
//! byte order.

use serde::{Deserialize, Serialize};

use super::{
    Invalid, Known, Mapping, MappingSpec, Membership, Removed, SegmentSpec, Status, Withdrawn,
    json::{compact, write_string},
    reading::{IDENTITY_MAP, Identity, Reading, SEGMENT_MEMBERSHIP},
    time,
    tree::{Absent, close},
};
use crate::clock::Micros;

/// When the segments of a mapping were mapped in this sink, in the order of
/// [`MappingSpec::segments`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MappedAt(pub Vec<SegmentMapped>);

/// When a segment was mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentMapped {
    /// When it was mapped.
    pub created: Micros,
    /// When its entry in the configuration last changed.
    pub updated: Micros,
}

impl MappedAt {
    /// The times for a mapping that comes into force now. A segment that was mapped before keeps
    /// its time; one whose name changed is updated.
    pub fn of(
        spec: &MappingSpec,
        previous: Option<(&MappingSpec, &MappedAt)>,
        now: Micros,
    ) -> Self {
        let before = |segment: &SegmentSpec| {
            let (spec, mapped_at) = previous?;
            let (former, times) = spec.segments.iter().zip(&mapped_at.0).find(|(former, _)| {
                former.id == segment.id && former.namespace == segment.namespace
            })?;
            let updated = if former.name == segment.name { times.updated } else { now };
            Some(SegmentMapped { created: times.created, updated })
        };
        let fresh = SegmentMapped { created: now, updated: now };
        Self(spec.segments.iter().map(|segment| before(segment).unwrap_or(fresh)).collect())
    }
}

impl Mapping {
    /// Writes what is sent of a known profile: one JSON object on one line. Of one that has
    /// withdrawn its consent that is the last export, which says so.
    ///
    /// `confirmed` is the version that the endpoint confirmed last, 0 when none; versions count
    /// microseconds since the epoch, so a membership that changed later is new to the endpoint.
    ///
    /// # Errors
    ///
    /// What is kept of the profile cannot be read: the store is damaged.
    pub fn export(
        &self,
        known: &Known,
        confirmed: u64,
        mapped_at: &MappedAt,
        out: &mut Vec<u8>,
    ) -> Result<(), Invalid> {
        if let Some(withdrawn) = &known.withdrawn {
            return self.export_withdrawal(known, withdrawn, mapped_at, out);
        }
        let reading = self.read_document(known.document()?)?;
        let absent = match self.spec.removed {
            Removed::Omit => Absent::Omitted,
            Removed::Null => Absent::Null,
        };
        out.push(b'{');
        self.write_attributes(&reading, absent, None, out);
        let memberships = known.memberships.iter().filter_map(|membership| {
            let segment = self.segment(&membership.namespace, &membership.id);
            let sent = segment.is_some() || self.spec.unmapped_segments;
            sent.then_some((&*membership.namespace, (membership, segment)))
        });
        write_namespaces(SEGMENT_MEMBERSHIP, *b"{}", memberships, out, |(member, segment), out| {
            write_string(&member.id, out);
            out.push(b':');
            let segment = segment.map(|i| (&self.spec.segments[i], mapped_at.0.get(i)));
            self.write_membership(member, segment, confirmed, out);
        });
        let identities = reading.identities.iter().filter(|(name, _)| self.exports(name));
        write_namespaces(IDENTITY_MAP, *b"[]", identities, out, write_identity);
        close(out, b'}');
        Ok(())
    }

    /// Writes the last export of a profile that has withdrawn its consent: who it is and, as exited,
    /// the mapped segments of which it was a member; where no segments are mapped, the mapped
    /// attributes as `null`, so that an endpoint can tell that they are to go.
    ///
    /// What came after the withdrawal, or was mapped after it, was never offered and is not sent.
    fn export_withdrawal(
        &self,
        known: &Known,
        withdrawn: &Withdrawn,
        mapped_at: &MappedAt,
        out: &mut Vec<u8>,
    ) -> Result<(), Invalid> {
        let reading = self.read_document(known.sendable()?)?;
        out.push(b'{');
        let absent = if self.spec.segments.is_empty() { Absent::Null } else { Absent::Omitted };
        self.write_attributes(&reading, absent, None, out);
        if absent == Absent::Null {
            // Where all attributes are mapped, these are the ones that the last record has.
            let mut last = self.read_document(known.document()?)?;
            last.all.retain(|(name, _)| reading.all.iter().all(|(own, _)| own != name));
            write_all_null(&last, out);
        }
        let exits = known.memberships.iter().filter_map(|membership| {
            let segment = self.segment(&membership.namespace, &membership.id)?;
            let mapped = mapped_at.0.get(segment);
            let came_before = membership.created < withdrawn.at
                && mapped.is_none_or(|mapped| mapped.created < withdrawn.at);
            came_before.then(|| (&*membership.namespace, (withdrawn.exit_of(membership), segment)))
        });
        write_namespaces(SEGMENT_MEMBERSHIP, *b"{}", exits, out, |(exit, segment), out| {
            write_string(&exit.id, out);
            out.push(b':');
            let segment = Some((&self.spec.segments[segment], mapped_at.0.get(segment)));
            self.write_membership(&exit, segment, 0, out);
        });
        let identities = reading.identities.iter().filter(|(name, _)| self.exports(name));
        write_namespaces(IDENTITY_MAP, *b"[]", identities, out, write_identity);
        close(out, b'}');
        Ok(())
    }

    /// Writes what is kept of the values at paths, a comma behind each: mapped attributes, and
    /// consents.
    pub(super) fn write_kept(
        &self,
        reading: &Reading<'_>,
        prefix: Option<&str>,
        out: &mut Vec<u8>,
    ) {
        write_all(reading, prefix, out);
        self.tree.write_kept(&reading.slots, prefix, out);
    }

    /// Writes the mapped attributes at their paths, a comma behind each.
    fn write_attributes(
        &self,
        reading: &Reading<'_>,
        absent: Absent,
        prefix: Option<&str>,
        out: &mut Vec<u8>,
    ) {
        write_all(reading, prefix, out);
        self.tree.write(&reading.slots, absent, prefix, out);
    }

    /// The options of segments apply to mapped ones only.
    fn write_membership(
        &self,
        member: &Membership,
        segment: Option<(&SegmentSpec, Option<&SegmentMapped>)>,
        confirmed: u64,
        out: &mut Vec<u8>,
    ) {
        let (spec, mapped) = segment.unzip();
        let mapped = mapped.flatten();
        let stamped = self.spec.segment_timestamps && spec.is_some();
        let name = spec.and_then(|spec| spec.name.as_deref()).filter(|_| self.spec.segment_names);
        let last_qualified = member.at.and_then(time::rfc3339);
        let mut entry = Entry::new(out);
        if stamped {
            entry.millis("createdAt", member.created);
        }
        if let Some(at) = last_qualified {
            entry.text("lastQualificationTime", &at.to_string());
        }
        if let Some(mapped) = mapped.filter(|_| stamped) {
            entry.millis("mappingCreatedAt", mapped.created);
            entry.millis("mappingUpdatedAt", mapped.updated);
        }
        if let Some(name) = name {
            entry.text("name", name);
        }
        let new_since = mapped.map_or(member.updated, |mapped| mapped.created.max(member.updated));
        entry.text("status", self.status(member.status, new_since > confirmed));
        if stamped {
            entry.millis("updatedAt", member.updated);
        }
        entry.end();
    }

    fn status(&self, status: Status, new: bool) -> &'static str {
        match status {
            Status::Exited => "exited",
            Status::Existing if self.spec.legacy_status => "existing",
            Status::Realized if self.spec.legacy_status && !new => "existing",
            Status::Realized | Status::Existing => "realized",
        }
    }
}

impl Withdrawn {
    /// The membership as it ended: with the withdrawal, unless it had ended before.
    fn exit_of(&self, membership: &Membership) -> Membership {
        let has_ended = !membership.status.is_member() && membership.updated <= self.at;
        if has_ended && membership.updated < self.at {
            return membership.clone();
        }
        // The record that withdrew consent may itself say when the membership ended.
        let at = membership.at.filter(|_| has_ended).or_else(|| i64::try_from(self.at).ok());
        Membership { status: Status::Exited, at, updated: self.at, ..membership.clone() }
    }
}

/// Writes every attribute, where all are mapped.
fn write_all(reading: &Reading<'_>, prefix: Option<&str>, out: &mut Vec<u8>) {
    for (name, raw) in &reading.all {
        write_string(name, out);
        out.push(b':');
        compact(raw, prefix, out);
        out.push(b',');
    }
}

/// Writes the name of every attribute, where all are mapped, with `null`.
pub(super) fn write_all_null(reading: &Reading<'_>, out: &mut Vec<u8>) {
    for (name, _) in &reading.all {
        write_string(name, out);
        out.extend_from_slice(b":null,");
    }
}

/// An object that is written entry by entry. Its keys need no escapes.
struct Entry<'o> {
    out: &'o mut Vec<u8>,
}

impl<'o> Entry<'o> {
    fn new(out: &'o mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out }
    }

    fn key(&mut self, key: &str) {
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    fn text(&mut self, key: &str, text: &str) {
        self.key(key);
        write_string(text, self.out);
        self.out.push(b',');
    }

    fn millis(&mut self, key: &str, at: Micros) {
        self.key(key);
        self.out.extend_from_slice(itoa::Buffer::new().format(at / 1000).as_bytes());
        self.out.push(b',');
    }

    fn end(self) {
        close(self.out, b'}');
    }
}

pub(super) fn write_identity(identity: &Identity<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"id\":");
    write_string(&identity.id, out);
    out.push(b'}');
}

/// Writes an entry of the profile that holds namespaces, with a comma behind it; nothing where
/// there are none. The items come in the order of their namespaces; `brackets` enclose those of
/// one namespace.
pub(super) fn write_namespaces<'n, T>(
    name: &str,
    brackets: [u8; 2],
    items: impl Iterator<Item = (&'n str, T)>,
    out: &mut Vec<u8>,
    mut write: impl FnMut(T, &mut Vec<u8>),
) {
    let mut open = None;
    for (namespace, item) in items {
        if open != Some(namespace) {
            if open.is_none() {
                write_string(name, out);
                out.extend_from_slice(b":{");
            } else {
                close(out, brackets[1]);
                out.push(b',');
            }
            write_string(namespace, out);
            out.extend_from_slice(&[b':', brackets[0]]);
            open = Some(namespace);
        }
        write(item, out);
        out.push(b',');
    }
    if open.is_some() {
        close(out, brackets[1]);
        out.extend_from_slice(b"},");
    }
}
