//! An export of logs in OTLP's JSON, which is protobuf's with keys in camel case.

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{error::Category, value::RawValue};

use super::{
    super::json::{Json, Records, Unread},
    ProfileFrom,
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Export<'a> {
    #[serde(borrow)]
    resource_logs: Option<Vec<ResourceLogs<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResourceLogs<'a> {
    #[serde(borrow)]
    scope_logs: Option<Vec<ScopeLogs<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ScopeLogs<'a> {
    #[serde(borrow)]
    log_records: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct LogRecord<'a> {
    #[serde(borrow)]
    body: Option<&'a RawValue>,
    #[serde(borrow)]
    attributes: Option<&'a RawValue>,
}

/// Reads an `ExportLogsServiceRequest` into records of at most `room` bytes.
pub(super) fn read(text: &[u8], from: ProfileFrom, room: usize) -> Result<Records, Unread> {
    let export: Export<'_> =
        serde_json::from_slice(text).map_err(|error| Unread::Malformed(explain(&error)))?;
    let mut records = Records::new(room);
    let scopes = export.resource_logs.into_iter().flatten().filter_map(|logs| logs.scope_logs);
    for record in scopes.flatten().filter_map(|scope| scope.log_records).flatten() {
        records.add(|json| match write_record(record, from, json) {
            Ok(()) => Ok(true),
            Err(error) => Err(explain(&error)),
        })?;
    }
    Ok(records)
}

/// The words of `serde` for a value of another type quote it, and it may be personal.
fn explain(error: &serde_json::Error) -> String {
    match error.classify() {
        Category::Data => {
            let (line, column) = (error.line(), error.column());
            format!("line {line} column {column} is not what OTLP has there")
        }
        _ => error.to_string(),
    }
}

fn write_record(
    record: &RawValue,
    from: ProfileFrom,
    json: &mut Json,
) -> Result<(), serde_json::Error> {
    let record: LogRecord<'_> = serde_json::from_str(record.get())?;
    let value = match from {
        ProfileFrom::Body => record.body,
        ProfileFrom::Attributes => record.attributes,
    };
    let mut value = serde_json::Deserializer::from_str(value.map_or("null", RawValue::get));
    match from {
        ProfileFrom::Body => AnyValue { json, body: true }.deserialize(&mut value),
        ProfileFrom::Attributes => Values { json, pairs: true }.deserialize(&mut value),
    }
}

/// Writes an `AnyValue`, an object whose only key says what the value is.
struct AnyValue<'j> {
    json: &'j mut Json,
    /// Whether it is the body of a log record, in which text is JSON itself.
    body: bool,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum Kind {
    StringValue,
    BoolValue,
    IntValue,
    DoubleValue,
    ArrayValue,
    KvlistValue,
    BytesValue,
    #[serde(other)]
    Other,
}

impl<'de> DeserializeSeed<'de> for AnyValue<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        value.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for AnyValue<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an AnyValue")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.json.raw("null");
        Ok(())
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        let Self { json, body } = self;
        let start = json.text.len();
        while let Some(kind) = map.next_key()? {
            let list = match kind {
                Kind::ArrayValue => Some(false),
                Kind::KvlistValue => Some(true),
                _ => None,
            };
            if let Some(pairs) = list {
                json.text.truncate(start);
                map.next_value_seed(List { json, pairs })?;
                continue;
            }
            let value: &RawValue = map.next_value()?;
            let text = value.get();
            if matches!(kind, Kind::Other) || text == "null" {
                continue;
            }
            json.text.truncate(start);
            match kind {
                Kind::IntValue => json.integer(number(text)?),
                Kind::DoubleValue => json.double(number(text)?),
                Kind::BoolValue if text == "true" || text == "false" => json.raw(text),
                Kind::StringValue if body => json.raw(&string::<M::Error>(text)?),
                Kind::BytesValue if body => {
                    let bytes = STANDARD.decode(string::<M::Error>(text)?);
                    json.text.extend_from_slice(&bytes.map_err(M::Error::custom)?);
                }
                // A string is written as it came, in JSON as in JSON.
                Kind::StringValue | Kind::BytesValue if text.starts_with('"') => json.raw(text),
                _ => return Err(M::Error::custom("a value of another type")),
            }
        }
        if json.text.len() == start {
            json.raw("null");
        }
        Ok(())
    }
}

/// A number, which may be written as text: 64-bit integers are, and what JSON cannot write.
fn number<T: FromStr, E: Error>(text: &str) -> Result<T, E> {
    let digits = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    digits.parse().map_err(|_| E::custom("no number"))
}

fn string<E: Error>(text: &str) -> Result<String, E> {
    serde_json::from_str(text).map_err(E::custom)
}

/// Writes an `ArrayValue` or a `KeyValueList`, an object with `values` in it.
struct List<'j> {
    json: &'j mut Json,
    pairs: bool,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum ListKey {
    Values,
    #[serde(other)]
    Other,
}

impl<'de> DeserializeSeed<'de> for List<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, list: D) -> Result<(), D::Error> {
        list.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for List<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with values")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        let Self { json, pairs } = self;
        let start = json.text.len();
        while let Some(key) = map.next_key()? {
            match key {
                ListKey::Values => {
                    json.text.truncate(start);
                    map.next_value_seed(Values { json, pairs })?;
                }
                ListKey::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        if json.text.len() == start {
            json.raw(if pairs { "{}" } else { "[]" });
        }
        Ok(())
    }
}

/// Writes a list of `AnyValue` as an array, or a list of `KeyValue` as an object.
struct Values<'j> {
    json: &'j mut Json,
    pairs: bool,
}

impl<'de> DeserializeSeed<'de> for Values<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, values: D) -> Result<(), D::Error> {
        values.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Values<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of values")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.json.raw(if self.pairs { "{}" } else { "[]" });
        Ok(())
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<(), S::Error> {
        let Self { json, pairs } = self;
        json.raw(if pairs { "{" } else { "[" });
        let mut written = json.text.len();
        let start = written;
        loop {
            // The comma comes first, for an item that may not come.
            json.comma(start);
            let item = if pairs {
                seq.next_element_seed(Pair { json })?
            } else {
                seq.next_element_seed(AnyValue { json, body: false })?
            };
            if item.is_none() {
                break;
            }
            written = json.text.len();
        }
        json.text.truncate(written);
        json.raw(if pairs { "}" } else { "]" });
        Ok(())
    }
}

/// Writes a `KeyValue` as a key and its value.
struct Pair<'j> {
    json: &'j mut Json,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum PairKey {
    Key,
    Value,
    #[serde(other)]
    Other,
}

impl<'de> DeserializeSeed<'de> for Pair<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, pair: D) -> Result<(), D::Error> {
        pair.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Pair<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a KeyValue")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        let Self { json } = self;
        let start = json.text.len();
        let (mut key, mut value) = (None, false);
        while let Some(found) = map.next_key()? {
            match found {
                PairKey::Key => key = Some(map.next_value::<&RawValue>()?.get()),
                PairKey::Value if !value => {
                    value = true;
                    map.next_value_seed(AnyValue { json, body: false })?;
                }
                PairKey::Value => return Err(M::Error::duplicate_field("value")),
                PairKey::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        if !value {
            json.raw("null");
        }
        let key = key.unwrap_or("\"\"");
        if !key.starts_with('"') {
            return Err(M::Error::custom("a key that is no text"));
        }
        // The value was read first where the sender wrote it first, which JSON allows.
        json.raw(key);
        json.raw(":");
        json.text[start..].rotate_right(key.len() + 1);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
