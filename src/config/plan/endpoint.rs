use std::net::IpAddr;

use http::{HeaderMap, Uri};

use super::{
    Findings, Located, NeedKind, Read, Section,
    template::{self, Holes},
};
use crate::{
    config::{
        mask,
        problem::{Place, Problem},
        written::{Entry, Node, Text, Value},
    },
    delivery::AuthSettings,
    endpoint::template::{Template, UrlTemplate, percent_encoded},
};

/// Reads `http_endpoint` with what `query` adds to it. Templates are added to `holes`.
pub(super) fn read(section: &mut Section<'_>, holes: &mut Holes) -> Option<Located<UrlTemplate>> {
    let written =
        section.required::<String>("http_endpoint", "https://api.acme.example/v1/profiles");
    let query = query(section, holes);
    let Located { value: text, place } = written?;
    let findings = section.findings();
    let wrong = |(message, help): (String, String)| {
        findings.error(Problem::at(&place, message).help(help));
    };
    let template = Template::parse(&text)
        .map_err(|error| {
            let (message, help) = template::explained("`http_endpoint`", error);
            // In a URL a backslash means nothing.
            (message, help.replace(r"\{", "%7B").replace(r"\}", "%7D"))
        })
        .and_then(|template| literal_origin(&text, &template).map(|()| template));
    let template = template.map_err(wrong).ok()?;
    // What is filled in is encoded, so that a URL of the rest is one with it.
    url("http_endpoint", &template.filled_with("x"), &place, findings)?;
    holes.add(&template, &place, false, findings);
    let full = with_query(template, query, findings);
    let endpoint = UrlTemplate::new(&full).map_err(|error| {
        findings.error(Problem::with_remedy(&place, &error));
    });
    Some(Located { value: endpoint.ok()?, place })
}

/// Nothing but path and query may differ between profiles.
fn literal_origin(text: &str, template: &Template) -> Result<(), (String, String)> {
    let first = template.literals().first().map_or("", String::as_str);
    let has_path = first.split_once("://").is_some_and(|(_, rest)| rest.contains(['/', '?', '#']));
    if template.names().is_empty() || has_path || !(text.contains("://") || text.starts_with('{')) {
        return Ok(());
    }
    Err((
        "`http_endpoint` has a template in its scheme, host or port".to_owned(),
        "write these as they are, so that no profile can choose where it is sent; templates may \
         stand in the path and in the query"
            .to_owned(),
    ))
}

/// Reads a URL that requests are sent to: `http` or `https` to a literal host.
pub(super) fn url(name: &str, text: &str, place: &Place, findings: &Findings) -> Option<Uri> {
    match check_url(name, text) {
        Ok(uri) => {
            let https = uri.scheme_str() == Some("https");
            let port = uri.port_u16().unwrap_or(if https { 443 } else { 80 });
            let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
            findings.need(place, NeedKind::Host(host.to_owned(), port));
            Some(uri)
        }
        Err((message, help)) => {
            findings.error(Problem::at(place, message).help(help));
            None
        }
    }
}

fn check_url(name: &str, text: &str) -> Result<Uri, (String, String)> {
    let problem = |what: &str, help: &str| Err((format!("`{name}` {what}"), help.to_owned()));
    if !(text.starts_with("https://") || text.starts_with("http://")) {
        let help = match text.split_once("://") {
            Some(_) => "only http:// and https:// are spoken".to_owned(),
            None => "begin it with https://".to_owned(),
        };
        return Err((format!("`{name}` must be an http or https URL"), help));
    }
    if text.contains(['{', '}']) {
        return problem(
            "has a brace in it",
            "write the URL as it is to be called, and %7B and %7D for the characters themselves",
        );
    }
    if text.contains('#') {
        return problem("has a fragment, which is never sent", "remove `#` and what follows it");
    }
    if !text.is_ascii() || text.contains(|c: char| c.is_ascii_whitespace() || c.is_ascii_control())
    {
        return problem(
            "has a character that a URL cannot hold",
            "percent-encode it in the path; write a host name in its xn-- form",
        );
    }
    let Ok(uri) = text.parse::<Uri>() else {
        return problem("is no valid URL", "write it like https://api.acme.example/v1/profiles");
    };
    let authority = uri.authority().map_or("", http::uri::Authority::as_str);
    if authority.contains('@') {
        return problem(
            "has a user or password in it",
            "move them to `auth: { strategy: basic, user: …, password: … }`",
        );
    }
    if uri.host().is_none_or(str::is_empty) {
        return problem("has no host", "write it like https://api.acme.example/v1/profiles");
    }
    let port = authority
        .rsplit_once(':')
        .filter(|(host, _)| !host.starts_with('[') || host.ends_with(']'));
    if port.is_some_and(|(_, port)| !port.parse::<u16>().is_ok_and(|port| port > 0)) {
        return problem("has a port that cannot be", "write a port from 1 to 65535, or none");
    }
    Ok(uri)
}

