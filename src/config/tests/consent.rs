//! `export.consent` as an operator writes it.

use super::*;

/// A configuration that asks for consent there, with these lines in its sink.
fn asking(consent: &str, lines: &str) -> String {
    let export = format!("export: {{ consent: {consent}, ");
    with(lines).replace("export: { ", &export)
}

fn paths(consent: &str) -> Vec<String> {
    let plan = yaml(&asking(consent, ""), &[]).unwrap();
    assert!(plan.warnings.is_empty(), "{:?}", plan.warnings);
    plan.sinks[0].mapping.spec().consent.iter().map(ToString::to_string).collect()
}

#[test]
fn consent_is_asked_for_at_one_path_or_several_mapped_or_not() {
    assert_eq!(paths("consents.marketing.email.val"), ["consents.marketing.email.val"]);
    assert_eq!(paths("[person.name, /a/b]"), ["person.name", "a.b"]);
    assert!(plan("").sinks[0].mapping.spec().consent.is_empty());
}

#[test]
fn consent_that_could_never_be_read_is_one_clear_error() {
    for (consent, message) in [
        ("identityMap.crmid", "identityMap.crmid cannot be export.consent"),
        ("segmentMembership.ups.s.status", "cannot be export.consent"),
        ("[a.b, a.b]", "export.consent lists a.b twice"),
        ("[]", "`consent` names no path"),
        ("a..b", "holds an empty key"),
    ] {
        let errors = yaml(&asking(consent, ""), &[]).unwrap_err();
        assert_eq!(errors.problems().len(), 1, "{errors}");
        assert!(errors.to_string().contains(message), "{errors}");
    }
}

#[test]
fn a_template_that_a_withdrawal_cannot_fill_in_is_a_warning() {
    let warned = |endpoint: &str, lines: &str| {
        let text = asking("consents.x.val", lines).replace("https://a.example/p", endpoint);
        let warnings = yaml(&text, &[]).unwrap().warnings;
        warnings.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let plain = "https://a.example/{identityMap.crmid}";
    assert_eq!(warned(plain, "    custom_headers: { x-a: '{identityMap.crmid}' }"), [""; 0]);
    let [path] = &warned("https://a.example/{/person/name}", "")[..] else { panic!() };
    assert!(path.contains("the endpoint is not told of withdrawn consent"), "{path}");
    assert!(path.contains("person.name"), "{path}");
    for (url, lines) in [
        ("https://a.example/p?n={person.name}", ""),
        (plain, "    query: { n: '{person.name}' }"),
        (plain, "    custom_headers: { x-a: '{person.name}' }"),
    ] {
        let [warning] = &warned(url, lines)[..] else { panic!("{url} {lines}") };
        assert!(warning.contains("goes without the header or parameter"), "{warning}");
    }
    let key = asking("a", "").replace("identityMap.crmid", "person.name");
    let key = key.replace("https://a.example/p", "https://a.example/{person.name}");
    assert!(yaml(&key, &[]).unwrap().warnings.is_empty(), "the key says who it is");
}
