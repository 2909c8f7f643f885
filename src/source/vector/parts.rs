//! What of a message Vector repeats together.
//!
//! Vector gives each event an id that stays the same when it repeats a request, and also when it
//! reads the event again from a buffer on disk after its own restart and sends it in other company.
//! So it is events that are told again, not messages. Events that a transform made of one have the
//! same id and may even be equal; as long as they stand together they are one part, so that the
//! last of `x = 1`, `x = 2`, `x = 1` is not taken for the first. Vector keeps and writes the fields of
//! an event in the order of their names, so that a repeat is the same text.

use crate::record::{Part, Record, SentId};

/// The parts of which `records` are, whose events have these ids.
pub(super) fn of(source: &str, records: &[Record], ids: &[&[u8]]) -> Vec<Part> {
    let mut rest = records;
    let part = |siblings: &[&[u8]]| {
        let (records, others) = rest.split_at(siblings.len());
        rest = others;
        let id = siblings[0];
        Part { id: (!id.is_empty()).then(|| sent(source, id, records)), records: records.len() }
    };
    ids.chunk_by(|one, next| one == next).map(part).collect()
}

fn sent(source: &str, id: &[u8], records: &[Record]) -> SentId {
    let start = SentId::of(source, id, &[]);
    records.iter().fold(start, |sent, record| SentId::of(source, &sent.0, &record.json))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::record::Place;

    fn parts(events: &[(&str, &'static str)]) -> Vec<Part> {
        let record = |json: &'static str| Record {
            json: Bytes::from_static(json.as_bytes()),
            place: Place::Whole,
        };
        let records: Vec<_> = events.iter().map(|(_, json)| record(json)).collect();
        let ids: Vec<_> = events.iter().map(|(id, _)| id.as_bytes()).collect();
        of("in", &records, &ids)
    }

    #[test]
    fn an_event_is_known_again_in_other_company_but_only_as_it_was() {
        let [one, two] = [("e1", "{}"), ("e2", "{}")];
        let both = parts(&[one, two]);
        assert_eq!(both.len(), 2);
        assert_ne!(both[0].id, both[1].id);
        assert_eq!(parts(&[two, ("e3", "{}")])[0], both[1]);
        assert_ne!(parts(&[("e1", "[]")])[0].id, both[0].id);
    }

    #[test]
    fn what_was_made_of_one_event_is_one_part() {
        let [one, two] = [("e1", "1"), ("e1", "2")];
        let [all] = parts(&[one, two, one])[..] else { panic!() };
        assert_eq!(all.records, 3);
        let ids = [all, parts(&[one, two])[0], parts(&[one])[0], parts(&[one, one])[0]];
        for (number, part) in ids.iter().enumerate() {
            assert!(!ids[..number].iter().any(|other| other.id == part.id), "{ids:?}");
        }
    }

    #[test]
    fn events_without_an_id_cannot_be_told_again() {
        let parts = parts(&[("", "1"), ("", "1"), ("e", "1"), ("", "1")]);
        let told: Vec<_> = parts.iter().map(|part| (part.id.is_some(), part.records)).collect();
        assert_eq!(told, [(false, 2), (true, 1), (false, 1)]);
    }
}
