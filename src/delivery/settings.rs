use std::{num::NonZeroU32, time::Duration};

use http::{HeaderMap, Method, Uri};

use super::Classes;
use crate::{
    endpoint::{Http2, ProxySettings, TlsSettings},
    secret::Secret,
};

/// Everything that the stack of one sink is built from, resolved and checked.
#[derive(Clone, Debug)]
pub struct DeliverySettings {
    /// Where exports go, query included.
    pub endpoint: Uri,
    /// `POST`, `PUT` or `PATCH`.
    pub method: Method,
    /// The custom headers.
    pub headers: HeaderMap,
    /// How requests are authenticated.
    pub auth: AuthSettings,
    /// Time, pace and repetition.
    pub request: RequestSettings,
    /// TLS towards the data endpoint.
    pub tls: TlsSettings,
}

/// Time, pace and repetition of requests.
#[derive(Clone, Debug)]
pub struct RequestSettings {
    /// Time of one attempt, headers and body.
    pub timeout: Duration,
    /// Time for a connection to be made, from the look-up of the name to the end of the TLS
    /// handshake.
    pub connect_timeout: Duration,
    /// Which version of HTTP is spoken to the data endpoint.
    pub http2: Http2,
    /// The proxies on the way to the data and the token endpoint.
    pub proxy: Option<ProxySettings>,
    /// Time of the whole delivery from when the first attempt may be sent.
    pub deadline: Duration,
    /// Requests at once.
    pub concurrency: usize,
    /// The pace that is kept, if there is one.
    pub rate_limit: Option<RateLimitSettings>,
    /// Repetition inside the stack.
    pub retry: BackoffSettings,
    /// The longest `Retry-After` that is heeded.
    pub retry_after_max: Duration,
    /// Statuses whose class differs from the default.
    pub classes: Classes,
}

/// At most `num` attempts in each `per`, evenly spaced, of which `burst` may go at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimitSettings {
    /// Attempts in each period.
    pub num: NonZeroU32,
    /// The period.
    pub per: Duration,
    /// Attempts that may go at once after a pause.
    pub burst: NonZeroU32,
}

/// How often and how long a delivery is repeated before the profile goes back to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackoffSettings {
    /// Repetitions after the first attempt.
    pub attempts: u32,
    /// The upper bound of the first delay; each next bound is twice as long.
    pub initial: Duration,
    /// No repetition begins after this time.
    pub max_duration: Duration,
}

/// How requests are authenticated.
#[derive(Clone, Debug)]
pub enum AuthSettings {
    /// Not at all.
    None,
    /// `Authorization: Basic`.
    Basic {
        /// The user.
        user: String,
        /// The password.
        password: Secret,
    },
    /// `Authorization: Bearer` with a fixed token.
    Bearer {
        /// The token.
        token: Secret,
    },
    /// `Authorization: Bearer` with a token from an OAuth2 token endpoint.
    OAuth2(Box<OAuth2Settings>),
}

/// OAuth2 client credentials (RFC 6749 section 4.4).
#[derive(Clone, Debug)]
pub struct OAuth2Settings {
    /// The token endpoint.
    pub auth_endpoint: Uri,
    /// The client id.
    pub client_id: String,
    /// The client secret.
    pub client_secret: Secret,
    /// How the client proves itself.
    pub client_auth: ClientAuth,
    /// The scopes asked for.
    pub scopes: Vec<String>,
    /// Parameters added to the token request, such as `audience`.
    pub extra_params: Vec<(String, String)>,
    /// How long before its expiry a token is renewed.
    pub refresh_before: Duration,
    /// Time of one token request.
    pub timeout: Duration,
    /// TLS towards the token endpoint.
    pub tls: TlsSettings,
}

/// How an OAuth2 client proves itself to the token endpoint (RFC 6749 section 2.3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAuth {
    /// `client_id` and `client_secret` in the form body.
    #[default]
    Body,
    /// `Authorization: Basic`, id and secret form-encoded first.
    Basic,
}
