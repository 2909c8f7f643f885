use std::net::IpAddr;

use http::{HeaderMap, Uri};

use super::{Findings, Located, NeedKind, Read, Section};
use crate::{
    config::{
        problem::{Place, Problem},
        written::{Node, Text, Value},
    },
    delivery::AuthSettings,
};

/// Reads `http_endpoint` with what `query` adds to it.
pub(super) fn read(section: &mut Section<'_>) -> Option<Located<Uri>> {
    let written =
        section.required::<String>("http_endpoint", "https://api.acme.example/v1/profiles");
    let query = query(section);
    let written = written?;
    let endpoint = url("http_endpoint", &written.value, &written.place, section.findings())?;
    let full = with_query(&endpoint, &query, section.findings())?;
    Some(Located { value: full, place: written.place })
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
            "has a `{…}` in it, but every profile is sent to the same URL",
            "write the URL as it is to be called, or %7B and %7D for the characters themselves",
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

fn query(sink: &mut Section<'_>) -> Vec<(String, String, Place)> {
    let Some(mut section) = sink.section("query") else { return Vec::new() };
    let findings = section.findings();
    let entries = section.rest();
    entries
        .into_iter()
        .filter_map(|entry| {
            let value = text_of(&entry.key, entry.value, findings)?;
            Some((entry.key, value, entry.key_place))
        })
        .collect()
}

/// Reads a parameter: text, a whole number or a boolean, which all end up as text.
pub(super) fn text_of(name: &str, node: Node, findings: &Findings) -> Option<String> {
    match node.value {
        Value::Integer(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        _ => Text::read(name, node, findings).map(|text| text.text),
    }
}

fn with_query(
    endpoint: &Uri,
    added: &[(String, String, Place)],
    findings: &Findings,
) -> Option<Uri> {
    let mut query = endpoint.query().unwrap_or_default().to_owned();
    let mut names: Vec<String> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split('=').next().unwrap_or_default().to_owned())
        .collect();
    for (name, value, place) in added {
        let encoded = percent_encoded(name);
        if names.contains(&encoded) {
            findings.error(
                Problem::at(
                    place,
                    format!("`http_endpoint` has a query parameter `{name}` already"),
                )
                .help("remove one of the two"),
            );
            continue;
        }
        if !query.is_empty() {
            query.push('&');
        }
        query.push_str(&encoded);
        query.push('=');
        query.push_str(&percent_encoded(value));
        names.push(encoded);
    }
    let path = if query.is_empty() {
        endpoint.path().to_owned()
    } else {
        format!("{}?{query}", endpoint.path())
    };
    let mut parts = endpoint.clone().into_parts();
    parts.path_and_query = path.parse().ok();
    let full = Uri::from_parts(parts).ok();
    if full.is_none() {
        findings.error(Problem::nowhere("`http_endpoint` and `query` are too long for a URL"));
    }
    full
}

fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(byte.into());
        } else {
            const HEX: &[u8; 16] = b"0123456789ABCDEF";
            encoded.push('%');
            encoded.push(HEX[usize::from(byte >> 4)].into());
            encoded.push(HEX[usize::from(byte & 15)].into());
        }
    }
    encoded
}

/// Whether what is sent there never leaves the machine.
pub(super) fn is_loopback(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Warns when profiles go over the network in the clear.
pub(super) fn warn_of_plain_text(
    endpoint: &Located<Uri>,
    auth: &AuthSettings,
    headers: &HeaderMap,
    findings: &Findings,
) {
    if endpoint.value.scheme_str() != Some("http") || is_loopback(&endpoint.value) {
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

    #[test]
    fn query_parameters_are_encoded() {
        assert_eq!(percent_encoded("a b&c=ü/1.~"), "a%20b%26c%3D%C3%BC%2F1.~");
    }
}
