//! Vector's events, from protobuf to JSON text.
//!
//! The numbers below are those of the messages that Vector's `vector` sink sends. Of a log event
//! the event itself is read and the id that Vector gave it; what else Vector notes about it is for
//! Vector.

use super::super::{
    json::{DEEPEST, Json, Records, Unread},
    protobuf::{Fields, Malformed, Value, write_array, write_object},
};

/// `PushEventsRequest.events`
const EVENTS: u64 = 1;

/// The kinds of event, in `EventWrapper`.
const LOG: u64 = 1;
const METRIC: u64 = 2;
const TRACE: u64 = 3;

/// `Log.fields`, `ValueMap.fields` and `ValueArray.items`
const ENTRIES: u64 = 1;
/// `Log.value`
const ROOT: u64 = 2;
/// `Log.metadata_full`
const METADATA: u64 = 4;

/// `Metadata.source_event_id`
const SOURCE_EVENT_ID: u64 = 7;

/// The kinds of `Value`.
const BYTES: u64 = 1;
const TIMESTAMP: u64 = 2;
const INTEGER: u64 = 4;
const FLOAT: u64 = 5;
const BOOLEAN: u64 = 6;
const MAP: u64 = 7;
const ARRAY: u64 = 8;
const NULL: u64 = 9;

/// What a message holds.
pub(super) struct Events<'a> {
    pub(super) records: Records,
    /// The id of the event that each record comes from; empty where it has none.
    pub(super) ids: Vec<&'a [u8]>,
}

/// Reads a `PushEventsRequest` into records of at most `room` bytes. What it holds besides log
/// events is counted only.
pub(super) fn read(message: &[u8], room: usize) -> Result<Events<'_>, Unread> {
    let mut events = Events { records: Records::new(room), ids: Vec::new() };
    for field in Fields::of(message) {
        let (EVENTS, event) = field? else { continue };
        let event = event.bytes()?;
        let (mut id, others) = (&[][..], events.records.others());
        events.records.add(|json| write_event(event, json, &mut id))?;
        if events.records.others() == others {
            events.ids.push(id);
        }
    }
    Ok(events)
}

/// Writes an event if it is a log event, and says which id it has.
fn write_event<'a>(event: &'a [u8], json: &mut Json, id: &mut &'a [u8]) -> Result<bool, Malformed> {
    let mut log = None;
    for field in Fields::of(event) {
        match field? {
            (LOG, value) => log = Some(value.message()?),
            (METRIC | TRACE, _) => log = None,
            _ => {}
        }
    }
    let Some(log) = log else { return Ok(false) };
    // What is wrong with it is no fault of the record.
    let metadata = log.clone().last(METADATA)?.and_then(|value| value.message().ok());
    if let Some(Ok(Some(Value::Bytes(found)))) = metadata.map(|data| data.last(SOURCE_EVENT_ID)) {
        *id = found;
    }
    // Where there is a root value, the fields are a filler for old versions of Vector.
    match log.clone().last(ROOT)? {
        Some(root) => write_value(root, json, 0)?,
        None => write_object(log, ENTRIES, json, |value, json| write_value(value, json, 1))?,
    }
    Ok(true)
}

/// Writes a value that is `depth` levels below the root.
fn write_value(value: Value<'_>, json: &mut Json, depth: usize) -> Result<(), Malformed> {
    let mut kind = None;
    for field in value.message()? {
        let (number, value) = field?;
        if (BYTES..=NULL).contains(&number) {
            kind = Some((number, value));
        }
    }
    match kind {
        Some((BYTES, value)) => json.string(value.bytes()?),
        Some((TIMESTAMP, value)) => write_time(value.message()?, json)?,
        Some((INTEGER, value)) => json.integer(value.int()?),
        Some((FLOAT, value)) => json.double(value.double()?),
        Some((BOOLEAN, value)) => json.raw(if value.bool()? { "true" } else { "false" }),
        Some((MAP | ARRAY, _)) if depth == DEEPEST => return Err(Malformed::Depth),
        Some((MAP, map)) => write_object(map.message()?, ENTRIES, json, |value, json| {
            write_value(value, json, depth + 1)
        })?,
        Some((ARRAY, array)) => write_array(array.message()?, ENTRIES, json, |value, json| {
            write_value(value, json, depth + 1)
        })?,
        _ => json.raw("null"),
    }
    Ok(())
}

/// Writes a `Timestamp` of seconds (1) and nanoseconds (2).
fn write_time(time: Fields<'_>, json: &mut Json) -> Result<(), Malformed> {
    let (mut seconds, mut nanos) = (0, 0);
    for field in time {
        match field? {
            (1, value) => seconds = value.int()?,
            (2, value) => nanos = value.int()?,
            _ => {}
        }
    }
    let nanos = i32::try_from(nanos).map_err(|_| Malformed::Time)?;
    if json.time(seconds, nanos) { Ok(()) } else { Err(Malformed::Time) }
}

#[cfg(test)]
mod tests;
