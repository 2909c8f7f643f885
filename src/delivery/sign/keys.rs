use base64::{
    Engine, alphabet,
    engine::{
        DecodePaddingMode,
        general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD},
    },
};
use secrecy::{ExposeSecret, SecretString};

use crate::{
    delivery::auth::AuthError,
    endpoint::crypto::{hmac, signature::Ed25519KeyPair},
};

/// Some services hand keys out without the `=` at their end.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// How long a secret may be, in bytes.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

const SEED_BYTES: usize = 32;

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// HMAC-SHA256 with a secret that the endpoint has too.
    Secret,
    /// Ed25519, of which the endpoint has the public key.
    Ed25519,
}

/// Why requests cannot be signed as configured. Never says what the key is.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// The key is for another purpose, as its prefix tells.
    #[error("the {} {what}", kind.name())]
    Prefix {
        /// What it is to be.
        kind: KeyKind,
        /// What it is, and what to do about it.
        what: &'static str,
    },
    /// The key is not base64.
    #[error(
        "the {} is not base64; write it as it was issued, `{}` and then letters, digits, + and /",
        .0.name(), .0.prefix()
    )]
    Encoding(KeyKind),
    /// The key is too short or too long.
    #[error(
        "the {} has {bytes} bytes, not {}; write it as it was issued",
        kind.name(), kind.sizes()
    )]
    Length {
        /// What it is to be.
        kind: KeyKind,
        /// Its length.
        bytes: usize,
    },
    /// The second half of an Ed25519 key is not the public key of the first.
    #[error("the halves of the Ed25519 key do not belong together; write it as it was issued")]
    Halves,
    /// The file of a key cannot be read.
    #[error(transparent)]
    File(#[from] AuthError),
}

impl KeyKind {
    fn name(self) -> &'static str {
        match self {
            Self::Secret => "signing secret",
            Self::Ed25519 => "Ed25519 key",
        }
    }

    fn prefix(self) -> &'static str {
        match self {
            Self::Secret => "whsec_",
            Self::Ed25519 => "whsk_",
        }
    }

    fn sizes(self) -> &'static str {
        match self {
            Self::Secret => "24 to 64",
            Self::Ed25519 => "32 (the seed) or 64 (seed and public key)",
        }
    }
}

/// Checks a key as it is written.
pub fn check(kind: KeyKind, text: &str) -> Result<(), SigningError> {
    match kind {
        KeyKind::Secret => hmac_key(text).map(|_| ()),
        KeyKind::Ed25519 => ed25519_key(text).map(|_| ()),
    }
}

/// The keys that sign each request.
pub(super) struct Keys {
    secrets: Vec<hmac::Key>,
    ed25519: Option<Ed25519KeyPair>,
}

impl Keys {
    pub(super) fn new(
        secrets: &[SecretString],
        ed25519: Option<&SecretString>,
    ) -> Result<Self, SigningError> {
        let secrets = secrets.iter().map(|secret| hmac_key(secret.expose_secret()));
        let ed25519 = ed25519.map(|key| ed25519_key(key.expose_secret()));
        Ok(Self { secrets: secrets.collect::<Result<_, _>>()?, ed25519: ed25519.transpose()? })
    }

    /// The value of `webhook-signature`.
    pub(super) fn sign(&self, id: &str, timestamp: u64, body: &[u8]) -> String {
        let head = format!("{id}.{timestamp}.");
        let mut signatures = Vec::with_capacity(self.secrets.len() + 1);
        for secret in &self.secrets {
            let mut signing = hmac::Context::with_key(secret);
            signing.update(head.as_bytes());
            signing.update(body);
            signatures.push(format!("v1,{}", STANDARD.encode(signing.sign())));
        }
        if let Some(key) = &self.ed25519 {
            let signature = key.sign(&[head.as_bytes(), body].concat());
            signatures.push(format!("v1a,{}", STANDARD.encode(signature)));
        }
        signatures.join(" ")
    }
}

fn hmac_key(text: &str) -> Result<hmac::Key, SigningError> {
    let bytes = decoded(KeyKind::Secret, text)?;
    if !SECRET_BYTES.contains(&bytes.len()) {
        return Err(SigningError::Length { kind: KeyKind::Secret, bytes: bytes.len() });
    }
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

fn ed25519_key(text: &str) -> Result<Ed25519KeyPair, SigningError> {
    let bytes = decoded(KeyKind::Ed25519, text)?;
    let pair = match bytes.len() {
        SEED_BYTES => Ed25519KeyPair::from_seed_unchecked(&bytes),
        64 => {
            let (seed, public) = bytes.split_at(SEED_BYTES);
            Ed25519KeyPair::from_seed_and_public_key(seed, public)
        }
        bytes => return Err(SigningError::Length { kind: KeyKind::Ed25519, bytes }),
    };
    // Of a seed of the right length nothing else can be wrong.
    pair.map_err(|_| SigningError::Halves)
}

fn decoded(kind: KeyKind, text: &str) -> Result<Vec<u8>, SigningError> {
    let text = text.trim();
    let other = [
        ("whpk_", "is a public key, which is for the endpoint; write the private one, whsk_…"),
        ("whsk_", "is an Ed25519 key; write it as `ed25519_key`"),
        ("whsec_", "is a shared secret; write it as `secret`"),
    ];
    let encoded = text.strip_prefix(kind.prefix());
    if let (None, Some((_, what))) = (encoded, other.iter().find(|(p, _)| text.starts_with(p))) {
        return Err(SigningError::Prefix { kind, what });
    }
    LENIENT.decode(encoded.unwrap_or(text)).map_err(|_| SigningError::Encoding(kind))
}
