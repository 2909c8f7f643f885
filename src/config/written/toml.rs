use std::{ops::Range, sync::Arc};

use toml::de::{DeTable, DeValue};

use super::{Entry, Node, Value};
use crate::config::problem::{Place, Problem, SourceFile};

/// Reads a TOML document.
pub(super) fn parse(file: &Arc<SourceFile>) -> Result<Node, Vec<Problem>> {
    let (table, errors) = DeTable::parse_recoverable(&file.text);
    let mut problems: Vec<_> = errors.iter().map(|error| problem(error, file)).collect();
    let whole = place(&(0..0), file);
    let map = map(table.into_inner(), file, &mut problems);
    if problems.is_empty() { Ok(Node::new(map, whole)) } else { Err(problems) }
}

fn problem(error: &toml::de::Error, file: &Arc<SourceFile>) -> Problem {
    match error.span() {
        Some(span) => Problem::at(&place(&span, file), error.message()),
        None => Problem::nowhere(format!("{}: {}", file.name, error.message())),
    }
}

fn place(span: &Range<usize>, file: &Arc<SourceFile>) -> Place {
    Place::new(file, span.start, span.end)
}

fn map(table: DeTable<'_>, file: &Arc<SourceFile>, problems: &mut Vec<Problem>) -> Value {
    let mut entries: Vec<_> = table.into_iter().collect();
    // The table is sorted by name; the order of the file reads better in messages.
    entries.sort_by_key(|(key, _)| key.span().start);
    Value::Map(
        entries
            .into_iter()
            .map(|(key, value)| {
                let value_place = place(&value.span(), file);
                Entry {
                    key_place: place(&key.span(), file),
                    key: key.into_inner().into_owned(),
                    value: node(value.into_inner(), value_place, file, problems),
                }
            })
            .collect(),
    )
}

fn node(
    value: DeValue<'_>,
    at: Place,
    file: &Arc<SourceFile>,
    problems: &mut Vec<Problem>,
) -> Node {
    let value = match value {
        DeValue::String(text) => text.into_owned().into(),
        DeValue::Integer(number) => match i128::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Value::Integer(number),
            Err(error) => {
                problems.push(Problem::at(&at, format!("cannot read this number: {error}")));
                Value::Null
            }
        },
        DeValue::Float(number) => match number.as_str().parse() {
            Ok(number) => Value::Float(number),
            Err(error) => {
                problems.push(Problem::at(&at, format!("cannot read this number: {error}")));
                Value::Null
            }
        },
        DeValue::Boolean(value) => Value::Bool(value),
        DeValue::Datetime(time) => time.to_string().into(),
        DeValue::Array(items) => Value::List(
            items
                .into_iter()
                .map(|item| {
                    let at = place(&item.span(), file);
                    node(item.into_inner(), at, file, problems)
                })
                .collect(),
        ),
        DeValue::Table(table) => map(table, file, problems),
    };
    Node::new(value, at)
}
