use super::document::{Document, Entries};
use crate::{
    clock::Micros,
    profile::{
        Known, Mapping, Membership, Status, export::write_namespaces, json::write_string,
        reading::SEGMENT_MEMBERSHIP, time, tree::close,
    },
};

/// Levels of `segmentMembership` that are merged: its namespaces and their segments. What is said
/// of one segment is replaced.
const LEVELS: usize = 2;

/// The memberships of a known profile in the shape that records have.
#[derive(Default)]
pub(super) struct Ledger {
    /// Those that the patch does not remove.
    stay: String,
    /// Those that it removes: from now on they are over.
    end: String,
    /// How many of `end` were not over yet, in mapped segments.
    pub(super) exits_by_absence: u32,
}

impl Ledger {
    /// What is known, and what of it `patch` removes at `now`.
    pub(super) fn new(
        mapping: &Mapping,
        known: &Known,
        patch: Option<&Document<'_>>,
        now: Micros,
    ) -> Self {
        let removed = |member: &&Membership| {
            patch.is_some_and(|patch| removes(patch, &[&member.namespace, &member.id]))
        };
        let members = || known.memberships.iter();
        let exits_by_absence = members()
            .filter(removed)
            .filter(|member| member.status.is_member())
            .filter(|member| mapping.segment(&member.namespace, &member.id).is_some())
            .count();
        Self {
            stay: written(members().filter(|member| !removed(member)), |member| {
                (member.status, member.at)
            }),
            end: written(members().filter(removed), |member| {
                // What is over already was over when it was.
                let at =
                    if member.status.is_member() { i64::try_from(now).ok() } else { member.at };
                (Status::Exited, at)
            }),
            exits_by_absence: u32::try_from(exits_by_absence).unwrap_or(u32::MAX),
        }
    }

    /// Merges a patch into what is known. `document` is what the kept record itself says of
    /// memberships where it is kept whole; that counts first, since it may say more.
    pub(super) fn merged<'a>(
        &'a self,
        document: Option<Document<'a>>,
        patch: Option<Document<'a>>,
    ) -> Option<Document<'a>> {
        let layers = [part(&self.stay), document, patch, part(&self.end)];
        let merged = layers
            .into_iter()
            .flatten()
            .fold(None, |former, layer| Some(Document::merged(former, layer, LEVELS)));
        merged.filter(|merged| !merged.is_null())
    }
}

/// Whether the patch removes what these keys lead to, itself or with something around it.
fn removes(patch: &Document<'_>, keys: &[&str]) -> bool {
    match (patch, keys.split_first()) {
        (patch, _) if patch.is_null() => true,
        (Document::Object(entries), Some((key, rest))) => {
            entries.get(key).is_some_and(|inner| removes(inner, rest))
        }
        _ => false,
    }
}

/// A record with these memberships and nothing else.
fn written<'k>(
    members: impl Iterator<Item = &'k Membership>,
    state: impl Fn(&Membership) -> (Status, Option<i64>),
) -> String {
    let mut out = vec![b'{'];
    let members = members.map(|member| (&*member.namespace, member));
    write_namespaces(SEGMENT_MEMBERSHIP, *b"{}", members, &mut out, |member, out| {
        let (status, at) = state(member);
        write_string(&member.id, out);
        out.extend_from_slice(b":{\"status\":");
        write_string(status.word(), out);
        if let Some(at) = at.and_then(time::rfc3339) {
            out.extend_from_slice(b",\"lastQualificationTime\":");
            write_string(&at.to_string(), out);
        }
        out.push(b'}');
    });
    close(&mut out, b'}');
    String::from_utf8(out).expect("it was written from text")
}

fn part(record: &str) -> Option<Document<'_>> {
    let mut entries: Entries<'_> = Document::parse(record).entries()?;
    entries.take(SEGMENT_MEMBERSHIP)
}
