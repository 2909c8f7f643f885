//! The flat options of an output plugin, as a tree like that of a file.

use std::sync::Arc;

use super::{Entry, Node, Value};
use crate::config::problem::{Place, Problem, SourceFile};

/// How a value is written where everything is text.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    /// A number, or a word that stands for one.
    Number,
    /// Items between commas.
    List,
}

/// The options of the sink, and where each stands in a file: in which section, under which key.
const OF_SINK: [(&str, &str, &str, Kind); 14] = [
    ("http_endpoint", "", "http_endpoint", Kind::Text),
    ("custom_headers", "", "custom_headers", Kind::Text),
    ("auth_endpoint", "auth", "auth_endpoint", Kind::Text),
    ("client_id", "auth", "client_id", Kind::Text),
    ("client_secret", "auth", "client_secret", Kind::Text),
    ("client_auth", "auth", "client_auth", Kind::Text),
    ("scopes", "auth", "scopes", Kind::List),
    ("profile_key", "profile", "key", Kind::Text),
    ("profile_version", "profile", "version", Kind::Text),
    ("attributes", "export", "attributes", Kind::List),
    ("segments", "export", "segments", Kind::List),
    ("rate_limit", "request", "rate_limit_num", Kind::Number),
    ("concurrency", "request", "concurrency", Kind::Number),
    ("timeout", "request", "timeout_secs", Kind::Number),
];

/// The names of all options.
pub(in crate::config) fn names() -> impl Iterator<Item = &'static str> {
    OF_SINK.iter().map(|(name, ..)| *name).chain(["state_dir"])
}

/// Makes the tree of a sink `sink` that takes from one source. The values are taken as they are:
/// variables have been replaced by whoever read them.
pub(in crate::config) fn read(
    sink: &str,
    options: &[(&'static str, String)],
) -> Result<Node, Vec<Problem>> {
    let (file, places) = text_of(options);
    let all = Place::new(&file, 0, 0);
    let mut top = vec![
        entry(
            "api",
            &all,
            map(&all, vec![entry("enabled", &all, scalar(&all, Value::Bool(false)))]),
        ),
        entry("sources", &all, {
            let kind = entry("type", &all, text(&all, "stdin"));
            map(&all, vec![entry("fluent_bit", &all, map(&all, vec![kind]))])
        }),
    ];
    let mut own = vec![
        entry("type", &all, text(&all, "profile_http")),
        entry("inputs", &all, text(&all, "fluent_bit")),
    ];
    for ((name, value), (key, place)) in options.iter().zip(&places) {
        if *name == "state_dir" {
            top.push(entry("data_dir", key, text(place, value)));
        }
        let known = OF_SINK.iter().find(|(known, ..)| known == name);
        let Some((_, section, option, kind)) = known else { continue };
        let option = entry(option, key, node(value, *kind, place));
        match *section {
            "" => own.push(option),
            section => in_section(&mut own, section, key).push(option),
        }
    }
    let auth = own.iter().find(|entry| entry.key == "auth").map(|auth| auth.key_place.clone());
    if let Some(place) = auth {
        in_section(&mut own, "auth", &place).push(entry(
            "strategy",
            &place,
            text(&place, "oauth2"),
        ));
    }
    top.push(entry("sinks", &all, map(&all, vec![entry(sink, &all, map(&all, own))])));
    let problems = missing(options);
    if problems.is_empty() { Ok(map(&all, top)) } else { Err(problems) }
}

/// What is reported in the words of these options, since a file has others for it.
fn missing(options: &[(&'static str, String)]) -> Vec<Problem> {
    let is_there = |name: &str| options.iter().any(|(known, _)| *known == name);
    let mut problems: Vec<_> = [
        ("http_endpoint", "https://api.acme.example/v1/profiles"),
        ("profile_key", "identityMap.crmid"),
        ("state_dir", "/var/lib/fluent-bit/acme"),
    ]
    .into_iter()
    .filter(|(name, _)| !is_there(name))
    .map(|(name, example)| {
        Problem::nowhere(format!("`{name}` is missing"))
            .help(format!("add it, for example `{name} {example}`"))
    })
    .collect();
    if !is_there("attributes") && !is_there("segments") {
        problems.push(
            Problem::nowhere("neither `attributes` nor `segments` says what is exported")
                .help("add one of them, for example `attributes person.name,loyalty.tier`"),
        );
    }
    problems
}

/// A text with an option a line, which problems point into, and where key and value of each are.
fn text_of(options: &[(&'static str, String)]) -> (Arc<SourceFile>, Vec<(Place, Place)>) {
    let mut lines = String::new();
    let mut spans = Vec::new();
    for (name, value) in options {
        let key = lines.len();
        lines.push_str(name);
        let key_end = lines.len();
        lines.push_str(": ");
        let start = lines.len();
        // An option stays on its line, so that hiding a secret hides all of it.
        lines.extend(value.chars().map(|c| if matches!(c, '\n' | '\r') { ' ' } else { c }));
        spans.push((key..key_end, start..lines.len()));
        lines.push('\n');
    }
    let file = Arc::new(SourceFile { name: "options".to_owned(), text: lines });
    let place = |span: std::ops::Range<usize>| Place::new(&file, span.start, span.end);
    let places = spans.into_iter().map(|(key, value)| (place(key), place(value))).collect();
    (file, places)
}

fn node(value: &str, kind: Kind, place: &Place) -> Node {
    match kind {
        Kind::Text => text(place, value),
        Kind::Number => scalar(place, {
            let trimmed = value.trim();
            let whole = trimmed.parse().ok().map(Value::Integer);
            let number = whole.or_else(|| trimmed.parse().ok().map(Value::Float));
            number.unwrap_or_else(|| Value::from(trimmed.to_owned()))
        }),
        // Everything, which is no item.
        Kind::List if value.trim() == "*" => text(place, "*"),
        Kind::List => {
            let items = value.split(',').map(str::trim).filter(|item| !item.is_empty());
            scalar(place, Value::List(items.map(|item| text(place, item)).collect()))
        }
    }
}

fn in_section<'a>(sink: &'a mut Vec<Entry>, section: &str, place: &Place) -> &'a mut Vec<Entry> {
    let at = sink.iter().position(|entry| entry.key == section).unwrap_or_else(|| {
        sink.push(entry(section, place, map(place, Vec::new())));
        sink.len() - 1
    });
    match &mut sink[at].value.value {
        Value::Map(entries) => entries,
        _ => unreachable!("sections are made as maps, and no option is named like one"),
    }
}

fn entry(key: &str, place: &Place, value: Node) -> Entry {
    Entry { key: key.to_owned(), key_place: place.clone(), value }
}

fn map(place: &Place, entries: Vec<Entry>) -> Node {
    scalar(place, Value::Map(entries))
}

fn text(place: &Place, text: &str) -> Node {
    scalar(place, Value::from(text.to_owned()))
}

fn scalar(place: &Place, value: Value) -> Node {
    Node::new(value, place.clone())
}
