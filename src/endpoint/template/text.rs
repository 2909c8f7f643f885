use std::fmt;

use super::{TemplateError, Unrenderable, Value};

/// A text with holes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// The literal parts. Between each two of them lies a hole.
    literals: Vec<String>,
    /// The names of the holes.
    names: Vec<String>,
}

impl Template {
    /// A text without holes, whatever characters it has.
    pub fn literal(text: impl Into<String>) -> Self {
        Self { literals: vec![text.into()], names: Vec::new() }
    }

    /// Reads a text.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        Self::parse_around(text, |_| false)
    }

    /// Reads a text in which the bytes for which `literal` holds have no special meaning.
    pub fn parse_around(
        text: &str,
        literal: impl Fn(usize) -> bool,
    ) -> Result<Self, TemplateError> {
        let mut template = Self::literal("");
        let mut at = 0;
        while let Some(c) = text[at..].chars().next() {
            let rest = &text[at + c.len_utf8()..];
            at += c.len_utf8();
            match c {
                _ if literal(at - c.len_utf8()) => template.push(c),
                '\\' if rest.starts_with(['{', '}']) && !literal(at) => {
                    template.push(if rest.starts_with('{') { '{' } else { '}' });
                    at += 1;
                }
                '{' if rest.starts_with('{') => return Err(TemplateError::Doubled),
                '{' => {
                    let end = end_of_name(rest).ok_or(TemplateError::Unclosed)?;
                    if rest[..end].trim().is_empty() {
                        return Err(TemplateError::Nameless);
                    }
                    template.names.push(rest[..end].to_owned());
                    template.literals.push(String::new());
                    at += end + 1;
                }
                '}' => return Err(TemplateError::Unopened),
                _ => template.push(c),
            }
        }
        Ok(template)
    }

    /// The names of the holes, in their order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The literal parts, one more than there are holes.
    pub fn literals(&self) -> &[String] {
        &self.literals
    }

    /// Changes the literal parts.
    pub fn map_literals(&mut self, change: impl FnMut(&String) -> String) {
        self.literals = self.literals.iter().map(change).collect();
    }

    /// Adds another template at the end.
    pub fn append(&mut self, other: Self) {
        let mut literals = other.literals.into_iter();
        if let Some(first) = literals.next() {
            self.last().push_str(&first);
        }
        self.literals.extend(literals);
        self.names.extend(other.names);
    }

    /// The parts before and after the first literal `c`.
    pub fn split_once(&self, c: char) -> Option<(Self, Self)> {
        let (i, (before, after)) = self
            .literals
            .iter()
            .enumerate()
            .find_map(|(i, literal)| Some((i, literal.split_once(c)?)))?;
        let part = |literals: &[&[String]], names: &[String]| Self {
            literals: literals.concat(),
            names: names.to_vec(),
        };
        let first = part(&[&self.literals[..i], &[before.to_owned()]], &self.names[..i]);
        let last = part(&[&[after.to_owned()], &self.literals[i + 1..]], &self.names[i..]);
        Some((first, last))
    }

    /// The parts between each literal `c`.
    pub fn split(mut self, c: char) -> Vec<Self> {
        let mut parts = Vec::new();
        while let Some((part, rest)) = self.split_once(c) {
            parts.push(part);
            self = rest;
        }
        parts.push(self);
        parts
    }

    /// Whether there is one hole and nothing else.
    pub fn is_one_hole(&self) -> bool {
        self.names.len() == 1 && self.literals.iter().all(String::is_empty)
    }

    /// The text with the same word in every hole.
    pub fn filled_with(&self, word: &str) -> String {
        self.literals.join(word)
    }

    /// Writes the literals as they are, and each value, which is checked, by `write`.
    ///
    /// # Errors
    ///
    /// A value is missing, empty, `.` or `..`.
    pub(super) fn render(
        &self,
        values: &[Value<'_>],
        write: impl Fn(&str, &mut String),
    ) -> Result<String, Unrenderable> {
        let size = |value: &Value<'_>| value.as_ref().map_or(0, |value| value.len());
        let literals: usize = self.literals.iter().map(String::len).sum();
        let mut text = String::with_capacity(literals + values.iter().map(size).sum::<usize>());
        for (i, literal) in self.literals.iter().enumerate() {
            text.push_str(literal);
            if let Some(name) = self.names.get(i) {
                write(checked(name, values.get(i))?, &mut text);
            }
        }
        Ok(text)
    }

    fn push(&mut self, c: char) {
        self.last().push(c);
    }

    fn last(&mut self) -> &mut String {
        self.literals.last_mut().expect("there is one literal more than there are holes")
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, literal) in self.literals.iter().enumerate() {
            f.write_str(literal)?;
            if let Some(name) = self.names.get(i) {
                write!(f, "{{{name}}}")?;
            }
        }
        Ok(())
    }
}

/// Where the brace is that ends a name. One in quotes belongs to the name, if the quotes are closed
/// at all.
fn end_of_name(text: &str) -> Option<usize> {
    let mut quoted = false;
    let mut escaped = false;
    let mut ends = |c: char| {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = quoted,
            '"' => quoted = !quoted,
            '}' => return !quoted,
            _ => {}
        }
        false
    };
    text.find(&mut ends).or_else(|| text.find('}'))
}

fn checked<'v>(name: &str, value: Option<&'v Value<'_>>) -> Result<&'v str, Unrenderable> {
    match value.and_then(Option::as_deref) {
        None => Err(Unrenderable::Missing(name.to_owned())),
        Some("") => Err(Unrenderable::Empty(name.to_owned())),
        Some("." | "..") => Err(Unrenderable::Dots(name.to_owned())),
        Some(value) => Ok(value),
    }
}
