use std::{fmt, sync::Arc};

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{Entry, Node, Value};
use crate::config::problem::{Place, Problem, SourceFile};

/// How many levels a document may have; far more than there are options.
const DEEPEST: usize = 64;

/// Reads a JSON document.
///
/// Each level is read on its own as slices of the text, since a slice tells its place.
pub(super) fn parse(file: &Arc<SourceFile>) -> Result<Node, Vec<Problem>> {
    let raw: &RawValue = serde_json::from_str(&file.text).map_err(|error| {
        // The column counts bytes.
        let line_start: usize = file
            .text
            .split_inclusive('\n')
            .take(error.line().saturating_sub(1))
            .map(str::len)
            .sum();
        let start = line_start + error.column().saturating_sub(1);
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or(&message);
        vec![Problem::at(&Place::new(file, start, start + 1), format!("not JSON: {message}"))]
    })?;
    let mut problems = Vec::new();
    let node = node(raw, 0, file, &mut problems);
    if problems.is_empty() { Ok(node) } else { Err(problems) }
}

fn node(raw: &RawValue, depth: usize, file: &Arc<SourceFile>, problems: &mut Vec<Problem>) -> Node {
    let at = place(raw, file);
    if depth > DEEPEST {
        problems.push(Problem::at(&at, "this is nested too deeply for a configuration"));
        return Node::new(Value::Null, at);
    }
    let depth = depth + 1;
    let value = match serde_json::from_str(raw.get()) {
        Ok(Level::Scalar(value)) => value,
        Ok(Level::List(items)) => {
            Value::List(items.into_iter().map(|item| node(item, depth, file, problems)).collect())
        }
        Ok(Level::Map(members)) => {
            let mut entries: Vec<Entry> = Vec::with_capacity(members.len());
            for (key, value) in members {
                let key_place = place(key, file);
                let key = serde_json::from_str::<String>(key.get()).unwrap_or_default();
                if let Some(first) = entries.iter().find(|entry| entry.key == key) {
                    problems.push(Problem::at(
                        &key_place,
                        format!("`{key}` stands here twice, first at {}", first.key_place),
                    ));
                }
                entries.push(Entry { key, key_place, value: node(value, depth, file, problems) });
            }
            Value::Map(entries)
        }
        Err(error) => {
            problems.push(Problem::at(&at, format!("cannot read this value: {error}")));
            Value::Null
        }
    };
    Node::new(value, at)
}

fn place(slice: &RawValue, file: &Arc<SourceFile>) -> Place {
    let start = (slice.get().as_ptr() as usize).saturating_sub(file.text.as_ptr() as usize);
    Place::new(file, start, start + slice.get().len())
}

/// One level of a document.
enum Level<'a> {
    Scalar(Value),
    List(Vec<&'a RawValue>),
    Map(Vec<(&'a RawValue, &'a RawValue)>),
}

impl<'de: 'a, 'a> Deserialize<'de> for Level<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LevelVisitor)
    }
}

struct LevelVisitor;

impl<'de> Visitor<'de> for LevelVisitor {
    type Value = Level<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Level<'de>, E> {
        Ok(Level::Scalar(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Level<'de>, E> {
        Ok(Level::Scalar(Value::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Level<'de>, E> {
        Ok(Level::Scalar(Value::Integer(value.into())))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Level<'de>, E> {
        Ok(Level::Scalar(Value::Integer(value.into())))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Level<'de>, E> {
        Ok(Level::Scalar(Value::Float(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Level<'de>, E> {
        Ok(Level::Scalar(value.to_owned().into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Level<'de>, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Level::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Level<'de>, A::Error> {
        let mut map = Vec::new();
        while let Some(member) = members.next_entry()? {
            map.push(member);
        }
        Ok(Level::Map(map))
    }
}
