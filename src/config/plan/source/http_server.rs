use http::HeaderValue;
use secrecy::ExposeSecret;

use super::{GIB, KIB, Section, SourceKind, listen};
use crate::{
    config::{plan::Located, problem::Problem},
    secret::Secret,
    source::http_server::{SenderAuth, Settings},
};

#[derive(Clone, Copy)]
enum Strategy {
    Basic,
    Bearer,
}

pub(super) fn read(section: &mut Section<'_>) -> Option<SourceKind> {
    let listen = listen::read(section, "127.0.0.1:8080");
    let max_body_bytes = section.number("max_body_bytes", KIB..=GIB).unwrap_or(100 << 20);
    let auth = if section.has("auth") { Some(auth(section)?) } else { None };
    section.discard("auth");
    Some(SourceKind::HttpServer { listen: listen?, settings: Settings { max_body_bytes, auth } })
}

/// What senders have to prove. What is wrong with it is an error, so that nobody is let in by it.
fn auth(source: &mut Section<'_>) -> Option<SenderAuth> {
    let mut section = source.section("auth")?;
    if !section.has("strategy") {
        section.missing("strategy", if section.has("token") { "bearer" } else { "basic" });
        return None;
    }
    let strategies = [("basic", Strategy::Basic), ("bearer", Strategy::Bearer)];
    let auth = match section.choice("strategy", &strategies)? {
        Strategy::Basic => basic(&mut section),
        Strategy::Bearer => bearer(&mut section),
    };
    section.finish();
    auth
}

fn basic(section: &mut Section<'_>) -> Option<SenderAuth> {
    let user = section.required::<String>("user", "vector");
    let password = section.required::<Secret>("password", "${SENDER_PASSWORD}");
    let (user, password) = (user?, password?);
    let findings = section.findings();
    if user.value.contains(':') {
        findings.error(
            Problem::at(&user.place, "`user` has a colon in it, which ends the user's name")
                .help("write what follows the colon as `password`"),
        );
    }
    if is_empty(&password) {
        findings.error(
            Problem::at(&password.place, "`password` is empty").help("give the sender a password"),
        );
    }
    Some(SenderAuth::Basic { user: user.value, password: password.value })
}

fn bearer(section: &mut Section<'_>) -> Option<SenderAuth> {
    let token = section.required::<Secret>("token", "${SENDER_TOKEN}")?;
    if let Secret::Text(text) = &token.value
        && HeaderValue::from_str(text.expose_secret()).is_err()
    {
        section.findings().error(
            Problem::at(&token.place, "`token` has a character that a header cannot hold")
                .help("look for a line break at its end, or for characters that are not ASCII"),
        );
    }
    Some(SenderAuth::Bearer { token: token.value })
}

fn is_empty(secret: &Located<Secret>) -> bool {
    matches!(&secret.value, Secret::Text(text) if text.expose_secret().is_empty())
}
