use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use tokio::time::Instant;

/// The client that may get tokens.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its id.
    pub id: String,
    /// Its secret.
    pub secret: String,
    /// How long a token holds.
    pub token_lifetime: Duration,
}

/// Why a token is not granted: an error code of RFC 6749 section 5.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denied {
    InvalidClient,
    UnsupportedGrantType,
}

/// Grants access tokens and knows which of them hold.
#[derive(Debug)]
pub(super) struct Tokens(RwLock<Inner>);

#[derive(Debug)]
struct Inner {
    client: Client,
    /// Until when each token holds.
    held: HashMap<String, Instant>,
}

impl Tokens {
    pub(super) fn new(client: Client) -> Self {
        Self(RwLock::new(Inner { client, held: HashMap::new() }))
    }

    pub(super) fn set_secret(&self, secret: String) {
        self.write().client.secret = secret;
    }

    /// From now on no token holds that was granted before.
    pub(super) fn revoke(&self) {
        self.write().held.clear();
    }

    /// Whether a bearer token holds.
    pub(super) fn holds(&self, token: &str) -> bool {
        self.read().held.get(token).is_some_and(|until| *until > Instant::now())
    }

    /// Grants client credentials (RFC 6749 section 4.4): the body of a token request, and its
    /// `Authorization` if there is one. Returns the token and how long it holds.
    pub(super) fn grant(
        &self,
        form: &[u8],
        authorization: Option<&[u8]>,
    ) -> Result<(String, Duration), Denied> {
        let form = pairs(form);
        let field = |name: &str| form.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
        let (id, secret) = match authorization {
            Some(authorization) => basic(authorization).ok_or(Denied::InvalidClient)?,
            None => field("client_id").zip(field("client_secret")).ok_or(Denied::InvalidClient)?,
        };
        let mut inner = self.write();
        if (&id, &secret) != (&inner.client.id, &inner.client.secret) {
            return Err(Denied::InvalidClient);
        }
        if field("grant_type").as_deref() != Some("client_credentials") {
            return Err(Denied::UnsupportedGrantType);
        }
        let (token, now) = (format!("{:032x}", fastrand::u128(..)), Instant::now());
        let lifetime = inner.client.token_lifetime;
        inner.held.retain(|_, until| *until > now);
        inner.held.insert(token.clone(), now + lifetime);
        Ok((token, lifetime))
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Id and secret of a `Basic` authorization, in which both are form-encoded (RFC 6749 section
/// 2.3.1).
fn basic(authorization: &[u8]) -> Option<(String, String)> {
    let (scheme, credentials) = authorization.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let credentials = BASE64_STANDARD.decode(credentials.trim_ascii()).ok()?;
    let colon = memchr::memchr(b':', &credentials)?;
    Some((decode(&credentials[..colon]), decode(&credentials[colon + 1..])))
}

/// The fields of `application/x-www-form-urlencoded`.
fn pairs(form: &[u8]) -> Vec<(String, String)> {
    let pair = |pair: &[u8]| {
        let (name, value) = match memchr::memchr(b'=', pair) {
            Some(at) => (&pair[..at], &pair[at + 1..]),
            None => (pair, &[][..]),
        };
        (decode(name), decode(value))
    };
    form.split(|byte| *byte == b'&').map(pair).collect()
}

fn decode(text: &[u8]) -> String {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        rest = tail;
        decoded.push(match first {
            b'+' => b' ',
            b'%' if let Some(byte) = hex(tail) => {
                rest = &tail[2..];
                byte
            }
            other => *other,
        });
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn hex(text: &[u8]) -> Option<u8> {
    let two = std::str::from_utf8(text.get(..2)?).ok()?;
    u8::from_str_radix(two, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens() -> Tokens {
        Tokens::new(Client {
            id: "me".to_owned(),
            secret: "a b&c:ü".to_owned(),
            token_lifetime: Duration::from_mins(1),
        })
    }

    const FORM: &[u8] =
        b"grant_type=client_credentials&client_id=me&client_secret=a+b%26c%3a%C3%BC";

    #[tokio::test(start_paused = true)]
    async fn a_token_holds_for_its_lifetime_or_until_it_is_revoked() {
        let tokens = tokens();
        let (first, lifetime) = tokens.grant(FORM, None).unwrap();
        assert_eq!(lifetime, Duration::from_mins(1));
        assert!(tokens.holds(&first) && !tokens.holds("other"));
        tokio::time::advance(Duration::from_secs(59)).await;
        assert!(tokens.holds(&first));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!tokens.holds(&first));

        let (second, _) = tokens.grant(FORM, None).unwrap();
        assert_ne!(first, second);
        tokens.revoke();
        assert!(!tokens.holds(&second));
    }

    #[tokio::test]
    async fn a_client_proves_itself_by_body_or_by_basic() {
        let tokens = tokens();
        let basic = |text: &str| format!("Basic {}", BASE64_STANDARD.encode(text)).into_bytes();
        let grant = |form: &[u8], auth: Option<Vec<u8>>| {
            tokens.grant(form, auth.as_deref()).map(|(token, _)| tokens.holds(&token))
        };
        let form = b"grant_type=client_credentials&scope=x";
        assert_eq!(grant(form, Some(basic("me:a+b%26c%3A%C3%BC"))), Ok(true));
        assert_eq!(grant(form, Some(basic("me:a"))), Err(Denied::InvalidClient));
        assert_eq!(grant(form, Some(b"Bearer x".to_vec())), Err(Denied::InvalidClient));
        assert_eq!(grant(form, None), Err(Denied::InvalidClient));
        let password = String::from_utf8_lossy(FORM).replace("client_credentials", "password");
        assert_eq!(grant(password.as_bytes(), None), Err(Denied::UnsupportedGrantType));
    }
}
