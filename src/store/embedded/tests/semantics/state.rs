//! What records say, and what a patch makes of what is known.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// What a profile is.
#[derive(Clone, Default)]
pub(super) struct State {
    pub(super) attributes: Map<String, Value>,
    /// Namespace, id, and whether it is primary.
    pub(super) identities: BTreeMap<String, BTreeMap<String, bool>>,
    /// By namespace and id.
    pub(super) members: BTreeMap<(String, String), Member>,
}

#[derive(Clone)]
pub(super) struct Member {
    pub(super) status: String,
    pub(super) at: Option<String>,
    pub(super) created: u64,
    pub(super) updated: u64,
}

pub(super) fn snapshot(record: &Value) -> State {
    let mut state = State::default();
    for (name, value) in record.as_object().unwrap() {
        match name.as_str() {
            "identityMap" => {
                for (namespace, ids) in object(value) {
                    let ids = items(ids).map(|(id, primary)| (id, primary == Some(true)));
                    state.identities.insert(namespace.clone(), ids.collect());
                }
            }
            "segmentMembership" => {
                for (namespace, segments) in object(value) {
                    for (id, entry) in object(segments) {
                        if !entry.is_null() {
                            state.members.insert((namespace.clone(), id.clone()), member(entry));
                        }
                    }
                }
            }
            _ => drop(state.attributes.insert(name.clone(), value.clone())),
        }
    }
    state
}

/// What it removes of memberships has the status `gone` afterwards.
pub(super) fn patched(mut state: State, patch: &Value, now: u64) -> State {
    let gone = |member: &mut Member| {
        if is_member(member) {
            *member = Member { status: "gone".into(), at: Some(time(now)), ..member.clone() };
        }
    };
    for (name, value) in patch.as_object().unwrap() {
        match name.as_str() {
            "identityMap" if value.is_null() => state.identities.clear(),
            "identityMap" => {
                for (namespace, ids) in object(value) {
                    if ids.is_null() {
                        state.identities.remove(namespace);
                        continue;
                    }
                    let known = state.identities.entry(namespace.clone()).or_default();
                    if items(ids).any(|(_, primary)| primary == Some(true)) {
                        for primary in known.values_mut() {
                            *primary = false;
                        }
                    }
                    for (id, primary) in items(ids) {
                        let known = known.entry(id).or_default();
                        *known = primary.unwrap_or(*known);
                    }
                }
            }
            "segmentMembership" if value.is_null() => state.members.values_mut().for_each(gone),
            "segmentMembership" => {
                for (namespace, segments) in object(value) {
                    if segments.is_null() {
                        let members = state.members.iter_mut();
                        members.filter(|(name, _)| name.0 == *namespace).for_each(|(_, m)| gone(m));
                    }
                    for (id, entry) in object(segments) {
                        let name = (namespace.clone(), id.clone());
                        if !entry.is_null() {
                            state.members.insert(name, member(entry));
                        } else if let Some(known) = state.members.get_mut(&name) {
                            gone(known);
                        }
                    }
                }
            }
            _ => {
                let mut attributes = Value::Object(std::mem::take(&mut state.attributes));
                merge_patch(&mut attributes, &json!({ name: value }));
                state.attributes =
                    object(&attributes).map(|(k, v)| (k.clone(), v.clone())).collect();
            }
        }
    }
    state
}

/// `MergePatch` of RFC 7396, section 2.
pub(super) fn merge_patch(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (name, value) in patch {
        if value.is_null() {
            target.as_object_mut().unwrap().remove(name);
        } else {
            merge_patch(&mut target[name], value);
        }
    }
}

pub(super) fn key(record: &Value) -> Option<String> {
    let ids = record.get("identityMap")?.get("crmid")?;
    let mut primary: Vec<_> = items(ids).filter(|(_, primary)| *primary == Some(true)).collect();
    if primary.is_empty() {
        primary = items(ids).collect();
    }
    primary.into_iter().map(|(id, _)| id).min()
}

/// Ids, and whether they are primary where something is said of it.
pub(super) fn items(ids: &Value) -> impl Iterator<Item = (String, Option<bool>)> + '_ {
    ids.as_array().into_iter().flatten().map(|item| {
        let id = &item["id"];
        let id = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
        (id, item.get("primary").map(|primary| *primary == json!(true)))
    })
}

pub(super) fn member(entry: &Value) -> Member {
    let text = |name: &str| entry.get(name).and_then(Value::as_str).map(str::to_owned);
    let status = text("status").unwrap_or_else(|| "realized".into());
    Member { status, at: text("lastQualificationTime"), created: 0, updated: 0 }
}

pub(super) fn is_member(member: &Member) -> bool {
    matches!(member.status.as_str(), "realized" | "existing")
}

pub(super) fn object(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

/// A time of whole seconds.
pub(super) fn time(now: u64) -> String {
    jiff::Timestamp::from_second(i64::try_from(now / 1_000_000).unwrap()).unwrap().to_string()
}
