use super::super::{
    fluent::{Trouble, read_entries},
    json::{Unread, Written},
};

/// The records of a body in MessagePack: one value after the other, each a record, or a time and a
/// record as Fluent Bit has them. `room` bounds what they take as JSON.
pub(super) fn records(body: &[u8], room: usize) -> Result<Written, Unread> {
    if body.is_empty() {
        return Err(Unread::Malformed("the body is empty".to_owned()));
    }
    // A map, or an array of them. Anything else is most likely no MessagePack at all.
    if !matches!(body[0], 0x80..=0x9f | 0xdc..=0xdf) {
        return Err(Unread::Malformed("it begins with neither a map nor an array".to_owned()));
    }
    match read_entries(body, room) {
        Ok(read) => Ok(Written { replaced: read.repaired, ..Written::of(read.records) }),
        Err(Trouble::TooLarge(_)) => Err(Unread::Full),
        Err(trouble) => Err(Unread::Malformed(trouble.to_string())),
    }
}
