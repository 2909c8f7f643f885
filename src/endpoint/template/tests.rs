use http::{HeaderName, HeaderValue, Uri};

use super::*;

fn url(template: &str) -> UrlTemplate {
    template.parse().unwrap()
}

/// The URL of a template whose holes all get this value.
fn rendered(template: &str, value: &str) -> Result<Uri, Unrenderable> {
    let template = url(template);
    let values: Vec<Value<'_>> = template.names().iter().map(|_| Some(value.into())).collect();
    template.render(&values)
}

fn header(template: &str, value: &str) -> Result<HeaderValue, Unrenderable> {
    let value_template = Template::parse(template).unwrap();
    let values: Vec<Value<'_>> =
        value_template.names().iter().map(|_| Some(value.into())).collect();
    let name = HeaderName::from_static("x-a");
    HeaderTemplate { name, value: value_template, sensitive: false }.render(&values)
}

#[test]
fn a_hole_ends_at_its_brace_and_a_quoted_key_may_hold_one() {
    let names = |text: &str| Template::parse(text).unwrap().names().to_vec();
    assert_eq!(names("a{b.c}d{/e~1f}"), ["b.c", "/e~1f"]);
    assert_eq!(names(r#"{"a}b".c}{"say \"}".d}"#), [r#""a}b".c"#, r#""say \"}".d"#]);
    // A quote that is never closed is for whoever reads the name to complain of.
    assert_eq!(names(r#"{a"b}"#), [r#"a"b"#]);
    assert!(names(r"\{a\} \b\").is_empty());
    assert_eq!(Template::parse(r"\{a\} \b\").unwrap().filled_with(""), r"{a} \b\");
}

#[test]
fn what_is_no_template_is_refused_with_the_reason() {
    let error = |text: &str| Template::parse(text).unwrap_err();
    assert_eq!(error("a{b"), TemplateError::Unclosed);
    assert_eq!(error("a}b"), TemplateError::Unopened);
    assert_eq!(error("a{}"), TemplateError::Nameless);
    assert_eq!(error("a{ }"), TemplateError::Nameless);
    assert_eq!(error("{{a}}"), TemplateError::Doubled);
}

#[test]
fn braces_in_what_is_literal_mean_nothing() {
    let template = Template::parse_around("{a} {b} \\{", |at| at >= 4).unwrap();
    assert_eq!(template.names(), ["a"]);
    assert_eq!(template.literals(), ["", " {b} \\{"]);
}

#[test]
fn scheme_host_and_port_are_literal() {
    for text in [
        "{a}",
        "{a}://h/",
        "https://{a}/",
        "https://{a}.example/p",
        "https://a.example{b}/",
        "https://a.example:{b}/",
        "https://{u}@a.example/",
        "https://a.example{/b}",
    ] {
        assert!(matches!(text.parse::<UrlTemplate>(), Err(UrlError::Origin)), "{text}");
    }
    assert_eq!(rendered("https://a.example?x={a}", "1").unwrap(), "https://a.example/?x=1");
}

#[test]
fn no_value_changes_what_the_url_is_but_for_its_hole() {
    for (value, encoded) in [
        ("c-1_2.3~4", "c-1_2.3~4"),
        ("a/b", "a%2Fb"),
        ("?x=1", "%3Fx%3D1"),
        ("a&b=c;d", "a%26b%3Dc%3Bd"),
        ("#", "%23"),
        ("100%", "100%25"),
        ("%2e%2e", "%252e%252e"),
        ("@evil.example", "%40evil.example"),
        ("//evil.example/", "%2F%2Fevil.example%2F"),
        ("a\r\nx-admin: 1", "a%0D%0Ax-admin%3A%201"),
        ("\0", "%00"),
        ("\"'<>", "%22%27%3C%3E"),
        ("über 😀", "%C3%BCber%20%F0%9F%98%80"),
        ("...", "..."),
        (" ", "%20"),
        ("a.b..c", "a.b..c"),
    ] {
        let url = rendered("https://a.example:8443/v1/{a}/x?q={b}&r=1", value).unwrap();
        assert_eq!(url.authority().unwrap(), "a.example:8443");
        assert_eq!(url.path(), format!("/v1/{encoded}/x"));
        assert_eq!(url.query(), Some(&*format!("q={encoded}&r=1")));
    }
}

#[test]
fn a_long_value_is_sent_and_one_too_long_for_a_url_is_not() {
    let url = rendered("https://a.example/{a}", &"ü".repeat(5_000)).unwrap();
    assert_eq!(url.path().len(), 1 + 5_000 * 6);
    let error = rendered("https://a.example/{a}", &"x".repeat(70_000)).unwrap_err();
    assert_eq!(error, Unrenderable::TooLong(70_001));
}

#[test]
fn a_value_that_is_missing_empty_or_dots_cannot_be_rendered() {
    for template in ["https://a.example/{a}", "https://a.example/p?q={a}", "https://a.example/x{a}"]
    {
        let error = |value: Value<'_>| url(template).render(&[value]).unwrap_err();
        assert_eq!(error(None), Unrenderable::Missing("a".into()));
        assert_eq!(error(Some("".into())), Unrenderable::Empty("a".into()));
        assert_eq!(error(Some(".".into())), Unrenderable::Dots("a".into()));
        assert_eq!(error(Some("..".into())), Unrenderable::Dots("a".into()));
    }
    assert_eq!(header("x {a}", "").unwrap_err(), Unrenderable::Empty("a".into()));
}

#[test]
fn a_path_that_would_climb_once_it_is_decoded_cannot_be_rendered() {
    for (template, value) in [
        ("https://a.example/v1/{a}", "../admin"),
        ("https://a.example/v1/{a}", "x/../../admin"),
        ("https://a.example/v1/{a}", "x/.."),
        ("https://a.example/v1/{a}", r"..\admin"),
        ("https://a.example/v1/{a}", "..;/admin"),
        ("https://a.example/v1/{a}", "./"),
        ("https://a.example/v1/.{a}", "./x"),
        ("https://a.example/v1/{a}./x", "x/."),
        ("https://a.example/v1/%2e{a}/x", "./"),
        ("https://a.example/v1/%2E{a}", "/x"),
    ] {
        assert_eq!(rendered(template, value), Err(Unrenderable::DotSegment), "{template} {value}");
    }
    let dots = url("https://a.example/{a}{b}").render(&[Some("./".into()), Some("x".into())]);
    assert_eq!(dots, Err(Unrenderable::DotSegment));
    // In a query there is nothing to climb.
    assert!(rendered("https://a.example/p?q={a}", "../admin").is_ok());
}

#[test]
fn a_template_that_is_no_url_or_means_another_one_is_refused() {
    for text in ["https://a.example/a b/{c}", "https://a.example/\u{7f}{c}", "https:///{c}"] {
        assert!(text.parse::<UrlTemplate>().is_err(), "{text}");
    }
    for text in ["https://a.example/../{c}", "https://a.example/{c}/%2e%2E/x"] {
        assert!(matches!(text.parse::<UrlTemplate>(), Err(UrlError::DotSegment)), "{text}");
    }
}

#[test]
fn a_header_holds_printable_characters_only() {
    assert_eq!(header("tier {a}!", "gold \"x\" \\{").unwrap(), "tier gold \"x\" \\{!");
    for value in ["a\r\nx-admin: 1", "a\n", "\r", "\0", "a\tb", "\u{7f}", "über", "\u{85}", "😀"]
    {
        let error = header("tier {a}", value).unwrap_err();
        assert_eq!(error, Unrenderable::Header(HeaderName::from_static("x-a")), "{value:?}");
    }
    assert_eq!(header("{a}", &"x".repeat(10_000)).unwrap().len(), 10_000);
}

#[test]
fn blanks_at_the_ends_of_a_header_are_dropped() {
    assert_eq!(header("{a}", " gold ").unwrap(), "gold");
    assert_eq!(header("a{b}c", " ").unwrap(), "a c");
    assert!(header("{a}", "  ").is_err());
}

#[test]
fn what_is_unrenderable_is_said_without_the_value() {
    for (template, value) in
        [("https://a.example/{a}", "s3cret/.."), ("https://a.example/{a}", "..")]
    {
        let error = rendered(template, value).unwrap_err().to_string();
        assert!(!error.contains("s3cret") && error.contains("another path"), "{error}");
    }
    let error = url("https://a.example/{\"a.b\".c}").render(&[None]).unwrap_err();
    let said = "{\"a.b\".c} has no value, or one that is no text, number or boolean";
    assert_eq!(error.to_string(), said);
}

#[test]
fn a_url_shows_with_its_holes_but_not_with_the_literals_of_its_query() {
    let template = url("https://a.example/v1/{a}?key=s3cret&id={b}&x=s3cret{c}&s3cret&{d}");
    let shown = template.shown(None, "***");
    assert_eq!(shown, "https://a.example/v1/{a}?key=***&id={b}&x=***&***&{d}");
    let value = |text: &'static str| Some(text.into());
    let values = [value("1"), value("2&3"), value("4"), value("5")];
    let rendered = template.render(&values).unwrap();
    let shown = template.shown(Some(&rendered), "***");
    assert_eq!(shown, "https://a.example/v1/1?key=***&id=2%263&x=***&***&5");
    assert_eq!(template.without_query(), "https://a.example/v1/{a}");
    let fixed = url("https://a.example/p?tenant=acme");
    assert_eq!(fixed.shown(fixed.fixed(), "***"), "https://a.example/p?tenant=***");
    assert_eq!(url("https://a.example").shown(None, "***"), "https://a.example/");
}
