use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::{Engine, engine::general_purpose::STANDARD};
use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;

use super::{AuthError, Credential, secret};
use crate::secret::{RECHECK, Secret};

/// A credential that the operator hands out: basic or bearer.
pub(super) struct Fixed {
    scheme: Scheme,
    secret: Secret,
    current: Mutex<Current>,
}

pub(super) enum Scheme {
    Basic { user: String },
    Bearer,
}

struct Current {
    credential: Credential,
    read_at: Instant,
}

impl Fixed {
    /// Reads the secret.
    pub(super) fn new(scheme: Scheme, secret: Secret) -> Result<Self, AuthError> {
        let authorization = scheme.authorization(&secret::read_now(&secret)?)?;
        let credential = Credential::new(authorization, 1);
        let current = Mutex::new(Current { credential, read_at: Instant::now() });
        Ok(Self { scheme, secret, current })
    }

    pub(super) fn generation(&self) -> u64 {
        self.lock().credential.generation()
    }

    /// Whether the secret can change while the process runs.
    pub(super) fn can_change(&self) -> bool {
        self.secret.is_file()
    }

    /// The credential. A file that was last read a while ago is read again.
    pub(super) async fn current(&self) -> Credential {
        if self.can_change() && self.claim_recheck() {
            self.reread().await;
        }
        self.lock().credential.clone()
    }

    /// Reads the file of a rejected credential again; returns whether there is another one now.
    pub(super) async fn reject(&self, generation: u64) -> bool {
        if self.can_change() && self.generation() == generation {
            self.reread().await;
        }
        self.generation() != generation
    }

    /// Whether the caller is the one to read the file again, while the others go on.
    fn claim_recheck(&self) -> bool {
        let mut current = self.lock();
        let due = current.read_at.elapsed() >= RECHECK;
        if due {
            current.read_at = Instant::now();
        }
        due
    }

    /// A file that cannot be read, perhaps because it is being replaced, leaves the credential as
    /// it is.
    async fn reread(&self) {
        let read = secret::read(&self.secret).await;
        match read.and_then(|secret| self.scheme.authorization(&secret)) {
            Ok(authorization) => {
                let mut current = self.lock();
                if current.credential.authorization() != authorization {
                    let generation = current.credential.generation() + 1;
                    current.credential = Credential::new(authorization, generation);
                }
            }
            Err(error) => tracing::warn!("{error}; the secret read before stays in use"),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Scheme {
    fn authorization(&self, secret: &SecretString) -> Result<HeaderValue, AuthError> {
        let secret = secret.expose_secret();
        let (what, text) = match self {
            // RFC 7617 section 2; UTF-8 is the charset that servers announce if they announce any.
            Self::Basic { user } if user.contains(':') => return Err(AuthError::ColonInUser),
            Self::Basic { user } => {
                ("password", format!("Basic {}", STANDARD.encode(format!("{user}:{secret}"))))
            }
            Self::Bearer => ("token", format!("Bearer {secret}")),
        };
        HeaderValue::from_str(&text).map_err(|_| AuthError::Unprintable(what))
    }
}
