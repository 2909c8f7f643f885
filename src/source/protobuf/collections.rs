use super::{Fields, Malformed, Value};
use crate::source::json::Json;

/// Writes the fields of one number as an array, each by `write`.
pub(in crate::source) fn write_array(
    fields: Fields<'_>,
    items: u64,
    json: &mut Json,
    mut write: impl FnMut(Value<'_>, &mut Json) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    json.raw("[");
    let start = json.text.len();
    for field in fields {
        let (number, item) = field?;
        if number == items {
            json.comma(start);
            write(item, json)?;
        }
    }
    json.raw("]");
    Ok(())
}

/// Writes the fields of one number as an object: each is a message of key (1) and value (2), as
/// protobuf's maps are, and its value is written by `write`. Of a key that comes twice the last
/// counts, in JSON as in protobuf.
pub(in crate::source) fn write_object(
    fields: Fields<'_>,
    entries: u64,
    json: &mut Json,
    mut write: impl FnMut(Value<'_>, &mut Json) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    json.raw("{");
    let start = json.text.len();
    for field in fields {
        let (number, entry) = field?;
        if number != entries {
            continue;
        }
        let (mut key, mut value) = (&[][..], Value::Bytes(&[]));
        for field in entry.message()? {
            match field? {
                (1, field) => key = field.bytes()?,
                (2, field) => value = field,
                _ => {}
            }
        }
        json.comma(start);
        json.string(key);
        json.raw(":");
        write(value, json)?;
    }
    json.raw("}");
    Ok(())
}
