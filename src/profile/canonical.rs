//! The canonical form of a JSON value as a hash: equal for values that mean the same, however they
//! are written.
//!
//! Each value is hashed by itself and containers hash the hashes of what they hold, so that one
//! pass suffices and no form of a value is ever built. Strings are unescaped, numbers are exact
//! decimals, object entries are put in the order of their keys' hashes, and of entries with one
//! key the last counts.

use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::{
    cursor::{Cursor, END},
    number,
};

/// How deep a value may be nested. The walk is recursive, and so is that of most receivers.
pub(super) const MAX_DEPTH: usize = 128;

/// The value is nested more than [`MAX_DEPTH`] levels deep.
#[derive(Debug)]
pub(super) struct TooDeep;

/// What a hash stands for. Each kind has a seed of its own, so that `"1"` and `1` differ without
/// a copy of the text behind a tag.
#[derive(Clone, Copy)]
enum Kind {
    Null = 1,
    False,
    True,
    Number,
    /// A number that stands for its own text.
    VastNumber,
    String,
    Array,
    Object,
}

/// Hashes values; holds what is reused from one to the next.
pub(super) struct Canonical<'s> {
    seed: u64,
    /// Removed from every key.
    prefix: Option<&'s str>,
    /// Entries of the objects that are being read, the innermost last.
    entries: Vec<(u128, u128)>,
    text: Vec<u8>,
}

impl<'s> Canonical<'s> {
    pub(super) fn new(seed: u64, prefix: Option<&'s str>) -> Self {
        Self { seed, prefix, entries: Vec::new(), text: Vec::new() }
    }

    /// The hash of a valid JSON value.
    pub(super) fn value(&mut self, json: &str) -> Result<u128, TooDeep> {
        self.any(&mut Cursor::new(json), 0)
    }

    fn any(&mut self, cursor: &mut Cursor<'_>, depth: usize) -> Result<u128, TooDeep> {
        match cursor.token() {
            b'{' => self.object(cursor, depth),
            b'[' => self.array(cursor, depth),
            b'"' => {
                let text = cursor.string(&mut self.text);
                Ok(hash(self.seed, Kind::String, text))
            }
            b't' => Ok(self.word(cursor, "true", Kind::True)),
            b'f' => Ok(self.word(cursor, "false", Kind::False)),
            b'n' => Ok(self.word(cursor, "null", Kind::Null)),
            _ => {
                self.text.clear();
                let normal = number::canonical(cursor.number(), &mut self.text);
                let kind = if normal { Kind::Number } else { Kind::VastNumber };
                Ok(hash(self.seed, kind, &self.text))
            }
        }
    }

    fn word(&self, cursor: &mut Cursor<'_>, word: &str, kind: Kind) -> u128 {
        cursor.at += word.len();
        hash(self.seed, kind, &[])
    }

    fn array(&mut self, cursor: &mut Cursor<'_>, depth: usize) -> Result<u128, TooDeep> {
        if depth == MAX_DEPTH {
            return Err(TooDeep);
        }
        cursor.at += 1;
        let mut state = hash(self.seed, Kind::Array, &[]);
        while !matches!(cursor.token(), b']' | END) {
            let item = self.any(cursor, depth + 1)?;
            state = join(self.seed, Kind::Array, &[state, item]);
            cursor.skip(b',');
        }
        cursor.at += 1;
        Ok(state)
    }

    fn object(&mut self, cursor: &mut Cursor<'_>, depth: usize) -> Result<u128, TooDeep> {
        if depth == MAX_DEPTH {
            return Err(TooDeep);
        }
        cursor.at += 1;
        let start = self.entries.len();
        while cursor.token() == b'"' {
            let mut key = cursor.string(&mut self.text);
            if let Some(prefix) = self.prefix {
                key = key.strip_prefix(prefix.as_bytes()).unwrap_or(key);
            }
            let key = hash(self.seed, Kind::String, key);
            cursor.skip(b':');
            let value = self.any(cursor, depth + 1)?;
            self.entries.push((key, value));
            cursor.skip(b',');
        }
        cursor.at += 1;

        let entries = &mut self.entries[start..];
        // Stable, so that of entries with one key the last stays last.
        entries.sort_by_key(|&(key, _)| key);
        let mut state = hash(self.seed, Kind::Object, &[]);
        for (i, &(key, value)) in entries.iter().enumerate() {
            if entries.get(i + 1).is_none_or(|&(next, _)| next != key) {
                state = join(self.seed, Kind::Object, &[state, key, value]);
            }
        }
        self.entries.truncate(start);
        Ok(state)
    }
}

fn hash(seed: u64, kind: Kind, bytes: &[u8]) -> u128 {
    // An odd factor spreads the kinds over all seeds; its value is that of the golden ratio.
    let seed = seed ^ (kind as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    xxh3_128_with_seed(bytes, seed)
}

fn join<const N: usize>(seed: u64, kind: Kind, hashes: &[u128; N]) -> u128 {
    hash(seed, kind, hashes.map(u128::to_le_bytes).as_flattened())
}
