use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use serde::Deserialize;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128_with_seed};

/// So many that two cores rarely meet at one.
const SHARDS: usize = 64;

/// What the endpoint has of one profile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// The highest `Profile-Version` that was taken, 0 if none came with one.
    pub version: u64,
    /// How often the profile was taken, repeats included.
    pub times: u64,
    /// The body of that version; empty if bodies are not kept.
    pub body: Bytes,
}

/// How a version stands to what was taken before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// The profile is new.
    First,
    /// It is newer, or has no version.
    Newer,
    /// The same version again.
    Repeat,
    /// A newer one was taken before.
    Older,
}

/// The profiles that were taken.
#[derive(Debug)]
pub(super) struct Ledger {
    shards: Vec<Mutex<HashMap<u128, Received>>>,
    keep_bodies: bool,
}

impl Ledger {
    pub(super) fn new(keep_bodies: bool) -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), keep_bodies }
    }

    /// Takes a version of a profile.
    pub(super) fn take(&self, profile: u128, version: Option<u64>, body: &Bytes) -> Arrival {
        let mut shard = self.shard(profile);
        let received = shard.entry(profile).or_default();
        received.times += 1;
        let arrival = match version {
            _ if received.times == 1 => Arrival::First,
            Some(version) if version < received.version => return Arrival::Older,
            Some(version) if version == received.version => return Arrival::Repeat,
            _ => Arrival::Newer,
        };
        received.version = version.unwrap_or(received.version);
        if self.keep_bodies {
            received.body = body.clone();
        }
        arrival
    }

    pub(super) fn get(&self, profile: u128) -> Option<Received> {
        self.shard(profile).get(&profile).cloned()
    }

    fn shard(&self, profile: u128) -> MutexGuard<'_, HashMap<u128, Received>> {
        let shard = usize::try_from(profile % SHARDS as u128).expect("there are few shards");
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a profile is found in the ledger.
pub(super) fn key(namespace: &str, id: &str) -> u128 {
    xxh3_128_with_seed(id.as_bytes(), xxh3_64(namespace.as_bytes()))
}

/// The key of a profile: its first identity in `namespace`, or the first that it has at all.
/// Reads the identities alone, without a tree of the rest.
pub(super) fn key_of(
    body: &[u8],
    namespace: Option<&str>,
) -> Result<Option<u128>, serde_json::Error> {
    #[derive(Deserialize)]
    struct Profile {
        #[serde(default, rename = "identityMap")]
        identities: BTreeMap<String, Vec<Identity>>,
    }
    #[derive(Deserialize)]
    struct Identity {
        id: String,
    }

    // A derived struct would also be read from an array.
    if body.trim_ascii_start().first() == Some(&b'[') {
        return Err(serde::de::Error::custom("an array is no profile"));
    }
    let profile: Profile = serde_json::from_slice(body)?;
    let mut first = profile.identities.iter().filter_map(|(name, ids)| Some((name, ids.first()?)));
    let identity = match namespace {
        Some(wanted) => first.find(|(name, _)| *name == wanted),
        None => first.next(),
    };
    Ok(identity.map(|(namespace, identity)| key(namespace, &identity.id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_the_first_identity_of_the_namespace() {
        let body = br#"{"x":[1],"identityMap":{"ecid":[],"crmid":[{"id":"7"},{"id":"8"}],"a":[{"id":"9"}]}}"#;
        assert_eq!(key_of(body, Some("crmid")).unwrap(), Some(key("crmid", "7")));
        assert_eq!(key_of(body, None).unwrap(), Some(key("a", "9")));
        assert_eq!(key_of(body, Some("ecid")).unwrap(), None);
        assert_eq!(key_of(b"{}", None).unwrap(), None);
        assert!(key_of(b"[]", None).is_err());
        assert!(key_of(b"{\"a\":", None).is_err());
        assert_ne!(key("a", "b"), key("ab", ""));
    }

    #[test]
    fn the_highest_version_stays() {
        let ledger = Ledger::new(true);
        let take = |version, body: &'static str| ledger.take(1, version, &Bytes::from(body));
        assert_eq!(take(Some(5), "five"), Arrival::First);
        assert_eq!(take(Some(4), "four"), Arrival::Older);
        assert_eq!(take(Some(5), "five again"), Arrival::Repeat);
        assert_eq!(ledger.get(1).unwrap().body, "five");
        assert_eq!(take(Some(6), "six"), Arrival::Newer);
        assert_eq!(take(None, "none"), Arrival::Newer);
        let received = Received { version: 6, times: 5, body: "none".into() };
        assert_eq!(ledger.get(1), Some(received));
        assert_eq!(ledger.get(2), None);
    }
}
