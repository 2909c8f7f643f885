use secrecy::ExposeSecret;

use super::{Findings, Located, NeedKind, Section};
use crate::{
    config::problem::{Place, Problem},
    delivery::{
        Secret, SigningSettings,
        sign::{self, KeyKind},
    },
};

/// An example that nobody can take for a secret.
const EXAMPLE: &str = "${ACME_SIGNING_SECRET}";

/// Reads `signing`; without it requests are not signed. Whether it is there is told even where it
/// cannot be read.
pub(super) fn read(sink: &mut Section<'_>) -> Option<SigningSettings> {
    let mut section = sink.section("signing")?;
    let findings = section.findings();
    let both = section.has("secret") && section.has("secrets");
    let one = section.located::<Secret>("secret");
    let several = section.located::<Vec<Located<Secret>>>("secrets");
    let ed25519 = section.located::<Secret>("ed25519_key");
    let place = section.place().clone();
    section.finish();
    if let (true, Some(several)) = (both, &several) {
        findings.error(
            Problem::at(&several.place, "`signing` has `secret` and `secrets`")
                .help("write all of them as `secrets: [\u{2026}]`"),
        );
    }
    let several = several.into_iter().flat_map(|several| several.value);
    let secrets: Vec<_> = one.into_iter().chain(several).collect();
    if secrets.is_empty() && ed25519.is_none() {
        findings.error(
            Problem::at(&place, "`signing` names no key")
                .help(format!("add one, for example `secret: {EXAMPLE}`")),
        );
    }
    for secret in &secrets {
        check(KeyKind::Secret, secret, findings);
    }
    if let Some(key) = &ed25519 {
        check(KeyKind::Ed25519, key, findings);
    }
    Some(SigningSettings {
        secrets: secrets.into_iter().map(|secret| secret.value).collect(),
        ed25519_key: ed25519.map(|key| key.value),
    })
}

fn check(kind: KeyKind, key: &Located<Secret>, findings: &Findings) {
    let Located { value, place } = key;
    match value {
        Secret::Text(text) => {
            if let Err(problem) = of_text(kind, text.expose_secret(), place) {
                findings.error(problem);
            }
        }
        Secret::File(path) => findings.need(place, NeedKind::SigningKey(path.clone(), kind)),
    }
}

fn of_text(kind: KeyKind, text: &str, place: &Place) -> Result<(), Problem> {
    sign::check(kind, text).map_err(|error| Problem::with_remedy(place, &error))
}
