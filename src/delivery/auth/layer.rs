use std::{fmt, sync::Arc};

use tower::Layer;

use super::{
    Auth, AuthError, TokenSource,
    credentials::Credentials,
    fixed::{Fixed, Scheme},
};
use crate::delivery::{AuthSettings, RateLimiter};

/// Authenticates requests; see [`Auth`].
#[derive(Clone)]
pub struct AuthLayer {
    credentials: Option<Credentials>,
    pace: Option<RateLimiter>,
}

impl AuthLayer {
    /// A layer for these settings. OAuth2 needs `tokens`, which the other strategies ignore.
    ///
    /// Files of secrets are read here for the first time, so that a missing one is found at the
    /// start.
    pub fn new(settings: &AuthSettings, tokens: Option<TokenSource>) -> Result<Self, AuthError> {
        let fixed =
            |scheme, secret| Fixed::new(scheme, secret).map(Arc::new).map(Credentials::Fixed);
        let credentials = match settings {
            AuthSettings::None => None,
            AuthSettings::Basic { user, password } => {
                Some(fixed(Scheme::Basic { user: user.clone() }, password.clone())?)
            }
            AuthSettings::Bearer { token } => Some(fixed(Scheme::Bearer, token.clone())?),
            AuthSettings::OAuth2(_) => {
                Some(Credentials::Tokens(tokens.ok_or(AuthError::NoTokenSource)?))
            }
        };
        Ok(Self { credentials, pace: None })
    }

    /// Takes a slot of `pace` before a request is repeated with a newer credential: the endpoint
    /// sees the repetition as a request like any other.
    pub fn paced_by(self, pace: Option<RateLimiter>) -> Self {
        Self { pace, ..self }
    }
}

impl<S> Layer<S> for AuthLayer {
    type Service = Auth<S>;

    fn layer(&self, inner: S) -> Auth<S> {
        Auth::new(inner, self.credentials.clone(), self.pace.clone())
    }
}

impl fmt::Debug for AuthLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthLayer").finish_non_exhaustive()
    }
}
