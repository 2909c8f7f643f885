use std::{net::SocketAddr, path::PathBuf, time::Duration};

use super::Findings;
use crate::{
    config::{
        problem::Problem,
        written::{Node, Text, Value},
    },
    profile::Path,
};

/// The longest time that any option may name.
const LONGEST: Duration = Duration::from_hours(24);

/// How a value of this type is read. `name` is the option that messages speak of.
///
/// What is wrong with a value is reported to the findings, and then there is no value.
pub(super) trait Read: Sized {
    fn read(name: &str, node: Node, findings: &Findings) -> Option<Self>;
}

/// Text that may be empty and is kept as it is.
impl Read for Text {
    fn read(name: &str, node: Node, findings: &Findings) -> Option<Self> {
        let kind = node.kind();
        if let Value::Text(text) = node.value {
            return Some(text);
        }
        let problem =
            Problem::at(&node.place, format!("`{name}` must be text, but this is {kind}"));
        findings.error(match node.value {
            Value::List(_) | Value::Map(_) => problem.help("write one value"),
            _ => problem.help("put it in quotes"),
        });
        None
    }
}

/// Text that says something.
impl Read for String {
    fn read(name: &str, node: Node, findings: &Findings) -> Option<Self> {
        let place = node.place.clone();
        let text = Text::read(name, node, findings)?;
        if text.text.trim().is_empty() {
            let from = if text.has_variable() { "; its variable is set to nothing" } else { "" };
            findings.error(
                Problem::at(&place, format!("`{name}` is empty{from}"))
                    .help("give it a value, or remove it"),
            );
            return None;
        }
        Some(text.text)
    }
}

impl Read for PathBuf {
    fn read(name: &str, node: Node, findings: &Findings) -> Option<Self> {
        String::read(name, node, findings).map(Self::from)
    }
}

impl Read for bool {
    fn read(name: &str, node: Node, findings: &Findings) -> Option<Self> {
        match &node.value {
            Value::Bool(value) => return Some(*value),
            Value::Text(text) if text.is_variable() => match text.text.trim() {
                "true" => return Some(true),
                "false" => return Some(false),
                _ => {}
            },
            _ => {}
        }
        mismatch(name, "`true` or `false`", &node, findings)
    }
}

/// A whole number.
impl Read for i128 {
    fn read(name: &str, node: Node, findings: &Findings) -> Option<Self> {
        match &node.value {
            Value::Integer(value) => return Some(*value),
            Value::Text(text) if text.is_variable() => {
                if let Ok(value) = text.text.trim().parse() {
                    return Some(value);
                }
            }
            _ => {}
        }
        mismatch(name, "a whole number", &node, findings)
    }
}

/// A time in seconds, fractions allowed.
impl Read for Duration {
    fn read(name: &str, node: Node, findings: &Findings) -> Option<Self> {
        #[expect(clippy::cast_precision_loss, reason = "absurd values are refused below")]
        let seconds = match &node.value {
            Value::Integer(value) => Some(*value as f64),
            Value::Float(value) => Some(*value),
            Value::Text(text) if text.is_variable() => text.text.trim().parse().ok(),
            _ => None,
        };
        let Some(seconds) = seconds else {
            return mismatch(name, "a number of seconds", &node, findings);
        };
        let duration = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        if duration < Duration::from_millis(1) || duration > LONGEST {
            findings.error(
                Problem::at(&node.place, format!("`{name}` cannot be {seconds} seconds"))
                    .help("write seconds, from 0.001 to 86400 (a day)"),
            );
            return None;
        }
        Some(duration)
    }
}

impl Read for SocketAddr {
    fn read(name: &str, node: Node, findings: &Findings) -> Option<Self> {
        let place = node.place.clone();
        let address = String::read(name, node, findings)?.parse().ok();
        if address.is_none() {
            findings.error(
                Problem::at(&place, format!("`{name}` must be an IP address and a port"))
                    .help("write for example 127.0.0.1:8080"),
            );
        }
        address
    }
}

impl Read for Path {
    fn read(name: &str, node: Node, findings: &Findings) -> Option<Self> {
        let place = node.place.clone();
        let text = String::read(name, node, findings)?;
        text.parse::<Self>()
            .map_err(|error| findings.error(Problem::with_remedy(&place, &error)))
            .ok()
    }
}

/// A list; a single value stands for a list of one. Values that cannot be read are reported and
/// left out.
impl<T: Read> Read for Vec<T> {
    fn read(name: &str, node: Node, findings: &Findings) -> Option<Self> {
        match node.value {
            Value::List(items) => {
                Some(items.into_iter().filter_map(|item| T::read(name, item, findings)).collect())
            }
            _ => T::read(name, node, findings).map(|one| vec![one]),
        }
    }
}

/// A value with its place.
impl<T: Read> Read for super::Located<T> {
    fn read(name: &str, node: Node, findings: &Findings) -> Option<Self> {
        let place = node.place.clone();
        Some(Self { value: T::read(name, node, findings)?, place })
    }
}

fn mismatch<T>(name: &str, expected: &str, node: &Node, findings: &Findings) -> Option<T> {
    let found = match &node.value {
        Value::Text(text) if text.has_variable() => "its variable holds something else".to_owned(),
        Value::Text(text) if is_quoted(expected, &text.text) => {
            "this is text; remove the quotes".to_owned()
        }
        _ => format!("this is {}", node.kind()),
    };
    findings.error(
        Problem::at(&node.place, format!("`{name}` must be {expected}, but {found}"))
            .help(format!("write {expected}")),
    );
    None
}

/// Whether the text is the value that was expected, only written in quotes.
fn is_quoted(expected: &str, text: &str) -> bool {
    match text {
        "true" | "false" => expected.contains(text),
        _ => expected.contains("number") && text.parse::<f64>().is_ok(),
    }
}
