//! Records as senders write them, and steps that a sink goes through.

use proptest::{collection, prelude::*, sample::select};
use serde_json::{Value, json};

use super::{Config, Segments, model::Fate};
use crate::profile::{Removed, Retain, UpdateMode, When};

/// Something that happens to a sink, a second after what happened before.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Records arrive together.
    Batch(Vec<Value>),
    /// All that is due is claimed.
    Claim,
    /// All that was claimed ends like this.
    Settle(Fate),
    /// The process ends without a word and starts again.
    Crash,
    /// The same with other segments.
    Remap(Segments),
}

const SEGMENTS: [Segments; 4] =
    [&[], &[(None, "s")], &[(Some("ups"), "s"), (None, "t")], &[(None, "s"), (None, "t")]];

pub(super) fn config() -> impl Strategy<Value = Config> {
    const ATTRIBUTES: [Option<&[&str]>; 6] = [
        Some(&["/a"]),
        Some(&["/a/b", "/c"]),
        Some(&["/c", "/a/b/a", "/a/c", "/b/b"]),
        Some(&["/b/a/c", "/b/b", "/b/c"]),
        None,
        Some(&[]),
    ];
    const IDENTITIES: [Option<&[&str]>; 4] =
        [None, Some(&["crmid"]), Some(&["ecid", "x"]), Some(&[])];
    const CONSENT: [&[&str]; 6] =
        [&[], &[], &[], &["/consents/m/val"], &["/b"], &["/c", "/consents/m/val"]];
    let mode = prop_oneof![1 => Just(UpdateMode::Snapshot), 2 => Just(UpdateMode::Patch)];
    let lists = (select(&ATTRIBUTES[..]), select(&SEGMENTS[..]), select(&IDENTITIES[..]));
    let lists = lists.prop_filter("nothing is mapped", |(attributes, segments, _)| {
        *attributes != Some(&[]) || !segments.is_empty()
    });
    let choices = (
        select(&CONSENT[..]),
        select(&[Removed::Omit, Removed::Null][..]),
        prop_oneof![4 => Just(When::Changed), 1 => Just(When::Always)],
        select(&[Retain::Mapped, Retain::Profile][..]),
    );
    (mode, lists, choices, any::<[bool; 7]>()).prop_map(
        |(mode, (attributes, segments, identities), (consent, removed, when, retain), flags)| {
            let [versioned, unmapped, names, timestamps, legacy, prefixed, inside] = flags;
            Config {
                mode,
                attributes,
                segments,
                identities,
                consent,
                removed,
                when,
                retain,
                versioned,
                unmapped,
                names,
                timestamps,
                legacy,
                prefixed,
                inside,
            }
        },
    )
}

pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let fate = prop_oneof![
        3 => Just(Fate::Delivered),
        1 => any::<bool>().prop_map(|unknown| Fate::Released { unknown }),
    ];
    let step = prop_oneof![
        8 => collection::vec(record(), 1..4).prop_map(Step::Batch),
        3 => Just(Step::Claim),
        3 => fate.prop_map(Step::Settle),
        1 => Just(Step::Crash),
        2 => select(&SEGMENTS[..]).prop_map(Step::Remap),
    ];
    collection::vec(step, 1..20)
}

/// A record that may leave out, or set to `null`, whatever can be left out.
pub(super) fn record() -> impl Strategy<Value = Value> {
    let attributes = collection::btree_map(select(&["a", "b", "c"][..]), attribute(), 0..3);
    let crmid = prop_oneof![
        12 => ids(&["c0", "c1"]).prop_map(Some),
        1 => Just(Some(Value::Null)),
        1 => Just(None),
    ];
    let ecid = optional(ids(&["e0", "e1", "7"]));
    let segments = optional(namespaces());
    let consents = optional(prop_oneof![
        1 => Just(json!("y")),
        4 => optional(purpose()).prop_map(|purpose| match purpose {
            None => json!({ "other": {} }),
            Some(purpose) => json!({ "m": purpose }),
        }),
    ]);
    let version = prop_oneof![
        3 => Just(None),
        6 => (0..5_i64).prop_map(|version| Some(json!(version))),
        1 => (0..3_i64).prop_map(|s| Some(json!(format!("2024-01-01T00:00:0{s}Z")))),
        1 => select(vec![json!(null), json!("new"), json!([1])]).prop_map(Some),
    ];
    (attributes, crmid, ecid, segments, consents, version).prop_map(
        |(attributes, crmid, ecid, segments, consents, version)| {
            let mut record = json!(attributes);
            let parts = [("/identityMap/crmid", crmid), ("/identityMap/ecid", ecid)];
            let more =
                [("/segmentMembership", segments), ("/consents", consents), ("/rev", version)];
            for (path, value) in parts.into_iter().chain(more) {
                if let Some(value) = value {
                    let keys = path[1..].split('/');
                    *keys.fold(&mut record, |target, key| &mut target[key]) = value;
                }
            }
            record
        },
    )
}

