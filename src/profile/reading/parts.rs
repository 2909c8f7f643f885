use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{
    CONSENTS, IDENTITY_MAP, Identity, Member, MemberState, Reader, SEGMENT_MEMBERSHIP,
    walk::{Key, Walk},
};
use crate::profile::{Status, json, time};

/// A part of a profile that has a meaning of its own; what it holds goes to the reader.
pub(super) struct Part<'r, 'm, 'a> {
    pub(super) reader: &'r mut Reader<'m, 'a>,
    pub(super) place: Place,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Profile,
    IdentityMap,
    /// The identities of one namespace.
    Identities,
    Identity,
    SegmentMembership,
    /// The memberships of one namespace.
    Memberships,
    Membership,
}

impl Place {
    fn expected(self) -> &'static str {
        if self == Self::Identities { "an array" } else { "an object" }
    }
}

impl<'de> DeserializeSeed<'de> for Part<'_, '_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        let Part { reader, place } = self;
        let result = json.deserialize_any(Part { reader: &mut *reader, place });
        if result.is_err() {
            reader.note(place.expected());
        }
        result
    }
}

impl<'de> Visitor<'de> for Part<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.place.expected())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        match self.place {
            Place::Profile => Err(E::custom("null")),
            _ => Ok(()),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        if self.place != Place::Identities {
            return Err(Error::custom("an array"));
        }
        let place = Place::Identity;
        while items.next_element_seed(Part { reader: &mut *self.reader, place })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let reader = self.reader;
        match self.place {
            Place::Profile => reader.profile(map),
            Place::IdentityMap => reader.identity_map(map),
            Place::Identities => Err(Error::custom("an object")),
            Place::Identity => reader.identity(map),
            Place::SegmentMembership => reader.segment_membership(map),
            Place::Memberships => reader.memberships(map),
            Place::Membership => reader.membership(map),
        }
    }
}

impl<'a> Reader<'_, 'a> {
    fn profile<A: MapAccess<'a>>(&mut self, mut map: A) -> Result<(), A::Error> {
        let prefix = self.plan.prefix;
        while let Some(key) = map.next_key_seed(Key { prefix })? {
            match &*key {
                IDENTITY_MAP => {
                    self.reading.identities.clear();
                    self.part(&mut map, &key, Place::IdentityMap)?;
                }
                SEGMENT_MEMBERSHIP => {
                    self.reading.memberships.clear();
                    self.part(&mut map, &key, Place::SegmentMembership)?;
                }
                name => {
                    let node = self.plan.tree.child(name);
                    if self.plan.all && name != CONSENTS {
                        let raw = map.next_value::<&RawValue>()?;
                        self.reading.all.push((key, raw.get()));
                        if let Some(node) = node {
                            self.take(node, raw)?;
                        }
                    } else if let Some(node) = node {
                        map.next_value_seed(Walk { reader: &mut *self, node })?;
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
            }
        }
        Ok(())
    }

    fn identity_map<A: MapAccess<'a>>(&mut self, mut map: A) -> Result<(), A::Error> {
        let prefix = self.plan.prefix;
        while let Some(namespace) = map.next_key_seed(Key { prefix })? {
            let mark = self.reading.identities.mark();
            self.part(&mut map, &namespace, Place::Identities)?;
            // Where an id comes twice, it is primary if either is.
            let merge = |former: &Identity<'_>, last: &mut Identity<'_>| {
                last.primary |= former.primary;
            };
            self.reading.identities.close(namespace, mark, |a, b| a.id.cmp(&b.id), merge);
        }
        Ok(())
    }

    fn identity<A: MapAccess<'a>>(&mut self, mut map: A) -> Result<(), A::Error> {
        let prefix = self.plan.prefix;
        let mut id = None;
        let mut primary = false;
        while let Some(key) = map.next_key_seed(Key { prefix })? {
            match &*key {
                "id" => {
                    let raw = map.next_value::<&RawValue>()?.get();
                    id = json::text(raw);
                    if id.is_none() && raw != "null" {
                        self.blame(&key, "a string or an integer");
                        return Err(Error::custom("another value"));
                    }
                }
                // Only a hint, so that its shape is nobody's concern.
                "primary" => primary = map.next_value::<&RawValue>()?.get() == "true",
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        if let Some(id) = id {
            self.reading.identities.push(Identity { id, primary });
        }
        Ok(())
    }

    fn segment_membership<A: MapAccess<'a>>(&mut self, mut map: A) -> Result<(), A::Error> {
        let prefix = self.plan.prefix;
        while let Some(namespace) = map.next_key_seed(Key { prefix })? {
            let mark = self.reading.memberships.mark();
            self.part(&mut map, &namespace, Place::Memberships)?;
            let memberships = &mut self.reading.memberships;
            memberships.close(namespace, mark, |a, b| a.id.cmp(&b.id), |_, _| ());
        }
        Ok(())
    }

    fn memberships<A: MapAccess<'a>>(&mut self, mut map: A) -> Result<(), A::Error> {
        let prefix = self.plan.prefix;
        while let Some(id) = map.next_key_seed(Key { prefix })? {
            self.state = None;
            self.part(&mut map, &id, Place::Membership)?;
            self.reading.memberships.push(Member { id, state: self.state });
        }
        Ok(())
    }

    fn membership<A: MapAccess<'a>>(&mut self, mut map: A) -> Result<(), A::Error> {
        let prefix = self.plan.prefix;
        // What XDM says of a membership without a status.
        let mut status = Status::Realized;
        let mut at = None;
        while let Some(key) = map.next_key_seed(Key { prefix })? {
            match &*key {
                "status" => {
                    let known = "realized, existing or exited";
                    let read = self.word(&mut map, &key, known, Status::parse)?;
                    status = read.unwrap_or(status);
                }
                "lastQualificationTime" => {
                    at = self.word(&mut map, &key, "a timestamp with an offset", time::micros)?;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        self.state = Some(MemberState { status, at });
        Ok(())
    }

    /// Reads the value of this key as a string with a meaning; `None` for `null`.
    fn word<A: MapAccess<'a>, T>(
        &mut self,
        map: &mut A,
        key: &str,
        expected: &'static str,
        read: fn(&str) -> Option<T>,
    ) -> Result<Option<T>, A::Error> {
        map.next_value_seed(Word(read)).inspect_err(|_| self.blame(key, expected))
    }

    /// Reads the value of this key as a part.
    fn part<A: MapAccess<'a>>(
        &mut self,
        map: &mut A,
        key: &str,
        place: Place,
    ) -> Result<(), A::Error> {
        let result = map.next_value_seed(Part { reader: &mut *self, place });
        if result.is_err() {
            self.fault.push(key.to_owned());
        }
        result
    }
}

/// A string with a meaning, or `null`.
struct Word<T>(fn(&str) -> Option<T>);

impl<'de, T> DeserializeSeed<'de> for Word<T> {
    type Value = Option<T>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Option<T>, D::Error> {
        json.deserialize_any(self)
    }
}

impl<T> Visitor<'_> for Word<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Option<T>, E> {
        (self.0)(text).map(Some).ok_or_else(|| E::custom("another string"))
    }

    fn visit_unit<E>(self) -> Result<Option<T>, E> {
        Ok(None)
    }
}
