//! The words of the hosted product's form, so that it can be copied over as it stands: at the level
//! of the sink, for the same things.

use super::Section;
use crate::config::{
    problem::Problem,
    written::{Entry, Node, Value},
};

/// Its words for options of the sink.
const OF_SINK: [(&str, &str); 2] =
    [("httpEndpoint", "http_endpoint"), ("customHeaders", "custom_headers")];

/// Its words for options of `auth`.
const OF_AUTH: [(&str, &str); 3] = [
    ("authEndpoint", "auth_endpoint"),
    ("clientID", "client_id"),
    ("clientSecret", "client_secret"),
];

/// Puts each option that goes by the form's word where it belongs. Its words for `auth` imply
/// OAuth2.
pub(super) fn translate(sink: &mut Section<'_>) {
    for (word, name) in OF_SINK {
        if let Some(entry) = take(sink, word) {
            put(sink, entry, word, name);
        }
    }
    let taken = OF_AUTH.map(|(word, name)| take(sink, word).map(|entry| (entry, word, name)));
    let mut taken = taken.into_iter().flatten().peekable();
    let Some((first, ..)) = taken.peek() else { return };
    let place = first.key_place.clone();
    if !sink.has("auth") {
        let auth = Node::new(Value::Map(Vec::new()), place.clone());
        sink.entries().push(Entry { key: "auth".into(), key_place: place.clone(), value: auth });
    }
    let findings = sink.findings();
    let auth = sink.entries().iter_mut().find(|entry| entry.key == "auth");
    // What is no map is reported where `auth` is read.
    let Some(Entry { value: Node { value: Value::Map(auth), .. }, .. }) = auth else { return };
    for (entry, word, name) in taken {
        if auth.iter().any(|own| own.key == name) {
            findings.error(twice(&entry, word, &format!("auth.{name}")));
            continue;
        }
        auth.push(Entry { key: name.into(), ..entry });
    }
    if !auth.iter().any(|own| own.key == "strategy") {
        let value = Node::new(Value::from("oauth2".to_owned()), place.clone());
        auth.push(Entry { key: "strategy".into(), key_place: place, value });
    }
}

fn take(sink: &mut Section<'_>, word: &str) -> Option<Entry> {
    let at = sink.entries().iter().position(|entry| entry.key == word)?;
    Some(sink.entries().remove(at))
}

fn put(sink: &mut Section<'_>, entry: Entry, word: &str, name: &str) {
    if sink.has(name) {
        return sink.findings().error(twice(&entry, word, name));
    }
    sink.entries().push(Entry { key: name.into(), ..entry });
}

fn twice(entry: &Entry, word: &str, name: &str) -> Problem {
    Problem::at(&entry.key_place, format!("`{word}` and `{name}` say the same thing"))
        .help("remove one of the two")
}
