//! What the store is to do, said as plainly as possible: whole profiles in memory, compared value
//! by value, without fingerprints and without anything kept in another form than it came.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{
    Config, START, Segments,
    state::{Member, State, is_member, key, patched, snapshot, time},
};
use crate::profile::{Removed, Retain, UpdateMode, When};

/// All profiles of a sink, by the id in the key's namespace.
pub(super) struct Model {
    config: Config,
    profiles: BTreeMap<String, Profile>,
    last_version: u64,
    /// Since when each segment is mapped.
    mapped_at: BTreeMap<(Option<&'static str>, &'static str), u64>,
    /// When segments were unmapped first.
    unmapped_at: BTreeMap<(Option<&'static str>, &'static str), u64>,
    pub(super) exits_by_absence: u64,
}

#[derive(Clone, Default)]
struct Profile {
    state: State,
    version: Option<Version>,
    followed: bool,
    due: bool,
    offered: bool,
    in_flight: bool,
    triggers: BTreeSet<&'static str>,
    minted: u64,
    confirmed: u64,
    /// Since when it does not consent, and who it was then.
    withdrawn: Option<(u64, BTreeSet<(String, String)>)>,
}

#[derive(Clone, PartialEq, PartialOrd)]
enum Version {
    Number(i64),
    Time(String),
}

/// What a record is found to be.
#[derive(Debug, PartialEq)]
pub(super) enum Found {
    /// Set aside before it comes to the store.
    Unreadable,
    Changed(BTreeSet<&'static str>),
    Unchanged,
    NotFollowed,
    Stale,
    Invalid,
}

/// A profile on its way to the endpoint.
#[derive(Debug, PartialEq)]
pub(super) struct Sent {
    pub(super) version: u64,
    pub(super) triggers: BTreeSet<&'static str>,
    pub(super) export: Value,
}

/// What becomes of all that is in flight.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fate {
    Delivered,
    Released { unknown: bool },
}

impl Model {
    pub(super) fn new(config: Config) -> Self {
        Self {
            config,
            profiles: BTreeMap::new(),
            last_version: START,
            mapped_at: config.segments.iter().map(|segment| (*segment, START)).collect(),
            unmapped_at: BTreeMap::new(),
            exits_by_absence: 0,
        }
    }

