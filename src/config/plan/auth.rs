use std::{path::PathBuf, time::Duration};

use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

use super::{Findings, Located, NeedKind, Read, Section, endpoint, tls};
use crate::{
    config::{
        problem::{Place, Problem},
        written::{Node, Text, Value},
    },
    delivery::{AuthSettings, ClientAuth, OAuth2Settings, Secret},
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Strategy {
    None,
    Basic,
    Bearer,
    OAuth2,
}

/// The strategies by name, each with the options that belong to it.
const STRATEGIES: [(&str, Strategy, &[&str]); 4] = [
    ("none", Strategy::None, &[]),
    ("basic", Strategy::Basic, &["user", "password"]),
    ("bearer", Strategy::Bearer, &["token"]),
    (
        "oauth2",
        Strategy::OAuth2,
        &[
            "grant",
            "auth_endpoint",
            "client_id",
            "client_secret",
            "client_auth",
            "scopes",
            "extra_params",
            "refresh_before_secs",
            "timeout_secs",
            "tls",
        ],
    ),
];

/// What the token request says by itself.
const OWN_PARAMS: [&str; 4] = ["grant_type", "client_id", "client_secret", "scope"];

/// Reads `auth`; without it requests are not authenticated.
pub(super) fn read(sink: &mut Section<'_>) -> Option<AuthSettings> {
    if !sink.has("auth") {
        let _ = sink.take("auth");
        return Some(AuthSettings::None);
    }
    let mut section = sink.section("auth")?;
    let strategy = strategy(&mut section)?;
    refuse_options_of_others(&mut section, strategy);
    let settings = match strategy {
        Strategy::None => Some(AuthSettings::None),
        Strategy::Basic => basic(&mut section),
        Strategy::Bearer => bearer(&mut section),
        Strategy::OAuth2 => {
            oauth2(&mut section).map(|oauth2| AuthSettings::OAuth2(Box::new(oauth2)))
        }
    };
    section.finish();
    settings
}

fn strategy(section: &mut Section<'_>) -> Option<Strategy> {
    if !section.has("strategy") {
        let given = STRATEGIES.iter().find(|(.., keys)| keys.iter().any(|key| section.has(key)));
        let Some((name, ..)) = given else { return Some(Strategy::None) };
        section.missing("strategy", name);
        return None;
    }
    section.choice("strategy", &STRATEGIES.map(|(name, strategy, _)| (name, strategy)))
}

/// Reports options that mean nothing with the chosen strategy.
fn refuse_options_of_others(section: &mut Section<'_>, chosen: Strategy) {
    for (name, strategy, keys) in STRATEGIES {
        for key in keys {
            if strategy == chosen || !section.has(key) {
                continue;
            }
            if let Some(entry) = section.take(key) {
                section.findings().error(
                    Problem::at(&entry.key_place, format!("`{key}` belongs to `strategy: {name}`"))
                        .help(format!("remove it, or write `strategy: {name}`")),
                );
            }
        }
    }
}

fn basic(section: &mut Section<'_>) -> Option<AuthSettings> {
    let user = section.required::<String>("user", "profile-http");
    let password = section.required::<Secret>("password", "${ACME_PASSWORD}");
    let (user, password) = (user?, password?);
    if user.value.contains(':') {
        section.findings().error(
            Problem::at(&user.place, "`user` has a colon in it, which ends the user's name")
                .help("write what follows the colon as `password`"),
        );
    }
    Some(AuthSettings::Basic { user: user.value, password: password.value })
}

fn bearer(section: &mut Section<'_>) -> Option<AuthSettings> {
    let token = section.required::<Secret>("token", "${ACME_TOKEN}")?;
    if let Secret::Text(text) = &token.value
        && HeaderValue::from_str(text.expose_secret()).is_err()
    {
        section.findings().error(
            Problem::at(&token.place, "`token` has a character that a header cannot hold")
                .help("look for a line break at its end, or for characters that are not ASCII"),
        );
    }
    Some(AuthSettings::Bearer { token: token.value })
}

fn oauth2(section: &mut Section<'_>) -> Option<OAuth2Settings> {
    section.choice("grant", &[("client_credentials", ())]);
    let auth_endpoint = section
        .required::<String>("auth_endpoint", "https://login.acme.example/oauth/token")
        .and_then(|url| token_endpoint(&url, section.findings()));
    let client_id = section.required::<String>("client_id", "profile-http");
    let client_secret = section.required::<Secret>("client_secret", "${ACME_CLIENT_SECRET}");
    let client_auth = section
        .choice("client_auth", &[("body", ClientAuth::Body), ("basic", ClientAuth::Basic)])
        .unwrap_or_default();
    let scopes = section.get("scopes").unwrap_or_default();
    let extra_params = extra_params(section);
    let refresh_before = section.get("refresh_before_secs").unwrap_or(Duration::from_mins(1));
    let timeout = section.get("timeout_secs").unwrap_or(Duration::from_secs(10));
    let tls = tls::read(section, auth_endpoint.as_ref());
    Some(OAuth2Settings {
        auth_endpoint: auth_endpoint?,
        client_id: client_id?.value,
        client_secret: client_secret?.value,
        client_auth,
        scopes,
        extra_params,
        refresh_before,
        timeout,
        tls,
    })
}

fn token_endpoint(written: &Located<String>, findings: &Findings) -> Option<http::Uri> {
    let url = endpoint::url("auth_endpoint", &written.value, &written.place, findings)?;
    if url.scheme_str() == Some("http") && !endpoint::is_loopback(&url) {
        findings.warn(
            Problem::at(
                &written.place,
                "the client secret is sent over plain HTTP, readable on the way",
            )
            .help("use https://"),
        );
    }
    Some(url)
}

fn extra_params(auth: &mut Section<'_>) -> Vec<(String, String)> {
    let Some(mut section) = auth.section("extra_params") else { return Vec::new() };
    let findings = section.findings();
    let entries = section.rest();
    entries
        .into_iter()
        .filter_map(|entry| {
            if OWN_PARAMS.contains(&entry.key.as_str()) {
                findings.error(
                    Problem::at(
                        &entry.key_place,
                        format!("`{}` is part of every token request", entry.key),
                    )
                    .help("set it with the option of `auth` that it belongs to"),
                );
                return None;
            }
            let value = endpoint::text_of(&entry.key, entry.value, findings)?;
            Some((entry.key, value))
        })
        .collect()
}

/// A secret: text, or `{ file: path }`.
impl Read for Secret {
    fn read(name: &str, node: Node, findings: &Findings) -> Option<Self> {
        let place = node.place.clone();
        if matches!(node.value, Value::Map(_)) {
            let mut section = Section::new(format!("`{name}`"), &place, node, findings)?;
            let file = section.required::<PathBuf>("file", "/run/secrets/acme");
            section.finish();
            let Located { value, place } = file?;
            findings.need(&place, NeedKind::Secret(value.clone()));
            return Some(Self::File(value));
        }
        let text = Text::read(name, node, findings)?;
        // Some services take a key as the user and no password at all.
        if text.text.is_empty() && (text.has_variable() || name != "password") {
            empty(name, &text, &place, findings);
            return None;
        }
        Some(Self::Text(SecretString::from(text.text)))
    }
}

fn empty(name: &str, text: &Text, place: &Place, findings: &Findings) {
    let from = if text.has_variable() { "; its variable is set to nothing" } else { "" };
    findings.error(Problem::at(place, format!("`{name}` is empty{from}")).help(format!(
        "set the variable, or name a file: `{name}: {{ file: /run/secrets/acme }}`"
    )));
}
