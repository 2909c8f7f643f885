//! Templates in URL and headers as an operator writes them.

use super::*;
use crate::delivery::Classes;

/// A configuration with this endpoint, and these lines in its sink.
fn to(endpoint: &str, lines: &str) -> String {
    with(lines).replace("https://a.example/p", endpoint)
}

fn complaints(endpoint: &str, lines: &str, env: &[(&str, &str)]) -> Vec<String> {
    let errors = yaml(&to(endpoint, lines), env).expect_err(endpoint);
    errors.problems().iter().map(ToString::to_string).collect()
}

#[test]
fn a_url_may_have_mapped_values_in_its_path_and_query() {
    let text = to(
        "https://a.example:8443/c/{identityMap.crmid}/{/person/name}?x=1&n={person.name}",
        "    query: { tier: \"t-{person.name.first}\", n2: 5 }",
    );
    let endpoint = &yaml(&text, &[]).unwrap().sinks[0].delivery.endpoint;
    assert_eq!(
        endpoint.shown(None, "1"),
        "https://a.example:8443/c/{identityMap.crmid}/{/person/name}?x=1&n={person.name}&tier=1&n2=1"
    );
    let value = |text: &'static str| Some(text.into());
    let url = endpoint.render(&[value("a/1"), value("b"), value("c d"), value("é")]).unwrap();
    assert_eq!(url, "https://a.example:8443/c/a%2F1/b?x=1&n=c%20d&tier=t-%C3%A9&n2=5");
}

#[test]
fn what_a_url_cannot_have_is_one_clear_error() {
    for (endpoint, message) in [
        ("https://{person.name}.example/", "in its scheme, host or port"),
        ("https://a.example:{person.name}/p", "in its scheme, host or port"),
        ("https://a.example{person.name}", "in its scheme, host or port"),
        ("'{person.name}://a.example/p'", "in its scheme, host or port"),
        ("https://a.example/{person.name", "has a `{` without a `}`"),
        ("https://a.example/person.name}", "has a `}` without a `{`"),
        ("https://a.example/{}", "has nothing between `{` and `}`"),
        ("https://a.example/{{person.name}}", "has two braces in a row"),
        ("https://a.example/{person..name}", "holds an empty key"),
        ("https://a.example/{person name}", "person name is not mapped"),
        ("https://a.example/{loyalty.tier}", "loyalty.tier is not mapped"),
        ("https://a.example/{person}", "person is not mapped"),
        ("https://a.example/{segmentMembership.ups.x}", "is no single value"),
        ("https://a.example/{identityMap}", "is no single value"),
        ("https://a.example/../{person.name}", "has a `.` or `..` in it"),
        ("https://a.example/{person.name}/%2e%2e/x", "has a `.` or `..` in it"),
        (r"https://a.example/\{x\}", "has a brace in it"),
        ("https://a.example/{person.name}?a b", "has a character that a URL cannot hold"),
    ] {
        let complaints = complaints(endpoint, "", &[]);
        let text = complaints.join("\n\n").replace("\n  help: ", "; ");
        assert_eq!(complaints.len(), 1, "{endpoint}\n{text}");
        assert!(text.contains(message) && text.contains("c.yaml:8:20: "), "{endpoint}\n{text}");
    }
}

#[test]
fn what_a_query_parameter_cannot_have_is_one_clear_error() {
    for (line, message) in [
        ("query: { q: \"{loyalty.tier}\" }", "loyalty.tier is not mapped"),
        ("query: { q: \"{a\" }", "query parameter `q` has a `{` without a `}`"),
        ("query: { id: 1 }", "has a query parameter `id` already"),
    ] {
        let complaints =
            complaints("https://a.example/?id={person.name}", &format!("    {line}"), &[]);
        assert_eq!(complaints.len(), 1, "{complaints:?}");
        assert!(complaints[0].contains(message), "{}", complaints[0]);
    }
}