    pub(super) fn take(&mut self, record: &Value, now: u64) -> Found {
        let Some(key) = key(record) else { return Found::Unreadable };
        let Ok(version) = self.version(record) else { return Found::Unreadable };
        let known = self.profiles.get(&key).cloned();
        let mut profile = known.clone().unwrap_or_default();
        if let (Some(known), Some(new)) = (&profile.version, &version) {
            match new.partial_cmp(known) {
                _ if std::mem::discriminant(known) != std::mem::discriminant(new) => {
                    return Found::Invalid;
                }
                Some(std::cmp::Ordering::Less) => return Found::Stale,
                _ => {}
            }
        }
        profile.version = version.or(profile.version);

        let before = profile.state.clone();
        let mut after = match self.config.mode {
            UpdateMode::Snapshot => snapshot(record),
            UpdateMode::Patch => patched(before.clone(), record, now),
        };
        // Absent from a snapshot, or removed by a patch: over from now on.
        let (mut ended, mut carried) = (0, BTreeSet::new());
        for (name, member) in &before.members {
            if is_member(member) && after.members.get(name).is_none_or(|m| m.status == "gone") {
                ended += u64::from(self.is_mapped(name));
                let over =
                    Member { status: "exited".into(), at: Some(time(now)), ..member.clone() };
                after.members.insert(name.clone(), over);
            } else if !after.members.contains_key(name) {
                after.members.insert(name.clone(), member.clone());
                carried.insert(name.clone());
            }
        }
        after.members.retain(|_, member| member.status != "gone");
        // Of a segment that is not mapped the time is not kept.
        let keeps_all = self.config.unmapped || self.config.retain == Retain::Profile;
        for (name, member) in after.members.iter_mut().filter(|_| !keeps_all) {
            if !self.is_mapped(name) && !carried.contains(name) {
                member.at = None;
            }
        }
        self.exits_by_absence += ended;

        let was_followed = profile.followed;
        profile.followed = self.is_followed(&after);
        let mut triggers = BTreeSet::new();
        if was_followed {
            triggers.extend(self.changes(&before, &after));
        }
        match (was_followed, profile.followed) {
            (false, true) => drop(triggers.insert("followed")),
            (true, false) => drop(triggers.insert("unfollowed")),
            (true, true) if self.config.when == When::Always => drop(triggers.insert("always")),
            _ => {}
        }
        let heard = profile.offered || profile.in_flight;
        let found = if was_followed && !profile.followed && !heard {
            profile.due = false;
            profile.triggers.clear();
            Found::NotFollowed
        } else if !triggers.is_empty() {
            self.last_version = now.max(self.last_version + 1);
            profile.minted = self.last_version;
            if !profile.due {
                profile.triggers.clear();
            }
            profile.due = true;
            for (one, other) in [("followed", "unfollowed"), ("unfollowed", "followed")] {
                if triggers.contains(one) {
                    profile.triggers.remove(other);
                }
            }
            profile.triggers.extend(&triggers);
            Found::Changed(triggers)
        } else if profile.followed {
            Found::Unchanged
        } else {
            Found::NotFollowed
        };
        let mut seen = if matches!(found, Found::Changed(_)) { profile.minted } else { now };
        if self.consents(&after) {
            profile.withdrawn = None;
        } else {
            // No earlier than what was known before, which it ends.
            let latest = before.members.values().map(|member| member.updated + 1).max();
            let former = profile.withdrawn.as_ref().map(|(at, _)| *at);
            seen = seen.max(former.or(latest).unwrap_or(0));
            let identities = || self.identities(&after);
            profile.withdrawn.get_or_insert_with(|| (seen, identities()));
        }
        for (name, member) in &mut after.members {
            let former = before.members.get(name);
            member.created = former.map_or(seen, |former| former.created);
            member.updated = match former {
                Some(former) if is_member(former) == is_member(member) => former.updated,
                _ => seen,
            };
        }
        profile.state = after;
        self.profiles.insert(key, profile);
        found
    }

    /// Takes all that is due and not in flight.
    pub(super) fn claim(&mut self) -> BTreeMap<String, Sent> {
        let mut sent = BTreeMap::new();
        for (key, profile) in &self.profiles {
            if profile.due && !profile.in_flight {
                let export = self.export(profile);
                let Profile { minted: version, triggers, .. } = profile.clone();
                sent.insert(key.clone(), Sent { version, triggers, export });
            }
        }
        for key in sent.keys() {
            self.profiles.get_mut(key).unwrap().in_flight = true;
        }
        sent
    }

    pub(super) fn settle(&mut self, key: &str, version: u64, fate: Fate) {
        let profile = self.profiles.get_mut(key).unwrap();
        profile.in_flight = false;
        match fate {
            Fate::Released { unknown } => profile.offered |= unknown,
            Fate::Delivered => {
                profile.offered = true;
                profile.confirmed = version;
                if profile.minted == version {
                    profile.due = false;
                }
            }
        }
    }

    /// The process ends without a word: whatever was waiting may have been sent.
    pub(super) fn crash(&mut self, now: u64) {
        self.last_version = self.last_version.max(now);
        for profile in self.profiles.values_mut() {
            profile.in_flight = false;
            profile.offered |= profile.due;
        }
    }

