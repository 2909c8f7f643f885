use std::ops::Range;

use super::{Path, consent, json};

/// The paths of a mapping as a tree: a record is read by walking it, and attributes are written
/// at their own paths by it.
#[derive(Debug, Default)]
pub(super) struct Node {
    key: String,
    /// The key as it is written: quoted, escaped, with its colon.
    literal: Vec<u8>,
    /// Where the value's text is put, if it is wanted.
    pub(super) slot: Option<usize>,
    /// Whether the value is a mapped attribute.
    attribute: bool,
    /// Whether the value is kept as consent, apart from attributes.
    consent: bool,
    /// All slots from here down, so that they are reset in one step.
    pub(super) span: Range<usize>,
    /// In an order that is quick to search: by the length of the key, then by its bytes.
    pub(super) children: Vec<Node>,
    /// The children in the order in which they were added, to be written.
    order: Vec<usize>,
}

impl Node {
    /// A tree of these paths. Attributes are written in their order.
    pub(super) fn new<'p>(
        attributes: impl IntoIterator<Item = &'p Path>,
        others: impl IntoIterator<Item = &'p Path>,
    ) -> Self {
        Self::keeping(attributes, [], others)
    }

    /// The same, with the paths at which consent is kept.
    pub(super) fn keeping<'p>(
        attributes: impl IntoIterator<Item = &'p Path>,
        consents: impl IntoIterator<Item = &'p Path>,
        others: impl IntoIterator<Item = &'p Path>,
    ) -> Self {
        let mut root = Self::default();
        for path in attributes {
            root.insert(&path.0).attribute = true;
        }
        for path in consents {
            root.insert(&path.0).consent = true;
        }
        for path in others {
            root.insert(&path.0);
        }
        root.number(0);
        root
    }

    fn insert(&mut self, path: &[String]) -> &mut Self {
        let Some((key, rest)) = path.split_first() else {
            // Numbered once the tree is whole.
            self.slot = Some(0);
            return self;
        };
        let i = match self.search(key) {
            Ok(i) => i,
            Err(i) => {
                let mut literal = Vec::new();
                json::write_string(key, &mut literal);
                literal.push(b':');
                let child = Self { key: key.clone(), literal, ..Self::default() };
                self.children.insert(i, child);
                for place in &mut self.order {
                    *place += usize::from(*place >= i);
                }
                self.order.push(i);
                i
            }
        };
        self.children[i].insert(rest)
    }

    fn number(&mut self, first: usize) -> usize {
        let mut next = first;
        if let Some(slot) = &mut self.slot {
            *slot = next;
            next += 1;
        }
        for child in &mut self.children {
            next = child.number(next);
        }
        self.span = first..next;
        next
    }

    pub(super) fn child(&self, key: &str) -> Option<&Self> {
        self.search(key).ok().map(|i| &self.children[i])
    }

    fn search(&self, key: &str) -> Result<usize, usize> {
        self.children.binary_search_by(|child| {
            child.key.len().cmp(&key.len()).then_with(|| child.key.as_str().cmp(key))
        })
    }

    /// The slot of a path that is in the tree.
    pub(super) fn slot_of(&self, path: &Path) -> Option<usize> {
        path.0.iter().try_fold(self, |node, key| node.child(key))?.slot
    }

    /// Writes the entries of this node's object: each attribute at its path, in the order of the
    /// configuration, and a comma behind each entry. Objects with nothing in them are left out;
    /// `prefix` is removed from the keys inside values.
    pub(super) fn write(
        &self,
        slots: &[Option<&str>],
        absent: Absent,
        prefix: Option<&str>,
        out: &mut Vec<u8>,
    ) {
        self.write_with(slots, absent, false, prefix, out);
    }

    /// Writes what is kept: the attributes that are present, and with them the consents.
    pub(super) fn write_kept(
        &self,
        slots: &[Option<&str>],
        prefix: Option<&str>,
        out: &mut Vec<u8>,
    ) {
        self.write_with(slots, Absent::Omitted, true, prefix, out);
    }

    fn write_with(
        &self,
        slots: &[Option<&str>],
        absent: Absent,
        consents: bool,
        prefix: Option<&str>,
        out: &mut Vec<u8>,
    ) {
        for child in self.order.iter().map(|&i| &self.children[i]) {
            let start = out.len();
            out.extend_from_slice(&child.literal);
            let value = child.slot.and_then(|slot| slots[slot]);
            let consent = value.filter(|raw| consents && child.consent && consent::is_kept(raw));
            if child.attribute {
                match value {
                    Some(raw) => json::compact(raw, prefix, out),
                    None if absent == Absent::Null => out.extend_from_slice(b"null"),
                    None => {
                        out.truncate(start);
                        continue;
                    }
                }
            } else if let Some(raw) = consent {
                out.extend_from_slice(raw.as_bytes());
            } else {
                out.push(b'{');
                let inside = out.len();
                child.write_with(slots, absent, consents, prefix, out);
                if out.len() == inside {
                    out.truncate(start);
                    continue;
                }
                close(out, b'}');
            }
            out.push(b',');
        }
    }
}

/// How an absent attribute is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Absent {
    Omitted,
    Null,
}

/// Ends an object or array whose entries were each written with a comma behind them.
pub(super) fn close(out: &mut Vec<u8>, bracket: u8) {
    if out.last() == Some(&b',') {
        out.pop();
    }
    out.push(bracket);
}
