use std::{borrow::Cow, fmt};

use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::value::RawValue;

use super::Reader;
use crate::profile::tree::Node;

/// An object key, borrowed unless it has escapes, without the prefix.
pub(super) struct Key<'m> {
    pub(super) prefix: Option<&'m str>,
}

impl Key<'_> {
    fn strip<'k>(&self, key: &'k str) -> &'k str {
        self.prefix.and_then(|prefix| key.strip_prefix(prefix)).unwrap_or(key)
    }
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key<'_> {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(self.strip(key)))
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(self.strip(key).to_owned()))
    }
}

/// Walks a node of the tree. What is no object has nothing below it.
pub(super) struct Walk<'r, 'm, 'a> {
    pub(super) reader: &'r mut Reader<'m, 'a>,
    pub(super) node: &'m Node,
}

impl<'de> DeserializeSeed<'de> for Walk<'_, '_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        // A key that comes twice: nothing of what was below it the first time counts.
        self.reader.reading.slots[self.node.span.clone()].fill(None);
        if self.node.slot.is_some() {
            let raw = <&RawValue>::deserialize(json)?;
            self.reader.take(self.node, raw)
        } else {
            json.deserialize_any(self)
        }
    }
}

impl<'de> Visitor<'de> for Walk<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let prefix = self.reader.plan.prefix;
        while let Some(key) = map.next_key_seed(Key { prefix })? {
            match self.node.child(&key) {
                Some(node) => map.next_value_seed(Walk { reader: &mut *self.reader, node })?,
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<(), A::Error> {
        IgnoredAny.visit_seq(items).map(|_| ())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

impl<'m, 'a> Reader<'m, 'a> {
    /// Takes the text of an attribute, and what is wanted from inside it.
    pub(super) fn take<E: de::Error>(
        &mut self,
        node: &'m Node,
        raw: &'a RawValue,
    ) -> Result<(), E> {
        if let Some(slot) = node.slot {
            self.reading.slots[slot] = Some(raw.get());
        }
        if node.children.is_empty() {
            return Ok(());
        }
        let inside = Walk { reader: self, node };
        serde_json::Deserializer::from_str(raw.get()).deserialize_any(inside).map_err(E::custom)
    }
}
