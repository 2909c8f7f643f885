use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// JSON by its meaning.
#[derive(Clone, Debug, PartialEq)]
enum Json {
    Word(&'static str),
    /// Mantissa and exponent.
    Number(i128, i8),
    Text(String),
    Array(Vec<Json>),
    Object(BTreeMap<String, Json>),
}

fn json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        prop::sample::select(vec!["null", "true", "false"]).prop_map(Json::Word),
        (any::<i128>(), -40_i8..40).prop_map(number),
        (-99_i128..99, -3_i8..3).prop_map(number),
        text().prop_map(Json::Text),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::Array),
            prop::collection::btree_map(text(), inner, 0..5).prop_map(Json::Object),
        ]
    })
}

/// A number as one mantissa and exponent, so that equal numbers are equal.
fn number((mut mantissa, mut exponent): (i128, i8)) -> Json {
    while mantissa != 0 && mantissa % 10 == 0 {
        (mantissa, exponent) = (mantissa / 10, exponent + 1);
    }
    Json::Number(mantissa, if mantissa == 0 { 0 } else { exponent })
}

fn text() -> impl Strategy<Value = String> {
    "[a-c\"\\\\/\n\u{0}é😀 {}:,]{0,4}"
}

/// One of the many ways to write it.
struct Writer(fastrand::Rng);

impl Writer {
    fn write(&mut self, json: &Json, out: &mut String) {
        self.space(out);
        match json {
            Json::Word(word) => out.push_str(word),
            Json::Number(mantissa, exponent) => out.push_str(&self.number(*mantissa, *exponent)),
            Json::Text(text) => self.string(text, out),
            Json::Array(items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    out.push_str(if i > 0 { "," } else { "" });
                    self.write(item, out);
                }
                out.push(']');
            }
            Json::Object(entries) => {
                let mut entries: Vec<_> = entries.iter().collect();
                self.0.shuffle(&mut entries);
                out.push('{');
                for (i, (key, value)) in entries.into_iter().enumerate() {
                    out.push_str(if i > 0 { "," } else { "" });
                    if self.0.u8(..) < 50 {
                        self.entry(key, &Json::Word("null"), out);
                        out.push(',');
                    }
                    self.entry(key, value, out);
                }
                out.push('}');
            }
        }
        self.space(out);
    }

    fn entry(&mut self, key: &str, value: &Json, out: &mut String) {
        self.space(out);
        self.string(key, out);
        self.space(out);
        out.push(':');
        self.write(value, out);
    }

    fn space(&mut self, out: &mut String) {
        out.push_str(self.0.choice(["", "", "", " ", "\n\t"]).unwrap());
    }

    fn string(&mut self, text: &str, out: &mut String) {
        out.push('"');
        for unit in text.chars() {
            if self.0.bool() || matches!(unit, '"' | '\\' | '\0'..='\x1f') {
                for half in unit.encode_utf16(&mut [0; 2]) {
                    let upper = self.0.bool();
                    let digits = format!("{half:04x}");
                    out.push_str("\\u");
                    out.push_str(&if upper { digits.to_uppercase() } else { digits });
                }
            } else {
                out.push(unit);
            }
        }
        out.push('"');
    }

    fn number(&mut self, mantissa: i128, exponent: i8) -> String {
        let shift = if mantissa == 0 { 0 } else { self.0.u8(..3) };
        let digits = format!("{mantissa}{}", "0".repeat(shift.into()));
        let exponent = i16::from(exponent) - i16::from(shift);
        let point = self.0.choice(["", ".0", ".00"]).unwrap();
        let mark = self.0.choice(["e", "E", "e0", "E00"]).unwrap();
        match exponent {
            0 if self.0.bool() => format!("{digits}{point}"),
            1.. if self.0.bool() => format!("{digits}{point}e+{exponent}"),
            ..0 => format!("{digits}{point}{}-0{}", &mark[..1], exponent.abs()),
            _ => format!("{digits}{point}{mark}{exponent}"),
        }
    }
}

fn written(json: &Json, seed: u64) -> String {
    let mut out = String::new();
    Writer(fastrand::Rng::with_seed(seed)).write(json, &mut out);
    out
}

/// Mappings that between them use every way of reading.
fn mappings() -> Vec<Mapping> {
    let all = MappingSpec { attributes: Attributes::All, ..spec(&[], &["a"]) };
    let whole = MappingSpec { retain: Retain::Profile, unmapped_segments: true, ..all.clone() };
    let prefixed =
        MappingSpec { strip_prefix: Some("a".into()), ..spec(&["b", "c.b"], &["a", "b"]) };
    let inside = MappingSpec {
        key: paths(&["identityMap.a", "identityMap.crmid", "a.b", "b"]),
        version: Some("a.c".parse().unwrap()),
        identities: Some(vec!["a".into()]),
        removed: Removed::Null,
        ..spec(&["a", "c"], &["a"])
    };
    let consenting = MappingSpec { consent: paths(&["b", "c.b"]), ..inside.clone() };
    let consenting_all = MappingSpec { consent: paths(&["a.a", "consents"]), ..all.clone() };
    let plain = spec(&["a", "b.c"], &["a", "b"]);
    [plain, all, whole, prefixed, inside, consenting, consenting_all].map(compile).into()
}