/// Absent, `null` or there.
fn optional(value: impl Strategy<Value = Value> + 'static) -> impl Strategy<Value = Option<Value>> {
    prop_oneof![3 => Just(None), 1 => Just(Some(Value::Null)), 6 => value.prop_map(Some)]
}

/// What is said of consent for one purpose.
fn purpose() -> impl Strategy<Value = Value> {
    let val = optional(select(vec![json!("y"), json!("y"), json!("VI"), json!("n"), json!(1)]));
    val.prop_map(|val| val.map_or_else(|| json!({}), |val| json!({ "val": val })))
}

fn attribute() -> impl Strategy<Value = Value> {
    let leaf = select(vec![
        json!(null),
        json!(null),
        json!(true),
        json!(0),
        json!(1),
        json!("x"),
        json!("y"),
        json!("y"),
        json!([]),
        json!([null, {"a": null}]),
    ]);
    leaf.prop_recursive(3, 12, 3, |inner| {
        collection::btree_map(select(&["a", "b", "c"][..]), inner, 0..4).prop_map(|map| json!(map))
    })
}

fn ids(ids: &'static [&'static str]) -> impl Strategy<Value = Value> {
    let primary = prop_oneof![
        4 => Just(None),
        1 => Just(Some(json!(false))),
        2 => Just(Some(json!(true))),
        1 => Just(Some(json!(null))),
    ];
    let ids = collection::btree_map(select(ids), primary, 0..3);
    (ids, any::<bool>()).prop_map(|(ids, backwards)| {
        let mut items: Vec<Value> = Vec::new();
        for (id, primary) in ids {
            let number = id.parse::<u64>().map(|number| json!(number));
            let mut item = json!({ "id": number.unwrap_or_else(|_| json!(id)) });
            if let Some(primary) = primary {
                item["primary"] = primary;
            }
            items.push(item);
        }
        if backwards {
            items.reverse();
        }
        json!(items)
    })
}

fn namespaces() -> impl Strategy<Value = Value> {
    let status = optional(select(vec![json!("realized"), json!("existing"), json!("exited")]));
    let time = optional((0..3).prop_map(|s| json!(format!("2024-01-01T00:00:0{s}Z"))));
    let entry = (status, time).prop_map(|(status, time)| {
        let mut entry = json!({});
        let fields = [("status", status), ("lastQualificationTime", time)];
        for (name, value) in fields.into_iter().filter_map(|(name, v)| Some((name, v?))) {
            entry[name] = value;
        }
        entry
    });
    let entry = prop_oneof![1 => Just(Value::Null), 5 => entry];
    let segments = collection::btree_map(select(&["s", "t", "u"][..]), entry, 0..3);
    let segments = prop_oneof![1 => Just(Value::Null), 6 => segments.prop_map(|map| json!(map))];
    collection::btree_map(select(&["ups", "aam"][..]), segments, 0..3).prop_map(|map| json!(map))
}

/// The record as the configuration has it written.
pub(super) fn written(record: &Value, config: &Config) -> String {
    let record = if config.prefixed { prefixed(record) } else { record.clone() };
    let record = if config.inside { json!({ "data": { "profile": record } }) } else { record };
    record.to_string()
}

fn prefixed(value: &Value) -> Value {
    match value {
        Value::Object(entries) => {
            entries.iter().map(|(key, value)| (format!("xdm:{key}"), prefixed(value))).collect()
        }
        Value::Array(items) => items.iter().map(prefixed).collect(),
        other => other.clone(),
    }
}