    /// The process starts again with other segments, and judges the profiles in this order.
    pub(super) fn remap(&mut self, segments: Segments, now: u64, order: &[String]) {
        self.crash(now);
        if segments == self.config.segments {
            return;
        }
        let former = std::mem::replace(&mut self.config.segments, segments);
        self.mapped_at = segments
            .iter()
            .map(|segment| (*segment, self.mapped_at.get(segment).copied().unwrap_or(now)))
            .collect();
        for (name, id) in former {
            let covers = |(in_name, in_id): &(Option<&str>, &str)| {
                in_id == id && (in_name.is_none() || in_name == name)
            };
            if !segments.iter().any(covers) {
                self.unmapped_at.entry((*name, *id)).or_insert(now);
            }
        }
        for key in order {
            let mut profile = self.profiles[key].clone();
            let was_followed = profile.followed;
            profile.followed = self.is_followed(&profile.state);
            let mut new = profile
                .state
                .members
                .iter()
                .filter(|(name, _)| self.is_mapped(name) && segment_of(former, name).is_none());
            let is_news =
                new.any(|(name, member)| is_member(member) || self.left_unseen(name, member));
            let trigger = match (was_followed, profile.followed) {
                (false, true) => "followed",
                (true, true) if is_news => "membership",
                (true, false) if !profile.offered => {
                    profile.due = false;
                    profile.triggers.clear();
                    ""
                }
                _ => "",
            };
            if !trigger.is_empty() {
                self.last_version = now.max(self.last_version + 1);
                profile.minted = self.last_version;
                if !profile.due {
                    profile.triggers.clear();
                }
                profile.due = true;
                if trigger == "followed" {
                    profile.triggers.remove("unfollowed");
                }
                profile.triggers.insert(trigger);
            }
            self.profiles.insert(key.clone(), profile);
        }
    }

    /// Whether a membership of a segment that is mapped again ended while it was not.
    fn left_unseen(&self, (namespace, id): &(String, String), member: &Member) -> bool {
        let mapped = segment_of(self.config.segments, &(namespace.clone(), id.clone()));
        self.unmapped_at.iter().any(|((name, gone), at)| {
            let meets = name.is_none() || mapped.is_some_and(|(n, _)| n.is_none() || n == *name);
            gone == id && meets && *at <= member.updated
        })
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &String> {
        self.profiles.keys()
    }

    fn version(&self, record: &Value) -> Result<Option<Version>, ()> {
        match record.get("rev") {
            _ if !self.config.versioned => Ok(None),
            None | Some(Value::Null) => Ok(None),
            Some(Value::Number(number)) => Ok(number.as_i64().map(Version::Number)),
            Some(Value::String(text)) if text.ends_with('Z') => {
                Ok(Some(Version::Time(text.clone())))
            }
            Some(_) => Err(()),
        }
    }

    fn is_mapped(&self, name: &(String, String)) -> bool {
        segment_of(self.config.segments, name).is_some()
    }

    fn is_followed(&self, state: &State) -> bool {
        let mut members = state.members.iter();
        let is_member = self.config.segments.is_empty()
            || members.any(|(name, member)| self.is_mapped(name) && is_member(member));
        is_member && self.consents(state)
    }

    fn consents(&self, state: &State) -> bool {
        let whole = Value::Object(state.attributes.clone());
        let given = |value: Option<&Value>| value.is_some_and(|v| *v == "y" || *v == "VI");
        self.config.consent.iter().all(|path| given(at_path(&whole, path)))
    }

    fn changes(&self, before: &State, after: &State) -> Vec<&'static str> {
        let memberships = |state: &State| -> BTreeSet<_> {
            let members = state.members.iter();
            let members = members.filter(|(name, m)| self.is_mapped(name) && is_member(m));
            members.map(|(name, _)| name.clone()).collect()
        };
        let parts = [
            ("membership", memberships(before) != memberships(after)),
            ("identity", self.identities(before) != self.identities(after)),
            ("attribute", self.attributes(before) != self.attributes(after)),
        ];
        parts.into_iter().filter(|(_, changed)| *changed).map(|(name, _)| name).collect()
    }

    /// The exported identities.
    fn identities(&self, state: &State) -> BTreeSet<(String, String)> {
        let namespaces = state.identities.iter().filter(|(name, _)| {
            self.config.identities.is_none_or(|names| names.contains(&name.as_str()))
        });
        namespaces.flat_map(|(name, ids)| ids.keys().map(|id| (name.clone(), id.clone()))).collect()
    }

