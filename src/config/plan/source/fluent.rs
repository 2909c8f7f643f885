use secrecy::ExposeSecret;

use super::{GIB, KIB, Section, SourceKind, listen};
use crate::{
    config::{
        plan::{Findings, Located, Read},
        problem::Problem,
        written::Node,
    },
    secret::Secret,
    source::fluent::{Security, Settings, User},
};

pub(super) fn read(section: &mut Section<'_>) -> Option<SourceKind> {
    let listen = listen::read(section, "127.0.0.1:24224");
    let security = security(section);
    let max_frame_bytes = section.number("max_frame_bytes", KIB..=GIB).unwrap_or(64 << 20);
    let max_decompressed_bytes =
        section.number("max_decompressed_bytes", KIB..=GIB).unwrap_or(256 << 20);
    let settings = Settings { security, max_frame_bytes, max_decompressed_bytes };
    Some(SourceKind::Fluent { listen: listen?, settings })
}

/// What senders have to prove. What is wrong with it is an error, so that nobody is let in by it.
fn security(section: &mut Section<'_>) -> Option<Security> {
    let findings = section.findings();
    if !section.has("shared_key")
        && let Some(users) = section.peek("users")
    {
        findings.error(
            Problem::at(&users.key_place, "`users` needs a `shared_key`")
                .help("add it: the forward protocol asks for it before any user"),
        );
    }
    let shared_key = section.get::<Secret>("shared_key");
    let users: Vec<Located<User>> = section.get("users").unwrap_or_default();
    for (i, user) in users.iter().enumerate() {
        let name = &user.value.name;
        if users[..i].iter().any(|other| other.value.name == *name) {
            findings.error(
                Problem::at(&user.place, format!("the user `{name}` stands here twice"))
                    .help("a user has one password; remove the other"),
            );
        }
    }
    let users = users.into_iter().map(|user| user.value).collect();
    Some(Security { shared_key: shared_key?, users })
}

impl Read for User {
    fn read(_: &str, node: Node, findings: &Findings) -> Option<Self> {
        let place = node.place.clone();
        let mut section = Section::new("an entry of `users`", &place, node, findings)?;
        let name = section.required::<String>("user", "fluentd");
        let password = section.required::<Secret>("password", "${FLUENT_PASSWORD}");
        section.finish();
        let (Located { value: name, .. }, password) = (name?, password?);
        if let Secret::Text(text) = &password.value
            && text.expose_secret().is_empty()
        {
            findings.error(
                Problem::at(&password.place, "`password` is empty")
                    .help("give the user a password, or remove the user"),
            );
            return None;
        }
        Some(Self { name, password: password.value })
    }
}
