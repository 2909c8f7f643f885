mod oauth2;

use std::{path::PathBuf, time::Duration};

use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

use super::{Findings, Located, NeedKind, Read, Section};
use crate::{
    config::{
        problem::{Place, Problem},
        written::{Node, Text, Value},
    },
    delivery::{AuthSettings, Secret},
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
    ("oauth2", Strategy::OAuth2, oauth2::OPTIONS),
];

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
            oauth2::read(&mut section).map(|oauth2| AuthSettings::OAuth2(Box::new(oauth2)))
        }
    };
    section.finish();
    settings
}

/// Warns when a delivery would be over before its token is.
pub(super) fn warn_of_late_tokens(
    place: &Place,
    auth: &AuthSettings,
    deadline: Duration,
    findings: &Findings,
) {
    if matches!(auth, AuthSettings::OAuth2(oauth2) if oauth2.timeout >= deadline) {
        findings.warn(
            Problem::at(
                place,
                "`timeout_secs` of `auth` is no shorter than `deadline_secs` of `request`: a token \
                 endpoint that hangs would look like an endpoint that does",
            )
            .help("let tokens take a part of the deadline only"),
        );
    }
}

fn strategy(section: &mut Section<'_>) -> Option<Strategy> {
    if !section.has("strategy") {
        let given = |keys: &[&str]| keys.iter().filter(|key| section.has(key)).count();
        // The first of those to which the most options belong.
        let meant = STRATEGIES.iter().rev().max_by_key(|(.., keys)| given(keys));
        let Some((name, ..)) = meant.filter(|(.., keys)| given(keys) > 0) else {
            return Some(Strategy::None);
        };
        section.missing("strategy", name);
        return None;
    }
    section.choice("strategy", &STRATEGIES.map(|(name, strategy, _)| (name, strategy)))
}

/// Reports options that mean nothing with the chosen strategy.
fn refuse_options_of_others(section: &mut Section<'_>, chosen: Strategy) {
    let own = |key: &str| {
        STRATEGIES.iter().any(|(_, strategy, keys)| *strategy == chosen && keys.contains(&key))
    };
    for (name, strategy, keys) in STRATEGIES {
        for key in keys.iter().filter(|key| strategy != chosen && !own(key)) {
            refuse(section, &[key], &format!("strategy: {name}"));
        }
    }
}

/// Reports the options that are given although they mean nothing without `owner`.
fn refuse(section: &mut Section<'_>, keys: &[&'static str], owner: &str) {
    for key in keys {
        if !section.has(key) {
            continue;
        }
        if let Some(entry) = section.take(key) {
            section.findings().error(
                Problem::at(&entry.key_place, format!("`{key}` belongs to `{owner}`"))
                    .help(format!("remove it, or write `{owner}`")),
            );
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
