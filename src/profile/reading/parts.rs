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
            // `false` before `true`: where an id comes twice, it is primary if either is.
            self.reading.identities.close(namespace, mark, Identity::cmp, |a, b| a.id == b.id);
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
                        return Err(self.wrong("id", "a string or an integer"));
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
            memberships.close(namespace, mark, |a, b| a.id.cmp(&b.id), |a, b| a.id == b.id);
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
                "status" => status = self.status(map.next_value::<&RawValue>()?.get())?,
                "lastQualificationTime" => {
                    at = self.moment(map.next_value::<&RawValue>()?.get())?;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        self.state = Some(MemberState { status, at });
        Ok(())
    }

    fn status<E: Error>(&mut self, raw: &str) -> Result<Status, E> {
        match json::text(raw).as_deref() {
            Some("realized") => Ok(Status::Realized),
            Some("existing") => Ok(Status::Existing),
            Some("exited") => Ok(Status::Exited),
            None if raw == "null" => Ok(Status::Realized),
            _ => Err(self.wrong("status", "realized, existing or exited")),
        }
    }

    fn moment<E: Error>(&mut self, raw: &str) -> Result<Option<i64>, E> {
        match json::text(raw).as_deref().and_then(time::parse) {
            Some(at) => Ok(Some(at.as_microsecond())),
            None if raw == "null" => Ok(None),
            None => Err(self.wrong("lastQualificationTime", "a timestamp with an offset")),
        }
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