/// A record whose parts may or may not have the right shape.
fn record() -> impl Strategy<Value = String> {
    let id = prop_oneof![
        40 => text().prop_map(Json::Text),
        10 => Just(Json::Number(7, 0)),
        1 => json(),
    ];
    let identity = (id, any::<bool>()).prop_map(|(id, primary)| {
        let primary = Json::Word(if primary { "true" } else { "false" });
        Json::Object(BTreeMap::from([("id".into(), id), ("primary".into(), primary)]))
    });
    let namespace = prop::collection::vec(identity, 0..4).prop_map(Json::Array);
    let identities =
        prop::collection::btree_map("[ab]", namespace, 0..3).prop_map(|mut namespaces| {
            let id = BTreeMap::from([("id".into(), Json::Text("c1".into()))]);
            namespaces.insert("crmid".into(), Json::Array(vec![Json::Object(id)]));
            Json::Object(namespaces)
        });
    let status = prop_oneof![
        40 => prop::sample::select(vec!["realized", "existing", "exited"]).prop_map(|s| Json::Text(s.into())),
        1 => json(),
    ];
    let time = prop_oneof![
        40 => (0_u32..60).prop_map(|s| Json::Text(format!("2024-01-01T00:00:{s:02}Z"))),
        1 => json(),
    ];
    let membership = (status, time).prop_map(|(status, time)| {
        Json::Object(BTreeMap::from([
            ("status".into(), status),
            ("lastQualificationTime".into(), time),
        ]))
    });
    let memberships = prop::collection::btree_map("[a-c]", membership, 0..4).prop_map(Json::Object);
    let memberships = prop::collection::btree_map("[ab]", memberships, 0..3).prop_map(Json::Object);
    let value = prop_oneof![4 => json(), 1 => Just(Json::Text("y".into()))];
    let attributes = prop::collection::btree_map("[a-c]|consents", value, 0..4);
    (attributes, identities, memberships, any::<u64>()).prop_map(
        |(mut record, ids, segments, seed)| {
            record.insert("identityMap".into(), ids);
            record.insert("segmentMembership".into(), segments);
            written(&Json::Object(record), seed)
        },
    )
}

proptest! {
    #[test]
    fn the_way_of_writing_a_value_is_never_a_change(value in json(), one: u64, other: u64) {
        let mapping = compile(MappingSpec { retain: Retain::Profile, ..spec(&["a"], &[]) });
        let [one, other] = [one, other].map(|seed| format!("{{\"a\":{}}}", written(&value, seed)));
        prop_assert_eq!(prints(&mapping, &one), prints(&mapping, &other));
    }

    #[test]
    fn another_value_is_always_a_change(one in json(), other in json(), seed: u64) {
        prop_assume!(one != other);
        let mapping = compile(spec(&["a"], &[]));
        let print = |json: &Json| prints(&mapping, &format!("{{\"a\":{}}}", written(json, seed)));
        prop_assert_ne!(print(&one).attributes, print(&other).attributes);
    }

    #[test]
    fn what_is_kept_says_the_same_as_the_record(record in record()) {
        for mapping in mappings() {
            let Ok(projected) = mapping.project(SEED, record.as_bytes()) else { continue };
            let known = mapping.advance(None, projected.keep(), NOW).known;
            let judged = mapping.fingerprints_of(SEED, &known).unwrap();
            let followed = if projected.followed { Followed::Yes } else { Followed::No };
            prop_assert_eq!(judged, (projected.prints, followed));
            prop_assert_eq!(Known::decode(&known.encode()).unwrap(), known.clone());
            let export = export_text(&mapping, &known, 0);
            prop_assert!(!export.contains('\n'));
            prop_assert!(serde_json::from_str::<Value>(&export).is_ok(), "{}", export);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>, text in "[{}\\[\\]:,\"a-c0-9.eE\\\\u-]{0,40}") {
        for mapping in mappings() {
            let _ = mapping.project(SEED, &bytes);
            let _ = mapping.project(SEED, text.as_bytes());
            let _ = mapping.project(SEED, format!("{{\"a\":{text}}}").as_bytes());
        }
    }

    #[test]
    fn a_record_cut_short_or_changed_in_one_byte_makes_no_panic(
        record in record(), at: prop::sample::Index, byte: u8
    ) {
        let mut bytes = record.into_bytes();
        let at = at.index(bytes.len());
        for mapping in mappings() {
            let _ = mapping.project(SEED, &bytes[..at]);
        }
        bytes[at] = byte;
        for mapping in mappings() {
            if let Ok(projected) = mapping.project(SEED, &bytes) {
                let known = mapping.advance(None, projected.keep(), NOW).known;
                prop_assert!(mapping.fingerprints_of(SEED, &known).is_ok());
            }
        }
    }
}
