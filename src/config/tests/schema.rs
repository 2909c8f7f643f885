//! The schema says of each section what the section itself says.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{with, yaml};
use crate::config::SCHEMA;

/// An option that there is not, and like none that there is.
const UNKNOWN: &str = "qqqqqqqqqqqqqqqqqqqqqqqq: 1";

/// The options of a section that the schema has, but for the hosted product's words.
fn described(section: &str) -> BTreeSet<String> {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let found = schema.pointer(section).unwrap_or_else(|| panic!("no {section}"));
    assert_eq!(found["additionalProperties"], false, "{section}");
    let hosted = ["httpEndpoint", "authEndpoint", "clientID", "clientSecret", "customHeaders"];
    let options = found["properties"].as_object().unwrap().keys();
    options.filter(|option| !hosted.contains(&option.as_str())).cloned().collect()
}

/// The options that there are where the configuration has an unknown one.
fn known(text: &str) -> BTreeSet<String> {
    let errors = yaml(text, &[]).unwrap_err().to_string();
    let known = errors.split_once("known here: ").unwrap_or_else(|| panic!("{text}\n{errors}")).1;
    known.lines().next().unwrap().split(", ").map(str::to_owned).collect()
}

fn of_sink(option: &str) -> BTreeSet<String> {
    known(&with(&format!("    {option}")))
}

fn of_source(options: &str) -> BTreeSet<String> {
    known(&with("").replace("type: stdin", options))
}

/// What a section has that stands in every configuration.
fn of_required(start: &str) -> BTreeSet<String> {
    known(&with("").replace(start, &format!("{start}{UNKNOWN}, ")))
}

fn all(sections: impl IntoIterator<Item = BTreeSet<String>>) -> BTreeSet<String> {
    sections.into_iter().flatten().collect()
}

#[test]
fn the_schema_has_the_options_of_the_top_and_of_sources() {
    assert_eq!(described(""), known(&format!("{}{UNKNOWN}\n", with(""))));
    assert_eq!(described("/properties/api"), known(&format!("{}api: {{ {UNKNOWN} }}\n", with(""))));
    assert_eq!(described("/definitions/stdin"), of_source(&format!("type: stdin, {UNKNOWN}")));
    let at = "address: '127.0.0.1:1'";
    for kind in ["http_server", "fluent", "vector", "opentelemetry"] {
        let known = of_source(&format!("type: {kind}, {at}, {UNKNOWN}"));
        assert_eq!(described(&format!("/definitions/{kind}")), known);
    }
    let tls = of_source(&format!("type: vector, {at}, tls: {{ {UNKNOWN} }}"));
    assert_eq!(described("/definitions/listener_tls"), tls);
    let user = of_source(&format!("type: fluent, {at}, shared_key: a, users: [{{ {UNKNOWN} }}]"));
    assert_eq!(described("/definitions/fluent_user"), user);
    let auth = |strategy| {
        of_source(&format!("type: http_server, {at}, auth: {{ strategy: {strategy}, {UNKNOWN} }}"))
    };
    let auth = all(["basic", "bearer"].map(auth));
    assert_eq!(described("/definitions/http_server/properties/auth"), auth);
}

#[test]
fn the_schema_has_the_options_of_sinks() {
    for (section, option) in [
        ("sink", UNKNOWN.to_owned()),
        ("sink/properties/signing", format!("signing: {{ {UNKNOWN} }}")),
        ("sink/properties/governance", format!("governance: {{ {UNKNOWN} }}")),
        ("policy", format!("governance: {{ policies: [{{ {UNKNOWN} }}] }}")),
        ("request", format!("request: {{ {UNKNOWN} }}")),
        ("request/properties/proxy", format!("request: {{ proxy: {{ {UNKNOWN} }} }}")),
        ("request/properties/classes", format!("request: {{ classes: {{ {UNKNOWN} }} }}")),
        ("batch", format!("batch: {{ {UNKNOWN} }}")),
        ("tls", format!("tls: {{ {UNKNOWN} }}")),
        ("state", format!("state: {{ {UNKNOWN} }}")),
        ("state/properties/dead_letters", format!("state: {{ dead_letters: {{ {UNKNOWN} }} }}")),
    ] {
        assert_eq!(described(&format!("/definitions/{section}")), of_sink(&option), "{section}");
    }
    let auths = [
        "strategy: basic",
        "strategy: bearer",
        "strategy: oauth2, grant: password",
        "strategy: oauth2, client_auth: basic",
        "strategy: oauth2, client_auth: private_key_jwt",
    ];
    let auth = auths.map(|auth| of_sink(&format!("auth: {{ {auth}, {UNKNOWN} }}")));
    assert_eq!(described("/definitions/auth"), all(auth));
    assert_eq!(described("/definitions/profile"), of_required("profile: { "));
    assert_eq!(described("/definitions/export"), of_required("export: { "));
    let items = |item: &str| known(&with("").replace("[person.name]", item));
    let attribute = items(&format!("[{{ {UNKNOWN} }}]"));
    assert_eq!(described("/definitions/attribute/anyOf/1"), attribute);
    let segment = items(&format!("[a], segments: [{{ {UNKNOWN} }}]"));
    assert_eq!(described("/definitions/segment/anyOf/1"), segment);
}
