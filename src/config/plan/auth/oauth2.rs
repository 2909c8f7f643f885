use std::{path::PathBuf, time::Duration};

use http::Uri;

use super::refuse;
use crate::{
    config::{
        plan::{Findings, Located, NeedKind, Section, endpoint, tls},
        problem::Problem,
    },
    delivery::{AssertionSettings, ClientAuth, GrantType, JwtAlgorithm, OAuth2Settings, Secret},
};

/// The options of this strategy.
pub(super) const OPTIONS: &[&str] = &[
    "grant",
    "auth_endpoint",
    "client_id",
    "client_secret",
    "client_auth",
    "encode_basic",
    "scopes",
    "extra_params",
    "username",
    "password",
    "private_key_file",
    "key_id",
    "algorithm",
    "assertion_audience",
    "assertion_lifetime_secs",
    "token_lifetime_secs",
    "refresh_before_secs",
    "timeout_secs",
    "tls",
];

/// Options that mean something with one grant or one proof of the client only.
const OF_PASSWORD: &[&str] = &["username", "password"];
const OF_SECRET: &[&str] = &["client_secret"];
const OF_BASIC: &[&str] = &["encode_basic"];
const OF_KEY: &[&str] =
    &["private_key_file", "key_id", "algorithm", "assertion_audience", "assertion_lifetime_secs"];

/// What the token request says by itself.
const OWN_PARAMS: [&str; 8] = [
    "grant_type",
    "client_id",
    "client_secret",
    "scope",
    "username",
    "password",
    "client_assertion",
    "client_assertion_type",
];

/// The longest time that an assertion may be good: it is used at once, and servers refuse those
/// that live long.
const LONGEST_ASSERTION: Duration = Duration::from_hours(1);

/// How long a token lasts whose answer does not say so.
const TOKEN_LIFETIME: Duration = Duration::from_mins(5);

#[derive(Clone, Copy)]
enum Grant {
    ClientCredentials,
    Password,
}

#[derive(Clone, Copy)]
enum Proof {
    Body,
    Basic,
    PrivateKeyJwt,
}

/// Reads the options of `strategy: oauth2`.
pub(super) fn read(section: &mut Section<'_>) -> Option<OAuth2Settings> {
    let grant = grant(section);
    let written =
        section.required::<String>("auth_endpoint", "https://login.acme.example/oauth/token");
    let auth_endpoint = written.as_ref().and_then(|url| token_endpoint(url, section.findings()));
    let client_id = section.required::<String>("client_id", "profile-http");
    let audience = written.map(|written| written.value);
    let client_auth = client_auth(section, client_id.as_ref(), audience);
    let scopes = section.get("scopes").unwrap_or_default();
    let extra_params = extra_params(section);
    let (token_lifetime, refresh_before) = lifetimes(section);
    let timeout = section.get("timeout_secs").unwrap_or(Duration::from_secs(10));
    let tls = tls::read(section, auth_endpoint.as_ref());
    Some(OAuth2Settings {
        auth_endpoint: auth_endpoint?,
        grant: grant?,
        client_id: client_id?.value,
        client_auth: client_auth?,
        scopes,
        extra_params,
        token_lifetime,
        refresh_before,
        timeout,
        tls,
    })
}

fn grant(section: &mut Section<'_>) -> Option<GrantType> {
    let grants = [("client_credentials", Grant::ClientCredentials), ("password", Grant::Password)];
    match chosen(section, "grant", &grants, Grant::ClientCredentials) {
        None => {
            discard(section, OF_PASSWORD);
            None
        }
        Some(Grant::ClientCredentials) => {
            refuse(section, OF_PASSWORD, "grant: password");
            Some(GrantType::ClientCredentials)
        }
        Some(Grant::Password) => {
            let username = section.required::<String>("username", "service@acme.example");
            let password = section.required::<Secret>("password", "${ACME_PASSWORD}");
            Some(GrantType::Password { username: username?.value, password: password?.value })
        }
    }
}

