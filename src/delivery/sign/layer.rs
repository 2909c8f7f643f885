use std::{fmt, sync::Arc};

use tower::Layer;

use super::{Sign, signer::Signer};
use crate::{clock::Clock, delivery::SigningSettings};

/// Signs each request; see [`Sign`].
#[derive(Clone)]
pub struct SignLayer {
    signer: Arc<Signer>,
}

impl SignLayer {
    /// A layer that signs with these keys, at the times of `clock`. The keys are read with the first
    /// request; [`SigningSettings::check`] does so before.
    pub fn new(settings: SigningSettings, clock: Clock) -> Self {
        Self { signer: Arc::new(Signer::new(settings, clock)) }
    }
}

impl<S> Layer<S> for SignLayer {
    type Service = Sign<S>;

    fn layer(&self, inner: S) -> Sign<S> {
        Sign { inner, signer: Arc::clone(&self.signer) }
    }
}

impl fmt::Debug for SignLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignLayer").finish_non_exhaustive()
    }
}
