//! An export of logs in protobuf. The numbers are those of OTLP's messages
//! (github.com/open-telemetry/opentelemetry-proto).

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{
    super::{
        json::{DEEPEST, Json, Records, Unread},
        protobuf::{Fields, Malformed, Value, write_array, write_object},
    },
    ProfileFrom,
};

/// `ExportLogsServiceRequest.resource_logs`
const RESOURCE_LOGS: u64 = 1;
/// `ResourceLogs.scope_logs`
const SCOPE_LOGS: u64 = 2;
/// `ScopeLogs.log_records`
const LOG_RECORDS: u64 = 2;
/// `LogRecord.body` and `LogRecord.attributes`
const BODY: u64 = 5;
const ATTRIBUTES: u64 = 6;

/// The kinds of `AnyValue`.
const STRING: u64 = 1;
const BOOL: u64 = 2;
const INT: u64 = 3;
const DOUBLE: u64 = 4;
const ARRAY: u64 = 5;
const KEY_VALUES: u64 = 6;
const BYTES: u64 = 7;

/// `ArrayValue.values` and `KeyValueList.values`
const VALUES: u64 = 1;

/// Reads an `ExportLogsServiceRequest` into records of at most `room` bytes.
pub(super) fn read(message: &[u8], from: ProfileFrom, room: usize) -> Result<Records, Unread> {
    let mut records = Records::new(room);
    for field in Fields::of(message) {
        let (RESOURCE_LOGS, resource) = field? else { continue };
        for field in resource.message()? {
            let (SCOPE_LOGS, scope) = field? else { continue };
            for field in scope.message()? {
                let (LOG_RECORDS, record) = field? else { continue };
                let record = record.message()?;
                records.add(|json| write_record(record, from, json).map(|()| true))?;
            }
        }
    }
    Ok(records)
}

fn write_record(record: Fields<'_>, from: ProfileFrom, json: &mut Json) -> Result<(), Malformed> {
    match from {
        ProfileFrom::Attributes => {
            write_object(record, ATTRIBUTES, json, |value, json| write_value(value, json, 1))
        }
        ProfileFrom::Body => {
            let body = record.last(BODY)?.unwrap_or(Value::Bytes(&[]));
            match kind(body)? {
                // A record that was put into the body as text.
                Some((STRING | BYTES, value)) => json.text.extend_from_slice(value.bytes()?),
                _ => write_value(body, json, 0)?,
            }
            Ok(())
        }
    }
}

/// What is set in an `AnyValue`.
fn kind(value: Value<'_>) -> Result<Option<(u64, Value<'_>)>, Malformed> {
    let mut kind = None;
    for field in value.message()? {
        let (number, value) = field?;
        if (STRING..=BYTES).contains(&number) {
            kind = Some((number, value));
        }
    }
    Ok(kind)
}

/// Writes an `AnyValue` that is `depth` levels below the root.
fn write_value(value: Value<'_>, json: &mut Json, depth: usize) -> Result<(), Malformed> {
    match kind(value)? {
        Some((STRING, value)) => json.string(value.bytes()?),
        Some((BOOL, value)) => json.raw(if value.bool()? { "true" } else { "false" }),
        Some((INT, value)) => json.integer(value.int()?),
        Some((DOUBLE, value)) => json.double(value.double()?),
        Some((BYTES, value)) => json.string(STANDARD.encode(value.bytes()?).as_bytes()),
        Some((ARRAY | KEY_VALUES, _)) if depth == DEEPEST => return Err(Malformed::Depth),
        Some((ARRAY, list)) => write_array(list.message()?, VALUES, json, |value, json| {
            write_value(value, json, depth + 1)
        })?,
        Some((KEY_VALUES, list)) => write_object(list.message()?, VALUES, json, |value, json| {
            write_value(value, json, depth + 1)
        })?,
        _ => json.raw("null"),
    }
    Ok(())
}

#[cfg(test)]
mod tests;
