use std::{num::NonZeroU32, time::Duration};

use http::{HeaderMap, Method};

use super::{Classes, OAuth2Settings};
use crate::{
    endpoint::{
        Http2, ProxySettings, TlsSettings, TransportSettings,
        template::{HeaderTemplate, UrlTemplate},
    },
    secret::Secret,
};

/// Everything that the stack of one sink is built from, resolved and checked.
#[derive(Clone, Debug)]
pub struct DeliverySettings {
    /// Where exports go, query included.
    pub endpoint: UrlTemplate,
    /// `POST`, `PUT` or `PATCH`.
    pub method: Method,
    /// The custom headers that are the same for every profile.
    pub headers: HeaderMap,
    /// Those that are filled in from the profile.
    pub header_templates: Vec<HeaderTemplate>,
    /// How requests are authenticated.
    pub auth: AuthSettings,
    /// How requests are signed, if they are.
    pub signing: Option<SigningSettings>,
    /// Time, pace and repetition.
    pub request: RequestSettings,
    /// TLS towards the data endpoint.
    pub tls: TlsSettings,
}

impl DeliverySettings {
    /// How the data endpoint is connected to.
    pub fn transport(&self) -> TransportSettings {
        TransportSettings {
            tls: self.tls.clone(),
            http2: self.request.http2,
            proxy: self.request.proxy.clone(),
            connect_timeout: self.request.connect_timeout,
            max_idle: self.request.concurrency.most(),
        }
    }
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
    pub concurrency: ConcurrencySettings,
    /// The pace that is kept, if there is one.
    pub rate_limit: Option<RateLimitSettings>,
    /// Whether what answers say about the quota that is left slows the sink.
    pub honour_rate_limit_headers: bool,
    /// Repetition inside the stack.
    pub retry: BackoffSettings,
    /// The longest `Retry-After` that is heeded.
    pub retry_after_max: Duration,
    /// Statuses whose class differs from the default.
    pub classes: Classes,
    /// How bodies are compressed, if they are.
    pub compression: Option<Coding>,
}

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// gzip (RFC 1952).
    Gzip,
    /// zstd (RFC 8878).
    Zstd,
}

/// How many attempts may be under way at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConcurrencySettings {
    /// So many.
    Fixed(usize),
    /// As many as the endpoint bears.
    Adaptive {
        /// But never more than this.
        max: usize,
    },
}

impl ConcurrencySettings {
    /// The most attempts that are ever under way at once.
    pub fn most(self) -> usize {
        match self {
            Self::Fixed(limit) => limit,
            Self::Adaptive { max } => max,
        }
    }
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

/// The keys that requests are signed with, at least one.
#[derive(Clone, Debug)]
pub struct SigningSettings {
    /// Secrets that the endpoint has too, `whsec_` and base64 of 24 to 64 bytes; a signature each.
    pub secrets: Vec<Secret>,
    /// An Ed25519 key, `whsk_` and base64 of its seed, or of seed and public key.
    pub ed25519_key: Option<Secret>,
}
