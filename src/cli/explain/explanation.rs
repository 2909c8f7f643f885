use profile_http::profile::{ConsentValue, Mapping, ProfileKey, Reported, Status};
use serde::{Serialize, de::IgnoredAny};
use serde_json::value::RawValue;

/// What there is to say of one record. Serialised for `--json`.
#[derive(Debug, Serialize)]
pub(super) struct Explanation {
    /// Where the record stood.
    pub(super) record: String,
    /// `changed`, `unchanged`, `not_followed`, `stale` or `invalid`.
    pub(super) verdict: &'static str,
    /// What is wrong with an invalid record.
    pub(super) reason: Option<String>,
    pub(super) key: Option<Key>,
    pub(super) followed: bool,
    /// What the record says of consent, at each path where it is asked for.
    pub(super) consent: Vec<ConsentSeen>,
    /// The memberships that the record names.
    pub(super) segments: Vec<Segment>,
    /// Why something is sent.
    pub(super) triggers: Vec<&'static str>,
    /// What of it is new since the record before.
    pub(super) changes: Changes,
    /// The record of the same profile that came before and counts.
    pub(super) compared_with: Option<String>,
    /// Whether `profile.version` is set and the record has none.
    pub(super) version_missing: bool,
    /// Why no request can be made although something is to be sent.
    pub(super) unrenderable: Option<String>,
    /// The request that would be sent.
    pub(super) request: Option<Sent>,
}

/// What identifies the profile.
#[derive(Debug, Serialize)]
pub(super) struct Key {
    pub(super) path: String,
    pub(super) id: String,
}

/// What a record says of consent.
#[derive(Debug, Serialize)]
pub(super) struct ConsentSeen {
    pub(super) path: String,
    pub(super) value: Option<Box<RawValue>>,
    pub(super) given: bool,
}

/// A membership.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Segment {
    pub(super) namespace: String,
    pub(super) id: String,
    /// The name that the configuration gives it.
    pub(super) name: Option<String>,
    pub(super) status: &'static str,
    pub(super) mapped: bool,
}

/// What differs between two records of a profile, as far as it counts.
#[derive(Debug, Default, Serialize)]
pub(super) struct Changes {
    /// Paths of mapped attributes.
    pub(super) attributes: Vec<String>,
    pub(super) joined: Vec<Segment>,
    pub(super) left: Vec<Segment>,
    /// Those of `left` that the record does not name at all.
    pub(super) exits_by_absence: Vec<Segment>,
    pub(super) identities_added: Vec<Identity>,
    pub(super) identities_removed: Vec<Identity>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Identity {
    pub(super) namespace: String,
    pub(super) id: String,
}

/// A request without its secrets.
#[derive(Debug, Serialize)]
pub(super) struct Sent {
    pub(super) method: String,
    pub(super) url: String,
    pub(super) headers: Vec<Header>,
    pub(super) body: Box<RawValue>,
}

#[derive(Debug, Serialize)]
pub(super) struct Header {
    pub(super) name: String,
    pub(super) value: String,
}

impl Explanation {
    /// Of a record that is set aside.
    pub(super) fn invalid(record: String, reason: String) -> Self {
        Self {
            record,
            verdict: "invalid",
            reason: Some(reason),
            key: None,
            followed: false,
            consent: Vec::new(),
            segments: Vec::new(),
            triggers: Vec::new(),
            changes: Changes::default(),
            compared_with: None,
            version_missing: false,
            unrenderable: None,
            request: None,
        }
    }
}

impl Segment {
    pub(super) fn new(mapping: &Mapping, reported: &Reported) -> Self {
        let place = mapping.segment(&reported.namespace, &reported.id);
        Self {
            namespace: reported.namespace.clone(),
            id: reported.id.clone(),
            name: place.and_then(|place| mapping.spec().segments[place].name.clone()),
            status: match reported.status {
                Status::Realized => "realized",
                Status::Existing => "existing",
                Status::Exited => "exited",
            },
            mapped: place.is_some(),
        }
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        (&self.namespace, &self.id) == (&other.namespace, &other.id)
    }

    pub(super) fn is_member(&self) -> bool {
        self.status != "exited"
    }
}

impl From<ConsentValue> for ConsentSeen {
    fn from(ConsentValue { path, value, given }: ConsentValue) -> Self {
        let value = value.and_then(|value| RawValue::from_string(value).ok());
        Self { path, value, given }
    }
}

impl From<ProfileKey> for Key {
    fn from(key: ProfileKey) -> Self {
        Self { path: key.path, id: key.text }
    }
}

/// Whether the text ends before its JSON does, as the first lines of a record do that is written
/// over several.
pub(super) fn is_cut_off(json: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(json).is_err_and(|error| error.is_eof())
}
