use std::{fmt, sync::Arc};

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Error, Location, Spanned, UserMessageFormatter};

use super::{Entry, Node, Value};
use crate::config::problem::{Place, Problem, SourceFile};

/// Reads a YAML document.
pub(super) fn parse(file: &Arc<SourceFile>) -> Result<Node, Vec<Problem>> {
    let options = serde_saphyr::options! { with_snippet: false, strict_booleans: true };
    serde_saphyr::from_str_with_options::<Spanned<Raw>>(&file.text, options)
        .map(|raw| node(raw, file))
        .map_err(|error| vec![problem(&error, file)])
}

fn problem(error: &Error, file: &Arc<SourceFile>) -> Problem {
    let message = error.render_with_formatter(&UserMessageFormatter);
    // The place is shown in our own way.
    let message = message.split(" at line ").next().unwrap_or(&message);
    let Some(location) = error.location() else {
        return Problem::nowhere(format!("{}: {message}", file.name));
    };
    let place = place(location, file);
    if let Error::DuplicateMappingKey { key, .. } = error.without_snippet() {
        let key = key.as_deref().unwrap_or("this key");
        return Problem::at(&place, format!("`{key}` stands here twice"))
            .help("remove one of the two, or give it another name");
    }
    let (line, _) = place.line_column();
    let line = file.text.lines().nth(line - 1).unwrap_or_default();
    let problem = Problem::at(&place, message);
    match hint(message, line) {
        Some(hint) => problem.help(hint),
        None => problem,
    }
}

/// What usually lies behind a document that is no YAML.
fn hint(message: &str, line: &str) -> Option<&'static str> {
    if line.contains(['{', '[']) && line.contains(" ${") {
        Some("inside { } and [ ] a variable must be quoted: \"${NAME}\"")
    } else if message.contains("tab") {
        Some("indent with spaces; YAML does not allow tabs there")
    } else if message.contains("quote") {
        Some("look for a quote that is opened here or above and not closed")
    } else if message.contains("mapping values") {
        Some("put a value that holds `: ` in quotes, and indent neighbours alike")
    } else {
        None
    }
}

fn place(location: Location, file: &Arc<SourceFile>) -> Place {
    let span = location.span();
    let at = |value: Option<u64>| value.and_then(|value| usize::try_from(value).ok());
    if let (Some(start), Some(length)) = (at(span.byte_offset()), at(span.byte_len())) {
        return Place::new(file, start, start.saturating_add(length));
    }
    // Errors of the scanner know their place in characters only.
    let characters = usize::try_from(span.offset()).unwrap_or(usize::MAX);
    let start = file.text.char_indices().nth(characters).map_or(file.text.len(), |(at, _)| at);
    Place::new(file, start, start)
}

fn node(raw: Spanned<Raw>, file: &Arc<SourceFile>) -> Node {
    let value = match raw.value {
        Raw::Scalar(value) => value,
        Raw::List(items) => Value::List(items.into_iter().map(|item| node(item, file)).collect()),
        Raw::Map(entries) => Value::Map(
            entries
                .into_iter()
                .map(|(key, value)| Entry {
                    key_place: place(key.referenced, file),
                    key: key.value,
                    value: node(value, file),
                })
                .collect(),
        ),
    };
    Node::new(value, place(raw.referenced, file))
}

/// A value as the deserializer hands it over.
enum Raw {
    Scalar(Value),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Scalar(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Scalar(Value::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Scalar(Value::Integer(value.into())))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Scalar(Value::Integer(value.into())))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Scalar(Value::Float(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Scalar(value.to_owned().into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Raw::Map(map))
    }
}
