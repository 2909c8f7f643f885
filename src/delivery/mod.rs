//! Delivery: the Tower stack that carries one export to the endpoint, layer by layer, and the
//! classes into which answers fall.
//!
//! [`stack`](stack()) composes the layers; each is a folder of its own and works alone. Requests
//! are `http::Request<Bytes>`, answers `http::Response<Bytes>`, errors [`AttemptError`]. Dispatch
//! hands a delivery over with a [`Trail`], an [`IdempotencyKey`] and a [`ProfileVersion`] among the
//! request's extensions.

pub mod attempt;
pub mod auth;
pub mod compress;
pub mod concurrency;
pub mod deadline;
pub mod gate;
pub mod headers;
pub mod observe;
pub mod rate_limit;
pub mod results;
pub mod retry;
pub mod sign;
pub mod timeout;

mod class;
mod error;
mod limited;
mod retry_after;
mod settings;
mod stack;
mod trail;

#[cfg(test)]
mod contract;
#[cfg(test)]
pub(crate) mod test_support;

pub use auth::{AssertionSettings, ClientAuth, GrantType, JwtAlgorithm, OAuth2Settings};
pub use class::{Class, Classes};
pub use concurrency::ConcurrencyLimit;
pub use error::{AttemptError, TokenError};
pub use gate::{Admission, Gate, GateState, GateStatus, Probe, Reason};
pub use rate_limit::RateLimiter;
pub use retry_after::retry_after;
pub use settings::{
    AuthSettings, BackoffSettings, Coding, ConcurrencySettings, DeliverySettings,
    RateLimitSettings, RequestSettings, SigningSettings,
};
pub use stack::{Deliver, Stack, StackError, compose, stack, token_transport};
pub use trail::{IdempotencyKey, ProfileVersion, Trail};

pub use crate::{
    endpoint::{Http2, IdentitySettings, Proxy, ProxySettings, TlsSettings, TlsVersion},
    secret::Secret,
};