    /// The values of the mapped attributes that are present, by path.
    fn attributes(&self, state: &State) -> BTreeMap<String, Value> {
        let whole = Value::Object(state.attributes.clone());
        match self.config.attributes {
            None => state
                .attributes
                .iter()
                .filter(|(name, _)| *name != "consents")
                .map(|(name, value)| (format!("/{name}"), value.clone()))
                .collect(),
            Some(paths) => {
                let value =
                    |path: &&str| Some((*path).to_owned()).zip(at_path(&whole, path).cloned());
                paths.iter().filter_map(value).collect()
            }
        }
    }

    fn export(&self, profile: &Profile) -> Value {
        let Config { removed, unmapped, names, timestamps, legacy, .. } = self.config;
        let mut export = json!({});
        let withdrawn = profile.withdrawn.as_ref();
        let nulls = match withdrawn {
            Some(_) => self.config.segments.is_empty(),
            None => removed == Removed::Null,
        };
        if nulls {
            for path in self.config.attributes.unwrap_or_default() {
                put(&mut export, path, Value::Null);
            }
        }
        for (path, value) in self.attributes(&profile.state) {
            match withdrawn {
                None => put(&mut export, &path, value),
                Some(_) if nulls => put(&mut export, &path, Value::Null),
                Some(_) => {}
            }
        }
        for (name, member) in &profile.state.members {
            let mapped_at = segment_of(self.config.segments, name).map(|s| self.mapped_at[&s]);
            let mapped = mapped_at.is_some();
            if !mapped && (!unmapped || withdrawn.is_some()) {
                continue;
            }
            let mut member = member.clone();
            if let Some((at, _)) = withdrawn {
                if member.created >= *at || mapped_at >= Some(*at) {
                    continue;
                }
                // It ended with the withdrawal unless it had ended before.
                let ended = !is_member(&member) && member.updated <= *at;
                if !ended || member.updated == *at {
                    let then = member.at.filter(|_| ended).unwrap_or_else(|| time(*at));
                    member = Member { at: Some(then), updated: *at, ..member };
                }
                member.status = "exited".into();
            }
            let is_new = member.updated.max(mapped_at.unwrap_or(0)) > profile.confirmed;
            let status = match member.status.as_str() {
                "exited" => "exited",
                "existing" if legacy => "existing",
                "realized" if legacy && !is_new => "existing",
                _ => "realized",
            };
            let mut entry = json!({ "status": status });
            if let Some(at) = &member.at {
                entry["lastQualificationTime"] = json!(at);
            }
            if names && mapped {
                entry["name"] = json!(format!("Segment {}", name.1));
            }
            if let Some(mapped_at) = mapped_at.filter(|_| timestamps) {
                entry["createdAt"] = json!(member.created / 1000);
                entry["updatedAt"] = json!(member.updated / 1000);
                entry["mappingCreatedAt"] = json!(mapped_at / 1000);
                entry["mappingUpdatedAt"] = json!(mapped_at / 1000);
            }
            export["segmentMembership"][&name.0][&name.1] = entry;
        }
        let identities = match withdrawn {
            Some((_, identities)) => identities.clone(),
            None => self.identities(&profile.state),
        };
        for (namespace, id) in identities {
            let ids = &mut export["identityMap"][&namespace];
            if ids.is_null() {
                *ids = json!([]);
            }
            ids.as_array_mut().unwrap().push(json!({ "id": id }));
        }
        export
    }
}

/// The mapped segment that this is.
fn segment_of(
    segments: Segments,
    (namespace, id): &(String, String),
) -> Option<(Option<&'static str>, &'static str)> {
    let mut segments = segments.iter().copied();
    segments.find(|(name, segment)| segment == id && name.is_none_or(|name| name == namespace))
}

fn at_path<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    path[1..].split('/').try_fold(value, |value, key| value.as_object()?.get(key))
}

fn put(target: &mut Value, path: &str, value: Value) {
    let place = path[1..].split('/').fold(target, |target, key| &mut target[key]);
    *place = value;
}