#[test]
fn what_a_header_cannot_have_is_one_clear_error() {
    for (lines, message) in [
        ("custom_headers: { x-a: \"{loyalty.tier}\" }", "loyalty.tier is not mapped"),
        ("custom_headers: \"x-a:{loyalty.tier}\"", "loyalty.tier is not mapped"),
        ("custom_headers: { x-a: \"{a\" }", "header `x-a` has a `{` without a `}`"),
        ("custom_headers: { x-a: \"{}\" }", "header `x-a` has nothing between"),
        ("custom_headers: { x-a: \"{{person.name}}\" }", "header `x-a` has two braces in a row"),
        ("custom_headers: { x-a: \"{a..b}\" }", "holds an empty key"),
        ("custom_headers: { x-a: \"ü {person.name}\" }", "a header cannot hold"),
        ("custom_headers: \"x-a:{person.name},X-A:1\"", "header `X-A` is named twice"),
        ("custom_headers: \"x-a:1,X-A:{person.name}\"", "header `X-A` is named twice"),
        ("custom_headers: \"{person.name}:1\"", "a name that no header can have"),
        ("custom_headers: { Authorization: \"{person.name}\" }", "says who sends"),
        ("custom_headers: { Host: \"{person.name}\" }", "is set by the sink itself"),
        // It may be a secret that happens to have braces.
        ("custom_headers: { x-api-key: \"s3{cret}\" }", "is nothing that is mapped"),
        ("custom_headers: { x-api-key: \"s3{cr..et}\" }", "is nothing that is mapped"),
    ] {
        let complaints = complaints("https://a.example/p", &format!("    {lines}"), &[]);
        assert_eq!(complaints.len(), 1, "{complaints:?}");
        assert!(complaints[0].contains(message), "{}", complaints[0]);
        assert!(!complaints[0].contains("cret"), "{}", complaints[0]);
    }
}

#[test]
fn braces_may_be_meant_and_those_of_a_variable_always_are() {
    let lines = r"    custom_headers: { x-a: '\{\}', x-b: '${S}', x-c: '${S} {person.name}' }
    query: { q: '${S}' }";
    let plan = yaml(&with(lines), &[("S", "{x}")]).unwrap();
    let delivery = &plan.sinks[0].delivery;
    assert_eq!(delivery.headers["x-a"], "{}");
    assert_eq!(delivery.headers["x-b"], "{x}");
    let [template] = &delivery.header_templates[..] else { panic!("{delivery:?}") };
    assert!(template.sensitive, "a variable may be a secret");
    assert_eq!(template.render(&[Some("Ada".into())]).unwrap(), "{x} Ada");
    assert_eq!(delivery.endpoint.fixed().unwrap(), "https://a.example/p?q=%7Bx%7D");
}

#[test]
fn only_identities_that_are_exported_can_stand_in_a_template() {
    let text = to("https://a.example/{identityMap.crmid}", "");
    let narrow = |text: &str, names| text.replace("export: {", &format!("export: {{ {names},"));
    assert!(yaml(&narrow(&text, "identities: [crmid]"), &[]).is_ok());
    let errors = yaml(&narrow(&text, "identities: [ecid]"), &[]).unwrap_err().to_string();
    assert!(errors.contains("help: add crmid to export.identities"), "{errors}");
}

#[test]
fn every_attribute_can_stand_in_a_template_where_all_are_mapped() {
    let text = to("https://a.example/{a.b}", "").replace("[person.name]", "\"*\"");
    assert!(yaml(&text, &[]).is_ok());
    let text = text.replace("{a.b}", "{consents.marketing.val}");
    assert!(yaml(&text, &[]).unwrap_err().to_string().contains("is no single value"));
}

#[test]
fn a_template_changes_nothing_about_what_is_mapped() {
    let plain = yaml(&with(""), &[]).unwrap();
    let templated = yaml(&to("https://a.example/{person.name}", ""), &[]).unwrap();
    assert_eq!(plain.sinks[0].mapping.spec(), templated.sinks[0].mapping.spec());
}

#[test]
fn behind_a_templated_url_404_and_410_are_the_profiles_unless_the_operator_says_otherwise() {
    let classes = |endpoint: &str, lines: &str| {
        yaml(&to(endpoint, lines), &[]).unwrap().sinks[0].delivery.request.classes.clone()
    };
    let templated = "https://a.example/{person.name}";
    assert_eq!(classes("https://a.example/p", ""), Classes::default());
    assert_eq!(classes(templated, "").refused, [404, 410]);
    let own = classes(templated, "    request: { classes: { endpoint: [404] } }");
    assert_eq!((own.refused, own.endpoint), (vec![410], vec![404]));
    let header = "    custom_headers: { x-a: \"{person.name}\" }";
    assert_eq!(classes("https://a.example/p", header), Classes::default());
}