/// A parameter of the query: its name, its value, and its place.
type Parameter = (String, Template, Place);

fn query(sink: &mut Section<'_>, holes: &mut Holes) -> Vec<Parameter> {
    let Some(mut section) = sink.section("query") else { return Vec::new() };
    let findings = section.findings();
    let mut parameter = |entry: Entry| {
        let Entry { key, key_place, value } = entry;
        let template = match value.value {
            Value::Text(text) => {
                // What a variable holds may be secret, and is sent as it is.
                let literal = |at| text.variables.iter().any(|range| range.contains(&at));
                let template = Template::parse_around(&text.text, literal).map_err(|error| {
                    let what = format!("query parameter `{key}`");
                    let (message, help) = template::explained(&what, error);
                    findings.error(Problem::at(&key_place, message).help(help));
                });
                template.ok()?
            }
            _ => Template::literal(text_of(&key, value, findings)?),
        };
        holes.add(&template, &key_place, mask::is_sensitive(&key), findings);
        Some((key, template, key_place))
    };
    section.rest().into_iter().filter_map(&mut parameter).collect()
}

/// Reads a parameter: text, a whole number or a boolean, which all end up as text.
pub(super) fn text_of(name: &str, node: Node, findings: &Findings) -> Option<String> {
    match node.value {
        Value::Integer(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        _ => Text::read(name, node, findings).map(|text| text.text),
    }
}

fn with_query(mut endpoint: Template, added: Vec<Parameter>, findings: &Findings) -> Template {
    let query = endpoint.split_once('?').map(|(_, query)| query);
    let mut is_first = query.is_none();
    let own = query.into_iter().flat_map(|query| query.split('&'));
    let mut names: Vec<String> = own
        .map(|pair| pair.split_once('=').map_or(pair.to_string(), |(name, _)| name.to_string()))
        .collect();
    for (name, mut value, place) in added {
        let encoded = percent_encoded(&name);
        if names.contains(&encoded) {
            findings.error(
                Problem::at(
                    &place,
                    format!("`http_endpoint` has a query parameter `{name}` already"),
                )
                .help("remove one of the two"),
            );
            continue;
        }
        let mark = if std::mem::take(&mut is_first) { "?" } else { "&" };
        endpoint.append(Template::literal(format!("{mark}{encoded}=")));
        value.map_literals(|literal| percent_encoded(literal));
        endpoint.append(value);
        names.push(encoded);
    }
    endpoint
}

/// Whether what is sent there never leaves the machine.
pub(super) fn is_loopback(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Warns when profiles go over the network in the clear.
pub(super) fn warn_of_plain_text(
    endpoint: &Located<UrlTemplate>,
    auth: &AuthSettings,
    headers: &HeaderMap,
    findings: &Findings,
) {
    let origin = endpoint.value.origin();
    if origin.scheme_str() != Some("http") || is_loopback(origin) {
        return;
    }
    let secrets = !matches!(auth, AuthSettings::None)
        || headers.values().any(http::HeaderValue::is_sensitive);
    let what = if secrets { "profiles and secrets" } else { "profiles" };
    findings.warn(
        Problem::at(
            &endpoint.place,
            format!("{what} are sent over plain HTTP, readable on the way"),
        )
        .help("use https:// unless the network is trusted"),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_http_urls_with_a_host_are_taken() {
        for good in [
            "https://a.example",
            "http://127.0.0.1:8089/p?x=1",
            "https://[::1]:443/",
            "https://[::1]/",
        ] {
            assert!(check_url("u", good).is_ok(), "{good}");
        }
        for bad in [
            "a.example/v1",
            "ftp://a.example",
            "https://",
            "https:///p",
            "https://u:p@a.example",
            "https://a.example/#f",
            "https://a.example/{id}",
            "https://{t}.example/",
            "https://a.example:99999/",
            "https://a.example:0/",
            "https://a.example:/",
            "https://ü.example",
            "https://a.example/a b",
        ] {
            assert!(check_url("u", bad).is_err(), "{bad}");
        }
    }
}
