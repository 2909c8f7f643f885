use std::ops::Range;

use crate::config::problem::Place;

/// A value with its place.
pub(in crate::config) struct Node {
    pub(in crate::config) value: Value,
    pub(in crate::config) place: Place,
}

/// What all three formats can say.
pub(in crate::config) enum Value {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(Text),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// Text, and which parts of it are values of variables.
pub(in crate::config) struct Text {
    pub(in crate::config) text: String,
    /// The parts of `text` that took the place of a `${…}`: they are never shown and never split.
    pub(in crate::config) variables: Vec<Range<usize>>,
}

/// A key of a map with its value.
pub(in crate::config) struct Entry {
    pub(in crate::config) key: String,
    pub(in crate::config) key_place: Place,
    pub(in crate::config) value: Node,
}

impl Node {
    pub(in crate::config) fn new(value: Value, place: Place) -> Self {
        Self { value, place }
    }

    /// What kind of value this is, as an operator would say it.
    pub(in crate::config) fn kind(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "a boolean",
            Value::Integer(_) | Value::Float(_) => "a number",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }
}

impl Text {
    /// Whether a variable is part of it.
    pub(in crate::config) fn has_variable(&self) -> bool {
        !self.variables.is_empty()
    }

    /// Whether it is one variable and nothing else: then it may stand for a number or a boolean.
    pub(in crate::config) fn is_variable(&self) -> bool {
        matches!(self.variables.as_slice(), [one] if *one == (0..self.text.len()))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Text { text, variables: Vec::new() })
    }
}
