use super::{
    Invalid, Known, Mapping, Membership, Path, ProfileKey, Status,
    compile::namespace,
    export::{write_identity, write_namespaces},
    mapping::KeyPlace,
    reading::{IDENTITY_MAP, Reading},
    tree::{Absent, close},
};
use crate::clock::Micros;

impl Mapping {
    /// The keys that a person may mean who names a profile, most likely first.
    ///
    /// `identityMap.crmid=c-7` names the path too. Without a path the text is looked for under each
    /// path of `profile.key` in turn. Last, what stands before the first `=` may be the path of a
    /// mapping that the profile was kept under before.
    pub fn keys_named(&self, name: &str) -> Vec<ProfileKey> {
        let key =
            |path: &str, text: &str| ProfileKey { path: path.to_owned(), text: text.to_owned() };
        let paths = || self.keys.iter().map(|key| key.path.as_str());
        let with_path = paths().find_map(|path| {
            let text = name.strip_prefix(path)?.strip_prefix('=')?;
            Some(key(path, text))
        });
        if let Some(named) = with_path.filter(|key| !key.text.is_empty()) {
            return vec![named];
        }
        let mut keys: Vec<_> = paths().map(|path| key(path, name)).collect();
        if let Some((path, text)) = name.split_once('=')
            && path.parse::<Path>().is_ok()
            && !text.is_empty()
        {
            keys.push(key(path, text));
        }
        keys
    }

    /// Every identifier of a known profile.
    ///
    /// # Errors
    ///
    /// What is kept of the profile cannot be read: the store is damaged.
    pub fn identifiers(&self, known: &Known) -> Result<Vec<String>, Invalid> {
        let reading = self.read_document(known.document()?)?;
        Ok(reading
            .identities
            .iter()
            .map(|(_, identity)| identity.id.clone().into_owned())
            .collect())
    }

    /// What is left to send of a profile that leaves at `now`: its exported identities and, as
    /// exited, the mapped segments that it is or was a member of, and no attributes but its key.
    /// Without mapped segments the mapped attributes are `null`, since nothing else would say that
    /// it has gone.
    ///
    /// # Errors
    ///
    /// What is kept of the profile cannot be read: the store is damaged.
    pub fn last_export(&self, known: &Known, now: Micros) -> Result<Known, Invalid> {
        let mut reading = self.read_document(known.document()?)?;
        let absent = if self.spec.segments.is_empty() { Absent::Null } else { Absent::Omitted };
        let mut document = vec![b'{'];
        self.blank(&mut reading, &known.key, absent);
        self.write_attributes(&reading, absent, None, &mut document);
        let own = known.key.path.parse().ok();
        let own = own.as_ref().and_then(namespace);
        let identities = reading.identities.iter();
        let needed = identities.filter(|(name, _)| self.exports(name) || own == Some(*name));
        write_namespaces(IDENTITY_MAP, *b"[]", needed, &mut document, |identity, out| {
            write_identity(identity, out);
        });
        close(&mut document, b'}');
        let mapped = known
            .memberships
            .iter()
            .filter(|membership| self.segment(&membership.namespace, &membership.id).is_some());
        let left = mapped.map(|membership| {
            if !membership.status.is_member() {
                return membership.clone();
            }
            let at = i64::try_from(now).ok();
            Membership { status: Status::Exited, at, updated: now, ..membership.clone() }
        });
        let memberships = left.collect();
        Ok(Known { key: known.key.clone(), document: document.into(), memberships })
    }

    /// Takes all values out of what was read but the one that is the profile's key.
    fn blank(&self, reading: &mut Reading<'_>, key: &ProfileKey, absent: Absent) {
        let own = self.keys.iter().find(|source| source.path == key.path);
        let own = own.and_then(|source| match source.place {
            KeyPlace::Slot(slot) => Some(slot),
            KeyPlace::Namespace(_) => None,
        });
        for (slot, value) in reading.slots.iter_mut().enumerate() {
            if Some(slot) != own {
                *value = None;
            }
        }
        // A key inside an object would take the rest of the object with it.
        for (attribute, value) in &mut reading.all {
            if *attribute != key.path {
                *value = "null";
            }
        }
        if absent == Absent::Omitted {
            reading.all.retain(|(attribute, _)| *attribute == key.path);
        }
    }
}