fn client_auth(
    section: &mut Section<'_>,
    client_id: Option<&Located<String>>,
    audience: Option<String>,
) -> Option<ClientAuth> {
    let proofs =
        [("body", Proof::Body), ("basic", Proof::Basic), ("private_key_jwt", Proof::PrivateKeyJwt)];
    if !section.has("client_auth")
        && !section.has("client_secret")
        && section.has("private_key_file")
    {
        section.missing("client_auth", "private_key_jwt");
        discard(section, OF_KEY);
        return None;
    }
    match chosen(section, "client_auth", &proofs, Proof::Body) {
        None => {
            for keys in [OF_SECRET, OF_BASIC, OF_KEY] {
                discard(section, keys);
            }
            None
        }
        Some(Proof::Body) => {
            refuse(section, OF_BASIC, "client_auth: basic");
            refuse(section, OF_KEY, "client_auth: private_key_jwt");
            Some(ClientAuth::Body { secret: secret(section)? })
        }
        Some(Proof::Basic) => {
            refuse(section, OF_KEY, "client_auth: private_key_jwt");
            let encode = section.get("encode_basic").unwrap_or(true);
            if let Some(id) = client_id.filter(|id| !encode && id.value.contains(':')) {
                section.findings().error(
                    Problem::at(&id.place, "`client_id` has a colon in it, which ends the id")
                        .help("remove `encode_basic: false`, or use `client_auth: body`"),
                );
            }
            Some(ClientAuth::Basic { secret: secret(section)?, encode })
        }
        Some(Proof::PrivateKeyJwt) => {
            refuse(section, OF_SECRET, "client_auth: body");
            refuse(section, OF_BASIC, "client_auth: basic");
            assertion(section, audience).map(ClientAuth::PrivateKeyJwt)
        }
    }
}

fn secret(section: &mut Section<'_>) -> Option<Secret> {
    Some(section.required::<Secret>("client_secret", "${ACME_CLIENT_SECRET}")?.value)
}

fn assertion(section: &mut Section<'_>, audience: Option<String>) -> Option<AssertionSettings> {
    let key_file = section.required::<PathBuf>("private_key_file", "/etc/profile-http/acme.pem");
    let algorithms = [JwtAlgorithm::Rs256, JwtAlgorithm::Es256, JwtAlgorithm::Ps256]
        .map(|algorithm| (algorithm.name(), algorithm));
    let algorithm = chosen(section, "algorithm", &algorithms, JwtAlgorithm::default());
    let key_id = section.get::<String>("key_id");
    let audience = section.get::<String>("assertion_audience").or(audience);
    let lifetime = section.located::<Duration>("assertion_lifetime_secs");
    if let Some(lifetime) = &lifetime
        && !(Duration::from_secs(1)..=LONGEST_ASSERTION).contains(&lifetime.value)
    {
        let seconds = lifetime.value.as_secs_f64();
        section.findings().error(
            Problem::at(
                &lifetime.place,
                format!("`assertion_lifetime_secs` cannot be {seconds} seconds"),
            )
            .help("write seconds, from 1 to 3600; an assertion is used at once"),
        );
    }
    let (key_file, algorithm) = (key_file?, algorithm?);
    let kind = NeedKind::PrivateKey(key_file.value.clone(), algorithm);
    section.findings().need(&key_file.place, kind);
    Some(AssertionSettings {
        key_file: key_file.value,
        key_id,
        algorithm,
        audience: audience?,
        lifetime: lifetime.map_or(Duration::from_mins(5), |lifetime| lifetime.value),
    })
}

/// How long a token lasts whose answer does not say so, and how long before its end it is renewed.
fn lifetimes(section: &mut Section<'_>) -> (Duration, Duration) {
    let lifetime = section.located::<Duration>("token_lifetime_secs");
    let before = section.located::<Duration>("refresh_before_secs");
    if let Some(lifetime) = lifetime.as_ref().filter(|given| given.value < Duration::from_secs(1)) {
        section.findings().error(
            Problem::at(&lifetime.place, "`token_lifetime_secs` is shorter than a second")
                .help("write how long a token lasts if the token endpoint does not say so"),
        );
    }
    if let (Some(lifetime), Some(before)) = (&lifetime, &before)
        && before.value >= lifetime.value
    {
        section.findings().error(
            Problem::at(
                &before.place,
                "`refresh_before_secs` is no shorter than `token_lifetime_secs`: a token would be \
                 renewed as soon as it is got",
            )
            .help("write a time of which a token's lifetime is a few times as long"),
        );
    }
    (
        lifetime.map_or(TOKEN_LIFETIME, |lifetime| lifetime.value),
        before.map_or(Duration::from_mins(1), |before| before.value),
    )
}

/// The choice that was written, or else the default; none if what was written is no choice.
fn chosen<T: Clone>(
    section: &mut Section<'_>,
    key: &'static str,
    choices: &[(&str, T)],
    default: T,
) -> Option<T> {
    let given = section.has(key);
    let choice = section.choice(key, choices);
    if given { choice } else { Some(default) }
}

fn discard(section: &mut Section<'_>, keys: &'static [&'static str]) {
    for key in keys {
        section.discard(key);
    }
}

fn token_endpoint(written: &Located<String>, findings: &Findings) -> Option<Uri> {
    let url = endpoint::url("auth_endpoint", &written.value, &written.place, findings)?;
    if url.scheme_str() == Some("http") && !endpoint::is_loopback(&url) {
        findings.warn(
            Problem::at(
                &written.place,
                "what proves the client, and its tokens, are sent over plain HTTP, readable on \
                 the way",
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
                        format!("`{}` is part of the token request by itself", entry.key),
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
