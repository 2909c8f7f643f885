use base64::{Engine, engine::general_purpose::STANDARD};
use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

use super::{AuthError, ClientAuth, GrantType, OAuth2Settings, assertion, secret};
use crate::clock::Clock;

/// What one token request proves the client, and the user if there is one, with.
pub(super) struct Proof {
    /// The client's secret, or the assertion in place of one.
    pub(super) client: Client,
    /// The user's name and password, if a token is granted for them.
    pub(super) user: Option<(String, SecretString)>,
}

pub(super) enum Client {
    Secret(SecretString),
    Assertion(SecretString),
}

impl Proof {
    /// Reads the files of secrets and keys, so that they may be replaced while the process runs.
    pub(super) async fn new(settings: &OAuth2Settings, clock: &Clock) -> Result<Self, AuthError> {
        let client = match &settings.client_auth {
            ClientAuth::Body { secret } | ClientAuth::Basic { secret, .. } => {
                Client::Secret(secret::read(secret).await?)
            }
            ClientAuth::PrivateKeyJwt(of) => {
                Client::Assertion(assertion::sign(of, &settings.client_id, clock).await?)
            }
        };
        let user = match &settings.grant {
            GrantType::ClientCredentials => None,
            GrantType::Password { username, password } => {
                Some((username.clone(), secret::read(password).await?))
            }
        };
        Ok(Self { client, user })
    }

    /// The parameters that the crate knows nothing of (RFC 7521 section 4.2).
    pub(super) fn params(&self) -> impl Iterator<Item = (&str, &str)> {
        let assertion = match &self.client {
            Client::Assertion(assertion) => Some(assertion.expose_secret()),
            Client::Secret(_) => None,
        };
        assertion.into_iter().flat_map(|assertion| {
            [("client_assertion_type", assertion::TYPE), ("client_assertion", assertion)]
        })
    }

    /// `Authorization` where it is not what the crate makes of id and secret, which encodes both.
    pub(super) fn authorization(&self, settings: &OAuth2Settings) -> Option<HeaderValue> {
        match (&settings.client_auth, &self.client) {
            (ClientAuth::Basic { encode: false, .. }, Client::Secret(secret)) => {
                let pair = format!("{}:{}", settings.client_id, secret.expose_secret());
                let value = format!("Basic {}", STANDARD.encode(pair));
                Some(HeaderValue::from_str(&value).expect("base64 is fit for a header"))
            }
            _ => None,
        }
    }

    /// `text` with each occurrence of a secret hidden.
    pub(super) fn hide(&self, text: &str) -> String {
        let (Client::Secret(client) | Client::Assertion(client)) = &self.client;
        let text = secret::hide(text, client);
        match &self.user {
            Some((_, password)) => secret::hide(&text, password),
            None => text,
        }
    }
}
