use std::borrow::Cow;

use crate::profile::{
    canonical::MAX_DEPTH,
    cursor::{Cursor, END},
    groups::sort_and_keep_last,
    json,
    tree::close,
};

/// How deep objects are taken apart. What is nested deeper lies in no attribute that is kept: a
/// path has fewer keys than [`MAX_DEPTH`], and a value at its end no more levels than that.
const DEPTH: usize = 2 * MAX_DEPTH;

/// Levels of objects that an attribute is merged through: all of them.
pub(super) const ALL: usize = usize::MAX;

/// A JSON value whose objects are taken apart. The rest stays text, so that numbers keep their
/// digits.
#[derive(Debug)]
pub(super) enum Document<'a> {
    /// A value as it is written.
    Text(&'a str),
    Object(Entries<'a>),
    /// An array, taken apart.
    Array(Vec<Document<'a>>),
}

/// The entries of an object in byte order of their keys, each key once.
#[derive(Debug, Default)]
pub(super) struct Entries<'a>(Vec<Entry<'a>>);

#[derive(Debug)]
struct Entry<'a> {
    /// The key without escapes. Not all keys are text: JSON can write lone surrogates.
    key: Cow<'a, [u8]>,
    /// The key as it is written, with its quotes.
    literal: &'a str,
    value: Document<'a>,
}

impl<'a> Document<'a> {
    /// Takes a valid JSON value apart.
    pub(super) fn parse(json: &'a str) -> Self {
        Self::at(json, &mut Cursor::new(json), 0)
    }

    fn at(json: &'a str, cursor: &mut Cursor<'a>, depth: usize) -> Self {
        if cursor.token() == b'{' && depth < DEPTH {
            return Self::Object(Entries::at(json, cursor, depth));
        }
        let start = cursor.at;
        cursor.skip_value();
        Self::Text(&json[start..cursor.at])
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self, Self::Text("null"))
    }

    pub(super) fn entries(self) -> Option<Entries<'a>> {
        match self {
            Self::Object(entries) => Some(entries),
            Self::Text(_) | Self::Array(_) => None,
        }
    }

    /// The items of an array; none of any other value.
    pub(super) fn items(self) -> Vec<Self> {
        match self {
            Self::Array(items) => items,
            Self::Text(text) if text.starts_with('[') => {
                let mut cursor = Cursor::new(text);
                cursor.at += 1;
                let mut items = Vec::new();
                while !matches!(cursor.token(), b']' | END) {
                    items.push(Self::at(text, &mut cursor, 0));
                    cursor.skip(b',');
                }
                items
            }
            Self::Text(_) | Self::Object(_) => Vec::new(),
        }
    }

    /// Whether it is known what stands at this path once this is merged, as a patch, into something
    /// of which that is not known.
    pub(super) fn settles(&self, path: &[String]) -> bool {
        match (self, path.split_first()) {
            (Self::Object(entries), Some((key, inside))) => {
                entries.get(key).is_some_and(|value| value.settles(inside))
            }
            // What is no object takes the place of all that was there.
            _ => true,
        }
    }

    /// Merges a patch into what was there before (RFC 7396). Objects that lie `levels` deep or
    /// deeper are not merged but take the place of what was there.
    pub(super) fn merged(former: Option<Self>, patch: Self, levels: usize) -> Self {
        let Self::Object(changes) = patch else { return patch };
        let former = former.filter(|_| levels > 0).and_then(Self::entries).unwrap_or_default();
        let below = levels.saturating_sub(1);
        Self::Object(former.joined(changes, |former, new| Self::merged(former, new, below)))
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Text(text) => out.extend_from_slice(text.as_bytes()),
            Self::Object(entries) => {
                out.push(b'{');
                for Entry { literal, value, .. } in &entries.0 {
                    out.extend_from_slice(literal.as_bytes());
                    out.push(b':');
                    value.write(out);
                    out.push(b',');
                }
                close(out, b'}');
            }
            Self::Array(items) => {
                out.push(b'[');
                for item in items {
                    item.write(out);
                    out.push(b',');
                }
                close(out, b']');
            }
        }
    }
}

impl<'a> Entries<'a> {
    fn at(json: &'a str, cursor: &mut Cursor<'a>, depth: usize) -> Self {
        let mut entries = Vec::new();
        cursor.skip(b'{');
        while cursor.token() == b'"' {
            let start = cursor.at;
            cursor.skip_value();
            let literal = &json[start..cursor.at];
            cursor.skip(b':');
            let value = Document::at(json, cursor, depth + 1);
            entries.push(Entry { key: unquoted(literal), literal, value });
            cursor.skip(b',');
        }
        cursor.skip(b'}');
        sort_and_keep_last(&mut entries, 0, |a, b| a.key.cmp(&b.key), |_, _| ());
        Self(entries)
    }

    pub(super) fn get(&self, key: &str) -> Option<&Document<'a>> {
        self.place(key).ok().map(|i| &self.0[i].value)
    }

    pub(super) fn take(&mut self, key: &str) -> Option<Document<'a>> {
        self.place(key).ok().map(|i| self.0.remove(i).value)
    }

    /// Puts in an entry under a key that has no escapes, given with its quotes.
    pub(super) fn put(&mut self, literal: &'a str, value: Document<'a>) {
        let key = unquoted(literal);
        match self.0.binary_search_by(|entry| entry.key.cmp(&key)) {
            Ok(i) => self.0[i].value = value,
            Err(i) => self.0.insert(i, Entry { key, literal, value }),
        }
    }

    fn place(&self, key: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|entry| (*entry.key).cmp(key.as_bytes()))
    }

    /// Joins changes into these entries: `null` removes, all else is joined by `join` with what
    /// was there.
    pub(super) fn joined(
        self,
        changes: Self,
        mut join: impl FnMut(Option<Document<'a>>, Document<'a>) -> Document<'a>,
    ) -> Self {
        let mut joined = Vec::with_capacity(self.0.len() + changes.0.len());
        // Both are in byte order, so one pass pairs them.
        let mut known = self.0.into_iter().peekable();
        for Entry { key, literal, value } in changes.0 {
            while let Some(entry) = known.next_if(|entry| entry.key < key) {
                joined.push(entry);
            }
            let former = known.next_if(|entry| entry.key == key).map(|entry| entry.value);
            if !value.is_null() {
                joined.push(Entry { key, literal, value: join(former, value) });
            }
        }
        joined.extend(known);
        Self(joined)
    }
}

/// What a string literal stands for.
fn unquoted(literal: &str) -> Cow<'_, [u8]> {
    let inner = literal.as_bytes().get(1..literal.len().max(2) - 1).unwrap_or_default();
    if memchr::memchr(b'\\', inner).is_none() {
        return Cow::Borrowed(inner);
    }
    let mut key = Vec::with_capacity(inner.len());
    json::unescape(inner, &mut key);
    Cow::Owned(key)
}
