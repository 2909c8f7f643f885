use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request};
use secrecy::SecretString;

use super::{SigningError, keys::Keys};
use crate::{
    clock::Clock,
    delivery::{AttemptError, IdempotencyKey, Secret, SigningSettings, auth::secret},
    secret::Kept,
};

const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// The keys as they are now.
pub(super) struct Signer {
    settings: SigningSettings,
    clock: Clock,
    keys: Kept<Keys>,
}

impl Signer {
    pub(super) fn new(settings: SigningSettings, clock: Clock) -> Self {
        let mut keys = settings.secrets.iter().chain(&settings.ed25519_key);
        let keys = Kept::new(keys.any(Secret::is_file));
        Self { settings, clock, keys }
    }

    /// The keys, if they need not be read first.
    pub(super) fn at_hand(&self) -> Option<Arc<Keys>> {
        self.keys.at_hand()
    }

    /// Reads the keys. If that fails, those read before stay in use.
    pub(super) async fn read(&self) -> Result<Arc<Keys>, AttemptError> {
        let read = self.read_all().await;
        let said = |error: &_| tracing::warn!("{error}; the keys read before go on signing");
        self.keys.renew(read, said).map_err(|error| AttemptError::Secret(error.to_string()))
    }

    /// Writes the three headers.
    pub(super) fn sign(&self, keys: &Keys, request: &mut Request<Bytes>) {
        // A request without a key of its own is a message of its own.
        let key = request.extensions().get().copied();
        let id = key.unwrap_or_else(|| IdempotencyKey(fastrand::u128(..))).to_string();
        let timestamp = self.clock.now() / 1_000_000;
        let signature = keys.sign(&id, timestamp, request.body());
        let text = |text| HeaderValue::try_from(text).expect("hex, base64, commas and spaces");
        let headers = request.headers_mut();
        headers.insert(SIGNATURE, text(signature));
        headers.insert(ID, text(id));
        headers.insert(TIMESTAMP, timestamp.into());
    }

    async fn read_all(&self) -> Result<Keys, SigningError> {
        let mut secrets = Vec::<SecretString>::new();
        for secret in &self.settings.secrets {
            secrets.push(secret::read(secret).await?);
        }
        let ed25519 = match &self.settings.ed25519_key {
            Some(key) => Some(secret::read(key).await?),
            None => None,
        };
        Keys::new(&secrets, ed25519.as_ref())
    }
}

impl SigningSettings {
    /// Reads all keys once, so that what is wrong with them is found at the start.
    pub fn check(&self) -> Result<(), SigningError> {
        let secrets: Vec<_> =
            self.secrets.iter().map(secret::read_now).collect::<Result<_, _>>()?;
        let ed25519 = self.ed25519_key.as_ref().map(secret::read_now).transpose()?;
        Keys::new(&secrets, ed25519.as_ref()).map(|_| ())
    }
}
