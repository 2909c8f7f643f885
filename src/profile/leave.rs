use super::{
    Covered, Invalid, Known, Mapping, Membership, Path, ProfileKey, Withdrawn,
    export::write_all_null, tree::close,
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

    /// What is left to send of a profile that leaves at `now`: what a withdrawal of consent at that
    /// time would leave, and nothing else is kept of it.
    ///
    /// # Errors
    ///
    /// What is kept of the profile cannot be read: the store is damaged.
    pub fn last_export(&self, known: &Known, now: Micros) -> Result<Known, Invalid> {
        let reading = self.read_document(known.document()?)?;
        let withdrawn = known.withdrawn.clone();
        let withdrawn = withdrawn.unwrap_or_else(|| {
            let document = self.identifying(&reading, &known.key.path);
            Withdrawn { at: now, document }
        });
        let mut document = vec![b'{'];
        if self.spec.segments.is_empty() {
            write_all_null(&reading, &mut document);
        }
        close(&mut document, b'}');
        let is_mapped =
            |member: &&Membership| self.segment(&member.namespace, &member.id).is_some();
        Ok(Known {
            key: known.key.clone(),
            document: document.into(),
            memberships: known.memberships.iter().filter(is_mapped).cloned().collect(),
            covered: Covered::default(),
            withdrawn: Some(withdrawn),
        })
    }
}
