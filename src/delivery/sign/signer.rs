use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request};
use secrecy::SecretString;
use tokio::time::Instant;

use super::{SigningError, keys::Keys};
use crate::{
    clock::Clock,
    delivery::{AttemptError, IdempotencyKey, Secret, SigningSettings, auth::secret},
};

const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// How old the content of a key's file may be when a request begins.
const RECHECK: Duration = Duration::from_secs(5);

/// The keys as they are now.
pub(super) struct Signer {
    settings: SigningSettings,
    clock: Clock,
    current: Mutex<Option<Current>>,
}

struct Current {
    keys: Arc<Keys>,
    read_at: Instant,
}

impl Signer {
    pub(super) fn new(settings: SigningSettings, clock: Clock) -> Self {
        Self { settings, clock, current: Mutex::default() }
    }

    /// The keys, if they need not be read first.
    pub(super) fn at_hand(&self) -> Option<Arc<Keys>> {
        let mut current = self.lock();
        let current = current.as_mut()?;
        if self.has_files() && current.read_at.elapsed() >= RECHECK {
            // The caller is the one to read them again, while the others go on.
            current.read_at = Instant::now();
            return None;
        }
        Some(Arc::clone(&current.keys))
    }

    /// Reads the keys. If that fails, perhaps because a file is being replaced, those read before
    /// stay in use.
    pub(super) async fn read(&self) -> Result<Arc<Keys>, AttemptError> {
        let read = self.read_all().await;
        let mut current = self.lock();
        match (read, &*current) {
            (Ok(keys), _) => {
                let keys = Arc::new(keys);
                *current = Some(Current { keys: Arc::clone(&keys), read_at: Instant::now() });
                Ok(keys)
            }
            (Err(error), Some(former)) => {
                tracing::warn!("{error}; the keys read before go on signing");
                Ok(Arc::clone(&former.keys))
            }
            (Err(error), None) => Err(AttemptError::Secret(error.to_string())),
        }
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

    fn has_files(&self) -> bool {
        let mut keys = self.settings.secrets.iter().chain(&self.settings.ed25519_key);
        keys.any(|key| matches!(key, Secret::File(_)))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Current>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
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
