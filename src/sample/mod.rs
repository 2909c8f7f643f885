//! Sample profiles and their updates, for trying, testing and measuring.
//!
//! The profiles have the shape that the destination documents, about 900 bytes each. As in life,
//! most updates change nothing that a destination wants to know: a visit is counted and segments
//! that are not mapped are evaluated anew. The same seed gives the same records.

mod write;

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;
use serde_json::{Value, json};

/// The attributes that a sink of these samples maps.
pub const ATTRIBUTES: [&str; 3] = ["person.name", "personalEmail.address", "loyalty.tier"];
/// The segments that a sink of these samples maps, each with its name.
pub const SEGMENTS: [(&str, &str); 2] = [
    ("2f1c9a54-7d0e-4b8e-9a63-51c0de000001", "Newsletter readers"),
    ("2f1c9a54-7d0e-4b8e-9a63-51c0de000002", "Gold members"),
];
/// The identity namespace of the key.
pub const NAMESPACE: &str = "crmid";

/// Tiers of the loyalty programme.
const TIERS: u8 = 4;
/// Devices of one person, each with an identity of its own.
const DEVICES: u8 = 4;

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The profile, from 0.
    pub profile: u32,
    /// The record, without a line end.
    pub json: Vec<u8>,
    /// Whether it makes the profile due at a sink that maps [`ATTRIBUTES`] and [`SEGMENTS`].
    pub relevant: bool,
}

/// An endless stream of updates.
#[derive(Clone, Debug)]
pub struct Samples {
    seed: u64,
    rng: Rng,
    relevant: f64,
    profiles: Vec<State>,
}

/// How a profile stands. What does not change is derived from seed and number.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// Records so far, and visits.
    records: u32,
    /// When a mapped thing changed last, counted in records.
    changed: u32,
    tier: u8,
    emails: u8,
    devices: u8,
    gold: bool,
    was_gold: bool,
}

impl Samples {
    /// Updates of this many profiles, 5 % of which are relevant, besides the first of each.
    pub fn new(seed: u64, profiles: u32) -> Self {
        let state = |number| {
            let bits = write::bits(seed, number);
            let tier = u8::try_from(bits % u64::from(TIERS)).expect("less than the tiers");
            State { tier, gold: tier + 1 == TIERS, was_gold: tier + 1 == TIERS, ..State::default() }
        };
        Self {
            seed,
            rng: Rng::with_seed(seed),
            relevant: 0.05,
            profiles: (0..profiles).map(state).collect(),
        }
    }

    /// With another share of relevant updates, between 0 and 1.
    pub fn with_relevant(mut self, share: f64) -> Self {
        self.relevant = share;
        self
    }

    /// How many profiles there are.
    pub fn profiles(&self) -> u32 {
        u32::try_from(self.profiles.len()).expect("made of a number of that size")
    }

    /// The identity by which a profile is known, in [`NAMESPACE`].
    pub fn id(profile: u32) -> String {
        format!("C-{profile:07}")
    }

    /// Whether a profile is one of the nine in ten that are members of a mapped segment.
    pub fn is_followed(profile: u32) -> bool {
        profile % 10 != 9
    }

    /// The last record of one profile, if it has had one.
    pub fn current(&self, profile: u32) -> Option<Vec<u8>> {
        let state = &self.profiles[profile as usize];
        let followed = Self::is_followed(profile);
        (state.records > 0).then(|| write::record(self.seed, profile, state, followed))
    }

    /// The next record of one profile.
    pub fn update(&mut self, profile: u32) -> Sample {
        let state = &mut self.profiles[profile as usize];
        state.records += 1;
        let followed = Self::is_followed(profile);
        let mut relevant = followed;
        if state.records > 1 {
            relevant &= self.rng.f64() < self.relevant;
            if relevant {
                state.change(&mut self.rng);
            }
        }
        let json = write::record(self.seed, profile, state, followed);
        Sample { profile, json, relevant }
    }
}

impl Iterator for Samples {
    type Item = Sample;

    /// The next record of a profile that is drawn by lot. Never ends while there are profiles.
    fn next(&mut self) -> Option<Sample> {
        if self.profiles.is_empty() {
            return None;
        }
        let profile = self.rng.u32(..self.profiles());
        Some(self.update(profile))
    }
}

/// What a sink that maps [`ATTRIBUTES`] and [`SEGMENTS`] compares: of a record, or of an export.
/// Two of them are equal when nothing relevant differs.
pub fn relevant_part(record: &Value) -> Value {
    let member = |(id, _): (&str, &str)| {
        let status = &record["segmentMembership"]["ups"][id]["status"];
        status == "realized" || status == "existing"
    };
    let attribute = |path: &str| path.split('.').fold(record, |value, key| &value[key]).clone();
    // Identities are a set, in whatever order they stand.
    let ids = |identities: &Value| {
        let ids = identities.as_array().into_iter().flatten();
        ids.filter_map(|identity| identity["id"].as_str().map(str::to_owned)).collect()
    };
    let identities: BTreeMap<_, BTreeSet<String>> = record["identityMap"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(namespace, identities)| (namespace, ids(identities)))
        .collect();
    json!({
        "attributes": ATTRIBUTES.map(attribute),
        "members": SEGMENTS.map(member),
        "identities": identities,
    })
}

impl State {
    /// Changes one mapped thing.
    fn change(&mut self, rng: &mut Rng) {
        self.changed = self.records;
        match rng.u8(..4) {
            0 => self.tier = (self.tier + 1) % TIERS,
            1 => self.emails = self.emails.wrapping_add(1),
            2 => self.devices = (self.devices + 1) % DEVICES,
            _ => {
                self.gold = !self.gold;
                self.was_gold = true;
            }
        }
    }
}

#[cfg(test)]
mod tests;
