use std::{collections::BTreeMap, fmt};

use xxhash_rust::xxh3::xxh3_128;

use super::{Node, Value};

/// Fingerprints of the parts of a configuration, by which two readings of it are compared.
///
/// A part is an entry at the top, or one entry of `sources` or `sinks`. What it says is taken after
/// variables were replaced and whatever the format, the order of keys, and the comments.
#[derive(Clone, Default)]
pub(in crate::config) struct Prints(BTreeMap<(String, String), u128>);

impl Prints {
    /// The fingerprints of a whole configuration.
    pub(in crate::config) fn of(tree: &Node) -> Self {
        let mut prints = BTreeMap::new();
        let Value::Map(entries) = &tree.value else { return Self::default() };
        for entry in entries {
            match &entry.value.value {
                Value::Map(named) if entry.key == "sources" || entry.key == "sinks" => {
                    prints.extend(
                        named.iter().map(|part| {
                            ((entry.key.clone(), part.key.clone()), print(&part.value))
                        }),
                    );
                }
                _ => drop(prints.insert((entry.key.clone(), String::new()), print(&entry.value))),
            }
        }
        Self(prints)
    }

    /// Whether this part says the same in both, or is in neither. `name` is that of a source or
    /// sink, and empty for other parts.
    pub(in crate::config) fn agree(&self, other: &Self, part: &str, name: &str) -> bool {
        let key = (part.to_owned(), name.to_owned());
        self.0.get(&key) == other.0.get(&key)
    }
}

/// A short secret could be guessed from its fingerprint.
impl fmt::Debug for Prints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

fn print(node: &Node) -> u128 {
    let mut bytes = Vec::new();
    write(node, &mut bytes);
    xxh3_128(&bytes)
}

/// Every value begins with a byte for its kind, and what has no fixed length with its length, so
/// that different values never make the same bytes.
fn write(node: &Node, bytes: &mut Vec<u8>) {
    match &node.value {
        Value::Null => bytes.push(0),
        Value::Bool(value) => bytes.extend([1, u8::from(*value)]),
        Value::Integer(value) => {
            bytes.push(2);
            bytes.extend(value.to_le_bytes());
        }
        Value::Float(value) => {
            bytes.push(3);
            bytes.extend(value.to_bits().to_le_bytes());
        }
        Value::Text(text) => {
            // A variable may stand for a number, which the same text in quotes may not.
            bytes.extend([4, u8::from(text.is_variable())]);
            write_text(&text.text, bytes);
        }
        Value::List(items) => {
            bytes.push(5);
            write_length(items.len(), bytes);
            for item in items {
                write(item, bytes);
            }
        }
        Value::Map(entries) => {
            bytes.push(6);
            write_length(entries.len(), bytes);
            let mut entries: Vec<_> = entries.iter().collect();
            entries.sort_by(|a, b| a.key.cmp(&b.key));
            for entry in entries {
                write_text(&entry.key, bytes);
                write(&entry.value, bytes);
            }
        }
    }
}

fn write_text(text: &str, bytes: &mut Vec<u8>) {
    write_length(text.len(), bytes);
    bytes.extend(text.as_bytes());
}

fn write_length(length: usize, bytes: &mut Vec<u8>) {
    bytes.extend((length as u64).to_le_bytes());
}
